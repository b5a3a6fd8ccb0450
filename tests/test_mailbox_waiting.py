"""Waiting in a thread: wait(), expect() and assert_none().

A `where` that notes what it was asked tells these tests how far the waiting one is, so that none
has to sleep.
"""

from __future__ import annotations

import math
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import freezegun
import pytest

from make_mail import StoredMailbox, make_message
from pytest_smtpd.clock import monotonic
from pytest_smtpd.mailbox.mailbox import Mailbox

FOREVER = 60.0


class Asked(queue.SimpleQueue[str]):
    """A `where` that matches every message and queues their subjects."""

    def __call__(self, message: Any) -> bool:
        self.put(message.subject)
        return True


class Waiting:
    """A call that runs in another thread."""

    def __init__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._outcome: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(call, args, kwargs), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            self._outcome.put((call(*args, **kwargs), None))
        except BaseException as error:
            self._outcome.put((None, error))

    def is_over(self) -> bool:
        return not self._outcome.empty()

    def result(self) -> Any:
        value, error = self._outcome.get(timeout=10)
        self._thread.join()
        if error is not None:
            raise error
        return value


@contextmanager
def at_once() -> Iterator[None]:
    started = monotonic()
    yield
    assert monotonic() - started < 2


@pytest.fixture
def mailbox() -> Iterator[StoredMailbox]:
    mailbox = StoredMailbox()
    yield mailbox
    assert mailbox.store.listeners == ()


def subjects(messages: list[Any]) -> list[str]:
    return [message.subject for message in messages]


# --- wait --------------------------------------------------------------------------------------


def test_mail_already_there_counts(mailbox: StoredMailbox) -> None:
    first, second = make_message("1"), make_message("2")
    mailbox.store.add(first)
    mailbox.store.add(second)
    with at_once():
        assert mailbox.wait(timeout=FOREVER) == [first, second]
        assert mailbox.wait(2, timeout=FOREVER) == [first, second]
        assert mailbox.wait(timeout=FOREVER, subject="2") == [second]
        assert mailbox.wait(timeout=0) == [first, second]
        assert mailbox.wait(0) == [first, second]
        assert mailbox.wait(0, subject="3") == []


def test_it_returns_all_matches_as_soon_as_they_are_there(mailbox: StoredMailbox) -> None:
    asked = Asked()
    mailbox.store.add(make_message("1"))
    waiting = Waiting(mailbox.wait, 3, timeout=FOREVER, to="ann@*", where=asked)
    with at_once():
        assert asked.get(timeout=10) == "1"
        mailbox.store.add(make_message("other", to="bob@example.com"))
        mailbox.store.add(make_message("2"))
        assert asked.get(timeout=10) == "2"
        assert not waiting.is_over()
        mailbox.store.add(make_message("3"))
        assert subjects(waiting.result()) == ["1", "2", "3"]


def test_each_message_is_looked_at_once(mailbox: StoredMailbox) -> None:
    asked = Asked()
    for number in range(50):
        mailbox.store.add(make_message(str(number), text=None))
    waiting = Waiting(mailbox.wait, 100, timeout=FOREVER, where=asked)
    seen = [asked.get(timeout=10)]
    for number in range(50, 100):
        mailbox.store.add(make_message(str(number), text=None))
    assert len(waiting.result()) == 100
    while not asked.empty():
        seen.append(asked.get())
    assert seen == [str(number) for number in range(100)]


def test_each_of_many_gets_its_own(mailbox: StoredMailbox) -> None:
    ready = threading.Barrier(21)

    def wait(name: str) -> list[str]:
        ready.wait()
        return subjects(mailbox.wait(2, timeout=FOREVER, to=f"{name}@example.com"))

    names = [f"user{number}" for number in range(20)]
    waiting = {name: Waiting(wait, name) for name in names}
    ready.wait()
    for half in "ab":
        for name in names:
            mailbox.store.add(make_message(f"{name}-{half}", to=f"{name}@example.com", text=None))
    for name in names:
        assert waiting[name].result() == [f"{name}-a", f"{name}-b"]


