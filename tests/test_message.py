"""What a test reads from a received message: docs/mailbox.md."""

from __future__ import annotations

import copy
import hashlib
import pickle
import re
import string
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import make_msgid
from pathlib import Path

import pytest

from pytest_smtpd.message.message import Attachment, Envelope, Message

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def make(
    raw: bytes | EmailMessage,
    *,
    sender: str = "shop@example.com",
    recipients: Iterable[str] = ("ann@example.com",),
    session: object = None,
) -> Message:
    if isinstance(raw, EmailMessage):
        raw = raw.as_bytes(policy=policy.SMTP)
    envelope = Envelope(sender, tuple(recipients))
    return Message(raw, envelope, id="K3F9", received_at=NOW, session=session)  # type: ignore[arg-type]


def order() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Shop <shop@example.com>"
    mail["To"] = "Ann <ann@example.com>"
    mail["Subject"] = "Grüße: your order"
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = make_msgid(domain="shop.example")
    mail.set_content("Your code is 123456.\nSee https://example.com/a.\n")
    mail.add_alternative(
        '<p>Your code is <b>123</b>456.\n<a href="https://example.com/b?x=1&amp;y=2">Pay\n now</a>'
        '<img src="cid:logo@shop">',
        subtype="html",
    )
    html = mail.get_payload()[1]  # type: ignore[index]
    html.add_related(b"\x89PNG", maintype="image", subtype="png", cid="<logo@shop>")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="für Dich €.pdf")
    return mail


class TestAsAnEmailMessage:
    def test_is_one(self) -> None:
        message = make(order())
        assert isinstance(message, EmailMessage)
        assert message["To"] == "Ann <ann@example.com>"
        assert message["to"].addresses[0].username == "ann"
        assert message["Nothing"] is None
        assert "Subject" in message
        assert message.get_content_type() == "multipart/mixed"
        body = message.get_body()
        assert body is not None
        assert body.get_content_type() == "multipart/related"

    def test_parts_are_plain(self) -> None:
        parts = list(make(order()).walk())[1:]
        assert len(parts) == 6
        assert {type(part) for part in parts} == {EmailMessage}

    def test_reads_as_the_standard_library_does(self) -> None:
        raw = order().as_bytes(policy=policy.SMTP)
        ours, theirs = make(raw), BytesParser(policy=policy.default).parsebytes(raw)
        for mine, other in zip(ours.walk(), theirs.walk(), strict=True):
            assert mine.items() == other.items()
            assert mine.get_payload() == other.get_payload() or mine.is_multipart()
            assert (mine.preamble, mine.epilogue) == (other.preamble, other.epilogue)
            assert mine.defects == other.defects == []

    def test_is_always_true(self) -> None:
        assert make(b"")
        assert len(make(b"")) == 0

    def test_equality_is_identity(self) -> None:
        one, other = make(b"a: b\r\n\r\n"), make(b"a: b\r\n\r\n")
        assert one != other
        assert len({one, other}) == 2

    def test_unknown_attribute(self) -> None:
        with pytest.raises(AttributeError, match="'Message' object has no attribute 'sbuject'"):
            make(b"").sbuject  # type: ignore[attr-defined]  # noqa: B018

    def test_is_not_parsed_before_it_is_read(self) -> None:
        message = make(order())
        assert (message.sender, message.recipients) == ("shop@example.com", ("ann@example.com",))
        assert message.id == "K3F9"
        assert set(vars(message)) == {"raw", "envelope", "id", "received_at", "session"}

    def test_can_be_changed(self) -> None:
        message = make(order())
        raw = message.raw
        del message["Subject"]
        message["Subject"] = "another"
        assert message.subject == "another"
        assert message.raw == raw

    def test_threads_read_the_same(self) -> None:
        message = make(order())
        start = threading.Barrier(8)
        seen: list[tuple[object, ...]] = []

        def read() -> None:
            start.wait()
            seen.append((message.get_payload(), message.items(), message.text, message.defects))

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 8
        assert all(one == seen[0] for one in seen)

    @pytest.mark.parametrize("parsed", [False, True])
    @pytest.mark.parametrize(
        "duplicate",
        [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
        ids=["copy", "deepcopy", "pickle"],
    )
    @pytest.mark.parametrize("raw", [order().as_bytes(), b"To: <\r\nMessage-ID: <a@[>\r\n\r\n\xff"])
    def test_copies(self, duplicate, parsed: bool, raw: bytes) -> None:
        message = make(raw, session=threading.Lock())
        if parsed:
            assert message.items()
            assert message.defects is not None
        twin = duplicate(message)
        assert type(twin) is Message
        assert twin.session is None
        assert message.session is not None
        assert (twin.raw, twin.envelope, twin.id) == (message.raw, message.envelope, message.id)
        assert twin.received_at == NOW
        assert twin.items() == message.items()
        assert twin.text == message.text
        del twin["To"]
        assert "To" in message

    def test_a_part_can_be_copied(self) -> None:
        part = make(order()).get_body(("plain",))
        assert copy.deepcopy(part).get_content() == part.get_content()

    def test_repr(self) -> None:
        message = make(order(), recipients=["a@x", "b@x", "c@x", "d@x", "e@x"])
        assert repr(message) == (
            "<Message K3F9 shop@example.com -> a@x, b@x, c@x and 2 more 'Grüße: your order'>"
        )
        assert repr(make(b"", sender="")) == "<Message K3F9 <> -> ann@example.com ''>"

    def test_repr_is_one_short_printable_line(self) -> None:
        raw = b"Subject: =?utf-8?q?=0A=1B[31m?= " + b"x" * 9999 + b"\r\n\r\n"
        shown = repr(make(raw, recipients=["\x1b@" + "y" * 9999]))
        assert shown.isprintable()
        assert len(shown) < 450

    def test_repr_escapes_once(self) -> None:
        shown = repr(make(b"Subject: =?utf-8?q?a=1Bb?=\r\n\r\n"))
        assert shown == r"<Message K3F9 shop@example.com -> ann@example.com 'a\x1bb'>"

    def test_writes_what_was_sent(self) -> None:
        raw = order().as_bytes(policy=policy.SMTP)
        assert make(raw).as_bytes(policy=policy.SMTP.clone(refold_source="none")) == raw
        assert make(raw).as_bytes() == raw.replace(b"\r\n", b"\n")


class TestEnvelope:
    def test_sender_recipients_subject(self) -> None:
        message = make(order(), recipients=["a@x", "b@x"])
        assert message.sender == "shop@example.com"
        assert message.recipients == ["a@x", "b@x"]
        assert message.recipients == ("a@x", "b@x")
        assert message.recipients != ["a@x"]
        assert message.subject == "Grüße: your order"
        assert type(message.subject) is str
        assert make(b"\r\n").subject == ""

    def test_is_frozen_and_pickled(self) -> None:
        envelope = Envelope(
            "a@x", ("b@x",), {"SIZE": "9", "SMTPUTF8": None}, ({"NOTIFY": "NEVER"},)
        )
        assert pickle.loads(pickle.dumps(envelope)) == envelope
        with pytest.raises(AttributeError):
            envelope.mail_from = "c@x"  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("headers", "hidden"),
        [
            ("To: ann@example.com\r\nCc: Bob <bob@example.com>", []),
            ("To: ann@example.com", ["bob@example.com"]),
            ("Bcc: ann@example.com, bob@example.com", ["ann@example.com", "bob@example.com"]),
            ("From: ann@example.com", ["ann@example.com", "bob@example.com"]),
            ("To: ANN@EXAMPLE.COM, Bob@Example.com", []),
            ('To: "ann"@example.com, "Bob, the <bob>" <bob@example.com>', []),
            ("To: team: ann@example.com, Bob <bob@example.com>;", []),
            ("To: undisclosed-recipients:;", ["ann@example.com", "bob@example.com"]),
            ("Resent-To: ann@example.com\r\nResent-Cc: bob@example.com", []),
            ("To: ann@example.com\r\nTo: bob@example.com", []),
            ("To: (bob@example.com) ann@example.com (Ann)", ["bob@example.com"]),
            ('To: "bob@example.com" <ann@example.com>', ["bob@example.com"]),
            ("To: <@relay.example:ann@example.com>,\r\n\tbob@example.com", []),
            ("To: =?utf-8?q?A=2C_B?= <ann@example.com>, bob@example.com", []),
            ("To: <ann@example.com, <bob@example.com>", []),
            ("To: " + ", ".join(f"x{n}@example.com" for n in range(9000)) + ", ann@example.com",
             ["bob@example.com"]),
        ],
    )  # fmt: skip
    def test_bcc(self, headers: str, hidden: list[str]) -> None:
        raw = f"{headers}\r\n\r\nhello\r\n".encode()
        assert make(raw, recipients=["ann@example.com", "bob@example.com"]).bcc == hidden

    def test_bcc_of_international_addresses(self) -> None:
        raw = "To: jörg@bücher.example, ann@[IPv6:::1]\r\n\r\n".encode()
        message = make(raw, recipients=["jörg@xn--bcher-kva.example", "ann@[IPv6:::1]", "x@y"])
        assert message.bcc == ["x@y"]


