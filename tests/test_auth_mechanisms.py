"""The SASL mechanisms, driven octet by octet: each exchange right, wrong, malformed and unknown."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_smtpd.smtp.auth.base import Challenge, Failure, Mechanism, Success, Users
from pytest_smtpd.smtp.auth.mechanisms import MECHANISMS, offered
from pytest_smtpd.smtp.auth.sasl import saslprep
from pytest_smtpd.smtp.auth.scram import ScramSHA256
from pytest_smtpd.smtp.extensions import MECHANISMS as NAMES

PASSWORD = "s3kr1t-Pa55"
USERS = {"ann": PASSWORD, "bob": "hunter2"}
REFUSED = Failure()
MALFORMED = Failure(malformed=True)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CLIENT_FIRST = ["PLAIN", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"]


def make(name: str, users: Users = USERS) -> Mechanism:
    return MECHANISMS[name](users, hostname="localhost", nonce=lambda: "nonce")


def run(mechanism: Mechanism, initial: bytes | None, *answers: bytes) -> list[object]:
    steps: list[object] = [mechanism.start(initial)]
    steps += [mechanism.respond(answer) for answer in answers]
    return steps


def data(step: object) -> bytes:
    assert isinstance(step, Challenge)
    return step.data


# --- what all of them share ---------------------------------------------------------------------


def test_mechanisms_come_in_the_order_of_the_default() -> None:
    assert (
        list(MECHANISMS)
        == list(NAMES)
        == [
            "PLAIN",
            "LOGIN",
            "CRAM-MD5",
            "SCRAM-SHA-256",
            "XOAUTH2",
            "OAUTHBEARER",
        ]
    )
    assert {name: kind.name for name, kind in MECHANISMS.items()} == {n: n for n in MECHANISMS}


def test_those_that_show_the_password_are_marked() -> None:
    assert [name for name, kind in MECHANISMS.items() if not kind.cleartext] == [
        "CRAM-MD5",
        "SCRAM-SHA-256",
    ]


def test_scram_is_not_offered_where_any_credentials_do() -> None:
    names = ["SCRAM-SHA-256", "PLAIN", "CRAM-MD5"]
    assert offered(names, USERS) == ("SCRAM-SHA-256", "PLAIN", "CRAM-MD5")
    assert offered(names, {}) == ("SCRAM-SHA-256", "PLAIN", "CRAM-MD5")
    assert offered(names, "any") == ("PLAIN", "CRAM-MD5")


@pytest.mark.parametrize("name", CLIENT_FIRST)
def test_without_an_initial_response_the_first_challenge_is_empty(name: str) -> None:
    assert make(name).start(None) == Challenge(b"")


@pytest.mark.parametrize("name", MECHANISMS)
def test_after_the_end_nothing_is_taken(name: str) -> None:
    mechanism = make(name)
    step = mechanism.start(b"\xff")
    assert step == MALFORMED
    assert mechanism.respond(b"\0ann\0" + PASSWORD.encode()) == MALFORMED


@pytest.mark.parametrize("name", MECHANISMS)
def test_no_secret_is_in_any_repr(name: str) -> None:
    mechanism = make(name)
    steps = run(mechanism, None, PASSWORD.encode(), PASSWORD.encode())
    assert PASSWORD not in repr((mechanism, steps))
    assert "hidden" not in repr(Challenge(b"hidden"))


@pytest.mark.parametrize("users", [USERS, "any"])
@pytest.mark.parametrize("name", MECHANISMS)
@UNHURRIED
@given(
    initial=st.none() | st.binary(),
    answers=st.lists(st.binary() | st.text("nar=,cpmy\x01\0 ", max_size=40).map(str.encode)),
)
def test_no_octets_raise_or_open_the_door(
    name: str, users: Users, initial: bytes | None, answers: list[bytes]
) -> None:
    for step in run(make(name, users), initial, *answers):
        assert isinstance(step, Challenge | Success | Failure)
        assert users == "any" or not isinstance(step, Success)


# --- PLAIN --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "step"),
    [
        (b"\0ann\0s3kr1t-Pa55", Success("ann")),
        (b"ann\0ann\0s3kr1t-Pa55", Success("ann")),
        (b"bob\0ann\0s3kr1t-Pa55", REFUSED),
        (b"\0ann\0wrong", REFUSED),
        (b"\0ann\0hunter2", REFUSED),
        (b"\0ann\0", REFUSED),
        (b"\0\0", REFUSED),
        (b"\0eve\0s3kr1t-Pa55", REFUSED),
        (b"\0ANN\0s3kr1t-Pa55", REFUSED),
        (b"", MALFORMED),
        (b"ann s3kr1t-Pa55", MALFORMED),
        (b"ann\0s3kr1t-Pa55", MALFORMED),
        (b"\0ann\0s3kr1t-Pa55\0", MALFORMED),
        (b"\0ann\0\xff", MALFORMED),
    ],
)
def test_plain(message: bytes, step: object) -> None:
    assert run(make("PLAIN"), message) == [step]
    assert run(make("PLAIN"), None, message) == [Challenge(b""), step]


def test_plain_accepts_any_credentials_but_no_empty_name() -> None:
    assert make("PLAIN", "any").start(b"\0eve\0whatever") == Success("eve")
    assert make("PLAIN", "any").start(b"\0eve\0") == Success("eve")
    assert make("PLAIN", "any").start(b"\0\0whatever") == REFUSED
    assert make("PLAIN", "any").start(b"mallory\0eve\0whatever") == REFUSED


def test_plain_compares_prepared_text() -> None:
    users = {"J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen": "\N{ROMAN NUMERAL NINE}"}
    message = "\0Ju\N{COMBINING DIAERESIS}rgen\0IX".encode()
    assert make("PLAIN", users).start(message) == Success("J\xfcrgen")


def test_an_emoji_password_works_as_it_stands() -> None:
    users = {"ann": "\N{ROCKET}"}
    assert make("PLAIN", users).start("\0ann\0\N{ROCKET}".encode()) == Success("ann")
    assert make("PLAIN", users).start(b"\0ann\0") == REFUSED


# --- LOGIN --------------------------------------------------------------------------------------


def test_login_prompts_for_name_and_password() -> None:
    user, password = Challenge(b"Username:"), Challenge(b"Password:")
    assert run(make("LOGIN"), None, b"ann", PASSWORD.encode()) == [user, password, Success("ann")]
    assert run(make("LOGIN"), b"ann", PASSWORD.encode()) == [password, Success("ann")]


@pytest.mark.parametrize(
    ("answers", "step"),
    [
        ([b"ann", b"wrong"], REFUSED),
        ([b"eve", b"s3kr1t-Pa55"], REFUSED),
        ([b"", b""], REFUSED),
        ([b"\xff"], MALFORMED),
        ([b"ann", b"\xff"], MALFORMED),
    ],
)
def test_login_refuses(answers: list[bytes], step: object) -> None:
    assert run(make("LOGIN"), None, *answers)[-1] == step
    assert run(make("LOGIN"), *answers)[-1] == step


def test_login_accepts_any_credentials() -> None:
    assert run(make("LOGIN", "any"), b"eve", b"whatever")[-1] == Success("eve")


# --- CRAM-MD5 -----------------------------------------------------------------------------------


def test_cram_md5_example_of_rfc_2195() -> None:
    mechanism = MECHANISMS["CRAM-MD5"](
        {"tim": "tanstaaftanstaaf"},
        hostname="postoffice.reston.mci.net",
        nonce=lambda: "1896.697170952",
    )
    assert mechanism.start(None) == Challenge(b"<1896.697170952@postoffice.reston.mci.net>")
    assert mechanism.respond(b"tim b913a602c7eda7a495b4e6e7334d3890") == Success("tim")


def cram(password: str, user: str = "ann") -> bytes:
    digest = hmac.new(password.encode(), b"<nonce@localhost>", "md5").hexdigest()
    return f"{user} {digest}".encode()


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (cram(PASSWORD), Success("ann")),
        (cram(PASSWORD)[:4] + cram(PASSWORD)[4:].upper(), Success("ann")),
        (cram("wrong"), REFUSED),
        (cram("hunter2"), REFUSED),
        (cram(PASSWORD, "eve"), REFUSED),
        (cram(PASSWORD, ""), REFUSED),
        (b"", MALFORMED),
        (b"ann", MALFORMED),
        (b"ann 0123", MALFORMED),
        (cram(PASSWORD) + b"\n", MALFORMED),
        (b"\xff " + cram(PASSWORD)[4:], MALFORMED),
    ],
)
def test_cram_md5(answer: bytes, step: object) -> None:
    assert run(make("CRAM-MD5"), None, answer) == [Challenge(b"<nonce@localhost>"), step]


def test_cram_md5_takes_a_name_with_spaces_and_a_password_in_either_form() -> None:
    password = "\N{ROMAN NUMERAL NINE}"
    users = {"ann lee": password}
    for sent in (password, "IX"):
        steps = run(make("CRAM-MD5", users), None, cram(sent, "ann lee"))
        assert steps[-1] == Success("ann lee")


def test_cram_md5_has_no_initial_response() -> None:
    assert run(make("CRAM-MD5"), cram(PASSWORD), cram(PASSWORD)) == [MALFORMED, MALFORMED]
    assert make("CRAM-MD5").start(b"") == MALFORMED


def test_cram_md5_accepts_any_well_formed_answer() -> None:
    assert run(make("CRAM-MD5", "any"), None, cram("whatever", "eve"))[-1] == Success("eve")
    assert run(make("CRAM-MD5", "any"), None, b"eve")[-1] == MALFORMED


def test_challenges_differ_from_exchange_to_exchange() -> None:
    cram = MECHANISMS["CRAM-MD5"]
    challenges = {data(cram(USERS, hostname="localhost").start(None)) for _ in range(3)}
    assert len(challenges) == 3


# --- SCRAM-SHA-256 ------------------------------------------------------------------------------


def test_scram_example_of_rfc_7677() -> None:
    mechanism = ScramSHA256(
        {"user": "pencil"},
        hostname="localhost",
        nonce=lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        salt=lambda user: base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="),
    )
    assert mechanism.start(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == Challenge(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    verifier = Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert mechanism.respond(final) == verifier
    assert mechanism.respond(b"") == Success("user")


class ScramClient:
    """The client's side, written from RFC 5802 section 3 and able to lie in each field."""

    def __init__(self, user: str = "ann", password: str = PASSWORD, header: str = "n,,") -> None:
        self.password = password
        self.header = header
        self.bare = f"n={user},r=clientnonce"

    def first(self) -> bytes:
        return (self.header + self.bare).encode()

    def final(self, server_first: bytes, *, binding: str = "", extra: str = "") -> bytes:
        nonce, salt, iterations = (part[2:] for part in server_first.decode().split(","))
        bound = base64.b64encode((binding or self.header).encode()).decode()
        unproven = f"c={bound},r={nonce}{extra}"
        signed = f"{self.bare},{server_first.decode()},{unproven}".encode()
        salted = hashlib.pbkdf2_hmac(
            "sha256", self.password.encode(), base64.b64decode(salt), int(iterations)
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.verifier = base64.b64encode(hmac.digest(server_key, signed, "sha256"))
        return f"{unproven},p={base64.b64encode(proof).decode()}".encode()


def scram(client: ScramClient, users: Users = USERS, **lies: str) -> object:
    """Run the whole exchange; the last step."""
    mechanism = make("SCRAM-SHA-256", users)
    step = mechanism.start(client.first())
    if not isinstance(step, Challenge):
        return step
    step = mechanism.respond(client.final(step.data, **lies))
    if not isinstance(step, Challenge):
        return step
    assert step.data == b"v=" + client.verifier
    return mechanism.respond(b"")


@pytest.mark.parametrize("header", ["n,,", "y,,", "n,a=ann,", "y,a=ann,"])
def test_scram_succeeds_and_proves_the_server(header: str) -> None:
    assert scram(ScramClient(header=header)) == Success("ann")


def test_scram_takes_unknown_extensions() -> None:
    client = ScramClient()
    client.bare += ",x=whatever,y=a=b"
    assert scram(client, extra=",x=more") == Success("ann")


@pytest.mark.parametrize(
    "client",
    [
        ScramClient(password="wrong"),
        ScramClient(password="hunter2"),
        ScramClient(user="eve"),
        ScramClient(header="n,a=bob,"),
        ScramClient(header="p=tls-unique,,"),
    ],
    ids=["wrong", "of-another", "unknown", "for-another", "channel-binding"],
)
def test_scram_refuses(client: ScramClient) -> None:
    assert scram(client) == REFUSED


def test_scram_refuses_another_channel_binding_in_the_end() -> None:
    assert scram(ScramClient(), binding="y,,") == REFUSED


@pytest.mark.parametrize("place", ["start", "later", "end"])
def test_scram_refuses_mandatory_extensions(place: str) -> None:
    client = ScramClient()
    if place == "start":
        client.bare = "m=x," + client.bare
    elif place == "later":
        client.bare += ",m=x"
    assert scram(client, extra=",m=x" if place == "end" else "") == REFUSED


def test_scram_refuses_another_nonce() -> None:
    mechanism, client = make("SCRAM-SHA-256"), ScramClient()
    server_first = data(mechanism.start(client.first()))
    forged = server_first.replace(b"clientnoncenonce", b"clientnonceother")
    assert mechanism.respond(client.final(forged)) == REFUSED


def test_scram_shows_nobody_which_users_exist() -> None:
    def answer(user: str) -> bytes:
        return data(make("SCRAM-SHA-256").start(ScramClient(user).first()))

    def shape(user: str) -> list[tuple[bytes, int]]:
        return [(part[:2], len(part)) for part in answer(user).split(b",")]

    assert answer("eve") == answer("eve")
    assert answer("eve") != answer("ann")
    assert shape("eve") == shape("ann")


def test_scram_has_no_password_to_sign_with_where_any_credentials_do() -> None:
    assert scram(ScramClient(), "any") == REFUSED


def test_scram_decodes_the_escapes_of_a_name() -> None:
    users = {"a,b=c=2C": PASSWORD}
    assert scram(ScramClient("a=2Cb=3Dc=3D2C"), users) == Success("a,b=c=2C")
    assert scram(ScramClient("a=2Cb=3Dc=3D2C", header="n,a=a=2Cb=3Dc=3D2C,"), users) == Success(
        "a,b=c=2C"
    )


def test_scram_signs_with_the_prepared_password() -> None:
    users = {"\N{ROMAN NUMERAL NINE}": "I\N{SOFT HYPHEN}X"}
    assert scram(ScramClient("IX", "IX"), users) == Success("\N{ROMAN NUMERAL NINE}")
    assert scram(ScramClient("ann", "\N{ROCKET}"), {"ann": "\N{ROCKET}"}) == Success("ann")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"x,,n=ann,r=abc",
        b"n,ann,n=ann,r=abc",
        b"n,a=,n=ann,r=abc",
        b"n,a=an=n,n=ann,r=abc",
        b"n,,n=,r=abc",
        b"n,,n=a=nn,r=abc",
        b"n,,n=a=2cnn,r=abc",
        b"n,,n=ann",
        b"n,,n=ann,r=",
        b"n,,n=ann,r=a b",
        b"n,,r=abc,n=ann",
        b"n,,n=ann,r=abc,",
        b"n,,n=ann,r=abc,extension",
        b"n,,n=a\0n,r=abc",
        b"n,,n=\xff,r=abc",
        b"\0ann\0s3kr1t-Pa55",
    ],
)
def test_scram_first_message_malformed(message: bytes) -> None:
    assert make("SCRAM-SHA-256").start(message) == MALFORMED


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=biws,r=clientnoncenonce",
        b"c=biws,r=clientnoncenonce,p=",
        b"c=biws,r=clientnoncenonce,p=!!!!",
        b"c=biws,r=clientnoncenonce,p=abc",
        b"c=!,r=clientnoncenonce,p=AAAA",
        b"c=biws,p=AAAA,r=clientnoncenonce",
        b"r=clientnoncenonce,c=biws,p=AAAA",
        b"c=biws,r=clientnoncenonce,p=AAAA,x=y",
        b"\xff",
    ],
)
def test_scram_final_message_malformed(message: bytes) -> None:
    assert run(make("SCRAM-SHA-256"), ScramClient().first(), message)[-1] == MALFORMED


