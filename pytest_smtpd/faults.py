"""Scripted failures: what the server does wrong on purpose, at which stage, how often.

A fault is a plain value and counts nothing: the list it stands in does (`policy.fault_list`),
so one fault may stand in several servers. What it does to a connection, `serving` carries out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from .clock import monotonic
from .patterns import PatternLike, compile_host_pattern, compile_pattern, nearest
from .rejection import ReplyLike
from .smtp.events import STAGES
from .smtp.replies import Reply

__all__ = [
    "STAGES",
    "Answer",
    "Delay",
    "Drop",
    "Fault",
    "Hold",
    "Raw",
    "Split",
    "Stall",
    "Throttle",
]

Per: TypeAlias = Literal["server", "session", "recipient"]

# The stages with something to match, and what that is
SUBJECTS: dict[str, str] = {
    "connect": "the client's IP address",
    "helo": "the name after HELO, EHLO or LHLO",
    "mail": "the sender's address",
    "rcpt": "the recipient's address",
    "message": "any recipient's address",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What all faults share: where a fault acts, and how often.

    `on` is a stage, one of `STAGES`; it has no default. `times` is after how many hits the fault is
    spent (default: never), `skip` how many chances it lets pass first. `match` narrows it to a
    pattern as in `reject_*`: on ``"connect"`` of the client's IP address, on ``"helo"`` of the name
    it gives, on ``"mail"`` and ``"rcpt"`` of the address, on ``"message"`` of any recipient. A
    callable is asked in a thread of its own, as callbacks are; that of `Throttle` and of
    ``Drop(after=...)`` in the one that serves: it has to be quick. `per`
    says what `times` and `skip` count by: ``"server"``, ``"session"``, or ``"recipient"`` (on
    ``"rcpt"`` and ``"message"``). `probability`, from 0 to 1, rolls the dice of the server's `seed`
    for each chance.

    A fault is frozen and counts nothing: the list it stands in does. Raises `TypeError` or
    `ValueError` for a value that makes no sense, naming what is allowed.
    """

    on: str
    times: int | None = None
    skip: int = 0
    match: PatternLike | None = None
    per: Per = "server"
    probability: float = 1.0

    decides: ClassVar[bool] = True  # no later fault of the list acts on the same command

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        name = type(self).__name__
        if type(self) is Fault:
            raise TypeError("Fault is what all faults share: one such as Drop(on='rcpt') is wanted")
        if self.on not in STAGES:
            hint = nearest(str(self.on), STAGES)
            raise ValueError(f"{name}(on={self.on!r}): one of {', '.join(STAGES)} is wanted{hint}")
        _check_count(name, "times", self.times, least=1)
        _check_count(name, "skip", self.skip, least=0)
        if self.per not in ("server", "session", "recipient"):
            hint = nearest(str(self.per), ("server", "session", "recipient"))
            raise ValueError(
                f"{name}(per={self.per!r}): 'server', 'session' or 'recipient' is wanted{hint}"
            )
        if self.per == "recipient" and self.on not in ("rcpt", "message"):
            raise ValueError(
                f"{name}(per='recipient', on={self.on!r}): no recipient there; "
                "only on rcpt, message"
            )
        if not isinstance(self.probability, int | float) or not 0 <= self.probability <= 1:
            raise ValueError(
                f"{name}(probability={self.probability!r}): a number from 0 to 1 is wanted"
            )
        if self.match is not None:
            if self.on not in SUBJECTS:
                raise ValueError(
                    f"{name}(match=..., on={self.on!r}): nothing to match there; "
                    f"only on {', '.join(SUBJECTS)}"
                )
            try:
                self.matcher()
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}(match=...): {error}") from None

    def matcher(self) -> Callable[[str], bool] | None:
        """`match` as a predicate on the stage's subject; None where there is no `match`."""
        if self.match is None:
            return None
        return (
            compile_host_pattern(self.match)
            if self.on == "connect"
            else compile_pattern(self.match)
        )


def _check_count(fault: str, name: str, value: object, *, least: int) -> None:
    __tracebackhide__ = True
    if value is None and name == "times":
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{fault}({name}={value!r}): a whole number from {least} up is wanted")


def _check_amount(fault: str, name: str, value: object, *, least: float) -> None:
    __tracebackhide__ = True
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= least:
        raise ValueError(f"{fault}({name}={value!r}): a number from {least} up is wanted")


@dataclass(frozen=True)
class Answer(Fault):
    """Answers this reply instead of the usual one.

    `reply` is a code, a text (``"451 4.7.1 Greylisted"``) or a `pytest_smtpd.Reply`. With 2xx or
    354 the command takes effect all the same; with 4xx or 5xx it does not (RFC 5321 section 4.2.1).
    On ``"message"`` 250 alone stores it, and the transaction is over with any. 421 closes.

    Raises `ValueError` for what is no reply.
    """

    reply: ReplyLike

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        super().__post_init__()
        try:
            Reply.of(self.reply)
        except ValueError as error:
            raise ValueError(f"Answer(reply=...): {error}") from None


