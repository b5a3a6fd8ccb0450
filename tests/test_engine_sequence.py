"""The order of commands: every command in every state of a session (RFC 5321 section 4.1.4).

The first table says which code is the reply; the tests at the end compare the engine with the table
of `smtp.commands`, command by command and phase by phase, whether it is accepted or refused.
"""

from __future__ import annotations

import pytest

from engine_owner import EngineWire, Owner
from pytest_smtpd import Reply
from pytest_smtpd.options import merge
from pytest_smtpd.record import SessionJournal
from pytest_smtpd.smtp import commands
from pytest_smtpd.smtp.commands import COMMANDS, LAST_CHUNK, Command, Phase
from pytest_smtpd.smtp.events import ChunkReceived, MessageReceived
from pytest_smtpd.smtp.profile import Profile
from pytest_smtpd.smtp.session import Session

MAIL = "MAIL FROM:<ann@example.com>\r\n"
RCPT = "RCPT TO:<bob@example.net>\r\n"
OPENINGS = {
    "greeted": "",
    "ready": "EHLO c\r\n",
    "sender": f"EHLO c\r\n{MAIL}",
    "recipient": f"EHLO c\r\n{MAIL}{RCPT}",
    "chunks": f"EHLO c\r\n{MAIL}{RCPT}BDAT 1\r\nx",
    "refused": "",
}
# What each command is answered, state by state, in the order of OPENINGS
TABLE = """
    EHLO d                          250 250 250 250 250 503
    HELO d                          250 250 250 250 250 503
    LHLO d                          500 500 500 500 500 503
    AUTH PLAIN AGFubgBzM2NyZXQ=     503 235 503 503 503 503
    MAIL FROM:<ann@example.com>     503 250 503 503 503 503
    RCPT TO:<carol@example.net>     503 503 250 250 503 503
    DATA                            503 503 503 354 503 503
    BDAT 0                          503 503 503 250 250 503
    BDAT 0 LAST                     503 503 503 250 250 503
    RSET                            250 250 250 250 250 503
    NOOP                            250 250 250 250 250 503
    VRFY bob                        252 252 252 252 252 503
    EXPN staff                      252 252 252 252 252 503
    HELP                            214 214 214 214 214 503
    HELP XYZZY                      504 504 504 504 504 503
    QUIT                            221 221 221 221 221 221
    STARTTLS                        502 502 502 502 502 503
    XYZZY                           500 500 500 500 500 503
    ETRN example.net                502 502 502 502 502 503
"""
ROWS = [line.rsplit(maxsplit=len(OPENINGS)) for line in TABLE.strip().splitlines()]
CELLS = [
    pytest.param(command.strip(), state, code, id=f"{state}-{command.strip()}")
    for command, *codes in ROWS
    for state, code in zip(OPENINGS, codes, strict=True)
]


def at(state: str, **options: object) -> EngineWire:
    """A session in this state, what it said so far read."""
    if state == "refused":
        options["reject_host"] = "*"
    wire = Owner(**options).connect(lambda data: [data])
    hello = "LHLO" if options.get("protocol") == "lmtp" else "EHLO"
    wire.send(OPENINGS[state].replace("EHLO", hello).encode())
    wire.receive(0.0)
    return wire


@pytest.mark.parametrize(("command", "state", "code"), CELLS)
def test_code(command: str, state: str, code: str) -> None:
    wire = at(state, users={"ann": "s3cret"}, auth_mechanisms=["PLAIN"])
    wire.send(command.encode() + b"\r\n")
    said = wire.receive(0.0) or b""
    assert said[:3].decode() == code
    assert said.endswith(b"\r\n")
    assert wire.session.closing == (command == "QUIT")


@pytest.mark.parametrize("state", OPENINGS)
@pytest.mark.parametrize("command", ["MAIL", "RCPT", "EHLO", "BDAT", "VRFY", "EXPN", "AUTH"])
def test_a_command_without_its_argument(state: str, command: str) -> None:
    # Out of sequence or malformed: either may be seen first, but it has no effect.
    wire = at(state, users="any")
    wire.send(command.encode() + b"\r\n")
    assert (wire.receive(0.0) or b"")[:3] in (b"501", b"503")
    follow_up = b"DATA\r\n" if state == "recipient" else b"NOOP\r\n"
    wire.send(follow_up)
    expected = {"recipient": b"354", "refused": b"503"}.get(state, b"250")
    assert (wire.receive(0.0) or b"")[:3] == expected


@pytest.mark.parametrize("state", ["greeted", "ready", "sender", "recipient", "chunks"])
@pytest.mark.parametrize("command", [b"RSET", b"EHLO d", b"HELO d"])
def test_what_ends_a_transaction(state: str, command: bytes) -> None:
    wire = at(state)
    wire.send(command + b"\r\n" + MAIL.encode())
    said = (wire.receive(0.0) or b"").splitlines()
    # RSET greets nobody, so after it MAIL is still too early where it was before
    early = state == "greeted" and command == b"RSET"
    assert said[-1][:3] == (b"503" if early else b"250")
    wire.send(b"DATA\r\n")
    assert (wire.receive(0.0) or b"")[:3] == b"503"