def test_scram_proof_of_another_length_is_wrong() -> None:
    message = b"c=biws,r=clientnoncenonce,p=AAAA"
    assert run(make("SCRAM-SHA-256"), ScramClient().first(), message)[-1] == REFUSED


def test_scram_answer_to_the_verifier_is_empty() -> None:
    mechanism, client = make("SCRAM-SHA-256"), ScramClient()
    final = client.final(data(mechanism.start(client.first())))
    assert data(mechanism.respond(final)) == b"v=" + client.verifier
    assert mechanism.respond(b"thanks") == MALFORMED


def test_scram_stretches_a_password_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    stretch = hashlib.pbkdf2_hmac

    def counted(*arguments: object) -> bytes:
        calls.append(arguments)
        return stretch(*arguments)  # type: ignore[arg-type]

    users = {"ann": "a password of this test alone"}
    for _ in range(3):
        client = ScramClient(password=users["ann"])
        mechanism = make("SCRAM-SHA-256", users)
        final = client.final(data(mechanism.start(client.first())))
        monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
        assert isinstance(mechanism.respond(final), Challenge)
        monkeypatch.undo()
    assert len(calls) == 1


# --- XOAUTH2 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer"])
def test_xoauth2_succeeds(scheme: bytes) -> None:
    message = b"user=ann\x01auth=" + scheme + b" s3kr1t-Pa55\x01\x01"
    assert make("XOAUTH2").start(message) == Success("ann")
    assert run(make("XOAUTH2"), None, message)[-1] == Success("ann")
    assert make("XOAUTH2", "any").start(message) == Success("ann")


