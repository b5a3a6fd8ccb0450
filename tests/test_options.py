"""The option table: names, defaults, what is allowed, what the errors say, text forms."""

from __future__ import annotations

import re
import ssl
import sys
from typing import Any

import pytest

from client import TEXT, Client
from pytest_smtpd import Options, Server, __version__
from pytest_smtpd.faults import Answer, Stall
from pytest_smtpd.options import DEFAULTS, OPTIONS, Option, merge
from pytest_smtpd.options.values import read
from pytest_smtpd.smtp.extensions import EXTENSIONS

DEFAULT_VALUES = {
    "host": "127.0.0.1",
    "port": 0,
    "unix_socket": None,
    "greeting_hostname": "localhost",
    "banner": f"pytest-smtpd {__version__}",
    "reject_host": None,
    "reject_sender": None,
    "reject_recipient": None,
    "validate_host": None,
    "validate_sender": None,
    "validate_recipient": None,
    "deliver": None,
    "deliver_mime": None,
    "trace_headers": False,
    "addresses": "syntax",
    "protocol": "smtp",
    "without_extensions": (),
    "max_size": 33_554_432,
    "max_recipients": 1000,
    "timeout": 300.0,
    "tls": None,
    "require_tls": False,
    "certificate": "valid",
    "ssl_context": None,
    "users": None,
    "auth_mechanisms": (
        *("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"),
    ),
    "require_auth": False,
    "auth_requires_tls": False,
    "faults": (),
    "seed": None,
    "strict": False,
    "ignore": (),
}


# ---- the table


def test_all_options_are_in_the_table() -> None:
    assert set(OPTIONS) == {*DEFAULT_VALUES, "extensions"}


@pytest.mark.parametrize("name", DEFAULT_VALUES)
def test_a_default(name: str) -> None:
    assert getattr(Options(), name) == DEFAULT_VALUES[name]
    assert getattr(Server().config, name) == DEFAULT_VALUES[name]


def test_all_extensions_are_offered_by_default() -> None:
    assert set(Options().extensions) >= {
        *("PIPELINING", "8BITMIME", "SIZE", "SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME"),
        *("ENHANCEDSTATUSCODES", "STARTTLS", "AUTH", "HELP"),
    }


def test_each_option_says_what_it_is() -> None:
    for option in OPTIONS.values():
        assert len(option.help) > 10


def test_a_row_has_no_misspelt_property() -> None:
    known = {*vars(Option), *vars(Option("text", None, "a row without any"))}
    assert {name for option in OPTIONS.values() for name in vars(option)} <= known


# ---- names


@pytest.mark.parametrize(
    ("elsewhere", "here"),
    [
        ("use_starttls", "tls='starttls'"),
        ("starttls", "tls='starttls'"),
        ("login_password", "users={'user': 'password'}"),
        ("enforce_auth", "require_auth=True with users={'user': 'password'}"),
        ("server_hostname", "greeting_hostname='mx.example'"),
    ],
)
def test_a_name_that_other_servers_use_leads_to_ours(elsewhere: str, here: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{elsewhere!r} (did you mean {here}?)")):
        Server(**{elsewhere: True})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_size", "set 'max_size' by Server.configure(max_size=...)"),
        ("port", "set 'port' in the marker or in Server(port=...), before the server runs"),
        ("tls", "set 'tls' in the marker or in Server(tls=...), before the server runs"),
        (
            "use_ssl",
            "unknown smtpd option 'use_ssl' (did you mean tls='implicit'?); "
            "options are set in the marker or in Server(...), before the server runs",
        ),
    ],
)
def test_an_option_cannot_be_assigned(name: str, text: str) -> None:
    server = Server()
    with pytest.raises(AttributeError, match=f"of a server: {re.escape(text)}$"):
        setattr(server, name, None)
    with pytest.raises(AttributeError, match=f"^Options are frozen: {re.escape(text)}$"):
        setattr(server.config, name, None)
    assert server.config == Options()
    server.note = "what is no option may be"  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [["shop:s3cret"], "shop:s3cret", "shop"])
