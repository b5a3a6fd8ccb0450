"""Address lists in headers, by the grammar of RFC 5322 section 3.4, and what is wrong with them.

Linear in the text and never raising, unlike the email package's parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..validator import objection
from .problems import Finding
from .raw_header import without_comments

# A token's kind is the name of its group. Encoded words first: their "?" and "=" are no atoms'
_TOKEN = re.compile(
    r"""
    (?P<space> [\s]+ )
  | (?P<word> =\?[^?\s]+\?[bBqQ]\?[^?\s]*\?= )
  | (?P<quoted> "(?:[^"\\]|\\.)*" )
  | (?P<pair> \\. )
  | (?P<literal> \[[^\[\]]*\] )
  | (?P<atom> [^\s<>@,:;."()\[\]\\]+ )
  | (?P<special> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=")


class _Token(NamedTuple):
    kind: str
    text: str


class AddressList(NamedTuple):
    """`addresses` as written, without names; how many groups are empty; what is wrong."""

    addresses: tuple[str, ...]
    empty_groups: int
    findings: tuple[Finding, ...]


def read_addresses(text: str) -> AddressList:
    """The addresses of a header's unfolded text; `findings` are pairs of a code and the place."""
    tokens = [
        _Token(str(match.lastgroup), match[0])
        for match in _TOKEN.finditer(without_comments(text).strip())
    ]
    addresses: list[str] = []
    findings: list[Finding] = []
    empty_groups = 0
    for element in _elements(tokens):
        if element is None:
            empty_groups += 1
        elif isinstance(element, str):
            findings.append(("bad-address-list", element))
        elif not element:
            findings.append(("obsolete-syntax", "an empty place in a list of addresses"))
        else:
            address = _read_mailbox(element, findings)
            if address is not None:
                addresses.append(address)
    return AddressList(tuple(addresses), empty_groups, tuple(findings))


def _elements(tokens: list[_Token]) -> Iterator[list[_Token] | str | None]:
    """What stands between the commas, groups opened.

    None is a group with nobody in it, a `str` says what is malformed.
    """
    element: list[_Token] = []
    in_angle, group_size = False, -1  # -1: in no group
    after_group = False
    for token in tokens:
        special = token.text if token.kind == "special" else ""
        if special == ":" and not in_angle and group_size < 0:
            group_size, element = 0, []
        elif special == ";" and not in_angle and group_size >= 0:
            yield _stripped(element) if element or group_size else None
            element, group_size, after_group = [], -1, True
        elif special == "," and not in_angle:
            if not after_group:
                yield _stripped(element)
            element, after_group = [], False
            group_size += group_size >= 0
        elif token.kind == "space":
            if element:
                element.append(token)
        else:
            in_angle = special == "<" or (in_angle and special != ">")
            element.append(token)
    if in_angle:
        yield "a < is never closed"
    elif group_size >= 0:
        yield "a group is not closed by a ;"
    if element or not after_group:
        yield _stripped(element)


def _stripped(element: list[_Token]) -> list[_Token]:
    while element and element[-1].kind == "space":
        element.pop()
    return element


def _read_mailbox(element: list[_Token], findings: list[Finding]) -> str | None:
    texts = [token.text if token.kind == "special" else "" for token in element]
    if "<" not in texts:
        return _read_address(element, findings)
    opening = texts.index("<")
    phrase = element[:opening]
    inside = element[opening + 1 :]
    shown = "".join(token.text for token in element)
    if any(_ENCODED_WORD.search(token.text) for token in phrase if token.kind == "quoted"):
        findings.append(("misplaced-encoded-word", shown))
    # Not for a period alone: "Acme Inc. <a@b>" is so common that RFC 5322 section 4.1 gives in, and
    # the standard library writes it
    if any(token.kind in ("special", "literal", "pair") and token.text != "." for token in phrase):
        findings.append(("unquoted-display-name", shown))
    if ">" not in texts:
        return None  # said already
    if texts.index(">") != len(texts) - 1:
        findings.append(("bad-address-list", f"{shown} goes on behind the >"))
        return None
    inside.pop()
    if inside and inside[0].text == "@" and ":" in texts[opening:]:
        findings.append(("obsolete-syntax", f"a source route, {shown}"))
        inside = inside[texts[opening + 1 :].index(":") + 1 :]
    return _read_address(inside, findings)


def _read_address(tokens: list[_Token], findings: list[Finding]) -> str:
    """The address, white space around its dots and its @ dropped (RFC 5322 section 4.4)."""
    address, spaced, obsolete = "", False, False
    for token in tokens:
        if token.kind == "space":
            spaced = True
            continue
        if spaced and address:
            # "ann @ example.com" is obs-local-part; "ann smith@example.com" is nothing
            if token.text in (".", "@") or address[-1] in ".@":
                obsolete = True
            else:
                address += " "
        spaced = False
        address += token.text
    if obsolete:
        written = "".join(token.text for token in tokens)
        findings.append(("obsolete-syntax", f"white space inside {written}"))
    if any(token.kind == "word" for token in tokens):
        findings.append(("misplaced-encoded-word", address))
    return address


def why_no_address(address: str) -> str | None:
    """What email-validator objects to, None for a good address; nothing is looked up.

    Takes whatever RFC 5322 and RFC 6532 allow: single labels, special-use domains, quoted local
    parts, address literals.
    """
    return objection(address, globally=False)
