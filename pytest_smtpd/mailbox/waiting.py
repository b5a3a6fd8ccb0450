"""Waiting for messages: a watch stops a thread or a task until enough messages match.

Rule: nothing polls. A watch looks at each message once, in the waiting thread and outside the lock.
Timeouts are in real time, also where a test has frozen it.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..message.message import Message
    from .matching import Matcher
    from .store import Store

_start_thread = threading.Thread.start  # taken at import: a test may patch it


class Watch:
    """Collects the matches from message number `since` on, without the removed ones."""

    def __init__(self, store: Store, matcher: Matcher, count: int, since: int = 0) -> None:
        self.matcher = matcher
        self.matched: list[Message] = []
        self._store = store
        self._count = count
        self._since = self._next = since
        self._messages = store.messages

    def look(self) -> bool:
        """Look at the new messages. True if enough match now."""
        __tracebackhide__ = True
        messages, new, self._next = self._store.news(self._next)
        if messages is not self._messages:  # some were removed
            self._messages = messages
            left = set(messages)
            self.matched = [message for message in self.matched if message in left]
        self.matched += filter(self.matcher, new)
        return len(self.matched) >= self._count

    def seen(self) -> tuple[list[Message], int]:
        """The messages up to the last one looked at, and how many came before `since`."""
        held = self._store.before(self._next)
        return held, min(len(self._store.before(self._since)), len(held))

    def block(self, timeout: float, advice: str) -> bool:
        """Wait at most `timeout` seconds until enough match. False if the time runs out first.

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

        Raises `RuntimeError` if it has to wait and neither library is running.
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
        with self._store.listening(signal.set), _alarm(timeout, signal.set) as rung:
            while True:
                signal.clear()
                expired = rung.is_set()
                if self.look():
                    return True
                if expired:
                    return False
                await signal.wait()


@contextmanager
def _alarm(seconds: float, ring: Callable[[], None]) -> Iterator[threading.Event]:
    """Sets the event, then calls `ring`, after `seconds` of real time, from a separate thread.

    A timeout of asyncio or trio would never come when a test freezes time.
    """
    rung, off = threading.Event(), threading.Event()

    def run() -> None:
        if not off.wait(min(seconds, threading.TIMEOUT_MAX)):
            rung.set()
            ring()

    thread = threading.Thread(target=run, name="pytest_smtpd alarm", daemon=True)
    _start_thread(thread)
    try:
        yield rung
    finally:
        off.set()
        thread.join()


# ---- event loops: nothing is imported here; a library that runs is in sys.modules already


class _Signal:
    """Wakes a waiting task of asyncio or trio, from any thread."""

    def __init__(self, library: Any, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.name: str = library.__name__
        self._library = library
        self._call_soon = call_soon
        self.clear()

    def clear(self) -> None:
        # In this order: set() may run between the two lines.
        self._event = self._library.Event()
        self._sent = False

    def set(self) -> None:
        # A busy loop gets one callback, not one for each message.
        if not self._sent:
            self._sent = True
            with suppress(RuntimeError):  # the loop is closed
                self._call_soon(lambda: self._event.set())  # clear() may replace it first

    async def wait(self) -> None:
        await self._event.wait()

    async def checkpoint(self) -> None:
        # trio's rule: an async function that returns normally is always a checkpoint.
        if self.name == "trio":
            await self._library.lowlevel.checkpoint()


def _signal() -> _Signal | None:
    # Another thread may be importing the module: then it runs nothing in this thread yet.
    with suppress(AttributeError, RuntimeError):
        trio: Any = sys.modules.get("trio")
        return _Signal(trio, trio.lowlevel.current_trio_token().run_sync_soon)
    with suppress(AttributeError, RuntimeError):
        asyncio: Any = sys.modules.get("asyncio")
        return _Signal(asyncio, asyncio.get_running_loop().call_soon_threadsafe)
    return None


def _stopped_by_blocking() -> str | None:
    """The library whose event loop runs in this thread and would stand still if it blocked."""
    signal = _signal()
    if signal is None:
        return None
    # Playwright's sync API keeps a loop "running" in another greenlet of this thread. That loop
    # has nothing to do while the test blocks. A test that the loop runs is in one of its tasks.
    if signal.name == "asyncio" and "greenlet" in sys.modules:
        return "asyncio" if sys.modules["asyncio"].current_task() is not None else None
    return signal.name
