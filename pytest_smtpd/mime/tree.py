"""The parts of a message (RFC 2046 section 5) as a tree of places in its octets.

Copies and decodes only on access. Nothing raises, and the time is linear in the
octets. Content beyond a limit stays unread, and a flaw of its part says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from . import limits
from .charsets import Text, decode
from .encodings import Decoded
from .encodings import decode as undo_encoding
from .flaw import Flaw
from .header import Header, HeaderReader
from .parameters import Parameters, is_media_type
from .words import header_text

_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]*+(?:\r?\n|\Z)")
_BLANK_LINE = re.compile(rb"(?<=\n)\r?\n")
_END_OF_LINE = re.compile(r"\r\n?")
# A space before the line end goes with it, unless the line is a signature's `-- `.
_FLOWED_BREAK = re.compile(r"(?<!^--) \n(?!>|-- \n) ?", re.MULTILINE)


class Part:
    """One part: its header, where its content lies in the message, and the parts in it.

    `parts` are those of a multipart, of a message/rfc822 the message, of a message/delivery-status
    its blocks of fields. `lead` and `tail` are the places of what stands before and after them.
    """

    def __init__(self, raw: bytes, header: Header, end: int, number: str, default: str) -> None:
        self.raw = raw
        self.header = header
        self.end = max(end, header.body)
        self.number = number  # "1.2": the second part of the first part; "" for the message
        self.default_type = default  # RFC 2045 section 5.2, RFC 2046 section 5.1.5
        self.parts: list[Part] = []
        self.flaws: list[Flaw] = list(header.flaws)
        self.lead: tuple[int, int] | None = None
        self.tail: tuple[int, int] | None = None

    # ---- its header

    @cached_property
    def parameters(self) -> Parameters:
        """Of Content-Type."""
        return self.header.parameters("content-type")

    @cached_property
    def type(self) -> str:
        """The media type in lower case; the default one where it is absent."""
        head = self.parameters.head
        if is_media_type(head):
            return head
        # RFC 2045 section 5.2: what is no media type is read as plain text
        return "text/plain" if self.header.find("content-type") else self.default_type

    @cached_property
    def disposition(self) -> Parameters:
        """Content-Disposition (RFC 2183); its head is `""` where there is none."""
        return self.header.parameters("content-disposition")

    @cached_property
    def encoding(self) -> str:
        """The Content-Transfer-Encoding in lower case."""
        return self.header.parameters("content-transfer-encoding").head or "7bit"

    @property
    def charset(self) -> str | None:
        return self.parameters.values.get("charset")

    @property
    def file_name(self) -> str | None:
        """An empty name is none."""
        name = self.disposition.values.get("filename")
        return name or self.parameters.values.get("name") or None

    @cached_property
    def content_id(self) -> str | None:
        """Without its angle brackets: what stands after `cid:` in an HTML body (RFC 2392)."""
        return header_text(self.header.value("content-id")).strip("<>") or None

    @property
    def is_inline(self) -> bool:
        """What Content-Disposition says; where it says nothing, a Content-ID tells."""
        disposition = self.disposition.head
        return disposition == "inline" if disposition else self.content_id is not None

    @property
    def is_multipart(self) -> bool:
        return self.type.startswith("multipart/")

    @property
    def label(self) -> str:
        """The name of the part in texts of problems and defects."""
        return f"part {self.number} ({self.type})" if self.number else "the body"

    # ---- its content

    @property
    def octets(self) -> bytes:
        """The content as sent."""
        return self.raw[self.header.body : self.end]

    def decode(self) -> Decoded:
        """The content, its transfer encoding undone as far as it can be."""
        return undo_encoding(self.encoding, self.octets)

    def decode_text(self, decoded: Decoded | None = None) -> Text:
        """The content of a text part; what cannot be decoded is U+FFFD, line ends are `\\n`.

        `decoded` is what `decode` gives, where it is known.
        """
        octets = self.octets
        # Ruby writes an extra CR in front of a line's end
        if self.encoding == "quoted-printable" and b"=0D\r\n" in octets:
            decoded = undo_encoding(self.encoding, octets.replace(b"=0D\r\n", b"\r\n"))
        text, sound = decode((decoded or self.decode()).octets, self.charset)
        return Text(_END_OF_LINE.sub("\n", text) if "\r" in text else text, sound)

    def unwrapped_text(self) -> str:
        """The text, lines joined where `delsp=yes` lets them break in a word (RFC 3676 4.2)."""
        text = self.decode_text().text
        wanted = (("format", "flowed"), ("delsp", "yes"))
        if all(self.parameters.values.get(name, "").lower() == value for name, value in wanted):
            return _FLOWED_BREAK.sub("", text)
        return text

    def walk(self, *, into_messages: bool = True) -> Iterator[Part]:
        """The part and all that are in it, without attached messages if so asked."""
        yield self
        if into_messages or self.is_multipart:
            for part in self.parts:
                yield from part.walk(into_messages=into_messages)


def read_tree(raw: bytes) -> Part:
    """The message in `raw`."""
    return _Reader(raw).part(0, len(raw), 0, "")


class _Reader:
    """Reads one message once; counts down the limits."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._headers = HeaderReader(raw)
        self._parts = limits.PARTS
        self._false_boundaries = limits.FALSE_BOUNDARIES
        self._searchable = limits.SCANS * len(raw) + limits.SCANNED_ANYWAY

    def part(
        self, start: int, end: int, depth: int, number: str, default: str = "text/plain"
    ) -> Part:
        """The message or part in `raw[start:end]`."""
        self._parts -= 1
        part = Part(self._raw, self._headers.read(start, end), end, number, default)
        if part.is_multipart:
            boundary = part.parameters.values.get("boundary", "").rstrip()
            if not boundary:
                part.flaws.append(Flaw("missing-boundary", part.label))
            elif self._may_go_on(part, depth):
                if len(boundary) > 70:
                    part.flaws.append(Flaw("bad-boundary", part.label))
                self._read_multipart(part, boundary.encode("utf-8", "replace"), depth)
        elif part.type == "message/delivery-status":
            self._read_blocks(part, depth)
        elif part.type.startswith("message/") and self._may_go_on(part, depth):
            part.parts.append(self.part(part.header.body, part.end, depth + 1, number))
        return part

    def _may_go_on(self, part: Part, depth: int) -> bool:
        if depth >= limits.DEPTH:
            part.flaws.append(Flaw("too-deep", f"{limits.DEPTH} levels"))
            return False
        if part.is_multipart:
            self._searchable -= part.end - part.header.body
            if self._searchable < 0:
                part.flaws.append(Flaw("too-deep", "too much to look through"))
                return False
        return True

    def _read_multipart(self, part: Part, boundary: bytes, depth: int) -> None:
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        begin = -1

        def add(end: int) -> None:
            number = f"{part.number}.{len(part.parts) + 1}".removeprefix(".")
            part.parts.append(self.part(begin, end, depth + 1, number, default))

        for stop, after, closing in self._delimiters(part, boundary):
            if begin < 0:
                if closing:
                    break
                if stop >= part.header.body:
                    part.lead = (part.header.body, stop)
            elif self._parts <= 0:
                part.flaws.append(Flaw("too-many-parts", f"{limits.PARTS:,} parts"))
                rest = Header([], begin, [])
                part.parts.append(Part(self._raw, rest, part.end, "", "text/plain"))
                return
            elif stop >= begin:
                add(stop)
            else:
                self._parts -= 1  # delimiter after delimiter: no part, but work
            begin = after
            if closing:
                part.tail = (after, part.end)
                return
        if begin < 0:
            part.flaws.append(Flaw("boundary-not-found", f"{part.label}, {boundary.decode()}"))
            return
        part.flaws.append(Flaw("unclosed-multipart", part.label))
        if not self._raw[begin : part.end].isspace() and begin < part.end:
            add(max(begin, _without_eol(self._raw, part.end)))

    def _delimiters(self, part: Part, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
        """For each delimiter line: the end of what precedes it, its own end, whether it closes."""
        raw, needle = self._raw, b"\n--" + boundary
        # The first one may follow the header at once, where no line feed may precede it
        position = part.header.body - 1
        if raw.startswith(needle[1:], part.header.body, part.end):
            after = _AFTER_BOUNDARY.match(raw, position + len(needle), part.end)
            if after is not None:
                yield position, after.end(), after[1] is not None
        while (position := raw.find(needle, max(position, 0), part.end)) >= 0:
            after = _AFTER_BOUNDARY.match(raw, position + len(needle), part.end)
            if after is None:
                self._false_boundaries -= 1
                if self._false_boundaries < 0:
                    part.flaws.append(Flaw("too-many-parts", "too much that is like a boundary"))
                    return
            elif position >= part.header.body:
                yield _without_eol(raw, position + 1), after.end(), after[1] is not None
            position += len(needle)

    def _read_blocks(self, part: Part, depth: int) -> None:
        """Blocks of fields between blank lines (RFC 3464 section 2.1)."""
        start = part.header.body
        while start < part.end:
            blank = _BLANK_LINE.search(self._raw, start, part.end)
            if self._parts <= 0:
                part.flaws.append(Flaw("too-many-parts", f"{limits.PARTS:,} parts"))
                blank = None
            stop = blank.start() if blank else part.end
            part.parts.append(self.part(start, stop, depth + 1, part.number))
            start = blank.end() if blank else part.end


def _without_eol(raw: bytes, end: int) -> int:
    """RFC 2046 section 5.1.1: the line end before a delimiter belongs to the delimiter."""
    end -= raw[end - 1 : end] == b"\n"
    return end - (raw[end - 1 : end] == b"\r")
