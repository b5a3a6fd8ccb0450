"""The pytest side: options, marker, fixtures, the section in a failing test's report.

The only module that imports pytest, and loaded at every start of it: all that needs a server is
imported by the first fixture that needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from . import clock  # noqa: F401 - while time is real
from .options import OPTIONS, Option, Options, merge, read

if TYPE_CHECKING:
    from .server import Server

_base_options = pytest.StashKey[Options]()  # of a run: defaults, ini, command line
_servers = pytest.StashKey[list[tuple[str, "Server"]]]()  # of a test, by the fixture's name

# ---- options and marker


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("smtpd", "SMTP server for tests")
    for option in OPTIONS.values():
        if option.read is None:
            continue
        kind: Any = "linelist" if option.several else "string"
        parser.addini(f"smtpd_{option.name}", f"smtpd: {option.help}", type=kind, default=None)
        dashed, plain = option.name.replace("_", "-"), option.name
        for hidden, name in enumerate(dict.fromkeys((dashed, plain))):
            group.addoption(
                f"--smtpd-{name}",
                dest=f"smtpd_{option.name}",
                default=None,
                metavar=option.name.upper(),
                help="==SUPPRESS==" if hidden else option.help.replace("%", "%%"),
                **_argument(option),
            )
    parser.addini(
        "smtpd_scope", "smtpd: 'function' (default), or 'session': one server for the whole run"
    )
    group.addoption(
        "--smtpd-scope",
        choices=("function", "session"),
        help="a server for each test (default), or one for the whole run",
    )


def _argument(option: Option) -> dict[str, Any]:
    if option.several:
        return {"action": "append"}
    if option.flag:
        return {"nargs": "?", "const": "true"}
    return {}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "smtpd(**options): configure the smtpd fixture of this test; the options are "
        + ", ".join(OPTIONS),
    )
    config.stash[_base_options] = _read_options(config)
    _scope(config)


def _read_options(config: pytest.Config) -> Options:
    """Defaults, ini, command line: a wrong value is a usage error at the start."""
    given: dict[str, object] = {}
    for name, option in OPTIONS.items():
        if option.read is None:
            continue
        ini, argument = config.getini(f"smtpd_{name}"), config.getoption(f"smtpd_{name}")
        for source, value in ((f"ini smtpd_{name}", ini), (f"--smtpd-{name}", argument)):
            if value is None:
                continue
            try:
                given[name] = read(name, value)
                merge({name: given[name]})
            except ValueError as error:
                raise pytest.UsageError(f"{source}: {error}") from None
    options = merge(given)
    workers = config.getoption("numprocesses", None)
    if options.port and (workers or hasattr(config, "workerinput")):
        raise pytest.UsageError(
            f"smtpd option 'port': {options.port} cannot serve several xdist workers; "
            "leave it out, each worker's server takes a free port"
        )
    return options


def _scope(config: pytest.Config) -> str:
    scope = config.getoption("smtpd_scope") or config.getini("smtpd_scope") or "function"
    if scope not in ("function", "session"):
        raise pytest.UsageError(f"ini smtpd_scope: {scope!r}: 'function' or 'session' is wanted")
    return str(scope)


def _marker_options(node: pytest.Item) -> dict[str, object]:
    """The keywords of all `smtpd` markers of a test, the inner ones replacing the outer ones."""
    given: dict[str, object] = {}
    for level in _marker_levels(node):
        for marker in reversed(level):  # pytest lists the closest of a level first
            if marker.args:
                _fail(f"@pytest.mark.smtpd takes keywords only, not {marker.args!r}")
            given.update(marker.kwargs)
    return given


def _marker_levels(item: pytest.Item) -> Iterator[list[pytest.Mark]]:
    """Outer to inner: module, base class, subclass, function, `pytest.param`."""
    for node in item.listchain():
        markers = [marker for marker in node.own_markers if marker.name == "smtpd"]
        owners: list[object] = []
        if isinstance(node, pytest.Class):
            owners = [_marks(cls.__dict__.get("pytestmark")) for cls in reversed(node.obj.__mro__)]
        elif isinstance(node, pytest.Function) and hasattr(node, "callspec"):
            parametrized = [mark for mark in markers if _among(mark, node.callspec.marks)]
            owners = [[mark for mark in markers if mark not in parametrized], parametrized]
        for owner in owners:
            level = [marker for marker in markers if _among(marker, owner)]
            markers = [marker for marker in markers if not _among(marker, owner)]
            yield level
        yield markers


def _marks(pytestmark: object) -> list[object]:
    listed = pytestmark if isinstance(pytestmark, list) else [pytestmark]
    return [getattr(mark, "mark", mark) for mark in listed]


def _among(mark: object, marks: Any) -> bool:
    return any(mark is getattr(each, "mark", each) for each in marks)


def _fail(text: str) -> None:
    pytest.fail(text, pytrace=False)


def _checked(given: Mapping[str, object], base: Options, source: str) -> Options:
    try:
        return merge(given, base)
    except (TypeError, ValueError) as error:
        pytest.fail(f"{source}: {error}", pytrace=False)


# ---- collection


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "smtpd" in fixtures:
            _refuse_rival(config, item)
        elif any(marker.name == "smtpd" for marker in item.own_markers):
            item.warn(
                pytest.PytestWarning(
                    f"{item.nodeid} has a marker smtpd and uses no fixture smtpd: no effect"
                )
            )


def _refuse_rival(config: pytest.Config, item: pytest.Item) -> None:
    """Stops the run where a test would get another plugin's fixture of the same name."""
    found = getattr(item, "_fixtureinfo").name2fixturedefs.get("smtpd")  # noqa: B009
    function = found[-1].func if found else None
    module = getattr(function, "__module__", __name__)
    if module == __name__:
        return
    for plugin in config.pluginmanager.get_plugins():
        fixture = getattr(plugin, "smtpd", None)
        is_conftest = str(getattr(plugin, "__file__", "")).endswith("conftest.py")
        if fixture is None or is_conftest or getattr(plugin, "__name__", "") == __name__:
            continue
        if getattr(fixture, "__wrapped__", fixture).__module__ == module:
            name = config.pluginmanager.get_name(plugin)
            raise pytest.UsageError(
                f"{item.nodeid} would get the fixture 'smtpd' of the plugin {name!r}, not that of "
                f"pytest-smtpd-server: turn the other one off with -p no:{name}"
            )