def test_users_of_another_shape_see_an_example_and_not_their_password(value: object) -> None:
    with pytest.raises(ValueError, match="users") as caught:
        Server(users=value)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "smtpd option 'users': *** is not allowed: a mapping from at least one user to a password, "
        "such as {'user': 'password'}, or 'any', is wanted"
    )


def test_an_unknown_name_says_the_nearest() -> None:
    text = "unknown smtpd option 'reject_sendr' (did you mean 'reject_sender'?)"
    for make in (Server, Options, lambda **options: Server().configure(**options)):
        with pytest.raises(TypeError, match=re.escape(text)):
            make(reject_sendr="x")


def test_a_name_like_no_other_has_no_suggestion() -> None:
    with pytest.raises(
        TypeError, match=r"^unknown smtpd option 'qqqq'; pytest --markers lists them$"
    ):
        Server(qqqq=1)


# ---- values


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("host", 5, "str"),
        ("host", "a\nb", "control"),
        ("port", -1, "0"),
        ("port", 65536, "65535"),
        ("port", "25", "number"),
        ("port", True, "number"),
        ("unix_socket", "", "path"),
        ("unix_socket", 5, "path"),
        ("unix_socket", "a\0b", "control"),
        ("greeting_hostname", "", "host name"),
        ("greeting_hostname", "two words", "host name"),
        ("greeting_hostname", "mx.exämple", "ASCII"),
        ("banner", "a\r\nb", "control"),
        ("reject_host", "10.0.0.0/99", "10.0.0.0/99"),
        ("reject_sender", 5, "pattern"),
        ("reject_sender", [5], "pattern"),
        ("reject_sender", re.compile(b"x"), "pattern"),
        ("reject_sender", {"x": 250}, "400"),
        ("reject_sender", {"x": 999}, "400"),
        ("reject_sender", {"x": "hello"}, "SMTP reply"),
        ("reject_sender", {"x": "550 4.2.1 Busy"}, "another class"),
        ("reject_recipient", {5: 550}, "pattern"),
        ("validate_host", "x", "callable"),
        ("validate_sender", 5, "callable"),
        ("validate_recipient", [], "callable"),
        ("deliver", "x", "callable"),
        ("deliver_mime", object(), "callable"),
        ("trace_headers", "yes", "True"),
        ("trace_headers", 1, "True"),
        ("addresses", "strcit", "did you mean 'strict'"),
        ("protocol", "esmtp", "did you mean 'smtp'"),
        ("extensions", "SIZE", "did you mean ['SIZE']"),
        ("extensions", ["SIEZ"], "did you mean 'SIZE'"),
        ("without_extensions", ["PIPELINE"], "did you mean 'PIPELINING'"),
        ("max_size", 0, "1"),
        ("max_size", 1.5, "whole"),
        ("max_recipients", 0, "1"),
        ("timeout", 0, "above 0"),
        ("timeout", -1, "0"),
        ("users", {}, "at least one user"),
        ("timeout", "60", "seconds"),
        ("tls", "startls", "did you mean 'starttls'"),
        ("tls", True, "starttls"),
        ("require_tls", "yes", "True"),
        ("certificate", "expird", "did you mean 'expired'"),
        ("certificate", ("one",), "pair"),
        ("ssl_context", "x", "SSLContext"),
        ("users", {}, "mapping"),
        ("users", "ann", "any"),
        ("users", {"ann": ""}, "user 1: name and password must be non-empty strings"),
        ("users", {"ann": "x", "bob": 5}, "user 2: name and password must be"),
        ("auth_mechanisms", ["PLAN"], "did you mean 'PLAIN'"),
        ("require_auth", None.__class__, "True"),
        ("faults", [5], "not 5"),
        ("faults", "drop", "list of faults"),
        ("faults", Stall, "such as Stall(on='rcpt'), not its class"),
        ("seed", 1.5, "int"),
        ("strict", "violation", "did you mean 'violations'"),
        ("ignore", ["no-quite"], "did you mean 'no-quit'"),
        ("ignore", 5, "list"),
        ("ignore", [{}], "{} is no code of a violation or problem"),
        ("ignore", ["zzz"], "the page 'Violations and problems' of the docs lists them"),
    ],
)
def test_a_value_that_is_not_allowed(name: str, value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        Server(**{name: value})
    text = str(caught.value)
    assert name in text
    assert name == "users" or repr(value) in text
    server = Server()
    with pytest.raises(ValueError, match=re.escape(name)):
        server.configure(**{name: value})
    assert server.config == Options()


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({"require_tls": True}, "tls"),
        ({"require_auth": True}, "users"),
        ({"auth_requires_tls": True}, "tls"),
    ],
)
def test_a_pair_that_cannot_work(options: dict[str, Any], needs: str) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"'{name}' needs '{needs}', .*: add {needs}="):
        Server(**options)
    merge(options)  # one may come from ini, the other from a marker


