"""Reduces the CSS of a mail to rules that load nothing, end no element and stall no browser.

Rule: the result has a backslash only before six hexadecimal digits, no ``<``, no ``@`` except in
the at-rules listed here, before every ``(`` a name from a short list, and properties from a list.
This holds for the characters, however a browser parses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_DECLARATION = 2000
MAX_ATTRIBUTE = 20_000  # characters of a style attribute
MAX_SHEETS = 300_000  # characters of all style elements of a mail; Gmail takes 16,384 of each
MAX_SELECTORS = 3_000  # of a mail; a browser tries each of them on each element
MAX_COSTLY = 40  # combinators and pseudo-classes that make a browser look at siblings
MAX_VARIABLES = 100  # custom properties
MAX_FONTS = 100  # different lists of fonts; a browser asks the system for each name
MAX_LARGE = 1_000  # selectors of a large mail, which may have no costly ones
MAX_NESTING = 4
MAX_SHORT = 100  # characters of a value that a browser repeats for many elements

_FUNCTION_NAMES = """
    rgb rgba hsl hsla hwb lab lch oklab oklch color-mix light-dark calc min max clamp minmax repeat
    fit-content linear-gradient radial-gradient conic-gradient repeating-linear-gradient
    repeating-radial-gradient -webkit-linear-gradient -webkit-radial-gradient -moz-linear-gradient
    translate translatex translatey scale scalex scaley rotate skew skewx skewy matrix
    cubic-bezier steps rect inset circle ellipse polygon var selector has not is where nth-child
    nth-last-child nth-of-type nth-last-of-type lang dir and or only
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split()) | {""}
# Without columns, filters, animations, counters and masks: a few kilobytes of them stall a browser
_SIDES = "(?:-(?:top|right|bottom|left|block|inline)(?:-(?:start|end))?)?"
_CORNERS = "(?:-(?:top|bottom|start|end)-(?:left|right|start|end))?"
_PROPERTY = re.compile(
    rf"""mso-[a-z-]{{1,60}} | (?:-webkit-|-moz-|-ms-)? (?:
    background(?:-(?:attachment|blend-mode|clip|color|image|origin|position(?:-[xy])?|repeat|size))?
    | border{_SIDES}(?:-(?:color|style|width))? | border{_CORNERS}-radius
    | border-(?:collapse|image|spacing) | (?:margin|padding|inset){_SIDES} | top|right|bottom|left
    | (?:min-|max-)?(?:width|height|inline-size|block-size) | aspect-ratio | box-(?:shadow|sizing)
    | font(?:-(?:family|feature-settings|kerning|optical-sizing|size(?:-adjust)?|smoothing|stretch
      |style|synthesis|variant(?:-[a-z-]{{1,20}})?|weight|variation-settings))?
    | text-(?:align(?:-last)?|decoration(?:-[a-z-]{{1,20}})?|fill-color|indent|overflow|rendering
      |shadow|size-adjust|transform|underline-(?:offset|position)|wrap)
    | list-style(?:-(?:image|position|type))? | outline(?:-(?:color|offset|style|width))?
    | (?:align|justify|place)-(?:content|items|self) | flex(?:-(?:basis|direction|flow|grow|shrink
      |wrap))? | order | (?:grid-|row-|column-)?gap | grid-template-columns
    | color(?:-scheme)? | accent-color | display | float | clear | position | z-index | visibility
    | opacity | overflow(?:-wrap|-[xy])? | vertical-align | white-space
    | word-(?:break|spacing|wrap)
    | line-(?:break|clamp|height) | letter-spacing | hyphens | tab-size | direction | unicode-bidi
    | writing-mode | table-layout | caption-side | empty-cells | object-(?:fit|position) | cursor
    | transform(?:-origin)? | transition | clip(?:-path)? | content | quotes | appearance
    | user-select ) | --[a-zA-Z0-9_-]{{1,60}}""",
    re.VERBOSE,
)
_SHORT = ("content", "quotes", "list-style", "text-shadow", "box-shadow", "--")
_DISPLAY = re.compile(
    r"(?:none|contents|block|flow-root|list-item|inherit|initial|unset|(?:inline-)?(?:block|flex|grid"
    r"|table)|inline|table-[a-z-]{3,12}|-webkit-(?:inline-)?box)(?: ?! ?important)?",
    re.IGNORECASE,
)
_TRACK = r"(?:\d{1,4}(?:px|%|fr|em)|auto)"
_TRACKS = re.compile(rf"(?:(?:{_TRACK}|repeat\([1-9], ?{_TRACK}\))(?: |$)){{1,6}}")
_NO_VARIABLE = re.compile(r"(?:(?!var\().)*+", re.IGNORECASE)
_VALUES = {
    "display": _DISPLAY,
    "grid-template-columns": _TRACKS,
    **dict.fromkeys(("content", "quotes", "list-style", "list-style-type"), _NO_VARIABLE),
}
_AT_RULE = re.compile(r"@(?:media|supports|layer)(?![\w-])", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.?))", re.DOTALL)
_WHITE = re.compile(r"[\s\x00-\x20]+")
_LEXEMES = re.compile(
    r"""/\*.*?(?:\*/|\Z) | "[^"]*+"? | '[^']*+'? | (?i:url)\((?=\ ?[^"'\ ])[^)]*+\)?
        | [^"'{}()\[\];/uU]++ | .""",
    re.VERBOSE,
)
_URL = re.compile(r"""(?<![\w-])url\( ?(?:"[^"]*+"|'[^']*+'|[^"'()]*+) ?\)""", re.IGNORECASE)
_NAME_BEFORE = re.compile(r"[\w-]*$")
_LINK = re.compile(r":(?:any-|-webkit-any-)?link(?![\w-])|\[ ?href(?![\w-])", re.IGNORECASE)
_COSTLY = re.compile(r"[~+]|:(?:nth|has|not|is|where|before|after|first-l)", re.IGNORECASE)
_TOO_COSTLY = re.compile(
    r"nth-[^)]*? of |:has\([^)]*?[~+:*]|:(?:is|where|not)\([^)]*?~|~[^,~]*+~", re.IGNORECASE
)
# Cells in each row and column, and a layer for each element
_LARGE = re.compile(
    r"display:.*(?:table-|list)|overflow.*(?:scroll|auto)|transform|clip-path|unicode-bidi"
    r"|(?:opacity|position):",
    re.IGNORECASE,
)


