"""The clock that frozen time does not stop."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime

import freezegun
import pytest

from pytest_smtpd.clock import monotonic


def goes_on(seconds: float = 0.02) -> bool:
    started = monotonic()
    threading.Event().wait(seconds)
    # Half of it: the two may tick at a different grain (16 ms on Windows).
    return seconds / 2 <= monotonic() - started < 60


def test_it_counts_seconds() -> None:
    assert goes_on()


def test_freezegun_does_not_stop_it() -> None:
    with freezegun.freeze_time("2001-01-01"):
        assert datetime.now() == datetime(2001, 1, 1)
        assert goes_on()


def test_freezegun_does_not_move_it() -> None:
    before = monotonic()
    with freezegun.freeze_time("2001-01-01") as frozen:
        frozen.move_to("2031-01-01")
        assert 0 <= monotonic() - before < 60
    assert 0 <= monotonic() - before < 60


def test_time_machine_neither_stops_nor_moves_it() -> None:
    time_machine = pytest.importorskip("time_machine")
    before = monotonic()
    with time_machine.travel(datetime(2001, 1, 1), tick=False):
        assert datetime.now() == datetime(2001, 1, 1)
        assert goes_on()
        assert 0 <= monotonic() - before < 60


@pytest.mark.skipif(sys.platform == "win32", reason="there it must be imported before")
def test_it_is_real_even_if_imported_while_time_is_frozen() -> None:
    program = """
import threading, freezegun
with freezegun.freeze_time("2001-01-01"):
    from pytest_smtpd.clock import monotonic
    started = monotonic()
    threading.Event().wait(0.02)
    assert 0.01 <= monotonic() - started < 60
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