@pytest.mark.parametrize(
    ("options", "lacks"),
    [
        ({"require_tls": True, "tls": "starttls", "without_extensions": ["STARTTLS"]}, "STARTTLS"),
        ({"require_auth": True, "users": "any", "extensions": ["HELP"]}, "AUTH"),
        ({"users": "any", "auth_mechanisms": ["SCRAM-SHA-256"]}, "'PLAIN'"),
        ({"users": {"u": "p"}, "auth_mechanisms": [], "require_auth": True}, "'PLAIN'"),
    ],
)
def test_what_would_leave_a_client_no_way(options: dict[str, Any], lacks: str) -> None:
    with pytest.raises(ValueError, match=lacks):
        Server(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"require_tls": True, "tls": "implicit", "without_extensions": ["STARTTLS"]},
        {"users": "any", "auth_mechanisms": []},
        {"users": {"u": "p"}, "auth_mechanisms": ["SCRAM-SHA-256"], "require_auth": True},
    ],
)
def test_what_leaves_one(options: dict[str, Any]) -> None:
    assert Server(**options).config


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(ValueError, match="is not allowed") as caught:
        Server(reject_sender=[f"user{number}@example.com" for number in range(1000)] + [5])
    assert len(str(caught.value)) < 400


def test_a_wrong_user_shows_no_password() -> None:
    with pytest.raises(ValueError, match="users") as caught:
        Server(users={"ann": "s3cr3t", "bob": 5})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("extensions", ["size", "dsn", "SIZE"], ("SIZE", "DSN")),
        ("extensions", (), ()),
        ("without_extensions", {"DSN"}, ("DSN",)),
        ("reject_sender", ["a", "b"], ("a", "b")),
        ("reject_sender", iter(["a", "b"]), ("a", "b")),
        ("timeout", 5, 5.0),
        pytest.param("timeout", 10**400, sys.float_info.max, id="timeout-huge"),
        ("timeout", float("inf"), float("inf")),
        ("faults", Stall(on="noop"), (Stall(on="noop"),)),
        ("ignore", "no-quit", ("no-quit",)),
        ("users", "any", "any"),
        ("users", {"ann": "x"}, {"ann": "x"}),
        ("certificate", ["a.pem", "b.pem"], ("a.pem", "b.pem")),
        ("auth_mechanisms", ["login"], ("LOGIN",)),
        ("strict", "problems", "problems"),
    ],
)
def test_a_value_as_it_is_kept(name: str, value: Any, kept: Any) -> None:
    assert getattr(Server(**{name: value}).config, name) == kept


def test_an_own_ssl_context() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert Server(ssl_context=context, tls="starttls").config.ssl_context is context


def test_none_restores_a_default_in_a_merge() -> None:
    base = merge({"timeout": 5, "reject_sender": "x", "banner": "b"})
    assert merge({"timeout": None, "reject_sender": None, "banner": None}, base) == DEFAULTS
    assert merge({}, base) is base


@pytest.mark.parametrize("name", ["max_size", "max_recipients"])
def test_none_is_no_limit(name: str) -> None:
    server = Server(**{name: None})
    assert getattr(server.config, name) is None
    server.configure(**{name: 5})
    server.configure(**{name: None})  # there it restores the default
    assert server.config == Options()


# ---- Options


