"""`pytest_smtpd.faults`: what each does on the wire, how they are counted, and their end."""

from __future__ import annotations

import itertools
import re
import smtplib
import threading
import time
import tracemalloc
from typing import Any

import pytest

from client import LIMIT, TEXT, Client
from pytest_smtpd import Reply, Server
from pytest_smtpd.faults import (
    STAGES,
    Answer,
    Delay,
    Drop,
    Fault,
    Hold,
    Raw,
    Split,
    Stall,
    Throttle,
)
from pytest_smtpd.serving.connection import Connection

MAIL = "MAIL FROM:<ann@example.com>"


def noops(server: Server, count: int) -> list[str]:
    """The codes of the replies to NOOP in a session of its own."""
    with Client(server) as client:
        client.ehlo()
        return [client.say("NOOP")[:3] for _ in range(count)]


def wait_hits(server: Server, fault: Fault, count: int) -> None:
    deadline = time.monotonic() + LIMIT
    while server.hits(fault) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


# ---- what may be written


def test_the_stages() -> None:
    assert (
        *("connect", "helo", "starttls", "auth", "mail", "rcpt", "data", "message"),
        *("rset", "noop", "quit"),
    ) == STAGES


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Fault(on="noop"), TypeError, "Fault is what all faults share"),
        (lambda: Answer(450), TypeError, "on"),
        (lambda: Delay(1), TypeError, "on"),
        (lambda: Drop(), TypeError, "STAGE"),
        (lambda: Stall(), TypeError, "on"),
        (lambda: Hold(), TypeError, "on"),
        (lambda: Raw(b""), TypeError, "on"),
        (lambda: Split(), TypeError, "on"),
        (lambda: Answer(450, on="rcptt"), ValueError, "did you mean 'rcpt'"),
        (lambda: Answer("hello", on="rcpt"), ValueError, "SMTP reply"),
        (lambda: Answer("450 5.7.1 Later", on="rcpt"), ValueError, "another class"),
        (lambda: Answer(99, on="rcpt"), ValueError, "99"),
        (lambda: Answer(450, on="noop", times=0), ValueError, "times"),
        (lambda: Answer(450, on="noop", times="2"), ValueError, "times"),
        (lambda: Answer(450, on="noop", skip=-1), ValueError, "skip"),
        (lambda: Answer(450, on="noop", per="client"), ValueError, "per"),
        (lambda: Answer(450, on="noop", per="recipient"), ValueError, "recipient"),
        (lambda: Answer(450, on="noop", probability=2), ValueError, "probability"),
        (lambda: Answer(450, on="noop", match="x"), ValueError, "match"),
        (lambda: Answer(450, on="quit", match="x"), ValueError, "match"),
        (lambda: Answer(450, on="data", match="x"), ValueError, "match"),
        (lambda: Answer(450, on="connect", match="10.0.0.0/99"), ValueError, "10.0.0.0/99"),
        (lambda: Delay(-1, on="noop"), ValueError, "seconds"),
        (lambda: Delay(float("nan"), on="noop"), ValueError, "seconds"),
        (lambda: Drop(on="mail", after=5), ValueError, "message"),
        (lambda: Drop(after=-1), ValueError, "after"),
        (lambda: Raw("text", on="noop"), TypeError, "bytes"),
        (lambda: Split(0, on="noop"), ValueError, "octets"),
        (lambda: Throttle(0), ValueError, "octets_per_second"),
        (lambda: Throttle(5, on="data"), ValueError, "connection; leave on= out"),
        (lambda: Answer(99, on="rcpt"), ValueError, "^Answer"),
        (lambda: Stall(on="mail", match=5), TypeError, "^Stall.match=.*: a pattern is "),
        (lambda: Stall(on="connect", match="10.0.0.0/99"), ValueError, "^Stall.match=.* a network"),
        (lambda: Stall(on="mail", per="recipient"), ValueError, "only on rcpt, message"),
    ],
)
def test_what_makes_no_sense_is_an_error(make: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_they_can_be_given_as_an_option_and_at_run_time() -> None:
    fault = Answer(451, on="noop")
    with Server(faults=[fault]) as server:
        assert noops(server, 1) == ["451"]
        server.faults.remove(fault)
        assert noops(server, 1) == ["250"]
        server.faults.append(fault)
        assert noops(server, 1) == ["451"]
        server.faults.clear()
        assert noops(server, 1) == ["250"]
        server.faults.insert(0, fault)
        assert server.faults[0] is fault
        assert noops(server, 1) == ["451"]
        server.faults[:] = []
        assert noops(server, 1) == ["250"]
    with Server(faults=fault) as server:
        assert noops(server, 1) == ["451"]


def test_only_faults_can_be_in_the_list() -> None:
    server = Server()
    with pytest.raises(TypeError, match="fault"):
        server.faults.append("drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fault"):
        Server(faults=["drop"])
    with pytest.raises(TypeError, match=r"^Stall\(...\) stands alone: a list of faults, "):
        server.faults = Stall(on="noop")  # type: ignore[assignment]


# ---- counting


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Answer(451, on="noop"), "451 451 451 451 451"),
        (Answer(451, on="noop", times=2), "451 451 250 250 250"),
        (Answer(451, on="noop", skip=2), "250 250 451 451 451"),
        (Answer(451, on="noop", skip=1, times=2), "250 451 451 250 250"),
        (Answer(451, on="noop", probability=0), "250 250 250 250 250"),
        (Answer(451, on="noop", probability=1), "451 451 451 451 451"),
        (Answer(451, on="rset"), "250 250 250 250 250"),
    ],
)
def test_times_and_skip(fault: Fault, expected: str) -> None:
    with Server(faults=[fault]) as server:
        assert noops(server, 5) == expected.split()
        assert server.hits(fault) == expected.count("451")


