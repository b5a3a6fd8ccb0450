"""A synchronous owner of engine sessions: the real policy, but no socket, thread or clock.

Faults that need a connection or time, TLS and coroutines are not here: see `plays_without_socket`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conversation import Case, Expect, On, StartTLS
from pytest_smtpd.faults import Answer, Raw, Split
from pytest_smtpd.options import merge
from pytest_smtpd.policy.callbacks import interpret
from pytest_smtpd.policy.fault_list import FaultList
from pytest_smtpd.policy.judge import Judge
from pytest_smtpd.record import Mask, SessionJournal
from pytest_smtpd.smtp import replies
from pytest_smtpd.smtp.events import Connected, Event, Hello, Mail, MessageReceived, Rcpt
from pytest_smtpd.smtp.profile import Profile
from pytest_smtpd.smtp.replies import Reply, fill
from pytest_smtpd.smtp.session import Session

Splitter = Callable[[bytes], Sequence[bytes]]

PEER = "127.0.0.1"
DATE = "Tue, 01 Dec 2026 12:00:00 +0000"


@dataclass(frozen=True, slots=True)
class Envelope:
    mail_from: str
    rcpt_to: tuple[str, ...]
    mail_parameters: Mapping[str, str | None]
    rcpt_parameters: tuple[Mapping[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """As much of a message as conversations look at."""

    raw: bytes
    envelope: Envelope
    id: str

    @property
    def sender(self) -> str:
        return self.envelope.mail_from

    @property
    def recipients(self) -> tuple[str, ...]:
        return self.envelope.rcpt_to


class Owner:
    """What a server is to its connections: options in force, faults, the mailbox."""

    def __init__(self, **options: Any) -> None:
        checked = merge(options)
        self.profile = Profile(checked, date=lambda: DATE)
        self.judge = Judge(checked)
        self.faults = FaultList(checked.faults)
        self.mask = Mask()
        if checked.users is not None and checked.users != "any":
            self.mask.add(checked.users)
        self.messages: list[Stored] = []
        self.connections: list[EngineWire] = []

    def connect(
        self, split: Callable[[bytes], Sequence[bytes]] = lambda data: [data]
    ) -> EngineWire:
        wire = EngineWire(self, split)
        self.connections.append(wire)
        return wire


class EngineWire:
    """A connection of a client to the engine; `split` says in what portions octets arrive."""

    def __init__(self, owner: Owner, split: Splitter) -> None:
        self.owner = owner
        self.split = split
        self.record = SessionJournal((PEER, 0), owner.mask)
        self.session = Session(owner.profile, self.record)
        self.output = bytearray()  # not yet received by the client
        self.all_output = bytearray()
        self.sent = bytearray()
        self.eof = False
        self.session.connect(PEER)
        self.pump()

    # ---- the client's side

    def send(self, data: bytes) -> None:
        self.sent += data
        for portion in self.split(data):
            if not self.session.closing:
                self.session.receive(portion)
                self.pump()

    def receive(self, seconds: float) -> bytes | None:
        if self.output:
            data = bytes(self.output)
            self.output.clear()
            return data
        return b"" if self.session.closing else None

    def half_close(self) -> None:
        self.eof = True
        self.session.client_closed()

    def close(self) -> None:
        self.session.client_closed()

    reset = close

    def start_tls(self) -> Exception | None:
        raise NotImplementedError

    # ---- the owner's side

    def pump(self) -> None:
        session, record = self.session, self.record
        while (event := session.next_event()) is not None:
            self.decide(event)
            self.flush()
        self.flush()
        record.helo, record.user = session.hello, session.user
        if session.closing:
            record.ends("quit" if session.quit else "server")

    def flush(self) -> None:
        data = self.session.bytes_to_send()
        self.output += data
        self.all_output += data

    def decide(self, event: Event) -> None:
        session = self.session
        if isinstance(event, MessageReceived) and self.owner.profile.lmtp:
            self.decide_lmtp(event)
            return
        answer: Reply | None = None
        for fault in self.owner.faults.acting(event.stage, subjects(event), id(self)):
            if isinstance(fault, Raw):
                session.ignore()
                assert isinstance(fault.data, bytes)
                self.flush()
                self.output += fault.data
                self.all_output += fault.data
                return
            if isinstance(fault, Answer):
                answer = Reply.of(fault.reply)
        message = self.message(event) if isinstance(event, MessageReceived) else None
        if answer is not None and not answer.positive:
            refusal: Reply | None = answer
        else:
            refusal = self.refusal(event, message, asked=answer is None)
        if refusal is not None:
            session.refuse(refusal)
        elif message is None:
            session.accept(answer)
        else:
            self.owner.messages.append(message)
            session.accept(answer or fill(replies.QUEUED, id=message.id))

    def decide_lmtp(self, event: MessageReceived) -> None:
        """A reply for each recipient; stored for those that got 250 (RFC 2033 section 4.2)."""
        answers: list[Reply | None] = []
        for recipient in event.transaction.rcpt_to:
            acting = self.owner.faults.acting(event.stage, [recipient], id(self))
            answers += [Reply.of(f.reply) for f in acting if isinstance(f, Answer)] or [None]
        kept = [n for n, answer in enumerate(answers) if answer is None or answer.positive]
        message = self.message(event, kept)
        refusal = self.refusal(event, message, asked=True) if kept else None
        if not kept or refusal is not None:
            self.session.refuse([refusal or answer or replies.OK for answer in answers])
            return
        self.owner.messages.append(message)
        queued = fill(replies.QUEUED, id=message.id)
        self.session.accept([answer or queued for answer in answers])

    def refusal(self, event: Event, message: Stored | None, *, asked: bool) -> Reply | None:
        judge = self.owner.judge
        if message is not None:
            call = judge.delivery(message)  # type: ignore[arg-type]
        elif not asked:
            return None
        else:
            refused = judge.refusal(event)
            if refused is not None:
                return refused
            call = judge.callback(event)
        if call is None:
            return None
        try:
            call()
        except Exception as error:
            return interpret(error, event.stage, (*subjects(event), "")[0], "the callback").reply
        return None

    def message(self, event: MessageReceived, kept: Sequence[int] | None = None) -> Stored:
        transaction = event.transaction
        numbers = range(len(transaction.rcpt_to)) if kept is None else kept
        envelope = Envelope(
            transaction.mail_from,
            tuple(transaction.rcpt_to[n] for n in numbers),
            dict(transaction.mail_parameters),
            tuple(dict(transaction.rcpt_parameters[n]) for n in numbers),
        )
        return Stored(event.raw, envelope, f"ID{len(self.owner.messages) + 1}")


def subjects(event: Event) -> Sequence[str]:
    match event:
        case Connected(peer):
            return (peer,)
        case Hello(name=name):
            return (name,)
        case Mail(address=address) | Rcpt(address=address):
            return (address,)
        case MessageReceived(transaction=transaction):
            return transaction.rcpt_to
    return ()


def plays_without_socket(case: Case) -> bool:
    """Whether a case needs no TLS, no clock, no second connection and no fault that needs one."""
    options = case.options
    tables = [value for value in options.values() if isinstance(value, dict)]
    if {"host", "tls", "timeout", "trace_headers"} & set(options):
        return False
    if any("async" in table for table in tables):
        return False
    kinds = {Answer.__name__, Raw.__name__, Split.__name__}
    if any(fault["fault"] not in kinds for fault in options.get("faults", ())):
        return False
    return not any(
        isinstance(step, StartTLS | On) or (isinstance(step, Expect) and step.not_before)
        for step in case.flat_steps()
    )
