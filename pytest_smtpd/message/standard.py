"""A tree as `email.message.EmailMessage` objects: the one file that deals with their insides.

The policy is `policy.default`, except that reading never raises and is done by `mime`: header
objects have the classes and attributes of `email.headerregistry`, `get_content()` decodes as
`Message.text` and `Attachment.content` do. `get_payload(decode=True)` and what writes a message are
the email package's own.
"""

from __future__ import annotations

import copy
import re
from datetime import datetime
from email import contentmanager, headerregistry
from email.errors import MessageDefect
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

from ..mime import charsets, encodings
from ..mime.addresses import read_addresses
from ..mime.header import Field, unfold
from ..mime.limits import FIELD
from ..mime.parameters import Parameters, is_media_type, read_parameters, unquote_pairs
from ..mime.tree import Part
from ..mime.words import octets_of, read_words, readable
from . import defects

_VERSION = re.compile(r"\s*(\d{1,9})\s*\.\s*(\d{1,9})\s*")
_MAX_DATE = 200  # characters
_MAX_FOLDED = 2_000  # the standard library takes seconds for a long header


class Unread(str):
    """A source value beyond the limits, given as it is."""

    __slots__ = ()


class _Header:
    """Mixed into a class of `email.headerregistry` whose value `mime` has read."""

    name: str

    def fold(self, *, policy: Any) -> str:
        """As the standard library writes it; a long one, and what it cannot write, on one line."""
        text = str(self)
        if len(text) <= _MAX_FOLDED:
            try:
                folded = headerregistry.HeaderRegistry()(self.name, text).fold(policy=policy)
                return str(folded)
            except Exception:
                pass
        return f"{self.name}: {text}{policy.linesep}"


