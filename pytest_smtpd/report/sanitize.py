"""Makes the HTML of a mail harmless: it cannot run, load, submit or link.

Rule: an allow-list. This module writes and escapes every tag, attribute and text of the result, and
drops tags and attributes that are on no list. One pass in linear time, because hostile mail may try
to stop it (`html.parser` needs a minute for 80 KB of unclosed quotes).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from html import escape
from itertools import islice
from typing import NamedTuple
from unicodedata import category
from urllib.parse import unquote

from ..mime.html import TAG_NAME, attributes, end_of_declaration, unescape, unescape_attribute
from . import css

MAX_SOURCE = 2_000_000  # characters; Gmail clips a mail after 102,000
MAX_NODES = 200_000  # tags; a browser needs a second for them
MAX_STYLED = 5_000  # tags; a mail with more is large, and has fewer styles
MAX_DEPTH = 120  # open elements; a browser repeats formatting elements in each block
MAX_IMAGES = 8_000_000  # characters of data: URIs in all, or a mail could show one 1,000 times
MAX_ITEMS = 20_000  # of lists
MAX_SPAN = 1_000  # columns or rows of one cell, and cells of a row
MAX_MARKS = 30  # combining marks on one character; a browser's time grows with their square
MAX_DIRECTIONS = 1_000  # characters, and elements, that change the direction of writing
MAX_RUBY = 1_000  # annotations; a browser's time grows with their square
MAX_SPANS = 5_000  # columns and rows that cells span beyond their own, in all

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)

_TAG_NAMES = """
    a abbr acronym address article aside b bdi bdo big blockquote body br caption center cite code
    col colgroup dd del details dfn dir div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6
    header hr html i img ins kbd li main mark menu nav nobr ol p pre q rp rt ruby s samp section
    small span strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr
"""
_TAGS = frozenset(_TAG_NAMES.split())
_VOID = frozenset({"br", "col", "hr", "img", "wbr"})
_UNCLOSED_NAMES = "html body dd dt li p rp rt tbody td tfoot th thead tr colgroup"
_UNCLOSED = frozenset(_UNCLOSED_NAMES.split())
# If these are not closed, a browser opens them again in each block that follows (WHATWG 13.2.4.3)
_FORMATTING_NAMES = "a b big code em font i nobr s small strike strong tt u"
_FORMATTING = frozenset(_FORMATTING_NAMES.split())
_ATTRIBUTE_NAMES = """
    abbr align alink alt bgcolor border cellpadding cellspacing class clear color cols colspan
    datetime dir face frame headers height hidden hspace id lang link noshade nowrap open reversed
    role rowspan rules scope size span start summary text title type valign value vlink vspace width
"""
_ATTRIBUTES = frozenset(_ATTRIBUTE_NAMES.split())
_MOST = {
    "li": MAX_ITEMS,
    **dict.fromkeys(("ruby", "rt", "rp"), MAX_RUBY),
    **dict.fromkeys(("bdi", "bdo", "dir"), MAX_DIRECTIONS),  # also the attribute dir
}
# The names of removed elements in the report's note
_REMOVED = {
    "script": "script",
    "iframe": "frame",
    "frame": "frame",
    "object": "embedded object",
    "embed": "embedded object",
    "applet": "embedded object",
    "form": "form",
    "input": "form field",
    "textarea": "form field",
    "select": "form field",
    "svg": "SVG drawing",
    "video": "video or audio",
    "audio": "video or audio",
    "link": "link element",
    "base": "base element",
}
# Their content is not markup; a browser without scripts shows nothing of it, except of xmp
_RAW = ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp")
_RAW_END = {
    name: re.compile("</" + "".join(f"[{c}{c.upper()}]" for c in name) + r"(?=[\s/>])")
    for name in _RAW
}

_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)"""
_TAG_END = re.compile(rf"(?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+{_VALUE}?)?)*+[\s/]*+>")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+ ([^\s/>][^\s/>=]*+)
        (?: \s*+ = \s*+ (?: "([^"]*+)" | '([^']*+)' | ([^\s>"'][^\s>]*+) )? )?""",
    re.VERBOSE,
)
_DATA_IMAGE = re.compile(
    r"data:image/(?:png|gif|jpe?g|webp|bmp|avif|x-icon);base64,[A-Za-z0-9+/=]*+", re.IGNORECASE
)
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKS = re.compile(rf"(?:[^\w\s!-~]|<[^>]*+>){{{MAX_MARKS},}}+")  # also with tags between
_MARK_OR_TAG = re.compile("<[^>]*+>|.")
_HARMFUL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

