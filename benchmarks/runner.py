"""Measures a row: all contenders made ready, then one after the other in every round.

Rule: interleaved, so that what disturbs the machine disturbs all; nothing missing is an error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack

from .model import OURS, BenchmarkError, MissingPeer, Outcome, Place, Row, Sample, Scale, Taker

# A peer that needs longer for one measurement takes part in so many rounds only.
SLOW = 3.0
SLOW_ROUNDS = 2


def measure(
    row: Row,
    *,
    rounds: int,
    scale: Scale,
    place: Place,
    progress: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """A contender that fails drops out of the row, and the outcome says why."""
    outcome = Outcome(row)
    begin = time.perf_counter()
    try:
        _measure(outcome, rounds, scale, place, progress)
    finally:
        outcome.seconds = time.perf_counter() - begin
    return outcome


def _measure(
    outcome: Outcome, rounds: int, scale: Scale, place: Place, progress: Callable[[str], None]
) -> None:
    row = outcome.row
    if hasattr(os, "getloadavg"):
        outcome.load_before = os.getloadavg()
    rounds = min(rounds, row.most_rounds or rounds)
    with ExitStack() as stack:
        ready: dict[str, Taker] = {}
        for contender in row.measure.contenders:
            progress(f"{row.key}: {contender} gets ready")
            try:
                ready[contender] = stack.enter_context(row.measure.prepare(contender, scale, place))
            except MissingPeer as missing:
                outcome.missing[contender] = str(missing)
            except BenchmarkError as error:
                outcome.failed[contender] = str(error)
        outcome.samples = {contender: [] for contender in ready}
        if OURS not in ready:
            return
        slow: set[str] = set()
        for number in range(rounds):
            names = list(ready)
            # Who comes after whom changes, too.
            shift = number % len(names)
            for contender in names[shift:] + names[:shift]:
                progress(f"{row.key}: round {number + 1} of {rounds}, {contender}")
                sample: Sample | None = None
                if contender not in slow or number < SLOW_ROUNDS:
                    start = time.perf_counter()
                    try:
                        sample = ready[contender]()
                    except (BenchmarkError, MissingPeer) as error:
                        lost = isinstance(error, BenchmarkError)
                        (outcome.failed if lost else outcome.missing)[contender] = str(error)
                        del ready[contender]
                    if contender != OURS and time.perf_counter() - start > SLOW:
                        slow.add(contender)
                outcome.samples[contender].append(sample)
            if OURS not in ready:
                break
