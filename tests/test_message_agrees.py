"""Bodies, attachments, addresses, defects and problems of one message agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_smtpd import Envelope, Message
from pytest_smtpd.mime.bodies import find_bodies
from pytest_smtpd.mime.tree import read_tree
from pytest_smtpd.mime.validator import objection
from test_message import order
from test_message_hostile import SMALL
from test_problems import CASES
from test_problems_corpus import CLEAN_MAILS, odd_mails

RECIPIENTS = ("ann@example.com", "bob@example.com")
BASE64 = {f"InvalidBase64{kind}Defect" for kind in ("Characters", "Length", "Padding")}
STRAY_LINE = {
    "NoHeaderLineDefect", "FirstHeaderLineIsContinuationDefect", "MisplacedEnvelopeHeaderDefect",
    "MissingHeaderBodySeparatorDefect", "InvalidHeaderDefect",
}  # fmt: skip


def received(raw: bytes, recipients: tuple[str, ...] = RECIPIENTS) -> Message:
    return Message(raw, Envelope("a@b.example", recipients), id="1", received_at=datetime.now(UTC))


def check(message: Message) -> None:
    """What has to agree in any message."""
    problems = message.problems()
    codes = {problem.code for problem in problems}
    defects = {type(defect).__name__ for defect in message.defects}
    attachments = message.attachments
    texts = [part.text for part in problems]

    if "html-without-text" in codes:
        assert message.text is None
        assert message.html is not None
    if "bad-base64" in codes:
        assert defects & BASE64
    if "bad-quoted-printable" in codes:
        assert "InvalidQuotedPrintableDefect" in defects
    if codes & {"undecodable-body", "unknown-charset"}:
        assert "UndecodableBodyDefect" in defects
    if "malformed-header" in codes:
        assert defects & STRAY_LINE or any(line.startswith("From ") for line in _lines(message))
    if "boundary-not-found" in codes:
        assert "StartBoundaryNotFoundDefect" in defects
    if "unclosed-multipart" in codes:
        assert "CloseBoundaryNotFoundDefect" in defects
    if "missing-boundary" in codes:
        assert "NoBoundaryInMultipartDefect" in defects
    if "bad-mime-parameter" in codes:
        assert "InvalidParameterDefect" in defects
    if "attachment-without-name" in codes:
        assert any(one.filename is None and not one.inline for one in attachments)
    if "unsafe-file-name" in codes:
        assert any(set("/\\.").union(map(chr, range(32)), "\x7f") & set(n) for n in _names(message))
    if "empty-subject" in codes:
        assert any(not str(one).strip() for one in message.get_all("Subject", []))
    if "recipient-not-named" in codes:
        assert message.bcc == message.recipients
    for url in (text.partition(": ")[2] for text in texts if "cid:" in text):
        assert url not in {one.content_id for one in attachments}
    for name in ("From", "To", "Cc", "Reply-To"):
        for header in message.get_all(name, []):
            wrong = [
                one.addr_spec
                for one in header.addresses
                if objection(one.addr_spec, globally=False)
            ]
            if header.defects and wrong:
                assert codes & {"bad-address", "bad-address-list", "non-ascii-header"}


def _lines(message: Message) -> Iterable[str]:
    return message.raw.decode("latin-1").splitlines()


def _names(message: Message) -> list[str]:
    return [part.get_filename() or "" for part in message.walk()]


CORPUS = {
    **{path.stem: path.read_bytes() for path in CLEAN_MAILS},
    **{f"odd {number}": raw for number, raw in enumerate(odd_mails())},
    **SMALL,
    **{
        f"{code} {number}": mail.raw
        for code, cases in CASES.items()
        for number, pair in enumerate(cases)
        for mail in pair
    },
    "order": order().as_bytes(),
}


@pytest.mark.parametrize("raw", CORPUS.values(), ids=CORPUS.keys())
def test_what_is_said_of_a_known_mail_agrees(raw: bytes) -> None:
    check(received(raw))


# ---- random mail, whose parts are known


TYPES = st.sampled_from(
    ["text/plain", "text/html", "text/csv", "text/calendar", "image/png", "application/pdf"]
)
CHARSETS = st.sampled_from([None, "utf-8", "us-ascii", "iso-8859-15", "x-mine", "utf-99"])
ENCODINGS = st.sampled_from(["7bit", "8bit", "base64", "quoted-printable"])
DISPOSITIONS = st.sampled_from(["", "inline", "attachment"])
NAMES = st.sampled_from([None, "", "a.txt", "b c.pdf", "../x"])
CONTENT = st.sampled_from(
    [b"hello\r\n", b"YWJj\r\n", b"YWJ", b"YWJjZ", b"YW==\r\nfooter", b"=41= \r\n1=2", b"\xff\xfe",
     b"gr\xc3\xbc\xc3\x9fe\r\n", b" \r\n", b"", b"<a href=x>y</a><img src='cid:c'>"]
)  # fmt: skip


@st.composite
def leaves(draw: st.DrawFn) -> bytes:
    charset, name = draw(CHARSETS), draw(NAMES)
    lines = [f"Content-Type: {draw(TYPES)}" + (f"; charset={charset}" if charset else "")]
    disposition = draw(DISPOSITIONS)
    if disposition:
        parameter = "" if name is None else f'; filename="{name}"'
        lines.append(f"Content-Disposition: {disposition}{parameter}")
    elif name is not None:
        lines[0] += f'; name="{name}"'
    lines.append(f"Content-Transfer-Encoding: {draw(ENCODINGS)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + draw(CONTENT)


@st.composite
def multiparts(draw: st.DrawFn, children: st.SearchStrategy[bytes]) -> bytes:
    kind = draw(st.sampled_from(["mixed", "alternative", "related", "odd"]))
    boundary = draw(st.uuids()).hex
    parts = draw(st.lists(children, min_size=1, max_size=3))
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'
    return (
        head.encode() + body + b"--" + boundary.encode() + draw(st.sampled_from([b"--\r\n", b""]))
    )


HEADERS = st.lists(
    st.sampled_from(
        [b"Subject: hello", b"Subject:", b"Subject : =?utf-8?q?=FF?=", b"junk", b" folded",
         b"To: ann@example.com", b"To: Ann [x] <ann@example.com>; bob@example.com",
         b"Cc: bob @ example.com",
         b"To: nobody at all", b"To: \"ann@example.com\" <cy@example.com>", b"From: <a@b.example",
         b">From x",
         b"Reply-To: a (b) . c@d.example, =?utf-8?q?e?= =?utf-8?q?f?= <g@h.example>", b"Cc: g:;",
         b"Date: Mon, 6 May 2024 10:00:00 +0200", b"Bcc: ann@example.com, bob@example.com"]
    ), max_size=5,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(HEADERS, st.recursive(leaves(), multiparts, max_leaves=6))
def test_what_is_said_of_a_random_mail_agrees(header: list[bytes], content: bytes) -> None:
    message = received(b"MIME-Version: 1.0\r\n" + b"".join(f + b"\r\n" for f in header) + content)
    check(message)
    codes = {problem.code for problem in message.problems()}
    defects = {type(defect).__name__ for defect in message.defects}
    if message.text is None and message.html is not None:
        assert "html-without-text" in codes
    if defects & BASE64:
        assert codes & {"bad-base64", "undeclared-8bit"}
    if "InvalidQuotedPrintableDefect" in defects:
        assert codes & {"bad-quoted-printable", "undeclared-8bit"}
    if defects & STRAY_LINE:
        assert "malformed-header" in codes
    if "WhiteSpaceBeforeColonDefect" in defects:
        assert "obsolete-syntax" in codes
    if "InvalidAddressDefect" in defects:
        assert codes & {"bad-address", "bad-address-list"}
    if message.bcc == message.recipients and message.get_all("To", []) and "Cc" not in message:
        assert codes & {"recipient-not-named"}


@settings(deadline=None, max_examples=200)
@given(st.recursive(leaves(), multiparts, max_leaves=6))
def test_each_part_is_a_body_or_an_attachment(content: bytes) -> None:
    message = received(b"MIME-Version: 1.0\r\n" + content)
    tree = read_tree(message.raw)
    bodies = find_bodies(tree)
    found = Counter(map(id, [*bodies.text, *bodies.html, *bodies.attachments]))
    assert found == Counter(id(part) for part in tree.walk() if not part.is_multipart)
    assert [one.content for one in message.attachments] == [
        part.decode().octets for part in bodies.attachments
    ]
    for body, parts in ((message.text, bodies.text), (message.html, bodies.html)):
        assert (body is None) is (not parts)
        assert all(part.decode_text().text in (body or "") for part in parts)
