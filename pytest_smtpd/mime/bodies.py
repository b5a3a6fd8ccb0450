"""Which parts are the text, the HTML body and the attachments: RFC 8621 section 4.1.4.

Each part with content is in exactly one of the three. Only text/plain and text/html are bodies:
pictures and other media between them are attachments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .tree import Part


class Bodies(NamedTuple):
    """The parts that are bodies or attachments, each in their order."""

    text: list[Part]
    html: list[Part]
    attachments: list[Part]


def find_bodies(root: Part) -> Bodies:
    bodies = Bodies([], [], [])
    _sort([root], "multipart/mixed", bodies)
    return bodies


def _sort(parts: list[Part], multipart: str, bodies: Bodies) -> None:
    for place, part in enumerate(parts):
        if part.parts and part.is_multipart:
            _sort(_root_first(part), part.type, bodies)
        elif part.is_multipart:
            # Its boundary is missing, or it is beyond a limit: show its source
            if part.octets.strip():
                bodies.text.append(part)
        elif (
            part.type not in ("text/plain", "text/html")
            or part.disposition.head == "attachment"
            or (place and (multipart == "multipart/related" or part.file_name))
        ):
            bodies.attachments.append(part)
        else:
            (bodies.html if part.type == "text/html" else bodies.text).append(part)


def _root_first(part: Part) -> list[Part]:
    """The parts of a multipart; of a multipart/related its root first (RFC 2387 section 3)."""
    if part.type != "multipart/related":
        return part.parts
    start = part.parameters.values.get("start", "").strip("<> ")
    kind = part.parameters.values.get("type", "").lower()
    named = (each for each in part.parts if start and each.content_id == start)
    typed = (each for each in part.parts if each.type == kind)
    root = next(named, None) or next(typed, part.parts[0])
    return [root, *(each for each in part.parts if each is not root)]


def joined(texts: Iterable[str]) -> str | None:
    """Texts as one, each starting a new line; None if there are none."""
    pieces = list(texts)
    ended = (piece if piece.endswith("\n") or not piece else f"{piece}\n" for piece in pieces[:-1])
    return "".join([*ended, pieces[-1]]) if pieces else None
