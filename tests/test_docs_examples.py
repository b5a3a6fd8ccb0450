"""Every Python example of README.md and docs/ runs, so that none of them rots.

A block that defines tests is run by pytest, any other by Python. What stands in a comment right
before a block says more about it:

    <!-- example: conftest.py -->   the block is that file, for all blocks of its project
    <!-- example: new project -->   what follows shares no file with what stood before
    <!-- example: needs X, Y -->    skip the project where one of these cannot be imported
    <!-- example: fails with: X --> its tests fail, as the page says, and the output has X
    <!-- example: not run, X -->    the block is for the package X, which is not installed here

The blocks of a page are one project, one pytest run, unless the page starts a new one.

    <!-- example: step by step -->  the page is read as its reader does: each file is written where
                                    it stands, and each `$ pytest` in a console block is typed and
                                    prints the lines below it (`...` stands for what is left out)
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
IMPORTABLE = [ROOT / "examples", ROOT / "docs" / "_examples"]

_ITEM = re.compile(
    r"^<!--[ ]example:[ ](?P<marker>.+?)[ ]-->$"
    r"|^(?P<fence>```+)(?P<language>[\w{}-]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_DEFINES_TESTS = re.compile(r"^(async )?def test_|^class Test", re.MULTILINE)
_FAILS = "fails with: "
_NEEDS = "needs "
_NOT_RUN = "not run, "
_STEPS = "step by step"
_SECONDS = re.compile(r"\d+\.\d{2,}")


@dataclass
class Project:
    """The blocks of a page that are run together."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tests or self.failing or self.scripts)


def read_projects(page: Path) -> list[Project]:
    """The projects of `page`; a block's file is named by its line: a failure leads there."""
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT).as_posix()
    projects = [Project(name)]
    marker = ""
    for match in _ITEM.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["marker"]:
            assert not marker, f"{name}:{line}: the marker before belongs to no block"
            marker = match["marker"]
            if marker == _STEPS:
                return []
            if marker == "new project":
                projects.append(Project(f"{name}:{line}"))
                marker = ""
            elif marker.startswith(_NEEDS):
                projects[-1].needs += marker.removeprefix(_NEEDS).split(", ")
                marker = ""
            continue
        project, block = projects[-1], match["text"]
        if marker.startswith(_NOT_RUN):
            marker = ""
            continue
        if marker and not marker.startswith(_FAILS):
            project.files[marker] = block
        elif match["language"] == "python":
            if not _DEFINES_TESTS.search(block):
                project.scripts[f"script_line_{line}.py"] = block
            elif marker:
                project.failing[f"test_line_{line}.py"] = block
                project.failures.append(marker.removeprefix(_FAILS))
            else:
                project.tests[f"test_line_{line}.py"] = block
        else:
            assert not marker, f"{name}:{line}: a marker before a block that is not run"
        marker = ""
    return [project for project in projects if project]


PROJECTS = [project for page in PAGES for project in read_projects(page)]
STEPS = [page for page in PAGES if f"<!-- example: {_STEPS} -->" in page.read_text("utf-8")]


@pytest.mark.parametrize("project", PROJECTS, ids=[project.name for project in PROJECTS])
def test_the_examples_run(
    project: Project, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = [module for module in project.needs if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    for name, text in {**project.files, **project.tests, **project.failing}.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    search = os.pathsep.join([str(pytester.path), *map(str, IMPORTABLE)])
    monkeypatch.setenv("PYTHONPATH", search)
    if project.tests:
        run = pytester.runpytest_subprocess(*_ARGUMENTS, *project.tests)
        assert run.ret == pytest.ExitCode.OK, project.name
        assert set(run.parseoutcomes()) == {"passed"}, project.name
    if project.failing:
        run = pytester.runpytest_subprocess(*_ARGUMENTS, *project.failing)
        assert run.ret == pytest.ExitCode.TESTS_FAILED, project.name
        assert set(run.parseoutcomes()) <= {"failed", "errors"}, project.name
        for text in project.failures:
            assert text in run.stdout.str(), project.name
    for name, text in project.scripts.items():
        (pytester.path / name).write_text(text, "utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "dev", name],
            cwd=pytester.path,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{project.name}, {name}"


_PLAIN = (
    *("-W", "ignore:The configuration option"),  # pytest-asyncio's, on a project without one
    *("-p", "no:cacheprovider"),
    *("-p", "no:randomly"),
    "--strict-markers",
)
_ARGUMENTS = ("-W", "error", *_PLAIN)


@pytest.mark.parametrize("page", STEPS, ids=lambda page: page.name)
def test_the_steps_lead_where_the_page_says(page: Path, pytester: pytest.Pytester) -> None:
    file, typed = "", 0
    for match in _ITEM.finditer(page.read_text("utf-8")):
        if match["marker"]:
            file = match["marker"].removeprefix(_STEPS)
        elif file:
            (pytester.path / file).write_text(match["text"], "utf-8")
            file = ""
        elif match["language"] != "console":
            raise AssertionError(f"no file is named for {match['text']!r}")
        elif match["text"].startswith("$ pytest"):
            command, *shown = match["text"].splitlines()
            run = pytester.runpytest_subprocess(*_PLAIN, *shlex.split(command)[2:])
            said = iter(run.outlines)
            for line in shown:
                assert any(_is_shown(line, each) for each in said), (typed, line)
            typed += 1
    assert typed >= 5


def _is_shown(shown: str, said: str) -> bool:
    """Whether that line is the one of the page, but for seconds and the case of smtplib's verbs."""
    parts = [re.escape(part) for part in _SECONDS.sub("0.00", shown).rstrip().split("...")]
    said = _SECONDS.sub("0.00", said).rstrip()
    return re.fullmatch(".*".join(parts), said, re.IGNORECASE) is not None


def test_there_are_examples() -> None:
    """A changed fence or marker must not silently leave the pages unread."""
    pages = {project.name.partition(":")[0] for project in PROJECTS}
    assert {"README.md", "docs/quickstart.md", "docs/faults.md"} <= pages
    assert sum(len(project.tests) for project in PROJECTS) >= 30
    assert [page.name for page in STEPS] == ["tutorial.md"]


def test_the_quickstart_shows_the_application_of_all_examples() -> None:
    application = (ROOT / "docs" / "_examples" / "app.py").read_text(encoding="utf-8")
    assert application in (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
