"""What the fixtures do: servers are started as a test wants them, lent to it, and taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import takewhile
from typing import Any

import pytest

from ..options import Options, merge
from ..options.pairs import check_pairs
from ..server import Server
from .fixtures import asked, session_server, uses
from .markers import (
    checked_markers,
    checked_options,
    fail,
    fail_at_marker,
    marker_options,
    place,
)
from .reporting import judge, remember
from .settings import base_options, environment_lines, port_of_several, scope


def for_test(request: pytest.FixtureRequest, given_options: object) -> Iterator[Server]:
    """For `smtpd`: a server of the test's own, or the session's as it wants it."""
    __tracebackhide__ = True
    config = request.config
    request.node.stash[asked] = True
    options = _visible_options(request, given_options)
    given = marker_options(request.node)
    options = checked_markers(request.node, given, options)
    _check_pairs(request.node, options)
    if scope(config) == "session":
        for name in ("host", "port", "unix_socket"):
            if name in given:
                _refuse_address(request.node, name, given[name])
        yield from _borrowed(request, options)
        return
    server = _start(request.node, options, "smtpd")
    try:
        with _exported(config, server):
            yield server
    finally:
        server.stop()
    judge(server)


def _visible_options(request: pytest.FixtureRequest, given: object) -> Options:
    """What the override of `smtpd_options` says that a test sees."""
    fixture = request._get_active_fixturedef("smtpd_options").func
    base = request.config.stash[base_options]
    return checked_options(request._pyfuncitem, given, base, fixture)


def _exported(config: pytest.Config, server: Server) -> AbstractContextManager[None]:
    """Ini `smtpd_env`: the environment while the server is live."""
    lines = config.stash[environment_lines]
    if not lines:
        return nullcontext()
    from ..environment import exported

    return exported(lines, server)


def _borrowed(request: pytest.FixtureRequest, options: Options) -> Iterator[Server]:
    """The session's server for one test, and afterwards as it was."""
    server: Server = request.getfixturevalue("smtpd_session")
    usual, address = server.config, server.address
    for name in ("host", "port", "unix_socket"):
        if getattr(options, name) != getattr(usual, name):
            _refuse_address(request.node, name, getattr(options, name))
    seen = remember(request.node, "smtpd", server)
    try:
        try:
            server._begin_test(options, request.node.nodeid)
        except (ValueError, RuntimeError, OSError) as error:
            fail_at_marker(request.node, str(error))
        with _exported(request.config, server):
            yield server
    finally:
        try:
            server._end_test()
            judge(server)
        finally:
            seen.keep()
            server._begin_test(usual, "", address)


def _refuse_address(item: pytest.Item, name: str, value: object) -> None:
    fail_at_marker(
        item,
        f"smtpd option {name!r}: {value!r} is not allowed with smtpd_scope = session: the server "
        "keeps its address for the whole run; smtpd_factory makes one with another",
    )


def for_run(request: pytest.FixtureRequest) -> Iterator[Server]:
    """For `smtpd_session`."""
    item = request._pyfuncitem
    options = request.config.stash[base_options]
    found = _root_options(request)
    options = checked_options(item, found.execute(request), options, found.func)
    _check_pairs(item, options)
    server = _started(item, _server(options, item))
    try:
        with _exported(request.config, server):
            request.config.stash[session_server] = server
            yield server
    finally:
        server.stop()


def as_many_as_wanted(
    request: pytest.FixtureRequest, given_options: object
) -> Iterator[Callable[..., Server]]:
    """For `smtpd_factory`."""
    base = _visible_options(request, given_options)
    made: list[Server] = []

    def make(**options: Any) -> Server:
        __tracebackhide__ = True
        server = _server(merge(options, base), request.node)
        server._use_seed(request.node.nodeid)
        made.append(server.start())
        stack.callback(server.stop)
        remember(request.node, "smtpd_factory", server)
        return server

    with ExitStack() as stack:  # each is stopped, whatever the stop of another one raises
        yield make
    judge(*made)


def _root_options(request: pytest.FixtureRequest) -> Any:
    """The fixture `smtpd_options` that counts for the run; it has to live as long."""
    found = _root_definition(request)
    if found.scope != "session":
        fail(
            f"smtpd_options has the scope {found.scope!r}: smtpd_session, which lives for the "
            'whole run, wants @pytest.fixture(scope="session")\n'
            + place(request._pyfuncitem, found.func)
        )
    return found


def _root_definition(request: pytest.FixtureRequest) -> Any:
    """The outermost of a conftest that all see who ask for the server; else that of a plugin.

    So it does not matter which of them is the first.
    """
    names = ["smtpd_session", *(["smtpd"] if scope(request.config) == "session" else [])]
    items = [each for each in request.session.items if any(uses(each, name) for name in names)]
    folders = {_folder(each): None for each in [request._pyfuncitem, *items]}
    first, *others = [_visible_from(folder, request) for folder in folders]
    common = [each for each in first if all(each in definitions for definitions in others)]
    return next(filter(_is_of_conftest, common), common[-1])


def _folder(item: pytest.Item) -> Any:
    return [*takewhile(lambda node: not isinstance(node, pytest.File), item.listchain())][-1]


def _visible_from(folder: Any, request: pytest.FixtureRequest) -> list[Any]:
    # before pytest 8.1 a node is asked for by its id
    asked_by = folder if pytest.version_tuple >= (8, 1) else folder.nodeid
    return list(request._fixturemanager.getfixturedefs("smtpd_options", asked_by) or ())


def _is_of_conftest(definition: Any) -> bool:
    # One of the root folder counts from where a plugin's does
    return bool(definition.baseid) or definition.func.__code__.co_filename.endswith("conftest.py")


def _server(options: Options, item: pytest.Item) -> Server:
    __tracebackhide__ = True
    if options.port and hasattr(item.config, "workerinput"):
        fail_at_marker(item, port_of_several(options.port))
    return Server._with(options)


def _check_pairs(item: pytest.Item, options: Options) -> None:
    try:
        check_pairs(options)
    except ValueError as error:
        fail_at_marker(item, str(error))


def _start(item: pytest.Item, options: Options, name: str) -> Server:
    server = _server(options, item)
    server._use_seed(item.nodeid)
    remember(item, name, server)
    return _started(item, server)


def _started(item: pytest.Item, server: Server) -> Server:
    try:
        return server.start()
    except OSError as error:  # a bad address
        fail_at_marker(item, error.strerror or str(error))
    except (RuntimeError, ValueError) as error:  # no trustme, a bad file
        fail_at_marker(item, str(error))


def to_django(server: Server) -> Iterator[Server]:
    """For `smtpd_django`."""
    from ..frameworks.django_settings import pointed_at

    with ExitStack() as stack:
        try:
            stack.enter_context(pointed_at(server))
        except ValueError as error:
            fail(f"smtpd_django: {error}")
        yield server
