"""The settings of a run: reads flags and keys of the ini file, and refuses wrong ones."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from ..options import OPTIONS, Options, merge

if TYPE_CHECKING:
    from .environment import Line

base_options = pytest.StashKey[Options]()  # defaults, then ini, then the command line
environment_lines = pytest.StashKey[tuple["Line", ...]]()  # of ini smtpd_env


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("smtpd", "SMTP server for tests")
    for option in OPTIONS.values():
        if option.form is None:
            continue
        kind: Any = "linelist" if option.several else "string"
        parser.addini(f"smtpd_{option.name}", f"smtpd: {option.help}", type=kind, default=None)
        help = option.describe(option.help, option.default).replace("%", "%%")
        for flag in option.flags:
            dest = f"smtpd_{option.name}"
            group.addoption(f"--smtpd-{flag}", dest=dest, help=help, **option.argument)
            help = argparse.SUPPRESS
    parser.addini(
        "smtpd_scope", "smtpd: 'function' (default), or 'session': one server for the whole run"
    )
    parser.addini(
        "smtpd_env",
        "smtpd: lines such as EMAIL_HOST={host}, set in os.environ while a server is running; "
        "the names are {host}, {port}, {url}, {ca_file}, {username} and {password}",
        type="linelist",
    )
    parser.addini(
        "smtpd_guard",
        "smtpd: fail a test that connects to a mail port of another machine",
        type="bool",
        default=False,
    )
    group.addoption(
        "--smtpd-scope",
        choices=("function", "session"),
        metavar="function|session",
        help="a server for each test (default), or one for the whole run",
    )
    group.addoption(
        "--smtpd-save", metavar="DIR", help="write each test's mail to DIR/<test>/0001.eml, ..."
    )
    group.addoption(
        "--smtpd-report", metavar="DIR", help="write the mail of all tests to DIR/index.html"
    )


# Settings of the plugin, not options of a server
_ONLY_INI = ("env", "guard")
_ONLY_FLAGS = ("report", "save")
_OTHERS = (*_ONLY_INI, *_ONLY_FLAGS, "scope")


def pytest_load_initial_conftests(args: list[str]) -> None:
    """Refuses a misspelt flag and names the nearest one; the error of pytest names none."""
    for argument in args:
        if argument == "--":
            return
        flag, _, _ = argument.partition("=")
        if flag.startswith("--smtpd-"):
            _refuse_unknown(flag.removeprefix("--smtpd-").replace("-", "_"), flag)


def _refuse_unknown(name: str, source: str) -> None:
    if name in OPTIONS and OPTIONS[name].form is None:
        raise pytest.UsageError(
            f"{source}: smtpd option {name!r} has no text form: "
            "set it in a marker or in the fixture smtpd_options"
        )
    if name not in OPTIONS and name not in _OTHERS:
        from ..options.errors import unknown

        raise pytest.UsageError(f"{source}: {unknown(name, _OTHERS)}")
    if name in _ONLY_INI and source.startswith("--"):
        raise pytest.UsageError(f"{source} is no flag: set it in the ini file, as smtpd_{name}")
    if name in _ONLY_FLAGS and not source.startswith("--"):
        raise pytest.UsageError(
            f"{source} is no key of the ini file: it is a flag, --smtpd-{name}=DIR"
        )


def read_environment(config: pytest.Config) -> tuple[Line, ...]:
    lines = _in_ini(config, "smtpd_env", several=True)
    if not lines:
        return ()
    from .environment import parse

    try:
        return parse(lines)
    except ValueError as error:
        raise pytest.UsageError(f"ini {error}") from None


def guard_is_on(config: pytest.Config) -> bool:
    try:
        return bool(config.getini("smtpd_guard"))
    except (TypeError, ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"ini smtpd_guard: {error}; true or false is wanted") from None


def _ini_file(config: pytest.Config) -> Mapping[str, object]:
    # The keys of the file have no public name: `inicfg` became `_inicfg` in pytest 9
    name = "_inicfg" if hasattr(config, "_inicfg") else "inicfg"
    file: Mapping[str, object] = getattr(config, name, {})
    return file


def _in_ini(config: pytest.Config, key: str, *, several: bool) -> Any:
    """The text of a key in the ini file; None if the file does not have the key."""
    value = _ini_file(config).get(key)
    value = getattr(value, "value", value)  # pytest 9 wraps it
    # pytest 9 reads native TOML, which has numbers and booleans
    if isinstance(value, int | float) and not several:
        return str(value)
    try:
        found = config.getini(key)
        # pytest does not check the items of a list in pyproject.toml
        if isinstance(found, list) and not all(isinstance(each, str) for each in found):
            raise TypeError
        return found
    except (TypeError, ValueError, pytest.UsageError):  # its text may contain a password
        kind = "a list of strings" if several else "a string"
        raise pytest.UsageError(f"ini {key}: {kind} is wanted") from None


def read_options(config: pytest.Config) -> Options:
    """The options from ini and command line; a wrong name or value is a usage error."""
    for key in _ini_file(config):
        if key.startswith("smtpd_"):
            _refuse_unknown(key.removeprefix("smtpd_"), f"ini {key}")
    given: dict[str, object] = {}
    ini_folder = config.rootpath if config.inipath is None else config.inipath.parent
    for name, option in OPTIONS.items():
        if option.form is None:
            continue
        key, flag = f"smtpd_{name}", f"--smtpd-{option.flags[0]}"
        ini = f"ini {key}", _in_ini(config, key, several=option.several), ini_folder
        argument = flag, config.getoption(key), config.invocation_params.dir
        for source, text, folder in (ini, argument):
            if text is None:
                continue
            from ..options.values import counted_from, read

            try:
                value = read(name, text)
                merge({name: value})
            except ValueError as error:
                raise pytest.UsageError(f"{source}: {error}") from None
            given[name] = counted_from(folder, name, value)
    options = merge(given)
    workers = config.getoption("numprocesses", None)
    if options.port and (workers or hasattr(config, "workerinput")):
        raise pytest.UsageError(port_of_several(options.port))
    return options


def port_of_several(port: int) -> str:
    return (
        f"smtpd option 'port': {port} cannot serve several xdist workers; "
        "leave it out, each worker's server takes a free port"
    )


def scope(config: pytest.Config) -> str:
    ini = _in_ini(config, "smtpd_scope", several=False)
    scope = config.getoption("smtpd_scope") or ini or "function"
    if scope not in ("function", "session"):
        raise pytest.UsageError(
            f"ini smtpd_scope: {scope!r} is not allowed: 'function' or 'session' is wanted"
        )
    return str(scope)


def saves_mail(config: pytest.Config) -> bool:
    return bool(config.getoption("smtpd_save") or config.getoption("smtpd_report"))