def test_many_threads_add_while_one_waits(mailbox: StoredMailbox) -> None:
    waiting = Waiting(mailbox.wait, 400, timeout=FOREVER)
    adding = [
        Waiting(lambda: [mailbox.store.add(make_message(text=None)) for _ in range(100)])
        for _ in range(4)
    ]
    assert len(waiting.result()) == 400
    for thread in adding:
        thread.result()


def test_what_is_cleared_no_longer_counts(mailbox: StoredMailbox) -> None:
    asked = Asked()
    waiting = Waiting(mailbox.wait, 2, timeout=FOREVER, where=asked)
    mailbox.store.add(make_message("1"))
    assert asked.get(timeout=10) == "1"
    mailbox.clear()
    mailbox.store.add(make_message("2"))
    assert asked.get(timeout=10) == "2"
    assert not waiting.is_over()
    mailbox.store.add(make_message("3"))
    assert subjects(waiting.result()) == ["2", "3"]


def test_what_is_taken_no_longer_counts(mailbox: StoredMailbox) -> None:
    asked = Asked()
    waiting = Waiting(mailbox.wait, 3, timeout=FOREVER, where=asked)
    for subject in ("1", "2"):
        mailbox.store.add(make_message(subject))
        assert asked.get(timeout=10) == subject
    assert subjects(mailbox.take(subject="1")) == ["1"]
    mailbox.store.add(make_message("3"))
    assert asked.get(timeout=10) == "3"
    assert not waiting.is_over()
    mailbox.store.add(make_message("4"))
    assert subjects(waiting.result()) == ["2", "3", "4"]
    assert asked.get(timeout=10) == "4"
    assert asked.empty()


def test_time_out(mailbox: StoredMailbox) -> None:
    started = monotonic()
    with pytest.raises(AssertionError, match=r"0 messages; expected at least 1, waited 0\.01 s"):
        mailbox.wait(timeout=0.01)
    assert 0.01 <= monotonic() - started < 2


def test_frozen_time_does_not_stop_the_time_out(mailbox: StoredMailbox) -> None:
    with freezegun.freeze_time("2001-01-01"):
        with pytest.raises(AssertionError, match=r"waited 0\.01 s"):
            mailbox.wait(timeout=0.01)
        mailbox.assert_none(within=0.01)
        asked = Asked()
        waiting = Waiting(mailbox.wait, 2, timeout=FOREVER, where=asked)
        mailbox.store.add(make_message("1"))
        asked.get(timeout=10)
        mailbox.store.add(make_message("2"))
        assert len(waiting.result()) == 2


def test_moved_time_does_not_end_a_wait(mailbox: StoredMailbox) -> None:
    with freezegun.freeze_time("2001-01-01") as frozen:
        asked = Asked()
        waiting = Waiting(mailbox.wait, 3, timeout=FOREVER, where=asked)
        mailbox.store.add(make_message("1"))
        asked.get(timeout=10)
        frozen.tick(1000)
        mailbox.store.add(make_message("2"))
        asked.get(timeout=10)
        assert not waiting.is_over()
        mailbox.store.add(make_message("3"))
        assert len(waiting.result()) == 3


def test_waiting_for_ever(mailbox: StoredMailbox) -> None:
    asked = Asked()
    waiting = Waiting(mailbox.wait, 2, timeout=math.inf, where=asked)
    mailbox.store.add(make_message())
    asked.get(timeout=10)
    mailbox.store.add(make_message())
    assert len(waiting.result()) == 2


def test_a_where_that_raises_while_waiting(mailbox: StoredMailbox) -> None:
    waiting = Waiting(mailbox.wait, timeout=FOREVER, where=lambda message: 1 / 0)
    mailbox.store.add(make_message())
    with pytest.raises(ZeroDivisionError):
        waiting.result()


