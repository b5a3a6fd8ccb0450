"""Makes the pages of the report from the data that `collect` wrote into its folder.

Rule: templates with autoescape write every page, and a page has only the text of a mail. The HTML
of a mail is a separate file, written by `sanitize` and shown in a sandboxed frame.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..text import counted, escaped
from . import files
from .collect import DATA, MAX_TEXT, TESTS, VERSION, ReportError

if TYPE_CHECKING:
    import jinja2

MAX_LINES = 10_000  # of all transcripts on a test's page
MAX_MESSAGE_LINES = 120  # of the transcript on a message's page
_AFTER = 20  # of these lines, from the reply that accepts the message on

_HERE = Path(__file__).parent / "templates"
_ASSETS = ("report.css", "report.js")
_FOLLOWED = re.compile(r"(?i:https?://|mailto:)[^\s\x00-\x1f<>\"]++")


def require() -> None:
    """Raises `ReportError` if the template engine is not installed."""
    if find_spec("jinja2") is None:
        raise ReportError("--smtpd-report needs Jinja2: pip install 'pytest-smtpd-server[report]'")


def build(folder: str | PathLike[str]) -> Path:
    """Writes the pages of all tests in the folder, and returns the path of index.html.

    May be called again. Removes the unfinished data of a worker that died. Raises `ReportError`
    without Jinja2, and `OSError` as writing files does.
    """
    require()
    root = Path(folder)
    assets = files.make_folder(root / "assets")
    for asset in _ASSETS:
        files.write(assets / asset, (_HERE / asset).read_bytes())
    templates = _templates()
    rows: list[dict[str, Any]] = []
    unreadable = 0
    for test in _test_folders(root):
        try:
            data = json.loads((test / DATA).read_text("ascii"))
            if data["version"] != VERSION:
                raise ValueError("another version")
        except (OSError, ValueError, KeyError, TypeError):
            unreadable += 1
            continue
        rows.append(_write_pages(test, data, templates))
    _number_runs(rows)
    rows.sort(key=lambda row: (_natural(row["nodeid"]), row["written"]))
    page = templates.get_template("index.html").render(
        rows=rows,
        groups=_groups(rows),
        unreadable=unreadable,
        counts=_counts(rows),
        messages=sum(row["messages"] for row in rows),
        problems=sum(row["problems"] for row in rows),
        first=next((row for row in rows if row["bad"]), rows[0] if rows else None),
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        root="",
    )
    return files.write(root / "index.html", page)


def _templates() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        block=shown, line=shown_line, breaks=_breaks, size=size, followed=followed, clock=_clock
    )
    environment.globals["plural"] = counted
    return environment


def shown(text: object) -> str:
    """Text of several lines; escapes control, direction and invisible characters."""
    lines = str(text).replace("\r\n", "\n").split("\n")
    return "\n".join([escaped(line, keep="\t") for line in lines])


def shown_line(text: object) -> str:
    """Text for one line: as `shown`, but line ends and tabs are escaped, too."""
    return escaped(str(text).replace("\r\n", "\n"))


def _breaks(text: object) -> str:
    """Text for one line; allows line breaks between the words of a test's name."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(_+|::|\[)", r"\1<wbr>", str(escape(shown_line(text)))))


def size(octets: int) -> str:
    """``999 B``, ``1.2 KB``, ``3.4 MB``"""
    if octets < 1000:
        return f"{octets} B"
    return f"{octets / 1000:.1f} KB" if octets < 999_950 else f"{octets / 1_000_000:.1f} MB"


def followed(url: str) -> bool:
    """Whether the page may link to this URL: a browser opens it without running anything."""
    return _FOLLOWED.fullmatch(url) is not None


def _clock(time: str) -> str:
    return time[11:23] if len(time) > 23 else time[11:19]


def _test_folders(root: Path) -> Iterator[Path]:
    for path in sorted((root / TESTS).glob("*")):
        if files.is_link(path):
            continue
        if path.name.startswith(".new-"):
            shutil.rmtree(path, ignore_errors=True)
        elif (path / DATA).is_file():
            yield path


