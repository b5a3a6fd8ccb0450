"""Octets to text in the charset that a mail declares: the encodings and labels of WHATWG Encoding.

Rule: Python's codec does the work, and a table says where browsers read a sequence differently.
Nothing raises, and the time is linear in the octets.
"""

from __future__ import annotations

import codecs
import re
import threading
from functools import lru_cache
from typing import NamedTuple

from .limits import ESCAPES, REPLACEMENTS

# WHATWG Encoding 4.2, and Python's codec for each encoding. Beside the labels of the standard:
# cp-850, win-125x, iso-2022-jp-ms and the like, which mail programs write. `us-ascii` is no
# windows-1252 here: octets over 127 are a fault of the sender, and shown as one.
_LABELS = {
    label: codec
    for codec, labels in {
        "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
        "ascii": "ansi_x3.4-1968 ascii us-ascii",
        "cp850": "cp-850",
        "cp866": "866 cp866 csibm866 ibm866",
        "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 "
        "iso_8859-2:1987 l2 latin2",
        "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 "
        "iso_8859-3:1988 l3 latin3",
        "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 "
        "iso_8859-4:1988 l4 latin4",
        "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 "
        "iso_8859-5 iso_8859-5:1988",
        "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 "
        "iso-8859-6 iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 "
        "iso_8859-6:1987",
        "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 "
        "iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek",
        "iso8859-8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e "
        "iso-8859-8-i iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 logical visual",
        "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
        "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
        "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
        "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
        "iso8859-16": "iso-8859-16",
        "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
        "koi8-u": "koi8-ru koi8-u",
        "mac-roman": "csmacintosh mac macintosh x-mac-roman",
        "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
        "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
        "cp1252": "cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 "
        "iso_8859-1:1987 l1 latin1 latin-1",
        "cp1254": "csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 "
        "iso_8859-9:1989 l5 latin5",
        **{f"cp{n}": f"cp{n} windows-{n} x-cp{n} win-{n} win{n}" for n in (1250, 1251, 1253)},
        **{f"cp{n}": f"cp{n} windows-{n} x-cp{n} win-{n} win{n}" for n in range(1255, 1259)},
        "gb18030": "chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk "
        "iso-ir-58 x-gbk cp936",
        "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5 cp950",
        "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
        "iso2022_jp": "csiso2022jp iso-2022-jp iso-2022-jp-ms cp50220 cp50221",
        "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
        "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 "
        "ksc5601 ksc_5601 windows-949",
        "utf-16": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16",
        "utf-16-le": "utf-16le",
        "utf-16-be": "unicodefffe utf-16be",
    }.items()
    for label in labels.split()
}
# Codecs whose decoder is quadratic (idna, punycode), warns (the escapes), or decodes nothing.
_UNUSABLE = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
# Registered at IANA, but Python has no codec for them
_OTHERS = frozenset({"iso-2022-cn", "iso-2022-cn-ext"})

# Where a codec has another character for the same sequence
_REPLACED = {
    "gb18030": str.maketrans(
        "\ue5e5\ue7c7\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
        "\u3000ḿ\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
    ),
    "cp932": str.maketrans("\uf8f0\uf8f1\uf8f2\uf8f3", "\ufffd\ufffd\ufffd\ufffd"),
    "euc_jp": str.maketrans("〜‖−¢£¬", "～∥－￠￡￢"),
    "big5hkscs": str.maketrans("•､‾∼♁☉¥¢£", "‧﹑¯～⊕⊙￥￠￡"),
}
_ONE_OCTET = {"koi8-u": "\xaeў\xbeЎ", "cp1255": "\xca\u05ba"}
_ONE_OCTET |= {
    f"cp{number}": "" for number in (874, 1250, 1251, 1252, 1253, 1254, *range(1256, 1259))
}
_HANDLERS = {name: name for name in ("big5hkscs", "euc_jp", "gb18030")}
# Sequences that the codec of Big5 lacks or reads differently: the first one of each run, and the
# characters of the run
_BIG5 = """
    877a㡵𡵓𣚞𦀡㻬𥣞㫵竼龗𤅡𨤍𣇪𠪊𣉞䌊蒄龖鐯䤰蘓墖靊鈘秐稲晠権袝瑌篅
    87ba枂稬剏遆㓦珄𥶹瓆鿇垳䤯呌䄱𣚎堘穲𧭥讏䚮𦺈䆁𥶙箮𢒼鿈𢓁𢓉𢓌鿉蔄
    87d8𣖻䂴鿊䓡𪷿拁灮鿋 8e69箸 8e6f簆 8e7e糎 8eab緒 8eb4縝 8ecd者 8ed0耨 8f57菁 8f69蒨
    8f6e萏 8fcb覦覩 8ffe起 906d都 907a銹 90dc靜 90f1響 91bf鼖 9244蔃 92af兙兛兝兞 92c8鍮
    92d1瑹 9447浧 94ca禛 95d9邗 9644靝 96ed瀞 96fc嬨 9b76爁 9b78矗 9b7b纇 9bc6駖 9bde釔
    9bec惞 9bf6澶 9c42輶 9c53侻 9c62營 9c68鄄 9c6b鷰 9c77菏 9cbc尐秣 9cd0婧 9d57輋
    9d5a筑 9dc4拐 9ea9恢 9eef痹 9efd汊 9f60鬮 9f66鼗 9fcb僭 9fd8弌 a063蠏 a077拎 a0d5瑨
    a0df煢 a0e4牐 a241∕﹨ a3c0␀␁␂␃␄␅␆␇␈␉␊␋␌␍␎␏␐␑␒␓␔␕␖␗␘␙␚␛␜␝␞␟␡€ c6cf廴 c6d3无 c6d5癶
    c6d7隶 c6de〃仝 fa5f倩 fa66偽 fabd包 fac5卄 fad5卿 fb48嘅 fbb8婷 fbf3幵 fbf9廐
    fc4f彘 fc6c悤 fcb9撐 fce2晴 fcf1杞 fdb7沜渝 fdbb港 fdf1煮 fe52猪 fe6f瑜 feaa瓩
    fedd砉
"""
_BIG5_SLASHES = re.compile(rb"((?:[\x00-\x80]|(?!\xa2[AB])[\x81-\xfe](?s:.))*+)\xa2([AB])")


