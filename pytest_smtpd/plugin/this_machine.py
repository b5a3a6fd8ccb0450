"""Whether a host is this machine: by the loopback interface, another address, or its name."""

from __future__ import annotations

import socket

from ..originals import make_socket

_LOOPBACK_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
_MAPPED = b"\0" * 10 + b"\xff\xff"  # the prefix of an IPv4 address (RFC 4291 section 2.5.5.2)

_host_name = socket.gethostname  # a test may patch it


def packed(host: str) -> bytes | None:
    """The octets of an address; None for a name, which has to be looked up."""
    try:
        octets = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        return octets.removeprefix(_MAPPED)
    except (OSError, ValueError):  # ValueError for a NUL
        pass
    try:
        return socket.inet_aton(host)  # takes 127.1, as connect() does
    except (OSError, ValueError):
        return None


def is_this_machine(host: str) -> bool:
    """Whether a connection to this host stays on this machine."""
    octets = packed(host)
    if octets is None:
        return _is_own_name(host.lower().removesuffix("."))
    # A connection to 0.0.0.0 or :: goes to the loopback interface
    local = octets[0] == 127 if len(octets) == 4 else octets == bytes(15) + b"\1"
    return local or not any(octets) or _is_own_address(octets)


def _is_own_name(name: str) -> bool:
    # RFC 6761 section 6.3: names under .localhost are the loopback interface
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    own = _host_name().lower()
    first_label = own.partition(".")[0]
    # RFC 6762 section 3: the machine announces its name under .local
    return bool(first_label) and name in (own, first_label, f"{first_label}.local")


def _is_own_address(octets: bytes) -> bool:
    # RFC 6724 section 5, rule 1: to an address of this machine, the source address is the same.
    # connect() of a UDP socket chooses the source address and sends nothing.
    family = socket.AF_INET if len(octets) == 4 else socket.AF_INET6
    try:
        with make_socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((socket.inet_ntop(family, octets), 9))
            return packed(probe.getsockname()[0]) == octets
    except Exception:  # OSError, or the error of a plugin that forbids sockets
        return False
