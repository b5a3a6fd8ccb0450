"""`SessionRecord`: what is in it, when, and that it is bounded, masked and readable."""

from __future__ import annotations

import base64
import contextlib
import datetime
import logging
import re
import smtplib
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from client import LIMIT, TEXT, Client
from pytest_smtpd import Command, Exchange, Reject, Server, SessionRecord, TLSInfo, Violation
from pytest_smtpd.faults import Answer, Drop, Hold, Raw, Split, Stall
from pytest_smtpd.record import SessionJournal, journal
from pytest_smtpd.smtp.violations import VIOLATIONS

SECRET = "s3cr3t-Pa55word"
MAIL = "MAIL FROM:<ann@example.com>"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def closed(server: Server, number: int = 0) -> SessionRecord:
    """A session that has ended."""
    session = server.sessions[number]
    assert session.wait_closed(LIMIT), f"still open:\n{session}"
    return session


def lines(session: SessionRecord, who: str) -> list[str]:
    return [exchange.line for exchange in session.exchanges if exchange.who == who]


# ---- members


def test_a_session_from_its_beginning_to_its_end(server: Server) -> None:
    before = datetime.datetime.now(datetime.UTC)
    with Client(server) as client:
        (session,) = server.sessions
        assert session.peer == client.socket.getsockname()
        assert (session.helo, session.tls, session.user, session.ended_by) == (None,) * 4
        assert before <= session.started_at <= datetime.datetime.now(datetime.UTC)
        assert session.started_at.tzinfo is not None
        assert not session.wait_closed(0)
        assert not session.wait_closed(timeout=0.01)
        client.ehlo()
        assert session.helo == "client.example"
        client.deliver()
        assert session.messages == [server.messages[0]]
        client.quit()
    assert closed(server).ended_by == "quit"
    assert session.violations == []


def test_the_conversation(server: Server) -> None:
    with Client(server) as client:
        client.ehlo().deliver()
        client.quit()
    session = closed(server)
    assert lines(session, "C") == [
        "EHLO client.example",
        MAIL,
        "RCPT TO:<bob@example.net>",
        "DATA",
        f"<{len(TEXT)} octets>",
        "QUIT",
    ]
    said = lines(session, "S")
    assert said[0].startswith("220 localhost ESMTP")
    assert said[1] == "250-localhost"
    assert said[-1].startswith("221 ")
    assert all(isinstance(exchange, Exchange) for exchange in session.exchanges)
    times = [exchange.at for exchange in session.exchanges]
    assert all(isinstance(at, float) for at in times)
    assert times == sorted(times)
    assert 0 <= times[0] < LIMIT


def test_what_a_reply_answers_is_there_before_the_reply_can_be_read(server: Server) -> None:
    with Client(server) as client:
        client.ehlo()
        for number in range(100):
            client.say(f"NOOP {number}")
            assert lines(server.sessions[0], "C")[-1] == f"NOOP {number}"


def test_the_transcript_is_readable(server: Server) -> None:
    with Client(server) as client:
        client.ehlo().deliver()
        client.say("nonsense")
        client.quit()
    text = str(closed(server))
    first, *rest = text.splitlines()
    assert "127.0.0.1" in first
    assert "client.example" in first
    assert "ended by quit" in first
    assert re.match(r" +\d+\.\d{3} S: 220 localhost", rest[0])
    assert any(re.match(r" +\d+\.\d{3} C: MAIL FROM:<ann@example.com>", line) for line in rest)
    assert "unknown-command" in rest[-1]
    assert "127.0.0.1" in repr(server.sessions[0])


def test_control_characters_are_shown_escaped(server: Server) -> None:
    with Client(server) as client:
        client.send(b"EHLO \x1b[31mred\x07\r\n")
        client.reply()
        client.send(b"NOOP \x9b\xc2\x9b\xe2\x80\xa8\xff\r\n")
        client.reply()
        client.send("NOOP \u061c\u200b\u2060\ufeff\xad\U000e0041\r\n".encode())
        client.reply()
    session = closed(server)
    acting = "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u2028\u2060\ufeff\U000e0041]"
    for text in (str(session), repr(session), *lines(session, "C")):
        assert not re.search(acting, text)
    assert r"EHLO \x1b[31mred\x07" in lines(session, "C")


