"""Waiting for messages: a store that wakes its listeners, a watch that stops a thread or a task.

Rule: nobody polls, a watch looks at each message once, in the waiter's thread and outside the lock,
and time is the real one, also where a test has frozen it.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from ..clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..message.message import Message

__all__ = ["Store", "Watch"]


class Store:
    """Messages in the order they came, and who wants to know of new ones.

    Each message has a number that no later one gets: `start` is that of `messages[0]`, and grows by
    what is removed. `messages` may be read without the lock, as one operation on a list is atomic.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.start = 0
        self._lock = threading.Lock()
        # Replaced, never changed: add() may go over it outside the lock.
        self._listeners: tuple[Callable[[], None], ...] = ()

    def add(self, message: Message) -> None:
        with self._lock:
            self.messages.append(message)
            listeners = self._listeners
        for listener in listeners:
            listener()

    def clear(self) -> list[Message]:
        """Remove all messages and return them."""
        with self._lock:
            removed = self.messages
            self.messages = []
            self.start += len(removed)
        return removed

    def end(self) -> int:
        """The number that the next message will get."""
        with self._lock:
            return self.start + len(self.messages)

    def since(self, number: int) -> tuple[int, list[Message]]:
        """`start`, and the messages that are there from this number on."""
        with self._lock:
            return self.start, self.messages[max(0, number - self.start) :]

    def until(self, number: int) -> tuple[int, list[Message]]:
        """`start`, and the messages that are there before this number."""
        with self._lock:
            return self.start, self.messages[: max(0, number - self.start)]

    @contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener`, from the thread that adds, after each message that comes."""
        with self._lock:
            self._listeners += (listener,)
        try:
            yield
        finally:
            with self._lock:
                # A new bound method is made at each access, so == and not `is`.
                kept = list(self._listeners)
                kept.remove(listener)
                self._listeners = tuple(kept)


class Watch:
    """Collects the matches from message number `since` on; what is cleared no longer counts."""

    def __init__(
        self, store: Store, matches: Callable[[Message], bool], count: int, since: int = 0
    ) -> None:
        self.matched: list[Message] = []
        self._store = store
        self._matches = matches
        self._count = count
        self._next = since
        self._start = 0

    def look(self) -> bool:
        """Look at what is new; whether there are enough now."""
        __tracebackhide__ = True
        start, new = self._store.since(self._next)
        if start != self._start:
            self._start = start
            self.matched = []
        self._next = max(self._next, start) + len(new)
        self.matched += filter(self._matches, new)
        return len(self.matched) >= self._count

    def seen(self, since: int = 0) -> tuple[list[Message], int]:
        """The messages up to the last that was looked at, and how many are from before `since`."""
        start, messages = self._store.until(self._next)
        return messages, min(max(0, since - start), len(messages))

    def block(self, timeout: float, advice: str) -> bool:
        """Wait until there are enough, at most `timeout` seconds; whether there are.

        Raises `RuntimeError` with `advice` where waiting would stop a running event loop.
        """
        __tracebackhide__ = True
        if self.look():
            return True
        if timeout <= 0:
            return False
        if (library := _stopped_by_blocking()) is not None:
            raise RuntimeError(f"this would block the running {library} event loop; {advice}")
        event = threading.Event()
        deadline = monotonic() + timeout
        with self._store.listening(event.set):
            while True:
                event.clear()
                remaining = deadline - monotonic()
                if self.look():
                    return True
                if remaining <= 0:
                    return False
                event.wait(min(remaining, threading.TIMEOUT_MAX))

    async def suspend(self, timeout: float) -> bool:
        """Wait as `block` does, in a task of asyncio or trio. Cancelling it leaves nothing behind.

        Raises `RuntimeError` where it would have to wait and neither is running.
        """
        __tracebackhide__ = True
        signal = _signal()
        if signal is not None:
            await signal.checkpoint()
        if self.look():
            return True
        if timeout <= 0:
            return False
        if signal is None:
            raise RuntimeError(
                "no asyncio or trio event loop is running here: use wait(), assert_none() or 'with'"
            )
        with self._store.listening(signal.set), _Alarm(timeout, signal.set) as alarm:
            while True:
                signal.clear()
                expired = alarm.rung
                if self.look():
                    return True
                if expired:
                    return False
                await signal.wait()


class _Alarm:
    """Calls `ring` after so many real seconds, from a thread that ends with the `with` block.

    The clocks of asyncio and trio stand still when a test freezes time.
    """

    def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
        self.rung = False
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._ring = ring
        self._off = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pytest_smtpd alarm", daemon=True)

    def _run(self) -> None:
        if not self._off.wait(self._seconds):
            self.rung = True
            self._ring()

    def __enter__(self) -> _Alarm:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._off.set()
        self._thread.join()


# ---- event loops: neither library is imported here, only found where the test already runs it


class _Signal(Protocol):
    def clear(self) -> None: ...
    def set(self) -> None:
        """Wake the task, from any thread; when its loop is gone there is nobody to wake."""

    async def wait(self) -> None: ...
    async def checkpoint(self) -> None: ...


class _AsyncioSignal:
    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self.clear()

    def clear(self) -> None:
        # A loop that is behind gets one callback, not one for each message.
        self._sent = False
        self._future = self._loop.create_future()

    def set(self) -> None:
        if not self._sent:
            self._sent = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future

    async def checkpoint(self) -> None:
        pass


class _TrioSignal:
    def __init__(self, trio: Any, token: Any) -> None:
        self._trio = trio
        self._token = token
        self.clear()

    def clear(self) -> None:
        self._sent = False
        self._event = self._trio.Event()

    def set(self) -> None:
        if not self._sent:
            self._sent = True
            with suppress(RuntimeError):
                self._token.run_sync_soon(self._resolve)

    def _resolve(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    async def checkpoint(self) -> None:
        # trio's rule: an async function that returns normally is always a checkpoint.
        await self._trio.lowlevel.checkpoint()


def _signal() -> _Signal | None:
    # Either module may be half imported by another thread: then nothing runs on it here yet.
    with suppress(AttributeError, RuntimeError):
        trio: Any = sys.modules.get("trio")
        return _TrioSignal(trio, trio.lowlevel.current_trio_token())
    with suppress(AttributeError, RuntimeError):
        asyncio: Any = sys.modules.get("asyncio")
        return _AsyncioSignal(asyncio.get_running_loop())
    return None


def _stopped_by_blocking() -> str | None:
    """The library whose event loop this thread runs and would stop by blocking."""
    signal = _signal()
    if signal is None:
        return None
    if isinstance(signal, _TrioSignal):
        return "trio"
    # Playwright's sync API keeps a loop "running" in another greenlet of this thread, which has
    # nothing to do while the test blocks. A test that is code of the loop is in one of its tasks.
    if "greenlet" in sys.modules and sys.modules["asyncio"].current_task() is None:
        return None
    return "asyncio"
