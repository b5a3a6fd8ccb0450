"""Criteria that messages are picked by, and the text that explains why none was.

Rule: a criterion is checked and compiled before any message is looked at, and explaining never
raises and never asks a `where` again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypedDict
from weakref import WeakKeyDictionary

from ..patterns import (
    PatternLike,
    compile_glob,
    compile_pattern,
    describe_pattern,
    nearest,
)
from ..text import counted, escaped

if TYPE_CHECKING:
    from ..message.message import Message

__all__ = ["Criteria", "Matcher", "describe_message", "explain", "list_messages"]

# Above this many messages a list leaves out its middle, and only the newest are searched for near
# misses: explaining has to parse what it looks at.
LISTED = 20
SEARCHED = 200
NEAREST = 3

# What others call a criterion, or a `Message` its own
_MEANT = {"recipient": "to", "recipients": "to", "rcpt_to": "to", "mail_from": "sender",
          "body": "text", "html": "text", "headers": "header"}  # fmt: skip


class Criteria(TypedDict, total=False):
    """What a message has to fulfil; all that are given must hold.

    Strings are globs over the whole value, without regard to case, with `*` and `?` as the only
    wildcards; a `re.Pattern` is searched; a callable is asked.
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
    """Asked last, with a message for which all else holds; what it raises comes through."""


class Criterion(NamedTuple):
    """One thing to check: what it is called, what was asked, and what a message has for it."""

    label: str
    pattern: PatternLike | None
    values: Callable[[Message], Sequence[str]]
    matches: Callable[[str], bool]
    verbs: tuple[str, str] = ("does not match", "matches")
    # What takes longer to make: asked where none of the values matches
    further: Callable[[Message], Sequence[str]] | None = None

    def holds(self, message: Message) -> bool:
        __tracebackhide__ = True
        if self.pattern is None:
            return not self.values(message)
        if any(map(self.matches, self.values(message))):
            return True
        return self.further is not None and any(map(self.matches, self.further(message)))

    def miss(self, message: Message) -> str | None:
        """How this message fails, in words, or None. For error texts: never raises."""
        try:
            if self.holds(message):
                return None
            values = self.values(message)
        except Exception as error:
            return f"{self.label}: {type(error).__name__}: {cut(str(error))}"
        if not values:
            return f"{self.label}: absent"
        found = ", ".join(map(quote, values[:NEAREST]))
        if len(values) > NEAREST:
            found += f" and {len(values) - NEAREST} more"
        if self.pattern is None:
            return f"{self.label}: {found} should not be there"
        asked = cut(describe_pattern(self.pattern)) + self._part_of(values)
        if len(values) == 1:
            return f"{self.label}: {found} {self.verbs[0]} {asked}"
        return f"{self.label}: none of {found} {self.verbs[1]} {asked}"

    def _part_of(self, values: Sequence[str]) -> str:
        """The glob that would match, where what was asked is only a part of a value."""
        part = self.pattern.strip("*") if isinstance(self.pattern, str) else ""
        if not part or not any(map(compile_glob(part, anywhere=True), values)):
            return ""
        return f" (a str is a glob over the whole value: {quote(f'*{part}*')} would match)"

    def likeness(self, message: Message) -> float:
        """From 0 to 1: how much what is there looks like the glob, for finding typing errors."""
        from difflib import SequenceMatcher

        if not isinstance(self.pattern, str):
            return 0.0
        asked = self.pattern[:100].casefold()
        return max(
            (
                SequenceMatcher(None, asked, value[:100].casefold()).ratio()
                for value in self.values(message)[:LISTED]
            ),
            default=0.0,
        )


