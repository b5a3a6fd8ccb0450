"""Options that cannot work together: one needs another, or no client can log in.

Checked when all options are known: one may come from the ini file, the other from a marker.
"""

from __future__ import annotations

from .table import Options

# An option, the option it needs, and an example value
_NEEDS = (
    ("require_tls", "tls", "'starttls'"),
    ("require_auth", "users", "{'user': 'password'}"),
    ("auth_requires_tls", "tls", "'starttls'"),
)


def check_pairs(options: Options) -> None:
    """Raises `ValueError`, which names an option and what is missing."""
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
        # In SCRAM the server proves that it knows the password (RFC 5802 section 3)
        no_passwords = options.users == "any"
        if all(no_passwords and name.startswith("SCRAM-") for name in options.auth_mechanisms):
            raise ValueError(
                f"smtpd option 'auth_mechanisms': {options.auth_mechanisms!r} leaves none that can "
                f"be offered with users={options.users!r}: add 'PLAIN', for example"
            )


def _check_offered(options: Options, name: str, extension: str) -> None:
    __tracebackhide__ = True
    if extension not in options.extensions or extension in options.without_extensions:
        raise ValueError(
            f"smtpd option {name!r} needs the extension {extension}, which is not offered: "
            "see 'extensions' and 'without_extensions'"
        )