def test_tls_and_user_are_noted() -> None:
    pytest.importorskip("trustme")
    with (
        Server(tls="starttls", users={"ann": SECRET}) as server,
        smtplib.SMTP(server.host, server.port, timeout=LIMIT) as client,
    ):
        client.starttls(context=server.client_ssl_context())
        session = server.sessions[0]
        client.login("ann", SECRET)
        assert isinstance(session.tls, TLSInfo)
        assert session.tls.version.startswith("TLSv1.")
        assert session.tls.cipher
        assert session.user == "ann"
    assert session.tls.version in str(session)
    assert "ann" in str(session)


def test_a_failed_login_is_no_user() -> None:
    with Server(users={"ann": SECRET}) as server, Client(server) as client:
        client.ehlo()
        wrong = base64.b64encode(b"\0ann\0wrong").decode()
        assert client.say(f"AUTH PLAIN {wrong}").startswith("535")
        assert server.sessions[0].user is None


# ---- how it ended


ENDS: list[tuple[str, dict[str, object], Callable[[Client], object]]] = [
    ("quit", {}, Client.quit),
    ("client", {}, Client.close),
    ("client", {}, Client.reset),
    ("client", {}, lambda client: client.ehlo().begin().close()),
    ("client", {}, lambda client: client.socket.shutdown(socket.SHUT_WR)),
    ("fault", {"faults": [Drop(on="noop")]}, lambda client: client.say("NOOP")),
    ("fault", {"faults": [Drop(on="noop", reset=True)]}, lambda client: client.send("NOOP\r\n")),
    ("fault", {"faults": [Answer(421, on="noop")]}, lambda client: client.say("NOOP")),
    ("server", {"reject_sender": {"*": 421}}, lambda client: client.ehlo().say(MAIL)),
    ("server", {}, lambda client: client.send(b"\x16\x03\x01\x00\x05hello")),
    ("timeout", {"timeout": 0.05}, Client.reply),
]


@pytest.mark.parametrize(("ended_by", "options", "end"), ENDS)
def test_how_it_ended(ended_by: str, options: dict[str, object], end: Callable) -> None:
    with Server(**options) as server:
        with Client(server) as client:
            end(client)
        assert closed(server).ended_by == ended_by


def test_ended_by_a_stop() -> None:
    with Server() as server, Client(server):
        server.stop()
        assert server.sessions[0].wait_closed(0)
        assert server.sessions[0].ended_by == "server"


def test_a_refused_session_is_there_like_any_other() -> None:
    def refuse(host: str) -> None:
        raise Reject("closed today")

    with Server(validate_host=refuse) as server:
        with Client(server) as client:
            client.say("EHLO me")
        assert lines(closed(server), "S")[0] == "550 Access denied: closed today"
        assert lines(server.sessions[0], "C") == ["EHLO me"]


def test_content_that_was_never_ended_is_there_too(server: Server) -> None:
    with Client(server) as client:
        client.ehlo().begin().send("x" * 100)
    session = closed(server)
    assert lines(session, "C")[-2:] == ["DATA", "<100 octets>"]
    assert "unfinished-message" in codes(server)


# ---- bounds


