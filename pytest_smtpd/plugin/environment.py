"""Ini `smtpd_env`: a server's address in environment variables while it is live.

Rule: the lines are checked when the ini file is read. Afterwards each variable has its old value,
even if a test changed it, and in whichever order servers end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from string import Formatter
from typing import TYPE_CHECKING, NamedTuple

from ..patterns import nearest

if TYPE_CHECKING:
    from ..server import Server

PLACEHOLDERS = ("host", "port", "url", "ca_file", "username", "password")


class Line(NamedTuple):
    """A line of the ini: a variable, and the text of its value with placeholders."""

    name: str
    text: str
    placeholders: frozenset[str]


def parse(lines: Iterable[str]) -> tuple[Line, ...]:
    """Reads lines such as ``EMAIL_HOST={host}``; literal braces are doubled.

    Placeholders are `PLACEHOLDERS`. Raises `ValueError` for a malformed line, and for an unknown
    placeholder, naming the nearest one.
    """
    stripped = (line.strip() for line in lines)
    return tuple(_parse(line) for line in stripped if line and not line.startswith("#"))


def _parse(line: str) -> Line:
    name, equals, text = (part.strip() for part in line.partition("="))
    if not equals or not name or "\0" in line or any(map(str.isspace, name)):
        raise ValueError(
            f"smtpd_env: {line!r} is not allowed: a line such as EMAIL_HOST={{host}} is wanted"
        )
    try:
        fields = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(
            f"smtpd_env: {line!r} is not allowed: {error}; a brace that is none of a placeholder "
            "is written twice"
        ) from None
    placeholders = set()
    for _, field, form, conversion in fields:
        if field is None:
            continue
        if field not in PLACEHOLDERS or form or conversion:
            shown = field + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            known = ", ".join(f"{{{placeholder}}}" for placeholder in PLACEHOLDERS)
            raise ValueError(
                f"smtpd_env: {line!r}: unknown placeholder {{{shown}}}"
                f"{nearest(field, PLACEHOLDERS)}; allowed are {known}"
            )
        placeholders.add(field)
    return Line(name, text, frozenset(placeholders))


def values(server: Server) -> dict[str, str]:
    """The present values of the placeholders; leaves out placeholders without a value.

    `username` and `password` come from the option `users` if it has exactly one user.
    """
    known = {"host": server.host, "url": server.url}
    if server.port:
        known["port"] = str(server.port)
    ca_file = server.ca_file
    if ca_file is not None:
        known["ca_file"] = str(ca_file)
    users = server.config.users
    if users is not None and users != "any" and len(users) == 1:
        ((known["username"], known["password"]),) = users.items()
    return known


# The old values of each use that has not ended, oldest first; None: the variable was not set
_found: list[dict[str, str | None]] = []


@contextmanager
def exported(lines: Iterable[Line], server: Server) -> Iterator[None]:
    """Sets the variables in `os.environ`, and restores them at the end.

    The server has to be started. A line whose placeholder has no value now is skipped.
    """
    known = values(server)
    ready = [line for line in lines if line.placeholders <= known.keys()]
    settings = {line.name: line.text.format_map(known) for line in ready}
    found = {name: os.environ.get(name) for name in settings}
    _found.append(found)
    try:
        os.environ.update(settings)
        yield
    finally:
        _restore(found)


def _restore(found: dict[str, str | None]) -> None:
    # By identity: two uses may have equal old values
    index = next(index for index, each in enumerate(_found) if each is found)
    later = _found[index + 1 :]
    del _found[index]
    for name, value in found.items():
        # A later use that has not ended keeps its value, and will restore our old value
        heir = next((each for each in later if name in each), None)
        if heir is not None:
            heir[name] = value
        elif value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
