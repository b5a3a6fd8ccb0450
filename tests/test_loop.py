"""The loop of a server's thread: what it calls, in what order, and what it survives."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator

import pytest

from client import LIMIT
from pytest_smtpd.clock import monotonic
from pytest_smtpd.serving.loop import Loop


class Ours:
    """A loop, what it reports, and a connection whose one end it watches."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.loop = Loop(self.errors.append)
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.called: list[str] = []

    def note(self, what: str) -> None:
        self.called.append(what)

    def close(self) -> None:
        self.loop.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def ours() -> Iterator[Ours]:
    ours = Ours()
    try:
        yield ours
    finally:
        ours.close()


def test_a_reader_is_called_while_there_is_something_to_read(ours: Ours) -> None:
    ours.loop.add_reader(ours.near.fileno(), lambda: ours.note("read"))
    ours.loop.turn(0)
    assert ours.called == []
    ours.far.send(b"x")
    ours.loop.turn(LIMIT)
    ours.loop.turn(LIMIT)
    assert ours.called == ["read", "read"]
    ours.loop.remove_reader(ours.near.fileno())
    ours.loop.remove_reader(ours.near.fileno())
    ours.loop.turn(0)
    assert ours.called == ["read", "read"]


def test_a_reader_and_a_writer_of_one_socket_come_and_go_on_their_own(ours: Ours) -> None:
    number = ours.near.fileno()
    ours.far.send(b"x")
    ours.loop.add_reader(number, lambda: ours.note("read"))
    ours.loop.add_writer(number, lambda: ours.note("write"))
    ours.loop.turn(LIMIT)
    assert ours.called == ["read", "write"]
    ours.loop.remove_writer(number)
    ours.loop.turn(LIMIT)
    assert ours.called == ["read", "write", "read"]
    ours.loop.add_writer(number, lambda: ours.note("write"))
    ours.loop.remove_reader(number)
    ours.loop.turn(LIMIT)
    assert ours.called == ["read", "write", "read", "write"]


def test_what_a_reader_removes_is_not_called_in_the_same_turn(ours: Ours) -> None:
    number = ours.near.fileno()
    ours.far.send(b"x")
    ours.loop.add_reader(number, lambda: ours.loop.remove_writer(number))
    ours.loop.add_writer(number, lambda: ours.note("write"))
    ours.loop.turn(LIMIT)
    assert ours.called == []


def test_timers_come_in_the_order_of_their_times_and_not_if_cancelled(ours: Ours) -> None:
    for seconds in (0.002, 0.001, 0.0, 0.0):
        ours.loop.call_later(seconds, ours.note, f"{seconds}")
    ours.loop.call_later(0.0, ours.note, "cancelled").cancel()
    end = monotonic() + LIMIT
    while len(ours.called) < 4 and monotonic() < end:
        ours.loop.turn(LIMIT)
    assert ours.called == ["0.0", "0.0", "0.001", "0.002"]


def test_a_timer_that_is_far_away_is_no_error(ours: Ours) -> None:
    ours.loop.call_later(1e12, ours.note, "never")
    ours.loop.call_soon(ours.note, "now")
    ours.loop.turn()
    assert ours.called == ["now"]


def test_a_call_that_asks_for_another_lets_the_turn_end(ours: Ours) -> None:
    def again() -> None:
        ours.note("again")
        ours.loop.call_soon(again)

    ours.loop.call_soon(again)
    ours.loop.turn()
    ours.loop.turn()
    assert ours.called == ["again", "again"]


def test_a_call_from_another_thread_ends_the_wait(ours: Ours) -> None:
    thread = threading.Thread(target=ours.loop.call_soon_threadsafe, args=(ours.note, "came"))
    thread.start()
    end = monotonic() + LIMIT
    while not ours.called and monotonic() < end:
        ours.loop.turn(LIMIT)
    thread.join()
    assert ours.called == ["came"]
    assert monotonic() < end


def test_many_wakes_before_a_turn_are_one(ours: Ours) -> None:
    for _ in range(100_000):  # more than the socket holds
        ours.loop.wake()
    ours.loop.turn(LIMIT)
    assert ours.errors == []


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_an_exception_of_a_call_is_reported_and_the_loop_goes_on(
    ours: Ours, error: type[BaseException]
) -> None:
    def fails() -> None:
        raise error

    ours.loop.call_soon(fails)
    ours.loop.call_later(0.0, fails)
    ours.far.send(b"x")
    ours.loop.add_reader(ours.near.fileno(), fails)
    ours.loop.call_soon(ours.note, "after")
    ours.loop.turn()
    assert [type(each) for each in ours.errors] == [error] * 3
    assert ours.called == ["after"]


def test_a_close_makes_the_calls_that_are_due_and_then_refuses() -> None:
    ours = Ours()
    ours.loop.call_soon_threadsafe(ours.note, "due")
    ours.close()
    assert ours.called == ["due"]
    with pytest.raises(RuntimeError, match="closed"):
        ours.loop.call_soon_threadsafe(ours.note, "late")
    ours.loop.wake()  # no error either


def test_without_a_selector_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", fails)
    with pytest.raises(OSError, match="Too many"):
        Loop(print)  # a socket left open would be a ResourceWarning, which is an error
