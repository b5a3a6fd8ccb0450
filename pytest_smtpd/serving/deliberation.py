"""One event that has to wait: its faults carried out, the test's callbacks asked, then the answer.

The session stands still meanwhile; the connection goes on listening, so that a client that gives
up is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..faults import Answer, Delay, Drop, Fault, Hold, Raw, Split, Stall
from ..policy.callbacks import interpret
from ..smtp.events import Connected, Event, Hello, Mail, MessageReceived, Rcpt
from ..smtp.replies import Reply

if TYPE_CHECKING:
    from .connection import Connection

SPLIT_PAUSE = 0.001  # seconds between the pieces of a split reply: else they may arrive as one


class Deliberation:
    """What becomes of one event; `run` is the work of a task."""

    def __init__(self, connection: Connection, event: Event) -> None:
        self._connection = connection
        self._event = event
        self._session = connection.session
        self._state = connection.state
        self._loop = connection.loop
        self._epoch = connection.state.epoch
        self._split: int | None = None

    async def run(self) -> None:
        """Ends when the answer is sent, or when it is sure that there will be none."""
        event = self._event
        if self._state.profile.lmtp and isinstance(event, MessageReceived):
            await self._carry_out_lmtp(event)
        else:
            done, answer = await self._ask_faults(event.stage, _subjects(event))
            if done:
                return
            if answer is not None and not _lets_pass(answer, event):
                self._note_end([answer])
                self._session.refuse(answer)
            elif isinstance(event, MessageReceived):
                await self._deliver(event, range(len(event.transaction.rcpt_to)), [answer])
            else:
                refusal = None if answer is not None else await self._refusal(event)
                if refusal is not None:
                    self._session.refuse(refusal)
                else:
                    self._session.accept(answer)
        await self._send_split()

    async def _carry_out_lmtp(self, event: MessageReceived) -> None:
        """RFC 2033 section 4.2: a reply for each recipient; stored for those that got 250."""
        answers: list[Reply | None] = []
        for recipient in event.transaction.rcpt_to:
            done, answer = await self._ask_faults(event.stage, [recipient])
            if done:
                return
            answers.append(answer)
        kept = [n for n, one in enumerate(answers) if one is None or _lets_pass(one, event)]
        self._note_end(answers)
        if kept:
            await self._deliver(event, kept, answers)
        else:
            self._session.refuse([answer for answer in answers if answer is not None])

    async def _ask_faults(self, stage: str, subjects: Sequence[str]) -> tuple[bool, Reply | None]:
        """Carries out the faults of a stage: whether that was all, and what to answer instead."""
        acting = await self._acting(stage, subjects)
        self._connection.asking = False
        for fault in acting:
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

    async def _acting(self, stage: str, subjects: Sequence[str]) -> Sequence[Fault]:
        faults, key = self._state.faults, self._connection.key
        if not faults.asks_the_test(stage):
            return faults.acting(stage, subjects, key)
        found: list[Fault] = []
        self._connection.asking = True
        await self._must(lambda: found.extend(faults.acting(stage, subjects, key)))
        return found

    async def _must(self, call: Callable[[], object]) -> None:
        """Runs code of the test's in its own thread; what it raises is shown as it is."""
        error = await self._elsewhere(call, self._state.errors.append)
        if isinstance(error, asyncio.CancelledError | StopIteration):  # which mean something here
            raise RuntimeError(f"{type(error).__name__} out of code of the test's") from error
        if error is not None:
            raise error

    def _note_end(self, answers: Sequence[Reply | None]) -> None:
        if any(answer is not None and answer.code == 421 for answer in answers):
            self._connection.record.ends("fault")

    async def _refusal(self, event: Event) -> Reply | None:
        judge = self._state.judge
        if event.stage not in judge.stages_with_callbacks:
            return judge.refusal(event)
        self._connection.asking = True
        found: list[Reply | None] = []
        # patterns may be callables of the test's: these too run elsewhere
        error = await self._ask(lambda: found.append(judge.refusal(event)), event)
        if error is None and found == [None]:
            callback = judge.callback(event)
            error = None if callback is None else await self._ask(callback, event)
        if error is not None:
            return self._interpret(error, event)
        return found[0]

    def _interpret(self, error: BaseException, event: Event) -> Reply:
        subject, *_ = (*_subjects(event), "")
        callback = self._state.judge.callback_names[event.stage]
        late = self._epoch != self._state.epoch
        raised = interpret(error, event.stage, subject, callback, late=late)
        if raised.warning is not None or raised.outcome is not None:
            self._state.raised.append(raised)
        return raised.reply

    async def _ask(self, call: Callable[[], object], event: Event) -> BaseException | None:
        return await self._elsewhere(call, lambda error: self._interpret(error, event))

    async def _elsewhere(
        self, call: Callable[[], object], tell: Callable[[BaseException], object]
    ) -> BaseException | None:
        """Runs code of the test's in its own thread; what it raised, if anything.

        Where the session is gone by then, and nobody is to be answered, the test is still told.
        """
        result: asyncio.Future[BaseException | None] = self._loop.create_future()

        def settle(error: BaseException | None) -> None:
            if result.done():
                too_late(error)
            else:
                result.set_result(error)

        def done(error: BaseException | None) -> None:
            try:
                self._loop.call_soon_threadsafe(settle, error)
            except RuntimeError:  # the loop is closed
                too_late(error)

        def too_late(error: BaseException | None) -> None:
            if error is not None and not isinstance(error, asyncio.CancelledError):
                tell(error)

        self._connection.callbacks.run(call, done)
        try:
            return await result
        except asyncio.CancelledError:
            if result.done() and not result.cancelled():  # the session ended in that very turn
                too_late(result.result())
            raise

    async def _deliver(
        self, event: MessageReceived, recipients: Sequence[int], answers: Sequence[Reply | None]
    ) -> None:
        message = self._connection.build(event, recipients)
        delivery = self._state.judge.delivery(message)
        self._connection.asking = delivery is not None
        error = None if delivery is None else await self._ask(delivery, event)
        if error is None:
            self._connection.accept_message(event, message, answers)
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
        connection = self._connection
        match fault:
            case Drop(reset=reset):
                connection.drop(reset=reset)
            case Stall():
                connection.stalled = connection.held = True
                if connection.eof:
                    connection.close()
                await self._loop.create_future()
            case Raw(data=data):
                self._session.ignore()
                if isinstance(data, bytes | bytearray):
                    await self._send_raw(bytes(data))
                else:
                    await self._send_all(data)
            case _:
                raise TypeError(f"{fault!r} is no fault that anybody knows how to carry out")

    async def _send_raw(self, piece: bytes) -> bool:
        self._connection.record.server(piece)
        return await self._send_pieces(piece, self._split)

    async def _send_all(self, pieces: Iterable[bytes]) -> None:
        """They may be endless, and made by code of the test's."""
        rest: Iterator[bytes] | None = None
        piece: bytes | None = None

        def take() -> None:
            nonlocal rest, piece
            rest = iter(pieces) if rest is None else rest
            piece = next(rest, None)

        while True:
            await self._must(take)
            if piece is None or not await self._send_raw(piece):
                return

    async def _hold(self, hold: Hold) -> None:
        released: asyncio.Future[None] = self._loop.create_future()

        def settle() -> None:
            if not released.done():
                released.set_result(None)

        def go_on() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(settle)

        leave = hold.reach(go_on)
        self._connection.held = True
        try:
            await released
        finally:
            self._connection.held = False
            leave()

    async def _send_split(self) -> None:
        if self._split is not None:
            self._connection.note()
            await self._send_pieces(self._session.bytes_to_send(), self._split)

    async def _send_pieces(self, data: bytes, octets: int | None) -> bool:
        """Sends in pieces of so many octets, or at once; whether the client still takes them."""
        connection = self._connection
        connection.unsent, connection.asking = data, False
        while connection.unsent:
            while connection.write_paused:
                await asyncio.sleep(SPLIT_PAUSE)
            piece = connection.unsent[: octets or len(data)]
            connection.unsent = connection.unsent[len(piece) :]
            if not connection.write(piece):
                return False
            # Not behind the last piece: the client may go on at once, with a handshake, say
            if connection.unsent:
                await asyncio.sleep(SPLIT_PAUSE)
        return True


def _lets_pass(answer: Reply, event: Event) -> bool:
    """Whether a command takes effect that a fault answers; a message only with 250."""
    return answer.code == 250 if isinstance(event, MessageReceived) else answer.positive


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
