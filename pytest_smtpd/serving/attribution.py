"""Attributes the octets of a connection that outlives its test to a test."""

from __future__ import annotations

from ..smtp.lines import LineBuffer

_QUIT = b"QUIT\r\n"


class Attribution:
    """Counts the octets of each test. `epoch` is the number of the connection's test."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._arrived_in, self._new = epoch, 0  # the last octets: their test, how many came in it

    def note_arrival(self, octets: int, now: int) -> None:
        """Octets came during test `now`."""
        if now == self.epoch:
            return
        if now != self._arrived_in:
            self._arrived_in, self._new = now, 0
        self._new += octets

    def moves_to(self, now: int, waiting: LineBuffer, *, in_message: bool) -> bool:
        """Whether the next line or content belongs to test `now`, not to the connection's test.

        A QUIT does not count. A test may end as soon as its mail is there, before a client in
        another thread says QUIT. Then chance would decide whether the next test has the session.
        """
        if self._arrived_in != now:
            return False
        old = waiting.octets - self._new  # octets of earlier tests
        if in_message and old < 0:  # the message has taken octets of this test
            return True
        line_is_old = not waiting.octets or (old > 0 and waiting.has_line(old))
        return not line_is_old and waiting.peek(len(_QUIT)).upper() != _QUIT
