"""The header of a message or part, read from its octets: fields, comments, parameters.

Everything is bounded and linear in the octets read; nothing raises, whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .fields import parse_parameters

MAX_HEADER = 1 << 18  # octets of a whole header that are looked at
MAX_FIELD = 1 << 16  # octets of one of its fields that are looked into
MAX_FIELDS = 5000

_END = re.compile(rb"\r?\n(?=\r?\n)")
_NEXT_FIELD = re.compile(rb"\n(?![ \t])")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_NAME = re.compile(rb"([!-9;-~]+)([ \t]*):")  # RFC 5322 section 3.6.8, and 4.5 for the spaces

_COMMENT_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[()]|[^"\\()]+|.', re.DOTALL)
_PARAMETER = re.compile(
    r'\s*;\s*(?:[^\s=;"]+\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)\s*)?(?=;|\Z)', re.DOTALL
)
_TOKEN = re.compile(r"[^\x00-\x20()<>@,;:\\\"/\[\]?=]+")  # RFC 2045 section 5.1


class Field(NamedTuple):
    """A header field: its name, the octets behind the colon with their folds, its place."""

    name: str
    key: str  # the name in lower case
    octets: bytes
    offset: int
    end: int
    spaced: bool  # white space before the colon

    @property
    def too_long(self) -> bool:
        return len(self.octets) > MAX_FIELD

    @property
    def text(self) -> str:
        """Unfolded; what is not UTF-8 is replaced; cut after 64 KiB."""
        return _FOLD.sub(b"", self.octets[:MAX_FIELD]).decode("utf-8", "replace").strip(" \t\r\n")


class Header(NamedTuple):
    """The fields of a message or part. `body` is where its body begins."""

    fields: tuple[Field, ...]
    body: int
    stray: bytes  # the line that ended the header, or stood on top of it, without being a field
    complete: bool  # False where there was more of it than is looked at

    def text(self, key: str) -> str:
        """The first field of the name; `""` where there is none."""
        return next((field.text for field in self.fields if field.key == key), "")

    def has(self, key: str) -> bool:
        return any(field.key == key for field in self.fields)


def read_header(
    raw: bytes, start: int, end: int, *, octets: int = MAX_HEADER, most: int = MAX_FIELDS
) -> Header:
    """The header that begins at `start`; `end` is where the message or part ends.

    At most so many `octets` are looked at and `most` fields given.
    """
    limit = min(end, start + octets)
    if raw.startswith((b"\n", b"\r\n"), start, end):
        return Header((), raw.index(b"\n", start) + 1, b"", True)
    blank = _END.search(raw, start, limit)
    if blank is not None:
        stop = blank.end()
        body = raw.index(b"\n", stop) + 1
    else:
        stop = body = limit
    fields: list[Field] = []
    stray = b""
    for offset, line in _lines(raw, start, stop):
        match = _NAME.match(line)
        if match is None:
            if offset == start and line.startswith((b"From ", b">From ")):  # an mbox separator
                stray = line
                continue
            if line.strip():
                # As every reader of mail does: what cannot be a header begins the body
                return Header(tuple(fields), offset, line, True)
            continue
        if len(fields) == most:
            return Header(tuple(fields), body, stray, False)
        name = match[1].decode()
        value = line[match.end() :]
        end_of_field = offset + len(line)
        fields.append(Field(name, name.lower(), value, offset, end_of_field, bool(match[2])))
    return Header(tuple(fields), body, stray, blank is not None or limit == end)


def _lines(raw: bytes, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Each field with its continuation lines."""
    while start < stop:
        feed = _NEXT_FIELD.search(raw, start, stop)
        after = feed.end() if feed else stop
        yield start, raw[start:after].removesuffix(b"\n").removesuffix(b"\r")
        start = after


def without_comments(text: str) -> str:
    """Comments (RFC 5322 section 3.2.2) replaced by a space, those in quotes left alone."""
    if "(" not in text:
        return text
    depth, kept = 0, []
    for match in _COMMENT_TOKEN.finditer(text):
        token = match[0]
        if token == "(":
            depth += 1
            kept.append(" ")
        elif token == ")" and depth:
            depth -= 1
        elif not depth:
            kept.append(token)
    return "".join(kept)


class Parameters(NamedTuple):
    """A value with parameters, as Content-Type has them (RFC 2045 section 5.1)."""

    value: str  # in lower case
    parameters: dict[str, str]
    flaw: str  # the first place that is malformed


def read_parameters(text: str) -> Parameters:
    """The value and the parameters of a Content-Type or Content-Disposition."""
    found = parse_parameters(text)
    return Parameters(found.head, found.parameters, _flaw(without_comments(text).strip()))


def _flaw(text: str) -> str:
    position = len(text.partition(";")[0])
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            return text[position:].strip("; \t")
        content = match[1]
        if content is not None and content[:1] != '"' and not _TOKEN.fullmatch(content):
            return match[0].strip("; \t")
        position = match.end()
    return ""
