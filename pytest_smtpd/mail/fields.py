"""Readers of header values for whatever a client may send: words, parameters, addresses.

Rule: every function takes any text or bytes, never raises, and takes time linear in its input.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import Error as BinasciiError
from binascii import a2b_base64, a2b_qp
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from .charsets import decode_bytes, decode_strictly, is_read_by_python

# Characters of one header, its name included; a longer one is given unparsed.
MAX_HEADER = 65_536
# More than any real header has; RFC 2231 sections beyond it are dropped.
_MAX_PARAMETERS = 1_000
_MAX_ADDRESS_TOKENS = 100_000

_ENCODED_WORD = re.compile(r"=\?([^?\s]++)\?([bBqQ])\?([^?\r\n]*+)\?=")
_SPACES = re.compile(r"\s+")
_COMMENT = re.compile(r"\([^()]*+\)")
_MIME_TYPE = re.compile(r"[^\s/();,\"<>@]++/[^\s/();,\"<>@]++")
_PARAMETER = re.compile(
    r"""[;\s]*+ ([^=;]*+)
        (?: = \s*+ (?: "((?:[^"\\]|\\.)*+)"? [^;]*+ | ([^;]*+) ) )?""",
    re.VERBOSE | re.DOTALL,
)
_EXTENDED_NAME = re.compile(r"([^*]++)(?:\*([0-9]{1,4}))?(\*)?")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ADDRESS_TOKEN = re.compile(
    r"""  "(?:[^"\\]|\\.)*+"?      # quoted-string
        | \[[^\]]*+\]?           # domain-literal: a colon in it starts no group
        | \\. | [(),:;<>] | [^"\[\\(),:;<>]++ | .""",
    re.VERBOSE | re.DOTALL,
)
_IN_COMMENT = re.compile(r"\\.|[()]|[^()\\]++|.", re.DOTALL)
# Bounded, or a run of "<" would make it quadratic; a path has 256 octets (RFC 5321 4.5.3.1.3).
_IN_ANGLE = re.compile(r'((?:"(?:[^"\\]|\\.){0,320}+"|[^"<>]){0,320}+)>', re.DOTALL)


class Costly(str):
    """A source value that is left to this module: the standard library has parsed enough."""

    __slots__ = ()


class Unread(str):
    """A source value that is too long, or comes after too many others, to be parsed at all."""

    __slots__ = ()


def readable(value: str) -> str:
    """A source value with its 8-bit octets (surrogates) read as UTF-8 (RFC 6532)."""
    if value.isascii():
        return value
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeError:
        return value.encode("utf-8", "replace").decode("utf-8", "replace")


def unfold(value: str) -> str:
    """The value on one line (RFC 5322 section 2.2.3)."""
    return value.replace("\r", "").replace("\n", "")


class Words(NamedTuple):
    """A value with its encoded words decoded (RFC 2047)."""

    text: str
    sound: bool = True  # nothing became U+FFFD, and each charset is known
    plain: bool = True  # the standard library has the same result


def decode_words(value: str) -> str:
    """The text of `read_words`."""
    return read_words(value).text


def read_words(value: str) -> Words:
    """The value with its RFC 2047 encoded words decoded.

    Neighbours of one charset are joined as octets first, for clients that split a character.
    """
    if "=?" not in value:
        return Words(value)
    result: list[str] = []
    pending = bytearray()
    charset = ""
    end = 0
    sound = plain = True

    def decode_pending() -> bool:
        octets = bytes(pending)
        pending.clear()
        text = decode_strictly(octets, charset)
        result.append(decode_bytes(octets, charset) if text is None else text)
        return text is not None

    for match in _ENCODED_WORD.finditer(value):
        gap = value[end : match.start()]
        # RFC 2047 section 6.2: white space between encoded words is not shown.
        adjacent = end > 0 and (not gap or gap.isspace())
        if pending and not (adjacent and match[1].lower() == charset):
            sound &= decode_pending()
        if not adjacent:
            result.append(gap)
        charset = match[1].lower()
        word = _decode_word(match[2], match[3])
        plain = plain and is_read_by_python(word, charset)
        pending += word
        end = match.end()
    sound &= decode_pending()
    result.append(value[end:])
    return Words("".join(result), sound, plain)


def _decode_word(encoding: str, text: str) -> bytes:
    octets = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return a2b_qp(octets, header=True)
    return decode_base64(octets)


def decode_base64(data: bytes) -> bytes:
    """What can be had from `data`; characters outside the alphabet are skipped (RFC 2045 6.8)."""
    for padding in (b"", b"=", b"=="):
        try:
            return a2b_base64(data + padding)
        except BinasciiError:
            continue
    return data


def header_text(value: str) -> str:
    """A source value as a reader sees it: unfolded, decoded, one space for any white space."""
    return _SPACES.sub(" ", decode_words(readable(unfold(value)))).strip()


