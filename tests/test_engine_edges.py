"""What only an owner can do to a session, or see of it."""

from __future__ import annotations

import pytest

from pytest_smtpd import Options, Reply
from pytest_smtpd.smtp import replies
from pytest_smtpd.smtp.profile import Profile
from pytest_smtpd.smtp.session import Session


class Journal:
    def __init__(self) -> None:
        self.violations: list[str] = []
        self.lines: list[bytes] = []

    def client(self, line: bytes) -> None:
        self.lines.append(line)

    note = client

    def content(self, octets: int) -> None: ...

    def server(self, reply: bytes) -> None: ...

    def message(self, raw: bytes, eight_bit: bool) -> None: ...

    def violation(self, code: str) -> None:
        self.violations.append(code)


def begun(**options: object) -> tuple[Session, Journal]:
    journal = Journal()
    session = Session(Profile(Options(**options), date=lambda: "now"), journal)
    session.connect("127.0.0.1")
    assert session.next_event() is not None
    session.accept()
    return session, journal


def say(session: Session, line: bytes) -> bytes:
    session.receive(line + b"\r\n")
    while session.next_event() is not None:
        session.accept()
    return session.bytes_to_send()


def test_what_comes_before_the_handshake_is_thrown_away() -> None:
    session, journal = begun(tls="starttls")
    say(session, b"EHLO client.example")
    assert say(session, b"STARTTLS").endswith(b"220 2.0.0 Ready to start TLS\r\n")
    session.receive(b"MAIL FROM:<eve@example.com>\r\n")
    assert session.next_event() is None
    assert journal.violations == ["starttls-injection"]
    session.tls_established()
    assert session.next_event() is None
    assert session.bytes_to_send() == b""


def test_a_session_is_closed_once() -> None:
    session, _ = begun()
    session.bytes_to_send()
    session.close(replies.fill(replies.SHUTTING_DOWN, hostname="mx"))
    session.close(replies.fill(replies.TIMED_OUT, hostname="mx"))
    assert session.bytes_to_send() == b"421 mx Service shutting down\r\n"


def test_help_of_a_server_that_knows_only_helo() -> None:
    session, _ = begun(extensions=(), without_extensions=())
    assert b"502" in say(session, b"HELP")
    session, _ = begun(extensions=("HELP",))
    assert b"EHLO" in say(session, b"HELP")


@pytest.mark.parametrize("octets", [b"AGFubgB3cm9uZw==", b"AGFubgByaWdodA=="])
def test_an_answer_to_auth_decides_whatever_the_password(octets: bytes) -> None:
    session, _ = begun(users={"ann": "right"})
    say(session, b"EHLO client.example")
    session.receive(b"AUTH PLAIN " + octets + b"\r\n")
    assert session.next_event() is not None
    session.accept(Reply(235, "Come in"))
    assert session.bytes_to_send() == b"235 Come in\r\n"
    assert session.user is not None


def test_a_handshake_in_which_a_line_ends_is_none_the_less_a_handshake() -> None:
    session, journal = begun()
    say(session, b"EHLO client.example")
    session.receive(b"\x16\x03\x01\x02\r\nQUIT\r\n")
    assert session.next_event() is None
    assert session.closing
    assert session.bytes_to_send() == b""
    assert journal.violations == ["tls-on-plain-port"]


@pytest.mark.parametrize("end", ["closed", "shut down", "refused", "ignored"])
def test_the_octets_of_a_message_that_is_not_taken_are_inspected(end: str) -> None:
    session, journal = begun()
    for line in (b"EHLO c", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"DATA"):
        say(session, line)
    session.receive(b"bare\nline feed\r\n.\r\n")
    assert session.next_event() is not None
    assert journal.violations == []
    if end == "closed":
        session.client_closed()
    elif end == "shut down":
        session.close(replies.SHUTTING_DOWN)
    elif end == "refused":
        session.refuse(replies.TRANSACTION_FAILED)
    else:
        session.ignore()
    assert "bare-lf" in journal.violations


