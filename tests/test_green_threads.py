"""Servers under the monkey patches of gevent and eventlet, where all threads share one."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import pytest_smtpd

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    # its own import warns that it is deprecated
    "eventlet": "import warnings; warnings.simplefilter('ignore'); import eventlet; "
    "eventlet.monkey_patch(); warnings.resetwarnings(); warnings.simplefilter('error')",
}

TWO_SERVERS = """
import smtplib, threading, time
from pytest_smtpd import Server, faults

slow = faults.Delay(0.05, on="rcpt")
hold = faults.Hold(on="message", times=1)
with Server(deliver=lambda *mail: None, faults=[slow]) as first, Server(faults=[hold]) as second:
    def send(server):
        with smtplib.SMTP(server.host, server.port, timeout=20) as client:
            client.sendmail("ann@example.com", "bob@example.net", "Subject: x\\n\\n")
    threads = [threading.Thread(target=send, args=[each]) for each in (first, second, first)]
    for thread in threads:
        thread.start()
    assert hold.wait_reached(20)
    hold.release()
    for thread in threads:
        thread.join()
    assert (len(first.messages), len(second.messages)) == (2, 1)
    silent = smtplib.SMTP(second.host, second.port, timeout=20)
    start = time.monotonic()
assert time.monotonic() - start < 2.0
assert silent.getreply()[0] == 421
silent.close()
print("done")
"""

FAILOVER = """
import smtplib

def test_failover(smtpd_factory):
    first, second = smtpd_factory(), smtpd_factory()
    for server in (first, second):
        smtplib.SMTP(server.host, server.port, timeout=20).quit()

def test_mail(smtpd):
    with smtplib.SMTP(smtpd.host, smtpd.port, timeout=20) as client:
        client.sendmail("ann@example.com", "bob@example.net", "hi")
    smtpd.messages.wait(timeout=20)
"""


each_library = pytest.mark.parametrize(
    "library",
    [
        pytest.param(name, marks=pytest.mark.skipif(not find_spec(name), reason=f"no {name} here"))
        for name in PATCHES
    ],
)


@each_library
@pytest.mark.parametrize("when", ["before", "after"])
def test_two_servers(library: str, when: str) -> None:
    """The patch comes before our import, or after it."""
    ours = "import pytest_smtpd.server"
    order = [PATCHES[library], ours] if when == "before" else [ours, PATCHES[library]]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([*order, TWO_SERVERS])],
        cwd=Path(pytest_smtpd.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@each_library
def test_two_servers_of_a_test(pytester: pytest.Pytester, library: str) -> None:
    pytester.makepyfile(f"{PATCHES[library]}\n{FAILOVER}")
    result = pytester.runpytest_subprocess(
        *("--disable-plugin-autoload", "-p", "pytest-smtpd-server", "-W", "ignore", "-q"),
        timeout=60,
    )
    result.assert_outcomes(passed=2)
