"""One client connection: octets between a transport and a `Session`, verdicts from the policy.

Without faults and callbacks each event is decided at once. Otherwise an `Errand` carries out the
waits of the policy, and the session stops until the errand ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..clock import monotonic
from ..policy.decide import carry_out, decide
from ..policy.verdicts import Call, Close, Say, Silence, Until, Wait, Waits
from ..record import SessionJournal, TLSInfo
from ..smtp import replies
from ..smtp.events import Event, MessageReceived
from ..smtp.replies import Queued, Reply, fill
from ..smtp.session import Session
from .attribution import Attribution
from .errand import Errand
from .intake import Intake
from .shared import Shared
from .transport import LINGER, Transport

if TYPE_CHECKING:
    import socket

    from ..message.message import Message

MAX_BACKLOG = 262_144  # octets of commands that may wait for a verdict before reading stops
BATCH = 25  # commands of one session before the other sessions get their turn
JUST_NOW = 0.05  # seconds within which an active client sends its next command
SHORT_LINGER = 0.1  # seconds that a client has to take the last reply when the server stops


class Connection:
    """The owner of a `Transport`, in the loop of one service."""

    def __init__(
        self,
        shared: Shared,
        client: socket.socket,
        record: SessionJournal,
        epoch: int,
        lost: Callable[[Connection], object],
    ) -> None:
        """A client that came during test `epoch`. `begin` begins its session, `lost` ends it."""
        self.record = record
        self._lost = lost
        self._shared = shared
        self._state = shared.state
        self._faults = shared.state.faults.live
        self._key = object()  # for faults that count by session; an id could be a dead session's
        self._session = Session(shared.state.profile, record)
        self._session.tag = epoch
        self._attribution = Attribution(epoch)
        self._transport = Transport(shared.loop, client, self)
        self._intake = Intake(shared, self._transport, record.peer[0], self._key)
        self._errand: Errand | None = None
        self._given_up: Wait | None = None  # a call that no end of a test waits for
        self._heard = monotonic()  # time of the client's last progress
        self._progress = 0
        self._handshaking = False
        self._scheduled = False
        self._greeted = False
        self._write_paused = False
        self._eof = False
        self._closing = False
        self._content_seen = -1

    def begin(self, *, tls_first: bool = False, spoke: bool = False) -> None:
        """Greets the client, which may have spoken, after a handshake if TLS comes first."""
        if spoke:
            self._session.talks_early()
        if tls_first:
            self._shake_hands()
        else:
            self._greet()

    def _greet(self) -> None:
        self._greeted = True
        self._session.connect(self.record.peer[0])
        self._pump()

    # ---- the transport's side

    def get_buffer(self) -> memoryview:
        return self._intake.buffer()

    def buffer_updated(self, octets: int) -> None:
        data = self._intake.take(octets)
        self._shared.activity += 1
        if self._closing:
            return
        if self._attribution.epoch != self._state.epoch:
            self._attribution.note_arrival(octets, self._state.epoch)
        self._session.receive(data)
        self._pump()
        if (progress := self._session.progress) != self._progress:
            self._progress = progress
            self._heard = monotonic()

    def _mind_test(self) -> None:
        """Attributes a connection that outlives its test to the present test."""
        session, attribution, epoch = self._session, self._attribution, self._state.epoch
        inside = session.content_octets is not None
        if not attribution.moves_to(epoch, session.input, in_message=inside):
            session.lines_left = min(session.lines_left, 1)  # the line after may be of this test
            return
        # it is another session for this test
        self.record, attribution.epoch = self._state.renew_record(self.record)
        session.journal, session.tag = self.record, attribution.epoch

    def eof_received(self) -> bool:
        self._shared.activity += 1
        self._eof = True
        if self._closing or isinstance(self._wait, Silence):
            return False
        self._pump()
        # A client that only closed its sending side still gets its replies. In TLS there is no
        # half-closed connection, so only the present work is finished before the close
        waits = self._errand is not None or self._scheduled or self._write_paused
        return self.record.tls is None or waits

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._errand is not None:
            self._errand.send_more()
        self._pump()

    def connection_lost(self) -> None:
        self._shared.activity += 1
        self._lost(self)
        if self._errand is not None:
            self._errand.cancel()
        self._closing = True
        self._session.client_closed()
        self.record.ends("client")
        self.record.closed()

    # ---- the processing of an event

    def _pump(self) -> None:
        try:
            self._work()
        except BaseException as error:  # a bug of ours, or out of a fault's `match`
            self._state.errors.append(error)
            self.record.ends("server")
            self._end(replies.INTERNAL_ERROR)

    def _work(self) -> None:
        """Processes the received octets, until an event has to wait."""
        session, state = self._session, self._state
        self._shared.activity += 1
        session.lines_left = BATCH
        while self._errand is None and not (self._write_paused or self._closing or self._scheduled):
            if self._attribution.epoch != state.epoch:
                self._mind_test()
            session.profile = state.profile
            event = session.next_event()
            if self._faults and self._drop_inside_message(event):
                return
            if event is None:
                if not session.lines_left:  # there may be more
                    self._scheduled = True
                    self._shared.loop.call_soon(self._resume)
                break
            if self._faults or event.stage in state.judge.stages_with_callbacks:
                self._flush()
                waits = self._decide(event)
                self._errand = Errand(waits, self._shared, self._transport, self.write, self._go_on)
                self._advance()
            elif (refusal := state.judge.refusal(event)) is not None:
                session.refuse(refusal)
            elif isinstance(event, MessageReceived):
                self._accept_message(event)
            else:
                session.accept()
        self._flush()
        if session.tls_due and not (self._errand or self._write_paused or self._closing):
            self._shake_hands()
        if not self._handshaking:
            full = self._write_paused or session.backlog > MAX_BACKLOG
            if full or self._intake.paused:
                self._intake.mind(full=full)
        if session.closing or self._eof:
            self._mind_end()

    def _resume(self) -> None:
        self._scheduled = False
        self._pump()

    def _accept_message(self, event: MessageReceived) -> None:
        recipients = event.transaction.rcpt_to
        message = self._build(event, range(len(recipients)))
        self._store(message)
        queued = Queued(message.id)
        # LMTP wants a reply for each recipient (RFC 2033 section 4.2)
        self._session.accept([queued] * len(recipients) if self._state.profile.lmtp else queued)

    def _build(self, event: MessageReceived, recipients: Sequence[int]) -> Message:
        self._note()  # EHLO may have come along with the message
        return self._state.message(
            event.raw, event.transaction, recipients, self.record, esmtp=self._session.esmtp
        )

    def _store(self, message: Message) -> None:
        transaction = self._session.transaction
        assert transaction is not None
        self._state.store(message, transaction, self.record)

    def _note(self) -> None:
        """Copies the state of the session into the record, before the client gets the reply."""
        session, record = self._session, self.record
        record.helo, record.user = session.hello, session.user
        if session.closing:
            record.ends("quit" if session.quit else "server")

    def _flush(self) -> None:
        data = self._session.bytes_to_send()
        if data:
            self.write(data)
        else:
            self._note()

    def write(self, data: bytes) -> bool:
        """Sends octets; returns whether the client is still connected."""
        self._note()
        return self._transport.write(data)

    # ---- events that have to wait

    @property
    def _wait(self) -> Wait | None:
        return None if self._errand is None else self._errand.wait

    def _decide(self, event: Event) -> Waits[None]:
        state = self._state
        verdict = yield from decide(event, state, self._key, self._build)
        match verdict:
            case Close(reset=reset):
                self._drop(reset=reset)
            case Silence() if self._eof:
                self._close()
            case Silence():
                yield verdict
            case _:
                if not isinstance(verdict, Say) and verdict.ended:
                    self.record.ends("fault")
                yield from carry_out(verdict, self._session, state, self._store)

    def _advance(self, value: Any = None) -> None:
        """Goes on with the errand, until its next wait or its end."""
        assert self._errand is not None
        try:
            ended = self._errand.go_on(value)
        except BaseException as error:  # a bug of ours, or out of a pattern of the test's
            self._state.errors.append(error)
            self._session.close(self._named(replies.INTERNAL_ERROR))
            ended = True
        if ended:
            self._errand = None
            self._heard = monotonic()  # the client was waiting for us

    def _go_on(self, value: Any) -> None:
        self._advance(value)
        if self._errand is None:
            self._pump()

    def _drop(self, *, reset: bool) -> None:
        self.record.ends("fault")
        self._session.closing = self._closing = True
        self._transport.abort(reset=True) if reset else self._transport.close()

    def _drop_inside_message(self, event: Event | None) -> bool:
        """Carries out `Drop(after=...)` once that much of a message's content has arrived."""
        inside = self._session.content_octets
        octets = len(event.raw) if isinstance(event, MessageReceived) else inside
        transaction = self._session.transaction
        before, self._content_seen = self._content_seen, -1 if octets is None else octets
        if octets is None or transaction is None:
            return False
        drop = self._state.faults.inside_message(octets, before, transaction.rcpt_to, self._key)
        if drop is not None:
            self._flush()  # the replies to earlier commands
            self._drop(reset=drop.reset)
        return drop is not None

    # ---- TLS

    def _shake_hands(self) -> None:
        if not self._handshaking and not self._transport.is_closing():
            self._handshaking = True
            self._intake.resumed()
            context = self._shared.ssl_context
            assert context is not None
            self._transport.start_tls(context, self._state.timeout, self._hands_shaken)

    def _hands_shaken(self, error: OSError | None) -> None:
        self._shared.activity += 1
        self._handshaking = False
        if error is not None:
            from .handshake import note_failed_handshake

            self._session.closing = self._closing = True
            note_failed_handshake(self.record, error)
            self.abort()
            return
        tls = self._transport.tls
        assert tls is not None
        cipher = tls.cipher()
        self.record.tls = TLSInfo(tls.version() or "", cipher[0] if cipher else "")
        self._session.tls_established()
        self._heard = monotonic()
        if self._greeted:
            self._pump()
        else:
            self._greet()

    # ---- calls of the service

    def mind_silence(self, limit: float) -> float:
        """Ends a session that has been silent for `limit` seconds; the seconds it has left."""
        # a handshake has another timer
        waiting_for_us = self._errand or self._scheduled or self._handshaking
        left = limit if waiting_for_us else self._heard + limit - monotonic()
        if left > 0.001:
            return left
        self.record.ends("timeout")
        self._end(replies.TIMED_OUT)
        return limit

    @property
    def asks_the_test(self) -> bool:
        """Whether a command waits for the test's own code."""
        wait = self._wait
        return isinstance(wait, Call) and wait.due and wait is not self._given_up

    def wait_no_longer(self) -> None:
        """From now on, `asks_the_test` ignores the present call of the test's own code."""
        self._given_up = self._wait

    @property
    def talks_until(self) -> float:
        """The time, on the real clock, until which the next command is likely."""
        return 0.0 if self._errand else self._heard + JUST_NOW

    def shut_down(self) -> None:
        """Sends the waiting replies, then 421, then closes."""
        errand, self._errand = self._errand, None
        unsent = b"" if errand is None else errand.cancel()
        if unsent:
            self.write(unsent)
        self.record.ends("server")
        if self._handshaking:  # no reply can be sent during a handshake
            self._session.closing = self._closing = True
            self.abort()
            return
        busy = self._session.content_octets is not None or self._session.backlog > 0
        self._end(replies.SHUTTING_DOWN, linger=SHORT_LINGER if busy else 0.0)

    def end_if_held(self) -> None:
        """Ends the session if a fault keeps it waiting."""
        if isinstance(self._wait, Until | Silence):
            self.shut_down()

    def abort(self) -> None:
        self._transport.abort()

    # ---- ends

    def _mind_end(self) -> None:
        """Closes when all replies are sent."""
        if self._closing or self._errand or self._scheduled:
            return
        if self._session.closing:
            polite = self._session.quit and not self._session.backlog
            self._close(linger=0.0 if polite else LINGER)
        elif self._eof and not self._write_paused and not self._session.tls_due:
            self._session.client_closed()
            self.record.ends("client")
            self._close()

    def _end(self, reply: Reply, linger: float = LINGER) -> None:
        self._session.close(self._named(reply))
        self._flush()
        self._close(linger=linger)

    def _named(self, reply: Reply) -> Reply:
        return fill(reply, hostname=self._state.options.greeting_hostname)

    def _close(self, *, linger: float = 0.0) -> None:
        if not self._closing:
            self._closing = True
            self._transport.finish(linger=0.0 if self._eof else linger)
