"""A message as stable text for snapshot tests.

Rule: only what the sender wrote counts. What changes from one sending to the next, or with the
library that encodes the mail (folding, boundaries, transfer encodings), does not show.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from email.message import EmailMessage

from .content import (
    body_text,
    content_id,
    content_type,
    part_octets,
    subparts,
)
from .fields import (
    MAX_HEADER,
    Parameterized,
    Unread,
    header_text,
    parse_parameters,
)

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


def snapshot(root: EmailMessage, raw: bytes, redact: Pattern | Iterable[Pattern] = ()) -> str:
    """The text of `Message.snapshot`."""
    patterns = [redact] if isinstance(redact, str | re.Pattern) else list(redact)
    text = "\n".join(_part(root, raw, "")).rstrip("\n") + "\n"
    text = _hide_ids(text, root)
    for pattern in patterns:
        text = re.sub(pattern, "<redacted>", text)
    return text


def _hide_ids(text: str, root: EmailMessage) -> str:
    """Replace the generated ids where they are referred to: `cid:` in HTML, and the Message-ID."""
    ids: dict[str, str] = {}
    for part in root.walk():
        cid = content_id(part)
        if cid and len(cid) < _MAX_ID and len(ids) < _MAX_IDS:
            ids.setdefault(cid, f"<content-id-{len(ids) + 1}>")
    if ids:
        # One id may be the beginning of another, or of a word that is none
        any_id = "|".join(map(re.escape, sorted(ids, key=len, reverse=True)))
        text = re.sub(rf"cid:({any_id})(?!\w)", lambda match: f"cid:{ids[match[1]]}", text)
    for name, value in root.raw_items():
        if name.lower() == "message-id" and len(value) < _MAX_ID:
            identifier = header_text(value)
            if identifier.startswith("<") and len(identifier) > 2:
                text = text.replace(identifier, "<message-id>")
            break
    return text


def _part(part: EmailMessage, raw: bytes, place: str) -> Iterator[str]:
    for name, value in part.raw_items():
        line = _header(name.lower(), value)
        if line is not None:
            yield f"{name}: {line}"
    yield ""
    maintype, subtype, _ = content_type(part)
    children = subparts(part)
    if children:
        for number, child in enumerate(children, 1):
            inner = f"{place}.{number}" if place else str(number)
            yield f"--- part {inner} ---"
            yield from _part(child, raw, inner)
    elif maintype in ("text", "multipart"):
        yield (body_text(part) or "").rstrip("\n")
        yield ""
    else:
        octets = part_octets(part, raw)
        digest = hashlib.sha256(octets).hexdigest()
        yield f"<{maintype}/{subtype}, {len(octets)} octets, sha256 {digest}>"
        yield ""


def _header(name: str, value: str) -> str | None:
    if name in _LEFT_OUT:
        return None
    if name in _PLACEHOLDERS:
        return _PLACEHOLDERS[name]
    if isinstance(value, Unread) or len(value) > MAX_HEADER:
        return f"{header_text(value[:1_000])}... <{len(value)} characters>"
    if name in _PARAMETERIZED:
        return _parameterized(parse_parameters(value))
    return header_text(value)


def _parameterized(value: Parameterized) -> str:
    pieces = [value.head]
    for name, text in value.parameters.items():
        if name == "boundary":
            text = "<boundary>"
        elif name == "charset":
            text = text.lower()
        quoted = text if _PLAIN_VALUE.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'
        pieces.append(f"{name}={quoted}")
    return "; ".join(pieces)