class TestBodies:
    def test_plain(self) -> None:
        message = make(b"Subject: x\r\n\r\nhello\r\nworld\r\n")
        assert message.text == "hello\nworld\n"
        assert message.html is None
        assert message.attachments == []

    def test_html(self) -> None:
        message = make(b"Content-Type: text/html\r\n\r\n<p>\r\n")
        assert message.text is None
        assert message.html == "<p>\n"

    def test_nothing(self) -> None:
        assert make(b"").text == ""
        message = make(b"Content-Type: image/png\r\n\r\n\x89PNG")
        assert (message.text, message.html) == (None, None)
        assert [part.content for part in message.attachments] == [b"\x89PNG"]

    def test_alternatives(self) -> None:
        message = make(order())
        assert message.text == "Your code is 123456.\nSee https://example.com/a.\n"
        assert message.html is not None
        assert message.html.startswith("<p>Your code")

    def test_an_attached_text_is_no_body(self) -> None:
        mail = EmailMessage()
        mail.set_content(b"\0", maintype="application", subtype="x")
        mail.add_attachment("a,b\n", subtype="plain", filename="a.txt")
        message = make(mail)
        assert message.text is None
        assert [one.filename for one in message.attachments] == [None, "a.txt"]

    @pytest.mark.parametrize("encoding", ["7bit", "8bit", "base64", "quoted-printable"])
    def test_line_ends_and_encodings(self, encoding: str) -> None:
        mail = EmailMessage()
        text = "naïve\nline\n" if encoding != "7bit" else "plain\nline\n"
        mail.set_content(text, cte=encoding)
        assert make(mail).text == text

    @pytest.mark.parametrize(
        ("charset", "octets", "text"),
        [
            ("utf-8", b"caf\xc3\xa9", "café"),
            ("iso-8859-1", b"caf\xe9", "café"),
            ("windows-1252", b"\x80 \x81", "€ \x81"),
            ("us-ascii", b"caf\xe9", "caf\ufffd"),
            ("utf-8", b"caf\xe9", "caf\ufffd"),
            ("nonsense", b"caf\xe9", "caf\ufffd"),
            ("rot13", b"abc", "abc"),
            ("hex", b"6162", "6162"),
            ("idna", b"xn--bcher-kva", "xn--bcher-kva"),
            ("iso-2022-jp", b"\x1b$B$\"\x1b(B", "あ"),
            ("utf-16", b"\xff\xfea\0\0\xd8b\0", "a\ufffdb"),
        ],
    )  # fmt: skip
    def test_charsets(self, charset: str, octets: bytes, text: str) -> None:
        raw = b'Content-Type: text/plain; charset="%s"\r\n\r\n%s' % (charset.encode(), octets)
        assert make(raw).text == text
        assert make(raw).get_content() == text

    @pytest.mark.parametrize(
        ("charset", "octets", "text"),
        [
            ("GB2312", "朱镕基 €".encode("gb18030"), "朱镕基 €"),
            ("gb2312", b"\xa1\xaa", "—"),
            ("Shift_JIS", "①髙".encode("cp932"), "①髙"),
            ("shift_jis", b"\x81\x60", "～"),
            ("x-sjis", "①".encode("cp932"), "①"),
            ("windows-874", b"\x80\xb7", "€ท"),
            ("TIS-620", b"\xa0\xb7", "\xa0ท"),
            ("iso-8859-8-i", b"\xf9\xec\xe5\xed", "שלום"),
            ("ks_c_5601-1987", "똠방".encode("cp949"), "똠방"),
            ("EUC-KR", "똠방".encode("cp949"), "똠방"),
            ("iso-8859-1", b"\x80\xe9", "€é"),
            ("gb2312", b"\xd6\xec\xff", "朱\ufffd"),
        ],
    )
    def test_charsets_are_what_mail_clients_take_them_for(
        self, charset: str, octets: bytes, text: str
    ) -> None:
        raw = b"Content-Type: text/plain; charset=%s\r\n\r\n%s" % (charset.encode(), octets)
        word = b"Subject: =?%s?q?%s?=\r\n" % (
            charset.encode(),
            b"".join(b"=%02X" % o for o in octets),
        )
        message = make(word + raw)
        assert (message.text, message.get_content(), message.subject) == (text, text, text)
        whole = "\ufffd" not in text
        assert (message.defects == []) is whole
        assert (message["Subject"].defects == ()) is whole

    def test_no_charset_is_read_as_utf8(self) -> None:
        assert make("\r\nü".encode()).text == "ü"
        assert make(b"\r\n\xff").text == "\ufffd"

    def test_the_text_of_a_multipart_without_parts(self) -> None:
        message = make(b"Content-Type: multipart/mixed\r\n\r\nhello\r\n")
        assert message.text == "hello\n"
        assert [type(one).__name__ for one in message.defects] == [
            "NoBoundaryInMultipartDefect",
            "MultipartInvariantViolationDefect",
        ]


