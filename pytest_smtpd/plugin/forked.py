"""Carries lines of text from forked children to their parent, through a file.

Both open the file by its name: a child may have closed all inherited files.
"""

from __future__ import annotations

import os
import tempfile


class Letters:
    """Carries the lines of forked children to their parent, if `wanted`."""

    def __init__(self) -> None:
        self.wanted = False
        self._in_child = False
        self._path: str | None = None  # None before the first fork
        self._read = 0  # octets of the file
        if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
            os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)

    def _before_fork(self) -> None:
        if self.wanted and self._path is None:
            try:
                file, self._path = tempfile.mkstemp(prefix="smtpd-guard-")
            except OSError:  # no room: the child's exception has to suffice
                return
            os.close(file)

    def _after_fork(self) -> None:
        self._in_child = True

    def write(self, line: str) -> None:
        """Writes a line for the parent; does nothing in a process that was not forked."""
        if not self._in_child or self._path is None:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except OSError:  # the parent has removed it: its tests have ended
            return
        try:
            os.write(file, os.fsencode(f"{line}\n"))
        finally:
            os.close(file)

    def take(self) -> list[str]:
        """The lines since the last call; none in a child."""
        if self._in_child or self._path is None:
            return []
        try:
            with open(self._path, "rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:  # the application has removed it
            return []
        self._read += len(new)
        return os.fsdecode(new).splitlines()

    def close(self) -> None:
        """Removes the file, and forgets the lines that were not read."""
        self.wanted = False
        if self._in_child:
            return
        path, self._path, self._read = self._path, None, 0
        if path is not None:
            try:
                os.unlink(path)
            except OSError:
                pass
