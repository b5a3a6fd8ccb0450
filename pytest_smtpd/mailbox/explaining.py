"""Texts about messages: one line for each, and why `one()` or `wait()` has failed.

Rule: explaining never raises, and never calls a `where` a second time for the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..patterns import compile_glob, describe_pattern
from ..text import counted, escaped, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..message.message import Message
    from .matching import Criterion, Matcher
    from .waiting import Watch

LISTED = 20  # messages in a list; of more the middle is left out
SEARCHED = 200  # the newest messages: near misses are found by parsing each of them
NEAREST = 3  # near misses that are marked


def list_messages(
    messages: Sequence[Message],
    notes: Mapping[int, str] | None = None,
    *,
    keep: Iterable[int] = (),
    limit: int = LISTED,
) -> list[str]:
    """A line for each message, with its index and note; beyond `limit` the middle is left out.

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
        lines.append(f"  [{index}] {_line(messages[index])}{note}")
    return lines


def _line(message: Message) -> str:
    """Id, sender -> recipients, subject: nothing in it can end the line."""

    def hidden(text: str) -> str:  # before it is escaped or shortened
        return text if message.session is None else message.session.hide(text)

    recipients = [short(escaped(hidden(address))) for address in message.recipients]
    if len(recipients) > 5:
        recipients[3:] = [f"and {len(recipients) - 3} more"]
    sender = short(escaped(hidden(message.sender))) or "<>"
    subject = short(repr(hidden(message.subject)), 78)
    return f"{message.id}  {sender} -> {', '.join(recipients)}  {subject}"


def explain(name: str, watch: Watch, expected: str, empty: str = "") -> list[str]:
    """The text of the `AssertionError`: matches, criteria, and the messages in the mailbox.

    `empty` explains an empty mailbox.
    """
    matcher, matched = watch.matcher, watch.matched
    # The messages that were looked at, and how many of them came before `expect()` was entered
    held, before = watch.seen()
    count = counted(len(matched), "message")
    if matcher.asked:
        asked = ", ".join(f"{each}={_described(value)}" for each, value in matcher.asked.items())
        count += f" match{'es' if len(matched) == 1 else ''} {asked}"
    lines = [f"{count}; expected {expected}"]
    if held:
        early = f", the first {before} from before expect()" if before else ""
        notes, keep = _marks(matcher, held, matched, before)
        # Without this, the messages without a mark would seem to match
        near = ", the nearest marked" if len(matched) < len(notes) < len(held) else ""
        lines.append(f"{name} holds {counted(len(held), 'message')}{early}{near}:")
        lines += list_messages(held, notes, keep=keep)
    else:
        lines.append(f"{name} is empty{empty}")
    return lines


def _described(value: object) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name!r}: {describe_pattern(v)}" for name, v in value.items())
        return f"{{{inner}}}"
    return describe_pattern(value)


def _marks(
    matcher: Matcher, held: Sequence[Message], matched: Sequence[Message], before: int
) -> tuple[dict[int, str], list[int]]:
    """Notes for the matches and for the nearest other messages, and the indexes to show."""
    if not matcher.asked:
        return {}, []
    matching = set(map(id, matched))
    notes = {i: "matches" for i, message in enumerate(held) if id(message) in matching}
    keep = list(notes)[:NEAREST]
    newest = reversed(range(max(0, len(held) - SEARCHED), len(held)))
    others = [index for index in newest if index not in notes]
    near = {index: _misses(matcher, held[index], early=index < before) for index in others}
    fewest = min(map(len, near.values()), default=0)
    nearest_ones = [index for index, misses in near.items() if len(misses) == fewest]
    if len(nearest_ones) > NEAREST:
        nearest_ones.sort(key=lambda index: -_likeness(held[index], near[index]))
    marked = nearest_ones[:NEAREST]
    return notes | {index: "; ".join(near[index]) for index in marked}, keep + marked


def _misses(matcher: Matcher, message: Message, *, early: bool) -> dict[str, Criterion | None]:
    """How a message fails the criteria, in words; `early` if it came before `expect()`."""
    misses: dict[str, Criterion | None] = {
        miss: criterion
        for criterion in matcher.compiled
        if (miss := _miss(criterion, message)) is not None
    }
    if not misses:
        # An early message was not compared. Any other has failed `where`, if there is one.
        where = _miss_where(matcher, message, call=early)
        why = "matches, but came before expect()" if early else "did not match when it came"
        misses[where or why] = None
    return misses


def _miss(criterion: Criterion, message: Message) -> str | None:
    """How the message fails this criterion, in words, or None."""
    label, pattern = criterion.label, criterion.pattern
    try:
        if criterion.holds(message):
            return None
        values = criterion.values(message)
    except Exception as error:
        return f"{label}: {type(error).__name__}: {short(str(error))}"
    if not values:
        return f"{label}: absent"
    found = ", ".join(map(_quoted, values[:NEAREST]))
    if len(values) > NEAREST:
        found += f" and {len(values) - NEAREST} more"
    if pattern is None:
        return f"{label}: {found} should not be there"
    verb = "contain" if label == "text" and isinstance(pattern, str) else "match"
    asked = short(describe_pattern(pattern)) + _part_of(values, pattern)
    if len(values) == 1:
        return f"{label}: {found} does not {verb} {asked}"
    return f"{label}: none of {found} {verb}{'s' if verb == 'contain' else 'es'} {asked}"


def _part_of(values: Sequence[str], pattern: object) -> str:
    """The glob that would match, if the test has asked for a part of a value."""
    part = pattern.strip("*") if isinstance(pattern, str) else ""
    if not part or not any(map(compile_glob(part, anywhere=True), values)):
        return ""
    return f" (a str is a glob over the whole value: {_quoted(f'*{part}*')} would match)"


def _miss_where(matcher: Matcher, message: Message, *, call: bool) -> str | None:
    """How a message fails `where`, or None; without `call` it is known to have failed."""
    if matcher.where is None:
        return None
    try:
        if call and matcher.where(message):
            return None
    except Exception as error:
        return f"where: {type(error).__name__}: {short(str(error))}"
    return f"where: {describe_pattern(matcher.where)} returned false"


def _likeness(message: Message, misses: Mapping[str, Criterion | None]) -> float:
    """How much the message resembles what was asked: a high number hints at a typing error."""
    from difflib import SequenceMatcher

    likeness = 0.0
    for criterion in misses.values():
        if criterion is None:
            likeness += 1.0
        elif isinstance(criterion.pattern, str):
            asked = criterion.pattern[:100].casefold()
            values = [value[:100].casefold() for value in criterion.values(message)[:LISTED]]
            ratios = (SequenceMatcher(None, asked, value).ratio() for value in values)
            likeness += max(ratios, default=0.0)
    return likeness


def _quoted(value: str) -> str:
    return short(repr(short(value, 200)))