class TestAttachments:
    def test_in_order(self) -> None:
        image, pdf = make(order()).attachments
        assert image == Attachment(None, "image/png", b"\x89PNG", "logo@shop", True)
        assert pdf == Attachment("für Dich €.pdf", "application/pdf", b"%PDF", None, False)

    def test_repr_shows_no_content(self) -> None:
        shown = repr(make(order()).attachments)
        assert "<Attachment 'für Dich €.pdf' application/pdf, 4 octets>" in shown
        assert "<Attachment None image/png, 4 octets, inline>" in shown

    def test_an_attached_message_is_its_octets(self) -> None:
        inner = b"Subject:  in\r\nX:\tfolded\r\n  twice\r\n\r\n--x\r\nbody \r\n"
        raw = (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
            b"Content-Type: message/rfc822; name=m.eml\r\nContent-Disposition: attachment\r\n\r\n"
            + inner
            + b"\r\n--b--\r\n"
        )
        message = make(raw)
        assert message.text == "hello"
        assert message.attachments == [Attachment("m.eml", "message/rfc822", inner)]
        assert copy.deepcopy(message).attachments == message.attachments

    @pytest.mark.parametrize(
        ("header", "filename"),
        [
            ("Content-Disposition: attachment", None),
            ("Content-Disposition: attachment; filename=a.txt", "a.txt"),
            ("Content-Disposition: attachment; FileName=a b.txt", "a b.txt"),
            ('Content-Disposition: attachment; filename="a \\"b\\".txt"', 'a "b".txt'),
            ('Content-Disposition: attachment; filename="a;b.txt"; x=y', "a;b.txt"),
            ("Content-Disposition: attachment; filename=a(1).txt", "a(1).txt"),
            ("Content-Disposition: attachment; filename*=utf-8''%e2%82%ac.txt", "€.txt"),
            ("Content-Disposition: attachment; filename*=iso-8859-1'en'%e9", "é"),
            (
                "Content-Disposition: attachment; filename=e.txt; filename*=utf-8''%c3%a9.txt",
                "é.txt",
            ),
            ("Content-Disposition: attachment; filename*0=a; filename*1=b.txt", "ab.txt"),
            ("Content-Disposition: attachment; filename*1*=%bc; filename*0*=utf-8''%c3", "ü"),
            ('Content-Disposition: attachment; filename="=?utf-8?b?w7w=?="', "ü"),
            ('Content-Disposition: attachment; filename="ü.txt"', "ü.txt"),
            ("Content-Type: x/y; name=a.txt\r\nContent-Disposition: attachment", "a.txt"),
            ("Content-Disposition: attachment; filename*=nonsense''%e9", "\ufffd"),
            ("Content-Disposition: attachment; filename=../../etc/passwd", "../../etc/passwd"),
        ],
    )
    def test_filename(self, header: str, filename: str | None) -> None:
        (attachment,) = make(f"{header}\r\n\r\nx".encode()).attachments
        assert attachment.filename == filename

    @pytest.mark.parametrize(
        ("encoding", "content"),
        [
            ("base64", b"aGVs\r\nbG8=\r\n"),
            ("BASE64", b"aGVsbG8"),
            ("base64", b"a!G*Vs bG8="),
            ("quoted-printable", b"=68el=\r\nlo"),
            ("binary", b"hello"),
            ("nonsense", b"hello"),
        ],
    )
    def test_content(self, encoding: str, content: bytes) -> None:
        raw = f"Content-Type: a/b\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        assert [one.content for one in make(raw + content).attachments] == [b"hello"]

    def test_inline(self) -> None:
        raw = (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            b"--b\r\nContent-Type: a/b\r\nContent-Disposition: inline; filename=a\r\n\r\n\r\n"
            b"--b\r\nContent-Type: a/b\r\nContent-Disposition: attachment\r\nContent-ID: <c>\r\n"
            b"\r\n\r\n"
            b"--b\r\nContent-Type: a/b\r\nContent-ID: <d>\r\n\r\n\r\n"
            b"--b\r\nContent-Type: a/b\r\n\r\n\r\n--b--\r\n"
        )
        assert [one.inline for one in make(raw).attachments] == [True, False, True, False]

    def test_a_third_alternative_is_one(self) -> None:
        mail = EmailMessage()
        mail.set_content("a\n")
        mail.add_alternative("<html amp4email>", subtype="x-amp-html")
        mail.add_alternative("<p>", subtype="html")
        message = make(mail)
        assert [one.content_type for one in message.attachments] == ["text/x-amp-html"]
        assert (message.text, message.html) == ("a\n", "<p>\n")

    def test_of_a_bounce(self) -> None:
        status = b"Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@x\r\nAction: failed\r\n"
        raw = (
            b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nfailed\r\n"
            b"--b\r\nContent-Type: message/delivery-status\r\n\r\n" + status + b"\r\n--b--\r\n"
        )
        message = make(raw)
        assert [one.content for one in message.attachments] == [status]
        fields = message.get_payload()[1].get_payload()  # type: ignore[index, union-attr]
        assert [block.items()[-1][0] for block in fields] == ["Reporting-MTA", "Action"]


