"""Applies the options to an event: address check, then `reject_*`, then the callback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..faults import STAGE_TABLE
from ..rejection import Rule, compile_rules
from ..smtp.addresses import is_postmaster
from ..smtp.events import Connected, Event, Mail, Rcpt
from ..smtp.replies import Reply, fill
from . import addresses

if TYPE_CHECKING:
    from ..message.message import Message
    from ..options import Options

RULES = {stage: row.reject for stage, row in STAGE_TABLE.items() if row.reject}
CALLBACKS = {stage: row.validate for stage, row in STAGE_TABLE.items() if row.validate}


class RuleRaised(Exception):
    """A callable among the patterns of an option raised the cause; the argument is the option."""


class Judge:
    """The rules and callbacks of one set of options, compiled."""

    def __init__(self, options: Options) -> None:
        self._addresses = options.addresses
        if options.addresses == "strict":
            from ..mime import validator

            validator.load()  # takes a while: do it before a client waits
        self._rules: dict[str, tuple[Rule, ...]] = {
            stage: compile_rules(getattr(options, name), hosts=stage == "connect")
            for stage, name in RULES.items()
        }
        self._callbacks: dict[str, Callable[[str], object] | None] = {
            stage: getattr(options, name) for stage, name in CALLBACKS.items()
        }
        delivery = "deliver_mime" if options.deliver_mime else "deliver"
        self.callback_names = {**CALLBACKS, "message": delivery}
        self._deliver = options.deliver
        self._deliver_mime = options.deliver_mime
        # Stages where the test's code runs: a callback, or a callable among the patterns
        self.stages_with_callbacks = frozenset(
            [stage for stage, callback in self._callbacks.items() if callback]
            + [stage for stage, name in RULES.items() if _has_callable(getattr(options, name))]
            + (["message"] if options.deliver or options.deliver_mime else [])
        )

    def refusal(self, event: Event) -> Reply | None:
        """The refusal by the address check or a `reject_*` option; None if neither refuses."""
        match event:
            case Mail(address=address) | Rcpt(address=address):
                malformed = addresses.refusal(address, event.stage, self._addresses)
                return malformed or self._by_rules(event.stage, address)
            case Connected(peer):
                return self._by_rules("connect", peer)
        return None

    def _by_rules(self, stage: str, subject: str) -> Reply | None:
        rules = self._rules[stage]
        if not rules or (stage == "rcpt" and is_postmaster(subject)):
            return None
        for matches, reply in rules:
            try:
                hit = matches(subject)
            except BaseException as error:
                raise RuleRaised(RULES[stage]) from error
            if hit:
                return reply or default_refusal(stage, subject)
        return None

    def callback(self, event: Event) -> Callable[[], object] | None:
        """The call of `validate_*` for this event, if there is one."""
        match event:
            case Connected(subject) | Mail(address=subject) | Rcpt(address=subject):
                callback = self._callbacks[event.stage]
                if callback is not None and not (event.stage == "rcpt" and is_postmaster(subject)):
                    return lambda: callback(subject)
        return None

    def delivery(self, message: Message) -> Callable[[], object] | None:
        """The call of `deliver_mime`, or otherwise of `deliver`, for this message, if any."""
        if self._deliver_mime is not None:
            deliver_mime = self._deliver_mime
            return lambda: deliver_mime(message)
        if self._deliver is not None:
            deliver = self._deliver
            text = message.raw.decode("utf-8", "surrogateescape")
            lines = text.split("\r\n")
            if lines[-1] == "":
                lines.pop()
            return lambda: deliver(message.sender, list(message.recipients), lines)
        return None


def default_refusal(stage: str, subject: str = "", text: str | None = None) -> Reply:
    """The refusal of a stage, with the text of a `Reject` if it has one."""
    reply = STAGE_TABLE[stage].refusal
    assert reply is not None
    if stage == "connect":
        return fill(reply, reason=text or f"host {subject or 'without an address'} rejected")
    return reply if text is None else reply.with_text(text)


def _has_callable(option: object) -> bool:
    if isinstance(option, str | re.Pattern) or option is None:
        return False
    if callable(option):  # first: a mock can be iterated over, too
        return True
    return isinstance(option, Iterable) and any(callable(pattern) for pattern in option)
