"""The pytest side: hooks and fixtures, gathered from the rooms of this folder.

The only place that imports pytest, and loaded at every start of it: all that needs a server is
imported by the first fixture that needs one.
"""

from __future__ import annotations

import pytest

from .. import clock  # while time is real
from ..options import OPTIONS
from .collection import (
    pytest_collection_modifyitems,
    pytest_runtest_teardown,
    pytest_testnodedown,
)
from .fixtures import *  # those of installed frameworks too
from .reporting import (
    begin_report,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from .settings import (
    base_options,
    environment_lines,
    guard_is_on,
    pytest_addoption,
    pytest_load_initial_conftests,
    read_environment,
    read_options,
    scope,
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "smtpd(**options): configure the smtpd fixture of this test; the options are "
        + ", ".join(OPTIONS),
    )
    config.stash[base_options] = read_options(config)
    scope(config)
    config.stash[environment_lines] = read_environment(config)
    if guard_is_on(config):
        from .guarding import Guard

        config.pluginmanager.register(Guard(), "smtpd-guard")
    begin_report(config)
