"""Mails as real programs write them, each with what it was meant to say."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_smtpd import Envelope, Message

FOLDER = Path(__file__).with_name("content")
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "expected.toml").read_text("utf-8"))


def test_each_mail_has_its_row() -> None:
    assert {path.name for path in FOLDER.glob("*.eml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_mail_is_read_as_it_was_meant(name: str) -> None:
    row = EXPECTED[name]
    raw = (FOLDER / name).read_bytes()
    message = Message(raw, Envelope("", ()), id="", received_at=datetime.now(UTC))
    found = plain(eval(row["check"], {"message": message}))
    assert found == row["want"], row["rule"]


def plain(value: Any) -> Any:
    """A value in the terms of TOML, which has no tuple, no None and no octets."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.decode("ascii") if isinstance(value, bytes) else "None" if value is None else value
