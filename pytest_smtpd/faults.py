"""Scripted failures: errors that the server makes on purpose, at a stage, a number of times.

A fault is a plain value. Its hits are counted by the server's list of faults
(`policy.fault_list`), so several servers can share one fault.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from .clock import monotonic
from .patterns import PatternLike, compile_host_pattern, compile_pattern, nearest
from .rejection import ReplyLike
from .smtp import events, replies
from .smtp.replies import Reply

__all__ = ["STAGES", "Answer", "Delay", "Drop", "Fault", "Hold", "Raw", "Split", "Stall",
           "Throttle"]  # fmt: skip

Per: TypeAlias = Literal["server", "session", "recipient"]


class Stage(NamedTuple):
    """A point of a session where a fault, a rule or a callback may act.

    - `event`: the event of the engine at this point
    - `subject`: the text that `match` tests; empty where `match` is not allowed
    - `reject`, `validate`: the options with the rules and with the callback, empty where none are
    - `refusal`: the default reply of a refusal
    """

    event: type[events.Event]
    subject: str = ""
    reject: str = ""
    validate: str = ""
    refusal: Reply | None = None


STAGE_TABLE: dict[str, Stage] = {
    stage.event.stage: stage
    for stage in (
        Stage(events.Connected, "the client's IP address",
              "reject_host", "validate_host", replies.HOST_REFUSED),
        Stage(events.Hello, "the name after HELO, EHLO or LHLO"),
        Stage(events.StartTLS),
        Stage(events.Auth),
        Stage(events.Mail, "the sender's address",
              "reject_sender", "validate_sender", replies.SENDER_REFUSED),
        Stage(events.Rcpt, "the recipient's address",
              "reject_recipient", "validate_recipient", replies.RECIPIENT_REFUSED),
        Stage(events.Data),
        Stage(events.MessageReceived, "any recipient's address",
              refusal=replies.TRANSACTION_FAILED),
        Stage(events.Rset),
        Stage(events.Noop),
        Stage(events.Quit),
    )
}  # fmt: skip
STAGES: tuple[str, ...] = tuple(STAGE_TABLE)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The base of all faults: where a fault acts, and how often.

    - `on`: the stage, one of `STAGES`; no default
    - `times`: the most hits of the fault (default: no limit)
    - `skip`: number of chances that pass before the first hit (default: 0)
    - `match`: a pattern as in `reject_*`. It is matched on ``"connect"`` against the client's IP
      address, on ``"helo"`` against the name the client gives, on ``"mail"`` and ``"rcpt"`` against
      the address, on ``"message"`` against each recipient. A callable runs in its own thread, as
      callbacks do. For `Throttle` and ``Drop(after=...)`` it runs in the server's thread and must
      be quick.
    - `per`: the scope in which `times` and `skip` count: ``"server"``, ``"session"``, or
      ``"recipient"`` (on ``"rcpt"`` and ``"message"``)
    - `probability`: the probability of each hit, from 0 to 1; the server's `seed` decides

    A fault is frozen. Raises `TypeError` or `ValueError` for a value that is not allowed, naming
    the allowed values.
    """

    on: str
    times: int | None = None
    skip: int = 0
    match: PatternLike | None = None
    per: Per = "server"
    probability: float = 1.0

    decides: ClassVar[bool] = True  # later faults of the list do not act on the same command

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        name = type(self).__name__
        if type(self) is Fault:
            raise TypeError("Fault is what all faults share: one such as Drop(on='rcpt') is wanted")
        if self.on not in STAGES:
            hint = nearest(str(self.on), STAGES)
            raise ValueError(f"{name}(on={self.on!r}): one of {', '.join(STAGES)} is wanted{hint}")
        if self.times is not None:
            _check_number(f"{name}(times", self.times, 1)
        _check_number(f"{name}(skip", self.skip, 0)
        if self.per not in ("server", "session", "recipient"):
            hint = nearest(str(self.per), ("server", "session", "recipient"))
            raise ValueError(
                f"{name}(per={self.per!r}): 'server', 'session' or 'recipient' is wanted{hint}"
            )
        if self.per == "recipient" and self.on not in ("rcpt", "message"):
            where = "no recipient there; only on rcpt, message"
            raise ValueError(f"{name}(per='recipient', on={self.on!r}): {where}")
        if not isinstance(self.probability, int | float) or not 0 <= self.probability <= 1:
            raise ValueError(
                f"{name}(probability={self.probability!r}): a number from 0 to 1 is wanted"
            )
        if self.match is not None:
            if not STAGE_TABLE[self.on].subject:
                matching = [stage for stage, row in STAGE_TABLE.items() if row.subject]
                raise ValueError(
                    f"{name}(match=..., on={self.on!r}): nothing to match there; "
                    f"only on {', '.join(matching)}"
                )
            try:
                self.matcher()
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}(match=...): {error}") from None

    def matcher(self) -> Callable[[str], bool] | None:
        """`match` as a predicate on the stage's subject; None without `match`."""
        if self.match is None:
            return None
        compile_match = compile_host_pattern if self.on == "connect" else compile_pattern
        return compile_match(self.match)


