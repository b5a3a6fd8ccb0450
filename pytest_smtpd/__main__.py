"""``python -m pytest_smtpd``: the server by hand, until SIGINT or SIGTERM.

Rule: what it says is one line an event, on stdout what happened and on stderr what went wrong, and
the options are those of the option table.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import socket
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ._version import __version__
from .options import OPTIONS, Option, Options, read
from .patterns import nearest
from .text import counted

if TYPE_CHECKING:
    from .message.message import Message
    from .record import SessionRecord
    from .server import Server

PROG = "python -m pytest_smtpd"
PORT = 2525

# Seconds. Messages and signals wake the main thread; the end of a session does not.
_IDLE = 60.0
_IDLE_STRICT = 1.0

_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last is Windows' Ctrl-Break

# Where the table speaks of a test
_HELP = {"strict": "print what clients and their mail did wrong"}


# ---- arguments


class _Parser(argparse.ArgumentParser):
    """argparse, but an unknown option is an error that names the nearest one."""

    def known(self, arguments: list[str] | None) -> argparse.Namespace:
        namespace, rest = self.parse_known_args(arguments)
        # Only an option's name is repeated: what stands after it may be a password.
        unknown = next((word.partition("=")[0] for word in rest if word.startswith("-")), None)
        if unknown is not None:
            self.error(self._unknown(unknown))
        if rest:
            self.error(f"unexpected argument {rest[0]!r}: options are --NAME VALUE")
        return namespace

    def _unknown(self, flag: str) -> str:
        name = flag.lstrip("-").replace("-", "_")
        if name in OPTIONS:
            return f"option {flag} has no text form: give it to pytest_smtpd.Server in Python"
        names = [flag for flag in self._option_string_actions if not flag[2:].count("_")]
        meant = nearest(flag.replace("_", "-"), names)
        return f"unknown option {flag}{meant or '; --help lists them'}"


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROG,
        usage=f"{PROG} [--port PORT] [--OPTION VALUE ...] [--save DIR]",
        description="An SMTP server that records mail: it prints each message as it comes, until "
        "it is interrupted.",
        epilog="Callbacks and faults need Python: see pytest_smtpd.Server.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pytest-smtpd {__version__}")
    parser.add_argument(
        "--save",
        metavar="DIR",
        help="write each message to DIR as it comes: 0001.eml, 0002.eml, ...; files that are there "
        "stay as they are",
    )
    group = parser.add_argument_group("options of the server")
    for option in OPTIONS.values():
        if option.read is not None:
            _add(group, option)
    return parser


def _add(group: Any, option: Option) -> None:
    default = PORT if option.name == "port" else option.default
    help = option.describe(_HELP.get(option.name, option.help), default)
    for hidden, flag in enumerate(option.flags):
        group.add_argument(
            f"--{flag}",
            dest=option.name,
            help=argparse.SUPPRESS if hidden else help.replace("%", "%%"),
            **option.argument,
        )


def _options(parser: _Parser, namespace: argparse.Namespace) -> Options:
    """The options that were given, checked; a wrong one ends the program with its error."""
    given: dict[str, Any] = {"port": PORT}
    for name, option in OPTIONS.items():
        text = None if option.read is None else getattr(namespace, name)
        if text is None:
            continue
        try:
            given[name] = read(name, text)
            Options(**{name: given[name]})
        except ValueError as error:
            parser.error(f"--{name.replace('_', '-')}: {error}")
    options = Options(**given)
    try:
        options.check_pairs()
    except ValueError as error:
        parser.error(str(error))
    return options


# ---- the server


class _Output:
    """Stdout for as long as somebody reads it."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            # A mail may hold characters that the terminal has not
            sys.stdout.reconfigure(errors="backslashreplace")

    def write(self, *lines: str) -> None:
        try:
            print("\n".join(lines), flush=True)
        except OSError as error:
            self._abandon()
            # EINVAL is how Windows says that the reader has gone
            if isinstance(error, BrokenPipeError) or sys.platform == "win32":
                raise SystemExit(1) from None
            _fail(f"cannot write to stdout: {error.strerror or error}", status=1)

    def _abandon(self) -> None:
        # What is still buffered would be written, and fail again, when the interpreter ends.
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


