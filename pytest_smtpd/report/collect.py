"""Writes what a test's servers received to the report folder, in the process that ran the test.

Rule: a test's folder is complete when it appears, because it is renamed into place. So workers need
no channel and no lock, and a worker that dies leaves no partial folder. Mail is written as it was
sent; configured passwords are masked everywhere else.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from ..text import cut
from . import files
from .names import attachment_file, download_name, folder_name

if TYPE_CHECKING:
    from ..mailbox.mailbox import Mailbox
    from ..message.message import Attachment, Message
    from ..record import SessionRecord

MARKER = "pytest-smtpd-report.json"  # in a folder that `begin` may empty
TESTS = "tests"
DATA = "data.json"
VERSION = 1

# What a page shows; the source of a message has everything
MAX_TEXT = 200_000  # characters of a body, and of the test's failure
MAX_HEADER = 8_000  # characters of a header value
MAX_HEADERS = 300
MAX_ATTACHMENTS = 200
MAX_INLINE = 4_000_000  # octets of an image within the HTML

_IMAGES = ("png", "gif", "jpeg", "jpg", "webp", "bmp", "avif", "x-icon")
_SHOWN_INLINE = frozenset(f"image/{kind}" for kind in _IMAGES)
# From good to bad: the worst phase decides the outcome of a test
_OUTCOMES = ("", "passed", "xpassed", "xfailed", "skipped", "failed", "error")

# Written by this process: on a shared server, a test shows only what earlier tests have not shown
_written: WeakSet[Message] = WeakSet()
_ended: WeakSet[SessionRecord] = WeakSet()


class ReportError(ValueError):
    """The report cannot be made. The plugin turns it into a usage error."""


class Received(Protocol):
    """What one server of a test received; `where` is its URL, `hide` masks passwords."""

    name: str
    messages: Mailbox
    strays: Mailbox
    sessions: Sequence[SessionRecord]

    @property
    def where(self) -> str: ...
    def hide(self, text: str, /) -> str: ...


@dataclass(slots=True)
class Phases:
    """Setup, call and teardown of a test so far: outcome, seconds, and the text of failures.

    The outcome is ``passed``, ``failed``, ``error``, ``skipped``, ``xfailed`` or ``xpassed``.
    """

    outcome: str = ""
    duration: float = 0.0
    failure: str = ""

    def add(
        self, when: str, outcome: str, expected_failure: bool, duration: float, failure: str
    ) -> None:
        """Adds a phase, from pytest's report: `expected_failure` if the report has a `wasxfail`."""
        if expected_failure:
            outcome = "xfailed" if outcome == "skipped" else "xpassed"
        elif outcome == "failed" and when != "call":
            outcome = "error"
        if _rank(outcome) >= _rank(self.outcome):
            self.outcome = outcome
        self.duration += duration
        self.failure = "\n\n".join(filter(None, (self.failure, failure)))


def _rank(outcome: str) -> int:
    return _OUTCOMES.index(outcome) if outcome in _OUTCOMES else 0


def begin(folder: str | PathLike[str]) -> None:
    """Makes the folder, or empties the folder of an earlier report. Called once, before tests run.

    Raises `ReportError` for a folder whose index.html or tests are not from a report.
    """
    root = Path(folder)
    try:
        if not (root / MARKER).is_file() or files.is_link(root / MARKER):
            for name in ("index.html", TESTS):
                if (root / name).exists():
                    raise ReportError(
                        f"--smtpd-report: {root / name} exists and is not of an earlier report: "
                        "choose another folder"
                    )
        elif (root / TESTS).is_dir() and not files.is_link(root / TESTS):
            shutil.rmtree(root / TESTS)
        (root / "index.html").unlink(missing_ok=True)
        files.make_folder(root / TESTS)
        files.write(root / MARKER, json.dumps({"version": VERSION}) + "\n")
    except OSError as error:
        raise ReportError(f"--smtpd-report: {error}") from None


def write_test(
    folder: str | PathLike[str], nodeid: str, phases: Phases, servers: Iterable[Received]
) -> Path:
    """Writes the mail and the sessions of one run of a test, and returns the new folder.

    Any process may call this at any time between `begin` and `render.build`. A shared server may
    keep a message for many tests: it is written for the first of them only, and so is a session
    that has ended. Raises `OSError` as writing files does, and nothing else.
    """
    tests = files.make_folder(Path(folder, TESTS))
    being_made = Path(tempfile.mkdtemp(prefix=".new-", dir=tests))
    try:
        os.chmod(being_made, 0o755)  # with mkdtemp's 0o700 a web server could not read it
        seen = list(servers)
        failure = phases.failure
        for each in seen:
            failure = each.hide(failure)
        numbers = itertools.count(1)
        shown: list[Message] = []
        data = {
            "version": VERSION,
            "nodeid": nodeid,
            "outcome": phases.outcome,
            "failure": cut(failure, MAX_TEXT),
            "duration": phases.duration,
            "worker": os.environ.get("PYTEST_XDIST_WORKER", ""),
            "written": datetime.now(UTC).isoformat(),
            "servers": [_server(each, being_made, numbers, shown) for each in seen],
        }
        text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
        (being_made / DATA).write_text(text, "ascii")
        path = _put_in_place(being_made, tests, folder_name(nodeid))
    except BaseException:
        shutil.rmtree(being_made, ignore_errors=True)
        raise
    _written.update(shown)
    return path


