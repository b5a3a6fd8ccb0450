"""Replies: what a test author may write, and the octets that come of it."""

from __future__ import annotations

import pytest

from pytest_smtpd import Reply
from pytest_smtpd.smtp import replies


@pytest.mark.parametrize("code", [199, 600, "250", None])
def test_a_code_out_of_range(code: object) -> None:
    with pytest.raises(ValueError, match="from 200 to 599"):
        Reply(code, "text")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a\x00b", "a\rb", None])
def test_a_text_with_control_characters(text: object) -> None:
    with pytest.raises(ValueError, match="without control characters"):
        Reply(250, text)  # type: ignore[arg-type]


@pytest.mark.parametrize("enhanced", ["5.0.0", "2.0", "two", "2.\u0661.0", "2.0.\uff11"])
def test_an_enhanced_code_of_another_class(enhanced: str) -> None:
    with pytest.raises(ValueError, match="enhanced status code"):
        Reply(250, "OK", enhanced)


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        (450, "450 4.2.0 Requested mail action not taken: mailbox unavailable"),
        (459, "459 4.0.0 Temporary failure"),
        (599, "599 5.0.0 Permanent failure"),
        (334, "334 Go on"),
        ("451", "451 4.3.0 Requested action aborted: local error in processing"),
        ("451 4.7.1 Greylisted", "451 4.7.1 Greylisted"),
        ("451-Later", "451 Later"),
        (Reply(550, "No", "5.1.1"), "550 5.1.1 No"),
    ],
)
def test_what_may_be_written(written: object, reply: str) -> None:
    assert str(Reply.of(written)) == reply


@pytest.mark.parametrize(
    "written",
    [100, 600, True, "later", "", 4.5, None, "450 5.1.1 Class", "\u0664\u0665\u0660 Later"],
)
def test_what_may_not(written: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has a text of its own, tested elsewhere
        Reply.of(written)


def test_long_lines_are_cut_and_no_character_is() -> None:
    text = "x" + "\u00e9" * 600
    octets = Reply(550, text, "5.1.1").encode(enhanced=True, utf8=True)
    lines = octets.split(b"\r\n")[:-1]
    assert all(len(line) <= 510 for line in lines)
    assert [line[:10] for line in lines] == [b"550-5.1.1 "] * (len(lines) - 1) + [b"550 5.1.1 "]
    assert b"".join(line[10:] for line in lines).decode() == text


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_code_that_the_text_begins_with_is_in_each_line_it_is_cut_into(enhanced: bool) -> None:
    # RFC 2034 section 4
    octets = Reply.of("550 5.7.1 " + "x" * 1200).encode(enhanced=enhanced, utf8=False)
    lines = octets.split(b"\r\n")[:-1]
    assert all(len(line) <= 510 for line in lines)
    assert [line[:10] for line in lines] == [b"550-5.7.1 ", b"550-5.7.1 ", b"550 5.7.1 "]
    assert b"".join(line[10:] for line in lines) == b"x" * 1200


def test_lines_of_ones_own_are_sent_as_written() -> None:
    text = "550 5.7.1 One\nTwo\n5.7.1 " + "x" * 600
    octets = Reply.of(text).encode(enhanced=True, utf8=False)
    assert [line[:12] for line in octets.split(b"\r\n")] == [
        b"550-5.7.1 On",
        b"550-Two",
        b"550-5.7.1 xx",
        b"550 5.7.1 xx",
        b"",
    ]


@pytest.mark.parametrize("text", ["2.7.1 ", "5.7 ", "5.\u0667.1 "])
def test_what_is_no_code_of_the_reply_is_not_repeated(text: str) -> None:
    octets = Reply(550, text + "x" * 600).encode(enhanced=True, utf8=True)
    assert octets.split(b"\r\n")[1].strip(b"x") == b"550 "


def test_a_code_beside_the_text_is_in_each_of_its_lines() -> None:
    octets = Reply(550, "One\nTwo", "5.7.1").encode(enhanced=True, utf8=False)
    assert octets == b"550-5.7.1 One\r\n550 5.7.1 Two\r\n"


def test_the_table_agrees_with_itself() -> None:
    rows = [row for row in vars(replies).values() if isinstance(row, Reply)]
    assert len(rows) > 40
    for row in rows:
        assert row.enhanced is None or row.enhanced[0] == str(row.code)[0]
        assert row.text.isascii()
