"""No password, token or proof in anything that a test, a log or a report shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import inner_run
from auth_matrix import MECHANISMS
from client import TEXT, Client
from pytest_smtpd import Server

USER, PASSWORD, GUESS = "shop", "right-s3cret!", "wrong-gu3ss?"


class Talk:
    """A client that authenticates by hand and remembers all that nobody may see."""

    def __init__(self, server: Server) -> None:
        self.client = Client(server).ehlo()
        self.secrets: set[str] = set()

    def say(self, verb: str, data: bytes) -> str:
        """Sends `data` in base64, behind the verb if there is one."""
        text = base64.b64encode(data).decode()
        self.secrets.add(text.rstrip("="))
        return self.client.say(f"{verb} {text}".strip())

    def challenge(self, reply: str) -> bytes:
        assert reply.startswith("334 "), reply
        return base64.b64decode(reply[4:])

    def authenticate(self, mechanism: str, password: str) -> str:
        """The last reply of the exchange."""
        verb = f"AUTH {mechanism}"
        match mechanism:
            case "PLAIN":
                return self.say(verb, f"\0{USER}\0{password}".encode())
            case "LOGIN":
                self.client.say(verb)
                self.client.say(base64.b64encode(USER.encode()).decode())
                return self.say("", password.encode())
            case "CRAM-MD5":
                challenge = self.challenge(self.client.say(verb))
                digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
                self.secrets.add(digest)
                return self.say("", f"{USER} {digest}".encode())
            case "SCRAM-SHA-256":
                return self.scram(verb, password)
            case "XOAUTH2":
                reply = self.say(verb, f"user={USER}\1auth=Bearer {password}\1\1".encode())
            case _:
                reply = self.say(verb, f"n,a={USER},\1auth=Bearer {password}\1\1".encode())
        return self.client.say("") if reply.startswith("334") else reply

    def scram(self, verb: str, password: str) -> str:
        bare = f"n={USER},r=of-the-client"
        server_first = self.challenge(self.say(verb, f"n,,{bare}".encode())).decode()
        nonce, salt, iterations = (part[2:] for part in server_first.split(","))
        unproven = f"c=biws,r={nonce}"
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(salt), int(iterations)
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        signed = f"{bare},{server_first},{unproven}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
        self.secrets.add(proof.decode())
        reply = self.say("", f"{unproven},p={proof.decode()}".encode())
        return self.client.say("") if reply.startswith("334") else reply


def base64_traces(secret: str) -> Iterator[str]:
    """What every base64 of a text with the secret in it has in common, wherever it stands there."""
    octets = secret.encode()
    for before in range(3):
        text = base64.b64encode(bytes(before) + octets).decode().rstrip("=")
        yield text[(before * 8 + 5) // 6 : (before + len(octets)) * 8 // 6]


def assert_hidden(shown: str, secrets: set[str]) -> None:
    for secret in [PASSWORD, GUESS, *base64_traces(PASSWORD), *base64_traces(GUESS), *secrets]:
        assert secret not in shown


def right(talk: Talk, mechanism: str) -> None:
    assert talk.authenticate(mechanism, PASSWORD).startswith("235 ")
    assert talk.say(f"AUTH {mechanism}", PASSWORD.encode()).startswith("503 ")
    talk.client.deliver()


def wrong(talk: Talk, mechanism: str) -> None:
    assert talk.authenticate(mechanism, GUESS).startswith("535 ")


def cancelled(talk: Talk, mechanism: str) -> None:
    reply = talk.client.say(f"AUTH {mechanism}")
    assert reply.startswith("334")
    if mechanism == "LOGIN":
        assert talk.say("", USER.encode()).startswith("334")
    assert talk.client.say("*").startswith("501 ")
    # The client's queue goes on.
    assert talk.say("", PASSWORD.encode()).startswith("500 ")
    assert talk.say("", f"\0{USER}\0{GUESS}".encode()).startswith("500 ")


def malformed(talk: Talk, mechanism: str) -> None:
    for line in (f"AUTH {mechanism} !{PASSWORD}!", f"AUTH {mechanism} {GUESS}"):
        assert talk.client.say(line)[:3] in ("501", "535")
    assert talk.client.say(f"AUTH {mechanism}").startswith("334")
    assert talk.client.say(f"{USER} {GUESS}").startswith("501 ")
    assert talk.client.say(f"{GUESS} {PASSWORD}").startswith("500 ")
    for data in (b"\0\0\0" + GUESS.encode(), PASSWORD.encode()):
        reply = talk.say(f"AUTH {mechanism}", data)
        if reply.startswith("334"):
            reply = talk.client.say("*")
        assert reply[:3] in ("501", "535")


def unknown(talk: Talk, mechanism: str) -> None:
    assert talk.say(f"AUTH X-{mechanism}", PASSWORD.encode()).startswith("504 ")
    assert talk.client.say(f"AUTH {GUESS} {PASSWORD}").startswith("504 ")
    # A client that does not look at replies.
    assert talk.say("", USER.encode()).startswith("500 ")
    assert talk.say("", GUESS.encode()).startswith("500 ")


def as_a_command(talk: Talk, mechanism: str) -> None:
    assert talk.client.say(PASSWORD).startswith("500 ")
    assert talk.say("", PASSWORD.encode()).startswith("500 ")
    assert talk.say("", f"\0{USER}\0{PASSWORD}".encode()).startswith("500 ")
    assert talk.client.say(f"NOOP {PASSWORD}").startswith("250 ")
    assert talk.client.say(f"MAIL FROM:<{PASSWORD}>")[:1] in "25"


def given_up(talk: Talk, mechanism: str) -> None:
    assert talk.client.say(f"AUTH {mechanism}").startswith("334")
    talk.client.send(f"{GUESS} {PASSWORD}")


WAYS: tuple[Callable[[Talk, str], None], ...] = (
    right,
    wrong,
    cancelled,
    malformed,
    unknown,
    as_a_command,
    given_up,
)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_nothing_that_is_shown_has_it(
    way: Callable[[Talk, str], None], mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pytest_smtpd")
    with Server(users={USER: PASSWORD}) as server:
        talk = Talk(server)
        try:
            way(talk, mechanism)
        finally:
            talk.client.close()
        (session,) = server.sessions
        assert session.wait_closed()
        shown = [str(session), repr(session), repr(session.exchanges), repr(server)]
        shown += [str(exchange) for exchange in session.exchanges]
        shown += [repr(server.config), str(server.config), repr(server.config.users)]
        shown += [repr(server.messages), repr(list(server.messages)), session.last_refusal() or ""]
        shown += [repr(session.violations), repr(vars(server.config))]
        for call in (
            lambda: server.messages.one(subject="nothing"),
            lambda: server.messages.wait(2, timeout=0),
            lambda: server.messages[7],
            lambda: server.configure(users={USER: PASSWORD}, tls="implicit"),
            lambda: server.configure(users={USER: PASSWORD}, bannr="x"),
        ):
            with pytest.raises((AssertionError, LookupError, TypeError, ValueError)) as caught:
                call()
            shown.append(f"{caught.value} {caught.value!r}")
    assert "EHLO" in caplog.text
    assert_hidden("\n".join([*shown, caplog.text]), talk.secrets)
    assert "***" in str(session) or way is given_up


@pytest.mark.parametrize(
    "framed",
    [
        f"{USER}\0{USER}\0{PASSWORD}",
        f"user={USER}\1auth=Bearer {PASSWORD}\1\1",
        f"n,a={USER},\1auth=Bearer {PASSWORD}\1\1",
    ],
)
def test_a_password_in_base64_as_a_command(framed: str) -> None:
    with Server(users={USER: PASSWORD}) as server:
        talk = Talk(server)
        assert talk.say("", framed.encode()).startswith("500 ")
        assert talk.say("NOOP", framed.encode()).startswith("250 ")
        talk.client.quit()
    assert_hidden(str(server.sessions[0]), set())


def test_what_was_once_a_secret_stays_one() -> None:
    with Server(users={USER: PASSWORD}) as server, Client(server) as client:
        client.ehlo().say(PASSWORD)
        server.configure(users={USER: GUESS})
        client.say(f"NOOP {PASSWORD}")
        client.say(f"NOOP {GUESS}")
        server.configure(users="any")
        client.say(f"NOOP {GUESS}")
        client.quit()
    assert_hidden(str(server.sessions[0]), set())


def test_any_credentials_are_hidden_too() -> None:
    with Server(users="any") as server:
        talk = Talk(server)
        assert talk.authenticate("LOGIN", GUESS).startswith("235 ")
        talk.client.quit()
    assert_hidden(str(server.sessions[0]), talk.secrets)


@pytest.mark.parametrize(
    "options",
    [
        {"users": {USER: PASSWORD}, "require_tls": True},
        {"users": {USER: PASSWORD, "": PASSWORD}},
        {"users": {PASSWORD: 7}},
        {"users": PASSWORD},
        {"users": [(USER, PASSWORD)]},
        {"users": {USER: PASSWORD}, "max_size": -1},
        {"user": {USER: PASSWORD}},
        {"users": {USER: PASSWORD}, "auth_mechanisms": ["PLAIM"]},
    ],
)
def test_errors_about_options(options: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Server(**options)
    assert_hidden(f"{caught.value} {caught.value!r}", set())


FAILING = f"""
    import base64, smtplib
    import pytest
    from pathlib import Path

    # The tests' own source is in the report, too.
    PASSWORD, GUESS = Path("password").read_text().split()

    @pytest.fixture
    def client(smtpd):
        with smtplib.SMTP(smtpd.host, smtpd.port) as client:
            client.ehlo()
            yield client

    def test_login(smtpd, client):
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("{USER}", GUESS)
        for mechanism in ("PLAIN", "LOGIN", "CRAM_MD5"):
            client.user, client.password = "{USER}", PASSWORD
            client.auth(mechanism.replace("_", "-"), getattr(client, "auth_" + mechanism.lower()))
            client.rset()
            client.close()
            client.connect(smtpd.host, smtpd.port)
            client.ehlo()
        client.docmd(PASSWORD)
        client.docmd(base64.b64encode(PASSWORD.encode()).decode())
        assert smtpd.messages.one()

    def test_config(smtpd):
        assert smtpd.config == smtpd.sessions

    @pytest.mark.smtpd(strict=True)
    def test_strict(smtpd, client):
        client.docmd("AUTH PLAIN " + base64.b64encode(PASSWORD.encode()).decode())
        client.docmd(PASSWORD)

    @pytest.mark.smtpd(max_size="much")
    def test_setup_error(smtpd): ...
