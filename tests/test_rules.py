"""`reject_*`: patterns, replies, and what a session does after a refusal."""

from __future__ import annotations

import re
import smtplib
import socket
import tempfile
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from client import LIMIT, TEXT, Client
from pytest_smtpd import CallbackWarning, Reject, Reply, Server

DENIED = "553 5.7.1 Requested action not taken: mailbox name not allowed"


def mail(option: Any, address: str = "ann@example.com", **options: Any) -> str:
    """The reply to MAIL from an address."""
    with Server(reject_sender=option, **options) as server, Client(server) as client:
        return client.ehlo().say(f"MAIL FROM:<{address}>")


def rcpt(option: Any, address: str, **options: Any) -> str:
    """The reply to RCPT for an address."""
    with Server(reject_recipient=option, **options) as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com>")
        return client.say(f"RCPT TO:<{address}>")


# ---- patterns


def test_a_mock_is_a_callable_though_it_can_be_iterated_over() -> None:
    asked = MagicMock(return_value=True)
    assert mail(asked) == DENIED
    asked.assert_called_once_with("ann@example.com")


@pytest.mark.parametrize(
    ("pattern", "address", "refused"),
    [
        ("denied@*", "denied@example.com", True),
        ("denied@*", "DENIED@Example.COM", True),
        ("denied@*", "not-denied@example.com", False),
        ("*@blocked.example", "ann@blocked.example", True),
        ("*@blocked.example", "ann@sub.blocked.example", False),
        ("a?n@example.com", "ann@example.com", True),
        ("a?n@example.com", "an@example.com", False),
        ("[a-z]*", "ann@example.com", False),
        ('"[x"@*', '"[x"@example.com', True),
        ("ann", "ann@example.com", False),
        ("*", "", True),
        ("", "", True),
        ("", "ann@example.com", False),
        (re.compile("example"), "ann@example.com", True),
        (re.compile("EXAMPLE"), "ann@example.com", False),
        (re.compile("^example"), "ann@example.com", False),
        (lambda address: address.startswith("ann"), "ann@example.com", True),
        (lambda address: 0, "ann@example.com", False),
        (["x@*", "ann@*"], "ann@example.com", True),
        (("x@*", re.compile("^y")), "ann@example.com", False),
        ([], "ann@example.com", False),
        ({"ann@*": 450}, "ann@example.com", True),
        ({}, "ann@example.com", False),
    ],
)
def test_a_pattern(pattern: Any, address: str, refused: bool) -> None:
    code = "450" if isinstance(pattern, dict) else "553"
    assert mail(pattern, address)[:3] == (code if refused else "250")


def test_a_source_route_is_dropped_and_nothing_else_is_changed() -> None:
    asked: list[str] = []
    with (
        Server(reject_recipient=lambda address: asked.append(address)) as server,
        Client(server) as client,
    ):
        client.ehlo().say("MAIL FROM:<ann@example.com>")
        client.say("RCPT TO:<@relay.example,@other.example:Bob@Example.NET>")
        client.say('RCPT TO:<"Bob"@example.net>')
    assert asked == ["Bob@Example.NET", '"Bob"@example.net']


@pytest.mark.parametrize(
    ("pattern", "refused"),
    [
        ("127.0.0.1", True),
        ("127.*", True),
        ("127.0.0.0/8", True),
        ("10.0.0.0/8", False),
        ("::1", False),
        (["10.0.0.0/8", "127.0.0.1"], True),
        (re.compile(r"^127\."), True),
        (lambda host: host == "127.0.0.1", True),
        ("*", True),
    ],
)
def test_a_pattern_for_hosts(pattern: Any, refused: bool) -> None:
    with Server(reject_host=pattern) as server, Client(server) as client:
        assert client.greeting.startswith("550 " if refused else "220 ")


# ---- replies


def test_the_default_replies() -> None:
    assert mail("*") == DENIED
    assert rcpt("*", "bob@example.net") == DENIED


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (450, "450 4.2.0 "),
        ("450 4.2.1 Mailbox busy", "450 4.2.1 Mailbox busy"),
        ("554 No", "554 No"),
        (Reply(451, "Later", "4.7.1"), "451 4.7.1 Later"),
        (Reply(550, "two\nlines", "5.1.1"), "550-5.1.1 two\n550 5.1.1 lines"),
        (None, DENIED),
    ],
)
def test_a_reply_of_its_own(reply: Any, expected: str) -> None:
    assert mail({"ann@*": reply}).startswith(expected)
    assert rcpt({"bob@*": reply}, "bob@example.net").startswith(expected)


