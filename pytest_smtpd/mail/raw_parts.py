"""The MIME parts of a message (RFC 2046 section 5), as places in its octets.

Nothing is copied or decoded before it is asked for. Bounded in parts, depth and octets searched,
because a mail may be hostile; what was not looked at makes the tree incomplete.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .charsets import codec_name, decode_bytes
from .fields import decode_base64
from .problems import Finding
from .raw_header import Header, Parameters, read_header, read_parameters

MAX_PARTS = 500
MAX_DEPTH = 20
MAX_SEARCHED = 1 << 27  # octets searched for boundaries, all levels together
MAX_FALSE_HITS = 20_000  # lines that begin like a boundary and are none
MAX_PART_HEADER = 1 << 14
MAX_PART_FIELDS = 200
MAX_DECODED = 1 << 22  # octets of one text that are decoded

_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")
_CONTENT_TYPE = re.compile(r"[^\s()<>@,;:\\\"/\[\]?=]+/[^\s()<>@,;:\\\"/\[\]?=]+")


@dataclass
class Part:
    """One part: its header, where its body lies in the message, and the parts in it."""

    number: str  # "1.2": the second part of the first part; "" for the message itself
    header: Header
    raw: bytes
    end: int
    default_type: str = "text/plain"  # RFC 2045 section 5.2, RFC 2046 section 5.1.5
    parts: list[Part] = field(default_factory=list)

    @cached_property
    def type(self) -> Parameters:
        """Content-Type with its parameters; the default one where it is absent or malformed."""
        found = read_parameters(self.header.text("content-type"))
        if _CONTENT_TYPE.fullmatch(found.value):
            return found
        return Parameters(self.default_type, found.parameters, found.flaw)

    @cached_property
    def type_is_malformed(self) -> bool:
        value = read_parameters(self.header.text("content-type")).value
        return self.header.has("content-type") and not _CONTENT_TYPE.fullmatch(value)

    @cached_property
    def disposition(self) -> Parameters:
        return read_parameters(self.header.text("content-disposition"))

    @cached_property
    def encoding(self) -> str:
        """The Content-Transfer-Encoding in lower case."""
        return read_parameters(self.header.text("content-transfer-encoding")).value or "7bit"

    @property
    def charset(self) -> str | None:
        return self.type.parameters.get("charset")

    @property
    def file_name(self) -> str | None:
        name = self.disposition.parameters.get("filename")
        return self.type.parameters.get("name") if name is None else name

    @property
    def is_attachment(self) -> bool:
        return self.disposition.value == "attachment" or bool(self.file_name)

    @property
    def is_multipart(self) -> bool:
        return self.type.value.startswith("multipart/")

    @property
    def label(self) -> str:
        """How a reader finds it."""
        return f"part {self.number} ({self.type.value})" if self.number else "the body"

    @property
    def octets(self) -> bytes:
        """The body as sent."""
        return self.raw[self.header.body : self.end]

    @cached_property
    def decoded(self) -> bytes:
        """The first 4 MiB of the body, transfer encoding undone as far as it can be."""
        octets = self.raw[self.header.body : min(self.end, self.header.body + MAX_DECODED)]
        if self.encoding == "base64":
            return decode_base64(octets)
        if self.encoding == "quoted-printable":
            return binascii.a2b_qp(octets)
        return octets

    @property
    def is_cut(self) -> bool:
        return self.end - self.header.body > MAX_DECODED

    def is_in_its_charset(self) -> bool:
        """Whether the text can be decoded as it declares; True for a charset that Python lacks."""
        codec = codec_name(self.charset or "us-ascii")
        if codec is None:
            return True
        try:
            decoder = codecs.getincrementaldecoder(codec)()
            decoder.decode(self.decoded, final=not self.is_cut)
        except (LookupError, ValueError) as error:
            return isinstance(error, LookupError)
        return True

    @property
    def text(self) -> str:
        return decode_bytes(self.decoded, self.charset)

    def walk(self) -> Iterator[Part]:
        yield self
        for part in self.parts:
            yield from part.walk()


class Tree:
    """The parts of a message. `findings` are flaws of the multiparts: a code and its place."""

    def __init__(self, raw: bytes, header: Header) -> None:
        self.findings: list[Finding] = []
        self.complete = header.complete
        self._left = MAX_PARTS
        self._searchable = MAX_SEARCHED
        self._false_hits = 0
        self.root = Part("", header, raw, len(raw))
        self._read(self.root, 0)

    def _read(self, part: Part, depth: int) -> None:
        if not part.is_multipart:
            return
        boundary = part.type.parameters.get("boundary")
        if not boundary:
            self.findings.append(("missing-boundary", part.label))
            return
        if len(boundary) > 70:
            self.findings.append(("bad-boundary", part.label))
        if depth == MAX_DEPTH or part.end - part.header.body > self._searchable:
            self.complete = False
            return
        self._searchable -= part.end - part.header.body
        default = "message/rfc822" if part.type.value == "multipart/digest" else "text/plain"
        for start, end in self._split(part, boundary.encode("utf-8", "replace")):
            if not self._left:
                self.complete = False
                return
            self._left -= 1
            number = f"{part.number}.{len(part.parts) + 1}".removeprefix(".")
            header = read_header(part.raw, start, end, octets=MAX_PART_HEADER, most=MAX_PART_FIELDS)
            self.complete = self.complete and header.complete
            child = Part(number, header, part.raw, max(end, header.body), default)
            part.parts.append(child)
            self._read(child, depth + 1)

    def _split(self, part: Part, boundary: bytes) -> Iterator[tuple[int, int]]:
        """Where the parts begin and end; what stands before and after them is nobody's."""
        raw, needle = part.raw, b"\n--" + boundary
        # The line end before a boundary belongs to it; the first one may follow the header at once
        position, begin = part.header.body - 1, -1
        while (position := raw.find(needle, position, part.end)) >= 0:
            after = _AFTER_BOUNDARY.match(raw, position + len(needle), part.end)
            if after is None:
                position += len(needle)
                self._false_hits += 1
                if self._false_hits > MAX_FALSE_HITS:
                    self.complete = False
                    return
                continue
            if begin >= 0:
                end = position - (raw[position - 1 : position] == b"\r")
                yield begin, max(begin, end)
            if after[1]:
                return
            begin = after.end()
            position = begin - 1
        if begin < 0:
            self.findings.append(("boundary-not-found", f"{part.label}, {boundary.decode()}"))
            return
        self.findings.append(("unclosed-multipart", part.label))
        yield begin, part.end
