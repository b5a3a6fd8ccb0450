"""No text of a sender acts on its reader: in errors, problems, reports and on a terminal."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

import pytest

from make_mail import StoredMailbox, make_message
from pytest_smtpd.cli.show import safe
from pytest_smtpd.message.message import Envelope, Message
from pytest_smtpd.report.render import shown, shown_line
from pytest_smtpd.text import escaped

ACTING = [
    "\0", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\xad", "\u061c", "\u200b", "\u200e", "\u200f",
    "\u2028", "\u2029", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\ufeff", "\ufff9",
    "\U000e0001", "\U000e0041", "\ud800", "\udce9",
]  # fmt: skip
HARMLESS = [
    "",
    "plain",
    "Grüße ☃",
    "\xa0\u3000",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\U0001f469\u200d\U0001f680\ufe0f",
    "\\x1b 'quoted' \"twice\"",
    "\ue000",
]


@pytest.mark.parametrize("character", ACTING, ids=ascii)
def test_what_acts_is_escaped_everywhere(character: str) -> None:
    shown_as = repr(character)[1:-1]
    for show in (escaped, shown, shown_line, safe):
        assert show(f"aé{character}b") == f"aé{shown_as}b"


@pytest.mark.parametrize("text", HARMLESS, ids=ascii)
def test_what_is_harmless_stays(text: str) -> None:
    for show in (escaped, shown, shown_line, safe):
        assert show(text) == text


def test_tabs_and_line_ends_are_kept_where_there_is_room() -> None:
    assert escaped("a\tb\r\nc") == r"a\tb\r\nc"
    assert escaped("a\tb\r\nc", keep="\t\n") == "a\tb\\r\nc"
    assert safe("a\tb\nc") == "a\tb\\nc"
    assert shown("a\tb\r\nc\n\rd") == "a\tb\nc\n\\rd"
    assert shown_line("a\tb\r\nc\rd") == r"a\tb\nc\rd"


def acts(text: str) -> bool:
    kept = text.replace("\n", "").replace("\u200d", "")
    return any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in kept)


@pytest.mark.parametrize("character", [each for each in ACTING if each > "\xa0"], ids=ascii)
def test_no_error_of_a_message_acts(character: str) -> None:
    bad = character.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    url = f"https://x.example/{character}"
    html = f'<a href="{url}">{character}</a> 1234 {character} 5678'
    content_type = f"application/x{character}y"
    raw = (
        f"Subject: {character}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n"
        f"--b\r\nContent-Type: {content_type}; name=a\r\n\r\nx\r\n--b--\r\n"
    ).encode("utf-8", "surrogatepass")
    to = (f"ann{character}@example.com", "bob@example.com")
    envelope = Envelope(f"shop{character}@example.com", to, {}, ({}, {}))
    message = Message(raw, envelope, id="K3F9", received_at=datetime.now(UTC))
    mailbox = StoredMailbox()
    mailbox.store.add(message)
    texts = [repr(message), repr(message.attachments), *map(str, message.problems())]
    for ask in (
        lambda: message.link("nowhere"),
        message.code,
        lambda: message.code("nothing"),
        lambda: mailbox.one(to="cy@*"),
    ):
        with pytest.raises(AssertionError) as caught:
            ask()
        texts.append(str(caught.value))
    assert len(texts) > 6
    assert [text for text in texts if acts(text)] == []
    escape = re.escape(repr(bad)[1:-1])
    assert re.search(escape, texts[-1])


def test_a_name_is_as_readable_in_an_error_as_it_was_sent() -> None:
    message = make_message("Grüße \U0001f469\u200d\U0001f680", to="jörg\xa0b@ü.example")
    assert "Grüße \U0001f469\u200d\U0001f680" in repr(message)
    assert "jörg\xa0b@ü.example" in repr(message)
