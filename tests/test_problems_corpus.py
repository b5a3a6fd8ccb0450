"""Mails as well-kept libraries send them have no problems; no mail, however odd, raises.

`clean_mails` holds what Django, nodemailer and swaks put on the wire; what the standard library
and aiosmtplib send is made here and sent to a server.
"""

from __future__ import annotations

import asyncio
import email.mime.multipart
import email.mime.text
import os
import smtplib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.charset import BASE64, Charset
from email.header import Header
from email.message import EmailMessage
from email.message import Message as AnyMessage
from email.utils import formataddr, formatdate, localtime, make_msgid
from importlib import resources
from pathlib import Path

import aiosmtplib
import pytest

import pytest_smtpd
from pytest_smtpd.message.message import Envelope, Message

CLEAN_MAILS = sorted(Path(__file__).with_name("clean_mails").glob("*.eml"))
RECIPIENTS = ("ann@example.com",)
SHARE = 4 if "COVERAGE_RUN" in os.environ else 1  # tracing each line takes that much longer


def received(raw: bytes) -> Message:
    envelope = Envelope(
        mail_from="shop@example.com",
        rcpt_to=RECIPIENTS,
        mail_parameters={"BODY": "8BITMIME"},
        rcpt_parameters=({},),
    )
    return Message(raw, envelope, id="1", received_at=datetime.now(UTC), session=None)


@pytest.mark.parametrize("path", CLEAN_MAILS, ids=lambda path: path.stem)
def test_recorded_mail_of_a_library_has_none(path: Path) -> None:
    # A checkout may have changed the line ends
    raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert received(raw).problems() == []


def new_message(subject: str = "Welcome") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Acme Inc. <shop@example.com>"
    message["To"] = "Ännä Öhl <ann@example.com>, bob@localhost"
    message["Subject"] = subject
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain="example.com")
    message.set_content("Hello,\nFrom now on\n.\n")
    return message


def everything() -> EmailMessage:
    message = new_message("Grüße aus Köln, " * 20)
    message.set_content("Grüße, " * 300 + "\n")
    message.add_alternative('<p>Grüße<img src="cid:logo@example.com">', subtype="html")
    html = next(part for part in message.walk() if part.get_content_type() == "text/html")
    html.add_related(b"png", "image", "png", cid="<logo@example.com>")
    message.add_attachment(b"\0" * 999, "application", "pdf", filename="Übersicht " * 9 + ".pdf")
    message.add_attachment("für\n", filename="a b.txt")
    message.add_attachment(new_message("inner"))
    return message


def eight_bit() -> EmailMessage:
    message = new_message()
    message.set_content("Grüße\n", cte="8bit")
    return message


def old_style() -> AnyMessage:
    message = email.mime.multipart.MIMEMultipart("alternative")
    message["From"] = formataddr(("Jörg, the boss.", "boss@example.com"))
    message["To"] = "ann@example.com"
    message["Subject"] = Header("Grüße aus Köln, " * 20, "utf-8").encode()
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain="example.com")
    charset = Charset("utf-8")
    charset.body_encoding = (
        BASE64  # the default, unless somebody has changed it for all (Flask-Mail)
    )
    message.attach(email.mime.text.MIMEText("Grüße, " * 300, "plain", charset))
    message.attach(email.mime.text.MIMEText("<p>Grüße", "html", charset))
    return message


def international() -> EmailMessage:
    message = new_message()
    message.replace_header("To", "Jörg <jörg@bücher.example>, ann@example.com")
    return message


MAKERS = [new_message, everything, eight_bit, old_style, international]


@pytest.fixture(scope="module")
def server() -> Iterator[pytest_smtpd.Server]:
    with pytest_smtpd.Server() as server:
        yield server


@pytest.mark.parametrize("make", MAKERS)
def test_mail_of_smtplib_has_none(
    server: pytest_smtpd.Server, make: Callable[[], AnyMessage]
) -> None:
    server.clear()
    with smtplib.SMTP(server.host, server.port) as client:
        client.send_message(make())
    assert server.messages.one().problems() == []


