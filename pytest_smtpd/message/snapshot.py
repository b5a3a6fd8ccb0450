"""A message as stable text for snapshot tests.

Rule: only what the sender wrote counts. What changes from one sending to the next, or with the
library that encodes the mail (folding, boundaries, transfer encodings), does not show.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from ..mime.header import Field
from ..mime.parameters import Parameters
from ..mime.tree import Part
from ..mime.words import header_text

_PLACEHOLDERS = {
    "date": "<date>",
    "resent-date": "<date>",
    "message-id": "<message-id>",
    "resent-message-id": "<message-id>",
    "content-id": "<content-id>",
    # Trace headers (RFC 5321 section 4.4) hold a time and the server's queue id.
    "received": "<received>",
}
# How a part is encoded is the library's choice; the snapshot shows it decoded.
_LEFT_OUT = frozenset({"content-transfer-encoding"})
_PARAMETERIZED = frozenset({"content-type", "content-disposition"})
_PLAIN_VALUE = re.compile(r"[\w.+/-]+")
_MAX_IDS = 100
_MAX_ID = 200

Pattern = str | re.Pattern[str]


def snapshot(root: Part, redact: Pattern | Iterable[Pattern] = ()) -> str:
    """The text of `Message.snapshot`."""
    patterns = [redact] if isinstance(redact, str | re.Pattern) else list(redact)
    text = "\n".join(_part(root, "")).rstrip("\n") + "\n"
    text = _hide_ids(text, root)
    for pattern in patterns:
        text = re.sub(pattern, "<redacted>", text)
    return text


def _hide_ids(text: str, root: Part) -> str:
    """Replace the generated ids where they are referred to: `cid:` in HTML, and the Message-ID."""
    ids: dict[str, str] = {}
    for part in root.walk():
        cid = part.content_id
        if cid and len(cid) < _MAX_ID and len(ids) < _MAX_IDS:
            ids.setdefault(cid, f"<content-id-{len(ids) + 1}>")
    if ids:
        # One id may be the beginning of another, or of a word that is none
        any_id = "|".join(map(re.escape, sorted(ids, key=len, reverse=True)))
        text = re.sub(rf"cid:({any_id})(?!\w)", lambda match: f"cid:{ids[match[1]]}", text)
    identifier = header_text(root.header.value("message-id"))
    if identifier.startswith("<") and 2 < len(identifier) < _MAX_ID:
        text = text.replace(identifier, "<message-id>")
    return text


def _part(part: Part, place: str) -> Iterator[str]:
    for field in part.header.fields:
        line = _header(field)
        if line is not None:
            yield f"{field.name}: {line}"
    yield ""
    if part.parts:
        for number, child in enumerate(part.parts, 1):
            inner = f"{place}.{number}" if place else str(number)
            yield f"--- part {inner} ---"
            yield from _part(child, inner)
    elif part.is_multipart or part.type.startswith("text/"):
        yield part.decode_text().text.rstrip("\n")
        yield ""
    else:
        octets = part.decode().octets
        digest = hashlib.sha256(octets).hexdigest()
        yield f"<{part.type}, {len(octets)} octets, sha256 {digest}>"
        yield ""


def _header(field: Field) -> str | None:
    if field.key in _LEFT_OUT:
        return None
    if field.key in _PLACEHOLDERS:
        return _PLACEHOLDERS[field.key]
    if not field.is_read:
        return f"{header_text(field.value[:1_000])}... <{len(field.source)} characters>"
    if field.key in _PARAMETERIZED:
        return _parameterized(field.parameters)
    return header_text(field.value)


def _parameterized(value: Parameters) -> str:
    pieces = [value.head]
    for name, text in value.values.items():
        if name == "boundary":
            text = "<boundary>"
        elif name == "charset":
            text = text.lower()
        quoted = text if _PLAIN_VALUE.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'
        pieces.append(f"{name}={quoted}")
    return "; ".join(pieces)