def _put_in_place(being_made: Path, tests: Path, name: str) -> Path:
    for number in itertools.count(1):
        target = tests / (name if number == 1 else f"{name}.{number}")
        if os.path.lexists(target):
            continue
        try:
            # Fails if another process was faster, because no test's folder is empty
            being_made.rename(target)
            return target
        except OSError:
            if not os.path.lexists(target):
                raise
    raise AssertionError("unreachable")


def _server(
    seen: Received, folder: Path, numbers: Iterator[int], shown: list[Message]
) -> dict[str, Any]:
    sessions = [session for session in list(seen.sessions) if session not in _ended]
    messages: list[dict[str, Any]] = []
    for stray, box in ((False, seen.messages), (True, seen.strays)):
        for message in box:
            if message in _written:
                continue
            shown.append(message)
            data = _message(message, folder, f"{next(numbers):04}")
            data["stray"] = stray
            data["session"] = _index(message.session, sessions)
            messages.append(data)
    _ended.update(session for session in sessions if session.ended_by is not None)
    return {
        "name": seen.name,
        "url": seen.where,
        "messages": messages,
        "sessions": [_session(session, seen.hide) for session in sessions],
    }


def _index(session: SessionRecord | None, sessions: list[SessionRecord]) -> int | None:
    if session is None:
        return None
    for index, each in enumerate(sessions):
        if each is session:
            return index
    sessions.append(session)  # it began in an earlier test
    return len(sessions) - 1


def _session(session: SessionRecord, hide: Callable[[str], str]) -> dict[str, Any]:
    return {
        "title": str(session).partition("\n")[0],
        "started": session.started_at.isoformat(),
        "ended_by": session.ended_by,
        "exchanges": [[round(at, 3), who, line] for at, who, line in session.exchanges],
        "violations": [
            [violation.code, hide(violation.text), violation.rfc]
            for violation in session.violations
        ],
        "messages": len(session.messages),
    }


def _message(message: Message, folder: Path, key: str) -> dict[str, Any]:
    envelope = message.envelope
    source = f"{key}.eml.bin"
    (folder / source).write_bytes(message.raw)
    data: dict[str, Any] = {
        "key": key,
        "id": message.id,
        "received": message.received_at.isoformat(),
        "octets": len(message.raw),
        "source": source,
        "mail_from": envelope.mail_from,
        "rcpt_to": list(envelope.rcpt_to),
        "mail_parameters": dict(envelope.mail_parameters),
        "rcpt_parameters": [dict(each) for each in envelope.rcpt_parameters],
    }
    try:
        data.update(_parsed(message, folder, key))
    except OSError:
        raise
    except Exception as error:  # must not fail the run: the report has the source of the message
        data["unreadable"] = f"{type(error).__name__}: {error}"
    return data


def _parsed(message: Message, folder: Path, key: str) -> dict[str, Any]:
    from ..message.message import links_of

    headers = [[str(name), cut(str(value), MAX_HEADER)] for name, value in message.items()]
    text, html = message.text, message.html
    attachments = message.attachments
    rendered = None
    removed: dict[str, int] = {}
    if html is not None:
        from .sanitize import document

        page, removed = document(html, _inline_images(attachments))
        rendered = f"{key}.html"
        (folder / rendered).write_text(page, "utf-8", errors="replace", newline="\n")
    return {
        "subject": cut(message.subject, MAX_HEADER),
        "headers": headers[:MAX_HEADERS],
        "headers_left_out": max(0, len(headers) - MAX_HEADERS),
        "text": None if text is None else cut(text, MAX_TEXT),
        "html": rendered,
        "removed": removed,
        "links": [[link.url[:2000], link.text] for link in links_of(message)[:500]],
        "attachments": _attachments(attachments[:MAX_ATTACHMENTS], folder, key),
        "attachments_left_out": max(0, len(attachments) - MAX_ATTACHMENTS),
        "problems": [[each.code, each.text, each.rfc] for each in message.problems()],
    }


def _attachments(attachments: list[Attachment], folder: Path, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, attachment in enumerate(attachments, start=1):
        (folder / key).mkdir(exist_ok=True)
        name = f"{key}/{attachment_file(number, attachment.filename)}"
        (folder / name).write_bytes(attachment.content)
        found.append(
            {
                "filename": cut(attachment.filename or "", 500),
                "content_type": attachment.content_type,
                "octets": len(attachment.content),
                "content_id": attachment.content_id,
                "inline": attachment.inline,
                "file": name,
                "download": download_name(attachment.filename),
            }
        )
    return found


def _inline_images(attachments: list[Attachment]) -> dict[str, str]:
    return {
        attachment.content_id: (
            f"data:{attachment.content_type};base64,{b64encode(attachment.content).decode()}"
        )
        for attachment in attachments
        if attachment.content_id
        and attachment.content_type in _SHOWN_INLINE
        and len(attachment.content) <= MAX_INLINE
    }