@pytest.mark.parametrize(
    "message",
    [
        b"user=ann\x01auth=Bearer wrong\x01\x01",
        b"user=ann\x01auth=Bearer \x01\x01",
        b"user=eve\x01auth=Bearer s3kr1t-Pa55\x01\x01",
        b"user=\x01auth=Bearer s3kr1t-Pa55\x01\x01",
    ],
)
@pytest.mark.parametrize("answer", [b"", b"\x01", b"user=ann\x01auth=Bearer s3kr1t-Pa55\x01\x01"])
def test_xoauth2_says_why_and_then_fails(message: bytes, answer: bytes) -> None:
    mechanism = make("XOAUTH2")
    assert json.loads(data(mechanism.start(message)))["status"] == "401"
    assert mechanism.respond(answer) == REFUSED


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"user=ann\x01auth=Bearer s3kr1t-Pa55\x01",
        b"user=ann\x01auth=s3kr1t-Pa55\x01\x01",
        b"user=ann\x01auth=Basic s3kr1t-Pa55\x01\x01",
        b"user=ann\x01\x01",
        b"auth=Bearer s3kr1t-Pa55\x01\x01",
        b"user=eve\x01user=ann\x01auth=Bearer s3kr1t-Pa55\x01\x01",
        b"user=ann\x01auth=Bearer \xff\x01\x01",
        b"\0ann\0s3kr1t-Pa55",
    ],
)
def test_xoauth2_malformed(message: bytes) -> None:
    assert make("XOAUTH2").start(message) == MALFORMED


