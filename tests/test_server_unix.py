"""A server on a unix socket: stale ones are replaced, live ones and other files stay."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import LIMIT, Client, connects, threads
from pytest_smtpd import Server, originals

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")


@pytest.fixture
def path() -> Iterator[Path]:
    # pytest's own directories may be too long for a socket's name
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "smtpd"


def test_mail_over_a_unix_socket(path: Path) -> None:
    with Server(unix_socket=path) as server:
        assert (server.host, server.hostname, server.address) == (str(path),) * 3
        assert server.port == 0
        assert server.url == f"smtp+unix://{path}"
        with Client(server) as client:
            assert client.ehlo().deliver().startswith("250")
            client.quit()
        assert server.sessions[0].wait_closed(LIMIT)
        assert server.sessions[0].peer == ("", 0)
        assert "unix" in str(server.sessions[0])
        assert len(server.messages) == 1
    assert server.url == f"smtp+unix://{path}"


def test_it_is_removed_at_stop_and_made_again_at_start(path: Path) -> None:
    server = Server(unix_socket=str(path))
    for _ in range(2):
        with server:
            assert stat.S_ISSOCK(path.stat().st_mode)
            assert connects(server)
        assert not path.exists()


def test_it_is_removed_also_where_the_test_has_gone_elsewhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with Server(unix_socket=path.name) as server:
        assert server.address == path.name
        assert path.exists()
        monkeypatch.chdir(tmp_path)
    assert not path.exists()


def test_it_is_removed_at_a_stop_that_lets_sessions_go_on(path: Path) -> None:
    with Server(unix_socket=path) as server, Client(server) as client:
        server.stop(disconnect=False)
        assert not path.exists()
        assert client.ehlo().deliver().startswith("250")
        client.quit()


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
        stale.listen()
    assert path.exists()
    with Server(unix_socket=path) as server:
        assert connects(server)
    assert not path.exists()


def test_a_live_socket_is_an_error_and_stays(path: Path) -> None:
    with Server(unix_socket=path) as live:
        before = threads()
        with pytest.raises(OSError, match=path.name) as caught:
            Server(unix_socket=path).start()
        assert caught.value.errno == errno.EADDRINUSE
        assert threads() <= before
        assert connects(live)
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_a_live_socket_that_accepts_nobody_is_an_error_and_stays(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as live:
        live.bind(str(path))
        live.listen(0)
        waiting = []
        try:
            while True:  # until its queue is full
                waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                waiting[-1].setblocking(False)
                if waiting[-1].connect_ex(str(path)):
                    break
            with pytest.raises(OSError, match=path.name):
                Server(unix_socket=path).start()
            assert path.exists()
        finally:
            for each in waiting:
                each.close()


def test_any_other_file_is_an_error_and_stays(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(OSError, match=path.name):
        Server(unix_socket=path).start()
    assert path.read_text() == "precious"
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=path.name):
        Server(unix_socket=path).start()
    assert path.is_dir()


def test_a_socket_of_another_kind_is_an_error_and_stays(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(OSError, match=path.name):
            Server(unix_socket=path).start()
        assert path.exists()


def test_a_link_is_an_error_and_stays_even_if_it_leads_to_a_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(OSError, match="link"):
        Server(unix_socket=link).start()
    assert link.is_symlink()
    assert path.exists()


@pytest.mark.parametrize("name", ["missing/socket", "x" * 300])
def test_a_path_that_cannot_be_is_an_error(path: Path, name: str) -> None:
    with pytest.raises(OSError, match=name):
        Server(unix_socket=path.parent / name).start()


def test_what_replaced_ours_is_not_removed(path: Path) -> None:
    with Server(unix_socket=path):
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"
    assert os.listdir(path.parent) == [path.name]


def test_it_wins_over_host_and_port_and_can_be_given_up(path: Path) -> None:
    server = Server(host="127.0.0.1", unix_socket=path)
    with server:
        assert server.host == str(path)
    server.configure(unix_socket=None)
    with server:
        assert server.host == "127.0.0.1"
        assert connects(server)


def test_nothing_is_left_where_no_thread_can_be_had(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    server = Server(unix_socket=path)
    with monkeypatch.context() as patched:
        patched.setattr(originals, "start_thread", fails)
        with pytest.raises(RuntimeError, match="new thread"):
            server.start()
    assert not path.exists()
    assert server.stopped.is_set()
    with server:
        assert connects(server)
