"""The checks of a message's header and envelope; each yields codes with their particulars.

Works on the octets as sent. A field over 64 KiB is not looked into, a header over 256 KiB not
searched for what it lacks.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from ..smtp.content import find_long_line
from ..text import escaped
from .address_list import AddressList, read_addresses, why_no_address
from .charsets import codec_name
from .fields import address_key
from .problems import Finding
from .raw_header import Field, Header, read_header, without_comments

if TYPE_CHECKING:
    from .message import Envelope

MAX_ADDRESSES = 1 << 17  # octets of address lists in one message that are looked at
MAX_WORDS = 2000  # encoded words or references of one field that are looked at
# RFC 2047 section 2 says 75; the standard library writes 76, and nobody has been hurt
MAX_ENCODED_WORD = 76

# RFC 5322 section 3.6
_ONCE = ("date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to",
         "references", "subject")  # fmt: skip
# RFC 2369 section 3, RFC 2919 section 3, RFC 8058 section 3.1
_URL_LISTS = ("list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner",
              "list-archive")  # fmt: skip
_LIST_ONCE = (*_URL_LISTS, "list-id", "list-unsubscribe-post")
_ADDRESS_FIELDS = frozenset(
    ("from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-to",
     "resent-cc", "resent-bcc", "disposition-notification-to"))  # fmt: skip
_DESTINATIONS = frozenset(("to", "cc", "resent-to", "resent-cc"))

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\n(?![ \t])")  # after unfolding: no CRLF is left
_BLANK_FOLD = re.compile(rb"\n[ \t]+(?=\r?\n|\Z)")
_ENCODED_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?]*)\?=")
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


def check(raw: bytes, envelope: Envelope) -> Iterator[Finding]:
    """What is wrong with a message: pairs of a code and its particulars, as found."""
    from .part_checks import check_parts

    header = read_header(raw, 0, len(raw))
    yield from _check_presence(header)
    yield from _check_octets(raw, header, "SMTPUTF8" in envelope.mail_parameters)
    for field in header.fields:
        if not field.too_long:
            for code, particulars in _check_field(field):
                yield code, shown(particulars)
    for code, particulars in _check_addresses(header, envelope):
        yield code, shown(particulars)
    yield from _check_list_pair(header)
    # RFC 3030 section 3: what is BINARYMIME has no lines
    binary = (envelope.mail_parameters.get("BODY") or "").upper() == "BINARYMIME"
    yield from check_parts(raw, header, binary=binary)


def shown(text: str, limit: int = 160) -> str:
    """For a reader: control characters escaped, the end of a long text left out."""
    return escaped(text if len(text) <= limit else f"{text[:limit]}...")


def _check_presence(header: Header) -> Iterator[Finding]:
    counts = Counter(field.key for field in header.fields)
    names = {field.key: field.name for field in header.fields}
    if header.stray:
        yield "malformed-header", shown(header.stray[:200].decode("ascii", "backslashreplace"))
    if header.complete:
        for code, key in (("missing-date", "date"), ("missing-from", "from"),
                          ("missing-message-id", "message-id")):  # fmt: skip
            if key not in counts:
                yield code, ""
    for code, keys in (("duplicate-header", _ONCE), ("duplicate-list-header", _LIST_ONCE)):
        for key in keys:
            if counts[key] > 1:
                yield code, f"{names[key]} ({counts[key]} times)"
    if any(field.key == "subject" and not field.text for field in header.fields):
        yield "empty-subject", ""
    order = [field.key for field in header.fields]
    # On top of a Received it is what a server wrote (the option trace_headers)
    if "return-path" in order[order[:2] == ["return-path", "received"] :]:
        yield "return-path-header", ""


def _check_octets(raw: bytes, header: Header, utf8: bool) -> Iterator[Finding]:
    for field in header.fields:
        name = shown(field.name, 80)
        if not field.octets.isascii():
            if not utf8:
                yield "non-ascii-header", name
            elif not _is_utf8(field.octets):
                yield "header-not-utf8", name
        if (control := _CONTROL.search(field.octets.replace(b"\r\n", b"\n"))) is not None:
            yield "control-character", f"{name} has {escaped(control[0].decode())}"
        if field.spaced:
            yield "obsolete-syntax", f"white space between {name} and its colon"
        if _BLANK_FOLD.search(field.octets):
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
    text = field.text
    if field.key == "date":
        yield from _check_date(text)
    elif field.key == "message-id":
        if not _MESSAGE_ID.fullmatch(without_comments(text).strip()):
            yield "bad-message-id", f"{field.name}: {text}"
    elif field.key in ("in-reply-to", "references"):
        words = _WORDS.finditer(without_comments(text).replace("><", "> <"))
        for word in (match[0] for match in islice(words, MAX_WORDS)):
            if not _MESSAGE_ID.fullmatch(word):
                yield "bad-message-id", f"{field.name}: {word}"
    elif field.key == "list-id":
        if not _LIST_ID.fullmatch(without_comments(text).strip()):
            yield "bad-list-id", text
    elif field.key == "list-unsubscribe-post":
        if without_comments(text).strip().lower() != "list-unsubscribe=one-click":
            yield "bad-one-click", text
    elif field.key in _URL_LISTS and urls_in(text) is None:
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


def urls_in(text: str) -> list[str] | None:
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
    if header.has("list-unsubscribe-post") and header.complete:
        urls = urls_in(header.text("list-unsubscribe")) or []
        if not any(url.lower().startswith("https:") for url in urls):
            yield "one-click-without-https", shown(header.text("list-unsubscribe"))


def _check_encoded_words(name: str, text: str) -> Iterator[Finding]:
    for match in islice(_ENCODED_WORD.finditer(text), MAX_WORDS):
        word = match[0]
        if len(word) > MAX_ENCODED_WORD:
            yield "long-encoded-word", f"{name}: {word}"
        if not _can_be_decoded(match[1].partition("*")[0], match[2].lower(), match[3]):
            yield "bad-encoded-word", f"{name}: {word}"


def _can_be_decoded(charset: str, encoding: str, content: str) -> bool:
    if not content.isascii() or " " in content:
        return False
    try:
        if encoding == "b":
            octets = base64.b64decode(content, validate=True)
        else:
            octets = binascii.a2b_qp(content, header=True)
        codec = codec_name(charset)
        if codec is not None:
            octets.decode(codec)
    except ValueError:
        return False
    return charset_is_known(charset, octets)


def charset_is_known(charset: str, octets: bytes) -> bool:
    """Whether the charset of these octets is Python's, or one of IANA's that Python lacks.

    One of the sender's own (RFC 2046 section 4.1.2) will do as long as nothing but ASCII is in it.
    """
    label = charset.lower()
    if label.startswith("x-") and octets.isascii():
        return True
    return label in _OTHER_CHARSETS or codec_name(label) is not None


_OTHER_CHARSETS = frozenset({"iso-2022-cn", "iso-2022-cn-ext"})


# ---- addresses


def _check_addresses(header: Header, envelope: Envelope) -> Iterator[Finding]:
    lists: list[tuple[Field, AddressList]] = []
    looked_at = 0
    for field in header.fields:
        if field.key not in _ADDRESS_FIELDS or field.too_long:
            continue
        looked_at += len(field.octets)
        if looked_at > MAX_ADDRESSES:
            return  # and nothing can be said of what is missing
        found = read_addresses(field.text)
        lists.append((field, found))
        if not field.text:
            if field.key not in ("bcc", "resent-bcc"):  # RFC 5322 section 3.6.3 allows these
                yield "empty-address-header", field.name
            continue
        for code, particulars in found.findings:
            yield code, f"{field.name}: {particulars}"
        for address in found.addresses:
            why = why_no_address(address)
            if why is not None:
                yield "bad-address", f"{field.name}: {shown(address, 80)}: {why}"
        if field.key in ("bcc", "resent-bcc"):
            yield "bcc-header", field.text
        elif field.key == "sender" and len(found.addresses) != 1:
            yield "bad-sender", field.text
        elif field.key == "from" and len(found.addresses) > 1 and not header.has("sender"):
            yield "from-without-sender", field.text
    yield from _check_recipients(header, envelope, lists)


def _check_recipients(
    header: Header, envelope: Envelope, lists: list[tuple[Field, AddressList]]
) -> Iterator[Finding]:
    # A list's mail goes to others than its To says; an empty group says that it hides them
    # (RFC 5322 section 3.4, "undisclosed-recipients:;")
    keys = {field.key for field in header.fields}
    destinations = [found for field, found in lists if field.key in _DESTINATIONS]
    if (
        not envelope.rcpt_to
        or any(key.startswith("list-") for key in keys)
        or any(found.empty_groups for found in destinations)
        or not header.complete
        or any(field.key in _DESTINATIONS and field.too_long for field in header.fields)
    ):
        return
    named = {address_key(address) for found in destinations for address in found.addresses}
    # "postmaster" may stand without a domain (RFC 5321 section 4.5.1)
    known = named | {f"{key.rpartition('@')[0]}@" for key in named}
    for recipient in envelope.rcpt_to:
        if address_key(recipient) in known:
            return
    yield "recipient-not-named", ", ".join(envelope.rcpt_to[:5])
