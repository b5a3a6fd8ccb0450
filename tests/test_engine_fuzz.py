"""The engine and any octets at all: it never raises, and how they arrive changes nothing.

Every reply is well-formed; replies and messages are the same for the same octets in any portions,
and the same over a socket.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pytest_smtpd
from conversation_player import LIMIT, Connection
from engine_owner import EngineWire, Owner
from pytest_smtpd import faults
from test_conversations import SocketWire

# What SMTP is made of, right and wrong; any octets may stand between.
TOKENS = [
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\0",
    b"\xff",
    b" ",
    b"*\r\n",
    b"=\r\n",
    b"\x16\x03\x01",
    b"EHLO client.example\r\n",
    b"HELO client.example\r\n",
    b"LHLO client.example\r\n",
    b"EHLO \xc3\xa9\r\n",
    b"MAIL FROM:<ann@example.com>\r\n",
    b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<j\xc3\xb6rg@example.com> SMTPUTF8 BODY=8BITMIME\r\n",
    b"MAIL FROM:<ann@example.com> BODY=BINARYMIME SIZE=12\r\n",
    b"MAIL FROM:<ann@example.com> SIZE=999999999\r\n",
    b"mail from: <@a,@b:ann@example.com> RET=HDRS ENVID=x+2B\r\n",
    b"RCPT TO:<bob@example.net>\r\n",
    b'RCPT TO:<"a b\\"<>"@[127.0.0.1]> NOTIFY=NEVER ORCPT=rfc822;x\r\n',
    b"RCPT TO:<j\xc3\xb6rg@example.net>\r\n",
    b"RCPT TO:<denied@example.net>\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\nhello",
    b"BDAT 4 LAST\r\n\r\n.\r",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99999999999\r\n",
    b"BDAT x\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"HELP\r\n",
    b"HELP MAIL\r\n",
    b"VRFY bob\r\n",
    b"EXPN \x1b\r\n",
    b"AUTH PLAIN AGFubgBzM2NyZXQ=\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH LOGIN YW5u\r\n",
    b"czNjcmV0\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj1hbm4scj1hYmM=\r\n",
    b"AUTH CRAM-MD5\r\n",
    b"AUTH XOAUTH2\r\n",
    b"AUTH OAUTHBEARER bixhPWFubiwB\r\n",
    b"STARTTLS\r\n",
    b"QUIT\r\n",
    b"..\r\nSubject: hi\r\n\r\ntext\r\n",
    b"x" * 600,
]

SERVERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "small": {"max_size": 20, "max_recipients": 2, "reject_recipient": "denied@*"},
    "lmtp": {"protocol": "lmtp", "addresses": "any"},
    "old": {"extensions": ()},
    "secure": {"tls": "starttls", "require_tls": True},
    "known": {"users": {"ann": "s3cret"}, "require_auth": True, "addresses": "strict"},
    "anyone": {"users": "any", "tls": "starttls"},
    "refused": {"reject_host": "127.0.0.1"},
    "broken": {
        "faults": [
            faults.Answer("451 4.3.0 Later", on="mail", times=1),
            faults.Answer("250 2.1.5 Fine", on="rcpt", skip=1),
            faults.Answer("452 4.3.1 Full", on="message", times=1),
            faults.Answer("421 4.3.2 Bye", on="rset", skip=2),
        ]
    },
}

octets = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=12), max_size=40).map(b"".join)
# Well-behaved beginnings, so that what follows meets a session that has got somewhere.
openings = st.sampled_from(
    [
        b"",
        b"EHLO client.example\r\n",
        b"LHLO client.example\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\n",
        b"EHLO client.example\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\n",
        b"HELO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n",
        b"EHLO client.example\r\nAUTH LOGIN\r\n",
    ]
)
talk = st.builds(bytes.__add__, openings, octets)


NOBODY = Owner().connect(lambda data: [data])


def held(server: str, portions: Sequence[bytes]) -> EngineWire:
    """A session in which these portions arrived, up to its end or its TLS handshake."""
    wire = Owner(**SERVERS[server]).connect(lambda data: [data])
    for portion in portions:
        if wire.session.tls_due:
            break
        wire.send(portion)
    if not wire.session.tls_due:
        wire.half_close()
    return wire


def replies(wire: EngineWire) -> list[tuple[str, str]]:
    """What the engine said in a session."""
    return replies_in(wire.all_output)


def replies_in(came: bytes | bytearray) -> list[tuple[str, str]]:
    """What a server said, each reply checked for its form; challenges are at random."""
    reader = Connection(NOBODY, utf8=True)
    reader.came += came
    said = []
    while reader.came:
        reply = reader.reply(time.monotonic())
        said.append((reply.code, "" if reply.code == "334" else reply.text))
    return said


@pytest.mark.parametrize("server", SERVERS)
@given(talk=talk, cuts=st.lists(st.integers(0, 2000), max_size=20))
@example(talk=b"\x16\x03\x01\x02\x00\r\nNOOP\r\n", cuts=[1, 2, 3])
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_portions_change_nothing(server: str, talk: bytes, cuts: list[int]) -> None:
    at_once = held(server, [talk])
    marks = sorted({0, len(talk), *(cut for cut in cuts if cut < len(talk))})
    in_portions = held(server, [talk[a:b] for a, b in pairwise(marks)])
    by_octet = held(server, [talk[n : n + 1] for n in range(len(talk))])

    said = replies(at_once)
    assert replies(in_portions) == said
    assert replies(by_octet) == said
    assert in_portions.owner.messages == at_once.owner.messages
    assert by_octet.owner.messages == at_once.owner.messages
    assert in_portions.session.user == by_octet.session.user == at_once.session.user


@pytest.mark.parametrize("server", SERVERS)
@given(talk=talk, cuts=st.lists(st.integers(0, 2000), max_size=4))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
def test_a_socket_changes_nothing(server: str, talk: bytes, cuts: list[int]) -> None:
    if b"STARTTLS" in talk.upper():
        return  # what follows it is a handshake
    options = SERVERS[server]
    engine = held(server, [talk])
    marks = sorted({0, len(talk), *(cut for cut in cuts if cut < len(talk))})
    with pytest_smtpd.Server(**options) as running:
        wire = SocketWire(running, tls=False)
        greeting = wire.receive(LIMIT)
        assert greeting is not None
        for a, b in pairwise(marks):
            wire.send(talk[a:b])
        wire.half_close()
        came = bytearray(greeting)
        while data := wire.receive(LIMIT):
            came += data
        assert data == b"", f"still open after {bytes(came)!r}"
        wire.close()
        stored = [message.raw for message in running.messages]

    assert [anonymous(reply) for reply in replies_in(came)] == [
        anonymous(reply) for reply in replies(engine)
    ]
    assert stored == [message.raw for message in engine.owner.messages]


def anonymous(reply: tuple[str, str]) -> tuple[str, str]:
    """A reply without the time of day and the queue id."""
    code, text = reply
    return code, re.sub(r"; .* [+-]\d{4}$|(?<=queued as ).*", "", text)


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_any_octets_are_answered_in_form(noise: bytes) -> None:
    wire = held("plain", [noise])
    assert all(re.fullmatch("[245]..", code) for code, _ in replies(wire))
    assert str(wire.record)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_message_is_kept_octet_for_octet(raw: bytes) -> None:
    lines = (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:]
    end = b".\r\n" if not raw or raw.endswith(b"\r\n") else b"\r\n.\r\n"
    begin = b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"

    by_data = held("plain", [begin + b"DATA\r\n" + lines + end])
    by_bdat = held("plain", [begin + b"BDAT %d LAST\r\n" % len(raw) + raw])

    assert [message.raw for message in by_bdat.owner.messages] == [raw]
    whole = raw if end == b".\r\n" else raw + b"\r\n"
    assert [message.raw for message in by_data.owner.messages] == [whole]
