"""Octets to text in the charset that a mail declares, by the labels that mail clients know.

Rule: Python's codec of that name first, then what clients read the label as (WHATWG Encoding 4.2);
never raises, and takes time linear in its input.
"""

from __future__ import annotations

import codecs

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
# Some decoders need a microsecond for each error: after so many the text is garbage anyway.
_MAX_REPLACEMENTS = 100_000
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


def decode_strictly(data: bytes, charset: str | None) -> str | None:
    """Text from `data`, `None` where some of it cannot be decoded, or the charset is unknown.

    No charset is UTF-8.
    """
    codec = codec_name(charset) if charset else "utf-8"
    while codec is not None:
        try:
            return data.decode(codec)
        except Exception:
            codec = _SUPERSETS.get(codec)
    return None


def decode_bytes(data: bytes, charset: str | None) -> str:
    """Text from `data`, U+FFFD for what cannot be decoded. No or an unknown charset is UTF-8."""
    text = decode_strictly(data, charset)
    if text is not None:
        return text
    codec = (codec_name(charset) if charset else None) or "utf-8"
    return _decode_damaged(data, _SUPERSETS.get(codec, codec))


def is_read_by_python(data: bytes, charset: str) -> bool:
    """Whether `bytes.decode`, which knows no other labels, gives the same."""
    label = charset.strip().partition("*")[0].lower()
    codec = None if label in _LABELS else codec_name(label)
    try:
        return codec is not None and data.decode(codec) is not None
    except Exception:
        return False


def _decode_damaged(data: bytes, codec: str) -> str:
    if codec in ("utf-8", "ascii"):  # these replace at full speed
        return data.decode(codec, "replace")
    pieces: list[str] = []
    replaced = start = 0
    try:
        decoder = codecs.getincrementaldecoder(codec)("replace")
        while start < len(data) and replaced <= _MAX_REPLACEMENTS:
            end = start + _CHUNK
            piece = decoder.decode(data[start:end], final=end >= len(data))
            pieces.append(piece)
            replaced += piece.count("\ufffd")
            start = end
    except Exception:
        pass
    return "".join(pieces) + data[start:].decode("ascii", "replace")
