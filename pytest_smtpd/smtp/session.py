"""One SMTP or LMTP session without I/O: octets in, events out, octets to send.

`next_event` processes received octets until the owner has to decide about an event. The owner
answers with `accept`, `refuse` or `ignore`, and only then does the session continue. So pipelined
commands wait, and no command can overtake a rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import replies
from .command_line import Chunk, masked, note_cleartext, read, request
from .commands import OPENINGS, Phase
from .conduct import Journal
from .content import ChunkReader, violations_in
from .events import Auth, ChunkReceived, Connected, Event, Mail, MessageReceived, Noop
from .grammar import Refused
from .lines import MAX_LINE, LineBuffer
from .profile import Profile
from .replies import Queued, Reply
from .standing import EFFECTS, Standing

if TYPE_CHECKING:
    from .auth.exchange import AuthExchange, Turn

Answer = Reply | Queued

_CLIENT_HELLO = b"\x16\x03"  # the first octets of a TLS handshake record (RFC 8446 section 5.1)


class Session(Standing):
    """The protocol side of one connection. It has one owner, who calls it from one thread."""

    def __init__(self, profile: Profile, journal: Journal) -> None:
        super().__init__(profile, journal)
        self.lines_left = math.inf  # `next_event` stops at 0, until the owner sets it again
        self._event: Event | None = None  # waits for its verdict
        self._exchange: AuthExchange | None = None  # takes the lines during AUTH
        self._masking = False  # lines after a refused AUTH may be its secrets
        self._output: list[bytes] = []

    @property
    def journal(self) -> Journal:
        """Records the conversation; the owner may replace the journal between two events."""
        return self.conduct.journal

    @journal.setter
    def journal(self, journal: Journal) -> None:
        self.conduct.journal = journal

    @property
    def input(self) -> LineBuffer:
        """Octets that are received and not yet used, outside of a message's content."""
        return self.intake.lines

    @property
    def backlog(self) -> int:
        """The number of octets that are received and not yet used."""
        return self.intake.lines.octets

    @property
    def content_octets(self) -> int | None:
        """The octets received so far of the present message; None outside of a message."""
        reader = self.intake.reader or self.intake.chunks
        return None if reader is None else reader.size

    @property
    def progress(self) -> int:
        """Grows with each line and each octet of content, to detect a silent client."""
        return self.intake.lines.progress + self.intake.content_progress

    # ---- octets

    def receive(self, data: bytes) -> None:
        """Takes octets from the client, in pieces of any size."""
        if self.closing or not data:
            return
        intake = self.intake
        if self.tls_due:
            self.journal.violation("starttls-injection")
        elif intake.reader is not None and not intake.complete:
            intake.feed_content(data)
        else:
            if self._event is not None and data[:2] != _CLIENT_HELLO:
                self._interrupted()
            intake.lines.feed(data)

    def _interrupted(self) -> None:
        if self.phase is Phase.CONNECT:
            self.talks_early()
        elif not self.conduct.in_group:
            self.conduct.blame("pipelining")

    def talks_early(self) -> None:
        """The client has not waited for the greeting."""
        self.conduct.talks_early()

    def bytes_to_send(self) -> bytes:
        """The octets to send to the client now. Each octet is returned once."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    # ---- from octets to events

    def connect(self, peer: str) -> None:
        """A client with this IP address has connected: the first event."""
        self._event = Connected(peer)

    def next_event(self) -> Event | None:
        """The next event, or the event that still waits for its verdict.

        None when more octets are needed, or when `lines_left` is 0.
        """
        intake = self.intake
        while self._event is None and not self.closing and not self.tls_due:
            if intake.reader is not None:
                if not intake.complete:
                    return None
                self._event = self._end_of_content()
            elif not intake.lines.octets:
                return None
            elif self.lines_left and (line := intake.lines.next_line()) is not None:
                self.lines_left -= 1
                self._event = self._hear(line)
            else:
                if intake.lines.peek(2) == _CLIENT_HELLO:
                    self._hang_up_on_tls()
                return None
        return self._event

    def _hear(self, line: bytes) -> Event | None:
        """Reads a line and returns its event, None if no verdict is needed."""
        if line.startswith(_CLIENT_HELLO):
            self._hang_up_on_tls()
            return None
        if self._exchange is not None:
            self._answer_challenge(self._exchange, line)
            return None
        if len(line) > MAX_LINE:
            self.journal.note(b"(a line of over %d octets)" % MAX_LINE)
            self._answer_refused(Refused(replies.LINE_TOO_LONG, "long-command"))
            return None
        try:
            said = read(line, self.profile.lmtp, secret=self._masking)
            self._masking = said.is_auth or (self._masking and said.command is None)
            self.conduct.journal.client(masked(said) if self._masking else line)
            asked = request(said, self)
        except Refused as refused:
            self._answer_refused(refused)
            return None
        assert said.command is not None
        self.command = said.command
        if isinstance(asked, Reply):
            self.send(asked)
        elif isinstance(asked, Chunk):
            self.begin_chunk(asked.octets, last=asked.last)
        else:
            return asked
        return None

    def _answer_refused(self, refused: Refused) -> None:
        if refused.skips:
            self.intake.lines.skip(refused.skips)
        if refused.reply is replies.NEEDS_SMTPUTF8:  # so MAIL came without the parameter
            self.utf8 = False
        self.conduct.refused(refused.violation)
        self.send(refused.reply)

    def _hang_up_on_tls(self) -> None:
        self.conduct.blame("tls-on-plain-port")
        self.closing = True

    def _end_of_content(self) -> Event | None:
        transaction, journal = self.transaction, self.conduct.journal
        assert transaction is not None
        reader = self.intake.end_content()
        if isinstance(reader, ChunkReader):
            journal.content(reader.chunk_size)
            if not reader.last and not reader.over:
                return ChunkReceived(reader.chunk_size)
        else:
            journal.content(reader.size)
            in_group = self.profile.pipelining and self.esmtp
            self.conduct.completes(in_group, self.backlog > 0)
        declared = transaction.mail_parameters.get("SIZE")
        # smtplib counts before it adds a missing final CRLF
        if declared and 0 < int(declared) < reader.size - len(b"\r\n"):
            journal.violation("size-mismatch")
        if not reader.over:
            return MessageReceived(reader.content(), transaction)
        journal.violation("size-exceeded")
        # RFC 2033 section 4.2: a reply for each recipient, at the end of the message
        each = self.profile.lmtp and self.command.brings_message
        self.end_message()
        self.conduct.refused()
        self._send_all([replies.TOO_BIG] * (len(transaction.rcpt_to) if each else 1))
        return None

    # ---- the lines of AUTH, which are no commands

    def _begin_exchange(self, event: Auth, outcome: Reply | None) -> None:
        from .auth.exchange import AuthExchange  # loads hashlib and hmac

        users, hostname = self.profile.users, self.profile.hostname
        assert users is not None
        self._exchange = AuthExchange(event.mechanism, users, hostname, outcome)
        self._take_turn(self._exchange.start(event.initial))

    def _answer_challenge(self, exchange: AuthExchange, line: bytes) -> None:
        self.journal.note(b"***")
        if exchange.cleartext:
            note_cleartext(self)
        self._take_turn(exchange.respond(line.rstrip(b" ")))

    def _take_turn(self, turn: Turn) -> None:
        """Sends the server's line of an AUTH exchange, and ends the exchange at its last line."""
        if not turn.more:
            self._exchange = None
            if turn.user is not None and turn.reply.positive:
                self.user = turn.user
        elif self.backlog:
            self.conduct.blame("pipelining")
        self.send(turn.reply)

    # ---- verdicts

    def accept(self, reply: Answer | Sequence[Answer] | None = None) -> None:
        """Lets the command take effect; `reply` replaces the usual one.

        After an LMTP message `reply` is a sequence, with a reply for each recipient. AUTH first
        runs to its end; a `reply` then replaces its last reply, whatever the credentials.
        """
        event = self._take_event()
        if isinstance(event, Auth):
            assert reply is None or isinstance(reply, Reply)
            self._begin_exchange(event, reply)
            return
        if self.conduct.misled and not isinstance(event, Noop):  # NOOP may be a line of a message
            self.conduct.misled = False
        usual = EFFECTS[type(event)](self, event)
        if reply is None:
            self.send(usual)
        else:
            self._send_all(reply)

    def refuse(self, reply: Reply | Sequence[Reply]) -> None:
        """Answers the command without effect; a message is dropped with its transaction."""
        event = self._take_event()
        if isinstance(event, Connected):
            self.phase = OPENINGS["550"]
        self._lose(event)
        self.conduct.refused()
        self._send_all(reply)

    def ignore(self) -> None:
        """Drops the event without effect and reply; the owner may send any octets instead."""
        event = self._take_event()
        if isinstance(event, Connected):
            self.phase = OPENINGS["220"]
        self._lose(event)
        self.conduct.misled = True

    def close(self, reply: Reply) -> None:
        """Ends the session from the server's side, and drops a waiting event."""
        if not self.closing:
            self._inspect(self._event)
            self._event = None
            self.send(reply)
            self.closing = True

    def client_closed(self) -> None:
        """The client has closed its side, and all its octets are processed."""
        self._inspect(self._event)
        self._event = None
        if self.closing:
            return
        self.closing = True
        self.conduct.leaves(inside_message=self.content_octets is not None)
        if self.intake.reader is not None:
            self.journal.content(self.intake.reader.size)

    def _take_event(self) -> Event:
        event, self._event = self._event, None
        assert event is not None, "no event waits for a verdict"
        return event

    def _lose(self, event: Event) -> None:
        if isinstance(event, Mail):
            self.utf8 = event.transaction.utf8  # for the reply that refuses it
        elif isinstance(event, MessageReceived):
            self._inspect(event)
            self.end_message()

    def _inspect(self, event: Event | None) -> None:
        """Checks a rejected message now, before its octets are dropped."""
        if isinstance(event, MessageReceived) and not event.transaction.binary:
            for code in violations_in(event.raw, eight_bit=event.transaction.eight_bit):
                self.journal.violation(code)

    # ---- replies

    def send(self, reply: Answer) -> None:
        """Adds a reply to the octets to send."""
        octets = reply.encode(enhanced=self.esmtp and self.profile.enhanced_codes, utf8=self.utf8)
        self._output.append(octets)
        self.conduct.journal.server(octets)
        if reply.code == 421:  # RFC 5321 section 3.8
            self.closing = True

    def _send_all(self, reply: Answer | Sequence[Answer]) -> None:
        for each in (reply,) if isinstance(reply, Answer) else reply:
            self.send(each)
