"""The policy alone: what it waits for, in which order, and its verdicts. No thread, no socket."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from engine_owner import Envelope, Owner, Stored
from pytest_smtpd import Reject, Reply, faults
from pytest_smtpd.policy.decide import carry_out, decide
from pytest_smtpd.policy.verdicts import (
    Accept,
    Call,
    Close,
    Refuse,
    Say,
    Send,
    Silence,
    Sleep,
    Until,
    Wait,
)
from pytest_smtpd.record import SessionJournal
from pytest_smtpd.smtp.events import Event, Mail, MessageReceived, Noop, Transaction
from pytest_smtpd.smtp.session import Session

TRANSACTION = Transaction(
    "ann@example.com", {}, ["bob@example.net", "carol@example.net"], [{}, {}], 0
)
MAIL = Mail("ann@example.com", TRANSACTION)
MESSAGE = MessageReceived(b"Subject: hi\r\n\r\n", TRANSACTION)


def build(event: MessageReceived, kept: Sequence[int]) -> Any:
    recipients = tuple(event.transaction.rcpt_to[n] for n in kept)
    return Stored(event.raw, Envelope(event.transaction.mail_from, recipients, {}, ()), "ID1")


def play(event: Event, owner: Owner, *results: object) -> tuple[list[Wait], Any]:
    """The waits and the verdict; `results` are those of the calls, in their order."""
    waits: list[Wait] = []
    left = list(results)
    generator = decide(event, owner, "a session", build)
    result = None
    while True:
        try:
            wait = generator.send(result)
        except StopIteration as end:
            assert not left
            return waits, end.value
        waits.append(wait)
        result = left.pop(0) if isinstance(wait, Call) else None
        if isinstance(wait, Call) and result is None:
            wait.call()


def test_without_faults_and_callbacks_nothing_waits() -> None:
    assert play(MAIL, Owner()) == ([], Accept())
    waits, verdict = play(MAIL, Owner(reject_sender="ann@*"))
    assert waits == []
    assert isinstance(verdict, Refuse)


def test_faults_that_only_alter_come_in_the_order_of_the_list() -> None:
    hold = faults.Hold(on="noop")
    owner = Owner(
        faults=[
            faults.Delay(0.2, on="noop"),
            hold,
            faults.Split(3, on="noop"),
            faults.Delay(7, on="noop"),
            faults.Answer(451, on="noop"),
            faults.Delay(60, on="noop"),
        ]
    )
    waits, verdict = play(Noop(), owner)
    assert waits == [Sleep(0.2), Until(hold), Sleep(7)]
    assert verdict == Refuse(Reply.of(451), split=3)


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (faults.Answer(451, on="noop"), Refuse(Reply.of(451))),
        (faults.Answer("250 fine", on="noop"), Accept(Reply.of("250 fine"))),
        (faults.Answer(421, on="noop"), Refuse(Reply.of(421), ended=True)),
        (faults.Drop(on="noop"), Close(reset=False)),
        (faults.Drop(on="noop", reset=True), Close(reset=True)),
        (faults.Stall(on="noop"), Silence()),
        (faults.Raw(b"250", on="noop"), Say(b"250")),
        (faults.Delay(0, on="rset"), Accept()),
    ],
)
def test_the_fault_that_decides_is_the_verdict(fault: faults.Fault, verdict: object) -> None:
    assert play(Noop(), Owner(faults=[fault]))[1] == verdict


def test_a_callback_is_a_call_whose_exception_refuses() -> None:
    asked: list[str] = []
    owner = Owner(validate_sender=asked.append)
    waits, verdict = play(MAIL, owner, None)
    assert [type(wait) for wait in waits] == [Call]
    assert verdict == Accept()
    assert asked == ["ann@example.com"]
    assert play(MAIL, owner, Reject(450))[1] == Refuse(Reply.of(450))
    assert owner.raised == []
    play(MAIL, owner, ZeroDivisionError("a bug"))
    assert "a bug" in str(owner.raised[0].warning)


def test_what_a_call_raises_when_nobody_waits_is_told_all_the_same() -> None:
    owner = Owner(deliver=lambda *mail: None)
    (call,), _ = play(MESSAGE, owner, None)
    assert isinstance(call, Call)
    call.unheard(AssertionError("seen late"))
    assert str(owner.raised[0].outcome) == "seen late"
    owner.epoch += 1  # the next test must not fail for it
    call.unheard(AssertionError("seen too late"))
    assert owner.raised[1].outcome is None
    assert "asked by a client of an earlier test" in str(owner.raised[1].warning)


def test_a_pattern_that_raises_ends_the_decision() -> None:
    owner = Owner(faults=[faults.Answer(450, on="mail", match=lambda address: False)])
    with pytest.raises(ZeroDivisionError):
        play(MAIL, owner, ZeroDivisionError())


def test_lmtp_has_a_reply_for_each_recipient_and_a_message_for_those_with_250() -> None:
    fault = faults.Answer("452 full", on="message", match="bob@*")
    _, verdict = play(MESSAGE, Owner(protocol="lmtp", faults=[fault]))
    assert verdict.reply[0] == Reply.of("452 full")
    assert verdict.message.recipients == ("carol@example.net",)
    _, verdict = play(
        MESSAGE, Owner(protocol="lmtp", faults=[fault], deliver=lambda *mail: None), Reject(554)
    )
    assert verdict == Refuse([Reply.of("452 full"), Reply.of(554)])


def test_octets_without_end_are_sent_until_the_client_takes_no_more() -> None:
    owner = Owner(faults=[faults.Raw(itertools.repeat(b"250-x\r\n"), on="connect")])
    session = Session(owner.profile, SessionJournal(("127.0.0.1", 0), owner.mask))
    session.connect("127.0.0.1")
    event = session.next_event()
    assert event is not None
    _, verdict = play(event, owner)
    waits = carry_out(verdict, session, owner, print)
    call = next(waits)
    for taken in (True, True, False):
        assert isinstance(call, Call)
        assert not call.due  # the end of a test does not wait for it
        call.call()
        assert waits.send(None) == Send(b"250-x\r\n")
        if taken:
            call = waits.send(True)
    with pytest.raises(StopIteration):
        waits.send(False)
