"""The public names as users type them, for mypy and pyright to read; never run.

Every public member stands here once, with the type that an editor shows (`tox -e types`).
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from datetime import datetime
from email.message import EmailMessage
from itertools import repeat
from pathlib import Path
from typing import Literal, assert_type

import pytest

from pytest_smtpd import (
    Attachment,
    CallbackWarning,
    Command,
    Envelope,
    Exchange,
    Mailbox,
    Message,
    Options,
    Problem,
    Reject,
    Reply,
    Server,
    SessionRecord,
    TLSInfo,
    Violation,
    faults,
)
from pytest_smtpd.mailbox.mailbox import Expectation
from pytest_smtpd.mailbox.matching import Criteria
from pytest_smtpd.message.message import Addresses

# ---- fixtures and the marker


@pytest.fixture(scope="session")
def smtpd_options() -> dict[str, object]:
    return {"reject_sender": "denied@*", "max_size": None}


@pytest.mark.smtpd(reject_recipient={"gone@*": 550, re.compile(r"\+"): "450 4.2.1 Busy"})
def test_fixtures(
    smtpd: Server, smtpd_session: Server, smtpd_factory: Callable[..., Server]
) -> None:
    second = smtpd_factory(tls="starttls", users={"ann": "secret"})
    assert_type(second, Server)
    assert smtpd.messages == smtpd_session.messages == []


@pytest.fixture
def mail(smtpd: Server) -> Iterator[Mailbox]:
    yield smtpd.messages
    smtpd.clear()


# ---- Server


def server_life() -> None:
    server = Server(host="::1", port=0, validate_recipient=check_recipient)
    assert_type(server.start(), Server)
    assert_type(server.stop(), None)
    assert_type(server.stop(disconnect=False), None)
    assert_type(server.stopped, threading.Event)
    with Server(reject_sender="denied@*") as entered:
        assert_type(entered, Server)


def server_addresses(server: Server) -> None:
    assert_type(server.host, str)
    assert_type(server.hostname, str)
    assert_type(server.port, int)
    assert_type(server.address, tuple[str, int] | str)
    assert_type(server.url, str)
    assert_type(server.ca_file, Path | None)
    assert_type(server.client_ssl_context(), ssl.SSLContext)
    assert_type(server.address_for(), str)
    assert_type(server.address_for("ann"), str)


def server_contents(server: Server) -> None:
    assert_type(server.messages, Mailbox)
    assert_type(server.strays, Mailbox)
    assert_type(server.sessions, list[SessionRecord])
    assert_type(server.clear(), None)


def server_behaviour(server: Server) -> None:
    assert_type(server.config, Options)
    assert_type(server.configure(max_size=10, banner=None), None)
    assert_type(server.faults, MutableSequence[faults.Fault])
    fault = faults.Answer(450, on="rcpt")
    server.faults.append(fault)
    server.faults = [fault]
    server.faults += [fault]
    assert_type(server.hits(fault), int)


def options(context: ssl.SSLContext, callback: Callable[[str], None]) -> None:
    async def slow(address: str) -> None:
        raise Reject(450)

    given = Options(
        reject_host="10.0.0.0/8",
        reject_sender=["*@blocked.example", re.compile("spam"), str.isupper],
        reject_recipient={"gone@*": 550, "busy@*": "450 4.2.1 Busy", "no@*": Reply(550, "No")},
        validate_sender=callback,
        validate_recipient=slow,
        deliver=lambda sender, recipients, lines: print(sender, recipients[0], lines[0]),
        deliver_mime=lambda message: print(message.subject),
        extensions=("SIZE", "DSN"),
        users={"ann": "secret"},
        tls="implicit",
        certificate=("cert.pem", "key.pem"),
        ssl_context=context,
        protocol="lmtp",
        faults=(faults.Drop(on="quit"),),
        seed="a1b2",
        strict="violations",
        ignore=("no-quit",),
    )
    assert given == Options(seed="a1b2")


def option_values(given: Options) -> None:
    assert_type(given.host, str)
    assert_type(given.port, int)
    assert_type(given.unix_socket, str | None)
    assert_type(given.greeting_hostname, str)
    assert_type(given.banner, str)
    assert_type(given.trace_headers, bool)
    assert_type(given.addresses, Literal["syntax", "strict", "any"])
    assert_type(given.protocol, Literal["smtp", "lmtp"])
    assert_type(given.extensions, tuple[str, ...])
    assert_type(given.without_extensions, tuple[str, ...])
    assert_type(given.max_size, int | None)
    assert_type(given.max_recipients, int | None)
    assert_type(given.timeout, float)
    assert_type(given.tls, Literal["starttls", "implicit"] | None)
    assert_type(given.require_tls, bool)
    assert_type(given.certificate, str | tuple[str, str])
    assert_type(given.ssl_context, ssl.SSLContext | None)
    assert_type(given.users, Mapping[str, str] | Literal["any"] | None)
    assert_type(given.auth_mechanisms, tuple[str, ...])
    assert_type(given.require_auth, bool)
    assert_type(given.auth_requires_tls, bool)
    assert_type(given.faults, tuple[faults.Fault, ...])
    assert_type(given.seed, int | str | None)
    assert_type(given.strict, bool | Literal["violations", "problems"])
    assert_type(given.ignore, tuple[str, ...])
    if given.validate_host is not None:
        given.validate_host("127.0.0.1")


# ---- saying no


def check_recipient(address: str) -> None:
    if address.endswith("@blocked.example"):
        raise Reject
    if address.startswith("later"):
        raise Reject("450 4.2.1 later")
    if address.startswith("never"):
        raise Reject(550)
    raise Reject(Reply(550, "No such mailbox", enhanced="5.1.1"))


def replies() -> None:
    reply = Reply.of("450 4.2.1 Mailbox busy")
    assert_type(reply, Reply)
    assert_type(reply.code, int)
    assert_type(reply.text, str)
    assert_type(reply.enhanced, str | None)
    assert_type(reply.positive, bool)
    assert_type(reply.with_text("busy"), Reply)
    rejection = Reject("text")
    assert_type(rejection.reply, Reply | None)
    assert_type(rejection.text, str | None)
    with pytest.warns(CallbackWarning, match="raised KeyError"):
        pass


# ---- Mailbox


def mailbox_as_sequence(mailbox: Mailbox) -> None:
    assert_type(len(mailbox), int)
    assert_type(mailbox[0], Message)
    assert_type(mailbox[-2:], list[Message])
    assert_type([message.subject for message in mailbox], list[str])
    assert mailbox == [] or mailbox[0] in mailbox
    first, *_others = mailbox
    assert_type(first, Message)


def mailbox_search(mailbox: Mailbox) -> None:
    assert_type(mailbox.take(to="ann@*"), list[Message])
    found = mailbox.matching(
        sender="shop@*",
        to=re.compile("ann"),
        subject=str.istitle,
        text="welcome",
        header={"X-Id": "42*", "Bcc": None},
        where=lambda message: len(message.attachments) == 1,
    )
    assert_type(found, list[Message])
    criteria: Criteria = {"to": "ann@*", "subject": re.compile("order")}
    assert_type(mailbox.one(**criteria), Message)
    assert_type(mailbox.one(to="ann@example.com"), Message)
    assert_type(mailbox.wait(), list[Message])
    assert_type(mailbox.wait(2, timeout=1.5, sender=""), list[Message])
    assert_type(mailbox.assert_none(), None)
    assert_type(mailbox.assert_none(within=0.1, to="bob@*"), None)
    assert_type(mailbox.clear(), None)
    assert_type(mailbox.save("mail"), list[Path])
    assert_type(mailbox.save(Path("mail")), list[Path])
    expectation = mailbox.expect(2, timeout=1, subject="*")
    assert_type(expectation, Expectation)
    with expectation as expected:
        assert_type(expected, Expectation)
    assert_type(expected.messages, list[Message])


async def mailbox_in_a_task(mailbox: Mailbox) -> None:
    assert_type(await mailbox.wait_async(2, timeout=1, to="ann@*"), list[Message])
    await mailbox.assert_none_async(within=0.1, to="bob@*")
    async with mailbox.expect(to="ann@*") as expected:
        pass
    assert_type(expected.messages, list[Message])


# ---- Message


def message_as_sent(message: Message) -> None:
    assert_type(message.raw, bytes)
    assert_type(message.id, str)
    assert_type(message.received_at, datetime)
    assert_type(message.session, SessionRecord | None)
    assert_type(message.save("one.eml"), Path)
    envelope = message.envelope
    assert_type(envelope, Envelope)
    assert_type(envelope.mail_from, str)
    assert_type(envelope.rcpt_to, tuple[str, ...])
    assert_type(envelope.mail_parameters, dict[str, str | None])
    assert_type(envelope.rcpt_parameters, tuple[dict[str, str | None], ...])
    assert_type(message.sender, str)
    assert_type(message.recipients, Addresses)
    assert_type(message.bcc, Addresses)
    addresses: tuple[str, ...] = message.recipients
    assert addresses == ("ann@example.com",)


def message_as_read(message: Message) -> None:
    parsed: EmailMessage = message
    assert parsed["To"] == "ann@example.com"
    assert_type(message.subject, str)
    assert_type(message.text, str | None)
    assert_type(message.html, str | None)
    assert_type(message.links, list[str])
    assert_type(message.link(), str)
    assert_type(message.link("/confirm", text="Confirm"), str)
    assert_type(message.code(), str)
    assert_type(message.code(re.compile(r"code: (\w+)")), str)
    assert_type(message.snapshot(), str)
    assert_type(message.snapshot(redact=[r"\d+", re.compile("token=.*")]), str)
    assert_type(message.attachments, list[Attachment])


def message_parts(attachment: Attachment, problem: Problem, message: Message) -> None:
    assert_type(attachment.filename, str | None)
    assert_type(attachment.content_type, str)
    assert_type(attachment.content, bytes)
    assert_type(attachment.content_id, str | None)
    assert_type(attachment.inline, bool)
    assert_type(message.problems(), list[Problem])
    assert_type(problem.code, str)
    assert_type(problem.text, str)
    assert_type(problem.rfc, str)


# ---- SessionRecord


def session(record: SessionRecord) -> None:
    assert_type(record.peer, tuple[str, int])
    assert_type(record.helo, str | None)
    assert_type(record.tls, TLSInfo | None)
    assert_type(record.user, str | None)
    assert_type(record.started_at, datetime)
    assert_type(record.ended_by, Literal["quit", "client", "server", "fault", "timeout"] | None)
    assert_type(record.exchanges, list[Exchange])
    assert_type(record.commands, list[Command])
    assert_type(record.violations, list[Violation])
    assert_type(record.messages, list[Message])
    assert_type(record.wait_closed(), bool)
    assert_type(record.wait_closed(timeout=1), bool)


def a_command(command: Command) -> None:
    assert_type(command.verb, str)
    assert_type(command.argument, str)
    assert_type(command.reply, str | None)


def session_facts(tls: TLSInfo, exchange: Exchange, violation: Violation) -> None:
    assert_type(tls.version, str)
    assert_type(tls.cipher, str)
    at, who, line = exchange
    assert_type(at, float)
    assert_type(who, Literal["C", "S"])
    assert_type(line, str)
    assert exchange.at == at and exchange.who == who and exchange.line == line
    assert_type(violation.code, str)
    assert_type(violation.text, str)
    assert_type(violation.rfc, str)


# ---- faults


def fault_classes() -> None:
    listed: list[faults.Fault] = [
        faults.Answer("451 4.7.1 Greylisted", on="rcpt", times=1, per="recipient"),
        faults.Answer(Reply(421, "Bye"), on="message", match=re.compile("@example")),
        faults.Delay(0.5, on="connect", match="10.0.0.0/8"),
        faults.Drop(on="data", reset=True),
        faults.Drop(after=1000),
        faults.Stall(on="auth", skip=1, per="session"),
        faults.Raw(b"garbage\r\n", on="helo"),
        faults.Raw(repeat(b"250-more\r\n"), on="helo"),
        faults.Split(on="starttls"),
        faults.Split(3, on="noop", probability=0.5),
        faults.Throttle(1000),
    ]
    assert_type(listed[0].on, str)
    assert_type(listed[0].times, int | None)
    assert_type(listed[0].skip, int)
    assert_type(listed[0].per, Literal["server", "session", "recipient"])
    assert_type(listed[0].probability, float)
    assert_type(faults.STAGES, tuple[str, ...])
    hold = faults.Hold(on="message")
    assert_type(hold.wait_reached(), bool)
    assert_type(hold.wait_reached(timeout=1), bool)
    assert_type(hold.release(), None)


def fault_values() -> None:
    assert_type(faults.Answer(450, on="mail").reply, int | str | Reply)
    assert_type(faults.Delay(1, on="mail").seconds, float)
    assert_type(faults.Drop(on="mail").after, int | None)
    assert_type(faults.Drop(on="mail").reset, bool)
    assert_type(faults.Raw(b"", on="mail").data, bytes | Iterable[bytes])
    assert_type(faults.Split(on="mail").octets, int)
    assert_type(faults.Throttle(1).octets_per_second, float)
