"""The grammar of an envelope's addresses: RFC 5321 sections 4.1.2 and 4.1.3, RFC 6531 section 3.3.

Takes time linear in the length of an address, normalises nothing, and asks no DNS.
"""

from __future__ import annotations

import re

MAX_OCTETS = 254  # RFC 5321 section 4.5.3.1.3: 256 with the angle brackets

# RFC 6531 section 3.3 extends each production by UTF8-non-ascii; RFC 5198 section 2 leaves out its
# control characters. Classes are negated: a class with a range to U+10FFFF takes 50 ms to compile.
_NO_TEXT = r"\x00-\x1f\x7f-\x9f"
_NO_ATEXT = rf'{_NO_TEXT} "(),:;<>@\[\\\]'
_NO_LET_DIG = r"\x00-,/:-@\[-`{-\x9f"
_DOT_STRING = rf"[^.{_NO_ATEXT}]++(?:\.[^.{_NO_ATEXT}]++)*+"
# RFC 6531 leaves quoted-pairSMTP in ASCII; email-validator and this module also accept UTF-8
_QUOTED_STRING = rf'"(?:[^"\\{_NO_TEXT}]|\\[^{_NO_TEXT}])*+"'
# sub-domain: runs of letters and digits with hyphens between them. RFC 1035 section 2.3.4: 63
# octets. A grammar cannot check a U-label against IDNA 2008.
_LET_DIGS = rf"[^.{_NO_LET_DIG}-]++"
_SUB_DOMAIN = rf"(?![A-Za-z0-9-]{{64}}){_LET_DIGS}(?:-++{_LET_DIGS})*+"
_DOMAIN = rf"{_SUB_DOMAIN}(?:\.{_SUB_DOMAIN})*+"
_DCONTENT = r"[!-Z^-~]"

_LOCAL_PART = re.compile(rf"{_DOT_STRING}|{_QUOTED_STRING}")
_MAILBOX = re.compile(rf"({_DOT_STRING}|{_QUOTED_STRING})@({_DOMAIN}|\[({_DCONTENT}++)\])")
_CONTROL = re.compile(rf"[{_NO_TEXT}]")
_NOT_IN_LOCAL_PART = re.compile(f"[{_NO_ATEXT}]")
_NOT_IN_DOMAIN = re.compile(f"[{_NO_LET_DIG}]")

_SNUM = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})"
_IPV4 = re.compile(rf"{_SNUM}(?:\.{_SNUM}){{3}}")
_IPV6_HEX = re.compile("[0-9A-Fa-f]{1,4}")
_GENERAL = re.compile(rf"[A-Za-z0-9-]++(?<!-):{_DCONTENT}++")


def why_not(address: str) -> str | None:
    """The fault of an address, in a few words; None if the grammar accepts it."""
    if len(address) > MAX_OCTETS or len(address.encode("utf-8", "replace")) > MAX_OCTETS:
        return f"more than {MAX_OCTETS} octets"
    found = _MAILBOX.fullmatch(address)
    if found is None:
        return _first_fault(address)
    literal = found[3]
    return None if literal is None or _is_literal(literal) else "malformed address literal"


def split(address: str) -> tuple[str, str] | None:
    """The local part and the domain; None if the grammar refuses the address."""
    found = _MAILBOX.fullmatch(address)
    return None if found is None or why_not(address) else (found[1], found[2])


def is_postmaster(address: str) -> bool:
    """Whether this is postmaster, with or without a domain: RFC 5321 section 4.5.1."""
    local = address.rpartition("@")[0] if "@" in address else address
    return local.isascii() and local.lower() == "postmaster"


# RFC 5321 section 4.1.3: IPv4-address-literal, IPv6-address-literal, General-address-literal
def _is_literal(text: str) -> bool:
    if text[:5].lower() == "ipv6:":
        return _is_ipv6(text[5:])
    return bool(_IPV4.fullmatch(text) or _GENERAL.fullmatch(text))


# IPv6-addr. Its "::" stands for two groups or more; RFC 4291 section 2.2 and email-validator also
# accept one.
def _is_ipv6(text: str) -> bool:
    sides = [side.split(":") if side else [] for side in text.split("::")]
    groups = [group for side in sides for group in side]
    count = len(groups)
    if sides[-1] and _IPV4.fullmatch(groups[-1]):
        groups.pop()
        count += 1
    if not all(map(_IPV6_HEX.fullmatch, groups)):
        return False
    return count == 8 if len(sides) == 1 else len(sides) == 2 and count < 8


def _first_fault(address: str) -> str:
    if _CONTROL.search(address):
        return "a control character"
    local, at, domain = address.rpartition("@")
    if not at or not domain or _LOCAL_PART.fullmatch(address):
        return "no domain"
    if not local:
        return "no local part"
    if not _LOCAL_PART.fullmatch(local):
        return _fault_of_local_part(local)
    if domain.startswith("["):
        return "malformed address literal"
    if odd := _NOT_IN_DOMAIN.search(domain):
        return f"'{odd[0]}' in the domain"
    labels = domain.split(".")
    if "" in labels:
        return "misplaced dot in the domain"
    if any(label[0] == "-" or label[-1] == "-" for label in labels):
        return "a label of the domain begins or ends with a hyphen"
    return "a label of the domain is longer than 63 octets"


def _fault_of_local_part(local: str) -> str:
    if local[0] == '"':
        closed = _LOCAL_PART.match(local)
        return f"the local part {'goes on behind its' if closed else 'lacks its closing'} quote"
    if odd := _NOT_IN_LOCAL_PART.search(local):
        return f"'{odd[0]}' in a local part without quotes"
    return "misplaced dot in the local part"
