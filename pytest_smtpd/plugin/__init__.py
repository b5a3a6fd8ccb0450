"""The pytest side: its hooks and fixtures. The only place that imports pytest.

Every start of pytest loads this module, and pytest reads the modules of a plugin slowly. So it has
only the code that a run without a server needs, and imports the rest on first use.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from .. import clock  # while time is real
from ..options import OPTIONS
from . import settings
from .fixtures import *  # includes those of installed frameworks
from .keys import requested, seen_servers, session_lease, uses
from .settings import pytest_addoption, pytest_load_initial_conftests

_SERVER = f"{clock.__package__}.server"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "smtpd(**options): configure the smtpd fixture of this test; the options are "
        + ", ".join(OPTIONS),
    )
    config.stash[settings.base_options] = settings.read_options(config)
    settings.scope(config)
    config.stash[settings.environment_lines] = settings.read_environment(config)
    if settings.guard_is_on(config):
        from .guarding import Guard

        config.pluginmanager.register(Guard(), "smtpd-guard")
    if settings.saves_mail(config):
        from . import reporting

        reporting.begin(config)
        config.pluginmanager.register(reporting, "smtpd-report")


@pytest.hookimpl(trylast=True)  # ignores tests that others have deselected
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(uses(item, "smtpd") for item in items):
        from .rivals import refuse_rivals

        refuse_rivals(config, items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Raised in a worker of xdist, it would look like a crash
    text = getattr(node, "workeroutput", {}).get("smtpd_usage_error")
    if text is not None:
        raise pytest.UsageError(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Any:
    # The warning comes last: with -W error, it fails this test and no other
    __tracebackhide__ = True
    lease = item.config.stash.get(session_lease, None)
    try:
        result = yield
    except BaseException as error:
        if lease is not None:
            from .reporting import blame_too

            blame_too(lease, error)
        raise
    if lease is not None:  # a test can use the server without naming it
        lease.raise_caught()
    in_vain = not uses(item, "smtpd") and requested not in item.stash
    if in_vain and any(mark.name == "smtpd" for mark in item.own_markers):
        item.warn(
            pytest.PytestWarning(
                f"{item.nodeid} has a marker smtpd and uses no fixture smtpd: no effect; "
                "name smtpd among its arguments, or take the marker off"
            )
        )
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    used = seen_servers in item.stash or session_lease in item.config.stash
    if used or settings.saves_mail(item.config):
        from .reporting import complete

        complete(item, report)
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    # If the server module is not loaded, no value is one of ours
    if op != "==" or not isinstance(right, list) or right or _SERVER not in sys.modules:
        return None
    from .comparing import listed

    return listed(left)
