"""One client connection: octets between a transport and a `Session`, verdicts from the policy.

Without faults and callbacks each event is decided on the spot; where one has to wait, a task
carries the event out, and the session stands still until it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from ..faults import Answer, Delay, Drop, Fault, Hold, Raw, Split, Stall
from ..policy.callbacks import interpret
from ..record import SessionRecord, TLSInfo
from ..smtp import replies
from ..smtp.events import Connected, Event, Hello, Mail, MessageReceived, Rcpt
from ..smtp.replies import Reply, fill
from ..smtp.session import Session

if TYPE_CHECKING:
    import ssl

    from ..mail.message import Message
    from .service import Service

MAX_BACKLOG = 262_144  # octets of commands that may wait for a verdict before reading stops
BATCH = 25  # commands of one session worked through before the others get their turn
LINGER = 1.0  # seconds for a client to take the last reply
JUST_NOW = 0.05  # seconds in which a client in conversation says the next thing
SHORT_LINGER = 0.1  # the same when the server stops
THROTTLE_STEP = 0.05  # seconds' worth of octets read at once from a throttled client
SHUTDOWN_TIMEOUT = 0.1  # seconds for the client's close_notify: nobody waits for good manners
SPLIT_PAUSE = 0.001  # seconds between the pieces of a split reply: else they may arrive as one

# SO_LINGER with zero seconds: closing resets the connection
_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Connection(asyncio.BufferedProtocol):
    """A protocol for asyncio; it lives in the loop of one `Service`."""

    def __init__(self, service: Service, record: SessionRecord) -> None:
        self.record = record
        self._service = service
        self._state = service.state
        self._key = object()  # for faults that count by session; an id may be that of a dead one
        self._faults = service.state.faults.live
        self._loop = service.loop
        self._session = Session(service.state.profile, record)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._timeout = 0.0  # what the timer was set for
        self._heard = self._loop.time()  # when the client last got on
        self._progress = 0
        self._encrypted: list[bytes] | None = None  # came while the handshake was completed
        self._write_paused = False
        self._read_paused = False
        self._scheduled = False
        self._throttled = False
        self._stalled = False
        self._held = False  # a fault waits, and for nothing that comes by itself
        self._epoch = service.state.epoch
        self._eof = False
        self._closing = False
        self._lost = False
        self._content_seen = -1
        self._split: int | None = None
        self._unsent = b""  # of a split reply

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._service.connections.add(self)
        self._note_tls()
        if self.record.tls is not None:
            self._session.tls_established()
        self._session.connect(self.record.peer[0])
        self._watch_silence()
        self._pump()

    def get_buffer(self, sizehint: int) -> memoryview:
        # one buffer for all connections: what is read is taken out before anything else is
        buffer = self._service.buffer
        if self._faults and (rate := self._throttle()) is not None:
            return buffer[: max(1, int(rate * THROTTLE_STEP))]
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._service.buffer[:nbytes])
        self._service.activity += 1
        if self._faults and (rate := self._throttle()) is not None:
            self._throttled = True
            self._loop.call_later(nbytes / rate, self._read_on)
            self._mind_reading()
        if self._encrypted is not None:
            self._encrypted.append(data)
            return
        if self._closing:
            return
        if self._epoch != self._state.epoch:
            self._renew_record()
        self._session.receive(data)
        self._pump()
        if self._session.progress != self._progress:
            self._progress = self._session.progress
            self._heard = self._loop.time()
        if self._state.options.timeout != self._timeout:
            self._watch_silence()

    def _renew_record(self) -> None:
        """A connection that outlives its test is another session for the next one."""
        self._epoch = self._state.epoch
        self.record = self.record.continued()
        self._session.journal = self.record
        self._state.sessions.append(self.record)

    def eof_received(self) -> bool:
        self._service.activity += 1
        self._eof = True
        if self._closing or self._stalled:
            return False
        self._pump()
        # a client that only closed its sending side still gets its replies; TLS has no such half
        return self.record.tls is None

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._service.activity += 1
        self._service.connections.discard(self)
        if self._silence is not None:
            self._silence.cancel()
        if self._task is not None:
            self._task.cancel()
        self._closing = True
        self._session.client_closed()
        self.record.ends("client")
        self.record.closed()

    # ---- the way of an event

    def _pump(self) -> None:
        """Works through what the client has sent, as far as it goes without waiting."""
        session, state = self._session, self._state
        self._service.activity += 1
        session.lines_left = BATCH
        while not (self._task or self._write_paused or self._closing or self._scheduled):
            session.profile = state.profile
            event = session.next_event()
            if self._faults and self._drop_inside_message(event):
                return
            if event is None:
                if not session.lines_left:  # there may be more
                    self._scheduled = True
                    self._loop.call_soon(self._resume)
                break
            if self._faults or event.stage in state.judge.stages_with_callbacks:
                self._flush()
                self._start(partial(self._carry_out, event))
            else:
                self._decide(event, state.judge.refusal(event))
        self._flush()
        if session.tls_due and self._task is None and not self._closing:
            self._begin_handshake()
        self._mind_reading()
        self._mind_end()

    def _resume(self) -> None:
        self._scheduled = False
        self._pump()

    def _decide(self, event: Event, refusal: Reply | None) -> None:
        if refusal is not None:
            self._session.refuse(refusal)
        elif isinstance(event, MessageReceived):
            self._accept_message(event, self._build(event))
        else:
            self._accept(event)

    def _accept(self, event: Event, reply: Reply | None = None) -> None:
        if isinstance(event, Mail):
            event.transaction.tag = self._state.epoch
        self._session.accept(reply)

    def _build(self, event: MessageReceived, recipients: Sequence[int] | None = None) -> Message:
        if recipients is None:
            recipients = range(len(event.transaction.rcpt_to))
        return self._state.message(event.raw, event.transaction, recipients, self.record)

    def _accept_message(
        self, event: MessageReceived, message: Message, answers: Sequence[Reply | None] = (None,)
    ) -> None:
        """Stores it, then answers: the usual reply where `answers` has none of its own."""
        self._state.store(message, event.transaction, self.record)
        queued = fill(replies.QUEUED, id=message.id)
        if self._state.profile.lmtp and len(answers) == 1:
            answers = list(answers) * len(event.transaction.rcpt_to)
        self._session.accept([queued if answer is None else answer for answer in answers])

    def _flush(self) -> None:
        data = self._session.bytes_to_send()
        session, record, transport = self._session, self.record, self._transport
        record.helo, record.user = session.hello, session.user
        if session.closing:
            record.ends("quit" if session.quit else "server")
        if data and transport is not None and not transport.is_closing():
            transport.write(data)

    def _mind_end(self) -> None:
        """Closes when all has been said."""
        if self._closing or self._task is not None or self._scheduled:
            return
        if self._session.closing:
            polite = self._session.quit and not self._session.backlog
            self._close(linger=0.0 if polite else LINGER)
        elif self._eof and not self._write_paused and not self._session.tls_due:
            self._session.client_closed()
            self.record.ends("client")
            self._close()

    # ---- events that have to wait

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        self._task = self._loop.create_task(self._guard(work))

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # ours, or out of a pattern of the test's
            self._state.errors.append(error)
            self._session.close(self._named(replies.INTERNAL_ERROR))
        self._task = None
        self._heard = self._loop.time()  # the client was waiting for us
        self._pump()

    async def _carry_out(self, event: Event) -> None:
        if self._state.profile.lmtp and isinstance(event, MessageReceived):
            await self._carry_out_lmtp(event)
        else:
            done, answer = await self._ask_faults(event.stage, _subjects(event))
            if done:
                return
            if answer is not None and not answer.positive:
                self._refuse(answer)
            elif isinstance(event, MessageReceived):
                await self._deliver(event, range(len(event.transaction.rcpt_to)), [answer])
            else:
                refusal = None if answer is not None else await self._refusal(event)
                if refusal is not None:
                    self._session.refuse(refusal)
                else:
                    self._accept(event, answer)
        await self._send_split()

    async def _carry_out_lmtp(self, event: MessageReceived) -> None:
        """RFC 2033 section 4.2: a reply for each recipient; stored for those that got 250."""
        answers: list[Reply | None] = []
        for recipient in event.transaction.rcpt_to:
            done, answer = await self._ask_faults(event.stage, [recipient])
            if done:
                return
            answers.append(answer)
        kept = [n for n, answer in enumerate(answers) if answer is None or answer.positive]
        if kept:
            await self._deliver(event, kept, answers)
        else:
            self._refuse([answer for answer in answers if answer is not None])

    async def _ask_faults(self, stage: str, subjects: Sequence[str]) -> tuple[bool, Reply | None]:
        """Carries out the faults of a stage: whether that was all, and what to answer instead."""
        self._split = None
        for fault in self._state.faults.acting(stage, subjects, self._key):
            match fault:
                case Delay(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Hold():
                    await self._hold(fault)
                case Split(octets=octets):
                    self._split = octets
                case Answer(reply=reply):
                    return False, Reply.of(reply)
                case _:
                    await self._misbehave(fault)
                    return True, None
        return False, None

    def _refuse(self, reply: Reply | Sequence[Reply]) -> None:
        """Refuses because a fault says so."""
        if 421 in [each.code for each in ([reply] if isinstance(reply, Reply) else reply)]:
            self.record.ends("fault")
        self._session.refuse(reply)

    async def _refusal(self, event: Event) -> Reply | None:
        judge = self._state.judge
        if event.stage not in judge.stages_with_callbacks:
            return judge.refusal(event)
        found: list[Reply | None] = []
        # patterns may be callables of the test's: these too run elsewhere
        error = await self._elsewhere(lambda: found.append(judge.refusal(event)))
        if error is None and found == [None]:
            callback = judge.callback(event)
            error = None if callback is None else await self._elsewhere(callback)
        if error is not None:
            return self._interpret(error, event)
        return found[0]

    def _interpret(self, error: BaseException, event: Event) -> Reply:
        raised = interpret(error, event.stage, (*_subjects(event), "")[0])
        if raised.warning is not None or raised.outcome is not None:
            self._state.raised.append(raised)
        return raised.reply

    async def _elsewhere(self, call: Callable[[], object]) -> BaseException | None:
        """Runs code of the test's in its own thread; what it raised, if anything."""
        result: asyncio.Future[BaseException | None] = self._loop.create_future()

        def settle(error: BaseException | None) -> None:
            if not result.done():
                result.set_result(error)

        def done(error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the server is gone, nobody waits any more
                self._loop.call_soon_threadsafe(settle, error)

        self._state.callbacks.run(call, done)
        return await result

    async def _deliver(
        self, event: MessageReceived, recipients: Sequence[int], answers: Sequence[Reply | None]
    ) -> None:
        message = self._build(event, recipients)
        delivery = self._state.judge.delivery(message)
        error = None if delivery is None else await self._elsewhere(delivery)
        if error is None:
            self._accept_message(event, message, answers)
            return
        refusal = self._interpret(error, event)
        if self._state.profile.lmtp:
            kept = set(recipients)
            self._session.refuse(
                [refusal if n in kept else (answer or refusal) for n, answer in enumerate(answers)]
            )
        else:
            self._session.refuse(refusal)

    # ---- faults

    async def _misbehave(self, fault: Fault) -> None:
        """What a fault does instead of answering."""
        match fault:
            case Drop(reset=reset):
                self._drop(reset=reset)
            case Stall():
                self._stalled = self._held = True
                if self._eof:
                    self._close()
                await self._loop.create_future()
            case Raw(data=data):
                self._session.ignore()
                pieces = [bytes(data)] if isinstance(data, bytes | bytearray) else data
                for piece in pieces:
                    self.record.server(piece)
                    octets = self._split or max(1, len(piece))
                    for start in range(0, len(piece), octets):
                        while self._write_paused:
                            await asyncio.sleep(0.001)
                        if self._transport is None or self._transport.is_closing():
                            return
                        self._transport.write(piece[start : start + octets])
                        await asyncio.sleep(SPLIT_PAUSE if self._split else 0)

    async def _hold(self, hold: Hold) -> None:
        released: asyncio.Future[None] = self._loop.create_future()

        def settle() -> None:
            if not released.done():
                released.set_result(None)

        def go_on() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(settle)

        leave = hold.reach(go_on)
        self._held = True
        try:
            await released
        finally:
            self._held = False
            leave()

    async def _send_split(self) -> None:
        octets, self._split = self._split, None
        if octets is None:
            return
        self._unsent = self._session.bytes_to_send()
        while self._transport is not None and not self._transport.is_closing():
            piece, self._unsent = self._unsent[:octets], self._unsent[octets:]
            self._transport.write(piece)
            if not self._unsent:  # the client may go on at once, with a handshake, say
                return
            await asyncio.sleep(SPLIT_PAUSE)

    def _drop(self, *, reset: bool) -> None:
        self.record.ends("fault")
        self._session.closing = self._closing = True
        transport = self._transport
        if transport is None:
            return
        if reset:
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET
            )
            transport.abort()
        else:
            transport.close()

    def _drop_inside_message(self, event: Event | None) -> bool:
        """Carries out `Drop(after=...)` once so much of a message's content is there."""
        if isinstance(event, MessageReceived):
            octets: int | None = len(event.raw)
        else:
            octets = self._session.content_octets
        transaction = self._session.transaction
        if octets is None or transaction is None:
            self._content_seen = -1
            return False
        before, self._content_seen = self._content_seen, octets
        drop = self._state.faults.inside_message(octets, before, transaction.rcpt_to, self._key)
        if drop is not None:
            self._flush()  # what came before has its replies
            self._drop(reset=drop.reset)
        return drop is not None

    def _throttle(self) -> float | None:
        return self._state.faults.throttle(self.record.peer[0], self._key)

    def _read_on(self) -> None:
        self._throttled = False
        self._mind_reading()

    # ---- TLS

    def _begin_handshake(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()  # what comes now is for the TLS layer
        self._encrypted = []
        self._start(partial(self._handshake, self._transport))

    async def _handshake(self, transport: asyncio.Transport) -> None:
        context = self._service.ssl_context
        assert context is not None
        try:
            self._transport = await self._loop.start_tls(
                transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._state.options.timeout,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
        except OSError as error:
            self._session.closing = self._closing = True
            note_failed_handshake(self.record, error)
            self.connection_lost(None)  # asyncio tells nobody whose handshake failed
            return
        except asyncio.CancelledError:
            self.connection_lost(None)
            raise
        self._note_tls()
        self._session.tls_established()
        early, self._encrypted = self._encrypted, None
        self._session.receive(b"".join(early or ()))

    def _note_tls(self) -> None:
        assert self._transport is not None
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        if tls is not None:
            cipher = tls.cipher()
            self.record.tls = TLSInfo(tls.version() or "", cipher[0] if cipher else "")

    # ---- silence, back-pressure, ends

    def _watch_silence(self, seconds: float | None = None) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._timeout = self._state.options.timeout
        self._silence = self._loop.call_later(
            self._timeout if seconds is None else seconds, self._on_silence
        )

    def _on_silence(self) -> None:
        waiting_for_us = self._task is not None or self._scheduled
        silent = 0.0 if waiting_for_us else self._loop.time() - self._heard
        if silent < self._timeout - 0.001:
            self._watch_silence(self._timeout - silent)
            return
        self.record.ends("timeout")
        self._end(replies.TIMED_OUT)

    @property
    def in_conversation(self) -> bool:
        """Whether the client has just got on, and it is not we who let it wait."""
        return self._task is None and self._loop.time() - self._heard < JUST_NOW

    def shut_down(self) -> None:
        """The server stops: what is due goes out, then 421, then the connection is closed."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._unsent and self._transport is not None:
            self._transport.write(self._unsent)
        self.record.ends("server")
        if self._encrypted is not None:  # in the middle of a handshake nothing can be said
            self._session.closing = self._closing = True
            self.abort()
            return
        busy = self._session.content_octets is not None or self._session.backlog > 0
        self._end(replies.SHUTTING_DOWN, linger=SHORT_LINGER if busy else 0.0)

    def end_if_held(self) -> None:
        """The test is over: ends the session if a fault keeps it waiting."""
        if self._task is not None and self._held:
            self.shut_down()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reply: Reply, linger: float = LINGER) -> None:
        self._session.close(self._named(reply))
        self._flush()
        self._close(linger=linger)

    def _named(self, reply: Reply) -> Reply:
        return fill(reply, hostname=self._state.options.greeting_hostname)

    def _close(self, *, linger: float = 0.0) -> None:
        """Closes when all is sent; reads on for `linger` seconds, if the client has not ended."""
        transport = self._transport
        if transport is None or self._closing:
            return
        self._closing = True
        if linger and not self._eof and transport.can_write_eof():
            # closing with octets unread would reset the connection, and the client lose the reply
            transport.write_eof()
            self._loop.call_later(linger, transport.abort)
        else:
            unsent = transport.get_write_buffer_size()
            transport.close()
            if unsent:  # to a client that may not read at all
                self._loop.call_later(LINGER, transport.abort)

    def _mind_reading(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._encrypted is not None:
            return
        pause = self._throttled or self._write_paused or self._session.backlog > MAX_BACKLOG
        if pause != self._read_paused:
            self._read_paused = pause
            if pause:
                transport.pause_reading()
            else:
                transport.resume_reading()


def note_failed_handshake(record: SessionRecord, error: OSError) -> None:
    """What the transcript says of it; that a client refuses a bad certificate is no violation."""
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    record.client(f"(TLS handshake failed: {reason})".encode())
    if reason in _PLAIN_TEXT:
        record.violation("plain-on-tls-port")
    # asyncio's word for its time-out; everything else is the client's doing
    record.ends("timeout" if isinstance(error, ConnectionAbortedError) else "client")


# How OpenSSL says that what came is no TLS
_PLAIN_TEXT = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})


def _subjects(event: Event) -> Sequence[str]:
    """What `match=` of a fault is held against."""
    match event:
        case (
            Connected(subject) | Hello(name=subject) | Mail(address=subject) | Rcpt(address=subject)
        ):
            return (subject,)
        case MessageReceived(transaction=transaction):
            return transaction.rcpt_to
    return ()
