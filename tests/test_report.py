"""`--smtpd-report`: the data that tests write to the folder, and the pages made from it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from client import leased
from pytest_smtpd import Options
from pytest_smtpd.lease import Lease
from pytest_smtpd.report import collect, render
from pytest_smtpd.report.collect import Phases, ReportError
from report_mail import ONE_PIXEL, came_to, seen_server, session_of, stored, written

NODE = "tests/test_shop.py::test_order"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    collect.begin(tmp_path / "report")
    return tmp_path / "report"


def page_of(test: Path, name: str = "index.html") -> str:
    return (test / name).read_text("utf-8")


class Text(HTMLParser):
    """The text of a page, and the values of its attributes by name."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.values: dict[str, list[str]] = {}
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.values.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


# ---- the folder


def test_a_page_shows_a_message_whole(folder: Path) -> None:
    session = session_of("S: 220 hello", "C: EHLO me", "S: 250 ok", "C: DATA", "S: 250 4F3A0001")
    session.violation("bare-lf")
    raw = written(
        html='<h1>Hello</h1><img src="cid:logo"><a href="https://shop.example/x?a=1&amp;b=2">Go',
        text="Hello in plain text\n",
        subject="Your order <7> & more",
        attachments=(("invoice.pdf", "application/pdf", b"%PDF"),),
        inline=(("logo", "image/gif", ONE_PIXEL),),
    )
    message = stored(raw, session=session)
    test = collect.write_test(
        folder,
        NODE,
        came_to("failed", "E  assert 1 == 2"),
        [seen_server(message, sessions=(session,))],
    )
    index = render.build(folder)
    assert index == folder / "index.html"
    assert NODE.partition("::")[2] in Text(page_of(folder)).text.replace("\n", "")
    page = Text(page_of(test))
    for expected in (
        "Your order <7> & more",
        "Hello in plain text",
        "invoice.pdf",
        "https://shop.example/x?a=1&b=2",
        "E  assert 1 == 2",
        "220 hello",
        "EHLO me",
        "bare-lf",
        "missing-date",
        "Content-Type: multipart/",
        "shop@example.com",
        "ann@example.com",
    ):
        assert expected in page.text
    assert page.values["sandbox"] == [""]
    assert "https://shop.example/x?a=1&b=2" in page.values["href"]
    frame = page_of(test, "0001.html")
    assert "<h1>Hello</h1>" in frame
    assert 'src="data:image/gif;base64,R0lGODlh' in frame
    assert (test / "0001.eml.bin").read_bytes() == raw
    (pdf,) = test.glob("0001/*-invoice.pdf.bin")
    assert pdf.read_bytes() == b"%PDF"


def test_several_messages_have_pages_of_their_own(folder: Path) -> None:
    mail = [stored(written(subject=f"Number {number}")) for number in range(1, 4)]
    test = collect.write_test(folder, NODE, came_to("passed"), [seen_server(*mail)])
    render.build(folder)
    assert re.findall(r"Number \d", Text(page_of(test)).text) == [
        "Number 1",
        "Number 2",
        "Number 3",
    ]
    second = Text(page_of(test, "message-0002.html"))
    assert "Number 2" in second.text
    assert "2 of 3" in second.text
    assert {"message-0001.html", "message-0003.html", "index.html"} <= set(second.values["href"])


def test_several_servers_and_strays_are_told_apart(folder: Path) -> None:
    first = seen_server(stored(written(subject="To the first")), name="smtpd")
    stray = stored(written(subject="Late"))
    second = seen_server(
        stored(written(subject="To the other")), strays=(stray,), name="smtpd_factory"
    )
    test = collect.write_test(folder, NODE, came_to("passed"), [first, second])
    render.build(folder)
    text = Text(page_of(test)).text
    for expected in ("To the first", "To the other", "Late", "stray", "smtpd_factory"):
        assert expected in text


def test_a_test_without_mail_shows_its_sessions(folder: Path) -> None:
    session = session_of("S: 220 hello", "C: MAIL FROM:<a@b>", "S: 550 no")
    test = collect.write_test(folder, NODE, came_to("passed"), [seen_server(sessions=(session,))])
    empty = collect.write_test(folder, f"{NODE}_2", came_to("passed"), [seen_server()])
    render.build(folder)
    assert "550 no" in Text(page_of(test)).text
    assert "No message arrived" in Text(page_of(empty)).text
    assert "No client has connected" in Text(page_of(empty)).text


def test_a_run_without_any_mail_has_a_page_that_says_so(folder: Path) -> None:
    assert (
        "No test of this run used an SMTP server"
        in Text(page_of(folder, render.build(folder).name)).text
    )