class _Folder:
    """Where messages are saved; a file that is there already is never touched."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._number = 0
        self._path.mkdir(parents=True, exist_ok=True)
        for file in self._path.glob("*.eml"):
            if re.fullmatch(r"\d{4,9}", file.stem, re.ASCII):
                self._number = max(self._number, int(file.stem))

    def save(self, message: Message) -> Path:
        while True:
            self._number += 1
            path = self._path / f"{self._number:04}.eml"
            try:
                file = path.open("xb")
            except FileExistsError:  # another server saves there, too
                continue
            with file:
                file.write(message.raw)
            return path


class _Interrupt:
    """Set by SIGINT and SIGTERM; and what the main thread waits at, for them and for mail.

    A signal writes an octet to a socket, whatever the main thread is doing then: with a lock or a
    queue, one that comes just before the waiting begins would be seen only when that ends.
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
        # Another signal may be on its way: when the interpreter ends it takes handlers of Python's
        # away, and what is not ignored would kill
        _set_handlers(signal.SIG_IGN)
        self._reader.close()
        self._writer.close()

    def _handle(self, *_: object) -> None:
        self.came = True

    def wake(self) -> None:
        """From any thread."""
        try:
            self._writer.send(b"\0")
        except BlockingIOError:  # there is enough to wake at
            pass

    def wait(self, seconds: float) -> None:
        """Until a signal or a message comes, if none has come since the last time."""
        if select.select([self._reader], [], [], seconds)[0]:
            self._reader.recv(4096)


def _set_handlers(handler: Any) -> None:
    for name in _SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


class _Run:
    """A server at work: what came, and what is to be said about it."""

    def __init__(self, server: Server, output: _Output, folder: _Folder | None) -> None:
        self._server = server
        self._output = output
        self._folder = folder
        self._messages = 0
        self._sessions = 0
        self._refused = 0
        self.status = 0

    def until(self, interrupt: _Interrupt) -> None:
        """Serves; ends the program with an error if it cannot even listen."""
        server = self._server
        with server.messages._store.listening(interrupt.wake):
            try:
                server.start()
            except (OSError, RuntimeError, ValueError) as error:
                _fail(str(getattr(error, "strerror", None) or error))
            try:
                self._announce()
                while not interrupt.came:
                    interrupt.wait(_IDLE_STRICT if server.config.strict else _IDLE)
                    self._take()
            finally:
                server.stop()
        self._take()
        self._output.write(
            f"stopped: {counted(self._messages, 'message')}, {counted(self._sessions, 'session')}, "
            f"{self._refused} refused"
        )

    def _announce(self) -> None:
        lines = [f"listening on {self._server.url}"]
        if self._server.ca_file is not None:
            lines.append(f"TLS clients may trust {self._server.ca_file}")
        self._output.write(*lines)

    def _take(self) -> None:
        # Removed, for a server that runs for weeks must not keep all it ever got
        for message in self._server.messages._remove_all():
            self._messages += 1
            self._take_message(message)
        sessions = self._server.sessions
        for session in sessions[:]:
            session.messages.clear()
            if session.wait_closed(0):
                sessions.remove(session)
                self._take_session(session)

    def _take_message(self, message: Message) -> None:
        from .terminal import safe, show

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
        self._output.write(*show(message, self._messages), *remarks, "")

    def _take_session(self, session: SessionRecord) -> None:
        self._sessions += 1
        self._refused += _refused(session)
        config = self._server.config
        if config.strict in (True, "violations"):
            found = [each for each in session.violations if each.code not in config.ignore]
            if found:
                lines = [f"  violation {violation}" for violation in found]
                self._output.write(f"session {self._sessions}:", *lines, "")


def _refused(session: SessionRecord) -> int:
    """How many commands, messages or connections were answered 4xx or 5xx in a session."""
    refused = 0
    asked = True  # to connect is to ask
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
    """Runs the server as the arguments say; the process's exit code.

    Raises `SystemExit` for wrong arguments, with 2, and when stdout cannot be written, with 1.
    """
    parser = _parser()
    namespace = parser.known(arguments)
    options = _options(parser, namespace)
    with _Interrupt() as interrupt:
        from .report.save import check_folder
        from .server import Server

        folder = None
        try:
            if namespace.save is not None:
                check_folder(namespace.save)
                folder = _Folder(namespace.save)
        except (OSError, ValueError) as error:
            _fail(f"--save: {error}")
        run = _Run(Server._with(options), _Output(), folder)
        run.until(interrupt)
    return run.status


if __name__ == "__main__":
    sys.exit(main())