# In a document of these types, images leave no gap below them (WHATWG 13.2.6.4.1)
_TRANSITIONAL = re.compile(
    r"""\s*+<!doctype\s++html\s++public\s++
        "-//w3c//dtd\ (?:xhtml\ 1\.0|html\ 4\.01)\ transitional//[^>"]*+"\s*+"http""",
    re.IGNORECASE | re.VERBOSE,
)
_LIMITED_QUIRKS = """<!doctype html public "-//W3C//DTD XHTML 1.0 Transitional//EN" "">
"""
# The mail's style elements stay in the head, up to its first other element
_HEAD = f"""<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta http-equiv="x-dns-prefetch-control" content="off">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="only light">
<meta name="viewport" content="width=device-width">
<title>HTML body of a message</title>
<style>
:where(html) {{ background: #fff; color: #000; overflow-wrap: break-word }}
:where(body) {{ margin: 16px; font-family: sans-serif }}
:where(a[title]) {{ color: #00e; text-decoration: underline; cursor: pointer }}
:where(img[src="data:,"]) {{ outline: 1px dashed #999; outline-offset: -1px }}
</style>
"""


class Sanitized(NamedTuple):
    """Harmless HTML, and how many things of each kind were removed."""

    html: str
    removed: dict[str, int]


def document(source: str, images: Mapping[str, str] | None = None) -> Sanitized:
    """A complete document for a frame; `images` maps Content-IDs to data: URIs."""
    body, removed = sanitize(source, images)
    doctype = _LIMITED_QUIRKS if _TRANSITIONAL.match(source) else "<!doctype html>\n"
    return Sanitized(f"{doctype}{_HEAD}{body}\n</body>\n</html>\n", removed)


def sanitize(source: str, images: Mapping[str, str] | None = None) -> Sanitized:
    """The body of a mail as harmless HTML. Never raises."""
    writer = _Writer(_HARMFUL.sub("\ufffd", source[:MAX_SOURCE]), images or {})
    if len(source) > MAX_SOURCE:
        writer.removed[f"all beyond {MAX_SOURCE:,} characters"] = 1
    return Sanitized(writer.write(), dict(writer.removed))


