"""The option `addresses`, its grammar and what it shares with email-validator."""

from __future__ import annotations

import inspect
import smtplib
import subprocess
import sys
import tomllib
from pathlib import Path

import email_validator
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from client import Client
from pytest_smtpd import Server
from pytest_smtpd.mime import validator
from pytest_smtpd.smtp.addresses import is_postmaster, split, why_not

# ---- the grammar


@pytest.mark.parametrize(
    ("local", "domain"),
    [
        ("root", "localhost"),
        ("ann", "sub.test"),
        ("ann", "printer.local"),
        ("ann", "x.invalid"),
        ("ann", "1.2.3.4"),
        ("ann", "A--B.example"),
        ("ann", "xn--bcher-kva.example"),
        ("ann", "xn--no-punycode-at-all"),
        ("ann", "a" * 63 + ".example"),
        ("ann", "bücher.example"),
        ("jörg.用户", "例え。テスト"),
        ("a" * 65, "example.com"),
        ("a" * 250, "x.y"),
        ('""', "example.com"),
        ('" .@,\\"\\\\>ü"', "example.com"),
        ("ann", "[192.0.2.1]"),
        ("ann", "[010.0.00.255]"),
        ("ann", "[IPv6:::]"),
        ("ann", "[ipv6:2001:DB8::1]"),
        ("ann", "[IPv6:1:2:3:4:5:6:7:8]"),
        ("ann", "[IPv6:1:2:3:4:5:6:7::]"),
        ("ann", "[IPv6:1:2:3:4:5:6:192.0.2.1]"),
        ("ann", "[IPv6:::ffff:192.0.2.1]"),
        ("ann", "[x400:a@b]"),
        ("ann", "[-1:!]"),
    ],
)
def test_what_the_grammar_takes(local: str, domain: str) -> None:
    assert why_not(f"{local}@{domain}") is None
    assert split(f"{local}@{domain}") == (local, domain)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("joe", "no domain"),
        ("joe@", "no domain"),
        ('"joe@home"', "no domain"),
        ("", "no domain"),
        ("@example.com", "no local part"),
        ("ann..b@example.com", "misplaced dot in the local part"),
        (".ann@example.com", "misplaced dot in the local part"),
        ("ann.@example.com", "misplaced dot in the local part"),
        ("ann@home@example.com", "'@' in a local part without quotes"),
        ("ann(x)@example.com", "'(' in a local part without quotes"),
        ('a"b"@example.com', "'\"' in a local part without quotes"),
        ('"ann@example.com', "the local part lacks its closing quote"),
        ('"ann\\"@example.com', "the local part lacks its closing quote"),
        ('"ann"b@example.com', "the local part goes on behind its quote"),
        ("ann@example..com", "misplaced dot in the domain"),
        ("ann@.example.com", "misplaced dot in the domain"),
        ("ann@example.com.", "misplaced dot in the domain"),
        ("ann@-example.com", "a label of the domain begins or ends with a hyphen"),
        ("ann@example-.com", "a label of the domain begins or ends with a hyphen"),
        ("ann@exa_mple.com", "'_' in the domain"),
        ("ann@" + "a" * 64 + ".com", "a label of the domain is longer than 63 octets"),
        ("ann@[300.1.1.1]", "malformed address literal"),
        ("ann@[127.0.0]", "malformed address literal"),
        ("ann@[127.0.0.0001]", "malformed address literal"),
        ("ann@[127.0.0.1", "malformed address literal"),
        ("ann@[]", "malformed address literal"),
        ("ann@[nowhere]", "malformed address literal"),
        ("ann@[x-:y]", "malformed address literal"),
        ("ann@[x:]", "malformed address literal"),
        ("ann@[:y]", "malformed address literal"),
        ("ann@[IPv6:nonsense]", "malformed address literal"),
        ("ann@[IPv6:]", "malformed address literal"),
        ("ann@[IPv6:1:2:3:4:5:6:7]", "malformed address literal"),
        ("ann@[IPv6:1:2:3:4:5:6:7:8:9]", "malformed address literal"),
        ("ann@[IPv6:1::2::3]", "malformed address literal"),
        ("ann@[IPv6:192.0.2.1::]", "malformed address literal"),
        ("ann@[IPv6:fe80::1%eth0]", "malformed address literal"),
        ("ann\x9b@example.com", "a control character"),
        ('"ann\0"@example.com', "a control character"),
        ("a" * 251 + "@x.y", "more than 254 octets"),
        ("ü" * 126 + "@x.y", "more than 254 octets"),
        ("a" + "\u0301" * 31_800 + "@x.y", "more than 254 octets"),
    ],
)
def test_what_is_wrong(address: str, why: str) -> None:
    assert why_not(address) == why
    assert split(address) is None


