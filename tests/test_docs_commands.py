"""The commands that the pages tell to type are understood, and do what the pages say."""

from __future__ import annotations

import json
import re
import shlex
import smtplib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from inner_run import run, write

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_PYTEST = re.compile(r"^ *(?:\$ |- |- run: |command: )?pytest((?: .+)?)$", re.MULTILINE)
_FENCED = re.compile(r"^```(?:console|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = sorted(
    {
        command.strip()
        for page in PAGES
        for block in _FENCED.findall(page.read_text("utf-8"))
        for command in _PYTEST.findall(block)
    }
)


@pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
@pytest.mark.parametrize("command", COMMANDS)
def test_pytest_understands(pytester: pytest.Pytester, command: str) -> None:
    pytest.importorskip("jinja2")
    write(pytester, test_one="def test_one(): pass")
    run(pytester, *shlex.split(command), plugins=("xdist",)).assert_outcomes(passed=1)


def test_there_are_commands() -> None:
    assert {"-n 4", "--smtpd-report=mail-report", "--smtpd-save=mail"} <= set(COMMANDS)


def test_the_server_in_a_container(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "docker.md").read_text("utf-8")
    python, *arguments = json.loads(re.search(r"^CMD (\[.+\])$", page, re.MULTILINE)[1])  # type: ignore[index]
    assert python == "python"
    here = {"2525": "0", "/mail": str(tmp_path)}  # where a container would be alone
    command = [sys.executable, *(here.get(each, each) for each in arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            # Linux has all of 127.0.0.0/8: here who listens on 127.0.0.1 alone does not answer
            host = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
            with smtplib.SMTP(host, port, timeout=20) as client:
                client.sendmail("shop@example.org", "ann@example.com", "Subject: hello\n\n")
        finally:
            server.terminate()  # as `docker compose stop` does
        said = server.communicate(timeout=20)[0]
    assert "hello" in said
    assert [path.name for path in tmp_path.iterdir()] == ["0001.eml"]
    if sys.platform != "win32":
        assert server.returncode == 0
