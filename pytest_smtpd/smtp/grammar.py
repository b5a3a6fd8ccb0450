"""The grammar of command lines: one function for each production, its RFC section above it.

The functions return parsed values, or raise `Refused` with the reply.
"""

from __future__ import annotations

import re
from collections.abc import Container
from functools import lru_cache
from typing import NamedTuple

from . import replies
from .commands import COMMANDS
from .events import Parameters
from .replies import Reply, fill


class Refused(Exception):
    """A command is refused: the reply, and the code of the violation, if any.

    `skips` octets that follow the line belong to the refused command.
    """

    def __init__(self, reply: Reply, violation: str | None = None, *, skips: int = 0) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.violation = violation
        self.skips = skips


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def syntax(verb: str) -> Refused:
    return Refused(fill(replies.SYNTAX, usage=COMMANDS[verb].usage), "bad-syntax")


def decode(line: bytes, verb: str) -> str:
    """The line as text. Only UTF-8 addresses may have octets over 127 (RFC 6531 section 3.3)."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        reply = {"MAIL": replies.BAD_SENDER, "RCPT": replies.BAD_RECIPIENT}.get(verb)
        raise Refused(reply or syntax(verb).reply, "non-ascii-command") from None
    if _CONTROL.search(text):
        raise syntax(verb)
    return text


# RFC 5321 section 4.1.1.1: Domain or address-literal. Names that DNS does not allow (underscores,
# single labels) pass: real clients send them from real machines.
def hello_name(argument: bytes, verb: str) -> str:
    name = decode(argument, verb)
    if not name or " " in name or not name.isascii():
        raise syntax(verb)
    return name


# RFC 5321 section 4.1.2: Path = "<" [ A-d-l ":" ] Mailbox ">". The address check judges
# Mailbox; here only its end is found: no space or angle bracket unquoted.
_PATH = re.compile(
    r"""
    <
    (?: @ [^:<>"\s]+ : (?!>) )?                            # source route, to be ignored (App. C)
    ( (?: " (?: [^"\\] | \\. )*+ " | [^<>"\s\\] )*+ )
    >
    (?: [ ]+ (.*) )?
    """,
    re.VERBOSE | re.DOTALL,
)


class Path(NamedTuple):
    """A reverse or forward path: the address, and the text of the parameters behind the path."""

    address: str
    parameters: str
    spaced: bool  # a space stood before the path


def path(argument: bytes, verb: str, keyword: str) -> Path:
    return (_path if len(argument) < 512 else _path.__wrapped__)(argument, verb, keyword)


@lru_cache(maxsize=4096)  # a suite repeats the same few addresses
def _path(argument: bytes, verb: str, keyword: str) -> Path:
    bad = replies.BAD_SENDER if verb == "MAIL" else replies.BAD_RECIPIENT
    text = decode(argument, verb)
    if text[: len(keyword)].upper() != keyword:
        raise syntax(verb)
    rest = text[len(keyword) :]
    stripped = rest.lstrip(" ")  # Outlook and many scripts write "FROM: <...>"
    if not stripped.startswith("<"):
        raise syntax(verb)
    found = _PATH.fullmatch(stripped)
    if found is None:
        raise Refused(bad, "bad-syntax")
    return Path(found[1], found[2] or "", len(stripped) != len(rest))


# RFC 3461 section 4: xtext; "+" and two upper-case hex digits encode all other octets
_HEXCHAR = r"\+(?-i:[0-9A-F]{2})"
_XTEXT = rf"(?:[!-*,-<>-~]|{_HEXCHAR})"


class Parameter(NamedTuple):
    """An ESMTP parameter: the extension it belongs to and the form of its value."""

    extension: str
    value: re.Pattern[str] | None  # None: the keyword stands alone


def _parameter(extension: str, value: str | None) -> Parameter:
    flags = re.IGNORECASE | re.ASCII
    return Parameter(extension, None if value is None else re.compile(value, flags))


MAIL_PARAMETERS: dict[str, Parameter] = {
    "SIZE": _parameter("SIZE", r"\d{1,20}"),  # RFC 1870 section 5
    "BODY": _parameter("8BITMIME", r"7BIT|8BITMIME|BINARYMIME"),  # RFC 6152, RFC 3030
    "SMTPUTF8": _parameter("SMTPUTF8", None),  # RFC 6531 section 3.4
    "RET": _parameter("DSN", r"FULL|HDRS"),  # RFC 3461 section 4.3
    "ENVID": _parameter("DSN", _XTEXT + r"{1,100}"),  # RFC 3461 section 4.4
    "AUTH": _parameter("AUTH", rf"<>|{_XTEXT}{{1,500}}"),  # RFC 4954 section 5
}

RCPT_PARAMETERS: dict[str, Parameter] = {
    # RFC 3461 section 4.1: NEVER stands alone
    "NOTIFY": _parameter(
        "DSN", r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}"
    ),
    # RFC 3461 section 4.2; RFC 6533 section 3 allows UTF-8 in it
    "ORCPT": _parameter("DSN", rf"[A-Z0-9-]+;(?:[!-*,-<>-~\x80-\U0010ffff]|{_HEXCHAR}){{1,500}}"),
}

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


# RFC 5321 section 4.1.2: Mail-parameters, Rcpt-parameters
def parameters(text: str, verb: str, offered: Container[str]) -> Parameters:
    known = MAIL_PARAMETERS if verb == "MAIL" else RCPT_PARAMETERS
    result: Parameters = {}
    for word in text.split(" "):
        if not word:
            continue
        keyword, equals, value = word.partition("=")
        name = keyword.upper()
        if not _KEYWORD.fullmatch(keyword) or name in result:
            raise syntax(verb)
        row = known.get(name)
        extension = row.extension if row else ""
        if name == "BODY" and value.upper() == "BINARYMIME":
            extension = "BINARYMIME"
        if row is None or extension not in offered:
            unknown = fill(replies.UNKNOWN_PARAMETER, name=name)
            raise Refused(unknown, "unoffered-extension")
        if bool(equals) != (row.value is not None) or (
            row.value and not row.value.fullmatch(value)
        ):
            raise Refused(fill(replies.BAD_PARAMETER, name=name), "bad-syntax")
        result[name] = value if equals else None
    return result


# RFC 3030 section 2: BDAT SP chunk-size [SP LAST]
_BDAT = re.compile(rb"(\d{1,19})(?:[ ]+(LAST))?", re.IGNORECASE)


def chunk(argument: bytes) -> tuple[int, bool]:
    found = _BDAT.fullmatch(argument)
    if found is None:
        raise syntax("BDAT")
    return int(found[1]), found[2] is not None


def no_argument(argument: bytes, verb: str) -> None:
    if argument:
        raise syntax(verb)
