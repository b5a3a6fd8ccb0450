"""One client connection: octets between a transport and a `Session`, verdicts from the policy.

Without faults and callbacks each event is decided on the spot; where one has to wait, a
`Deliberation` carries it out in a task, and the session stands still until it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from ..clock import monotonic
from ..record import SessionJournal, TLSInfo
from ..smtp import replies
from ..smtp.events import Event, MessageReceived
from ..smtp.replies import Reply, fill
from ..smtp.session import Session
from .deliberation import Deliberation
from .transport import Transport

if TYPE_CHECKING:
    from ..message.message import Message
    from .service import Service

MAX_BACKLOG = 262_144  # octets of commands that may wait for a verdict before reading stops
BATCH = 25  # commands of one session worked through before the others get their turn
LINGER = 1.0  # seconds for a client to take the last reply
JUST_NOW = 0.05  # seconds in which a client in conversation says the next thing
SHORT_LINGER = 0.1  # the same when the server stops
THROTTLE_STEP = 0.05  # seconds' worth of octets read at once from a throttled client


class Connection:
    """The owner of a `Transport`; it lives in the loop of one `Service`."""

    def __init__(self, service: Service, record: SessionJournal, epoch: int, spoke: bool) -> None:
        """A client that came in the test of this epoch; `spoke` says that it has sent something."""
        self.record = record
        self._service = service
        self.callbacks = service.callbacks
        self.state = service.state
        self.key = object()  # for faults that count by session; an id may be that of a dead one
        self._faults = service.state.faults.live
        self.loop = service.loop
        self.session = Session(service.state.profile, record)
        self.transport: Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard = monotonic()  # when the client last got on
        self._progress = 0
        self._handshaking = False
        self.write_paused = False
        self._read_paused = False
        self._scheduled = False
        self._throttled = False
        self._spoke = spoke
        self.stalled = False
        self.held = False  # a fault waits, and for nothing that comes by itself
        self.asking = False  # a command waits for code of the test's, not for a fault
        self._epoch = self.session.tag = epoch
        self._came = epoch, 0  # so many octets in the test of this epoch, if that is another one
        self.eof = False
        self._closing = False
        self._content_seen = -1
        self.unsent = b""  # of a split reply

    # ---- the transport's side

    def connection_made(self, transport: Transport) -> None:
        """The client is there, with TLS if that comes first."""
        self.transport = transport
        self._note_tls()
        self._service.add(self)
        if self.record.tls is not None:
            self.session.tls_established()
        if self._spoke:
            self.session.talks_early()
        self.session.connect(self.record.peer[0])
        self._pump()

    def get_buffer(self) -> memoryview:
        # one buffer for all connections: what is read is taken out before anything else is
        buffer = self._service.buffer
        if self._faults and (rate := self._throttle()) is not None:
            return buffer[: max(1, int(rate * THROTTLE_STEP))]
        return buffer

    def buffer_updated(self, octets: int) -> None:
        data = bytes(self._service.buffer[:octets])
        self._service.activity += 1
        if self._faults and (rate := self._throttle()) is not None:
            self._throttled = True
            self.loop.call_later(octets / rate, self._read_on)
            self._mind_reading()
        if self._closing:
            return
        if self._epoch != self.state.epoch:
            epoch, before = self._came
            self._came = self.state.epoch, octets + (before if epoch == self.state.epoch else 0)
        self.session.receive(data)
        self._pump()
        if self.session.progress != self._progress:
            self._progress = self.session.progress
            self._heard = monotonic()
        if self.state.timeout != self._service.timeout:
            self._service.watch_silence()

    def _goes_on(self) -> bool:
        """Whether what comes next came in a test that the connection has lived to see.

        A QUIT does not count. A test is over when its mail is there, before a client in another
        thread has said it, and the next test would count one session more, or not, as chance will
        have it.
        """
        session, (epoch, new) = self.session, self._came
        if epoch != self.state.epoch:
            return False
        old = session.backlog - new  # octets of an earlier test
        if session.content_octets is not None and old < 0:  # the message has had some of this one
            return True
        line_is_old = not session.backlog or (old > 0 and session.input.has_line(old))
        return not line_is_old and not _is_quit(session.input.peek(6))

    def _renew_record(self) -> None:
        """A connection that outlives its test is another session for the next one."""
        self.record, self._epoch = self.state.renew_record(self.record)
        self.session.journal, self.session.tag = self.record, self._epoch

    def eof_received(self) -> bool:
        self._service.activity += 1
        self.eof = True
        if self._closing or self.stalled:
            return False
        self._pump()
        # A client that only closed its sending side still gets its replies. TLS has no such half:
        # but what is being worked on is sent, and then it is closed
        waits = self._task is not None or self._scheduled or self.write_paused
        return self.record.tls is None or waits

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self._pump()

    def connection_lost(self) -> None:
        self._service.activity += 1
        self._service.connections.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._closing = True
        self.session.client_closed()
        self.record.ends("client")
        self.record.closed()

    # ---- the way of an event

    def _pump(self) -> None:
        try:
            self._work()
        except BaseException as error:  # ours, or out of a fault's `match`
            self.state.errors.append(error)
            self.record.ends("server")
            self._end(replies.INTERNAL_ERROR)

    def _work(self) -> None:
        """Works through what the client has sent, as far as it goes without waiting."""
        session, state = self.session, self.state
        self._service.activity += 1
        session.lines_left = BATCH
        while not (self._task or self.write_paused or self._closing or self._scheduled):
            if self._epoch != state.epoch:
                if self._goes_on():
                    self._renew_record()
                else:  # line by line: the next one may be of this test
                    session.lines_left = min(session.lines_left, 1)
            session.profile = state.profile
            event = session.next_event()
            if self._faults and self._drop_inside_message(event):
                return
            if event is None:
                if not session.lines_left:  # there may be more
                    self._scheduled = True
                    self.loop.call_soon(self._resume)
                break
            if self._faults or event.stage in state.judge.stages_with_callbacks:
                self._flush()
                self._start(Deliberation(self, event).run)
            elif (refusal := state.judge.refusal(event)) is not None:
                session.refuse(refusal)
            elif isinstance(event, MessageReceived):
                self.accept_message(event, self.build(event))
            else:
                session.accept()
        self._flush()
        if session.tls_due and not (self._task or self.write_paused or self._closing):
            self._shake_hands()
        if self.write_paused or self._read_paused or session.backlog > MAX_BACKLOG:
            self._mind_reading()
        if session.closing or self.eof:
            self._mind_end()

    def _resume(self) -> None:
        self._scheduled = False
        self._pump()

    def build(self, event: MessageReceived, recipients: Sequence[int] | None = None) -> Message:
        self.note()  # what was sent along with it may be news
        return self.state.message(
            event.raw, event.transaction, recipients, self.record, esmtp=self.session.esmtp
        )

    def accept_message(
        self, event: MessageReceived, message: Message, answers: Sequence[Reply | None] = (None,)
    ) -> None:
        """Stores it, then answers: the usual reply where `answers` has none of its own."""
        self.state.store(message, event.transaction, self.record)
        queued = replies.Queued(message.id)
        if self.state.profile.lmtp and len(answers) == 1:
            answers = list(answers) * len(event.transaction.rcpt_to)
        if len(answers) == 1:
            self.session.accept(answers[0] or queued)
        else:
            self.session.accept([answer or queued for answer in answers])

    def note(self) -> None:
        """Puts into the record what the client may now be told."""
        session, record = self.session, self.record
        record.helo, record.user = session.hello, session.user
        if session.closing:
            record.ends("quit" if session.quit else "server")

    def _flush(self) -> None:
        data = self.session.bytes_to_send()
        self.note()
        if data:
            self.write(data)

    def write(self, data: bytes) -> bool:
        """Sends octets; whether the client is still there to take them."""
        return self.transport is not None and self.transport.write(data)

    def _mind_end(self) -> None:
        """Closes when all has been said."""
        if self._closing or self._task is not None or self._scheduled:
            return
        if self.session.closing:
            polite = self.session.quit and not self.session.backlog
            self.close(linger=0.0 if polite else LINGER)
        elif self.eof and not self.write_paused and not self.session.tls_due:
            self.session.client_closed()
            self.record.ends("client")
            self.close()

    # ---- events that have to wait

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        self._task = self.loop.create_task(self._guard(work))

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # ours, or out of a pattern of the test's
            self.state.errors.append(error)
            self.session.close(self._named(replies.INTERNAL_ERROR))
        self._task = None
        self._heard = monotonic()  # the client was waiting for us
        self._pump()

    def drop(self, *, reset: bool) -> None:
        self.record.ends("fault")
        self.session.closing = self._closing = True
        transport = self.transport
        if transport is None:
            return
        if reset:
            transport.abort(reset=True)
        else:
            transport.close()

    def _drop_inside_message(self, event: Event | None) -> bool:
        """Carries out `Drop(after=...)` once so much of a message's content is there."""
        if isinstance(event, MessageReceived):
            octets: int | None = len(event.raw)
        else:
            octets = self.session.content_octets
        transaction = self.session.transaction
        if octets is None or transaction is None:
            self._content_seen = -1
            return False
        before, self._content_seen = self._content_seen, octets
        drop = self.state.faults.inside_message(octets, before, transaction.rcpt_to, self.key)
        if drop is not None:
            self._flush()  # what came before has its replies
            self.drop(reset=drop.reset)
        return drop is not None

    def _throttle(self) -> float | None:
        return self.state.faults.throttle(self.record.peer[0], self.key)

    def _read_on(self) -> None:
        self._throttled = False
        self._mind_reading()

    # ---- TLS

    def _shake_hands(self) -> None:
        transport = self.transport
        if transport is not None and not self._handshaking and not transport.is_closing():
            self._handshaking, self._read_paused = True, False
            context = self._service.ssl_context
            assert context is not None
            transport.start_tls(context, self.state.timeout, self._hands_shaken)

    def _hands_shaken(self, error: OSError | None) -> None:
        self._handshaking = False
        if error is not None:
            self.session.closing = self._closing = True
            note_failed_handshake(self.record, error)
            self.abort()
            return
        self._note_tls()
        self.session.tls_established()
        self._heard = monotonic()
        self._pump()

    def _note_tls(self) -> None:
        assert self.transport is not None
        tls = self.transport.tls
        if tls is not None:
            cipher = tls.cipher()
            self.record.tls = TLSInfo(tls.version() or "", cipher[0] if cipher else "")

    # ---- silence, back-pressure, ends

    def mind_silence(self, limit: float) -> float:
        """Ends a session that has been silent for `limit` seconds; how many it has left."""
        # of a handshake the transport minds the time
        waiting_for_us = self._task is not None or self._scheduled or self._handshaking
        left = limit if waiting_for_us else self._heard + limit - monotonic()
        if left > 0.001:
            return left
        self.record.ends("timeout")
        self._end(replies.TIMED_OUT)
        return limit

    @property
    def asks_the_test(self) -> bool:
        """Whether a command waits for code of the test's."""
        return self._task is not None and self.asking

    @property
    def in_conversation(self) -> bool:
        """Whether the client has just got on, and it is not we who let it wait."""
        return self._task is None and monotonic() - self._heard < JUST_NOW

    def shut_down(self) -> None:
        """The server stops: what is due goes out, then 421, then the connection is closed."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.unsent and self.transport is not None:
            self.transport.write(self.unsent)
        self.record.ends("server")
        if self._handshaking:  # in the middle of a handshake nothing can be said
            self.session.closing = self._closing = True
            self.abort()
            return
        busy = self.session.content_octets is not None or self.session.backlog > 0
        self._end(replies.SHUTTING_DOWN, linger=SHORT_LINGER if busy else 0.0)

    def end_if_held(self) -> None:
        """The test is over: ends the session if a fault keeps it waiting."""
        if self._task is not None and self.held:
            self.shut_down()

    def abort(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            self.transport.abort()

    def _end(self, reply: Reply, linger: float = LINGER) -> None:
        self.session.close(self._named(reply))
        self._flush()
        self.close(linger=linger)

    def _named(self, reply: Reply) -> Reply:
        return fill(reply, hostname=self.state.options.greeting_hostname)

    def close(self, *, linger: float = 0.0) -> None:
        """Closes when all is sent; reads on for `linger` seconds, if the client has not ended."""
        transport = self.transport
        if transport is None or self._closing:
            return
        self._closing = True
        if linger and not self.eof and transport.can_write_eof():
            # closing with octets unread would reset the connection, and the client lose the reply
            transport.write_eof()
            self.loop.call_later(linger, transport.abort)
        else:
            unsent = transport.unsent
            transport.close()
            if unsent:  # to a client that may not read at all
                self.loop.call_later(LINGER, transport.abort)

    def _mind_reading(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing() or self._handshaking:
            return
        pause = self._throttled or self.write_paused or self.session.backlog > MAX_BACKLOG
        if pause != self._read_paused:
            self._read_paused = pause
            if pause:
                transport.pause_reading()
            else:
                transport.resume_reading()


def _is_quit(octets: bytes) -> bool:
    return octets.upper() == b"QUIT\r\n"


def note_failed_handshake(record: SessionJournal, error: OSError) -> None:
    """What the transcript says of it; that a client refuses a bad certificate is no violation."""
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    trust = _ASK_FOR_TRUST if reason.endswith(_DISTRUST) else ""
    record.client(f"(TLS handshake failed: {reason}{trust})".encode())
    if reason in _PLAIN_TEXT:
        record.violation("plain-on-tls-port")
        record.ends("server")
    # everything else is the client's doing
    record.ends("timeout" if isinstance(error, TimeoutError) else "client")


# The ends of how OpenSSL names the alerts of a client that refuses the certificate (RFC 8446 6.2);
# what comes before them differs between its versions
_DISTRUST = ("_ALERT_UNKNOWN_CA", "_ALERT_BAD_CERTIFICATE", "_ALERT_CERTIFICATE_UNKNOWN")
_ASK_FOR_TRUST = "; does the client trust smtpd.ca_file? smtpd.client_ssl_context() does"

# How OpenSSL says that what came is no TLS
_PLAIN_TEXT = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})
