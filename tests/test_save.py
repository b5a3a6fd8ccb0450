"""`--smtpd-save`: the mail of each test as files in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inner_run import COUNT_STARTS, lines, run, write
from pytest_smtpd.report import save
from pytest_smtpd.report.save import save_test
from report_mail import stored, written


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    save._written.clear()


def test_each_message_is_a_file_exactly_as_sent(tmp_path: Path) -> None:
    first, second = written(), b"Subject: \xff\r\n\r\nno line end"
    paths = save_test(tmp_path / "mail", "tests/test_a.py::test_b", [stored(first), stored(second)])
    assert [path.name for path in paths] == ["0001.eml", "0002.eml"]
    assert [path.read_bytes() for path in paths] == [first, second]
    folder = paths[0].parent
    assert folder.parent == tmp_path / "mail"
    assert folder.name.startswith("tests-test_a.py--test_b")


def test_a_test_without_mail_leaves_no_folder(tmp_path: Path) -> None:
    assert save_test(tmp_path / "mail", "t.py::test", []) == []
    assert not (tmp_path / "mail").exists()


@pytest.mark.parametrize(
    "nodeid", ["../../x", "/etc/x", "CON", "a\nb", "x" * 300, "\u202ex", "..", ""], ids=ascii
)
def test_no_node_id_leads_out_of_the_folder(tmp_path: Path, nodeid: str) -> None:
    root = tmp_path / "a" / "b" / "mail"
    (path,) = save_test(root, nodeid, [stored(written())])
    assert path.resolve().parent.parent == root.resolve()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_mail_of_an_earlier_run_goes(tmp_path: Path) -> None:
    save_test(tmp_path, "t.py::test", [stored(written()), stored(written())])
    (again,) = save_test(tmp_path, "t.py::test", [stored(written())])
    assert again.parent.name.endswith(".2")
    save._written.clear()  # another pytest run
    (only,) = save_test(tmp_path, "t.py::test", [stored(written())])
    assert sorted(tmp_path.rglob("*.eml")) == [only]
    save._written.clear()
    assert save_test(tmp_path, "t.py::test", []) == []
    assert list(tmp_path.iterdir()) == []


def test_files_of_somebody_else_stay(tmp_path: Path) -> None:
    (path,) = save_test(tmp_path, "t.py::test", [stored(written())])
    notes = path.with_name("notes.txt")
    notes.write_text("mine")
    save._written.clear()
    save_test(tmp_path, "t.py::test", [])
    assert [each.name for each in path.parent.iterdir()] == ["notes.txt"]


def test_a_rerun_keeps_the_mail_of_the_first_attempt(tmp_path: Path) -> None:
    (first,) = save_test(tmp_path, "t.py::test", [stored(b"first\r\n")])
    (second,) = save_test(tmp_path, "t.py::test", [stored(b"second\r\n")])
    assert first.read_bytes() == b"first\r\n"
    assert second.read_bytes() == b"second\r\n"
    assert second.parent.name == f"{first.parent.name}.2"


def test_mail_of_a_shared_server_is_saved_with_the_first_test(tmp_path: Path) -> None:
    old, new = stored(b"old\r\n"), stored(b"new\r\n")
    save_test(tmp_path, "t.py::test_1", [old])
    (path,) = save_test(tmp_path, "t.py::test_2", [old, new])
    assert path.read_bytes() == b"new\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_no_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "mail"
    precious.mkdir()
    (precious / "0001.eml").write_text("precious")
    folder.mkdir()
    place = folder / save.folder_name("t.py::test")
    place.symlink_to(precious)
    (path,) = save_test(folder, "t.py::test", [stored(written())])
    assert path.read_bytes() == written()
    save._written.clear()
    path.unlink()
    path.symlink_to(precious / "0001.eml")
    save_test(folder, "t.py::test", [stored(b"new\r\n")])
    assert path.read_bytes() == b"new\r\n"
    assert [each.read_text() for each in precious.iterdir()] == ["precious"]


# ---- a folder that cannot be had

WANTED = "a folder that can be written or made is wanted"


@pytest.mark.parametrize("flag", ["--smtpd-save", "--smtpd-report"])
@pytest.mark.parametrize("folder", ["notes.txt", "notes.txt/mail/today"])
def test_a_file_in_the_way_is_one_usage_error(
    pytester: pytest.Pytester, flag: str, folder: str
) -> None:
    write(pytester, conftest=COUNT_STARTS, test_a="def test_a(smtpd): pass")
    notes = pytester.path / "notes.txt"
    notes.write_text("mine")
    result = run(pytester, f"{flag}={folder}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in lines(result).splitlines() if line.strip()]
    assert said == [f"ERROR: {flag}: {notes} is a file; {WANTED}"]
    assert notes.read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="no modes of files there")
def test_a_folder_that_is_read_only_is_one_usage_error(pytester: pytest.Pytester) -> None:
    write(pytester, test_a="def test_a(smtpd): pass")
    locked = pytester.path / "locked"
    locked.mkdir(mode=0o500)
    options = ("-p", "pytest_smtpd.plugin", "-p", "no:cacheprovider", "--smtpd-save=locked/mail")
    line = [sys.executable, "-m", "pytest", *options]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write anywhere, and there is no setpriv")
        line = ["setpriv", "--bounding-set=-dac_override", *line]
    done = subprocess.run(
        line,
        cwd=pytester.path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --smtpd-save: {locked} cannot be written: Permission denied; {WANTED}" in (
        done.stdout + done.stderr
    )


def test_a_folder_that_can_be_had_is_not_made_for_nothing(pytester: pytest.Pytester) -> None:
    write(pytester, test_a="def test_a(smtpd): pass")
    (pytester.path / "mail").mkdir()
    run(pytester, "--smtpd-save=mail/of/today").assert_outcomes(passed=1)
    assert list((pytester.path / "mail").iterdir()) == []


def test_where_no_test_runs_no_folder_is_needed(pytester: pytest.Pytester) -> None:
    write(pytester, test_a="def test_a(smtpd): pass")
    assert run(pytester, "--smtpd-save=test_a.py", "--collect-only").ret == pytest.ExitCode.OK


SPOILT = """
    import shutil
    from pathlib import Path

    import pytest

    def spoil():
        folder = Path(__file__).parent / "mail"
        shutil.rmtree(folder, ignore_errors=True)
        folder.touch()
