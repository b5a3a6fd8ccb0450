"""Which test the octets of a connection belong to, where a connection outlives its test."""

from __future__ import annotations

from ..smtp.lines import LineBuffer

_QUIT = b"QUIT\r\n"


class Attribution:
    """Counts which octets came in which test. `epoch` is the number of the connection's test."""

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

        A QUIT does not count. A test is over when its mail is there, which is before a client in
        another thread says QUIT: then the next test would or would not have another session, by
        chance.
        """
        if self._arrived_in != now:
            return False
        old = waiting.octets - self._new  # octets of earlier tests
        if in_message and old < 0:  # the message has taken octets of this test
            return True
        line_is_old = not waiting.octets or (old > 0 and waiting.has_line(old))
        return not line_is_old and waiting.peek(len(_QUIT)).upper() != _QUIT
