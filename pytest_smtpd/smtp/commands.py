"""The state machine as two tables: where a session stands, and which commands it then takes.

All order is here: `dispatch` looks a command up and learns whether it may come now; an absent
phase is the 503. Engine tests walk the full cross product; the picture in the docs is drawn
from these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    """Where a session stands between two commands (RFC 5321 section 4.1.4)."""

    # Enum's own is Python code, and every command is looked up by the phase it comes in
    __hash__ = object.__hash__

    CONNECT = "before the greeting"
    REFUSED = "the host was refused"
    START = "greeted, no EHLO yet"
    READY = "no transaction"
    SENDER = "a sender is given"
    RECIPIENT = "a recipient is accepted"
    CHUNKS = "BDAT has begun the message"


_GREETED = frozenset({Phase.START, Phase.READY, Phase.SENDER, Phase.RECIPIENT, Phase.CHUNKS})
_READY = frozenset({Phase.READY})


@dataclass(frozen=True, slots=True)
class Command:
    """What a verb needs: the phases it may come in, an extension, and security before it."""

    phases: frozenset[Phase]
    extension: str | None = None
    before_tls: bool = False  # taken in clear although TLS is required (RFC 3207 section 4)
    before_auth: bool = False  # taken although AUTH is required (RFC 4954 section 4)
    in_group: bool = False  # may be followed at once by more (RFC 2920 section 3.1)
    lmtp: bool | None = None  # of one protocol only (RFC 2033 section 4.1)


COMMANDS: dict[str, Command] = {
    "HELO": Command(_GREETED, before_auth=True, lmtp=False),
    "EHLO": Command(_GREETED, before_tls=True, before_auth=True, lmtp=False),
    "LHLO": Command(_GREETED, before_tls=True, before_auth=True, lmtp=True),
    "STARTTLS": Command(_READY, "STARTTLS", before_tls=True, before_auth=True),
    "AUTH": Command(_READY, "AUTH", before_auth=True),
    "MAIL": Command(_READY, in_group=True),
    "RCPT": Command(frozenset({Phase.SENDER, Phase.RECIPIENT}), in_group=True),
    "DATA": Command(frozenset({Phase.RECIPIENT})),
    "BDAT": Command(frozenset({Phase.RECIPIENT, Phase.CHUNKS}), "CHUNKING", in_group=True),
    "RSET": Command(_GREETED, before_auth=True, in_group=True),
    "NOOP": Command(_GREETED, before_tls=True, before_auth=True),
    "VRFY": Command(_GREETED),
    "EXPN": Command(_GREETED),
    "HELP": Command(_GREETED, "HELP"),
    "QUIT": Command(_GREETED | {Phase.REFUSED}, before_tls=True, before_auth=True),
}

# RFC 821's mail-to-terminal commands, RFC 1985, RFC 4468: known, not done here
UNIMPLEMENTED = frozenset({"TURN", "SEND", "SOML", "SAML", "ETRN", "ATRN", "BURL", "XCLIENT"})

_WHY: dict[tuple[str, Phase], str] = {
    ("MAIL", Phase.SENDER): "sender already given",
    ("MAIL", Phase.RECIPIENT): "sender already given",
    ("RCPT", Phase.READY): "MAIL first",
    ("DATA", Phase.READY): "MAIL first",
    ("BDAT", Phase.READY): "MAIL first",
    ("DATA", Phase.SENDER): "no valid recipients",
    ("BDAT", Phase.SENDER): "no valid recipients",
    ("AUTH", Phase.SENDER): "not during a mail transaction",
    ("AUTH", Phase.RECIPIENT): "not during a mail transaction",
    ("STARTTLS", Phase.SENDER): "not during a mail transaction",
    ("STARTTLS", Phase.RECIPIENT): "not during a mail transaction",
}

_WHY_PHASE: dict[Phase, str] = {
    Phase.REFUSED: "access denied, QUIT is all that is left",
    Phase.START: "EHLO, HELO or LHLO first",
    Phase.CHUNKS: "BDAT under way",
}


def why_not(verb: str, phase: Phase) -> str:
    """The reason in a 503's text: what is missing, or already there."""
    return _WHY.get((verb, phase)) or _WHY_PHASE[phase]
