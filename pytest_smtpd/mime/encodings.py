"""Content-Transfer-Encodings (RFC 2045 section 6): the readers of base64 and quoted-printable.

Whatever the octets, as much as possible is decoded, in linear time; nothing raises.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, a2b_qp
from typing import Literal, NamedTuple

from .limits import STRETCHES

ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64")

_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NO_DIGIT = bytes(set(range(256)) - set(_DIGITS))
_SPACES = b" \t\r\n"
_STRETCH = re.compile(rb"([^=]++)(=*+)")
_BASE64_LINES = re.compile(rb"[A-Za-z0-9+/\s]*+")

# The lookbehind keeps a run of blanks from being searched again from each of its places.
_TRAILING_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_BLANKS_AT_AN_END = (b" \r\n", b"\t\r\n", b" \n", b"\t\n")
# What may follow "=" once blanks and soft breaks are gone: two digits, or the end
_BAD_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\n|\Z)")

FlawKind = Literal["", "characters", "length", "padding", "behind-padding", "escape", "blanks"]


class Decoded(NamedTuple):
    """`octets` is what could be decoded. `flaw` says what is wrong, `kind` names it."""

    octets: bytes
    kind: FlawKind = ""
    flaw: str = ""


def decode(encoding: str, data: bytes) -> Decoded:
    """Undoes an encoding, given in lower case; an unknown one leaves `data` as it is."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return decode_quoted_printable(data)
    return Decoded(data)


def decode_base64(data: bytes) -> Decoded:
    """RFC 2045 section 6.8: characters outside the alphabet are skipped.

    A digit too many is dropped, missing padding is added. What follows the padding is decoded if
    it is base64, too (some lists append a footer so), and otherwise kept as it is.
    """
    digits = data.translate(None, _SPACES)
    try:
        return Decoded(a2b_base64(digits, strict_mode=True))
    except Error:
        pass
    pieces: list[bytes] = []
    kind: FlawKind = ""
    flaw = ""
    position = 0
    while position < len(data) and (match := _STRETCH.search(data, position)):
        if pieces and match[1].isspace():
            position = match.end()
            continue
        if pieces:
            kind, flaw = "behind-padding", "something behind the padding"
            if len(pieces) == STRETCHES or not _BASE64_LINES.fullmatch(match[1]):
                pieces.append(data[match.start() :].lstrip())
                break
        digits = match[1].translate(None, _NO_DIGIT)
        position = match.end()
        surplus = len(digits) % 4 == 1
        pieces.append(a2b_base64(digits[: len(digits) - surplus] + b"=="))
        if kind:
            continue
        foreign = match[1].translate(None, _DIGITS + _SPACES)
        if foreign:
            kind, flaw = "characters", f"a character {foreign[:1].decode('latin-1')!r}"
        elif surplus:
            kind, flaw = "length", "a wrong length"
        elif len(digits) % 4 != -len(match[2]) % 4 or len(match[2]) > 2:
            kind, flaw = "padding", "a wrong length"
    return Decoded(b"".join(pieces), kind or "padding", flaw or "a wrong length")


def decode_quoted_printable(data: bytes) -> Decoded:
    """RFC 2045 section 6.7: blanks at the end of a line are no content (rule 3).

    A `=` that begins no escape stands for itself.
    """
    kind: FlawKind = ""
    flaw = ""
    if data[-1:] in (b" ", b"\t") or any(blank in data for blank in _BLANKS_AT_AN_END):
        whole, data = data, _TRAILING_BLANKS.sub(b"", data)
        if _soft_breaks(data) > _soft_breaks(whole):
            kind, flaw = "blanks", "white space behind a soft line break"
    # binascii skips all that stands between "=" with a CR and the next line feed
    data = data.replace(b"=\r\n", b"=\n").replace(b"=\r", b"=\n")
    octets = a2b_qp(data)
    # Each good escape and soft break makes two octets fewer; so a search is rarely needed
    if len(data) - len(octets) != 2 * data.count(b"=") - data.endswith(b"="):
        match = _BAD_ESCAPE.search(data)
        if match is not None:
            kind, flaw = "escape", repr(data[match.start() : match.start() + 3].decode("latin-1"))
    return Decoded(octets, kind, flaw)


def _soft_breaks(data: bytes) -> int:
    return data.count(b"=\r\n") + data.count(b"=\n")