def test_a_server_that_many_tests_share_shows_each_what_is_new(folder: Path) -> None:
    ended, open_one = session_of("S: 220 first"), session_of("S: 220 second")
    ended.ends(by="quit")
    shared = seen_server(stored(written(subject="First")), sessions=(ended, open_one))
    first = collect.write_test(folder, NODE, came_to("passed"), [shared])
    shared.messages.store.add(stored(written(subject="Second")))
    second = collect.write_test(folder, f"{NODE}_2", came_to("passed"), [shared])
    render.build(folder)
    assert "First" in Text(page_of(first)).text
    text = Text(page_of(second)).text
    assert "Second" in text
    assert "First" not in text
    assert "220 second" in text
    assert "220 first" not in text


def test_the_address_of_a_server_is_shown(folder: Path) -> None:
    with leased() as lease:
        test = collect.write_test(folder, NODE, came_to("passed"), [seen_server(lease=lease)])
    render.build(folder)
    assert lease.server.url in Text(page_of(test)).text


def test_passwords_are_masked(folder: Path) -> None:
    test = collect.write_test(
        folder,
        NODE,
        came_to("failed", "login('u', 'hunter2')"),
        [seen_server(lease=Lease(Options(users={"u": "hunter2"})))],
    )
    render.build(folder)
    assert "login('u', '***')" in Text(page_of(test)).text
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_a_long_session_is_shown_around_the_message(folder: Path) -> None:
    lines = [f"C: NOOP {number}" for number in range(300)]
    session = session_of(*lines[:200], "S: 250 queued as 4F3A0001", *lines[200:])
    message = stored(written(), session=session)
    collect.write_test(
        folder, NODE, came_to("passed"), [seen_server(message, message, sessions=(session,))]
    )
    test = next((folder / "tests").iterdir())
    render.build(folder)
    page = Text(page_of(test, "message-0001.html")).text
    assert "queued as 4F3A0001" in page
    assert "NOOP 199" in page
    assert "NOOP 50\n" not in page
    assert "earlier lines" in page
    assert "NOOP 50" in Text(page_of(test)).text


# ---- several processes, reruns, crashes


def test_each_run_of_a_test_is_kept(folder: Path) -> None:
    for number in range(1, 4):
        mail = stored(written(subject=f"Attempt {number}"))
        collect.write_test(
            folder, NODE, came_to("failed" if number < 3 else "passed"), [seen_server(mail)]
        )
    render.build(folder)
    text = Text(page_of(folder)).text
    for expected in ("run 1 of 3", "run 2 of 3", "run 3 of 3"):
        assert expected in text
    assert len(list((folder / "tests").iterdir())) == 3


def _write_some(folder: str) -> None:
    for _ in range(25):
        collect.write_test(folder, NODE, came_to("passed"), [seen_server(stored(written()))])


def test_processes_may_write_the_same_test_at_the_same_time(folder: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_write_some, [str(folder)] * 4))
    render.build(folder)
    assert len(list((folder / "tests").glob("*/index.html"))) == 100
    assert "run 100 of 100" in Text(page_of(folder)).text


def test_what_a_dying_worker_left_is_no_test(folder: Path) -> None:
    (folder / "tests" / ".new-abc").mkdir()
    (folder / "tests" / ".new-abc" / "data.json").write_text("{}")
    broken = folder / "tests" / "broken"
    broken.mkdir()
    (broken / "data.json").write_text('{"version": 1, "nodeid"')
    collect.write_test(folder, NODE, came_to("passed"), [seen_server()])
    text = Text(page_of(folder, render.build(folder).name)).text
    assert "The data of 1 test could not be read" in text
    assert "in 1 test" in text
    assert not (folder / "tests" / ".new-abc").exists()


def test_nothing_half_written_stays_after_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collect, "_message", full)
    with pytest.raises(OSError, match="No space left"):
        collect.write_test(folder, NODE, came_to("passed"), [seen_server(stored(written()))])
    assert list((folder / "tests").iterdir()) == []


def test_a_message_that_cannot_be_read_does_not_fail_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*args: Any) -> None:
        raise RuntimeError("a bug <b>")

    monkeypatch.setattr(collect, "_parsed", bug)
    test = collect.write_test(
        folder, NODE, came_to("passed"), [seen_server(stored(b"Subject: x\r\n\r\nbody"))]
    )
    render.build(folder)
    text = Text(page_of(test)).text
    assert "RuntimeError: a bug <b>" in text
    assert "Subject: x" in text


def test_pages_may_be_built_again(folder: Path) -> None:
    collect.write_test(folder, NODE, came_to("passed"), [seen_server(stored(written()))])
    render.build(folder)
    collect.write_test(folder, f"{NODE}_2", came_to("passed"), [seen_server(stored(written()))])
    assert "2 messages in 2 tests" in Text(page_of(folder, render.build(folder).name)).text