def _write_pages(test: Path, data: dict[str, Any], templates: jinja2.Environment) -> dict[str, Any]:
    """Writes the pages of a test, and returns its row in the list of tests."""
    messages = [message for server in data["servers"] for message in server["messages"]]
    for server in data["servers"]:
        for message in server["messages"]:
            _complete(test, message, server)
    row = _row(test, data, messages)
    common = {"root": "../../", "test": data, "row": row, "messages": messages}
    _shorten([session for server in data["servers"] for session in server["sessions"]])
    page = templates.get_template("test.html").render(**common)
    files.write(test / "index.html", page)
    if len(messages) > 1:
        template = templates.get_template("message.html")
        for number, message in enumerate(messages):
            page = template.render(
                **common,
                number=number + 1,
                message=message,
                previous=messages[number - 1] if number else None,
                next=messages[number + 1] if number + 1 < len(messages) else None,
            )
            files.write(test / message["page"], page)
    return row


def _complete(test: Path, message: dict[str, Any], server: dict[str, Any]) -> None:
    """Adds what the pages need and `data.json` may lack."""
    message["page"] = f"message-{message['key']}.html"
    with open(test / message["source"], "rb") as file:
        octets = file.read(MAX_TEXT + 1)
    message["source_cut"] = len(octets) > MAX_TEXT
    message["source_text"] = octets[:MAX_TEXT].decode("utf-8", "backslashreplace")
    for name in ("headers", "links", "attachments", "problems"):
        message.setdefault(name, [])
    for name in ("headers_left_out", "attachments_left_out"):
        message.setdefault(name, 0)
    for name in ("subject", "unreadable"):
        message.setdefault(name, "")
    for name in ("text", "html"):
        message.setdefault(name, None)
    message.setdefault("removed", {})
    if message["session"] is not None:
        session = server["sessions"][message["session"]]
        message["transcript"] = _excerpt(session, message["id"])


def _excerpt(session: dict[str, Any], queue_id: str) -> dict[str, Any]:
    """The lines of a session up to a message, and a few lines after it."""
    lines = session["exchanges"]
    end = len(lines)
    if end > MAX_MESSAGE_LINES:
        for index, (_, who, line) in enumerate(lines):
            if who == "S" and queue_id in line:
                end = min(end, index + _AFTER)
                break
    start = max(0, end - MAX_MESSAGE_LINES)
    return {
        "title": session["title"],
        "exchanges": lines[start:end],
        "before": start,
        "after": len(lines) - end,
        "violations": session["violations"],
    }


def _shorten(sessions: list[dict[str, Any]]) -> None:
    room = MAX_LINES
    for session in sessions:
        lines = session["exchanges"]
        session["exchanges"] = lines[:room]
        session["left_out"] = len(lines) - len(session["exchanges"])
        room -= len(session["exchanges"])


def _row(test: Path, data: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    file, _, name = data["nodeid"].partition("::")
    words = [data["nodeid"], data["outcome"]]
    for message in messages[:200]:
        words += [message["subject"], message["mail_from"], *message["rcpt_to"][:10]]
    return {
        "nodeid": data["nodeid"],
        "file": file if name else "",
        "name": name or file,
        "folder": test.name,
        "outcome": data["outcome"],
        "bad": data["outcome"] in ("failed", "error"),
        "messages": len(messages),
        "problems": sum(len(message["problems"]) for message in messages),
        "violations": sum(
            len(session["violations"])
            for server in data["servers"]
            for session in server["sessions"]
        ),
        "words": shown_line(" ".join(" ".join(words).lower().split())[:2000]),
        "written": data["written"],
        "run": "",
    }


def _number_runs(rows: list[dict[str, Any]]) -> None:
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault(row["nodeid"], []).append(row)
    for same in runs.values():
        if len(same) > 1:
            for number, row in enumerate(sorted(same, key=lambda row: str(row["written"])), 1):
                row["run"] = f"run {number} of {len(same)}"


def _groups(rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["file"], []).append(row)
    return list(groups.items())


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "all": len(rows),
        "failed": sum(row["bad"] for row in rows),
        "problems": sum(bool(row["problems"] or row["violations"]) for row in rows),
    }


def _natural(text: str) -> list[tuple[int, str]]:
    """``test[10]`` after ``test[9]``."""
    pieces = re.split(r"(\d{1,15})", text)
    return [(int(piece), "") if piece.isdecimal() else (0, piece) for piece in pieces]
