"""The checks of option values and their text forms: a value in, the value to keep out.

A check says what is allowed by raising `Wanted`. What it needs it imports itself: `options` is
loaded at every start of pytest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NoReturn

# That can be made; each but the first fails a verifying client in its own way
CERTIFICATES = ("valid", "expired", "not-yet-valid", "wrong-host", "untrusted")


class Wanted(ValueError):
    """A value that is not allowed; the text says what is."""


def shown(value: object) -> str:
    """A value in an error text; what is long is left out in the middle."""
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:100]}...{text[-57:]}"


def wanted(text: str, value: object = None, choices: Iterable[str] = ()) -> NoReturn:
    from .patterns import nearest

    raise Wanted(text + (nearest(value, choices) if isinstance(value, str) else ""))


# The words of a check that takes only some, for `usage`
_WORDS: dict[Callable[[object], object], tuple[str, ...]] = {}


def one_of(*choices: object) -> Callable[[object], object]:
    names = [choice for choice in choices if isinstance(choice, str)]

    def check(value: object) -> object:
        if any(
            value is choice or (value == choice and type(value) is type(choice))
            for choice in choices
        ):
            return value
        wanted(f"one of {', '.join(map(repr, choices))} is wanted", value, names)

    _WORDS[check] = ("none", *names) if None in choices else tuple(names)
    return check


def boolean(value: object) -> object:
    if not isinstance(value, bool):
        wanted("True or False is wanted")
    return value


def text(value: object) -> object:
    if not isinstance(value, str) or any(ord(c) < 32 or ord(c) == 127 for c in value):
        wanted("a str without control characters is wanted")
    return value


def ascii_text(value: object) -> object:
    if not str(text(value)).isascii():
        wanted("a str of ASCII characters is wanted")
    return value


def name(value: object) -> object:
    fits = isinstance(value, str) and value.isascii() and value.isprintable()
    if not value or not fits or " " in str(value):
        wanted("a host name in ASCII, without spaces, is wanted")
    return value


def number(
    least: int, most: float = float("inf"), *, of: str = "", none: bool = False
) -> Callable[[object], object]:
    number = f"a whole number of {of}" if of else "a whole number"
    bound = f"from {least} to {most}" if most < float("inf") else f"from {least} up"

    def check(value: object) -> object:
        if value is None and none:
            return value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            wanted(f"{number} {bound}{', or None,' if none else ''} is wanted")
        return value

    return check


def timeout(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        wanted("a number of seconds above 0 is wanted")
    return float(min(value, sys.float_info.max)) if isinstance(value, int) else value


def socket_path(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        wanted("a path is wanted")
    return text(os.fspath(value))


def rules(*, hosts: bool = False) -> Callable[[object], object]:
    def check(value: object) -> object:
        from .rejection import compile_rules

        if isinstance(value, Mapping):
            # What is frozen must not change with the original
            value = MappingProxyType(dict(value))
        elif isinstance(value, str | bytes) or callable(value):  # a mock is iterable as well
            pass
        elif isinstance(value, Iterable):
            value = tuple(value)
        try:
            compile_rules(value, hosts=hosts)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            wanted(str(error))
        return value

    return check


def function(value: object) -> object:
    if value is not None and not callable(value):
        wanted("a callable is wanted")
    return value


def words(*known: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if isinstance(value, str) or not isinstance(value, Iterable):
            one = [value.upper()] if isinstance(value, str) and value.upper() in known else None
            meant = f" (did you mean {one}?)" if one else ""
            wanted(f"a list of {', '.join(known)} is wanted{meant}")
        words = []
        for word in value:
            name = word.upper() if isinstance(word, str) else word
            if name not in known:
                wanted(f"{word!r} is none of {', '.join(known)}", name, known)
            words.append(name)
        return tuple(dict.fromkeys(words))

    return check


def certificate(value: object) -> object:
    if isinstance(value, tuple | list) and len(value) == 2:
        if all(isinstance(path, str | os.PathLike) for path in value):
            return tuple(os.fspath(path) for path in value)
    elif value in CERTIFICATES:
        return value
    kinds = ", ".join(map(repr, CERTIFICATES))
    wanted(f"one of {kinds}, or a pair (certfile, keyfile) is wanted", value, CERTIFICATES)


_WORDS[certificate] = (*CERTIFICATES, "CERTFILE,KEYFILE")


def ssl_context(value: object) -> object:
    if value is not None:
        ssl = sys.modules.get("ssl")  # whoever has a context has loaded it
        if ssl is None or not isinstance(value, ssl.SSLContext):
            wanted("an ssl.SSLContext is wanted")
    return value


class Users(Mapping[str, str]):
    """User names and passwords; frozen, and shown without the passwords."""

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


def users(value: object) -> object:
    if value is None or value == "any":
        return value
    if not isinstance(value, Mapping) or not value:
        wanted(
            "a mapping from at least one user to a password, such as {'user': 'password'}, "
            "or 'any', is wanted"
        )
    for number, (user, password) in enumerate(value.items(), start=1):
        if not isinstance(user, str) or not isinstance(password, str) or not user or not password:
            # Not even the name: the two may have been mixed up
            wanted(f"non-empty strs are wanted as name and password, and no. {number} has others")
    return Users(value)


def faults(value: object) -> object:
    from .faults import Fault

    listed = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    faults = tuple(value) if listed else (value,)  # type: ignore[arg-type]
    for fault in faults:
        if isinstance(fault, type) and issubclass(fault, Fault):
            wanted(f"a fault is wanted, such as {fault.__name__}(on='rcpt'), not its class")
        if not isinstance(fault, Fault):
            shown = f", not {fault!r}" if listed else ""
            wanted(f"a list of faults such as pytest_smtpd.faults.Drop(on='rcpt') is wanted{shown}")
    return faults


def seed(value: object) -> object:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | str)):
        wanted("an int or a str is wanted")
    return value


def codes(value: object) -> object:
    from .lint.catalogue import PROBLEMS
    from .patterns import nearest
    from .smtp.violations import VIOLATIONS

    codes = (value,) if isinstance(value, str) else value
    if not isinstance(codes, Iterable):
        wanted("a list of codes of violations and problems is wanted")
    codes = tuple(codes)
    for code in codes:
        known = isinstance(code, str) and (code in VIOLATIONS or code in PROBLEMS)
        if not known:
            # Some eighty: all their names would hide the rest of the text
            meant = nearest(code, [*VIOLATIONS, *PROBLEMS]) if isinstance(code, str) else ""
            where = "; the page 'Violations and problems' of the docs lists them"
            wanted(f"{code!r} is no code of a violation or problem{meant or where}")
    return codes


# ---- text forms, for ini and command lines


def read_bool(text: str) -> object:
    known = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}  # fmt: skip
    return known.get(text.strip().lower(), text)


def read_choice(text: str) -> object:
    return None if text.strip().lower() == "none" else text


def read_int(text: str) -> object:
    if text.strip().lower() == "none":
        return None
    try:
        return int(text.replace("_", ""))
    except ValueError:
        return text


def read_float(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def read_certificate(text: str) -> object:
    return tuple(part.strip() for part in text.split(",")) if "," in text else text


def read_rule(text: str) -> object:
    """``PATTERN[=REPLY]``; an ``=`` that no reply code follows belongs to the pattern."""
    pattern, equals, reply = text.rpartition("=")
    code = reply[:3]
    if equals and code.isascii() and code.isdigit() and (len(reply) == 3 or reply[3] == " "):
        return (pattern.strip(), reply)
    return (text, None)


def read_user(text: str) -> object:
    name, colon, password = text.partition(":")
    return (name, password) if colon else text


_FORMS = {
    "reject_host": "PATTERN[=REPLY]",
    "reject_sender": "PATTERN[=REPLY]",
    "reject_recipient": "PATTERN[=REPLY]",
    "users": "NAME:PASSWORD|any",
    "unix_socket": "PATH",
    "greeting_hostname": "NAME",
    "banner": "TEXT",
    "timeout": "SECONDS",
    "max_size": "OCTETS",
    "max_recipients": "NUMBER",
    "extensions": "KEYWORD",
    "without_extensions": "KEYWORD",
    "auth_mechanisms": "NAME",
    "ignore": "CODE",
}


def usage(name: str, check: Callable[[object], object], *, flag: bool) -> str:
    """The text form of an option's value, as the help of a command line shows it."""
    words = [*(("yes", "no") if flag else ()), *_WORDS.get(check, ())]
    return _FORMS.get(name) or "|".join(words) or name.upper()
