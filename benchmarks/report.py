"""What was measured, as text: the table on the terminal, results.md and results.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .figures import Verdict, judge, ratio, spread, typical
from .measures.growth import OPERATIONS, Growth, growth_curves
from .model import OURS, Outcome, Row, Target
from .rows import PEERS

Table = Sequence[Sequence[str]]


def number(value: float | None) -> str:
    """With three significant digits; large ones in full."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def wording(target: Target, row: Row) -> str:
    """A target as the table says it."""
    least, most = target.at_least, target.at_most
    bound = f"≥ {number(least)}" if least is not None else f"≤ {number(most)}"
    what = "" if target.figure == "value" else " in processor time"
    if target.figure not in ("value", "cpu"):
        return f"{target.figure} {bound}"
    if target.against is None:
        return f"{bound} {row.unit}{what}"
    return f"{bound} × {target.against}{what}"


def reached(verdict: Verdict) -> str:
    if verdict.reached is None:
        return "not measured"
    shown = number(verdict.reached) if verdict.against is None else f"{verdict.reached:.2f} ×"
    if verdict.target.against and verdict.against != verdict.target.against:
        shown += f" ({str(verdict.against).rpartition(', ')[2]})"
    return f"{shown}, {'met' if verdict.met else '**missed**'}"


def verdicts(outcome: Outcome) -> list[Verdict]:
    return [judge(outcome, target, PEERS) for target in outcome.row.targets]


def table(outcome: Outcome) -> list[list[str]]:
    """Head and a line for each contender of a row; columns that nobody fills are left out."""
    lines = [heads(outcome.row), *_lines(outcome)]
    keep = [
        index
        for index, column in enumerate(zip(*lines, strict=True))
        if index < 2 or any(cell not in ("", "–") for cell in column[1:])
    ]
    return [[line[index] for index in keep] for line in lines]


def _lines(outcome: Outcome) -> Iterator[list[str]]:
    row = outcome.row
    ours = outcome.samples.get(OURS, [])
    for contender in row.measure.contenders:
        if contender in outcome.failed:
            yield [contender, f"**failed**: {outcome.failed[contender]}", "", "", "", "", ""]
            continue
        if contender in outcome.missing:
            yield [contender, f"missing: {outcome.missing[contender]}", "", "", "", "", ""]
            continue
        samples = outcome.samples.get(contender, [])
        part = spread(samples)
        yield [
            contender,
            number(typical(samples)),
            "–" if part is None else f"{part:.0%}",
            number(typical(samples, "cpu")),
            "" if contender == OURS else times(ratio(ours, samples)),
            "" if contender == OURS else times(ratio(ours, samples, "cpu")),
            str(sum(sample is not None for sample in samples)),
        ]


def remarks(outcome: Outcome) -> list[str]:
    """Sentences about a row: its note, and what the measuring met with."""
    said = {s.remark: None for samples in outcome.samples.values() for s in samples if s}
    return [text for text in (outcome.row.note, *said) if text]


def heads(row: Row) -> list[str]:
    per = {"MB/s": " a MB", "messages/s": " a message"}.get(row.unit, "")
    return [
        "",
        row.unit,
        "spread",
        f"processor µs{per}",
        "ours/theirs",
        "ours/theirs, processor",
        "rounds",
    ]


