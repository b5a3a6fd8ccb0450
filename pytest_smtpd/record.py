"""What happened in a session: its lines with times, its violations, secrets masked, bounded."""

from __future__ import annotations

import base64
import logging
import re
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from .clock import monotonic
from .smtp.content import violations_in
from .smtp.sasl import encoded
from .smtp.violations import VIOLATIONS, Violation
from .text import escaped

if TYPE_CHECKING:
    from .message.message import Message

MAX_EXCHANGES = 1000  # of a session: the first and the last of them are kept
MAX_VIOLATIONS = 100  # of one code in a session
# Of a session's messages the first so many, or else so many octets, are kept to be inspected later
MAX_UNINSPECTED = 100
MAX_UNINSPECTED_OCTETS = 1 << 26
_BEGIN_ANEW = frozenset({"EHLO", "HELO", "LHLO", "MAIL", "RSET"})
_HEAD = MAX_EXCHANGES // 2
_TAIL = MAX_EXCHANGES - _HEAD

logger = logging.getLogger("pytest_smtpd")

_Entry = tuple[float, Literal["C", "S"], bytes]  # the time is that of the clock
EndedBy = Literal["quit", "client", "server", "fault", "timeout"]


class Exchange(NamedTuple):
    """One line of a session's conversation.

    `at` is seconds since the connection was made, `who` ``"C"`` for the client and ``"S"`` for the
    server, `line` the text without its line end, control characters escaped and secrets masked.
    """

    at: float
    who: Literal["C", "S"]
    line: str


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """How a session is encrypted (RFC 8446): `version` and `cipher`, by OpenSSL's names."""

    version: str
    cipher: str


class Mask:
    """Hides configured passwords, in clear and as AUTH sends them, wherever they stand."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, users: Mapping[str, str]) -> None:
        """Learns passwords; what was once a secret stays one."""
        for user, password in users.items():
            self._secrets.update((password, *_inside_repr(password)))
            for octets in (encoded(password), encoded(f"\0{user}\0{password}")):
                self._secrets.add(base64.b64encode(octets).decode().rstrip("="))
            self._secrets.update(_inside_base64(encoded(password)))
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_as_pattern, longest_first)))

    def hide(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub("***", text)


def _inside_repr(text: str) -> set[str]:
    """As `repr` shows it in a longer text, whose quotes decide whether an apostrophe is escaped."""
    escaped = repr(f'"{text}')[2:-1]
    return {escaped, escaped.replace("\\'", "'")}


def _inside_base64(octets: bytes) -> Iterator[str]:
    """What base64 makes of them behind any prefix: it depends only on their place modulo 3."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + octets).decode()
        inside = text[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6]
        if len(inside) > 7:  # fewer may stand anywhere by chance
            yield inside


def _as_pattern(secret: str) -> str:
    # "a" as a password must not blot out every a
    return re.escape(secret) if len(secret) > 3 else rf"(?<!\w){re.escape(secret)}(?!\w)"


class _Uninspected:
    """A message's octets, to be inspected when somebody asks, which in most tests nobody does.

    That saves 2 us a message of 1 KB and three of the nine passes over one of 20 MB.
    """

    __slots__ = ("_codes", "_eight_bit", "_raw")

    def __init__(self, raw: bytes, eight_bit: bool) -> None:
        self._raw, self._eight_bit = raw, eight_bit
        self._codes: list[str] | None = None

    def violations(self) -> list[str]:
        raw, codes = self._raw, self._codes  # in this order: another thread may be here, too
        if codes is None:
            codes = self._codes = violations_in(raw, eight_bit=self._eight_bit)
            self._raw = b""
        return codes


