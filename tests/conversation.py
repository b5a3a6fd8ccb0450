"""Conversations as data: the cases of tests/conversations/*.toml, read into options and steps.

Its rule: nothing here knows a socket or a server. What a step does is `conversation_player`'s;
what the words of the format mean is told in tests/conversations/README.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conversation_options import live_option, octets

FOLDER = Path(__file__).with_name("conversations")


@dataclass(frozen=True, slots=True)
class Codes:
    """Reply codes a step allows: `250`, `250|251`, `5xx`."""

    text: str

    def __contains__(self, code: object) -> bool:
        pattern = self.text.replace("x", r"\d")
        return re.fullmatch(pattern, str(code)) is not None


@dataclass(frozen=True, slots=True)
class Send:
    data: bytes
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Expect:
    codes: Codes
    text: str | None = None
    message: bool = False
    lines: int | None = None
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    repeat: int = 1
    not_before: float = 0.0
    or_closed: bool = False
    ends: Codes | None = None


@dataclass(frozen=True, slots=True)
class Exactly:
    data: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Closed:
    maybe: Codes | None = None


@dataclass(frozen=True, slots=True)
class Close:
    pass


@dataclass(frozen=True, slots=True)
class Reset:
    pass


@dataclass(frozen=True, slots=True)
class HalfClose:
    pass


@dataclass(frozen=True, slots=True)
class StartTLS:
    refused: bool = False


@dataclass(frozen=True, slots=True)
class On:
    name: str
    tls: bool = True


@dataclass(frozen=True, slots=True)
class CramMD5:
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class ScramSHA256:
    user: str
    password: str
    end: str = "235"


@dataclass(frozen=True, slots=True)
class If:
    codes: Codes
    steps: tuple[tuple[str, Step], ...]


Step = (
    Send
    | Expect
    | Exactly
    | Silence
    | Wait
    | Closed
    | Close
    | Reset
    | HalfClose
    | StartTLS
    | On
    | CramMD5
    | ScramSHA256
    | If
)
Steps = tuple[tuple[str, Step], ...]

_TRANSACTION = {
    "@greet": ("< 220",),
    "@ehlo": ("< 220", "> EHLO client.example", "< 250"),
    "@helo": ("< 220", "> HELO client.example", "< 250"),
    "@lhlo": ("< 220", "> LHLO client.example", "< 250"),
    "@mail": ("> MAIL FROM:<ann@example.com>", "< 250"),
    "@rcpt": ("> RCPT TO:<bob@example.net>", "< 250"),
    "@data": ("> DATA", "< 354"),
    "@text": (r">> Subject: hi\r\n\r\nhello\r\n.\r\n", "<+ 250"),
    "@message": ("@mail", "@rcpt", "@data", "@text"),
    "@noop": ("> NOOP", "< 250"),
    "@rset": ("> RSET", "< 250"),
    "@quit": ("> QUIT", "< 221", "closed"),
}
_PROBES = {"@probe": "@ehlo", "@probe-lmtp": "@lhlo"}


@dataclass(frozen=True)
class Case:
    """One conversation. `options` is as written; `server_options()` makes keywords of it."""

    file: str
    name: str
    rfc: str
    steps: Steps
    why: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    mailbox: tuple[Mapping[str, Any], ...] | None = None
    violations: bool | tuple[str, ...] | None = None
    session: Mapping[str, Any] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.file}:{self.name}"

    def server_options(self) -> dict[str, Any]:
        """Keywords for `Server`, with callables and faults of its own at each call."""
        return {name: live_option(name, value) for name, value in self.options.items()}

    def flat_steps(self) -> Iterator[Step]:
        """Every step, those under a condition included."""
        yield from _flat(self.steps)


def _flat(steps: Steps) -> Iterator[Step]:
    for _, step in steps:
        if isinstance(step, If):
            yield from _flat(step.steps)
        else:
            yield step


def read_cases(folder: Path = FOLDER) -> list[Case]:
    """All the cases of a folder, file by file. A word the format does not have is a ValueError."""
    cases = []
    for path in sorted(folder.glob("*.toml")):
        with path.open("rb") as file:
            tables = tomllib.load(file)["case"]
        names = [table["name"] for table in tables]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"{path.name}: more than one case is called {sorted(twice)}")
        cases += [read_case(path.stem, table) for table in tables]
    return cases


def read_case(file: str, table: Mapping[str, Any]) -> Case:
    known = {"name", "rfc", "why", "options", "violations", "session"}
    lists = {"mailbox", "hidden", "needs"}
    _refuse_unknown(table, known | lists | {"steps"}, f"{file}: {table.get('name')}")
    values = {key: table[key] for key in known & set(table)}
    values |= {key: tuple(table[key]) for key in lists & set(table)}
    if isinstance(values.get("violations"), list):
        values["violations"] = tuple(values["violations"])
    try:
        return Case(file=file, steps=_read_steps(table["steps"], _Names()), **values)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: {table.get('name')}: {error}") from error


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = set(table) - known
    if unknown:
        raise ValueError(f"{where}: unknown {sorted(unknown)}")


class _Names:
    """Which connection the steps are on, and names for those of probes."""

    def __init__(self) -> None:
        self.current = "a"
        self.probes = 0


def _read_steps(steps: Iterable[Any], names: _Names) -> Steps:
    return tuple(step for source in steps for step in _read_step(source, names))


def _read_step(source: Any, names: _Names) -> Sequence[tuple[str, Step]]:
    if isinstance(source, dict):
        step = _from_table(source)
    elif source in _TRANSACTION:
        return _read_steps(_TRANSACTION[source], names)
    elif source in _PROBES:
        before, names.probes = names.current, names.probes + 1
        probe = f"on probe {names.probes}"
        return _read_steps((probe, _PROBES[source], "@message", "@quit", f"on {before}"), names)
    elif source.startswith("?"):
        codes, _, rest = source[1:].partition(" ")
        step = If(Codes(codes), _read_steps([rest], names))
    else:
        step = _from_text(source)
    if isinstance(step, On):
        names.current = step.name
    return [(str(source), step)]


_REPLY = re.compile(r"<(?P<message>\+?) (?P<codes>\S+)(?: \([0-9x|]+\))?(?: (?P<text>.+))?")
_WORDS: dict[str, Step] = {
    "closed": Closed(),
    "close": Close(),
    "reset": Reset(),
    "half-close": HalfClose(),
    "starttls": StartTLS(),
}


def _from_text(source: str) -> Step:
    if source in _WORDS:
        return _WORDS[source]
    if source == ">" or source.startswith("> "):
        return Send(source[2:].encode() + b"\r\n")
    if source.startswith(">> "):
        return Send(octets(source[3:]))
    if source.startswith("<"):
        reply = _REPLY.fullmatch(source)
        if reply is not None:
            codes, text = Codes(reply["codes"]), reply["text"]
            return Expect(codes, text, message=bool(reply["message"]))
    word, _, value = source.partition(" ")
    if word == "silence":
        return Silence(float(value))
    if word == "wait":
        return Wait(float(value))
    if word == "on" and value:
        return On(value)
    raise ValueError(f"no such step: {source!r}")


def _from_table(table: Mapping[str, Any]) -> Step:
    if "send" in table:
        _refuse_unknown(table, {"send", "repeat"}, "send")
        lines = range(1, table.get("repeat", 1) + 1)
        text = "".join(table["send"].replace("{n}", str(n)) + "\r\n" for n in lines)
        return Send(text.encode())
    if "bytes" in table:
        _refuse_unknown(table, {"bytes", "repeat", "pace"}, "bytes")
        data = octets(table["bytes"]) * table.get("repeat", 1)
        return Send(data, table.get("pace", 0.0))
    if "reply" in table:
        return _expect(table)
    if "closed" in table:
        _refuse_unknown(table, {"closed", "maybe"}, "closed")
        return Closed(Codes(table["maybe"]) if "maybe" in table else None)
    if "exactly" in table:
        _refuse_unknown(table, {"exactly"}, "exactly")
        return Exactly(octets(table["exactly"]))
    if "cram_md5" in table:
        return CramMD5(*table["cram_md5"])
    if "scram_sha256" in table:
        return ScramSHA256(*table["scram_sha256"])
    if table == {"starttls": "refuse"}:
        return StartTLS(refused=True)
    if "on" in table:
        _refuse_unknown(table, {"on", "tls"}, "on")
        return On(table["on"], table.get("tls", True))
    raise ValueError(f"no such step: {dict(table)!r}")


def _expect(table: Mapping[str, Any]) -> Expect:
    # `also` and `also_closed` are what other servers may do: not for ours.
    simple = {"text", "message", "lines", "repeat", "not_before", "or_closed"}
    known = simple | {"reply", "has", "lacks", "ends", "also", "also_closed"}
    _refuse_unknown(table, known, "reply")
    return Expect(
        Codes(table["reply"]),
        has=tuple(table.get("has", ())),
        lacks=tuple(table.get("lacks", ())),
        ends=Codes(table["ends"]) if "ends" in table else None,
        **{key: table[key] for key in simple & set(table)},
    )
