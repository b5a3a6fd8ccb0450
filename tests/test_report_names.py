"""Names of folders and files made from hostile names: one component, valid everywhere, unique."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_smtpd.report.names import attachment_file, download_name, folder_name

HOSTILE = [
    "",
    ".",
    "..",
    "../../x",
    "..\\..\\x",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "\\\\server\\share\\x",
    "CON",
    "con.txt",
    "LPT1.pdf",
    "COM¹.txt",
    "NUL .txt",
    "a\nb\r\nc.txt",
    "a\0b.txt",
    "x" * 300,
    "x" * 300 + ".pdf",
    "\u202efdp.exe",
    "é" * 300 + ".pdf",
    "\U0001f600" * 300,
    "a:stream",
    'a<b>"c|d?e*.txt',
    " . . ",
    "trailing. ",
    "~/.ssh/id_rsa",
    ".htaccess",
    "-rf",
    "%2e%2e%2fx",
    "file\ud800name",
    "a/" * 2000,
]
DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
TEST_IDS = [
    *HOSTILE,
    "tests/test_a.py::test_b",
    "tests/test_a.py::TestC::test_b[x-1]",
    "test_a.py::test_b[../../x]",
    "test_a.py::test_b[CON]",
    "test_a.py::test_b[a\nb]",
    f"test_a.py::test_b[{'x' * 300}]",
    "test_a.py::test_b[\u202eabc]",
]


def assert_one_safe_component(name: str) -> None:
    assert name not in ("", ".", "..")
    assert re.fullmatch(r"[A-Za-z0-9_.\-\[\]]+", name)
    assert len(name) <= 120
    assert not name.startswith((".", "-"))
    assert not name.endswith((".", " "))
    assert not DEVICES.fullmatch(name)


@pytest.mark.parametrize("nodeid", TEST_IDS, ids=ascii)
def test_a_node_id_becomes_one_safe_component(nodeid: str) -> None:
    assert_one_safe_component(folder_name(nodeid))


def test_a_folder_can_be_recognised_and_is_the_same_in_every_run() -> None:
    name = folder_name("tests/test_signup.py::TestMail::test_welcome[html-1]")
    assert name.startswith("tests-test_signup.py--TestMail--test_welcome_html-1-")
    assert name == folder_name("tests/test_signup.py::TestMail::test_welcome[html-1]")


def test_no_two_node_ids_share_a_folder_even_where_case_is_ignored() -> None:
    ids = [
        "t.py::test[a]",
        "t.py::test[A]",
        "t.py::test[a/b]",
        "t.py::test[a-b]",
        "t.py::test[a_b]",
        "t.py::test[a b]",
        "t.py::test--a-b",
        "t.py::" + "x" * 300 + "1",
        "t.py::" + "x" * 300 + "2",
    ]
    assert len({folder_name(each).lower() for each in ids}) == len(ids)


@pytest.mark.parametrize("filename", HOSTILE, ids=ascii)
def test_an_attachment_becomes_one_safe_component_that_no_browser_renders(filename: str) -> None:
    name = attachment_file(7, filename)
    assert_one_safe_component(name)
    assert name.startswith("07-")
    assert name.endswith(".bin")


def test_attachments_of_one_name_do_not_clash() -> None:
    names = [attachment_file(1, "a.pdf"), attachment_file(2, "A.PDF"), attachment_file(3, None)]
    assert names == ["01-a.pdf.bin", "02-A.PDF.bin", "03-attachment.bin"]


@pytest.mark.parametrize("filename", HOSTILE, ids=ascii)
def test_an_attachment_is_offered_under_a_harmless_name(filename: str) -> None:
    name = download_name(filename)
    assert name
    assert not set(name) & set('/\\:*?"<>|\0\n\r')
    assert not any(unicodedata.category(char)[0] == "C" for char in name)
    assert not name.startswith(".")
    assert not DEVICES.fullmatch(name)
    assert len(name.encode()) <= 200


@pytest.mark.parametrize(
    ("filename", "offered"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("../../logo.png", "logo.png"),
        ("Fräulein Müller.csv", "Fräulein Müller.csv"),
        ("page.html", "page.html.bin"),
        ("drawing.svg", "drawing.svg.bin"),
        ("page.HTML", "page.HTML.bin"),
        ("run.exe", "run.exe.bin"),
        ("page.pdf.html", "page.pdf.html.bin"),
        ("CON.txt", "_CON.txt"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe.bin"),
        (None, "attachment.bin"),
        ("", "attachment.bin"),
    ],
)
def test_passive_types_keep_their_name(filename: str | None, offered: str) -> None:
    assert download_name(filename) == offered


@settings(deadline=None)
@given(st.text(), st.integers(1, 500))
def test_whatever_the_name_it_stays_in_its_folder(name: str, number: int) -> None:
    for safe in (folder_name(name), attachment_file(number, name)):
        assert_one_safe_component(safe)
        assert os.path.normpath(os.path.join("/a/b", safe)).startswith("/a/b/".replace("/", os.sep))
    offered = download_name(name)
    assert Path(offered).name == offered
    assert len(offered.encode("utf-8", "replace")) <= 200
