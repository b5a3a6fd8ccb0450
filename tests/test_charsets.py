"""Every sequence of one or two octets, against Node's TextDecoder and against a committed table.

The table has what the WHATWG indexes say differently from Python's codecs. Node has ICU's decoders:
where these are not the standard's, the reason stands beside the exception.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from pytest_smtpd.mime.charsets import decode

# An encoding, and the codec of Python that is nearest
TWO_OCTETS = {
    "big5": "big5hkscs",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "gb18030": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
}
ONE_OCTET = {
    "ibm866": "cp866",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
    **{f"iso-8859-{number}": f"iso8859-{number}" for number in (*range(2, 9), 10, 13, 14, 15)},
    **{f"windows-{number}": f"cp{number}" for number in range(1250, 1259)},
}
TABLE: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("charset_differences.json").read_text("utf-8")
)
NODE = shutil.which("node")
CP932_UNDEFINED = set("\uf8f0\uf8f1\uf8f2\uf8f3")  # what Python has for octets without a character

# What Node 20 to 24 have otherwise than the standard
ICU = {
    "koi8-u": {b"\xae", b"\xbe"},  # box drawing for the letter short U
    "windows-1253": {b"\xaa"},  # not defined by the standard
    "big5": {b"\xf9\xfe"},  # of HKSCS
    "euc-jp": {bytes((0x8E, octet)) for octet in range(0xE0, 0xFF)},  # of IBM
}


def strictly(octets: bytes, encoding: str) -> str | None:
    text, sound = decode(octets, encoding)
    return text if sound else None


def sequences(encoding: str) -> list[bytes]:
    if encoding in ONE_OCTET:
        return [bytes((octet,)) for octet in range(0x80, 0x100)]
    return [bytes((lead, trail)) for lead in range(0x81, 0xFF) for trail in range(0x40, 0xFF)]


@pytest.mark.parametrize("encoding", [*ONE_OCTET, *TWO_OCTETS])
def test_what_differs_from_pythons_codec_is_in_the_table(encoding: str) -> None:
    table = TABLE.get(encoding, {})
    codec = {**ONE_OCTET, **TWO_OCTETS}[encoding]
    for octets in sequences(encoding):
        try:
            usual = octets.decode(codec)
        except UnicodeDecodeError:
            usual = None
        if usual is not None and set(usual) & CP932_UNDEFINED:
            usual = None
        expected = table.get(octets.hex(), usual)
        assert strictly(octets, encoding) == expected, octets.hex()
        if expected is not None:
            # in a text with others, and beside what cannot be decoded
            damaged = b"<" + octets + b"> \xff\n"
            assert decode(damaged, encoding).text.startswith(f"<{expected}> "), octets.hex()


@pytest.mark.skipif(NODE is None, reason="there is no Node.js")
@pytest.mark.parametrize("encoding", [*ONE_OCTET, *TWO_OCTETS])
def test_node_reads_the_same(encoding: str) -> None:
    given = sequences(encoding)
    script = """
        const [encoding, octets] = JSON.parse(require("fs").readFileSync(0, "utf8"));
        const decoder = new TextDecoder(encoding);
        const read = hex => decoder.decode(Buffer.from(hex, "hex"));
        console.log(JSON.stringify(octets.map(read)));
    """
    asked = json.dumps([encoding, [octets.hex() for octets in given]])
    run = subprocess.run(
        [str(NODE), "-e", script], input=asked, capture_output=True, check=True, encoding="utf-8"
    )
    compared = 0
    for octets, node in zip(given, json.loads(run.stdout), strict=True):
        if octets in ICU.get(encoding, ()) or not is_read(node, encoding):
            continue
        compared += 1
        assert strictly(octets, encoding) == node, octets.hex()
    assert compared > (20_000 if encoding in ("gbk", "gb18030") else 40)


def is_read(text: str, encoding: str) -> bool:
    """Whether Node has read it as one character, and not as one of its own private ones."""
    if encoding == "windows-1252" and text < "\xa0":
        return False  # until Node 24 it read this as iso-8859-1
    private = any(unicodedata.category(character) == "Co" for character in text)
    # ICU has EUC-KR without the extension of Windows, and reads a lead octet of it alone
    alone = len(text) == 2 and ("\x80" <= text[0] <= "\x9f" or text[1] <= "\x7f")
    return not (private or alone or "\ufffd" in text or "\x1a" in text)


@pytest.mark.parametrize(
    ("label", "octets", "text"),
    [
        ("us-ascii", b"caf\xe9", "caf\ufffd"),
        ("iso-8859-1", b"It\x92s \x80", "It’s €"),
        ("ISO_8859-9", b"\x93\xfd\x94", "“ı”"),
        ("latin-1", b"\xe9", "é"),
        ("cp-850", b"\x82", "é"),
        ("win-1251", b"\xcf", "П"),
        ("iso-2022-jp-ms", b"\x1b$B-!\x1b(B", "①"),
        ("utf-8", b"\xef\xbb\xbfbom", "bom"),
        ("iso-8859-1", b"\xef\xbb\xbf\xc3\xa9", "é"),
        ("utf-16", b"\xfe\xff\x00a", "a"),
        ("utf-16", b"a\x00", "a"),
        ("iso-2022-jp", b"\x1b$B-!-j\x1b(B a\\~ \x1b(I6KR\x1b(J\\~\x1b(B", "①㈱ a\\~ ｶﾋﾒ¥‾"),
        ("iso-2022-jp", b'\x1b$B$"\r\n$$\x1b(B\xff', "あ\r\nい\ufffd"),
        ("iso-2022-kr", b"\x1b$)C\x0e!!\x0f", "\u3000"),
        ("gb2312", "你好——张·三".encode("gb18030"), "你好——张·三"),
        ("gbk", b"\x80", "€"),
        ("big5", b"a\xa2Ab\xa2B\xff", "a∕b﹨\ufffd"),
        ("unknown-8bit", "é".encode(), "é"),
        ("idna", "é".encode(), "é"),
    ],
)
def test_a_label_is_read_as_clients_read_it(label: str, octets: bytes, text: str) -> None:
    assert decode(octets, label).text == text