@dataclass(frozen=True)
class Delay(Fault):
    """Waits so many `seconds`, from 0 up, before the answer. The next fault acts too."""

    seconds: float
    decides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        super().__post_init__()
        _check_amount("Delay", "seconds", self.seconds, least=0)


@dataclass(frozen=True)
class Drop(Fault):
    """Closes the connection instead of answering; with `reset` by a TCP reset (RST).

    With `after` in the middle of a message's content, once so many octets of it have come: this
    implies ``on="message"``. A message shorter than that is not touched. Without `after`, `on` is
    wanted: neither is a `TypeError`.
    """

    on: str = field(default="", kw_only=True)
    after: int | None = field(default=None, kw_only=True)
    reset: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        if self.after is not None:
            _check_count("Drop", "after", self.after, least=0)
            if self.on not in ("", "message"):
                raise ValueError(
                    f"Drop(after={self.after}, on={self.on!r}): after= implies on='message'; "
                    "leave on= out"
                )
            object.__setattr__(self, "on", "message")
        elif not self.on:
            raise TypeError(f"Drop(): on=STAGE ({', '.join(STAGES)}) or after=OCTETS is wanted")
        super().__post_init__()


@dataclass(frozen=True)
class Stall(Fault):
    """Never answers; the connection stays open until the client or the server closes it.

    The end of a test and a stop of the server end it too.
    """


@dataclass(frozen=True)
class Raw(Fault):
    """Sends these octets instead of a reply; the command has no effect.

    `data` is `bytes`, or an iterable of `bytes` that is begun anew for each hit and may be endless
    (``itertools.repeat(b"250-more\\r\\n")``). A line end is sent only where `data` has one. Raises
    `TypeError` for a `str`, and for what cannot be iterated over.
    """

    data: bytes | Iterable[bytes]

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        super().__post_init__()
        data: object = self.data
        if isinstance(data, str) or not isinstance(data, Iterable):
            raise TypeError(f"Raw(data={data!r}): bytes, or an iterable of bytes, is wanted")


@dataclass(frozen=True)
class Split(Fault):
    """Sends the reply in pieces of so many `octets`, 1 by default. The next fault acts too."""

    octets: int = 1
    decides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        super().__post_init__()
        _check_count("Split", "octets", self.octets, least=1)


@dataclass(frozen=True)
class Throttle(Fault):
    """Reads no more than `octets_per_second`, from 1 up, from a connection, all its life long.

    `on` is ``"connect"`` and needs not be said: `times` and `skip` count connections, `match` is on
    the client's IP address. The next fault of the list acts too.
    """

    octets_per_second: float
    on: str = field(default="connect", kw_only=True)
    decides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        if self.on != "connect":
            raise ValueError(
                f"Throttle(on={self.on!r}): it acts on a whole connection; leave on= out"
            )
        super().__post_init__()
        _check_amount("Throttle", "octets_per_second", self.octets_per_second, least=1)
        if self.octets_per_second == float("inf"):
            raise ValueError("Throttle(octets_per_second=inf): it slows nothing down; leave it out")


@dataclass(frozen=True, eq=False)
class Hold(Fault):
    """A breakpoint: a session that comes here waits until the test lets it go on.

    ``hold.wait_reached()`` in the test, then ``hold.release()``, from any thread. The next fault of
    the list acts after that. The end of the test and a stop of the server end the wait as well.
    """

    decides: ClassVar[bool] = False
    # Each is a place of its own, where others of the same stage and address may be
    __eq__ = object.__eq__
    __hash__ = object.__hash__
    _gate: _Gate = field(default_factory=lambda: _Gate(), init=False, repr=False)

    def wait_reached(self, timeout: float = 5.0) -> bool:
        """Blocks until a session waits here, `timeout` seconds at most; whether one does.

        In seconds of real time, also where a test has frozen time.
        """
        return self._gate.wait_reached(timeout)

    def release(self) -> None:
        """Lets all sessions go on that wait here; where none does, the next one that comes."""
        self._gate.release()

    def reach(self, go_on: Callable[[], None]) -> Callable[[], None]:
        """For the server: calls `go_on` once, when released; what it returns takes that back."""
        return self._gate.reach(go_on)


class _Gate:
    """Where held sessions wait; opened from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Callable[[], None]] = []
        self._permits = 0

    def reach(self, go_on: Callable[[], None]) -> Callable[[], None]:
        with self._changed:
            if not self._permits:
                self._waiting.append(go_on)
                self._changed.notify_all()
                return lambda: self._leave(go_on)
            self._permits -= 1
        go_on()
        return lambda: None

    def _leave(self, go_on: Callable[[], None]) -> None:
        with self._changed:
            if go_on in self._waiting:
                self._waiting.remove(go_on)

    def wait_reached(self, timeout: float) -> bool:
        end = monotonic() + timeout
        with self._changed:
            while not self._waiting:
                remaining = end - monotonic()
                if remaining <= 0:
                    return False
                self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
            return True

    def release(self) -> None:
        with self._changed:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                self._permits = 1
        for go_on in waiting:
            go_on()
