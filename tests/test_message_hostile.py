"""Nothing that a client may send makes a message raise, or take long to read."""

from __future__ import annotations

import copy
import os
import pickle
import random
import time
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_smtpd.message.message import Envelope, Message

ENVELOPE = Envelope("ann@example.com", ("bob@example.com", "cy@example.com"))
# `coverage run` makes all some four times as slow
SHARE = 4 if "COVERAGE_RUN" in os.environ else 1
MEGABYTE = 1_048_576 // SHARE
MAIL = 4 * MEGABYTE
LIMIT = 2.0 * SHARE  # seconds of processor time, the bound for one property

PROPERTIES = {
    "subject": lambda m: m.subject,
    "text": lambda m: m.text,
    "html": lambda m: m.html,
    "attachments": lambda m: m.attachments,
    "links": lambda m: m.links,
    "bcc": lambda m: m.bcc,
    "snapshot": lambda m: m.snapshot(),
    "defects": lambda m: m.defects,
    "repr": repr,
    "items": lambda m: m.items(),
    "values": lambda m: m.values(),
    "get": lambda m: [m[name] for name in list(dict.fromkeys(m))[:100]],
    "get_all": lambda m: m.get_all("Received"),
    "walk": lambda m: list(m.walk()),
    "parts": lambda m: [part.items() for part in m.walk()],
    "iter_parts": lambda m: list(m.iter_parts()),
    "iter_attachments": lambda m: list(m.iter_attachments()),
    "get_body": lambda m: m.get_body(),
    "get_content_type": lambda m: m.get_content_type(),
    "is_attachment": lambda m: [part.is_attachment() for part in m.walk()],
    "len": len,
}


def make(raw: bytes, envelope: Envelope = ENVELOPE) -> Message:
    return Message(raw, envelope, id="1A", received_at=datetime.now(UTC))


def exercise(message: Message) -> None:
    """Read all that there is to read; each property within the limit, parsing included."""
    begun = time.thread_time()
    len(message)
    parsing = time.thread_time() - begun
    for name, read in PROPERTIES.items():
        begun = time.thread_time()
        read(message)
        took = time.thread_time() - begun + parsing
        assert took < LIMIT, f"{name} took {took:.1f} s"
    for search in (message.link, message.code):
        begun = time.thread_time()
        try:
            found = search()
        except AssertionError as error:
            found = str(error)
        assert len(found) < 100_000
        assert time.thread_time() - begun + parsing < LIMIT
    message.problems()
    assert message
    assert all(type(part) is EmailMessage for part in message.walk() if part is not message)
    for header in message.values():
        str(header).encode("utf-8")
    if len(message.raw) < MEGABYTE:
        str(message)
        bytes(message)
        for twin in (
            copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))
        ):  # fmt: skip
            assert twin.raw == message.raw
            assert twin.subject == message.subject
            assert twin.text == message.text


