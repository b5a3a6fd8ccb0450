"""docs/errors.md shows what is really said: each example on it runs, and says the text below it.

A `text` block ends an example, which is all code blocks since the one before:

    py      test_mail.py, which pytest runs; where it defines no test, a script that raises
    ini     pytest.ini
    shell   the command, if it is more than `pytest`

A comment right before a block, or for the example as a whole:

    <!-- error: X.py -->       this py block is that file
    <!-- error: installed X -->  this py block is the plugin X of an installed distribution
    <!-- error: without X -->  the module X cannot be imported
    <!-- error: needs X -->    skipped where X is not installed, or on another platform than X
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

from inner_run import run

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
HOME = "/home/ann/shop"  # where the page's reader is

_ITEM = re.compile(
    r"^<!--[ ]error:[ ](?P<comment>.+?)[ ]-->$"
    r"|^(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_WITHOUT = "import sys\n\nsys.modules[{0!r}] = None\n"
# What is another in each run, and what the page has for it
_CHANGING = (
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:40001"),
    (re.compile(r"\b[0-9A-F]{6}(\d{4})\b"), r"A1B2C3\1"),  # ids of messages
    (re.compile(r"\[Errno -?\d+\] "), ""),
    (re.compile(r"\brcpt to:"), "rcpt TO:"),  # smtplib's, from Python 3.13
    (re.compile(r" \(_ssl\.c:\d+\)"), ""),  # a line of CPython's source
)


@dataclass
class Example:
    """Some code, and the lines that it is said to lead to."""

    line: int
    files: dict[str, str] = field(default_factory=dict)
    script: str = ""
    command: str = "pytest"
    needs: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def read_examples(page: str) -> list[Example]:
    examples, comment = [], ""
    example = Example(0)
    for match in _ITEM.finditer(page):
        text, language = match["text"], match["language"]
        if match["comment"]:
            what, _, name = match["comment"].partition(" ")
            if what == "needs":
                example.needs.append(name)
            elif what == "installed":
                info, comment = f"{name}-1.0.dist-info", f"{name}.py"
                example.files[f"{info}/METADATA"] = f"Name: {name}\nVersion: 1.0\n"
                example.files[f"{info}/entry_points.txt"] = f"[pytest11]\n{name} = {name}\n"
            elif what == "without":
                example.files["conftest.py"] = _WITHOUT.format(name)
            else:
                comment = what
            continue
        if language == "py" and (comment or re.search(r"^(?:async )?def test_", text, re.M)):
            example.files[comment or "test_mail.py"] = text
        elif language == "py":
            example.script = text
        elif language == "ini":
            example.files["pytest.ini"] = text
        elif language == "shell":
            example.command = text.strip()
        else:
            assert language == "text", f"a block of {language!r} is not run"
            example.said = text.splitlines()
            example.line = page.count("\n", 0, match.start()) + 1
            examples.append(example)
            example = Example(0)
        comment = ""
    assert example == Example(0), "there is no text below the last example"
    return examples


EXAMPLES = read_examples(PAGE.read_text("utf-8"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"line_{each.line}" for each in EXAMPLES])
def test_it_is_said(
    example: Example, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in example.needs:
        if name != sys.platform and importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    monkeypatch.setenv("COLUMNS", "1000")
    program, *arguments = shlex.split(example.command)
    if example.script:
        said = _said_by(pytester, ["-c", example.script])
    elif program == "pytest":
        said = _said_by_pytest(pytester, example, arguments)
    else:
        said = _said_by(pytester, arguments)
    _assert_said(example.said, [_page_like(line, pytester.path) for line in said])


def _said_by_pytest(pytester: pytest.Pytester, example: Example, arguments: list[str]) -> list[str]:
    for name, text in {"test_mail.py": "def test_mail(smtpd): ...\n", **example.files}.items():
        (pytester.path / name).parent.mkdir(exist_ok=True)
        (pytester.path / name).write_text(text, "utf-8")
    plugins = ("xdist",) if "-n" in arguments else ()
    apps = (ROOT / "docs" / "_examples", pytester.path)
    # No summary: it repeats, cut to the width of the terminal
    result = run(pytester, "-W", "default", "-rN", *arguments, plugins=plugins, path=apps)
    return [*result.outlines, *result.errlines]


def _said_by(pytester: pytest.Pytester, arguments: list[str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=pytester.path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    return (done.stdout + done.stderr).splitlines()


def _page_like(line: str, path: Path) -> str:
    """A line of the output, as it stands on the page."""
    for each in (path, Path(os.path.realpath(path))):
        line = line.replace(f"{each}{os.sep}", f"{HOME}/").replace(str(each), HOME)
    for pattern, shown in _CHANGING:
        line = pattern.sub(shown, line)
    return line


def _assert_said(shown: list[str], said: list[str]) -> None:
    """The lines stand there one after the other; `...` is for any number of others."""
    lines = [re.sub(r"^E? +", "", line) for line in said]
    groups: list[list[str]] = [[]]
    for line in map(str.strip, shown):
        if line == "...":
            groups.append([])
        else:
            groups[-1].append(line)
    place = 0
    for group in groups:
        starts = range(place, len(lines) - len(group) + 1)
        found = next((n for n in starts if lines[n : n + len(group)] == group), None)
        assert found is not None, "\n".join(["this is not said:", *group, "but:", *lines])
        place = found + len(group)


def test_there_are_examples() -> None:
    """A changed fence must not silently leave the page unread."""
    page = PAGE.read_text("utf-8")
    assert len(EXAMPLES) == page.count("\n```text\n") >= 40
    assert page.count("\n```\n") == sum(page.count(f"\n```{each}\n") for each in _LANGUAGES)


_LANGUAGES = ("py", "ini", "shell", "text")
