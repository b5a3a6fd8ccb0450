"""The email policy of received mail: `policy.default`, except that reading a header never raises.

Rule: the standard library parses a header as long as that is cheap; what would take it long is read
by `fields`, and what it cannot read at all comes back as the raw text, with a defect.
"""

from __future__ import annotations

import copy
import re
from datetime import datetime
from email import contentmanager, errors, headerregistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

from .content import part_text, payload_bytes
from .fields import (
    MAX_HEADER,
    Costly,
    Unread,
    mime_type,
    parse_addresses,
    parse_parameters,
    read_words,
    readable,
    unfold,
)

# The standard library takes up to 0.2 ms for each of these, and more for a long run of them.
MAX_COST = 4_000
_COST_OF_A_HEADER = 4
_COSTLY = re.compile(r"""[\s"',.;:<>@()\[\]\\=*%?]""")


class UnparsedHeaderDefect(errors.MessageDefect):
    """A header could not be read as what it claims to be."""


class LongHeaderDefect(UnparsedHeaderDefect):
    """A header of more than 64 KiB, or after 2 MiB of them: given as it came, unparsed."""


class UnreadableHeaderDefect(UnparsedHeaderDefect):
    """A header that the standard library fails to parse: given as it came."""


class UndecodableHeaderDefect(UnparsedHeaderDefect):
    """A header with octets that are not UTF-8 (RFC 6532), or not in the charset it declares."""


def cost(value: str) -> int:
    """How much of `MAX_COST` it takes to have the standard library parse the value."""
    return _COST_OF_A_HEADER + len(_COSTLY.findall(value))


class _Light:
    """Mixed into a header class whose value was not parsed by the standard library."""

    name: str

    def fold(self, *, policy: Any) -> str:
        return f"{self.name}: {self}{policy.linesep}"


