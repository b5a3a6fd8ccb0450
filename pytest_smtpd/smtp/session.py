"""One SMTP or LMTP session without I/O: octets in, questions out, octets to send.

`next_event` works through what was received until something needs a verdict; the owner answers
with `accept`, `refuse` or `ignore`, and only then does the session go on. So pipelined commands
wait their turn by themselves, and nothing a client does can overtake a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from . import replies
from .commands import Phase
from .content import ChunkReader, DataReader, violations_in
from .dispatch import dispatch, take_turn
from .events import (
    Auth,
    ChunkReceived,
    Connected,
    Data,
    Event,
    Hello,
    Mail,
    MessageReceived,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTLS,
    Transaction,
)
from .grammar import Malformed
from .lines import LineBuffer
from .profile import Profile
from .replies import Queued, Reply, fill

if TYPE_CHECKING:
    from .login import AuthExchange

Answer = Reply | Queued

_CLIENT_HELLO = b"\x16\x03"  # the first octets of a TLS handshake record (RFC 8446 section 5.1)


class Journal(Protocol):
    """Who keeps the conversation: told of each line and violation as it happens."""

    def client(self, line: bytes) -> None:
        """A line from the client, without its CRLF, what answers AUTH masked."""

    def content(self, octets: int) -> None:
        """The content of a message, or a chunk of it."""

    def server(self, reply: bytes) -> None:
        """A reply, all its lines."""

    def message(self, raw: bytes, eight_bit: bool) -> None:
        """A message was taken; whoever wants to know asks `violations_in` what is wrong with it.

        `eight_bit` says that octets over 127 were announced.
        """

    def violation(self, code: str) -> None:
        """A row of the table in `violations`."""


class Session:
    """The protocol side of one connection. It has one owner, who calls it from one thread."""

    def __init__(self, profile: Profile, journal: Journal) -> None:
        self.profile = profile  # both may be exchanged between two events
        self.journal = journal
        self.tag: object = None  # the owner's: its transactions carry it
        self.phase = Phase.CONNECT
        self.hello: str | None = None  # what the client calls itself
        self.user: str | None = None  # who it authenticated as
        self.transaction: Transaction | None = None
        self.progress = 0  # grows with each line and each octet of content: ends a silence
        self.lines_left = math.inf  # so many are worked through; at 0 the owner has to set it anew
        self.closing = False  # nothing more is read; close when all is sent
        self.quit = False  # closing because the client said QUIT
        self.tls = False
        self.tls_due = False  # send what is due, shake hands, then call `tls_established`
        self._event: Event | None = None  # what waits for its verdict
        self._output: list[bytes] = []
        self._talked_early = False
        self._content: DataReader | ChunkReader | None = None  # what now takes the octets
        self._content_ended = False
        # What the reading of lines (`dispatch`) has to remember
        self.input = LineBuffer()
        self.commands = 0
        self.said_quit = False
        # The owner said something else than a reply: what comes of that is not the client's fault
        self.misled = False
        self.esmtp = False  # greeted with EHLO or LHLO
        self.utf8 = False  # MAIL had SMTPUTF8
        self.in_group = False  # more may follow the present command at once
        self.refused = False  # in this transaction: a pipelining client is not to blame then
        self.chunks: ChunkReader | None = None
        self.login: AuthExchange | None = None
        self.login_started = False
        self.masking = False  # what follows a refused AUTH may be its secrets

    # ---- octets

    def receive(self, data: bytes) -> None:
        """Takes octets from the client, in any portions."""
        if self.closing or not data:
            return
        if self.tls_due:
            self.journal.violation("starttls-injection")
        elif self._content is not None and not self._content_ended:
            self._feed(data)
        else:
            if self._event is not None and not self.in_group and data[:2] != _CLIENT_HELLO:
                if self.phase is Phase.CONNECT:
                    self.talks_early()
                else:
                    self.blame("pipelining")
            self.progress += self.input.feed(data)  # of a chunk that was refused

    def talks_early(self) -> None:
        """The client has not waited for the greeting."""
        if not self._talked_early:
            self._talked_early = True
            self.journal.violation("early-talker")

    def blame(self, code: str) -> None:
        """Records a violation, unless the client was misled."""
        if not self.misled:
            self.journal.violation(code)

    def bytes_to_send(self) -> bytes:
        """What is due to the client now, once."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    @property
    def content_octets(self) -> int | None:
        """How much of a message has come so far, in octets; None outside of one."""
        reader = self._content or self.chunks
        return None if reader is None else reader.size

    @property
    def backlog(self) -> int:
        """Octets received and not worked through."""
        return self.input.octets

    # ---- events

    def connect(self, peer: str) -> None:
        """A client at this address is there: the first event."""
        self._event = Connected(peer)

    def next_event(self) -> Event | None:
        """The next question, or the one still open.

        None when more octets are needed, or when `lines_left` has come to 0.
        """
        while self._event is None and not self.closing and not self.tls_due:
            if self._content is not None:
                if not self._content_ended:
                    return None
                self._event = self._end_of_content()
            elif not self.input.octets:
                return None
            elif self.lines_left and (line := self.input.next_line()) is not None:
                if line.startswith(_CLIENT_HELLO):
                    self._hang_up_on_tls()
                    return None
                self.progress += 1
                self.lines_left -= 1
                try:
                    self._event = dispatch(self, line)
                except Malformed as malformed:
                    self.refused = True
                    self.blame(malformed.violation)
                    self.send(malformed.reply)
            else:
                if self.input.peek(2) == _CLIENT_HELLO:
                    self._hang_up_on_tls()
                return None
        return self._event

    def _hang_up_on_tls(self) -> None:
        self.blame("tls-on-plain-port")
        self.closing = True

    def accept(self, reply: Answer | Sequence[Answer] | None = None) -> None:
        """Lets the command take effect; `reply` replaces the usual one.

        After a message LMTP wants a reply for each recipient: then `reply` is a sequence. AUTH
        goes on to its end first; a `reply` then replaces the last one, whatever the credentials.
        """
        event = self._take_event()
        if isinstance(event, Auth):
            assert self.login is not None
            assert reply is None or isinstance(reply, Reply)
            self.login_started = True
            take_turn(self, self.login.start(reply))
            return
        if not isinstance(event, Noop):  # which may be a line of a text
            self.misled = False
        usual = _EFFECTS[type(event)](self, event)
        if reply is None:
            self.send(usual)
        else:
            self._send_all(reply)

    def refuse(self, reply: Reply | Sequence[Reply]) -> None:
        """Answers the command, which has no effect; a message is lost with its transaction."""
        event = self._take_event()
        if isinstance(event, Connected):
            self.phase = Phase.REFUSED
        self._undo(event)
        self.refused = True
        self._send_all(reply)

    def ignore(self) -> None:
        """No effect and no reply: the owner says what it likes, or nothing."""
        event = self._take_event()
        if isinstance(event, Connected):
            self.phase = Phase.START
        self._undo(event)
        self.misled = True

    def close(self, reply: Reply) -> None:
        """Ends the session from the server's side; whatever waits is dropped."""
        if not self.closing:
            self._inspect(self._event)
            self._event = None
            self.send(reply)
            self.closing = True

    def client_closed(self) -> None:
        """The client sends nothing more, and all it sent was worked through."""
        self._inspect(self._event)
        self._event = None
        if self.closing:
            return
        self.closing = True
        if self.commands and not self.said_quit:
            self.journal.violation("no-quit")
        if self._content is not None:
            self.journal.content(self._content.size)
        if self._content is not None or self.chunks is not None:
            self.journal.violation("unfinished-message")

    def tls_established(self) -> None:
        """The handshake is done: all that was known before is forgotten (RFC 3207 section 4.2)."""
        if self.phase is not Phase.CONNECT:  # else it is TLS from the start
            self._reset()
            self.hello, self.user, self.esmtp, self.utf8 = None, None, False, False
            self.phase = Phase.START
        self.tls, self.tls_due = True, False

    # ---- verdicts

    def _take_event(self) -> Event:
        event, self._event = self._event, None
        assert event is not None, "no event waits for a verdict"
        return event

    def _inspect(self, event: Event | None) -> None:
        """Of a message that is not taken, at once: nobody keeps its octets."""
        if isinstance(event, MessageReceived) and not event.transaction.binary:
            for code in violations_in(event.raw, eight_bit=event.transaction.eight_bit):
                self.journal.violation(code)

    def _undo(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self._inspect(event)
            self._reset()
        elif isinstance(event, Auth):
            self.login = None

    # ---- effects: each carries a command out, and gives its usual reply

    def _connected(self, event: Connected) -> Reply:
        self.phase = Phase.START
        return self.profile.greeting()

    def _hello(self, event: Hello) -> Reply:
        self._reset()  # RFC 5321 section 4.1.4
        self.phase, self.hello, self.esmtp = Phase.READY, event.name, event.verb != "HELO"
        self.utf8 = False
        if not self.esmtp:
            return fill(replies.HELLO, hostname=self.profile.hostname)
        authenticated = self.user is not None
        return self.profile.hello(tls=self.tls, authenticated=authenticated)

    def _starttls(self, event: StartTLS) -> Reply:
        if self.input.take():
            self.journal.violation("starttls-injection")
        self.tls_due = True
        return replies.READY_FOR_TLS

    def _mail(self, event: Mail) -> Reply:
        self.transaction, self.phase, self.refused = event.transaction, Phase.SENDER, False
        return replies.SENDER_OK

    def _rcpt(self, event: Rcpt) -> Reply:
        event.transaction.rcpt_to.append(event.address)
        event.transaction.rcpt_parameters.append(event.parameters)
        self.phase = Phase.RECIPIENT
        return replies.RECIPIENT_OK

    def _data(self, event: Data) -> Reply:
        self.begin_content(DataReader(self.profile.max_size))
        return replies.START_DATA

    def _chunk_received(self, event: ChunkReceived) -> Reply:
        return fill(replies.CHUNK_OK, octets=str(event.octets))

    def _message_received(self, event: MessageReceived) -> Reply:
        if not event.transaction.binary:
            self.journal.message(event.raw, event.transaction.eight_bit)
        self._reset()
        return replies.OK

    def _rset(self, event: Rset) -> Reply:
        self._reset()
        return replies.OK

    def _noop(self, event: Noop) -> Reply:
        return replies.OK

    def _quit(self, event: Quit) -> Reply:
        self.closing = self.quit = True
        return fill(replies.BYE, hostname=self.profile.hostname)

    def _reset(self) -> None:
        # RFC 5321 section 4.1.1.5
        self.transaction = self._content = self.chunks = None
        self.refused = False
        if self.phase in (Phase.SENDER, Phase.RECIPIENT, Phase.CHUNKS):
            self.phase = Phase.READY

    def send(self, reply: Answer) -> None:
        octets = reply.encode(enhanced=self.esmtp and self.profile.enhanced_codes, utf8=self.utf8)
        self._output.append(octets)
        self.journal.server(octets)
        if reply.code == 421:  # RFC 5321 section 3.8
            self.closing = True

    def _send_all(self, reply: Answer | Sequence[Answer]) -> None:
        for each in (reply,) if isinstance(reply, Reply | Queued) else reply:
            self.send(each)

    # ---- the message's content

    def begin_content(self, reader: DataReader | ChunkReader) -> None:
        self._content, self._content_ended = reader, False
        if self.input.octets or isinstance(reader, ChunkReader):  # a chunk may be empty
            self._feed(self.input.take())

    def _feed(self, data: bytes) -> None:
        assert self._content is not None
        self.progress += len(data)
        rest = self._content.feed(data)
        if rest is not None:
            self._content_ended = True
            self.input.feed(rest)

    def _end_of_content(self) -> Event | None:
        reader, transaction = self._content, self.transaction
        assert reader is not None and transaction is not None
        self._content = None
        if isinstance(reader, ChunkReader):
            self.journal.content(reader.chunk_size)
            if not reader.last and not reader.over:
                return ChunkReceived(reader.chunk_size)
        else:
            self.journal.content(reader.size)
            self.in_group = self.profile.pipelining and self.esmtp
            if self.input.octets and not self.in_group:
                self.blame("pipelining")
        declared = transaction.mail_parameters.get("SIZE")
        # smtplib counts before it adds a missing final CRLF
        if declared and 0 < int(declared) < reader.size - len(b"\r\n"):
            self.journal.violation("size-mismatch")
        if reader.over:
            self.journal.violation("size-exceeded")
            self._reset()
            self.refused = True
            # RFC 2033 section 4.2: a reply for each recipient, to what ends the message
            ends = not isinstance(reader, ChunkReader) or reader.last
            count = len(transaction.rcpt_to) if self.profile.lmtp and ends else 1
            self._send_all([replies.TOO_BIG] * count)
            return None
        self.chunks = None
        return MessageReceived(reader.content(), transaction)


# By the class of an event; a `match` over all of them costs five times as much
_EFFECTS: dict[type[Event], Callable[[Session, Any], Reply]] = {
    Connected: Session._connected,
    Hello: Session._hello,
    StartTLS: Session._starttls,
    Mail: Session._mail,
    Rcpt: Session._rcpt,
    Data: Session._data,
    ChunkReceived: Session._chunk_received,
    MessageReceived: Session._message_received,
    Rset: Session._rset,
    Noop: Session._noop,
    Quit: Session._quit,
}
