"""Patterns that a user writes: globs, regular expressions, callables, networks.

Rule: a pattern is checked when it is compiled, and a glob matches in time linear in the value,
because the value comes from the network.
"""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

PatternLike: TypeAlias = str | re.Pattern[str] | Callable[[str], object]


def compile_pattern(value: PatternLike) -> Callable[[str], bool]:
    """Turn a pattern into a predicate on strings.

    - A `str` is a glob over the whole value, without regard to case; `*` (any characters, line
      ends too, or none) and `?` (one character) are the only wildcards, so `[` is itself.
    - A `re.Pattern` is searched, with its own flags.
    - A callable is called; its result counts as true or false, its exceptions propagate.
      Raises `TypeError` if it returns an awaitable.

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
        return _asked(value)
    raise TypeError(
        "a pattern is a str (a glob), a re.Pattern or a callable, "
        f"not {type(value).__name__}: {value!r}"
    )


def _asked(ask: Callable[[str], object]) -> Callable[[str], bool]:
    def matches(text: str) -> bool:
        answer = ask(text)
        if inspect.isawaitable(answer):  # an awaitable is always true
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError(f"a pattern answers at once, {describe_pattern(ask)} is async")
        return bool(answer)

    return matches


def compile_glob(glob: str, *, anywhere: bool = False) -> Callable[[str], bool]:
    """Turn a glob into a predicate; with `anywhere`, a part of the value may match."""
    if anywhere:
        glob = f"*{glob}*"
    # `[` is no wildcard. The atomic groups that `translate` writes keep "*a*a*a*a*b" linear.
    pattern = fnmatch.translate(glob.replace("[", "[[]"))
    match = re.compile(pattern, re.IGNORECASE).match
    return lambda text: match(text) is not None


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
        wanted = _address(value)
        if wanted is not None:
            return lambda host: _address(host) == wanted
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
        addresses = _address(host), _address(_mapped(host))
        return any(address is not None and address in network for address in addresses)

    return contains


def _address(host: str | None) -> IPv4Address | IPv6Address | None:
    import ipaddress

    try:
        return ipaddress.ip_address(host)  # type: ignore[arg-type]
    except ValueError:  # of None too
        return None


def describe_pattern(value: object) -> str:
    """A pattern for an error text: the name of a callable, otherwise the `repr`."""
    if callable(value) and not isinstance(value, type):
        name = getattr(value, "__qualname__", None)
        if isinstance(name, str):
            return name
    return repr(value)


def nearest(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with the name most similar to `name`, or `""` if none is similar."""
    import difflib

    known = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), known, n=1)
    return f" (did you mean {known[close[0]]!r}?)" if close else ""
