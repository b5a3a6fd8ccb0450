"""The mail of the sign-up application, as its users and its mail server see it."""

from __future__ import annotations

import pytest

from pytest_smtpd import Server, faults
from signup import InvalidAddress, Mailer, MailNotSent, Reminder, SignUps, signup


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that the application would have made: the tests do not wait for them."""
    return []


@pytest.fixture
def mailer(smtpd: Server, pauses: list[float]) -> Mailer:
    return Mailer((smtpd.host, smtpd.port), backoff=(1, 10), sleep=pauses.append)


@pytest.fixture
def signups(mailer: Mailer) -> SignUps:
    return SignUps(mailer)


def test_the_mail_goes_to_whom_it_names(smtpd: Server) -> None:
    signup("ann@example.com", smtp=(smtpd.host, smtpd.port))

    message = smtpd.messages.one(subject="Confirm your address")
    assert message["To"] == "ann@example.com"
    assert message.envelope.mail_from == "welcome@signup.example"
    assert message.envelope.rcpt_to == ("ann@example.com",)
    assert message.problems() == []


def test_the_link_confirms_the_address(smtpd: Server, signups: SignUps) -> None:
    signups.start("ann@example.com")

    link = smtpd.messages.one().link(text="Confirm your address")
    assert link.startswith("https://signup.example/confirm/")
    assert signups.open(link)
    assert signups.confirmed == {"ann@example.com"}
    assert not signups.open(link)


def test_the_code_confirms_the_address(smtpd: Server, signups: SignUps) -> None:
    signups.start("ann@example.com")

    code = smtpd.messages.one(to="ann@example.com").code(r"code (\d{6})\b")
    assert not signups.enter("bob@example.net", code)
    assert signups.enter("ann@example.com", code)


@pytest.mark.smtpd(reject_recipient="nobody@*")
def test_an_address_that_is_refused_is_reported(
    smtpd: Server, signups: SignUps, pauses: list[float]
) -> None:
    with pytest.raises(InvalidAddress, match=r"nobody@example\.com"):
        signups.start("nobody@example.com")

    assert smtpd.messages == []
    assert pauses == []
    signups.start("ann@example.com")
    assert smtpd.messages.one().recipients == ("ann@example.com",)


@pytest.mark.smtpd(
    faults=[faults.Answer("451 4.7.1 Greylisted", on="rcpt", times=1, per="recipient")]
)
def test_greylisting_is_overcome(smtpd: Server, signups: SignUps, pauses: list[float]) -> None:
    signups.start("ann@example.com")
    signups.start("bob@example.net")

    assert [message.recipients for message in smtpd.messages] == [
        ("ann@example.com",),
        ("bob@example.net",),
    ]
    assert pauses == [1, 1]


@pytest.mark.smtpd(faults=[faults.Answer("452 4.3.1 Mailbox full", on="message")])
def test_who_is_put_off_too_often_gives_up(
    smtpd: Server, signups: SignUps, pauses: list[float]
) -> None:
    with pytest.raises(MailNotSent):
        signups.start("ann@example.com")

    assert smtpd.messages == []
    assert pauses == [1, 10]
    assert len(smtpd.sessions) == 3


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.Drop(on="connect", times=1), id="before-the-greeting"),
        pytest.param(faults.Drop(on="rcpt", times=1), id="before-an-answer"),
        pytest.param(faults.Drop(after=20, times=1), id="in-mid-message"),
        pytest.param(faults.Answer(421, on="mail", times=1), id="shutting-down"),
    ],
)
def test_a_lost_connection_is_tried_again(
    smtpd: Server, signups: SignUps, fault: faults.Fault
) -> None:
    smtpd.faults.append(fault)

    signups.start("ann@example.com")

    assert len(smtpd.messages) == 1


def test_reminders_come_from_the_background(smtpd: Server, signups: SignUps) -> None:
    signups.start("ann@example.com")
    with Reminder(signups) as reminder:
        reminder.remind("ann@example.com")

        [message] = smtpd.messages.wait(to="ann@example.com", subject="Reminder: *")
        assert signups.open(message.link("/confirm/"))


def test_who_has_confirmed_is_not_reminded(smtpd: Server, signups: SignUps) -> None:
    pending = signups.start("ann@example.com")
    signups.open(pending.link)
    with Reminder(signups) as reminder:
        reminder.remind("ann@example.com")

    smtpd.messages.assert_none(subject="Reminder: *")


def test_a_reminder_that_fails_does_not_end_the_others(smtpd: Server, signups: SignUps) -> None:
    signups.start("ann@example.com")
    signups.start("bob@example.net")
    smtpd.configure(reject_recipient="ann@*")
    with Reminder(signups) as reminder:
        reminder.remind("ann@example.com")
        reminder.remind("bob@example.net")

        smtpd.messages.wait(to="bob@example.net", subject="Reminder: *")
    assert [type(error) for error in reminder.failures] == [InvalidAddress]
