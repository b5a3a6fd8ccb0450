"""Clients that others wrote deliver mail: octet for octet, with the envelope they were given."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import LIMIT
from pytest_smtpd import Message, Server
from witnesses import (
    HELLO,
    RECIPIENTS,
    SENDER,
    WITNESSES,
    Failed,
    Job,
    aiosmtplib_session,
    deliver,
)

# What msmtp would add to a mail stands in it already.
HEADERS = (
    b"Date: Wed, 04 Mar 2026 09:00:00 +0000\r\n"
    b"From: Ann <ann@example.com>\r\n"
    b"To: bob@example.net, carol@example.org\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"Subject: hello\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
)
BODIES = {
    "one-line": b"hello\r\n",
    "empty": b"",
    "dots": b".\r\n..\r\n...\r\n.a line\r\na.\r\n\r\n.\r\n\r\n..\r\n.\r\n",
    "commands": b"QUIT\r\nRSET\r\n354 go on\r\nMAIL FROM:<eve@example.com>\r\n",
    "long-line": b"." + b"x" * 996 + b"\r\n",
    "big": b"".join(b".%d " % n + b"y" * 70 + b"\r\n" for n in range(4000)),
}
EIGHT_BIT = "Grüße, 🐦 и до свидания\r\n.ß\r\n".encode() + b"\xe9\xff\x80\r\n"
ABLE_OF_LMTP = ("smtplib", "swaks", "msmtp", "smtp-source", "nodemailer")
UNIX_SOCKETS = {
    "smtplib": ["lmtp"],
    "aiosmtplib": ["smtp"],
    "swaks": ["smtp", "lmtp"],
    "msmtp": ["smtp", "lmtp"],
    "smtp-source": ["smtp", "lmtp"],
}
# They say BODY=8BITMIME; the others send eight bits and say nothing.
SAY_8BITMIME = ("smtplib", "aiosmtplib")


def mail(body: bytes, headers: bytes = HEADERS) -> bytes:
    return headers + b"\r\n" + body


def mail_of(client: str, body: bytes) -> bytes:
    """What a client sends when it is given `mail(body)`."""
    # smtp-source ends each message with an empty line
    return mail(body) + b"\r\n" * (client == "smtp-source")


def send(client: str, server: Server, directory: Path, body: bytes) -> Message:
    """Delivers a message; checks that it is what was sent, and has the envelope it was given."""
    # smtp-source makes the names of further recipients itself, and smtplib does not expect that
    # LMTP answers for each of them.
    lmtp = server.config.protocol == "lmtp"
    single = client == "smtp-source" or (client == "smtplib" and lmtp)
    recipients = RECIPIENTS[:1] if single else RECIPIENTS
    deliver(client, Job(server, directory, mail(body), recipients=recipients))
    message = server.messages.one()
    assert message.raw == mail_of(client, body)
    assert message.sender == message.envelope.mail_from == SENDER
    assert message.recipients == recipients
    return message


def assert_clean(client: str, server: Server, *allowed: str) -> None:
    # nodemailer closes the connection once a mail is delivered.
    rude = {"no-quit"} if client == "nodemailer" else set()
    for session in server.sessions:
        assert session.wait_closed()
        assert {violation.code for violation in session.violations} <= rude | set(allowed)


@pytest.fixture
def directory() -> Iterator[Path]:
    # A socket's path has room for some hundred octets, fewer than pytest's directories need.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


# ---- over TCP


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("client", WITNESSES)
def test_octet_for_octet(client: str, body: bytes, tmp_path: Path) -> None:
    with Server() as server:
        message = send(client, server, tmp_path, body)
    assert message.session is not None
    assert message.session.helo == HELLO
    assert_clean(client, server)


@pytest.mark.parametrize("client", WITNESSES)
def test_eight_bits(client: str, tmp_path: Path) -> None:
    with Server() as server:
        message = send(client, server, tmp_path, EIGHT_BIT)
    declared = message.envelope.mail_parameters.get("BODY") == "8BITMIME"
    assert declared == (client in SAY_8BITMIME)
    assert_clean(client, server, *([] if declared else ["eight-bit"]))


@pytest.mark.parametrize("client", ["smtplib", "aiosmtplib", "curl", "nodemailer"])
def test_smtputf8(client: str, tmp_path: Path) -> None:
    sender, to = "änne@example.com", ("bjørn@bücher.example", "用户@example.net")
    headers = HEADERS.replace(b"Ann <ann@", "Änne <änne@".encode())
    with Server() as server:
        job = Job(server, tmp_path, mail(EIGHT_BIT, headers), sender=sender, recipients=to)
        deliver(client, job)
    message = server.messages.one()
    assert message.sender == sender
    # curl and nodemailer send what IDNA makes of the domain
    assert [each.replace("xn--bcher-kva", "bücher") for each in message.recipients] == list(to)
    assert "SMTPUTF8" in message.envelope.mail_parameters
    assert_clean(client, server)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("client", [each for each in WITNESSES if each != "smtp-source"])
def test_encrypted(client: str, tls: str, tmp_path: Path) -> None:
    body = BODIES["dots"] + BODIES["big"]
    with Server(tls=tls, require_tls=True) as server:
        message = send(client, server, tmp_path, body)
    assert message.session is not None
    assert message.session.tls is not None
    assert_clean(client, server)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("client", "kind"),
    [
        (client, kind)
        for client in ("aiosmtplib", "curl", "msmtp", "nodemailer", "swaks")
        for kind in ("expired", "not-yet-valid", "wrong-host", "untrusted")
        # swaks verifies the chain, not the name
        if (client, kind) != ("swaks", "wrong-host")
    ],
)
def test_a_bad_certificate(client: str, tls: str, kind: str, tmp_path: Path) -> None:
    with Server(tls=tls, certificate=kind) as server, pytest.raises(Failed):
        deliver(client, Job(server, tmp_path, mail(BODIES["one-line"])))
    assert server.messages == []
    assert_clean(client, server, "no-quit")


@pytest.mark.parametrize("client", WITNESSES)
def test_a_refusal_is_noticed(client: str, tmp_path: Path) -> None:
    with Server(reject_sender="ann@*") as server, pytest.raises(Failed):
        deliver(client, Job(server, tmp_path, mail(BODIES["one-line"])))
    assert server.messages == []
    assert " S: 553 " in str(server.sessions[0])


@pytest.mark.parametrize("client", WITNESSES)
def test_a_server_without_extensions(client: str, tmp_path: Path) -> None:
    with Server(extensions=()) as server:
        message = send(client, server, tmp_path, BODIES["dots"])
    assert message.envelope.mail_parameters == {}
    assert_clean(client, server)


def test_pipelined_by_swaks(tmp_path: Path) -> None:
    with Server() as server:
        job = Job(server, tmp_path, mail(BODIES["dots"]), options=["--pipeline"])
        deliver("swaks", job)
    assert server.messages.one().raw == mail(BODIES["dots"])
    assert_clean("swaks", server)


def test_smtp_source_in_parallel(tmp_path: Path) -> None:
    options = ["-s", "8", "-m", "64", "-d"]
    with Server() as server:
        deliver("smtp-source", Job(server, tmp_path, mail(BODIES["dots"]), options=options))
    assert [message.raw for message in server.messages] == [
        mail_of("smtp-source", BODIES["dots"])
    ] * 64
    assert len(server.sessions) == 8
    assert_clean("smtp-source", server)


def test_smtplib_sends_chunks() -> None:
    # No client here speaks BDAT by itself; smtplib does as it is told.
    chunks = [b"Subject: x\r\n", b"\r\n.\r\n", b"", b"\x00\xff.\r", b"\n"]
    with Server() as server, smtplib.SMTP(server.host, server.port, HELLO, LIMIT) as client:
        client.ehlo()
        assert client.has_extn("chunking") and client.has_extn("binarymime")
        client.mail(SENDER, ["BODY=BINARYMIME"])
        client.rcpt(RECIPIENTS[0])
        for number, chunk in enumerate(chunks, 1):
            client.putcmd("BDAT", f"{len(chunk)}{' LAST' * (number == len(chunks))}")
            client.send(chunk)
            assert client.getreply()[0] == 250
    assert server.messages.one().raw == b"".join(chunks)
    assert_clean("smtplib", server)


def test_aiosmtplib_many_at_once() -> None:
    async def one(server: Server, number: int) -> None:
        async with aiosmtplib_session(server) as client:
            await client.sendmail(SENDER, [f"r{number}@example.net"], mail(b"%d\r\n" % number))

    async def all_of_them(server: Server) -> None:
        await asyncio.gather(*(one(server, number) for number in range(20)))

    with Server() as server:
        asyncio.run(all_of_them(server))
    assert len(server.sessions) == 20
    for number in range(20):
        assert server.messages.one(to=f"r{number}@example.net").text == f"{number}\n"


# ---- LMTP and unix sockets


@pytest.mark.parametrize("client", ABLE_OF_LMTP)
def test_lmtp(client: str, tmp_path: Path) -> None:
    with Server(protocol="lmtp") as server:
        send(client, server, tmp_path, BODIES["dots"])
    assert f"lhlo {HELLO}" in [line.lower() for _, _, line in server.sessions[0].exchanges]
    assert_clean(client, server)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
@pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets in asyncio here")
@pytest.mark.parametrize(
    ("client", "protocol"),
    [(client, protocol) for client, spoken in UNIX_SOCKETS.items() for protocol in spoken],
)
def test_a_unix_socket(client: str, protocol: str, directory: Path) -> None:
    with Server(unix_socket=str(directory / "s"), protocol=protocol) as server:
        send(client, server, directory, BODIES["dots"])
    assert_clean(client, server)


def test_lmtp_answers_for_each_recipient() -> None:
    with (
        Server(protocol="lmtp", reject_recipient="carol@*") as server,
        smtplib.LMTP(server.host, server.port, HELLO, timeout=LIMIT) as client,
    ):
        refused = client.sendmail(SENDER, RECIPIENTS, mail(b"hello\r\n"))
    assert list(refused) == ["carol@example.org"]
    assert server.messages.one().recipients == ("bob@example.net",)