SMALL = {
    "nothing": b"",
    "a line end": b"\r\n",
    "no header": b"\r\nhello\r\n",
    "no separator": b"hello\r\nworld\r\n",
    "only headers": b"Subject: x",
    "a NUL": b"Subject: a\0b\r\nTo: \0\r\n\r\n\0\r\n",
    "bare CR": b"Subject: a\rBcc: b@x\r\rtext\r",
    "bare LF": b"Subject: a\nTo: b@x\n\ntext\n",
    "a continuation first": b" x\r\nSubject: y\r\n\r\n",
    "no header name": b": x\r\nSubject: y\r\n\r\n",
    "unix from": b"From ann Mon\r\nSubject: y\r\n\r\n",
    "unix from within": b"Subject: y\r\nFrom ann Mon\r\nTo: x\r\n\r\n",
    "To: <": b"To: <\r\n\r\n",
    "To: <>": b"To: <>\r\nFrom: <>\r\n\r\n",
    "To: a@": b"To: a@\r\nFrom: @b\r\nCc: @\r\n\r\n",
    "To: quotes": b'To: "a\r\nCc: "\\\r\nFrom: "a" "b" <"c"@"d">\r\n\r\n',
    "To: comment": b"To: (a (b <c@d>\r\nCc: a) b (c\r\n\r\n",
    "To: group": b"To: g:;\r\nCc: g: a@x, h: b@x;\r\nFrom: :\r\n\r\n",
    "To: literal": b"To: a@[\r\nCc: a@[1.2.3.4\r\nFrom: a@[IPv6:::1]\r\n\r\n",
    "To: words": b"To: =?utf-8?q?a=40b?= <c@d>\r\nCc: =?utf-8?b?PGFAYj4=?=\r\n\r\n",
    "Message-ID": b"Message-ID: <a@[>\r\nIn-Reply-To: <\r\nReferences: <<<>\r\n\r\n",
    "Message-ID empty": b"Message-ID:\r\nDate:\r\nTo:\r\nSubject:\r\n\r\n",
    "Date": b"Date: 99 Foo 99999999999999999999 99:99:99 +9999\r\n\r\n",
    "Date long": b"Date: " + b"1" * 5000 + b" Jan 2020\r\n\r\n",
    "MIME-Version": b"MIME-Version: (a\r\nContent-Transfer-Encoding: =\r\n\r\n",
    "8 bit": b"Subject: \xff\xfe\r\nTo: \xe9 <\xe9@\xe9>\r\nX-\xe9: y\r\n\r\n\xff\r\n",
    "UTF-8": "Subject: ü\r\nTo: é <é@ü.example>\r\n\r\nü\r\n".encode(),
    "surrogates": b"Subject: =?utf-8?q?=ED=A0=80?= =?utf-16?q?=D8=00?=\r\n\r\n\xed\xa0\x80",
    "words": b"Subject: =?utf-8?b?!!!?= =?x?q?=?= =?utf-8?q?=F?= =?utf-8?x?a?=\r\n\r\n",
    "word in word": b"Subject: =?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=\r\n\r\n",
    "type": b"Content-Type: foo\r\n\r\n",
    "type empty": b"Content-Type:\r\nContent-Disposition:\r\n\r\n",
    "type slashes": b"Content-Type: a/b/c\r\n\r\n",
    "type params": b'Content-Type: text/plain; ; =; a; b="; c=\\\r\n\r\n',
    "2231 number": b"Content-Type: text/plain; name*" + b"9" * 5000 + b"=x\r\n\r\n",
    "2231 charset": b"Content-Type: text/plain; name*=idna'x'%FF; charset*=hex''utf-8\r\n\r\n",
    "2231 holes": b"Content-Disposition: attachment; filename*9=z; filename*1*=%\r\n\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n--\r\nhello\r\n",
    "empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\na\r\n----\r\n',
    "boundary unseen": b"Content-Type: multipart/mixed; boundary=b\r\n\r\nhello\r\n",
    "boundary only closes": b"Content-Type: multipart/mixed; boundary=b\r\n\r\nhello\r\n--b--\r\n",
    "boundary unclosed": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n",
    "boundary twice": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b--\r\n",
    "boundary regex": b'Content-Type: multipart/mixed; boundary="(*["\r\n\r\n--(*[\r\n\r\na\r\n',
    "boundary 8 bit": b'Content-Type: multipart/mixed; boundary="\xff"\r\n\r\n--\xff\r\n\r\na\r\n',
    "related broken": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: multipart/related\r\n\r\nx\r\n--b--\r\n"
    ),
    "related start": (
        b'Content-Type: multipart/related; boundary=b; start*0="<a"; start*1=">"\r\n\r\n'
        b"--b\r\nContent-ID: <a>\r\n\r\nx\r\n--b--\r\n"
    ),
    "rfc822 empty": b"Content-Type: message/rfc822\r\n\r\n",
    "rfc822 base64": (
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ=="
    ),
    "message partial": b"Content-Type: message/partial\r\n\r\nx: y\r\n",
    "message external": b"Content-Type: message/external-body\r\n\r\n\r\n",
    "delivery status": b"Content-Type: message/delivery-status\r\n\r\na: b\r\n\r\nc: d\r\n\r\n\r\n",
    "base64": b"Content-Transfer-Encoding: base64\r\n\r\n=\r\nYW=\r\n====YWJj\xff!\r\n",
    "base64 odd": b"Content-Transfer-Encoding: base64\r\n\r\nYWJjZ\r\n",
    "qp": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n=G\r\n=E=\xff==",
    "uuencode": b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n\xff\xff\r\nend\r\n",
    "uuencode no begin": b"Content-Transfer-Encoding: uuencode\r\n\r\n#0V%T\r\n",
    "html": b"Content-Type: text/html\r\n\r\n<a href=><a href='<!--<a b=\"<p",
    "html entities": (
        b"Content-Type: text/html\r\n\r\n&#" + b"9" * 5000 + b";&#x110000;&#xD800;&amp&;&\r\n"
    ),
    "html link": b'Content-Type: text/html\r\n\r\n<a href="&#xD800;http://[">x</a>http://[::1\r\n',
}
CHARSETS = [
    "rot13", "zip", "hex", "base64", "bz2", "uu", "quopri", "idna", "punycode", "undefined",
    "unicode_escape", "raw_unicode_escape", "mbcs", "oem", "charmap", "utf-7", "utf-16", "utf-32",
    "utf-8-sig", "us-ascii", "unknown-8bit", "nonsense", "a" * 5000, "..", "os", "a\\\0b", "'",
    "iso-2022-jp", "hz", "gb18030", "cp1252", "koi8-r", "utf_16_le", "UTF8", "binary", "x'y'z",
]  # fmt: skip


