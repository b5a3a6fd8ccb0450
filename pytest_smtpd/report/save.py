"""`--smtpd-save`: the mail of each test as files.

Rule: a folder holds the mail of one run of one test, and nothing of an earlier pytest run.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from .names import folder_name

if TYPE_CHECKING:
    from ..message.message import Message

# By this process: reruns get folders of their own, and a shared server's mail is saved once
_written: Counter[tuple[str, str]] = Counter()
_saved: WeakSet[Message] = WeakSet()


def check_folder(folder: str | PathLike[str]) -> None:
    """Raises `ValueError` for a folder that cannot be written, or made; leaves nothing there."""
    place = Path(folder).absolute()
    while not os.path.exists(place) and place != place.parent:  # a drive may be missing
        place = place.parent
    problem = "is a file" if os.path.exists(place) else "is not there"
    if place.is_dir():
        try:
            with tempfile.TemporaryFile(dir=place):
                return
        except OSError as error:
            problem = f"cannot be written: {error.strerror or error}"
    raise ValueError(f"{place} {problem}; a folder that can be written or made is wanted")


def save_test(folder: str | PathLike[str], nodeid: str, messages: Iterable[Message]) -> list[Path]:
    """Writes each message's `raw` to ``FOLDER/<node id, made safe>/0001.eml`` and so on.

    What was saved for an earlier test is left out: a server that lives through many tests may still
    hold it. What an earlier run left under that name goes. A test that runs again in the same
    process (a rerun of a flaky one) gets ``<node id, made safe>.2`` and so on. Without messages
    there is no folder. Raises `OSError` as writing files does.
    """
    key = (str(folder), nodeid)
    _written[key] += 1
    name = folder_name(nodeid)
    if _written[key] == 1:
        _remove_old(Path(folder), name)
    else:
        name = f"{name}.{_written[key]}"
    target = Path(folder, name)
    new = [message for message in messages if message not in _saved]
    paths = []
    for number, message in enumerate(new, start=1):
        if number == 1:
            target.mkdir(parents=True, exist_ok=True)
        path = target / f"{number:04}.eml"
        path.write_bytes(message.raw)
        paths.append(path)
    _saved.update(new)
    return paths


def _remove_old(folder: Path, name: str) -> None:
    """Only what `save_test` writes, so that a mistaken DIR costs nobody their files."""
    for old in [folder / name, *folder.glob(f"{name}.[0-9]*")]:
        if old.is_symlink() or not old.is_dir():
            continue
        for path in old.glob("[0-9][0-9][0-9][0-9]*.eml"):
            path.unlink()
        try:
            old.rmdir()
        except OSError:
            pass  # somebody else's file is in it
