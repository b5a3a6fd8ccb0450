"""Mailbox: the messages a test looks at, with matching, waiting and errors that explain.

Rule: reading never blocks, and what is asked wrongly raises before anything is waited for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, Unpack, cast, overload

from .matching import Criteria, Matcher, explain, list_messages
from .waiting import Store, Watch

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from ..message.message import Message

__all__ = ["Expectation", "Mailbox"]

# `repr` has a line a message up to here; each line costs the parsing of a subject.
_REPR_LINES = 1000

# Behind "is empty", where nothing was waited for
_NOT_YET = "; wait() waits for mail that is still to come"

_Method = TypeVar("_Method", bound=Callable[..., object])


def _criteria_only(method: _Method) -> _Method:
    """Says of a positional argument how criteria are given, where Python would only count it."""

    @functools.wraps(method)
    def call(self: Mailbox, *given: object, **criteria: Any) -> object:
        __tracebackhide__ = True
        if given:
            raise TypeError(
                f"{method.__name__}() takes no positional argument, and was given {given[0]!r}; "
                f"{_by_keyword(method.__name__, given[0])}"
            )
        return method(self, **criteria)

    return cast("_Method", call)


class Mailbox(Sequence["Message"]):
    """The messages of a test, oldest first: a live, thread-safe, read-only sequence.

    It grows as mail comes. Iteration and slices are over a snapshot. It equals any sequence of the
    same messages, so `smtpd.messages == []` works, and is not hashable.

    Criteria, all optional and all to hold: `sender`, `to` (any envelope recipient), `subject`,
    `text` (in the text or the HTML body), `header={"X-Id": "42*"}` (any of its values; `None` for a
    header that must not be there) and `where=callable` (asked last). Strings are globs over the
    whole value, in `text` anywhere in it, without regard to case, with `*` and `?` as the only
    wildcards; a `re.Pattern` is searched; a callable is asked, and what it raises comes through to
    the test. An unknown criterion, or a value that is none of these, is a `TypeError`.

    Not made by tests: a `Server` has its own.
    """

    def __init__(
        self,
        name: str = "messages",
        hints: Callable[[], Iterable[str]] = lambda: (),
        hide: Callable[[str], str] = lambda text: text,
    ) -> None:
        """For the server: `hints` gives lines to add to error texts, `hide` masks secrets there."""
        self._name = name
        self._hints = hints
        self._hide = hide
        self._store = Store()

    # ---- for the server

    def _add(self, message: Message) -> None:
        self._store.add(message)

    def _remove_all(self) -> list[Message]:
        return self._store.clear()

    # ---- the sequence

    def __len__(self) -> int:
        return len(self._store.messages)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        __tracebackhide__ = True
        messages = self._store.messages
        try:
            return messages[index]
        except IndexError:
            held = f"holds {len(messages)}" if messages else f"is empty{_NOT_YET}"
            lines = [f"no message {index}: {self._name} {held}", *self._hints()]
            raise IndexError(self._hide("\n".join(lines))) from None
        except TypeError:
            raise TypeError(
                f"{self._name} takes an index or a slice, not {index!r}; one(), matching() and "
                "wait() take criteria"
            ) from None

    def __iter__(self) -> Iterator[Message]:
        return iter(self._store.messages[:])

    def __reversed__(self) -> Iterator[Message]:
        return iter(self._store.messages[::-1])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, str | bytes | bytearray):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        messages = self[:]
        if not messages:
            return f"<Mailbox {self._name}: empty>"
        lines = [f"<Mailbox {self._name}:", *list_messages(messages, limit=_REPR_LINES)]
        return self._hide("\n".join(lines) + ">")

    # ---- what is there now

    @_criteria_only
    def matching(self, **criteria: Unpack[Criteria]) -> list[Message]:
        """The messages that match all criteria, oldest first; without criteria all messages.

        Raises `TypeError` for an unknown criterion, naming the nearest one.
        """
        __tracebackhide__ = True
        return list(filter(Matcher(criteria), self[:]))

    @_criteria_only
    def one(self, **criteria: Unpack[Criteria]) -> Message:
        """The only message that matches.

        Raises `AssertionError` if it is none or several: its text says how many matched, lists what
        the mailbox holds, and says of the nearest ones which criterion they fail. It names strays
        and refused sessions where there are any.
        """
        __tracebackhide__ = True
        watch, matcher = self._watch(1, criteria)
        watch.look()
        if len(watch.matched) != 1:
            self._fail(watch, matcher, "exactly 1", empty=_NOT_YET)
        return watch.matched[0]

    # ---- what comes

    def wait(
        self, count: int = 1, *, timeout: float = 5.0, **criteria: Unpack[Criteria]
    ) -> list[Message]:
        """Block until at least `count` messages match, and return all that do.

        Mail that is already there counts; what is cleared meanwhile no longer does. `timeout` is in
        seconds of real time, also where a test has frozen time.

        Raises the `AssertionError` of `one()` when the time is over, `RuntimeError` where it would
        block a running event loop (see `wait_async()`), and `TypeError` or `ValueError` for a
        `count` or `timeout` that is none, before it waits.
        """
        __tracebackhide__ = True
        _check("wait", count, timeout=timeout)
        watch, matcher = self._watch(count, criteria)
        if not watch.block(timeout, "use 'await mailbox.wait_async(...)'"):
            self._fail(watch, matcher, _at_least(count, timeout))
        return watch.matched

    async def wait_async(
        self, count: int = 1, *, timeout: float = 5.0, **criteria: Unpack[Criteria]
    ) -> list[Message]:
        """`wait()` for a task of asyncio or trio; may be cancelled.

        Raises what `wait()` raises, and `RuntimeError` where neither of them is running.
        """
        __tracebackhide__ = True
        _check("wait_async", count, timeout=timeout)
        watch, matcher = self._watch(count, criteria)
        if not await watch.suspend(timeout):
            self._fail(watch, matcher, _at_least(count, timeout))
        return watch.matched

    def expect(
        self, count: int = 1, *, timeout: float = 5.0, **criteria: Unpack[Criteria]
    ) -> Expectation:
        """A context manager, for `with` and `async with`, around what should send mail.

        Only mail that comes after it was entered counts. Leaving it waits as `wait()` does, up to
        `timeout` seconds from then, unless an exception is on its way out. The `messages` of its
        value are the matches. Raises at its end what `wait()` raises.
        """
        __tracebackhide__ = True
        _check("expect", count, timeout=timeout)
        return Expectation(self, count, timeout, Matcher(criteria))

    def assert_none(self, within: float = 0.0, **criteria: Unpack[Criteria]) -> None:
        """Nothing matches, neither now nor in the next `within` seconds (of real time).

        Raises `AssertionError` as soon as something does, and `RuntimeError` where it would block a
        running event loop: see `assert_none_async()`.
        """
        __tracebackhide__ = True
        _check("assert_none", within=within)
        watch, matcher = self._watch(1, criteria)
        if watch.block(within, "use 'await mailbox.assert_none_async(...)'"):
            self._fail(watch, matcher, _none(within), hints=False)

    async def assert_none_async(self, within: float = 0.0, **criteria: Unpack[Criteria]) -> None:
        """`assert_none()` for a task of asyncio or trio; may be cancelled.

        Raises what `assert_none()` raises, and `RuntimeError` where neither of them is running.
        """
        __tracebackhide__ = True
        _check("assert_none_async", within=within)
        watch, matcher = self._watch(1, criteria)
        if await watch.suspend(within):
            self._fail(watch, matcher, _none(within), hints=False)

    # ---- the whole

    def clear(self) -> None:
        """Forget all messages. Mail that comes later is kept as usual."""
        self._store.clear()

    def save(self, directory: str | PathLike[str]) -> list[Path]:
        """Write each message's `raw` to `0001.eml`, `0002.eml`, ... and return the paths.

        The directory is made where it is missing; files of these names are overwritten. Raises
        `OSError` as writing files does.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, message in enumerate(self, start=1):
            path = folder / f"{number:04}.eml"
            path.write_bytes(message.raw)
            paths.append(path)
        return paths

    def _watch(self, count: int, criteria: Criteria) -> tuple[Watch, Matcher]:
        __tracebackhide__ = True
        matcher = Matcher(criteria)
        return Watch(self._store, matcher, count), matcher

    def _fail(
        self,
        watch: Watch,
        matcher: Matcher,
        expected: str,
        *,
        since: int = 0,
        hints: bool = True,
        empty: str = "",
    ) -> NoReturn:
        __tracebackhide__ = True
        held, before = watch.seen(since)
        text = explain(
            name=self._name,
            matcher=matcher,
            expected=expected,
            held=held,
            matched=watch.matched,
            since=before,
            hints=self._hints() if hints else (),
            empty=empty,
        )
        raise AssertionError(self._hide(text))


