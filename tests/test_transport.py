"""The transport alone, over a real connection: nothing lost, nothing twice, and an end to all."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from client import LIMIT, reset
from pytest_smtpd.serving.loop import Loop
from pytest_smtpd.serving.transport import Transport


class Owner:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(65536))
        self.came = b""
        self.told: list[str] = []
        self.stays = False
        self.raises: Exception | None = None

    def get_buffer(self) -> memoryview:
        return self.buffer

    def buffer_updated(self, octets: int) -> None:
        if self.raises is not None:
            raise self.raises
        self.came += bytes(self.buffer[:octets])

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.stays

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self) -> None:
        self.told.append("lost")


class Wire:
    """A transport and its client; `until` runs the loop."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.loop = Loop(self.errors.append)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname(), timeout=LIMIT)
            served, _ = listener.accept()
        served.setblocking(False)
        served.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.owner = Owner()
        self.transport = Transport(self.loop, served, self.owner)

    def until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + LIMIT
        while not done():
            assert time.monotonic() < end, self.owner.told
            self.loop.turn(0.0)

    def turns(self, number: int = 20) -> None:
        for _ in range(number):
            self.loop.turn(0.0)

    def read(self, octets: int) -> bytes:
        """What the client gets, up to so many octets or the end."""
        self.client.settimeout(0)
        got = b""

        def enough() -> bool:
            nonlocal got
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                piece = self.client.recv(65536)
                got += piece
                return not piece or len(got) >= octets
            return False

        self.until(enough)
        return got

    def shake_hands(self, context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
        done: list[OSError | None] = []
        self.transport.start_tls(context, LIMIT, done.append)
        self.client.settimeout(0)
        self.client = trusting.wrap_socket(
            self.client, server_hostname="localhost", do_handshake_on_connect=False
        )

        def step() -> bool:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()  # type: ignore[attr-defined]
                return bool(done)
            return False

        self.until(step)
        assert done == [None]
        assert self.transport.tls is not None

    def close(self) -> None:
        self.client.close()
        self.transport.abort()
        self.turns()
        self.loop.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    try:
        yield wire
    finally:
        wire.close()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and one that trusts it."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


MUCH = b"".join(b"%07d\n" % number for number in range(250_000))  # 2 MB


def test_what_the_client_does_not_take_at_once_comes_later_and_in_order(wire: Wire) -> None:
    wire.transport.write(MUCH[:1_500_000])
    assert wire.owner.told == ["pause"]
    assert wire.transport.unsent > 0
    wire.transport.write(MUCH[1_500_000:])
    assert wire.read(len(MUCH)) == MUCH
    wire.until(lambda: wire.owner.told == ["pause", "resume"])
    assert wire.transport.unsent == 0


def test_a_close_waits_until_all_is_sent(wire: Wire) -> None:
    wire.transport.write(MUCH)
    wire.transport.close()
    wire.transport.write(b"after the close")
    assert wire.read(len(MUCH) + 1) == MUCH
    wire.until(lambda: wire.owner.told[-1] == "lost")
    assert wire.owner.told.count("lost") == 1


def test_the_sending_side_is_closed_when_all_is_sent_and_reading_goes_on(wire: Wire) -> None:
    wire.transport.write(MUCH)
    wire.transport.finish(linger=LIMIT)
    assert wire.read(len(MUCH) + 1) == MUCH
    wire.client.settimeout(LIMIT)
    wire.client.sendall(b"still here")
    wire.until(lambda: wire.owner.came == b"still here")
    assert "lost" not in wire.owner.told


@pytest.mark.parametrize("unsent", [b"", MUCH])
def test_an_abort_throws_away_what_is_unsent(wire: Wire, unsent: bytes) -> None:
    wire.transport.write(unsent)
    wire.transport.abort()
    wire.transport.abort()
    wire.until(lambda: "lost" in wire.owner.told)
    wire.turns()
    assert wire.owner.told.count("lost") == 1
    with contextlib.suppress(ConnectionResetError):
        assert len(wire.read(len(MUCH))) < len(MUCH)


def test_a_reset_is_one(wire: Wire) -> None:
    wire.transport.abort(reset=True)
    wire.until(lambda: wire.owner.told == ["lost"])
    with pytest.raises(ConnectionResetError):
        wire.client.recv(1)


def test_a_client_that_resets_is_told_once(wire: Wire) -> None:
    wire.transport.write(MUCH)
    wire.client.close()  # with octets unread: a reset
    wire.until(lambda: "lost" in wire.owner.told)
    wire.turns()
    assert wire.owner.told.count("lost") == 1


def test_of_a_client_that_sends_no_more_the_end_is_told_once(wire: Wire) -> None:
    wire.owner.stays = True
    wire.client.shutdown(socket.SHUT_WR)
    wire.until(lambda: wire.owner.told == ["eof"])
    wire.turns()
    assert wire.owner.told == ["eof"]
    wire.transport.write(b"your replies")
    assert wire.read(12) == b"your replies"


def test_without_a_wish_to_stay_the_end_of_the_client_closes(wire: Wire) -> None:
    wire.client.shutdown(socket.SHUT_WR)
    wire.until(lambda: wire.owner.told == ["eof", "lost"])
    assert wire.client.recv(1) == b""


def test_nothing_is_read_while_reading_is_paused(wire: Wire) -> None:
    wire.transport.pause_reading()
    wire.client.sendall(b"early")
    wire.turns()
    assert wire.owner.came == b""
    wire.transport.resume_reading()
    wire.until(lambda: wire.owner.came == b"early")


def test_an_error_of_the_owner_is_reported_and_ends_the_connection(wire: Wire) -> None:
    wire.owner.raises = ZeroDivisionError("ours")
    wire.client.sendall(b"x")
    wire.until(lambda: wire.owner.told == ["lost"])
    assert wire.errors == [wire.owner.raises]
    assert wire.client.recv(1) == b""


# ---- TLS


def test_much_in_tls_comes_in_order(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    wire.shake_hands(*contexts)
    wire.transport.write(MUCH[:1_500_000])
    wire.transport.write(MUCH[1_500_000:])
    wire.transport.finish(linger=LIMIT)  # which TLS cannot
    assert wire.read(len(MUCH)) == MUCH
    wire.until(lambda: wire.owner.told[-1] == "lost")
    assert wire.read(1) == b""  # an end with a close_notify, or this would be an error


def test_a_tls_record_larger_than_the_buffer_comes_whole(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    wire.shake_hands(*contexts)
    wire.owner.buffer = wire.owner.buffer[:100]
    wire.client.sendall(MUCH[:16_000])  # one record
    wire.until(lambda: len(wire.owner.came) == 16_000)
    assert wire.owner.came == MUCH[:16_000]


def test_the_rest_of_a_record_is_read_after_a_pause(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    wire.shake_hands(*contexts)
    wire.owner.buffer = wire.owner.buffer[:100]
    wire.client.sendall(MUCH[:1000])
    wire.until(lambda: wire.owner.came)
    wire.transport.pause_reading()
    came = wire.owner.came
    wire.turns()
    assert wire.owner.came == came
    wire.transport.resume_reading()
    wire.until(lambda: wire.owner.came == MUCH[:1000])


def test_a_handshake_that_takes_too_long_is_given_up(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    done: list[OSError | None] = []
    wire.transport.start_tls(contexts[0], 0.01, done.append)
    wire.until(lambda: done)
    assert isinstance(done[0], TimeoutError)
    wire.turns()
    assert len(done) == 1


@pytest.mark.parametrize("how", ["text", "end", "reset"])
def test_a_handshake_that_fails_says_why(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext], how: str
) -> None:
    done: list[OSError | None] = []
    wire.transport.start_tls(contexts[0], LIMIT, done.append)
    if how == "text":
        wire.client.sendall(b"EHLO me\r\n" * 10)
    elif how == "end":
        wire.client.shutdown(socket.SHUT_WR)
    else:
        reset(wire.client)
    wire.until(lambda: done)
    assert isinstance(done[0], OSError)
    wire.transport.abort()
    wire.until(lambda: wire.owner.told == ["lost"])


def test_a_client_that_resets_before_the_handshake_leaves_nothing_open(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    reset(wire.client)
    done: list[OSError | None] = []
    wire.transport.start_tls(contexts[0], LIMIT, done.append)
    wire.until(lambda: done)
    assert isinstance(done[0], OSError)
    wire.transport.abort()
    wire.until(lambda: wire.owner.told == ["lost"])
    gc.collect()  # an open socket would be a ResourceWarning, which is an error


def test_a_context_for_clients_is_a_handshake_that_fails(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    done: list[OSError | None] = []
    wire.transport.start_tls(contexts[1], LIMIT, done.append)
    wire.until(lambda: done)
    assert isinstance(done[0], OSError)


def test_a_handshake_is_heard_though_reading_was_paused(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    wire.transport.pause_reading()
    wire.shake_hands(*contexts)
    wire.client.sendall(b"hello")
    wire.until(lambda: wire.owner.came == b"hello")


def test_of_a_handshake_that_is_aborted_nothing_is_heard(
    wire: Wire, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    done: list[OSError | None] = []
    wire.transport.start_tls(contexts[0], 0.01, done.append)
    wire.transport.abort()
    wire.until(lambda: wire.owner.told == ["lost"])
    deadline = time.monotonic() + 0.05
    wire.until(lambda: time.monotonic() > deadline)
    assert done == []
