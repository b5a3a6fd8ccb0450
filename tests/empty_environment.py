"""What an empty environment has once the wheel is in it; `tox -e package` runs this there.

Elsewhere it is not collected: it would fail wherever anything else is installed.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pytest_smtpd

ROOT = Path(__file__).parent.parent
DISTRIBUTION = "pytest-smtpd-server"
OF_THE_ENVIRONMENT = {"pip", "setuptools"}  # there before, the second up to Python 3.11


def required_by(distribution: str) -> Iterator[str]:
    """What it wants without extras, on this Python and system."""
    for line in importlib.metadata.requires(distribution) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def test_the_package_is_the_installed_one() -> None:
    home = Path(pytest_smtpd.__file__).parent
    assert home.parent.name == "site-packages"
    assert ROOT not in home.parents


def test_only_pytest_and_email_validator_are_required() -> None:
    assert set(required_by(DISTRIBUTION)) == {"email-validator", "pytest"}


def test_nothing_is_installed_that_is_not_required() -> None:
    wanted: set[str] = set()
    left = [DISTRIBUTION]
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += required_by(name)
    installed = {canonicalize_name(each.name) for each in importlib.metadata.distributions()}
    assert installed - OF_THE_ENVIRONMENT == wanted


def test_the_wheel_has_each_file_of_the_source_and_no_other() -> None:
    source = ROOT / "pytest_smtpd.sdist"
    home = Path(pytest_smtpd.__file__).parent
    in_source, installed = (
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        for folder in (source, home)
    )
    assert installed == in_source


def test_the_page_of_the_index_has_no_link_that_leads_nowhere_there() -> None:
    page = importlib.metadata.metadata(DISTRIBUTION)
    text = page.get_payload()  # type: ignore[attr-defined]
    assert "## Why another one" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    version = importlib.metadata.version(DISTRIBUTION)
    home = f"https://github.com/pytest-smtpd/pytest-smtpd-server/blob/v{version}/"
    assert f"{home}docs/quickstart.md" in links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_tls_says_what_it_needs() -> None:
    with pytest.raises(RuntimeError) as error:
        pytest_smtpd.Server(tls="starttls").start()
    assert str(error.value) == "tls needs trustme: pip install 'pytest-smtpd-server[tls]'"


def test_the_report_says_what_it_needs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): pass")
    run = pytester.runpytest_subprocess("--smtpd-report=report")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines("*pip install 'pytest-smtpd-server?report?'*")
