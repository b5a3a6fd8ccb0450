"""The mailbox as a sequence, criteria, and taking messages out."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from make_mail import StoredMailbox, make_message
from pytest_smtpd.mailbox.mailbox import Mailbox


def fill(mailbox: StoredMailbox, *messages: Any) -> StoredMailbox:
    for message in messages:
        mailbox.store.add(message)
    return mailbox


@pytest.fixture
def mailbox() -> StoredMailbox:
    return StoredMailbox()


# --- a sequence --------------------------------------------------------------------------------


def test_it_is_empty_at_first(mailbox: StoredMailbox) -> None:
    assert isinstance(mailbox, Sequence)
    assert len(mailbox) == 0
    assert not mailbox
    assert mailbox == []
    assert mailbox == ()
    assert list(mailbox) == []


def test_it_holds_messages_in_order(mailbox: StoredMailbox) -> None:
    first, second, third = make_message("1"), make_message("2"), make_message("3")
    fill(mailbox, first, second, third)
    assert len(mailbox) == 3
    assert mailbox
    assert mailbox[0] is first
    assert mailbox[-1] is third
    assert mailbox[1:] == [second, third]
    assert isinstance(mailbox[:], list)
    assert list(mailbox) == [first, second, third]
    assert list(reversed(mailbox)) == [third, second, first]
    assert second in mailbox
    assert make_message("2") not in mailbox
    assert mailbox.index(third) == 2
    assert mailbox.count(first) == 1


def test_it_equals_sequences_of_the_same_messages(mailbox: StoredMailbox) -> None:
    message = make_message()
    fill(mailbox, message)
    assert mailbox == [message]
    assert mailbox == (message,)
    assert mailbox == fill(StoredMailbox("strays"), message)
    assert mailbox != []
    assert mailbox != [make_message()]
    assert mailbox != "a"
    assert mailbox != 1


def test_it_is_not_hashable(mailbox: StoredMailbox) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(mailbox)


def test_iteration_is_over_a_snapshot(mailbox: StoredMailbox) -> None:
    fill(mailbox, make_message("1"), make_message("2"))
    seen = []
    for message in mailbox:
        seen.append(message.subject)
        fill(mailbox, make_message("more"))
        if len(seen) == 1:
            mailbox.clear()
    assert seen == ["1", "2"]
    assert len(mailbox) == 1


def test_an_index_out_of_range_says_what_there_is() -> None:
    mailbox = StoredMailbox(hints=lambda: ["a session was refused: 550 5.7.1 Access denied"])
    with pytest.raises(IndexError) as caught:
        mailbox[0]
    assert str(caught.value) == (
        "no message 0: messages is empty; wait() waits for mail that is still to come\n"
        "a session was refused: 550 5.7.1 Access denied"
    )
    fill(mailbox, make_message())
    with pytest.raises(IndexError, match="no message -2: messages holds 1\n"):
        mailbox[-2]


def test_an_index_is_a_number(mailbox: StoredMailbox) -> None:
    with pytest.raises(TypeError, match="an index or a slice, not 'Subject'; one"):
        mailbox["Subject"]  # type: ignore[call-overload]


def test_clear_forgets_all(mailbox: StoredMailbox) -> None:
    fill(mailbox, make_message("1")).clear()
    assert mailbox == []
    fill(mailbox, make_message("2"))
    assert [message.subject for message in mailbox] == ["2"]


def test_take_removes_what_it_returns(mailbox: StoredMailbox) -> None:
    ann, bob, other = make_message("1"), make_message("2", to="bob@example.com"), make_message("3")
    fill(mailbox, ann, bob, other)
    assert mailbox.take(to="cy@*") == []
    assert mailbox == [ann, bob, other]
    assert mailbox.take(to="ann@*") == [ann, other]
    assert mailbox == [bob]
    assert mailbox.take() == [bob]
    assert mailbox == []
    assert mailbox.take() == []
    fill(mailbox, later := make_message("4"))
    assert mailbox.take(subject="4") == [later]


def test_take_removes_nothing_when_a_where_raises(mailbox: StoredMailbox) -> None:
    fill(mailbox, make_message("1"), make_message("2"))
    with pytest.raises(KeyError):
        mailbox.take(where=lambda message: {"1": True}[message.subject])
    with pytest.raises(TypeError, match="unknown criterion 'too'"):
        mailbox.take(too="ann@*")  # type: ignore[call-arg]
    assert len(mailbox) == 2


def test_a_where_may_take_from_the_mailbox(mailbox: StoredMailbox) -> None:
    fill(mailbox, make_message("1"), second := make_message("2"))
    assert mailbox.take(where=lambda message: mailbox.take(subject="1")) == []
    assert mailbox == [second]


def test_take_during_iteration_leaves_the_iteration_alone(mailbox: StoredMailbox) -> None:
    fill(mailbox, first := make_message("1"), second := make_message("2"))
    seen = [(message, mailbox.take(subject=message.subject)) for message in mailbox]
    assert seen == [(first, [first]), (second, [second])]


def test_no_two_threads_take_the_same_message(mailbox: StoredMailbox) -> None:
    messages = [make_message(str(number), text=None) for number in range(400)]
    start = threading.Barrier(5)
    taken: list[list[Any]] = [[] for _ in range(4)]

    def take(mine: list[Any]) -> None:
        start.wait()
        while mailbox or not all_added.is_set():
            mine += mailbox.take(sender="shop@*")

    all_added = threading.Event()
    threads = [threading.Thread(target=take, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    start.wait()
    for message in messages:
        mailbox.store.add(message)
    all_added.set()
    for thread in threads:
        thread.join()
    found = [message for mine in taken for message in mine]
    assert len(found) == 400
    assert set(found) == set(messages)


def test_many_threads_may_add_and_read_at_once(mailbox: StoredMailbox) -> None:
    start = threading.Barrier(5)

    def add(name: str) -> None:
        start.wait()
        for number in range(200):
            mailbox.store.add(make_message(f"{name} {number}", text=None))

    def read() -> None:
        start.wait()
        while len(mailbox) < 800:
            snapshot = list(mailbox)
            assert mailbox[: len(snapshot)] == snapshot

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    read()
    for thread in threads:
        thread.join()
    subjects = [message.subject for message in mailbox]
    assert len(subjects) == 800
    for name in "abcd":
        mine = [subject for subject in subjects if subject.startswith(name)]
        assert mine == [f"{name} {number}" for number in range(200)]


# --- repr --------------------------------------------------------------------------------------


def test_repr_of_an_empty_one() -> None:
    assert repr(StoredMailbox()) == "<Mailbox messages: empty>"
    assert repr(StoredMailbox("strays")) == "<Mailbox strays: empty>"


def test_repr_is_a_line_a_message(mailbox: StoredMailbox) -> None:
    fill(
        mailbox,
        make_message("Wëlcome", to=("ann@example.com", "bob@example.com"), id="A1"),
        make_message(None, sender="", id="B2"),
    )
    assert repr(mailbox).splitlines() == [
        "<Mailbox messages:",
        "  [0] A1  shop@example.com -> ann@example.com, bob@example.com  'Wëlcome'",
        "  [1] B2  <> -> ann@example.com  ''>",
    ]


def test_nothing_in_a_message_breaks_its_line(mailbox: StoredMailbox) -> None:
    fill(
        mailbox,
        make_message(
            headers=(("Subject", "=?utf-8?q?a=0D=0A=1B[2Jb?="),),
            subject=None,
            sender='"a\r\n\x1b[2J"@example.com',
            to=tuple(f"{number}{'x' * 300}@example.com" for number in range(1000)),
        ),
        make_message("long " * 100),
    )
    lines = repr(mailbox).splitlines()
    assert len(lines) == 3
    assert "\x1b" not in repr(mailbox)
    assert "and 997 more" in lines[1]
    assert all(len(line) < 400 for line in lines)


def test_repr_shows_even_a_hundred(mailbox: StoredMailbox) -> None:
    fill(mailbox, *(make_message(str(number)) for number in range(100)))
    assert len(repr(mailbox).splitlines()) == 101


# --- criteria ----------------------------------------------------------------------------------


WELCOME = make_message(
    "Welcome, Ann",
    sender="shop@example.com",
    to=("ann@example.com", "archive@example.com"),
    text="Your code is 1234.\nBye",
    html="<p>Your <b>code</b></p>",
    headers=(("X-Id", "42-a"), ("X-Id", "43-b"), ("X-Mailer", "shop")),
)
BOUNCE = make_message("Undelivered", sender="", to="shop@example.com", text=None, html="<i>no</i>")
BARE = make_message(None, sender="x@example.com", to="y@example.com", text="Code 99")
ALL = (WELCOME, BOUNCE, BARE)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, ALL),
        ({"sender": "SHOP@*"}, [WELCOME]),
        ({"sender": ""}, [BOUNCE]),
        ({"sender": re.compile("^x")}, [BARE]),
        ({"sender": lambda sender: not sender}, [BOUNCE]),
        ({"sender": "shop"}, []),
        ({"to": "archive@example.com"}, [WELCOME]),
        ({"to": "*@example.com"}, ALL),
        ({"to": re.compile("(ann|y)@")}, [WELCOME, BARE]),
        ({"subject": "welcome*"}, [WELCOME]),
        ({"subject": "welcome"}, []),
        ({"subject": ""}, [BARE]),
        ({"text": "code"}, [WELCOME, BARE]),
        ({"text": "code is ????."}, [WELCOME]),
        ({"text": "your*bye"}, [WELCOME]),
        ({"text": "<b>code"}, [WELCOME]),
        ({"text": "<i>"}, [BOUNCE]),
        ({"text": "your code</p>"}, []),
        ({"text": re.compile(r"^Your code$")}, [WELCOME]),
        ({"text": re.compile(r"\b\d{4}\b")}, [WELCOME]),
        ({"text": lambda text: text.startswith("<")}, [WELCOME, BOUNCE]),
        ({"header": {"X-Id": "43*"}}, [WELCOME]),
        ({"header": {"x-id": "42*", "X-MAILER": "shop"}}, [WELCOME]),
        ({"header": {"X-Id": "42*", "X-Mailer": "other"}}, []),
        ({"header": {"X-Id": "42"}}, []),
        ({"header": {"X-Id": "*"}}, [WELCOME]),
        ({"header": {"X-Id": None}}, [BOUNCE, BARE]),
        ({"header": {"Subject": None}}, [BARE]),
        ({"header": {}}, ALL),
        ({"where": lambda message: message["X-Mailer"]}, [WELCOME]),
        ({"sender": "shop@*", "to": "ann@*"}, [WELCOME]),
        ({"sender": "shop@*", "to": "bob@*"}, []),
    ],
)
def test_matching(
    mailbox: StoredMailbox, criteria: dict[str, Any], expected: Sequence[Any]
) -> None:
    fill(mailbox, *ALL)
    assert mailbox.matching(**criteria) == list(expected)


def test_text_is_also_what_a_reader_of_the_html_sees(mailbox: StoredMailbox) -> None:
    source = "<style>p{}</style><p>Hello <b>Ann</b>\n &amp; Bob</p><p>Bye"
    message = make_message(text="plain", html=source)
    fill(mailbox, BARE, message, make_message(text=None, html="<p>Hello</p>Ann"))
    for asked in ("hello ann & bob", "&amp; bob", "<b>ann</b>", re.compile(r"Bob\nBye$")):
        assert mailbox.matching(text=asked) == [message]
        assert mailbox.wait(text=asked, timeout=0) == [message]
    mailbox.assert_none(text="p{} hello")
    message.get_payload()[1].set_content("<p>Hello <i>Cy</i></p>", subtype="html")
    assert mailbox.matching(text="hello ann & bob") == []
    assert mailbox.matching(text="hello cy") == [message]


def test_the_source_is_asked_before_what_is_visible(mailbox: StoredMailbox) -> None:
    fill(mailbox, make_message(text="plain", html="<p>source"))
    asked: list[str] = []
    assert mailbox.matching(text=lambda text: asked.append(text.strip()) or "<" in text)
    assert asked == ["plain", "<p>source"]
    assert not mailbox.matching(text=lambda text: asked.append(text.strip()))
    assert asked[2:] == ["plain", "<p>source", "source"]


def test_where_is_asked_only_where_all_else_holds(mailbox: StoredMailbox) -> None:
    fill(mailbox, *ALL)
    assert mailbox.matching(where=lambda message: message is BOUNCE, sender="") == [BOUNCE]
    assert mailbox.matching(where=lambda message: 1 / 0, sender="nobody") == []


def test_what_a_callable_raises_comes_through(mailbox: StoredMailbox) -> None:
    fill(mailbox, *ALL)
    with pytest.raises(ZeroDivisionError):
        mailbox.matching(where=lambda message: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mailbox.one(subject=lambda subject: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mailbox.wait(where=lambda message: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mailbox.assert_none(where=lambda message: 1 / 0)
    with pytest.raises(ZeroDivisionError), mailbox.expect(where=lambda message: 1 / 0):
        fill(mailbox, make_message())


ASKING: list[tuple[str, Any]] = [
    ("matching", Mailbox.matching),
    ("take", Mailbox.take),
    ("one", Mailbox.one),
    ("wait", Mailbox.wait),
    ("expect", Mailbox.expect),
    ("assert_none", Mailbox.assert_none),
]


@pytest.mark.parametrize(
    ("criteria", "text"),
    [
        (
            {"subjekt": "x"},
            "unknown criterion 'subjekt' (did you mean 'subject'?); "
            "allowed are sender, to, subject, text, header, where",
        ),
        (
            {"recipient": "x"},
            "unknown criterion 'recipient' (did you mean 'to'?); "
            "allowed are sender, to, subject, text, header, where",
        ),
        (
            {"zzz": "x"},
            "unknown criterion 'zzz'; allowed are sender, to, subject, text, header, where",
        ),
        (
            {"to": 1},
            "criterion 'to': a pattern is a str (a glob), a re.Pattern or a callable, not int: 1",
        ),
        (
            {"subject": None},
            "criterion 'subject': a pattern is a str (a glob), a re.Pattern or a callable, "
            "not NoneType: None",
        ),
        (
            {"text": re.compile(b"x")},
            "criterion 'text': a pattern must be on str, not on bytes: re.compile(b'x')",
        ),
        (
            {"header": "X-Id"},
            "criterion 'header' takes a mapping such as {'X-Id': '42*'}, not 'X-Id'",
        ),
        ({"header": {1: "x"}}, "criterion 'header' takes header names as str, not 1"),
        (
            {"header": {"X-Id": 42}},
            "criterion 'header X-Id': a pattern is a str (a glob), a re.Pattern or a callable, "
            "not int: 42",
        ),
        ({"where": "x"}, "criterion 'where' takes a callable, not 'x'"),
    ],
)
@pytest.mark.parametrize(("name", "ask"), ASKING)
def test_bad_criteria_are_type_errors_at_once(
    mailbox: StoredMailbox, name: str, ask: Any, criteria: dict[str, Any], text: str
) -> None:
    with pytest.raises(TypeError) as caught:
        ask(mailbox, **criteria)
    assert str(caught.value) == text


@pytest.mark.parametrize("call", [Mailbox.one, Mailbox.matching, Mailbox.take])
@pytest.mark.parametrize(
    ("given", "example"),
    [
        (("bob@example.net",), "to='bob@example.net'"),
        (("Welcome", "more"), "to='ann@*'"),
        (({"to": "bob@*"},), "to='ann@*'"),
    ],
)
def test_a_positional_criterion_says_how_to_give_it(
    mailbox: StoredMailbox, call: Any, given: tuple[object, ...], example: str
) -> None:
    fill(mailbox, WELCOME)
    with pytest.raises(TypeError) as caught:
        call(mailbox, *given)
    assert str(caught.value) == (
        f"{call.__name__}() takes no positional argument, and was given {given[0]!r}; "
        f"criteria are given by keyword: {call.__name__}({example})"
    )


# --- one ---------------------------------------------------------------------------------------


def test_one_is_the_only_match(mailbox: StoredMailbox) -> None:
    fill(mailbox, WELCOME)
    assert mailbox.one() is WELCOME
    fill(mailbox, BOUNCE)
    assert mailbox.one(sender="") is BOUNCE


# --- save --------------------------------------------------------------------------------------


def test_save_writes_what_was_sent(mailbox: StoredMailbox, tmp_path: Path) -> None:
    fill(mailbox, *ALL)
    paths = mailbox.save(tmp_path / "deep" / "down")
    assert paths == [tmp_path / "deep" / "down" / f"000{number}.eml" for number in (1, 2, 3)]
    assert [path.read_bytes() for path in paths] == [message.raw for message in ALL]


def test_save_of_nothing_makes_the_directory(mailbox: StoredMailbox, tmp_path: Path) -> None:
    assert mailbox.save(str(tmp_path / "out")) == []
    assert (tmp_path / "out").is_dir()


def test_save_again_overwrites(mailbox: StoredMailbox, tmp_path: Path) -> None:
    fill(mailbox, WELCOME).save(tmp_path)
    mailbox.clear()
    (path,) = fill(mailbox, BARE).save(tmp_path)
    assert path.read_bytes() == BARE.raw