class Styles:
    """The style elements and attributes of one mail, and their remaining limits."""

    def __init__(self, large: bool = False) -> None:
        """`large`: the mail has many elements, so each selector is slow."""
        self.exhausted = False
        self._large = large
        self._room = MAX_SHEETS
        self._selectors = MAX_LARGE if large else MAX_SELECTORS
        self._costly = 0 if large else MAX_COSTLY
        self._fonts: set[str] = set()
        self._variables = 0 if large else MAX_VARIABLES

    def attribute(self, source: str) -> str:
        """The safe declarations of a style attribute."""
        return self._declarations([text for text, _ in _statements(source[:MAX_ATTRIBUTE])])

    def sheet(self, source: str, media: str = "") -> str:
        """The safe rules of a style element with this attribute `media`."""
        out: list[str] = []
        blocks: list[str] = []  # the open blocks: "group", "rule", "skip"
        body: list[str] = []
        self.exhausted |= len(source) > self._room
        source = source[: self._room]
        self._room -= len(source)
        if media.strip():
            source = f"@media {re.sub('[{};]', '?', media)}{{{source}}}"
        for text, end in _statements(source):
            inside = blocks[-1] if blocks else "group"
            if inside == "rule" and end != "{":
                body.append(text)
            if end == "{":
                fits = inside == "group" and len(blocks) < MAX_NESTING
                if fits and (opened := self._opened(text)):
                    out.append(opened)
                    blocks.append("group" if opened[0] == "@" else "rule")
                    body = []
                else:
                    blocks.append("skip")
            elif end == ";":
                if inside == "group" and text[:6].lower() == "@layer" and _safe(text[1:]):
                    out.append(f"{text};")
            elif blocks and blocks.pop() != "skip":
                out.append((self._declarations(body) if inside == "rule" else "") + "}\n")
        out += ["}" for kind in blocks if kind != "skip"]
        return "".join(out)

    def _opened(self, prelude: str) -> str:
        """The head of the block after `prelude`, or an empty text to leave the block out."""
        if not prelude or len(prelude) > MAX_DECLARATION:
            return ""
        self._selectors -= 1 + prelude.count(",")
        self.exhausted |= self._selectors < 0
        if self._selectors < 0:
            return ""
        if prelude[0] == "@":
            name = _AT_RULE.match(prelude)
            return f"{prelude}{{" if name and _safe(prelude[name.end() :]) else ""
        costly = len(_COSTLY.findall(prelude)) + MAX_COSTLY // 4 * prelude.count("~")
        if not _safe(prelude) or _TOO_COSTLY.search(prelude) or costly > self._costly:
            return ""
        self._costly -= costly
        # Links have no href here, but a title, which holds the URL
        return _LINK.sub(lambda found: "[title" + "]" * (found[0][0] == ":"), prelude) + "{"

    def _declarations(self, sources: list[str]) -> str:
        return ";".join(filter(self._affordable, map(_declaration, sources)))

    def _affordable(self, declaration: str) -> bool:
        if declaration.startswith("--"):
            self._variables -= 1
            return self._variables >= 0
        if declaration.startswith(("font:", "font-family:")):
            self._fonts.add(declaration)
            return len(self._fonts) <= MAX_FONTS
        return bool(declaration) and not (self._large and _LARGE.match(declaration))