class SessionRecord:
    """One connection to a server, from its first octet to its end; live while it is open.

    - `peer`: the client's ``(address, port)``; ``("", 0)`` on a unix socket
    - `helo`: what the client called itself, None before that
    - `tls`: a `TLSInfo`, None in clear
    - `user`: who it authenticated as, None if it did not
    - `started_at`: an aware `datetime`
    - `ended_by`: ``"quit"``, ``"client"`` (it closed), ``"server"``, ``"fault"``, ``"timeout"``;
      None before that is decided
    - `violations`: what the client did against the RFCs, at most 100 of one code
    - `messages`: the messages it delivered

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
        self._head: list[_Entry] = []
        self._tail: deque[_Entry] | None = None  # from when that is full
        self._behind_head = 0  # entries that came when that was full
        self._noted: list[str | _Uninspected] = []  # the codes of violations, and where more may be
        self._uninspected = self._uninspected_octets = 0
        self._counts: dict[str, int] = {}
        self._logged = logger.isEnabledFor(logging.DEBUG)
        self._is_closed = False
        # Held until the session has ended; an Event would be a third of the cost of a record
        self._open = threading.Lock()
        self._open.acquire()

    @property
    def exchanges(self) -> list[Exchange]:
        """The conversation so far, at most 1,000 entries: then the middle is left out."""
        # copies: the serving thread goes on. What is counted is in the tail already
        behind = self._behind_head
        tail = [] if self._tail is None else self._tail.copy()
        head = self._head[:]
        left_out = max(0, behind - len(tail))
        shown = [self._shown(*entry) for entry in head]
        if left_out:
            left_out += 1  # to make room for the entry that says so
            del tail[0]
            at = tail[0][0] - self._start
            shown.append(Exchange(at, "S", f"... {left_out} exchanges left out ..."))
        return shown + [self._shown(*entry) for entry in tail]

    def _shown(self, at: float, who: Literal["C", "S"], octets: bytes) -> Exchange:
        text = octets.removesuffix(b"\r\n").decode("utf-8", "backslashreplace")
        return Exchange(at - self._start, who, escaped(self._mask.hide(text)))

    @property
    def violations(self) -> list[Violation]:
        """What the client did against the RFCs so far, at most 100 of one code."""
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

        What the refusal of one command makes of those behind it, 503, does not count. None if there
        was none, or if a message was taken after it.
        """
        asked = before = ""
        refusal, follows = None, False
        for _, who, line in self.exchanges:
            if who == "C":
                before, asked = asked, line
            elif line[:1] in ("4", "5"):
                if follows and line.startswith("503"):  # out of sequence: by the refusal before
                    continue
                refusal, follows = f"{asked} -> {line}" if asked else line, True
            elif line[:1] == "2" and asked[:4].upper() in _BEGIN_ANEW:
                follows = False
            elif asked.startswith("<") and _ends_message(before):
                refusal = None
        return refusal

    def wait_closed(self, timeout: float = 5.0) -> bool:
        """Blocks until the session has ended, `timeout` seconds at most; whether it has."""
        if not self._is_closed and self._open.acquire(
            timeout=min(max(0.0, timeout), threading.TIMEOUT_MAX)
        ):
            self._open.release()
        return self._is_closed

    def __str__(self) -> str:
        facts = [f"session from {_address(self.peer)}"]
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
            f"<SessionRecord {_address(self.peer)} {len(self.exchanges)} exchanges, "
            f"{len(self.messages)} messages, {self.ended_by or 'open'}>"
        )


class SessionJournal(SessionRecord):
    """A record as the server writes it: the engine its lines, the connection how it ends."""

    def client(self, line: bytes) -> None:
        """A line from the client, without its CRLF, secrets masked."""
        self._add("C", line)

    def content(self, octets: int) -> None:
        """So many octets of a message's content came."""
        self._add("C", b"<%d octets>" % octets)

    def server(self, reply: bytes) -> None:
        """A reply, with the CRLF of each of its lines."""
        if reply.find(b"\r\n") == len(reply) - 2:
            self._add("S", reply)  # with its CRLF: so all of one text share their octets
        else:
            for line in reply.removesuffix(b"\r\n").split(b"\r\n"):
                self._add("S", line)

    def message(self, raw: bytes, eight_bit: bool) -> None:
        """A whole message came; octets over 127 were announced, or not."""
        self._uninspected += 1
        self._uninspected_octets += len(raw)
        few = self._uninspected <= MAX_UNINSPECTED
        if few or self._uninspected_octets <= MAX_UNINSPECTED_OCTETS:
            self._noted.append(_Uninspected(raw, eight_bit))
        else:
            for code in violations_in(raw, eight_bit=eight_bit):
                self.violation(code)

    def violation(self, code: str) -> None:
        """The client did what this row of the table of violations says."""
        self._counts[code] = count = self._counts.get(code, 0) + 1
        if count <= MAX_VIOLATIONS:
            self._noted.append(code)

    def _add(self, who: Literal["C", "S"], octets: bytes) -> None:
        entry = (monotonic(), who, octets)
        if len(self._head) < _HEAD:
            self._head.append(entry)
        else:
            if self._tail is None:
                self._tail = deque(maxlen=_TAIL)
            self._tail.append(entry)
            self._behind_head += 1
        if self._logged:
            logger.debug("%s %s: %s", _address(self.peer), who, self._shown(*entry).line)

    def continued(self, mask: Mask) -> SessionJournal:
        """A record of the same connection, from now on."""
        record = SessionJournal(self.peer, mask)
        record.helo, record.tls, record.user = self.helo, self.tls, self.user
        return record

    def ends(self, by: EndedBy) -> None:
        """It has been decided why the session ends. The first reason counts."""
        if self.ended_by is None:
            self.ended_by = by

    def closed(self) -> None:
        """The connection is closed."""
        if not self._is_closed:
            self._is_closed = True
            self._open.release()


def _ends_message(command: str) -> bool:
    """Whether what came after this command was the end of a message, not one of its chunks."""
    words = command.upper().split()
    return words[:1] != ["BDAT"] or "LAST" in words


def _address(peer: tuple[str, int]) -> str:
    host, port = peer
    if not host:
        return "a unix socket"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
