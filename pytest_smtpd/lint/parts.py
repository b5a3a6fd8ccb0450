"""The checks of a message's MIME structure and its bodies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote

from ..mime.bodies import Bodies, find_bodies
from ..mime.charsets import codec_name, is_known
from ..mime.encodings import ENCODINGS, Decoded
from ..mime.html import unescape_attribute
from ..mime.limits import PAGE, PAGE_URLS
from ..mime.parameters import is_media_type
from ..mime.tree import Part
from ..smtp.content import find_long_line
from .catalogue import PROBLEMS, Finding
from .header import CODES

_MIME_FIELDS = ("mime-version", "content-type", "content-transfer-encoding", "content-id",
                "content-disposition", "content-description")  # fmt: skip
_PATH = re.compile(r"[/\\\x00-\x1f\x7f]|\A\.\.?\Z")
# Stops at the next "<": keeps the search linear in the octets
_TAG = re.compile(
    r"<(?:a|area|img|source|video|audio|link|iframe|form|td|table|body)\s[^<>]*>", re.I
)
_URL_ATTRIBUTE = re.compile(
    r"""\s(?:href|src|action|background|poster)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I
)
_CID = re.compile(r"""\bcid:([^\s"'<>)&;]+)""", re.I)
# A scheme, a place in the mail itself, or what a mail service will fill in
_NOT_RELATIVE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|[#{\[%*$]")
_COMMENT = re.compile(r"<!--.*?(?:--!?>|\Z)", re.DOTALL)


def check_parts(root: Part, *, binary: bool) -> Iterator[Finding]:
    """`binary`: sent with BODY=BINARYMIME (RFC 3030), so there are no lines."""
    parts = list(root.walk(into_messages=False))
    bodies = find_bodies(root)
    if not root.header.find("mime-version") and root.header.complete:
        named = [field.name for field in root.header.fields if field.key in _MIME_FIELDS]
        if named:
            yield "missing-mime-version", f"but {named[0]}"
    for part in parts:
        yield from ((each.kind, each.detail) for each in part.flaws if each.kind in PROBLEMS)
    for part in parts:
        yield from _check_part(part, bodies)
    if not binary:
        yield from _check_lines(root.raw, root.header.body)
    complete = not any(flaw.kind.startswith("too-") for part in parts for flaw in part.flaws)
    yield from _check_alternatives(parts, bodies, complete)
    yield from _check_references(parts, bodies, complete)


def _check_lines(raw: bytes, body: int) -> Iterator[Finding]:
    long_line = find_long_line(raw, body, len(raw))
    if long_line is not None:
        yield "long-body-line", f"line {_line_number(raw, long_line)} of the message"
    nul = raw.find(b"\0", body)
    if nul >= 0:
        yield "nul-in-body", f"line {_line_number(raw, nul)} of the message"


def _line_number(raw: bytes, offset: int) -> int:
    return raw.count(b"\n", 0, offset) + 1


def _check_part(part: Part, bodies: Bodies) -> Iterator[Finding]:
    counts = Counter(field.key for field in part.header.fields if field.key in _MIME_FIELDS)
    for key in _MIME_FIELDS:
        if counts[key] > 1:
            yield "duplicate-mime-header", f"{key.title()} in {part.label}"
    for flaw in part.header.flaws if part.number else ():  # those of the message are known
        if flaw.kind in CODES:
            yield CODES[flaw.kind], f"{flaw.detail}, {part.label}"
    if part.header.find("content-type") and not is_media_type(part.parameters.head):
        yield "bad-content-type", f"{part.header.value('content-type')}, {part.label}"
    for name, value in (
        ("Content-Type", part.parameters),
        ("Content-Disposition", part.disposition),
    ):
        if value.flaw:
            yield "bad-mime-parameter", f"{value.flaw}, {name} of {part.label}"
    encoding = part.encoding
    if encoding not in ENCODINGS and not encoding.startswith("x-"):
        yield "bad-transfer-encoding", f"{encoding}, {part.label}"
    if part.is_multipart or part.type in ("message/rfc822", "message/partial"):
        if encoding in ("quoted-printable", "base64"):
            yield "encoded-multipart", f"{encoding}, {part.label}"
        return
    octets, decoded = part.octets, part.decode()
    if encoding not in ("8bit", "binary") and not octets.isascii():
        yield "undeclared-8bit", f"{encoding}, {part.label}"
    elif decoded.kind not in ("", "blanks"):  # a server on the way may have added blanks
        yield f"bad-{encoding}", f"{decoded.flaw}, {part.label}"
    if part.type.startswith("text/"):
        yield from _check_charset(part, bodies, decoded)
    file_name = part.file_name
    if file_name is not None and _PATH.search(file_name):
        yield "unsafe-file-name", f"{file_name}, {part.label}"
    attached = part.disposition.head == "attachment" and not part.type.startswith("message/")
    if file_name is None and attached:
        yield "attachment-without-name", part.label


def _check_charset(part: Part, bodies: Bodies, decoded: Decoded) -> Iterator[Finding]:
    charset, octets = part.charset, decoded.octets
    if charset is None:
        # Only a body: other texts may say it in other ways (RFC 6657 section 3)
        if not octets.isascii() and any(part is body for body in (*bodies.text, *bodies.html)):
            yield "missing-charset", part.label
    elif not is_known(charset, octets):
        yield "unknown-charset", f"{charset}, {part.label}"
    elif codec_name(charset) is not None and not part.decode_text(decoded).sound:
        yield "undecodable-body", f"{charset}, {part.label}"


# ---- relations between parts


def _check_alternatives(parts: list[Part], bodies: Bodies, complete: bool) -> Iterator[Finding]:
    if bodies.html and not bodies.text and complete:
        yield "html-without-text", bodies.html[0].label
    for part in parts:
        if part.type != "multipart/alternative":
            continue
        kinds = [_kind(alternative) for alternative in part.parts]
        if "text/html" not in kinds or "text/plain" not in kinds:
            continue
        text = kinds.index("text/plain")
        if text > kinds.index("text/html"):
            yield "alternative-order", part.label
        if not part.parts[text].decode().octets.strip():
            yield "empty-text-alternative", part.parts[text].label


def _kind(part: Part) -> str:
    """The type of an alternative: HTML with its pictures counts as HTML."""
    while part.is_multipart and part.parts:
        part = part.parts[0]
    return part.type


def _check_references(parts: list[Part], bodies: Bodies, complete: bool) -> Iterator[Finding]:
    ids = [part.content_id for part in parts if part.content_id]
    for content_id, count in Counter(ids).items():
        if count > 1:
            yield "duplicate-content-id", content_id
    known = set(ids)
    located = any(part.header.find("content-location") or part.header.find("content-base")
                  for part in parts)  # fmt: skip
    for part in bodies.html:
        html = _COMMENT.sub("", part.decode_text().text[:PAGE])
        for match in islice(_CID.finditer(html), PAGE_URLS):
            content_id = unquote(unescape_attribute(match[1]))
            if content_id not in known and complete:
                yield "missing-cid-part", content_id
        if not located and "<base " not in html.lower():  # RFC 2557 section 5
            for url in _urls(html):
                if not _NOT_RELATIVE.match(url):
                    yield "relative-link", url or "an empty one"


def _urls(html: str) -> Iterator[str]:
    for tag in islice(_TAG.finditer(html), PAGE_URLS):
        for match in _URL_ATTRIBUTE.finditer(tag[0]):
            yield unescape_attribute(match[1] or match[2] or match[3] or "").strip()
