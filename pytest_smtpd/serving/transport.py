"""A TCP or unix connection, in clear or in TLS: reads and writes, and keeps unsent octets."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .loop import Loop

if TYPE_CHECKING:
    import ssl

    from .handshake import Handshake

MAX_RECORD = 16_384  # octets of a TLS record (RFC 8446 section 5.1); a read never gives more
LINGER = 1.0  # seconds that a client has to take the last octets
RECORDS = 16  # read in one turn of the loop, so that TLS gets as much as clear text does

# SO_LINGER with zero seconds: closing resets the connection
_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Owner(Protocol):
    """The callbacks that a transport makes."""

    def get_buffer(self) -> memoryview:
        """Where the next octets go. The next call may overwrite them."""

    def buffer_updated(self, octets: int) -> None:
        """This many octets have been read."""

    def eof_received(self) -> bool:
        """The client sends no more; returns whether to keep the connection open for sending."""

    def pause_writing(self) -> None:
        """Octets are left unsent."""

    def resume_writing(self) -> None:
        """All octets are sent."""

    def connection_lost(self) -> None:
        """The connection is over; the last call."""


class Transport:
    """A connection's socket in a loop, whose thread alone calls it.

    It pauses its owner's writing as soon as octets are left unsent, and resumes it when all are
    sent. So a client that takes no replies has no more commands carried out.
    """

    def __init__(self, loop: Loop, client: socket.socket, owner: Owner) -> None:
        self._loop = loop
        self._socket = client
        self._number = client.fileno()
        self.tls: ssl.SSLSocket | None = None  # the socket, if it speaks TLS
        self._not_now: tuple[type[OSError], ...] = (BlockingIOError, InterruptedError)
        self._owner = owner
        self._unsent = bytearray()
        self._closing = False
        self._reading = True
        self._ends_writing = False  # after all octets are sent
        self._ended = False  # the owner's last callback has been made, or is due
        self._resets = False
        self._handshake: Handshake | None = None
        loop.add_reader(self._number, self._readable)

    # ---- reading

    def _readable(self) -> None:
        if self._handshake is not None:
            self._handshake.go_on()
            return
        try:
            for _ in range(RECORDS):
                octets = self._receive(self._owner.get_buffer())
                if octets is None:
                    return
                if octets:
                    self._owner.buffer_updated(octets)
                elif self._owner.eof_received():
                    self.pause_reading()  # the system would report the end again and again
                else:
                    self.close()
                if octets != MAX_RECORD or self.tls is None or not self._reading:
                    break
        except BaseException:  # a bug of ours, or out of a fault's `match`
            self._fail()
            raise
        if self._reading:
            self._mind_rest()

    def _receive(self, buffer: memoryview) -> int | None:
        try:
            return self._socket.recv_into(buffer)
        except self._not_now:
            return None
        except OSError:
            self._fail()
            return None

    def _mind_rest(self) -> None:
        # The system does not report the rest of a TLS record that is read in part
        if self.tls is not None and self.tls.pending():
            self._loop.call_soon(self._read_rest)

    def _read_rest(self) -> None:
        if self._reading:
            self._readable()

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._number)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._number, self._readable)
            self._mind_rest()

    # ---- writing

    def write(self, data: bytes) -> bool:
        """Sends octets as soon as the client takes them. False after a `close`: nothing is sent."""
        if self._closing:
            return False
        if self._unsent:
            self._unsent += data
            return True
        try:
            sent = self._socket.send(data)
        except self._not_now:
            sent = 0
        except OSError:
            self._fail()
            return True
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._number, self._writable)
            self._owner.pause_writing()
        return True

    def _writable(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except self._not_now:
            return
        except OSError:
            self._fail()
            return
        if self._unsent:
            return
        self._loop.remove_writer(self._number)
        if self._closing:
            self._lose()
            return
        if self._ends_writing:
            self._end_writing()
        self._owner.resume_writing()

    @property
    def unsent(self) -> int:
        """The number of octets that the client has not taken."""
        return len(self._unsent)

    def _end_writing(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone
            self._fail()

    # ---- TLS

    def start_tls(
        self, context: ssl.SSLContext, timeout: float, done: Callable[[OSError | None], None]
    ) -> None:
        """Starts a handshake, when all is sent, and calls `done` with the error, if it fails.

        After `timeout` seconds that is a `TimeoutError`. After a `close` or `abort` there is no
        call.
        """
        import ssl

        from .handshake import Handshake

        def shaken(error: OSError | None) -> None:
            if error is None:
                self._handshake = None
            done(error)

        self.resume_reading()
        self._not_now += (ssl.SSLWantReadError, ssl.SSLWantWriteError)
        self._handshake = Handshake(self._loop, self._socket, context, timeout, shaken)
        if isinstance(self._handshake.socket, ssl.SSLSocket):
            self._socket = self.tls = self._handshake.socket
        else:
            self.pause_reading()

    # ---- the end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Closes when all is sent. Nothing more is read."""
        if not self._closing:
            self.pause_reading()
            if self._handshake is not None:
                self._handshake.give_up()
            self._closing = True
            if not self._unsent:
                self._lose()

    def finish(self, *, linger: float = 0.0) -> None:
        """Closes when all is sent, or when the client has not taken it in `LINGER` seconds.

        With `linger` it closes the sending side and reads on for this many seconds: a close with
        octets unread resets a connection, and the client would lose the last reply.
        """
        if linger and self.tls is None:  # TLS cannot close the sending side alone
            self._ends_writing = True
            if not self._unsent:
                self._end_writing()
            self._loop.call_later(linger, self.abort)
            return
        if self._unsent:  # by a client that may not read at all
            self._loop.call_later(LINGER, self.abort)
        self.close()

    def abort(self, *, reset: bool = False) -> None:
        """Closes at once; with `reset`, by a TCP reset."""
        self._resets = self._resets or reset
        self._fail()

    def _fail(self) -> None:
        self.pause_reading()
        if self._handshake is not None:
            self._handshake.give_up()
        if self._unsent:
            self._unsent.clear()
            self._loop.remove_writer(self._number)
        self._closing = True
        self._lose()

    def _lose(self) -> None:
        if not self._ended:
            self._ended = True
            # later: the owner may be in the middle of a callback
            self._loop.call_soon(self._close)

    def _close(self) -> None:
        try:
            self._owner.connection_lost()
        finally:
            try:
                if self._resets:
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                else:
                    if self.tls is not None and self._handshake is None:
                        self._say_goodbye(self.tls)
                    # A forked child has the socket too: a close alone would not reach the client
                    self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client has gone
                pass
            self._socket.close()

    def _say_goodbye(self, tls: ssl.SSLSocket) -> None:
        # send close_notify (RFC 8446 section 6.1), and do not wait for the client's
        try:
            tls.unwrap()
        except (OSError, ValueError):
            pass