# ---- begin


def test_a_new_run_takes_the_place_of_an_earlier_one(folder: Path) -> None:
    collect.write_test(folder, NODE, came_to("passed"), [seen_server(stored(written()))])
    render.build(folder)
    (folder / "notes.txt").write_text("mine")
    collect.begin(folder)
    assert list((folder / "tests").iterdir()) == []
    assert not (folder / "index.html").exists()
    assert (folder / "notes.txt").exists()


@pytest.mark.parametrize("name", ["index.html", "tests"])
def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "test_mine.py").write_text("mine")
    with pytest.raises(ReportError, match=r"^--smtpd-report: .* choose another"):
        collect.begin(tmp_path)
    assert (tmp_path / name / "test_mine.py").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_a_report_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match=r"^--smtpd-report: "):
        collect.begin(tmp_path / "file" / "report")


# ---- outcomes


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "passed")], "failed"),
        ([("setup", "failed"), ("teardown", "passed")], "error"),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], "error"),
        ([("setup", "passed"), ("call", "failed"), ("teardown", "failed")], "error"),
        ([("setup", "skipped"), ("teardown", "passed")], "skipped"),
        ([("setup", "passed"), ("call", "skipped", True), ("teardown", "passed")], "xfailed"),
        ([("setup", "passed"), ("call", "passed", True), ("teardown", "passed")], "xpassed"),
    ],
)
def test_the_worst_phase_is_the_outcome(phases: list[Any], expected: str) -> None:
    so_far = Phases()
    for when, outcome, *expected_failure in phases:
        failure = when if outcome == "failed" else ""
        so_far.add(when, outcome, bool(expected_failure), 0.5, failure)
    assert so_far.outcome == expected
    assert so_far.duration == len(phases) / 2
    assert so_far.failure.split() == [when for when, outcome, *_ in phases if outcome == "failed"]


# ---- hostile names and mail

HOSTILE = (
    "<script>pwned()</script>\"'><img src=x onerror=pwned()>{{ 7*7 }}{% raw %}\u202e\0\x1b[31m"
    "\u061c\u200b\u2060\ufeff\xad\U000e0041"
)


@pytest.mark.parametrize(
    "nodeid",
    [
        "../../x",
        "/etc/x",
        "CON",
        "a\nb",
        "x" * 300,
        "\u202ex",
        HOSTILE,
        "t.py::t[\ud800]",
        "",
        "::",
    ],
    ids=ascii,
)
def test_no_node_id_leads_out_of_the_folder(tmp_path: Path, nodeid: str) -> None:
    root = tmp_path / "a" / "b"
    collect.begin(root)
    test = collect.write_test(root, nodeid, came_to("passed"), [seen_server(stored(written()))])
    render.build(root)
    assert test.resolve().parent == (root / "tests").resolve()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.parent == tmp_path) == ["a"]
    assert "script" not in Text(page_of(root)).tags[12:]


def test_attachments_with_hostile_names_stay_in_their_folder(folder: Path) -> None:
    names = [
        "../../x",
        "/etc/passwd",
        "CON",
        "a\\b.html",
        "x" * 300,
        "\u202egnp.exe",
        "A",
        "a",
        HOSTILE,
    ]
    parts = [
        "--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename*=utf-8''"
        + "".join(f"%{octet:02x}" for octet in name.encode())
        + "\r\n\r\n<script>pwned()</script>\r\n"
        for name in [*names, "a\nb\r\nc"]
    ]
    raw = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + "".join(parts) + "--b--\r\n"
    test = collect.write_test(folder, NODE, came_to("passed"), [seen_server(stored(raw.encode()))])
    render.build(folder)
    files = list((test / "0001").iterdir())
    assert len(files) == 10
    assert {path.suffix for path in files} == {".bin"}
    page = Text(page_of(test))
    offered = page.values["download"]
    assert len(offered) == 11
    assert all(re.fullmatch(r'[^/\\:*?"<>|\0-\x1f\u202e]{1,200}', name) for name in offered)
    assert all((test / name).is_file() for name in page.values["href"] if name.endswith(".bin"))
    assert "../../x" in page.text  # shown as it was sent


def hostile_mail() -> bytes:
    from urllib.parse import quote

    named = quote(HOSTILE)
    header = HOSTILE.encode("utf-8")
    return (
        b"Subject: " + header + b"\r\nFrom: " + header + b"\r\nX-" + b"<b>" + b": " + header
        + b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        + b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + header + b"\r\n"
        + b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>" + header + b"\r\n"
        + f"--b\r\nContent-Type: image/png; name*=utf-8''{named}\r\n".encode()
        + b"Content-ID: <" + header + b">\r\n\r\nx\r\n--b--\r\n"
    )  # fmt: skip


