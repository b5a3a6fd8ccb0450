"""What is installed, and what is around it: metadata, imports, README commands, CI's files."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import os
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import public_api
import pytest_smtpd

ROOT = Path(__file__).parent.parent
DISTRIBUTION = "pytest-smtpd-server"

PUBLIC = {
    "Attachment",
    "CallbackWarning",
    "Envelope",
    "Command",
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
            ours = {name for name in sys.modules if name.startswith("pytest_smtpd.plugin.")}
            names = {"fixtures", "keys", "settings"}
            assert ours == {f"pytest_smtpd.plugin.{name}" for name in names}
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


@pytest.mark.parametrize("table", ["violations", "extensions"])
def test_the_tables_of_names_load_no_other_module(table: str) -> None:
    loaded = modules_loaded_by(f"import pytest_smtpd.smtp.{table}")
    assert {name for name in loaded if name.startswith("pytest_smtpd.")} <= {
        "pytest_smtpd._version",
        "pytest_smtpd.smtp",
        f"pytest_smtpd.smtp.{table}",
    }


def test_a_record_without_users_needs_no_hashes() -> None:
    assert "hashlib" not in modules_loaded_by("import pytest_smtpd.record")


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.split("## Try it", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```console\n(.+)\n```$", section, re.MULTILINE)


def test_the_readme_has_two_commands_and_ci_runs_the_second() -> None:
    _run, tests = readme_commands()
    assert tests.startswith("python3 -m venv .venv && ")
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert tests in [line.strip() for line in lines]


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md"]
)
def test_the_links_of_a_page_lead_to_files(page: str) -> None:
    place = ROOT / page
    targets = re.findall(r"\]\(([^)#:]+)\)", place.read_text("utf-8"))
    assert targets or page == "CHANGELOG.md"
    assert [target for target in targets if not (place.parent / target).is_file()] == []


# ---- the files of CI agree with each other


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_what_is_no_test_is_not_collected(pytestconfig: pytest.Config) -> None:
    for name in ("type_usage.py", "empty_environment.py"):
        assert (ROOT / "tests" / name).is_file()
        assert not any(fnmatch(name, glob) for glob in pytestconfig.getini("python_files"))


def test_the_types_in_use_are_read_by_both_checkers() -> None:
    tool = project()["tool"]
    assert "tests/type_usage.py" in tool["mypy"]["files"]
    assert tool["mypy"]["strict"]
    assert tool["pyright"]["include"] == ["tests/type_usage.py"]
    assert tool["pyright"]["typeCheckingMode"] == "strict"


def test_each_public_member_is_in_the_types_in_use() -> None:
    usage = (ROOT / "tests" / "type_usage.py").read_text("utf-8")
    words = set(re.findall(r"\w+", usage))
    missing = []
    for path, value in public_api.objects().items():
        names = {path.rpartition(".")[2]}
        if isinstance(value, type):
            names |= {*public_api.members(value), *public_api.attributes(value)}
        missing += [f"{path}: {name}" for name in sorted(names - words)]
    assert missing == []


def test_pre_commit_has_the_ruff_of_the_project() -> None:
    [wanted] = project()["dependency-groups"]["lint"]
    series = re.fullmatch(r"ruff==(\d+\.\d+)\.\*", wanted)
    assert series
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    used = re.search(r"ruff-pre-commit\n *rev: v(\d+\.\d+)\.\d+ ", hooks)
    assert used
    assert used[1] == series[1]


def test_pre_commit_leaves_mails_and_conversations_alone() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    excluded = re.search(r"^exclude: (.+)$", hooks, re.MULTILINE)
    assert excluded
    for folder in ("conversations", "clean_mails"):
        paths = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / folder).iterdir()]
        assert paths
        assert all(re.search(excluded[1], path) for path in paths)


def test_the_workflow_runs_each_environment() -> None:
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", "utf-8")
    listed = set(re.split(r",\s*", tox["tox"]["env_list"]))
    [on_demand] = [name for name in tox.sections() if name.startswith("testenv:py{")]
    listed |= {f"py{minor}" for minor in re.split(r"[{},]", on_demand)[1:-1]}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    checks = re.search(r"env: \[(.+)\]", workflow)
    assert checks
    pythons = re.findall(r'version: "([\d.t]+)", env: (\w+)', workflow)
    assert {*checks[1].split(", "), *(env for _, env in pythons)} == listed
    assert all(env == "py" + version.replace(".", "") for version, env in pythons)
    classifiers = "\n".join(project()["project"]["classifiers"])
    supported = re.findall(
        r"Programming Language :: Python :: (3\.\d+)$", classifiers, re.MULTILINE
    )
    assert supported == [version for version, _ in pythons if not version.endswith("t")]