def html(source: str) -> Message:
    return make(f"Subject: s\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{source}".encode())


def text(source: str) -> Message:
    return make(f"Subject: s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{source}".encode())


class TestLinks:
    def test_of_both_bodies(self) -> None:
        assert make(order()).links == ["https://example.com/b?x=1&y=2", "https://example.com/a"]

    @pytest.mark.parametrize(
        ("source", "links"),
        [
            ("none", []),
            ("see http://a.example.", ["http://a.example"]),
            ("(see https://a.example/x_(y))", ["https://a.example/x_(y)"]),
            ("<https://a.example/>", ["https://a.example/"]),
            ("[1]: HTTPS://A.example/?q=1,2;", ["HTTPS://A.example/?q=1,2"]),
            (
                '"https://a.example/x", \u201chttps://b.example\u201d',
                ["https://a.example/x", "https://b.example"],
            ),
            ("*https://a.example/x*!?", ["https://a.example/x"]),
            (
                "_https://a.example/x_ or **_https://b.example/_**.",
                ["https://a.example/x", "https://b.example/"],
            ),
            ("~~(https://a.example/x)~~", ["https://a.example/x"]),
            ("**Click here: https://a.example/x**.", ["https://a.example/x"]),
            ("*Now* or _see https://a.example/x_", ["https://a.example/x"]),
            (
                "*Now* https://a.example/tok_ * https://b.example/~me~*",
                ["https://a.example/tok_", "https://b.example/~me~*"],
            ),
            (
                "https://a.example/tok_, *https://b.example/~me~*",
                ["https://a.example/tok_", "https://b.example/~me~"],
            ),
            (
                "[https://a.example/x](https://b.example/)",
                ["https://a.example/x", "https://b.example/"],
            ),
            ("| https://a.example/?a[]=1|", ["https://a.example/?a[]=1"]),
            (
                "<https://a.example/x.> <https://b.example/)>",
                ["https://a.example/x.", "https://b.example/)"],
            ),
            ("詳細はhttps://a.example/x です", ["https://a.example/x"]),
            ("點擊https://a.example/x，謝謝", ["https://a.example/x"]),
            (
                "（https://a.example/x）「https://b.example/」。",
                ["https://a.example/x", "https://b.example/"],
            ),
            (
                "https://a.example/x\u200b\u2014\u2018https://b.example/\u2019",
                ["https://a.example/x", "https://b.example/"],
            ),
            (
                "اضغط https://a.example/x\u060c أو https://b.example/y\u061f",
                ["https://a.example/x", "https://b.example/y"],
            ),
            ("देखें https://a.example/x\u0964", ["https://a.example/x"]),
            (
                "\uff1chttps://a.example/x\uff1e\uff3bhttps://b.example/y\uff3dhttps://c.example/\uff61",
                ["https://a.example/x", "https://b.example/y", "https://c.example/"],
            ),
            (
                "\u2039https://a.example/\u00fc\u203ahttps://b.example/",
                ["https://a.example/\u00fc", "https://b.example/"],
            ),
            ("https://a.example/x/\r\nhttps://a.example/x/", ["https://a.example/x/"]),
            ("http://[::1]:80/ http://", ["http://[::1]:80/"]),
            ("https://ü.example/ä#fragment", ["https://ü.example/ä#fragment"]),
            ("xhttp://a.example mailto:a@b ftp://c", []),
        ],
    )
    def test_in_text(self, source: str, links: list[str]) -> None:
        assert text(source).links == links

    @pytest.mark.parametrize(
        ("source", "links"),
        [
            ('<a href="http://a">x</a>', ["http://a"]),
            ("<A HREF = 'http://a' >x</A>", ["http://a"]),
            ("<a class=x href=http://a?b&amp;c>x</a>", ["http://a?b&c"]),
            ('<a title="a > b" href="http://a">', ["http://a"]),
            ('<a href=" http://a\r\n ">', ["http://a"]),
            ('<a href="http://a?\r\n\t\tb=1">', ["http://a?b=1"]),
            (
                '<a href="http://a?b&section=2&copy=3&lt4&amp=5&#38;c&#x26;d&lt;&gt">x</a>',
                ["http://a?b&section=2&copy=3&lt4&amp=5&c&d<>"],
            ),
            (
                '<a href="mailto:a@b"><a href="app://x"><area href="/y">',
                ["mailto:a@b", "app://x", "/y"],
            ),
            ('<a href="#top"></a><a href=""></a><a></a><a href="javascript:x">', []),
            ('<link href="http://a.css"><img src="http://b">', []),
            ('<!-- <a href="http://a"> --><a href="http://b">', ["http://b"]),
            ('<!-- <a href="http://a"> --!><a href="http://b">', ["http://b"]),
            ('<script>"<a href=http://a>"</SCRIPT ><a href="http://b">', ["http://b"]),
            ('<style>/* <a href=http://a> */</style><a href="http://b">', ["http://b"]),
            ('<a href="http://a">http://other</a> or http://b.', ["http://a", "http://b"]),
            ('<a href="http://a">x<a href="http://b">y', ["http://a", "http://b"]),
            ('1 < 2 <3 <> </> <?x?> <!x> <a href="http://a">', ["http://a"]),
            ('<a href="http://a', []),
        ],
    )
    def test_in_html(self, source: str, links: list[str]) -> None:
        assert html(source).links == links

    @pytest.mark.parametrize("last", [*string.ascii_letters, *string.digits, *"-_~=/$&+@%#"])
    def test_with_a_token_that_ends_in_any_character(self, last: str) -> None:
        url = f"https://a.example/confirm/iDQds8NL{last}"
        assert text(f"Open {url}\r\nor {url}. Or ({url}), <{url}>").links == [url]

    @pytest.mark.parametrize(
        ("parameters", "found"),
        [
            ("; format=flowed; delsp=yes", "https://x.example/reset/abcdef"),
            ("; Format=Flowed; DelSp=YES", "https://x.example/reset/abcdef"),
            ("; format=flowed", "https://x.example/reset/"),
            ("; delsp=yes", "https://x.example/reset/"),
            ("", "https://x.example/reset/"),
        ],
    )
    def test_that_a_flowed_text_breaks(self, parameters: str, found: str) -> None:
        body = "See https://x.example/reset/ \r\nabc \r\n def\r\n-- \r\nShop\r\n"
        message = make(f"Content-Type: text/plain{parameters}\r\n\r\n{body}".encode())
        assert message.links == [found]
        assert message.link("reset") == found
        assert message.text == body.replace("\r\n", "\n")

    def test_behind_what_ends_a_flowed_text(self) -> None:
        parameters = "; format=flowed; delsp=yes; charset=utf-8"
        body = "See https://x.example/s \n-- \nhttps://x.example/a\n"
        body += "> https://x.example/b \n> c\nhttps://x.example/d \n> e"
        message = make(f"Content-Type: text/plain{parameters}\r\n\r\n{body}".encode())
        assert message.links == [f"https://x.example/{last}" for last in "sabd"]

    def test_the_only_one(self) -> None:
        assert text("go to https://a.example/x").link() == "https://a.example/x"
        page = html(
            '<a href="http://a/1">Reset <b>your</b>\r\n password</a><a href="http://a/2">x</a>'
        )
        assert page.link("/1") == "http://a/1"
        assert page.link(contains="/2") == "http://a/2"
        assert page.link(text="Reset your password") == "http://a/1"
        assert page.link("http", text="x") == "http://a/2"

    def test_the_alternative_text_of_an_image(self) -> None:
        assert (
            html('<a href="http://a"><img alt="Go &amp; see"></a>').link(text="Go & see")
            == "http://a"
        )

    def test_one_url_with_two_texts(self) -> None:
        page = html('<a href="http://a">Logo</a><a href="http://a">Pay</a>')
        assert page.links == ["http://a"]
        assert page.link(text="Pay") == page.link(text="Logo") == "http://a"

    def test_none_fits(self) -> None:
        with pytest.raises(AssertionError) as error:
            html('<a href="http://a">Pay</a>').link("/reset", text="Reset")
        assert str(error.value) == (
            "no link whose URL contains '/reset' and text contains 'Reset' in "
            "<Message K3F9 shop@example.com -> ann@example.com 's'>; its links are:\n"
            "  http://a  ('Pay')"
        )

    def test_no_link_at_all(self) -> None:
        with pytest.raises(AssertionError, match=r"^no link in <Message K3F9[^\n]*>$"):
            text("hello").link()

    def test_several_fit(self) -> None:
        with pytest.raises(AssertionError) as error:
            text("".join(f"http://a/{n} " for n in range(30))).link("a/")
        lines = str(error.value).splitlines()
        assert lines[0].startswith(
            "30 links instead of one link whose URL contains 'a/' in <Message"
        )
        assert lines[1] == "  http://a/0"
        assert lines[-1] == "  ... and 10 more"

    def test_the_traceback_ends_at_the_test(self) -> None:
        with pytest.raises(AssertionError) as error:
            text("hello").link()
        shown = error.traceback.filter(error)
        assert shown[-1].name == "test_the_traceback_ends_at_the_test"


