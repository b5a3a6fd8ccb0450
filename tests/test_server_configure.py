"""`Server.configure`: all or nothing, and in force from the next command on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from client import LIMIT, Client
from pytest_smtpd import Options, Server
from pytest_smtpd.faults import Answer

MAIL = "MAIL FROM:<ann@example.com>"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def test_it_holds_from_the_next_command_on_in_open_sessions_too(server: Server) -> None:
    with Client(server) as client:
        client.ehlo()
        assert client.say(MAIL).startswith("250")
        server.configure(reject_recipient="denied@*")
        assert client.say("RCPT TO:<denied@example.net>").startswith("553")
        server.configure(reject_recipient=None)
        assert client.say("RCPT TO:<denied@example.net>").startswith("250")


def test_it_changes_what_is_offered(server: Server) -> None:
    with Client(server) as client:
        assert "\n250-DSN" in client.say("EHLO me")
        server.configure(without_extensions=["DSN"], max_size=1000)
        reply = client.say("EHLO me")
        assert "DSN" not in reply
        assert "SIZE 1000" in reply
        assert client.say(f"{MAIL} SIZE=1001").startswith("552")
        server.configure(without_extensions=None, max_size=None)
        assert "\n250-DSN" in client.say("EHLO me")


def test_it_changes_callbacks_and_time_out(server: Server) -> None:
    asked: list[str] = []
    with Client(server) as client:
        client.ehlo()
        server.configure(validate_sender=asked.append)
        client.say(MAIL)
        server.configure(validate_sender=None)
        client.say("RSET")
        client.say(MAIL)
        assert asked == ["ann@example.com"]
        server.configure(timeout=0.1)
        client.send("NOOP\r\n")
        assert client.reply().startswith("250")
        assert client.reply().startswith("421 ")


def test_other_options_stay_as_they_are(server: Server) -> None:
    server.configure(reject_sender="a@*", greeting_hostname="mx.example")
    server.configure(reject_recipient="b@*")
    assert server.config.reject_sender == "a@*"
    assert server.config.greeting_hostname == "mx.example"
    assert server.config.reject_recipient == "b@*"


def test_none_restores_a_default(server: Server) -> None:
    server.configure(max_size=5, banner="mine", users={"ann": "secret"}, trace_headers=True)
    server.configure(max_size=None, banner=None, users=None, trace_headers=None)
    assert server.config == Options()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"reject_sendr": "x"}, TypeError),
        ({"max_size": -1}, ValueError),
        ({"addresses": "loose"}, ValueError),
        ({"require_tls": True}, ValueError),
        ({"require_auth": True}, ValueError),
        ({"auth_requires_tls": True}, ValueError),
        ({"port": 2525}, ValueError),
        ({"faults": ["Drop"]}, ValueError),
    ],
)
def test_it_is_all_or_nothing(server: Server, wrong: dict[str, Any], error: type) -> None:
    fault = Answer(451, on="noop")
    server.faults.append(fault)
    before = server.config
    with pytest.raises(error):
        server.configure(
            reject_sender="ann@*", greeting_hostname="other", **{"faults": (), **wrong}
        )
    assert server.config is before
    assert server.faults == [fault]
    with Client(server) as client:
        assert client.greeting.startswith("220 localhost ")
        client.ehlo()
        assert client.say(MAIL).startswith("250")
        assert client.say("NOOP").startswith("451")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "::1"),
        ("port", 2525),
        ("unix_socket", "/tmp/never-made"),
        ("tls", "starttls"),
        ("certificate", "expired"),
        ("ssl_context", None),
        ("protocol", "lmtp"),
    ],
)
def test_what_a_running_server_cannot_change(server: Server, name: str, value: object) -> None:
    text = rf"^smtpd option '{name}' cannot change while the server runs: stop\(\) it first"
    with pytest.raises(ValueError, match=text):
        server.configure(**{name: value})
    server.stop()
    server.configure(**{name: value})
    assert getattr(server.config, name) == value


def test_another_protocol_after_a_restart() -> None:
    server = Server()
    with server:
        port = server.port
    server.configure(protocol="lmtp")
    with server, Client(server) as client:
        assert server.port == port
        assert client.say("EHLO me").startswith("500")
        assert client.say("LHLO me").startswith("250")


def test_another_host_keeps_the_port() -> None:
    server = Server()
    with server:
        port = server.port
    server.configure(host="localhost")
    with server, Client(server) as client:
        assert server.port == port
        assert client.greeting.startswith("220 ")


def test_the_url_keeps_its_scheme_while_stopped() -> None:
    pytest.importorskip("trustme")
    server = Server(tls="implicit")
    with server:
        url = server.url
        assert url == f"smtps://127.0.0.1:{server.port}"
    server.configure(tls=None)
    assert server.url == url
    with server:
        assert server.url == f"smtp://127.0.0.1:{server.port}"


def test_it_may_be_called_before_the_first_start() -> None:
    server = Server(reject_sender="*")
    server.configure(reject_sender=None, greeting_hostname="mx.example")
    with server, Client(server) as client:
        assert client.greeting.startswith("220 mx.example ")
        client.ehlo()
        assert client.say(MAIL).startswith("250")


def test_faults_are_replaced_only_where_they_are_named(server: Server) -> None:
    fault = Answer(451, on="noop", times=1)
    server.faults.append(fault)
    server.configure(greeting_hostname="mx.example")
    assert server.faults == [fault]
    with Client(server) as client:
        client.ehlo()
        assert client.say("NOOP").startswith("451")
        assert client.say("NOOP").startswith("250")
        server.configure(faults=[fault])  # anew: its counters are the entry's
        assert server.hits(fault) == 0
        assert client.say("NOOP").startswith("451")
        server.configure(faults=None)
        assert list(server.faults) == []


def test_the_seed_can_be_configured() -> None:
    def outcomes(server: Server) -> list[str]:
        with Client(server) as client:
            client.ehlo()
            return [client.say("NOOP")[:3] for _ in range(40)]

    fault = Answer(451, on="noop", probability=0.5)
    with Server(faults=[fault], seed=7) as first, Server(faults=[fault]) as second:
        second.configure(seed=7)
        expected = outcomes(first)
        assert len(set(expected)) == 2
        assert outcomes(second) == expected


def test_config_is_frozen_and_masks_passwords() -> None:
    server = Server(users={"ann": "s3cr3t-word"}, reject_sender="x@*")
    assert server.config.reject_sender == "x@*"
    assert "s3cr3t-word" not in repr(server.config)
    assert "ann" in repr(server.config)
    with pytest.raises(AttributeError):
        server.config.reject_sender = None  # type: ignore[misc]
    before = server.config
    server.configure(reject_sender=None)
    assert before.reject_sender == "x@*"


def test_a_callback_may_configure() -> None:
    def once(address: str) -> None:
        server.configure(reject_sender="*")

    with Server(validate_sender=once) as server, Client(server) as client:
        client.ehlo()
        assert client.say(MAIL).startswith("250")
        client.say("RSET")
        assert client.say(MAIL).startswith("553")
        assert not server.sessions[0].wait_closed(0)
        client.quit()
        assert server.sessions[0].wait_closed(LIMIT)