def test_the_middle_of_a_long_conversation_is_dropped_and_counted(server: Server) -> None:
    with Client(server) as client:
        client.ehlo()
        for number in range(30):
            client.send("".join(f"NOOP {number}-{each}\r\n" for each in range(100)))
            for _ in range(100):
                client.reply()
        client.quit()
    exchanges = closed(server).exchanges
    assert len(exchanges) == 1000
    assert exchanges[0].line.startswith("220 ")
    assert exchanges[-1].line.startswith("221 ")
    assert lines(server.sessions[0], "C")[:2] == ["EHLO client.example", "NOOP 0-0"]
    (gap,) = [exchange for exchange in exchanges if "left out" in exchange.line]
    replies_to_ehlo = sum(line[3:4] == "-" for line in lines(server.sessions[0], "S")) + 1
    total = 1 + 1 + replies_to_ehlo + 2 * 3000 + 2
    assert re.search(r"\d+", gap.line)[0] == str(total - 999)  # type: ignore[index]
    times = [exchange.at for exchange in exchanges]
    assert times == sorted(times)


def test_at_most_a_hundred_violations_of_one_code(server: Server) -> None:
    with Client(server) as client:
        client.ehlo()
        client.send("nonsense\r\n" * 300 + "MAIL FROM:oops\r\n" * 3)
        for _ in range(303):
            client.reply()
        client.quit()
    codes = [violation.code for violation in closed(server).violations]
    assert codes.count("unknown-command") == 100
    assert codes.count("bad-syntax") == 3
    shown = str(server.sessions[0])
    assert shown.count("\n  unknown-command: ") == 1
    assert shown.endswith(" (3 times)")
    assert " (100 times)\n" in shown


def test_what_a_fault_sends_is_bounded_too() -> None:
    with Server(faults=[Raw([b"250-x\r\n"] * 5000, on="noop")]) as server:
        with Client(server) as client:
            client.ehlo().send("NOOP\r\n")
            for _ in range(5000):
                client.line()
        assert len(closed(server).exchanges) == 1000


# ---- commands


def test_each_command_with_its_reply(server: Server) -> None:
    with Client(server) as client:
        client.send("ehlo  client.example \r\n")
        client.reply()
        client.say("RCPT TO:<bob@example.net>")
        client.deliver()
        client.say("xyzzy")
        client.quit()
    hello, *rest = closed(server).commands
    assert (hello.verb, hello.argument) == ("EHLO", "client.example")
    assert hello.reply is not None
    assert hello.reply.startswith("250-localhost\n250-PIPELINING\n")
    assert hello.reply.endswith("\n250 HELP")
    assert rest == [
        Command("RCPT", "TO:<bob@example.net>", "503 5.5.1 Bad sequence of commands: MAIL first"),
        Command("MAIL", "FROM:<ann@example.com>", "250 2.1.0 Sender OK"),
        Command("RCPT", "TO:<bob@example.net>", "250 2.1.5 Recipient OK"),
        Command("DATA", "", "354 End data with <CR><LF>.<CR><LF>"),
        Command("XYZZY", "", "500 5.5.2 Command not recognized"),
        Command("QUIT", "", "221 2.0.0 localhost closing connection"),
    ]


def test_a_chunk_belongs_to_its_command(server: Server) -> None:
    with Client(server) as client:
        client.ehlo().say(MAIL)
        client.say("RCPT TO:<bob@example.net>")
        client.send("BDAT 3\r\nabc")
        client.reply()
    last = closed(server).commands[-1]
    assert last == Command("BDAT", "3", "250 2.0.0 3 octets received")


def test_a_command_that_was_not_answered() -> None:
    with Server(faults=[Drop(on="noop")]) as server:
        with Client(server) as client:
            client.ehlo().send("NOOP a\x07b\r\n")
        last = closed(server).commands[-1]
    assert last == Command("NOOP", r"a\x07b", None)


def test_the_answers_to_auth_are_no_commands() -> None:
    with Server(users={"ann": SECRET}) as server:
        with Client(server) as client:
            client.ehlo().say(f"auth LOGIN {base64.b64encode(b'ann').decode()}")
            client.say(secrets()[1])
            client.say(f"NOOP {SECRET}")
        _, *rest = closed(server).commands
    assert rest == [
        Command("AUTH", "LOGIN ***", "334 UGFzc3dvcmQ6"),
        Command("NOOP", "***", "250 2.0.0 OK"),
    ]


