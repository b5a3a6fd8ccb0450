"""The fixtures' code: collects the options, lends a server, checks `strict`, takes it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import takewhile
from typing import Any, NoReturn

import pytest

from ..lease import Lease
from ..options import OPTIONS, merge
from ..options.pairs import check_pairs
from ..server import Server
from .asked import Asked, fail
from .keys import requested, session_lease, uses
from .reporting import remember
from .settings import base_options, environment_lines, port_of_several, scope
from .strict import judge

_ADDRESS = [name for name, option in OPTIONS.items() if option.address]


def for_test(request: pytest.FixtureRequest, given: object) -> Iterator[Server]:
    """For `smtpd`: a server for this test alone, or the session's with this test's options."""
    __tracebackhide__ = True
    item, config = request.node, request.config
    item.stash[requested] = True
    asked = _asked(request, given)
    asked.add_markers()
    if scope(config) == "session":
        yield from _lent(request, asked)
        return
    with asked.blamed():
        lease = _leased(asked, item.nodeid)
        remember(item, "smtpd", lease)
        lease.server.start()
    try:
        with _exported(config, lease.server):
            yield lease.server
    finally:
        lease.server.stop()
    judge(lease.server)


def _lent(request: pytest.FixtureRequest, asked: Asked) -> Iterator[Server]:
    """The session's server for one test; restores it afterwards."""
    item = asked.item
    with asked.blamed():
        check_pairs(asked.options)
    for name in _ADDRESS:
        if name in asked.marked:
            _refuse_address(asked, name, asked.marked[name])
    request.getfixturevalue("smtpd_session")
    lease = item.config.stash[session_lease]
    for name in _ADDRESS:
        if (value := getattr(asked.options, name)) != getattr(lease.options, name):
            _refuse_address(asked, name, value)
    seen = remember(item, "smtpd", lease)
    try:
        with asked.blamed():
            lease.begin(asked.options, item.nodeid)
        with _exported(item.config, lease.server):
            yield lease.server
    finally:
        try:
            lease.end()
            judge(lease.server)
        finally:
            seen.keep()
            lease.restore()


def _refuse_address(asked: Asked, name: str, value: object) -> NoReturn:
    asked.fail(
        f"smtpd option {name!r}: {value!r} is not allowed with smtpd_scope = session: the server "
        "keeps its address for the whole run; smtpd_factory makes one with another"
    )


def for_run(request: pytest.FixtureRequest) -> Iterator[Server]:
    """For `smtpd_session`."""
    asked = Asked(request._pyfuncitem, request.config.stash[base_options])
    found = _root_options(request)
    if found.scope != "session":
        asked.fail(
            f"smtpd_options has the scope {found.scope!r}: smtpd_session, which lives for the "
            'whole run, wants @pytest.fixture(scope="session")',
            found.func,
        )
    asked.add_fixture(found.execute(request), found.func)
    with asked.blamed():
        lease = _leased(asked)
        lease.server.start()
    try:
        with _exported(request.config, lease.server):
            request.config.stash[session_lease] = lease
            yield lease.server
    finally:
        lease.server.stop()


def as_many_as_wanted(
    request: pytest.FixtureRequest, given: object
) -> Iterator[Callable[..., Server]]:
    """For `smtpd_factory`."""
    asked = _asked(request, given)
    base = asked.options
    made: list[Server] = []

    def make(**options: Any) -> Server:
        __tracebackhide__ = True
        asked.options = merge(options, base)
        lease = _leased(asked, request.node.nodeid)
        made.append(lease.server.start())
        stack.callback(lease.server.stop)
        remember(request.node, "smtpd_factory", lease)
        return lease.server

    with ExitStack() as stack:  # stops each server, even if another stop raises
        yield make
    judge(*made)


def to_django(server: Server) -> Iterator[Server]:
    """For `smtpd_django`."""
    from .django import pointed_at

    with ExitStack() as stack:
        try:
            stack.enter_context(pointed_at(server))
        except ValueError as error:
            fail(f"smtpd_django: {error}")
        yield server


def _asked(request: pytest.FixtureRequest, given: object) -> Asked:
    """The options of the run, and of the `smtpd_options` that is visible to the test."""
    asked = Asked(request._pyfuncitem, request.config.stash[base_options])
    asked.add_fixture(given, request._get_active_fixturedef("smtpd_options").func)
    return asked


def _leased(asked: Asked, test: str = "") -> Lease:
    __tracebackhide__ = True
    lease = Lease(asked.options, test)
    if asked.options.port and hasattr(asked.item.config, "workerinput"):
        asked.fail(port_of_several(asked.options.port))
    return lease


def _exported(config: pytest.Config, server: Server) -> AbstractContextManager[None]:
    """Ini `smtpd_env`: the environment while the server is live."""
    lines = config.stash[environment_lines]
    if not lines:
        return nullcontext()
    from .environment import exported

    return exported(lines, server)


def _root_options(request: pytest.FixtureRequest) -> Any:
    """The outermost `smtpd_options` in a conftest.py that all tests with the server can see.

    Without such a conftest.py, the one of a plugin. So the order of tests does not matter.
    """
    names = ["smtpd_session", *(["smtpd"] if scope(request.config) == "session" else [])]
    items = [each for each in request.session.items if any(uses(each, name) for name in names)]
    folders = {_folder(each): None for each in [request._pyfuncitem, *items]}
    # before pytest 8.1 a node is named by its id
    nodes = [each if pytest.version_tuple >= (8, 1) else each.nodeid for each in folders]
    find = request._fixturemanager.getfixturedefs
    first, *others = [list(find("smtpd_options", node) or ()) for node in nodes]
    common = [each for each in first if all(each in definitions for definitions in others)]
    return next(filter(_is_of_conftest, common), common[-1])


def _folder(item: pytest.Item) -> Any:
    return [*takewhile(lambda node: not isinstance(node, pytest.File), item.listchain())][-1]


def _is_of_conftest(definition: Any) -> bool:
    # One in the root folder has the same base id as one of a plugin
    return bool(definition.baseid) or definition.func.__code__.co_filename.endswith("conftest.py")