def test_only_the_chunk_that_ends_a_message_is_answered_for_each_recipient() -> None:
    # RFC 2033 section 4.2 with RFC 3030 section 2
    session, _ = begun(protocol="lmtp", max_size=10)
    for line in (b"LHLO me", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>"):
        say(session, line)
    say(session, b"RCPT TO:<e@f.example>")
    assert say(session, b"BDAT 18\r\n1234567890123456").count(b"552 ") == 1
    for line in (b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"RCPT TO:<e@f.example>"):
        say(session, line)
    assert say(session, b"BDAT 18 LAST\r\n1234567890123456").count(b"552 ") == 2


@pytest.mark.parametrize("forgets", [b"EHLO me", b"HELO me"])
def test_replies_are_ascii_again_after_a_greeting(forgets: bytes) -> None:
    session, _ = begun()
    say(session, b"EHLO me")
    say(session, "MAIL FROM:<\xe4@b.example> SMTPUTF8".encode())
    session.receive(forgets + b"\r\nNOOP\r\n")
    assert session.next_event() is not None
    session.accept()
    assert session.next_event() is not None
    session.accept(Reply(250, "sch\xf6n"))
    assert session.bytes_to_send().endswith(b"250 sch?n\r\n")


@pytest.mark.parametrize(
    ("parameter", "name"),
    [("SIZE=\u0661\u0662", "SIZE"), ("RET=HDR\u017f", "RET"), ("ENVID=\u017f", "ENVID")],
)
def test_parameters_are_ascii(parameter: str, name: str) -> None:
    session, _ = begun()
    say(session, b"EHLO me")
    said = say(session, f"MAIL FROM:<\xe4@b.example> SMTPUTF8 {parameter}".encode())
    assert said.endswith(f"501 5.5.4 Bad value for parameter {name}\r\n".encode())


@pytest.mark.parametrize(
    ("options", "hello", "octets", "long"),
    [
        ({}, b"EHLO me", 1200, False),
        ({}, b"HELO me", 512, False),
        ({}, b"HELO me", 513, True),
        ({"extensions": ["PIPELINING"]}, b"EHLO me", 513, True),
        ({"extensions": ["SIZE"]}, b"EHLO me", 1213, True),
    ],
)
def test_only_an_extension_makes_a_command_longer(
    options: dict[str, object], hello: bytes, octets: int, long: bool
) -> None:
    session, journal = begun(addresses="any", **options)
    say(session, hello)
    line = b"MAIL FROM:<%b@example.com>"
    say(session, line % (b"a" * (octets - len(line) - len(b"\r\n") + len(b"%b"))))
    assert journal.violations == (["long-command"] if long else [])


def test_a_limit_holds_from_the_next_chunk_on() -> None:
    session, _ = begun()
    for line in (b"EHLO me", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>"):
        say(session, line)
    assert say(session, b"BDAT 6\r\n1234").startswith(b"250 ")
    session.profile = Profile(Options(max_size=10), date=lambda: "now")
    assert say(session, b"BDAT 6 LAST\r\n1234").startswith(b"552 ")


def test_each_octet_of_a_chunk_that_is_refused_is_progress() -> None:
    session, _ = begun()
    say(session, b"EHLO me")
    assert say(session, b"BDAT 9 LAST\r\nabc").startswith(b"503 ")
    for octet in b"defg":
        before = session.progress
        session.receive(bytes([octet]))
        assert session.next_event() is None
        assert session.progress == before + 1


@pytest.mark.parametrize("users", [None, {"ann": "s3cret"}])
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"AUTH GSSAPI YWJj", b"AUTH GSSAPI ***"),
        (b"auth digest-md5", b"auth digest-md5"),
        (b"AUTH SCRAM-SHA-1-PLUS cD1h more", b"AUTH SCRAM-SHA-1-PLUS ***"),
        (b"AUTH PLAIN", b"AUTH PLAIN"),
        (b"AUTH PLAINER YWJj", b"AUTH *** ***"),
        (b"AUTH YWJj", b"AUTH ***"),
        (b"AUTH YWJj EXTERNAL", b"AUTH *** ***"),
        (b"AUTH GSSAPI\tYWJj", b"AUTH ***"),
        (b"AUTHGSSAPI EXTERNAL", b"***"),
    ],
)
def test_of_auth_only_the_name_of_a_mechanism_is_shown(
    users: object, line: bytes, shown: bytes
) -> None:
    session, journal = begun(users=users)
    say(session, b"EHLO me")
    say(session, line)
    assert journal.lines[-1] == shown


