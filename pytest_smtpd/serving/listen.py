"""Listening sockets. They are bound in the thread that calls `start()`, which gets the errors."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys

from ..originals import make_socket

BACKLOG = 1024  # connections that may wait to be accepted
ATTEMPTS = 10  # free ports tried until one is free in both address families


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets for all addresses of a host, on one port; ``""`` is all interfaces.

    Raises `OSError` with the address in its text, and then leaves nothing open.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _listen(host, port)
        except OSError as error:
            # a port that is free in IPv4 may be in use in IPv6
            if port or error.errno != errno.EADDRINUSE or attempt == ATTEMPTS - 1:
                raise _with_address(error, host, port) from None
    raise AssertionError("unreachable")


def _listen(host: str, port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        for family, address in _addresses(host):
            try:
                listener = _bind(family, address, port)
            except OSError as error:
                # a machine without IPv6 may still resolve a name to an IPv6 address
                absent = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
                if absent and family == socket.AF_INET6 and host not in (address, "::"):
                    continue
                raise
            listeners.append(listener)
            port = port or listener.getsockname()[1]
        if not listeners:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if not host:
        both = [(socket.AF_INET, "0.0.0.0")]
        return [*both, (socket.AF_INET6, "::")] if socket.has_ipv6 else both
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return [(family, host)]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:  # an empty label, or one of over 63 octets
        raise OSError(errno.EINVAL, "no host name") from None
    addresses = dict.fromkeys((family, str(address[0])) for family, *_, address in found)
    return sorted(addresses)  # IPv4 first: the others get its port


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # not socket.create_server: it looks up the class at each call, and a test may patch that
    listener = make_socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # on Windows two servers could then share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # connections inherit it: a reply must not wait until the last one is acknowledged
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setblocking(False)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _with_address(error: OSError, host: str, port: int) -> OSError:
    shown = f"[{host}]" if ":" in host else host or "*"
    return OSError(error.errno, f"cannot listen on {shown}:{port}: {error.strerror or error}")


def listen_unix(path: str) -> socket.socket:
    """A socket on a path. It replaces an abandoned socket, and no other file.

    Raises `OSError` with the path in its text.
    """
    family = getattr(socket, "AF_UNIX", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, f"cannot listen on {path}: no unix sockets here")
    listener = make_socket(family, socket.SOCK_STREAM)
    try:
        _remove_stale(path, family)
        listener.setblocking(False)
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        text = f"cannot listen on {path}: {error.strerror or error}"
        raise OSError(error.errno or errno.ENAMETOOLONG, text) from None
    return listener


def _remove_stale(path: str, family: int) -> None:
    try:
        mode = os.lstat(path).st_mode  # of a link itself, which stays
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file is there that is no socket")
    with make_socket(family, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # a server listens, and its queue is full
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the file at a path, to tell later whether it is still ours."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
