"""Mails built from the grammars that real programs write, read back: what went in comes out."""

from __future__ import annotations

import base64
import quopri
from datetime import UTC, datetime
from email.header import Header
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_smtpd import Envelope, Message

ATEXT = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-/=?^_`{|}~"
WORD = st.text(ATEXT, min_size=1, max_size=8)
DOT_ATOM = st.lists(WORD, min_size=1, max_size=3).map(".".join)
DOMAIN = st.lists(st.text("abcxyz0189", min_size=1, max_size=6), min_size=1, max_size=3).map(
    ".".join
)
# what people and programs put into a display name
NAME = st.text(
    st.sampled_from("abcXYZ 019@.,;:()[]<>'äöü漢字éñ-_/\\\"?=&"), min_size=1, max_size=20
).map(lambda text: " ".join(text.split()))
COMMENT = st.sampled_from(["", "", "", " ", "(a comment)", " (one (in) another) ", "\r\n "])
LINES = st.lists(st.text(st.sampled_from("abc xyz=.-äé漢\t"), max_size=90), max_size=6)


def message(raw: str | bytes, *recipients: str) -> Message:
    octets = raw.encode() if isinstance(raw, str) else raw
    envelope = Envelope("", recipients)
    return Message(octets, envelope, id="", received_at=datetime.now(UTC))


@st.composite
def mailboxes(draw: st.DrawFn) -> tuple[str, str, str]:
    """A mailbox as it stands in a header (RFC 5322 3.4 and 4.4), its name and its address."""
    local, domain = draw(DOT_ATOM), draw(DOMAIN)
    address = f"{local}@{domain}"
    spaced = f"{local}{draw(COMMENT)}@{draw(COMMENT)}{domain}"
    name = draw(st.one_of(st.just(""), NAME))
    if not name:
        return spaced, "", address
    if draw(st.booleans()) and name.isascii():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{spaced}>', name, address
    return f"{Header(name, 'utf-8', maxlinelen=76).encode()} <{spaced}>", name, address


@given(st.lists(mailboxes(), min_size=1, max_size=4), st.sampled_from([", ", "; ", ",", " ,\r\n "]))
def test_addresses(found: list[tuple[str, str, str]], separator: str) -> None:
    mail = message(
        f"To: {separator.join(source for source, _, _ in found)}\r\n\r\nx\r\n",
        *(address for _, _, address in found),
        "hidden@example.org",
    )
    addresses = mail["To"].addresses
    assert [each.addr_spec for each in addresses] == [address for _, _, address in found]
    assert [each.display_name for each in addresses] == [name for _, name, _ in found]
    assert mail.bcc == ("hidden@example.org",)


@given(st.text(st.sampled_from("abc xyzäöüß漢字かなé🙂?=_"), min_size=1, max_size=120))
def test_subjects_of_encoded_words(text: str) -> None:
    subject = " ".join(text.split())
    mail = message(f"Subject: {Header(subject, 'utf-8', maxlinelen=60).encode()}\r\n\r\nx\r\n")
    assert mail.subject == subject


@st.composite
def file_names(draw: st.DrawFn) -> tuple[str, str]:
    """A file name, and the parameter that a program writes for it."""
    name = draw(st.text(st.sampled_from("abc 01.-_()'!*~äé漢字"), min_size=1, max_size=30)).strip()
    name = name or "a"
    # RFC 2231; JavaScript's encodeURIComponent leaves these as they are
    bare = draw(st.sampled_from(["", "()'!*~"]))
    value = quote(name, safe=bare)
    kind = draw(st.sampled_from(["whole", "sections", "word", "quoted"]))
    if kind == "sections":
        size = draw(st.integers(3, 20))
        pieces = [value[start : start + size] for start in range(0, len(value), size)]
        if all("%" not in piece[-2:] for piece in pieces):
            pieces[0] = f"UTF-8''{pieces[0]}"  # RFC 2231 section 4.1: the first section has it
            sections = [f"filename*{number}*={piece}" for number, piece in enumerate(pieces)]
            return name, ";\r\n ".join(sections)
    if kind == "word":
        return name, f'filename="{Header(name, "utf-8", maxlinelen=1000).encode()}"'
    if kind == "quoted" and name.isascii():
        return name, f'filename="{name}"'
    return name, f"filename*=UTF-8''{value}"


@given(file_names())
def test_file_names(found: tuple[str, str]) -> None:
    name, parameter = found
    mail = message(
        f"Content-Type: application/pdf\r\nContent-Disposition: attachment;\r\n {parameter}"
        "\r\n\r\n%PDF\r\n"
    )
    assert [each.filename for each in mail.attachments] == [name]


@given(LINES, st.sampled_from(["quoted-printable", "base64", "8bit"]), st.booleans())
def test_bodies(lines: list[str], encoding: str, padded: bool) -> None:
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    octets = text.replace("\n", "\r\n").encode()
    if encoding == "quoted-printable":
        octets = quopri.encodestring(text.encode()).replace(b"\n", b"\r\n")
        if padded:  # blanks at a line's end are no content (RFC 2045 6.7, rule 3)
            octets = octets.replace(b"\r\n", b" \t\r\n")
    elif encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    head = (
        "Content-Type : text/plain; charset=utf-8\r\n"  # RFC 5322 4.5: white space before the colon
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    assert message(head.encode() + octets).text == text


@given(st.data(), st.sampled_from(["base64", "quoted-printable"]))
@pytest.mark.parametrize(
    "charset", ["gb2312", "big5", "iso-2022-jp", "euc-jp", "shift_jis", "euc-kr", "windows-1252"]
)
def test_charsets(charset: str, data: st.DataObject, encoding: str) -> None:
    codec = {"windows-1252": "cp1252"}.get(charset, charset)
    characters = {"gb2312": "你好世界", "big5": "宏你好", "euc-kr": "안녕하세요"}.get(
        charset, "é’–€" if charset == "windows-1252" else "日本語かなカナ"
    )
    text = data.draw(st.text(st.sampled_from(characters + "abc "), max_size=40)).strip() or "x"
    octets = text.encode(codec)
    encoded = base64.encodebytes(octets) if encoding == "base64" else quopri.encodestring(octets)
    word = base64.b64encode(octets).decode()
    mail = message(
        f"Subject: =?{charset}?B?{word}?=\r\nContent-Type: text/plain; charset={charset}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + encoded.replace(b"\n", b"\r\n")
    )
    assert (mail.subject, (mail.text or "").rstrip("\n")) == (text, text)
    assert mail.defects == []


KINDS = st.sampled_from(["text/plain", "text/html", "image/png", "application/pdf"])


@given(st.lists(st.tuples(KINDS, st.booleans()), min_size=1, max_size=6))
def test_no_part_with_content_is_lost(parts: list[tuple[str, bool]]) -> None:
    """RFC 8621 4.1.4: each part is in one of `text`, `html` and `attachments`."""
    pieces = []
    for number, (kind, named) in enumerate(parts):
        disposition = f'Content-Disposition: inline; filename="{number}"\r\n' * named
        pieces.append(f"--b\r\nContent-Type: {kind}\r\n{disposition}\r\npart-{number}.\r\n")
    head = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    mail = message(f"{head}{''.join(pieces)}--b--\r\n")
    found = [mail.text or "", mail.html or ""]
    found += [each.content.decode() for each in mail.attachments]
    for number in range(len(parts)):
        assert sum(f"part-{number}." in each for each in found) >= 1
    for each in mail.attachments:
        assert sum(each.content.decode() in other for other in found) == 1
