"""Decides about an event: faults first, then rules, then callbacks.

`decide` is a generator. It yields its waits and returns a verdict. The owner of the session carries
out the waits, in the thread of a server or in a test without threads and sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..faults import Answer, Delay, Drop, Fault, Hold, Raw, Split, Stall
from ..smtp.events import Event, MessageReceived
from ..smtp.replies import Queued, Reply
from .raised import interpret, is_cancellation
from .verdicts import (
    Accept,
    Call,
    Close,
    Refuse,
    Say,
    Send,
    Silence,
    Sleep,
    Until,
    Verdict,
    Waits,
)

if TYPE_CHECKING:
    from ..message.message import Message
    from ..smtp.profile import Profile
    from ..smtp.session import Session
    from .fault_list import FaultList
    from .judge import Judge
    from .raised import Raised


class Wishes(Protocol):
    """The options and faults of a test, and the list of its callback errors."""

    profile: Profile
    judge: Judge
    faults: FaultList
    epoch: int  # the number of the test
    raised: list[Raised]
    errors: list[BaseException]


Build = Callable[[MessageReceived, Sequence[int]], "Message"]


def decide(event: Event, wishes: Wishes, session: object, build: Build) -> Waits[Verdict]:
    """Decides about an event.

    `session` is the key for faults that count by session. `build` makes the message for the
    recipients of these numbers.
    """
    if isinstance(event, MessageReceived):
        return (yield from _decide_message(event, wishes, session, build))
    acted = yield from _ask_faults(event.stage, event.subjects, wishes, session)
    if acted.instead is not None:
        return acted.instead
    answer = acted.answer
    if answer is not None:
        kind = Accept if answer.positive else Refuse
        return kind(answer, split=acted.split, ended=_ends([answer]))
    refusal = yield from _ask_rules(event, wishes)
    if refusal is not None:
        return Refuse(refusal, split=acted.split)
    return Accept(split=acted.split)


def carry_out(
    verdict: Verdict, session: Session, wishes: Wishes, store: Callable[[Message], object]
) -> Waits[None]:
    """Carries out a verdict on its session, and sends raw octets and split replies.

    `Close` and `Silence` are left to the owner of the connection.
    """
    match verdict:
        case Accept(reply=reply, message=message):
            if message is not None:
                store(message)
            session.accept(reply)
        case Refuse(reply=reply):
            session.refuse(reply)
        case Say(octets=octets):
            session.ignore()
            yield from _say(octets, verdict.split, session, wishes)
            return
        case _:
            return
    if verdict.split is not None:
        yield Send(session.bytes_to_send(), verdict.split)


# ---- messages


def _decide_message(
    event: MessageReceived, wishes: Wishes, session: object, build: Build
) -> Waits[Verdict]:
    """Asks faults once for a message, or in LMTP once for each recipient.

    The message is stored for those recipients that get 250. LMTP wants a reply for each recipient
    of the transaction (RFC 2033 section 4.2).
    """
    recipients, lmtp = event.transaction.rcpt_to, wishes.profile.lmtp
    answers: list[Reply | None] = []
    split: int | None = None
    for asked in [[recipient] for recipient in recipients] if lmtp else [recipients]:
        acted = yield from _ask_faults(event.stage, asked, wishes, session, split)
        if acted.instead is not None:
            return acted.instead
        split = acted.split
        answers.append(acted.answer)
    kept = [n for n, answer in enumerate(answers) if answer is None or answer.code == 250]
    ended = _ends(answers)
    if not kept:
        refusals = [answer for answer in answers if answer is not None]
        return Refuse(refusals if lmtp else refusals[0], split, ended)
    message = build(event, kept if lmtp else range(len(recipients)))
    delivery = wishes.judge.delivery(message)
    if delivery is not None:
        refusal = yield from _ask(delivery, event, wishes)
        if refusal is not None:
            for n in kept:
                answers[n] = refusal
            return Refuse(
                [answer or refusal for answer in answers] if lmtp else refusal, split, ended
            )
    queued = Queued(message.id)
    replies = [answer or queued for answer in answers]
    return Accept(replies if lmtp else replies[0], message, split, ended)


def _ends(answers: Sequence[Reply | None]) -> bool:
    """Whether an answer closes the session (RFC 5321 section 3.8)."""
    return any(answer is not None and answer.code == 421 for answer in answers)


# ---- faults


class _Acted(NamedTuple):
    """The result of the faults of a stage: a reply and the size of its pieces, or a verdict."""

    answer: Reply | None = None
    split: int | None = None
    instead: Verdict | None = None


def _ask_faults(
    stage: str, about: Sequence[str], wishes: Wishes, session: object, split: int | None = None
) -> Waits[_Acted]:
    for fault in (yield from _acting(stage, about, wishes, session)):
        match fault:
            case Delay(seconds=seconds):
                yield Sleep(seconds)
            case Hold():
                yield Until(fault)
            case Split(octets=octets):
                split = octets
            case Answer(reply=reply):
                return _Acted(Reply.of(reply), split)
            case Drop(reset=reset):
                return _Acted(instead=Close(reset))
            case Stall():
                return _Acted(instead=Silence())
            case Raw(data=data):
                return _Acted(instead=Say(data, split))
            case _:
                raise TypeError(f"{fault!r} is no fault that anybody knows how to carry out")
    return _Acted(None, split)


def _acting(
    stage: str, about: Sequence[str], wishes: Wishes, session: object
) -> Waits[Sequence[Fault]]:
    faults = wishes.faults
    if not faults.asks_the_test(stage):
        return faults.acting(stage, about, session)
    found: list[Fault] = []
    yield from _must(lambda: found.extend(faults.acting(stage, about, session)), wishes)
    return found


def _say(
    octets: bytes | Iterable[bytes], size: int | None, session: Session, wishes: Wishes
) -> Waits[None]:
    """Sends octets, or pieces: the test's own code may make them, without end."""
    if isinstance(octets, bytes | bytearray):
        session.journal.server(bytes(octets))
        yield Send(bytes(octets), size)
        return
    rest: Iterator[bytes] | None = None
    piece: bytes | None = None

    def take() -> None:
        nonlocal rest, piece
        rest = iter(octets) if rest is None else rest
        piece = next(rest, None)

    while True:
        yield from _must(take, wishes, due=False)
        if piece is None:
            return
        session.journal.server(piece)
        if not (yield Send(piece, size)):
            return


