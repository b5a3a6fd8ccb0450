"""`SessionRecord`: the lines of a session, its commands and violations, masked and bounded."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..clock import monotonic
from ..smtp.content import violations_in
from ..smtp.violations import VIOLATIONS, Violation
from ..text import escaped
from .mask import Mask

if TYPE_CHECKING:
    from ..message.message import Message

MAX_EXCHANGES = 1000  # of a session: only the first and the last are kept
MAX_VIOLATIONS = 100  # of one code in a session
HEAD = MAX_EXCHANGES // 2
TAIL = MAX_EXCHANGES - HEAD
_BEGIN_ANEW = (b"EHLO", b"HELO", b"LHLO", b"MAIL", b"RSET")

# "more" is a line of a reply before its last line, which is "reply"
Kind = Literal["command", "content", "other", "more", "reply"]
Entry = tuple[float, Kind, bytes]  # the time is from `clock.monotonic`
EndedBy = Literal["quit", "client", "server", "fault", "timeout"]


class Exchange(NamedTuple):
    """One line of a session's conversation.

    `at` is in seconds since the connection was made. `who` is ``"C"`` for the client, ``"S"`` for
    the server. `line` has no line end; control characters are escaped and secrets masked.
    """

    at: float
    who: Literal["C", "S"]
    line: str


class Command(NamedTuple):
    """One command of a session's client.

    `verb` is in upper case. `argument` is the text after the verb, ``""`` if there is none.
    `reply` is the reply to the command line, its lines joined by line feeds: 354 for DATA, 334 for
    an AUTH that continues, None without an answer. Secrets are masked and control characters
    escaped, as in `Exchange`.

    The content of a message is no command. An answer to an AUTH challenge is no command either.
    """

    verb: str
    argument: str
    reply: str | None


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """The encryption of a session (RFC 8446): `version` and `cipher`, by OpenSSL's names."""

    version: str
    cipher: str


class Uninspected:
    """A message's octets, inspected on demand: most tests read no violations.

    That saves 2 us for a message of 1 KB, and three of nine passes over a message of 20 MB.
    """

    __slots__ = ("_codes", "_eight_bit", "_raw")

    def __init__(self, raw: bytes, eight_bit: bool) -> None:
        self._raw, self._eight_bit = raw, eight_bit
        self._codes: list[str] | None = None

    def violations(self) -> list[str]:
        raw, codes = self._raw, self._codes  # in this order, since another thread may do the same
        if codes is None:
            codes = self._codes = violations_in(raw, eight_bit=self._eight_bit)
            self._raw = b""
        return codes


