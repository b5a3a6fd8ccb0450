"""Asks email-validator about an address: one function for every release from 1.2 on."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from ..smtp.addresses import split

if TYPE_CHECKING:
    from collections.abc import Callable

_LONG = 1000  # characters; no address has as many, and normalising takes quadratic time
# An application can change the defaults of releases 2 and up, so each option is given
_OPTIONS = {
    "allow_display_name": False,
    "allow_domain_literal": False,
    "allow_empty_local": False,
    "allow_quoted_local": False,
    "allow_smtputf8": True,
    "check_deliverability": False,
    "globally_deliverable": True,
    "strict": False,
    "test_environment": False,
}


def objection(address: str, *, globally: bool) -> str | None:
    """The error of email-validator, None for a good address. Makes no DNS query.

    With `globally` the address must be deliverable from anywhere. Otherwise single labels,
    special-use domains, quoted local parts and address literals are good, too.
    """
    if len(address) > _LONG:
        return "it is too long"
    return _objection(address, globally)


@lru_cache(maxsize=4096)  # a validation takes 16 us, and a suite uses few addresses
def _objection(address: str, globally: bool) -> str | None:
    if globally:
        return _ask(address)
    parts = split(address)
    if parts is not None:
        # Release 1 knows no quoted local parts and no address literals: the grammar has read them
        local, domain = parts
        local = "quoted" if local.startswith('"') else local
        domain = "example.com" if domain.startswith("[") else domain
        address = f"{local}@{domain}"
    why = _ask(address)
    # Special-use names (localhost, .test) are refused in each release, and release 1 refuses a
    # single label. Another label makes them ordinary; whatever else is wrong stays wrong.
    return None if why is None or _ask(f"{address}.email") is None else why


def load() -> Callable[..., object]:
    """Imports email-validator, which takes a while, and returns its function."""
    from email_validator import validate_email

    return validate_email


def _ask(address: str) -> str | None:
    try:
        load()(address, **_options())
    except ValueError as error:  # EmailNotValidError, and what codecs raise
        return str(error)
    return None


@cache
def _options() -> dict[str, bool]:
    """The options that the installed release knows."""
    import inspect

    known = inspect.signature(load()).parameters
    return {name: value for name, value in _OPTIONS.items() if name in known}
