"""`Server`: starting, stopping, and where to connect."""

from __future__ import annotations

import contextlib
import errno
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

import pytest_smtpd
from client import LIMIT, Client, connects, threads
from pytest_smtpd import Server


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


# ---- what is said of mail that is not there


def test_that_no_client_has_connected_is_said() -> None:
    server = Server()
    with pytest.raises(IndexError, match=r"\nno client has connected: the server is not started$"):
        _ = server.messages[0]
    with server:
        nobody = "\n" + re.escape(f"no client has connected to {server.url}")
        messages = server.messages
        for ask in (lambda: messages[0], messages.one, lambda: messages.wait(timeout=0)):
            with pytest.raises((IndexError, AssertionError), match=f"{nobody}$"):
                ask()
        with Client(server) as client:
            client.ehlo().quit()
        with pytest.raises(AssertionError, match=r"mail that is still to come$"):
            messages.one()
    server.clear()
    with pytest.raises(AssertionError, match=f"{nobody}, which has been stopped$"):
        messages.one()


# ---- start


def test_start_returns_the_server_and_clients_can_connect_at_once() -> None:
    server = Server()
    try:
        assert server.start() is server
        with Client(server) as client:
            assert client.greeting.startswith("220 localhost ")
    finally:
        server.stop()


def test_as_a_context_manager_it_is_started_and_stopped() -> None:
    server = Server()
    with server as entered:
        assert entered is server
        assert not server.stopped.is_set()
    assert server.stopped.is_set()
    assert not connects(server)


def test_a_real_client_delivers(server: Server) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=LIMIT) as client:
        client.sendmail("ann@example.com", ["bob@example.net"], "Subject: hi\r\n\r\nhello\r\n")
        # visible before the 250 can be read: no waiting here
        assert [message.subject for message in server.messages] == ["hi"]
    assert server.messages[0].raw == b"Subject: hi\r\n\r\nhello\r\n"


def test_a_second_start_is_an_error_that_names_the_address(server: Server) -> None:
    with pytest.raises(RuntimeError, match=re.escape(f"{server.url}; stop() it first")):
        server.start()
    assert connects(server)


def test_a_port_in_use_is_an_os_error_with_the_address(server: Server) -> None:
    before = threads()
    other = Server(port=server.port)
    with pytest.raises(OSError, match=f"127.0.0.1:{server.port}") as caught:
        other.start()
    assert caught.value.errno == errno.EADDRINUSE
    assert str(caught.value).endswith("; port=0 takes a free one")
    assert threads() <= before
    assert other.stopped.is_set()
    with pytest.raises(RuntimeError, match="not started"):
        _ = other.port
    server.stop()
    with other:  # nothing was left behind, here or there
        assert connects(other)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "x" * 70, "a..b", "::zz"])
def test_a_bad_host_is_an_os_error_with_the_host(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if host.endswith(".invalid"):  # its resolver may take its time

        def fail(*args: object, **options: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
    before = threads()
    with pytest.raises(OSError, match=re.escape(host)):
        Server(host=host).start()
    assert threads() <= before


def test_after_a_stop_it_takes_the_same_port_again() -> None:
    with Server() as server:
        port, url = server.port, server.url
        Client(server).close()
    for _ in range(3):
        with server:
            assert (server.port, server.url) == (port, url)
            assert connects(server)


def test_a_port_configured_while_stopped_is_taken_instead() -> None:
    with Server() as server:
        before = server.port
    with Server() as holder:  # a free one, and surely another
        other = holder.port
    server.configure(port=other)
    with server:
        assert server.port == other != before
    server.configure(port=0)
    with socket.create_server(("127.0.0.1", other)), server:
        assert server.port != other


def test_a_fixed_port() -> None:
    with Server() as first:
        port = first.port
    with Server(port=port) as second:
        assert second.address == ("127.0.0.1", port)


# ---- stop


def test_stop_is_a_no_op_when_nothing_runs() -> None:
    server = Server()
    server.stop()
    server.stop(disconnect=False)
    with server:
        pass
    server.stop()
    assert server.stopped.is_set()


def test_stopped_is_an_event_set_while_not_running() -> None:
    server = Server()
    stopped = server.stopped
    assert isinstance(stopped, threading.Event)
    assert stopped.is_set()
    with server:
        assert not stopped.is_set()
    assert stopped.is_set()
    assert server.stopped is stopped


def test_stopped_can_be_waited_for() -> None:
    server = Server().start()
    stopper = threading.Thread(target=server.stop)
    assert not server.stopped.is_set()
    stopper.start()
    assert server.stopped.wait(LIMIT)
    stopper.join()


def test_no_thread_is_left(server: Server) -> None:
    server.stop()
    before = threads()

    async def asynchronous(address: str) -> None:
        pass

    options = {"validate_sender": asynchronous, "validate_recipient": lambda address: None}
    with Server(**options) as other, Client(other) as client:
        client.ehlo().deliver()
        assert threads() - before
        client.quit()
    assert threads() <= before


# ---- where to connect


def test_addresses_before_the_first_start() -> None:
    server = Server()
    for name in ("host", "hostname", "port", "address", "url"):
        with pytest.raises(RuntimeError, match="not started"):
            getattr(server, name)
    assert "not started" in repr(server)


def test_addresses_while_running_and_after() -> None:
    server = Server().start()
    try:
        port = server.port
        assert isinstance(port, int)
        assert port > 0
        expected = ("127.0.0.1", "127.0.0.1", port, ("127.0.0.1", port), f"smtp://127.0.0.1:{port}")

        def addresses() -> tuple[object, ...]:
            return server.host, server.hostname, server.port, server.address, server.url

        assert addresses() == expected
    finally:
        server.stop()
    assert addresses() == expected
    assert server.url in repr(server)


def test_the_url_of_implicit_tls() -> None:
    pytest.importorskip("trustme")
    with Server(tls="implicit") as server:
        assert server.url == f"smtps://127.0.0.1:{server.port}"
        with smtplib.SMTP_SSL(
            server.host, server.port, context=server.client_ssl_context(), timeout=LIMIT
        ) as client:
            assert client.noop()[0] == 250
    with Server(tls="starttls") as server:
        assert server.url.startswith("smtp://")


@needs_ipv6
def test_ipv6() -> None:
    with Server(host="::1") as server:
        assert server.address == ("::1", server.port)
        assert server.url == f"smtp://[::1]:{server.port}"
        with Client(server) as client:
            client.quit()
        assert server.sessions[0].peer[0] == "::1"


def test_a_name() -> None:
    with Server(host="localhost") as server:
        assert server.host == "localhost"
        with smtplib.SMTP("localhost", server.port, timeout=LIMIT) as client:
            assert client.noop()[0] == 250


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
def test_all_interfaces(host: str) -> None:
    with Server(host=host) as server:
        assert server.host == "127.0.0.1"
        assert server.url == f"smtp://127.0.0.1:{server.port}"
        assert server.config.host == host
        assert connects(server)


@needs_ipv6
def test_all_interfaces_are_both_families_on_one_port() -> None:
    with Server(host="") as server:
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, server.port), timeout=LIMIT) as client:
                assert client.recv(3) == b"220"
    with Server(host="::") as server:
        assert server.host == "::1"
        assert connects(server)


