"""What was asked for a run: flags and keys of the ini file, and what is kept of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..options import OPTIONS, Options, merge, read

if TYPE_CHECKING:
    from .environment import Line

base_options = pytest.StashKey[Options]()  # of a run: defaults, ini, command line
environment_lines = pytest.StashKey[tuple["Line", ...]]()  # of ini smtpd_env


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("smtpd", "SMTP server for tests")
    for option in OPTIONS.values():
        if option.read is None:
            continue
        kind: Any = "linelist" if option.several else "string"
        parser.addini(f"smtpd_{option.name}", f"smtpd: {option.help}", type=kind, default=None)
        help = option.describe(option.help, option.default).replace("%", "%%")
        for hidden, flag in enumerate(option.flags):
            group.addoption(
                f"--smtpd-{flag}",
                dest=f"smtpd_{option.name}",
                default=None,
                help=argparse.SUPPRESS if hidden else help,
                **option.argument,
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
        metavar="function|session",
        help="a server for each test (default), or one for the whole run",
    )
    group.addoption(
        "--smtpd-save", metavar="DIR", help="write each test's mail to DIR/<test>/0001.eml, ..."
    )
    group.addoption(
        "--smtpd-report", metavar="DIR", help="write DIR/index.html: the mail of all tests to read"
    )


# What the plugin asks for beside the options of a server
_ONLY_INI = ("env", "guard")
_ONLY_FLAGS = ("report", "save")
_OTHERS = (*_ONLY_INI, *_ONLY_FLAGS, "scope")


def pytest_load_initial_conftests(args: list[str]) -> None:
    """A misspelt flag: pytest would say that it is unknown, and not which one was meant."""
    for argument in args:
        if argument == "--":
            return
        flag, _, _ = argument.partition("=")
        if flag.startswith("--smtpd-"):
            _refuse_unknown(flag.removeprefix("--smtpd-").replace("-", "_"), flag)


def _refuse_unknown(name: str, source: str) -> None:
    if name in OPTIONS and OPTIONS[name].read is None:
        raise pytest.UsageError(
            f"{source}: smtpd option {name!r} has no text form: "
            "set it in a marker or in the fixture smtpd_options"
        )
    if name not in OPTIONS and name not in _OTHERS:
        from ..option_names import unknown

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
    # No public way leads to what stands in the file: `inicfg` was one, until it became `_inicfg`
    name = "_inicfg" if hasattr(config, "_inicfg") else "inicfg"
    file: Mapping[str, object] = getattr(config, name, {})
    return file


def _in_ini(config: pytest.Config, key: str, *, several: bool) -> Any:
    """What the ini file says, as text; native TOML, from pytest 9 on, has numbers and booleans."""
    value = _ini_file(config).get(key)
    value = getattr(value, "value", value)  # there, also a mode
    if isinstance(value, int | float) and not several:
        return str(value)
    try:
        found = config.getini(key)
        # `ini_options` of pyproject.toml gives lists as they are
        if isinstance(found, list) and not all(isinstance(each, str) for each in found):
            raise TypeError
        return found
    except (TypeError, ValueError, pytest.UsageError):  # whose text may have a password
        kind = "a list of strings" if several else "a string"
        raise pytest.UsageError(f"ini {key}: {kind} is wanted") from None


def read_options(config: pytest.Config) -> Options:
    """Defaults, ini, command line: a wrong name or value is a usage error at the start."""
    for key in _ini_file(config):
        if key.startswith("smtpd_"):
            _refuse_unknown(key.removeprefix("smtpd_"), f"ini {key}")
    given: dict[str, object] = {}
    ini_folder = config.rootpath if config.inipath is None else config.inipath.parent
    for name, option in OPTIONS.items():
        if option.read is None:
            continue
        ini = _in_ini(config, f"smtpd_{name}", several=option.several)
        flag, argument = f"--smtpd-{name.replace('_', '-')}", config.getoption(f"smtpd_{name}")
        for source, text, folder in (
            (f"ini smtpd_{name}", ini, ini_folder),
            (flag, argument, config.invocation_params.dir),
        ):
            if text is None:
                continue
            try:
                value = read(name, text)
                merge({name: value})
            except ValueError as error:
                raise pytest.UsageError(f"{source}: {error}") from None
            given[name] = _counted_from(folder, name, value)
    options = merge(given)
    workers = config.getoption("numprocesses", None)
    if options.port and (workers or hasattr(config, "workerinput")):
        raise pytest.UsageError(port_of_several(options.port))
    return options


def _counted_from(folder: Path, name: str, value: Any) -> object:
    """The value; of names of files, as they count from where they were written."""
    if name == "unix_socket" and folder != Path.cwd():  # or it stays short: it has some 100 octets
        path = str(folder / value)
        return path if len(os.fsencode(path)) < 100 else os.path.relpath(path)
    if name == "certificate" and not isinstance(value, str):
        return tuple(str(folder / path) for path in value)
    return value


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
