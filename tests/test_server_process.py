"""`Server` in a process of its own: no warning under ``-W error -X dev``, and no process stays."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_smtpd

HEAD = """
import asyncio, gc, smtplib, socket, threading
from pytest_smtpd import Reject, Server, faults

def send(server, text="Subject: hi\\r\\n\\r\\nhello\\r\\n"):
    with smtplib.SMTP(server.host, server.port) as client:
        client.sendmail("ann@example.com", ["bob@example.net"], text)
"""


def run(program: str) -> str:
    """What a program says; it has to end well, in time, and without a warning."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", HEAD + program],
        cwd=Path(pytest_smtpd.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_nothing_is_left_after_a_stop() -> None:
    said = run("""
async def asynchronous(address):
    await asyncio.sleep(0)

for options in (
    {},
    {"validate_sender": asynchronous, "deliver": lambda *mail: None},
    {"faults": [faults.Split(3, on="helo"), faults.Delay(0.01, on="message")]},
    {"host": ""},
):
    server = Server(**options)
    for _ in range(2):
        with server:
            send(server)
            hanging = socket.create_connection(server.address)
        hanging.close()
    assert len(server.messages) == 2
    del server
gc.collect()
assert threading.enumerate() == [threading.main_thread()]
print("done")
""")
    assert said == "done\n"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_nothing_is_left_after_tls(tls: str) -> None:
    pytest.importorskip("trustme")
    run(f"""
import ssl
with Server(tls={tls!r}) as server:
    if {tls!r} == "implicit":
        client = smtplib.SMTP_SSL(server.host, server.port, context=server.client_ssl_context())
    else:
        client = smtplib.SMTP(server.host, server.port)
        client.starttls(context=server.client_ssl_context())
    client.sendmail("ann@example.com", ["bob@example.net"], "hi")
    # one that trusts nobody, one that hangs, one that stops in the middle of its hello
    untrusting = socket.create_connection(server.address)
    if {tls!r} == "starttls":
        untrusting.recv(1000)
        untrusting.sendall(b"EHLO me\\r\\nSTARTTLS\\r\\n")
        while b"220 2.0.0" not in untrusting.recv(1000):
            pass
    try:
        ssl.create_default_context().wrap_socket(untrusting, server_hostname="localhost").close()
    except ssl.SSLError:
        pass
    hanging = socket.create_connection(server.address)
    stopping = socket.create_connection(server.address)
    stopping.sendall(b"\\x16\\x03\\x01\\x02\\x00\\x01")
untrusting.close(), hanging.close(), stopping.close(), client.close()
assert len(server.messages) == 1
del server
gc.collect()
assert threading.enumerate() == [threading.main_thread()]
""")


def test_nothing_is_left_where_a_start_fails() -> None:
    run("""
with Server() as running:
    for options in ({"port": running.port}, {"host": "192.0.2.1"}, {"host": "a..b"}):
        try:
            Server(**options).start()
        except OSError as error:
            assert str(options.get("port") or options["host"]) in str(error)
        else:
            raise AssertionError(options)
gc.collect()
assert threading.enumerate() == [threading.main_thread()]
""")


def test_a_process_that_never_stops_its_server_exits() -> None:
    said = run("""
server = Server().start()
client = socket.create_connection(server.address)
send(server)
print(len(server.messages))
client.detach()
""")
    assert said == "1\n"


def test_a_process_with_a_stuck_callback_exits() -> None:
    run("""
entered = threading.Event()

def stuck(address):
    entered.set()
    threading.Event().wait()

server = Server(validate_sender=stuck).start()
client = smtplib.SMTP(server.host, server.port)
client.ehlo()
client.putcmd("mail", "from:<ann@example.com>")
entered.wait()
client.sock.detach(), client.file.close()
""")


def test_a_server_that_nobody_holds_is_stopped_with_the_process() -> None:
    run("""
Server().start()
gc.collect()
""")


def test_a_forked_child_exits() -> None:
    pytest.importorskip("fcntl")
    said = run("""
import os, warnings
with Server() as server:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: ours does nothing in the child
        child = os.fork()
    if not child:
        raise SystemExit(0)  # as multiprocessing does not, but a script may
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    send(server)
print(len(server.messages))
""")
    assert said == "1\n"


def test_another_process_is_a_client_like_any_other() -> None:
    with pytest_smtpd.Server() as server:
        run(f"""
with smtplib.SMTP({server.host!r}, {server.port}) as client:
    client.sendmail("ann@example.com", ["bob@example.net"], "Subject: from afar\\r\\n\\r\\n")
""")
        assert [message.subject for message in server.messages] == ["from afar"]


def test_an_application_in_a_forked_child_delivers() -> None:
    pytest.importorskip("fcntl")
    said = run("""
import os, warnings
with Server() as server:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        send(server)
        os._exit(0)
    os.waitpid(child, 0)
    print(len(server.messages))
""")
    assert said == "1\n"


def test_one_stop_right_behind_another() -> None:
    run("""
for number in range(20):
    server = Server().start()
    clients = [socket.create_connection(server.address) for _ in range(number % 3)]
    server.stop(disconnect=False)
    server.stop()
    assert server.stopped.is_set()
    for client in clients:
        client.close()
del server
gc.collect()
assert threading.enumerate() == [threading.main_thread()]
""")


def test_six_stops_at_once() -> None:
    run("""
for number in range(10):
    server, together = Server().start(), threading.Barrier(6)

    def stop(disconnect):
        together.wait()
        server.stop(disconnect)

    client = socket.create_connection(server.address)
    stoppers = [threading.Thread(target=stop, args=(each % 2 == 0,)) for each in range(6)]
    for stopper in stoppers:
        stopper.start()
    for stopper in stoppers:
        stopper.join()
    assert server.stopped.is_set()
    server.stop()
    client.close()
assert threading.enumerate() == [threading.main_thread()]
""")


def test_a_coroutine_that_blocks_its_loop_logs_nothing() -> None:
    run("""
import time

async def blocking(address):
    time.sleep(0.2)

with Server(validate_sender=blocking) as server:
    send(server)
    assert len(server.messages) == 1
""")


def test_at_its_end_a_process_says_goodbye_to_all_clients() -> None:
    program = """
def wrong(address):
    raise AssertionError("seen at the end")

servers = [Server(validate_sender=wrong).start() for _ in range(3)]
for server in servers:
    with smtplib.SMTP(server.host, server.port, timeout=20) as client:
        client.ehlo("me")
        assert client.mail("ann@example.com")[0] == 451
servers.append(Server().start())
print(*(server.port for server in servers), flush=True)
input()
servers[-1].stop(disconnect=False)
"""
    with (
        contextlib.ExitStack() as stack,
        subprocess.Popen(
            [sys.executable, "-c", HEAD + program],
            cwd=Path(pytest_smtpd.__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        ports = [int(port) for port in process.stdout.readline().split()]
        addresses = [("127.0.0.1", port) for port in ports]
        clients = [
            stack.enter_context(socket.create_connection(address, timeout=60))
            for address in addresses
        ]
        for client in clients:
            assert client.recv(999).startswith(b"220 ")
        _, said = process.communicate("go on\n", timeout=60)
        assert "seen at the end" in said
        assert [client.recv(999)[:3] for client in clients] == [b"421"] * 4
