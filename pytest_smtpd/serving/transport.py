"""A TCP or unix connection, in clear or in TLS: reads and writes at once, keeps what does not fit.

It stands on the loop's readers and writers alone. asyncio's own transports take a task, a future
and three turns of the loop before a greeting, and two copies of all that goes through TLS: with
these a new connection costs half, and a command in TLS two thirds.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Protocol

MAX_RECORD = 16_384  # octets of a TLS record (RFC 8446 section 5.1); a read never gives more
RECORDS = 16  # read in one turn of the loop, so that TLS gets as much as clear text does

# SO_LINGER with zero seconds: closing resets the connection
_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Owner(Protocol):
    """Who is told of what happens on a transport, by the names that asyncio's protocols have."""

    def get_buffer(self) -> memoryview:
        """Where the next octets go; what is in it may be overwritten by the next call."""

    def buffer_updated(self, octets: int) -> None:
        """So many have been read."""

    def eof_received(self) -> bool:
        """The client sends no more; whether the connection stays open for what it is to get."""

    def pause_writing(self) -> None:
        """Something is left unsent."""

    def resume_writing(self) -> None:
        """All is sent."""

    def connection_lost(self) -> None:
        """The connection is over; the last call."""


class Transport:
    """A connection's socket, in one loop, whose thread alone calls it.

    It pauses its owner's writing as soon as anything is left unsent, and resumes it when all is:
    whoever does not take replies has no more commands carried out.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, client: socket.socket, owner: Owner
    ) -> None:
        self._loop = loop
        self._socket = client
        # The loop is told numbers: it makes the repr of what it does not find, and a socket's
        # asks the system for both addresses
        self._number = client.fileno()
        self._owner = owner
        self._unsent = bytearray()
        self._closing = False
        self._reading = True
        self._ends_writing = False  # once all is sent
        self._ended = False  # the owner has been told, or will be
        self._resets = False
        self._handshake: Handshake | None = None
        loop.add_reader(self._number, self._readable)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The socket, if it speaks TLS."""
        return self._socket if isinstance(self._socket, ssl.SSLSocket) else None

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
                    self.pause_reading()  # an end would be reported for ever
                else:
                    self.close()
                if octets != MAX_RECORD or self.tls is None or not self._reading:
                    break
        # Ours, or out of a fault's `match`; no Ctrl-C, which is the main thread's
        except BaseException as error:
            context = {"message": "reading from a client", "exception": error}
            self._loop.call_exception_handler(context)
            self._fail()
        if self._reading:
            self._mind_rest()

    def _receive(self, buffer: memoryview) -> int | None:
        try:
            return self._socket.recv_into(buffer)
        except _NOT_NOW:
            return None
        except OSError:
            self._fail()
            return None

    def _mind_rest(self) -> None:
        # Of a TLS record that is read by halves the system reports no rest
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
        """Sends octets as soon as the client takes them; after a `close` none: then it is False."""
        if self._closing:
            return False
        if self._unsent:
            self._unsent += data
            return True
        try:
            sent = self._socket.send(data)
        except _NOT_NOW:
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
        except _NOT_NOW:
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
        """Octets that the client has not taken."""
        return len(self._unsent)

    def can_write_eof(self) -> bool:
        """TLS has no half-closed connection."""
        return self.tls is None

    def write_eof(self) -> None:
        """Closes the sending side, once all is sent."""
        self._ends_writing = True
        if not self._unsent:
            self._end_writing()

    def _end_writing(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone
            self._fail()

    # ---- TLS

    def start_tls(
        self, context: ssl.SSLContext, timeout: float, done: Callable[[OSError | None], None]
    ) -> None:
        """Shakes hands, with all sent; then calls `done`, with what went wrong if anything did.

        After `timeout` seconds that is a `TimeoutError`; after an `abort` it is not called.
        """
        self.resume_reading()
        self._handshake = Handshake(self._loop, self, context, timeout, done)

    # ---- the end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Closes when all is sent; nothing more is read."""
        if not self._closing:
            self.pause_reading()
            self._closing = True
            if not self._unsent:
                self._lose()

    def abort(self, *, reset: bool = False) -> None:
        """Closes at once; with `reset` the client gets a TCP reset."""
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
            # not at once: the owner may be in the middle of something
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
                    # a forked child has the socket too: closing alone would tell the client nothing
                    self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has gone before
                pass
            self._socket.close()

    def _say_goodbye(self, tls: ssl.SSLSocket) -> None:
        # close_notify (RFC 8446 section 6.1); nobody waits for the client's
        try:
            tls.unwrap()
        except (OSError, ValueError):
            pass


def _close_half_made(error: Exception) -> None:
    # A socket that fails while it is made has taken the other's place already, and is nobody's:
    # only the frames that made it know it
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            made.close()


class Handshake:
    """TLS being agreed upon on a transport, whose socket it replaces."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: Transport,
        context: ssl.SSLContext,
        timeout: float,
        done: Callable[[OSError | None], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._done = done
        self._number = transport._number
        self._writes = False
        too_long = TimeoutError(f"not done in {timeout:g} s")
        self._timer = loop.call_later(timeout, self._end, too_long)
        try:
            self._tls = transport._socket = context.wrap_socket(
                transport._socket, server_side=True, do_handshake_on_connect=False
            )
        except (OSError, ValueError) as error:  # the client has gone, or a context for clients
            transport.pause_reading()
            _close_half_made(error)
            loop.call_soon(self._end, OSError(str(error)))

    def go_on(self) -> None:
        """Takes the next step, when the client has sent something or takes something again."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._want_to_write(False)
        except ssl.SSLWantWriteError:
            self._want_to_write(True)
        except OSError as error:
            self._end(error)
        else:
            self._end(None)

    def give_up(self) -> None:
        """Nobody wants to hear of it any more."""
        self._timer.cancel()
        self._want_to_write(False)

    def _want_to_write(self, wants: bool) -> None:
        if wants != self._writes:
            self._writes = wants
            if wants:
                self._loop.add_writer(self._number, self.go_on)
            else:
                self._loop.remove_writer(self._number)

    def _end(self, error: OSError | None) -> None:
        if not self._transport.is_closing():
            self.give_up()
            if error is None:
                self._transport._handshake = None
            self._done(error)
