"""The one table of options: an option's name, default, check, text form and help stand here once.

The marker, `Server(...)`, `smtpd_options`, ini, the command lines and the reference page all read
this table. A value is checked when it is given, before anything is started. The table is read at
every start of pytest, so this module loads next to nothing: what a check needs, it imports itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn, dataclass_transform

from . import checks
from ._version import __version__
from .smtp.extensions import EXTENSIONS

if TYPE_CHECKING:
    import ssl

    from .faults import Fault
    from .message.message import Message
    from .rejection import RejectOption

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER")


class Option:
    """A row of the table, and the attribute of `Options` that gives its value.

    `read` makes a value of its text form (None: it has none), which is a list where `several`
    says so (lines in ini, repeated flags on a command line); of a `flag` the value may be left
    out there. Only what is `live` can be changed on a running server. `no_limit` says that None is
    a value; elsewhere it stands for the default.
    """

    __slots__ = ("check", "default", "flag", "help", "live", "name", "no_limit", "read", "several")

    def __init__(
        self,
        default: object,
        help: str,
        check: Callable[[Any], object],
        *,
        read: Callable[[str], object] | None,
        several: bool,
        flag: bool,
        live: bool,
        no_limit: bool,
    ) -> None:
        self.name = ""
        self.default = default
        self.help = help
        self.check = check
        self.read = read
        self.several = several
        self.flag = flag
        self.live = live
        self.no_limit = no_limit

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        OPTIONS[name] = self

    @property
    def flags(self) -> tuple[str, ...]:
        """Its name as a flag: with dashes, and also as it is where that differs."""
        return tuple(dict.fromkeys((self.name.replace("_", "-"), self.name)))

    @property
    def argument(self) -> dict[str, Any]:
        """What argparse has to know of its flag, but for the help."""
        kind: dict[str, Any] = {}
        if self.several:
            kind = {"action": "append"}
        elif self.flag:
            kind = {"nargs": "?", "const": "true"}
        return {"metavar": checks.usage(self.name, self.check, flag=self.flag), **kind}

    def describe(self, help: str, default: object) -> str:
        """What a command line says of it."""
        if isinstance(default, tuple):
            default = ", ".join(map(str, default))
        elif isinstance(default, bool):
            default = "yes" if default else "no"
        elif default is None:
            default = ""
        repeated = "; may be repeated" if self.several else ""
        return f"{help}{repeated} (default: {'none' if default == '' else default})"

    def __get__(self, instance: object, owner: type) -> object:
        return self if instance is None else self.default


OPTIONS: dict[str, Option] = {}


def _option(
    help: str,
    check: Callable[[Any], object],
    *,
    default: Any,
    read: Callable[[str], object] | None = None,
    several: bool = False,
    flag: bool = False,
    live: bool = True,
    no_limit: bool = False,
) -> Any:
    return Option(
        default, help, check, read=read, several=several, flag=flag, live=live, no_limit=no_limit
    )


_Callback = Callable[[str], object] | None


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(_option,))
class _Frozen:
    """What `Options` does, apart from its rows: values are checked, then never change."""

    def __init__(self, **given: Any) -> None:
        __tracebackhide__ = True
        for name, value in given.items():
            if name not in OPTIONS:
                raise _unknown(name)
            _put(self.__dict__, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from .option_names import how_to_set

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

    Each attribute is an option, with its default where it was not given. Two are equal where all
    values are; `repr` shows what differs from the defaults, passwords masked.

    Raises `TypeError` for an unknown name, naming the nearest one, and `ValueError` for a value
    that is not allowed, naming the option, the value and what is.
    """

    host: str = _option(
        "where to listen: a name, IPv4 or IPv6 address; '' is all interfaces",
        checks.text,
        default="127.0.0.1",
        read=str,
        live=False,
    )
    port: int = _option(
        "the port to listen on; 0 takes a free one",
        checks.number(0, 65535),
        default=0,
        read=checks.read_int,
        live=False,
    )
    unix_socket: str | None = _option(
        "a path to listen on instead", checks.socket_path, default=None, read=str, live=False
    )
    greeting_hostname: str = _option(
        "the server's name in greeting and replies", checks.name, default="localhost", read=str
    )
    banner: str = _option(
        "the text between host name and date in the greeting",
        checks.ascii_text,
        default=f"pytest-smtpd {__version__}",
        read=str,
    )
    reject_host: RejectOption | None = _option(
        "refuse clients by IP address: a pattern or network, a list, a mapping to replies",
        checks.rules(hosts=True),
        default=None,
        read=checks.read_rule,
        several=True,
    )
    reject_sender: RejectOption | None = _option(
        "refuse senders: a pattern, a list, a mapping to replies",
        checks.rules(),
        default=None,
        read=checks.read_rule,
        several=True,
    )
    reject_recipient: RejectOption | None = _option(
        "refuse recipients: a pattern, a list, a mapping to replies; never postmaster",
        checks.rules(),
        default=None,
        read=checks.read_rule,
        several=True,
    )
    validate_host: _Callback = _option(
        "called with the client's IP address; refuses by raising", checks.function, default=None
    )
    validate_sender: _Callback = _option(
        "called with the sender's address; refuses by raising", checks.function, default=None
    )
    validate_recipient: _Callback = _option(
        "called with each recipient's address; refuses by raising", checks.function, default=None
    )
    deliver: Callable[[str, list[str], list[str]], object] | None = _option(
        "called with sender, recipients and the lines of each message",
        checks.function,
        default=None,
    )
    deliver_mime: Callable[[Message], object] | None = _option(
        "called with each message; wins over deliver", checks.function, default=None
    )
    trace_headers: bool = _option(
        "prepend Return-Path and Received to what is stored and delivered",
        checks.boolean,
        default=False,
        read=checks.read_bool,
        flag=True,
    )
    addresses: Literal["syntax", "strict", "any"] = _option(
        "which addresses to take: what RFC 5321 allows, what is globally deliverable, or any",
        checks.one_of("syntax", "strict", "any"),
        default="syntax",
        read=str,
    )
    protocol: Literal["smtp", "lmtp"] = _option(
        "the protocol to speak: smtp or lmtp",
        checks.one_of("smtp", "lmtp"),
        default="smtp",
        read=str,
        live=False,
    )
    extensions: tuple[str, ...] = _option(
        "the EHLO keywords to offer; an empty list is a server that knows only HELO",
        checks.words(*EXTENSIONS),
        default=tuple(EXTENSIONS),
        read=str,
        several=True,
    )
    without_extensions: tuple[str, ...] = _option(
        "EHLO keywords not to offer", checks.words(*EXTENSIONS), default=(), read=str, several=True
    )
    max_size: int | None = _option(
        "the largest message taken, in octets; None is no limit",
        checks.number(1, of="octets", none=True),
        default=33554432,
        read=checks.read_int,
        no_limit=True,
    )
    max_recipients: int | None = _option(
        "the most recipients of one message; None is no limit",
        checks.number(1, of="recipients", none=True),
        default=1000,
        read=checks.read_int,
        no_limit=True,
    )
    timeout: float = _option(
        "seconds of client silence before 421",
        checks.timeout,
        default=300.0,
        read=checks.read_float,
    )
    tls: Literal["starttls", "implicit"] | None = _option(
        "offer STARTTLS, or speak TLS from the start",
        checks.one_of(None, "starttls", "implicit"),
        default=None,
        read=checks.read_choice,
        live=False,
    )
    require_tls: bool = _option(
        "answer 530 to nearly everything in clear",
        checks.boolean,
        default=False,
        read=checks.read_bool,
        flag=True,
    )
    certificate: str | tuple[str, str] = _option(
        "the kind of certificate made, or your own pair of files (certificate, key)",
        checks.certificate,
        default="valid",
        read=checks.read_certificate,
        live=False,
    )
    ssl_context: ssl.SSLContext | None = _option(
        "your own context; wins over certificate", checks.ssl_context, default=None, live=False
    )
    users: Mapping[str, str] | Literal["any"] | None = _option(
        "users and passwords, which turns AUTH on; 'any' accepts all credentials",
        checks.users,
        default=None,
        read=checks.read_user,
        several=True,
    )
    auth_mechanisms: tuple[str, ...] = _option(
        "the mechanisms to offer, in this order",
        checks.words(*MECHANISMS),
        default=MECHANISMS,
        read=str,
        several=True,
    )
    require_auth: bool = _option(
        "answer 530 to mail from clients that have not authenticated",
        checks.boolean,
        default=False,
        read=checks.read_bool,
        flag=True,
    )
    auth_requires_tls: bool = _option(
        "neither offer nor accept AUTH in clear",
        checks.boolean,
        default=False,
        read=checks.read_bool,
        flag=True,
    )
    faults: tuple[Fault, ...] = _option(
        "scripted failures, see pytest_smtpd.faults", checks.faults, default=()
    )
    seed: int | str | None = _option(
        "for faults with a probability: the same seed gives the same failures",
        checks.seed,
        default=None,
        read=str,
    )
    strict: bool | Literal["violations", "problems"] = _option(
        "let the test fail where the client or its mail did something wrong",
        checks.one_of(False, True, "violations", "problems"),
        default=False,
        read=checks.read_bool,
        flag=True,
    )
    ignore: tuple[str, ...] = _option(
        "codes of violations and problems that strict lets pass",
        checks.codes,
        default=(),
        read=str,
        several=True,
    )

    def check_pairs(self) -> None:
        """Raises `ValueError` for options that cannot work together."""
        from .option_pairs import check_pairs

        __tracebackhide__ = True
        check_pairs(self)


