"""Medians, ratios and verdicts. Pure. Rule: a ratio is taken within a round, then the median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from .model import OURS, Outcome, Sample, Target

BEST_PEER = "the best peer"


def figure(sample: Sample | None, name: str) -> float | None:
    if sample is None:
        return None
    if name == "value":
        return sample.value
    return sample.cpu if name == "cpu" else sample.extra.get(name)


def typical(samples: Sequence[Sample | None], name: str = "value") -> float | None:
    """The median; `None` where nothing was measured."""
    values = [v for s in samples if (v := figure(s, name)) is not None]
    return median(values) if values else None


def spread(samples: Sequence[Sample | None], name: str = "value") -> float | None:
    """The distance between the quartiles as a part of the median."""
    values = [v for s in samples if (v := figure(s, name)) is not None]
    if len(values) < 3 or not median(values):
        return None
    low, _, high = quantiles(values, n=4, method="inclusive")
    return abs((high - low) / median(values))


def ratio(
    ours: Sequence[Sample | None], theirs: Sequence[Sample | None], name: str = "value"
) -> float | None:
    """The median of ours/theirs over the rounds that both took part in."""
    pairs = zip(ours, theirs, strict=False)
    found = [
        a / b
        for mine, other in pairs
        if (a := figure(mine, name)) is not None and (b := figure(other, name))
    ]
    return median(found) if found else None


def best_peer(outcome: Outcome, peers: Sequence[str], name: str = "value") -> str | None:
    """The peer with the best median."""
    medians = {
        peer: value
        for peer in peers
        if (value := typical(outcome.samples.get(peer, ()), name)) is not None
    }
    if not medians:
        return None
    choose = max if outcome.row.more_is_better and name == "value" else min
    return choose(medians, key=lambda peer: medians[peer])


@dataclass(frozen=True)
class Verdict:
    """A target beside what was reached; `reached` is `None` where that could not be measured."""

    target: Target
    against: str | None
    reached: float | None

    @property
    def met(self) -> bool | None:
        if self.reached is None:
            return None
        low, high = self.target.at_least, self.target.at_most
        return (low is None or self.reached >= low) and (high is None or self.reached <= high)


def judge(outcome: Outcome, target: Target, peers: Sequence[str]) -> Verdict:
    ours = outcome.samples.get(OURS, [])
    against = target.against
    if against is None:
        return Verdict(target, None, typical(ours, target.figure))
    if against == BEST_PEER:
        best = best_peer(outcome, peers, target.figure)
        if best is None:
            return Verdict(target, against, None)
        reached = ratio(ours, outcome.samples[best], target.figure)
        return Verdict(target, f"{against}, {best}", reached)
    return Verdict(target, against, ratio(ours, outcome.samples.get(against, []), target.figure))