# ---- beside email-validator

_LOOSEST = {
    "allow_domain_literal": True,
    "allow_quoted_local": True,
    "check_deliverability": False,
    "globally_deliverable": False,
    "test_environment": True,
}


def objection(address: str) -> str | None:
    """Of email-validator, as loose as the installed release can be about an address."""
    known = inspect.signature(email_validator.validate_email).parameters
    loosest = {name: value for name, value in _LOOSEST.items() if name in known}
    try:
        email_validator.validate_email(address, **loosest)
    except ValueError as error:
        return str(error)
    return None


_PIECES = st.lists(
    st.sampled_from(
        ["a", "Z", "9", "-", "--", ".", "@", '"', "\\", " ", "(", "[", "]", "IPv6:", "ipv6:", ":",
         "::", "1", "010", "255", "256", "1.2.3.4", "fe80", "é", "e\u0301", "用户", "xn--",
         "xn--bcher-kva", "ß", "。", "．", "－", "\u200d", "\xad", "\u0338", "_", "!", "\x9b",
         "\u2028", "a" * 40, "localhost", ".test", "example.com", "＠", "ſ", "1:2:3:4:5:6:7", "<"]
    )
    | st.characters(),
    max_size=12,
).map("".join)  # fmt: skip


@given(
    _PIECES
    | st.builds("{}@{}".format, _PIECES, _PIECES)
    | st.builds('"{}"@{}'.format, _PIECES, st.just("example.com") | _PIECES)
    | st.builds("ann@[{}]".format, _PIECES)
    | st.builds("ann@[IPv6:{}]".format, st.ip_addresses(v=6) | st.text("0123456789af:."))
    | st.emails()
)
@example('"\\ü"@example.com')
@example("ann@[IPv6:1:2:3:4:5:6:7::]")
@settings(deadline=None)
def test_what_email_validator_takes_the_grammar_takes(address: str) -> None:
    if objection(address) is None:
        assert why_not(address) is None


@pytest.mark.parametrize(
    ("address", "section"),
    [
        ("ann@localhost", "RFC 5321 2.3.5: any name of the grammar is a Domain"),
        ("ann@printer.local", "RFC 6761 2: special-use names are names"),
        ("ann@ab--c.example", "RFC 5321 4.1.2: Ldh-str; email-validator wants RFC 5890 2.3.1"),
        ("ann@xn--k", "RFC 5321 4.1.2: Ldh-str; email-validator decodes it"),
        ("ann@א1.1", "RFC 6531 3.3: U-label; email-validator asks IDNA 2008 and RFC 5893"),
        ("ann@example。", "RFC 6531 3.3: U-label; email-validator maps by UTS 46 first"),
        ('""@example.com', "RFC 5321 4.1.2: Quoted-string may be empty"),
        ("ann@[010.0.0.1]", "RFC 5321 4.1.3: Snum may begin with zeros"),
        ("ann@[x400:anything]", "RFC 5321 4.1.3: General-address-literal"),
        ("\u0301ann@example.com", "RFC 6531 3.3: UTF8-non-ascii; email-validator: first mark"),
        ("ann\u200b@example.com", "RFC 6531 3.3: UTF8-non-ascii; email-validator: unsafe"),
        ('"\u2028"@example.com', "RFC 6531 3.3: UTF8-non-ascii; email-validator: unsafe"),
    ],
)
def test_what_only_the_grammar_takes(address: str, section: str) -> None:
    assert objection(address) is not None
    assert why_not(address) is None


@pytest.mark.parametrize(
    "address",
    ["ann@localhost", "ann@x.test", "ann@mail.example", "ann@1.2.3.4", '"a b"@example.com',
     "ann@[192.0.2.1]", "ann@[IPv6:::1]", '"a@b"@[x:@]', "jörg@bücher.example"],
)  # fmt: skip
def test_addresses_that_problems_take_with_each_release(address: str) -> None:
    assert validator.objection(address, globally=False) is None


@pytest.mark.parametrize(
    "address",
    ["ann", "ann@", "ann@exa_mple.com", "ann@a..b", "a b@example.com", '"a"b@example.com',
     "ann@[300.1.1.1]", "ann@" + "a" * 64 + ".com", "ann@xn--k", "a" * 100_000 + "@example.com",
     "\u0301" * 31_800 + "@example.com"],
)  # fmt: skip
def test_addresses_that_problems_refuse_with_each_release(address: str) -> None:
    assert validator.objection(address, globally=False)


