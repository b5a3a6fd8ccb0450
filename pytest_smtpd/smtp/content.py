"""The octets of a message: where they end, dot-stuffing undone, bounded in memory.

Only CRLF . CRLF ends DATA (RFC 5321 section 4.1.1.4); anything like it is content.
"""

from __future__ import annotations

from collections.abc import Iterator

_END = b"\r\n.\r\n"
MAX_TEXT_LINE = 998  # RFC 5321 section 4.5.3.1.6, without the CRLF


class DataReader:
    """Reads what follows 354 up to the final dot.

    Works on whole reads with `find` and `replace`, never line by line: that is what makes 20 MB
    of one-character lines as cheap as 20 MB of anything else.
    """

    __slots__ = ("_at_start", "_held", "_limit", "_pieces", "size")

    def __init__(self, limit: int | None) -> None:
        self.size = 0  # octets of content so far, dots undone
        self._limit = limit
        self._pieces: list[bytes] = []
        # The CRLF of the DATA command is the first half of the end of an empty message; it goes
        # in front and comes off again with the first piece
        self._held = b"\r\n"
        self._at_start = True

    @property
    def over(self) -> bool:
        return self._limit is not None and self.size > self._limit

    def feed(self, data: bytes) -> bytes | None:
        """Takes octets; gives back what stands behind the final dot once it has come."""
        data = self._held + data
        end = data.find(_END)
        if end >= 0:
            self._take(data[: end + 2])
            return data[end + len(_END) :]
        # What may be the beginning of the end waits for the next read; so no piece is cut
        # inside a CRLF or between it and a dot
        held = next((n for n in (4, 3, 2, 1) if data.endswith(_END[:n])), 0)
        self._held = data[len(data) - held :]
        self._take(data[: len(data) - held])
        return None

    def _take(self, piece: bytes) -> None:
        if not piece:
            return
        # RFC 5321 section 4.5.2: a dot at the start of a line is dropped
        if b"\r\n." in piece:
            piece = piece.replace(b"\r\n.", b"\r\n")
        if self._at_start:
            piece, self._at_start = piece[2:], False
        self.size += len(piece)
        self._pieces.append(piece)
        if self.over:
            self._pieces.clear()  # it will be refused: count on, keep nothing

    def content(self) -> bytes:
        """The whole message; the reader keeps nothing of it."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class ChunkReader:
    """Collects the chunks of BDAT (RFC 3030 section 2): nothing in them is special."""

    __slots__ = ("_limit", "_pieces", "chunk_size", "last", "remaining", "size")

    def __init__(self, limit: int | None) -> None:
        self.size = 0
        self.chunk_size = 0  # octets of the present chunk, and how many are still to come
        self.remaining = 0
        self.last = False
        self._limit = limit
        self._pieces: list[bytes] = []

    @property
    def over(self) -> bool:
        return self._limit is not None and self.size > self._limit

    def begin(self, octets: int, last: bool) -> None:
        self.chunk_size = self.remaining = octets
        self.last = last

    def feed(self, data: bytes) -> bytes | None:
        """Takes octets; gives back what stands behind the chunk once it is whole."""
        piece, rest = data[: self.remaining], data[self.remaining :]
        self.remaining -= len(piece)
        self.size += len(piece)
        self._pieces.append(piece)
        if self.over:
            self._pieces.clear()
        return None if self.remaining else rest

    def content(self) -> bytes:
        """All chunks, joined; the reader keeps nothing of them."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def violations_in(raw: bytes, *, eight_bit: bool) -> Iterator[str]:
    """The codes of the violations in a message's octets (see `violations`)."""
    line_ends = raw.count(b"\r\n")
    if raw.count(b"\n") != line_ends:
        yield "bare-lf"
    if raw.count(b"\r") != line_ends:
        yield "bare-cr"
    if _has_long_line(raw):
        yield "long-line"
    if not eight_bit and not raw.isascii():
        yield "eight-bit"


def _has_long_line(raw: bytes) -> bool:
    # Leaps from line feed to line feed, each as far ahead as the limit allows: a handful of
    # searches a kilobyte, however short the lines are
    start, window = 0, MAX_TEXT_LINE + len(b"\r\n")
    while len(raw) - start > MAX_TEXT_LINE:
        feed = raw.rfind(b"\n", start, start + window)
        if feed < 0:
            return True
        start = feed + 1
    return False