class TestCode:
    @pytest.mark.parametrize(
        ("source", "code"),
        [
            ("Your code: 1234", "1234"),
            ("12345678 and again 12345678.", "12345678"),
            ("123 123456789 4567", "4567"),
            ("您的验证码482910，五分钟内有效。", "482910"),
            ("認証コードは482910です", "482910"),
            ("A1234 5678b 4321", "4321"),
        ],
    )
    def test_in_text(self, source: str, code: str) -> None:
        assert text(source).code() == code

    def test_in_html_as_text(self) -> None:
        assert html(
            '<style>.x1{color:#123456}</style><b>12</b><i>34</i>&nbsp;<a href="?9999">'
        ).code() == ("1234")
        assert html("<td>1</td><td>2345</td>").code() == "2345"

    def test_text_comes_before_html(self) -> None:
        mail = EmailMessage()
        mail.set_content("code 1111\n")
        mail.add_alternative("code 2222", subtype="html")
        assert make(mail).code() == "1111"
        assert make(mail).code("2+") == "2222"

    def test_pattern(self) -> None:
        assert text("PIN AB-99 of 1234").code(r"[A-Z]{2}-\d\d") == "AB-99"
        assert text("PIN: 77 of 1234").code(r"PIN: (\d+)") == "77"
        assert text("pin: 77").code(re.compile(r"PIN: (\d+)", re.IGNORECASE)) == "77"

    def test_no_match(self) -> None:
        with pytest.raises(AssertionError) as error:
            text("hello").code()
        assert str(error.value) == (
            r"no match of '(?<![\\da-zA-Z])\\d{4,8}(?![\\da-zA-Z])' in "
            "<Message K3F9 shop@example.com -> ann@example.com 's'>\nthe body:\nhello"
        )

    def test_several_matches(self) -> None:
        with pytest.raises(AssertionError) as error:
            html("<p>1111<p>2222" + "<p>filler" * 1000).code()
        lines = str(error.value).splitlines()
        assert lines[0].startswith("2 different matches of")
        assert lines[1:6] == ["  '1111'", "  '2222'", "the body:", "1111", "2222"]
        assert len(str(error.value)) < 3000

    def test_no_body(self) -> None:
        with pytest.raises(AssertionError, match="no body"):
            make(b"Content-Type: image/png\r\n\r\n").code()