class Parameterized(NamedTuple):
    """A value such as Content-Type: its head in lower case, and its decoded parameters."""

    head: str
    parameters: dict[str, str]


def parse_parameters(value: str) -> Parameterized:
    """Read `head; name=value; ...`, with RFC 2231 continuations and charsets."""
    head, _, rest = unfold(value).partition(";")
    head = readable(_COMMENT.sub("", head)).strip().lower()
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    position = 0
    for _ in range(_MAX_PARAMETERS):
        match = _PARAMETER.match(rest, position)
        if match is None or match.end() == position:
            break
        position = match.end()
        name = match[1].strip().lower()
        if match[2] is not None:
            text = _QUOTED_PAIR.sub(r"\1", match[2])
        else:
            text = (match[3] or "").strip()
            if name not in ("name", "filename"):  # there a parenthesis is rather part of the name
                text = text.partition("(")[0].rstrip()
        extended = _EXTENDED_NAME.fullmatch(name) if "*" in name else None
        if extended is None:
            plain.setdefault(name, text)
        else:
            section = int(extended[2] or 0)
            encoded = extended[3] is not None
            sections.setdefault(extended[1], {}).setdefault(section, (encoded, text))
    parameters = {name: decode_words(readable(text)) for name, text in plain.items() if name}
    for name, numbered in sections.items():
        parameters[name] = _join_sections(numbered)
    return Parameterized(head, parameters)


def _join_sections(numbered: dict[int, tuple[bool, str]]) -> str:
    """RFC 2231 sections 3 and 4: the numbered pieces in order, the first names the charset."""
    ordered = [numbered[number] for number in sorted(numbered)]
    charset = None
    if ordered[0][0] and ordered[0][1].count("'") >= 2:
        charset, _, text = ordered[0][1].split("'", 2)
        ordered[0] = (True, text)
    octets = bytearray()
    for encoded, text in ordered:
        raw = text.encode("utf-8", "surrogateescape")
        octets += unquote_to_bytes(raw) if encoded else raw
    return decode_bytes(bytes(octets), charset)


def mime_type(head: str) -> tuple[str, str] | None:
    """Main type and subtype, `None` for what is no media type."""
    if _MIME_TYPE.fullmatch(head) is None:
        return None
    maintype, _, subtype = head.partition("/")
    return maintype, subtype


class Mailbox(NamedTuple):
    """One address of an address header; `group` is the display name of its group, if any."""

    group: str | None
    name: str
    address: str


def parse_addresses(value: str) -> list[Mailbox]:
    """The addresses of a To, Cc, From, ... value (RFC 5322 section 3.4), read leniently."""
    text = readable(unfold(value))
    found: list[Mailbox] = []
    phrase: list[str] = []
    angle: str | None = None
    group: str | None = None
    position = 0
    for _ in range(_MAX_ADDRESS_TOKENS):
        match = _ADDRESS_TOKEN.match(text, position)
        if match is None:
            break
        position = match.end()
        token = match[0]
        if token == "(":
            position = _skip_comment(text, position)
            phrase.append(" ")
        elif token == "<":
            inside = _IN_ANGLE.match(text, position)
            if inside is not None:
                angle = inside[1]
                position = inside.end()
        elif token == ":" and angle is None and group is None:
            group = _phrase(phrase)
            phrase = []
        elif token in (",", ";"):
            _append(found, group, phrase, angle)
            phrase, angle = [], None
            if token == ";":
                group = None
        else:
            phrase.append(token)
    _append(found, group, phrase, angle)
    return found


def _append(found: list[Mailbox], group: str | None, phrase: list[str], angle: str | None) -> None:
    if angle is not None:
        address = angle.strip()
        if address.startswith("@"):  # an obsolete source route (RFC 5322 section 4.4)
            address = address.rpartition(":")[2]
        found.append(Mailbox(group, _phrase(phrase), address))
    elif address := "".join(phrase).strip():
        found.append(Mailbox(group, "", address))


def _phrase(tokens: list[str]) -> str:
    words = [
        _QUOTED_PAIR.sub(r"\1", token[1:].removesuffix('"')) if token[:1] == '"' else token
        for token in tokens
    ]
    return _SPACES.sub(" ", decode_words("".join(words))).strip()


def _skip_comment(text: str, position: int) -> int:
    depth = 1
    for _ in range(_MAX_ADDRESS_TOKENS):
        match = _IN_COMMENT.match(text, position)
        if match is None:
            break
        position = match.end()
        depth += (match[0] == "(") - (match[0] == ")")
        if depth == 0:
            break
    return position


def address_key(address: str) -> str:
    """What two spellings of one address share: case, quotes, Unicode or A-label domain."""
    local, at, domain = address.strip().rpartition("@")
    if not at:
        local, domain = domain, ""
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    if not domain.isascii() and len(domain) < 256:
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    return unicodedata.normalize("NFC", f"{local}@{domain}").casefold()