def test_defaults_that_an_application_changes_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (
        ("TEST_ENVIRONMENT", True),
        ("GLOBALLY_DELIVERABLE", False),
        ("ALLOW_QUOTED_LOCAL", True),
        ("ALLOW_DOMAIN_LITERAL", True),
    ):
        monkeypatch.setattr(email_validator, name, value, raising=False)
    for address in ("ann@test", "ann@host", '"a b"@python.org', "ann@[192.0.2.1]"):
        assert validator.objection(address, globally=True)


def test_an_application_may_pin_an_old_email_validator() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    lines = tomllib.loads(text)["project"]["dependencies"]
    [needed] = [each for each in map(Requirement, lines) if each.name == "email-validator"]
    for release in ("1.2.0", "1.2.1", "1.3.1", "2.0.0", "2.4.0"):
        assert needed.specifier.contains(release)


@pytest.mark.parametrize("mode", ["syntax", "strict", "any"])
def test_only_strict_imports_email_validator_and_before_there_are_clients(mode: str) -> None:
    program = f"""
import smtplib, sys
from pytest_smtpd import Server

with Server(addresses={mode!r}) as server:
    assert ("email_validator" in sys.modules) == ({mode!r} == "strict")
    with smtplib.SMTP(*server.address) as client:
        client.sendmail("ann@python.org", ["bob@python.org"], b"Subject: x\\n\\n")
assert ("email_validator" in sys.modules) == ({mode!r} == "strict")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


# ---- in a session


def test_a_refusal_says_what_is_missing_and_the_error_how_to_take_it() -> None:
    with Server() as server, smtplib.SMTP(*server.address) as client:
        client.ehlo()
        assert client.mail("root") == (501, b"5.1.7 Bad sender address syntax: no domain")
        client.mail("shop@example.org")
        assert client.rcpt("joe") == (501, b"5.1.3 Bad recipient address syntax: no domain")
        with pytest.raises(AssertionError) as raised:
            server.messages.one()
        hint = str(raised.value).splitlines()[-1]
        assert hint.startswith("refused: rcpt ")
        assert hint.endswith(
            ':<joe> -> 501 5.1.3 Bad recipient address syntax: no domain; addresses="any" takes it'
        )
    with Server(addresses="any") as server, smtplib.SMTP(*server.address) as client:
        client.sendmail("root", ["joe"], "Subject: x\n\n")
        assert server.messages.one().recipients == ("joe",)


def test_other_refusals_get_no_such_advice() -> None:
    with Server(reject_recipient="*") as server, smtplib.SMTP(*server.address) as client:
        client.ehlo()
        client.mail("shop@example.org")
        client.rcpt("joe@example.org")
        with pytest.raises(AssertionError) as raised:
            server.messages.one()
        assert "refused: " in str(raised.value) and "addresses=" not in str(raised.value)


def test_only_postmaster_is_postmaster() -> None:
    for address in ("postmaster", "PostMaster", "POSTMASTER@example.com"):
        assert is_postmaster(address)
    for address in ("poſtmaster", "poſtmaster@x", "postmaster@evil@blocked", "postmaster2", "@"):
        assert not is_postmaster(address)


@pytest.mark.parametrize("address", ["poſtmaster@example.com", "postmaster@evil@blocked"])
def test_who_looks_like_postmaster_is_refused_by_rules_and_callbacks(address: str) -> None:
    with Server(addresses="any", reject_recipient="*") as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com> SMTPUTF8")
        assert client.say(f"RCPT TO:<{address}>").startswith("553")
        assert client.say("RCPT TO:<postmaster@example.com>").startswith("250")
    asked: list[str] = []
    options = {"addresses": "any", "validate_recipient": asked.append}
    with Server(**options) as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com> SMTPUTF8")
        client.say(f"RCPT TO:<{address}>")
        client.say("RCPT TO:<Postmaster@example.com>")
    assert asked == [address]


@pytest.mark.parametrize("mode", ["syntax", "strict"])
def test_a_lookalike_of_postmaster_without_a_domain_is_malformed(mode: str) -> None:
    with Server(addresses=mode) as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<> SMTPUTF8")
        assert client.say("RCPT TO:<poſtmaster>").startswith("501 5.1.3")