def test_commands_are_bounded_like_exchanges() -> None:
    record = SessionJournal()
    for number in range(2000):
        record.client(b"NOOP %d" % number)
        record.server(b"250 %d\r\n" % number)
    commands = record.commands
    assert len(commands) == 500
    assert commands[0] == Command("NOOP", "0", "250 0")
    assert commands[-1] == Command("NOOP", "1999", "250 1999")
    assert all(f"250 {command.argument}" == command.reply for command in commands)


@pytest.mark.parametrize("reply", [b"250 OK\r\n", b"250-O\r\n250 K\r\n"])
def test_a_command_whose_reply_is_left_out_is_left_out_too(reply: bytes) -> None:
    record = SessionJournal()
    record.server(b"220-a\r\n220-b\r\n220 c\r\n")
    for number in range(2000):
        record.client(b"NOOP %d" % number)
        record.server(reply)
    text = reply.decode().strip().replace("\r\n", "\n")
    assert {command.reply for command in record.commands} == {text}


def test_what_is_no_command() -> None:
    record = SessionJournal()
    record.note(b"(a line of over 65536 octets)")
    record.server(b"500 Line too long\r\n")
    record.client(b"")
    assert record.commands == [Command("", "", None)]
    assert record.last_refusal() == "(a line of over 65536 octets) -> 500 Line too long"


def test_a_host_that_is_refused_has_said_nothing() -> None:
    with Server(reject_host="*") as server:
        with Client(server) as client:
            client.say("EHLO me")
        session = closed(server)
    assert session.last_refusal() == "550 Access denied: host 127.0.0.1 rejected"


# ---- secrets


def secrets() -> list[str]:
    encoded = [base64.b64encode(each).decode() for each in (
        SECRET.encode(), f"\0ann\0{SECRET}".encode())]  # fmt: skip
    return [SECRET, *encoded]