def test_options_are_frozen_and_comparable() -> None:
    options = Options(timeout=5)
    with pytest.raises(AttributeError, match="frozen"):
        options.timeout = 6  # type: ignore[misc]
    with pytest.raises(AttributeError, match="did you mean 'timeout'"):
        options.timeot = 6  # type: ignore[attr-defined]
    assert options == Options(timeout=5.0)
    assert options != Options()
    with pytest.raises(TypeError):
        hash(options)


def test_nothing_in_them_changes() -> None:
    options = Options(timeout=5, users={"ann": "secret"})
    with pytest.raises(AttributeError, match="frozen"):
        del options.timeout
    with pytest.raises(TypeError):
        options.users["zoe"] = "z"  # type: ignore[index]
    assert options == Options(timeout=5, users={"ann": "secret"})


def test_what_they_were_made_of_may_change() -> None:
    rules, users = {"denied@*": 553}, {"ann": "secret"}
    with Server(reject_sender=rules, users=users) as server, Client(server) as client:
        rules["ann@*"] = rules["denied@*"] = 450
        users["zoe"] = "z"
        assert server.config.reject_sender == {"denied@*": 553}
        assert server.config.users == {"ann": "secret"}
        server.configure(banner="other")  # makes new ones of the old
        client.ehlo()
        assert client.say("AUTH PLAIN AHpvZQB6").startswith("535")
        assert client.say("MAIL FROM:<denied@example.com>").startswith("553")
        assert client.say("MAIL FROM:<ann@example.com>").startswith("250")


def test_the_repr_shows_what_is_not_the_default() -> None:
    assert repr(Options()) == "Options()"
    text = repr(Options(users={"ann": "s3cr3t"}, max_size=10))
    assert text == "Options(max_size=10, users={'ann': '***'})"


# ---- text forms


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "2525", 2525),
        ("max_size", "1_000", 1000),
        ("max_size", "none", None),
        ("timeout", "1.5", 1.5),
        ("trace_headers", "true", True),
        ("trace_headers", "off", False),
        ("strict", "violations", "violations"),
        ("tls", "starttls", "starttls"),
        ("tls", "None", None),
        ("certificate", "a.pem, b.pem", ("a.pem", "b.pem")),
        ("certificate", "expired", "expired"),
        ("users", ["ann:s:x", "bob:y"], {"ann": "s:x", "bob": "y"}),
        ("users", ["any"], "any"),
        ("reject_sender", ["a@*", "b@*=450", "c=d@*", "e@*=450 4.2.1 Busy"],
         {"a@*": None, "b@*": "450", "c=d@*": None, "e@*": "450 4.2.1 Busy"}),
        ("without_extensions", ["DSN, SIZE", "HELP"], ("DSN", "SIZE", "HELP")),
        ("ignore", ["no-quit bare-lf", ""], ("no-quit", "bare-lf")),
    ],
)  # fmt: skip
def test_a_text_form(name: str, text: Any, value: Any) -> None:
    given = read(name, text)
    kept = getattr(merge({name: given}), name)
    assert kept == value


@pytest.mark.parametrize(
    ("name", "text"), [("port", "smtp"), ("timeout", "soon"), ("trace_headers", "maybe")]
)
def test_a_text_that_says_nothing(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        merge({name: read(name, text)})
    with pytest.raises(ValueError, match="NAME:PASSWORD"):
        read("users", ["ann"])


# ---- what some of them do


def test_greeting_hostname_and_banner() -> None:
    with (
        Server(greeting_hostname="mx.example", banner="hello there") as server,
        Client(server) as client,
    ):
        date = r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}"
        assert re.fullmatch(rf"220 mx\.example ESMTP hello there; {date}", client.greeting)
        assert client.say("EHLO me").startswith("250-mx.example\n")
        assert client.say("QUIT").startswith("221 2.0.0 mx.example ")
    with Server(banner="my ESMTP service") as server, Client(server) as client:
        assert "220 localhost my ESMTP service; " in client.greeting