@pytest.mark.parametrize("raw", SMALL.values(), ids=SMALL.keys())
def test_malformed_mail_is_readable(raw: bytes) -> None:
    exercise(make(raw))


@pytest.mark.parametrize("charset", CHARSETS, ids=lambda charset: charset[:20])
def test_any_charset_is_readable(charset: str) -> None:
    word = f"=?{charset}?q?=FF\\d=41?=" if "\0" not in charset else ""
    raw = (
        f'Subject: {word}\r\nContent-Type: text/plain; charset="{charset}"; '
        f"name*={charset}'x'%FF\r\n\r\n".encode()
        + b"abc \\d \\N \xff\xfe\x00\xd8\r\n"
    )
    message = make(raw)
    exercise(message)
    assert message.text
    message.get_content()


def nested(levels: int) -> bytes:
    return b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n)
        for n in range(levels)
    )


def fill(head: bytes, unit: bytes, size: int = 0) -> bytes:
    return head + unit * (((size or MAIL) - len(head)) // len(unit))


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HTML = b"Content-Type: text/html\r\n\r\n"
LARGE = {
    "nested multiparts": lambda: nested(10_000),
    "nested multiparts closed": lambda: (
        nested(10_000) + b"".join(b"\r\n--%d--" % n for n in range(9_999, -1, -1))
    ),
    "one boundary nested": lambda: fill(b"", MIXED + b"--b\r\n"),
    "nested around much": lambda: fill(nested(100), b"--x\r\n"),
    "nested messages": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 100_000,
    "nested in messages": lambda: fill(
        b"",
        b"Content-Type: message/rfc822\r\n\r\n" + MIXED + b"--b\r\n",
        MEGABYTE,
    ),
    "a million parts": lambda: fill(MIXED, b"--b\r\n\r\nhello\r\n", 14 * MEGABYTE),
    "parts with headers": lambda: fill(
        MIXED, b"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-ID: <a>\r\n\r\na\r\n"
    ),
    "parts without content": lambda: fill(MIXED, b"--b\r\n"),
    "near boundaries": lambda: fill(MIXED + b"--b\r\n\r\n", b"--b-\r\n"),
    "boundary of dashes": lambda: fill(
        b'Content-Type: multipart/mixed; boundary="----"\r\n\r\n', b"-"
    ),
    "delivery status blocks": lambda: fill(
        b"Content-Type: message/delivery-status\r\n\r\n", b"a: b\r\n\r\n"
    ),
    "blank delivery status": lambda: fill(
        b"Content-Type: message/delivery-status\r\n\r\n", b"\r\n"
    ),
    "parts of long types": lambda: fill(
        MIXED, b"--b\r\nContent-Type: text/plain" + b"; a=b" * 10_000 + b"\r\n\r\na\r\n"
    ),
    "a million headers": lambda: (
        b"".join(b"X-%d: y\r\n" % n for n in range(1_000_000)) + b"Subject: z\r\n\r\nhello\r\n"
    ),
    "a million To": lambda: b"To: a@b\r\n" * 1_000_000,
    "many costly headers": lambda: fill(b"", b"To: " + b'"' * 30_000 + b"\r\n"),
    "short lines": lambda: fill(b"", b"\r\n"),
    "continuations": lambda: fill(b"Subject: a\r\n", b" \r\n"),
    "stray continuations": lambda: fill(b"", b" \r\n"),
    "unix froms": lambda: fill(b"", b"From \r\n"),
    "endless subject": lambda: fill(b"Subject: ", b"a "),
    "endless name": lambda: fill(b"", b"a"),
    "1 MB subject": lambda: fill(b"Subject: ", b"=?utf-8?q?=C3=A9_b?= ", MEGABYTE) + b"\r\n\r\nx",
    "1 MB type": lambda: fill(b'Content-Type: a/b; x="', b";", MEGABYTE) + b"\r\n\r\nx",
    "1 MB filename": lambda: (
        b"Content-Disposition: attachment"
        + b"".join(b";\r\n filename*%d*=%%41" % n for n in range(50_000))
        + b"\r\n\r\nx"
    ),
    "64 KB filename": lambda: (
        b"Content-Disposition: attachment"
        + b"".join(b"; filename*%d*=%%41" % n for n in range(3_000))
        + b"\r\n\r\nx"
    ),
    "html unclosed tags": lambda: fill(HTML, b"<a href=x><b>"),
    "html open angles": lambda: fill(HTML, b"<"),
    "html open tags": lambda: fill(HTML, b"<a "),
    "html open comments": lambda: fill(HTML, b"<!--"),
    "html declarations": lambda: fill(HTML, b"<![a"),
    "html open quotes": lambda: fill(HTML, b"<a b=\"'"),
    "html attributes": lambda: fill(HTML + b"<a ", b"a "),
    "html equal signs": lambda: fill(HTML + b"<a ", b"a= "),
    "html scripts": lambda: fill(HTML, b"<script>"),
    "html entities": lambda: fill(HTML, b"&a"),
    "html entities in tags": lambda: fill(HTML, b"<a href=&#>&"),
    "html blank tags": lambda: fill(HTML + b"<a", b" ") + b">",
    "html slash tags": lambda: fill(HTML + b"<a href=x", b" /") + b">",
    "html spaces": lambda: fill(HTML, b" <b>"),
    "html breaks": lambda: fill(HTML, b"<br> "),
    "html links": lambda: fill(HTML, b"<a href=x%s>x</a>", 8 * MEGABYTE),
    "emphasised urls": lambda: fill(b"\r\n", b"*_~http://a*_~ "),
    "codes": lambda: fill(b"\r\n", b"1234 "),
    "digits": lambda: fill(b"\r\n", b"1"),
    "urls": lambda: fill(b"\r\n", b"http://a "),
    "url of brackets": lambda: fill(b"\r\nhttp://a", b")"),
    "url starts": lambda: fill(b"\r\n", b"http:/"),
    "broken base64": lambda: fill(b"Content-Transfer-Encoding: base64\r\n\r\n", b"=A!\r\n"),
    "broken qp": lambda: fill(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n", b"=\r\n=G"),
    "uuencode": lambda: fill(
        b"Content-Transfer-Encoding: uuencode\r\n\r\nbegin 644 a\r\n", b"!\r\n"
    ),
    "8 bit": lambda: fill(b"\r\n", b"\xff"),
    "many undecodable parts": lambda: fill(MIXED, b"--b\r\n\r\n\xff\r\n"),
    "words of many charsets": lambda: (
        b"".join(
            b"Subject: " + b" ".join(b"=?x%d-%d?q?=E9?=" % (n, m) for m in range(3_000)) + b"\r\n"
            for n in range(5)
        )
    ),
}  # fmt: skip
for _charset in ("cp1252", "utf-16", "utf-32", "utf-7", "shift_jis", "idna", "punycode", "ascii",
                 "gb2312", "x-sjis", "ks_c_5601-1987", "tis-620", "x-foo"):  # fmt: skip
    LARGE[f"all wrong in {_charset}"] = lambda charset=_charset: fill(
        f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode(), b"\x81\xdc+"
    )
for _header in ("Subject", "To", "Sender", "Message-ID", "Date", "Content-Type", "MIME-Version",
                "Content-Disposition", "Content-Transfer-Encoding", "X"):  # fmt: skip
    for _unit in ('"', "(", "<", "a,", "a ", "@", "[", "=?a?b?c", "a=?utf-8?q?b?=", "=?", ";a=b",
                  ";a*=b", "\\", "a:", "(a", "<a@b>", '<"'):  # fmt: skip
        LARGE[f"{_header}: {_unit}"] = lambda header=_header, unit=_unit: (
            fill(f"{header}: a".encode(), unit.encode(), 65_000) + b"\r\n\r\nhello\r\n"
        )


for _unit in ("),", "a,", "<a@b>,", '"a" ', "=?utf-8?q?a?= "):
    LARGE[f"many headers of {_unit}"] = lambda unit=_unit: (
        (fill(b"To: ", unit.encode(), 65_000) + b"\r\n") * (40 // SHARE) + b"\r\nhello\r\n"
    )


@pytest.mark.parametrize("make_raw", LARGE.values(), ids=LARGE.keys())
def test_large_mail_is_readable_in_time(make_raw) -> None:
    exercise(make(make_raw()))


TOKENS = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"--b", b"--b--", b"--c", b"--c--", b"a", b"\xff",
    b"\xc3\xa9", b"\0", b'"', b"(", b")", b"<", b">", b"@", b",", b";", b":", b"=", b"*",
    b"=?utf-8?q?", b"?=", b"Subject: ", b"To: ", b"From: ", b"Cc: ", b"Date: ", b"Message-ID: ",
    b"References: ",
    b"Content-Type: ", b"text/html", b"multipart/mixed; boundary=b\r\n", b"multipart/related",
    b"; boundary=c\r\n", b"message/rfc822\r\n\r\n", b"message/delivery-status\r\n\r\n", b"charset=",
    b"Content-Disposition: attachment", b"filename*0*=", b"utf-8''%FF", b"Content-ID: <a>\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"MIME-Version: ", b"<a href=", b"<!--", b"&#",
    b"123456",
]  # fmt: skip
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(st.binary(max_size=400))
def test_random_octets_are_readable(raw: bytes) -> None:
    exercise(make(raw))


@FEW
@given(st.lists(st.sampled_from(TOKENS), max_size=40))
def test_random_pieces_of_mail_are_readable(pieces: list[bytes]) -> None:
    exercise(make(b"".join(pieces)))


@FEW
@given(
    st.sampled_from(
        ["Subject", "To", "From", "Sender", "Date", "Message-ID", "Content-Type",
         "Content-Disposition", "Content-Transfer-Encoding", "MIME-Version", "Content-ID", "X-Any"]
    ),
    st.text(max_size=60) | st.text(alphabet='a1 "()<>@,;:.[]=?*%\\\'\t', max_size=60),
)  # fmt: skip
def test_random_header_values_are_readable(name: str, value: str) -> None:
    raw = f"{name}: {value}\r\n\r\nhello\r\n".encode("utf-8", "surrogatepass")
    exercise(make(raw))


def test_random_damage_is_readable() -> None:
    part = EmailMessage()
    part["Subject"] = "Grüße"
    part["To"] = "Ann <ann@example.com>, team: bob@example.com;"
    part.set_content("hello ü\n")
    part.add_alternative("<p>hello <a href='https://example.com'>x</a>", subtype="html")
    part.add_attachment(b"\x00\x01", maintype="image", subtype="png", filename="ü.png")
    whole = part.as_bytes()
    dice = random.Random(1)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(dice.randrange(1, 20)):
            at = dice.randrange(len(damaged))
            damaged[at : at + dice.randrange(3)] = dice.choice(TOKENS)
        exercise(make(bytes(damaged)))
