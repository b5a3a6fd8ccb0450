"""A received message: the octets as they were sent, the envelope, and what they say.

Rule: making one costs next to nothing and parses nothing; reading one never raises.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..text import escaped
from .values import Addresses, Attachment, Envelope

if TYPE_CHECKING:
    from ..lint.catalogue import Problem
    from ..mime.bodies import Bodies
    from ..mime.html import Anchor
    from ..mime.tree import Part
    from ..record import SessionRecord

__all__ = ["Addresses", "Attachment", "Envelope", "Message"]

_SHOWN_RECIPIENTS = 3
_SHOWN_LENGTH = 60
_CODE = r"(?<![\da-zA-Z])\d{4,8}(?![\da-zA-Z])"


class Message(EmailMessage):
    """A received message. Servers make these; their parts are plain `EmailMessage` objects.

    It is an `email.message.EmailMessage` (RFC 5322, RFC 2045), read when it is first looked at.
    Malformed mail never raises: the raw text comes back and `defects` says why. A message is always
    true; copies and pickles of it work, without their session. What a test changes in it shows in
    its properties, except in `raw` and the envelope.
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
        # Skips the base class's __init__: __getattr__ supplies its attributes on first access.
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
            from .standard import build

            parsed = build(self._tree).__dict__
            del parsed["defects"]
            # Two threads may both get here; the first to set a value wins, and both are equal.
            for key, value in parsed.items():
                self.__dict__.setdefault(key, value)
            return self.__dict__[name]

    @property
    def _tree(self) -> Part:
        """The parts of `raw`, or of the message as a test has changed it."""
        from ..mime.tree import read_tree

        tree: Part | None = self.__dict__.get("_read")
        if tree is None:
            tree = self.__dict__.setdefault("_read", read_tree(self.raw))
        if "_headers" in self.__dict__:
            from .standard import changed_octets

            octets = changed_octets(self)
            if octets is not None:
                return read_tree(octets)
        return tree

    @property
    def _bodies(self) -> Bodies:
        from ..mime.bodies import find_bodies

        return find_bodies(self._tree)

    def _find_defects(self) -> list[Any]:
        """The defects of all parts; also sets `defects` of each part."""
        from .defects import of_content, of_structure
        from .standard import header_defects

        found: dict[tuple[type, str], Any] = {}
        for part, mail in zip(self._tree.walk(), self.walk(), strict=False):
            defects = of_structure(part) + header_defects(part) + of_content(part)
            if mail is not self:
                mail.defects[:] = defects
            for defect in defects:
                found.setdefault((type(defect), str(defect)), defect)
        return list(found.values())

    def __getstate__(self) -> dict[str, Any]:
        state = {k: list(v) if type(v) is list else v for k, v in self.__dict__.items()}
        state["session"] = None
        state.pop("_read", None)
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
            kinds = [f"text/{subtype}" for subtype in preferencelist]
            texts = [part for part in self.walk() if part.get_content_type() in kinds]
            return min(texts, key=lambda part: kinds.index(part.get_content_type()), default=None)

    def iter_attachments(self) -> Iterator[Any]:
        """As `EmailMessage.iter_attachments`, but it takes parameters that are broken."""
        try:
            return iter(list(super().iter_attachments()))
        except Exception:
            return (part for part in self.walk() if part.is_attachment())

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
        if "_headers" in self.__dict__:
            return str(self.get("Subject", ""))
        from ..mime.words import read_words, readable

        field = self._tree.header.find("subject")
        if field is None:
            return ""
        return read_words(field.value).text if field.is_read else readable(field.value)

    @property
    def text(self) -> str | None:
        """The decoded text body, `None` where absent.

        Line ends are ``\\n``; what cannot be decoded becomes U+FFFD, and `defects` says so.
        """
        from ..mime.bodies import joined

        return joined(part.decode_text().text for part in self._bodies.text)

    @property
    def html(self) -> str | None:
        """The decoded HTML body, its source, `None` where absent; several parts as in `text`."""
        from ..mime.bodies import joined

        return joined(part.decode_text().text for part in self._bodies.html)

    @property
    def attachments(self) -> list[Attachment]:
        """All parts except bodies, in order: attached and inline parts, and attached messages."""
        return [
            Attachment(
                filename=part.file_name,
                content_type=part.type,
                content=part.decode().octets,
                content_id=part.content_id,
                inline=part.is_inline,
            )
            for part in self._bodies.attachments
        ]

    @property
    def links(self) -> list[str]:
        """The URLs of the HTML body (`href`, and http or https in its text), then of the text body.

        Each once; one that a text of `format=flowed; delsp=yes` breaks is whole (RFC 3676 section
        4.2). The punctuation of a sentence around a URL is no part of it; `*`, `_` and `~` at
        its end are, unless they close what the same in front of it has opened.
        """
        return [link.url for link in links_of(self)]

    def link(self, contains: str | None = None, text: str | None = None) -> str:
        """The only link whose URL contains `contains` and whose link text contains `text`.

        Either may be left out; case counts. Raises `AssertionError` if none or several fit; it
        lists the candidates. Raises `TypeError` for an argument that is no `str`.
        """
        __tracebackhide__ = True
        from .search import only_link

        try:
            return only_link(links_of(self), contains, text, message=repr(self))
        except AssertionError as error:
            raise AssertionError(self._hide(str(error))) from None

    def code(self, pattern: str | re.Pattern[str] = _CODE) -> str:
        """The only match of `pattern` (its group 1 if it has one), for one-time codes.

        Of several groups it is the first that takes part in the match.

        Searches the text body; if nothing matches there, the visible text of the HTML body.
        By default a code is four to eight digits with no ASCII letter or digit beside them: Chinese
        and Japanese mail writes codes between letters.

        Raises `AssertionError` for no match, or several that differ; it lists them and the body.
        Raises `TypeError` for a pattern that is not for `str`.
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

        These received a blind copy (RFC 5322 section 3.6.3).
        """
        from ..mime.addresses import DESTINATIONS, address_key

        named = {
            address_key(mailbox.address)
            for _, listed in self._tree.header.address_lists(DESTINATIONS)
            for mailbox in (listed.mailboxes if listed else ())
        }
        return Addresses(one for one in self.recipients if address_key(one) not in named)

    def snapshot(self, redact: str | re.Pattern[str] | Iterable[str | re.Pattern[str]] = ()) -> str:
        """The decoded message as text that is the same for each sending of the same mail.

        Date, Message-ID, Content-ID, Received and MIME boundaries are placeholders, transfer
        encodings are left out, binary parts are shown by size and hash. What a pattern in `redact`
        (a regular expression) matches becomes `<redacted>`.
        """
        from .snapshot import snapshot

        return snapshot(self._tree, redact)

    def problems(self) -> list[Problem]:
        """The points in which this message breaks mail RFCs; at most 20 problems of one code."""
        from ..lint.find import find_problems

        parameters = self.envelope.mail_parameters
        return find_problems(
            self._tree,
            self.envelope.rcpt_to,
            utf8="SMTPUTF8" in parameters,
            binary=(parameters.get("BODY") or "").upper() == "BINARYMIME",
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `raw` to `path`, for an existing directory to `ID.eml` in it; give the file's path.

        Makes missing directories and overwrites an existing file. Raises
        `OSError` as writing a file does.
        """
        target = Path(path)
        if target.is_dir():
            target /= f"{self.id}.eml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.raw)
        return target


# Attributes that EmailMessage.__init__ and the parser set: they exist after parsing.
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
        "_as_built",
    }
)


def links_of(message: Message) -> list[Anchor]:
    """The links of the bodies, each URL once, with the texts that lead there."""
    from ..mime.bodies import joined
    from .search import find_links

    text = joined(part.unwrapped_text() for part in message._bodies.text)
    return find_links(message.html, text)


def _printable(text: str, length: int) -> str:
    """The text shortened to one line, what could act on a terminal escaped."""
    return escaped(text if len(text) <= length else text[: length - 3] + "...")