class Matcher:
    """Compiled criteria.

    Raises `TypeError` for an unknown criterion, with the nearest name, and for a value that is no
    pattern, with the name of its criterion.
    """

    def __init__(self, criteria: Mapping[str, object]) -> None:
        __tracebackhide__ = True
        self._criteria: list[Criterion] = []
        self._where: Callable[[Message], object] | None = None
        for name, value in criteria.items():
            if name == "where":
                if not callable(value):
                    raise TypeError(f"criterion 'where' takes a callable, not {value!r}")
                self._where = value
            elif name == "header":
                self._criteria += _header_criteria(value)
            elif name in _VALUES:
                self._criteria.append(_criterion(name, value, _VALUES[name]))
            else:
                names = Criteria.__annotations__
                meant = nearest(_MEANT.get(name, name), names)
                raise TypeError(
                    f"unknown criterion {name!r}{meant}; allowed are {', '.join(names)}"
                )
        # Those that parse nothing before those that do.
        self._criteria.sort(key=lambda criterion: criterion.label not in ("sender", "to"))
        self.described = ", ".join(
            f"{name}={_describe_value(value)}" for name, value in criteria.items()
        )

    def __call__(self, message: Message) -> bool:
        __tracebackhide__ = True
        if not all(criterion.holds(message) for criterion in self._criteria):
            return False
        return self._where is None or bool(self._where(message))

    def misses(self, message: Message) -> dict[str, Criterion | None]:
        """Which criteria a message fails, in words; `where` is left out."""
        return {
            miss: criterion
            for criterion in self._criteria
            if (miss := criterion.miss(message)) is not None
        }

    def miss_where(self, message: Message, *, ask: bool) -> str | None:
        """How a message fails `where`, if it does; without `ask` it is known to fail it."""
        if self._where is None:
            return None
        try:
            if ask and self._where(message):
                return None
        except Exception as error:
            return f"where: {type(error).__name__}: {cut(str(error))}"
        return f"where: {describe_pattern(self._where)} returned false"


def _bodies(message: Message) -> list[str]:
    return [body for body in (message.text, message.html) if body is not None]


# The hash of a message's HTML and what is visible of that: making it takes some ms for 100 KB
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
    criterion = Criterion(label, value, values, matches)  # type: ignore[arg-type]
    if label == "text":
        criterion = criterion._replace(further=_visible)
        if isinstance(value, str):
            # A body is long: a glob over the whole of it would be of little use.
            matches = compile_glob(value, anywhere=True)
            verbs = ("does not contain", "contains")
            criterion = criterion._replace(matches=matches, verbs=verbs)
    return criterion


def _header_criteria(value: object) -> list[Criterion]:
    __tracebackhide__ = True
    if not isinstance(value, Mapping):
        raise TypeError(
            f"criterion 'header' takes a mapping such as {{'X-Id': '42*'}}, not {value!r}"
        )
    return [_header_criterion(name, pattern) for name, pattern in value.items()]


def _header_criterion(name: object, value: object) -> Criterion:
    __tracebackhide__ = True
    if not isinstance(name, str):
        raise TypeError(f"criterion 'header' takes header names as str, not {name!r}")
    label = f"header {name}"

    def values(message: Message) -> list[str]:
        return [str(found) for found in message.get_all(name, [])]

    if value is None:
        return Criterion(label, None, values, lambda _: False)
    return _criterion(label, value, values)


# ---- the texts


def cut(text: str, limit: int = 60) -> str:
    """At most `limit` characters, the middle left out."""
    if len(text) <= limit:
        return text
    return f"{text[: limit * 2 // 3]}...{text[3 + limit * 2 // 3 - limit :]}"


def quote(value: str) -> str:
    """A value in quotes, escaped and cut."""
    return cut(repr(cut(value, 200)))


def _describe_value(value: object) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name!r}: {describe_pattern(v)}" for name, v in value.items())
        return f"{{{inner}}}"
    return describe_pattern(value)