def test_per_server_and_per_session() -> None:
    for per, second in (("server", ["250", "250"]), ("session", ["451", "250"])):
        with Server(faults=[Answer(451, on="noop", times=1, per=per)]) as server:
            assert noops(server, 2) == ["451", "250"]
            assert noops(server, 2) == second


def test_per_session_after_a_clear() -> None:
    # what counts a session must not be taken for that of another that has gone
    with Server(faults=[Answer(451, on="noop", times=1, per="session")]) as server:
        for _ in range(20):
            assert noops(server, 2) == ["451", "250"]
            server.sessions[0].wait_closed(LIMIT)
            server.clear()


def test_greylisting() -> None:
    grey = Answer("451 4.7.1 Greylisted", on="rcpt", times=1, per="recipient")
    with Server(faults=[grey]) as server, Client(server) as client:
        client.ehlo().say(MAIL)
        for address in ("bob@example.net", "carol@example.net"):
            assert client.say(f"RCPT TO:<{address}>") == "451 4.7.1 Greylisted"
            assert client.say(f"RCPT TO:<{address.upper()}>").startswith("250")
        assert server.hits(grey) == 2


def test_a_fault_per_recipient_of_a_message() -> None:
    fault = Answer(451, on="message", times=1, per="recipient", match="bob@*")
    with Server(faults=[fault]) as server, Client(server) as client:
        client.ehlo()
        assert client.deliver(TEXT, "a@b.example", "carol@example.net").startswith("250")
        assert client.deliver(TEXT, "a@b.example", "bob@example.net", "c@d.example")[:3] == "451"
        assert client.deliver(TEXT, "a@b.example", "bob@example.net", "c@d.example")[:3] == "250"


@pytest.mark.parametrize(
    ("stage", "pattern", "hit", "passed"),
    [
        ("helo", "bad*", "EHLO BAD.example", "EHLO good.example"),
        ("mail", "ann@*", "MAIL FROM:<ann@example.com>", "MAIL FROM:<bob@example.com>"),
        ("mail", re.compile("^$"), "MAIL FROM:<>", "MAIL FROM:<bob@example.com>"),
        (
            "mail",
            lambda a: a == "a@b.example",
            "MAIL FROM:<a@b.example>",
            "MAIL FROM:<c@b.example>",
        ),
    ],
)
def test_match(stage: str, pattern: Any, hit: str, passed: str) -> None:
    with Server(faults=[Answer(451, on=stage, match=pattern)]) as server, Client(server) as client:
        client.ehlo("neutral.example")
        assert client.say(hit).startswith("451")
        assert client.say(passed).startswith("250")