def test_what_an_event_is_about() -> None:
    session = Session(Profile(Options(), date=lambda: "now"), Journal())
    session.connect("192.0.2.1")
    about: dict[str, list[str]] = {}
    session.receive(
        b"EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\n"
        b"DATA\r\n.\r\nNOOP\r\nRSET\r\nQUIT\r\n"
    )
    while (event := session.next_event()) is not None:
        about.setdefault(event.stage, []).extend(event.subjects)
        session.accept()
    assert about == {
        "connect": ["192.0.2.1"],
        "helo": ["me"],
        "mail": ["a@b.example"],
        "rcpt": ["c@d.example", "e@f.example"],
        "data": [],
        "message": ["c@d.example", "e@f.example"],
        "noop": [],
        "rset": [],
        "quit": [],
    }


def test_credentials_are_not_in_the_repr_of_an_event() -> None:
    session, _ = begun(users="any")
    say(session, b"EHLO me")
    session.receive(b"AUTH PLAIN AGFubgBzM2NyZXQ=\r\n")
    event = session.next_event()
    assert "PLAIN" in repr(event)
    assert "s3cret" not in repr(event)


def test_an_owner_sees_what_is_not_worked_through() -> None:
    session, _ = begun()
    session.receive(b"NOOP one\r\nNOOP two\r\nQUI")
    assert session.next_event() is not None
    assert session.backlog == len(b"NOOP two\r\nQUI")
    assert session.input.peek(6) == b"NOOP t"
    assert session.input.has_line(10)
    assert not session.input.has_line(9)


def test_a_session_can_go_on_in_another_journal() -> None:
    session, first = begun()
    say(session, b"NOOP one")
    session.journal = second = Journal()
    say(session, b"XYZZY")
    assert (first.lines, first.violations) == ([b"NOOP one"], [])
    assert (second.lines, second.violations) == ([b"XYZZY"], ["unknown-command"])


def test_a_client_that_does_not_wait() -> None:
    journal = Journal()
    session = Session(Profile(Options(), date=lambda: "now"), journal)
    session.connect("127.0.0.1")
    session.receive(b"EHLO me\r\n")
    session.receive(b"")
    session.receive(b"NOOP\r\n")
    assert session.next_event() is not None
    session.accept()
    assert session.next_event() is not None
    session.receive(b"NOOP\r\n")
    assert journal.violations == ["early-talker", "pipelining", "pipelining"]


def test_nothing_of_an_http_request_is_meant_for_us() -> None:
    session, journal = begun()
    say(session, b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: a\rb\r\n")
    session.client_closed()
    assert journal.violations == ["http"]


@pytest.mark.parametrize("line", [b"NO\nOP", b"NO\rOP"])
def test_a_line_with_a_bare_cr_or_lf_is_a_command_all_the_same(line: bytes) -> None:
    session, journal = begun()
    assert say(session, line).endswith(b"500 Bare CR or LF in a command\r\n")
    session.client_closed()
    assert journal.violations == ["bare-lf" if b"\n" in line else "bare-cr", "no-quit"]


def test_octets_over_127_in_a_command() -> None:
    session, journal = begun()
    say(session, b"NOOP \xff")
    say(session, "VRFY j\xf6rg SMTPUTF8".encode())
    assert journal.violations == ["non-ascii-command"]


def test_tls_twice_and_something_in_clear_behind_it() -> None:
    session, journal = begun(tls="starttls")
    say(session, b"EHLO me")
    say(session, b"STARTTLS\r\nNOOP")
    session.tls_established()
    say(session, b"EHLO me")
    assert b"503 " in say(session, b"STARTTLS")
    assert journal.violations == ["starttls-injection"]


def test_auth_in_clear_where_it_needs_tls() -> None:
    session, _ = begun(users="any", auth_requires_tls=True, tls="starttls")
    say(session, b"EHLO me")
    assert say(session, b"AUTH PLAIN AGFubgBzM2NyZXQ=").startswith(b"538 ")


def test_a_pipelined_group_may_come_in_pieces() -> None:
    session, journal = begun()
    say(session, b"EHLO me")
    session.receive(b"MAIL FROM:<a@b.example>\r\n")
    assert session.next_event() is not None
    session.receive(b"RCPT TO:<c@d.example>\r\n")
    session.accept()
    assert session.next_event() is not None
    assert journal.violations == []
