"""The state of a session, and the effect of each accepted command on it.

The table in `commands` gives the next phase. `conduct` has the client's violations, `intake` the
unused octets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import events, replies
from .commands import COMMANDS, LAST_CHUNK, OPENINGS, Phase
from .conduct import Conduct, Journal
from .events import Transaction
from .intake import Intake
from .profile import Profile
from .replies import Reply, fill


class Standing:
    """The state of a session, and the base class of `Session`."""

    def __init__(self, profile: Profile, journal: Journal) -> None:
        self.profile = profile  # the owner may replace it between two events
        self.conduct = Conduct(journal)
        self.intake = Intake()
        self.tag: object = None  # for the owner: each transaction keeps the tag of its MAIL
        self.phase = Phase.CONNECT
        self.command = COMMANDS["NOOP"]  # the last one that was read
        self.hello: str | None = None  # the name that the client gave after EHLO, HELO or LHLO
        self.esmtp = False  # greeted with EHLO or LHLO
        self.user: str | None = None  # the user that the client authenticated as
        self.transaction: Transaction | None = None
        self.utf8 = False  # the last MAIL had SMTPUTF8, so replies may be UTF-8
        self.tls = False
        self.tls_due = False  # send the replies, do the handshake, then call `tls_established`
        self.closing = False  # read nothing more; close when all is sent
        self.quit = False  # closing because the client said QUIT

    def end_message(self) -> None:
        """Ends the transaction after the verdict on its message."""
        if not self.command.brings_message:  # over the limit before its last chunk
            self.command = LAST_CHUNK
        self._end_transaction()
        self._arrive()

    def tls_established(self) -> None:
        """Resets the session after the handshake (RFC 3207 section 4.2)."""
        if self.phase is not Phase.CONNECT:  # otherwise TLS comes first
            self._end_transaction()
            self._arrive()
            self.hello, self.user, self.esmtp, self.utf8 = None, None, False, False
        self.tls, self.tls_due = True, False

    def _arrive(self) -> None:
        self.phase = self.command.leads_to[self.phase]

    def _end_transaction(self) -> None:
        # RFC 5321 section 4.1.1.5
        self.transaction = None
        self.intake.drop_message()
        self.conduct.any_refused = False

    def begin_chunk(self, octets: int, *, last: bool) -> None:
        """Applies BDAT before its chunk arrives; the event follows after the chunk."""
        if last:
            self.command = LAST_CHUNK
        else:
            self._arrive()
        self.intake.begin_chunk(octets, last=last, limit=self.profile.max_size)

    # ---- an effect for each event; each returns the usual reply

    def _connected(self, event: events.Connected) -> Reply:
        self.phase = OPENINGS["220"]
        return self.profile.greeting()

    def _hello(self, event: events.Hello) -> Reply:
        self._end_transaction()  # RFC 5321 section 4.1.4
        self._arrive()
        self.hello, self.esmtp, self.utf8 = event.name, event.verb != "HELO", False
        if not self.esmtp:
            return fill(replies.HELLO, hostname=self.profile.hostname)
        return self.profile.hello(tls=self.tls, authenticated=self.user is not None)

    def _starttls(self, event: events.StartTLS) -> Reply:
        if self.intake.lines.take():
            self.conduct.journal.violation("starttls-injection")
        self.tls_due = True
        return replies.READY_FOR_TLS

    def _mail(self, event: events.Mail) -> Reply:
        self.transaction, self.utf8 = event.transaction, event.transaction.utf8
        self.conduct.any_refused = False
        self._arrive()
        return replies.SENDER_OK

    def _rcpt(self, event: events.Rcpt) -> Reply:
        event.transaction.rcpt_to.append(event.address)
        event.transaction.rcpt_parameters.append(event.parameters)
        self._arrive()
        return replies.RECIPIENT_OK

    def _data(self, event: events.Data) -> Reply:
        self.intake.begin_data(self.profile.max_size)
        return replies.START_DATA

    def _chunk_received(self, event: events.ChunkReceived) -> Reply:
        return fill(replies.CHUNK_OK, octets=str(event.octets))

    def _message_received(self, event: events.MessageReceived) -> Reply:
        if not event.transaction.binary:
            self.conduct.journal.message(event.raw, event.transaction.eight_bit)
        self.end_message()
        return replies.OK

    def _rset(self, event: events.Rset) -> Reply:
        self._end_transaction()
        self._arrive()
        return replies.OK

    def _noop(self, event: events.Noop) -> Reply:
        return replies.OK

    def _quit(self, event: events.Quit) -> Reply:
        self.closing = self.quit = True
        self._arrive()
        return fill(replies.BYE, hostname=self.profile.hostname)


# The effect of an accepted event, by class; a `match` over all of them costs five times as much
EFFECTS: dict[type[events.Event], Callable[[Standing, Any], Reply]] = {
    events.Connected: Standing._connected,
    events.Hello: Standing._hello,
    events.StartTLS: Standing._starttls,
    events.Mail: Standing._mail,
    events.Rcpt: Standing._rcpt,
    events.Data: Standing._data,
    events.ChunkReceived: Standing._chunk_received,
    events.MessageReceived: Standing._message_received,
    events.Rset: Standing._rset,
    events.Noop: Standing._noop,
    events.Quit: Standing._quit,
}
