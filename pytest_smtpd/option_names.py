"""What options are called, here and elsewhere: the errors that say so.

Loaded with the first such error, or server: a start of pytest does without it.
"""

from __future__ import annotations

from collections.abc import Iterable

from .options import OPTIONS
from .patterns import nearest

# What other servers for tests call it
ELSEWHERE = {
    "auth_require_tls": "auth_requires_tls=True with tls='starttls'",
    "enforce_auth": "require_auth=True with users={'user': 'password'}",
    "login_password": "users={'user': 'password'}",
    "login_username": "users={'user': 'password'}",
    "ready_timeout": "",  # nothing to wait for
    "ssl": "tls='implicit'",
    "ssl_cert_files": "certificate=(certificate, key)",
    "ssl_certificate_files": "certificate=(certificate, key)",
    "starttls": "tls='starttls'",
    "use_ssl": "tls='implicit'",
    "use_starttls": "tls='starttls'",
    "use_tls": "tls='implicit'",
}


def unknown(name: object, others: Iterable[str] = ()) -> TypeError:
    """The error for an option that does not exist, with the nearest that does, or of `others`."""
    if not isinstance(name, str):  # a key of smtpd_options may be anything
        hint = ""
    elif name not in ELSEWHERE:
        hint = nearest(name, [*OPTIONS, *others])
    elif ELSEWHERE[name]:
        hint = f" (did you mean {ELSEWHERE[name]}?)"
    else:
        hint = ""
    return TypeError(f"unknown smtpd option {name!r}{hint or '; pytest --markers lists them'}")


def how_to_set(name: str) -> str:
    """What to do in place of an assignment to this option."""
    if name not in OPTIONS:
        where = "options are set in the marker or in Server(...), before the server runs"
        return f"{unknown(name)}; {where}"
    if OPTIONS[name].live:
        return f"set {name!r} by Server.configure({name}=...)"
    return f"set {name!r} in the marker or in Server({name}=...), before the server runs"
