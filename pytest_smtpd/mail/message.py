"""A received message: the octets as they were sent, the envelope, and what they say.

Rule: making one costs next to nothing and parses nothing; reading one never raises.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..text import escaped

if TYPE_CHECKING:
    from ..record import SessionRecord
    from .problems import Problem

__all__ = ["Addresses", "Attachment", "Envelope", "Message"]

_SHOWN_RECIPIENTS = 3
_SHOWN_LENGTH = 60
_MAX_ADDRESS_HEADERS = 262_144


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


class Message(EmailMessage):
    """A received message. Servers make these; their parts are plain `EmailMessage` objects.

    It is an `email.message.EmailMessage` (RFC 5322, RFC 2045), read when it is first looked at.
    Malformed mail never raises: the raw text comes back and `defects` says why. A message is always
    true; copies and pickles of it work, without their session.
    """

    raw: bytes
    """Exactly what was sent, in octets: dot-stuffing undone (RFC 5321 section 4.5.2), CRLF kept.

    The CRLF before the final dot is included. It stands behind the trace headers where the option
    `trace_headers` is on.
    """
    envelope: Envelope
    """Sender, recipients and their ESMTP parameters, which no header has to repeat."""
    id: str
    """The queue id given in the `250` reply; no other message of the server has it."""
    received_at: datetime
    """When the message was accepted; aware."""
    session: SessionRecord | None
    """The session that sent it; `None` in a copy."""

    def __init__(
        self,
        raw: bytes,
        envelope: Envelope,
        *,
        id: str,
        received_at: datetime,
        session: SessionRecord | None = None,
    ) -> None:
        # Not the base class's: what that sets, __getattr__ supplies when somebody looks.
        self.raw = raw
        self.envelope = envelope
        self.id = id
        self.received_at = received_at
        self.session = session

    if not TYPE_CHECKING:  # a type checker shall still report unknown attributes

        def __getattr__(self, name):
            __tracebackhide__ = True
            if name == "defects":
                return self.__dict__.setdefault(name, self._find_defects())
            if name not in _PARSED:
                text = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(text, name=name, obj=self)
            from .parsing import parse

            parsed = parse(self.raw).__dict__
            parsed["_structure_defects"] = parsed.pop("defects")
            # Two threads may both get here; the first to set a value wins, and both are equal.
            for key, value in parsed.items():
                self.__dict__.setdefault(key, value)
            return self.__dict__[name]

    def _find_defects(self) -> list[Any]:
        """Those of the structure, then those of headers and bodies that cannot be read.

        What is wrong with a part is told in the part, with its two bodies in the message, too.
        """
        from .content import content_type, find_body, plain_body, text_defects
        from .headers import header_defects

        bodies = (plain_body(self), find_body(self, "html"))
        found: list[Any] = list(getattr(self, "_structure_defects", ()))
        _add(found, header_defects(self))
        for part in self.walk():
            is_body = any(part is body for body in bodies)
            wrong = text_defects(part) if is_body or content_type(part)[0] == "text" else []
            if is_body:
                _add(found, wrong)
            if part is not self:
                _add(part.defects, header_defects(part) + wrong)
        return found

    def __getstate__(self) -> dict[str, Any]:
        state = {k: list(v) if type(v) is list else v for k, v in self.__dict__.items()}
        state["session"] = None
        return state

    def __bool__(self) -> bool:
        return True  # the base class has a length, the number of headers

    def __repr__(self) -> str:
        shown = ", ".join(self.recipients[:_SHOWN_RECIPIENTS])
        more = len(self.recipients) - _SHOWN_RECIPIENTS
        if more > 0:
            shown += f" and {more} more"
        line = f"{self.id} {self.sender or '<>'} -> {shown}"
        subject = _printable(self._hide(self.subject), _SHOWN_LENGTH)
        return f"<Message {_printable(self._hide(line), 300)} '{subject}'>"

    def _hide(self, text: str) -> str:
        """Masks the passwords of the server that the message came through."""
        session: SessionRecord | None = self.session
        return text if session is None else session.hide(text)

    def as_string(self, *args: Any, **kwargs: Any) -> str:
        """As `EmailMessage.as_string`; the text of `raw` where that cannot write the message."""
        try:
            return super().as_string(*args, **kwargs)
        except Exception:
            return self.raw.decode("utf-8", "replace")

    def as_bytes(self, *args: Any, **kwargs: Any) -> bytes:
        """As `EmailMessage.as_bytes`; `raw` where that cannot write the message."""
        try:
            return super().as_bytes(*args, **kwargs)
        except Exception:
            return self.raw

    def get_body(self, preferencelist: Sequence[str] = ("related", "html", "plain")) -> Any:
        """As `EmailMessage.get_body`, but it takes a broken multipart/related."""
        try:
            return super().get_body(preferencelist)
        except Exception:
            from .content import find_body

            found = (find_body(self, subtype) for subtype in preferencelist)
            return next((part for part in found if part is not None), None)

    def iter_attachments(self) -> Iterator[Any]:
        """As `EmailMessage.iter_attachments`, but it takes parameters that are broken."""
        try:
            return iter(list(super().iter_attachments()))
        except Exception:
            from .content import non_bodies

            return non_bodies(self)

    @property
    def sender(self) -> str:
        """The envelope sender, `""` for the null sender (RFC 5321 section 4.5.5)."""
        return self.envelope.mail_from

    @property
    def recipients(self) -> Addresses:
        """The envelope recipients, in their order; equal to a tuple and to a list of the same."""
        return Addresses(self.envelope.rcpt_to)

    @property
    def subject(self) -> str:
        """The decoded Subject (RFC 2047), `""` where absent."""
        return str(self.get("Subject", ""))

    @property
    def text(self) -> str | None:
        """The decoded text body, `None` where absent.

        Line ends are ``\\n``; what cannot be decoded becomes U+FFFD, and `defects` says so.
        """
        from .content import body_text, plain_body

        return body_text(plain_body(self))

    @property
    def html(self) -> str | None:
        """The decoded HTML body, its source, `None` where absent; line ends as in `text`."""
        from .content import body_text, find_body

        return body_text(find_body(self, "html"))

    @property
    def attachments(self) -> list[Attachment]:
        """All parts that are no body, in their order: attached, inline, and attached messages."""
        from . import content

        return [
            Attachment(
                filename=content.filename(part),
                content_type="/".join(content.content_type(part)[:2]),
                content=content.part_octets(part, self.raw),
                content_id=content.content_id(part),
                inline=content.is_inline(part),
            )
            for part in content.non_bodies(self)
        ]

    @property
    def links(self) -> list[str]:
        """The URLs of the HTML body (`href`, and http or https in its text), then of the text body.

        Each once; one that a text of `format=flowed; delsp=yes` breaks is whole (RFC 3676 section
        4.2). The punctuation of a sentence around a URL is no part of it; `*`, `_` and `~` at
        its end are, unless they close what the same in front of it has opened.
        """
        from .search import links_of

        return [link.url for link in links_of(self)]

    def link(self, contains: str | None = None, text: str | None = None) -> str:
        """The only link whose URL contains `contains` and whose link text contains `text`.

        Either may be left out; case counts. Raises `AssertionError` where none or several fit; it
        lists the candidates. `TypeError` for what is no `str`.
        """
        __tracebackhide__ = True
        from .search import links_of, only_link

        links = links_of(self)
        try:
            return only_link(links, contains, text, message=repr(self))
        except AssertionError as error:
            raise AssertionError(self._hide(str(error))) from None

    def code(self, pattern: str | re.Pattern[str] = r"\b\d{4,8}\b") -> str:
        """The only match of `pattern` (its group 1 if it has one), for one-time codes.

        Of several groups it is the first that takes part in the match.

        Looked for in the text body, and where that has none, in the visible text of the HTML body.
        By default a code is four to eight digits.

        Raises `AssertionError` for no match, or several that differ; it lists them and the body.
        `TypeError` for a pattern that is none for `str`.
        """
        __tracebackhide__ = True
        from .search import only_code

        try:
            return only_code(pattern, self.text, self.html, message=repr(self))
        except AssertionError as error:
            raise AssertionError(self._hide(str(error))) from None

    @property
    def bcc(self) -> Addresses:
        """The envelope recipients that no To or Cc header (nor Resent-To, Resent-Cc) names.

        That is what makes a blind copy (RFC 5322 section 3.6.3).
        """
        from .fields import address_key, parse_addresses

        named: set[str] = set()
        size = 0
        for name, value in self.raw_items():
            if name.lower() in ("to", "cc", "resent-to", "resent-cc"):
                size += len(value)
                if size > _MAX_ADDRESS_HEADERS:
                    break
                named.update(address_key(one.address) for one in parse_addresses(str(value)))
        return Addresses(one for one in self.recipients if address_key(one) not in named)

    def snapshot(self, redact: str | re.Pattern[str] | Iterable[str | re.Pattern[str]] = ()) -> str:
        """The decoded message as text that is the same for each sending of the same mail.

        Date, Message-ID, Content-ID, Received and MIME boundaries are placeholders, transfer
        encodings are left out, binary parts are shown by size and hash. What a pattern in `redact`
        (a regular expression) matches becomes `<redacted>`.
        """
        from .snapshot import snapshot

        return snapshot(self, self.raw, redact)

    def problems(self) -> list[Problem]:
        """What a mail admin would object to in this message; at most 20 problems of one code."""
        from .problems import find_problems

        return find_problems(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `raw` to `path`, for an existing directory to `ID.eml` in it; give the file's path.

        Missing directories on the way are made, a file that is there is overwritten. Raises
        `OSError` as writing a file does.
        """
        target = Path(path)
        if target.is_dir():
            target /= f"{self.id}.eml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.raw)
        return target


# What EmailMessage.__init__ sets, and the parser adds: there once a message has been parsed.
_PARSED = frozenset(
    {
        "policy",
        "preamble",
        "epilogue",
        "_headers",
        "_unixfrom",
        "_payload",
        "_charset",
        "_default_type",
        "_structure_defects",
    }
)


def _add(defects: list[Any], more: list[Any]) -> None:
    known = {(type(one), str(one)) for one in defects}
    defects += [one for one in more if (type(one), str(one)) not in known]


def _printable(text: str, length: int) -> str:
    """The text shortened to one line, what could act on a terminal escaped."""
    return escaped(text if len(text) <= length else text[: length - 3] + "...")
