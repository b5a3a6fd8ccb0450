"""The arguments of ``python -m pytest_smtpd``: the parser, its help, and the options given.

The flags are the options of the option table.
"""

from __future__ import annotations

import argparse
from typing import Any

from .._version import __version__
from ..options import OPTIONS, Options
from ..options.pairs import check_pairs
from ..options.values import read
from ..patterns import nearest

PROG = "python -m pytest_smtpd"


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose error for an unknown option names the nearest one."""

    def known(self, arguments: list[str] | None) -> argparse.Namespace:
        namespace, rest = self.parse_known_args(arguments)
        # The error repeats only the option's name: its value may be a password
        unknown = next((word.partition("=")[0] for word in rest if word.startswith("-")), None)
        if unknown is not None:
            self.error(self._unknown(unknown))
        if rest:
            self.error(f"unexpected argument {rest[0]!r}: options are --NAME VALUE")
        return namespace

    def _unknown(self, flag: str) -> str:
        name = flag.lstrip("-").replace("-", "_")
        if name in OPTIONS:
            return f"option {flag} has no text form: give it to pytest_smtpd.Server in Python"
        names = [flag for flag in self._option_string_actions if not flag[2:].count("_")]
        meant = nearest(flag.replace("_", "-"), names)
        return f"unknown option {flag}{meant or '; --help lists them'}"


def parse(arguments: list[str] | None) -> tuple[Options, str | None]:
    """The options, checked, and the directory of ``--save``.

    Raises `SystemExit` with 2 for a wrong argument, after printing the error.
    """
    parser = _parser()
    namespace = parser.known(arguments)
    given: dict[str, Any] = {name: option.hand_default for name, option in OPTIONS.items()}
    for name, option in OPTIONS.items():
        text = None if option.form is None else getattr(namespace, name)
        if text is None:
            continue
        try:
            given[name] = read(name, text)
            Options(**{name: given[name]})
        except ValueError as error:
            parser.error(f"--{option.flags[0]}: {error}")
    options = Options(**given)
    try:
        check_pairs(options)
    except ValueError as error:
        parser.error(str(error))
    return options, namespace.save


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROG,
        usage=f"{PROG} [--port PORT] [--OPTION VALUE ...] [--save DIR]",
        description="An SMTP server that records mail. It prints each message when it arrives, "
        "until it is interrupted.",
        epilog="Callbacks and faults need Python: see pytest_smtpd.Server.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pytest-smtpd {__version__}")
    parser.add_argument(
        "--save",
        metavar="DIR",
        help="write each message to DIR when it arrives: 0001.eml, 0002.eml, ...; existing files "
        "are never overwritten",
    )
    group = parser.add_argument_group("options of the server")
    for option in OPTIONS.values():
        if option.form is not None:
            help = option.describe(option.hand_help, option.hand_default).replace("%", "%%")
            for flag in option.flags:
                group.add_argument(f"--{flag}", dest=option.name, help=help, **option.argument)
                help = argparse.SUPPRESS
    return parser