# --- OAUTHBEARER --------------------------------------------------------------------------------


def bearer(token: str = PASSWORD, header: str = "n,a=ann,") -> bytes:
    return f"{header}\x01host=localhost\x01port=587\x01auth=Bearer {token}\x01\x01".encode()


def test_oauthbearer_example_of_rfc_7628() -> None:
    token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    message = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=587\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    mechanism = make("OAUTHBEARER", {"user@example.com": token})
    assert mechanism.start(message) == Success("user@example.com")


@pytest.mark.parametrize("header", ["n,a=ann,", "y,a=ann,", "n,,"])
def test_oauthbearer_succeeds(header: str) -> None:
    assert make("OAUTHBEARER").start(bearer(header=header)) == Success("ann")


def test_oauthbearer_accepts_any_token() -> None:
    assert make("OAUTHBEARER", "any").start(bearer("x", "n,a=eve,")) == Success("eve")
    assert make("OAUTHBEARER", "any").start(bearer("x", "n,,")) == Success("")


@pytest.mark.parametrize(
    "message",
    [bearer("wrong"), bearer(header="n,a=eve,"), bearer("wrong", "n,,"), bearer("")],
)
@pytest.mark.parametrize("answer", [b"\x01", b"", bearer()])
def test_oauthbearer_says_why_and_then_fails(message: bytes, answer: bytes) -> None:
    mechanism = make("OAUTHBEARER")
    assert json.loads(data(mechanism.start(message)))["status"] == "invalid_token"
    assert mechanism.respond(answer) == REFUSED


