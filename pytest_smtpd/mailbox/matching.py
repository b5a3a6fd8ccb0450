"""Criteria that a test picks messages by, checked and compiled.

Rule: wrong arguments raise before a message is looked at and before anything waits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar, cast
from weakref import WeakKeyDictionary

from ..patterns import PatternLike, compile_glob, compile_pattern, nearest

if TYPE_CHECKING:
    from ..message.message import Message

# Names that other libraries and `Message` use for a criterion
_MEANT = {"recipient": "to", "recipients": "to", "rcpt_to": "to", "mail_from": "sender",
          "body": "text", "html": "text", "headers": "header"}  # fmt: skip


class Criteria(TypedDict, total=False):
    """What a message must fulfil; all given criteria must hold.

    Strings are globs over the whole value, without regard to case, with `*` and `?` as the only
    wildcards; a `re.Pattern` is searched; a callable is called with the value.
    """

    sender: PatternLike
    """The envelope sender; `""` is the null sender."""
    to: PatternLike
    """Any envelope recipient."""
    subject: PatternLike
    """The decoded subject, `""` where there is none."""
    text: PatternLike
    """The text body, the HTML source or its visible text; a string may stand anywhere in it."""
    header: Mapping[str, PatternLike | None]
    """For each header name, any of its values; `None`: there is no such header."""
    where: Callable[[Message], object]
    """Called last, with a message that fulfils the other criteria; what it raises propagates."""


class Criterion(NamedTuple):
    """One check: its name, the test's pattern, and the values of a message to compare."""

    label: str
    pattern: PatternLike | None
    values: Callable[[Message], Sequence[str]]
    matches: Callable[[str], bool]
    # Values that take longer to make: compared if none of `values` matches
    further: Callable[[Message], Sequence[str]] | None = None

    def holds(self, message: Message) -> bool:
        __tracebackhide__ = True
        if self.pattern is None:
            return not self.values(message)
        if any(map(self.matches, self.values(message))):
            return True
        return self.further is not None and any(map(self.matches, self.further(message)))


class Matcher:
    """Compiled criteria: a predicate on messages.

    - `asked`: the criteria as the test gave them
    - `compiled`: all except `where`
    - `where`: the callable, or None

    Raises `TypeError` for an unknown criterion, with the nearest name, and for a value that is no
    pattern, with the name of its criterion.
    """

    def __init__(self, criteria: Mapping[str, object]) -> None:
        __tracebackhide__ = True
        self.asked = criteria
        self.compiled: list[Criterion] = []
        self.where: Callable[[Message], object] | None = None
        for name, value in criteria.items():
            if name == "where":
                if not callable(value):
                    raise TypeError(f"criterion 'where' takes a callable, not {value!r}")
                self.where = value
            elif name == "header":
                self.compiled += _header_criteria(value)
            elif name in _VALUES:
                self.compiled.append(_criterion(name, value, _VALUES[name]))
            else:
                names = Criteria.__annotations__
                meant = nearest(_MEANT.get(name, name), names)
                raise TypeError(
                    f"unknown criterion {name!r}{meant}; allowed are {', '.join(names)}"
                )
        # The envelope first: the other criteria have to parse the message.
        self.compiled.sort(key=lambda criterion: criterion.label not in ("sender", "to"))

    def __call__(self, message: Message) -> bool:
        __tracebackhide__ = True
        if not all(criterion.holds(message) for criterion in self.compiled):
            return False
        return self.where is None or bool(self.where(message))


def _bodies(message: Message) -> list[str]:
    return [body for body in (message.text, message.html) if body is not None]


# Of each message the hash of its HTML and the visible text: 100 KB of HTML take some milliseconds
_seen: WeakKeyDictionary[Message, tuple[int, str]] = WeakKeyDictionary()


def _visible(message: Message) -> list[str]:
    from ..mime.html import read_page

    html = message.html
    if html is None:
        return []
    key = hash(html)  # a test may change its message
    known = _seen.get(message)
    if known is None or known[0] != key:
        known = _seen[message] = (key, read_page(html).text)
    return [known[1]]


_VALUES: dict[str, Callable[[Message], Sequence[str]]] = {
    "sender": lambda message: (message.sender,),
    "to": lambda message: message.recipients,
    "subject": lambda message: (message.subject,),
    "text": _bodies,
}


def _criterion(label: str, value: object, values: Callable[[Message], Sequence[str]]) -> Criterion:
    __tracebackhide__ = True
    try:
        matches = compile_pattern(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise TypeError(f"criterion {label!r}: {error}") from None
    further = _visible if label == "text" else None
    if further is not None and isinstance(value, str):
        # A body is long: a glob over the whole of it would hardly ever match.
        matches = compile_glob(value, anywhere=True)
    return Criterion(label, value, values, matches, further)  # type: ignore[arg-type]


def _header_criteria(value: object) -> list[Criterion]:
    __tracebackhide__ = True
    if not isinstance(value, Mapping):
        raise TypeError(
            f"criterion 'header' takes a mapping such as {{'X-Id': '42*'}}, not {value!r}"
        )
    criteria = []
    for name, pattern in value.items():
        if not isinstance(name, str):
            raise TypeError(f"criterion 'header' takes header names as str, not {name!r}")
        values = functools.partial(_header_values, name)
        if pattern is None:
            criteria.append(Criterion(f"header {name}", None, values, lambda _: False))
        else:
            criteria.append(_criterion(f"header {name}", pattern, values))
    return criteria


def _header_values(name: str, message: Message) -> list[str]:
    return [str(found) for found in message.get_all(name, [])]


# ---- the other arguments of a mailbox's methods

_Method = TypeVar("_Method", bound=Callable[..., object])


def criteria_only(method: _Method) -> _Method:
    """Make the `TypeError` for a positional argument explain how to give criteria."""

    @functools.wraps(method)
    def call(self: object, *given: object, **criteria: Any) -> object:
        __tracebackhide__ = True
        if given:
            raise TypeError(
                f"{method.__name__}() takes no positional argument, and was given {given[0]!r}; "
                f"{_by_keyword(method.__name__, given[0])}"
            )
        return method(self, **criteria)

    return cast("_Method", call)


def _by_keyword(call: str, given: object) -> str:
    """How to give a criterion, with the value that was given if it looks like an address."""
    pattern = given if isinstance(given, str) and "@" in given else "ann@*"
    return f"criteria are given by keyword: {call}(to={pattern!r})"


def check_numbers(call: str, count: int = 0, **seconds: float) -> None:
    """Raise `TypeError` or `ValueError` for a count or a time in seconds that is none."""
    __tracebackhide__ = True
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(
            f"count is a whole number of messages, not {count!r}; {_by_keyword(call, count)}"
        )
    if count < 0:
        raise ValueError(f"count is a whole number of messages from 0 up, not {count}")
    for name, value in seconds.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            # `timeout` can only be given by keyword, so nobody means a criterion by it
            hint = f"; {_by_keyword(call, value)}" if name == "within" else ""
            raise TypeError(f"{name} is a number of seconds, not {value!r}{hint}")
        if math.isnan(value) or value < 0:
            raise ValueError(f"{name} is a number of seconds from 0 up, not {value!r}")
