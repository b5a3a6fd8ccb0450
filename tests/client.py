"""A blocking SMTP client that knows nothing: it sends what it is told and shows what comes."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest_smtpd
from pytest_smtpd.lease import Lease

LIMIT = 20.0  # seconds: a test that needs so long has failed
TEXT = "Subject: hi\r\n\r\nhello\r\n"


@contextlib.contextmanager
def leased(**options: Any) -> Iterator[Lease]:
    """A started server that several tests share."""
    lease = Lease(pytest_smtpd.Options(**options))
    with lease.server:
        yield lease


class Client:
    """A connection to a server; its greeting is read unless `greeting` is false."""

    def __init__(
        self,
        server: pytest_smtpd.Server,
        *,
        greeting: bool = True,
        receive_buffer: int | None = None,
    ) -> None:
        address = server.address
        family = socket.AF_INET
        if isinstance(address, str):
            family = socket.AF_UNIX
        elif ":" in address[0]:
            family = socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(LIMIT)
        self.came = b""
        try:
            self.socket.connect(address)
            self.greeting = self.reply() if greeting else ""
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        reset(self.socket)

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def line(self) -> str:
        """The next line without its end; "" when there is no more."""
        while b"\n" not in self.came:
            data = self.socket.recv(65536)
            if not data:
                return self.came.decode()
            self.came += data
        line, _, self.came = self.came.partition(b"\n")
        return line.removesuffix(b"\r").decode()

    def reply(self) -> str:
        """The next reply, its lines joined; "" when the server has closed."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        data = self.came
        while piece := self.socket.recv(65536):
            data += piece
        return data

    def say(self, line: str) -> str:
        self.send(line + "\r\n")
        return self.reply()

    def ehlo(self, name: str = "client.example") -> Client:
        assert self.say(f"EHLO {name}").startswith("250")
        return self

    def begin(self, sender: str = "ann@example.com", *recipients: str) -> Client:
        """MAIL, RCPT and DATA, all accepted."""
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250")
        for recipient in recipients or ("bob@example.net",):
            assert self.say(f"RCPT TO:<{recipient}>").startswith("250")
        assert self.say("DATA").startswith("354")
        return self

    def deliver(self, text: str = TEXT, sender: str = "ann@example.com", *recipients: str) -> str:
        self.begin(sender, *recipients)
        return self.say(f"{text}.")

    def quit(self) -> None:
        assert self.say("QUIT").startswith("221")
        assert self.reply() == ""
        self.close()


def reset(client: socket.socket) -> None:
    """Closes with a TCP reset."""
    form = "hh" if sys.platform == "win32" else "ii"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(form, 1, 0))
    client.close()


def connects(server: pytest_smtpd.Server) -> bool:
    """Whether somebody listens at the server's address."""
    with contextlib.suppress(OSError), Client(server):
        return True
    return False


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


@contextlib.contextmanager
def in_thread(call: Callable[[], Any]) -> Iterator[threading.Thread]:
    """Runs a call beside the test; it has to have ended at the end of the block."""
    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(LIMIT)
        assert not thread.is_alive()
