"""The decoded content of a parsed message: its bodies, and the parts that are none.

Rule: a part's own headers are read with `fields`, so nothing here raises or takes long.
"""

from __future__ import annotations

import re
from binascii import Error as BinasciiError
from binascii import a2b_qp, a2b_uu
from collections.abc import Iterator
from email.errors import (
    InvalidBase64CharactersDefect,
    InvalidBase64LengthDefect,
    InvalidBase64PaddingDefect,
    MessageDefect,
)
from email.message import EmailMessage
from typing import Any, NamedTuple

from ..text import escaped
from .charsets import decode_bytes, decode_strictly
from .fields import (
    MAX_HEADER,
    Parameterized,
    Unread,
    decode_base64,
    header_text,
    mime_type,
    parse_parameters,
)

# Attribute of a part of type message/*: start and end of its content in the raw message.
SPAN = "_pytest_smtpd_span"
_MAX_UU_LINES = 500_000


class UndecodableBodyDefect(MessageDefect):
    """A text has octets that are not in its charset, or a charset nobody knows."""


class ContentType(NamedTuple):
    """The media type of a part, as `EmailMessage` would have it (RFC 2045 section 5.2)."""

    maintype: str
    subtype: str
    parameters: dict[str, str]


def source_value(part: EmailMessage, name: str) -> str | None:
    """The first header of that name (in lower case) as it was sent; none if it is too long."""
    for key, value in part.raw_items():
        if len(key) == len(name) and key.lower() == name:
            return None if isinstance(value, Unread) or len(value) > MAX_HEADER else value
    return None


def content_type(part: EmailMessage) -> ContentType:
    value = source_value(part, "content-type")
    if value is None:
        default = str(part.get_default_type()).partition("/")
        return ContentType(default[0], default[2], {})
    head, parameters = parse_parameters(value)
    # RFC 2045 section 5.2: what is no media type is read as plain text.
    maintype, subtype = mime_type(head) or ("text", "plain")
    return ContentType(maintype, subtype, parameters)


def disposition(part: EmailMessage) -> Parameterized:
    """Content-Disposition (RFC 2183): its head is `""` where there is none."""
    return parse_parameters(source_value(part, "content-disposition") or "")


def filename(part: EmailMessage) -> str | None:
    name = disposition(part).parameters.get("filename")
    return content_type(part).parameters.get("name") if name is None else name


def content_id(part: EmailMessage) -> str | None:
    """Content-ID without its angle brackets: what stands after `cid:` in an HTML body."""
    value = source_value(part, "content-id")
    return None if value is None else header_text(value).strip("<>") or None


def _payload(part: EmailMessage) -> Any:
    # get_payload() would decode octets that are not ASCII, with a charset that may not exist.
    return getattr(part, "_payload", None)


def subparts(part: EmailMessage) -> list[EmailMessage]:
    """The parts of a multipart, of a message/rfc822 the message; of anything else none."""
    payload = _payload(part)
    return payload if isinstance(payload, list) else []


