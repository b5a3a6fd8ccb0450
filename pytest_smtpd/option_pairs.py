"""Options that cannot work together: one needs another, or leaves a client no way.

Looked at when all are known, as one may come from the ini file and the other from a marker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .options import Options

# An option, what it needs beside it, and an example of that
_NEEDS = (
    ("require_tls", "tls", "'starttls'"),
    ("require_auth", "users", "{'user': 'password'}"),
    ("auth_requires_tls", "tls", "'starttls'"),
)


def check_pairs(options: Options) -> None:
    """Raises `ValueError`, naming an option and what it lacks."""
    __tracebackhide__ = True
    for name, needed, example in _NEEDS:
        if getattr(options, name) and getattr(options, needed) is None:
            raise ValueError(
                f"smtpd option {name!r} needs {needed!r}, which is not set: "
                f"add {needed}={example}, for example"
            )
    if options.require_tls and options.tls == "starttls":
        _check_offered(options, "require_tls", "STARTTLS")
    if options.require_auth:
        _check_offered(options, "require_auth", "AUTH")
    if options.users is not None and (options.require_auth or options.auth_mechanisms):
        _check_mechanisms(options)


def _check_offered(options: Options, name: str, extension: str) -> None:
    __tracebackhide__ = True
    if extension not in options.extensions or extension in options.without_extensions:
        raise ValueError(
            f"smtpd option {name!r} needs the extension {extension}, which is not offered: "
            "see 'extensions' and 'without_extensions'"
        )


def _check_mechanisms(options: Options) -> None:
    __tracebackhide__ = True
    # who knows no password cannot sign, as a server has to in SCRAM (RFC 5802 section 3)
    knows_none = options.users == "any"
    if all(knows_none and name.startswith("SCRAM-") for name in options.auth_mechanisms):
        raise ValueError(
            f"smtpd option 'auth_mechanisms': {options.auth_mechanisms!r} leaves none that can be "
            f"offered with users={options.users!r}: add 'PLAIN', for example"
        )
