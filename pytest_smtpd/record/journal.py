"""Writes a session record: the engine reports the conversation, `serving` the end."""

from __future__ import annotations

import logging
from collections import deque

from ..clock import monotonic
from ..smtp.content import violations_in
from .mask import Mask
from .session import HEAD, MAX_VIOLATIONS, TAIL, EndedBy, Kind, SessionRecord, Uninspected, address

# A session keeps the octets of its first messages, to inspect them on demand: this many messages,
# or more of them up to this many octets
MAX_UNINSPECTED = 100
MAX_UNINSPECTED_OCTETS = 1 << 26

logger = logging.getLogger("pytest_smtpd")


class SessionJournal(SessionRecord):
    """The writing side of a record, on the server's thread; implements the engine's `Journal`."""

    def __init__(self, peer: tuple[str, int] = ("", 0), mask: Mask | None = None) -> None:
        super().__init__(peer, mask)
        self._uninspected = self._uninspected_octets = 0
        self._counts: dict[str, int] = {}
        self._logged = logger.isEnabledFor(logging.DEBUG)

    def client(self, line: bytes) -> None:
        self._add("command", line)

    def note(self, text: bytes) -> None:
        self._add("other", text)

    def content(self, octets: int) -> None:
        self._add("content", b"<%d octets>" % octets)

    def server(self, reply: bytes) -> None:
        if reply.find(b"\r\n") == len(reply) - 2:
            self._add("reply", reply)  # with its CRLF, so that equal replies share their octets
        else:
            *lines, last = reply.removesuffix(b"\r\n").split(b"\r\n")
            for line in lines:
                self._add("more", line)
            self._add("reply", last)

    def message(self, raw: bytes, eight_bit: bool) -> None:
        self._uninspected += 1
        self._uninspected_octets += len(raw)
        few = self._uninspected <= MAX_UNINSPECTED
        if few or self._uninspected_octets <= MAX_UNINSPECTED_OCTETS:
            self._noted.append(Uninspected(raw, eight_bit))
        else:
            for code in violations_in(raw, eight_bit=eight_bit):
                self.violation(code)

    def violation(self, code: str) -> None:
        self._counts[code] = count = self._counts.get(code, 0) + 1
        if count <= MAX_VIOLATIONS:
            self._noted.append(code)

    def _add(self, kind: Kind, octets: bytes) -> None:
        entry = (monotonic(), kind, octets)
        if len(self._head) < HEAD:
            self._head.append(entry)
        else:
            if self._tail is None:
                self._tail = deque(maxlen=TAIL)
            self._tail.append(entry)
            self._behind_head += 1
        if self._logged:
            shown = self._shown(entry)
            logger.debug("%s %s: %s", address(self.peer), shown.who, shown.line)

    def continued(self, mask: Mask) -> SessionJournal:
        """A new record of the same connection, which begins now."""
        record = SessionJournal(self.peer, mask)
        record.helo, record.tls, record.user = self.helo, self.tls, self.user
        return record

    def ends(self, by: EndedBy) -> None:
        """Notes why the session ends. The first reason counts."""
        if self.ended_by is None:
            self.ended_by = by

    def closed(self) -> None:
        """Notes that the connection is closed."""
        if not self._is_closed:
            self._is_closed = True
            self._open.release()
