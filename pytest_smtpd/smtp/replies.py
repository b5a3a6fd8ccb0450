"""Every reply that the server can give, in one table. No other module has the text of a reply.

A row is the reply after EHLO; before EHLO `encode` leaves out the enhanced code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

MAX_REPLY_LINE = 512  # RFC 5321 section 4.5.3.1.5, with code and CRLF
SHORT = 490  # characters of text that fit into one line with any code in front

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)  # RFC 3463 section 2
_WRITTEN = re.compile(r"(\d{3})(?:[ -](.*))?", re.DOTALL | re.ASCII)
_IN_TEXT = re.compile(rb"[245]\.\d{1,3}\.\d{1,3} ")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Reply:
    """An SMTP reply (RFC 5321 section 4.2).

    `code` is the three-digit reply code, 200 to 599. `text` follows the code; a line feed in the
    text makes a multi-line reply. `enhanced` is an enhanced status code, ``"4.2.1"`` (RFC 3463),
    sent in each line, and only if it was negotiated (RFC 2034); its class must be the first
    digit of `code`.

    Raises `ValueError` for a code out of range, a text with control characters, or an enhanced
    code of another class.
    """

    code: int
    text: str
    enhanced: str | None = None

    # The encoded forms: each row of the table is sent often
    _octets: dict[tuple[bool, bool], bytes] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not isinstance(self.code, int) or not 200 <= self.code <= 599:
            raise ValueError(f"reply code {self.code!r}: a number from 200 to 599 is wanted")
        if not isinstance(self.text, str) or _CONTROL.search(self.text):
            raise ValueError(
                f"reply text {self.text!r}: a str without control characters is wanted"
            )
        if self.enhanced is not None and not (
            _ENHANCED.fullmatch(self.enhanced) and self.enhanced[0] == str(self.code)[0]
        ):
            raise ValueError(
                f"enhanced status code {self.enhanced!r} of reply {self.code}: "
                f"{self.code // 100}.NUMBER.NUMBER is wanted (RFC 3463)"
            )

    @classmethod
    def of(cls, value: object) -> Reply:
        """A reply as a test writes it: a `Reply`, a code, or ``"450 4.2.1 Mailbox busy"``.

        A text is sent unchanged; a bare code gets the usual text for it.
        Raises `ValueError` for anything else.
        """
        if isinstance(value, Reply):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return _usual(value)
        if isinstance(value, str) and (written := _WRITTEN.fullmatch(value.strip())):
            code, text = int(written[1]), (written[2] or "").replace("\r\n", "\n")
            enhanced = _ENHANCED.match(text)
            if enhanced and enhanced[0][0] != written[1][0]:
                raise ValueError(
                    f"{value!r}: the enhanced status code is of another class than the reply: "
                    f"{code // 100}.NUMBER.NUMBER is wanted (RFC 3463)"
                )
            return cls(code, text) if text else _usual(code)
        raise ValueError(
            f"{value!r} is no SMTP reply: a code (450), a text that begins with one "
            '("450 4.2.1 Mailbox busy"), or a Reply is wanted'
        )

    @property
    def positive(self) -> bool:
        """Whether the command took effect (2xx, and 354 after DATA)."""
        return self.code < 300 or self.code == 354

    def with_text(self, text: str) -> Reply:
        """The same reply with another text; control characters in it become spaces."""
        text = _CONTROL.sub(" ", text.replace("\r\n", "\n"))
        return Reply(self.code, text, self.enhanced)

    def encode(self, *, enhanced: bool, utf8: bool) -> bytes:
        """The reply's octets: every line at most 512 octets, ended by CRLF."""
        octets = self._octets.get((enhanced, utf8))
        if octets is None:
            prefix = f"{self.enhanced} " if enhanced and self.enhanced else ""
            octets = _encode(self.code, prefix.encode(), self.text, "utf-8" if utf8 else "ascii")
            self._octets[enhanced, utf8] = octets
        return octets

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))


