"""Refusals: `Reject`, raised by callbacks, and the patterns of the `reject_*` options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from .patterns import PatternLike, compile_host_pattern, compile_pattern
from .smtp.replies import Reply

ReplyLike: TypeAlias = int | str | Reply
RejectOption: TypeAlias = (
    PatternLike | Iterable[PatternLike] | Mapping[PatternLike, ReplyLike | None]
)

_BEGINS_WITH_CODE = re.compile(r"[0-9]{3}(?:[ -]|$)")


class Reject(Exception):
    """Raised in a callback to refuse its client, sender, recipient or message.

    - ``Reject()`` sends the default reply of the callback's stage,
    - ``Reject("text")`` sends its default code with that text,
    - ``Reject("450 4.2.1 later")``, ``Reject(450)`` or ``Reject(Reply(...))`` sends that reply.

    `reply` is the given reply and `text` the given text, otherwise `None`. Raises `ValueError` for
    a reply whose code is not 4xx or 5xx (RFC 5321 section 4.2.1).
    """

    def __init__(self, reply: ReplyLike | None = None) -> None:
        __tracebackhide__ = True
        super().__init__(*(() if reply is None else (reply,)))
        self.reply: Reply | None = None
        self.text: str | None = None  # a text for the default reply
        if isinstance(reply, str) and not _BEGINS_WITH_CODE.match(reply):
            self.text = reply
        elif reply is not None:
            self.reply = negative(reply)


def negative(value: ReplyLike) -> Reply:
    """The value as a reply. Raises `ValueError` if its code is not 4xx or 5xx."""
    __tracebackhide__ = True
    reply = Reply.of(value) if type(value) is not int or 400 <= value <= 599 else None
    if reply is None or reply.code < 400:
        raise ValueError(f"{value!r} does not refuse: a reply code from 400 to 599 is wanted")
    return reply


Rule: TypeAlias = tuple[Callable[[str], bool], Reply | None]


def compile_rules(option: RejectOption | None, *, hosts: bool = False) -> tuple[Rule, ...]:
    """A `reject_*` option as predicates, each with its reply (None: the default one).

    Raises `TypeError` or `ValueError`, naming the pattern or reply and its mistake.
    """
    compile_one = compile_host_pattern if hosts else compile_pattern
    if option is None:
        return ()
    if isinstance(option, Mapping):
        rules = option.items()
        return tuple((compile_one(p), None if r is None else negative(r)) for p, r in rules)
    if isinstance(option, str | re.Pattern) or callable(option):
        return ((compile_one(option), None),)
    if not isinstance(option, Iterable) or isinstance(option, bytes | bytearray):
        raise TypeError(
            "a pattern (a str, a re.Pattern or a callable), a list of patterns, or a mapping from "
            "pattern to reply is wanted"
        )
    return tuple((compile_one(pattern), None) for pattern in option)
