"""The values of a message: envelope, attachments and addresses."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..text import escaped


@dataclass(frozen=True, slots=True)
class Envelope:
    """The SMTP envelope (RFC 5321 section 2.3.1), addresses as they were sent.

    `mail_from` is what stood in MAIL, `""` for the null sender; `rcpt_to` are the recipients that
    were accepted, in their order. `mail_parameters` are the ESMTP parameters of MAIL (RFC 5321
    section 4.1.2), such as `{"SIZE": "1000"}`, and `rcpt_parameters` those of each RCPT, parallel
    to `rcpt_to`: names in upper case, values as sent, `None` for a bare keyword.
    """

    mail_from: str
    rcpt_to: tuple[str, ...]
    mail_parameters: dict[str, str | None] = field(default_factory=dict)
    rcpt_parameters: tuple[dict[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part of a message that is no body, its content decoded.

    `filename` is as sent (it may hold a path: do not trust it) and `None` where absent.
    `content_type` is the media type without parameters, `"image/png"` (RFC 2045 section 5), and
    `content` the octets, transfer encoding undone. `content_id` has no angle brackets (RFC 2392)
    and is `None` where absent. `inline` is what Content-Disposition says (RFC 2183); where it says
    nothing, a part with a Content-ID is inline.
    """

    filename: str | None
    content_type: str
    content: bytes
    content_id: str | None = None
    inline: bool = False

    def __repr__(self) -> str:
        inline = ", inline" if self.inline else ""
        size = len(self.content)
        kind = escaped(self.content_type)
        return f"<Attachment {self.filename!r} {kind}, {size} octets{inline}>"


class Addresses(tuple[str, ...]):
    """Some addresses; equal to a tuple and to a list of the same, so a test may write either."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__