class TestSnapshot:
    def test_two_sendings_look_the_same(self) -> None:
        first, second = make(order()), make(order())
        assert first.raw != second.raw
        assert first.snapshot() == second.snapshot()

    def test_is_readable(self) -> None:
        assert make(order()).snapshot() == (
            "From: Shop <shop@example.com>\n"
            "To: Ann <ann@example.com>\n"
            "Subject: Grüße: your order\n"
            "Date: <date>\n"
            "Message-ID: <message-id>\n"
            "MIME-Version: 1.0\n"
            'Content-Type: multipart/mixed; boundary="<boundary>"\n'
            "\n"
            "--- part 1 ---\n"
            'Content-Type: multipart/alternative; boundary="<boundary>"\n'
            "\n"
            "--- part 1.1 ---\n"
            "Content-Type: text/plain; charset=utf-8\n"
            "\n"
            "Your code is 123456.\n"
            "See https://example.com/a.\n"
            "\n"
            "--- part 1.2 ---\n"
            "MIME-Version: 1.0\n"
            'Content-Type: multipart/related; boundary="<boundary>"\n'
            "\n"
            "--- part 1.2.1 ---\n"
            "Content-Type: text/html; charset=utf-8\n"
            "\n"
            "<p>Your code is <b>123</b>456.\n"
            '<a href="https://example.com/b?x=1&amp;y=2">Pay\n'
            ' now</a><img src="cid:<content-id-1>">\n'
            "\n"
            "--- part 1.2.2 ---\n"
            "Content-Type: image/png\n"
            "Content-ID: <content-id>\n"
            "MIME-Version: 1.0\n"
            "Content-Disposition: inline\n"
            "\n"
            f"<image/png, 4 octets, sha256 {hashlib.sha256(bytes([0x89]) + b'PNG').hexdigest()}>\n"
            "\n"
            "--- part 2 ---\n"
            "Content-Type: application/pdf\n"
            'Content-Disposition: attachment; filename="für Dich €.pdf"\n'
            "MIME-Version: 1.0\n"
            "\n"
            f"<application/pdf, 4 octets, sha256 {hashlib.sha256(b'%PDF').hexdigest()}>\n"
        )

    def test_how_it_was_encoded_does_not_matter(self) -> None:
        snapshots = set()
        for encoding in ("8bit", "base64", "quoted-printable"):
            mail = EmailMessage()
            mail["Subject"] = "ü " * 60
            mail.set_content("naïve text\n" * 3, cte=encoding)
            for max_line_length in (40, 78, 200):
                raw = mail.as_bytes(policy=policy.SMTP.clone(max_line_length=max_line_length))
                snapshots.add(make(raw).snapshot())
        assert len(snapshots) == 1

    @pytest.mark.parametrize(
        "redact",
        [[r"\d{6}"], r"\d{6}", re.compile("[0-9]{6}"), ["nothing", re.compile(r"\d{6}")]],
    )
    def test_redact(self, redact) -> None:
        snapshot = text("code 123456, again 654321").snapshot(redact=redact)
        assert "code <redacted>, again <redacted>" in snapshot

    def test_trace_headers_and_generated_ids(self) -> None:
        raw = (
            b"Received: from x by y with ESMTP id K3F9; Mon, 6 May 2024 07:08:09 +0000\r\n"
            b"Message-ID: <17@x>\r\nX-Ref: see <17@x>\r\n\r\nhello\r\n"
        )
        assert make(raw).snapshot() == (
            "Received: <received>\nMessage-ID: <message-id>\nX-Ref: see <message-id>\n\nhello\n"
        )

    def test_content_ids_that_begin_alike(self) -> None:
        ids = ("a", "a1", "a.b", "a1@x")
        source = " ".join(f"[cid:{one}]" for one in (*ids, "a12", "other")) + ' <img src="cid:a1">'
        message = make(
            f"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\n\r\n{source}\r\n".encode()
            + b"".join(
                b"--b\r\nContent-Type: image/png\r\nContent-ID: <%s>\r\n\r\n\r\n" % one.encode()
                for one in ids
            )
            + b"--b--\r\n"
        )
        named = " ".join(f"[cid:<content-id-{number}>]" for number in (1, 2, 3, 4))
        expected = f'{named} [cid:a12] [cid:other] <img src="cid:<content-id-2>">'
        assert expected in message.snapshot().splitlines()