def codec_name(charset: str) -> str | None:
    """The name of the text codec for a MIME charset, `None` where there is none to use."""
    label = charset.strip().partition("*")[0]  # RFC 2231 section 5: a language may follow
    codec = _LABELS.get(label.lower())
    if codec is not None:
        return codec
    try:
        info = codecs.lookup(label)
        if not getattr(info, "_is_text_encoding", True):
            return None
    except Exception:  # LookupError, ValueError for NUL, OSError for an endless name, ...
        return None
    name = info.name
    return None if name.replace("-", "_") in _UNUSABLE else _LABELS.get(name, name)


class Text(NamedTuple):
    """`sound` is False where something became U+FFFD, or the charset is unknown."""

    text: str
    sound: bool


def decode(data: bytes, charset: str | None) -> Text:
    """Text from `data`; no or an unknown charset is read as UTF-8.

    A byte order mark wins over the charset, and is dropped.
    """
    declared = codec_name(charset) if charset else "utf-8"
    known = declared is not None or _is_private(charset or "", data)
    codec = declared or "utf-8"
    text = _decode(data, codec)
    return Text(text, known and ("\ufffd" not in text or _is_sent(data, codec)))


def is_known(charset: str, data: bytes) -> bool:
    """Whether the charset of these octets is registered, has a codec, or does not matter."""
    registered = charset.strip().lower() in _OTHERS
    return registered or codec_name(charset) is not None or _is_private(charset, data)


def _is_private(charset: str, data: bytes) -> bool:
    """A private charset (RFC 2046 section 4.1.2) will do as long as only ASCII is in it."""
    return charset.strip().lower().startswith("x-") and data.isascii()


def _is_sent(data: bytes, codec: str) -> bool:
    """Whether U+FFFD in the text was sent as such."""
    try:
        return codec in _UNICODE and "\ufffd" in data.decode(codec)
    except UnicodeError:
        return False


_UNICODE = frozenset({"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-7", "utf-32", "gb18030"})


def _decode(data: bytes, codec: str, handler: str = "") -> str:
    # WHATWG Encoding 6: a byte order mark wins over what was declared
    if data.startswith(codecs.BOM_UTF8):
        data, codec = data[3:], "utf-8"
    elif codec in ("utf-16", "utf-16-le", "utf-16-be"):
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            codec = "utf-16-le" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
            data = data[2:]
        elif codec == "utf-16":
            codec = "utf-16-le"
    if codec == "iso2022_jp":
        return _decode_iso_2022_jp(data)
    if codec == "big5hkscs":
        data = data.replace(b"\xff", b"\x80")  # an error, both; then 0xFF is free for these
        if b"\xa2A" in data or b"\xa2B" in data:
            data = _BIG5_SLASHES.sub(b"\\1\xff\\2", data, count=REPLACEMENTS)
    if codec in _ONE_OCTET:
        return codecs.charmap_decode(data, "strict", _page(codec))[0]
    replaced = _REPLACED.get(codec)
    try:
        text = data.decode(codec)
    except Exception:
        text = _decode_damaged(data, codec, handler or _HANDLERS.get(codec, "replace"))
    if replaced is None or not any(chr(number) in text for number in replaced):
        return text
    return text.translate(replaced)


@lru_cache
def _page(codec: str) -> str:
    """The characters of the 256 octets; 0x80 to 0x9F are controls where the codec has none."""
    octets = bytes(range(256))
    page = list(octets.decode(codec, "replace"))
    for number in range(0x80, 0xA0):
        if page[number] == "\ufffd":
            page[number] = chr(number)
    others = _ONE_OCTET[codec]
    for octet, character in zip(others[::2], others[1::2], strict=True):
        page[ord(octet)] = character
    return "".join(page)


# ---- damaged text, and sequences that a codec does not know