def grid(lines: Table) -> str:
    """Columns for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    # A text that says why there is no figure does not widen its column.
    if len(widths) > 1:
        widths[1] = max(len(line[1]) for line in lines if len(line[1]) < 24)
    shown = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown)


def terminal(outcome: Outcome) -> str:
    """What is printed when a row is done."""
    row = outcome.row
    load = ""
    if outcome.load_before is not None:
        load = f", load before {outcome.load_before[0]:.2f}"
    load += f", {outcome.seconds:.0f} s"
    parts = [f"{row.key}: {row.title}{load}", grid(table(outcome))]
    if isinstance(row.measure, Growth):
        parts += [grid(growth_table(outcome))]
    parts += [
        f"  {wording(verdict.target, row)}: {reached(verdict).replace('**', '')}"
        for verdict in verdicts(outcome)
    ]
    parts += [f"  {text}" for text in remarks(outcome)]
    return "\n".join(parts).replace("**", "") + "\n"


def pipes(lines: Table) -> str:
    """A table in Markdown; the first line is its head."""
    head, *rest = lines
    align = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, align, *rest))


def target_table(outcomes: Sequence[Outcome]) -> str:
    lines = [["row", "target", "reached"]]
    for outcome in outcomes:
        for verdict in verdicts(outcome):
            lines.append(
                [outcome.row.title, wording(verdict.target, outcome.row), reached(verdict)]
            )
    return pipes(lines)


def growth_table(outcome: Outcome) -> list[list[str]]:
    """A line for each operation, a column for each number of messages."""
    curves = growth_curves(outcome)
    levels = sorted({level for curve in curves.values() for level in curve})
    lines = [["", *(f"{level:,}" for level in levels)]]
    for operation, curve in curves.items():
        name = operation + (", for each message" if OPERATIONS[operation] else "")
        lines.append([name, *(number(curve.get(level)) for level in levels)])
    return lines


def missing_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """What was missing, each once."""
    return list(dict.fromkeys(text for o in outcomes for text in o.missing.values()))


def markdown(outcomes: Sequence[Outcome], about: Mapping[str, Any]) -> str:
    machine, versions = about["machine"], about["versions"]
    parts = [
        "# Benchmarks",
        f"{about['date']}; {machine['system']}, {machine['architecture']}, {machine['processor']},"
        f" {machine['cores']} cores; {machine['python']}, {machine['openssl']};"
        f" rounds: {about['rounds']}."
        + (" A smoke run: its figures say nothing." if about["quick"] else ""),
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "Medians over the rounds, in each of which all were measured one after the other. Ratios"
        " are ours/theirs within a round, and then the median. The spread is the distance between"
        " the quartiles as a part of the median.",
        "## Targets",
        target_table(outcomes),
        "## Figures",
    ]
    for outcome in outcomes:
        parts += [f"### {outcome.row.title}"]
        said = remarks(outcome)
        if said:
            parts += [" ".join(said)]
        parts += [pipes(table(outcome))]
        if isinstance(outcome.row.measure, Growth):
            parts += ["Microseconds, by the number of messages stored:"]
            parts += [pipes(growth_table(outcome))]
    missing = missing_lines(outcomes)
    if missing:
        parts += ["## Missing", "\n".join(f"- {line}" for line in missing)]
    return "\n\n".join(parts) + "\n"


def as_json(outcomes: Sequence[Outcome], about: Mapping[str, Any]) -> str:
    rows = []
    for outcome in outcomes:
        row = outcome.row
        rows.append(
            {
                "key": row.key,
                "title": row.title,
                "unit": row.unit,
                "more_is_better": row.more_is_better,
                "load_before": outcome.load_before,
                "seconds": outcome.seconds,
                "samples": {
                    name: [None if s is None else dataclasses.asdict(s) for s in samples]
                    for name, samples in outcome.samples.items()
                },
                "medians": {
                    name: {"value": typical(samples), "cpu": typical(samples, "cpu")}
                    for name, samples in outcome.samples.items()
                },
                "targets": [
                    {
                        "wording": wording(v.target, row),
                        "against": v.against,
                        "figure": v.target.figure,
                        "at_least": v.target.at_least,
                        "at_most": v.target.at_most,
                        "reached": v.reached,
                        "met": v.met,
                    }
                    for v in verdicts(outcome)
                ],
                "missing": outcome.missing,
                "failed": outcome.failed,
            }
        )
    return json.dumps({**about, "rows": rows}, indent=1, ensure_ascii=False) + "\n"