def loads_something(source: str) -> bool:
    """Whether a browser would fetch something for this CSS; the report mentions it."""
    lowered = source.lower()
    return "url(" in lowered or "@import" in lowered or "image-set(" in lowered


def _statements(source: str) -> Iterator[tuple[str, str]]:
    """The text before each ``{``, ``}`` or ``;`` outside brackets, and that character."""
    source = _WHITE.sub(" ", _ESCAPE.sub(_escape, source.replace("\r\n", "\n")))
    pieces: list[str] = []
    depth = 0
    for match in _LEXEMES.finditer(source.replace("<!--", " ").replace("-->", " ")):
        lexeme = match[0]
        if lexeme in "{};" and not depth:
            yield "".join(pieces).strip(), lexeme
            pieces.clear()
            continue
        depth = max(0, depth + (lexeme in "([") - (lexeme in ")]"))
        pieces.append(" " if lexeme.startswith("/*") else lexeme)
    yield "".join(pieces).strip(), ""


def _escape(match: re.Match[str]) -> str:
    """A letter for an escaped letter. Other characters stay escaped, in one form."""
    code = int(match[1], 16) if match[1] else ord(match[2] or "\ufffd")
    if match[2] == "\n":
        return ""
    if not 0 < code < 0x110000 or 0xD800 <= code < 0xE000:
        code = 0xFFFD
    char = chr(code)
    if char.isalpha() or char in "-_" or (code > 127 and char.isprintable()):
        return char
    return f"\\{code:06x} "


def _declaration(source: str) -> str:
    name, _, value = source.partition(":")
    name, value = name.strip(), _URL.sub("none", value.strip())
    if not name.startswith("--"):
        name = name.lower()
    most = MAX_SHORT if name.startswith(_SHORT) else MAX_DECLARATION
    if not 0 < len(value) <= most or not _PROPERTY.fullmatch(name) or not _safe(value):
        return ""
    # Values that refer to two others could double in each step
    if name.startswith("--") and value.lower().count("var(") > 1:
        return ""
    allowed = _VALUES.get(name)
    if allowed is not None and not allowed.fullmatch(value):
        return ""
    return f"{name}:{value}"


def _safe(text: str) -> bool:
    if "<" in text or "@" in text:
        return False
    at = text.find("(")
    while at >= 0:
        before = _NAME_BEFORE.search(text[max(0, at - 40) : at].rstrip())
        if before is None or before[0].lower() not in _FUNCTIONS:
            return False
        at = text.find("(", at + 1)
    return True
