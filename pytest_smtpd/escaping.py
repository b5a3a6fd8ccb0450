"""Text from a mail or a client, with all that could act on its reader shown as escapes.

Rule: the Unicode category decides, here and nowhere else; what cannot act stays as it was sent.
"""

from __future__ import annotations

import re
import unicodedata

# Cf reorders text or hides in it, Cs cannot be written, Zl and Zp end a line.
_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners make one sign of several, in emoji and in Persian or Indic words, and move nothing.
_JOINERS = "\u200c\u200d"
_SUSPECT = re.compile(r"[^ -~]")


def escaped(text: str, keep: str = "") -> str:
    """The text without characters that act, but for those in `keep`: `"\\t"` may be harmless."""
    if text.isprintable():
        return text

    def shown(match: re.Match[str]) -> str:
        character = match[0]
        if character in keep or character in _JOINERS:
            return character
        acts = unicodedata.category(character) in _ACTING
        return repr(character)[1:-1] if acts else character

    return _SUSPECT.sub(shown, text)
