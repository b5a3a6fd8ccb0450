"""A plain TCP or unix connection: reads at once, writes at once, keeps what does not fit.

It does for a `Connection` what asyncio's own transport does, without a task, a future and three
turns of the loop before the greeting: a new connection costs less than half. TLS needs the layers
of asyncio's; for a handshake the socket is given back.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable


class SocketTransport(asyncio.Transport):
    """Reading begins with the first turn of the loop after it was made.

    It pauses its protocol's writing as soon as anything is left unsent, and resumes it when all
    is: whoever does not take replies has no more commands carried out.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        protocol: asyncio.BufferedProtocol,
    ) -> None:
        super().__init__({"socket": client})
        self._loop = loop
        self._socket = client
        # by its number: asyncio builds the repr of what it does not find, and a socket's asks the
        # system for both addresses
        self._number = client.fileno()
        self._protocol = protocol
        self._unsent = bytearray()
        self._closing = False
        self._reading = True
        self._ends_writing = False  # once all is sent
        self._ended = False  # the protocol has been told, or will be
        loop.add_reader(self._number, self._readable)

    # ---- reading

    def _readable(self) -> None:
        try:
            octets = self._socket.recv_into(self._protocol.get_buffer(-1))
            if octets:
                self._protocol.buffer_updated(octets)
            elif self._protocol.eof_received():
                self.pause_reading()  # an end would be reported for ever
            else:
                self.close()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._fail(error)
        except Exception as error:  # ours: the client must not wait for an answer to it
            context = {"message": "reading from a client", "exception": error}
            self._loop.call_exception_handler(context)
            self._fail(error)

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._number)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._number, self._readable)

    # ---- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        if self._unsent:
            self._unsent += data
            return
        sent = self._send(data)
        if sent < len(data) and not self._ended:
            self._unsent += data[sent:]
            self._loop.add_writer(self._number, self._writable)
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def _send(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._fail(error)
            return 0

    def _writable(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if self._unsent or self._ended:
            return
        self._loop.remove_writer(self._number)
        if self._closing:
            self._lose(None)
            return
        if self._ends_writing:
            self._end_writing()
        self._protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._ends_writing = True
        if not self._unsent:
            self._end_writing()

    def _end_writing(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:  # the client has gone
            self._fail(error)

    # ---- the end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Closes when all is sent; nothing more is read."""
        if not self._closing:
            self.pause_reading()
            self._closing = True
            if not self._unsent:
                self._lose(None)

    def abort(self) -> None:
        self._fail(None)

    def detach(self) -> socket.socket:
        """Gives up the socket, with all sent; the protocol hears nothing of it."""
        self.pause_reading()
        self._closing = self._ended = True
        return self._socket

    def _fail(self, error: Exception | None) -> None:
        self.pause_reading()
        if self._unsent:
            self._unsent.clear()
            self._loop.remove_writer(self._number)
        self._closing = True
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            # not at once: the protocol may be in the middle of something
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._socket.close()
