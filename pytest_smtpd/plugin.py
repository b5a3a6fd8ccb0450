"""The pytest side: options, marker, fixtures, the section in a failing test's report.

The only module that imports pytest, and loaded at every start of it: all that needs a server is
imported by the first fixture that needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import clock  # noqa: F401 - while time is real
from .options import OPTIONS, Option, Options, merge, read

if TYPE_CHECKING:
    from .environment import Line
    from .server import Server
    from .transcript import Seen

_base_options = pytest.StashKey[Options]()  # of a run: defaults, ini, command line
_environment_lines = pytest.StashKey[tuple["Line", ...]]()  # of ini smtpd_env
_session_server = pytest.StashKey["Server"]()
_seen = pytest.StashKey[list["Seen"]]()  # the servers of a test

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
    parser.addini(
        "smtpd_env",
        "smtpd: lines such as EMAIL_HOST={host}, set in os.environ while a server is live; there "
        "are {host}, {port}, {url}, {ca_file}, {username} and {password}",
        type="linelist",
    )
    parser.addini(
        "smtpd_guard",
        "smtpd: a test fails that connects to a mail port of anything but the loopback interface",
        type="bool",
        default=False,
    )
    group.addoption(
        "--smtpd-scope",
        choices=("function", "session"),
        help="a server for each test (default), or one for the whole run",
    )
    group.addoption(
        "--smtpd-save", metavar="DIR", help="write each test's mail to DIR/<test>/0001.eml, ..."
    )
    group.addoption(
        "--smtpd-report", metavar="DIR", help="write DIR/index.html: the mail of all tests to read"
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
    config.stash[_environment_lines] = _read_environment(config)
    if _guard_is_on(config):
        config.pluginmanager.register(_Guard(), "smtpd-guard")
    _begin_report(config)


def _read_environment(config: pytest.Config) -> tuple[Line, ...]:
    lines = config.getini("smtpd_env")
    if not lines:
        return ()
    from .environment import parse

    try:
        return parse(lines)
    except ValueError as error:
        raise pytest.UsageError(f"ini {error}") from None


def _guard_is_on(config: pytest.Config) -> bool:
    try:
        return bool(config.getini("smtpd_guard"))
    except (ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"ini smtpd_guard: {error}; true or false is wanted") from None


def _read_options(config: pytest.Config) -> Options:
    """Defaults, ini, command line: a wrong value is a usage error at the start."""
    given: dict[str, object] = {}
    for name, option in OPTIONS.items():
        if option.read is None:
            continue
        ini, argument = config.getini(f"smtpd_{name}"), config.getoption(f"smtpd_{name}")
        flag = f"--smtpd-{name.replace('_', '-')}"
        for source, value in ((f"ini smtpd_{name}", ini), (flag, argument)):
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
        owners: list[list[pytest.Mark]] = []
        if isinstance(node, pytest.Class):
            owners = [_marks(cls.__dict__.get("pytestmark")) for cls in reversed(node.obj.__mro__)]
        elif isinstance(node, pytest.Function) and hasattr(node, "callspec"):
            parametrized = [mark for mark in markers if _among(mark, node.callspec.marks)]
            owners = [[mark for mark in markers if mark not in parametrized], parametrized]
        for owner in owners:
            yield [mark for mark in owner if mark.name == "smtpd"]
        yield [mark for mark in markers if not any(_among(mark, owner) for owner in owners)]


def _marks(pytestmark: object) -> list[pytest.Mark]:
    listed = pytestmark if isinstance(pytestmark, list) else [pytestmark]
    marks = (getattr(mark, "mark", mark) for mark in listed)
    return [mark for mark in marks if isinstance(mark, pytest.Mark)]


def _among(mark: object, marks: Any) -> bool:
    return any(mark is getattr(each, "mark", each) for each in marks)


def _fail(text: str) -> None:
    pytest.fail(text, pytrace=False)


def _checked(given: Mapping[str, object], base: Options, source: str) -> Options:
    if not isinstance(given, Mapping):
        _fail(f"{source}: a dict of options is wanted, not {given!r}")
    try:
        return merge(given, base)
    except (TypeError, ValueError) as error:
        pytest.fail(f"{source}: {error}", pytrace=False)


# ---- collection


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        rival = _rival(config, item) if _uses(item, "smtpd") else None
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
    if not _uses(item, "smtpd") and any(mark.name == "smtpd" for mark in item.own_markers):
        item.warn(
            pytest.PytestWarning(
                f"{item.nodeid} has a marker smtpd and uses no fixture smtpd: no effect"
            )
        )


def _uses(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())


def _rival(config: pytest.Config, item: pytest.Item) -> str | None:
    """The plugin whose fixture of the same name a test would get, if there is one."""
    found = getattr(item, "_fixtureinfo").name2fixturedefs.get("smtpd")  # noqa: B009
    function = found[-1].func if found else None
    module = getattr(function, "__module__", __name__)
    if module == __name__:
        return None
    for plugin in config.pluginmanager.get_plugins():
        is_conftest = str(getattr(plugin, "__file__", "")).endswith("conftest.py")
        if is_conftest or getattr(plugin, "__name__", "") == __name__:
            continue
        if any(_is_of(fixture, function) for fixture in getattr(plugin, "__dict__", {}).values()):
            return config.pluginmanager.get_name(plugin)
    return None


def _is_of(fixture: object, function: object) -> bool:
    return callable(fixture) and getattr(fixture, "__wrapped__", fixture) is function


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
    given = _marker_options(request.node)
    options = _checked(given, options, "@pytest.mark.smtpd")
    _check_pairs(options)
    if _scope(config) == "session":
        for name in ("host", "port", "unix_socket"):
            if name in given:
                _refuse_address(name, given[name])
        yield from _borrowed(request, options)
        return
    server = _start(request.node, options, "smtpd")
    try:
        with _exported(config, server):
            yield server
    finally:
        server.stop()
    _judge(server)


def _exported(config: pytest.Config, server: Server) -> AbstractContextManager[None]:
    """Ini `smtpd_env`: the environment while the server is live."""
    lines = config.stash[_environment_lines]
    if not lines:
        return nullcontext()
    from .environment import exported

    return exported(lines, server)


def _borrowed(request: pytest.FixtureRequest, options: Options) -> Iterator[Server]:
    """The session's server for one test, and afterwards as it was."""
    server: Server = request.getfixturevalue("smtpd_session")
    usual, address = server.config, server.address
    for name in ("host", "port", "unix_socket"):
        if getattr(options, name) != getattr(usual, name):
            _refuse_address(name, getattr(options, name))
    seen = _remember(request.node, "smtpd", server)
    try:
        server._begin_test(options, request.node.nodeid)
    except (TypeError, ValueError, RuntimeError) as error:
        _fail(str(error))
    try:
        with _exported(request.config, server):
            yield server
    finally:
        try:
            server._end_test()
            _judge(server)
        finally:
            seen.keep()
            server._begin_test(usual, "", address)


