"""What a test's servers received, written to the report folder by the process that ran the test.

Rule: a test's folder appears whole or not at all (it is renamed into place), so workers need no
channel and no lock, and one that dies leaves nothing half done. Mail is shown as it was sent;
configured passwords are masked in all else.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .names import attachment_file, download_name, folder_name

if TYPE_CHECKING:
    from ..message.message import Attachment, Message
    from ..record import SessionRecord
    from ..transcript import Seen

MARKER = "pytest-smtpd-report.json"  # in a folder that `begin` may empty
TESTS = "tests"
DATA = "data.json"
VERSION = 1

MAX_TEXT = 200_000  # characters of a body or of the failure that a page shows
MAX_HEADER = 8_000  # characters of a header value that a page shows
MAX_HEADERS = 300
MAX_ATTACHMENTS = 200
MAX_INLINE = 4_000_000  # octets of an inline image that is shown in its place

_IMAGES = ("png", "gif", "jpeg", "jpg", "webp", "bmp", "avif", "x-icon")
_SHOWN_INLINE = frozenset(f"image/{kind}" for kind in _IMAGES)
# The worst of the phases of a test is its outcome
_OUTCOMES = ("", "passed", "xpassed", "xfailed", "skipped", "failed", "error")


# By this process: a server that lives through many tests shows each test what is new
_written: WeakSet[Message] = WeakSet()
_ended: WeakSet[SessionRecord] = WeakSet()


class ReportError(ValueError):
    """The report cannot be made: a usage error."""


@dataclass(slots=True)
class Phases:
    """What came of a test's phases so far: ``outcome``, ``duration`` in seconds, failure text.

    The outcome is ``passed``, ``failed``, ``error``, ``skipped``, ``xfailed`` or ``xpassed``.
    """

    outcome: str = ""
    duration: float = 0.0
    failure: str = ""

    def add(
        self, when: str, outcome: str, expected_failure: bool, duration: float, failure: str
    ) -> None:
        """One more phase: a report's `when`, `outcome`, whether it has a `wasxfail`, and so on."""
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
    """Makes the folder, or empties one of an earlier report: once, before tests run.

    Raises `ReportError` where the folder holds an index.html or tests of somebody else.
    """
    root = Path(folder)
    try:
        if not (root / MARKER).is_file():
            for name in ("index.html", TESTS):
                if (root / name).exists():
                    raise ReportError(
                        f"--smtpd-report: {root / name} exists and is not of an earlier report: "
                        "choose another folder"
                    )
        elif (root / TESTS).is_dir() and not (root / TESTS).is_symlink():
            shutil.rmtree(root / TESTS)
        (root / "index.html").unlink(missing_ok=True)
        (root / TESTS).mkdir(parents=True, exist_ok=True)
        (root / MARKER).write_text(json.dumps({"version": VERSION}) + "\n", "utf-8")
    except OSError as error:
        raise ReportError(f"--smtpd-report: {error}") from None


def write_test(
    folder: str | PathLike[str], nodeid: str, phases: Phases, servers: Iterable[Seen]
) -> Path:
    """Writes one run of one test, its mail and its sessions; gives the test's folder.

    Any process may do so at any time between `begin` and `render.build`; each run of a test has a
    folder of its own. A message stands with the first test that was written after it came, however
    long a shared server keeps it, and so does a session that has ended. Raises `OSError` as writing
    files does, and nothing else.
    """
    tests = Path(folder, TESTS)
    tests.mkdir(parents=True, exist_ok=True)
    being_made = Path(tempfile.mkdtemp(prefix=".new-", dir=tests))
    try:
        os.chmod(being_made, 0o755)  # mkdtemp's 0o700 keeps a web server out
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
            "failure": _cut(failure, MAX_TEXT),
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
        if target.exists():
            continue
        try:
            being_made.rename(target)  # fails where another process was faster: no folder is empty
            return target
        except OSError:
            if not target.exists():
                raise
    raise AssertionError("unreachable")


def _server(
    seen: Seen, folder: Path, numbers: Iterator[int], shown: list[Message]
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
    sessions.append(session)  # one that began in an earlier test
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
    except Exception as error:  # a report must not fail a run: the source is still there
        data["unreadable"] = f"{type(error).__name__}: {error}"
    return data


def _parsed(message: Message, folder: Path, key: str) -> dict[str, Any]:
    from ..message.message import links_of

    headers = [[str(name), _cut(str(value), MAX_HEADER)] for name, value in message.items()]
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
        "subject": _cut(message.subject, MAX_HEADER),
        "headers": headers[:MAX_HEADERS],
        "headers_left_out": max(0, len(headers) - MAX_HEADERS),
        "text": None if text is None else _cut(text, MAX_TEXT),
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
                "filename": _cut(attachment.filename or "", 500),
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


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}\n... {len(text) - length:,} more ..."
