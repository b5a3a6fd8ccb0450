"""What a test may patch while a server runs, as it was at import.

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
    """A copy of a function that looks up globals among those of today, patched later or not.

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
