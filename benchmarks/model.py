"""The terms of a benchmark: rows, contenders, samples and targets. It measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

OURS = "ours"


class MissingPeer(Exception):
    """A contender cannot be measured here; the text says what is missing."""


class BenchmarkError(Exception):
    """A figure would be worthless: mail was lost, or a process failed."""


@dataclass(frozen=True)
class Sample:
    """One measurement of one contender.

    `value` is in the row's unit; `cpu` is the processor time of the server in microseconds for one
    message (of a megabyte where the row counts megabytes). `extra` are other
    figures, for the JSON, for targets and for plots; `remark` is a sentence for the report.
    """

    value: float
    cpu: float | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Target:
    """What a row is to reach.

    `figure` is "value", "cpu" or the name of an extra; `against` a contender, "the best peer", or
    `None` for the figure of ours alone. Against somebody the ratio ours/theirs counts, taken in
    each round.
    """

    against: str | None
    at_least: float | None = None
    at_most: float | None = None
    figure: str = "value"


@dataclass(frozen=True)
class Scale:
    """How much is measured: `factor` 1 for a real run, less for a smoke run."""

    factor: float = 1.0
    install: bool = True  # whether peers may be installed (npm)

    @property
    def real(self) -> bool:
        return self.factor >= 1

    def count(self, full: int, least: int = 1) -> int:
        return max(least, round(full * self.factor))


@dataclass(frozen=True)
class Place:
    """What the rows of one run share: a folder, and a certificate where trustme is installed."""

    folder: Path
    certificate: Path | None = None
    authority: Path | None = None


Taker = Callable[[], Sample]


class Measure(Protocol):
    """How a row is measured. `prepare` does all that is not to be measured."""

    @property
    def contenders(self) -> tuple[str, ...]: ...

    def prepare(self, contender: str, scale: Scale, place: Place) -> AbstractContextManager[Taker]:
        """Raises `MissingPeer` where the contender cannot be had."""
        ...


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    title: str
    unit: str
    measure: Measure
    targets: tuple[Target, ...] = ()
    more_is_better: bool = False
    most_rounds: int | None = None  # for rows that take long
    note: str = ""


@dataclass
class Outcome:
    """What was measured for a row: a list per contender, `None` where a round was left out."""

    row: Row
    samples: dict[str, list[Sample | None]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    load_before: tuple[float, ...] | None = None
    seconds: float = 0.0  # that it took
