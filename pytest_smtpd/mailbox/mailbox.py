"""Mailbox: the messages of a test, with matching, waiting and errors that explain.

Rule: reading never blocks, and wrong arguments raise before anything waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, Unpack, overload

from .matching import Criteria, Matcher, check_numbers, criteria_only
from .waiting import Watch

if TYPE_CHECKING:
    from os import PathLike

    from ..message.message import Message
    from .store import Store

# Messages that `repr` lists; each line parses a subject.
_REPR_LINES = 1000

# Follows "is empty" in the error of a call that does not wait
_NOT_YET = "; wait() waits for mail that is still to come"


class Mailbox(Sequence["Message"]):
    """The messages of a test, oldest first: a live, thread-safe, read-only sequence.

    It grows as mail comes. Iteration and slices read a snapshot. A mailbox equals any sequence of
    the same messages, so `smtpd.messages == []` works. It is not hashable.

    All criteria are optional, and all given ones must hold: `sender`, `to` (any envelope
    recipient), `subject`, `text` (in the text or the HTML body), `header={"X-Id": "42*"}` (any
    value of that header; `None` for a header that must not be there) and `where=callable` (called
    last, with the message). A string is a glob over the whole value, in `text` anywhere in it,
    without regard to case, with `*` and `?` as the only wildcards. A `re.Pattern` is searched. A
    callable is called with the value, and what it raises propagates to the test. An unknown
    criterion and any other value are a `TypeError`.

    Tests do not make one: a `Server` has its own.
    """

    def __init__(
        self,
        store: Store,
        name: str = "messages",
        hints: Callable[[], Iterable[str]] = lambda: (),
        hide: Callable[[str], str] = lambda text: text,
    ) -> None:
        """For the server, which adds messages to `store`.

        `hints` gives lines to add to error texts, `hide` masks passwords there.
        """
        self._store = store
        self._name = name
        self._hints = hints
        self._hide = hide

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
        from .explaining import list_messages

        messages = self[:]
        if not messages:
            return f"<Mailbox {self._name}: empty>"
        lines = [f"<Mailbox {self._name}:", *list_messages(messages, limit=_REPR_LINES)]
        return self._hide("\n".join(lines) + ">")

    # ---- what is there now

    @criteria_only
    def matching(self, **criteria: Unpack[Criteria]) -> list[Message]:
        """The messages that match all criteria, oldest first; without criteria all messages.

        Raises `TypeError` for an unknown criterion, naming the nearest one.
        """
        __tracebackhide__ = True
        return list(filter(Matcher(criteria), self[:]))

    @criteria_only
    def one(self, **criteria: Unpack[Criteria]) -> Message:
        """The only message that matches.

        Raises `AssertionError` if none matches or several do. The error says how many matched,
        lists the mailbox, and names the criteria that the nearest messages fail. It names strays
        and refused sessions, if there are any.
        """
        __tracebackhide__ = True
        watch = self._watch(1, criteria)
        watch.look()
        if len(watch.matched) != 1:
            self._fail(watch, "exactly 1", empty=_NOT_YET)
        return watch.matched[0]

    @criteria_only
    def take(self, **criteria: Unpack[Criteria]) -> list[Message]:
        """Remove the messages that match and return them, oldest first; without criteria all.

        Two threads that take at the same time never get the same message. Raises what `matching()`
        raises, and then removes nothing.
        """
        __tracebackhide__ = True
        return self._store.take(Matcher(criteria))

    # ---- mail to come

    def wait(
        self, count: int = 1, *, timeout: float = 5.0, **criteria: Unpack[Criteria]
    ) -> list[Message]:
        """Block until at least `count` messages match, and return all that do.

        Mail that is already there counts; mail that is removed meanwhile does not. `timeout` is in
        seconds of real time, also where a test has frozen time.

        Raises the `AssertionError` of `one()` when the time is over, and `RuntimeError` where it
        would block a running event loop (see `wait_async()`). Raises `TypeError` or `ValueError`
        for a wrong `count` or `timeout`, before it waits.
        """
        __tracebackhide__ = True
        check_numbers("wait", count, timeout=timeout)
        watch = self._watch(count, criteria)
        if not watch.block(timeout, "use 'await mailbox.wait_async(...)'"):
            self._fail(watch, _at_least(count, timeout))
        return watch.matched

    async def wait_async(
        self, count: int = 1, *, timeout: float = 5.0, **criteria: Unpack[Criteria]
    ) -> list[Message]:
        """`wait()` for a task of asyncio or trio; may be cancelled.

        Raises what `wait()` raises, and `RuntimeError` where neither library is running.
        """
        __tracebackhide__ = True
        check_numbers("wait_async", count, timeout=timeout)
        watch = self._watch(count, criteria)
        if not await watch.suspend(timeout):
            self._fail(watch, _at_least(count, timeout))
        return watch.matched

    def expect(
        self, count: int = 1, *, timeout: float = 5.0, **criteria: Unpack[Criteria]
    ) -> Expectation:
        """A context manager, for `with` and `async with`, around the code that should send mail.

        Only mail that comes after entering counts. Leaving waits as `wait()` does, at most
        `timeout` seconds, and raises what `wait()` raises. It does not wait if the block has
        raised. `messages` of the context manager's value are the matches.
        """
        __tracebackhide__ = True
        check_numbers("expect", count, timeout=timeout)
        return Expectation(self, count, timeout, Matcher(criteria))

    def assert_none(self, within: float = 0.0, **criteria: Unpack[Criteria]) -> None:
        """Check that nothing matches, neither now nor in the next `within` seconds of real time.

        Raises `AssertionError` as soon as a message matches, and `RuntimeError` where it would
        block a running event loop: see `assert_none_async()`.
        """
        __tracebackhide__ = True
        check_numbers("assert_none", within=within)
        watch = self._watch(1, criteria)
        if watch.block(within, "use 'await mailbox.assert_none_async(...)'"):
            self._fail(watch, _none(within), hints=False)

    async def assert_none_async(self, within: float = 0.0, **criteria: Unpack[Criteria]) -> None:
        """`assert_none()` for a task of asyncio or trio; may be cancelled.

        Raises what `assert_none()` raises, and `RuntimeError` where neither library is running.
        """
        __tracebackhide__ = True
        check_numbers("assert_none_async", within=within)
        watch = self._watch(1, criteria)
        if await watch.suspend(within):
            self._fail(watch, _none(within), hints=False)

    # ---- all messages

    def clear(self) -> None:
        """Remove all messages. Mail that comes later is kept as usual."""
        self._store.clear()

    def save(self, directory: str | PathLike[str]) -> list[Path]:
        """Write each message's `raw` to `0001.eml`, `0002.eml`, ... and return the paths.

        Makes the directory if it is missing, and overwrites files of these names. Raises
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

    def _watch(self, count: int, criteria: Criteria) -> Watch:
        __tracebackhide__ = True
        return Watch(self._store, Matcher(criteria), count)

    def _fail(
        self, watch: Watch, expected: str, *, hints: bool = True, empty: str = ""
    ) -> NoReturn:
        __tracebackhide__ = True
        from .explaining import explain

        lines = explain(self._name, watch, expected, empty)
        raise AssertionError(self._hide("\n".join([*lines, *(self._hints() if hints else ())])))


