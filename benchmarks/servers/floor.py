"""The least Python that takes mail: what any server written in it has to pay.

Rule: correct replies and the end of a message found wherever reads split it; nothing is parsed
beyond the verb, nothing checked, and the wire's octets are kept as they came.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any

from . import control

# One buffer for all connections: what is read is used up before the next read.
BUFFER = bytearray(256 * 1024)
VIEW = memoryview(BUFFER)

GREETING = b"220 floor ESMTP\r\n"
HELLO = b"250-floor\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n"
HELLO_TLS = b"250-floor\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 CHUNKING\r\n"
OK = b"250 OK\r\n"
GO_ON = b"354 go on\r\n"
READY = b"220 ready\r\n"
BYE = b"221 bye\r\n"
UNKNOWN = b"500 unknown\r\n"

END = b"\r\n.\r\n"
DOT = ord(".")


class Floor(asyncio.BufferedProtocol):
    """A connection."""

    stored: list[bytes | bytearray]
    context: ssl.SSLContext | None
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.transport: Any = None
        self.line = b""  # the beginning of a command
        self.message: bytearray | None = None  # the beginning of a message, from DATA on
        self.in_data = False
        self.in_chunk = 0  # octets of a BDAT that are still to come
        self.last = False
        self.early: bytes | None = None  # came in TLS before this side knew its transport
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(GREETING)

    def get_buffer(self, sizehint: int) -> memoryview:
        return VIEW

    def buffer_updated(self, nbytes: int) -> None:
        if self.early is not None:
            self.early += VIEW[:nbytes]
            return
        replies = b""
        at = 0
        while at < nbytes:
            if self.in_data:
                at = self._data(at, nbytes)
                if not self.in_data:
                    replies += OK
                continue
            if self.in_chunk:
                at = self._chunk(at, nbytes)
                if not self.in_chunk:
                    replies += OK
                continue
            end = BUFFER.find(b"\n", at, nbytes)
            if end < 0:
                self.line += BUFFER[at:nbytes]
                break
            command = self.line + BUFFER[at:end]
            self.line = b""
            at = end + 1
            verb = command[:4].upper()
            if verb == b"MAIL" or verb == b"RCPT" or verb == b"RSET" or verb == b"NOOP":
                replies += OK
            elif verb == b"DATA":
                self.in_data = True
                replies += GO_ON
            elif verb == b"EHLO":
                replies += HELLO if self.context is None else HELLO_TLS
            elif verb == b"HELO":
                replies += OK
            elif verb == b"BDAT":
                words = command.split()
                self.last = len(words) > 2
                self.in_chunk = int(words[1])
                if not self.in_chunk:
                    self._end_chunk()
                    replies += OK
            elif verb == b"QUIT":
                self.transport.write(replies + BYE)
                self.transport.close()
                return
            elif verb == b"STAR" and self.context is not None:
                self.transport.write(replies + READY)
                self.transport.pause_reading()  # what comes now is for the TLS layer
                self.early = b""
                task = self.loop.create_task(self._start_tls(self.context))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
                return
            else:
                replies += UNKNOWN
        if replies:
            self.transport.write(replies)

    def _data(self, at: int, nbytes: int) -> int:
        """Takes content of a message; where the next command may begin."""
        message = self.message
        if message is None:
            if BUFFER[at] == DOT and BUFFER.startswith(b".\r\n", at, nbytes):
                self.stored.append(b"")
                self.in_data = False
                return at + 3
            end = BUFFER.find(END, at, nbytes)
            if end >= 0:
                self.stored.append(bytes(VIEW[at : end + 2]))
                self.in_data = False
                return end + 5
            self.message = bytearray(VIEW[at:nbytes])
            return nbytes
        before = len(message)
        message += VIEW[at:nbytes]
        if before < 3 and message.startswith(b".\r\n"):
            end = -2
        else:
            # From where the end may have begun before: no octet is looked at more than twice
            end = message.find(END, max(0, before - 4))
            if end < 0:
                return nbytes
        used = end + 5 - before
        del message[end + 2 :]
        self.stored.append(message)
        self.message = None
        self.in_data = False
        return at + used

    def _chunk(self, at: int, nbytes: int) -> int:
        taken = min(self.in_chunk, nbytes - at)
        if self.message is None and self.last and taken == self.in_chunk:
            self.stored.append(bytes(VIEW[at : at + taken]))
            self.in_chunk = 0
            return at + taken
        if self.message is None:
            self.message = bytearray()
        self.message += VIEW[at : at + taken]
        self.in_chunk -= taken
        if not self.in_chunk:
            self._end_chunk()
        return at + taken

    def _end_chunk(self) -> None:
        if self.last:
            self.stored.append(self.message if self.message is not None else b"")
            self.message = None

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        self.transport = await self.loop.start_tls(self.transport, self, context, server_side=True)
        self.early, early = None, self.early
        if early:
            VIEW[: len(early)] = early
            self.buffer_updated(len(early))


def main() -> None:
    wanted = control.wanted()
    Floor.stored = []
    Floor.context = None
    if wanted.certificate is not None:
        Floor.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        Floor.context.load_cert_chain(wanted.certificate)
    Floor.loop = loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(Floor, "127.0.0.1", 0, backlog=1024))
    # In a thread, as the others run: what two threads cost is not the server's doing.
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stored = control.Stored(
        count=lambda: len(Floor.stored),
        clear=Floor.stored.clear,
        octets=lambda n: Floor.stored[n],
    )
    control.serve(server.sockets[0].getsockname()[1], stored)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


if __name__ == "__main__":
    main()