def test_oauthbearer_refuses_channel_binding() -> None:
    assert make("OAUTHBEARER").start(bearer(header="p=tls-unique,a=ann,")) == REFUSED


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"n,a=ann,",
        b"n,a=ann,\x01\x01",
        b"n,a=ann,\x01auth=s3kr1t-Pa55\x01\x01",
        b"n,a=ann,auth=Bearer s3kr1t-Pa55\x01\x01",
        b"n,a=ann,\x01auth=Bearer s3kr1t-Pa55\x01",
        b"n,a=a=nn,\x01auth=Bearer s3kr1t-Pa55\x01\x01",
        b"user=ann\x01auth=Bearer s3kr1t-Pa55\x01\x01",
        b"n,a=ann,\x01auth=Bearer \xff\x01\x01",
    ],
)
def test_oauthbearer_malformed(message: bytes) -> None:
    assert make("OAUTHBEARER").start(message) == MALFORMED


# --- SASLprep -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # The examples of RFC 4013 section 3.
        ("I\N{SOFT HYPHEN}X", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\N{FEMININE ORDINAL INDICATOR}", "a"),
        ("\N{ROMAN NUMERAL NINE}", "IX"),
        ("\x07", None),
        ("\u0627\N{DIGIT ONE}", None),
        # RFC 3454 section 6, and the steps of RFC 4013 section 2.
        ("\u0627\N{DIGIT ONE}\u0628", "\u0627\N{DIGIT ONE}\u0628"),
        ("\u0627a\u0628", None),
        ("a\N{NO-BREAK SPACE}b", "a b"),
        ("\N{ROCKET}", None),
        ("\ud800", None),
        ("\N{SOFT HYPHEN}", ""),
        ("", ""),
    ],
)
def test_saslprep(text: str, prepared: str | None) -> None:
    assert saslprep(text) == prepared


@UNHURRIED
@given(st.text())
@example("\N{LATIN SMALL LETTER LONG S WITH DOT ABOVE}")
def test_saslprep_prepares_once(text: str) -> None:
    prepared = saslprep(text)
    assert prepared is None or saslprep(prepared) in (prepared, None)


# --- what it costs ------------------------------------------------------------------------------


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = {*sys.modules}; import pytest_smtpd.smtp.auth.mechanisms; "
        "heavy = {'ssl', 'socket', 'asyncio', 'threading', 'stringprep', 'secrets'}; "
        "print(heavy & ({*sys.modules} - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
