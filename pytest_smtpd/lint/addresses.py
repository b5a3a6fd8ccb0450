"""The checks of the addresses in a message's header, and of its envelope against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..mime.addresses import DESTINATIONS, AddressList, address_key
from ..mime.header import Field, Header
from ..mime.validator import objection
from ..mime.words import readable
from ..text import cut
from .catalogue import Finding

_FIELDS = DESTINATIONS | {
    "from", "sender", "reply-to", "bcc", "resent-from", "resent-sender", "resent-bcc",
    "disposition-notification-to",
}  # fmt: skip


def check_addresses(header: Header, recipients: Sequence[str]) -> Iterator[Finding]:
    for field, found in header.address_lists(_FIELDS):
        if found is not None and field.is_read:
            for code, detail in _check_list(header, field, found):
                yield code, f"{field.name}{detail}"
    yield from _check_recipients(header, recipients)


def _check_list(header: Header, field: Field, found: AddressList) -> Iterator[Finding]:
    hidden = field.key in ("bcc", "resent-bcc")
    if not field.value.strip():
        if not hidden:  # RFC 5322 section 3.6.3 allows these
            yield "empty-address-header", ""
        return
    for flaw in found.flaws:
        yield flaw.kind, f": {flaw.detail}"
    for mailbox in found.mailboxes:
        why = objection(mailbox.address, globally=False)
        if why is not None:
            yield "bad-address", f": {cut(mailbox.address, 80)}: {why}"
    written = f": {readable(field.value)}"
    if hidden:
        yield "bcc-header", written
    elif field.key == "sender" and len(found.mailboxes) != 1:
        yield "bad-sender", written
    elif field.key == "from" and len(found.mailboxes) > 1 and not header.find("sender"):
        yield "from-without-sender", written


def _check_recipients(header: Header, recipients: Sequence[str]) -> Iterator[Finding]:
    lists = [found for _, found in header.address_lists(DESTINATIONS)]
    # A list's mail goes to others than its To says; an empty group says that it hides them
    # (RFC 5322 section 3.4, "undisclosed-recipients:;")
    if (
        not recipients
        or not header.complete
        or any(field.key.startswith("list-") for field in header.fields)
        or any(found is None or not all(group.members for group in found.groups) for found in lists)
    ):
        return
    mailboxes = [mailbox for found in lists if found for mailbox in found.mailboxes]
    named = {address_key(mailbox.address) for mailbox in mailboxes}
    # "postmaster" may stand without a domain (RFC 5321 section 4.5.1)
    known = named | {f"{key.rpartition('@')[0]}@" for key in named}
    if not any(address_key(recipient) in known for recipient in recipients):
        yield "recipient-not-named", ", ".join(recipients[:5])
