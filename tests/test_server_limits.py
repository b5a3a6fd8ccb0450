"""Nothing lost, nothing ghostly, nothing without bound; and frozen time stops nothing."""

from __future__ import annotations

import contextlib
import datetime
import gc
import select
import smtplib
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import freezegun
import pytest

from client import LIMIT, TEXT, Client, in_thread, leased
from pytest_smtpd import Message, Server
from pytest_smtpd.faults import Answer, Delay, Hold
from pytest_smtpd.policy.judge import Judge
from pytest_smtpd.serving import connection

MB = 1_000_000
COMMANDS = "EHLO me\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


# ---- nothing lost, nothing ghostly


def test_a_message_is_there_before_its_250_can_be_read(server: Server) -> None:
    with Client(server) as client:
        client.ehlo()
        for number in range(200):
            assert client.deliver(f"Subject: {number}\r\n\r\n").startswith("250")
            assert server.messages[-1].subject == str(number)
            assert server.sessions[0].messages[-1] is server.messages[-1]


def test_the_reply_names_the_message(server: Server) -> None:
    with Client(server) as client:
        reply = client.ehlo().deliver()
    (message,) = server.messages
    assert message.id in reply
    assert message.session is server.sessions[0]


def test_a_message_is_there_before_its_250_with_callbacks_and_faults() -> None:
    faults = [Delay(0.001, on="message"), Answer("250 2.6.0 Mine", on="message", times=1)]
    with Server(deliver=lambda *mail: None, faults=faults) as server, Client(server) as client:
        client.ehlo()
        for number in range(1, 20):
            assert client.deliver().startswith("250")
            assert len(server.messages) == number


@pytest.mark.parametrize(
    "sent", [TEXT, TEXT + ".", TEXT + ".\r", TEXT + "\n.\n", "", "x" * 100_000]
)
@pytest.mark.parametrize("end", [Client.close, Client.reset, lambda client: None])
def test_who_dies_before_the_final_dot_leaves_nothing(
    sent: str, end: Callable[[Client], None]
) -> None:
    server = Server().start()
    with Client(server) as client:
        client.ehlo().begin()
        client.send(sent)
        end(client)
        server.stop()
    assert not server.messages
    assert not server.strays
    assert not server.sessions[0].messages


def test_who_dies_inside_a_chunk_leaves_nothing() -> None:
    with Server() as server, Client(server) as client:
        client.ehlo().send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n")
        client.send("BDAT 9 LAST\r\n12345678")
        client.close()  # and the server's end takes in what was sent
    assert not server.messages


def test_what_is_refused_after_the_dot_is_nowhere() -> None:
    with Server(max_size=10) as server, Client(server) as client:
        client.ehlo()
        assert client.deliver("x" * 100 + "\r\n").startswith("552")
        assert not server.messages
        assert client.deliver("x\r\n").startswith("250")
        assert len(server.messages) == 1