def _encode(code: int, prefix: bytes, text: str, encoding: str) -> bytes:
    if len(text) < SHORT and text.isascii() and "\n" not in text:
        return b"%d %b%b\r\n" % (code, prefix, text.encode())
    lines = [
        piece
        for line in text.split("\n")
        for piece in _wrap(code, prefix, line.encode(encoding, "replace"))
    ]
    return b"".join(
        b"%d%b%b\r\n" % (code, b" " if number == len(lines) else b"-", line)
        for number, line in enumerate(lines, 1)
    )


def _wrap(code: int, prefix: bytes, line: bytes) -> Iterator[bytes]:
    # RFC 2034 section 4: each line has the enhanced code, also one that a test wrote as text
    if not prefix and (written := _IN_TEXT.match(line)) and line[0] == ord(str(code)[0]):
        prefix, line = written[0], line[written.end() :]
    room = MAX_REPLY_LINE - len("250-") - len(prefix) - len("\r\n")
    while len(line) > room:
        end = room
        while line[end] & 0xC0 == 0x80:  # do not cut inside a UTF-8 sequence
            end -= 1
        yield prefix + line[:end]
        line = line[end:]
    yield prefix + line


# Before and around the transaction
GREETING = Reply(220, "{hostname} {banner}; {date}")
HELLO = Reply(250, "{hostname}")
READY_FOR_TLS = Reply(220, "Ready to start TLS", "2.0.0")
AUTHENTICATED = Reply(235, "Authentication successful", "2.7.0")
CHALLENGE = Reply(334, "{challenge}")
OK = Reply(250, "OK", "2.0.0")
BYE = Reply(221, "{hostname} closing connection", "2.0.0")
HELP = Reply(214, "{text}", "2.0.0")
CANNOT_VRFY = Reply(252, "Cannot verify the address, but will take mail for it", "2.0.0")
CANNOT_EXPN = Reply(252, "Cannot expand lists here", "2.0.0")

# The transaction
SENDER_OK = Reply(250, "Sender OK", "2.1.0")
RECIPIENT_OK = Reply(250, "Recipient OK", "2.1.5")
START_DATA = Reply(354, "End data with <CR><LF>.<CR><LF>")
CHUNK_OK = Reply(250, "{octets} octets received", "2.0.0")
QUEUED = Reply(250, "OK: queued as {id}", "2.6.0")

# Grammar and order
UNKNOWN_COMMAND = Reply(500, "Command not recognized", "5.5.2")
BARE_LF_IN_COMMAND = Reply(500, "Bare CR or LF in a command", "5.5.2")
LINE_TOO_LONG = Reply(500, "Line too long", "5.5.2")
SYNTAX = Reply(501, "Syntax: {usage}", "5.5.4")
BAD_PARAMETER = Reply(501, "Bad value for parameter {name}", "5.5.4")
BAD_SENDER = Reply(501, "Bad sender address syntax", "5.1.7")
BAD_RECIPIENT = Reply(501, "Bad recipient address syntax", "5.1.3")
NOT_IMPLEMENTED = Reply(502, "Command not implemented", "5.5.1")
OUT_OF_ORDER = Reply(503, "Bad sequence of commands: {why}", "5.5.1")
UNKNOWN_TOPIC = Reply(504, "No help on this topic", "5.5.4")
UNKNOWN_PARAMETER = Reply(555, "Parameter {name} not recognized or not implemented", "5.5.4")

# Security
NEEDS_TLS = Reply(530, "Must issue a STARTTLS command first", "5.7.0")
NEEDS_AUTH = Reply(530, "Authentication required", "5.7.0")
BAD_CREDENTIALS = Reply(535, "Authentication credentials invalid", "5.7.8")
AUTH_NEEDS_TLS = Reply(538, "Encryption required for the requested authentication", "5.7.11")
UNKNOWN_MECHANISM = Reply(504, "Authentication mechanism not offered", "5.5.4")
AUTH_CANCELLED = Reply(501, "Authentication cancelled", "5.7.0")
BAD_BASE64 = Reply(501, "Cannot decode base64", "5.5.2")
AUTH_SYNTAX = Reply(501, "Malformed authentication exchange", "5.5.2")

