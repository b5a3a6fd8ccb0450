"""The texts of the mailbox's errors: the author of a test reads them, so they are pinned."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from make_mail import StoredMailbox, make_message


@pytest.fixture
def mailbox() -> StoredMailbox:
    mailbox = StoredMailbox()
    mailbox.store.add(make_message("Welcome", to="ann@example.com", id="A1"))
    mailbox.store.add(
        make_message("Your order", to=("bob@example.com", "log@example.com"), id="B2")
    )
    mailbox.store.add(make_message("Undelivered", sender="", to="shop@example.com", id="C3"))
    return mailbox


WELCOME_LINE = "  [0] A1  shop@example.com -> ann@example.com  'Welcome'"
ORDER_LINE = "  [1] B2  shop@example.com -> bob@example.com, log@example.com  'Your order'"
BOUNCE_LINE = "  [2] C3  <> -> shop@example.com  'Undelivered'"


def no(message: object) -> bool:
    return False


def error_of(call: Callable[..., Any], *args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        call(*args, **kwargs)
    return str(caught.value).split("\n")


def test_the_nearest_say_what_they_fail(mailbox: StoredMailbox) -> None:
    assert error_of(mailbox.one, sender="shop@*", to="bob@*", subject="Your invoice") == [
        "0 messages match sender='shop@*', to='bob@*', subject='Your invoice'; expected exactly 1",
        "messages holds 3 messages, the nearest marked:",
        WELCOME_LINE,
        ORDER_LINE + "  <-- subject: 'Your order' does not match 'Your invoice'",
        BOUNCE_LINE,
    ]


def test_all_that_a_near_one_fails_is_said(mailbox: StoredMailbox) -> None:
    assert error_of(mailbox.one, to="ann@example.org", subject="Welcome!")[2:] == [
        WELCOME_LINE + "  <-- to: 'ann@example.com' does not match 'ann@example.org'; "
        "subject: 'Welcome' does not match 'Welcome!'",
        ORDER_LINE + "  <-- to: none of 'bob@example.com', 'log@example.com' matches "
        "'ann@example.org'; subject: 'Your order' does not match 'Welcome!'",
        BOUNCE_LINE + "  <-- to: 'shop@example.com' does not match 'ann@example.org'; "
        "subject: 'Undelivered' does not match 'Welcome!'",
    ]


def test_too_many_are_marked(mailbox: StoredMailbox) -> None:
    assert error_of(mailbox.one, sender="shop@*") == [
        "2 messages match sender='shop@*'; expected exactly 1",
        "messages holds 3 messages:",
        WELCOME_LINE + "  <-- matches",
        ORDER_LINE + "  <-- matches",
        BOUNCE_LINE + "  <-- sender: '' does not match 'shop@*'",
    ]


def test_without_criteria_there_is_nothing_to_mark(mailbox: StoredMailbox) -> None:
    assert error_of(mailbox.one) == [
        "3 messages; expected exactly 1",
        "messages holds 3 messages:",
        WELCOME_LINE,
        ORDER_LINE,
        BOUNCE_LINE,
    ]


@pytest.mark.parametrize(
    ("criteria", "asked", "mark"),
    [
        (
            {"text": "Hello Bob"},
            "text='Hello Bob'",
            r"text: 'Hello Ann,\nglad you are here.\n' does not contain 'Hello Bob'",
        ),
        (
            {"text": re.compile("Bob")},
            "text=re.compile('Bob')",
            r"text: 'Hello Ann,\nglad you are here.\n' does not match re.compile('Bob')",
        ),
        (
            {"text": "Bob", "to": "*"},
            "text='Bob', to='*'",
            r"text: 'Hello Ann,\nglad you are here.\n' does not contain 'Bob'",
        ),
        (
            {"header": {"X-Id": "42*"}},
            "header={'X-Id': '42*'}",
            "header X-Id: absent",
        ),
        (
            {"header": {"X-Tag": "blue"}},
            "header={'X-Tag': 'blue'}",
            "header X-Tag: none of 'red', 'green', 'grey' and 1 more matches 'blue'",
        ),
        (
            {"header": {"Subject": None}},
            "header={'Subject': None}",
            "header Subject: 'Welcome' should not be there",
        ),
        ({"where": no}, "where=no", "where: no returned false"),
        ({"subject": no}, "subject=no", "subject: 'Welcome' does not match no"),
    ],
)
def test_the_mark_of_each_criterion(criteria: dict[str, Any], asked: str, mark: str) -> None:
    mailbox = StoredMailbox()
    tags = (("X-Tag", "red"), ("X-Tag", "green"), ("X-Tag", "grey"), ("X-Tag", "white"))
    mailbox.store.add(make_message(id="A1", headers=tags))
    assert error_of(mailbox.one, **criteria) == [
        f"0 messages match {asked}; expected exactly 1",
        "messages holds 1 message:",
        f"{WELCOME_LINE}  <-- {mark}",
    ]


@pytest.mark.parametrize(
    ("criteria", "mark"),
    [
        ({"subject": "Welcome"}, "'Welcome to MyApp' does not match 'Welcome'"),
        ({"subject": "WELCOME"}, "'Welcome to MyApp' does not match 'WELCOME'"),
        ({"subject": "to MyApp?"}, None),
        ({"subject": "to*"}, "'Welcome to MyApp' does not match 'to*'"),
        ({"subject": ""}, None),
        ({"subject": "Bye"}, None),
        ({"subject": re.compile("^to")}, None),
        ({"text": "Bye"}, None),
        ({"to": "ann"}, "'ann@example.com' does not match 'ann'"),
        ({"header": {"X-Tag": "rk"}}, "none of 'dark red', 'red' matches 'rk'"),
    ],
)
def test_a_part_of_a_value_says_that_a_glob_is_over_the_whole(
    criteria: dict[str, Any], mark: str | None
) -> None:
    mailbox = StoredMailbox()
    tags = (("X-Tag", "dark red"), ("X-Tag", "red"))
    mailbox.store.add(make_message("Welcome to MyApp", headers=tags))
    said = error_of(mailbox.one, **criteria)[-1]
    if mark is None:
        assert "  <-- " in said
        assert "glob" not in said
        return
    ((name, asked),) = criteria.items()
    part = (asked["X-Tag"] if name == "header" else asked).strip("*")
    hint = f"(a str is a glob over the whole value: '*{part}*' would match)"
    assert said.endswith(f"{mark} {hint}")
    wider: Any = {"X-Tag": f"*{part}*"} if name == "header" else f"*{part}*"
    assert mailbox.one(**{name: wider}) is mailbox[0]


def test_both_bodies_are_shown() -> None:
    mailbox = StoredMailbox()
    mailbox.store.add(make_message(text="Hi", html="<p>" + "long " * 100))
    mark = error_of(mailbox.one, text="Bob")[2].partition("  <-- ")[2]
    assert re.fullmatch(r"text: none of 'Hi\\n', '<p>long .{1,40}\.\.\..* contains 'Bob'", mark)
    assert len(mark) < 120


def test_where_is_not_asked_again_for_the_error(mailbox: StoredMailbox) -> None:
    asked = []
    error_of(mailbox.one, sender="shop@*", where=lambda message: asked.append(message.id))
    assert asked == ["A1", "B2"]


def test_a_callable_that_raises_does_not_hide_the_error(mailbox: StoredMailbox) -> None:
    # Called only if the cheaper criteria hold; for the marks, also for the other messages.
    lines = error_of(
        mailbox.one, to="nobody@example.com", subject=lambda subject: {"Welcome": True}[subject]
    )
    assert lines[2] == (
        WELCOME_LINE + "  <-- to: 'ann@example.com' does not match 'nobody@example.com'"
    )
    assert lines[3] == ORDER_LINE


def test_an_empty_mailbox() -> None:
    assert error_of(StoredMailbox().one, to="ann@*") == [
        "0 messages match to='ann@*'; expected exactly 1",
        "messages is empty; wait() waits for mail that is still to come",
    ]


def test_the_hints_stand_at_the_end() -> None:
    mailbox = StoredMailbox("strays", hints=lambda: iter(["a session was refused", "smtpd has 2"]))
    for call, advice in (
        (mailbox.one, "; wait() waits for mail that is still to come"),
        (partial(mailbox.wait, timeout=0), ""),
    ):
        assert error_of(call)[1:] == [
            f"strays is empty{advice}",
            "a session was refused",
            "smtpd has 2",
        ]


def test_the_time_waited_is_said(mailbox: StoredMailbox) -> None:
    assert error_of(mailbox.wait, 3, timeout=0, to="*@example.com", sender="shop@*") == [
        "2 messages match to='*@example.com', sender='shop@*'; expected at least 3, waited 0 s",
        "messages holds 3 messages:",
        WELCOME_LINE + "  <-- matches",
        ORDER_LINE + "  <-- matches",
        BOUNCE_LINE + "  <-- sender: '' does not match 'shop@*'",
    ]
    first, *_ = error_of(mailbox.wait, 4, timeout=0.001)
    assert first == "3 messages; expected at least 4, waited 0.001 s"


def test_what_should_not_be_there_is_marked(mailbox: StoredMailbox) -> None:
    assert error_of(mailbox.assert_none, sender="") == [
        "1 message matches sender=''; expected none",
        "messages holds 3 messages:",
        WELCOME_LINE + "  <-- sender: 'shop@example.com' does not match ''",
        ORDER_LINE + "  <-- sender: 'shop@example.com' does not match ''",
        BOUNCE_LINE + "  <-- matches",
    ]
    first, *_ = error_of(mailbox.assert_none, within=60)
    assert first == "3 messages; expected none within 60 s"


def expect(mailbox: StoredMailbox, *late: Any, **criteria: Any) -> None:
    with mailbox.expect(timeout=0, **criteria):
        for message in late:
            mailbox.store.add(message)


def test_what_came_before_expect_is_told_apart(mailbox: StoredMailbox) -> None:
    late = make_message("Late", to="ann@example.org", id="D4")
    assert error_of(expect, mailbox, to="ann@example.com")[2:] == [
        WELCOME_LINE + "  <-- matches, but came before expect()",
        ORDER_LINE + "  <-- to: none of 'bob@example.com', 'log@example.com' "
        "matches 'ann@example.com'",
        BOUNCE_LINE + "  <-- to: 'shop@example.com' does not match 'ann@example.com'",
    ]
    assert error_of(expect, mailbox, late, to="ann@example.com", where=bool) == [
        "0 messages match to='ann@example.com', where=<class 'bool'>; "
        "expected at least 1, waited 0 s",
        "messages holds 4 messages, the first 3 from before expect(), the nearest marked:",
        WELCOME_LINE + "  <-- matches, but came before expect()",
        ORDER_LINE + "  <-- to: none of 'bob@example.com', 'log@example.com' "
        "matches 'ann@example.com'",
        BOUNCE_LINE,
        "  [3] D4  shop@example.com -> ann@example.org  'Late'  "
        "<-- to: 'ann@example.org' does not match 'ann@example.com'",
    ]
    lines = error_of(expect, mailbox, to="ann@example.com", where=lambda message: 1 / 0)
    before = "messages holds 4 messages, the first 4 from before expect(), the nearest marked:"
    assert lines[1] == before
    assert lines[2] == WELCOME_LINE + "  <-- where: ZeroDivisionError: division by zero"


def test_a_long_list_leaves_out_its_middle_but_not_the_nearest() -> None:
    mailbox = StoredMailbox()
    for number in range(500):
        name = "bob" if number == 400 else f"user{number}"
        mailbox.store.add(make_message("News", to=f"{name}@example.com", id=f"M{number}"))
    lines = error_of(mailbox.one, to="bob@example.com", subject="Newz")
    assert lines[1] == "messages holds 500 messages, the nearest marked:"
    shown = [re.match(r"  \[(\d+)\]|  \.\.\. \d+ more \.\.\.$", line) for line in lines[2:]]
    assert [match[1] or match[0].strip() for match in shown if match] == [
        *map(str, range(10)),
        "... 390 more ...",
        "400",
        "... 89 more ...",
        *map(str, range(490, 500)),
    ]
    assert [line for line in lines if "<--" in line] == [
        "  [400] M400  shop@example.com -> bob@example.com  'News'"
        "  <-- subject: 'News' does not match 'Newz'"
    ]


def test_a_typing_error_is_found_among_many() -> None:
    mailbox = StoredMailbox()
    for number in range(50):
        mailbox.store.add(make_message(f"Report {number}" if number != 25 else "Your invoice 7"))
    lines = error_of(mailbox.one, subject="Your invioce 7")
    marked = [line for line in lines if "<--" in line]
    assert len(marked) == 3
    wanted = "  <-- subject: 'Your invoice 7' does not match 'Your invioce 7'"
    assert any(line.endswith(wanted) for line in marked)


def test_of_many_that_fail_alike_the_newest_are_marked() -> None:
    mailbox = StoredMailbox()
    for number in range(30):
        mailbox.store.add(make_message(f"Report {number}"))
    lines = error_of(mailbox.one, subject=re.compile("invoice"))
    assert [line[:6] for line in lines if "<--" in line] == ["  [27]", "  [28]", "  [29]"]


def test_a_callable_that_changes_its_mind() -> None:
    mailbox = StoredMailbox()
    mailbox.store.add(make_message())
    answers = iter([False, True])
    lines = error_of(mailbox.one, subject=lambda subject: next(answers))
    assert lines[2].endswith("  <-- did not match when it came")


def test_many_matches_are_not_all_shown() -> None:
    mailbox = StoredMailbox()
    for number in range(500):
        mailbox.store.add(make_message(str(number)))
    lines = error_of(mailbox.one, sender="*")
    assert lines[0] == "500 messages match sender='*'; expected exactly 1"
    assert len(lines) == 2 + 21


def test_values_cannot_break_a_line() -> None:
    mailbox = StoredMailbox()
    mailbox.store.add(make_message(sender="a\n\x1b[2J@x", to="b\r\n@x", text="\x1b\n" * 1000))
    lines = error_of(mailbox.one, sender="?", to="?", text="nothing")
    assert len(lines) == 3
    assert "\x1b" not in "".join(lines)
    assert all(len(line) < 400 for line in lines)


# --- the traceback -----------------------------------------------------------------------------


def test_pytest_shows_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        from pytest_smtpd.mailbox.mailbox import Mailbox
        from pytest_smtpd.mailbox.store import Store

        def test_one():
            Mailbox(Store()).one(to="ann@*")

        def test_wait():
            Mailbox(Store()).wait(timeout=0.001)

        def test_expect():
            with Mailbox(Store()).expect(timeout=0.001):
                pass

        def test_none():
            Mailbox(Store()).assert_none(zzz=1)

        def test_index():
            Mailbox(Store())[0]

        def test_loop():
            async def main():
                Mailbox(Store()).wait()
            asyncio.run(main())
        """
    )
    result = pytester.runpytest_inprocess("--tb=short", "-p", "no:randomly", "-p", "no:asyncio")
    result.assert_outcomes(failed=6)
    output = result.stdout.str()
    assert "mailbox.py" not in output
    assert "matching.py" not in output
    assert "explaining.py" not in output
    assert "waiting.py" not in output
    result.stdout.fnmatch_lines(
        [
            "*: in test_one",
            '    Mailbox(Store()).one(to="ann@[*]")',
            "E   AssertionError: 0 messages match to='ann@[*]'; expected exactly 1",
            "E   messages is empty; wait() waits for mail that is still to come",
            "*: in test_wait",
            "*: in test_expect",
            "*: in test_none",
            "E   TypeError: unknown criterion 'zzz'; allowed are *",
            "*: in test_index",
            "E   IndexError: no message 0: messages is empty; *",
            "*: in test_loop",
            "*: in main",
            "E   RuntimeError: this would block the running asyncio event loop; "
            "use 'await mailbox.wait_async(...)'",
        ]
    )
