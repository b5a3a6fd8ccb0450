"""The state machine as one table: each command, the phases that allow it, and the next phase.

The engine reads the next phase here. A missing phase gives a 503. The diagram in the docs is drawn
from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Phase(Enum):
    """The state of a session between two commands (RFC 5321 section 4.1.4)."""

    # Enum.__hash__ is Python code, and every command is looked up by its phase
    __hash__ = object.__hash__

    CONNECT = "before the greeting"
    REFUSED = "the host was refused"
    START = "greeted, no EHLO yet"
    READY = "no transaction"
    SENDER = "a sender is given"
    RECIPIENT = "a recipient is accepted"
    CHUNKS = "BDAT has begun the message"
    CLOSED = "the connection ends"


# The first phase after each verdict on a new client, by the code of the usual reply
OPENINGS: dict[str, Phase] = {"220": Phase.START, "550": Phase.REFUSED}

_GREETED = (Phase.START, Phase.READY, Phase.SENDER, Phase.RECIPIENT, Phase.CHUNKS)
_STAYS = {phase: phase for phase in _GREETED}
_BEGINS_ANEW = dict.fromkeys(_GREETED, Phase.READY)


class Command(NamedTuple):
    """A row of the table: a verb, its next phases and its conditions.

    `leads_to` maps each phase that allows the command to the next phase. A refused command does not
    change the phase. The phase changes after any verdict on a message, after the handshake of
    STARTTLS, and for all other commands when they are accepted.
    """

    usage: str  # for HELP, and for the reply to a syntax error
    leads_to: Mapping[Phase, Phase]
    extension: str | None = None
    before_tls: bool = False  # allowed in clear although TLS is required (RFC 3207 section 4)
    before_auth: bool = False  # allowed although AUTH is required (RFC 4954 section 4)
    in_group: bool = False  # the next command may follow without waiting (RFC 2920 section 3.1)
    lmtp: bool | None = None  # for one protocol only (RFC 2033 section 4.1)
    brings_message: bool = False


COMMANDS: dict[str, Command] = {
    "HELO": Command("HELO hostname", _BEGINS_ANEW, before_auth=True, lmtp=False),
    "EHLO": Command("EHLO hostname", _BEGINS_ANEW, before_tls=True, before_auth=True, lmtp=False),
    "LHLO": Command("LHLO hostname", _BEGINS_ANEW, before_tls=True, before_auth=True, lmtp=True),
    "STARTTLS": Command(
        "STARTTLS", {Phase.READY: Phase.START}, "STARTTLS", before_tls=True, before_auth=True
    ),
    "AUTH": Command(
        "AUTH mechanism [initial-response]", {Phase.READY: Phase.READY}, "AUTH", before_auth=True
    ),
    "MAIL": Command("MAIL FROM:<address> [parameters]", {Phase.READY: Phase.SENDER}, in_group=True),
    "RCPT": Command(
        "RCPT TO:<address> [parameters]",
        {Phase.SENDER: Phase.RECIPIENT, Phase.RECIPIENT: Phase.RECIPIENT},
        in_group=True,
    ),
    "DATA": Command("DATA", {Phase.RECIPIENT: Phase.READY}, brings_message=True),
    "BDAT": Command(
        "BDAT chunk-size [LAST]",
        {Phase.RECIPIENT: Phase.CHUNKS, Phase.CHUNKS: Phase.CHUNKS},
        "CHUNKING",
        in_group=True,
    ),
    # RFC 5321 section 4.1.1.5: RSET ends a transaction and is no greeting
    "RSET": Command(
        "RSET", {**_BEGINS_ANEW, Phase.START: Phase.START}, before_auth=True, in_group=True
    ),
    "NOOP": Command("NOOP [text]", _STAYS, before_tls=True, before_auth=True),
    "VRFY": Command("VRFY text", _STAYS),
    "EXPN": Command("EXPN text", _STAYS),
    "HELP": Command("HELP [command]", _STAYS, "HELP"),
    "QUIT": Command(
        "QUIT",
        dict.fromkeys((*_GREETED, Phase.REFUSED), Phase.CLOSED),
        before_tls=True,
        before_auth=True,
    ),
}

# BDAT with LAST: the same command with other next phases
LAST_CHUNK = COMMANDS["BDAT"]._replace(
    leads_to={Phase.RECIPIENT: Phase.READY, Phase.CHUNKS: Phase.READY}, brings_message=True
)

# Known, but not implemented: RFC 821's mail-to-terminal commands, RFC 1985, RFC 2645, RFC 4468
UNIMPLEMENTED = frozenset({"TURN", "SEND", "SOML", "SAML", "ETRN", "ATRN", "BURL", "XCLIENT"})

_WHY = {
    "MAIL": "sender already given",
    "AUTH": "not during a mail transaction",
    "STARTTLS": "not during a mail transaction",
}
_WHY_PHASE: dict[Phase, str] = {
    Phase.REFUSED: "access denied, QUIT is all that is left",
    Phase.START: "EHLO, HELO or LHLO first",
    Phase.CHUNKS: "BDAT under way",
}


def why_not(verb: str, phase: Phase) -> str:
    """The reason in the text of a 503: a command that is missing or repeated."""
    missing = "MAIL first" if phase is Phase.READY else "no valid recipients"
    return _WHY_PHASE.get(phase) or _WHY.get(verb, missing)
