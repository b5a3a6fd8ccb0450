"""What a plugin costs a run that does not use it: its import, and a whole start of pytest.

Rule: fresh processes, and of starts the fastest, against the fastest with an empty plugin.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from ..model import OURS, MissingPeer, Place, Sample, Scale, Taker
from ..process import ended_children_cpu, run

DISTRIBUTIONS = {
    OURS: "pytest-smtpd-server",
    "smtpdfix": "smtpdfix",
    "pytest-localserver": "pytest-localserver",
}

_IMPORT = """
import importlib, sys, time
import pytest
start = time.perf_counter()
importlib.import_module(sys.argv[1])
print(time.perf_counter() - start)
"""


def plugin_of(contender: str) -> str:
    """The module that the contender's entry point names."""
    distribution = DISTRIBUTIONS[contender]
    try:
        points = metadata.distribution(distribution).entry_points
    except metadata.PackageNotFoundError:
        raise MissingPeer(f"{distribution} is not installed") from None
    (point,) = points.select(group="pytest11")
    return point.module


@dataclass(frozen=True)
class PluginImport:
    """Milliseconds to import the plugin once pytest is imported."""

    processes: int = 5
    contenders: tuple[str, ...] = tuple(DISTRIBUTIONS)

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        command = [sys.executable, "-c", _IMPORT, plugin_of(contender)]

        def once() -> float:
            return float(run(command, cwd=place.folder)) * 1000

        def take() -> Sample:
            return Sample(median(once() for _ in range(scale.count(self.processes))))

        if scale.real:
            once()  # compiles what is not yet
        yield take


@dataclass(frozen=True)
class PytestStart:
    """Milliseconds that the plugin adds to a whole run of pytest with one empty test."""

    pairs: int = 25
    contenders: tuple[str, ...] = tuple(DISTRIBUTIONS)

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        folder = place.folder / "start"
        write_suite(folder, "def test_nothing():\n    pass\n")
        # pytest looks through what is installed for whatever -p names: both starts do that
        (folder / "empty_plugin.py").write_text("")
        plugin = plugin_of(contender)

        def once(name: str) -> tuple[float, float | None]:
            """Wall and processor time."""
            used = ended_children_cpu()
            start = time.perf_counter()
            run_pytest(folder, "-p", name)
            taken = time.perf_counter() - start
            return taken, since(used, ended_children_cpu())

        def take() -> Sample:
            # A start takes 200 ms and varies by 10: what disturbs it only ever adds, so the
            # fastest ones are compared
            runs: dict[str, list[tuple[float, float | None]]] = {plugin: [], "empty_plugin": []}
            for number in range(scale.count(self.pairs)):
                for name in sorted(runs, reverse=bool(number % 2)):
                    runs[name].append(once(name))
            wall = [min(wall for wall, _ in each) for each in runs.values()]
            cpu = [least([used for _, used in each]) for each in runs.values()]
            more = since(cpu[1], cpu[0])
            return Sample((wall[0] - wall[1]) * 1000, None if more is None else more * 1e6)

        if scale.real:
            once(plugin)  # compiles what is not yet
        yield take


def least(used: Sequence[float | None]) -> float | None:
    known = [each for each in used if each is not None]
    return min(known) if known else None


def since(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def write_suite(folder: Path, test: str, conftest: str = "") -> None:
    """A suite of one file, with a configuration of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_it.py").write_text(test)


def run_pytest(folder: Path, *args: str) -> None:
    """A run with the plugins that `args` name and no others."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args, "test_it.py"]
    run(command, cwd=folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