class Expectation:
    """The context manager that `Mailbox.expect()` returns, plain and async."""

    def __init__(self, mailbox: Mailbox, count: int, timeout: float, matcher: Matcher) -> None:
        self._mailbox = mailbox
        self._count = count
        self._timeout = timeout
        self._matcher = matcher
        self._watch: Watch | None = None
        self._left = False

    @property
    def messages(self) -> list[Message]:
        """The matches so far; after the block, the matches that it ended with.

        Raises `RuntimeError` before the block is entered.
        """
        __tracebackhide__ = True
        watch = self._entered()
        if not self._left:
            watch.look()
        return watch.matched[:]

    def __enter__(self) -> Expectation:
        self._left = False
        store = self._mailbox._store
        self._watch = Watch(store, self._matcher, self._count, store.end())
        return self

    def __exit__(self, exc_type: object, *_: object) -> Literal[False]:
        __tracebackhide__ = True
        if exc_type is None:
            enough = self._entered().block(self._timeout, "use 'async with mailbox.expect(...)'")
            self._leave(enough)
        return False

    async def __aenter__(self) -> Expectation:
        return self.__enter__()

    async def __aexit__(self, exc_type: object, *_: object) -> Literal[False]:
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
            self._mailbox._fail(self._entered(), _at_least(self._count, self._timeout))


def _at_least(count: int, timeout: float) -> str:
    return f"at least {count}, waited {timeout:g} s"


def _none(within: float) -> str:
    return f"none within {within:g} s" if within else "none"