@pytest.mark.parametrize(
    "commands",
    [
        [f"AUTH PLAIN {secrets()[2]}"],
        ["AUTH PLAIN", secrets()[2]],
        ["AUTH LOGIN", base64.b64encode(b"ann").decode(), secrets()[1]],
        [f"AUTH LOGIN {base64.b64encode(b'ann').decode()}", secrets()[1]],
        [
            "AUTH XOAUTH2 "
            + base64.b64encode(f"user=ann\1auth=Bearer {SECRET}\1\1".encode()).decode()
        ],
        [f"AUTH NONSENSE {secrets()[2]}"],
        [f"AUTH {SECRET}"],
        [f"NOOP {SECRET}"],
        [f"MAIL FROM:<{SECRET}@example.com>"],
        [f"HELP {SECRET}"],
        [f"EHLO {SECRET}.example"],
        [f"{SECRET}"],
    ],
)
def test_secrets_are_masked_everywhere(
    commands: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pytest_smtpd")
    options = {"users": {"ann": SECRET}, "reject_sender": "*"}
    with Server(**options) as server:
        with Client(server) as client:
            client.ehlo()
            for command in commands:
                client.say(command)
        session = closed(server)
        with pytest.raises(AssertionError) as error:
            server.messages.one()
        shown = (
            str(session), repr(session), repr(session.exchanges), caplog.text,
            str(error.value), repr(server), repr(server.config), repr(server.config.users),
        )  # fmt: skip
        for secret in secrets():
            for text in shown:
                assert secret not in text
    assert any("***" in line for line in lines(session, "C"))


def test_what_answers_auth_is_masked_without_configured_passwords() -> None:
    with Server(users="any") as server:
        with Client(server) as client:
            client.ehlo()
            client.say("AUTH LOGIN")
            client.say(base64.b64encode(b"somebody").decode())
            assert client.say(secrets()[1]).startswith("235")
        session = closed(server)
    assert lines(session, "C")[1:] == ["AUTH LOGIN", "***", "***"]


def test_a_password_of_before_stays_masked() -> None:
    with Server(users={"ann": SECRET}) as server, Client(server) as client:
        client.ehlo().say(f"NOOP {SECRET}")
        server.configure(users={"ann": "another-one"})
        assert SECRET not in str(server.sessions[0])


# ---- logging


def test_it_is_logged_at_debug(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Client(server) as client:
        client.ehlo()
    closed(server)
    assert not caplog.records
    caplog.set_level(logging.DEBUG, "pytest_smtpd")
    with Client(server) as client:
        client.ehlo()
        assert "EHLO client.example" in caplog.text
    assert {record.name for record in caplog.records} == {"pytest_smtpd"}
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


# ---- violations, each by the wire


def message(content: bytes, parameters: str = "") -> Callable[[Client], None]:
    def send(client: Client) -> None:
        client.ehlo()
        assert client.say(MAIL + parameters).startswith("250")
        client.say("RCPT TO:<bob@example.net>")
        client.say("DATA")
        client.send(content + b"\r\n.\r\n")
        assert client.reply()[:3] in ("250", "552")
        client.quit()

    return send


def commands(*sent: str | bytes, quits: bool = True) -> Callable[[Client], None]:
    def send(client: Client) -> None:
        client.ehlo()
        for each in sent:
            client.send(each)
            client.reply()
        if quits:
            client.quit()

    return send


def pipelined(sent: str, replies: int) -> Callable[[Client], None]:
    def send(client: Client) -> None:
        client.ehlo().send(sent)
        for _ in range(replies):
            client.reply()
        client.quit()

    return send


def plain(sent: bytes) -> Callable[[Client], None]:
    return lambda client: client.send(sent)


LONG = b"x" * 999
GROUP = f"{MAIL}\r\nRCPT TO:<bob@example.net>\r\nRSET\r\n"
VIOLATIONS_BY_WIRE: list[tuple[str, Callable[[Client], object], Callable[[Client], object]]] = [
    # code, what does it, and a clean twin
    ("bare-lf", message(b"a\nb"), message(b"a\r\nb")),
    ("bare-lf", commands(b"NOOP a\nb\r\n"), commands(b"NOOP a b\r\n")),
    ("bare-cr", message(b"a\rb"), message(b"a\r\nb")),
    ("long-line", message(LONG), message(LONG[:998])),
    (
        "long-command",
        commands(b"NOOP " + b"x" * 506 + b"\r\n"),
        commands(b"NOOP " + b"x" * 505 + b"\r\n"),
    ),
    ("eight-bit", message(b"caf\xe9"), message(b"caf\xe9", " BODY=8BITMIME")),
    ("pipelining", pipelined("NOOP\r\nNOOP\r\n", 2), pipelined(GROUP, 3)),
    ("no-quit", commands(quits=False), commands()),
    ("no-quit", commands(quits=False), lambda client: None),
    ("unfinished-message", lambda client: client.ehlo().begin().send("half"), message(b"whole")),
    ("tls-on-plain-port", plain(b"\x16\x03\x01\x02\x00\x01"), commands()),
    ("no-ehlo", lambda client: client.say(MAIL), commands(f"{MAIL}\r\n")),
    ("bad-sequence", commands("DATA\r\n"), commands("RSET\r\n")),
    ("unknown-command", commands("FROB\r\n"), commands("TURN\r\n")),
    ("bad-syntax", commands("MAIL FROM:oops\r\n"), commands(f"{MAIL}\r\n")),
    ("space-in-path", commands("MAIL FROM: <a@b.example>\r\n"), commands(f"{MAIL}\r\n")),
    (
        "non-ascii-command",
        commands("MAIL FROM:<é@example.com>\r\n"),
        commands("MAIL FROM:<é@example.com> SMTPUTF8\r\n"),
    ),
    ("non-ascii-command", commands(b"NOOP \xff\r\n"), commands(b"NOOP x\r\n")),
    (
        "non-ascii-command",
        commands("VRFY jörg\r\n"),
        commands("VRFY jörg SMTPUTF8\r\n"),
    ),
    ("size-exceeded", commands(f"{MAIL} SIZE=99999999\r\n"), commands(f"{MAIL} SIZE=9\r\n")),
    ("size-mismatch", message(b"x" * 100, " SIZE=50"), message(b"x" * 100, " SIZE=102")),
    ("http", plain(b"GET / HTTP/1.1\r\n"), commands()),
]


@pytest.mark.parametrize(
    ("code", "guilty", "clean"), VIOLATIONS_BY_WIRE, ids=[row[0] for row in VIOLATIONS_BY_WIRE]
)
def test_a_violation_and_its_clean_twin(
    server: Server, code: str, guilty: Callable, clean: Callable
) -> None:
    for act in (guilty, clean):
        with Client(server) as client:
            act(client)
    found = [violation for violation in closed(server).violations if violation.code == code]
    assert found
    assert all(isinstance(violation, Violation) for violation in found)
    assert found[0] == VIOLATIONS[code]
    assert found[0].code in str(server.sessions[0])
    assert closed(server, 1).violations == []


def codes(server: Server, number: int = 0) -> set[str]:
    return {violation.code for violation in closed(server, number).violations}


@pytest.mark.parametrize("early", [True, False])
def test_talking_before_the_greeting(early: bool) -> None:
    hold = Hold(on="connect", times=1)
    with Server(faults=[hold]) as server:
        with Client(server, greeting=False) as client:
            assert hold.wait_reached(LIMIT)
            if early:
                client.send("EHLO me\r\n")
                Client(server).close()  # who is greeted came later: by then it has been read
            hold.release()
            assert client.reply().startswith("220 ")
            if not early:
                client.send("EHLO me\r\n")
            assert client.reply().startswith("250")
            client.quit()
        assert codes(server) == ({"early-talker"} if early else set())


def test_talking_before_the_greeting_is_noted_once() -> None:
    hold = Hold(on="connect", times=1)
    with Server(faults=[hold]) as server:
        with Client(server, greeting=False) as client:
            assert hold.wait_reached(LIMIT)
            for piece in ("EH", "LO ", "me\r\n"):
                client.send(piece)
                Client(server).close()  # who is greeted came later: by then it has been read
            hold.release()
            assert client.reply().startswith("220 ")
            assert client.reply().startswith("250")
            client.quit()
        session = closed(server)
        assert [violation.code for violation in session.violations] == ["early-talker"]


def test_who_was_not_answered_has_said_quit_all_the_same() -> None:
    for fault in (Answer(450, on="quit"), Raw(b"good\r\n", on="quit"), Stall(on="quit")):
        with Server(faults=[fault]) as server:
            with Client(server) as client:
                client.ehlo().send("QUIT\r\n")
                if not isinstance(fault, Stall):
                    assert client.reply()[:4] in ("450 ", "good")
            assert codes(server) == set()
            assert server.sessions[0].ended_by == "client"


@pytest.mark.parametrize("stage", ["helo", "mail", "rcpt", "data"])
def test_who_believes_a_fault_is_not_to_blame(stage: str) -> None:
    lie = b"354 go on\r\n" if stage == "data" else b"250 fine\r\n"
    with Server(faults=[Raw(lie, on=stage)]) as server:
        with Client(server) as client:
            answers = [
                client.say(each) for each in ("EHLO me", MAIL, "RCPT TO:<bob@example.net>", "DATA")
            ]
            told = dict(zip(("helo", "mail", "rcpt", "data"), answers, strict=True))
            assert told[stage] == lie.decode().rstrip()
            if stage == "data":
                client.send(f"{TEXT}.\r\n")
                for _ in f"{TEXT}.\r\n".splitlines():
                    assert client.reply().startswith("500 ")
            client.quit()
        assert codes(server) == set()
        assert not server.messages


def test_who_does_wrong_later_is_to_blame_again() -> None:
    with Server(faults=[Raw(b"250 fine\r\n", on="mail", times=1)]) as server:
        with Client(server) as client:
            client.ehlo().say(MAIL)
            client.say("RCPT TO:<bob@example.net>")
            assert client.say("RSET").startswith("250")
            assert client.say("FROB").startswith("500")
            client.quit()
        assert codes(server) == {"unknown-command"}


def test_the_lines_of_an_http_request_are_one_violation(server: Server) -> None:
    with Client(server) as client:
        for line in ("POST / HTTP/1.1", "Host: mail.example", "Accept: */*", "", "a=1"):
            assert client.say(line).startswith("500 ")
    found = [violation.code for violation in closed(server).violations]
    assert found.count("http") == 1
    assert set(found) <= {"http", "no-quit"}


def test_an_extension_that_was_not_offered() -> None:
    with Server(without_extensions=["CHUNKING"]) as server:
        with Client(server) as client:
            client.ehlo()
            assert client.say("BDAT 0 LAST").startswith("502")
            client.quit()
        assert codes(server) == {"unoffered-extension"}


def test_a_password_in_clear() -> None:
    pytest.importorskip("trustme")
    login = f"AUTH PLAIN {secrets()[2]}"
    for tls, expected in (("starttls", {"cleartext-password"}), (None, set())):
        with Server(users={"ann": SECRET}, tls=tls) as server:
            with Client(server) as client:
                assert client.ehlo().say(login).startswith("235")
                client.quit()
            assert codes(server) == expected


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"faults": [Answer("535 5.7.8 No", on="auth")]}, "535 5.7.8 No"),
        ({"auth_requires_tls": True}, "538 5.7.11"),
        ({"faults": [Drop(on="auth")]}, ""),
    ],
)
def test_a_password_in_clear_whatever_became_of_it(more: dict[str, Any], refusal: str) -> None:
    pytest.importorskip("trustme")
    with Server(users={"ann": SECRET}, tls="starttls", **more) as server:
        with Client(server) as client:
            assert client.ehlo().say(f"AUTH PLAIN {secrets()[2]}").startswith(refusal)
            if refusal:
                client.quit()
        found = [violation.code for violation in closed(server).violations]
        assert found == ["cleartext-password"]


