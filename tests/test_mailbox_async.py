"""The mailbox in tests of asyncio and trio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import freezegun
import pytest
import trio
import trio.testing

from make_mail import StoredMailbox, make_message
from pytest_smtpd.clock import monotonic
from pytest_smtpd.mailbox.mailbox import Mailbox

FOREVER = 60.0

Main = Callable[[], Awaitable[Any]]


def run_asyncio(main: Main) -> Any:
    async def run() -> Any:
        return await main()

    return asyncio.run(run())


@pytest.fixture(params=[run_asyncio, trio.run], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def mailbox() -> Iterator[StoredMailbox]:
    mailbox = StoredMailbox()
    yield mailbox
    assert mailbox.store.listeners == ()
    assert [thread for thread in threading.enumerate() if "smtpd" in thread.name] == []


class AddWhenAsked:
    """A `where` that matches every message. Its first call lets a thread add `later`."""

    def __init__(self, mailbox: StoredMailbox, *later: Any) -> None:
        self.asked: list[Any] = []
        self._mailbox = mailbox
        self._later = later
        self._go = threading.Event()
        self._thread = threading.Thread(target=self._add)
        self._thread.start()

    def __call__(self, message: Any) -> bool:
        self.asked.append(message)
        self._go.set()
        return True

    def _add(self) -> None:
        self._go.wait(10)
        for message in self._later:
            self._mailbox.store.add(message)

    def join(self) -> None:
        self._thread.join()


def test_mail_already_there(mailbox: StoredMailbox, run: Any) -> None:
    message = make_message()
    mailbox.store.add(message)

    async def main() -> None:
        assert await mailbox.wait_async(timeout=FOREVER) == [message]
        async with mailbox.expect(timeout=FOREVER) as expected:
            mailbox.store.add(message)
        assert expected.messages == [message]
        await mailbox.assert_none_async(subject="other")
        with pytest.raises(AssertionError, match="2 messages; expected none"):
            await mailbox.assert_none_async(FOREVER)

    run(main)


def test_mail_that_comes(mailbox: StoredMailbox, run: Any) -> None:
    messages = [make_message(str(number)) for number in range(20)]
    mailbox.store.add(messages[0])
    add = AddWhenAsked(mailbox, *messages[1:])

    async def main() -> Any:
        return await mailbox.wait_async(20, timeout=FOREVER, where=add)

    assert run(main) == messages
    assert add.asked == messages
    add.join()


def test_expect(mailbox: StoredMailbox, run: Any) -> None:
    mailbox.store.add(make_message("before"))
    inside, later = make_message("inside"), make_message("later")
    add = AddWhenAsked(mailbox, later)

    async def main() -> Any:
        async with mailbox.expect(2, timeout=FOREVER, where=add) as expected:
            mailbox.store.add(inside)
        return expected.messages

    assert run(main) == [inside, later]
    add.join()


def test_assert_none_fails_when_something_comes(mailbox: StoredMailbox, run: Any) -> None:
    mailbox.store.add(make_message("other"))
    add = AddWhenAsked(mailbox, make_message("wrong"))

    async def main() -> None:
        await mailbox.assert_none_async(
            FOREVER, where=lambda message: add(message) and message.subject == "wrong"
        )

    with pytest.raises(AssertionError, match=r"1 message matches .* expected none within 60 s"):
        run(main)
    add.join()


def test_a_time_out_where_a_test_forbids_threads(
    mailbox: StoredMailbox, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread"))
        with pytest.raises(AssertionError, match=r"waited 0\.01 s"):
            await mailbox.wait_async(timeout=0.01)
        monkeypatch.undo()

    run(main)


def test_time_out(mailbox: StoredMailbox, run: Any) -> None:
    async def main() -> None:
        started = monotonic()
        with pytest.raises(
            AssertionError, match=r"0 messages; expected at least 1, waited 0\.01 s"
        ):
            await mailbox.wait_async(timeout=0.01)
        with pytest.raises(AssertionError, match=r"waited 0\.01 s"):
            async with mailbox.expect(timeout=0.01):
                pass
        await mailbox.assert_none_async(0.01)
        assert 0.03 <= monotonic() - started < 2
        with pytest.raises(AssertionError, match="waited 0 s"):
            await mailbox.wait_async(timeout=0)

    run(main)


def test_frozen_time_stops_nothing(mailbox: StoredMailbox, run: Any) -> None:
    mailbox.store.add(make_message())
    add = AddWhenAsked(mailbox, make_message())

    async def main() -> None:
        with pytest.raises(AssertionError, match=r"waited 0\.01 s"):
            await mailbox.wait_async(2, timeout=0.01)
        assert len(await mailbox.wait_async(2, timeout=FOREVER, where=add)) == 2

    with freezegun.freeze_time("2001-01-01"):
        run(main)
    add.join()


def test_trio_mock_clock_does_not_end_a_wait(mailbox: StoredMailbox) -> None:
    mailbox.store.add(make_message())
    add = AddWhenAsked(mailbox, make_message())

    async def main() -> None:
        assert len(await mailbox.wait_async(2, timeout=FOREVER, where=add)) == 2

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    add.join()


def test_leaving_expect_with_an_exception_does_not_wait(mailbox: StoredMailbox, run: Any) -> None:
    async def main() -> None:
        async with mailbox.expect(timeout=FOREVER):
            raise KeyError

    started = monotonic()
    with pytest.raises(KeyError):
        run(main)
    assert monotonic() - started < 2


def test_what_a_where_raises_comes_through(mailbox: StoredMailbox, run: Any) -> None:
    async def main() -> None:
        await mailbox.wait_async(where=lambda message: 1 / 0)

    mailbox.store.add(make_message())
    with pytest.raises(ZeroDivisionError):
        run(main)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"count": -1}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"tow": "ann@*"}, TypeError),
    ],
)
def test_bad_arguments(
    mailbox: StoredMailbox, run: Any, arguments: dict[str, Any], error: type[Exception]
) -> None:
    async def main() -> None:
        await mailbox.wait_async(**arguments)

    with pytest.raises(error):
        run(main)


@pytest.mark.parametrize("call", [Mailbox.wait_async, Mailbox.assert_none_async])
def test_a_positional_criterion_says_how_to_give_it(
    mailbox: StoredMailbox, run: Any, call: Any
) -> None:
    async def main() -> None:
        await call(mailbox, "bob@*")

    hint = f"criteria are given by keyword: {call.__name__}(to='bob@*')"
    with pytest.raises(TypeError) as caught:
        run(main)
    assert str(caught.value).endswith(f", not 'bob@*'; {hint}")


# --- cancelling --------------------------------------------------------------------------------


def test_cancelling_in_asyncio(mailbox: StoredMailbox) -> None:
    async def main() -> None:
        waiting = [
            asyncio.create_task(mailbox.wait_async(timeout=FOREVER)),
            asyncio.create_task(mailbox.assert_none_async(FOREVER)),
        ]
        while len(mailbox.store.listeners) < 2:
            await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        for task in waiting:
            with pytest.raises(asyncio.CancelledError):
                await task
        assert mailbox.store.listeners == ()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await mailbox.wait_async(timeout=FOREVER)

    asyncio.run(main())


def test_cancelling_in_trio(mailbox: StoredMailbox) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.wait_async)
            nursery.start_soon(mailbox.assert_none_async, FOREVER)
            await trio.testing.wait_all_tasks_blocked()
            assert len(mailbox.store.listeners) == 2
            nursery.cancel_scope.cancel()
        with trio.move_on_after(0.01) as scope:
            await mailbox.wait_async(timeout=FOREVER)
        assert scope.cancelled_caught

    trio.run(main)


def test_waiting_is_a_checkpoint_in_trio(mailbox: StoredMailbox) -> None:
    async def main() -> None:
        mailbox.store.add(make_message())
        with trio.testing.assert_checkpoints():
            await mailbox.wait_async()

    trio.run(main)


def test_mail_for_a_loop_that_is_gone(mailbox: StoredMailbox) -> None:
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(mailbox.wait_async(timeout=FOREVER))
    loop.call_soon(loop.stop)
    loop.run_forever()
    waiting.cancel()
    mailbox.store.add(make_message())
    loop.run_until_complete(asyncio.wait([waiting]))
    loop.close()
    mailbox.store.add(make_message())

    coroutine = mailbox.wait_async(3, timeout=FOREVER)
    loop = asyncio.new_event_loop()

    async def start() -> None:
        coroutine.send(None)

    loop.run_until_complete(start())
    loop.close()
    mailbox.store.add(make_message())
    coroutine.close()


# --- the wrong twin ----------------------------------------------------------------------------


def test_blocking_an_event_loop_is_an_error(
    mailbox: StoredMailbox, run: Any, request: pytest.FixtureRequest
) -> None:
    library = "trio" if run is trio.run else "asyncio"

    def error_of(call: Any) -> str:
        with pytest.raises(RuntimeError) as caught:
            call()
        return str(caught.value)

    def expect() -> None:
        with mailbox.expect():
            pass

    async def main() -> None:
        blocks = f"this would block the running {library} event loop; "
        assert error_of(mailbox.wait) == blocks + "use 'await mailbox.wait_async(...)'"
        assert error_of(expect) == blocks + "use 'async with mailbox.expect(...)'"
        assert error_of(lambda: mailbox.assert_none(1)) == (
            blocks + "use 'await mailbox.assert_none_async(...)'"
        )

    run(main)


def test_what_does_not_block_is_fine_in_an_event_loop(mailbox: StoredMailbox, run: Any) -> None:
    async def main() -> None:
        mailbox.assert_none()
        with pytest.raises(AssertionError):
            mailbox.wait(timeout=0)
        with mailbox.expect() as expected:
            mailbox.store.add(make_message())
        assert mailbox.wait() == expected.messages == [mailbox.one()]
        with pytest.raises(AssertionError):
            mailbox.assert_none(FOREVER)

    run(main)


def test_a_worker_thread_may_block(mailbox: StoredMailbox, run: Any) -> None:
    mailbox.store.add(make_message())
    add = AddWhenAsked(mailbox, make_message())

    def wait() -> list[Any]:
        return mailbox.wait(2, timeout=FOREVER, where=add)

    async def main() -> None:
        to_thread: Any = trio.to_thread.run_sync if run is trio.run else asyncio.to_thread
        assert len(await to_thread(wait)) == 2

    run(main)
    add.join()


def test_a_loop_in_another_greenlet_is_not_blocked(mailbox: StoredMailbox) -> None:
    """Playwright's sync API: mail tests often use pytest-playwright."""
    greenlet = pytest.importorskip("greenlet")
    test = greenlet.getcurrent()
    mailbox.store.add(make_message())
    add = AddWhenAsked(mailbox, make_message())

    async def main() -> None:
        with pytest.raises(RuntimeError):
            mailbox.wait(2)
        asyncio.get_running_loop().call_soon(test.switch)
        while not add.asked:
            await asyncio.sleep(0)

    loop = greenlet.greenlet(lambda: asyncio.run(main()))
    loop.switch()
    assert asyncio.get_running_loop()
    assert len(mailbox.wait(2, timeout=FOREVER, where=add)) == 2
    loop.switch()
    add.join()


def test_without_an_event_loop_there_is_nothing_to_await(mailbox: StoredMailbox) -> None:
    with pytest.raises(RuntimeError, match="no asyncio or trio event loop is running here"):
        mailbox.wait_async().send(None)  # type: ignore[attr-defined]
