"""Tests may patch what a running server needs: it has taken its own copies before.

Each runs in a process of its own, as a patch that is wrong would hang or blind the run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_smtpd
from test_server_process import run

PATCHED = """
import builtins, os, subprocess, sys, tempfile, time
from unittest import mock

CLIENT = '''
import smtplib, sys
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=20) as client:
    client.sendmail("ann@example.com", "bob@example.net", "Subject: x\\\\n\\\\n")
'''

def forbidden(*args, **kwargs):
    raise RuntimeError("forbidden by this test")

def send_from_elsewhere(server):
    line = [sys.executable, "-c", CLIENT, server.host, str(server.port)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")

def stops(server):
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 2.0
    assert server.stopped.is_set()
"""


# The client of smtplib would load ssl
PLAIN = """
import socket, sys
from pytest_smtpd import Server

def converse(server):
    text = b"EHLO me\\r\\nMAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.com>\\r\\n"
    text += b"DATA\\r\\n\\r\\nhello\\r\\n.\\r\\nQUIT\\r\\n"
    with server, socket.create_connection(server.address, timeout=20) as client:
        client.sendall(text)
        while client.recv(65536):
            pass
    assert len(server.messages) == 1

async def accept(address):
    pass

converse(Server(validate_recipient=lambda address: None))
print(sorted({"asyncio", "ssl"} & sys.modules.keys()))
converse(Server(validate_recipient=accept))
print(sorted({"asyncio", "ssl"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_test_that_forbids_sockets(when: str) -> None:
    # pytest-socket does the same
    run(
        PATCHED
        + f"""
server = Server()
if {when!r} == "after":
    server.start()
with mock.patch("socket.socket", forbidden):
    if {when!r} == "before":
        server.start()
    send_from_elsewhere(server)
    stops(server)
assert len(server.messages) == 1
"""
    )


def test_a_test_that_fakes_the_process_id() -> None:
    run(
        PATCHED
        + """
server = Server().start()
with mock.patch("os.getpid", lambda: 1):
    stops(server)
assert threading.enumerate() == [threading.main_thread()]
"""
    )


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_test_that_runs_threads_at_once(kind: str) -> None:
    # a way to test mailers that send in the background
    run(
        PATCHED
        + f"""
{kind} accept(address):
    pass

server = Server(validate_recipient=accept).start()
with mock.patch("threading.Thread.start", threading.Thread.run):
    threading.Thread(target=send, args=[server]).start()
    assert len(server.messages) == 1
    other = Server().start()
    send(other)
    stops(other)
    stops(server)
assert threading.enumerate() == [threading.main_thread()]
"""
    )


@pytest.mark.parametrize(
    "patch",
    [
        'mock.patch("builtins.open", forbidden)',
        'mock.patch("tempfile.tempdir", "/nowhere/at/all")',
    ],
)
def test_a_test_that_patches_files(patch: str) -> None:
    pytest.importorskip("trustme")
    run(
        PATCHED
        + f"""
server = Server(tls="starttls").start()
with {patch}:
    context = server.client_ssl_context()
    other = Server(tls="starttls", greeting_hostname="mx.example").start()
    for each in (server, other):
        with smtplib.SMTP(each.host, each.port, timeout=20) as client:
            client.starttls(context=context)
            client.sendmail("ann@example.com", "bob@example.net", "hi")
        stops(each)
        assert len(each.messages) == 1
"""
    )


def test_asyncio_and_ssl_are_loaded_only_for_those_who_use_them() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PLAIN],
        cwd=Path(pytest_smtpd.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("[]\n['asyncio', 'ssl']\n", "")


def test_a_selector_that_cannot_be_made_is_raised_by_start() -> None:
    run(
        PATCHED
        + """
import gc, selectors

def no_more():
    raise OSError(24, "Too many open files")

server = Server()
with mock.patch("selectors.DefaultSelector", no_more):
    try:
        server.start()
    except OSError as error:
        assert error.errno == 24
    else:
        raise AssertionError("started")
gc.collect()
assert server.stopped.is_set()
assert threading.enumerate() == [threading.main_thread()]
with server:
    send(server)
"""
    )