class SessionRecord:
    """One connection to a server, from its first octet to its end; live while it is open.

    - `peer`: the client's ``(address, port)``; ``("", 0)`` on a unix socket
    - `helo`: the client's name in EHLO, HELO or LHLO; None before
    - `tls`: a `TLSInfo`, None without TLS
    - `user`: the user that the client authenticated as, None without AUTH
    - `started_at`: an aware `datetime`
    - `ended_by`: ``"quit"``, ``"client"`` (it closed), ``"server"``, ``"fault"``, ``"timeout"``;
      None until the session ends
    - `violations`: the client's violations of the RFCs, at most 100 of one code
    - `messages`: the messages that the client delivered

    `str()` is a readable transcript. Records are made by the server.
    """

    def __init__(self, peer: tuple[str, int] = ("", 0), mask: Mask | None = None) -> None:
        self.peer = peer
        self.helo: str | None = None
        self.tls: TLSInfo | None = None
        self.user: str | None = None
        self.started_at = datetime.now(UTC)
        self.ended_by: EndedBy | None = None
        self.messages: list[Message] = []
        self._mask = mask or Mask()
        self._start = monotonic()
        self._head: list[Entry] = []
        self._tail: deque[Entry] | None = None  # None until the head is full
        self._behind_head = 0  # entries that came after the head was full
        self._noted: list[str | Uninspected] = []  # codes of violations, and uninspected messages
        self._is_closed = False
        # Held until the session has ended; an Event would cost a third of a whole record
        self._open = threading.Lock()
        self._open.acquire()

    @property
    def exchanges(self) -> list[Exchange]:
        """The conversation so far, at most 1,000 entries; beyond that the middle is left out."""
        head, left_out, tail = self._entries()
        shown = [self._shown(entry) for entry in head]
        if left_out:
            left_out += 1  # makes room for the entry that counts them
            del tail[0]
            at = tail[0][0] - self._start
            shown.append(Exchange(at, "S", f"... {left_out} exchanges left out ..."))
        return shown + [self._shown(entry) for entry in tail]

    @property
    def commands(self) -> list[Command]:
        """The client's commands so far, in order, except those left out of `exchanges`."""
        return [
            self._command(line, replies)
            for kind, line, replies in self._dialogue()
            if kind == "command"
        ]

    def _entries(self) -> tuple[list[Entry], int, list[Entry]]:
        """The first entries, the number of entries left out, and the last entries."""
        # Copies, since the server's thread goes on. In this order: an entry is in the tail before
        # it is counted
        behind = self._behind_head
        tail = [] if self._tail is None else list(self._tail.copy())
        return self._head[:], max(0, behind - len(tail)), tail

    def _dialogue(self) -> list[tuple[Kind, bytes, list[list[bytes]]]]:
        """The client's lines, each with its replies; a reply is a list of its lines."""
        head, left_out, tail = self._entries()
        replies: list[list[bytes]] = []
        said: list[tuple[Kind, bytes, list[list[bytes]]]] = [("other", b"", replies)]
        is_first_line = True
        for number, (_, kind, octets) in enumerate((*head, *tail)):
            if left_out and number == len(head):
                if not (replies and is_first_line):  # the reply is left out, or a part of it
                    said.pop()
                replies, is_first_line = [], True  # the line of the next replies is left out
            if kind in ("more", "reply"):
                if is_first_line:
                    replies.append([])
                replies[-1].append(octets)
                is_first_line = kind == "reply"
            else:
                # The reply to BDAT follows its chunk
                replies = replies if kind == "content" and not replies else []
                said.append((kind, octets, replies))
        return said

    def _command(self, line: bytes, replies: list[list[bytes]]) -> Command:
        verb, _, argument = self._text(line).strip().partition(" ")
        reply = "\n".join(map(self._text, replies[0])) if replies else None
        return Command(verb.upper(), argument.strip(), reply)

    def _shown(self, entry: Entry) -> Exchange:
        at, kind, octets = entry
        who: Literal["C", "S"] = "S" if kind in ("more", "reply") else "C"
        return Exchange(at - self._start, who, self._text(octets))

    def _text(self, octets: bytes) -> str:
        text = octets.removesuffix(b"\r\n").decode("utf-8", "backslashreplace")
        return escaped(self._mask.hide(text))

    @property
    def violations(self) -> list[Violation]:
        """The client's violations of the RFCs so far, at most 100 of one code."""
        counts: Counter[str] = Counter()
        found = []
        for noted in self._noted[:]:
            for code in (noted,) if isinstance(noted, str) else noted.violations():
                counts[code] += 1
                if counts[code] <= MAX_VIOLATIONS:
                    found.append(VIOLATIONS[code])
        return found

    def hide(self, text: str) -> str:
        """The text with configured passwords masked."""
        return self._mask.hide(text)

    def last_refusal(self) -> str | None:
        """The last 4xx or 5xx reply, with the line that it answered.

        Replies 503 to commands after a refused one do not count. None without a
        refusal, or if a message was accepted after the refusal.
        """
        refusal, follows, before = None, False, b""
        for kind, asked, replies in self._dialogue():
            for reply in replies:
                line = reply[-1]
                if line[:1] in (b"4", b"5"):
                    if not (follows and line.startswith(b"503")):
                        shown = self._text(line)
                        refusal = f"{self._text(asked)} -> {shown}" if asked else shown
                        follows = True
                elif line[:1] == b"2" and asked[:4].upper() in _BEGIN_ANEW:
                    follows = False
                elif kind == "content" and _ends_message(before):
                    refusal = None
            before = asked
        return refusal

    def wait_closed(self, timeout: float = 5.0) -> bool:
        """Blocks until the session has ended, at most `timeout` seconds. Returns whether it did."""
        if not self._is_closed and self._open.acquire(
            timeout=min(max(0.0, timeout), threading.TIMEOUT_MAX)
        ):
            self._open.release()
        return self._is_closed

    def __str__(self) -> str:
        facts = [f"session from {address(self.peer)}"]
        if self.helo is not None:
            facts.append(f"helo {escaped(self.helo)}")
        if self.tls is not None:
            facts.append(f"{self.tls.version} {self.tls.cipher}")
        if self.user is not None:
            facts.append(f"user {escaped(self.user)}")
        ended = f"ended by {self.ended_by}" if self.ended_by else "open"
        lines = [f"{', '.join(facts)}, {ended}"]
        lines += [f"{at:8.3f} {who}: {line}" for at, who, line in self.exchanges]
        counts = Counter(self.violations)
        if counts:
            lines.append("violations:")
            lines += [
                f"  {violation}" + f" ({count} times)" * (count > 1)
                for violation, count in counts.items()
            ]
        return self._mask.hide("\n".join(lines))

    def __repr__(self) -> str:
        return (
            f"<SessionRecord {address(self.peer)} {len(self.exchanges)} exchanges, "
            f"{len(self.messages)} messages, {self.ended_by or 'open'}>"
        )


def _ends_message(command: bytes) -> bool:
    """Whether the content after this command ends a message: only the last chunk does."""
    words = command.upper().split()
    return words[:1] != [b"BDAT"] or b"LAST" in words


def address(peer: tuple[str, int]) -> str:
    """The client's address as text."""
    host, port = peer
    if not host:
        return "a unix socket"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
