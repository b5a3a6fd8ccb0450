"""The results as pictures: rates beside the peers, and what reading a mailbox costs as it fills.

Rule: colours that can be told apart without seeing colour well, and a second sign beside each.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .figures import ratio
from .measures.growth import OPERATIONS, Growth, growth_curves
from .measures.throughput import Throughput
from .model import OURS, Outcome

# Okabe and Ito's palette
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "xxx")

BESIDE = ("aiosmtpd", "smtp-sink", "floor")

TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)

STYLE = {
    "font.size": 9,
    "svg.hashsalt": "benchmarks",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Writes what there is to show; says in a line what was written, or why nothing was."""
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
    except ImportError:
        return "no plots: matplotlib is not installed"
    matplotlib.use("svg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    written = []
    with matplotlib.rc_context(STYLE):
        rates = [o for o in outcomes if isinstance(o.row.measure, Throughput) and o.samples]
        if rates:
            _rates(pyplot, rates, folder / "throughput.svg")
            written.append("throughput.svg")
        for outcome in outcomes:
            if isinstance(outcome.row.measure, Growth) and outcome.samples.get(OURS):
                _growth(pyplot, outcome, folder / "growth.svg")
                written.append("growth.svg")
    return f"plots: {', '.join(written) or 'none of these rows has one'}"


def _save(pyplot: Any, figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    pyplot.close(figure)


def _rates(pyplot: Any, outcomes: Sequence[Outcome], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 0.62 * len(outcomes) + 1.2))
    height = 0.8 / len(BESIDE)
    for index, peer in enumerate(BESIDE):
        places, lengths, bounds = [], [], []
        for line, outcome in enumerate(outcomes):
            found = ratio(outcome.samples.get(OURS, []), outcome.samples.get(peer, []))
            if found is None:
                continue
            places.append(line + (index - (len(BESIDE) - 1) / 2) * height)
            lengths.append(found)
            bounds.append(
                [
                    target.at_least
                    for target in outcome.row.targets
                    if target.against == peer and target.figure == "value" and target.at_least
                ]
            )
        # From 1 on: to the right we are faster, to the left they are.
        axes.barh(
            places,
            [length - 1 for length in lengths],
            left=1,
            height=height * 0.9,
            color=COLOURS[index],
            hatch=HATCHES[index],
            edgecolor="white",
            linewidth=0.3,
            label=f"ours / {peer}",
        )
        for place, length, bound in zip(places, lengths, bounds, strict=True):
            for at in bound:
                axes.plot([at, at], [place - height / 2, place + height / 2], "k-", linewidth=1.4)
            axes.annotate(
                f"{length:.2f}" if length < 10 else f"{length:.0f}",
                # Beyond the mark of the target, if that is farther out
                (max(length, *bound, 1) if length >= 1 else min(length, *bound, 1), place),
                xytext=(3 if length >= 1 else -3, 0),
                textcoords="offset points",
                ha="left" if length >= 1 else "right",
                va="center",
                fontsize=6.5,
            )
    axes.plot([], [], "k-", linewidth=1.4, label="target")
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.grid(axis="x", linewidth=0.3)
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(outcomes)), [outcome.row.title for outcome in outcomes])
    axes.set_ylim(len(outcomes) - 0.5, -0.5)
    axes.set_xlabel("rate of ours as a multiple of theirs (logarithmic)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.3, 1.0), ncols=4, frameon=False)
    _save(pyplot, figure, path)


def _growth(pyplot: Any, outcome: Outcome, path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    curves = growth_curves(outcome)
    for index, (operation, curve) in enumerate(curves.items()):
        each = OPERATIONS[operation]
        axes.plot(
            list(curve),
            list(curve.values()),
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            linestyle="--" if each else "-",
            markersize=5,
            label=operation + (", for each message" if each else ""),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("messages stored")
    axes.set_ylabel("microseconds")
    axes.grid(linewidth=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    _save(pyplot, figure, path)