def test_plain_text_on_a_tls_port() -> None:
    pytest.importorskip("trustme")
    with Server(tls="implicit") as server:
        with Client(server, greeting=False) as client:
            client.send("EHLO me\r\n")
            with contextlib.suppress(ConnectionError):
                assert client.rest() == b""
        assert codes(server) == {"plain-on-tls-port"}
        assert server.sessions[0].ended_by == "server"


def test_something_in_clear_behind_starttls() -> None:
    pytest.importorskip("trustme")
    with Server(tls="starttls") as server:
        with Client(server) as client:
            client.ehlo().send("STARTTLS\r\nEHLO injected\r\n")
            assert client.reply().startswith("220")
        assert "starttls-injection" in codes(server)
        assert server.sessions[0].helo == "client.example"


def test_what_binarymime_allows_is_no_violation(server: Server) -> None:
    content = b"bare\nlf\rcr \xff\x00" + LONG * 2
    with Client(server) as client:
        client.ehlo()
        client.say(f"{MAIL} BODY=BINARYMIME")
        client.say("RCPT TO:<bob@example.net>")
        client.send(b"BDAT %d LAST\r\n" % len(content) + content)
        assert client.reply().startswith("250")
        client.quit()
    assert codes(server) == set()
    assert server.messages[0].raw == content