def _check_number(call: str, value: object, least: float, kind: Any = int) -> None:
    __tracebackhide__ = True
    if not isinstance(value, kind) or isinstance(value, bool) or not value >= least:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"{call}={value!r}): {wanted} from {least} up is wanted")


@dataclass(frozen=True)
class Answer(Fault):
    """Sends this reply instead of the usual one.

    `reply` is a code, a text (``"451 4.7.1 Greylisted"``) or a `pytest_smtpd.Reply`. With 2xx or
    354 the command takes effect; with 4xx or 5xx it does not (RFC 5321 section 4.2.1). On
    ``"message"`` only 250 stores the message, and every reply ends the transaction. 421 closes the
    connection.

    Raises `ValueError` for a value that is no reply.
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
    """Waits `seconds`, 0 or more, before the reply. The next fault acts too."""

    seconds: float
    decides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        super().__post_init__()
        _check_number("Delay(seconds", self.seconds, 0, int | float)


@dataclass(frozen=True)
class Drop(Fault):
    """Closes the connection instead of answering; with `reset` by a TCP reset (RST).

    With `after`, it closes in the middle of a message's content, after this many octets.
    `after` implies ``on="message"``; a shorter message passes. Raises `TypeError` if both `on` and
    `after` are missing.
    """

    on: str = field(default="", kw_only=True)
    after: int | None = field(default=None, kw_only=True)
    reset: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        if self.after is not None:
            _check_number("Drop(after", self.after, 0)
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
    """Never answers; the connection stays open until the client closes it.

    The end of the test and a stop of the server also end it.
    """


@dataclass(frozen=True)
class Raw(Fault):
    """Sends these octets instead of a reply; the command has no effect.

    `data` is `bytes`, or an iterable of `bytes`, which is iterated anew for each hit and may be
    endless (``itertools.repeat(b"250-more\\r\\n")``). No line end is added. Raises `TypeError` for
    a `str`, and for a value that is not iterable.
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
    """Sends the reply in pieces of `octets`, 1 by default. The next fault acts too."""

    octets: int = 1
    decides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        __tracebackhide__ = True
        super().__post_init__()
        _check_number("Split(octets", self.octets, 1)


@dataclass(frozen=True)
class Throttle(Fault):
    """Reads at most `octets_per_second`, 1 or more, from a connection, until it closes.

    `on` is ``"connect"`` and can be left out: `times` and `skip` count connections, `match` is
    matched against the client's IP address. The next fault of the list acts too.
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
        _check_number("Throttle(octets_per_second", self.octets_per_second, 1, int | float)
        if self.octets_per_second == float("inf"):
            raise ValueError("Throttle(octets_per_second=inf): it slows nothing down; leave it out")


@dataclass(frozen=True, eq=False)
class Hold(Fault):
    """A breakpoint: a session waits here until the test releases it.

    The test calls ``hold.wait_reached()``, then ``hold.release()``, from any thread. The next fault
    of the list acts after the release. The end of the test and a stop of the server end the wait.
    """

    decides: ClassVar[bool] = False
    # Two holds with equal attributes are two breakpoints
    __eq__ = object.__eq__
    __hash__ = object.__hash__
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False
    )
    _waiting: list[Callable[[], None]] = field(default_factory=list, init=False, repr=False)
    # Set by a release while no session waits
    _open: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def wait_reached(self, timeout: float = 5.0) -> bool:
        """Blocks until a session waits here; returns False at the timeout, otherwise True.

        `timeout` is in seconds of real time, also if the test has frozen time.
        """
        end = monotonic() + timeout
        with self._changed:
            while not self._waiting:
                remaining = end - monotonic()
                if remaining <= 0:
                    return False
                self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
            return True

    def release(self) -> None:
        """Releases all sessions that wait here; if none waits, the next session."""
        with self._changed:
            waiting = self._waiting[:]
            self._waiting.clear()
            if not waiting:
                self._open.set()
        for go_on in waiting:
            go_on()

    def reach(self, go_on: Callable[[], None]) -> Callable[[], None]:
        """For the server: calls `go_on` once, at the release; returns a function that cancels."""
        with self._changed:
            if not self._open.is_set():
                self._waiting.append(go_on)
                self._changed.notify_all()
                return lambda: self._leave(go_on)
            self._open.clear()
        go_on()
        return lambda: None

    def _leave(self, go_on: Callable[[], None]) -> None:
        with self._changed:
            if go_on in self._waiting:
                self._waiting.remove(go_on)