# ---- fixtures


@pytest.fixture(scope="session")
def smtpd_options() -> dict[str, object]:
    """Default options for `smtpd`, `smtpd_session` and `smtpd_factory`: override it."""
    return {}


@pytest.fixture
def smtpd(request: pytest.FixtureRequest, smtpd_options: dict[str, object]) -> Iterator[Server]:
    """A started `pytest_smtpd.Server`, configured by the test's `smtpd` markers."""
    config = request.config
    options = _checked(smtpd_options, config.stash[_base_options], "smtpd_options")
    options = _checked(_marker_options(request.node), options, "@pytest.mark.smtpd")
    if _scope(config) == "session":
        yield from _borrowed(request, options)
        return
    server = _start(request.node, options, "smtpd")
    try:
        yield server
    finally:
        server.stop()
    _judge(server)


def _borrowed(request: pytest.FixtureRequest, options: Options) -> Iterator[Server]:
    """The session's server for one test, and afterwards as it was."""
    server: Server = request.getfixturevalue("smtpd_session")
    usual = server.config
    for name in ("host", "port", "unix_socket"):
        if getattr(options, name) != getattr(usual, name):
            _fail(
                f"smtpd option {name!r}: {getattr(options, name)!r} is not allowed with "
                "smtpd_scope = session: the server keeps its address for the whole run"
            )
    _remember(request.node, "smtpd", server)
    try:
        server._begin_test(options, request.node.nodeid)
    except (TypeError, ValueError, RuntimeError) as error:
        _fail(str(error))
    try:
        yield server
    finally:
        server._end_test()
        _judge(server)
        server._begin_test(usual, "")


@pytest.fixture(scope="session")
def smtpd_session(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One started `pytest_smtpd.Server` for the whole run; one for each xdist worker."""
    given = _root_options(request)
    options = _checked(given, request.config.stash[_base_options], "smtpd_options")
    server = _server(options, request.config)
    with server:
        request.config.stash[_session_server] = server
        yield server


_session_server = pytest.StashKey["Server"]()


@pytest.fixture
def smtpd_factory(
    request: pytest.FixtureRequest, smtpd_options: dict[str, object]
) -> Iterator[Callable[..., Server]]:
    """``smtpd_factory(**options) -> Server``, started; all are stopped when the test ends."""
    base = _checked(smtpd_options, request.config.stash[_base_options], "smtpd_options")
    made: list[Server] = []

    def make(**options: Any) -> Server:
        server = _server(merge(options, base), request.config, fail=False)
        server._use_seed(request.node.nodeid)
        made.append(server.start())
        _remember(request.node, "smtpd_factory", server)
        return server

    try:
        yield make
    finally:
        for server in reversed(made):
            server.stop()
    for server in made:
        _judge(server)


def _root_options(request: pytest.FixtureRequest) -> dict[str, object]:
    """`smtpd_options` as the outermost conftest has it, whichever test asked first."""
    manager = request._fixturemanager
    for node in request._pyfuncitem.listchain():
        if isinstance(node, pytest.Module):
            break
        definitions = manager.getfixturedefs("smtpd_options", node)
        if definitions and definitions[-1].func.__module__ != __name__:
            result: dict[str, object] = definitions[-1].execute(request)  # type: ignore[arg-type]
            return result
    return {}


def _server(options: Options, config: pytest.Config, *, fail: bool = True) -> Server:
    from .server import Server

    if options.port and hasattr(config, "workerinput"):
        _fail(f"smtpd option 'port': {options.port} cannot serve several xdist workers")
    try:
        options.check_pairs()
    except ValueError as error:
        if not fail:
            raise
        _fail(str(error))
    return Server._with(options)


def _start(node: pytest.Item, options: Options, name: str) -> Server:
    server = _server(options, node.config)
    server._use_seed(node.nodeid)
    _remember(node, name, server)
    try:
        return server.start()
    except RuntimeError as error:  # no trustme
        _fail(str(error))
        raise


def _remember(node: pytest.Item, name: str, server: Server) -> None:
    servers = node.stash.setdefault(_servers, [])
    for _, other in servers:
        if other is not server:
            other._others.append(server)
            server._others.append(other)
    servers.append((name, server))


# ---- judgement and report


def _judge(server: Server) -> None:
    """The option `strict`: what clients and their mail did wrong is an error of the teardown."""
    found = server._findings()
    if found:
        _fail("smtpd strict: " + "\n  ".join([f"{len(found)} found", *found]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed and _servers in item.stash:
        from .transcript import section

        _add_section(report, section(item.stash[_servers]))
    if report.when == "teardown" and _servers in item.stash:
        del item.stash[_servers]
    return report


def _add_section(report: pytest.TestReport, text: str) -> None:
    # Into the representation of the failure: that is what junit-xml writes, too
    longrepr: Any = report.longrepr
    if hasattr(longrepr, "addsection"):
        longrepr.addsection("smtpd", text)
    elif isinstance(longrepr, str):
        report.longrepr = f"{longrepr}\n{' smtpd '.center(80, '-')}\n{text}"
    else:
        report.sections.append(("smtpd", text))
