"""The table of options: each option is a row here, and an attribute of `Options`.

The marker, `Server(...)`, `smtpd_options`, ini, the command lines and the reference page all read
this table. It is loaded at every start of pytest, so checks and errors are loaded on first use.
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


# A client that verifies accepts the first; each other one fails for another reason
CERTIFICATES = ("valid", "expired", "not-yet-valid", "wrong-host", "untrusted")

_Callback = Callable[[str], object] | None


def _option(kind: str, *, default: Any, help: str, **properties: Any) -> Any:
    """A row; type checkers take it for a field."""
    return Option(kind, default, help, **properties)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(_option,))
class _Frozen:
    """The behavior of `Options`: checks values when they are given, then never changes them."""

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

    Each option is an attribute, and has its default if it was not given. Two objects are equal if
    all their values are. `repr` shows the options that differ from their defaults, and masks
    passwords.

    Raises `TypeError` for an unknown name, naming the nearest one, and `ValueError` for a value
    that is not allowed, naming the option, the value and the allowed values.
    """

    # fmt: off
    host: str = _option("text", default="127.0.0.1", live=False, address=True,
        help="where to listen: a name, IPv4 or IPv6 address; '' is all interfaces")
    port: int = _option("number", default=0, most=65535, live=False, address=True,
        hand_default=2525, help="the port to listen on; 0 takes a free one")
    unix_socket: str | None = _option("socket", default=None, form="PATH", live=False, address=True,
        path=True, help="the path of a unix socket to listen on, instead of host and port")
    greeting_hostname: str = _option("hostname", default="localhost", form="NAME",
        help="the server's name in greeting and replies")
    banner: str = _option("ascii", default=f"pytest-smtpd {__version__}", form="TEXT",
        help="the text between host name and date in the greeting")
    reject_host: RejectOption | None = _option("hosts", default=None, form="PATTERN[=REPLY]",
        several=True,
        help="refuse clients by IP address: a pattern or network, a list, a mapping to replies")
    reject_sender: RejectOption | None = _option("addresses", default=None, form="PATTERN[=REPLY]",
        several=True, help="refuse senders: a pattern, a list, a mapping to replies")
    reject_recipient: RejectOption | None = _option("addresses", default=None,
        form="PATTERN[=REPLY]", several=True,
        help="refuse recipients: a pattern, a list, a mapping to replies; never postmaster")
    validate_host: _Callback = _option("function", default=None, form=None,
        help="called with the client's IP address; refuses by raising")
    validate_sender: _Callback = _option("function", default=None, form=None,
        help="called with the sender's address; refuses by raising")
    validate_recipient: _Callback = _option("function", default=None, form=None,
        help="called with each recipient's address; refuses by raising")
    deliver: Callable[[str, list[str], list[str]], object] | None = _option("function",
        default=None, form=None,
        help="called with sender, recipients and the lines of each message")
    deliver_mime: Callable[[Message], object] | None = _option("function", default=None, form=None,
        help="called with each message; wins over deliver")
    trace_headers: bool = _option("boolean", default=False, flag=True,
        help="prepend Return-Path and Received to each message, before it is stored and delivered")
    addresses: Literal["syntax", "strict", "any"] = _option("choice", default="syntax",
        choices=("syntax", "strict", "any"),
        help="which addresses to accept: what RFC 5321 allows, what is globally deliverable, "
        "or any")
    protocol: Literal["smtp", "lmtp"] = _option("choice", default="smtp", choices=("smtp", "lmtp"),
        live=False, help="the protocol to speak: smtp or lmtp")
    extensions: tuple[str, ...] = _option("words", default=tuple(EXTENSIONS), form="KEYWORD",
        choices=tuple(EXTENSIONS), several=True,
        help="the EHLO keywords to offer; with an empty list the server knows only HELO")
    without_extensions: tuple[str, ...] = _option("words", default=(), form="KEYWORD",
        choices=tuple(EXTENSIONS), several=True, help="EHLO keywords not to offer")
    max_size: int | None = _option("number", default=33554432, form="OCTETS", least=1,
        unit="octets", no_limit=True,
        help="the largest message accepted, in octets; None is no limit")
    max_recipients: int | None = _option("number", default=1000, form="NUMBER", least=1,
        unit="recipients", no_limit=True,
        help="the most recipients of one message; None is no limit")
    timeout: float = _option("seconds", default=300.0, form="SECONDS",
        help="seconds of client silence before 421")
    tls: Literal["starttls", "implicit"] | None = _option("choice", default=None,
        choices=(None, "starttls", "implicit"), live=False,
        help="offer STARTTLS, or speak TLS from the start")
    require_tls: bool = _option("boolean", default=False, flag=True,
        help="answer 530 to almost every command that comes without TLS")
    certificate: str | tuple[str, str] = _option("certificate", default="valid",
        form="|".join((*CERTIFICATES, "CERTFILE,KEYFILE")), choices=CERTIFICATES, live=False,
        path=True,
        help="the kind of certificate to make, or your own pair of files (certificate, key)")
    ssl_context: ssl.SSLContext | None = _option("context", default=None, form=None, live=False,
        help="your own context; wins over certificate")
    users: Mapping[str, str] | Literal["any"] | None = _option("users", default=None,
        form="NAME:PASSWORD|any", several=True, secret=True,
        help="users and passwords, which turns AUTH on; 'any' accepts all credentials")
    auth_mechanisms: tuple[str, ...] = _option("words", default=MECHANISMS, form="NAME",
        choices=MECHANISMS, several=True, help="the mechanisms to offer, in this order")
    require_auth: bool = _option("boolean", default=False, flag=True,
        help="answer 530 to mail from clients that have not authenticated")
    auth_requires_tls: bool = _option("boolean", default=False, flag=True,
        help="neither offer nor accept AUTH without TLS")
    faults: tuple[Fault, ...] = _option("faults", default=(), form=None,
        help="scripted failures, see pytest_smtpd.faults")
    seed: int | str | None = _option("seed", default=None,
        help="for faults with a probability: the same seed gives the same failures")
    strict: bool | Literal["violations", "problems"] = _option("choice", default=False,
        choices=(False, True, "violations", "problems"), flag=True,
        help="fail the test if the client or its mail did something wrong",
        hand_help="print what clients and their mail did wrong")
    ignore: tuple[str, ...] = _option("codes", default=(), form="CODE", several=True,
        help="codes of violations and problems that strict does not report")
    # fmt: on


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
        # If the default is None, `!=` would run code of a callable value
        if default is None or value != default:
            values[name] = value


DEFAULTS = Options()


def merge(
    given: Mapping[str, object], base: Options = DEFAULTS, *, restore: bool = False
) -> Options:
    """The options of `base`, changed by the given ones.

    None restores a default. For a limit, None means "no limit", except with `restore`.

    Raises `TypeError` for an unknown name, naming the nearest one, and `ValueError` for a value
    that is not allowed. `pairs.check_pairs` checks pairs.
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
