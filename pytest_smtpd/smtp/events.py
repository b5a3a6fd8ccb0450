"""What a session asks its owner about. Each event stops the session until its verdict.

Events are made by the engine and changed by nobody. They are not frozen: that would treble the
cost of making one, and a message takes four.

`stage` is the name under which faults and callbacks know the event (docs/faults.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

Parameters = dict[str, str | None]


@dataclass(slots=True)
class Transaction:
    """A mail transaction in the making (RFC 5321 section 3.3); the engine alone writes it."""

    mail_from: str
    mail_parameters: Parameters
    rcpt_to: list[str]
    rcpt_parameters: list[Parameters]
    tag: object  # the session's when MAIL came

    @property
    def utf8(self) -> bool:
        return "SMTPUTF8" in self.mail_parameters

    @property
    def binary(self) -> bool:
        """Any octets at all, in no lines (RFC 3030 section 3)."""
        return self._body == "BINARYMIME"

    @property
    def eight_bit(self) -> bool:
        """Octets over 127 may come (RFC 6152 section 2, RFC 6531 section 3.6)."""
        return self._body == "8BITMIME" or self.utf8

    @property
    def _body(self) -> str:
        return (self.mail_parameters.get("BODY") or "").upper()


@dataclass(slots=True)
class Connected:
    """A client is there and waits for the greeting."""

    peer: str
    stage: ClassVar[str] = "connect"


@dataclass(slots=True)
class Hello:
    """HELO, EHLO or LHLO."""

    verb: str
    name: str
    stage: ClassVar[str] = "helo"


@dataclass(slots=True)
class StartTLS:
    """STARTTLS; once accepted, the owner sends what is due and starts the handshake."""

    stage: ClassVar[str] = "starttls"


@dataclass(slots=True)
class Auth:
    """AUTH with a mechanism that is offered."""

    mechanism: str
    stage: ClassVar[str] = "auth"


@dataclass(slots=True)
class Mail:
    """MAIL, its path and parameters well-formed."""

    address: str
    transaction: Transaction
    stage: ClassVar[str] = "mail"


@dataclass(slots=True)
class Rcpt:
    """RCPT, its path and parameters well-formed."""

    address: str
    parameters: Parameters
    transaction: Transaction
    stage: ClassVar[str] = "rcpt"


@dataclass(slots=True)
class Data:
    """The DATA command, with a sender and a recipient there."""

    transaction: Transaction
    stage: ClassVar[str] = "data"


@dataclass(slots=True)
class ChunkReceived:
    """A BDAT chunk that is not the last one came, so many octets; no fault or rule is about it."""

    octets: int
    stage: ClassVar[str] = "chunk"


@dataclass(slots=True)
class MessageReceived:
    """The final dot, or the last BDAT chunk, came: this is the whole message."""

    raw: bytes
    transaction: Transaction
    stage: ClassVar[str] = "message"


@dataclass(slots=True)
class Rset:
    """RSET."""

    stage: ClassVar[str] = "rset"


@dataclass(slots=True)
class Noop:
    """NOOP."""

    stage: ClassVar[str] = "noop"


@dataclass(slots=True)
class Quit:
    """QUIT."""

    stage: ClassVar[str] = "quit"


Event = (
    Connected
    | Hello
    | StartTLS
    | Auth
    | Mail
    | Rcpt
    | Data
    | ChunkReceived
    | MessageReceived
    | Rset
    | Noop
    | Quit
)