def describe_message(message: Message) -> str:
    """One line: id, sender -> recipients, subject; nothing in it can break the line."""
    hide = message._hide  # before anything is escaped or cut
    recipients = [_printable(hide(address)) for address in message.recipients]
    if len(recipients) > 5:
        recipients[3:] = [f"and {len(recipients) - 3} more"]
    sender = _printable(hide(message.sender)) or "<>"
    subject = cut(repr(hide(message.subject)), 78)
    return f"{message.id}  {sender} -> {', '.join(recipients)}  {subject}"


def _printable(address: str) -> str:
    return cut(escaped(address))


def list_messages(
    messages: Sequence[Message],
    notes: Mapping[int, str] | None = None,
    *,
    keep: Iterable[int] = (),
    limit: int = LISTED,
) -> list[str]:
    """A line a message with its index and note; beyond `limit` the middle is left out.

    The indexes in `keep` are never left out.
    """
    total = len(messages)
    shown: Iterable[int] = range(total)
    if total > limit:
        shown = sorted({*range(limit // 2), *keep, *range(total - limit // 2, total)})
    lines = []
    next_index = 0
    for index in shown:
        if index > next_index:
            lines.append(f"  ... {index - next_index} more ...")
        next_index = index + 1
        note = f"  <-- {notes[index]}" if notes and index in notes else ""
        lines.append(f"  [{index}] {describe_message(messages[index])}{note}")
    return lines


def explain(
    *,
    name: str,
    matcher: Matcher,
    expected: str,
    held: Sequence[Message],
    matched: Sequence[Message],
    since: int = 0,
    hints: Iterable[str] = (),
    empty: str = "",
) -> str:
    """The text of the `AssertionError`: how many matched, what was asked, what there is.

    `held` is what the mailbox held when the last message was looked at, `matched` what of it
    matched; those before the index `since` were there before `expect()` was entered. `empty` is
    what an empty mailbox may mean.
    """
    count = counted(len(matched), "message")
    if matcher.described:
        count += f" match{'es' if len(matched) == 1 else ''} {matcher.described}"
    lines = [f"{count}; expected {expected}"]
    if held:
        before = f", the first {since} from before expect()" if since else ""
        notes, keep = _marks(matcher, held, matched, since)
        # Or it would look as if all that has no mark had matched
        near = ", the nearest marked" if len(matched) < len(notes) < len(held) else ""
        lines.append(f"{name} holds {counted(len(held), 'message')}{before}{near}:")
        lines += list_messages(held, notes, keep=keep)
    else:
        lines.append(f"{name} is empty{empty}")
    return "\n".join([*lines, *hints])


def _marks(
    matcher: Matcher, held: Sequence[Message], matched: Sequence[Message], since: int
) -> tuple[dict[int, str], list[int]]:
    """What matched, and what the nearest of the others fail; and which of these to show."""
    if not matcher.described:
        return {}, []
    matching = set(map(id, matched))
    notes = {i: "matches" for i, message in enumerate(held) if id(message) in matching}
    keep = list(notes)[:NEAREST]
    near: dict[int, dict[str, Criterion | None]] = {}
    for index in reversed(range(max(0, len(held) - SEARCHED), len(held))):
        if index in notes:
            continue
        misses = matcher.misses(held[index])
        if not misses:
            early = index < since
            # Not early and nothing else failed: it was asked, and `where` is what failed.
            where = matcher.miss_where(held[index], ask=early)
            why = "matches, but came before expect()" if early else "did not match when it came"
            misses[where or why] = None
        near[index] = misses
    fewest = min(map(len, near.values()), default=0)
    nearest_ones = [index for index, misses in near.items() if len(misses) == fewest]
    if len(nearest_ones) > NEAREST:
        nearest_ones.sort(key=lambda index: -_likeness(held[index], near[index]))
    for index in nearest_ones[:NEAREST]:
        notes[index] = "; ".join(near[index])
        keep.append(index)
    return notes, keep


def _likeness(message: Message, misses: Mapping[str, Criterion | None]) -> float:
    return sum(
        1.0 if criterion is None else criterion.likeness(message) for criterion in misses.values()
    )
