"""`Server.stop`: what becomes of open sessions, and that nobody can make it wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from client import LIMIT, TEXT, Client, connects, in_thread, threads
from pytest_smtpd import CallbackWarning, Server
from pytest_smtpd.faults import Hold

BOUND = 2.0  # seconds: what docs/fixtures.md promises
CLIENTS = 200


def took(stop: Callable[[], None]) -> float:
    started = time.monotonic()
    stop()
    return time.monotonic() - started


# ---- open sessions


def test_open_sessions_get_421_and_are_closed() -> None:
    server = Server().start()
    with Client(server) as idle, Client(server) as busy, Client(server) as sending:
        busy.ehlo()
        busy.say("MAIL FROM:<ann@example.com>")
        sending.ehlo().begin()
        sending.send("Subject: never ended\r\n")
        server.stop()
        for client in (idle, busy, sending):
            assert client.reply().startswith("421 ")
            assert client.reply() == ""
    assert [session.ended_by for session in server.sessions] == ["server"] * 3
    assert all(session.wait_closed(0) for session in server.sessions)
    assert not server.messages


def test_replies_in_flight_are_flushed() -> None:
    server = Server().start()
    with Client(server) as client:
        client.send("NOOP\r\n" * 60)
        server.stop()
        replies = client.rest().splitlines()
    assert len(replies) == 61
    assert all(reply.startswith(b"250 ") for reply in replies[:-1])
    assert replies[-1].startswith(b"421 ")


def test_what_was_sent_before_the_stop_is_delivered() -> None:
    server = Server().start()
    commands = "EHLO me\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
    with Client(server, greeting=False) as client, Client(server, greeting=False) as gone:
        for each in (client, gone):
            each.send(f"{commands}{TEXT}.\r\n")
        gone.close()
        server.stop()
    assert [message.subject for message in server.messages] == ["hi", "hi"]


def test_a_client_that_connects_and_is_gone_is_in_the_sessions() -> None:
    server = Server().start()
    socket.create_connection(server.address, timeout=LIMIT).close()
    server.stop()
    assert [session.ended_by for session in server.sessions] == ["client"]


# ---- disconnect=False


def test_without_disconnecting_sessions_go_on_until_their_client_quits() -> None:
    before = threads()
    server = Server().start()
    with Client(server) as client:
        server.stop(disconnect=False)
        assert server.stopped.is_set()
        assert not connects(server)
        assert client.ehlo().deliver().startswith("250")
        assert len(server.messages) == 1
        client.quit()
    assert server.sessions[0].wait_closed(LIMIT)
    assert server.sessions[0].ended_by == "quit"
    for thread in threads() - before:  # the last one to leave turns the light off
        thread.join(LIMIT)
    assert threads() <= before


def test_without_disconnecting_callbacks_are_still_asked_and_leave_no_thread() -> None:
    before = threads()

    async def validate(address: str) -> None:
        asked.append(address)

    asked: list[str] = []
    server = Server(validate_sender=validate, deliver=lambda *mail: asked.append(mail[0])).start()
    with Client(server) as client:
        client.ehlo()
        server.stop(disconnect=False)
        assert client.deliver().startswith("250")
        client.quit()
    assert asked == ["ann@example.com"] * 2
    server.stop()
    assert threads() <= before


def test_a_later_stop_ends_those_sessions_too() -> None:
    before = threads()
    server = Server().start()
    with Client(server) as client:
        server.stop(disconnect=False)
        assert client.say("NOOP").startswith("250")
        server.stop()
        assert client.reply().startswith("421 ")
        assert client.reply() == ""
    assert threads() <= before


def test_restarted_beside_sessions_that_go_on() -> None:
    before = threads()
    server = Server().start()
    address = server.address
    with Client(server) as old:
        server.stop(disconnect=False)
        server.start()
        assert server.address == address
        with Client(server) as new:
            assert old.ehlo().deliver("Subject: old\r\n\r\n").startswith("250")
            assert new.ehlo().deliver("Subject: new\r\n\r\n").startswith("250")
            assert [message.subject for message in server.messages] == ["old", "new"]
            server.stop()
            assert old.reply().startswith("421 ")
            assert new.reply().startswith("421 ")
    assert threads() <= before


def test_without_disconnecting_and_without_sessions() -> None:
    before = threads()
    server = Server().start()
    server.stop(disconnect=False)
    assert not connects(server)
    for thread in threads() - before:
        thread.join(LIMIT)
    assert threads() <= before


# ---- from a callback


@pytest.mark.parametrize("disconnect", [True, False])
@pytest.mark.parametrize("option", ["validate_host", "validate_sender", "deliver_mime"])
def test_from_a_callback(option: str, disconnect: bool) -> None:
    before = threads()
    durations: list[float] = []
    sent = threading.Event()

    def stop(asked: object) -> None:
        assert sent.wait(LIMIT)
        durations.append(took(lambda: server.stop(disconnect=disconnect)))

    server = Server(**{option: stop}).start()
    with Client(server, greeting=False) as client:
        client.send("EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
        client.send(f"{TEXT}.\r\nQUIT\r\n")
        sent.set()
        last = client.rest().splitlines()[-1]
    assert last[:3] == (b"421" if disconnect else b"221")
    assert server.stopped.wait(LIMIT)
    server.stop()
    for thread in threads() - before:  # that of the callback itself may be on its way out
        thread.join(LIMIT)
    assert threads() <= before
    assert durations[0] < BOUND


def test_from_a_coroutine() -> None:
    before = threads()
    durations: list[float] = []

    async def stop(address: str) -> None:
        durations.append(took(server.stop))
        await asyncio.sleep(0)

    server = Server(validate_sender=stop).start()
    with Client(server) as client:
        client.ehlo().send("MAIL FROM:<ann@example.com>\r\n")
        assert client.reply().startswith("421 ")
        assert client.reply() == ""
    assert server.stopped.wait(LIMIT)
    for thread in threads() - before:
        thread.join(LIMIT)
    assert threads() <= before
    assert durations[0] < BOUND


# ---- nobody makes it wait


@contextlib.contextmanager
def crowd(server: Server, send: bytes = b"", receive_buffer: int | None = None) -> Iterator[None]:
    """Clients that send as much of this as is taken, and then do nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket())
            if receive_buffer is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client.settimeout(LIMIT)
            client.connect(server.address)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.send(send)
        yield