def test_match_of_a_recipient_an_ip_address_and_any_recipient() -> None:
    with (
        Server(faults=[Answer(451, on="rcpt", match="*@x.example")]) as server,
        Client(server) as client,
    ):
        client.ehlo().say(MAIL)
        assert client.say("RCPT TO:<a@x.example>").startswith("451")
        assert client.say("RCPT TO:<a@y.example>").startswith("250")
    for network, code in (("127.0.0.0/8", "451"), ("10.*", "220")):
        with (
            Server(faults=[Answer(451, on="connect", match=network)]) as server,
            Client(server) as client,
        ):
            assert client.greeting.startswith(code)
    with (
        Server(faults=[Answer(451, on="message", match="b@*")]) as server,
        Client(server) as client,
    ):
        assert client.ehlo().deliver(TEXT, "s@x.example", "a@x.example").startswith("250")
        assert client.deliver(TEXT, "s@x.example", "a@x.example", "b@x.example")[:3] == "451"


def test_counters_belong_to_the_entry_in_the_list() -> None:
    fault = Answer(451, on="noop", times=1)
    with Server(faults=[fault, fault]) as server, Server(faults=[fault]) as other:
        assert noops(server, 3) == ["451", "451", "250"]
        assert server.hits(fault) == 2
        assert noops(other, 2) == ["451", "250"]
        assert other.hits(fault) == 1
        server.faults[:] = [fault]
        assert server.hits(fault) == 0
        assert noops(server, 2) == ["451", "250"]
    assert other.hits(Stall(on="noop")) == 0


def test_equal_faults_are_told_apart() -> None:
    first, second, third = (Answer(451, on="noop", times=1) for _ in range(3))
    assert first == second == third
    with Server(faults=[first, second, third]) as server:
        assert noops(server, 1) == ["451"]
        assert [server.hits(each) for each in (first, second, third)] == [1, 0, 0]
        server.faults.remove(second)
        assert [each is third for each in server.faults] == [False, True]
        assert noops(server, 2) == ["451", "250"]
        assert [server.hits(each) for each in (first, second, third)][::2] == [1, 1]
        server.faults.remove(Answer(451, on="noop", times=1))  # or else one that is equal
        assert [each is third for each in server.faults] == [True]
        with pytest.raises(ValueError, match="list"):
            server.faults.remove(Stall(on="noop"))


def test_each_hold_is_a_place_of_its_own() -> None:
    first, second = Hold(on="noop"), Hold(on="noop")
    assert first == first
    assert first != second
    with Server(faults=[first, second]) as server:
        server.faults.remove(second)
        assert list(server.faults) == [first]
        with pytest.raises(TypeError, match="a list of faults is wanted"):
            server.faults[0:1] = second  # type: ignore[call-overload]
        assert list(server.faults) == [first]


def test_faults_added_in_place() -> None:
    fault = Answer(451, on="noop", times=1)
    with Server(faults=[fault]) as server:
        faults = server.faults
        assert noops(server, 1) == ["451"]
        server.faults += [Answer(452, on="noop")]
        assert server.faults is faults
        assert len(faults) == 2
        assert server.hits(fault) == 1
        assert noops(server, 1) == ["452"]
        server.faults = [fault]
        assert server.faults is faults
        assert noops(server, 2) == ["451", "250"]


def test_probability_repeats_with_the_seed() -> None:
    fault = Answer(451, on="noop", probability=0.5)

    def outcomes(seed: int | str) -> list[str]:
        with Server(faults=[fault], seed=seed) as server:
            return noops(server, 60)

    first = outcomes(1)
    assert set(first) == {"250", "451"}
    assert outcomes(1) == first
    assert outcomes("1") == first
    assert outcomes(2) != first


def test_without_a_seed_it_differs() -> None:
    fault = Answer(451, on="noop", probability=0.5)
    runs = set()
    for _ in range(3):
        with Server(faults=[fault]) as server:
            runs.add(tuple(noops(server, 60)))
    assert len(runs) > 1


# ---- order


def test_the_first_that_decides_does_and_is_the_only_one_counted() -> None:
    faults = [Answer(450, on="noop", times=1), Answer(451, on="noop"), Answer(452, on="noop")]
    with Server(faults=faults) as server:
        assert noops(server, 3) == ["450", "451", "451"]
        assert [server.hits(fault) for fault in faults] == [1, 2, 0]


def test_delay_hold_and_split_let_the_next_one_act_too() -> None:
    hold = Hold(on="noop")
    faults = [
        Delay(0.01, on="noop"),
        hold,
        Split(5, on="noop"),
        Answer("451 one by one", on="noop"),
    ]
    with Server(faults=faults) as server, Client(server) as client:
        client.ehlo().send("NOOP\r\n")
        assert hold.wait_reached(LIMIT)
        hold.release()
        assert client.reply() == "451 one by one"
        assert [server.hits(fault) for fault in faults] == [1, 1, 1, 1]


