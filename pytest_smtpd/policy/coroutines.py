"""Runs callbacks that are coroutines, in an event loop in a daemon thread.

Only this module imports asyncio, and only a callback that returns an awaitable imports this module.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine

from ..clock import monotonic
from ..originals import DaemonThread

Done = Callable[[BaseException | None], None]

LAST_SECONDS = 1.0  # for cancelled coroutines to end


def give_up(awaitable: Awaitable[object], done: Done) -> None:
    """Ends an awaitable that never began."""
    if isinstance(awaitable, Coroutine):
        awaitable.close()  # or Python would warn that it was never awaited
    done(asyncio.CancelledError())


class CoroutineThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_debug(False)  # or it would log slow callbacks under -X dev
        self._loop.time = monotonic  # type: ignore[method-assign]  # frozen time stops no sleep
        self._tasks: set[asyncio.Task[None]] = set()
        self.thread = DaemonThread(self._run, "smtpd-callback-loop")
        self.thread.start()

    def run(self, awaitable: Awaitable[object], done: Done) -> None:
        """From any thread: awaits, then calls `done` with the exception, if any."""
        self._loop.call_soon_threadsafe(self._start, awaitable, done)

    def _start(self, awaitable: Awaitable[object], done: Done) -> None:
        task = self._loop.create_task(self._guard(awaitable, done))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._end(task, awaitable, done))

    def _end(self, task: asyncio.Task[None], awaitable: Awaitable[object], done: Done) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # before it began: `_guard` catches all exceptions
            give_up(awaitable, done)

    async def _guard(self, awaitable: Awaitable[object], done: Done) -> None:
        # KeyboardInterrupt and SystemExit would end the loop
        try:
            await awaitable
        except BaseException as error:
            done(error)
        else:
            done(None)

    def stop(self) -> None:
        """From any thread: cancels all coroutines and ends the thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_SECONDS))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
