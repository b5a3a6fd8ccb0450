"""Globs, regular expressions, callables and networks."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_smtpd.clock import monotonic
from pytest_smtpd.patterns import (
    compile_glob,
    compile_host_pattern,
    compile_pattern,
    describe_pattern,
    nearest,
)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("ann@example.com", ["ann@example.com", "ANN@Example.COM"], ["xann@example.com", "ann@"]),
        ("denied@*", ["denied@example.com", "denied@"], ["not.denied@example.com", "denied"]),
        ("*@blocked.example", ["a@blocked.example", "@BLOCKED.example"], ["a@blocked.example.com"]),
        ("*", ["", "anything", "two\nlines"], []),
        ("**", ["", "anything"], []),
        ("", [""], ["x"]),
        ("?", ["x", "\n"], ["", "xy"]),
        ("a?c*", ["abc", "aXcd"], ["ac", "abd"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba", "a", "b"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*ab*ab*", ["abab", "ab-ab"], ["aba", "ab"]),
        ("*ab?", ["xabab!"], ["ab"]),
        ("[ann]@*", ["[ann]@example.com"], ["a@example.com"]),
        ("a+b.c@*", ["a+b.c@x"], ["aab.c@x", "a+bxc@x"]),
        (r"\*", ["\\", r"\x"], ["*"]),
        (r"\?", [r"\x"], ["?", "\\"]),
        ("ÄRGER@*", ["ärger@x"], ["arger@x"]),
        ("(", ["("], [""]),
    ],
)
def test_a_glob_is_over_the_whole_value(glob: str, matching: list[str], others: list[str]) -> None:
    matches = compile_pattern(glob)
    assert [text for text in matching + others if matches(text)] == matching


@settings(deadline=None)
@given(st.text("ab*?\n", max_size=8), st.text("ab\n", max_size=12))
def test_a_glob_matches_what_the_textbook_says(glob: str, text: str) -> None:
    # None of these characters is special to fnmatch but not to us.
    assert compile_glob(glob)(text) == fnmatchcase(text, glob)
    assert compile_glob(glob, anywhere=True)(text) == fnmatchcase(text, f"*{glob}*")


@pytest.mark.parametrize(
    "glob", ["*a" * 30 + "b", "*a*" * 30 + "b", "*?a" * 30 + "b*", "a*" * 30 + "?b"]
)
def test_a_glob_takes_no_exponential_time(glob: str) -> None:
    started = monotonic()
    assert not compile_pattern(glob)("a" * 20_000)
    assert monotonic() - started < 2


def test_anywhere_in_a_value() -> None:
    matches = compile_glob("order ?? shipped", anywhere=True)
    assert matches("Your Order\n42 was") is False
    assert matches("Your Order 42 Shipped today")


def test_a_regular_expression_is_searched_with_its_own_flags() -> None:
    matches = compile_pattern(re.compile(r"\d{3}"))
    assert matches("order 123 is here")
    assert not matches("order 12")
    assert not compile_pattern(re.compile("ann"))("ANN")


def test_a_callable_is_asked() -> None:
    assert compile_pattern(lambda text: text.count("@"))("a@b") is True
    assert compile_pattern(lambda text: text.count("@"))("a") is False


def test_what_a_callable_raises_comes_through() -> None:
    def pattern(text: str) -> bool:
        raise KeyError(text)

    with pytest.raises(KeyError, match="ann"):
        compile_pattern(pattern)("ann")


@pytest.mark.parametrize("value", [None, 1, True, b"denied@*", ["denied@*"]])
def test_anything_else_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError) as caught:
        compile_pattern(value)
    assert str(caught.value) == (
        "a pattern is a str (a glob), a re.Pattern or a callable, "
        f"not {type(value).__name__}: {value!r}"
    )


def test_a_pattern_on_bytes_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="on str, not on bytes"):
        compile_pattern(re.compile(b"denied"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("10.*", ["10.1.2.3", "::ffff:10.1.2.3"], ["110.1.2.3", "::1", ""]),
        ("127.0.0.1", ["127.0.0.1", "::FFFF:127.0.0.1"], ["127.0.0.11"]),
        ("10.0.0.0/8", ["10.0.0.0", "10.255.1.2", "::ffff:10.1.2.3"], ["11.0.0.1", "::1", "", "x"]),
        ("10.1.2.3/8", ["10.9.9.9"], ["11.1.2.3"]),
        ("2001:db8::/32", ["2001:db8::1", "2001:DB8:1::"], ["2001:db9::1", "10.1.2.3"]),
        ("fe80::/10", ["fe80::1", "fe80::1%eth0"], ["::1"]),
        ("::ffff:0:0/96", ["::ffff:10.1.2.3"], ["10.1.2.3"]),
        ("0:0:0:0:0:0:0:1", ["::1"], ["::2", "", "/tmp/socket"]),
        ("2001:db8:*", ["2001:db8::1"], ["2001:db9::1"]),
        ("a:b", ["a:b"], ["::1"]),
        ("*", ["127.0.0.1", "::1", ""], []),
        (re.compile(r"^10\."), ["10.1.2.3", "::ffff:10.1.2.3"], ["110.1.2.3"]),
        (lambda host: host == "::1", ["::1"], ["127.0.0.1"]),
    ],
)
def test_hosts(pattern: Any, matching: list[str], others: list[str]) -> None:
    matches = compile_host_pattern(pattern)
    assert [host for host in matching + others if matches(host)] == matching


@pytest.mark.parametrize("value", ["10.0.0.0/33", "example.com/8", "10.*/8", "/"])
def test_a_bad_network_is_a_value_error(value: str) -> None:
    text = f"a network such as '10.0.0.0/8' is wanted, not {value!r}"
    with pytest.raises(ValueError, match=re.escape(text)):
        compile_host_pattern(value)


def test_a_bad_host_pattern_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="not int: 10"):
        compile_host_pattern(10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("reject_sendr", " (did you mean 'reject_sender'?)"),
        ("Reject_Host", " (did you mean 'reject_host'?)"),
        ("zzz", ""),
    ],
)
def test_the_nearest_name(name: str, text: str) -> None:
    assert nearest(name, ["reject_host", "reject_sender", "timeout"]) == text


def test_patterns_in_words() -> None:
    assert describe_pattern("a*") == "'a*'"
    assert describe_pattern(re.compile("a")) == "re.compile('a')"
    assert describe_pattern(str.isdigit) == "str.isdigit"
    assert describe_pattern(int) == "<class 'int'>"