class Expectation:
    """What `Mailbox.expect()` gives: a context manager, plain and async; not made by tests."""

    def __init__(self, mailbox: Mailbox, count: int, timeout: float, matcher: Matcher) -> None:
        self._mailbox = mailbox
        self._count = count
        self._timeout = timeout
        self._matcher = matcher
        self._since = 0
        self._watch: Watch | None = None
        self._left = False

    @property
    def messages(self) -> list[Message]:
        """The matches: after the block those it ended with, inside it those that came so far.

        Raises `RuntimeError` before the block was entered.
        """
        __tracebackhide__ = True
        watch = self._entered()
        if not self._left:
            watch.look()
        return watch.matched[:]

    def __enter__(self) -> Expectation:
        self._left = False
        self._since = self._mailbox._store.end()
        self._watch = Watch(self._mailbox._store, self._matcher, self._count, self._since)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        __tracebackhide__ = True
        if exc_type is None:
            enough = self._entered().block(self._timeout, "use 'async with mailbox.expect(...)'")
            self._leave(enough)
        return False

    async def __aenter__(self) -> Expectation:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        __tracebackhide__ = True
        if exc_type is None:
            self._leave(await self._entered().suspend(self._timeout))
        return False

    def _entered(self) -> Watch:
        __tracebackhide__ = True
        if self._watch is None:
            raise RuntimeError(
                "expect() is a context manager: with mailbox.expect(...) as expected:"
            )
        return self._watch

    def _leave(self, enough: bool) -> None:
        __tracebackhide__ = True
        self._left = True
        if not enough:
            watch = self._entered()
            expected = _at_least(self._count, self._timeout)
            self._mailbox._fail(watch, self._matcher, expected, since=self._since)


def _at_least(count: int, timeout: float) -> str:
    return f"at least {count}, waited {timeout:g} s"


def _none(within: float) -> str:
    return f"none within {within:g} s" if within else "none"


def _by_keyword(call: str, given: object) -> str:
    """How to give a criterion, with the value that was given where it can only be an address."""
    pattern = given if isinstance(given, str) and "@" in given else "ann@*"
    return f"criteria are given by keyword: {call}(to={pattern!r})"


def _check(call: str, count: int = 0, **seconds: float) -> None:
    """Raise for arguments that cannot mean anything, before they are acted on."""
    __tracebackhide__ = True
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(
            f"count is a whole number of messages, not {count!r}; {_by_keyword(call, count)}"
        )
    if count < 0:
        raise ValueError(f"count is a whole number of messages from 0 up, not {count}")
    for name, value in seconds.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            # A `timeout` is never meant as a criterion: it has a keyword of its own
            hint = f"; {_by_keyword(call, value)}" if name == "within" else ""
            raise TypeError(f"{name} is a number of seconds, not {value!r}{hint}")
        if math.isnan(value) or value < 0:
            raise ValueError(f"{name} is a number of seconds from 0 up, not {value!r}")
