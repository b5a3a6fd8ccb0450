"""The original functions and classes, as they were at import: a test may patch them later.

Rule: the thread of a server reaches sockets, threads and the process only through these names.
The clock is in `clock`.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _bound_now(function: _Function) -> _Function:
    """A copy of a function that uses the present globals, even if they are patched later.

    `socket.accept` and `socket.socketpair` look up the class `socket` each time they are called.
    """
    if not isinstance(function, FunctionType):
        return function
    names = dict(function.__globals__)
    copy = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return cast(_Function, copy)


getpid = os.getpid
open_file = open
make_socket = socket.socket
accept = _bound_now(socket.socket.accept)
make_socketpair = _bound_now(socket.socketpair)
start_thread = threading.Thread.start


class DaemonThread:
    """A daemon thread that starts and ends also where `threading` is patched."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts it. Raises `RuntimeError` if the system has no thread left."""
        start_thread(self._thread)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._ended.set()

    @property
    def is_present(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def join(self, seconds: float) -> None:
        """Waits at most this many seconds for the end of the thread. Skips the present thread."""
        # eventlet raises its own exception if a join with a time-out takes too long
        if not self.is_present and self._ended.wait(max(0.0, seconds)):
            self._thread.join()
