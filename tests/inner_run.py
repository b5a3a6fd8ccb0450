"""Runs pytest inside a test: in a process of its own, with our plugin and those asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from textwrap import dedent

import pytest

TESTS = Path(__file__).parent

# Says at the end of an inner run how many servers have been started in it
COUNT_STARTS = """
    import pytest_smtpd.server

    started = []
    start = pytest_smtpd.server.Server.start

    def counted(server):
        started.append(server)
        return start(server)

    pytest_smtpd.server.Server.start = counted

    def pytest_terminal_summary(terminalreporter):
        terminalreporter.write_line(f"servers started: {len(started)}")
"""


def run(
    pytester: pytest.Pytester,
    *args: str,
    plugins: tuple[str, ...] = (),
    autoload: bool = False,
    path: tuple[str | Path, ...] = (),
) -> pytest.RunResult:
    """An inner run, in which a warning is an error unless `args` say otherwise.

    Its tests can import what helps the outer ones (`client`). With `autoload` the plugins of the
    environment are loaded as in any run. `path` are more folders to import from.
    """
    given = [part for plugin in plugins for part in ("-p", plugin)]
    if not autoload:
        given = ["-p", "pytest_smtpd.plugin", *given]
    with pytest.MonkeyPatch.context() as patch:
        if autoload:
            patch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
        else:
            patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, [*path, TESTS])))
        patch.setenv("COLUMNS", "200")
        patch.setenv("NO_COLOR", "1")
        return pytester.runpytest_subprocess(
            "-p", "no:cacheprovider", "-W", "error", *given, *args, timeout=120
        )


def write(pytester: pytest.Pytester, **files: str) -> None:
    """Files of the inner project, by name without `.py`; `a__b` is `a/b.py`."""
    for name, text in files.items():
        target = pytester.path / f"{name.replace('__', '/')}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text), encoding="utf-8")


def lines(result: pytest.RunResult) -> str:
    """All that an inner run has said, for `in`."""
    return "\n".join([*result.outlines, *result.errlines])


needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets")