def test_a_where_may_use_the_mailbox(mailbox: StoredMailbox) -> None:
    mailbox.store.add(make_message())
    assert mailbox.wait(where=lambda message: mailbox.wait(subject="Welcome")) == mailbox


@pytest.mark.parametrize("call", [Mailbox.wait, Mailbox.expect])
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"count": "ann@*"},
            TypeError,
            "count is a whole number of messages, not 'ann@*'; "
            "criteria are given by keyword: {call}(to='ann@*')",
        ),
        (
            {"count": True},
            TypeError,
            "count is a whole number of messages, not True; "
            "criteria are given by keyword: {call}(to='ann@*')",
        ),
        ({"count": -1}, ValueError, "count is a whole number of messages from 0 up, not -1"),
        ({"timeout": -1}, ValueError, "timeout is a number of seconds from 0 up, not -1"),
        ({"timeout": math.nan}, ValueError, "timeout is a number of seconds from 0 up, not nan"),
        ({"timeout": "5"}, TypeError, "timeout is a number of seconds, not '5'"),
        ({"timeout": None}, TypeError, "timeout is a number of seconds, not None"),
    ],
)
def test_bad_arguments(
    mailbox: StoredMailbox, call: Any, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        call(mailbox, **arguments)
    assert str(caught.value) == text.replace("{call}", call.__name__)


# --- expect ------------------------------------------------------------------------------------


def test_expect_counts_only_what_comes_after_it_was_entered(mailbox: StoredMailbox) -> None:
    mailbox.store.add(make_message("before"))
    expectation = mailbox.expect(timeout=0)
    mailbox.store.add(make_message("made, not entered"))
    with expectation as expected:
        assert expected.messages == []
        mailbox.store.add(make_message("inside"))
        assert subjects(expected.messages) == ["inside"]
    mailbox.store.add(make_message("after"))
    assert subjects(expected.messages) == ["inside"]


def test_leaving_expect_waits(mailbox: StoredMailbox) -> None:
    asked = Asked()

    def body() -> list[str]:
        with mailbox.expect(2, timeout=FOREVER, to="ann@*", where=asked) as expected:
            mailbox.store.add(make_message("1"))
        return subjects(expected.messages)

    waiting = Waiting(body)
    assert asked.get(timeout=10) == "1"
    mailbox.store.add(make_message("other", to="bob@example.com"))
    mailbox.store.add(make_message("2"))
    assert waiting.result() == ["1", "2"]


def test_leaving_expect_fails_after_its_time(mailbox: StoredMailbox) -> None:
    mailbox.store.add(make_message("before"))
    with (
        pytest.raises(AssertionError, match=r"0 messages; expected at least 1, waited 0\.01 s"),
        mailbox.expect(timeout=0.01),
    ):
        pass


def test_leaving_expect_with_an_exception_does_not_wait(mailbox: StoredMailbox) -> None:
    expected = mailbox.expect(timeout=FOREVER)

    def body() -> None:
        with expected:
            mailbox.store.add(make_message("1"))
            raise KeyError

    with at_once(), pytest.raises(KeyError):
        body()
    assert subjects(expected.messages) == ["1"]


def test_clear_inside_expect(mailbox: StoredMailbox) -> None:
    mailbox.store.add(make_message("before"))
    with mailbox.expect(2, timeout=0) as expected:
        mailbox.store.add(make_message("1"))
        assert subjects(expected.messages) == ["1"]
        mailbox.clear()
        assert expected.messages == []
        mailbox.store.add(make_message("2"))
        mailbox.store.add(make_message("3"))
    assert subjects(expected.messages) == ["2", "3"]


def test_take_inside_expect(mailbox: StoredMailbox) -> None:
    mailbox.store.add(make_message("before"))
    mailbox.store.add(make_message("also before"))
    with mailbox.expect(2, timeout=0) as expected:
        mailbox.store.add(make_message("1"))
        mailbox.store.add(make_message("2"))
        assert subjects(expected.messages) == ["1", "2"]
        mailbox.take(subject="*before")
        assert subjects(expected.messages) == ["1", "2"]
        mailbox.take(subject="1")
        assert subjects(expected.messages) == ["2"]
        mailbox.store.add(make_message("3"))
    assert subjects(expected.messages) == ["2", "3"]


def test_the_error_of_expect_does_not_count_taken_mail(mailbox: StoredMailbox) -> None:
    mailbox.store.add(make_message("before"))
    mailbox.store.add(make_message("also before"))
    expected = mailbox.expect(2, timeout=0).__enter__()
    mailbox.store.add(make_message("1"))
    mailbox.take(subject="before")
    with pytest.raises(AssertionError) as caught:
        expected.__exit__(None, None, None)
    assert str(caught.value).splitlines()[:2] == [
        "1 message; expected at least 2, waited 0 s",
        "messages holds 2 messages, the first 1 from before expect():",
    ]


def test_expect_must_be_entered(mailbox: StoredMailbox) -> None:
    with pytest.raises(RuntimeError, match=r"with mailbox\.expect\(\.\.\.\) as"):
        mailbox.expect().messages  # noqa: B018


def test_expect_may_be_entered_again(mailbox: StoredMailbox) -> None:
    expectation = mailbox.expect(timeout=0)
    for subject in ("1", "2"):
        with expectation:
            mailbox.store.add(make_message(subject))
        assert subjects(expectation.messages) == [subject]


# --- assert_none -------------------------------------------------------------------------------


def test_nothing_matches_now(mailbox: StoredMailbox) -> None:
    mailbox.assert_none()
    mailbox.store.add(make_message("1"))
    mailbox.assert_none(subject="2")
    with pytest.raises(AssertionError, match="1 message; expected none"):
        mailbox.assert_none()


def test_nothing_matches_for_a_while(mailbox: StoredMailbox) -> None:
    started = monotonic()
    mailbox.assert_none(0.01)
    assert 0.01 <= monotonic() - started < 2


def test_it_fails_as_soon_as_something_matches(mailbox: StoredMailbox) -> None:
    asked = Asked()
    mailbox.store.add(make_message("other", to="bob@example.com"))
    waiting = Waiting(
        mailbox.assert_none,
        FOREVER,
        where=lambda message: asked(message) and message.subject == "2",
    )
    assert asked.get(timeout=10) == "other"
    with at_once():
        mailbox.store.add(make_message("1"))
        assert asked.get(timeout=10) == "1"
        mailbox.store.add(make_message("2"))
        with pytest.raises(AssertionError, match=r"1 message matches .* expected none within 60 s"):
            waiting.result()


@pytest.mark.parametrize("within", [-1, math.nan])
def test_a_bad_while(mailbox: StoredMailbox, within: float) -> None:
    with pytest.raises(ValueError, match="within is a number of seconds from 0 up, not"):
        mailbox.assert_none(within)


def test_a_while_that_is_a_criterion(mailbox: StoredMailbox) -> None:
    with pytest.raises(TypeError) as caught:
        mailbox.assert_none("bob@*")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "within is a number of seconds, not 'bob@*'; "
        "criteria are given by keyword: assert_none(to='bob@*')"
    )


# --- what it costs -----------------------------------------------------------------------------


def test_it_imports_neither_an_event_loop_nor_email() -> None:
    program = """
import sys
from pytest_smtpd.mailbox.mailbox import Mailbox
from pytest_smtpd.mailbox.store import Store
mailbox = Mailbox(Store())
try:
    mailbox.wait(timeout=0.001, to="ann@*")
except AssertionError:
    pass
print(sorted({"asyncio", "trio", "email", "ssl", "pytest"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
