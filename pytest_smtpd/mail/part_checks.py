"""The checks of a message's MIME structure and of what stands in its bodies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote

from ..smtp.content import find_long_line
from .header_checks import charset_is_known, shown
from .markup import unescape_attribute
from .problems import Finding
from .raw_header import Header
from .raw_parts import Part, Tree

MAX_URLS = 5000  # of one HTML body that are looked at

_MIME_FIELDS = ("mime-version", "content-type", "content-transfer-encoding", "content-id",
                "content-disposition", "content-description")  # fmt: skip
_ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64")
_BASE64_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SPACES = b" \t\r\n"
# What may follow "=": two digits, or nothing but spaces up to the line end (RFC 2045 section 6.7)
_BAD_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f][0-9A-Fa-f]|[ \t]*(?:\r?\n|\Z))")
_PATH = re.compile(r"[/\\\x00-\x1f\x7f]|\A\.\.?\Z")
# Never past the next "<": so many tags cost no more than their octets
_TAG = re.compile(
    r"<(?:a|area|img|source|video|audio|link|iframe|form|td|table|body)\s[^<>]*>", re.I
)
_URL_ATTRIBUTE = re.compile(
    r"""\s(?:href|src|action|background|poster)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I
)
_CID = re.compile(r"""\bcid:([^\s"'<>)&;]+)""", re.I)
# A scheme, a place in the mail itself, or what a mail service will fill in
_NOT_RELATIVE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|[#{\[%*$]")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def check_parts(raw: bytes, header: Header, *, binary: bool) -> Iterator[Finding]:
    """What is wrong with the bodies: pairs of a code and its particulars.

    `binary`: sent with BODY=BINARYMIME (RFC 3030), so there are no lines.
    """
    tree = Tree(raw, header)
    parts = list(tree.root.walk())
    if not header.has("mime-version") and header.complete:
        named = [field.name for field in header.fields if field.key in _MIME_FIELDS]
        if named:
            yield "missing-mime-version", f"but {shown(named[0])}"
    for code, particulars in tree.findings:
        yield code, shown(particulars)
    for part in parts:
        for code, particulars in _check_part(part):
            yield code, shown(particulars)
    if not binary:
        yield from _check_lines(raw, header.body)
    yield from _check_alternatives(tree, parts)
    yield from _check_references(tree, parts)


def _check_lines(raw: bytes, body: int) -> Iterator[Finding]:
    long_line = find_long_line(raw, body, len(raw))
    if long_line is not None:
        yield "long-body-line", f"line {_line_number(raw, long_line)} of the message"
    nul = raw.find(b"\0", body)
    if nul >= 0:
        yield "nul-in-body", f"line {_line_number(raw, nul)} of the message"


def _line_number(raw: bytes, offset: int) -> int:
    return raw.count(b"\n", 0, offset) + 1


def _check_part(part: Part) -> Iterator[Finding]:
    counts = Counter(field.key for field in part.header.fields)
    for key in _MIME_FIELDS:
        if counts[key] > 1:
            yield "duplicate-mime-header", f"{key.title()} in {part.label}"
    if part.header.stray and part.number:
        line = part.header.stray[:200].decode("ascii", "backslashreplace")
        yield "malformed-header", f"{line}, {part.label}"
    if part.type_is_malformed:
        yield "bad-content-type", f"{part.header.text('content-type')}, {part.label}"
    for name, value in (("Content-Type", part.type), ("Content-Disposition", part.disposition)):
        if value.flaw:
            yield "bad-mime-parameter", f"{value.flaw}, {name} of {part.label}"
    encoding = part.encoding
    if encoding not in _ENCODINGS and not encoding.startswith("x-"):
        yield "bad-transfer-encoding", f"{encoding}, {part.label}"
    if part.is_multipart or part.type.value in ("message/rfc822", "message/partial"):
        if encoding in ("quoted-printable", "base64"):
            yield "encoded-multipart", f"{encoding}, {part.label}"
        return
    yield from _check_encoding(part)
    if part.type.value.startswith("text/"):
        yield from _check_charset(part)
    yield from _check_file_name(part)


def _check_encoding(part: Part) -> Iterator[Finding]:
    octets = part.octets
    if part.encoding not in ("8bit", "binary") and not octets.isascii():
        yield "undeclared-8bit", f"{part.encoding}, {part.label}"
    elif part.encoding == "base64":
        flaw = _base64_flaw(octets)
        if flaw:
            yield "bad-base64", f"{flaw}, {part.label}"
    elif part.encoding == "quoted-printable":
        # Good line ends first, by the million; a CR keeps what stood around them apart
        octets = octets.replace(b"=\r\n", b"\r")
        match = _BAD_ESCAPE.search(octets)
        if match is not None:
            escape = octets[match.start() : match.start() + 3].decode("ascii")
            yield "bad-quoted-printable", f"{escape!r}, {part.label}"


def _base64_flaw(octets: bytes) -> str:
    foreign = octets.translate(None, _BASE64_CHARACTERS + b"=" + _SPACES)
    if foreign:
        return f"a character {foreign[:1].decode('ascii')!r}"
    digits = octets.translate(None, _SPACES)
    content = digits.rstrip(b"=")
    if b"=" in content:
        return "something behind the padding"
    if len(digits) % 4 or len(digits) - len(content) > 2:
        return "a wrong length"
    return ""


def _check_charset(part: Part) -> Iterator[Finding]:
    charset = part.charset
    if charset is None:
        # Only a body: other texts may say it in other ways (RFC 6657 section 3)
        is_body = part.type.value in ("text/plain", "text/html") and not part.is_attachment
        if is_body and not part.decoded.isascii():
            yield "missing-charset", part.label
        return
    if not charset_is_known(charset, part.decoded):
        yield "unknown-charset", f"{charset}, {part.label}"
    elif not part.is_in_its_charset():
        yield "undecodable-body", f"{charset}, {part.label}"


def _check_file_name(part: Part) -> Iterator[Finding]:
    name = part.file_name
    if not name:
        if part.disposition.value == "attachment" and not part.type.value.startswith("message/"):
            yield "attachment-without-name", part.label
    elif _PATH.search(name):
        yield "unsafe-file-name", f"{name}, {part.label}"


# ---- what the parts are to each other


def _check_alternatives(tree: Tree, parts: list[Part]) -> Iterator[Finding]:
    bodies = [part for part in parts if not part.is_attachment]
    html = [part for part in bodies if part.type.value == "text/html"]
    texts = [part for part in bodies if part.type.value == "text/plain"]
    if html and not texts and tree.complete:
        yield "html-without-text", html[0].label
    for part in parts:
        if part.type.value != "multipart/alternative":
            continue
        kinds = [_kind(alternative) for alternative in part.parts]
        if "text/html" not in kinds or "text/plain" not in kinds:
            continue
        text = kinds.index("text/plain")
        if text > kinds.index("text/html"):
            yield "alternative-order", part.label
        if not part.parts[text].decoded.strip():
            yield "empty-text-alternative", part.parts[text].label


def _kind(part: Part) -> str:
    """What an alternative is: HTML with its pictures counts as HTML."""
    while part.is_multipart and part.parts:
        part = part.parts[0]
    return part.type.value


def _check_references(tree: Tree, parts: list[Part]) -> Iterator[Finding]:
    ids = [part.header.text("content-id").strip("<> \t") for part in parts]
    for content_id, count in Counter(filter(None, ids)).items():
        if count > 1:
            yield "duplicate-content-id", shown(content_id)
    known = set(ids)
    located = any(part.header.has("content-location") or part.header.has("content-base")
                  for part in parts)  # fmt: skip
    for part in parts:
        if part.type.value != "text/html" or part.is_attachment:
            continue
        html = _COMMENT.sub("", part.text)
        for match in islice(_CID.finditer(html), MAX_URLS):
            content_id = unquote(unescape_attribute(match[1]))
            if content_id not in known and tree.complete:
                yield "missing-cid-part", shown(content_id)
        if not located and "<base " not in html.lower():  # RFC 2557 section 5
            for url in _urls(html):
                if not _NOT_RELATIVE.match(url):
                    yield "relative-link", shown(url) or "an empty one"


def _urls(html: str) -> Iterator[str]:
    for tag in islice(_TAG.finditer(html), MAX_URLS):
        for match in _URL_ATTRIBUTE.finditer(tag[0]):
            yield unescape_attribute(match[1] or match[2] or match[3] or "").strip()
