"""The table of options: each option's row stands here once, and is an attribute of `Options`.

The marker, `Server(...)`, `smtpd_options`, ini, the command lines and the reference page all read
this table. It is loaded at every start of pytest, so checks and errors load when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn, dataclass_transform

from .._version import __version__
from ..smtp.extensions import EXTENSIONS, MECHANISMS
from .row import OPTIONS, Option

if TYPE_CHECKING:
    import ssl

    from ..faults import Fault
    from ..message.message import Message
    from ..rejection import RejectOption


# What can be made. A verifying client accepts the first; each other one fails in its own way
CERTIFICATES = ("valid", "expired", "not-yet-valid", "wrong-host", "untrusted")

_Callback = Callable[[str], object] | None


def _option(kind: str, help: str, *, default: Any, **properties: Any) -> Any:
    """A row; type checkers take it for a field."""
    return Option(kind, default, help, **properties)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(_option,))
class _Frozen:
    """The behavior of `Options`: values are checked when they are given, then never change."""

    def __init__(self, **given: Any) -> None:
        __tracebackhide__ = True
        for name, value in given.items():
            _keep(self.__dict__, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from .errors import how_to_set

        __tracebackhide__ = True
        raise AttributeError(f"Options are frozen: {how_to_set(name)}")

    def __delattr__(self, name: str) -> NoReturn:
        __tracebackhide__ = True
        raise AttributeError(f"Options are frozen: Server.configure({name}=None) makes new ones")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        given = (f"{name}={self.__dict__[name]!r}" for name in OPTIONS if name in self.__dict__)
        return f"Options({', '.join(given)})"


class Options(_Frozen):
    """All options of a server, checked. Frozen: `Server.configure` makes new ones.

    Each option is an attribute, and has its default if it was not given. Two are equal if all their
    values are; `repr` shows the options that differ from their defaults, and masks passwords.

    Raises `TypeError` for an unknown name, naming the nearest one, and `ValueError` for a value
    that is not allowed, naming the option, the value and what is allowed.
    """

    host: str = _option(
        "text",
        "where to listen: a name, IPv4 or IPv6 address; '' is all interfaces",
        default="127.0.0.1",
        live=False,
        address=True,
    )
    port: int = _option(
        "number",
        "the port to listen on; 0 takes a free one",
        default=0,
        most=65535,
        live=False,
        address=True,
        hand_default=2525,
    )
    unix_socket: str | None = _option(
        "socket",
        "the path of a unix socket to listen on, instead of host and port",
        default=None,
        form="PATH",
        live=False,
        address=True,
        path=True,
    )
    greeting_hostname: str = _option(
        "hostname", "the server's name in greeting and replies", default="localhost", form="NAME"
    )
    banner: str = _option(
        "ascii",
        "the text between host name and date in the greeting",
        default=f"pytest-smtpd {__version__}",
        form="TEXT",
    )
    reject_host: RejectOption | None = _option(
        "hosts",
        "refuse clients by IP address: a pattern or network, a list, a mapping to replies",
        default=None,
        form="PATTERN[=REPLY]",
        several=True,
    )
    reject_sender: RejectOption | None = _option(
        "addresses",
        "refuse senders: a pattern, a list, a mapping to replies",
        default=None,
        form="PATTERN[=REPLY]",
        several=True,
    )
    reject_recipient: RejectOption | None = _option(
        "addresses",
        "refuse recipients: a pattern, a list, a mapping to replies; never postmaster",
        default=None,
        form="PATTERN[=REPLY]",
        several=True,
    )
    validate_host: _Callback = _option(
        "function",
        "called with the client's IP address; refuses by raising",
        default=None,
        form=None,
    )
    validate_sender: _Callback = _option(
        "function", "called with the sender's address; refuses by raising", default=None, form=None
    )
    validate_recipient: _Callback = _option(
        "function",
        "called with each recipient's address; refuses by raising",
        default=None,
        form=None,
    )
    deliver: Callable[[str, list[str], list[str]], object] | None = _option(
        "function",
        "called with sender, recipients and the lines of each message",
        default=None,
        form=None,
    )
    deliver_mime: Callable[[Message], object] | None = _option(
        "function", "called with each message; wins over deliver", default=None, form=None
    )
    trace_headers: bool = _option(
        "boolean",
        "prepend Return-Path and Received to each message, before it is stored and delivered",
        default=False,
        flag=True,
    )
    addresses: Literal["syntax", "strict", "any"] = _option(
        "choice",
        "which addresses to accept: what RFC 5321 allows, what is globally deliverable, or any",
        default="syntax",
        choices=("syntax", "strict", "any"),
    )
    protocol: Literal["smtp", "lmtp"] = _option(
        "choice",
        "the protocol to speak: smtp or lmtp",
        default="smtp",
        choices=("smtp", "lmtp"),
        live=False,
    )
    extensions: tuple[str, ...] = _option(
        "words",
        "the EHLO keywords to offer; with an empty list the server knows only HELO",
        default=tuple(EXTENSIONS),
        form="KEYWORD",
        choices=tuple(EXTENSIONS),
        several=True,
    )
    without_extensions: tuple[str, ...] = _option(
        "words",
        "EHLO keywords not to offer",
        default=(),
        form="KEYWORD",
        choices=tuple(EXTENSIONS),
        several=True,
    )
    max_size: int | None = _option(
        "number",
        "the largest message accepted, in octets; None is no limit",
        default=33554432,
        form="OCTETS",
        least=1,
        unit="octets",
        no_limit=True,
    )
    max_recipients: int | None = _option(
        "number",
        "the most recipients of one message; None is no limit",
        default=1000,
        form="NUMBER",
        least=1,
        unit="recipients",
        no_limit=True,
    )
    timeout: float = _option(
        "seconds", "seconds of client silence before 421", default=300.0, form="SECONDS"
    )
    tls: Literal["starttls", "implicit"] | None = _option(
        "choice",
        "offer STARTTLS, or speak TLS from the start",
        default=None,
        choices=(None, "starttls", "implicit"),
        live=False,
    )
    require_tls: bool = _option(
        "boolean",
        "answer 530 to almost every command that comes without TLS",
        default=False,
        flag=True,
    )
    certificate: str | tuple[str, str] = _option(
        "certificate",
        "the kind of certificate to make, or your own pair of files (certificate, key)",
        default="valid",
        form="|".join((*CERTIFICATES, "CERTFILE,KEYFILE")),
        choices=CERTIFICATES,
        live=False,
        path=True,
    )
    ssl_context: ssl.SSLContext | None = _option(
        "context", "your own context; wins over certificate", default=None, form=None, live=False
    )
    users: Mapping[str, str] | Literal["any"] | None = _option(
        "users",
        "users and passwords, which turns AUTH on; 'any' accepts all credentials",
        default=None,
        form="NAME:PASSWORD|any",
        several=True,
        secret=True,
    )
    auth_mechanisms: tuple[str, ...] = _option(
        "words",
        "the mechanisms to offer, in this order",
        default=MECHANISMS,
        form="NAME",
        choices=MECHANISMS,
        several=True,
    )
    require_auth: bool = _option(
        "boolean",
        "answer 530 to mail from clients that have not authenticated",
        default=False,
        flag=True,
    )
    auth_requires_tls: bool = _option(
        "boolean", "neither offer nor accept AUTH without TLS", default=False, flag=True
    )
    faults: tuple[Fault, ...] = _option(
        "faults", "scripted failures, see pytest_smtpd.faults", default=(), form=None
    )
    seed: int | str | None = _option(
        "seed", "for faults with a probability: the same seed gives the same failures", default=None
    )
    strict: bool | Literal["violations", "problems"] = _option(
        "choice",
        "fail the test if the client or its mail did something wrong",
        default=False,
        choices=(False, True, "violations", "problems"),
        flag=True,
        hand_help="print what clients and their mail did wrong",
    )
    ignore: tuple[str, ...] = _option(
        "codes",
        "codes of violations and problems that strict does not report",
        default=(),
        form="CODE",
        several=True,
    )


def _keep(values: dict[str, object], name: str, value: object) -> None:
    """Keeps a value if it is allowed and not the default."""
    __tracebackhide__ = True
    if name not in OPTIONS:
        from .errors import unknown

        raise unknown(name)
    option = OPTIONS[name]
    default = option.default
    if value is not default:
        from .values import check

        value = check(option, value)
        # Where the default is None, `!=` would ask a callable for its opinion
        if default is None or value != default:
            values[name] = value


DEFAULTS = Options()


def merge(
    given: Mapping[str, object], base: Options = DEFAULTS, *, restore: bool = False
) -> Options:
    """The options of `base`, changed by those that were given.

    None restores a default. For a limit, None means "no limit", except with `restore`.

    Raises `TypeError` for an unknown name, naming the nearest one, and `ValueError` for a value
    that is not allowed. It does not look at pairs: see `pairs.check_pairs`.
    """
    __tracebackhide__ = True
    if not given:
        return base
    result = Options()
    values = dict(base.__dict__)
    for name, value in given.items():
        values.pop(name, None)
        option = OPTIONS.get(name)
        if value is None and option is not None and (restore or not option.no_limit):
            continue
        _keep(values, name, value)
    result.__dict__.update(values)
    return result
