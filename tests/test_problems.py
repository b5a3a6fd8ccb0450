"""Every problem: a message that has it and nothing else, and its clean twin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_smtpd.lint.catalogue import MAX_OF_A_CODE, PROBLEMS, Problem
from pytest_smtpd.message.message import Envelope, Message

HEADER = {
    "Date": "Mon, 6 May 2024 10:00:00 +0200",
    "From": "Shop <shop@example.com>",
    "To": "ann@example.com",
    "Subject": "Welcome",
    "Message-ID": "<1@example.com>",
}


class Mail(NamedTuple):
    raw: bytes
    parameters: Mapping[str, str | None]
    recipients: tuple[str, ...]

    def message(self) -> Message:
        envelope = Envelope(
            mail_from="shop@example.com",
            rcpt_to=self.recipients,
            mail_parameters=dict(self.parameters),
            rcpt_parameters=tuple({} for _ in self.recipients),
        )
        return Message(self.raw, envelope, id="1", received_at=datetime.now(UTC), session=None)

    def codes(self) -> list[str]:
        return [problem.code for problem in self.message().problems()]


def mail(
    header: str = "",
    body: str | bytes = "hello\r\n",
    *,
    without: str = "",
    to: tuple[str, ...] = ("ann@example.com",),
    **parameters: str | None,
) -> Mail:
    """A clean mail, with header lines instead of or beside its own, or without some."""
    lines = header.split("\n") if header else []
    named = {line.partition(":")[0].strip().lower() for line in lines}
    unwanted = named | set(without.lower().split())
    kept = [f"{key}: {value}" for key, value in HEADER.items() if key.lower() not in unwanted]
    text = "\r\n".join([*kept, *lines])
    octets = body.encode() if isinstance(body, str) else body
    octets = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return Mail(text.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + octets, parameters, to)


def mime(content: str, body: str | bytes, encoding: str = "7bit") -> Mail:
    lines = f"MIME-Version: 1.0\nContent-Type: {content}\nContent-Transfer-Encoding: {encoding}"
    return mail(lines, body)


def multipart(kind: str, *parts: str, end: str = "--b--\n", parameters: str = "") -> Mail:
    body = "".join(f"--b\n{part}\n" for part in parts) + end
    return mail(f"MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=b{parameters}", body)


PLAIN = "Content-Type: text/plain; charset=us-ascii\n\nhello\n"
HTML = "Content-Type: text/html; charset=us-ascii\n\n<p>hello</p>\n"
PICTURE = "Content-Type: image/png\nContent-ID: <{}>\nContent-Transfer-Encoding: base64\n\nAAAA\n"
FILE = "Content-Type: image/png\nContent-Disposition: attachment{}\n\nAAAA\n"


def html(content: str, *more: str) -> Mail:
    parts = (f"Content-Type: text/html; charset=us-ascii\n\n{content}\n", *more)
    body = "".join(f"--c\n{part}\n" for part in parts) + "--c--\n"
    related = f"Content-Type: multipart/related; boundary=c\n\n{body}"
    return multipart("alternative", PLAIN, related)


BOTH_ENDS = "List-Unsubscribe: <https://example.com/u>\nList-Unsubscribe-Post: {}"

# code: [(what has the problem, its clean twin), ...]
CASES: dict[str, list[tuple[Mail, Mail]]] = {
    "missing-date": [(mail(without="date"), mail())],
    "missing-from": [(mail(without="from"), mail())],
    "missing-message-id": [(mail(without="message-id"), mail())],
    "duplicate-header": [
        (mail("Subject: one\nSubject: two"), mail("Subject: one\nX-Subject: two")),
        (
            mail("From: a@example.com\nFrom: a@example.com"),
            mail("From: a@example.com\nReply-To: b@example.com"),
        ),
        (
            mail("To: ann@example.com\nTo: bob@example.com"),
            mail("To: ann@example.com,\n bob@example.com"),
        ),
    ],
    "empty-subject": [
        (mail("Subject:"), mail("Subject: x")),
        (mail("Subject:  "), mail(without="Subject")),
    ],
    "bad-date": [
        (mail("Date: yesterday"), mail("Date: 6 May 2024 10:00 +0000")),
        (mail("Date: 2024-05-06T10:00:00Z"), mail("Date: Mon, 06 May 2024 10:00:00 -0000")),
        (mail("Date: 30 Feb 2024 10:00:00 +0000"), mail("Date: 29 Feb 2024 10:00:00 +0000")),
        (mail("Date: Tue, 6 May 2024 10:00:00 +0000"), mail("Date: mon, 6 May 2024 10:00 +0000")),
        (
            mail("Date: 6 May 2024 10:00:61 +0000"),
            mail("Date: Fri, 30 Dec 2016 23:59:60 +0000 (UTC)"),
        ),
    ],
    "bad-message-id": [
        (mail("Message-ID: 1@example.com"), mail("Message-ID: <1@example.com> (mine)")),
        (mail("Message-ID: <1>"), mail("Message-ID:\n <1$x@[127.0.0.1]>")),
        (mail("Message-ID:"), mail("message-id: <a.b@c>")),
        (mail("References: <1@a> 2@a"), mail("References: <1@a><2@a>\n <3@a>")),
        (mail("In-Reply-To: your mail"), mail("In-Reply-To: <1@a>")),
    ],
    "bcc-header": [
        (mail("Bcc: boss@example.net"), mail("Bcc:")),
        (mail("bcc: Boss <boss@example.net>"), mail("X-Bcc: boss@example.net")),
    ],
    "return-path-header": [
        (
            mail("Return-Path: <bounces@example.com>"),
            Mail(b"Return-Path: <a@b>\r\nReceived: from x by y\r\n" + mail().raw, {}, ()),
        )
    ],
    "malformed-header": [
        (mail("X-Mailer: x\nwhat is this"), mail("X-Mailer: x\n what is this")),
        (
            multipart("mixed", PLAIN, "hello\n"),
            multipart("mixed", PLAIN, "\nhello\n"),
        ),
        (Mail(b"From ann Mon\r\n" + mail().raw, {}, ()), mail()),
        (Mail(mail().raw.replace(b"\r\n\r\n", b"\r\n"), {}, ()), mail(body="")),
    ],
    "obsolete-syntax": [
        (mail("X-Mailer : x"), mail("X-Mailer: x : y")),
        (mail("Subject: one\n  \n two"), mail("Subject:\n one\n two")),
        (mail("Date: 6 May 2024 10:00:00 GMT"), mail("Date: 6 May 2024 10:00:00 +0000 (GMT)")),
        (mail("Date: 6 May 24 10:00:00 +0000"), mail()),
        (mail("To: <@relay.example,@b:ann@example.com>"), mail("To: <ann@example.com>")),
        (mail("To: ann @ example.com"), mail("To: ann@example.com (Ann)")),
        (mail("To: ann@example.com,,bob@example.com"), mail("To: ann@example.com , b@example.com")),
        (mail("To: ann@example.com,"), mail("To: friends: ann@example.com;, bob@example.com")),
    ],
    "control-character": [
        (mail("Subject: a\0b"), mail("Subject: a\tb")),
        (mail("Subject: a\rb"), mail("Subject: a\n\tb")),
        (mail("X-Mailer: \x1b[31m"), mail("X-Mailer: [31m")),
    ],
    "non-ascii-header": [
        (mail("Subject: Grüße"), mail("Subject: Grüße", SMTPUTF8=None)),
        (mail("Subject: Gr\udcfc"), mail("Subject: =?iso-8859-1?q?Gr=FC=DFe?=")),
        (mail("Cc: Jörg <j@example.com>"), mail("Cc: =?utf-8?b?SsO2cmc=?= <j@example.com>")),
    ],
    "header-not-utf8": [
        (mail("Subject: Gr\udcfc", SMTPUTF8=None), mail("Subject: Grü", SMTPUTF8=None))
    ],
    "long-header-line": [
        (mail("Subject: " + "x" * 990), mail("Subject: " + "x" * 989)),
        (mail("Subject: a\n " + "x" * 998), mail("Subject: a\n " + "x" * 997 + "\n " + "x" * 997)),
    ],
    "long-encoded-word": [
        (
            mail(f"Subject: =?utf-8?q?{'x' * 80}?="),
            mail(f"Subject: =?utf-8?q?{'x' * 60}?= =?utf-8?q?{'x' * 60}?="),
        )
    ],
    "bad-encoded-word": [
        (mail("Subject: =?utf-8?b?!!!?="), mail("Subject: =?utf-8?b?SGk=?=")),
        (mail("Subject: =?nonsense?q?a?="), mail("Subject: =?us-ascii*en?q?a?=")),
        (mail("Subject: =?utf-8?q?=FF?="), mail("Subject: =?latin-1?q?=FF?=")),
        (mail("Subject: =?utf-8?b?/w==?="), mail("Subject: =?x-mine?q?a?=")),
        (mail("Subject: =?x-mine?q?=FF?="), mail("Subject: =?windows-874?q?=B7?=")),
        (mail("Subject: =?windows-874?q?=FF?="), mail("Subject: =?iso-2022-cn?q?a?=")),
        (mail("Subject: =?utf-8?q?two words?="), mail("Subject: =?utf-8?q?two_words?=")),
    ],
    "misplaced-encoded-word": [
        (mail('Cc: "=?utf-8?q?J=C3=B6rg?=" <j@example.com>'), mail('Cc: "=?" <j@example.com>')),
        (mail("Cc: =?utf-8?q?j=C3=B6rg?=@example.com"), mail("Cc: =?utf-8?q?J?= <j@example.com>")),
    ],
    "bad-address": [
        (mail("Cc: ann"), mail("Cc: ann@localhost")),
        (mail("Cc: ann@"), mail("Cc: ann@mail.test")),
        (mail("Cc: ann smith@example.com"), mail('Cc: "ann smith"@example.com')),
        (mail("Cc: ann@exa_mple..com"), mail("Cc: ann@[127.0.0.1], ann@[IPv6:::1]")),
        (mail("Reply-To: <>"), mail("Reply-To: <no-reply@example.invalid>")),
        (mail("Cc: .ann@example.com"), mail("Cc: ann@bücher.example", SMTPUTF8=None)),
    ],
    "bad-address-list": [
        (mail("Cc: Bob <bob@example.com> and more"), mail("Cc: Bob <bob@example.com> (and more)")),
        (mail("Cc: Bob <bob@example.com"), mail("Cc: Bob <bob@example.com>")),
        (mail("Cc: friends: bob@example.com"), mail("Cc: friends: bob@example.com;")),
    ],
    "empty-address-header": [
        (mail("Cc:"), mail("Bcc:")),
        (mail("Reply-To: "), mail("Cc: bob@example.com")),
    ],
    "unquoted-display-name": [
        (mail("Cc: bob@example.com <bob@example.com>"), mail('Cc: "bob@x.org" <b@example.com>')),
        (mail("Cc: Bob [x] <bob@example.com>"), mail('Cc: "Bob [x]" Best <bob@example.com>')),
        (mail("Cc: Bob\\x <bob@example.com>"), mail("Cc: Bob B. Best <bob@example.com>")),
    ],
    "from-without-sender": [
        (
            mail("From: a@example.com, b@example.com"),
            mail("From: a@example.com, b@example.com\nSender: a@example.com"),
        )
    ],
    "bad-sender": [
        (mail("Sender: a@example.com, b@example.com"), mail("Sender: A <a@example.com>"))
    ],
    "recipient-not-named": [
        (mail(to=("bob@example.com",)), mail(to=("bob@example.com", "ANN@EXAMPLE.COM"))),
        (mail(without="To"), mail("Cc: ann@example.com", without="To")),
        (mail("To: bob@example.com"), mail("To: undisclosed-recipients:;")),
        (mail(to=("bob@example.com",)), mail("List-Id: <l.example.com>", to=("bob@example.com",))),
        (
            mail(to=("ann@bücher.example",), SMTPUTF8=None),
            mail("To: ann@xn--bcher-kva.example", to=("ann@bücher.example",), SMTPUTF8=None),
        ),
        (
            mail("To: boss@example.com", to=("postmaster",)),
            mail("To: Postmaster@example.com", to=("postmaster",)),
        ),
        (mail('To: "a b"@example.com'), mail('To: "ann"@example.com')),
        (
            mail(to=("bob@example.com",)),
            mail("Resent-To: bob@example.com", to=("bob@example.com",)),
        ),
    ],
    "bad-list-header": [
        (
            mail("List-Unsubscribe: https://example.com/u"),
            mail("List-Unsubscribe: <https://example.com/u>"),
        ),
        (
            mail("List-Unsubscribe: <example.com/u>"),
            mail("List-Unsubscribe: <mailto:u@example.com>,\n <https://example.com/u>"),
        ),
        (mail("List-Help:"), mail("List-Post: NO (closed)")),
    ],
    "duplicate-list-header": [
        (
            mail("List-Unsubscribe: <https://a.example>\nList-Unsubscribe: <mailto:a@a.example>"),
            mail("List-Unsubscribe: <https://a.example>, <mailto:a@a.example>"),
        )
    ],
    "bad-list-id": [
        (mail("List-Id: news.example.com"), mail('List-Id: "The news" <news.example.com>'))
    ],
    "bad-one-click": [
        (mail(BOTH_ENDS.format("yes")), mail(BOTH_ENDS.format("List-Unsubscribe=One-Click")))
    ],
    "one-click-without-https": [
        (
            mail("List-Unsubscribe-Post: List-Unsubscribe=One-Click"),
            mail("List-Unsubscribe: <https://example.com/u>"),
        ),
        (
            mail(
                "List-Unsubscribe: <mailto:u@example.com>\n"
                "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
            ),
            mail(
                "List-Unsubscribe: <mailto:u@example.com>, <HTTPS://example.com/u>\n"
                "List-Unsubscribe-Post: List-Unsubscribe=One-Click"
            ),
        ),
    ],
    "missing-mime-version": [
        (mail("Content-Type: text/plain"), mail("MIME-Version: 1.0\nContent-Type: text/plain"))
    ],
    "duplicate-mime-header": [
        (
            mail("MIME-Version: 1.0\nContent-Type: text/plain\nContent-Type: text/plain"),
            mail("MIME-Version: 1.0\nContent-Type: text/plain"),
        ),
        (
            multipart("mixed", "Content-ID: <1@a>\nContent-ID: <2@a>\n\nhello\n"),
            multipart("mixed", "Content-ID: <1@a>\n\nhello\n"),
        ),
    ],
    "bad-content-type": [
        (mime("text", "x"), mime("text/plain", "x")),
        (mime("", "x"), mime("TEXT/Plain (a comment)", "x")),
    ],
    "bad-mime-parameter": [
        (mime("text/plain; name=my file.txt", "x"), mime('text/plain; name="my file.txt"', "x")),
        (mime("text/plain; name=a=b", "x"), mime("text/plain; name*=utf-8''a%20b;", "x")),
        (mime('text/plain; name="a', "x"), mime('text/plain; name="a;\\"b"; x=y', "x")),
        (mime("text/plain; flowed", "x"), mime("text/plain; format=flowed", "x")),
        (
            multipart("mixed", FILE.format("; filename=a; size=a b")),
            multipart("mixed", FILE.format('; filename="a b.png"')),
        ),
    ],
    "missing-boundary": [
        (mime("multipart/mixed", "x"), multipart("mixed", PLAIN)),
        (mime('multipart/mixed; boundary=""', "x"), multipart("alternative", PLAIN, HTML)),
    ],
    "bad-boundary": [
        tuple(
            mime(f"multipart/mixed; boundary={'b' * n}", f"--{'b' * n}\n\nx\n--{'b' * n}--\n")
            for n in (71, 70)
        )  # type: ignore[list-item]
    ],
    "boundary-not-found": [
        (mime("multipart/mixed; boundary=b", "--c\n\nx\n--c--\n"), multipart("mixed", PLAIN)),
        (
            multipart("mixed", "Content-Type: multipart/mixed; boundary=c\n\n--d\n"),
            multipart("mixed", "Content-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n"),
        ),
    ],
    "unclosed-multipart": [
        (multipart("mixed", PLAIN, end=""), multipart("mixed", PLAIN, end="--b--")),
        (multipart("mixed", PLAIN, end="--b--x\n"), multipart("mixed", PLAIN, end="--b-- \nx")),
    ],
    "bad-transfer-encoding": [
        (mime("text/plain", "x", "utf-8"), mime("text/plain", "x", "8BIT")),
        (mime("text/plain", "x", "7 bit"), mime("text/plain", "x", "x-ours (yes)")),
    ],
    "encoded-multipart": [
        (
            mail(
                "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
                "Content-Transfer-Encoding: base64",
                f"--b\n{PLAIN}\n--b--\n",
            ),
            multipart("mixed", PLAIN),
        ),
        (
            mime("message/rfc822", "AAAA", "base64"),
            mime("message/rfc822", "To: a@a.aa\n\n", "8bit"),
        ),
    ],
    "unknown-charset": [
        (mime("text/plain; charset=utf-99", "x"), mime("text/plain; charset=UTF8", "x")),
        (mime("text/plain; charset=base64", "x"), mime("text/plain; charset=iso-8859-8-i", "x")),
        (mime("text/plain; charset=idna", "x"), mime("text/plain; charset=x-mine", "x")),
        *(
            (
                mime(f"{kind}; charset=x-foo{name}", octets, encoding),
                mime(f"{kind}; charset=koi8-r{name}", octets, encoding),
            )
            for kind, name in (("text/plain", ""), ("text/csv", "; name=a.csv"))
            for octets, encoding in (
                (b"caf\xe9\n", "8bit"),
                ("caf=E9\n", "quoted-printable"),
                ("Y2Fm6Q==\n", "base64"),
            )
        ),
        (
            mime("text/plain; charset=cp-9850", "x"),
            mime("text/plain; charset=x-foo", "eA==", "base64"),
        ),
        (mime("text/plain; charset*=''x%20y", "x"), mime("text/plain; charset*=x'en'utf-8", "x")),
    ],
    "missing-charset": [
        (
            mime("text/plain", "Grüße\n", "8bit"),
            mime("text/plain; charset=utf-8", "Grüße\n", "8bit"),
        ),
        (
            mime("text/plain", "Gr=C3=BC\n", "quoted-printable"),
            mime('text/plain; charset="utf-8"', "Gr=C3=BC\n", "quoted-printable"),
        ),
        (
            mime("text/plain", "w7w=\n", "base64"),
            mime("text/csv; name=a.csv", "w7w=\n", "base64"),
        ),
    ],
    "undecodable-body": [
        (
            mime("text/plain; charset=utf-8", b"Gr\xfc\n", "8bit"),
            mime("text/plain; charset=iso-8859-1", b"Gr\xfc\n", "8bit"),
        ),
        (
            mime("text/plain; charset=us-ascii", "w7w=\n", "base64"),
            mime("text/plain; charset=utf-8", "w7w=\n", "base64"),
        ),
        *(
            (
                mime(f"text/plain; charset={charset}", b"\xff\n", "8bit"),
                mime(f"text/plain; charset={charset}", good + b"\n", "8bit"),
            )
            for charset, good in (
                ("windows-874", b"\xb7"),
                ("iso-8859-8-i", b"\xe9"),
                ("x-sjis", b"\x82\xa0"),
            )
        ),
    ],
    "bad-base64": [
        (mime("image/png", "AAA\n", "base64"), mime("image/png", "AAA=\n", "base64")),
        (mime("image/png", "AA=A\n", "base64"), mime("image/png", "AA\nAA\n", "Base64")),
        (mime("image/png", "AAAA\n-- ?\n", "base64"), mime("image/png", "", "base64")),
        (mime("image/png", "A===\n", "base64"), mime("image/png", "AA==\n\n", "base64")),
    ],
    "bad-quoted-printable": [
        (
            mime("text/plain", "a=b\n", "quoted-printable"),
            mime("text/plain", "a=3Db=\n=3d\n", "quoted-printable"),
        ),
        (
            mime("text/plain; charset=utf-8", "1 = 1\n", "quoted-printable"),
            mime("text/plain; charset=utf-8", "end= \n=", "quoted-printable"),
        ),
    ],
    "undeclared-8bit": [
        (
            mime("text/plain; charset=utf-8", "Grüße\n"),
            mime("text/plain; charset=utf-8", "Grüße\n", "8bit"),
        ),
        (
            mime("text/plain; charset=utf-8", "Grüße\n", "quoted-printable"),
            mime("text/plain; charset=utf-8", "Gr=C3=BC\n", "quoted-printable"),
        ),
        (mime("image/png", b"\x89PNG", "base64"), mime("image/png", b"\x89PNG", "binary")),
    ],
    "nul-in-body": [
        (mail(body="a\0b\n"), mail(body="a\n")),
        (mail(body="a\0b\n"), mail(body="a\0b\n", BODY="BINARYMIME")),
    ],
    "long-body-line": [
        (mail(body="x" * 999 + "\n"), mail(body="x" * 998 + "\n")),
        (mail(body="x\n" * 700 + "x" * 999), mail(body="x" * 999, BODY="BinaryMIME")),
    ],
    "html-without-text": [
        (mime("text/html", "<p>hello"), multipart("alternative", PLAIN, HTML)),
        (multipart("mixed", HTML, FILE.format("; filename=a")), multipart("mixed", PLAIN, HTML)),
        (
            multipart(
                "mixed",
                HTML,
                PLAIN.replace("\n", "\nContent-Disposition: attachment; filename=a.txt\n", 1),
            ),
            multipart(
                "mixed",
                HTML.replace("\n", "\nContent-Disposition: attachment; filename=a.html\n", 1),
            ),
        ),
    ],
    "empty-text-alternative": [
        (
            multipart("alternative", "Content-Type: text/plain\n\n  \n", HTML),
            multipart("alternative", PLAIN, HTML),
        )
    ],
    "alternative-order": [
        (multipart("alternative", HTML, PLAIN), multipart("alternative", PLAIN, HTML)),
        (
            multipart(
                "alternative",
                f"Content-Type: multipart/related; boundary=c\n\n--c\n{HTML}\n--c--\n",
                PLAIN,
            ),
            multipart(
                "alternative",
                PLAIN,
                f"Content-Type: multipart/related; boundary=c\n\n--c\n{HTML}\n--c--\n",
            ),
        ),
    ],
    "attachment-without-name": [
        (
            multipart("mixed", PLAIN, FILE.format("")),
            multipart("mixed", PLAIN, FILE.format("; filename=a.png")),
        ),
        (
            multipart("mixed", PLAIN, FILE.format("")),
            multipart("mixed", PLAIN, FILE.format("").replace("png", "png; name=a.png")),
        ),
        (
            multipart("mixed", PLAIN, FILE.format('; filename=""')),
            multipart(
                "mixed",
                PLAIN,
                "Content-Type: message/rfc822\n"
                "Content-Disposition: attachment\n\nTo: a@example.com\n\nx\n",
            ),
        ),
    ],
    "unsafe-file-name": [
        (
            multipart("mixed", PLAIN, FILE.format('; filename="../a.png"')),
            multipart("mixed", PLAIN, FILE.format('; filename="..a.png"')),
        ),
        (
            multipart("mixed", PLAIN, FILE.format("; filename*0*=utf-8''a%0A; filename*1=b.png")),
            multipart("mixed", PLAIN, FILE.format("; filename*0*=utf-8''a%20; filename*1=b.png")),
        ),
    ],
    "duplicate-content-id": [
        (
            html("<p>", PICTURE.format("a@b"), PICTURE.format("a@b")),
            html("<p>", PICTURE.format("a@b"), PICTURE.format("c@d")),
        )
    ],
    "missing-cid-part": [
        (
            html('<img src="cid:logo@x">', PICTURE.format("other@x")),
            html('<img src="cid:logo@x">', PICTURE.format("logo@x")),
        ),
        (
            html("<td style='background: url(cid:a%2Bb)'>", PICTURE.format("a%2Bb")),
            html("<td style='background: url(cid:a%2Bb)'>", PICTURE.format("a+b")),
        ),
        (html('<img src="cid:logo">'), html('<!-- <img src="cid:logo"> -->')),
    ],
    "relative-link": [
        (html('<a href="/reset?t=1">reset</a>'), html('<a href="http://localhost/reset">x</a>')),
        (html("<a\nclass=x href=reset>reset</a>"), html("<a href=mailto:a@example.com>x</a>")),
        (html('<img alt="" src="//cdn.example.com/a.png">'), html('<a href="#top">top</a>')),
        (html('<a href="">x</a>'), html('<a href="{{unsubscribe}}">x</a>')),
        (html('<a href="a.html">x</a>'), html('<base href="https://a.example"><a href="a">x</a>')),
    ],
}

ROWS = [
    pytest.param(code, *twins, id=f"{code}-{number}")
    for code, cases in CASES.items()
    for number, twins in enumerate(cases, 1)
]


def test_every_problem_has_a_case() -> None:
    assert set(CASES) == set(PROBLEMS)


@pytest.mark.parametrize(("code", "bad", "clean"), ROWS)
def test_problem_is_found_and_no_other(code: str, bad: Mail, clean: Mail) -> None:
    assert set(bad.codes()) == {code}


@pytest.mark.parametrize(("code", "bad", "clean"), ROWS)
def test_clean_twin_has_none(code: str, bad: Mail, clean: Mail) -> None:
    assert clean.message().problems() == []


@pytest.mark.parametrize(("code", "problem"), PROBLEMS.items())
def test_rows_are_well_formed(code: str, problem: Problem) -> None:
    assert problem.code == code
    assert code == code.lower().replace(" ", "-").replace("_", "-")
    assert not problem.text.endswith(".")
    words = problem.rfc.split()
    assert words[0] == "RFC"
    assert words[1].isdecimal()
    assert words[2].replace(".", "").isdecimal()


def test_the_text_says_which() -> None:
    [problem] = mail("Cc: bob@example.com, ann@example..com").message().problems()
    assert problem.text.startswith(f"{PROBLEMS['bad-address'].text}: Cc: ann@example..com: ")
    assert str(problem) == f"bad-address: {problem.text} (RFC 5322 3.4.1)"


def test_control_characters_never_reach_the_reader() -> None:
    for problem in mail("Subject: \x1b[31m\0\nTo: \x1b]0;x\x07 <a\x9b>").message().problems():
        assert problem.text.isprintable()


def test_a_code_is_given_so_often_and_no_more() -> None:
    lines = "\n".join(f"X-{n} : x" for n in range(1000))
    assert mail(lines).codes() == ["obsolete-syntax"] * MAX_OF_A_CODE


def test_the_table_costs_no_import() -> None:
    program = (
        "import sys, pytest_smtpd.lint.catalogue as problems; assert problems.PROBLEMS;"
        "print([m for m in ('email', 'email_validator', 'asyncio', 'ssl') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


FRAGMENTS = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b" ", b"\t", b": ", b"To: ", b"From: ", b"Date: ", b"<", b">", b"@",
        b"a@example.com", b",", b";", b'"', b"\\", b"(", b")", b"[", b"]", b"=?utf-8?q?=FF?=",
        b"MIME-Version: 1.0\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n",
        b"--b--", b"Content-Type: text/html; charset=utf-7\r\n", b"Content-Type: ",
        b"Content-Transfer-Encoding: base64\r\n", b"Content-Disposition: attachment; filename",
        b"Content-Transfer-Encoding: quoted-printable\r\n", b"*0*=", b"=", b"utf-8''%FF",
        b"<a href=", b"cid:", b"List-Unsubscribe: <", b"Message-ID: ", b"\0", b"\xff\xfe", b"xn--",
    ]
)  # fmt: skip


@settings(deadline=None)  # the first example imports email-validator
@given(st.one_of(st.binary(), st.lists(st.one_of(FRAGMENTS, st.binary(max_size=8))).map(b"".join)))
def test_no_octets_raise(raw: bytes) -> None:
    for problem in Mail(raw, {}, ("ann@example.com",)).message().problems():
        assert problem.text.startswith(PROBLEMS[problem.code].text)
