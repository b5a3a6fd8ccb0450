"""Splits octets into command lines. Only CRLF ends a line, and long lines are truncated."""

from __future__ import annotations

MAX_LINE = 65_536  # of a longer line only the beginning is kept


class LineBuffer:
    """Octets received and not yet used. Each octet is searched once, however they arrive."""

    __slots__ = ("_cut", "_data", "_searched", "_skip", "_start", "octets", "progress")

    def __init__(self) -> None:
        self.octets = 0  # received and not yet used
        self.progress = 0  # lines taken out, and octets dropped
        # Most reads are one line. So a read is kept unchanged, with the position of its unused
        # part: removing a line from the front of a bytearray costs twice as much.
        self._data = b""
        self._start = 0  # where the unused octets begin
        self._searched = 0  # up to here there is no line end
        self._skip = 0  # octets still to be dropped
        self._cut: bytes | None = None  # the beginning of a line that is too long

    def feed(self, data: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            self.progress += skipped
            data = data[skipped:]
        if self.octets:
            self._searched -= self._start
            data = self._data[self._start :] + data
            self._start = 0
        self._data, self.octets = data, len(data)

    def skip(self, octets: int) -> None:
        """Drops this many octets, including octets that have not arrived yet."""
        self._skip += octets
        self.feed(self.take())

    def take(self) -> bytes:
        """All unused octets, whether they are lines or not."""
        data = self._data[self._start :]
        self._keep_from(len(self._data))
        return data

    def peek(self, octets: int) -> bytes:
        """The first unused octets, without using them."""
        return self._data[self._start : self._start + octets]

    def has_line(self, octets: int) -> bool:
        """Whether a line ends within the first `octets` unused octets."""
        return self._data.find(b"\r\n", self._start, self._start + octets) >= 0

    def next_line(self) -> bytes | None:
        """The next line without its CRLF, or None; a line over MAX_LINE is cut to MAX_LINE + 1."""
        data, start = self._data, self._start
        end = data.find(b"\r\n", self._searched)
        if end < 0:
            if self.octets > MAX_LINE + 1:
                self._cut = self._cut or data[start : start + MAX_LINE + 1]
                self._keep_from(len(data) - 1)  # the last octet may be the CR of the line end
            self._searched = max(self._start, len(self._data) - 1)
            return None
        if not start and end == len(data) - 2 and end <= MAX_LINE and self._cut is None:
            self._data, self.octets, self._searched = b"", 0, 0
            self.progress += 1
            return data[:-2]
        line = self._cut or data[start : min(end, start + MAX_LINE + 1)]
        self._cut = None
        self.progress += 1
        self._keep_from(end + 2)
        return line

    def _keep_from(self, start: int) -> None:
        self.octets = len(self._data) - start
        if not self.octets:
            self._data, start = b"", 0
        self._start = self._searched = start