def test_what_stands_behind_the_one_that_decides_does_not_act() -> None:
    faults = [Answer(451, on="noop"), Delay(60, on="noop"), Stall(on="noop")]
    with Server(faults=faults) as server:
        assert noops(server, 1) == ["451"]
        assert [server.hits(fault) for fault in faults] == [1, 0, 0]


def test_they_come_before_rules_and_callbacks() -> None:
    asked: list[str] = []
    options = {"reject_sender": "*", "validate_recipient": asked.append}
    faults = [Answer("250 let in", on="mail"), Answer(451, on="rcpt")]
    with Server(faults=faults, **options) as server, Client(server) as client:
        client.ehlo()
        assert client.say(MAIL) == "250 let in"
        assert client.say("RCPT TO:<bob@example.net>").startswith("451")
    assert asked == []


# ---- Answer


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (450, "450 4.2.0 "),
        ("450 4.2.1 Mailbox busy", "450 4.2.1 Mailbox busy"),
        (Reply(450, "Busy", "4.2.1"), "450 4.2.1 Busy"),
        ("250-one\ntwo", "250-one\n250 two"),
    ],
)
def test_a_reply_of_every_form(reply: Any, expected: str) -> None:
    with Server(faults=[Answer(reply, on="noop")]) as server, Client(server) as client:
        assert client.ehlo().say("NOOP").startswith(expected)


def test_a_positive_answer_lets_the_command_take_effect() -> None:
    faults = [
        Answer("250 sender", on="mail"),
        Answer("251 recipient", on="rcpt"),
        Answer("354 go on", on="data"),
        Answer("250 stored", on="message"),
    ]
    with Server(faults=faults) as server, Client(server) as client:
        client.ehlo()
        assert client.say(MAIL) == "250 sender"
        assert client.say("RCPT TO:<bob@example.net>") == "251 recipient"
        assert client.say("DATA") == "354 go on"
        assert client.say(f"{TEXT}.") == "250 stored"
        assert len(server.messages) == 1


@pytest.mark.parametrize("reply", [251, 252, "354 go on"])
def test_a_message_is_stored_by_no_other_positive_answer_than_250(reply: Any) -> None:
    with Server(faults=[Answer(reply, on="message")]) as server, Client(server) as client:
        assert client.ehlo().deliver()[:3] == str(reply)[:3]
        assert server.messages == []
        assert client.say("DATA").startswith("503 ")


def test_a_fault_that_cannot_be_carried_out_is_an_error() -> None:
    class Strange(Fault):
        pass

    with (
        pytest.raises(TypeError, match=r"Strange\(.* is no fault that anybody knows"),
        Server(faults=[Strange(on="noop")]) as server,
        Client(server) as client,
    ):
        assert client.ehlo().say("NOOP").startswith("421 ")


def test_a_negative_answer_does_not_and_ends_the_transaction_on_message() -> None:
    faults = [Answer(451, on=stage, times=1) for stage in ("mail", "rcpt", "data", "message")]
    with Server(faults=faults) as server, Client(server) as client:
        client.ehlo()
        assert client.say(MAIL).startswith("451")
        assert client.say("RCPT TO:<bob@example.net>").startswith("503")
        client.say(MAIL)
        assert client.say("RCPT TO:<bob@example.net>").startswith("451")
        assert client.say("DATA").startswith("503")
        client.say("RCPT TO:<bob@example.net>")
        assert client.say("DATA").startswith("451")
        assert client.say("DATA").startswith("354")
        assert client.say(f"{TEXT}.").startswith("451")
        assert not server.messages
        assert client.say("DATA").startswith("503")
        assert client.deliver().startswith("250")


@pytest.mark.parametrize(
    "stage", ["connect", "helo", "mail", "rcpt", "data", "message", "rset", "noop", "quit"]
)
def test_421_closes_at_every_stage(stage: str) -> None:
    with Server(faults=[Answer("421 4.3.2 Closing", on=stage)]) as server:
        with Client(server, greeting=False) as client:
            verb = {"rset": "RSET\r\n", "noop": "NOOP\r\n"}.get(stage, "")
            commands = f"EHLO me\r\n{verb}{MAIL}\r\nRCPT TO:<b@c.example>\r\nDATA\r\n"
            client.send(f"{commands}{TEXT}.\r\nQUIT\r\n")
            assert client.rest().splitlines()[-1] == b"421 4.3.2 Closing"
        assert server.sessions[0].wait_closed(LIMIT)
        assert server.sessions[0].ended_by == "fault"
        assert len(server.messages) == (stage == "quit")


