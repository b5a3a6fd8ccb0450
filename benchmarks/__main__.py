"""The command line: which rows, how many rounds, and where the results go."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import machine, plots, report
from .certificate import make_certificate
from .model import Outcome, Row, Scale
from .rows import ROWS
from .runner import measure

ROUNDS = 7
QUICK = Scale(factor=0.01, install=False)
OUTPUT = Path(__file__).with_name("results")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the package and its peers side by side, and writes what came out.",
    )
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="these rows (or their beginnings)")
    parser.add_argument("--rounds", type=int, help=f"rounds of each row (default {ROUNDS})")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: one round of very little"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the results")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    options.rows = _chosen(parser, options.only)
    return options


def _chosen(parser: argparse.ArgumentParser, only: Sequence[str] | None) -> list[Row]:
    if not only:
        return list(ROWS)
    for name in only:
        if not any(row.key.startswith(name) for row in ROWS):
            parser.error(f"no row {name!r}; --list shows them")
    return [row for row in ROWS if row.key.startswith(tuple(only))]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # ≥ and × on a Windows console
    if options.list:
        for row in options.rows:
            print(f"{row.key:20} {row.title}")
        return 0
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        place = make_certificate(Path(folder))
        for row in options.rows:
            scale = QUICK if options.quick else Scale()
            outcome = measure(
                row, rounds=options.rounds, scale=scale, place=place, progress=_progress
            )
            _progress("")
            outcomes.append(outcome)
            print(report.terminal(outcome), flush=True)
    about = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "rounds": options.rounds,
        "quick": options.quick,
        "machine": machine.describe(),
        "versions": machine.versions(),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.md").write_text(report.markdown(outcomes, about), "utf-8")
    (options.output / "results.json").write_text(report.as_json(outcomes, about), "utf-8")
    print(plots.draw(outcomes, options.output))
    for line in report.missing_lines(outcomes):
        print(f"missing: {line}")
    return _judge(outcomes)


def _judge(outcomes: Sequence[Outcome]) -> int:
    """Not for a missed target: for mail that was lost and processes that broke."""
    status = 0
    for outcome in outcomes:
        for contender, text in outcome.failed.items():
            print(f"FAILED: {outcome.row.key}, {contender}: {text}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