def test_each_code_is_triggered_here() -> None:
    elsewhere = {
        *("early-talker", "unoffered-extension", "cleartext-password"),
        *("plain-on-tls-port", "starttls-injection"),
    }
    assert {row[0] for row in VIOLATIONS_BY_WIRE} | elsewhere == set(VIOLATIONS)


def test_a_connection_that_is_open_at_the_end_is_no_violation() -> None:
    server = Server().start()
    with Client(server) as client:
        client.ehlo().deliver()
        server.stop()
    assert server.sessions[0].violations == []


def test_what_is_closed_just_before_the_end_is_judged() -> None:
    for _ in range(20):
        server = Server().start()
        with Client(server) as client:
            client.ehlo()
        server.stop()
        assert [violation.code for violation in server.sessions[0].violations] == ["no-quit"]


@pytest.mark.parametrize(
    ("hello", "parameters", "protocol"),
    [
        ("HELO", "", "SMTP"),
        ("EHLO", "", "ESMTP"),
        ("EHLO", " SMTPUTF8", "UTF8SMTP"),
        ("LHLO", "", "LMTP"),
        ("LHLO", " SMTPUTF8", "UTF8LMTP"),
    ],
)
def test_the_trace_names_the_protocol(hello: str, parameters: str, protocol: str) -> None:
    # RFC 5321 section 4.4, RFC 3848, RFC 6531 section 4.3
    options = {"trace_headers": True, "protocol": "lmtp" if hello == "LHLO" else "smtp"}
    lines = (f"{hello} me.example", f"{MAIL}{parameters}", "RCPT TO:<bob@example.net>", "DATA")
    with Server(**options) as server, Client(server) as client:
        for line in lines:
            client.say(line)
        assert client.say(f"{TEXT}.").startswith("250")
    received = str(server.messages[0]["Received"])
    assert received.startswith(f"from me.example ([127.0.0.1])\tby localhost with {protocol} id ")


