"""Hides configured passwords in text that is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping


class Mask:
    """Hides configured passwords, in clear and as AUTH sends them, anywhere in a text."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, users: Mapping[str, str]) -> None:
        """Adds passwords. A password stays masked when the users change."""
        from ..smtp.auth.sasl import b64, encoded  # loads hashlib and hmac

        for user, password in users.items():
            self._secrets.update((password, *_inside_repr(password)))
            for octets in (encoded(password), encoded(f"\0{user}\0{password}")):
                self._secrets.add(b64(octets).rstrip("="))
            self._secrets.update(_inside_base64(encoded(password)))
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_as_pattern, longest_first)))

    def hide(self, text: str) -> str:
        """The text with `***` in place of each password."""
        return text if self._pattern is None else self._pattern.sub("***", text)


def _inside_repr(text: str) -> set[str]:
    """The forms of a text inside the `repr` of a longer text.

    The quotes of the longer text decide whether an apostrophe is escaped.
    """
    escaped = repr(f'"{text}')[2:-1]
    return {escaped, escaped.replace("\\'", "'")}


def _inside_base64(octets: bytes) -> Iterator[str]:
    """The base64 forms of octets after any prefix: they depend on its length modulo 3."""
    from ..smtp.auth.sasl import b64

    for before in range(3):
        text = b64(bytes(before) + octets)
        inside = text[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6]
        if len(inside) > 7:  # a shorter form may occur by chance
            yield inside


def _as_pattern(secret: str) -> str:
    # The password "a" must not hide every a
    return re.escape(secret) if len(secret) > 3 else rf"(?<!\w){re.escape(secret)}(?!\w)"
