"""Runs the server until SIGINT or SIGTERM, and prints its events.

Rule: events go to stdout, errors to stderr.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..text import counted
from .arguments import PROG, parse

if TYPE_CHECKING:
    from ..lease import Lease
    from ..message.message import Message
    from ..record import SessionRecord

# Seconds between two checks of the sessions: only messages and signals wake the main thread
_IDLE = 60.0
_IDLE_STRICT = 1.0

_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last one is Ctrl-Break of Windows


def _write(*lines: str) -> None:
    """Writes to stdout. Ends the program if the reader of a pipe has closed it."""
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        # The interpreter flushes its buffer when it ends: without this it would fail again
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
        # Windows reports EINVAL for a closed pipe
        if isinstance(error, BrokenPipeError) or sys.platform == "win32":
            raise SystemExit(1) from None
        _fail(f"cannot write to stdout: {error.strerror or error}", status=1)


class _Folder:
    """The directory for messages; an existing file is never overwritten."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._path.mkdir(parents=True, exist_ok=True)
        names = [file.stem for file in self._path.glob("*.eml")]
        numbers = [int(name) for name in names if re.fullmatch(r"\d{4,9}", name, re.ASCII)]
        self._number = max(numbers, default=0)

    def save(self, message: Message) -> Path:
        while True:
            self._number += 1
            path = self._path / f"{self._number:04}.eml"
            try:
                file = path.open("xb")
            except FileExistsError:  # another server saves there too
                continue
            with file:
                file.write(message.raw)
            return path


class _Interrupt:
    """Wakes the main thread for mail and signals; `came` is set by SIGINT and SIGTERM.

    A signal writes an octet to a socket. With a lock or a queue, a signal that comes just before
    the wait begins would be seen only after the wait.
    """

    def __init__(self) -> None:
        self.came = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> _Interrupt:
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        _set_handlers(self._handle)
        return self

    def __exit__(self, *exc_info: object) -> None:
        signal.set_wakeup_fd(-1)
        # The interpreter removes Python's handlers when it ends: a second signal would then kill it
        _set_handlers(signal.SIG_IGN)
        self._reader.close()
        self._writer.close()

    def _handle(self, *_: object) -> None:
        self.came = True

    def wake(self) -> None:
        """Ends `wait`; from any thread."""
        try:
            self._writer.send(b"\0")
        except BlockingIOError:  # enough octets are waiting already
            pass

    def wait(self, seconds: float) -> None:
        """Waits for a signal or a message, unless one has come since the last wait."""
        if select.select([self._reader], [], [], seconds)[0]:
            self._reader.recv(4096)


def _set_handlers(handler: Any) -> None:
    for name in _SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


class _Run:
    """A running server: takes its messages and sessions, prints and counts them."""

    def __init__(self, lease: Lease, folder: _Folder | None) -> None:
        self._lease, self._server = lease, lease.server
        self._folder = folder
        self._messages = self._sessions = self._refused = 0
        self.status = 0

    def until(self, interrupt: _Interrupt) -> None:
        """Serves until the interrupt; ends the program with an error if the server cannot start."""
        server = self._server
        with self._lease.state.mail.listening(interrupt.wake):
            try:
                server.start()
            except (OSError, RuntimeError, ValueError) as error:
                _fail(str(getattr(error, "strerror", None) or error))
            try:
                _write(f"listening on {server.url}")
                if server.ca_file is not None:
                    _write(f"TLS clients may trust {server.ca_file}")
                while not interrupt.came:
                    interrupt.wait(_IDLE_STRICT if server.config.strict else _IDLE)
                    self._take()
            finally:
                server.stop()
        self._take()
        _write(
            f"stopped: {counted(self._messages, 'message')}, {counted(self._sessions, 'session')}, "
            f"{self._refused} refused"
        )

    def _take(self) -> None:
        # Removed from the mailbox: the server may run for weeks
        for message in self._server.messages.take():
            self._messages += 1
            self._take_message(message)
        sessions = self._server.sessions
        for session in sessions[:]:
            session.messages.clear()
            if session.wait_closed(0):
                sessions.remove(session)
                self._take_session(session)

    def _take_message(self, message: Message) -> None:
        from .show import safe, show

        remarks: list[str] = []
        config = self._server.config
        if config.strict in (True, "problems"):
            problems = [each for each in message.problems() if each.code not in config.ignore]
            remarks += [f"  problem {safe(str(problem))}" for problem in problems]
        if self._folder is not None:
            try:
                remarks.append(f"  saved as {self._folder.save(message)}")
            except OSError as error:
                _say(f"message {self._messages} is not saved: {error}")
                self.status = 1
        if remarks:
            remarks.insert(0, "")
        _write(*show(message, self._messages), *remarks, "")

    def _take_session(self, session: SessionRecord) -> None:
        self._sessions += 1
        self._refused += _refused(session)
        config = self._server.config
        if config.strict in (True, "violations"):
            found = [each for each in session.violations if each.code not in config.ignore]
            if found:
                _write(f"session {self._sessions}:", *(f"  violation {each}" for each in found), "")


def _refused(session: SessionRecord) -> int:
    """How many commands, messages or connections the server answered with 4xx or 5xx."""
    refused = 0
    asked = True  # the greeting answers the connection
    for _, who, line in session.exchanges:
        refused += who == "S" and asked and line[:1] in ("4", "5")
        asked = who == "C"
    return refused


def _say(text: str) -> None:
    print(f"{PROG}: {text}", file=sys.stderr, flush=True)


def _fail(text: str, status: int = 2) -> NoReturn:
    _say(f"error: {text}")
    raise SystemExit(status)


def main(arguments: list[str] | None = None) -> int:
    """Runs the server as the arguments say; returns the exit code of the process.

    Raises `SystemExit` with 2 for wrong arguments and 1 if stdout cannot be written.
    """
    options, directory = parse(arguments)
    with _Interrupt() as interrupt:
        from ..lease import Lease
        from ..report.save import check_folder

        folder = None
        try:
            if directory is not None:
                check_folder(directory)
                folder = _Folder(directory)
        except (OSError, ValueError) as error:
            _fail(f"--save: {error}")
        if isinstance(sys.stdout, TextIOWrapper):
            # A message may contain characters that the terminal cannot show
            sys.stdout.reconfigure(errors="backslashreplace")
        run = _Run(Lease(options), folder)
        run.until(interrupt)
    return run.status