@pytest.mark.parametrize(
    ("command", "code"),
    [("LHLO d", "250"), ("EHLO d", "500"), ("HELO d", "500"), ("NOOP", "250"), ("QUIT", "221")],
)
@pytest.mark.parametrize("state", ["greeted", "ready", "sender", "recipient", "chunks"])
def test_lmtp(state: str, command: str, code: str) -> None:
    wire = at(state, protocol="lmtp")
    wire.send(command.encode() + b"\r\n")
    assert (wire.receive(0.0) or b"")[:3].decode() == code


# ---- the engine goes where the table says

LINES = {
    "HELO": b"HELO c\r\n",
    "EHLO": b"EHLO c\r\n",
    "LHLO": b"LHLO c\r\n",
    "STARTTLS": b"STARTTLS\r\n",
    "AUTH": b"AUTH PLAIN AGEAYg==\r\n",
    "MAIL": b"MAIL FROM:<a@example.com>\r\n",
    "RCPT": b"RCPT TO:<b@example.com>\r\n",
    "DATA": b"DATA\r\n",
    "BDAT": b"BDAT 1\r\nx",
    "BDAT LAST": b"BDAT 1 LAST\r\nx",
    "RSET": b"RSET\r\n",
    "NOOP": b"NOOP\r\n",
    "VRFY": b"VRFY a\r\n",
    "EXPN": b"EXPN a\r\n",
    "HELP": b"HELP\r\n",
    "QUIT": b"QUIT\r\n",
}
ROWS_OF_THE_TABLE = {**COMMANDS, "BDAT LAST": LAST_CHUNK}
WAYS: dict[Phase, list[str]] = {
    Phase.REFUSED: [],
    Phase.START: [],
    Phase.READY: ["EHLO"],
    Phase.SENDER: ["EHLO", "MAIL"],
    Phase.RECIPIENT: ["EHLO", "MAIL", "RCPT"],
    Phase.CHUNKS: ["EHLO", "MAIL", "RCPT", "BDAT"],
}
REFUSAL = Reply(550, "No")


def standing(phase: Phase, name: str) -> Session:
    """A session in this phase, of the protocol that has the command, with all extensions."""
    protocol = "lmtp" if name == "LHLO" else "smtp"
    options = merge({"tls": "starttls", "users": "any", "protocol": protocol})
    session = Session(Profile(options, date=str), SessionJournal())
    session.connect("127.0.0.1")
    assert session.next_event() is not None
    if phase is Phase.REFUSED:
        session.refuse(REFUSAL)
    else:
        session.accept()
    for earlier in WAYS[phase]:
        say(session, "LHLO" if (name, earlier) == ("LHLO", "EHLO") else earlier)
    session.bytes_to_send()
    assert session.phase is phase
    return session


def say(session: Session, name: str, verdict: str = "accepted") -> tuple[bytes, bool]:
    """Has a command carried out, with its message or handshake.

    What the server said, and whether the command itself was refused, not the message.
    """
    session.receive(LINES[name])
    said, refused = b"", False
    while (event := session.next_event()) is not None:
        is_message = isinstance(event, MessageReceived)
        # A chunk of a message is no command, and no rule acts on it
        if verdict == "accepted" or isinstance(event, ChunkReceived):
            session.accept()
        elif is_message or verdict == "refused":
            session.refuse(REFUSAL)
            refused = not is_message
        else:
            session.accept()
        said += session.bytes_to_send()
        if said.startswith(b"354") and said.count(b"\r\n") == 1:
            session.receive(b".\r\n")
    if session.tls_due:
        session.tls_established()
    return said + session.bytes_to_send(), refused


@pytest.mark.parametrize("phase", WAYS, ids=lambda phase: phase.name)
@pytest.mark.parametrize(("name", "command"), ROWS_OF_THE_TABLE.items(), ids=ROWS_OF_THE_TABLE)
@pytest.mark.parametrize("verdict", ["accepted", "refused", "message refused"])
def test_where_a_command_leads(name: str, command: Command, phase: Phase, verdict: str) -> None:
    session = standing(phase, name)
    said, refused = say(session, name, verdict)
    may_come = phase in command.leads_to
    assert said.startswith(b"503 ") is not may_come
    assert session.phase is (command.leads_to[phase] if may_come and not refused else phase)
    assert session.closing is (session.phase is Phase.CLOSED)


@pytest.mark.parametrize("verdict", commands.OPENINGS)
def test_where_a_verdict_on_the_host_leads(verdict: str) -> None:
    options = {"reject_host": "*"} if verdict == "550" else {}
    wire = Owner(**options).connect(lambda data: [data])
    assert (wire.receive(0.0) or b"")[:3].decode() == verdict
    assert wire.session.phase is commands.OPENINGS[verdict]


def test_every_command_has_a_line_here() -> None:
    assert set(LINES) == set(ROWS_OF_THE_TABLE)
    assert set(WAYS) == set(Phase) - {Phase.CONNECT, Phase.CLOSED}
