"""Command lines out of a stream of octets: only CRLF ends one, and no line grows without bound."""

from __future__ import annotations

MAX_LINE = 65_536  # of a longer line only the beginning is kept


class LineBuffer:
    """Octets received and not yet used. Each octet is searched once, however they arrive."""

    __slots__ = ("_cut", "_data", "_searched", "_skip", "_start", "octets")

    def __init__(self) -> None:
        self.octets = 0  # in here
        # Mostly one read is one line. So the reads are kept as they come, and how far they are
        # used is counted: taking a line off the front of a bytearray costs twice as much.
        self._data = b""
        self._start = 0  # of what is not used
        self._searched = 0  # up to here there is no line end
        self._skip = 0  # octets still to be thrown away
        self._cut: bytes | None = None  # the beginning of a line that is too long

    def feed(self, data: bytes) -> int:
        """Takes octets, and says how many of them it has thrown away."""
        skipped = 0
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self.octets:
            self._searched -= self._start
            data = self._data[self._start :] + data
            self._start = 0
        self._data, self.octets = data, len(data)
        return skipped

    def skip(self, octets: int) -> None:
        """Throws away so many octets, those that are still to come included."""
        self._skip += octets
        self.feed(self.take())

    def take(self) -> bytes:
        """All there is, as no line."""
        data = self._data[self._start :]
        self._keep_from(len(self._data))
        return data

    def peek(self, octets: int) -> bytes:
        return self._data[self._start : self._start + octets]

    def has_line(self, octets: int) -> bool:
        """Whether a line ends in the first so many of them."""
        return self._data.find(b"\r\n", self._start, self._start + octets) >= 0

    def next_line(self) -> bytes | None:
        """The next line without its CRLF, or None; of one over MAX_LINE the first MAX_LINE + 1."""
        data, start = self._data, self._start
        end = data.find(b"\r\n", self._searched)
        if end < 0:
            if self.octets > MAX_LINE + 1:
                self._cut = self._cut or data[start : start + MAX_LINE + 1]
                self._keep_from(len(data) - 1)  # which may be the CR of its end
            self._searched = max(self._start, len(self._data) - 1)
            return None
        if not start and end == len(data) - 2 and end <= MAX_LINE and self._cut is None:
            self._data, self.octets, self._searched = b"", 0, 0
            return data[:-2]
        line = self._cut or data[start : min(end, start + MAX_LINE + 1)]
        self._cut = None
        self._keep_from(end + 2)
        return line

    def _keep_from(self, start: int) -> None:
        self.octets = len(self._data) - start
        if not self.octets:
            self._data, start = b"", 0
        self._start = self._searched = start