def test_the_third_mail_fails() -> None:
    with Server(faults=[Answer(554, on="message", skip=2, times=1)]) as server:
        with smtplib.SMTP(server.host, server.port, timeout=LIMIT) as client:
            send = lambda: client.sendmail("a@b.example", ["c@d.example"], TEXT)  # noqa: E731
            send(), send()
            with pytest.raises(smtplib.SMTPDataError):
                send()
            send()
        assert len(server.messages) == 3


# ---- Drop


@pytest.mark.parametrize("stage", ["connect", "helo", "mail", "rcpt", "data", "message", "quit"])
def test_drop_closes_before_answering(stage: str) -> None:
    answered = ["connect", "helo", "mail", "rcpt", "data", "message", "quit"].index(stage)
    with Server(faults=[Drop(on=stage, times=1)]) as server:
        with Client(server, greeting=False) as client:
            client.send("EHLO me\r\n" if answered else "")
            if answered > 1:
                client.send(f"{MAIL}\r\nRCPT TO:<b@c.example>\r\nDATA\r\n{TEXT}.\r\nQUIT\r\n")
            came = client.rest()
        replies = [line for line in came.splitlines() if line[3:4] == b" "]
        assert len(replies) == answered
        assert server.sessions[0].wait_closed(LIMIT)
        assert server.sessions[0].ended_by == "fault"
        assert len(server.messages) == (stage == "quit")
        with Client(server) as client:
            assert client.ehlo().deliver().startswith("250")


def test_drop_with_reset_gives_econnreset() -> None:
    with Server(faults=[Drop(on="noop", reset=True)]) as server, Client(server) as client:
        client.ehlo().send("NOOP\r\n")
        with pytest.raises(ConnectionResetError):
            client.reply()
        assert server.sessions[0].wait_closed(LIMIT)
        assert server.sessions[0].ended_by == "fault"


def test_drop_without_reset_is_an_orderly_end() -> None:
    with Server(faults=[Drop(on="noop")]) as server, Client(server) as client:
        client.ehlo().send("NOOP\r\n")
        assert client.reply() == ""


@pytest.mark.parametrize("reset", [False, True])
def test_drop_in_the_middle_of_a_message(reset: bool) -> None:
    fault = Drop(after=1000, reset=reset, times=1)
    assert fault.on == "message"
    with Server(faults=[fault]) as server:
        with Client(server) as client:
            client.ehlo().begin()
            client.send("x" * 999)
            with Client(server) as other:  # a round trip: nothing has happened yet
                other.say("NOOP")
            assert server.hits(fault) == 0
            client.send("x\r\n")
            if reset:
                with pytest.raises(ConnectionResetError):
                    client.reply()
            else:
                assert client.reply() == ""
        assert server.hits(fault) == 1
        assert server.sessions[0].ended_by == "fault"
        assert not server.messages
        with Client(server) as client:
            assert client.ehlo().deliver("x" * 1000 + "\r\n").startswith("250")


def test_drop_in_the_middle_leaves_a_shorter_message_alone() -> None:
    with Server(faults=[Drop(after=1000)]) as server, Client(server) as client:
        assert client.ehlo().deliver("x" * 900 + "\r\n").startswith("250")
        assert client.deliver("x" * 900 + "\r\n").startswith("250")
        client.begin()
        client.send("x" * 5000 + "\r\n.\r\n")
        assert client.rest() == b""
        assert len(server.messages) == 2


def test_drop_after_no_octet_at_all_comes_behind_the_354() -> None:
    with Server(faults=[Drop(after=0)]) as server, Client(server) as client:
        client.ehlo().begin()
        assert client.rest() == b""


def test_drop_in_the_middle_counts_and_matches() -> None:
    fault = Drop(after=10, skip=1, match="bob@*")
    with Server(faults=[fault]) as server, Client(server) as client:
        client.ehlo()
        assert client.deliver(TEXT, "a@b.example", "carol@example.net").startswith("250")
        assert client.deliver(TEXT, "a@b.example", "bob@example.net").startswith("250")
        client.begin("a@b.example", "bob@example.net").send(f"{TEXT}.\r\n")
        assert client.rest() == b""
        assert len(server.messages) == 2


