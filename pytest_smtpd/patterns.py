"""What a user writes to say "such ones": globs, regular expressions, callables, networks.

Rule: a pattern is checked when it is compiled, and matching takes time linear in the value,
whatever the value is: it comes from the network.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

__all__ = [
    "PatternLike",
    "compile_glob",
    "compile_host_pattern",
    "compile_pattern",
    "describe_pattern",
    "nearest",
]

PatternLike: TypeAlias = str | re.Pattern[str] | Callable[[str], object]

_FLAGS = re.IGNORECASE | re.DOTALL


def compile_pattern(value: PatternLike) -> Callable[[str], bool]:
    """Turn a pattern into a predicate on strings.

    - A `str` is a glob over the whole value, without regard to case; `*` (any characters, line
      ends too, or none) and `?` (one character) are the only wildcards, so `[` is itself.
    - A `re.Pattern` is searched, with its own flags.
    - A callable is asked; what it returns counts as true or false, what it raises comes through.
      It answers at once: `TypeError` for one that returns an awaitable.

    Raises `TypeError` for anything else, a pattern on bytes and an ``async def`` included.
    """
    if isinstance(value, str):
        return compile_glob(value)
    if isinstance(value, re.Pattern):
        if not isinstance(value.pattern, str):
            raise TypeError(f"a pattern must be on str, not on bytes: {value!r}")
        search = value.search
        return lambda text: search(text) is not None
    if callable(value):
        if inspect.iscoroutinefunction(value):
            raise TypeError(f"a pattern answers at once, {describe_pattern(value)} is async")
        return _asking(value)
    raise TypeError(
        "a pattern is a str (a glob), a re.Pattern or a callable, "
        f"not {type(value).__name__}: {value!r}"
    )


def _asking(ask: Callable[[str], object]) -> Callable[[str], bool]:
    def matches(text: str) -> bool:
        answer = ask(text)
        if inspect.isawaitable(answer):  # which is true, whatever comes of it
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError(f"a pattern answers at once, {describe_pattern(ask)} is async")
        return bool(answer)

    return matches


def compile_glob(glob: str, *, anywhere: bool = False) -> Callable[[str], bool]:
    """Turn a glob into a predicate; `anywhere` lets it stand anywhere in the value."""
    if anywhere:
        glob = f"*{glob}*"
    pieces = [re.escape(piece).replace(r"\?", ".") for piece in re.split(r"\*+", glob)]
    if len(pieces) == 3 and not pieces[0] and not pieces[2]:
        # "*piece*": the search of one piece is linear, and faster than the general form.
        search = re.compile(pieces[1], _FLAGS).search
        return lambda text: search(text) is not None
    first, *rest = pieces
    pattern = first
    if rest:
        *middle, last = rest
        # The leftmost place of a piece leaves most room for those after it, so none has to be
        # tried again: atomic groups forbid it, and "*a*a*a*a*b" stays linear on "aaaa...".
        pattern += "".join(f"(?>.*?{piece})" for piece in middle)
        pattern += f".*{last}" if last else ".*"
    fullmatch = re.compile(pattern, _FLAGS).fullmatch
    return lambda text: fullmatch(text) is not None


def compile_host_pattern(value: PatternLike) -> Callable[[str], bool]:
    """Turn a pattern for hosts into a predicate on IP addresses in text form.

    A `str` with a `/` is a network, `"10.0.0.0/8"` or `"2001:db8::/32"` (bits after the prefix are
    ignored); an IPv6 address without wildcards is compared as an address, however it is written;
    any other `str` is a glob over the address. IPv4 clients of a dual-stack socket, whose address
    is `::ffff:10.1.2.3` (RFC 4291 2.5.5.2), are matched as `10.1.2.3` too. Peers that have no IP
    address (unix sockets) are in no network.

    Raises `ValueError` for a bad network, `TypeError` as `compile_pattern` does.
    """
    if isinstance(value, str) and "/" in value:
        return _in_network(value)
    if isinstance(value, str) and ":" in value and "*" not in value and "?" not in value:
        same_address = _same_address(value)
        if same_address is not None:
            return same_address
    matches = compile_pattern(value)
    if not isinstance(value, str | re.Pattern):
        return matches

    def matches_either(host: str) -> bool:
        mapped = _mapped(host)
        return matches(host) or (mapped is not None and matches(mapped))

    return matches_either


def _mapped(host: str) -> str | None:
    """The IPv4 address inside `::ffff:10.1.2.3`, as getpeername() writes it."""
    return host[7:] if host[:7].lower() == "::ffff:" and "." in host else None


def _in_network(value: str) -> Callable[[str], bool]:
    import ipaddress

    try:
        network = ipaddress.ip_network(value.strip(), strict=False)
    except ValueError:
        raise ValueError(f"a network such as '10.0.0.0/8' is wanted, not {value!r}") from None

    def contains(host: str) -> bool:
        for text in (host, _mapped(host)):
            try:
                if text is not None and ipaddress.ip_address(text) in network:
                    return True
            except ValueError:
                continue
        return False

    return contains


def _same_address(value: str) -> Callable[[str], bool] | None:
    import ipaddress

    try:
        wanted = ipaddress.ip_address(value)
    except ValueError:
        return None

    def same(host: str) -> bool:
        try:
            return ipaddress.ip_address(host) == wanted
        except ValueError:
            return False

    return same


def describe_pattern(value: object) -> str:
    """A pattern for an error text: the name of a callable, the `repr` of anything else."""
    if callable(value) and not isinstance(value, type):
        name = getattr(value, "__qualname__", None)
        if isinstance(name, str):
            return name
    return repr(value)


def nearest(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with the name most like `name`, or `""` where none is like it."""
    import difflib

    known = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), known, n=1)
    return f" (did you mean {known[close[0]]!r}?)" if close else ""
