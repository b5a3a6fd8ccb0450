"""The header of a message or part: its fields as places in the octets, and malformed lines.

Nothing raises, and the time is linear in the octets, whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from . import limits
from .addresses import AddressList, read_addresses
from .flaw import Flaw
from .parameters import Parameters, read_parameters

_NEXT_FIELD = re.compile(rb"\n(?![ \t])")
_NAME = re.compile(rb"([!-9;-~]+)([ \t]*):")  # RFC 5322 section 3.6.8, and 4.5 for the blanks
_NO_PARAMETERS = read_parameters("")
_BOM = b"\xef\xbb\xbf"
# A first line that is no field is skipped in front of these only: other text may have a colon, too
_COMMON = frozenset(
    ("bcc", "cc", "content-disposition", "content-id", "content-transfer-encoding", "content-type",
     "date", "dkim-signature", "from", "message-id", "mime-version", "received", "reply-to",
     "return-path", "sender", "subject", "to", "x-mailer"))  # fmt: skip


class Field:
    """A header field: its name, its place, and its value without folds."""

    def __init__(self, name: str, octets: bytes, offset: int, end: int) -> None:
        self.name = name
        self.key = name.lower()
        self.octets = octets  # behind the colon, folds included
        self.offset = offset
        self.end = end
        self.is_read = True  # False beyond the limits: then it is given as its raw text

    @cached_property
    def source(self) -> str:
        """As sent, folds included; 8-bit octets are surrogates, as the email package has them."""
        return self.octets.decode("ascii", "surrogateescape").lstrip(" \t\r\n")

    @cached_property
    def value(self) -> str:
        """On one line (RFC 5322 section 2.2.3); 8-bit octets are surrogates."""
        return unfold(self.source)

    @cached_property
    def addresses(self) -> AddressList:
        return read_addresses(self.value)

    @cached_property
    def parameters(self) -> Parameters:
        return read_parameters(self.value if self.is_read else "")


class Header(NamedTuple):
    """The fields of a message or part. `body` is where its content begins."""

    fields: list[Field]
    body: int
    flaws: list[Flaw]
    unix_from: str = ""  # the separator of an mbox that stands on top
    complete: bool = True  # False where it has more fields than are read

    def find(self, key: str) -> Field | None:
        """The first field of the name, in lower case."""
        return next((field for field in self.fields if field.key == key), None)

    def value(self, key: str) -> str:
        """The value of the first field of the name; `""` where there is none or it is not read."""
        field = self.find(key)
        return field.value if field is not None and field.is_read else ""

    def address_lists(self, keys: frozenset[str]) -> list[tuple[Field, AddressList | None]]:
        """The address lists of the fields with these names; None for the first beyond the limit."""
        left = limits.ADDRESS_OCTETS
        found: list[tuple[Field, AddressList | None]] = []
        for field in self.fields:
            if field.key in keys:
                left -= len(field.octets)
                found.append((field, field.addresses if left >= 0 else None))
                if left < 0:
                    break
        return found

    def parameters(self, key: str) -> Parameters:
        field = self.find(key)
        return _NO_PARAMETERS if field is None else field.parameters


def unfold(source: str) -> str:
    return source.replace("\r", "").replace("\n", "")


class HeaderReader:
    """Reads the headers of one message; counts down the limits for all of them."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._fields = limits.ALL_FIELDS
        self._octets = limits.FIELD_OCTETS

    def read(self, start: int, end: int) -> Header:
        """The header that begins at `start`; `end` is where the message or part ends."""
        raw = self._raw
        flaws: list[Flaw] = []
        if start == 0 and raw.startswith(_BOM):
            flaws.append(Flaw("bom", "a byte order mark"))
            start = len(_BOM)
        if raw.startswith((b"\n", b"\r\n"), start, end):
            return Header([], raw.index(b"\n", start) + 1, flaws)
        stop, body = self._blank_line(start, end)
        fields: list[Field] = []
        unix_from = ""
        begins_with_text = False
        room = min(limits.FIELDS, self._fields)
        for lines, (offset, line) in enumerate(_lines(raw, start, stop)):
            match = _NAME.match(line)
            if lines == room:
                flaws.append(Flaw("too-many-fields", f"{room:,} headers read"))
                self._fields -= lines
                return Header(fields, stop if body < 0 else body, flaws, unix_from, False)
            if match is not None:
                fields.append(self._field(match, line, offset))
                if match[2]:
                    flaws.append(Flaw("spaced-colon", fields[-1].name))
                continue
            shown = line[:200].decode("ascii", "backslashreplace")
            if line[:5] == b"From " and offset == start:
                unix_from = line.decode("ascii", "surrogateescape").rstrip("\r\n")
                flaws.append(Flaw("unix-from", shown))
            elif line[:1] in (b" ", b"\t", b":") or line[:6] == b">From ":
                kind = {b":": "no-name", b">": "no-field"}.get(line[:1], "stray-continuation")
                flaws.append(Flaw(kind, shown))
            elif body < 0:  # what cannot be a header begins the content
                flaws.append(Flaw("no-separator", shown))
                body = offset
                break
            else:
                begins_with_text = begins_with_text or not fields
                flaws.append(Flaw("misplaced-from" if line[:5] == b"From " else "no-field", shown))
        self._fields -= len(fields) + len(flaws)
        if begins_with_text and not any(field.key in _COMMON for field in fields):
            return Header([], start, [Flaw("no-separator", flaws[0].detail)])
        return Header(fields, stop if body < 0 else body, flaws, unix_from)

    def _blank_line(self, start: int, end: int) -> tuple[int, int]:
        """Where the last line of the header ends, and where the content begins; -1: nowhere."""
        blank = self._raw.find(b"\n\r\n", start, end)
        bare = self._raw.find(b"\n\n", start, end if blank < 0 else blank + 1)
        if bare >= 0:
            return bare + 1, bare + 2
        return (blank + 1, blank + 3) if blank >= 0 else (end, -1)

    def _field(self, match: re.Match[bytes], line: bytes, offset: int) -> Field:
        octets = line[match.end() :]
        field = Field(match[1].decode(), octets, offset, offset + len(line))
        self._octets -= min(len(octets), limits.FIELD)
        field.is_read = len(line) <= limits.FIELD and self._octets >= 0
        return field


def _lines(raw: bytes, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Each field with its continuation lines, without its line end."""
    while start < stop:
        feed = _NEXT_FIELD.search(raw, start, stop)
        after = feed.end() if feed else stop
        yield start, raw[start:after].removesuffix(b"\n").removesuffix(b"\r")
        start = after
