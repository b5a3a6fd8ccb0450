"""Clients of a port with TLS from the start, before their handshake is done."""

from __future__ import annotations

import socket

from ..record import EndedBy, SessionJournal
from .connection import Connection
from .loop import Timer
from .shared import Shared
from .transport import Transport

FIRST_OCTET_TIMEOUT = 2.0  # seconds: a client that speaks TLS speaks first and at once
CONTENT_TYPE_HANDSHAKE = b"\x16"  # RFC 8446 section 5.1


class Newcomers:
    """Waits for the first octet of each client, then shakes hands, then makes a `Connection`.

    The handshake must not start before: a client that waits for our greeting would wait until the
    handshake times out.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._silent: dict[socket.socket, tuple[SessionJournal, Timer]] = {}
        self._shaking: dict[Transport, SessionJournal] = {}

    def __len__(self) -> int:
        return len(self._silent) + len(self._shaking)

    def add(self, client: socket.socket, record: SessionJournal, epoch: int) -> None:
        """A client that has just connected, during test `epoch`."""
        loop = self._shared.loop
        patience = min(FIRST_OCTET_TIMEOUT, self._shared.state.timeout)
        timer = loop.call_later(patience, self._refuse_plain, client, record, "timeout")
        self._silent[client] = record, timer
        loop.add_reader(client.fileno(), lambda: self._first_octet(client, record, epoch))

    def drop(self) -> None:
        """Hangs up on all: without TLS nothing can be said to them."""
        for client, (record, _) in list(self._silent.items()):
            self._forget(client)
            _hang_up(client, record, "server")
        for transport, record in self._shaking.items():
            record.ends("server")
            transport.abort()
        self._shaking.clear()

    def _first_octet(self, client: socket.socket, record: SessionJournal, epoch: int) -> None:
        try:
            octets = client.recv(512, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            octets = b""
        self._shared.activity += 1
        self._forget(client)
        if self._shared.state.epoch != epoch:  # another test has begun meanwhile
            record, epoch = self._shared.state.renew_record(record)
        if octets.startswith(CONTENT_TYPE_HANDSHAKE):
            self._shake_hands(client, record, epoch)
        else:
            if octets:
                record.client(octets.partition(b"\r\n")[0])
            self._refuse_plain(client, record, "server" if octets else "client")

    def _shake_hands(self, client: socket.socket, record: SessionJournal, epoch: int) -> None:
        shared = self._shared
        connection = Connection(shared, record, epoch, spoke=False)
        transport = Transport(shared.loop, client, connection)
        self._shaking[transport] = record

        def done(error: OSError | None) -> None:
            self._shaking.pop(transport, None)
            shared.activity += 1
            if error is None:
                connection.connection_made(transport)
            else:
                from .handshake import note_failed_handshake

                note_failed_handshake(record, error)
                transport.abort()

        assert shared.ssl_context is not None
        transport.start_tls(shared.ssl_context, shared.state.timeout, done)

    def _refuse_plain(self, client: socket.socket, record: SessionJournal, ended: EndedBy) -> None:
        """Hangs up on a client that starts no handshake; one that has gone violates nothing."""
        self._forget(client)
        if ended != "client":
            record.violation("plain-on-tls-port")
        _hang_up(client, record, ended)

    def _forget(self, client: socket.socket) -> None:
        if client in self._silent:
            _, timer = self._silent.pop(client)
            timer.cancel()
            self._shared.loop.remove_reader(client.fileno())


def _hang_up(client: socket.socket, record: SessionJournal, ended: EndedBy) -> None:
    client.close()
    record.ends(ended)
    record.closed()
