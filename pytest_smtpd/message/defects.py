"""Defects: what was wrong with a message, in the terms of the email package."""

from __future__ import annotations

from email import errors
from email.errors import MessageDefect, UndecodableBytesDefect

from ..mime.tree import Part
from ..text import escaped

__all__ = ["UndecodableBytesDefect", "of_content", "of_structure"]


class UnparsedHeaderDefect(MessageDefect):
    """A header could not be read as what it claims to be."""


class LongHeaderDefect(UnparsedHeaderDefect):
    """A header of more than 64 KiB, or after 128 KiB of them: given as it came, unparsed."""


class UndecodableHeaderDefect(UnparsedHeaderDefect):
    """A header with octets that are not UTF-8 (RFC 6532), or not in the charset it declares."""


class InvalidAddressDefect(UnparsedHeaderDefect):
    """An address list with an element that is no address: the header is given as it came."""


class InvalidParameterDefect(MessageDefect):
    """A parameter is malformed, or needs quotes (RFC 2045 section 5.1)."""


class WhiteSpaceBeforeColonDefect(MessageDefect):
    """White space between a header's name and its colon (RFC 5322 section 4.5)."""


class NoHeaderLineDefect(MessageDefect):
    """A line among the headers that is none was skipped."""


class TooManyHeadersDefect(MessageDefect):
    """The headers beyond the 10,000th are in `raw` only."""


class TooManyPartsDefect(MessageDefect):
    """What follows the 10,000th part is given as one part, unparsed."""


class TooDeepDefect(MessageDefect):
    """A multipart or message more than 50 levels deep is given as text, unparsed."""


class UndecodableBodyDefect(MessageDefect):
    """A text has octets that are not in its charset, or an unknown charset."""


class InvalidQuotedPrintableDefect(MessageDefect):
    """A `=` in quoted-printable begins no escape (RFC 2045 section 6.7)."""


class WhiteSpaceBehindSoftBreakDefect(MessageDefect):
    """White space behind a soft line break was dropped (RFC 2045 section 6.7, rule 3)."""


_OF_STRUCTURE: dict[str, type[MessageDefect]] = {
    "bom": NoHeaderLineDefect,
    "no-field": NoHeaderLineDefect,
    "no-name": errors.InvalidHeaderDefect,
    "stray-continuation": errors.FirstHeaderLineIsContinuationDefect,
    "misplaced-from": errors.MisplacedEnvelopeHeaderDefect,
    "no-separator": errors.MissingHeaderBodySeparatorDefect,
    "spaced-colon": WhiteSpaceBeforeColonDefect,
    "too-many-fields": TooManyHeadersDefect,
    "missing-boundary": errors.NoBoundaryInMultipartDefect,
    "boundary-not-found": errors.StartBoundaryNotFoundDefect,
    "unclosed-multipart": errors.CloseBoundaryNotFoundDefect,
    "too-many-parts": TooManyPartsDefect,
    "too-deep": TooDeepDefect,
}
_OF_ENCODING: dict[str, type[MessageDefect]] = {
    "characters": errors.InvalidBase64CharactersDefect,
    "behind-padding": errors.InvalidBase64CharactersDefect,
    "length": errors.InvalidBase64LengthDefect,
    "padding": errors.InvalidBase64PaddingDefect,
    "escape": InvalidQuotedPrintableDefect,
    "blanks": WhiteSpaceBehindSoftBreakDefect,
}


def of_structure(part: Part) -> list[MessageDefect]:
    """Defects of the header and the multipart structure of a part."""
    found = [
        _OF_STRUCTURE[flaw.kind](escaped(flaw.detail))
        for flaw in part.flaws
        if flaw.kind in _OF_STRUCTURE
    ]
    if part.is_multipart:
        if part.encoding not in ("7bit", "8bit", "binary"):  # RFC 2045 section 6.4
            found.append(errors.InvalidMultipartContentTransferEncodingDefect())
        if not part.parts and not part.number:
            found.append(errors.MultipartInvariantViolationDefect())
    return found


def of_content(part: Part) -> list[MessageDefect]:
    """Defects of the content of a part that has no parts; decodes it."""
    if part.parts:
        return []
    found: list[MessageDefect] = []
    decoded = part.decode()
    if decoded.kind:
        found.append(_OF_ENCODING[decoded.kind](escaped(decoded.flaw)))
    if part.type.startswith("text/") and not part.decode_text().sound:
        charset = part.charset
        declared = "no charset" if charset is None else f"charset {charset}"
        found.append(UndecodableBodyDefect(escaped(f"{part.type}, {declared}"[:76])))
    return found