def test_the_first_pattern_that_matches_decides() -> None:
    rules = {"x@*": 450, "*@example.com": 451, "ann@*": 452}
    assert mail(rules).startswith("451 ")


def test_a_421_closes() -> None:
    with Server(reject_sender={"*": "421 4.3.2 Go away"}) as server, Client(server) as client:
        client.ehlo()
        assert client.say("MAIL FROM:<ann@example.com>") == "421 4.3.2 Go away"
        assert client.reply() == ""
        assert server.sessions[0].wait_closed(LIMIT)
        assert server.sessions[0].ended_by == "server"


def test_without_enhanced_codes_after_helo() -> None:
    with Server(reject_sender="*") as server, Client(server) as client:
        client.say("HELO me")
        assert client.say("MAIL FROM:<ann@example.com>") == DENIED.replace(" 5.7.1", "")


# ---- what then


def test_a_refused_sender_does_not_end_the_session() -> None:
    with Server(reject_sender="denied@*") as server, Client(server) as client:
        client.ehlo()
        assert client.say("MAIL FROM:<denied@example.com>").startswith("553")
        assert client.say("RCPT TO:<bob@example.net>").startswith("503")
        assert client.deliver().startswith("250")
        assert [message.sender for message in server.messages] == ["ann@example.com"]


def test_a_refused_recipient_is_not_in_the_envelope() -> None:
    with Server(reject_recipient="denied@*") as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com>")
        assert client.say("DATA").startswith("503")
        assert client.say("RCPT TO:<denied@example.net>").startswith("553")
        assert client.say("DATA").startswith("503")
        assert client.say("RCPT TO:<bob@example.net>").startswith("250")
        assert client.say("DATA").startswith("354")
        assert client.say(f"{TEXT}.").startswith("250")
        assert server.messages[0].recipients == ("bob@example.net",)


def test_a_real_client_sees_a_refusal() -> None:
    with (
        Server(reject_recipient={"denied@*": "550 5.1.1 No such user"}) as server,
        smtplib.SMTP(server.host, server.port, timeout=LIMIT) as client,
    ):
        refused = client.sendmail("a@b.example", ["bob@b.example", "denied@b.example"], TEXT)
    assert refused == {"denied@b.example": (550, b"5.1.1 No such user")}
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    "address", ["postmaster", "Postmaster@example.com", "POSTMASTER@[127.0.0.1]"]
)
@pytest.mark.parametrize(
    "options",
    [{"reject_recipient": "*"}, {"reject_recipient": lambda address: True}, {"validate": True}],
    ids=["pattern", "callable", "callback"],
)
def test_postmaster_is_never_refused(address: str, options: dict[str, Any]) -> None:
    def refuse(address: str) -> None:
        raise Reject

    if "validate" in options:
        options = {"validate_recipient": refuse}
    with Server(**options) as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com>")
        assert client.say(f"RCPT TO:<{address}>").startswith("250")
        assert client.say("RCPT TO:<bob@example.net>").startswith("553")


def test_postmaster_may_be_refused_as_a_sender() -> None:
    assert mail("postmaster@*", "postmaster@example.com") == DENIED


# ---- a refused host


@pytest.fixture
def refused() -> Iterator[Client]:
    with Server(reject_host="127.0.0.1") as server, Client(server) as client:
        yield client


def test_a_refused_host_gets_550_in_place_of_the_greeting(refused: Client) -> None:
    assert refused.greeting == "550 Access denied: host 127.0.0.1 rejected"


@pytest.mark.parametrize(
    "command", ["EHLO me", "HELO me", "MAIL FROM:<a@b.example>", "NOOP", "RSET", "HELP", "nonsense"]
)
def test_a_refused_host_gets_503_for_all_but_quit(refused: Client, command: str) -> None:
    assert refused.say(command).startswith("503 ")
    refused.quit()


