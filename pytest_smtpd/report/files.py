"""Writes files and folders without following links in their place.

Rule: a file is written under a new name and renamed, so a link of its name is replaced. Only the
folder that the user named, and those above it, may be links.
"""

from __future__ import annotations

import os
from pathlib import Path


def is_link(path: Path) -> bool:
    """Whether this is a symbolic link or, on Windows, a junction."""
    return path.is_symlink() or (
        path.exists() and path.resolve() != path.parent.resolve() / path.name
    )


def make_folder(path: Path) -> Path:
    """Makes the folder if it is missing or a link. Raises `OSError` as `Path.mkdir` does."""
    if is_link(path):
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)
    return path


def write(path: Path, content: bytes | str) -> Path:
    """Writes a file, text as UTF-8, and returns its path. Raises `OSError` as writing does."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "xb") as file:  # x: fails on a link, too
        file.write(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    os.replace(new, path)
    return path
