"""Runs the test's own code: plain functions in daemon threads, coroutines in a loop of their own.

Never in the thread that serves the sessions: a slow callback stalls no other session, a stuck one
no teardown.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType

from ..clock import monotonic
from ..rejection import Reject
from ..smtp import replies
from ..smtp.replies import Reply
from .judge import RuleRaised, default_refusal

Done = Callable[[BaseException | None], None]


class CallbackWarning(UserWarning):
    """A callback raised something that is no `Reject`: most likely a bug in it.

    The client got the default refusal; the text has the traceback.
    """


@dataclass(frozen=True, slots=True)
class Raised:
    """What an exception out of a callback means for the client and for the test."""

    reply: Reply
    warning: CallbackWarning | None = None
    place: tuple[str, int] = ("", 0)  # of the code that it warns of
    outcome: BaseException | None = None  # ends the test


def interpret(
    error: BaseException, stage: str, subject: str, callback: str, *, late: bool = False
) -> Raised:
    """A `Reject` says its own; an assertion, `pytest.fail` or `pytest.skip` end the test.

    Of one that comes `late`, when another test has begun, that one is only warned.
    """
    if isinstance(error, RuleRaised) and error.__cause__ is not None:
        callback, error = str(error), error.__cause__
    if isinstance(error, Reject):
        if error.text is not None:
            return Raised(default_refusal(stage, subject, error.text))
        return Raised(error.reply or default_refusal(stage, subject))
    if isinstance(error, _outcomes()) and not late:
        return Raised(replies.CALLBACK_ENDED_TEST, outcome=error)
    begin = _of_the_test(error.__traceback__) or error.__traceback__
    text = "".join(traceback.format_exception(type(error), error, begin)).rstrip()
    what = f"smtpd callback {callback} raised {type(error).__name__}"
    if late:
        what += ", asked by a client of an earlier test"
    else:
        what += (
            "; the client was refused with the default reply; to refuse on purpose, raise Reject"
        )
    warning = CallbackWarning(f"{what}\n{text}")
    place = (begin.tb_frame.f_code.co_filename, begin.tb_lineno) if begin else ("", 0)
    return Raised(default_refusal(stage, subject), warning, place)


def _of_the_test(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from where the test's own code begins."""
    ours = f"{__package__.partition('.')[0]}."
    while frames and str(frames.tb_frame.f_globals.get("__name__")).startswith(ours):
        frames = frames.tb_next
    return frames


def _outcomes() -> tuple[type[BaseException], ...]:
    pytest = sys.modules.get("pytest")  # it is loaded where its outcomes can be raised
    if pytest is None:
        return (AssertionError,)
    return (AssertionError, pytest.fail.Exception, pytest.skip.Exception)


class Callbacks:
    """The threads of one server for its callbacks: started when first needed, kept, and ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends = threading.Condition(self._lock)
        self.ended = 0  # calls that have
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._loop: _LoopThread | None = None
        self._closed = False

    def run(self, call: Callable[[], object], done: Done) -> None:
        """Runs a call elsewhere; `done` is told of its end, in that thread."""
        with self._lock:
            if self._closed:
                return  # the server has ended: nobody waits
            if self._idle:
                worker = self._idle.pop()
            else:
                worker = _Worker(self._finished)
                self._workers.append(worker)

        def over(error: BaseException | None) -> None:
            done(error)
            with self._lock:
                self.ended += 1
                self._ends.notify_all()

        worker.tasks.put(lambda: self._call(call, over))

    def _call(self, call: Callable[[], object], done: Done) -> None:
        try:
            result = call()
            if inspect.isgenerator(result) or inspect.isasyncgen(result):
                raise TypeError("a callback with a yield in it does nothing: it must not have one")
            if inspect.isawaitable(result):
                self._await(result, done)
                return
        except BaseException as error:
            done(error)
        else:
            done(None)

    def _await(self, awaitable: Awaitable[object], done: Done) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                self._loop = self._loop or _LoopThread()
                self._loop.run(awaitable, done)
        if closed:
            _give_up(awaitable, done)

    def _finished(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.tasks.put(None)

    @property
    def here(self) -> bool:
        """Whether the present thread is one of these."""
        threads = [worker.thread for worker in self._workers]
        if self._loop is not None:
            threads.append(self._loop.thread)
        return threading.current_thread() in threads

    def wait_for_end(self, ended: int, deadline: float) -> None:
        """Waits until more calls than `ended` have, until `deadline` on the real clock."""
        with self._lock:
            while self.ended == ended and (left := deadline - monotonic()) > 0:
                self._ends.wait(left)

    def close(self, deadline: float) -> None:
        """Ends the threads; waits for those that can end until `deadline` on the real clock.

        Again and again if need be.
        """
        with self._lock:
            first, self._closed = not self._closed, True
            idle, self._idle = self._idle, []
            loop = self._loop
        for worker in idle:
            worker.tasks.put(None)
        threads = [worker.thread for worker in self._workers]
        if loop is not None:
            threads.append(loop.thread)
            if first:
                loop.stop()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - monotonic()))


def _give_up(awaitable: Awaitable[object], done: Done) -> None:
    if inspect.iscoroutine(awaitable):
        awaitable.close()  # or it would be warned of as never awaited
    done(asyncio.CancelledError())


class _Worker:
    """A daemon thread that runs one call after the other."""

    def __init__(self, finished: Callable[[_Worker], None]) -> None:
        self.tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._finished = finished
        self.thread = threading.Thread(target=self._work, name="smtpd-callback", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while (task := self.tasks.get()) is not None:
            task()
            del task  # or the last call, and the test's objects in it, would live on
            self._finished(self)


class _LoopThread:
    """An event loop in a daemon thread, for callbacks that are coroutines."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_debug(False)  # or slow callbacks would be logged under -X dev
        self._loop.time = monotonic  # type: ignore[method-assign]  # frozen time stops no sleep
        self._tasks: set[asyncio.Task[None]] = set()
        self.thread = threading.Thread(target=self._run, name="smtpd-callback-loop", daemon=True)
        self.thread.start()

    def run(self, awaitable: Awaitable[object], done: Done) -> None:
        self._loop.call_soon_threadsafe(self._start, awaitable, done)

    def _start(self, awaitable: Awaitable[object], done: Done) -> None:
        task = self._loop.create_task(self._guard(awaitable, done))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._end(task, awaitable, done))

    def _end(self, task: asyncio.Task[None], awaitable: Awaitable[object], done: Done) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # before it began: `_guard` lets nothing out
            _give_up(awaitable, done)

    async def _guard(self, awaitable: Awaitable[object], done: Done) -> None:
        # KeyboardInterrupt and SystemExit would end the loop: no exception gets out of here
        try:
            await awaitable
        except BaseException as error:
            done(error)
        else:
            done(None)

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has been stopped before
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
