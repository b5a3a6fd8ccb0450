"""An event loop over `selectors`: file numbers to watch, timers, and calls from other threads.

The thread of a server takes one turn after the other, so its life reads from top to bottom.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ..clock import monotonic
from ..originals import make_socketpair

LONGEST_WAIT = 86_400.0  # seconds: epoll and kqueue overflow on much more

Callback = Callable[..., object]


class Watch(NamedTuple):
    """What to call when a file number can be read or written."""

    read: Callback | None
    write: Callback | None


_NOTHING = Watch(None, None)


class Timer:
    """A call at a later time, on the real clock."""

    __slots__ = ("args", "callback", "when")

    def __init__(self, when: float, callback: Callback, args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback: Callback | None = callback
        self.args = args

    def cancel(self) -> None:
        """Takes the call back; nothing happens if it has been made."""
        self.callback, self.args = None, ()


class Loop:
    """One thread calls all of it, except `call_soon_threadsafe` and `wake`.

    `on_error` gets the exceptions of callbacks; the loop goes on. Raises `OSError` if the system
    has no file numbers left.
    """

    def __init__(self, on_error: Callable[[BaseException], object]) -> None:
        self._on_error = on_error
        self._watches: dict[int, Watch] = {}
        self._soon: deque[tuple[Callback, tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()  # timers of one time run in the order of their making
        self._closing = threading.Lock()
        self._closed = False
        self._waker, self._wakes = make_socketpair()
        try:
            self._waker.setblocking(False)
            self._wakes.setblocking(False)
            # Looked up now, not at import: gevent and eventlet replace it
            self._selector = selectors.DefaultSelector()
            self.add_reader(self._wakes.fileno(), self._forget_wakes)
        except BaseException:
            self._close_waker()
            raise

    # ---- file numbers

    def add_reader(self, number: int, callback: Callback) -> None:
        """Calls `callback` whenever this file number can be read."""
        self._watch(number, Watch(callback, self._watches.get(number, _NOTHING).write))

    def remove_reader(self, number: int) -> None:
        self._watch(number, Watch(None, self._watches.get(number, _NOTHING).write))

    def add_writer(self, number: int, callback: Callback) -> None:
        """Calls `callback` whenever this file number can be written."""
        self._watch(number, Watch(self._watches.get(number, _NOTHING).read, callback))

    def remove_writer(self, number: int) -> None:
        self._watch(number, Watch(self._watches.get(number, _NOTHING).read, None))

    def _watch(self, number: int, watch: Watch) -> None:
        events = selectors.EVENT_READ if watch.read is not None else 0
        events |= selectors.EVENT_WRITE if watch.write is not None else 0
        known = number in self._watches
        if not events:
            if known:
                del self._watches[number]
                self._selector.unregister(number)
            return
        if known:
            self._selector.modify(number, events)
        else:
            self._selector.register(number, events)
        self._watches[number] = watch

    # ---- calls

    def call_soon(self, callback: Callback, *args: Any) -> None:
        """Makes the call before the loop waits again."""
        self._soon.append((callback, args))

    def call_later(self, seconds: float, callback: Callback, *args: Any) -> Timer:
        """Makes the call in this many seconds, unless the timer is cancelled first."""
        timer = Timer(monotonic() + seconds, callback, args)
        heapq.heappush(self._timers, (timer.when, next(self._numbers), timer))
        return timer

    def call_soon_threadsafe(self, callback: Callback, *args: Any) -> None:
        """From any thread: makes the call soon. Raises `RuntimeError` if the loop is closed."""
        with self._closing:
            if self._closed:
                raise RuntimeError("the loop is closed")
            self._soon.append((callback, args))
        self.wake()

    def wake(self) -> None:
        """From any thread: ends the wait of the present turn."""
        with contextlib.suppress(OSError):  # full: the loop wakes up anyway; or closed
            self._waker.send(b"\0")

    def _forget_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakes.recv(4096)

    # ---- turns

    def turn(self, seconds: float | None = None) -> None:
        """Waits until there is something to do, at most this many seconds, and does it."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if self._soon:
            seconds = 0.0
        elif timers:
            left = max(0.0, timers[0][0] - monotonic())
            seconds = min(left, LONGEST_WAIT if seconds is None else seconds)
        for key, events in self._selector.select(seconds):
            # each time the present watch: the call before may have changed it
            if events & selectors.EVENT_READ:
                self._call(self._watches.get(key.fd, _NOTHING).read)
            if events & selectors.EVENT_WRITE:
                self._call(self._watches.get(key.fd, _NOTHING).write)
        now = monotonic() if timers else 0.0
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            self._call(timer.callback, *timer.args)
        if self._soon:
            self._make_calls()

    def _make_calls(self) -> None:
        for _ in range(len(self._soon)):  # not the calls that these calls add
            callback, args = self._soon.popleft()
            self._call(callback, *args)

    def _call(self, callback: Callback | None, *args: Any) -> None:
        if callback is None:
            return
        try:
            callback(*args)
        except BaseException as error:  # never Ctrl-C: only the main thread gets it
            self._on_error(error)

    def close(self) -> None:
        """Makes the waiting calls, and closes the selector and the waker."""
        with self._closing:
            self._closed = True
        self._make_calls()
        self._timers.clear()
        self._watches.clear()
        self._selector.close()
        self._close_waker()

    def _close_waker(self) -> None:
        self._waker.close()
        self._wakes.close()