def _refuse_address(name: str, value: object) -> None:
    _fail(
        f"smtpd option {name!r}: {value!r} is not allowed with "
        "smtpd_scope = session: the server keeps its address for the whole run"
    )


@pytest.fixture(scope="session")
def smtpd_session(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One started `pytest_smtpd.Server` for the whole run; one for each xdist worker."""
    given = _root_options(request)
    options = _checked(given, request.config.stash[_base_options], "smtpd_options")
    _check_pairs(options)
    server = _server(options, request.config)
    with server, _exported(request.config, server):
        request.config.stash[_session_server] = server
        yield server


@pytest.fixture
def smtpd_factory(
    request: pytest.FixtureRequest, smtpd_options: dict[str, object]
) -> Iterator[Callable[..., Server]]:
    """``smtpd_factory(**options) -> Server``, started; all are stopped when the test ends."""
    base = _checked(smtpd_options, request.config.stash[_base_options], "smtpd_options")
    made: list[Server] = []

    def make(**options: Any) -> Server:
        __tracebackhide__ = True
        server = _server(merge(options, base), request.config)
        server._use_seed(request.node.nodeid)
        made.append(server.start())
        stack.callback(server.stop)
        _remember(request.node, "smtpd_factory", server)
        return server

    with ExitStack() as stack:  # each is stopped, whatever the stop of another one raises
        yield make
    _judge(*made)


def _root_options(request: pytest.FixtureRequest) -> Any:
    """`smtpd_options` as the outermost conftest has it, whichever test asked first."""
    found: Any = None
    for node in request._pyfuncitem.listchain():
        if isinstance(node, pytest.File):
            break
        # before pytest 8.1 a node is asked for by its id
        place: Any = node if pytest.version_tuple >= (8, 1) else node.nodeid
        for found in request._fixturemanager.getfixturedefs("smtpd_options", place) or ():
            if found.func.__code__.co_filename.endswith("conftest.py"):
                return found.execute(request)
    return found.execute(request) if found else {}


def _server(options: Options, config: pytest.Config) -> Server:
    from .server import Server

    __tracebackhide__ = True
    if options.port and hasattr(config, "workerinput"):
        _fail(f"smtpd option 'port': {options.port} cannot serve several xdist workers")
    return Server._with(options)


def _check_pairs(options: Options) -> None:
    try:
        options.check_pairs()
    except ValueError as error:
        _fail(str(error))


def _start(node: pytest.Item, options: Options, name: str) -> Server:
    server = _server(options, node.config)
    server._use_seed(node.nodeid)
    _remember(node, name, server)
    try:
        return server.start()
    except RuntimeError as error:  # no trustme
        _fail(str(error))
        raise


def _remember(node: pytest.Item, name: str, server: Server) -> Seen:
    from .transcript import Seen

    for other in _seen_by(node):
        if other.server is not server:
            other.server._beside(server)
            server._beside(other.server)
    seen = Seen(name, server)
    node.stash.setdefault(_seen, []).append(seen)
    return seen


def _seen_by(item: pytest.Item) -> list[Seen]:
    """The servers of a test so far, the session's among them where the test asks for it."""
    seen = item.stash.get(_seen, [])
    server = item.config.stash.get(_session_server, None)
    if server is None or not _uses(item, "smtpd_session"):
        return seen
    if any(each.server is server for each in seen):
        return seen
    from .transcript import Seen

    return [*seen, Seen("smtpd_session", server)]


if find_spec("django") is not None:

    @pytest.fixture
    def smtpd_django(smtpd: Server) -> Iterator[Server]:
        """`smtpd`, to which Django's mail settings point during this test."""
        from .frameworks.django_settings import pointed_at

        with pointed_at(smtpd):
            yield smtpd


class _Guard:
    """Ini `smtpd_guard`; registered only where that is on."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Any:
        from .guard import in_force

        with in_force():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Any:
        from .guard import note, take

        try:
            result = yield
        except pytest.skip.Exception:
            _fail_for(take())
            raise
        except BaseException as error:
            note(error)
            raise
        _fail_for(take())
        return result

    pytest_runtest_call = pytest_runtest_teardown = pytest_runtest_setup


def _fail_for(blocked: list[str]) -> None:
    if blocked:
        _fail("\n".join(blocked))


# ---- judgement and report


def _judge(*servers: Server) -> None:
    """The option `strict`: what clients and their mail did wrong is an error of the teardown."""
    found = [finding for server in servers for finding in server._findings()]
    if found:
        _fail("smtpd strict: " + "\n  ".join([f"{len(found)} found", *found]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    seen = _seen_by(item)
    _note_phase(item, report)
    if report.failed and seen:
        from .transcript import section

        _add_section(report, section(seen))
    if report.when == "teardown" and seen:
        _write_mail(item, report, seen)
        for each in seen:
            each.server._others.clear()
        item.stash[_seen] = []
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


# ---- the mail on disk: --smtpd-save, --smtpd-report

_phases = pytest.StashKey[Any]()  # of a test so far: report.collect.Phases


def _folder(config: pytest.Config, option: str) -> Path | None:
    value = config.getoption(option)
    return config.rootpath / value if value and not config.option.collectonly else None


def _begin_report(config: pytest.Config) -> None:
    folder = _folder(config, "smtpd_report")
    if folder is None or hasattr(config, "workerinput"):
        return
    from .report import collect, render

    try:
        render.require()
        collect.begin(folder)
    except collect.ReportError as error:
        raise pytest.UsageError(str(error)) from None


def _note_phase(item: pytest.Item, report: pytest.TestReport) -> None:
    if _folder(item.config, "smtpd_report") is None:
        return
    from .report.collect import Phases

    if report.when == "setup":
        item.stash[_phases] = Phases()
    failure = report.longreprtext if report.failed else ""
    expected = hasattr(report, "wasxfail")
    item.stash[_phases].add(report.when, report.outcome, expected, report.duration, failure)


def _write_mail(item: pytest.Item, report: pytest.TestReport, seen: list[Seen]) -> None:
    save, folder = (_folder(item.config, each) for each in ("smtpd_save", "smtpd_report"))
    try:
        if save is not None:
            from .report.save import save_test

            mail = [message for each in seen for message in (*each.messages, *each.strays)]
            save_test(save, item.nodeid, mail)
        if folder is not None:
            from .report.collect import write_test

            write_test(folder, item.nodeid, item.stash[_phases], seen)
    except OSError as error:
        report.outcome = "failed"
        report.longrepr = f"smtpd: the mail of this test was not written: {error}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = _folder(session.config, "smtpd_report")
    if folder is None or hasattr(session.config, "workerinput"):
        return
    from .report.render import build

    build(folder)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    folder = _folder(config, "smtpd_report")
    if folder is not None:
        terminalreporter.write_line(f"mail of the tests: {folder / 'index.html'}")