class _Errors(threading.local):
    count = 0


_errors = _Errors()


def _decode_damaged(data: bytes, codec: str, handler: str = "replace") -> str:
    if codec in ("utf-8", "ascii"):  # these replace at full speed
        return data.decode(codec, "replace")
    _errors.count = 0
    try:
        return data.decode(codec, f"smtpd-{handler}")
    except Exception:
        return data.decode("ascii", "replace")


def _undecodable(error: UnicodeError) -> tuple[str, int]:
    return _result(error, None)


def _result(error: UnicodeError, found: str | None, octets: int = 2) -> tuple[str, int]:
    """The result of an error handler: the character found, or U+FFFD, and the next place."""
    assert isinstance(error, UnicodeDecodeError)
    _errors.count += 1
    if _errors.count > REPLACEMENTS:
        return error.object[error.start :].decode("ascii", "replace"), len(error.object)
    return ("\ufffd", error.end) if found is None else (found, error.start + octets)


def _pair(error: UnicodeError) -> bytes:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.start + 2]


def _big5(error: UnicodeError) -> tuple[str, int]:
    return _result(error, _big5_table().get(_pair(error)))


_table: dict[bytes, str] = {}


def _big5_table() -> dict[bytes, str]:
    if not _table:
        found = {}
        for run in _BIG5.split():
            lead, trail = int(run[:2], 16), int(run[2:4], 16)
            for character in run[4:]:
                found[bytes((lead, trail))] = character
                trail = trail + 1 if trail != 0x7E else 0xA1
        # The slashes have another octet: see _BIG5_SLASHES
        found[b"\xffA"], found[b"\xffB"] = found.pop(b"\xa2A"), found.pop(b"\xa2B")
        _table.update(found)
    return _table


def _euc_jp(error: UnicodeError) -> tuple[str, int]:
    """The rows of NEC and IBM, which Python has in CP932 alone: JIS X 0208 written otherwise."""
    pair, found = _pair(error), None
    if len(pair) == 2 and min(pair) > 0xA0 and max(pair) < 0xFF:
        row, cell = pair[0] - 0xA1, pair[1] - 0xA1
        lead = row // 2 + (0x81 if row < 62 else 0xC1)
        trail = cell + 0x9F if row % 2 else cell + 0x40 + (cell > 62)
        try:
            found = bytes((lead, trail)).decode("cp932")
        except UnicodeError:
            pass
    return _result(error, found)


def _iso_2022_jp(error: UnicodeError) -> tuple[str, int]:
    roman = {0x80: "¥", 0x81: "‾"}.get(_pair(error)[0])
    return _euc_jp(error) if roman is None else _result(error, roman, 1)


def _gb18030(error: UnicodeError) -> tuple[str, int]:
    return _result(error, "€" if _pair(error)[0] == 0x80 else None, 1)


for _name, _handler in {
    "smtpd-big5hkscs": _big5,
    "smtpd-euc_jp": _euc_jp,
    "smtpd-gb18030": _gb18030,
    "smtpd-iso2022_jp": _iso_2022_jp,
    "smtpd-replace": _undecodable,
}.items():
    codecs.register_error(_name, _handler)


# ---- ISO-2022-JP: escapes between character sets of seven bits

_ESCAPE = re.compile(rb"\x1b(?:\(([BJI])|\$[@B])")


def _shifted(first: int, last: int) -> bytes:
    """What stands for each octet in EUC-JP: the high bit set from `first` to `last`."""
    table = [octet | 0x80 if first <= octet <= last else octet for octet in range(0x80)]
    return bytes([*table, *b"\xff" * 0x80])


# An octet over 127 is an error in all sets: so is 0xFF in EUC-JP
_ASCII, _PAIRS, _KANA = _shifted(1, 0), _shifted(0x21, 0x7E), _shifted(0x21, 0x5F)
# JIS X 0201 has a yen sign and an overline, for which two octets stand that EUC-JP has no use for
_ROMAN = _ASCII.replace(b"\\", b"\x80").replace(b"~", b"\x81")
_KANA_OCTET = re.compile(rb"[\xa1-\xdf]")


def _decode_iso_2022_jp(data: bytes) -> str:
    """WHATWG Encoding 12.2, except that a line end is no error inside of pairs."""
    if b"\x1b$(" in data or b"\x1b." in data:  # sets of iso-2022-jp-1 and -2
        return _decode_damaged(data, "iso2022_jp_2")
    first, *pieces = _ESCAPE.split(data, ESCAPES)
    octets = [first.translate(_ASCII)]
    for single, piece in zip(pieces[::2], pieces[1::2], strict=True):
        if single is None:
            octets.append(piece.translate(_PAIRS))
        elif single == b"B":
            octets.append(piece.translate(_ASCII))
        elif single == b"J":
            octets.append(piece.translate(_ROMAN))
        else:
            octets.append(_KANA_OCTET.sub(b"\x8e\\g<0>", piece.translate(_KANA)))
    return _decode(b"".join(octets), "euc_jp", "iso2022_jp")