class _Registry(headerregistry.HeaderRegistry):
    """The default registry; it makes header objects from source values."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: dict[type, type] = {}

    def read(self, name: str, source: str) -> Any:
        plain = self.registry.get(name.lower(), self.default_class)
        made = self._classes.get(plain)
        if made is None:
            made = type("_" + plain.__name__, (_Header, plain, self.base_class), {})
            self._classes[plain] = made
        found: list[MessageDefect] = []
        value = unfold(source)
        if isinstance(source, Unread) or len(name) + len(value) > FIELD:
            found.append(defects.LongHeaderDefect(name[:76]))
            text, attributes = readable(value), _attributes(plain, "", found, name)[1]
        else:
            text, attributes = _attributes(plain, value, found, name)
        header: Any = str.__new__(made, text)
        header.init(name, defects=found, **attributes)
        return header


def _attributes(
    plain: type, value: str, found: list[MessageDefect], name: str
) -> tuple[str, dict[str, Any]]:
    """The text of a header, and what `init` of its class wants to know; adds to the defects."""
    words = read_words(value)
    if not words.sound and not issubclass(plain, headerregistry.ParameterizedMIMEHeader):
        found.append(defects.UndecodableHeaderDefect(name[:76]))
    if issubclass(plain, headerregistry.AddressHeader):
        listed = read_addresses(value)
        groups = [
            headerregistry.Group(group.name, [_address(*mailbox) for mailbox in group.members])
            for group in listed.groups
        ]
        unread = next((each for each in listed.mailboxes if not each.is_sound), None)
        if unread is not None:
            found.append(defects.InvalidAddressDefect(f"{name}: {unread.address}"[:160]))
        text = words.text if unread is not None else ", ".join(map(str, groups))
        return text, {"parse_tree": None, "groups": groups}
    if issubclass(plain, headerregistry.DateHeader):
        date = _date(value)
        text = words.text if date is None else format_datetime(date)
        return text, {"parse_tree": None, "datetime": date}
    if issubclass(plain, headerregistry.MIMEVersionHeader):
        match = _VERSION.match(value)
        major, minor = (int(match[1]), int(match[2])) if match else (None, None)
        version = f"{major}.{minor}" if match else None
        parsed = {"version": version, "major": major, "minor": minor}
        return words.text, {"parse_tree": None, **parsed}
    if issubclass(plain, headerregistry.ContentTransferEncodingHeader):
        return words.text, {"parse_tree": SimpleNamespace(cte=read_parameters(value).head)}
    if issubclass(plain, headerregistry.ParameterizedMIMEHeader):
        return _parameterized(plain, read_parameters(value), words.text, found, name)
    return words.text, {"parse_tree": None}


def _parameterized(
    plain: type, value: Parameters, text: str, found: list[MessageDefect], name: str
) -> tuple[str, dict[str, Any]]:
    if value.flaw:
        found.append(defects.InvalidParameterDefect(f"{name}: {value.flaw}"[:160]))
    if not value.sound:
        found.append(defects.UndecodableBytesDefect(name[:76]))
    if issubclass(plain, headerregistry.ContentTypeHeader):
        kind = value.head if is_media_type(value.head) else "text/plain"
        maintype, _, subtype = kind.partition("/")
        tree = SimpleNamespace(maintype=maintype, subtype=subtype)
    else:
        tree = SimpleNamespace(content_disposition=value.head)
    # As the standard library has it: methods of EmailMessage look for parameters in this text
    if value.head and (not value.flaw or text.partition(";")[0].strip().lower() != value.head):
        text = value.head + "".join(
            f"; {key}={_quoted(each)}" for key, each in value.values.items()
        )
    return text, {"parse_tree": tree, "params": value.values}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _address(name: str, address: str) -> headerregistry.Address:
    local, at, domain = address.rpartition("@")
    local, domain = (local, domain) if at else (domain, "")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = unquote_pairs(local[1:-1])
    return headerregistry.Address(name, local, domain)


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value.strip()) if len(value) < _MAX_DATE else None
    except Exception:
        return None


class MailPolicy(EmailPolicy):
    """`email.policy.default` for mail as it came: no header access raises, nothing is refolded."""

    refold_source = "none"
    # Sent mail may break the rules that Python 3.13 checks when it writes a message.
    verify_generated_headers = False

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, _, value = "".join(sourcelines).partition(":")
        return name, value.lstrip(" \t\r\n").rstrip("\r\n")

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return value if hasattr(value, "name") else _registry.read(name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # The one instance that all messages share is pickled, and copied, by its name.
        return "POLICY" if self is POLICY else super().__reduce_ex__(protocol)


def _content_manager() -> contentmanager.ContentManager:
    """The default one, but what it gets is decoded by `mime`."""
    manager = copy.deepcopy(contentmanager.raw_data_manager)
    manager.add_get_handler("text", _get_text)
    manager.add_get_handler("message/rfc822", _get_message)
    for maintype in "audio", "image", "video", "application":
        manager.add_get_handler(maintype, _get_octets)
    return manager


def _get_text(part: EmailMessage, errors: str = "replace") -> str:
    charset = read_parameters(_source(part, "Content-Type")).values.get("charset")
    return charsets.decode(_get_octets(part), charset).text


def _get_message(part: EmailMessage) -> Any:
    payload = part.get_payload()
    return payload[0] if isinstance(payload, list) and payload else _get_octets(part)


def _get_octets(part: EmailMessage) -> bytes:
    # get_payload() would decode octets that are not ASCII, with a charset that may not exist.
    payload = getattr(part, "_payload", None)
    if isinstance(payload, list):
        return payload[0].as_bytes() if payload else b""
    data = octets_of(payload) if isinstance(payload, str) else bytes(payload or b"")
    encoding = read_parameters(_source(part, "Content-Transfer-Encoding")).head
    return encodings.decode(encoding, data).octets


def _source(part: EmailMessage, name: str) -> str:
    """The source value of the first header of that name; `""` where it is not read."""
    values = (value for key, value in part.raw_items() if key.lower() == name.lower())
    value = next(values, "")
    return "" if isinstance(value, Unread) else unfold(str(value))


_registry = _Registry()
POLICY = MailPolicy(header_factory=_registry, content_manager=_content_manager())
"""The policy of every received message and its parts."""


def build(part: Part, *, nested: bool = False) -> EmailMessage:
    """The part as an `EmailMessage`, `nested` if it is inside a multipart."""
    mail = EmailMessage(policy=POLICY)
    mail.set_default_type(part.default_type)
    if part.header.unix_from:
        mail.set_unixfrom(part.header.unix_from)
    for field in part.header.fields:
        mail.set_raw(field.name, _raw(field))
    mail.defects.extend(defects.of_structure(part))
    if part.lead is not None:
        mail.preamble = _text(part, *part.lead)
    for child in part.parts:
        mail.attach(build(child, nested=part.is_multipart or nested))
    if not part.parts:
        mail.set_payload(_text(part, part.header.body, part.end))
    if part.tail is not None:
        # As email.feedparser: without a line end behind the delimiter there is no epilogue
        ended = part.raw[part.tail[0] - 1 : part.tail[0]] == b"\n"
        mail.epilogue = _text(part, *part.tail) if ended or not nested else None
    mail.__dict__["_as_built"] = _state(mail)
    return mail


def _state(mail: EmailMessage) -> tuple[object, ...]:
    payload = mail.__dict__["_payload"]
    return (*mail.raw_items(), tuple(payload) if isinstance(payload, list) else payload)


def changed_octets(message: EmailMessage) -> bytes | None:
    """The octets of a built message that a test has changed; None if it is unchanged."""
    parts = list(message.walk())
    if all(_state(part) == part.__dict__.get("_as_built") for part in parts):
        return None
    return message.as_bytes(policy=POLICY.clone(linesep="\r\n"))


def _text(part: Part, start: int, end: int) -> str:
    return part.raw[start:end].decode("ascii", "surrogateescape")


def _raw(field: Field) -> str:
    return field.source if field.is_read else Unread(field.source)


def header_defects(part: Part) -> list[MessageDefect]:
    """Defects of the headers of a part."""
    headers = (_registry.read(field.name, _raw(field)) for field in part.header.fields)
    return [defect for header in headers for defect in header.defects]
