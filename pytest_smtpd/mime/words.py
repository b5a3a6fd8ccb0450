"""Encoded words in headers (RFC 2047), and the text of a header around them."""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Iterator
from functools import cached_property

from .charsets import Text, codec_name, decode, is_known
from .encodings import Decoded, decode_base64

_WORD = re.compile(r"=\?([^?\s]++)\?([bBqQ])\?([^?\r\n]*+)\?=")
_SPACES = re.compile(r"\s+")


class Word:
    """One encoded word: where it stands, its charset without language, and its octets."""

    def __init__(self, match: re.Match[str]) -> None:
        self.start, self.end = match.span()
        self.written = match[0]
        self.charset = match[1].partition("*")[0].lower()  # RFC 2231 section 5
        self._encoding, self._content = match[2], match[3]

    @cached_property
    def _decoded(self) -> Decoded:
        content = octets_of(self._content)
        if self._encoding in "qQ":
            return Decoded(a2b_qp(content, header=True))
        return decode_base64(content)

    @property
    def octets(self) -> bytes:
        return self._decoded.octets

    @property
    def is_sound(self) -> bool:
        """Whether it is written as RFC 2047 section 2 says, in a known charset."""
        if not self._content.isascii() or " " in self._content or self._decoded.kind:
            return False
        if codec_name(self.charset) is None:
            return is_known(self.charset, self.octets)
        return decode(self.octets, self.charset).sound


def find_words(text: str) -> Iterator[Word]:
    return map(Word, _WORD.finditer(text))


def readable(value: str) -> str:
    """A source value with its 8-bit octets (surrogates) read as UTF-8 (RFC 6532)."""
    return value if value.isascii() else octets_of(value).decode("utf-8", "replace")


def octets_of(value: str) -> bytes:
    """The octets of a source value, whose 8-bit octets are surrogates."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeError:  # other surrogates, in a value that a test has set
        return value.encode("utf-8", "replace")


def read_words(value: str) -> Text:
    """A source value with its encoded words decoded.

    Neighbours of one charset are joined as octets first, for clients that split a character.
    """
    if "=?" not in value:
        text = readable(value)
        return Text(text, "\ufffd" not in text or "\ufffd" in value)
    pieces: list[Text] = []
    pending = bytearray()
    charset = ""
    end = 0
    for word in find_words(value):
        gap = value[end : word.start]
        # RFC 2047 section 6.2: white space between encoded words is not shown.
        adjacent = end > 0 and (not gap or gap.isspace())
        if pending and not (adjacent and word.charset == charset):
            pieces.append(decode(bytes(pending), charset))
            pending.clear()
        if gap and not adjacent:
            pieces.append(Text(readable(gap), True))
        charset = word.charset
        pending += word.octets
        end = word.end
    if pending:
        pieces.append(decode(bytes(pending), charset))
    text = readable(value[end:])
    sound = all(piece.sound for piece in pieces) and ("\ufffd" not in text or "\ufffd" in value)
    return Text("".join(piece.text for piece in pieces) + text, sound)


def header_text(value: str) -> str:
    """A source value decoded, with one space for any white space."""
    return _SPACES.sub(" ", read_words(value).text).strip()
