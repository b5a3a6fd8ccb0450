"""Reads the octets of a connection, slowed by `Throttle` faults, and pauses when it must."""

from __future__ import annotations

from .shared import Shared
from .transport import Transport

THROTTLE_STEP = 0.05  # seconds: a throttled client's octets of so long are read at once


class Intake:
    """Reads of one connection, into the buffer that all connections share."""

    def __init__(self, shared: Shared, transport: Transport, peer: str, session: object) -> None:
        """`Throttle` faults match `peer` and count by `session`."""
        self._shared = shared
        self._transport = transport
        self._throttle = shared.state.faults.throttle
        self._throttled_by = peer, session
        self._faults = shared.state.faults.live
        self._throttled = self._full = False
        self.paused = False

    def buffer(self) -> memoryview:
        """Where the next octets go; `take` copies them before the next read."""
        buffer = self._shared.buffer
        if self._faults and (rate := self._throttle(*self._throttled_by)) is not None:
            return buffer[: max(1, int(rate * THROTTLE_STEP))]
        return buffer

    def take(self, octets: int) -> bytes:
        data = bytes(self._shared.buffer[:octets])
        if self._faults and (rate := self._throttle(*self._throttled_by)) is not None:
            self._throttled = True
            self._shared.loop.call_later(octets / rate, self._read_on)
            self.mind(full=self._full)
        return data

    def mind(self, *, full: bool) -> None:
        """Pauses reading, or goes on; `full` says that the connection can take no more."""
        self._full = full
        pause = full or self._throttled
        if pause != self.paused and not self._transport.is_closing():
            self.paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _read_on(self) -> None:
        self._throttled = False
        self.mind(full=self._full)

    def resumed(self) -> None:
        """A handshake reads whatever was paused."""
        self.paused = False
