"""Octets to text in the charset that a mail declares, by the labels that mail clients know.

Rule: Python's codec of that name first, then what clients read the label as (WHATWG Encoding 4.2);
never raises, and takes time linear in its input.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from .limits import REPLACEMENTS

# Codecs whose decoder is quadratic (idna, punycode), warns (the escapes), or decodes nothing.
_UNUSABLE = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
# What Python has by another name only
_LABELS = {
    label: codec
    for codec, labels in {
        "utf-8": "unicode-1-1-utf-8 x-unicode20utf8",
        "iso8859-1": "iso88591",
        "iso8859-2": "iso88592",
        "iso8859-5": "iso88595",
        "iso8859-6": "iso88596 iso-8859-6-e iso-8859-6-i csiso88596e csiso88596i",
        "iso8859-7": "iso88597",
        "iso8859-8": "iso88598 iso-8859-8-e iso-8859-8-i csiso88598e csiso88598i",
        "iso8859-9": "iso88599",
        "iso8859-15": "iso885915 csisolatin9",
        "cp874": "windows-874 dos-874",
        "koi8-r": "koi8",
        "koi8-u": "koi8-ru",
        "mac-roman": "x-mac-roman csmacintosh",
        "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
        "gb2312": "gb_2312 gb_2312-80 csgb2312",
        "gbk": "x-gbk",
        "big5": "cn-big5 x-x-big5",
        "euc_jp": "x-euc-jp",
        "shift_jis": "x-sjis",
        "cp932": "windows-31j",
        "euc_kr": "ks_c_5601-1989 ksc_5601 iso-ir-149 cseuckr csksc56011987",
        "cp949": "windows-949",
        **{f"cp{number}": f"x-cp{number}" for number in range(1250, 1259)},
    }.items()
    for label in labels.split()
}
# Python's codec, and what clients have in its place: it has all that the other has, and more
_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
# IANA's, of which Python has no codec
_OTHERS = frozenset({"iso-2022-cn", "iso-2022-cn-ext"})
_PRIVATE = re.compile("[\uf8f0-\uf8f3]")
_CHUNK = 65_536


def codec_name(charset: str) -> str | None:
    """The name of the text codec for a MIME charset, `None` where there is none to use."""
    label = charset.strip().partition("*")[0]
    try:
        info = codecs.lookup(_LABELS.get(label.lower(), label))
        if not getattr(info, "_is_text_encoding", True):
            return None
    except Exception:  # LookupError, ValueError for NUL, OSError for an endless name, ...
        return None
    return None if info.name.replace("-", "_") in _UNUSABLE else info.name


class Text(NamedTuple):
    """`sound` is False where something became U+FFFD, or the charset is unknown."""

    text: str
    sound: bool


def decode(data: bytes, charset: str | None) -> Text:
    """Text from `data`; no or an unknown charset is read as UTF-8, and a BOM is dropped."""
    declared = codec_name(charset) if charset else "utf-8"
    known = declared is not None or _is_private(charset or "", data)
    codec = declared or "utf-8"
    for candidate in (codec, _SUPERSETS.get(codec, codec)):
        codec = candidate
        try:
            text = data.decode(codec).removeprefix("\ufeff")
        except Exception:
            continue
        if codec == "cp932":  # Python gives the octets A0 and FD to FF to private characters
            text, count = _PRIVATE.subn("\ufffd", text)
            known = known and not count
        return Text(text, known)
    return Text(_decode_damaged(data, codec), False)


def is_known(charset: str, data: bytes) -> bool:
    """Whether the charset of these octets is registered, has a codec, or does not matter."""
    registered = charset.strip().lower() in _OTHERS
    return registered or codec_name(charset) is not None or _is_private(charset, data)


def _is_private(charset: str, data: bytes) -> bool:
    """A private charset (RFC 2046 section 4.1.2) will do as long as only ASCII is in it."""
    return charset.strip().lower().startswith("x-") and data.isascii()


def _decode_damaged(data: bytes, codec: str) -> str:
    if codec in ("utf-8", "ascii"):  # these replace at full speed
        return data.decode(codec, "replace")
    pieces: list[str] = []
    replaced = start = 0
    try:
        decoder = codecs.getincrementaldecoder(codec)("replace")
        while start < len(data) and replaced <= REPLACEMENTS:
            end = start + _CHUNK
            piece = decoder.decode(data[start:end], final=end >= len(data))
            pieces.append(piece)
            replaced += piece.count("\ufffd")
            start = end
    except Exception:
        pass
    return "".join(pieces) + data[start:].decode("ascii", "replace")
