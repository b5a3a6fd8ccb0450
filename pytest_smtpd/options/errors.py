"""The errors about options: unknown names, and values that are not allowed.

Loaded with the first error, or with a server.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..patterns import nearest
from ..text import cut_middle
from .row import OPTIONS, Option

# The names that other SMTP servers for tests use
ELSEWHERE = {
    "auth_require_tls": "auth_requires_tls=True with tls='starttls'",
    "enforce_auth": "require_auth=True with users={'user': 'password'}",
    **dict.fromkeys(("login_password", "login_username"), "users={'user': 'password'}"),
    "ready_timeout": "",  # nothing to wait for
    "server_hostname": "greeting_hostname='mx.example'",
    **dict.fromkeys(("ssl", "use_ssl", "use_tls"), "tls='implicit'"),
    **dict.fromkeys(("ssl_cert_files", "ssl_certificate_files"), "certificate=(certificate, key)"),
    **dict.fromkeys(("starttls", "use_starttls"), "tls='starttls'"),
}


def unknown(name: object, others: Iterable[str] = ()) -> TypeError:
    """The error for an unknown option; it names the nearest option, or the nearest of `others`."""
    hint = ""
    if name in ELSEWHERE:
        hint = ELSEWHERE[name] and f" (did you mean {ELSEWHERE[name]}?)"
    elif isinstance(name, str):  # a key of smtpd_options may be anything
        hint = nearest(name, [*OPTIONS, *others])
    return TypeError(f"unknown smtpd option {name!r}{hint or '; pytest --markers lists them'}")


def how_to_set(name: str) -> str:
    """How to set this option: the hint for an attempt to assign to it."""
    if name not in OPTIONS:
        where = "options are set in the marker or in Server(...), before the server runs"
        return f"{unknown(name)}; {where}"
    if OPTIONS[name].live:
        return f"set {name!r} by Server.configure({name}=...)"
    return f"set {name!r} in the marker or in Server({name}=...), before the server runs"


def not_allowed(option: Option, value: object, reason: object) -> ValueError:
    """The error for a value that is not allowed, and why; a secret value is masked."""
    shown = "***" if option.secret else cut_middle(repr(value), 160)
    return ValueError(f"smtpd option {option.name!r}: {shown} is not allowed: {reason}")