def test_drop_in_the_middle_of_chunks() -> None:
    with Server(faults=[Drop(after=15)]) as server, Client(server) as client:
        client.ehlo()
        client.say(MAIL)
        client.say("RCPT TO:<b@c.example>")
        client.send(b"BDAT 10\r\n0123456789")
        assert client.reply().startswith("250")
        client.send(b"BDAT 10 LAST\r\n0123456789")
        assert client.rest() == b""
        assert not server.messages


def test_drop_in_the_middle_of_a_chunk_that_is_not_the_last() -> None:
    fault = Drop(after=5)
    with Server(faults=[fault]) as server, Client(server) as client:
        client.ehlo()
        client.say(MAIL)
        client.say("RCPT TO:<b@c.example>")
        client.send(b"BDAT 10\r\n0123456789")
        assert client.rest() == b""
        assert server.hits(fault) == 1
        assert server.sessions[0].ended_by == "fault"
        assert not server.messages


# ---- Stall


def test_stall_never_answers_and_stays_open() -> None:
    with Server(faults=[Stall(on="noop", times=1)]) as server, Client(server) as client:
        client.ehlo().send("NOOP\r\n")
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.reply()
        with Client(server) as other:
            assert other.ehlo().deliver().startswith("250")
        assert server.sessions[0].ended_by is None


def test_a_stalled_client_that_closes() -> None:
    with Server(faults=[Stall(on="message")]) as server:
        with Client(server) as client:
            client.ehlo().begin().send(f"{TEXT}.\r\n")
        assert server.sessions[0].wait_closed(LIMIT)
        assert server.sessions[0].ended_by == "client"
        assert not server.messages


def test_a_real_client_times_out() -> None:
    with (
        Server(faults=[Stall(on="noop")]) as server,
        smtplib.SMTP(server.host, server.port, timeout=LIMIT) as client,
    ):
        client.sock.settimeout(0.1)
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            client.noop()


# ---- Hold


def test_hold_is_a_breakpoint() -> None:
    hold = Hold(on="message")
    with Server(faults=[hold]) as server, Client(server) as client:
        client.ehlo().begin()
        assert not hold.wait_reached(timeout=0)
        client.send(f"{TEXT}.\r\n")
        assert hold.wait_reached()
        assert not server.messages
        hold.release()
        assert client.reply().startswith("250")
        assert len(server.messages) == 1
        assert server.hits(hold) == 1


def test_hold_again_and_again() -> None:
    hold = Hold(on="noop")
    with Server(faults=[hold]) as server, Client(server) as client:
        client.ehlo()
        for _ in range(5):
            client.send("NOOP\r\n")
            assert hold.wait_reached(LIMIT)
            hold.release()
            assert client.reply().startswith("250")


def test_hold_releases_all_who_wait() -> None:
    hold = Hold(on="noop", times=2)
    with Server(faults=[hold]) as server, Client(server) as one, Client(server) as other:
        for client in (one, other):
            client.ehlo().send("NOOP\r\n")
        wait_hits(server, hold, 2)
        with Client(server) as third:  # a round trip: both wait now
            third.say("NOOP")
        hold.release()
        assert one.reply().startswith("250")
        assert other.reply().startswith("250")


def test_hold_released_before_it_is_reached() -> None:
    hold = Hold(on="noop", times=1)
    hold.release()
    with Server(faults=[hold]) as server:
        assert noops(server, 1) == ["250"]


def test_hold_lets_the_others_go_on() -> None:
    hold = Hold(on="mail", match="slow@*")
    with Server(faults=[hold]) as server, Client(server) as slow, Client(server) as quick:
        slow.ehlo().send("MAIL FROM:<slow@example.com>\r\n")
        assert hold.wait_reached(LIMIT)
        assert quick.ehlo().deliver().startswith("250")
        hold.release()
        assert slow.reply().startswith("250")


def test_a_held_client_that_goes_away() -> None:
    hold = Hold(on="noop")
    with Server(faults=[hold]) as server:
        with Client(server) as client:
            client.ehlo().send("NOOP\r\n")
            assert hold.wait_reached(LIMIT)
            client.reset()
        assert server.sessions[0].wait_closed(LIMIT)
        hold.release()
        with Client(server) as client:
            assert client.ehlo().say("RSET").startswith("250")


# ---- Raw