def test_several_servers_at_once() -> None:
    with Server() as first, Server(reject_sender="*") as second:
        assert first.port != second.port
        with Client(first) as one, Client(second) as other:
            assert one.ehlo().deliver().startswith("250")
            assert other.ehlo().say("MAIL FROM:<ann@example.com>").startswith("553")
        assert len(first.messages) == 1
        assert not second.messages


def test_no_name_is_ever_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError(f"a look-up: {args}")

    for name in ("getaddrinfo", "getfqdn", "gethostbyname", "gethostbyaddr", "getnameinfo"):
        monkeypatch.setattr(socket, name, fail)
    with Server(trace_headers=True, addresses="strict") as server:
        with Client(server) as client:
            assert client.ehlo().deliver("hi\r\n", "ann@python.org", "bob@python.org")[:3] == "250"
            client.quit()
        assert server.messages


# ---- what came


def test_the_collections_are_the_same_objects_for_life() -> None:
    server = Server()
    before = [server.messages, server.strays, server.sessions, server.faults]
    with server:
        with Client(server) as client:
            client.ehlo().deliver()
        server.configure(faults=[pytest_smtpd.faults.Delay(0, on="noop")])
    server.clear()
    server.start()
    server.stop()
    after = [server.messages, server.strays, server.sessions, server.faults]
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_sessions_are_oldest_first_and_live(server: Server) -> None:
    sessions = server.sessions
    assert sessions == []
    with Client(server) as first, Client(server) as second:
        first.ehlo("first.example")
        second.ehlo("second.example")
        assert [session.helo for session in sessions] == ["first.example", "second.example"]
        first.ehlo("again.example")
        assert sessions[0].helo == "again.example"


def test_clear_empties_and_open_sessions_still_deliver(server: Server) -> None:
    with Client(server) as client:
        client.ehlo().deliver()
        client.begin()
        assert (len(server.messages), len(server.sessions)) == (1, 1)
        server.clear()
        assert (len(server.messages), len(server.strays), len(server.sessions)) == (0, 0, 0)
        assert client.say("Subject: later\r\n\r\n.").startswith("250")
        assert [message.subject for message in server.messages] == ["later"]


def test_the_address_nobody_else_uses(server: Server) -> None:
    addresses = [server.address_for() for _ in range(500)]
    assert len(set(addresses)) == 500
    assert all(re.fullmatch(r"user\.[0-9A-Z]{4,}@example\.com", each) for each in addresses)
    ann = server.address_for("ann")
    assert ann.startswith("ann.")
    with Client(server) as client:
        assert client.ehlo().deliver("hi\r\n", "ann@example.com", ann).startswith("250")
    assert server.messages.one(to=ann).recipients == (ann,)


@pytest.mark.parametrize("name", ["", "Ann Smith", "a..b", ".a", "a@b", "ann\n"])
def test_the_address_for_a_name_that_would_need_quotes(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^address_for\({re.escape(repr(name))}\)"):
        Server().address_for(name)


def test_address_for_before_the_start() -> None:
    assert Server().address_for().startswith("user.")


def test_without_tls_there_is_nothing_to_trust(server: Server) -> None:
    assert server.ca_file is None
    with pytest.raises(RuntimeError, match="tls"):
        server.client_ssl_context()


def test_what_clients_may_trust() -> None:
    pytest.importorskip("trustme")
    with Server(tls="starttls") as server:
        ca_file = server.ca_file
        assert ca_file is not None
        own = ssl.create_default_context(cafile=ca_file)
        for context in (own, server.client_ssl_context()):
            assert context.check_hostname
            with smtplib.SMTP(server.host, server.port, timeout=LIMIT) as client:
                client.starttls(context=context)
                assert client.noop()[0] == 250
    assert [session.tls is not None for session in server.sessions] == [True, True]
