"""The values of options: one check and one text form for each kind of row.

A check takes a row and a value, and returns the value to keep or raises `Wanted`, whose text
says the allowed values. Loaded with the first value that is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from ..patterns import nearest
from .errors import not_allowed
from .row import OPTIONS, Option

if TYPE_CHECKING:
    from pathlib import Path

_MAX_SOCKET_PATH = 100  # octets: sun_path of Linux has 108, macOS and BSD have 104


class Wanted(ValueError):
    """A value that is not allowed; the text names the allowed values."""


def _wanted(text: str, value: object = None, choices: Iterable[object] = ()) -> NoReturn:
    names = [choice for choice in choices if isinstance(choice, str)]
    raise Wanted(text + (nearest(value, names) if isinstance(value, str) else ""))


# ---- checks


def _choice(option: Option, value: object) -> object:
    for choice in option.choices:
        if value is choice or (value == choice and type(value) is type(choice)):
            return value
    _wanted(f"one of {', '.join(map(repr, option.choices))} is wanted", value, option.choices)


def _boolean(option: Option, value: object) -> object:
    if not isinstance(value, bool):
        _wanted("True or False is wanted")
    return value


def _text(option: Option, value: object) -> object:
    if not isinstance(value, str) or any(ord(c) < 32 or ord(c) == 127 for c in value):
        _wanted("a str without control characters is wanted")
    return value


def _ascii(option: Option, value: object) -> object:
    if not str(_text(option, value)).isascii():
        _wanted("a str of ASCII characters is wanted")
    return value


def _hostname(option: Option, value: object) -> object:
    fits = isinstance(value, str) and value.isascii() and value.isprintable()
    if not value or not fits or " " in str(value):
        _wanted("a host name in ASCII, without spaces, is wanted")
    return value


def _number(option: Option, value: object) -> object:
    if value is None and option.no_limit:
        return value
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not option.least <= value <= option.most:  # type: ignore[operator]
        kind = f"a whole number of {option.unit}" if option.unit else "a whole number"
        upper = f"to {option.most}" if option.most < float("inf") else "up"
        none = ", or None," if option.no_limit else ""
        _wanted(f"{kind} from {option.least} {upper}{none} is wanted")
    return value


def _seconds(option: Option, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        _wanted("a number of seconds above 0 is wanted")
    return float(min(value, sys.float_info.max)) if isinstance(value, int) else value


def _socket(option: Option, value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        _wanted("a path is wanted")
    return _text(option, os.fspath(value))


def _rules(option: Option, value: Any) -> object:
    from ..rejection import compile_rules

    if isinstance(value, Mapping):
        # A frozen value must not change when the test changes the original
        value = MappingProxyType(dict(value))
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes) and not callable(value):
        value = tuple(value)  # a callable may be iterable too: a mock is
    try:
        compile_rules(value, hosts=option.kind == "hosts")
    except (TypeError, ValueError) as error:
        _wanted(str(error))
    return value


def _function(option: Option, value: object) -> object:
    if value is not None and not callable(value):
        _wanted("a callable is wanted")
    return value


def _words(option: Option, value: object) -> object:
    known = option.choices
    if isinstance(value, str) or not isinstance(value, Iterable):
        one = [value.upper()] if isinstance(value, str) and value.upper() in known else None
        meant = f" (did you mean {one}?)" if one else ""
        _wanted(f"a list of {', '.join(map(str, known))} is wanted{meant}")
    words = []
    for word in value:
        name = word.upper() if isinstance(word, str) else word
        if name not in known:
            _wanted(f"{word!r} is none of {', '.join(map(str, known))}", name, known)
        words.append(name)
    return tuple(dict.fromkeys(words))


def _certificate(option: Option, value: object) -> object:
    if isinstance(value, tuple | list) and len(value) == 2:
        if all(isinstance(path, str | os.PathLike) for path in value):
            return tuple(os.fspath(path) for path in value)
    elif value in option.choices:
        return value
    kinds = ", ".join(map(repr, option.choices))
    _wanted(f"one of {kinds}, or a pair (certfile, keyfile) is wanted", value, option.choices)


def _context(option: Option, value: object) -> object:
    if value is not None:
        ssl = sys.modules.get("ssl")  # a test that has a context has loaded it
        if ssl is None or not isinstance(value, ssl.SSLContext):
            _wanted("an ssl.SSLContext is wanted")
    return value


class Users(Mapping[str, str]):
    """User names and passwords; frozen, and the `repr` masks the passwords."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = dict(passwords)

    def __getitem__(self, user: str) -> str:
        return self._passwords[user]

    def __iter__(self) -> Iterator[str]:
        return iter(self._passwords)

    def __len__(self) -> int:
        return len(self._passwords)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{user!r}: '***'" for user in self) + "}"


def _users(option: Option, value: object) -> object:
    if value is None or value == "any":
        return value
    if not isinstance(value, Mapping) or not value:
        _wanted(
            "a mapping from at least one user to a password, such as {'user': 'password'}, "
            "or 'any', is wanted"
        )
    for number, (user, password) in enumerate(value.items(), start=1):
        if not isinstance(user, str) or not isinstance(password, str) or not user or not password:
            # The name is not shown either: the test may have swapped name and password
            _wanted(f"user {number}: name and password must be non-empty strings")
    return Users(value)