@pytest.mark.parametrize(
    "data",
    [b"250 2.0", b"\xff\xfe\x00garbage\r\n", b"", b"999\r\n", bytearray(b"250-a\r\n250 b\r\n")],
)
def test_raw_sends_just_these_octets(data: bytes) -> None:
    with Server(faults=[Raw(data, on="noop", times=1)]) as server, Client(server) as client:
        client.ehlo().send("NOOP\r\nRSET\r\n")
        expected = bytes(data) + b"250 2.0.0 OK\r\n"
        came = client.came
        while len(came) < len(expected):
            came += client.socket.recv(1000)
        assert came == expected


@pytest.mark.parametrize("stage", ["connect", "helo", "mail", "rcpt", "data", "message"])
def test_raw_has_no_effect_but_what_it_says(stage: str) -> None:
    with Server(faults=[Raw(b"250 believe me\r\n", on=stage, times=1)]) as server:
        with Client(server, greeting=False) as client:
            client.reply()
            client.say("EHLO me")
            client.say(MAIL)
            client.say("RCPT TO:<b@c.example>")
            if client.say("DATA").startswith("354"):
                client.say(f"{TEXT}.")
        assert len(server.messages) == (stage == "connect")


def test_raw_of_an_iterable_begins_anew_for_each_hit() -> None:
    with (
        Server(faults=[Raw([b"250-a\r\n", b"250 b\r\n"], on="noop")]) as server,
        Client(server) as client,
    ):
        client.ehlo()
        assert [client.say("NOOP") for _ in range(2)] == ["250-a\n250 b"] * 2


def test_an_endless_raw_for_a_client_that_does_not_read() -> None:
    fault = Raw(itertools.repeat(b"250-more and more\r\n"), on="noop")
    server = Server(faults=[fault]).start()
    tracemalloc.start()
    try:
        with Client(server, receive_buffer=4096) as client, Client(server) as other:
            client.ehlo().send("NOOP\r\n")
            assert client.line() == "250-more and more"
            for _ in range(20):  # the others are served
                assert other.say("RSET").startswith("250")
            started = time.monotonic()
            server.stop()
            assert time.monotonic() - started < 2.0
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
        server.stop()


def test_an_endless_raw_for_a_client_that_reads_until_it_has_enough() -> None:
    fault = Raw(itertools.repeat(b"250-more\r\n"), on="helo")
    with Server(faults=[fault]) as server, Client(server) as client:
        client.send("EHLO me\r\n")
        for _ in range(3000):
            assert client.line() == "250-more"
        client.reset()
        assert server.sessions[0].wait_closed(LIMIT)
        assert len(server.sessions[0].exchanges) <= 1000


def test_raw_in_pieces() -> None:
    faults = [Split(1, on="noop"), Raw(b"250 by and by\r\n", on="noop")]
    with Server(faults=faults) as server, Client(server) as client:
        assert client.ehlo().say("NOOP") == "250 by and by"
        assert client.say("RSET") == "250 2.0.0 OK"


# ---- Split


