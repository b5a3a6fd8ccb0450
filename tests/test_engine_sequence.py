"""The order of commands: every command in every state of a session, the reply's code told.

The full cross product, so that no cell of the state machine is left to chance (RFC 5321 4.1.4).
"""

from __future__ import annotations

import pytest

from engine_owner import EngineWire, Owner

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