@pytest.mark.parametrize(("noted", "left_out"), [(1000, 0), (1001, 2), (1500, 501)])
def test_a_thousand_exchanges_are_kept(noted: int, left_out: int) -> None:
    record = SessionJournal()
    for number in range(noted):
        record.client(b"%d" % number)
    lines = [exchange.line for exchange in record.exchanges]
    assert len(lines) == 1000
    assert (lines[0], lines[-1]) == ("0", str(noted - 1))
    gap = [f"... {left_out} exchanges left out ..."] if left_out else []
    assert [line for line in lines if "left out" in line] == gap


def test_what_a_split_reply_says_is_in_the_record_before_it() -> None:
    with (
        Server(faults=[Split(1, on="helo"), Split(1, on="quit")]) as server,
        Client(server) as client,
    ):
        client.send("EHLO me.example\r\n")
        client.came = client.socket.recv(1)
        assert server.sessions[0].helo == "me.example"
        client.reply()
        client.send("QUIT\r\n")
        assert client.socket.recv(1) == b"2"
        assert server.sessions[0].ended_by == "quit"


def test_a_refusal_is_forgotten_when_a_message_was_taken_and_not_for_a_chunk(
    server: Server,
) -> None:
    with Client(server) as client:
        client.ehlo().say(MAIL)
        client.say("RCPT TO:<nobody>")
        client.say("RCPT TO:<bob@example.net>")
        client.send("BDAT 3\r\nabc")
        assert client.reply().startswith("250")
        refusal = server.sessions[0].last_refusal()
        assert refusal is not None
        assert refusal.startswith("RCPT TO:<nobody> -> 5")
        client.send("BDAT 3 LAST\r\nabc")
        assert client.reply().startswith("250")
        assert server.sessions[0].last_refusal() is None


def test_the_octets_of_an_open_session_s_messages_are_not_kept_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_UNINSPECTED_OCTETS", 5_000_000)
    text = "Subject: hi\r\n\r\n" + ("x" * 70 + "\r\n") * 1500  # 100 KB
    with Client(server) as client:
        client.ehlo()
        tracemalloc.start()
        try:
            for _ in range(400):
                assert client.deliver(text).startswith("250 ")
                server.messages.clear()
                server.sessions[0].messages.clear()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 20_000_000
        client.send(
            b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nb\xe4r\n.\r\n.\r\n"
        )
        assert [client.reply()[:3] for _ in range(4)] == ["250", "250", "354", "250"]
        codes = {violation.code for violation in server.sessions[0].violations}
        assert {"bare-lf", "eight-bit"} <= codes