def _faults(option: Option, value: object) -> object:
    from ..faults import Fault

    listed = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    faults = tuple(value) if listed else (value,)  # type: ignore[arg-type]
    for fault in faults:
        if isinstance(fault, type) and issubclass(fault, Fault):
            _wanted(f"a fault is wanted, such as {fault.__name__}(on='rcpt'), not its class")
        if not isinstance(fault, Fault):
            shown = f", not {fault!r}" if listed else ""
            example = "pytest_smtpd.faults.Drop(on='rcpt')"
            _wanted(f"a list of faults such as {example} is wanted{shown}")
    return faults


def _seed(option: Option, value: object) -> object:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | str)):
        _wanted("an int or a str is wanted")
    return value


def _codes(option: Option, value: object) -> object:
    from ..lint.catalogue import PROBLEMS
    from ..smtp.violations import VIOLATIONS

    codes = (value,) if isinstance(value, str) else value
    if not isinstance(codes, Iterable):
        _wanted("a list of codes of violations and problems is wanted")
    codes = tuple(codes)
    for code in codes:
        if not isinstance(code, str) or (code not in VIOLATIONS and code not in PROBLEMS):
            # There are some eighty codes: listing them would hide the rest of the text
            meant = nearest(code, [*VIOLATIONS, *PROBLEMS]) if isinstance(code, str) else ""
            where = "; the page 'Violations and problems' of the docs lists them"
            _wanted(f"{code!r} is no code of a violation or problem{meant or where}")
    return codes


_CHECKS: dict[str, Callable[[Option, Any], object]] = {
    "addresses": _rules, "ascii": _ascii, "boolean": _boolean, "certificate": _certificate,
    "choice": _choice, "codes": _codes, "context": _context, "faults": _faults,
    "function": _function, "hostname": _hostname, "hosts": _rules, "number": _number,
    "seconds": _seconds, "seed": _seed, "socket": _socket, "text": _text, "users": _users,
    "words": _words,
}  # fmt: skip


def check(option: Option, value: object) -> object:
    """The value to keep. Raises `ValueError`, which names the option and the allowed values."""
    __tracebackhide__ = True
    try:
        return _CHECKS[option.kind](option, value)
    except Wanted as wanted:
        raise not_allowed(option, value, wanted) from None


# ---- text forms, for ini and command lines. A malformed text is returned unchanged:
# the check refuses it.

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}  # fmt: skip


def _read_boolean(option: Option, text: str) -> object:
    return _BOOLEANS.get(text.strip().lower(), text)


def _read_choice(option: Option, text: str) -> object:
    if True in option.choices:
        return _read_boolean(option, text)
    return None if None in option.choices and text.strip().lower() == "none" else text


def _read_number(option: Option, text: str) -> object:
    if text.strip().lower() == "none":
        return None
    try:
        return int(text.replace("_", ""))
    except ValueError:
        return text


def _read_seconds(option: Option, text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _read_certificate(option: Option, text: str) -> object:
    return tuple(part.strip() for part in text.split(",")) if "," in text else text


def _read_rules(option: Option, lines: list[str]) -> object:
    return dict(map(_rule, lines))


def _rule(text: str) -> tuple[str, str | None]:
    """``PATTERN[=REPLY]``; an ``=`` without a reply code after it belongs to the pattern."""
    pattern, equals, reply = text.rpartition("=")
    code = reply[:3]
    if equals and code.isascii() and code.isdigit() and (len(reply) == 3 or reply[3] == " "):
        return (pattern.strip(), reply)
    return (text, None)


def _read_users(option: Option, lines: list[str]) -> object:
    if lines == ["any"]:
        return "any"
    if not all(":" in line for line in lines):
        raise Wanted("NAME:PASSWORD, or any, is wanted")
    return {name: password for name, _, password in (line.partition(":") for line in lines)}


def _read_words(option: Option, lines: list[str]) -> object:
    return [word for line in lines for word in line.replace(",", " ").split()]


# For a kind without a reader, the text is the value
_READERS: dict[str, Callable[[Option, Any], object]] = {
    "addresses": _read_rules, "boolean": _read_boolean, "certificate": _read_certificate,
    "choice": _read_choice, "codes": _read_words, "hosts": _read_rules, "number": _read_number,
    "seconds": _read_seconds, "users": _read_users, "words": _read_words,
}  # fmt: skip


def read(name: str, text: str | list[str]) -> object:
    """An option's value from its text form, as ini or a command line gives it.

    The value is not checked: call `check` next. Raises `ValueError` for a text without a value.
    """
    option = OPTIONS[name]
    given: object = text
    if option.several:
        lines = [text] if isinstance(text, str) else text
        given = [line.strip() for line in lines if line.strip()]
    try:
        return _READERS[option.kind](option, given) if option.kind in _READERS else given
    except Wanted as wanted:
        raise not_allowed(option, text, wanted) from None


def counted_from(folder: Path, name: str, value: Any) -> object:
    """The value of an option, with its paths resolved against `folder`."""
    option = OPTIONS[name]
    if not option.path or value in option.choices:
        return value
    if option.kind != "socket":
        return tuple(str(folder / path) for path in value)
    if str(folder) == os.getcwd():  # a short path stays short: a longer one may not fit
        return value
    path = str(folder / value)
    return path if len(os.fsencode(path)) < _MAX_SOCKET_PATH else os.path.relpath(path)
