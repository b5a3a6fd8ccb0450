"""A synchronous owner of engine sessions: the real policy, but no socket, thread or clock.

It carries out waits at once. Cases that need a clock, TLS, a coroutine or a second connection are
left out: see `plays_without_socket`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from conversation import Case, Expect, On, StartTLS
from pytest_smtpd.faults import Answer, Drop, Raw, Split
from pytest_smtpd.options import merge
from pytest_smtpd.policy.decide import carry_out, decide
from pytest_smtpd.policy.fault_list import FaultList
from pytest_smtpd.policy.judge import Judge
from pytest_smtpd.policy.raised import Raised
from pytest_smtpd.policy.verdicts import Accept, Call, Close, Refuse, Send, Wait, Waits
from pytest_smtpd.record import Mask, SessionJournal
from pytest_smtpd.smtp.events import Event, MessageReceived
from pytest_smtpd.smtp.profile import Profile
from pytest_smtpd.smtp.session import Session

T = TypeVar("T")
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
        self.epoch = 0
        self.raised: list[Raised] = []
        self.errors: list[BaseException] = []
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
        self.write(self.session.bytes_to_send())

    def write(self, data: bytes) -> None:
        self.output += data
        self.all_output += data

    def decide(self, event: Event) -> None:
        owner, session = self.owner, self.session
        verdict = run(decide(event, owner, id(self), self.message), self.carry_out)
        if isinstance(verdict, Close):
            session.closing = True
        if isinstance(verdict, Close) or (isinstance(verdict, Accept | Refuse) and verdict.ended):
            self.record.ends("fault")
        self.flush()
        run(carry_out(verdict, session, owner, owner.messages.append), self.carry_out)

    def carry_out(self, wait: Wait) -> object:
        match wait:
            case Send(octets=octets):
                self.write(octets)
                return True
            case Call(call=call):
                try:
                    call()
                except BaseException as error:
                    return error
        return None

    def message(self, event: MessageReceived, kept: Sequence[int]) -> Any:
        transaction = event.transaction
        envelope = Envelope(
            transaction.mail_from,
            tuple(transaction.rcpt_to[n] for n in kept),
            dict(transaction.mail_parameters),
            tuple(dict(transaction.rcpt_parameters[n]) for n in kept),
        )
        return Stored(event.raw, envelope, f"ID{len(self.owner.messages) + 1}")


def run(waits: Waits[T], carry_out: Callable[[Wait], object]) -> T:
    """Plays a generator of the policy to its end."""
    result: object = None
    while True:
        try:
            wait = waits.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        result = carry_out(wait)


def plays_without_socket(case: Case) -> bool:
    """Whether a case needs no TLS, no clock, no second connection and no fault that needs one."""
    options = case.options
    tables = [value for value in options.values() if isinstance(value, dict)]
    if {"host", "tls", "timeout", "trace_headers"} & set(options):
        return False
    if any("async" in table for table in tables):
        return False
    kinds = {Answer.__name__, Drop.__name__, Raw.__name__, Split.__name__}
    if any(fault["fault"] not in kinds for fault in options.get("faults", ())):
        return False
    return not any(
        isinstance(step, StartTLS | On) or (isinstance(step, Expect) and step.not_before)
        for step in case.flat_steps()
    )
