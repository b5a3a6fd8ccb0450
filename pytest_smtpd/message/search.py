"""Links and one-time codes in the bodies of a message.

Rule: the search is bounded, and a link or code that is not the only one is an `AssertionError` that
lists the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from unicodedata import category

from ..mime.html import Anchor, read_page
from ..mime.limits import LINKS, TEXT, TEXT_URLS
from ..text import cut, escaped

_SHOWN = 20
_SHOWN_LENGTH = 200
_SHOWN_BODY = 2_000

# `](` is where Markdown goes on from a link's text to its URL.
_URL = re.compile(
    r"""(?<![a-zA-Z0-9])[hH][tT][tT][pP][sS]?://
        (?: (?!\]\() [^\s<>"`\x00-\x20\x7f\u200b\ufeff] )++""",
    re.VERBOSE,
)
_NEVER_LAST = frozenset(".,;:!?'|\\")
_BRACKETS = {")": "(", "]": "[", "}": "{"}
# These may well end a URL (one token in 64 of the base64 alphabet for URLs ends in `_`): they are
# emphasis only where the same stands in front, among what opens a quotation.
_EMPHASIS = "*_~"
_OPENING = frozenset(_EMPHASIS + "".join(_BRACKETS.values()) + "\"'\u201c\u2018\u00ab\u201e")
_SURPLUS = _NEVER_LAST.union(_BRACKETS, _EMPHASIS)  # a URL that ends in anything else is whole
_MAX_OPENING = 8
# The same around other words of the line in front
_OPENS = re.compile(r"""(?<![^\s("'\[{])[*_~]{1,3}(?=[^\s*_~])""")
_CLOSES = re.compile(r"(?<=[^\s*_~])[*_~]{1,3}(?!\w)")
_MAX_LINE = 100


class _Ends(dict[int, int]):
    """For `str.translate`: a character beyond ASCII that ends a URL becomes a zero width space.

    That is the punctuation of every script, which may have no blank behind it, as linkify-it does.
    """

    def __missing__(self, code: int) -> int:
        ends = code > 127 and (category(chr(code))[0] == "P" or chr(code) in "\uff1c\uff1e")
        self[code] = found = 0x200B if ends else code
        return found


_ENDS = _Ends()


def find_links(html: str | None, text: str | None) -> list[Anchor]:
    """Each URL once, first those of the HTML body; with all the link texts that lead there."""
    found: dict[str, str] = {}
    for url, label in _all_links(html, text):
        known = found.get(url)
        if known is None:
            if len(found) >= LINKS:
                break
            found[url] = label
        elif label and len(known) < 5 * _SHOWN_LENGTH and label not in known:
            found[url] = f"{known} / {label}" if known else label
    return [Anchor(url, label) for url, label in found.items()]


def _all_links(html: str | None, text: str | None) -> Iterator[Anchor]:
    for item in read_page(html or "").items:
        if isinstance(item, Anchor):
            if not item.url.startswith("#") and not item.url.lower().startswith("javascript:"):
                yield item
        else:
            yield from (Anchor(url, "") for url in _urls(item))
    yield from (Anchor(url, "") for url in _urls(text or ""))


def _urls(text: str) -> Iterator[str]:
    searched = text if text.isascii() else text[:TEXT].translate(_ENDS)
    for match in islice(_URL.finditer(searched, 0, TEXT), TEXT_URLS):
        url = match[0]
        start, end = match.span()
        delimited = text[start - 1 : start] == "<" and text[end : end + 1] == ">"
        if url[-1] in _SURPLUS and not delimited:  # RFC 3986 appendix C
            url = _trim(url, _emphasis_before(text, start))
        if not url.endswith("//"):
            yield url


def _emphasis_before(text: str, end: int) -> dict[str, int]:
    """How often each mark stands in front of a URL that may be closed behind it."""
    start = end
    while start > max(0, end - _MAX_OPENING) and text[start - 1] in _OPENING:
        start -= 1
    line = text[max(0, start - _MAX_LINE) : start].rpartition("\n")[2]
    opened = "".join(_OPENS.findall(line)) + text[start:end]
    closed = "".join(_CLOSES.findall(line))
    return {mark: opened.count(mark) - closed.count(mark) for mark in _EMPHASIS}


def _trim(url: str, opened: dict[str, int]) -> str:
    """Without the punctuation of the sentence around it."""
    surplus = {close: url.count(close) - url.count(open_) for close, open_ in _BRACKETS.items()}
    surplus |= opened
    end = len(url)
    while end:
        last = url[end - 1]
        if last in _NEVER_LAST:
            pass
        elif surplus.get(last, 0) > 0:
            surplus[last] -= 1
        else:
            break
        end -= 1
    return url[:end]


def only_link(links: list[Anchor], contains: str | None, text: str | None, *, message: str) -> str:
    """The URL of the only link that fits, or `AssertionError`."""
    __tracebackhide__ = True
    for name, value in (("contains", contains), ("text", text)):
        if not isinstance(value, str | None):
            raise TypeError(f"link({name}={value!r}): a str is wanted, a part of it")
    fitting = [
        link
        for link in links
        if (contains is None or contains in link.url) and (text is None or text in link.text)
    ]
    if len(fitting) == 1:
        return fitting[0].url
    wanted = " and ".join(
        [f"URL contains {contains!r}"] * (contains is not None)
        + [f"text contains {text!r}"] * (text is not None)
    )
    what = f"link whose {wanted}" if wanted else "link"
    if fitting:
        head = f"{len(fitting)} links instead of one {what} in {message}:"
    elif links:
        head = f"no {what} in {message}; its links are:"
    else:
        head = f"no {what} in {message}" + ", and no other" * bool(wanted)
    shown = (
        escaped(cut(link.url, _SHOWN_LENGTH))
        + (f"  ({cut(link.text, _SHOWN_LENGTH)!r})" if link.text else "")
        for link in fitting or links
    )
    raise AssertionError(_listing(head, shown, len(fitting or links)))


def only_code(
    pattern: str | re.Pattern[str], text: str | None, html: str | None, *, message: str
) -> str:
    """The only distinct match of `pattern`, in the text body before the HTML body."""
    __tracebackhide__ = True
    regex = re.compile(pattern) if isinstance(pattern, str) else pattern
    if not isinstance(regex, re.Pattern) or not isinstance(regex.pattern, str):
        raise TypeError(f"code({pattern!r}): a str, or a re.Pattern for str, is wanted")
    body = text or ""
    found = _codes(regex, body)
    if not found and html is not None:
        page = read_page(html).text
        found = _codes(regex, page)
        body = body if body.strip() and not found else page
    if len(found) == 1:
        return found[0]
    where = f"of {regex.pattern!r} in {message}"
    head = f"{len(found)} different matches {where}:" if found else f"no match {where}"
    shown = escaped(cut(body, _SHOWN_BODY), keep="\t\n")
    listing = _listing(head, (repr(cut(code, _SHOWN_LENGTH)) for code in found), len(found))
    raise AssertionError(f"{listing}\nthe body:\n{shown}" if shown else f"{listing}\nno body")


def _codes(regex: re.Pattern[str], body: str) -> list[str]:
    found: dict[str, None] = {}
    for match in regex.finditer(body, 0, TEXT):
        # With a choice, "a(\d+)|b(\d+)", it is the group that took part in the match
        code = next((group for group in match.groups() if group is not None), match[0])
        if code:
            found[code] = None
            if len(found) > 10 * _SHOWN:
                break
    return list(found)


def _listing(head: str, lines: Iterable[str], count: int) -> str:
    shown = [line for line, _ in zip(lines, range(_SHOWN), strict=False)]
    more = [f"  ... and {count - _SHOWN} more"] if count > _SHOWN else []
    return "\n".join([head, *(f"  {line}" for line in shown), *more])
