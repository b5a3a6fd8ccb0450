"""Runs the test's own code in daemon threads, never in the thread that serves the sessions.

So a slow callback stalls no other session, and a stuck callback no teardown.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING

from ..clock import monotonic
from ..originals import DaemonThread

if TYPE_CHECKING:
    from .coroutines import CoroutineThread

Done = Callable[[BaseException | None], None]


class Callbacks:
    """The threads of one server for its callbacks. They start when they are first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends = threading.Condition(self._lock)
        self.ended = 0  # calls that have ended
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._coroutines: CoroutineThread | None = None
        self._closed = False

    def run(self, call: Callable[[], object], done: Done) -> None:
        """Runs a call in another thread, which then calls `done` with the exception, if any."""
        with self._lock:
            if self._closed:
                return  # the server has ended
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
            if isinstance(result, GeneratorType | AsyncGeneratorType):
                raise TypeError("a callback with a yield in it does nothing: it must not have one")
            if isinstance(result, Awaitable):
                self._await(result, done)
                return
        except BaseException as error:
            done(error)
        else:
            done(None)

    def _await(self, awaitable: Awaitable[object], done: Done) -> None:
        from .coroutines import CoroutineThread, give_up

        with self._lock:
            closed = self._closed
            if not closed:
                self._coroutines = self._coroutines or CoroutineThread()
                self._coroutines.run(awaitable, done)
        if closed:
            give_up(awaitable, done)

    def _finished(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.tasks.put(None)

    @property
    def here(self) -> bool:
        """Whether the caller runs in one of these threads."""
        return any(thread.is_present for thread in self._threads())

    def _threads(self) -> list[DaemonThread]:
        threads = [worker.thread for worker in self._workers]
        return threads if self._coroutines is None else [*threads, self._coroutines.thread]

    def wait_for_end(self, ended: int, deadline: float) -> None:
        """Waits until more than `ended` calls have ended, until `deadline` on the real clock."""
        with self._lock:
            while self.ended == ended and (left := deadline - monotonic()) > 0:
                self._ends.wait(left)

    def close(self, deadline: float) -> None:
        """Ends the threads, and waits for those that can end, until `deadline` on the real clock.

        It may be called again to wait longer.
        """
        with self._lock:
            first, self._closed = not self._closed, True
            idle, self._idle = self._idle, []
            coroutines = self._coroutines
        for worker in idle:
            worker.tasks.put(None)
        if coroutines is not None and first:
            coroutines.stop()
        for thread in self._threads():
            thread.join(deadline - monotonic())


class _Worker:
    """A daemon thread that runs one call after another."""

    def __init__(self, finished: Callable[[_Worker], None]) -> None:
        self.tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._finished = finished
        self.thread = DaemonThread(self._work, "smtpd-callback")
        self.thread.start()

    def _work(self) -> None:
        while (task := self.tasks.get()) is not None:
            task()
            del task  # or the last call, and the test's objects in it, would live on
            self._finished(self)