def test_nothing_of_a_mail_is_markup_in_a_page(folder: Path) -> None:
    session = session_of(f"S: 220 {HOSTILE}", f"C: {HOSTILE}")
    message, *others = [
        stored(hostile_mail(), sender=HOSTILE, to=(HOSTILE,), id=HOSTILE, session=session)
        for _ in range(3)
    ]
    collect.write_test(
        folder,
        f"{HOSTILE}::{HOSTILE}",
        came_to(HOSTILE, HOSTILE),
        [seen_server(message, sessions=(session,))],
    )
    collect.write_test(folder, HOSTILE, came_to("failed"), [seen_server(*others, name=HOSTILE)])
    render.build(folder)
    pages = [*folder.rglob("index.html"), *folder.rglob("message-*.html")]
    assert len(pages) == 5
    for path in pages:
        source = path.read_text("utf-8")
        page = Text(source)
        assert page.tags.count("script") == 1
        assert "img" not in page.tags
        assert not [name for name in page.values if name.startswith("on")]
        assert not re.search("[\0\x1b\u202e\u061c\u200b\u2060\ufeff\xad\U000e0041]", source)
        assert "49" not in page.values.get("title", [])
        assert set(page.values["src"]) & {"../../assets/report.js", "assets/report.js"}


@pytest.mark.parametrize(
    ("url", "followed"),
    [
        ("https://shop.example/?a=1&b=2", True),
        ("HTTP://shop.example", True),
        ("mailto:ann@example.com", True),
        ("javascript:pwned()", False),
        ("java\nscript:pwned()", False),
        (" javascript:pwned()", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("vbscript:x", False),
        ("//x.example", False),
        ("x.html", False),
        ("https://x.example/\nx", False),
    ],
)
def test_only_usual_links_can_be_followed(url: str, followed: bool) -> None:
    assert render.followed(url) is followed


def test_garbage_is_shown_too(folder: Path) -> None:
    mails = [
        b"",
        b"\0" * 1000,
        b"\xff\xfe" * 1000,
        b"To: <\r\n\r\n",
        b"Message-ID: <a@[>\r\n\r\n",
        b"Subject: " + b"x" * 100_000 + b"\r\n\r\n",
        b"X: y\r\n" * 5000 + b"\r\n",
        b"Content-Type: text/html\r\n\r\n" + b"<p>" * 300_000,
        b"Content-Type: text/html; charset=nonsense\r\n\r\n\xff",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 500,
    ]
    test = collect.write_test(folder, NODE, came_to("passed"), [seen_server(*map(stored, mails))])
    render.build(folder)
    data = json.loads((test / "data.json").read_text())
    assert not any("unreadable" in each for each in data["servers"][0]["messages"])
    for path in test.glob("*.html"):
        assert path.stat().st_size < 3_000_000


# ---- Jinja2 and imports


def test_without_jinja2_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "find_spec", lambda name: None)
    for make in (render.require, lambda: render.build(folder)):
        with pytest.raises(ReportError) as raised:
            make()
        assert str(raised.value) == (
            "--smtpd-report needs Jinja2: pip install 'pytest-smtpd-server[report]'"
        )


def test_writing_what_a_test_received_needs_no_jinja2() -> None:
    code = (
        "import sys; import pytest_smtpd.report.collect, pytest_smtpd.report.save,"
        " pytest_smtpd.report.render; print({'jinja2', 'asyncio', 'ssl', 'email', 'pytest'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_no_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "report"
    for path in ("marker", "tests/keep/data.json", "assets/report.css"):
        (precious / path).parent.mkdir(parents=True, exist_ok=True)
        (precious / path).write_text("precious")
    folder.mkdir()
    (folder / collect.MARKER).symlink_to(precious / "marker")
    for name in ("tests", "assets"):
        (folder / name).symlink_to(precious / name)
    with pytest.raises(collect.ReportError, match="is not of an earlier report"):
        collect.begin(folder)
    (folder / collect.MARKER).unlink()
    (folder / collect.MARKER).write_text("{}")
    collect.begin(folder)
    collect.write_test(folder, "t.py::test", came_to("passed"), [seen_server(stored(written()))])
    (folder / "tests" / "link").symlink_to(precious / "tests" / "keep")
    (folder / "index.html").symlink_to(precious / "marker")
    rows = re.findall(r'href="tests/([^"/]+)', page_of(render.build(folder).parent))
    assert rows and "link" not in rows
    files = [path for path in precious.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {path.read_text() for path in files} == {"precious"}
