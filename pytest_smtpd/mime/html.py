"""The visible text of an HTML body, and its links in their order.

Rule: one pass over the source in linear time, as an HTML tokenizer does it (WHATWG 13.2.5), because
`html.parser` is quadratic on some unclosed markup. Nothing is rendered and no style is looked at.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from html.entities import html5
from typing import NamedTuple

from .limits import ENTITIES, LINK_TEXT, PAGE, STEPS

TAG_NAME = re.compile(r"/?[a-zA-Z][^\s/>]*+")
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^\s>]*+)"""
_ATTRIBUTES = re.compile(rf"(?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+{_VALUE})?)*+[\s/]*+>")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+ ([^\s/>][^\s/>=]*+)
        (?: \s*+ = \s*+ (?: "([^"]*+)" | '([^']*+)' | ([^\s>]*+) ) )?""",
    re.VERBOSE,
)
_END_OF_COMMENT = re.compile("--!?>")  # WHATWG HTML 13.2.5.43
_TABS_AND_BREAKS = re.compile(r"[\t\r\n]+")  # are no part of a URL: WHATWG URL 4.4
_WHITE = re.compile(r"[ \t\r\n\f\xa0]+")
_BLANKS = re.compile(r"[ \t]+")
_BREAKS = re.compile(r" ?\n[ \n]*+")
_LONG_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,}+;?")
_REFERENCE = re.compile(r"&(#[xX]?[0-9a-fA-F]++;?|[a-zA-Z][a-zA-Z0-9]*+(?:;|(?!=)))")

_HIDDEN = frozenset({"script", "style", "title", "textarea", "template", "noembed", "iframe"})
# Spelled out because a search with a literal in front is ten times as fast as re.IGNORECASE.
_HIDDEN_END = {
    name: re.compile("</" + "".join(f"[{c}{c.upper()}]" for c in name) + r"[\s/>]")
    for name in _HIDDEN
}
_CELLS = frozenset({"td", "th"})
_BLOCK_NAMES = """
    address article aside blockquote body br center dd details dir div dl dt fieldset figure footer
    form h1 h2 h3 h4 h5 h6 head header hr html li main menu nav ol option p pre section summary
    table tbody tfoot thead tr ul
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())


def end_of_declaration(source: str, start: int) -> int | None:
    """Where a comment, declaration or broken end tag that begins at `start` is over.

    -1 where it goes on to the end of the source, None where `<` begins none of them.
    """
    if source.startswith("<!--", start):
        comment = _END_OF_COMMENT.search(source, start + 2)
        return comment.end() if comment else -1
    if source[start + 1 : start + 2] in ("!", "?", "/"):
        end = source.find(">", start + 2)
        return end + 1 if end >= 0 else -1
    return None


def attributes(
    pattern: re.Pattern[str], source: str, start: int, end: int
) -> Iterator[re.Match[str]]:
    """The attributes of a tag, one right behind the other.

    `finditer` would search on behind the last one, from each blank before the end of the tag anew.
    """
    while (found := pattern.match(source, start, end)) is not None:
        yield found
        start = found.end()


class Anchor(NamedTuple):
    """A link: its URL and its visible text."""

    url: str
    text: str


class Page(NamedTuple):
    """`text` is all that is visible; `items` are its anchors and the stretches between them."""

    text: str
    items: list[Anchor | str]


def unescape(text: str) -> str:
    """`html.unescape`, but bounded, and it takes references that are no character."""
    if "&" not in text:
        return text
    if text.count("&") > ENTITIES:
        return text
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))


def unescape_attribute(value: str) -> str:
    """The same in the value of an attribute, where `?a=1&section=2` holds no section sign.

    A name without its semicolon is none in front of a letter, a digit or `=` (WHATWG 13.2.5.73).
    """
    if "&" not in value or value.count("&") > ENTITIES:
        return value
    return _REFERENCE.sub(
        lambda found: unescape(found[0]) if found[1][0] == "#" or found[1] in html5 else found[0],
        value,
    )


def read_page(source: str) -> Page:
    """The visible text of an HTML document, and its links."""
    return _Reader(source[:PAGE]).read()


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._steps = 0
        self._entities = 0
        self._all: list[str] = []
        self._stretch: list[str] = []
        self._items: list[Anchor | str] = []
        self._url: str | None = None

    def read(self) -> Page:
        source = self._source
        position = 0
        while self._steps < STEPS:
            self._steps += 1
            tag = source.find("<", position)
            self._text(source[position : tag if tag >= 0 else len(source)])
            if tag < 0:
                break
            position = self._markup(tag)
            if position < 0:
                break
        self._end_stretch()
        return Page(_tidy("".join(self._all)), self._items)

    def _markup(self, start: int) -> int:
        """Read the markup at a `<`; return its end, -1 if the document ends first."""
        source = self._source
        name = TAG_NAME.match(source, start + 1)
        if name is None:
            return self._no_tag(start)
        attributes = _ATTRIBUTES.match(source, name.end())
        if attributes is None:
            return -1
        tag = name[0].lower()
        if tag in _HIDDEN:
            end = _HIDDEN_END[tag].search(source, attributes.end())
            return end.start() if end else -1
        if tag in ("a", "area", "/a"):
            self._end_stretch()
            if tag != "/a":
                url = self._attribute("href", name.end(), attributes.end())
                self._url = _TABS_AND_BREAKS.sub("", url or "")
            if tag == "area":
                self._end_stretch()
        elif tag == "img" and self._url is not None:
            self._append(self._attribute("alt", name.end(), attributes.end()) or "")
        elif tag.lstrip("/") in _BLOCKS:
            self._append("\n")
        elif tag.lstrip("/") in _CELLS:
            self._append(" ")
        return attributes.end()

    def _no_tag(self, start: int) -> int:
        end = end_of_declaration(self._source, start)
        if end is not None:
            return end
        self._append("<")
        return start + 1

    def _attribute(self, wanted: str, start: int, end: int) -> str | None:
        for attribute in attributes(_ATTRIBUTE, self._source, start, end):
            self._steps += 1
            if attribute[1].lower() == wanted:
                value = attribute[2] or attribute[3] or attribute[4] or ""
                return self._bounded(unescape_attribute, value).strip()
            if self._steps > STEPS:
                break
        return None

    def _text(self, text: str) -> None:
        if text:
            self._append(_WHITE.sub(" ", self._bounded(unescape, text)))

    def _bounded(self, unescaping: Callable[[str], str], text: str) -> str:
        self._entities += text.count("&")
        return unescaping(text) if self._entities <= ENTITIES else text

    def _append(self, text: str) -> None:
        self._all.append(text)
        self._stretch.append(text)

    def _end_stretch(self) -> None:
        text = "".join(self._stretch)
        self._stretch.clear()
        if self._url:
            self._items.append(Anchor(self._url, _WHITE.sub(" ", text[:LINK_TEXT]).strip()))
        elif text and not text.isspace():
            self._items.append(text)
        self._url = None


def _tidy(text: str) -> str:
    return _BREAKS.sub("\n", _BLANKS.sub(" ", text)).strip()
