"""The state that all starts of one server share: options, mailboxes, records, ids."""

from __future__ import annotations

import functools
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from ..mailbox.mailbox import Mailbox
from ..mailbox.store import Store
from ..message.message import Envelope, Message
from ..policy.fault_list import FaultList
from ..policy.judge import Judge
from ..policy.raised import Raised
from ..record import Mask, SessionJournal, SessionRecord
from ..smtp.profile import Profile

if TYPE_CHECKING:
    from ..options import Options
    from ..smtp.events import Transaction


def local_date() -> str:
    """The present time in the form of RFC 5322 section 3.3."""
    return _date_of(int(time.time()))


@functools.lru_cache(maxsize=1)  # every greeting has it
def _date_of(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second).astimezone())


class State:
    """Shared by a server and its connections, in several threads.

    Options are replaced as a whole. The lists are the same objects for the server's life.
    """

    def __init__(self, options: Options, hints: Callable[[], Sequence[str]]) -> None:
        self.faults = FaultList(lock=threading.RLock())
        self.mask = Mask()
        self.mail, self.stray_mail = Store(), Store()
        self.messages = Mailbox(self.mail, "messages", hints, self.hide)
        self.strays = Mailbox(self.stray_mail, "strays", hide=self.hide)
        self.sessions: list[SessionRecord] = []
        self.epoch = 0  # grows with each test: a message belongs to the test of its MAIL command
        self.raised: list[Raised] = []  # by callbacks; the next stop shows them
        self.errors: list[BaseException] = []  # of the server and of patterns, likewise
        self._prefix = secrets.token_hex(3).upper()
        self._numbers = itertools.count(1)
        self._changing_tests = threading.Lock()
        self.use(options)

    def use(self, options: Options) -> None:
        """Puts other options in force, for the next command of every session."""
        profile, judge = Profile(options, date=local_date), Judge(options)
        self.profile, self.judge, self.options = profile, judge, options
        # copied, because each read and message needs them, and an option is a slow descriptor
        self.timeout, self._traces = options.timeout, options.trace_headers
        self._learn_secrets()

    def _learn_secrets(self) -> None:
        users = self.options.users
        if users is not None and users != "any":
            self.mask.add(users)

    def hide(self, text: str) -> str:
        """Masks the passwords that this test has configured."""
        return self.mask.hide(text)

    def begin_test(self) -> None:
        """Attributes new commands and connections to another test."""
        with self._changing_tests:
            self.epoch += 1
            self.mask = Mask()  # the records of the last test keep the old one
            self._learn_secrets()
            self.mail.clear()
            self.stray_mail.clear()
            self.sessions.clear()

    def open_record(self, peer: tuple[str, int]) -> tuple[SessionJournal, int]:
        """The record of a new connection, and the number of its test."""
        with self._changing_tests:
            record = SessionJournal(peer, self.mask)
            self.sessions.append(record)
            return record, self.epoch

    def renew_record(self, record: SessionJournal) -> tuple[SessionJournal, int]:
        """Another record for a connection that outlives its test, and the number of the test."""
        with self._changing_tests:
            record.ends("server")
            record.closed()
            record = record.continued(self.mask)
            self.sessions.append(record)
            return record, self.epoch

    def message(self, raw: bytes, transaction: Transaction, recipients: Sequence[int],
                record: SessionJournal, *, esmtp: bool) -> Message:  # fmt: skip
        """A message for the recipients of the transaction with these numbers."""
        envelope = Envelope(
            transaction.mail_from,
            tuple([transaction.rcpt_to[number] for number in recipients]),
            transaction.mail_parameters,
            tuple([transaction.rcpt_parameters[number] for number in recipients]),
        )
        queue_id = f"{self._prefix}{next(self._numbers):04X}"
        now = datetime.now(UTC)
        if self._traces:
            raw = self._trace(envelope, queue_id, record, esmtp) + raw
        return Message(raw, envelope, id=queue_id, received_at=now, session=record)

    def _trace(
        self, envelope: Envelope, queue_id: str, record: SessionJournal, esmtp: bool
    ) -> bytes:
        # RFC 5321 section 4.4: the last server adds Return-Path, each server Received
        host = self.options.greeting_hostname
        protocol = "LMTP" if self.profile.lmtp else "ESMTP" if esmtp else "SMTP"
        if "SMTPUTF8" in envelope.mail_parameters:  # RFC 6531 section 4.3
            protocol = "UTF8" + protocol.removeprefix("E")
        if esmtp:  # RFC 3848
            protocol += ("S" if record.tls else "") + ("A" if record.user is not None else "")
        literal = f"IPv6:{record.peer[0]}" if ":" in record.peer[0] else record.peer[0]
        lines = [
            f"Return-Path: <{envelope.mail_from}>",
            f"Received: from {record.helo} ([{literal or 'unix'}])",
            f"\tby {host} with {protocol} id {queue_id}",
        ]
        if len(envelope.rcpt_to) == 1:  # section 7.2: recipients must not learn of each other
            lines.append(f"\tfor <{envelope.rcpt_to[0]}>")
        lines[-1] += f"; {local_date()}"
        return "".join(f"{line}\r\n" for line in lines).encode()

    def store(self, message: Message, transaction: Transaction, record: SessionJournal) -> None:
        """Keeps a message. Only then may the reply be 250."""
        record.messages.append(message)
        with self._changing_tests:
            store = self.mail if transaction.tag == self.epoch else self.stray_mail
            store.add(message)
