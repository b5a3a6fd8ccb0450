"""A usage error if a test would get the fixture `smtpd` of another installed plugin.

A fixture of the project, in a conftest or in a plugin that is not installed, is an override.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from .keys import uses


def refuse_rivals(config: pytest.Config, items: list[pytest.Item]) -> None:
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


def _rival(config: pytest.Config, item: pytest.Item) -> str | None:
    """The other plugin whose fixture of this name a test would get, if any."""
    found = getattr(item, "_fixtureinfo").name2fixturedefs.get("smtpd")  # noqa: B009
    function = found[-1].func if found else None
    function = getattr(function, "__func__", function)
    if getattr(function, "__module__", __name__).startswith(__package__):
        return None
    for plugin in _installed(config.pluginmanager):
        places = [plugin, *type(plugin).__mro__]  # a module, or an object of some class
        fixtures = [each for place in places for each in getattr(place, "__dict__", {}).values()]
        if any(_is_of(fixture, function) for fixture in fixtures):
            return config.pluginmanager.get_name(plugin)
    return None


def _installed(manager: pytest.PytestPluginManager) -> list[object]:
    """The plugins of installed distributions, and the plugins that they load."""
    plugins: list[object] = [plugin for plugin, _ in manager.list_plugin_distinfo()]
    # -p may name a module of a distribution that is not its entry point
    packages = {_package(entry.module) for entry in entry_points(group="pytest11")}
    plugins += [
        plugin
        for plugin in manager.get_plugins()
        if _package(getattr(plugin, "__name__", "")) in packages and plugin not in plugins
    ]
    for plugin in plugins:
        names = getattr(plugin, "pytest_plugins", ()) or ()
        names = names.split(",") if isinstance(names, str) else names
        plugins += [each for name in names if (each := manager.get_plugin(name)) not in plugins]
    return [plugin for plugin in plugins if manager.is_registered(plugin)]


def _package(module: str) -> str:
    return module.partition(".")[0]


def _is_of(fixture: object, function: object) -> bool:
    return callable(fixture) and getattr(fixture, "__wrapped__", fixture) is function