"""


@pytest.mark.parametrize("where", ["ini", "conftest"])
def test_a_failing_run(pytester: pytest.Pytester, where: str) -> None:
    pytester.makepyfile(FAILING)
    Path("password").write_text(f"{PASSWORD} {GUESS}")
    if where == "ini":
        pytester.makeini(f"[pytest]\nsmtpd_users = {USER}:{PASSWORD}\n")
    else:
        pytester.makeconftest(
            """
            import pytest
            from pathlib import Path

            @pytest.fixture(scope="session")
            def smtpd_options():
                return {"users": {"shop": Path("password").read_text().split()[0]}}
            """
        )
    result = inner_run.run(
        pytester, "-vv", "--log-level=DEBUG", "--junit-xml=junit.xml", "-o", "junit_logging=all"
    )
    result.assert_outcomes(passed=1, failed=2, errors=2)
    shown = result.stdout.str()
    assert len(re.findall("AUTH (?:PLAIN|LOGIN|CRAM-MD5) ?", shown)) >= 4
    assert " smtpd " in shown
    assert "***" in shown
    assert_hidden(shown + result.stderr.str() + Path("junit.xml").read_text("utf-8"), set())


def test_the_report_of_a_server_that_tests_share(pytester: pytest.Pytester) -> None:
    pytest.importorskip("jinja2")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.smtpd(users={{"{USER}": "{PASSWORD}"}})
        def test_fails(smtpd):
            assert "the password is {PASSWORD}" == ""

        def test_next(smtpd): ...
        """
    )
    pytester.makeini("[pytest]\nsmtpd_scope = session\n")
    result = inner_run.run(pytester, "--smtpd-report=report")
    result.assert_outcomes(passed=1, failed=1)
    pages = "".join(page.read_text("utf-8") for page in Path("report").rglob("*.html"))
    assert "the password is ***" in pages
    assert_hidden(pages, set())


