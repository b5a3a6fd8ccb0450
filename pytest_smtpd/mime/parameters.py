"""Values with parameters, such as Content-Type's (RFC 2045 section 5.1, RFC 2231), and comments.

Every function takes any text, never raises, and takes time linear in its input.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from .charsets import Text, decode
from .limits import PARAMETERS
from .words import octets_of, read_words, readable

_IN_COMMENT = re.compile(r"\\.|[()]|[^()\\]++|.", re.DOTALL)
_OUTSIDE_COMMENT = re.compile(r'(?:[^"\\(]++|"(?:[^"\\]|\\.)*+"|\\.|["\\])*+', re.DOTALL)
# A value and a first parameter without the semicolon between them
_NO_SEMICOLON = re.compile(r"([^\s;]++)\s++(?=[^\s=;]++=)")
_BETWEEN = re.compile(r"[;\s]*+")
_NAME = re.compile(r"([^=;]*+)(=\s*+)?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL)
_UNQUOTED = re.compile(r"[^;(]*+")
_TOKEN = re.compile(r"[^\x00-\x20()<>@,;:\\\"/\[\]?=]++")  # RFC 2045 section 5.1
_SECTION = re.compile(r"([^*]++)(?:\*([0-9]{1,4}))?(\*)?")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_MEDIA_TYPE = re.compile(r"[^\s/()<>@,;:\\\"\[\]?=]++/[^\s/()<>@,;:\\\"\[\]?=]++")


class Parameters(NamedTuple):
    """`head` is what stands before the first semicolon, in lower case."""

    head: str
    values: dict[str, str]
    flaw: str = ""  # the first place that is malformed
    sound: bool = True  # False where something became U+FFFD, or a charset is unknown


def is_media_type(head: str) -> bool:
    return _MEDIA_TYPE.fullmatch(head) is not None


def unquote_pairs(text: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", text)


def end_of_comment(text: str, position: int) -> int:
    """Where the comment that is open at `position` ends (RFC 5322 section 3.2.2)."""
    depth = 1
    while depth and (match := _IN_COMMENT.match(text, position)) is not None:
        depth += (match[0] == "(") - (match[0] == ")")
        position = match.end()
    return position


def without_comments(text: str) -> str:
    """Comments are replaced by a space, except in quotes."""
    pieces: list[str] = []
    position = 0
    while True:
        match = _OUTSIDE_COMMENT.match(text, position)
        pieces.append(match[0] if match else "")
        position = match.end() if match else position
        if position == len(text):
            return " ".join(pieces)
        position = end_of_comment(text, position + 1)


def read_parameters(value: str) -> Parameters:
    """Reads `head; name=value; ...`, a source value on one line."""
    head, position = _until_semicolon(value, 0)
    flaws: list[str] = []
    missing = _NO_SEMICOLON.match(head)
    if missing is not None:
        flaws.append(head)
        position = missing.end() if value.startswith(missing[0]) else position
        head = missing[1]
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    for _ in range(PARAMETERS):
        begin = _skip(value, position)
        match = _NAME.match(value, begin)
        if match is None or match.end() == begin:
            break
        name = match[1].partition("(")[0].strip().lower()
        if not match[2]:
            position = match.end()
            flaws.append(match[0])
            continue
        text, position = _value(name, value, match.end())
        if not text.sound:
            flaws.append(value[begin:position])
        section = _SECTION.fullmatch(name) if "*" in name else None
        if section is None:
            flaws += [value[begin:position]] if "*" in name else []
            plain.setdefault(name, text.text)
        else:
            numbered = sections.setdefault(section[1], {})
            numbered[int(section[2] or 0)] = (section[3] is not None, text.text)
    texts = {name: read_words(text) for name, text in plain.items() if name}
    texts |= {name: _joined(numbered) for name, numbered in sections.items()}
    sound = all(text.sound for text in texts.values())
    values = {name: text.text for name, text in texts.items()}
    flaw = readable("".join(flaws[:1])).strip("; \t")
    return Parameters(readable(head).strip().lower(), values, flaw, sound)


def _skip(text: str, position: int) -> int:
    """Where the blanks, semicolons and comments between two parameters end."""
    while (match := _BETWEEN.match(text, position)) is not None:
        position = match.end()
        if text[position : position + 1] != "(":
            break
        position = end_of_comment(text, position + 1)
    return position


def _value(name: str, text: str, position: int) -> tuple[Text, int]:
    """The value of a parameter, sound if it is well-formed, and where it ends."""
    quoted = _QUOTED.match(text, position)
    if quoted is not None:
        rest, end = _until_semicolon(text, quoted.end())
        return Text(unquote_pairs(quoted[1]), quoted[2] == '"' and not rest), end
    if name.partition("*")[0] in ("name", "filename"):  # a parenthesis is part of the name
        end = text.find(";", position) % (len(text) + 1)
        found = text[position:end].strip()
    else:
        found, end = _until_semicolon(text, position)
    return Text(found, _TOKEN.fullmatch(found) is not None), end


def _until_semicolon(text: str, position: int) -> tuple[str, int]:
    """The text up to a semicolon, without comments, and where it ends."""
    pieces: list[str] = []
    while (match := _UNQUOTED.match(text, position)) is not None:
        pieces.append(match[0])
        position = match.end()
        if text[position : position + 1] != "(":
            break
        position = end_of_comment(text, position + 1)
    return "".join(pieces).strip(), position


def _joined(numbered: dict[int, tuple[bool, str]]) -> Text:
    """RFC 2231 sections 3 and 4: the sections in order, the first one names the charset.

    Each may be cut anywhere, in an escape or an encoded word, too.
    """
    ordered = [numbered[number] for number in sorted(numbered)]
    if not any(encoded for encoded, _ in ordered):
        return read_words("".join(text for _, text in ordered))
    charset = None
    encoded, text = ordered[0]
    if encoded and text.count("'") >= 2:
        charset, _, text = text.split("'", 2)
        ordered[0] = (True, text)
    octets = bytearray()
    for encoded, group in groupby(ordered, key=lambda section: section[0]):
        raw = octets_of("".join(text for _, text in group))
        octets += unquote_to_bytes(raw) if encoded else raw
    return decode(bytes(octets), charset)
