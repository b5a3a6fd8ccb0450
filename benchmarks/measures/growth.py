"""What reading a mailbox costs as it fills: the curve that must not rise.

Rule: what has to look at every message is judged by its cost for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..figures import typical
from ..model import OURS, Outcome, Place, Sample, Scale, Taker
from ..process import run_module

LEVELS = (10, 100, 1_000, 10_000, 50_000)
QUICK_LEVELS = (10, 50)

# Name -> whether it looks at every message and is judged by the cost for each of them. "receive" is
# one mail over a connection that is kept, "expect" the same inside `with messages.expect(...)`.
OPERATIONS = {
    "messages[-1]": False,
    "receive": False,
    "expect": False,
    "wait": True,
    "matching(sender)": True,
    "matching(subject)": True,
    "matching(subject), the first time": True,
}


def grows(operation: str) -> str:
    """The name of the figure that says how much more it costs when the mailbox is full."""
    return f"{operation}: cost when full / at {REFERENCE:,}"


# Below so many, what a call costs whatever it looks at is most of it.
REFERENCE = 1_000


@dataclass(frozen=True)
class Growth:
    """The value is that of the operation that grows most; all of them are among the extras."""

    @property
    def contenders(self) -> tuple[str, ...]:
        return (OURS,)

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        levels = LEVELS if scale.real else QUICK_LEVELS

        def take() -> Sample:
            taken: dict[str, dict[str, float]] = run_module(
                "benchmarks.measures.growth_child", *map(str, levels)
            )
            extra: dict[str, float] = {}
            factors = []
            for operation, costs in taken.items():
                curve = {int(level): cost for level, cost in costs.items()}
                extra |= {f"{operation} @ {level}": cost for level, cost in curve.items()}
                base = REFERENCE if REFERENCE in curve else min(curve)
                factors.append(curve[max(curve)] / curve[base])
                extra[grows(operation)] = factors[-1]
            return Sample(max(factors), extra=extra)

        yield take


def growth_curves(outcome: Outcome) -> dict[str, dict[int, float]]:
    """Operation -> messages stored -> microseconds, the median of the rounds."""
    samples = outcome.samples.get(OURS, [])
    curves: dict[str, dict[int, float]] = {}
    for operation in OPERATIONS:
        start = f"{operation} @ "
        names = [name for s in samples if s for name in s.extra if name.startswith(start)]
        curves[operation] = {
            int(name.removeprefix(start)): cost
            for name in dict.fromkeys(names)
            if (cost := typical(samples, name)) is not None
        }
    return curves
