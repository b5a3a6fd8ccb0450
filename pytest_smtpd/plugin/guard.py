"""Ini `smtpd_guard`: no test connects to a mail port of another machine.

Rule: this module is loaded only if the guard is on, and it remembers errors that an application
swallows. Python calls an audit hook (PEP 578) before it makes a connection.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from asyncio import base_events, proactor_events
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from .forked import Letters
from .this_machine import is_this_machine, packed

PORTS = frozenset({25, 465, 587, 2525})

_SERVICES = {"smtp": 25, "mail": 25, "smtps": 465, "submissions": 465, "urd": 465,
             "submission": 587}  # fmt: skip
_TCP, _UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
_NETWORK_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class BlockedConnection(AssertionError):
    """The guard has blocked a connection of a test; nothing was sent."""


# ---- allowed connections


def _port(port: object) -> int | None:
    if isinstance(port, bytes):
        port = port.decode("ascii", "replace")
    if isinstance(port, str):
        return int(port) if port.isdecimal() else _SERVICES.get(port.lower())
    return port if isinstance(port, int) else None


def _text(host: object) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)


def _refuse_address(address: object) -> None:
    __tracebackhide__ = True
    if not isinstance(address, tuple) or len(address) < 2 or _port(address[1]) not in PORTS:
        return
    host = _text(address[0])
    if host and not is_this_machine(host):  # "" is the address 0.0.0.0
        _block(host, address[1])


def _refuse_name(host: object, port: object) -> None:
    __tracebackhide__ = True
    if not host or _port(port) not in PORTS:
        return
    name = _text(host)
    # A server may look up an address to listen on it
    if packed(name) is None and not is_this_machine(name):
        _block(name, port)


def _block(host: str, port: object) -> NoReturn:
    __tracebackhide__ = True
    shown = f"[{host}]" if ":" in host else host
    text = (
        f"smtpd_guard: a connection to {shown}:{_text(port)} was blocked, made by {_caller()}; "
        "a test may connect to this port on the loopback interface only: point the application "
        "at the host and port of the fixture smtpd"
    )
    # Not the exception: it would keep the objects of its frames alive
    _blocked.append(text)
    if _letters is not None:
        _letters.write(text)
    raise BlockedConnection(text)


# ---- the line that connects

_LIBRARY = os.path.dirname(os.path.normcase(os.__file__)) + os.sep
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))


def _caller() -> str:
    """The first line outside the standard library, and the first that is not installed."""
    frame: FrameType | None = sys._getframe()
    installed = None
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("pluggy."):
            break  # the frames from here on are pytest's
        path = os.path.normcase(frame.f_code.co_filename)
        if any(folder in path for folder in _INSTALLED):
            if installed is None and module != __name__ and not module.startswith("_pytest."):
                installed = _place(frame)
        elif module != __name__ and not path.startswith((_LIBRARY, "<frozen")):
            place = _place(frame)
            return f"{installed}, called from {place}" if installed else place
        frame = frame.f_back
    return installed or f"the thread {threading.current_thread().name!r}"


def _place(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        relative = path
    shown = path if relative.startswith(os.pardir) else relative
    return f"{shown}:{frame.f_lineno} in {frame.f_code.co_name}"


# ---- in force

_depth = 0
_uvloop_is_patched = False
_blocked: list[str] = []  # and not yet shown
_letters: Letters | None = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    __tracebackhide__ = True
    if not _depth:
        return
    # With MSG_FASTOPEN (RFC 7413), sendto() and sendmsg() connect
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        sock, address = args
        try:
            _refuse_connection(sock, address)
        except BlockedConnection:
            # Few callers close it for an error other than OSError; left open, it would warn later
            sock.close()
            raise
    elif event == "socket.getaddrinfo":
        host, port, _, kind, _ = args
        if kind != _UDP:
            _refuse_name(host, port)
    elif event == "import" and args[0] == "uvloop" and not _uvloop_is_patched:
        _patch_uvloop()


def _refuse_connection(sock: socket.socket, address: object) -> None:
    __tracebackhide__ = True
    if address is not None and sock.family in _NETWORK_FAMILIES and sock.type == _TCP:
        _refuse_address(address)


def _install() -> Letters:
    global _letters
    if _letters is not None:
        return _letters
    _letters = Letters()
    sys.addaudithook(_hook)
    # asyncio looks names up in a thread, which hides the caller's frames
    _refuse_first(base_events.BaseEventLoop, "getaddrinfo", 0, _refuse_name)
    # The loop of Windows connects through ConnectEx, which has no audit event
    proactor: Any = proactor_events.BaseProactorEventLoop
    connect = proactor.sock_connect

    @wraps(connect)
    async def sock_connect(loop: Any, sock: socket.socket, address: Any) -> Any:
        __tracebackhide__ = True
        if _depth:
            _refuse_connection(sock, address)
        return await connect(loop, sock, address)

    proactor.sock_connect = sock_connect
    if sys.modules.get("uvloop") is not None:
        _patch_uvloop()
    return _letters


def _patch_uvloop() -> None:
    """Applies the guard to the loop of uvloop, which has its own sockets and resolver."""
    global _uvloop_is_patched
    _uvloop_is_patched = True  # first: the import may be an event, too
    try:
        loop_class: Any = import_module("uvloop").Loop
    except ImportError:
        _uvloop_is_patched = False  # a test may have hidden it
        raise
    _refuse_first(loop_class, "create_connection", 1, _refuse_target)
    _refuse_first(loop_class, "getaddrinfo", 0, _refuse_name)


def _refuse_target(host: object, port: object) -> None:
    __tracebackhide__ = True
    _refuse_address((host or "", port))


def _refuse_first(
    loop_class: Any, name: str, place: int, refuse: Callable[[object, object], None]
) -> None:
    """Calls `refuse` before the method; `place` is the position of the argument `host`."""
    method = getattr(loop_class, name)

    @wraps(method)
    async def refusing(loop: Any, *args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        if _depth and options.get("type") != _UDP:
            given = dict(zip(("host", "port"), args[place:], strict=False)) | options
            refuse(given.get("host"), given.get("port"))
        return await method(loop, *args, **options)

    setattr(loop_class, name, refusing)


@contextmanager
def in_force() -> Iterator[None]:
    """Blocks connections while tests run."""
    global _depth
    letters = _install()
    _depth += 1
    letters.wanted = True
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            letters.close()


def take() -> list[str]:
    """The connections blocked since the last call, each text once: an application may retry."""
    texts = _blocked + (_letters.take() if _letters is not None else [])
    _blocked.clear()
    return list(dict.fromkeys(texts))


def note(error: BaseException) -> None:
    """Adds the blocked connections to an exception that does not name them."""
    for text in take():
        if text not in str(error):
            error.add_note(text)