class TestSave:
    def test_to_a_file(self, tmp_path: Path) -> None:
        message = make(b"a: b\r\n\r\n\xff\r\n")
        path = message.save(tmp_path / "deep" / "mail.eml")
        assert path == tmp_path / "deep" / "mail.eml"
        assert path.read_bytes() == message.raw
        assert message.save(str(path)) == path

    def test_to_a_directory(self, tmp_path: Path) -> None:
        assert make(b"").save(tmp_path) == tmp_path / "K3F9.eml"


class TestMalformed:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("To", "a@["),
            ("Message-ID", "<a@[>"),
            ("Content-Disposition", "a; b*" + "9" * 5000 + "=c"),
        ],
    )
    def test_a_header_that_cannot_be_parsed_comes_back_raw(self, name: str, value: str) -> None:
        raw = f"{name}: {value}\r\nSubject: fine\r\n\r\nhello\r\n".encode()
        message = make(raw)
        assert message[name] == value
        assert message.subject == "fine"
        assert message.text == "hello\n"

    def test_its_defects_say_why(self) -> None:
        message = make(b"To: fine@x\r\nCc: ann@x, the others\r\n\r\n")
        assert message["Cc"] == "ann@x, the others"
        assert [one.addr_spec for one in message["Cc"].addresses] == ["ann@x", '"the others"']
        (defect,) = message["Cc"].defects
        assert str(defect) == "Cc: the others"
        assert [str(one) for one in message.defects] == ["Cc: the others"]
        assert message["To"].defects == ()

    def test_a_long_header_is_not_parsed(self) -> None:
        value = "=?utf-8?q?a?= " * 5000
        message = make(f"Subject: {value}\r\nTo: ann@x\r\n\r\n".encode())
        assert message.subject == value
        assert message["To"].addresses[0].addr_spec == "ann@x"
        assert [type(one).__name__ for one in message.defects] == ["LongHeaderDefect"]
        assert [type(one).__name__ for one in message["Subject"].defects] == ["LongHeaderDefect"]

    @pytest.mark.parametrize(
        "name",
        ["To", "Date", "Content-Type", "Content-Disposition", "Content-Transfer-Encoding",
         "MIME-Version", "Message-ID", "X-Any"],
    )  # fmt: skip
    def test_a_long_header_has_the_attributes_of_its_class(self, name: str) -> None:
        message = make(f"{name}: {'x' * 70_000}\r\n\r\nhello".encode())
        plain = make(f"{name}: x\r\n\r\nhello".encode())[name]
        public = {one for one in dir(plain) if not one.startswith("_")}
        for one in public:
            getattr(message[name], one)
        assert message[name] == "x" * 70_000
        assert not message.is_attachment()

    def test_many_recipients_are_read(self) -> None:
        names = [f"Müller, Ann {n}" for n in range(1000)]
        value = ", ".join(f'"{name}" <ann{n}@x.example>' for n, name in enumerate(names))
        header = make(f"To: {value}\r\n\r\n".encode())["To"]
        assert [one.display_name for one in header.addresses] == names
        assert header.addresses[999].addr_spec == "ann999@x.example"
        assert header.fold(policy=policy.default) == f"To: {value}\n"

    def test_many_groups_are_read(self) -> None:
        value = "a: " + "x@y, " * 1500 + "z@y;, b@c, d:;"
        header = make(f"To: {value}\r\n\r\n".encode())["To"]
        assert [(g.display_name, len(g.addresses)) for g in header.groups][:2] == [
            ("a", 1501),
            (None, 1),
        ]

    def test_raw_utf8_headers(self) -> None:
        header = make("To: Jörg <jörg@ü.example>\r\n\r\n".encode())["To"]
        (address,) = header.addresses
        assert (address.display_name, address.addr_spec) == ("Jörg", "jörg@ü.example")

    def test_headers_that_are_not_utf8(self) -> None:
        message = make(b"Subject: caf\xe9\r\nTo: J\xf6rg <a@x>\r\n\r\n")
        assert message.subject == "caf\ufffd"
        assert message["To"].addresses[0].display_name == "J\ufffdrg"
        assert [type(one).__name__ for one in message.defects] == ["UndecodableHeaderDefect"] * 2

    def test_unknown_charset_in_a_header(self) -> None:
        message = make(b"Subject: =?nonsense?q?caf=E9?= =?rot13?q?abc?=\r\n\r\n")
        assert message.subject == "caf\ufffdabc"
        assert message.defects

    @pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
    @pytest.mark.parametrize("charset", ["utf-8", "us-ascii", "cp-9850", "x-foo", "gb2312", None])
    @pytest.mark.parametrize("kind", ["plain", "html"])
    def test_why_a_body_has_replacement_characters(
        self, charset: str | None, kind: str, encoding: str
    ) -> None:
        sent = {"8bit": b"\xff", "quoted-printable": b"=FF", "base64": b"/w=="}[encoding]
        declared = "" if charset is None else f"; charset={charset}"
        head = f"Content-Type: text/{kind}{declared}\r\nContent-Transfer-Encoding: {encoding}\r\n"
        message = make(head.encode() + b"\r\n" + sent)
        (defect,) = message.defects
        assert type(defect).__name__ == "UndecodableBodyDefect"
        assert str(defect) == f"text/{kind}, " + (f"charset {charset}" if charset else "no charset")
        assert (message.text or message.html) == "\ufffd"
        assert message.defects == [defect]

    @pytest.mark.parametrize("charset", ["utf-8", "iso-8859-15", "koi8-r"])
    def test_a_body_that_can_be_decoded_has_no_defect(self, charset: str) -> None:
        mail = EmailMessage()
        mail.set_content("12 \ufffd" if charset == "utf-8" else "12", charset=charset)
        assert make(mail).defects == []

    def test_an_undecodable_body_among_parts(self) -> None:
        part = b"--b\r\nContent-Type: text/%s; charset=utf-8\r\n%s\r\n%s\r\n"
        message = make(
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            + part % (b"plain", b"", b"\xff")
            + part % (b"html", b"", "<p>ü".encode())
            + part % (b"csv", b"Content-Disposition: attachment\r\n", b"\xff")
            + b"--b\r\nContent-Type: image/png\r\n\r\n\xff\r\n--b--\r\n"
        )
        defects = ["text/plain, charset utf-8", "text/csv, charset utf-8"]
        assert [str(one) for one in message.defects] == defects
        in_parts = [[str(one) for one in part.defects] for part in message.iter_parts()]
        assert in_parts == [["text/plain, charset utf-8"], [], ["text/csv, charset utf-8"], []]
        assert make(message.raw).text == message.text == "\ufffd"

    @pytest.mark.parametrize(
        ("word", "subject", "defects"),
        [
            ("=?utf-8?Q?=FF?=", "\ufffd", ["UndecodableHeaderDefect"]),
            ("=?utf-16?Q?=D8?=", "\ufffd", ["UndecodableHeaderDefect"]),
            ("a =?us-ascii?B?/w==?= b", "a \ufffd b", ["UndecodableHeaderDefect"]),
            ("=?cp-9850?Q?caf=82?=", "caf\ufffd", ["UndecodableHeaderDefect"]),
            ("=?utf-8?Q?=EF=BF=BD?=", "\ufffd", []),  # that is what was sent
            ("=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=", "ü", []),
            ("=?gb2312?Q?=E9?= =?gb2312?Q?F?=", "镕", []),
        ],
    )
    def test_why_a_subject_has_replacement_characters(
        self, word: str, subject: str, defects: list[str]
    ) -> None:
        message = make(f"Subject: {word}\r\n\r\nx".encode())
        assert message.subject == subject
        assert [type(one).__name__ for one in message.defects] == defects

    def test_why_a_file_name_has_replacement_characters(self) -> None:
        message = make(b"Content-Disposition: attachment; filename*=utf-8''caf%E9\r\n\r\nx")
        assert message.attachments[0].filename == "caf\ufffd"
        assert [type(one).__name__ for one in message.defects] == ["UndecodableBytesDefect"]

    def test_defects_of_a_part(self) -> None:
        raw = (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
            b"Content-ID: \xff\r\n\r\nx\r\n--b--\r\n"
        )
        message = make(raw)
        assert [type(one).__name__ for one in message.defects] == ["UndecodableHeaderDefect"]
        (part,) = message.iter_parts()
        assert part.defects == message.defects

    def test_bounds_are_told(self) -> None:
        many = make(b"X: y\r\n" * 10_001 + b"\r\nhello")
        assert len(many) == 10_000
        assert many.text == "hello"
        assert [type(one).__name__ for one in many.defects] == ["TooManyHeadersDefect"]
        parts = make(
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 10_001
        )
        assert len(parts.get_payload()) == 10_000
        assert [type(one).__name__ for one in parts.defects] == ["TooManyPartsDefect"]

    def test_fifty_levels_are_read(self) -> None:
        raw = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d.\r\n\r\n--b%d.\r\n" % (n, n)
            for n in range(50)
        )
        message = make(raw + b"\r\nhello")
        assert message.text == "hello"
        assert len(list(message.walk())) == 51


def test_importing_the_message_does_not_import_the_parser() -> None:
    import subprocess

    code = (
        "import sys, pytest_smtpd.message.message\n"
        "heavy = {'email.headerregistry', 'email.parser', 'asyncio', 'ssl', 'pytest'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("body", "defect"),
    [
        (b"!!!YWJj", "InvalidBase64CharactersDefect"),
        (b"YWJj!", "InvalidBase64CharactersDefect"),
        (b"Y", "InvalidBase64LengthDefect"),
        (b"YWJ", "InvalidBase64PaddingDefect"),
        (b"YWJj", None),
        (b"YWI=\r\n", None),
    ],
)
def test_damaged_base64_is_a_defect(body: bytes, defect: str | None) -> None:
    head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    message = Message(
        head + body,
        Envelope("ann@example.com", ("bob@example.com",)),
        id="1",
        received_at=datetime.now(UTC),
        session=None,
    )
    assert message.text is not None
    assert message.text == message.text
    assert [type(each).__name__ for each in message.defects] == [defect] * (defect is not None)