def test_a_half_closed_client_gets_every_reply(server: Server) -> None:
    with Client(server) as client:  # as Exim does
        client.send(f"{COMMANDS}{TEXT}.\r\nQUIT\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        codes = [line[:4] for line in client.rest().splitlines() if line[3:4] == b" "]
    assert codes == [b"250 ", b"250 ", b"250 ", b"354 ", b"250 ", b"221 "]
    assert server.sessions[0].ended_by == "quit"
    assert len(server.messages) == 1


def test_a_half_closed_client_that_does_not_quit_gets_every_reply(server: Server) -> None:
    with Client(server) as client:
        client.send("NOOP\r\n" * 5000)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest().count(b"250 ") == 5000
    assert server.sessions[0].wait_closed(LIMIT)
    assert server.sessions[0].ended_by == "client"


def test_a_half_closed_client_waits_for_callbacks_and_faults() -> None:
    hold = Hold(on="message")
    options = {"validate_recipient": lambda address: None, "faults": [hold]}
    with Server(**options) as server, Client(server) as client:
        client.send(f"{COMMANDS}{TEXT}.\r\nQUIT\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert hold.wait_reached(LIMIT)
        hold.release()
        assert client.rest().splitlines()[-1].startswith(b"221 ")
        assert len(server.messages) == 1


def test_pipelined_commands_of_one_session_keep_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Those of one batch are answered in one write, before anybody else gets a turn
    written: list[int] = []
    write = connection.Connection.write

    def counted(self: connection.Connection, data: bytes) -> bool:
        written.append(data.count(b"250 "))
        return write(self, data)

    monkeypatch.setattr(connection.Connection, "write", counted)
    with Server() as server, Client(server) as client:
        client.send("NOOP\r\n" * 1000 + "QUIT\r\n")
        assert client.rest().count(b"250 ") == 1000
    assert sum(written) == 1000
    assert max(written) <= 100


# ---- memory


@contextlib.contextmanager
def at_most(octets: int) -> Iterator[None]:
    """Never more than this in use at once, over what was in use before."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert used < octets


def test_an_endless_line(server: Server) -> None:
    piece = b"x" * 100_000
    with Client(server) as client, at_most(5 * MB):
        for _ in range(300):
            client.send(piece)
        assert client.say("").startswith("500 ")
        assert client.say("NOOP").startswith("250")
    assert "long-command" in {violation.code for violation in server.sessions[0].violations}


def test_an_endless_message() -> None:
    piece = b"x" * 998 + b"\r\n"
    with Server(max_size=100_000) as server, Client(server) as client, at_most(5 * MB):
        client.ehlo().begin()
        for _ in range(30):
            client.send(piece * 1000)
        assert client.say(".").startswith("552 ")
        assert client.deliver().startswith("250")
    assert [message.subject for message in server.messages] == ["hi"]


def test_an_endless_line_in_a_message() -> None:
    piece = b"x" * 1_000_000
    with Server(max_size=100_000) as server, Client(server) as client, at_most(8 * MB):
        client.ehlo().begin()
        for _ in range(30):
            client.send(piece)
        assert client.say("\r\n.").startswith("552 ")


def test_endless_chunks() -> None:
    with Server(max_size=100_000) as server, Client(server) as client, at_most(8 * MB):
        client.ehlo()
        client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 30000000 LAST\r\n")
        for _ in range(30):
            client.send(b"x" * 1_000_000)
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "552"]


@pytest.mark.parametrize(
    "commands", [b"NOOP\r\n", b"HELP\r\n", b"NOOP\r\nHELP\r\n", b"nonsense\r\n"]
)
def test_endless_pipelining_of_a_client_that_does_not_read(server: Server, commands: bytes) -> None:
    with Client(server, receive_buffer=4096) as client, at_most(8 * MB):
        client.ehlo()
        client.socket.settimeout(0.3)  # the server has to stop reading at some time
        with pytest.raises(TimeoutError):  # noqa: PT012
            for _ in range(200 * MB // 60_000):
                client.send(commands * (60_000 // len(commands)))
        client.socket.settimeout(LIMIT)
        assert not server.sessions[0].wait_closed(0)


def test_pipelining_behind_a_fault_that_holds() -> None:
    hold = Hold(on="noop", times=1)
    with Server(faults=[hold]) as server, Client(server) as client, at_most(8 * MB):
        client.ehlo()
        client.send("NOOP\r\n")
        assert hold.wait_reached(LIMIT)
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):  # noqa: PT012
            for _ in range(3000):
                client.send(b"RSET\r\n" * 10_000)
        client.socket.settimeout(LIMIT)
        hold.release()
        assert client.reply().startswith("250")


def test_many_sessions_one_after_the_other_leave_no_more_than_their_records(
    server: Server,
) -> None:
    def visit() -> None:
        for _ in range(50):
            with Client(server) as client:
                client.ehlo().quit()
        for session in server.sessions:
            assert session.wait_closed(LIMIT)
        server.clear()

    visit()
    with at_most(3 * MB):
        for _ in range(4):
            visit()


def test_an_error_of_ours_is_421_to_the_client_and_raised_at_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(judge: Judge, event: object) -> None:
        raise ZeroDivisionError("a bug")

    server = Server().start()
    with Client(server) as client:
        monkeypatch.setattr(Judge, "refusal", fails)
        reply = client.say("EHLO me")
        assert reply.startswith("421 ")
        assert "bug" not in reply
        assert client.reply() == ""
    assert server.sessions[0].wait_closed(LIMIT)
    assert server.sessions[0].ended_by == "server"
    assert not server.sessions[0].violations
    with pytest.raises(ZeroDivisionError, match="a bug"):
        server.stop()


def test_what_was_sent_in_an_earlier_test_is_a_stray_however_late_it_is_carried_out() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def validate(address: str) -> None:
        if address == "slow@example.com":
            entered.set()
            go_on.wait(LIMIT)

    with leased(validate_sender=validate) as lease, Client(lease.server) as client:
        client.ehlo()
        client.send(
            "MAIL FROM:<slow@example.com>\r\nRSET\r\n"
            "MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\n"
        )
        assert entered.wait(LIMIT)  # all that was sent is there: it came at once
        record = lease.server.sessions[0]
        lease.end()
        lease.begin(lease.options, "the next test")
        client.send("DATA\r\n")
        go_on.set()
        assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "250", "250", "354"]
        assert client.say(TEXT + ".").startswith("250")
        assert not lease.server.messages
        assert [message.sender for message in lease.server.strays] == ["ann@example.com"]
        assert client.say("NOOP").startswith("250")
        assert record.wait_closed(LIMIT)
        assert len(lease.server.sessions) == 1
        assert lease.server.sessions[0] is not record


# ---- silence


def test_silence_is_ended_with_421() -> None:
    with Server(timeout=0.1) as server, Client(server) as client:
        assert client.reply().startswith("421 ")
        assert client.reply() == ""
        assert server.sessions[0].wait_closed(LIMIT)
        assert server.sessions[0].ended_by == "timeout"


def test_a_shorter_time_out_counts_for_a_client_that_comes_then() -> None:
    with Server(timeout=300) as server:
        with Client(server) as first:
            first.ehlo().quit()
        server.configure(timeout=0.1)
        with Client(server) as second:
            assert second.reply().startswith("421 ")


def test_octets_of_a_command_do_not_end_the_silence() -> None:
    with Server(timeout=0.5) as server, Client(server) as client:
        deadline = time.monotonic() + LIMIT
        while not select.select([client.socket], [], [], 0.02)[0]:
            assert time.monotonic() < deadline
            client.send("N")
        assert client.reply().startswith("421 ")
        assert client.reply() == ""
    assert server.sessions[0].ended_by == "timeout"


def test_silence_that_is_ours_is_none_of_the_client() -> None:
    def slow(address: str) -> None:
        server.configure(timeout=0.1)  # only now, as the client must not be silent so long
        with Client(server) as other:  # whose octets let the server look who is silent
            assert other.rest().startswith(b"421 ")
        server.configure(timeout=None)

    with Server(validate_sender=slow) as server, Client(server) as client:
        client.ehlo()
        assert client.say("MAIL FROM:<ann@example.com>").startswith("250")


# ---- frozen time


async def _pause(address: str) -> None:
    import asyncio

    await asyncio.sleep(0.01)


def test_frozen_time_stops_nothing() -> None:
    with freezegun.freeze_time("2001-02-03 04:05:06"):
        faults = [Delay(0.01, on="data"), Hold(on="quit")]
        with Server(validate_sender=_pause, faults=faults) as server:
            with smtplib.SMTP(server.host, server.port, "client.example", LIMIT) as client:
                client.sendmail("ann@example.com", ["bob@example.net"], TEXT)
                faults[1].release()
            server.configure(timeout=0.1)
            with Client(server) as idle:  # a time-out comes all the same
                assert idle.reply().startswith("421 ")
            (message,) = server.messages
            assert message.received_at == datetime.datetime.now(datetime.UTC)
            assert server.messages.wait(timeout=1.0) == [message]
            with pytest.raises(AssertionError):
                server.messages.wait(2, timeout=0.01)
            last = Client(server)
        last.close()
    assert server.stopped.is_set()


def test_the_clock_of_a_session_is_real_while_time_is_frozen() -> None:
    with freezegun.freeze_time("2001-02-03") as frozen, Server() as server:
        with Client(server) as client:
            client.ehlo()
            frozen.tick(3600)
            client.say("NOOP")
        times = [exchange.at for exchange in server.sessions[0].exchanges]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < 600


# ---- many at once


def test_clients_in_many_threads_lose_nothing(server: Server) -> None:
    def send(number: int) -> None:
        with Client(server) as client:
            client.ehlo()
            for each in range(20):
                assert client.deliver(f"Subject: {number}-{each}\r\n\r\n").startswith("250")

    with contextlib.ExitStack() as stack:
        for number in range(8):
            stack.enter_context(in_thread(lambda number=number: send(number)))
    subjects = [message.subject for message in server.messages]
    assert sorted(subjects) == sorted(f"{n}-{each}" for n in range(8) for each in range(20))
    assert len({message.id for message in server.messages}) == 160
    assert all(isinstance(message, Message) for message in server.messages)
