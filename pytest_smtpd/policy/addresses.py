"""Checks the form of envelope addresses with email-validator, and never asks DNS."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from ..smtp import replies
from ..smtp.replies import Reply, fill

Mode = Literal["syntax", "strict", "any"]

_LONG = 320  # octets: RFC 5321 section 4.5.3.1 allows 64 and 255, around an @


def refusal(address: str, role: str, mode: Mode) -> Reply | None:
    """The reply that refuses an address, None for an address that is accepted.

    `role` is the stage, ``"mail"`` or ``"rcpt"``. `mode` is the option ``addresses``: ``"syntax"``
    takes what RFC 5321 section 4.1.2 allows, ``"strict"`` what can be delivered globally, ``"any"``
    everything.
    """
    if len(address) > _LONG:  # the cache keeps no address of unbounded length
        return _refusal.__wrapped__(address, role, mode)
    return _refusal(address, role, mode)


@lru_cache(maxsize=65_536)  # a validation costs 16 us, and a suite uses few addresses
def _refusal(address: str, role: str, mode: Mode) -> Reply | None:
    if mode == "any" or (role == "mail" and not address):  # the null sender, section 4.5.5
        return None
    if role == "rcpt" and address.casefold() == "postmaster":  # section 4.5.1
        return None
    malformed = _why_not(address, globally=False)
    if malformed is not None:
        return replies.BAD_SENDER if role == "mail" else replies.BAD_RECIPIENT
    undeliverable = _why_not(address, globally=True) if mode == "strict" else None
    if undeliverable is None:
        return None
    row = replies.SENDER_NOT_DELIVERABLE if role == "mail" else replies.RECIPIENT_NOT_DELIVERABLE
    return fill(row, why=undeliverable)


def load() -> None:
    """Imports email-validator now, as no client should wait for the import."""
    import email_validator  # noqa: F401


def _why_not(address: str, *, globally: bool) -> str | None:
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(
            address if globally else _in_ordinary_domain(address),
            check_deliverability=False,
            allow_smtputf8=True,  # the engine has checked the SMTPUTF8 parameter
            allow_quoted_local=not globally,
            allow_empty_local=not globally and address.startswith('""@'),
            allow_domain_literal=not globally,
            globally_deliverable=globally,
        )
    except EmailNotValidError as error:
        return str(error)
    return None


def _in_ordinary_domain(address: str) -> str:
    """The address with ``example.com`` in place of a special-use domain.

    email-validator always refuses localhost, .test or .local, whose form is valid.
    """
    from email_validator import SPECIAL_USE_DOMAIN_NAMES

    local, at, domain = address.rpartition("@")
    for name in SPECIAL_USE_DOMAIN_NAMES:
        if domain.lower() == name or domain.lower().endswith(f".{name}"):
            return f"{local}{at}{domain[: -len(name)]}example.com"
    return address
