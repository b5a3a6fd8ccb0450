"""Command lines out of a stream of octets: only CRLF ends one, and no line grows without bound."""

from __future__ import annotations

MAX_LINE = 65_536  # of a longer line only the beginning is kept


class LineBuffer:
    """Octets received and not yet used. Each octet is searched once, however they arrive."""

    __slots__ = ("_buffer", "_cut", "_searched", "_skip")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # so far there is no line end
        self._skip = 0  # octets still to be thrown away
        self._cut: bytes | None = None  # the beginning of a line that is too long

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._buffer += data

    def skip(self, octets: int) -> None:
        """Throws away so many octets, those that are still to come included."""
        self._skip += octets
        data = self.take()
        self.feed(data)

    def take(self) -> bytes:
        """All there is, as no line."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return data

    def starts_with(self, octets: bytes) -> bool:
        return self._buffer.startswith(octets)

    def next_line(self) -> bytes | None:
        """The next line without its CRLF, or None; of one over MAX_LINE the first MAX_LINE + 1."""
        buffer = self._buffer
        end = buffer.find(b"\r\n", self._searched)
        if end < 0:
            if len(buffer) > MAX_LINE + 1:
                self._cut = self._cut or bytes(buffer[: MAX_LINE + 1])
                del buffer[:-1]  # the last octet may be the CR of its end
            self._searched = max(0, len(buffer) - 1)
            return None
        line = self._cut or bytes(buffer[: min(end, MAX_LINE + 1)])
        del buffer[: end + 2]
        self._searched, self._cut = 0, None
        return line