def test_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(smtpd): ...")
    for given in (f"smtpd_users = {PASSWORD}", f"smtpd_users =\n  {USER}:{PASSWORD}\n  {GUESS}"):
        pytester.makeini(f"[pytest]\n{given}\n")
        result = inner_run.run(pytester)
        assert result.ret
        shown = result.stdout.str() + result.stderr.str()
        assert "smtpd option 'users'" in shown
        assert_hidden(shown, set())


def test_the_content_of_a_message_is_the_tests_own() -> None:
    # A mail with the password in it is what a test of sign-up looks for.
    text = TEXT + f"Your password: {PASSWORD}\r\n"
    with Server(users={USER: PASSWORD}) as server, Client(server) as client:
        client.ehlo().deliver(text)
        client.quit()
    assert server.messages.one().raw == text.encode()
    assert_hidden(str(server.sessions[0]), set())


def test_a_password_in_a_mail_shows_in_no_text_of_ours() -> None:
    with Server(users={USER: PASSWORD}) as server:
        with Client(server) as client:
            client.ehlo()
            client.deliver(f"Subject: it is {PASSWORD}\r\n\r\nthe password: {PASSWORD}\r\n")
        message = server.messages[0]
        assert message.subject == f"it is {PASSWORD}"  # the evidence itself is left alone
        shown = [repr(message), repr(server.messages)]
        for call in (
            lambda: server.messages.one(subject=f"{PASSWORD}"),
            lambda: server.messages.wait(timeout=0.0, subject="nothing"),
            lambda: message.link("http"),
            lambda: message.code(),
        ):
            with pytest.raises(AssertionError) as caught:
                call()
            shown.append(str(caught.value))
    assert_hidden("\n".join(shown), set())


@pytest.mark.parametrize("password", ["back\\slash'\"x", "it's-a-secret", "tab\there-it-is"])
def test_a_password_is_hidden_where_it_is_escaped_or_cut(password: str) -> None:
    subject = f"{'x' * 40} {password} {'y' * 80}".replace("\t", " ")
    with Server(users={USER: password}) as server, Client(server) as client:
        client.ehlo().say(f"NOOP {password}")
        client.deliver(f"Subject: {subject}\r\nX: {password}\r\n\r\n{password}\r\n")
    with pytest.raises(AssertionError) as caught:
        server.messages.one(subject="nothing")
    [message] = server.messages
    shown = [repr(server.messages), repr(message), str(server.sessions[0]), str(caught.value)]
    shown.append(repr({password: "in a mapping", "quotes": "'\""}))
    for text in map(server.sessions[0].hide, shown):
        assert password not in text
        assert repr(password)[1:-1] not in text
        assert password[:6] not in text
