"""The checks of a message's header, except its addresses. A field beyond the limits is not read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from ..mime.header import Field, Header
from ..mime.limits import SEARCHED_OCTETS, WORDS
from ..mime.parameters import without_comments
from ..mime.words import find_words, readable
from ..smtp.content import find_long_line
from .catalogue import Finding

# RFC 2047 section 2 says 75, but the standard library writes 76, which works everywhere
MAX_ENCODED_WORD = 76

# RFC 5322 section 3.6
_ONCE = ("date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to",
         "references", "subject")  # fmt: skip
# RFC 2369 section 3, RFC 2919 section 3, RFC 8058 section 3.1
_URL_LISTS = ("list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner",
              "list-archive")  # fmt: skip
_LIST_ONCE = (*_URL_LISTS, "list-id", "list-unsubscribe-post")
# The code of the problem for each flaw of a header
CODES = {"bom": "malformed-header", "no-field": "malformed-header", "no-name": "malformed-header",
         "stray-continuation": "malformed-header", "misplaced-from": "malformed-header",
         "unix-from": "malformed-header", "no-separator": "malformed-header",
         "spaced-colon": "obsolete-syntax"}  # fmt: skip

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\n(?![ \t])")  # after unfolding: no CRLF is left
_BLANK_FOLD = re.compile(rb"\n[ \t]++(?=\r?\n|\Z)")
_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")
_WORDS = re.compile(r"\S+")
_URL_LIST = re.compile(r"\s*<([^<>]*)>\s*(?:,|\Z)")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:.")
_LIST_ID = re.compile(r"[^<>]*<[^\s<>]+>")
_DATE = re.compile(
    r"(?:(?P<weekday>mon|tue|wed|thu|fri|sat|sun)\s*,\s*)?(?P<day>\d{1,2})\s+"
    r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\s+(?P<year>\d{2,4})\s+"
    r"(?P<hour>\d\d)\s*:\s*(?P<minute>\d\d)(?:\s*:\s*(?P<second>\d\d))?\s+"
    r"(?:[+-]\d\d[0-5]\d|(?P<zone>ut|gmt|[ecmp][sd]t|[a-ik-z]))",
    re.IGNORECASE | re.ASCII,
)
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def check_header(header: Header, raw: bytes, *, utf8: bool) -> Iterator[Finding]:
    """`utf8`: sent with SMTPUTF8."""
    yield from _check_presence(header)
    yield from _check_octets(raw, header, utf8)
    for field in header.fields:
        if field.is_read:
            yield from _check_field(field)
    yield from _check_list_pair(header)


def _check_presence(header: Header) -> Iterator[Finding]:
    counts = Counter(field.key for field in header.fields)
    names = {field.key: field.name for field in header.fields}
    yield from ((code, flaw.detail) for flaw in header.flaws if (code := CODES.get(flaw.kind)))
    if header.complete:
        for code, key in (("missing-date", "date"), ("missing-from", "from"),
                          ("missing-message-id", "message-id")):  # fmt: skip
            if key not in counts:
                yield code, ""
    for code, keys in (("duplicate-header", _ONCE), ("duplicate-list-header", _LIST_ONCE)):
        for key in keys:
            if counts[key] > 1:
                yield code, f"{names[key]} ({counts[key]} times)"
    if any(field.key == "subject" and not field.source.strip() for field in header.fields):
        yield "empty-subject", ""
    order = [field.key for field in header.fields]
    # On top of a Received it is what a server wrote (the option trace_headers)
    if "return-path" in order[order[:2] == ["return-path", "received"] :]:
        yield "return-path-header", ""


def _check_octets(raw: bytes, header: Header, utf8: bool) -> Iterator[Finding]:
    left = SEARCHED_OCTETS
    for field in header.fields:
        name, octets = field.name[:80], field.octets
        if not octets.isascii():
            if not utf8:
                yield "non-ascii-header", name
            elif not _is_utf8(octets):
                yield "header-not-utf8", name
        searched, left = octets[:left], max(0, left - len(octets))
        if (control := _CONTROL.search(searched.replace(b"\r\n", b"\n"))) is not None:
            yield "control-character", f"{name} has {control[0].decode()}"
        if _BLANK_FOLD.search(searched):
            yield "obsolete-syntax", f"{name} has a continuation line without text"
        if find_long_line(raw, field.offset, field.end) is not None:
            yield "long-header-line", name


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# ---- single fields


def _check_field(field: Field) -> Iterator[Finding]:
    text = readable(field.value).rstrip()
    if field.key == "date":
        yield from _check_date(text)
    elif field.key == "message-id":
        if not _MESSAGE_ID.fullmatch(without_comments(text).strip()):
            yield "bad-message-id", f"{field.name}: {text}"
    elif field.key in ("in-reply-to", "references"):
        words = _WORDS.finditer(without_comments(text).replace("><", "> <"))
        for word in (match[0] for match in islice(words, WORDS)):
            if not _MESSAGE_ID.fullmatch(word):
                yield "bad-message-id", f"{field.name}: {word}"
    elif field.key == "list-id":
        if not _LIST_ID.fullmatch(without_comments(text).strip()):
            yield "bad-list-id", text
    elif field.key == "list-unsubscribe-post":
        if without_comments(text).strip().lower() != "list-unsubscribe=one-click":
            yield "bad-one-click", text
    elif field.key in _URL_LISTS:
        # GitHub writes the one URL of an archive without brackets, and no program minds
        bare = f"<{text.strip()}>" if field.key == "list-archive" else ""
        if _urls_in(text) is None and _urls_in(bare) is None:
            yield "bad-list-header", f"{field.name}: {text}"
    yield from _check_encoded_words(field.name, text)


def _check_date(text: str) -> Iterator[Finding]:
    match = _DATE.fullmatch(without_comments(text).strip())
    if match is None:
        yield "bad-date", text
        return
    month = _MONTHS.index(match["month"].lower()) // 3 + 1
    year = int(match["year"])
    if len(match["year"]) < 4:  # RFC 5322 section 4.3
        year += 2000 if len(match["year"]) == 2 and year < 50 else 1900
    second = int(match["second"] or 0)
    try:
        # 60 is a leap second, which Python does not know
        date = datetime(year, month, int(match["day"]), int(match["hour"]), int(match["minute"]),
                        59 if second == 60 else second)  # fmt: skip
    except ValueError as error:
        yield "bad-date", f"{text}, {error}"
        return
    weekday = _WEEKDAYS[date.weekday()]
    if match["weekday"] and match["weekday"].lower() != weekday:
        yield "bad-date", f"{text}, which was a {weekday.capitalize()}"
    if match["zone"]:
        yield "obsolete-syntax", f"Date has the zone {match['zone']}, not a number"
    if len(match["year"]) < 4:
        yield "obsolete-syntax", f"Date has the year {match['year']}"


def _urls_in(text: str) -> list[str] | None:
    """The URLs of a List header (RFC 2369 section 2), None where it is malformed."""
    text = without_comments(text).strip()
    if text.upper() == "NO":  # List-Post, section 3.4
        return []
    urls: list[str] = []
    position = 0
    while position < len(text) or not urls:
        match = _URL_LIST.match(text, position)
        if match is None:
            return None
        url = "".join(match[1].split())  # section 2: white space in it is to be ignored
        if not _SCHEME.match(url):
            return None
        urls.append(url)
        position = match.end()
    return urls


def _check_list_pair(header: Header) -> Iterator[Finding]:
    if header.find("list-unsubscribe-post") and header.complete:
        listed = header.value("list-unsubscribe")
        if not any(url.lower().startswith("https:") for url in _urls_in(listed) or ()):
            yield "one-click-without-https", listed


def _check_encoded_words(name: str, text: str) -> Iterator[Finding]:
    for word in islice(find_words(text), WORDS):
        if len(word.written) > MAX_ENCODED_WORD:
            yield "long-encoded-word", f"{name}: {word.written}"
        if not word.is_sound:
            yield "bad-encoded-word", f"{name}: {word.written}"