@pytest.mark.parametrize("make", [maker for maker in MAKERS if maker is not international])
def test_mail_of_aiosmtplib_has_none(
    server: pytest_smtpd.Server, make: Callable[[], AnyMessage]
) -> None:
    server.clear()
    asyncio.run(aiosmtplib.send(make(), hostname=server.host, port=server.port))
    assert server.messages.one().problems() == []


def test_what_a_bare_message_lacks(server: pytest_smtpd.Server) -> None:
    server.clear()
    message = new_message()
    del message["Date"], message["Message-ID"]
    with smtplib.SMTP(server.host, server.port) as client:
        client.send_message(message)
    codes = [problem.code for problem in server.messages.one().problems()]
    assert codes == ["missing-date", "missing-message-id"]


# ---- odd mails


def odd_mails() -> list[bytes]:
    """The standard library's own test messages, where they are installed."""
    try:
        directory = resources.files("test.test_email.data")
        return [entry.read_bytes() for entry in directory.iterdir() if entry.name.endswith(".txt")]
    except (ImportError, OSError):
        return []


def test_no_odd_mail_raises() -> None:
    mails = odd_mails()
    if not mails:
        pytest.skip("the standard library's test messages are not installed")
    for raw in mails:
        for problem in received(raw).problems():
            assert problem.text.isprintable()


def test_no_odd_mail_raises_wherever_it_is_cut() -> None:
    for raw in [*odd_mails(), *(path.read_bytes() for path in CLEAN_MAILS)]:
        for end in range(0, len(raw), max(1, len(raw) // 20)):
            received(raw[:end]).problems()


HEAD = b"To: ann@example.com\r\nMIME-Version: 1.0\r\nContent-Type: "
MIXED = HEAD + b"multipart/mixed; boundary=b\r\n\r\n"
HTML = HEAD + b"text/html; charset=utf-8\r\n\r\n"
NESTED = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000)
)


@pytest.mark.parametrize(
    ("head", "filling"),
    [
        pytest.param(b"", b"a:\n", id="fields"),
        pytest.param(b"", b"\n", id="line feeds"),
        pytest.param(b"Subject: x\r\n", b" \r\n", id="folds"),
        pytest.param(b"", b"To: " + b"a . " * 16_000 + b"\r\n", id="address"),
        pytest.param(b"", b'To: "' + b'\\"' * 30_000 + b"\r\n", id="quotes"),
        pytest.param(b"", b"To: " + b"(" * 60_000 + b"\r\n", id="comments"),
        pytest.param(b"", b"To: " + b"a@b," * 15_000 + b"\r\n", id="addresses"),
        pytest.param(b"", b"Subject: " + b"=?a?q??=" * 8000 + b"\r\n", id="encoded words"),
        pytest.param(b"", b"Content-Type: a/b" + b';a="' * 15_000 + b"\r\n", id="parameters"),
        pytest.param(MIXED, b"-", id="dashes"),
        pytest.param(MIXED, b"\n--bX", id="false boundaries"),
        pytest.param(MIXED, b"\r\n--b\r\n\r\nx", id="parts"),
        pytest.param(MIXED, b"\r\n--b\r\n" + b"a: b\r\n" * 9999, id="part headers"),
        pytest.param(NESTED, b"x\r\n", id="nested"),
        pytest.param(HTML, b"<!--", id="HTML comments"),
        pytest.param(HTML, b"<a ", id="tags"),
        pytest.param(HTML, b"<a href='" + b"&amp" * 9999, id="entities"),
        pytest.param(HTML, b"<a href=cid:x>", id="links"),
        pytest.param(
            HEAD + b"text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n", b"QUFB", id="base64"
        ),
        pytest.param(
            HEAD + b"text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
            b"=41=\r\n",
            id="quoted-printable",
        ),
    ],
)
def test_hostile_mail_is_soon_looked_through(head: bytes, filling: bytes) -> None:
    size = (32 << 20) // SHARE
    raw = head + (filling * (size // len(filling) + 1))[:size]
    message = received(raw)
    before = time.process_time()  # whatever else the machine does meanwhile
    message.problems()
    assert time.process_time() - before < 2 * SHARE