class _Registry(headerregistry.HeaderRegistry):
    """The default registry; it keeps the classes that the original makes anew for each header."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: dict[type, type] = {}
        self._light: dict[type, type] = {}

    def __getitem__(self, name: str) -> Any:
        plain = self.registry.get(name.lower(), self.default_class)
        found = self._classes.get(plain)
        if found is None:
            found = type("_" + plain.__name__, (plain, self.base_class), {})
            self._classes[plain] = found
        return found

    def light(self, name: str, value: str, text: str, defects: list[errors.MessageDefect]) -> Any:
        """A header object of the class for `name`, its attributes read by our own functions."""
        plain = self.registry.get(name.lower(), self.default_class)
        found = self._light.get(plain)
        if found is None:
            found = type("_" + plain.__name__, (_Light, plain, self.base_class), {})
            self._light[plain] = found
        header: Any = str.__new__(found, text)
        header.init(name, defects=defects, **_attributes(plain, value))
        return header


def _attributes(plain: type, value: str) -> dict[str, Any]:
    """What `init` of a class of `email.headerregistry` wants to be told."""
    if issubclass(plain, headerregistry.AddressHeader):
        return {"parse_tree": None, "groups": _groups(value)}
    if issubclass(plain, headerregistry.DateHeader):
        return {"parse_tree": None, "datetime": _date(value)}
    if issubclass(plain, headerregistry.MIMEVersionHeader):
        return {"parse_tree": None, "version": None, "major": None, "minor": None}
    head, parameters = parse_parameters(value)
    if issubclass(plain, headerregistry.ContentTypeHeader):
        maintype, subtype = mime_type(head) or ("text", "plain")
        tree = SimpleNamespace(maintype=maintype, subtype=subtype)
        return {"parse_tree": tree, "params": parameters}
    if issubclass(plain, headerregistry.ContentDispositionHeader):
        return {"parse_tree": SimpleNamespace(content_disposition=head), "params": parameters}
    if issubclass(plain, headerregistry.ContentTransferEncodingHeader):
        return {"parse_tree": SimpleNamespace(cte=head)}
    return {"parse_tree": None}


def _groups(value: str) -> list[headerregistry.Group]:
    groups: list[headerregistry.Group] = []
    members: list[headerregistry.Address] = []
    open_group: str | None = None
    for group, name, address in parse_addresses(value):
        local, at, domain = address.rpartition("@")
        one = headerregistry.Address(name, local if at else domain, domain if at else "")
        if group is None or group != open_group:
            members = [one]
            groups.append(headerregistry.Group(group, members))
            open_group = group
        else:
            groups[-1] = headerregistry.Group(group, [*groups[-1].addresses, one])
    return groups


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value.strip()) if len(value) < 200 else None
    except Exception:
        return None


_registry = _Registry()


class MailPolicy(EmailPolicy):
    """`email.policy.default` for mail as it came: no header access raises, nothing is refolded."""

    refold_source = "none"
    # Sent mail may break the rules that Python 3.13 checks when it writes a message.
    verify_generated_headers = False

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, _, value = "".join(sourcelines).partition(":")
        return name, value.lstrip(" \t\r\n").rstrip("\r\n")

    def header_fetch_parse(self, name: str, value: str) -> Any:
        if hasattr(value, "name"):
            return value
        if isinstance(value, Unread) or len(name) + len(value) > MAX_HEADER:
            text = readable(unfold(value))
            return _registry.light(name, "", text, [LongHeaderDefect(_about(name))])
        line = unfold(value)
        text = readable(line)
        defects: list[errors.MessageDefect] = []
        words = read_words(text)
        if not words.sound or ("\ufffd" in text and "\ufffd" not in line):
            defects.append(UndecodableHeaderDefect(_about(name)))
        try:
            if not words.plain or isinstance(value, Costly) or cost(text) > MAX_COST:
                return _registry.light(name, text, words.text, defects)
            header = self.header_factory(name, text)
            header._defects.extend(defects)
        except Exception as error:
            reason = f"{_about(name)}: {type(error).__name__}"
            return _registry.light(name, text, text, [*defects, UnreadableHeaderDefect(reason)])
        return header

    def __reduce_ex__(self, protocol: Any) -> Any:
        # The one instance that all messages share is pickled, and copied, by its name.
        return "POLICY" if self is POLICY else super().__reduce_ex__(protocol)


def _about(name: str) -> str:
    return name[:76]


def _get_text(message: EmailMessage, errors: str = "replace") -> str:
    return part_text(message)


def _get_bytes(message: EmailMessage) -> bytes:
    return payload_bytes(message)


def _get_message(message: EmailMessage) -> Any:
    payload = message.get_payload()
    return payload[0] if isinstance(payload, list) and payload else payload_bytes(message)


def _content_manager() -> contentmanager.ContentManager:
    """The default one, but what it gets is decoded as forgivingly as our own properties do."""
    manager = copy.deepcopy(contentmanager.raw_data_manager)
    manager.add_get_handler("text", _get_text)
    manager.add_get_handler("message/rfc822", _get_message)
    for maintype in "audio", "image", "video", "application":
        manager.add_get_handler(maintype, _get_bytes)
    return manager


POLICY = MailPolicy(header_factory=_registry, content_manager=_content_manager())
"""The policy of every received message and its parts."""


def header_defects(part: EmailMessage) -> list[errors.MessageDefect]:
    """The defects of headers in `part` that came back as raw text, or with U+FFFD."""
    found: list[errors.MessageDefect] = []
    for name, value in part.raw_items():
        header = POLICY.header_fetch_parse(name, value)
        kinds: tuple[type[errors.MessageDefect], ...] = (UnparsedHeaderDefect,)
        if isinstance(header, headerregistry.ParameterizedMIMEHeader):  # RFC 2231 section 4
            kinds += (errors.UndecodableBytesDefect,)
        found += [one for one in header.defects if isinstance(one, kinds)]
    return found