COMMANDS = b"EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"


@pytest.mark.parametrize(
    "send",
    [b"", b"EHLO me\r\n", b"MAIL FR", COMMANDS + b"DATA\r\nSubject: never", b"HELP\r\n" * 5_000],
    ids=["silent", "greeted", "half-a-command", "mid-data", "not-reading"],
)
def test_a_crowd_does_not(send: bytes) -> None:
    before = threads()
    server = Server().start()
    with crowd(server, send, receive_buffer=4096 if len(send) > 1000 else None):
        assert took(server.stop) < BOUND
    for thread in threads() - before:  # on a very busy machine it may not be quite through
        thread.join(LIMIT)
    assert threads() <= before
    assert len(server.sessions) == CLIENTS
    assert not server.messages


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("send", [b"", b"EHLO me\r\nSTARTTLS\r\n", b"\x16\x03\x01\x02\x00\x01"])
def test_a_crowd_that_does_not_shake_hands_does_not(tls: str, send: bytes) -> None:
    pytest.importorskip("trustme")
    before = threads()
    server = Server(tls=tls).start()
    with crowd(server, send):
        assert took(server.stop) < BOUND
    for thread in threads() - before:  # on a very busy machine it may not be quite through
        thread.join(LIMIT)
    assert threads() <= before
    assert all(session.wait_closed(0) for session in server.sessions)
    assert None not in {session.ended_by for session in server.sessions}


def test_clients_that_keep_talking_do_not() -> None:
    server = Server().start()
    ended = threading.Event()

    def talk() -> None:
        with contextlib.suppress(OSError), Client(server) as client:
            while not ended.is_set():
                client.send(b"NOOP\r\n" * 1000)
                client.socket.recv(1_000_000)

    talkers = [threading.Thread(target=talk) for _ in range(5)]
    for talker in talkers:
        talker.start()
    assert took(server.stop) < BOUND
    ended.set()
    for talker in talkers:
        talker.join(LIMIT)


