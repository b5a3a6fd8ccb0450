"""What is looked at before a test runs: whose `smtpd` it would get, a marker without effect."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        rival = _rival(config, item) if uses(item, "smtpd") else None
        if rival is None:
            continue
        text = (
            f"{item.nodeid} would get the fixture 'smtpd' of the plugin {rival!r}, not that of "
            f"pytest-smtpd-server: turn the other one off with -p no:{rival}"
        )
        if not hasattr(config, "workerinput"):
            raise pytest.UsageError(text)
        config.workeroutput["smtpd_usage_error"] = text  # type: ignore[attr-defined]
        items.clear()
        return


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Raised in a worker of xdist, it would look like a crash
    text = getattr(node, "workeroutput", {}).get("smtpd_usage_error")
    if text is not None:
        raise pytest.UsageError(text)


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Not at collection: where warnings are errors, one test is to fail, not the whole run
    if not uses(item, "smtpd") and any(mark.name == "smtpd" for mark in item.own_markers):
        item.warn(
            pytest.PytestWarning(
                f"{item.nodeid} has a marker smtpd and uses no fixture smtpd: no effect"
            )
        )


def uses(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())


def _rival(config: pytest.Config, item: pytest.Item) -> str | None:
    """The plugin whose fixture of the same name a test would get, if there is one."""
    found = getattr(item, "_fixtureinfo").name2fixturedefs.get("smtpd")  # noqa: B009
    function = found[-1].func if found else None
    if getattr(function, "__module__", __name__).startswith(__package__):
        return None
    for plugin in config.pluginmanager.get_plugins():
        is_conftest = str(getattr(plugin, "__file__", "")).endswith("conftest.py")
        if is_conftest or getattr(plugin, "__name__", "") == __package__:
            continue
        if any(_is_of(fixture, function) for fixture in getattr(plugin, "__dict__", {}).values()):
            return config.pluginmanager.get_name(plugin)
    return None


def _is_of(fixture: object, function: object) -> bool:
    return callable(fixture) and getattr(fixture, "__wrapped__", fixture) is function
