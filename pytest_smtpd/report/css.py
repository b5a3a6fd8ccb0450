"""Reduces the CSS of a mail to rules that cannot load anything or end their element.

Rule: the result has no backslash, no ``<``, no ``@`` except in ``@media``, and before every ``(`` a
name from a short list. This holds for the characters, however a browser parses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_DECLARATION = 2000
MAX_NESTING = 4

_FUNCTION_NAMES = """
    rgb rgba hsl hsla hwb lab lch oklab oklch color-mix light-dark calc min max clamp minmax repeat
    fit-content linear-gradient radial-gradient conic-gradient repeating-linear-gradient
    repeating-radial-gradient -webkit-linear-gradient -webkit-radial-gradient -moz-linear-gradient
    translate translatex translatey translate3d scale scalex scaley rotate skew skewx skewy matrix
    cubic-bezier steps rect inset circle ellipse polygon blur brightness contrast grayscale opacity
    saturate sepia drop-shadow invert hue-rotate not is where nth-child nth-last-child nth-of-type
    lang dir and or only
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split()) | {""}
_PROPERTY = re.compile(r"-?[a-z][a-z-]{0,60}")
_BANNED = frozenset({"behavior", "-moz-binding"})
_TOKENS = re.compile(r"""[{};] | (?: "[^"]*+"? | '[^']*+'? | [^"'{};]++ )++""", re.VERBOSE)
_WHITE = re.compile(r"[\s\x00-\x20]+")
_NAME_BEFORE = re.compile(r"[\w-]*$")
_QUOTES = re.compile("[\"']")


def declarations(source: str) -> str:
    """The safe declarations of a style attribute."""
    return ";".join(_declarations(token for token in _tokens(source) if token not in "{};"))


def stylesheet(source: str) -> str:
    """The safe rules of a style element, also within @media."""
    out: list[str] = []
    blocks: list[str] = []  # the open blocks: "media", "rule", "skip"
    pending = ""
    body: list[str] = []
    for token in _tokens(source):
        inside = blocks[-1] if blocks else "media"
        if token == "{":
            blocks.append(_opened(pending, inside, len(blocks), out))
            pending, body = "", []
        elif token == "}":
            if inside == "rule":
                out.append(";".join(_declarations([*body, pending])) + "}\n")
            elif blocks and inside == "media":
                out.append("}\n")
            if blocks:
                blocks.pop()
            pending = ""
        elif token == ";":
            if inside == "rule":
                body.append(pending)
            pending = ""  # outside a rule: @import, @charset, @namespace
        else:
            pending = token.strip()
    if blocks and blocks[-1] == "rule":
        out.append(";".join(_declarations([*body, pending])))
    out += ["}" for kind in blocks if kind != "skip"]
    return "".join(out)


def _opened(prelude: str, inside: str, depth: int, out: list[str]) -> str:
    """Writes the head of the block that begins after `prelude`, and returns its kind."""
    if inside != "media" or depth >= MAX_NESTING or len(prelude) > MAX_DECLARATION or not prelude:
        return "skip"
    if prelude[:6].lower() == "@media":
        if _safe(prelude[6:]) and not _QUOTES.search(prelude):
            out.append(f"@media{prelude[6:]}{{")
            return "media"
        return "skip"
    if not _safe(prelude):
        return "skip"
    out.append(f"{prelude}{{")
    return "rule"


def loads_something(source: str) -> bool:
    """Whether a browser would have fetched something for this CSS. The report says so."""
    lowered = source.lower()
    return "url(" in lowered or "@import" in lowered or "image-set(" in lowered


def _tokens(source: str) -> Iterator[str]:
    source = _WHITE.sub(" ", _without_comments(source)).replace("<!--", " ").replace("-->", " ")
    return (match[0] for match in _TOKENS.finditer(source))


def _without_comments(source: str) -> str:
    pieces: list[str] = []
    position = 0
    while (start := source.find("/*", position)) >= 0:
        pieces.append(source[position:start])
        end = source.find("*/", start + 2)
        if end < 0:
            return " ".join(pieces)
        position = end + 2
    return " ".join([*pieces, source[position:]])


def _declarations(sources: Iterator[str] | list[str]) -> Iterator[str]:
    for source in sources:
        name, colon, value = source.partition(":")
        name, value = name.strip().lower(), value.strip()
        if (
            colon
            and value
            and len(value) <= MAX_DECLARATION
            and name not in _BANNED
            and _PROPERTY.fullmatch(name)
            and _safe(value)
        ):
            yield f"{name}:{value}"


def _safe(text: str) -> bool:
    if "\\" in text or "<" in text or "@" in text:
        return False
    at = text.find("(")
    while at >= 0:
        before = _NAME_BEFORE.search(text[max(0, at - 40) : at].rstrip())
        if before is None or before[0].lower() not in _FUNCTIONS:
            return False
        at = text.find("(", at + 1)
    return True
