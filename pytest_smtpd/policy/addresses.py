"""The option `addresses`: whether an address of MAIL or RCPT is accepted."""

from __future__ import annotations

from typing import Literal

from ..smtp import replies
from ..smtp.addresses import is_postmaster, why_not
from ..smtp.replies import Reply, fill

Mode = Literal["syntax", "strict", "any"]


def refusal(address: str, role: str, mode: Mode) -> Reply | None:
    """The reply that refuses an address, None for an accepted address.

    `role` is the stage, ``"mail"`` or ``"rcpt"``. `mode` is the option ``addresses``: ``"syntax"``
    accepts the grammar of RFC 5321 section 4.1.2, ``"strict"`` the globally deliverable addresses
    of email-validator, ``"any"`` everything.
    """
    sender = role == "mail"
    if mode == "any" or (sender and not address):  # the null sender, RFC 5321 section 4.5.5
        return None
    if not sender and "@" not in address and is_postmaster(address):  # section 4.5.1
        return None
    why = why_not(address)
    if why is not None:
        bad = replies.BAD_SENDER if sender else replies.BAD_RECIPIENT
        return bad.with_text(f"{bad.text}: {why}")
    if mode == "syntax":
        return None
    from ..mime.validator import objection

    why = objection(address, globally=True)
    if why is None:
        return None
    row = replies.SENDER_NOT_DELIVERABLE if sender else replies.RECIPIENT_NOT_DELIVERABLE
    return fill(row, why=why)


def advice(refused: str) -> str:
    """A hint for a line with a reply of `refusal`: how a test accepts such addresses.

    Empty for all other replies.
    """
    if any(f" {row.text}: " in refused for row in (replies.BAD_SENDER, replies.BAD_RECIPIENT)):
        return '; addresses="any" takes it'
    return ""
