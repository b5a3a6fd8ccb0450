"""The list of a server's faults, with their counters; finds the faults that act on a command."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import overload

from ..faults import Drop, Fault, Throttle


class _Entry:
    """A place in the list: a fault and its counters."""

    def __init__(self, fault: object) -> None:
        __tracebackhide__ = True
        if not isinstance(fault, Fault):
            raise TypeError(
                f"{fault!r} is no fault: one such as pytest_smtpd.faults.Drop(on='rcpt') is wanted"
            )
        self.fault = fault
        self.hits = 0
        self._matches = fault.matcher()
        self._chances: Counter[object] = Counter()
        self._hits: Counter[object] = Counter()
        self._throttled: dict[object, bool] = {}

    def matching(self, subjects: Sequence[str]) -> Sequence[str] | None:
        """The subjects that the fault's `match` matches; None if it matches none."""
        if self._matches is None:
            return subjects
        return [subject for subject in subjects if self._matches(subject)] or None

    def hit(self, subjects: Sequence[str], session: object, dice: random.Random) -> bool:
        """Counts a matching event with these subjects; returns whether the fault acts."""
        fault = self.fault
        keys: Sequence[object] = (None,)
        if fault.per == "session":
            keys = (session,)
        elif fault.per == "recipient":
            keys = [subject.casefold() for subject in subjects]
        due = []
        for key in keys:
            self._chances[key] += 1
            spent = fault.times is not None and self._hits[key] >= fault.times
            if self._chances[key] > fault.skip and not spent:
                due.append(key)
        if not due or (fault.probability < 1 and dice.random() >= fault.probability):
            return False
        self._hits.update(due)
        self.hits += 1
        return True

    def throttles(self, peer: str, session: object, dice: random.Random) -> bool:
        """Whether the fault slows this session down, decided once for each session."""
        if session not in self._throttled:
            subjects = self.matching((peer,))
            self._throttled[session] = subjects is not None and self.hit(subjects, session, dice)
        return self._throttled[session]


class FaultList(MutableSequence[Fault]):
    """The live faults of one server, in the order in which they act.

    With a reentrant `lock` it is thread-safe. Raises `TypeError` for an entry that is no fault.
    """

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        lock: AbstractContextManager[object] = nullcontext(),  # noqa: B008
    ) -> None:
        self._lock = lock
        self._entries: list[_Entry] = []  # always the same list
        self._seed: str | None = None
        self._made_dice: random.Random | None = None
        self.extend(faults)

    @property
    def live(self) -> Sequence[object]:
        """Empty if there is no fault. It is always the same object, and fast to check."""
        return self._entries

    def seed(self, seed: str) -> None:
        """Restarts the random generator for faults with a probability."""
        with self._lock:
            self._seed, self._made_dice = seed, None

    @property
    def _dice(self) -> random.Random:
        # made when first needed: it costs 35 us, each test has a seed, and few tests have faults
        if self._made_dice is None:
            self._made_dice = random.Random(self._seed)
        return self._made_dice

    def replace(self, faults: Iterable[Fault]) -> None:
        """Replaces all faults; the counters start at zero."""
        __tracebackhide__ = True
        if isinstance(faults, Fault):
            name = type(faults).__name__
            raise TypeError(f"{name}(...) stands alone: a list of faults, [{name}(...)], is wanted")
        entries = [_Entry(fault) for fault in faults]
        with self._lock:
            self._entries[:] = entries

    def hits(self, fault: Fault) -> int:
        """How often this fault has acted, in all its places in the list."""
        with self._lock:
            same = [entry for entry in self._entries if entry.fault is fault]
            equal = [entry for entry in self._entries if entry.fault == fault]
            return sum(entry.hits for entry in same or equal)

    def acting(self, stage: str, subjects: Sequence[str], session: object) -> list[Fault]:
        """The faults that act on this command: first altering faults, then one that decides."""
        acting: list[Fault] = []
        for entry in self._at(stage):
            matching = entry.matching(subjects)  # without the lock: may run the test's code
            if matching is None:
                continue
            with self._lock:
                if entry in self._entries and entry.hit(matching, session, self._dice):
                    acting.append(entry.fault)
                    if entry.fault.decides:
                        break
        return acting

    def asks_the_test(self, stage: str) -> bool:
        """Whether `acting` calls a callable of the test, and so may take long."""
        return any(callable(entry.fault.match) for entry in self._at(stage))

    def _at(self, stage: str) -> list[_Entry]:
        with self._lock:
            return [
                entry
                for entry in self._entries
                if entry.fault.on == stage
                and not isinstance(entry.fault, Throttle)
                and not _is_inside(entry.fault)
            ]

    def inside_message(
        self, octets: int, before: int, recipients: Sequence[str], session: object
    ) -> Drop | None:
        """The `Drop` that acts when a message grows from `before` to `octets` octets."""
        with self._lock:
            for entry in self._entries:
                fault = entry.fault
                if isinstance(fault, Drop) and fault.after is not None:
                    due = before < fault.after <= octets
                    matching = entry.matching(recipients) if due else None
                    if matching is not None and entry.hit(matching, session, self._dice):
                        return fault
        return None

    def throttle(self, peer: str, session: object) -> float | None:
        """The octets a second that may be read from this session; None is no limit."""
        with self._lock:
            rates = [
                entry.fault.octets_per_second
                for entry in self._entries
                if isinstance(entry.fault, Throttle) and entry.throttles(peer, session, self._dice)
            ]
        return min(rates, default=None)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Fault: ...
    @overload
    def __getitem__(self, index: slice) -> list[Fault]: ...
    def __getitem__(self, index: int | slice) -> Fault | list[Fault]:
        with self._lock:
            if isinstance(index, slice):
                return [entry.fault for entry in self._entries[index]]
            return self._entries[index].fault

    @overload
    def __setitem__(self, index: int, value: Fault) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Fault]) -> None: ...
    def __setitem__(self, index: int | slice, value: Fault | Iterable[Fault]) -> None:
        with self._lock:
            if isinstance(index, slice):
                if isinstance(value, Fault):
                    raise TypeError(f"a list of faults is wanted, not {value!r} alone")
                self._entries[index] = [_Entry(fault) for fault in value]
            else:
                self._entries[index] = _Entry(value)

    def __delitem__(self, index: int | slice) -> None:
        with self._lock:
            del self._entries[index]

    def remove(self, value: Fault) -> None:
        """Removes the identical fault, or otherwise the first equal one."""
        with self._lock:
            faults = [entry.fault for entry in self._entries]
            places = [n for n, fault in enumerate(faults) if fault is value]
            del self._entries[places[0] if places else faults.index(value)]

    def insert(self, index: int, value: Fault) -> None:
        """Inserts a fault before that index, its counters at zero."""
        with self._lock:
            self._entries.insert(index, _Entry(value))

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter([entry.fault for entry in self._entries])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, str):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def _is_inside(fault: Fault) -> bool:
    return isinstance(fault, Drop) and fault.after is not None
