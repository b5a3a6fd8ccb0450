"""Every conversation of tests/conversations, over a real socket with a real server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

import pytest_smtpd
from conversation import Case, read_cases
from conversation_player import LIMIT, Player, Wire


class SocketWire:
    """A client's blocking socket. Errors of a peer that went away are its end, no more."""

    def __init__(self, server: pytest_smtpd.Server, tls: bool) -> None:
        self.host = server.host
        # made before it is needed: a client that is quick must not be too quick
        self.context = server.client_ssl_context() if server.config.tls else None
        self.socket = socket.create_connection((server.host, server.port), timeout=LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            error = self.start_tls()
            if error is not None:
                raise error

    def send(self, data: bytes) -> None:
        # A server that has closed shows at the next reply; until then the client cannot know.
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.socket.settimeout(LIMIT)
            self.socket.sendall(data)

    def receive(self, seconds: float) -> bytes | None:
        self.socket.settimeout(max(seconds, 0.001))
        try:
            return self.socket.recv(65536)
        except TimeoutError:
            return None
        except (ConnectionError, ssl.SSLError):
            return b""

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def start_tls(self) -> Exception | None:
        assert self.context is not None
        self.socket.settimeout(LIMIT)
        try:
            self.socket = self.context.wrap_socket(self.socket, server_hostname=self.host)
        except ssl.SSLError as error:
            return error
        return None


class SocketWorld:
    def __init__(self, server: pytest_smtpd.Server) -> None:
        self.server = server

    def connect(self, tls: bool) -> Wire:
        return SocketWire(self.server, tls)

    def messages(self) -> Sequence[Any]:
        return self.server.messages

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def sessions(self) -> Sequence[Any]:
        sessions = list(self.server.sessions)
        for session in sessions:
            assert session.wait_closed(timeout=LIMIT), f"still open:\n{session}"
        return sessions


CASES = read_cases()


@pytest.mark.filterwarnings("ignore::pytest_smtpd.CallbackWarning")
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_conversation(case: Case) -> None:
    if "tls" in case.options:
        pytest.importorskip("trustme")
    if case.options.get("host") == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 here")
    threads = set(threading.enumerate())
    with pytest_smtpd.Server(**case.server_options()) as server:
        Player(case, SocketWorld(server)).play()
        begun = time.monotonic()
    assert time.monotonic() - begun < 2.0  # docs/fixtures.md: whatever clients and callbacks do
    assert set(threading.enumerate()) <= threads


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