"""


@pytest.mark.parametrize("flag", ["--smtpd-save", "--smtpd-report"])
def test_mail_that_cannot_be_written_is_an_error_of_its_test(
    pytester: pytest.Pytester, flag: str
) -> None:
    pytest.importorskip("jinja2")
    write(
        pytester,
        test_a=SPOILT
        + """
    from client import TEXT, Client

    @pytest.mark.parametrize("spoilt", [False, True])
    def test_mail(smtpd, spoilt):
        with Client(smtpd) as client:
            client.ehlo().deliver(TEXT)
        if spoilt:
            spoil()
""",
    )
    result = run(pytester, f"{flag}=mail")
    result.assert_outcomes(passed=2, errors=1)
    assert f"\n{flag}: the mail of this test was not written: " in lines(result)
    assert "Traceback" not in lines(result)


def test_a_report_that_cannot_be_written_costs_no_summary(pytester: pytest.Pytester) -> None:
    pytest.importorskip("jinja2")
    write(
        pytester,
        conftest=SPOILT
        + """
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish():
        spoil()
""",
        test_a="def test_a(smtpd): pass",
    )
    result = run(pytester, "--smtpd-report=mail")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.assert_outcomes(passed=1)
    assert "\n--smtpd-report: the report was not written: " in lines(result)
    assert "Traceback" not in lines(result)
