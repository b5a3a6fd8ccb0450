"""Address lists in headers (RFC 5322 section 3.4): the addresses and the flaws.

Read leniently, in time linear in the text; nothing raises. An element that is no address is given
as its raw text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from .flaw import Flaw
from .parameters import end_of_comment, unquote_pairs
from .words import find_words, read_words, readable

DESTINATIONS = frozenset(("to", "cc", "resent-to", "resent-cc"))

# A token's kind is the name of its group. Encoded words first: otherwise they match as atoms
_TOKEN = re.compile(
    r"""
    (?P<space> \s++ )
  | (?P<word> =\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?= )
  | (?P<quoted> "(?:[^"\\]|\\.)*+" )
  | (?P<pair> \\. )
  | (?P<literal> \[[^\[\]]*+\] )
  | (?P<atom> [^\s<>@,:;."()\[\]\\]++ )
  | (?P<special> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_SPACES = re.compile(r"\s+")


class Mailbox(NamedTuple):
    """One address with its display name, `""` where there is none."""

    name: str
    address: str

    @property
    def is_sound(self) -> bool:
        """Whether the address has a local part and a domain, and no blanks between them."""
        local, _, domain = self.address.rpartition("@")
        blank = " " in domain or (" " in local and local[:1] != '"')
        return bool(local and domain and not blank)


class Group(NamedTuple):
    """The members of a group with its name; an address outside of groups has `None`."""

    name: str | None
    members: list[Mailbox]


class AddressList(NamedTuple):
    groups: list[Group]
    flaws: list[Flaw]

    @property
    def mailboxes(self) -> list[Mailbox]:
        return [mailbox for group in self.groups for mailbox in group.members]


class _Token(NamedTuple):
    kind: str
    text: str


class _Angle(NamedTuple):
    """The tokens in `<>`, and their place in the element."""

    start: int
    inside: list[_Token]
    end: int


# No comment, quote, group or encoded word: then commas alone divide the addresses
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+/?^_`{|}~@., -]+")


def read_addresses(value: str) -> AddressList:
    """The addresses of a source value on one line. A flaw is named like the problem it makes."""
    value = value.strip()
    if _PLAIN.fullmatch(value):
        found = [piece.strip(" ") for piece in value.split(",")]
        if not any(" " in each or each.endswith(".") for each in found):
            groups = [Group(None, [Mailbox("", each)]) for each in found if each]
            return AddressList(groups, [_EMPTY_PLACE] * found.count(""))
    return _Reader(value).read()


_EMPTY_PLACE = Flaw("obsolete-syntax", "an empty place in a list of addresses")


class _Reader:
    def __init__(self, value: str) -> None:
        self._tokens = list(_tokens(value))
        self._groups: list[Group] = []
        self._flaws: list[Flaw] = []

    def read(self) -> AddressList:
        tokens = self._tokens
        element: list[_Token] = []
        angle: _Angle | None = None
        group: Group | None = None
        after_group = False
        position = 0
        while position < len(tokens):
            token = tokens[position]
            position += 1
            special = token.text if token.kind == "special" else ""
            if special == "<":
                end, closed = self._end_of_angle(position)
                inside = tokens[position:end]
                if not closed:
                    self._flaws.append(Flaw("bad-address-list", "a < is never closed"))
                angle = _Angle(len(element), inside, len(element) + len(inside) + 1 + closed)
                element += tokens[position - 1 : end + closed]
                position = end + closed
            elif special == ":" and angle is None and group is None:
                group = Group(self._phrase(element), [])
                self._groups.append(group)
                element = []
            elif special in (",", ";"):
                if special == "," or group is None or not _is_blank(element) or group.members:
                    self._element(element, angle, group, may_be_empty=after_group)
                if special == ";" and group is None:
                    self._flaws.append(Flaw("bad-address-list", "a ; between addresses"))
                after_group = special == ";"
                element, angle = [], None
                group = None if special == ";" else group
            else:
                element.append(token)
        if group is not None:
            self._flaws.append(Flaw("bad-address-list", "a group is not closed by a ;"))
        self._element(element, angle, group, may_be_empty=after_group or not tokens)
        return AddressList(self._groups, self._flaws)

    def _end_of_angle(self, position: int) -> tuple[int, bool]:
        """The place of the `>`, or of the token that ends an angle without one."""
        stop = -1
        for end in range(position, len(self._tokens)):
            kind, text = self._tokens[end]
            if kind == "special":
                if text == ">":
                    return end, True
                if stop < 0 and text in ",;<":
                    stop = end
                if text == "<":
                    return stop, False
        return (len(self._tokens) if stop < 0 else stop), False

    def _element(
        self,
        element: list[_Token],
        angle: _Angle | None,
        group: Group | None,
        *,
        may_be_empty: bool,
    ) -> None:
        if _is_blank(element):
            if not may_be_empty:
                self._flaws.append(_EMPTY_PLACE)
            return
        if angle is None:
            found = Mailbox("", self._address(element))
        else:
            phrase, inside = element[: angle.start], angle.inside
            self._check(element, phrase, behind=element[angle.end :])
            if inside and inside[0].text == "@" and any(token.text == ":" for token in inside):
                self._note("obsolete-syntax", "a source route, ", element)
                inside = inside[[token.text for token in inside].index(":") + 1 :]
            found = Mailbox(self._phrase(phrase), self._address(inside))
        if group is None:
            self._groups.append(Group(None, [found]))
        else:
            group.members.append(found)

    def _check(self, element: list[_Token], phrase: list[_Token], behind: list[_Token]) -> None:
        if any(next(find_words(token.text), None) for token in phrase if token.kind == "quoted"):
            self._note("misplaced-encoded-word", "", element)
        # Not for a period alone: "Acme Inc. <a@b>" is so common that RFC 5322 section 4.1 allows
        # it, and the standard library writes it
        kinds = ("special", "literal", "pair")
        if any(token.kind in kinds and token.text != "." for token in phrase):
            self._note("unquoted-display-name", "", element)
        if not _is_blank(behind):
            self._note("bad-address-list", "", element, " goes on behind the >")

    def _address(self, tokens: list[_Token]) -> str:
        """The address, blanks around its dots and its @ dropped (RFC 5322 section 4.4)."""
        pieces: list[str] = []
        spaced = obsolete = encoded = False
        for kind, text in tokens:
            encoded = encoded or kind == "word"
            if kind == "space":
                spaced = bool(pieces)
                continue
            if spaced:
                # "ann @ example.com" is obs-local-part; "ann smith@example.com" is nothing
                if text in (".", "@") or pieces[-1] in (".", "@"):
                    obsolete = True
                else:
                    pieces.append(" ")
            spaced = False
            pieces.append(text)
        if encoded:
            self._note("misplaced-encoded-word", "", tokens)
        if obsolete:
            self._note("obsolete-syntax", "white space inside ", tokens)
        if pieces[-1:] == ["."] and "@" in pieces:
            self._note("bad-address", "a dot at the end of ", tokens)
            pieces.pop()
        return readable("".join(pieces))

    def _note(self, kind: str, what: str, tokens: list[_Token], behind: str = "") -> None:
        shown = readable("".join(token.text for token in tokens)).strip()
        self._flaws.append(Flaw(kind, f"{what}{shown}{behind}"))

    def _phrase(self, tokens: list[_Token]) -> str:
        words = (
            unquote_pairs(token.text[1:-1]) if token.kind == "quoted" else token.text
            for token in tokens
        )
        return _SPACES.sub(" ", read_words("".join(words)).text).strip()


def _is_blank(tokens: list[_Token]) -> bool:
    return all(kind == "space" for kind, _ in tokens)


def _tokens(value: str) -> Iterator[_Token]:
    """The tokens; a comment is a space."""
    position = 0
    while (match := _TOKEN.match(value, position)) is not None:
        position = match.end()
        if match[0] == "(":
            position = end_of_comment(value, position)
            yield _Token("space", " ")
        else:
            yield _Token(match.lastgroup or "", match[0])


def address_key(address: str) -> str:
    """A key that ignores case, quotes, and Unicode or A-label spelling of the domain."""
    local, at, domain = address.strip().rpartition("@")
    if not at:
        local, domain = domain, ""
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = unquote_pairs(local[1:-1])
    if not domain.isascii() and len(domain) < 256:
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    return unicodedata.normalize("NFC", f"{local}@{domain}").casefold()