def test_a_refused_host_with_a_reply_of_its_own() -> None:
    with Server(reject_host={"127.*": "421 Too busy"}) as server:
        with Client(server) as client:
            assert client.greeting == "421 Too busy"
            assert client.reply() == ""
        assert server.sessions[0].wait_closed(LIMIT)
    with Server(reject_host={"127.*": 554}) as server, Client(server) as client:
        assert client.greeting.startswith("554 ")
        assert client.say("EHLO me").startswith("503 ")


def test_a_real_client_is_refused_at_connect() -> None:
    with Server(reject_host="*") as server, pytest.raises(smtplib.SMTPConnectError) as caught:
        smtplib.SMTP(server.host, server.port, timeout=LIMIT)
    assert caught.value.smtp_code == 550
    assert "550 Access denied" in str(server.sessions[0])


# ---- no rule at all


def test_a_glob_is_linear_whatever_comes() -> None:
    address = "a" * 60 + "@" + ".".join(["a" * 60] * 3) + ".example"
    assert mail("*a*a*a*a*a*a*a*a*a*b", address, addresses="any").startswith("250")


def test_a_pattern_that_raises_shows_itself() -> None:
    def broken(address: str) -> bool:
        raise LookupError("in a pattern")

    server = Server(reject_sender=broken).start()
    with Client(server) as client:
        client.ehlo()
        assert client.say("MAIL FROM:<ann@example.com>") == DENIED
        assert client.say("NOOP").startswith("250")
    with pytest.warns(match="in a pattern"):
        server.stop()


def test_a_host_without_an_ip_address_is_in_no_network() -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("no unix sockets here")
    with (
        tempfile.TemporaryDirectory() as directory,
        Server(unix_socket=f"{directory}/s", reject_host="0.0.0.0/0") as server,
        Client(server) as client,
    ):
        assert client.greeting.startswith("220 ")


def test_who_misses_a_message_is_told_of_a_refusal_that_no_message_followed() -> None:
    with Server(reject_recipient="carol@*") as server, Client(server) as client:
        client.ehlo().deliver(TEXT, "ann@example.com", "bob@example.net")
        client.say("MAIL FROM:<ann@example.com>")
        client.say("RCPT TO:<carol@example.net>")
        with pytest.raises(AssertionError, match=r"refused: RCPT TO:<carol@.* -> 553 "):
            server.messages.one(to="carol@*")
        client.say("RSET")
        client.deliver(TEXT, "ann@example.com", "dave@example.net")
        with pytest.raises(AssertionError) as caught:
            server.messages.one(to="erin@*")
        assert "refused:" not in str(caught.value)


def test_who_misses_a_message_is_told_of_the_refusal_and_not_of_what_follows_from_it() -> None:
    with Server(reject_sender="*") as server, Client(server) as client:
        client.ehlo().send("MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["553", "503", "503"]
        with pytest.raises(AssertionError, match=r"refused: MAIL FROM:<ann@.* -> 553 "):
            server.messages.one()
    with Server(reject_host="*") as server, Client(server) as client:
        client.say("EHLO me")
        with pytest.raises(AssertionError, match=r"refused: 550 Access denied: host 127\.0\.0\.1"):
            server.messages.one()


def test_who_misses_a_message_is_told_of_a_503_that_follows_from_nothing() -> None:
    with Server(reject_recipient="*") as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com>")
        assert client.say("RCPT TO:<bob@example.net>").startswith("553 ")
        client.say("RSET")
        assert client.say("RCPT TO:<bob@example.net>").startswith("503 ")
        with pytest.raises(AssertionError, match=r"refused: RCPT TO:<bob@.* -> 503 "):
            server.messages.one()


def test_a_pattern_that_cannot_answer_at_once() -> None:
    async def deny(address: str) -> bool:
        return address == "ann@example.com"

    with pytest.raises(ValueError, match=r"a pattern answers at once, .*deny is async"):
        Server(reject_sender=deny)
    server = Server(reject_sender=lambda address: deny(address)).start()
    with Client(server) as client:
        assert client.ehlo().say("MAIL FROM:<bob@example.com>").startswith("553 ")
    with pytest.warns(CallbackWarning, match="a pattern answers at once"):
        server.stop()