class _Writer:
    def __init__(self, source: str, images: Mapping[str, str]) -> None:
        self._source = source
        self._images = images
        self._room = MAX_IMAGES
        self._large = source.count("<") > MAX_STYLED
        self._styles = css.Styles(self._large)
        self._row = MAX_SPAN // 10 if self._large else MAX_SPAN
        self._spans = MAX_SPANS
        self._left = dict(_MOST)
        self._cells = [0]  # of the current row of each open table
        self._out: list[str] = []
        self._open: Counter[str] = Counter()
        self._depth = 0
        self._nodes = 0
        self._formatting = 0
        self.removed: Counter[str] = Counter()

    def write(self) -> str:
        source = self._source
        position = 0
        while position >= 0:
            start = source.find("<", position)
            self._text(source[position : start if start >= 0 else len(source)])
            if start < 0:
                break
            if self._nodes > MAX_NODES:
                self.removed[f"all beyond {MAX_NODES:,} elements"] = 1
                break
            position = self._markup(start)
        return _calmed("".join(self._out))

    def _text(self, text: str) -> None:
        # A reference may stand for a control character or a surrogate
        self._out.append(escape(_HARMFUL.sub("\ufffd", unescape(text)), quote=False))

    def _markup(self, start: int) -> int:
        """Handles the markup that begins with `<` at `start`.

        Returns where the markup ends, or -1 if the document ends first.
        """
        source = self._source
        self._nodes += 1
        name = TAG_NAME.match(source, start + 1)
        if name is None:
            return self._no_tag(start)
        end = _TAG_END.match(source, name.end())
        if end is None:
            return -1
        tag = name[0].lower()
        if tag.startswith("/"):
            self._end_tag(tag[1:])
            return end.end()
        attributes = self._read(name.end(), end.end())
        if tag in _REMOVED:
            self.removed[_REMOVED[tag]] += 1
        if tag == "meta" and "http-equiv" in attributes:
            self.removed["meta element"] += 1
        if tag in _RAW_END:
            return self._raw(tag, end.end(), attributes)
        if tag in _TAGS:
            self._start_tag(tag, attributes)
        return end.end()

    def _no_tag(self, start: int) -> int:
        end = end_of_declaration(self._source, start)
        if end is not None:
            return end
        self._out.append("&lt;")
        return start + 1

    def _raw(self, tag: str, start: int, attributes: dict[str, str]) -> int:
        end = _RAW_END[tag].search(self._source, start)
        content = self._source[start : end.start() if end else len(self._source)]
        if tag == "style":
            self._css_note(content)
            if attributes.get("type", "text/css").strip().lower() in ("", "text/css"):
                rules = self._styles.sheet(content, _value(attributes.get("media", "")))
                self._out.append(f"<style>{rules}</style>" if rules else "")
                if self._styles.exhausted:
                    self.removed["style beyond the bounds"] = 1
        elif tag == "xmp":
            self._out.append(escape(content, quote=False))
        return end.start() if end else -1

    def _read(self, start: int, end: int) -> dict[str, str]:
        found: dict[str, str] = {}
        for attribute in attributes(_ATTRIBUTE, self._source, start, end):
            value = attribute[2] or attribute[3] or attribute[4] or ""
            # HTML keeps the first of two attributes with the same name
            found.setdefault(attribute[1].lower(), value)
        return found

    def _start_tag(self, tag: str, attributes: dict[str, str]) -> None:
        if self._stalls(tag):
            return
        if tag not in _VOID and tag not in _UNCLOSED:
            if self._depth >= MAX_DEPTH:
                self.removed["elements nested too deep"] += 1
                return
            self._depth += 1
        if tag in _FORMATTING:
            self._formatting += 1
        else:
            self._nodes += self._formatting
        if tag not in _VOID:
            self._open[tag] += 1
        kept: dict[str, str] = {}
        for name, value in attributes.items():
            if name in ("colspan", "rowspan", "span"):
                if span := self._span(value):
                    kept[name] = str(span)
                    self._cells[-1] += span if name == "colspan" else 0
            elif name == "reversed" and self._large:
                continue  # a browser would count the list for each item
            elif name == "dir" and self._stalls("dir"):
                continue
            elif name in _ATTRIBUTES:
                kept[name] = _value(value)
            elif name == "style":
                self._css_note(value)
                kept[name] = self._styles.attribute(_value(value))
            elif name.startswith("on"):
                self.removed["event handler"] += 1
            elif name in ("background", "poster"):
                self.removed["remote image"] += 1
        if tag == "img":
            kept["src"] = self._image(_value(attributes.get("src", "")).strip())
        elif tag == "a" and "href" in attributes:
            # Only shown: the page lists the links, outside the frame. `css` styles links by it
            kept["title"] = _value(attributes["href"])[:2000]
        written = "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
        self._out.append(f"<{tag}{written}>")

    def _stalls(self, tag: str) -> bool:
        """Whether a browser's time for this element grows with the elements before it."""
        if tag == "table":
            self._cells.append(0)
        elif tag == "tr":
            self._cells[-1] = 0
        elif tag in ("td", "th", "col"):
            self._cells[-1] += 1
            return self._cells[-1] > self._row
        elif tag in self._left:
            self._left[tag] -= 1
            nested = tag in ("ruby", "rt", "rp") and (self._open["ruby"] > 0) == (tag == "ruby")
            return nested or self._left[tag] < 0
        return False

    def _span(self, value: str) -> int:
        number = re.match(r"\s*+0*+(\d{1,6})", value)
        span = min(self._row, int(number[1])) if number else 1
        if span < 2 or span > self._spans:
            return 0
        self._spans -= span
        return span

    def _end_tag(self, tag: str) -> None:
        if tag not in _TAGS or tag in _VOID or tag in ("html", "body") or not self._open[tag]:
            return
        if tag == "table" and len(self._cells) > 1:
            self._cells.pop()
        self._open[tag] -= 1
        self._formatting -= tag in _FORMATTING
        if tag not in _UNCLOSED:
            self._depth -= 1
        self._out.append(f"</{tag}>")

    def _image(self, url: str) -> str:
        found = None
        if url[:4].lower() == "cid:":
            found = self._images.get(unquote(url[4:]).strip("<> "))
            if found is None:
                self.removed["image that is not in the message"] += 1
        elif url[:5].lower() == "data:":
            match = _DATA_IMAGE.fullmatch("".join(url.split()))
            found = match[0] if match else None
        elif url:
            self.removed["remote image"] += 1
        if found is not None and len(found) <= self._room:
            self._room -= len(found)
            return found
        return "data:,"  # no image: a browser shows the alternative text

    def _css_note(self, source: str) -> None:
        if css.loads_something(source):
            self.removed["style that loads something"] += 1


def _value(text: str) -> str:
    return _HARMFUL.sub("\ufffd", unescape_attribute(text))


def _calmed(html: str) -> str:
    """The text without excess marks on one character, and without excess changes of direction."""
    more = next(islice(_DIRECTION.finditer(html), MAX_DIRECTIONS, None), None)
    if more is not None:
        html = html[: more.start()] + _DIRECTION.sub("", html[more.start() :])
    return _MARKS.sub(_fewer_marks, html)


def _fewer_marks(run: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for char in _MARK_OR_TAG.findall(run[0]):
        if char[0] != "<":
            marks = marks + 1 if category(char) in ("Mn", "Me", "Mc", "Cf") else 0
        if marks <= MAX_MARKS or char[0] == "<":
            kept.append(char)
    return "".join(kept)
