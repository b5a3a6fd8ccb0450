"""Clients of a port with TLS from the start, before their first octet."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ..record import EndedBy, SessionJournal
from .loop import Timer
from .shared import Shared

FIRST_OCTET_TIMEOUT = 2.0  # seconds: a client that speaks TLS speaks first and at once
CONTENT_TYPE_HANDSHAKE = b"\x16"  # RFC 8446 section 5.1


class Newcomers:
    """Waits for the first octet of each client, then has it welcomed with a handshake.

    The handshake must not start before: a client that waits for our greeting would wait until the
    handshake times out.
    """

    def __init__(
        self, shared: Shared, welcome: Callable[[socket.socket, SessionJournal, int], object]
    ) -> None:
        self._shared = shared
        self._welcome = welcome
        self._silent: dict[socket.socket, tuple[SessionJournal, Timer]] = {}

    def __len__(self) -> int:
        return len(self._silent)

    def add(self, client: socket.socket, record: SessionJournal, epoch: int) -> None:
        """A client that has just connected, during test `epoch`."""
        loop = self._shared.loop
        patience = min(FIRST_OCTET_TIMEOUT, self._shared.state.timeout)
        timer = loop.call_later(patience, self._refuse_plain, client, record, "timeout")
        self._silent[client] = record, timer
        loop.add_reader(client.fileno(), lambda: self._first_octet(client, record, epoch))

    def drop(self) -> None:
        """Closes all connections: without TLS no reply can be sent."""
        for client, (record, _) in list(self._silent.items()):
            self._forget(client)
            _hang_up(client, record, "server")

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
            self._welcome(client, record, epoch)
        else:
            if octets:
                record.note(octets.partition(b"\r\n")[0])
            self._refuse_plain(client, record, "server" if octets else "client")

    def _refuse_plain(self, client: socket.socket, record: SessionJournal, ended: EndedBy) -> None:
        """Closes a client that starts no handshake. A client that has gone is no violation."""
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
