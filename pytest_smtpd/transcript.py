"""The section `smtpd` in a failing test's report: for each server its mail and its sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from .mailbox.mailbox import Mailbox
from .mailbox.store import Store
from .text import cut_middle, shortened

if TYPE_CHECKING:
    from .faults import Fault
    from .record import Mask, SessionRecord
    from .server import Server

MAX_LINES = 60  # of a transcript; a longer one is shortened in the middle
MAX_WIDTH = 400  # characters of a line, likewise
MAX_SESSIONS = 10  # of a server
MAX_FAULTS = 10  # likewise


class Seen:
    """A server as a test sees it: live until `keep`, from then on as it was."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self.server = server
        self.messages: Mailbox = server.messages
        self.strays: Mailbox = server.strays
        self.sessions: Sequence[SessionRecord] = server.sessions
        self._mask: Mask | None = None
        self._where: str | None = None
        self._chance: str | None = None
        self._faults: list[str] | None = None

    def keep(self) -> None:
        """The server forgets all this now."""
        self._where, self._chance = self.where, _seed(self.server)
        self._faults = self.faults
        self._mask = self.server._state.mask
        self.messages, self.strays = _copy(self.messages, "messages"), _copy(self.strays, "strays")
        self.sessions = list(self.sessions)

    def hide(self, text: str) -> str:
        return (self._mask or self.server._state.mask).hide(text)

    @property
    def started(self) -> bool:
        return self.server._address is not None

    @property
    def where(self) -> str:
        if self._where is not None:
            return self._where
        try:
            return self.server.url
        except RuntimeError:
            return "not started"

    @property
    def head(self) -> str:
        chance = _seed(self.server) if self._chance is None else self._chance
        place = f" at {self.where}" if self.started else ", which was not started"
        return f"{self.name}{place}{chance}"

    @property
    def faults(self) -> list[str]:
        """How often each has acted: one that never has may be why the test fails."""
        if self._faults is not None:
            return self._faults
        return [_fault(each, self.server.hits(each)) for each in self.server.faults]


def _copy(box: Mailbox, name: str) -> Mailbox:
    return Mailbox(Store(box), name)


def section(servers: Sequence[Seen]) -> str:
    """What a reader needs to see what the client did: mail first, then the conversations."""
    return "\n".join(map(_server, servers))


def _server(seen: Seen) -> str:
    lines = [seen.head, *shortened(seen.faults, MAX_FAULTS)]
    lines += shortened(repr(seen.messages).splitlines(), MAX_LINES // 3)
    if seen.strays:
        lines += shortened(repr(seen.strays).splitlines(), MAX_LINES // 3)
    sessions = list(seen.sessions)
    if not sessions:
        lines.append("no client has connected")
    half, left_out = MAX_SESSIONS // 2, len(sessions) - MAX_SESSIONS
    shown = sessions if left_out <= 0 else [*sessions[:half], *sessions[-half:]]
    for number, session in enumerate(shown):
        if left_out > 0 and number == half:
            lines.append(f"... {left_out} sessions left out ...")
        lines += shortened(str(session).splitlines(), MAX_LINES)
    return "\n".join(cut_middle(seen.hide(line), MAX_WIDTH) for line in lines)


def _seed(server: Server) -> str:
    chance = any(fault.probability < 1 for fault in server.faults)
    return f", seed={server._seed!r}" if chance else ""


def _fault(fault: Fault, hits: int) -> str:
    given = [
        f"{field.name}={value!r}"
        for field in fields(fault)
        if field.init and (value := getattr(fault, field.name)) != field.default
    ]
    times = {0: "not acted", 1: "acted once"}.get(hits, f"acted {hits} times")
    return f"{type(fault).__name__}({', '.join(given)}) has {times}"
