"""The files of `--smtpd-save`: the mail of each test.

Rule: a folder holds the mail of one run of one test, and no mail of an earlier pytest run.
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

from . import files
from .names import folder_name

if TYPE_CHECKING:
    from ..message.message import Message

# Of this process: each rerun gets another folder, and the mail of a shared server is saved once
_written: Counter[tuple[str, str]] = Counter()
_saved: WeakSet[Message] = WeakSet()


def check_folder(folder: str | PathLike[str]) -> None:
    """Raises `ValueError` for a folder that cannot be made or written. Leaves no files there."""
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

    Leaves out messages that were saved for an earlier test, because a shared server may still hold
    them. Removes the files of an earlier pytest run. A test that runs again in the same process, as
    flaky ones do, gets ``<node id, made safe>.2`` and so on. Makes no folder without messages.
    Raises `OSError` as writing files does.
    """
    key = (str(folder), nodeid)
    _written[key] += 1
    name = folder_name(nodeid)
    if _written[key] == 1:
        _remove_old(Path(folder), name)
    else:
        name = f"{name}.{_written[key]}"
    new = [message for message in messages if message not in _saved]
    place = files.make_folder(Path(folder, name)) if new else Path()
    paths = [
        files.write(place / f"{number:04}.eml", message.raw)
        for number, message in enumerate(new, start=1)
    ]
    _saved.update(new)
    return paths


def _remove_old(folder: Path, name: str) -> None:
    """Removes only files that `save_test` writes: DIR may be a folder with other files."""
    for old in [folder / name, *folder.glob(f"{name}.[0-9]*")]:
        if files.is_link(old) or not old.is_dir():
            continue
        for path in old.glob("[0-9][0-9][0-9][0-9]*.eml"):
            path.unlink()
        try:
            old.rmdir()
        except OSError:
            pass  # another file is in it