# Policy
HOST_REFUSED = Reply(550, "Access denied: {reason}", "5.7.1")
SENDER_REFUSED = Reply(553, "Requested action not taken: mailbox name not allowed", "5.7.1")
RECIPIENT_REFUSED = SENDER_REFUSED
SENDER_NOT_DELIVERABLE = Reply(553, "Sender address not allowed: {why}", "5.1.7")
RECIPIENT_NOT_DELIVERABLE = Reply(553, "Recipient address not allowed: {why}", "5.1.3")
NEEDS_SMTPUTF8 = Reply(553, "Non-ASCII address without the SMTPUTF8 parameter", "5.6.7")
TRANSACTION_FAILED = Reply(554, "Transaction failed", "5.6.0")
CALLBACK_ENDED_TEST = Reply(451, "Requested action aborted: local error in processing", "4.3.0")

# Limits and ends
TOO_BIG = Reply(552, "Message size exceeds fixed maximum message size", "5.3.4")
TOO_MANY_RECIPIENTS = Reply(452, "Too many recipients", "4.5.3")
TIMED_OUT = Reply(421, "{hostname} Timeout, closing connection", "4.4.2")
SHUTTING_DOWN = Reply(421, "{hostname} Service shutting down", "4.3.2")
INTERNAL_ERROR = Reply(421, "{hostname} Internal error, closing connection", "4.3.0")

# The usual reply for a bare code (RFC 5321 section 4.2.3, RFC 3463)
_USUAL = {
    reply.code: reply
    for reply in (
        Reply(220, "Service ready"),
        OK,
        Reply(221, "Closing connection", "2.0.0"),
        AUTHENTICATED,
        CANNOT_VRFY,
        START_DATA,
        Reply(421, "Service not available, closing connection", "4.3.2"),
        Reply(450, "Requested mail action not taken: mailbox unavailable", "4.2.0"),
        CALLBACK_ENDED_TEST,
        Reply(452, "Requested action not taken: insufficient system storage", "4.3.1"),
        Reply(454, "Temporary authentication failure", "4.7.0"),
        UNKNOWN_COMMAND,
        Reply(501, "Syntax error in parameters or arguments", "5.5.4"),
        NOT_IMPLEMENTED,
        Reply(503, "Bad sequence of commands", "5.5.1"),
        Reply(504, "Command parameter not implemented", "5.5.4"),
        NEEDS_AUTH,
        BAD_CREDENTIALS,
        Reply(550, "Requested action not taken: mailbox unavailable", "5.2.0"),
        Reply(551, "User not local", "5.1.6"),
        Reply(552, "Requested mail action aborted: exceeded storage allocation", "5.2.2"),
        SENDER_REFUSED,
        TRANSACTION_FAILED,
        Reply(555, "Parameters not recognized or not implemented", "5.5.4"),
    )
}


def _usual(code: int) -> Reply:
    if code in _USUAL:
        return _USUAL[code]
    if not 200 <= code <= 599:
        raise ValueError(f"reply code {code}: a number from 200 to 599 is wanted")
    kind = {2: "OK", 3: "Go on", 4: "Temporary failure", 5: "Permanent failure"}[code // 100]
    return Reply(code, kind, None if code // 100 == 3 else f"{code // 100}.0.0")


class Queued:
    """QUEUED for one message; a new `Reply` for each id would cost four times as much."""

    __slots__ = ("id",)
    code = QUEUED.code

    def __init__(self, id: str) -> None:
        self.id = id

    def encode(self, *, enhanced: bool, utf8: bool) -> bytes:
        return QUEUED.encode(enhanced=enhanced, utf8=utf8).replace(b"{id}", self.id.encode())


@lru_cache(maxsize=512)
def fill(row: Reply, **values: str) -> Reply:
    """A row of the table with its placeholders filled in."""
    return row.with_text(row.text.format_map(values))