def test_no_extensions_at_all() -> None:
    with Server(extensions=()) as server, Client(server) as client:
        assert "ESMTP" not in client.greeting
        assert client.say("EHLO me").startswith("502")
        assert client.say("HELO me") == "250 localhost"
        assert client.deliver() == f"250 OK: queued as {server.messages[0].id}"


@pytest.mark.parametrize("extension", ["PIPELINING", "8BITMIME", "SIZE", "SMTPUTF8", "DSN", "HELP"])
def test_an_extension_left_out(extension: str) -> None:
    with Server(without_extensions=[extension.lower()]) as server, Client(server) as client:
        assert extension not in client.say("EHLO me").split()


def test_max_recipients() -> None:
    with Server(max_recipients=2) as server, Client(server) as client:
        client.ehlo().say("MAIL FROM:<ann@example.com>")
        replies = [client.say(f"RCPT TO:<{each}@example.net>")[:9] for each in "abc"]
        assert replies == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]
        assert client.say("DATA").startswith("354")
        assert client.say(f"{TEXT}.").startswith("250")
        assert len(server.messages[0].recipients) == 2


def test_max_size() -> None:
    with Server(max_size=100) as server, Client(server) as client:
        assert "SIZE 100" in client.say("EHLO me")
        assert client.say("MAIL FROM:<a@b.example> SIZE=101").startswith("552 5.3.4")
        assert client.deliver("x" * 98 + "\r\n").startswith("250")
        assert client.deliver("x" * 99 + "\r\n").startswith("552 5.3.4")
        assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("addresses", "address", "reply"),
    [
        ("syntax", "ann@localhost", "250"),
        ("syntax", "ann@sub.test", "250"),
        ("syntax", "ann@printer.local", "250"),
        ("syntax", "ann@x.invalid", "250"),
        ("syntax", '"a b"@example.com', "250"),
        ("syntax", "ann@[127.0.0.1]", "250"),
        ("syntax", "ann@[IPv6:::1]", "250"),
        ("syntax", "ann@-x.example", "501 5.1.7"),
        ("syntax", "a..b@example.com", "501 5.1.7"),
        ("strict", "ann@python.org", "250"),
        ("strict", "ann@localhost", "553 5.1.7"),
        ("strict", "ann@[127.0.0.1]", "553 5.1.7"),
        ("strict", '"a b"@python.org', "553 5.1.7"),
        ("strict", "", "250"),
        ("any", "ann@-x.example", "250"),
    ],
)
def test_addresses(addresses: str, address: str, reply: str) -> None:
    with Server(addresses=addresses) as server, Client(server) as client:
        client.ehlo()
        assert client.say(f"MAIL FROM:<{address}>").startswith(reply)
        if address and reply != "250":
            client.say("MAIL FROM:<>")
            recipient = client.say(f"RCPT TO:<{address}>")
            assert recipient.startswith(reply.replace("5.1.7", "5.1.3"))


def test_trace_headers() -> None:
    with Server(trace_headers=True, greeting_hostname="mx.example") as server:
        with Client(server) as client:
            client.ehlo().deliver(TEXT, "ann@example.com", "bob@example.net")
        (message,) = server.messages
        lines = message.raw.decode().split("\r\n")
        assert lines[0] == "Return-Path: <ann@example.com>"
        assert lines[1].startswith("Received: from client.example ([127.0.0.1])")
        assert f"by mx.example with ESMTP id {message.id}" in message["Received"]
        assert message["Return-Path"] == "<ann@example.com>"


def test_an_option_may_be_used_by_several_servers() -> None:
    faults = [Answer(451, on="noop", times=1)]
    with Server(faults=faults) as one, Server(faults=faults) as other:
        for server in (one, other):
            with Client(server) as client:
                client.ehlo()
                assert [client.say("NOOP")[:3] for _ in range(2)] == ["451", "250"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("timeout", 300), ("host", "".join(["127.0.", "0.1"])), ("extensions", list(EXTENSIONS))],
)
def test_a_default_that_is_given_makes_no_difference(name: str, value: object) -> None:
    assert Options(**{name: value}) == Options()
    server = Server(**{name: value})
    assert server.config == Options()
    assert repr(server.config) == "Options()"
