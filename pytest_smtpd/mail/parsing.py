"""Octets to a tree of `EmailMessage`: what `email.parser` makes of them, but in linear time.

Rule: whatever comes, the result is a message and its `defects` say what was wrong. (The standard
library's parser takes time in proportion to lines x depth, and recursion for each level.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import errors
from email.message import EmailMessage

from .content import SPAN, content_type, transfer_encoding
from .fields import MAX_HEADER, Costly, Unread
from .headers import MAX_COST, POLICY, LongHeaderDefect, cost

# Deeper or larger trees come from no mail client. Copying a message takes six frames a level.
MAX_DEPTH = 50
MAX_PARTS = 10_000
MAX_HEADERS = 10_000
_MAX_HEADERS_IN_ALL = 100_000
# Our own functions read some 500 KB of the worst header values a second, lists of odd addresses.
_MAX_HEADER_OCTETS = 131_072
# Octets looked through for boundaries: the message as often as real structures nest around a
# large part, and so much that small messages never come near it.
_SCANS = 3
_SCANNED_ANYWAY = 16_777_216

_EOL = rb"(?>\r\n?|\n)"
# As email.feedparser: a header name is any printable ASCII but the colon (RFC 5322 section 2.2).
_HEADER_BLOCK = re.compile(
    rb"(?:(?:From |[!-9;-~]*+:|[ \t])[^\r\n]*+(?:" + _EOL + rb"|\Z))*+", re.DOTALL
)
_FIELD = re.compile(
    rb"(?P<stray>(?:From |[ \t])[^\r\n]*+)" + _EOL + rb"?"
    rb"|(?P<name>[!-9;-~]*+):(?P<value>[^\r\n]*+(?:" + _EOL + rb"[ \t][^\r\n]*+)*+)" + _EOL + rb"?"
)
_BLANK_LINE = re.compile(_EOL)
_BLANK_LINES = re.compile(rb"(?<=\n)(?:\r\n|\n)")


class TooManyHeadersDefect(errors.MessageDefect):
    """The headers beyond the 10,000th are in `raw` only."""


class TooManyPartsDefect(errors.MessageDefect):
    """What follows the 10,000th part is given as one part, unparsed."""


class TooDeepDefect(errors.MessageDefect):
    """A multipart or message more than 50 levels deep is given as text, unparsed."""


def parse(raw: bytes) -> EmailMessage:
    """The message in `raw`."""
    return _Parser(raw).message(0, len(raw), depth=0, nested=False)


class _Parser:
    """One run over one message; holds what is left of the budgets."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._parts = 0
        self._headers = 0
        self._header_octets = 0
        self._cost = 0
        self._scannable = _SCANS * len(raw) + _SCANNED_ANYWAY

    def message(
        self, start: int, end: int, *, depth: int, nested: bool, digest: bool = False
    ) -> EmailMessage:
        """The message or part in `raw[start:end]`; `nested` if it is inside a multipart."""
        self._parts += 1
        part = EmailMessage(policy=POLICY)
        if digest:  # RFC 2046 section 5.1.5
            part.set_default_type("message/rfc822")
        start = self._read_headers(part, start, end)
        maintype, subtype, parameters = content_type(part)
        if maintype in ("multipart", "message") and depth >= MAX_DEPTH:
            part.defects.append(TooDeepDefect(f"{MAX_DEPTH} levels"))
            self._set_text(part, start, end)
        elif maintype == "multipart":
            boundary = parameters.get("boundary")
            if boundary is None:
                part.defects.append(errors.NoBoundaryInMultipartDefect())
                self._set_text(part, start, end)
            else:
                self._multipart(part, boundary.rstrip(), start, end, depth=depth, nested=nested)
            if not part.is_multipart() and depth == 0:
                part.defects.append(errors.MultipartInvariantViolationDefect())
        elif maintype == "message":
            setattr(part, SPAN, (start, end))
            if subtype == "delivery-status":
                self._delivery_status(part, start, end, depth=depth)
            else:
                part.attach(self.message(start, end, depth=depth + 1, nested=nested))
        else:
            self._set_text(part, start, end)
        return part

    def _set_text(self, part: EmailMessage, start: int, end: int) -> None:
        part.set_payload(self._text(start, end))

    def _text(self, start: int, end: int) -> str:
        return self._raw[start:end].decode("ascii", "surrogateescape")

    def _read_headers(self, part: EmailMessage, start: int, end: int) -> int:
        """Read the header block that starts there, and give where the content starts."""
        stop, count = start, 0
        while field := _FIELD.match(self._raw, stop, end):
            if count == MAX_HEADERS or self._headers == _MAX_HEADERS_IN_ALL:
                part.defects.append(TooManyHeadersDefect(f"{count} headers read"))
                rest = _HEADER_BLOCK.match(self._raw, stop, end)
                stop = rest.end() if rest else stop
                break
            count += 1
            self._headers += 1
            if field["name"]:
                self._add_header(part, field["name"], field["value"])
            elif field["name"] is not None:
                part.defects.append(errors.InvalidHeaderDefect("Missing header name."))
            elif not field["stray"].startswith(b"From "):
                stray = self._text(stop, field.end())
                part.defects.append(errors.FirstHeaderLineIsContinuationDefect(stray))
            elif count == 1:
                part.set_unixfrom(self._text(stop, field.end()).rstrip("\r\n"))
            elif _FIELD.match(self._raw, field.end(), end):
                stray = self._text(stop, field.end())
                part.defects.append(errors.MisplacedEnvelopeHeaderDefect(stray))
            else:  # rather the first line of a body
                break
            stop = field.end()
        blank = _BLANK_LINE.match(self._raw, stop, end)
        if blank is None and stop < end:
            part.defects.append(errors.MissingHeaderBodySeparatorDefect())
        return blank.end() if blank else stop

    def _add_header(self, part: EmailMessage, octets: bytes, source: bytes) -> None:
        name = octets.decode("ascii")
        value = source.lstrip(b" \t\r\n").decode("ascii", "surrogateescape")
        self._header_octets += min(len(value), MAX_HEADER)
        if len(name) + len(value) > MAX_HEADER or self._header_octets > _MAX_HEADER_OCTETS:
            part.defects.append(LongHeaderDefect(name[:76]))
            value = Unread(value)
        else:
            if self._cost <= MAX_COST:
                self._cost += cost(value)
            if self._cost > MAX_COST:
                value = Costly(value)
        part.set_raw(name, value)

    def _delivery_status(self, part: EmailMessage, start: int, end: int, *, depth: int) -> None:
        """Blocks of fields between blank lines (RFC 3464 section 2.1)."""
        while True:
            blank = _BLANK_LINES.search(self._raw, start, end)
            full = self._parts >= MAX_PARTS
            if full:
                part.defects.append(TooManyPartsDefect(f"{MAX_PARTS} parts"))
            stop = blank.start() if blank and not full else end
            part.attach(self.message(start, stop, depth=depth + 1, nested=False))
            if stop == end or blank is None or blank.end() == end:
                break
            start = blank.end()

    def _multipart(
        self,
        part: EmailMessage,
        boundary: str,
        start: int,
        end: int,
        *,
        depth: int,
        nested: bool,
    ) -> None:
        if transfer_encoding(part) not in ("", "7bit", "8bit", "binary"):  # RFC 2045 section 6.4
            part.defects.append(errors.InvalidMultipartContentTransferEncodingDefect())
        self._scannable -= end - start
        if self._scannable < 0:
            part.defects.append(TooDeepDefect("too much to look through"))
            self._set_text(part, start, end)
            return
        found = position = None
        digest = content_type(part).subtype == "digest"
        for stop, after, closing in self._delimiters(boundary, start, end):
            found = stop
            eol = _BLANK_LINE.match(self._raw, after, end)
            if position is None:
                if closing:
                    break
                if stop >= start:
                    part.preamble = self._text(start, stop)
            elif self._parts >= MAX_PARTS:
                part.defects.append(TooManyPartsDefect(f"{MAX_PARTS} parts"))
                rest = EmailMessage(policy=POLICY)
                self._set_text(rest, position, end)
                part.attach(rest)
                return
            elif stop >= position or (closing and not part.is_multipart()):
                child = self.message(
                    position, max(position, stop), depth=depth + 1, nested=True, digest=digest
                )
                part.attach(child)
            else:
                self._parts += 1  # delimiter after delimiter: no part, but work
            position = eol.end() if eol else after
            if closing:
                part.epilogue = self._text(position, end) if eol or not nested else None
                return
        if position is None:
            part.defects.append(errors.StartBoundaryNotFoundDefect())
            self._set_text(part, start, end if found is None else found)
            part.epilogue = None if nested else ""
        else:
            part.defects.append(errors.CloseBoundaryNotFoundDefect())
            end = max(position, self._without_eol(end))
            part.attach(self.message(position, end, depth=depth + 1, nested=True, digest=digest))

    def _delimiters(self, boundary: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """For each delimiter line: the end of what precedes it, its own end, whether it closes."""
        delimiter = re.escape(b"--" + boundary.encode("utf-8", "surrogateescape"))
        rest = rb"(--)?[ \t]*+(?=[\r\n]|\Z)"
        first = re.compile(delimiter + rest).match(self._raw, start, end)
        if first:
            yield start - 1, first.end(), first[1] is not None
        # With the line feed in front the search runs at the speed of a literal's.
        for line in re.compile(rb"\n" + delimiter + rest).finditer(self._raw, start, end):
            yield self._without_eol(line.start() + 1), line.end(), line[1] is not None

    def _without_eol(self, end: int) -> int:
        """RFC 2046 section 5.1.1: the line end before a delimiter belongs to the delimiter."""
        if self._raw[end - 1 : end] == b"\n":
            end -= 1
        if self._raw[end - 1 : end] == b"\r":
            end -= 1
        return end
