"""Receives the client's octets: command lines, or the content of a message."""

from __future__ import annotations

from .content import ChunkReader, DataReader
from .lines import LineBuffer


class Intake:
    """Keeps octets until they are used: `lines` outside of a message, a reader inside."""

    __slots__ = ("chunks", "complete", "content_progress", "lines", "reader")

    def __init__(self) -> None:
        self.lines = LineBuffer()
        self.reader: DataReader | ChunkReader | None = None  # of the content that is expected
        self.complete = False  # the reader has all of it
        self.chunks: ChunkReader | None = None  # a message in chunks, also between two of them
        self.content_progress = 0  # octets of content

    def begin_data(self, limit: int | None) -> None:
        """Expects the content of DATA; a message over `limit` octets is not kept."""
        self._begin(DataReader(limit))

    def begin_chunk(self, octets: int, *, last: bool, limit: int | None) -> None:
        """Expects a chunk of this many octets; `limit` is the limit of the whole message."""
        self.chunks = self.chunks or ChunkReader()
        self.chunks.begin(octets, last, limit)
        self._begin(self.chunks)

    def _begin(self, reader: DataReader | ChunkReader) -> None:
        self.reader, self.complete = reader, False
        if self.lines.octets or isinstance(reader, ChunkReader):  # a chunk may be empty
            self.feed_content(self.lines.take())

    def feed_content(self, data: bytes) -> None:
        assert self.reader is not None
        self.content_progress += len(data)
        rest = self.reader.feed(data)
        if rest is not None:
            self.complete = True
            self.lines.feed(rest)

    def end_content(self) -> DataReader | ChunkReader:
        """Returns the reader of the complete content; lines follow again."""
        reader, self.reader = self.reader, None
        assert reader is not None
        if not isinstance(reader, ChunkReader) or reader.last:
            self.chunks = None
        return reader

    def drop_message(self) -> None:
        """Drops the content received so far: the transaction is over."""
        self.reader = self.chunks = None
