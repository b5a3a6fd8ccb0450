"""Ini `smtpd_guard`: no test connects to a mail port of anything but the loopback interface.

Rule: nothing here is loaded or in force unless the guard is on, and what an application swallows is
remembered. Python tells of each connection before it makes it, through an audit hook (PEP 578).
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from asyncio import base_events, proactor_events
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any, NoReturn

PORTS = frozenset({25, 465, 587, 2525})

_SERVICES = {"smtp": 25, "mail": 25, "smtps": 465, "submissions": 465, "urd": 465,
             "submission": 587}  # fmt: skip
_LOOPBACK_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
_NETWORK_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class BlockedConnection(AssertionError):
    """A connection that the guard has kept a test from making; nothing was sent."""


# ---- what a test may connect to


def _port(port: object) -> int | None:
    if isinstance(port, bytes):
        port = port.decode("ascii", "replace")
    if isinstance(port, str):
        return int(port) if port.isdecimal() else _SERVICES.get(port.lower())
    return port if isinstance(port, int) else None


def _text(host: object) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)


def _packed(host: str) -> bytes | None:
    """The octets of an address; None for a name, which has to be looked up."""
    try:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        pass
    try:
        return socket.inet_aton(host)  # takes 127.1, as connect() does
    except OSError:
        return None


def _is_loopback(host: str) -> bool:
    packed = _packed(host)
    if packed is None:
        name = host.lower().removesuffix(".")
        # RFC 6761 section 6.3: whatever ends so is the loopback, too
        return name in _LOOPBACK_NAMES or name.endswith(".localhost")
    if len(packed) == 16:
        if packed.startswith(b"\0" * 10 + b"\xff\xff"):
            packed = packed[12:]  # an IPv4 address
        else:
            return packed == b"\0" * 15 + b"\1"
    return packed[0] == 127


def _refuse_address(address: object) -> None:
    __tracebackhide__ = True
    if not isinstance(address, tuple) or len(address) < 2 or _port(address[1]) not in PORTS:
        return
    host = _text(address[0])
    # "" is the address 0.0.0.0: to connect to it is to connect to this machine's loopback
    if host and not _is_loopback(host):
        _block(host, address[1])


def _refuse_name(host: object, port: object) -> None:
    __tracebackhide__ = True
    if not host or _port(port) not in PORTS:
        return
    name = _text(host)
    # An address may be looked up to listen on it
    if _packed(name) is None and not _is_loopback(name):
        _block(name, port)


def _block(host: str, port: object) -> NoReturn:
    __tracebackhide__ = True
    shown = f"[{host}]" if ":" in host else host
    text = (
        f"smtpd_guard: a connection to {shown}:{_text(port)} was blocked, made by {_caller()}; "
        "a test may connect to this port on the loopback interface only: point the application "
        "at the host and port of the fixture smtpd"
    )
    # Not the exception: it would keep alive all that its frames hold
    _blocked.append(text)
    raise BlockedConnection(text)


# ---- who connects

_LIBRARY = os.path.dirname(os.path.normcase(os.__file__)) + os.sep
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))


def _caller() -> str:
    """The first line outside the standard library, and the first that is not installed."""
    frame: FrameType | None = sys._getframe()
    installed = None
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("pluggy."):
            break  # from here on it is pytest that calls
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
_installed = False
_blocked: list[str] = []  # and not yet shown


def _hook(event: str, args: tuple[Any, ...]) -> None:
    __tracebackhide__ = True
    if not _depth:
        return
    if event == "socket.connect":
        sock, address = args
        if sock.family in _NETWORK_FAMILIES:
            try:
                _refuse_address(address)
            except BlockedConnection:
                # Few callers close it for what is no OSError, and an open one would warn later
                sock.close()
                raise
    elif event == "socket.getaddrinfo":
        _refuse_name(args[0], args[1])


def _install() -> None:
    global _installed
    if _installed:
        return
    _installed = True
    sys.addaudithook(_hook)
    # asyncio looks names up in a thread: there the caller is out of sight
    base: Any = base_events.BaseEventLoop
    look_up = base.getaddrinfo

    @wraps(look_up)
    async def getaddrinfo(loop: Any, host: Any, port: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        if _depth:
            _refuse_name(host, port)
        return await look_up(loop, host, port, **options)

    # Windows' loop connects through ConnectEx, of which there is no audit event
    proactor: Any = proactor_events.BaseProactorEventLoop
    connect = proactor.sock_connect

    @wraps(connect)
    async def sock_connect(loop: Any, sock: socket.socket, address: Any) -> Any:
        __tracebackhide__ = True
        if _depth and sock.family in _NETWORK_FAMILIES:
            _refuse_address(address)
        return await connect(loop, sock, address)

    base.getaddrinfo = getaddrinfo
    proactor.sock_connect = sock_connect


@contextmanager
def in_force() -> Iterator[None]:
    """Blocks, for the time in which tests run."""
    global _depth
    _install()
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def take() -> list[str]:
    """What has been blocked since the last time, each text once: an application may try again."""
    texts = list(dict.fromkeys(_blocked))
    _blocked.clear()
    return texts


def note(error: BaseException) -> None:
    """Adds what has been blocked to an exception that does not say so."""
    for text in take():
        if text not in str(error):
            error.add_note(text)