# ---- the test's own code


def _must(call: Callable[[], object], wishes: Wishes, *, due: bool = True) -> Waits[None]:
    """Runs code of the test that gives no reply: an exception ends the session."""
    error = yield Call(call, partial(_unless_cancelled, wishes.errors.append), due)
    if error is not None and (is_cancellation(error) or isinstance(error, StopIteration)):
        raise RuntimeError(f"{type(error).__name__} out of code of the test's") from error
    if error is not None:
        raise error


def _ask_rules(event: Event, wishes: Wishes) -> Waits[Reply | None]:
    """The refusal of an event by rules and callbacks, None if they let it pass."""
    judge = wishes.judge
    if event.stage not in judge.stages_with_callbacks:
        return judge.refusal(event)
    found: list[Reply | None] = []

    def ask() -> object:
        refusal = judge.refusal(event)  # here, because a pattern may be a callable of the test
        found.append(refusal)
        callback = None if refusal is not None else judge.callback(event)
        return None if callback is None else callback()

    refusal = yield from _ask(ask, event, wishes)
    return refusal if refusal is not None else found[0]


def _ask(call: Callable[[], object], event: Event, wishes: Wishes) -> Waits[Reply | None]:
    """Calls a callback and returns its refusal, None if it accepts."""
    refused = partial(_refused, event, wishes, wishes.judge, wishes.epoch)
    error = yield Call(call, partial(_unless_cancelled, refused))
    return None if error is None else refused(error)


def _refused(event: Event, wishes: Wishes, judge: Judge, epoch: int, error: BaseException) -> Reply:
    """Records an exception of a callback, and returns the reply to the command."""
    subject, *_ = (*event.subjects, "")
    late = epoch != wishes.epoch
    raised = interpret(error, event.stage, subject, judge.callback_names[event.stage], late=late)
    if raised.warning is not None or raised.outcome is not None:
        wishes.raised.append(raised)
    return raised.reply


def _unless_cancelled(tell: Callable[[BaseException], object], error: BaseException) -> None:
    """Reports an exception, except from a coroutine that the server cancelled at its end."""
    if not is_cancellation(error):
        tell(error)