def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What servers send from now on; what the client reads at once depends on when it does."""
    pieces: list[bytes] = []
    write = Connection.write

    def noted(self: Connection, data: bytes) -> bool:
        pieces.append(data)
        return write(self, data)

    monkeypatch.setattr(Connection, "write", noted)
    return pieces


@pytest.mark.parametrize("octets", [1, 3, 1000])
def test_split_sends_the_reply_in_pieces(octets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(faults=[Split(octets, on="helo")]) as server, Client(server) as client:
        pieces = written(monkeypatch)
        reply = client.say("EHLO me")
        sent = b"".join(pieces)
        assert sent.count(b"\r\n") == len(reply.splitlines())
        assert {len(piece) for piece in pieces[:-1]} <= {octets}
        assert len(pieces) == -(-len(sent) // octets)
        assert client.say("NOOP").startswith("250")


def test_split_stores_a_message_like_any_other_and_real_clients_take_it() -> None:
    faults = [Split(on=stage) for stage in ("connect", "helo", "mail", "rcpt", "data", "message")]
    with Server(faults=faults) as server:
        with smtplib.SMTP(server.host, server.port, timeout=LIMIT) as client:
            client.sendmail("ann@example.com", ["bob@example.net"], TEXT)
        assert len(server.messages) == 1


def test_a_split_reply_is_sent_to_its_end_when_the_server_stops() -> None:
    server = Server(faults=[Split(1, on="message")], banner="x" * 400).start()
    server.faults.append(Answer("250 " + "x" * 400, on="message"))
    with Client(server) as client:
        client.ehlo().begin().send(f"{TEXT}.\r\n")
        server.messages.wait(timeout=LIMIT)
        server.stop()
        assert client.reply() == "250 " + "x" * 400
        assert client.reply().startswith("421 ")


# ---- Delay and Throttle


def test_delay_waits_and_only_for_the_session_that_asks() -> None:
    with (
        Server(faults=[Delay(0.2, on="noop")]) as server,
        Client(server) as slow,
        Client(server) as other,
    ):
        slow.ehlo()
        started = time.monotonic()
        slow.send("NOOP\r\n")
        assert other.say("RSET").startswith("250")
        assert slow.reply().startswith("250")
        assert time.monotonic() - started >= 0.1


def test_throttle_reads_slowly() -> None:
    fault = Throttle(50_000)
    with Server(faults=[fault]) as server, Client(server) as client:
        client.ehlo()
        started = time.monotonic()
        assert client.deliver("x" * 24_998 + "\r\n").startswith("250")
        assert time.monotonic() - started >= 0.25
        assert server.hits(fault) == 1


def test_throttle_counts_connections() -> None:
    fault = Throttle(1_000_000, times=1, skip=1)
    with Server(faults=[fault]) as server:
        for hits in (0, 1, 1):
            with Client(server) as client:
                client.ehlo().deliver()
            assert server.hits(fault) == hits


def test_throttle_taken_away() -> None:
    with Server(faults=[Throttle(200)]) as server, Client(server) as client:
        client.ehlo().begin()
        server.faults.clear()
        assert client.say("x" * 20_000 + "\r\n.").startswith("250")


# ---- the end


@pytest.mark.parametrize(
    "fault",
    [
        Delay(3600, on="noop"),
        Stall(on="noop"),
        Hold(on="noop"),
        Raw(itertools.repeat(b"250-x\r\n"), on="noop"),
        Throttle(1),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_they_end_at_once_when_the_server_stops(fault: Fault) -> None:
    server = Server(faults=[fault] if not isinstance(fault, Throttle) else ()).start()
    with Client(server) as client:
        client.ehlo()
        if isinstance(fault, Throttle):
            server.faults.append(fault)
        client.send("NOOP\r\n")
        wait_hits(server, fault, 1)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 2.0
        if not isinstance(fault, Raw):
            assert client.reply().startswith("421 ")
    assert server.sessions[0].ended_by == "server"


def test_a_held_session_ends_while_another_thread_waits_for_it() -> None:
    hold = Hold(on="quit")
    server = Server(faults=[hold]).start()
    reached: list[bool] = []
    waiter = threading.Thread(target=lambda: reached.append(hold.wait_reached(LIMIT)))
    waiter.start()
    with Client(server) as client:
        client.send("QUIT\r\n")
        waiter.join(LIMIT)
        server.stop()
        hold.release()
    assert reached == [True]
    assert server.stopped.is_set()


def test_a_client_that_is_reset_before_its_fault_begins() -> None:
    # its work must not be left undone with a warning
    with Server(faults=[Delay(0, on="connect")]) as server:
        for _ in range(50):
            Client(server, greeting=False).reset()
    # not 50: of who is reset before it is accepted not every system tells
    assert all(session.wait_closed(LIMIT) for session in server.sessions)


def test_in_lmtp_a_split_for_one_recipient_holds_for_all_replies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = Split(1, on="message", times=1)
    with Server(protocol="lmtp", faults=[split]) as server, Client(server) as client:
        client.say("LHLO me")
        client.begin("ann@example.com", "bob@example.net", "carol@example.net")
        pieces = written(monkeypatch)
        client.send(f"{TEXT}.\r\n")
        assert [client.reply()[:3] for _ in range(2)] == ["250", "250"]
        assert {len(piece) for piece in pieces} == {1}
    assert server.hits(split) == 1


def test_in_lmtp_a_421_for_one_recipient_ends_the_session_by_the_fault() -> None:
    fault = Answer(421, on="message", match="bob@*")
    with Server(protocol="lmtp", faults=[fault]) as server, Client(server) as client:
        client.say("LHLO me")
        client.begin("ann@example.com", "bob@example.net", "carol@example.net")
        client.send(f"{TEXT}.\r\n")
        assert client.reply().startswith("421 ")
        client.rest()
        assert server.sessions[0].wait_closed(LIMIT)
    assert server.sessions[0].ended_by == "fault"
    assert [message.recipients for message in server.messages] == [("carol@example.net",)]
