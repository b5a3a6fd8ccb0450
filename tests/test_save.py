"""`--smtpd-save`: the mail of a test as files in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

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