def transfer_decode(data: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding; unknown ones, and what is none, leave `data` as it is."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return a2b_qp(data)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _decode_uu(data)
    return data


def _decode_uu(data: bytes) -> bytes:
    lines = iter(data.splitlines() if data.count(b"\n") < _MAX_UU_LINES else ())
    if not any(line.startswith(b"begin ") for line in lines):
        return data
    pieces: list[bytes] = []
    for line in lines:
        if line == b"end":
            break
        try:
            pieces.append(a2b_uu(line))
        except BinasciiError:
            # Some encoders leave the padding away: take the octets that the line announces.
            length = ((line[0] - 32 & 63) * 4 + 5) // 3
            try:
                pieces.append(a2b_uu(line[:length]))
            except BinasciiError:
                return data
    return b"".join(pieces)


def payload_bytes(part: EmailMessage) -> bytes:
    """The content of a leaf part with its Content-Transfer-Encoding undone."""
    payload = _payload(part)
    if isinstance(payload, list):
        return payload[0].as_bytes() if payload else b""
    if not isinstance(payload, str):
        return bytes(payload or b"")
    data = _encoded_octets(payload)
    encoding = transfer_encoding(part)
    if encoding == "base64":
        _note_base64(part, data)
    return transfer_decode(data, encoding)


def _encoded_octets(payload: str) -> bytes:
    try:
        return payload.encode("ascii", "surrogateescape")
    except UnicodeError:  # a payload set by the test itself
        return payload.encode("utf-8", "replace")


_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")


def _note_base64(part: EmailMessage, data: bytes) -> None:
    """Says in the part's defects what is wrong with its base64, as the email package does."""
    compact = b"".join(data.split())
    digits = compact.rstrip(b"=")
    found: list[type[MessageDefect]] = []
    if _NO_BASE64.search(compact):
        found.append(InvalidBase64CharactersDefect)
    elif len(digits) % 4 == 1:
        found.append(InvalidBase64LengthDefect)
    elif len(compact) % 4:
        found.append(InvalidBase64PaddingDefect)
    known = {type(defect) for defect in part.defects}
    part.defects.extend(kind() for kind in found if kind not in known)


def transfer_encoding(part: EmailMessage) -> str:
    return parse_parameters(source_value(part, "content-transfer-encoding") or "").head


def part_text(part: EmailMessage) -> str:
    """The content of a text part, decoded; what cannot be decoded is U+FFFD."""
    return decode_bytes(payload_bytes(part), content_type(part).parameters.get("charset"))


def text_defects(part: EmailMessage) -> list[MessageDefect]:
    """Why there is U+FFFD in what `part_text` gives; decodes, but writes nothing down."""
    payload = _payload(part)
    if not isinstance(payload, str):
        return []
    maintype, subtype, parameters = content_type(part)
    charset = parameters.get("charset")
    data = transfer_decode(_encoded_octets(payload), transfer_encoding(part))
    if decode_strictly(data, charset) is not None:
        return []
    declared = "no charset" if charset is None else f"charset {charset}"
    return [UndecodableBodyDefect(escaped(f"{maintype}/{subtype}, {declared}"[:76]))]


def body_text(part: EmailMessage | None) -> str | None:
    """`part_text` with `\\n` line ends."""
    if part is None:
        return None
    return part_text(part).replace("\r\n", "\n").replace("\r", "\n")


# A space before the line end goes with it, unless the line is a signature's `-- `.
_SOFT_BREAK = re.compile(r"(?<!^--) \n(?!>|-- \n) ?", re.MULTILINE)


def unwrapped_text(part: EmailMessage | None) -> str | None:
    """`body_text`, lines joined where `delsp=yes` lets them break in a word (RFC 3676 4.2)."""
    text = body_text(part)
    parameters = {} if part is None else content_type(part).parameters
    wanted = (("format", "flowed"), ("delsp", "yes"))
    if text and all(parameters.get(name, "").lower() == value for name, value in wanted):
        return _SOFT_BREAK.sub("", text)
    return text


def find_body(part: EmailMessage, subtype: str) -> EmailMessage | None:
    """The text part that `get_body` would give for this subtype alone."""
    if disposition(part).head == "attachment":
        return None
    main, sub, parameters = content_type(part)
    if main == "text":
        return part if sub == subtype else None
    children = subparts(part) if main == "multipart" else []
    if sub == "related" and children:
        start = parameters.get("start")
        # RFC 2387 section 3.2: the root is the part that start names, else the first.
        named = (child for child in children if source_value(child, "content-id") == start)
        children = [children[0] if start is None else next(named, children[0])]
    for child in children:
        found = find_body(child, subtype)
        if found is not None:
            return found
    return None


def plain_body(root: EmailMessage) -> EmailMessage | None:
    """The text body; of a message whose multipart structure is broken, all there is."""
    found = find_body(root, "plain")
    if found is None and content_type(root).maintype == "multipart" and not subparts(root):
        return root
    return found


def non_bodies(root: EmailMessage) -> Iterator[EmailMessage]:
    """The leaf parts (a message/rfc822 is one) that are no body, in order."""
    bodies = (plain_body(root), find_body(root, "html"))
    yield from _non_bodies(root, bodies, alternative=False)


def _non_bodies(
    part: EmailMessage, bodies: tuple[EmailMessage | None, ...], *, alternative: bool
) -> Iterator[EmailMessage]:
    if any(part is body for body in bodies):
        return
    main, sub, _ = content_type(part)
    if main == "multipart" and subparts(part):
        for child in subparts(part):
            yield from _non_bodies(child, bodies, alternative=sub == "alternative")
    elif not (
        # A third way to say the same (an AMP or calendar text) is not an attachment.
        alternative
        and main == "text"
        and disposition(part).head != "attachment"
        and filename(part) is None
    ):
        yield part


def part_octets(part: EmailMessage, raw: bytes) -> bytes:
    """The content of a leaf part, of a message/* part exactly as it stands in `raw`."""
    span = part.__dict__.get(SPAN)
    if span is None:
        return payload_bytes(part)
    return transfer_decode(raw[span[0] : span[1]], transfer_encoding(part))


def is_inline(part: EmailMessage) -> bool:
    """What Content-Disposition says (RFC 2183); where it says nothing, a Content-ID tells."""
    head = disposition(part).head
    return head == "inline" if head else content_id(part) is not None
