"""The events of a session. Each event stops the session until its owner gives a verdict.

The engine makes events, and no code changes them. They are not frozen: that would treble the cost
of an event, and a message needs four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

Parameters = dict[str, str | None]


@dataclass(slots=True)
class Transaction:
    """A mail transaction under way (RFC 5321 section 3.3). Only the engine changes it."""

    mail_from: str
    mail_parameters: Parameters
    rcpt_to: list[str]
    rcpt_parameters: list[Parameters]
    tag: object  # the tag of the session at the time of MAIL

    @property
    def utf8(self) -> bool:
        return "SMTPUTF8" in self.mail_parameters

    @property
    def binary(self) -> bool:
        """The content may be any octets, not only lines (RFC 3030 section 3)."""
        return self._body == "BINARYMIME"

    @property
    def eight_bit(self) -> bool:
        """Octets over 127 were announced (RFC 6152 section 2, RFC 6531 section 3.6)."""
        return self._body == "8BITMIME" or self.utf8

    @property
    def _body(self) -> str:
        return (self.mail_parameters.get("BODY") or "").upper()


class _Event:
    """The base of all events."""

    __slots__ = ()

    stage: ClassVar[str]
    """The name under which faults and callbacks know the event (docs/faults.md)."""

    @property
    def subjects(self) -> Sequence[str]:
        """The texts that a rule, a callback or `match=` of a fault gets.

        The client's IP address at `connect`, the name after HELO, the address of MAIL and RCPT, the
        recipients of a message; empty at all other stages.
        """
        return ()


@dataclass(slots=True)
class Connected(_Event):
    """A client is connected and waits for the greeting; `peer` is its IP address."""

    peer: str
    stage = "connect"

    @property
    def subjects(self) -> Sequence[str]:
        return (self.peer,)


@dataclass(slots=True)
class Hello(_Event):
    """HELO, EHLO or LHLO."""

    verb: str
    name: str
    stage = "helo"

    @property
    def subjects(self) -> Sequence[str]:
        return (self.name,)


class StartTLS(_Event):
    """STARTTLS. If it is accepted, the owner sends the replies and starts the handshake."""

    __slots__ = ()
    stage = "starttls"


@dataclass(slots=True)
class Auth(_Event):
    """AUTH with a mechanism that is offered; `initial` is the decoded initial response, if any."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)  # credentials
    stage = "auth"


@dataclass(slots=True)
class Mail(_Event):
    """MAIL, its path and parameters well-formed."""

    address: str
    transaction: Transaction
    stage = "mail"

    @property
    def subjects(self) -> Sequence[str]:
        return (self.address,)


@dataclass(slots=True)
class Rcpt(_Event):
    """RCPT, its path and parameters well-formed."""

    address: str
    parameters: Parameters
    transaction: Transaction
    stage = "rcpt"

    @property
    def subjects(self) -> Sequence[str]:
        return (self.address,)


@dataclass(slots=True)
class Data(_Event):
    """The DATA command, after a sender and a recipient."""

    transaction: Transaction
    stage = "data"


@dataclass(slots=True)
class ChunkReceived(_Event):
    """A BDAT chunk before the last chunk; no fault or rule acts on it."""

    octets: int
    stage = "chunk"


@dataclass(slots=True)
class MessageReceived(_Event):
    """The final dot or the last BDAT chunk has arrived: `raw` is the whole message."""

    raw: bytes
    transaction: Transaction
    stage = "message"

    @property
    def subjects(self) -> Sequence[str]:
        return self.transaction.rcpt_to


class Rset(_Event):
    __slots__ = ()
    stage = "rset"


class Noop(_Event):
    __slots__ = ()
    stage = "noop"


class Quit(_Event):
    __slots__ = ()
    stage = "quit"


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
