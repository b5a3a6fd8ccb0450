"""What a plugin costs a run that does not use it: its import, and a whole start of pytest.

Rule: fresh processes, and of runs the faster half, against that with an empty plugin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import fmean, median

from ..model import OURS, MissingPeer, Place, Sample, Scale, Taker
from ..process import run

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


# A whole process takes 200 ms and varies by 40, in which what a plugin adds would drown. So the
# clock starts when pytest is imported, which is the same with any plugin, and stops with its run.
_RUN = """
import sys, time
import pytest
start, used = time.perf_counter(), time.process_time()
pytest.main(["-q", "-p", "no:cacheprovider", "-p", sys.argv[1], "test_it.py"])
print(time.perf_counter() - start, time.process_time() - used)
"""


@dataclass(frozen=True)
class PytestStart:
    """Milliseconds that the plugin adds to a run of pytest with one empty test."""

    pairs: int = 30
    contenders: tuple[str, ...] = tuple(DISTRIBUTIONS)

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        folder = place.folder / "start"
        write_suite(folder, "def test_nothing():\n    pass\n")
        # pytest looks through what is installed for whatever -p names: both runs do that
        (folder / "empty_plugin.py").write_text("")
        plugin = plugin_of(contender)

        def once(name: str) -> tuple[float, ...]:
            """Wall and processor time."""
            command = [sys.executable, "-c", _RUN, name]
            said = run(command, cwd=folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONHASHSEED="0")
            return tuple(float(word) for word in said.split()[-2:])

        def take() -> Sample:
            runs: dict[str, list[tuple[float, ...]]] = {plugin: [], "empty_plugin": []}
            for number in range(scale.count(self.pairs)):
                for name in sorted(runs, reverse=bool(number % 2)):
                    runs[name].append(once(name))
            wall, used = (
                faster_half(runs[plugin], which) - faster_half(runs["empty_plugin"], which)
                for which in (0, 1)
            )
            return Sample(wall * 1000, used * 1e6)

        if scale.real:
            once(plugin)  # compiles what is not yet
        yield take


def faster_half(runs: Sequence[tuple[float, ...]], which: int) -> float:
    """What disturbs a run only ever adds."""
    taken = sorted(each[which] for each in runs)
    return fmean(taken[: (len(taken) + 1) // 2])


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