def test_a_stuck_callback_does_not() -> None:
    release, entered = threading.Event(), threading.Event()

    def stuck(address: str) -> None:
        entered.set()
        release.wait()

    before = threads()
    server = Server(validate_sender=stuck).start()
    with Client(server) as client:
        client.ehlo().send("MAIL FROM:<ann@example.com>\r\n")
        assert entered.wait(LIMIT)
        assert took(server.stop) < BOUND
        assert client.reply().startswith("421 ")
    release.set()
    for thread in threads() - before:
        thread.join(LIMIT)
    assert threads() <= before


def test_a_stuck_coroutine_does_not_and_is_cancelled() -> None:
    entered, cancelled = threading.Event(), threading.Event()

    async def stuck(address: str) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    before = threads()
    server = Server(validate_sender=stuck).start()
    with Client(server) as client:
        client.ehlo().send("MAIL FROM:<ann@example.com>\r\n")
        assert entered.wait(LIMIT)
        assert took(server.stop) < BOUND
    assert cancelled.is_set()
    assert threads() <= before


def test_a_coroutine_that_blocks_its_loop_does_not() -> None:
    release, entered = threading.Event(), threading.Event()

    async def stuck(address: str) -> None:
        entered.set()
        release.wait()

    before = threads()
    server = Server(validate_sender=stuck).start()
    with Client(server) as client:
        client.ehlo().send("MAIL FROM:<ann@example.com>\r\n")
        assert entered.wait(LIMIT)
        assert took(server.stop) < BOUND
    release.set()
    for thread in threads() - before:
        thread.join(LIMIT)
    assert threads() <= before


def test_two_stops_at_once() -> None:
    hold = Hold(on="noop")
    server = Server(faults=[hold]).start()
    with Client(server) as client:
        client.send("NOOP\r\n")
        assert hold.wait_reached(LIMIT)
        with in_thread(server.stop), in_thread(server.stop):
            assert client.reply().startswith("421 ")
    assert server.stopped.is_set()


# ---- what a stop shows


def test_it_shows_what_callbacks_raised() -> None:
    def broken(address: str) -> None:
        raise RuntimeError("a bug in a callback")

    server = Server(validate_sender=broken).start()
    with Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com>")
    with pytest.warns(CallbackWarning, match="a bug in a callback"):
        server.stop()
    server.stop()  # once


def test_it_raises_what_ends_the_test_and_leaves_nothing() -> None:
    def check(message: object) -> None:
        raise AssertionError("not what was expected")

    before = threads()
    server = Server(deliver_mime=check).start()
    with Client(server) as client:
        assert client.ehlo().deliver().startswith("451 ")
    with pytest.raises(AssertionError, match="not what was expected"):
        server.stop()
    assert threads() <= before
    assert server.stopped.is_set()
    with server:
        assert connects(server)


# ---- other processes


@contextlib.contextmanager
def forked_child() -> Iterator[None]:
    """A child that holds all that is open here, until the block is left."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(theirs)
        os.read(ours, 1)  # until the parent is done
        os._exit(0)
    try:
        yield
    finally:
        os.close(theirs)
        os.close(ours)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_keeps_no_port() -> None:
    server = Server().start()
    with forked_child():
        server.stop()
        assert not connects(server)
        with server:
            assert connects(server)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_keeps_no_client_waiting() -> None:
    server = Server().start()
    with Client(server) as leaving, Client(server) as staying:
        leaving.say("NOOP")
        staying.say("NOOP")
        with forked_child():
            leaving.quit()  # to the end of the connection
            server.stop()
            assert staying.rest().startswith(b"421 ")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_stop_in_a_forked_child_is_none_of_the_server() -> None:
    with Server() as server:
        child = os.fork()
        if not child:
            server.stop()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with Client(server) as client:
            assert client.ehlo().deliver().startswith("250")


def test_a_silent_client_on_a_tls_port_is_forgotten() -> None:
    pytest.importorskip("trustme")
    server = Server(tls="implicit", timeout=0.3).start()
    context = server.client_ssl_context()
    with (
        Client(server, greeting=False),
        Client(server, greeting=False, receive_buffer=1) as slow,
        context.wrap_socket(slow.socket, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"EHLO me\r\n" + b"HELP\r\n" * 10_000)  # and reads no reply
        server.stop()  # which waits for that longer than the silent one had left
