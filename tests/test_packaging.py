"""What is installed: entry point, types, dependencies, the cost of an import, README commands."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_smtpd

ROOT = Path(__file__).parent.parent
DISTRIBUTION = "pytest-smtpd-server"

PUBLIC = {
    "Attachment",
    "CallbackWarning",
    "Envelope",
    "Exchange",
    "Mailbox",
    "Message",
    "Options",
    "Problem",
    "Reject",
    "Reply",
    "Server",
    "SessionRecord",
    "TLSInfo",
    "Violation",
    "faults",
}


def modules_loaded_by(statement: str, *, after: str = "pass") -> set[str]:
    """The modules that a fresh interpreter loads for `statement`, once `after` is done.

    -S leaves the site packages' start-up code out, which may load anything.
    """
    code = (
        f"import sys\n{after}\nbefore = set(sys.modules)\n{statement}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    )
    return set(done.stdout.split())


def top_levels(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_the_entry_point_is_not_one_of_another_plugin() -> None:
    entry_points = importlib.metadata.distribution(DISTRIBUTION).entry_points
    assert [(entry.group, entry.name, entry.value) for entry in entry_points] == [
        ("pytest11", DISTRIBUTION, "pytest_smtpd.plugin")
    ]


def test_the_version_is_that_of_the_distribution() -> None:
    from pytest_smtpd._version import __version__

    assert importlib.metadata.version(DISTRIBUTION) == __version__


def test_nothing_else_is_installed_without_extras() -> None:
    requirements = importlib.metadata.requires(DISTRIBUTION) or []
    name = re.compile(r"[\w.-]+")
    by_extra: dict[str, set[str]] = {}
    for requirement in requirements:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        match = name.match(requirement)
        assert match
        by_extra.setdefault(extra[1] if extra else "", set()).add(match[0].lower())
    assert by_extra == {
        "": {"email-validator", "pytest"},
        "report": {"jinja2"},
        "tls": {"trustme"},
    }


def test_types_are_announced() -> None:
    assert importlib.resources.files("pytest_smtpd").joinpath("py.typed").is_file()
    classifiers = importlib.metadata.metadata(DISTRIBUTION).get_all("Classifier")
    assert classifiers
    assert {"Framework :: Pytest", "Typing :: Typed"} <= set(classifiers)


def test_the_public_names_can_be_imported() -> None:
    assert set(pytest_smtpd.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(pytest_smtpd, name) is not None
    assert set(dir(pytest_smtpd)) >= PUBLIC


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pytest_smtpd.no_such_name


def test_the_plugin_costs_no_import_of_its_own() -> None:
    loaded = modules_loaded_by("import pytest_smtpd.plugin", after="import pytest")
    heavy = {"asyncio", "ssl", "email", "email_validator", "trustme", "cryptography", "jinja2"}
    assert not top_levels(loaded) & heavy


def test_a_run_without_the_fixture_loads_no_server(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            assert "pytest_smtpd.plugin" in sys.modules
            heavy = {"asyncio", "ssl", "email_validator", "trustme", "jinja2"}
            assert not heavy & set(sys.modules)
            assert "pytest_smtpd.server" not in sys.modules
        """
    )
    run = pytester.runpytest_subprocess("-p", "pytest_smtpd.plugin")
    run.assert_outcomes(passed=1)


def test_importing_the_package_loads_none_of_its_modules() -> None:
    loaded = modules_loaded_by("import pytest_smtpd")
    assert {name for name in loaded if name.startswith("pytest_smtpd")} <= {
        "pytest_smtpd",
        "pytest_smtpd._version",
    }


def test_the_engine_is_pure() -> None:
    loaded = modules_loaded_by("import pytest_smtpd.smtp.session")
    impure = {"asyncio", "pytest", "_pytest", "selectors", "socket", "_socket", "ssl", "threading"}
    assert not top_levels(loaded) & impure


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.split("## Try it", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```console\n(.+)\n```$", section, re.MULTILINE)


def test_the_readme_has_two_commands_and_ci_runs_the_second() -> None:
    _run, tests = readme_commands()
    assert tests.startswith("python3 -m venv .venv && ")
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert tests in [line.strip() for line in lines]


def test_the_links_of_the_readme_lead_to_files() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []
