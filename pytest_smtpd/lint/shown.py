"""How a piece of a mail is shown in the sentence of a problem."""

from __future__ import annotations

from ..text import escaped


def shown(text: str, limit: int = 160) -> str:
    """Control characters escaped, the end of a long text left out."""
    return escaped(text if len(text) <= limit else f"{text[:limit]}...")