def _put(values: dict[str, object], name: str, value: object) -> None:
    """Keeps a value, if it is allowed and not the default."""
    __tracebackhide__ = True
    default = OPTIONS[name].default
    if value is not default:
        value = _checked(OPTIONS[name], value)
        # None is no value's equal, and a callable must not be asked
        if default is None or value != default:
            values[name] = value


def _checked(option: Option, value: object) -> object:
    __tracebackhide__ = True
    try:
        return option.check(value)
    except checks.Wanted as wanted:
        shown = "***" if option.name == "users" else checks.shown(value)
        text = f"smtpd option {option.name!r}: {shown} is not allowed: {wanted}"
        raise ValueError(text) from None


def _unknown(name: object) -> TypeError:
    from .option_names import unknown

    return unknown(name)


# aiosmtpd and smtpdfix know the greeting's name by this one
_ALIASES = {"server_hostname": "greeting_hostname"}

DEFAULTS = Options()


def merge(
    given: Mapping[str, object], base: Options = DEFAULTS, *, restore: bool = False
) -> Options:
    """The options of `base`, those that were given changed.

    None restores a default; of the limits, where it means "no limit", only with `restore`.

    Raises `TypeError` for an unknown name, saying the nearest one, and `ValueError` for a value
    that is not allowed. Pairs are not looked at: see `Options.check_pairs`.
    """
    __tracebackhide__ = True
    if not given:
        return base
    result = Options()
    values = dict(base.__dict__)
    for given_name, value in given.items():
        name = _ALIASES.get(given_name, given_name)
        if name not in OPTIONS:
            raise _unknown(given_name)
        values.pop(name, None)
        if value is None and (restore or not OPTIONS[name].no_limit):
            continue
        _put(values, name, value)
    result.__dict__.update(values)
    return result


def read(name: str, text: str | list[str]) -> object:
    """An option's value from its text form, as ini or a command line gives it.

    Raises `ValueError` as `merge` does; the value is checked there again.
    """
    option = OPTIONS[name]
    assert option.read is not None
    if isinstance(text, str) and not option.several:
        return option.read(text)
    lines = [text] if isinstance(text, str) else text
    values = [option.read(line.strip()) for line in lines if line.strip()]
    if name == "users":
        if values == ["any"]:
            return "any"
        if not all(isinstance(value, tuple) for value in values):
            raise ValueError(
                "smtpd option 'users': *** is not allowed: NAME:PASSWORD, or any, is wanted"
            )
        return dict(values)  # type: ignore[arg-type]
    if name.startswith("reject_"):
        return dict(values)  # type: ignore[arg-type]
    return [word for value in values for word in str(value).replace(",", " ").split()]
