"""Text for a reader: escapes control and direction characters, truncates, and counts.

Rule: the Unicode category decides what is escaped, here and nowhere else.
"""

from __future__ import annotations

import re
import unicodedata

# Cf reorders or hides text, Cs cannot be written, Zl and Zp end a line.
_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners combine characters, in emoji and in Persian or Indic words, and move nothing.
_JOINERS = "\u200c\u200d"
_SUSPECT = re.compile(r"[^ -~]")


def escaped(text: str, keep: str = "") -> str:
    """Escapes control and direction characters, except those in `keep`."""
    if text.isprintable():
        return text

    def shown(match: re.Match[str]) -> str:
        character = match[0]
        if character in keep or character in _JOINERS:
            return character
        acts = unicodedata.category(character) in _ACTING
        return repr(character)[1:-1] if acts else character

    return _SUSPECT.sub(shown, text)


def counted(number: int, noun: str) -> str:
    """``1 message``, ``1,200 messages``: a number and its noun, which takes a plural ``s``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short(text: str, length: int = 60) -> str:
    """At most `length` characters: ``...`` after two thirds marks the gap."""
    if len(text) <= length:
        return text
    head = length * 2 // 3
    return f"{text[:head]}...{text[head + 3 - length :]}"


def cut(text: str, length: int) -> str:
    """Truncates at `length` characters and says how many were left out."""
    left_out = len(text) - length
    return text if left_out <= 0 else f"{text[:length]}... {left_out:,} characters left out"


def cut_middle(text: str, length: int) -> str:
    """Shortens in the middle, so that beginning and end together have `length` characters."""
    half = length // 2
    left_out = len(text) - 2 * half
    if left_out <= 0 or len(text) <= length:
        return text
    return f"{text[:half]} ... {left_out:,} characters left out ... {text[-half:]}"


def shortened(lines: list[str], most: int) -> list[str]:
    """Keeps the first and the last lines, `most` in all, one of which counts the lines left out."""
    if len(lines) <= most:
        return lines
    head, left_out = most // 2, len(lines) - most + 1
    tail = most - head - 1
    return [*lines[:head], f"    ... {left_out:,} lines left out ...", *lines[-tail:]]
