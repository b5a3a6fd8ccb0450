"""Reads the octets of a message: finds their end, undoes dot-stuffing, bounds memory.

Rule: only CRLF . CRLF ends DATA (RFC 5321 section 4.1.1.4); anything similar is content.
"""

from __future__ import annotations

_END = b"\r\n.\r\n"
_BEGINNINGS_OF_END = tuple(_END[:n] for n in (4, 3, 2, 1))
MAX_TEXT_LINE = 998  # RFC 5321 section 4.5.3.1.6, RFC 5322 section 2.1.1, without the CRLF


class _Content:
    """The content read so far of a message. Octets beyond the limit are counted, not kept."""

    __slots__ = ("_limit", "_pieces", "size")

    def __init__(self, limit: int | None) -> None:
        self.size = 0  # octets so far, as they are in the message
        self._limit = limit
        self._pieces: list[bytes] = []

    @property
    def over(self) -> bool:
        return self._limit is not None and self.size > self._limit

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        self._pieces.append(piece)
        if self.over:  # it will be refused
            self._pieces.clear()

    def content(self) -> bytes:
        """The whole message; the reader drops its copy."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class DataReader(_Content):
    """Reads the octets after 354 up to the final dot.

    Works on whole reads with `find` and `replace`, never line by line, so that 20 MB of
    one-character lines cost no more than 20 MB of other text.
    """

    __slots__ = ("_at_start", "_held")

    def __init__(self, limit: int | None) -> None:
        super().__init__(limit)
        self._held = b""
        self._at_start = True

    def feed(self, data: bytes) -> bytes | None:
        """Reads octets; returns those after the final dot, None before the dot has arrived."""
        if self._held:
            data = self._held + data
            self._held = b""
        elif self._at_start and data.startswith(b"."):
            # The CRLF of the DATA command belongs to this dot; it comes off with the first piece
            data = b"\r\n" + data
        else:
            self._at_start = False
        # Without a dot at the start of a line there is no end and no dot-stuffing. Text without any
        # dot, such as base64, is recognised in 0.05 ns an octet instead of 1 ns
        dot = data.find(b"\r\n.") if b"." in data else -1
        end = dot if dot < 0 or data.startswith(_END, dot) else data.find(_END, dot)
        if end >= 0:
            self._take(data[: end + 2], dot < end)
            return data[end + len(_END) :]
        # Hold back a possible beginning of the end, so that no piece is cut inside a CRLF
        # or between CRLF and dot
        if data.endswith(_BEGINNINGS_OF_END):
            held = next(len(each) for each in _BEGINNINGS_OF_END if data.endswith(each))
            data, self._held = data[:-held], data[-held:]
        self._take(data, dot >= 0)
        return None

    def _take(self, piece: bytes, has_dots: bool) -> None:
        if not piece:
            return
        # RFC 5321 section 4.5.2: a dot at the start of a line is dropped
        if has_dots:
            piece = piece.replace(b"\r\n.", b"\r\n")
        if self._at_start:
            piece, self._at_start = piece[2:], False
        self._keep(piece)


class ChunkReader(_Content):
    """Collects the chunks of BDAT (RFC 3030 section 2), in which no octet is special."""

    __slots__ = ("chunk_size", "last", "remaining")

    def __init__(self) -> None:
        super().__init__(None)
        self.chunk_size = 0  # octets of the present chunk
        self.remaining = 0  # octets of it that are still to come
        self.last = False

    def begin(self, octets: int, last: bool, limit: int | None) -> None:
        """Begins a chunk of this many octets; `limit` is the message's limit, in octets."""
        self.chunk_size = self.remaining = octets
        self.last, self._limit = last, limit

    def feed(self, data: bytes) -> bytes | None:
        """Reads octets; returns those after the chunk, None before the chunk is complete."""
        piece, rest = data[: self.remaining], data[self.remaining :]
        self.remaining -= len(piece)
        self._keep(piece)
        return None if self.remaining else rest


def violations_in(raw: bytes, *, eight_bit: bool) -> list[str]:
    """The codes of the violations in a message's octets; `eight_bit` allows octets over 127."""
    found = []
    line_ends = raw.count(b"\r\n")
    if raw.count(b"\n") != line_ends:
        found.append("bare-lf")
    if raw.count(b"\r") != line_ends:
        found.append("bare-cr")
    if find_long_line(raw, 0, len(raw)) is not None:
        found.append("long-line")
    if not eight_bit and not raw.isascii():
        found.append("eight-bit")
    return found


def find_long_line(raw: bytes, start: int, end: int) -> int | None:
    """The position of the first line of over 998 octets, None without one.

    Jumps repeatedly to the last line feed within the limit: a few searches a kilobyte, however
    short the lines are.
    """
    window = MAX_TEXT_LINE + len(b"\r\n")
    while end - start > MAX_TEXT_LINE:
        feed = raw.rfind(b"\n", start, min(start + window, end))
        if feed < 0:
            return start
        start = feed + 1
    return None
