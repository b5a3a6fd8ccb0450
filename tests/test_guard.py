"""Ini `smtpd_guard`. Nothing here reaches a network: what is not blocked is not connected to.

192.0.2.0/24 and 2001:db8::/32 are nobody's (RFC 5737, RFC 3849), nor is `.invalid` (RFC 6761).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from textwrap import dedent

import pytest

from pytest_smtpd.plugin import guard

ADVICE = (
    "a test may connect to this port on the loopback interface only: "
    "point the application at the host and port of the fixture smtpd"
)


# ---- which connections


@pytest.mark.parametrize("port", [25, 465, 587, 2525])
@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "mail.invalid", "128.0.0.1",
     "localhost.example.invalid", "1::1", "::127.0.0.1", "7f00::1", "::2", "0.0.0.1",
     f"{socket.gethostname()}.example.invalid", "nul\0.invalid", b"192.0.2.1"],
)  # fmt: skip
def test_connections_that_are_blocked(host: str | bytes, port: int) -> None:
    with pytest.raises(guard.BlockedConnection) as raised:
        guard._refuse_address((host, port))
    shown = host.decode() if isinstance(host, bytes) else host
    shown = f"[{shown}]" if ":" in shown else shown
    assert f"smtpd_guard: a connection to {shown}:{port} was blocked, made by " in str(raised.value)
    guard.take()


@pytest.mark.parametrize(
    "address",
    [
        *((host, 25) for host in (
            "127.0.0.1", "127.255.0.9", "127.1", "::1", "::1%lo", "::ffff:127.0.0.1", "localhost",
            "LOCALHOST.", "mail.localhost", "ip6-localhost", "", b"127.0.0.1", "0.0.0.0", "0",
            "::", "::ffff:0.0.0.0", socket.gethostname().upper(),
            socket.gethostname().partition(".")[0] + ".local.",
        )),
        ("::1", 587, 0, 0),
        ("192.0.2.1", 26),
        ("mail.invalid", 80),
        ("2001:db8::1", 443, 0, 0),
        "/run/socket",
        b"\0abstract",
        (25,),
    ],
)  # fmt: skip
def test_connections_that_are_not(address: object) -> None:
    guard._refuse_address(address)
    assert guard.take() == []


@pytest.mark.parametrize(
    ("family", "foreign"), [(socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8::1")]
)
def test_the_machine_s_own_addresses_are_not_blocked(
    family: socket.AddressFamily, foreign: str
) -> None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.connect((foreign, 9))  # sends nothing
            own = client.getsockname()[0]
    except OSError:
        pytest.skip("no network")
    guard._refuse_address((own, 25))
    guard._refuse_name(own, 25)
    assert guard.take() == []
    with pytest.raises(guard.BlockedConnection):
        guard._refuse_address((foreign, 25))
    guard.take()


@pytest.mark.parametrize("port", [25, "25", b"25", "smtp", "SMTPS", "submission"])
def test_names_are_blocked_before_they_are_looked_up(port: object) -> None:
    with pytest.raises(guard.BlockedConnection, match=r"a connection to mail\.invalid:"):
        guard._refuse_name("mail.invalid", port)
    guard.take()


@pytest.mark.parametrize(
    ("host", "port"),
    [(None, 25), ("", 25), ("localhost", "smtp"), (socket.gethostname(), 25),
     ("mail.invalid", None), ("mail.invalid", 80), ("mail.invalid", "https"),
     ("192.0.2.1", 25), ("::", 25)],
)  # fmt: skip
def test_look_ups_that_are_not_blocked(host: str | None, port: object) -> None:
    guard._refuse_name(host, port)
    assert guard.take() == []


# ---- how


def python(program: str) -> None:
    """Runs it in a process of its own: an audit hook cannot be taken away again."""
    start = """
        import asyncio, socket, sys, threading
        from pytest_smtpd.plugin.guard import BlockedConnection, in_force, note, take
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", dedent(start) + dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


BLOCKED = """
    def blocked(call, *arguments):
        try:
            call(*arguments)
        except BlockedConnection:
            return
        raise AssertionError("it was not blocked")
"""


def test_every_way_to_connect_is_blocked() -> None:
    python(
        BLOCKED
        + """
    with in_force():
        for name in ("connect", "connect_ex"):
            with socket.socket() as client:
                blocked(getattr(client, name), ("192.0.2.1", 25))
                assert client.fileno() == -1  # nothing can be sent any more
        blocked(socket.create_connection, ("192.0.2.1", 465))
        blocked(socket.create_connection, ("mail.invalid", 465))
        blocked(socket.getaddrinfo, "mail.invalid", 25)
        import smtplib
        blocked(smtplib.SMTP, "192.0.2.1", 587)
        blocked(smtplib.SMTP, "mail.invalid")
        blocked(smtplib.SMTP_SSL, "mail.invalid", 465)
    """
    )


@pytest.mark.skipif(not hasattr(socket, "MSG_FASTOPEN"), reason="Linux has it")
def test_data_that_connects_is_blocked_too() -> None:
    python(
        BLOCKED
        + """
    def client(family=socket.AF_INET, kind=socket.SOCK_STREAM):
        return socket.socket(family, kind)

    address, flag = ("192.0.2.1", 25), socket.MSG_FASTOPEN
    with in_force():
        with client() as one, client() as two:
            blocked(one.sendto, b"EHLO me", flag, address)
            blocked(two.sendmsg, [b"EHLO me"], [], flag, address)
            assert one.fileno() == two.fileno() == -1
        assert len(take()) == 1  # the same text
        with socket.create_server(("127.0.0.1", 0)) as server, client() as one:
            try:
                one.sendto(b"EHLO me", flag, server.getsockname())
            except OSError:  # where the system does not allow it
                pass
        assert take() == []
    """
    )


def test_udp_is_left_alone() -> None:
    python(
        """
    class Passed(Exception):
        pass

    events = []

    def stop(event, args):  # after the guard, before a packet
        if event in ("socket.sendto", "socket.sendmsg", "socket.getaddrinfo"):
            raise Passed

    def passes(call, *arguments):
        try:
            call(*arguments)
        except Passed:
            events.append(call)

    async def look_up():
        try:
            await asyncio.get_running_loop().getaddrinfo("mail.invalid", 25, type=socket.SOCK_DGRAM)
        except Passed:
            events.append(look_up)

    with in_force():
        asyncio.run(asyncio.sleep(0))
        sys.addaudithook(stop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("192.0.2.1", 25))  # sends nothing
            passes(client.sendto, b"", ("192.0.2.1", 25))
            passes(client.sendmsg, [b""], [], 0, ("192.0.2.1", 25))
        passes(socket.getaddrinfo, "mail.invalid", 25, 0, socket.SOCK_DGRAM)
        asyncio.run(look_up())
        assert take() == []
    assert len(events) == 4
    """
    )


def test_asyncio_is_blocked_too() -> None:
    python(
        BLOCKED
        + """
    def both(host):
        blocked(asyncio.run, asyncio.open_connection(host, 25))
        blocked(asyncio.run, asyncio.wait_for(asyncio.open_connection(host, 587), 5))

    async def low_level():
        with socket.socket() as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("192.0.2.1", 25))

    with in_force():
        for host in ("192.0.2.1", "mail.invalid"):
            both(host)
        blocked(asyncio.run, low_level())
    """
    )


def test_trio_is_blocked_too() -> None:
    pytest.importorskip("trio")
    python(
        """
    import trio

    with in_force():
        for host in ("192.0.2.1", "mail.invalid"):
            try:
                trio.run(trio.open_tcp_stream, host, 25)
            except* BlockedConnection:
                pass
            else:
                raise AssertionError("it was not blocked")
    """
    )


UVLOOP = """
    with in_force():
        import_it_here
        async def low_level():
            with socket.socket() as client:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_connect(client, ("192.0.2.1", 25))

        async def look_up(port, **options):
            await asyncio.get_running_loop().getaddrinfo("mail.invalid", port, **options)

        async def talk(**where):
            loop = asyncio.get_running_loop()
            with socket.create_server(("127.0.0.1", 0)) as server:
                host, port = server.getsockname()
                guard.PORTS |= {port}
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, **({"host": "localhost", "port": port} | where)
                )
                transport.close()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for host in ("192.0.2.1", "mail.invalid"):
                blocked(runner.run, asyncio.open_connection(host, 25))
                blocked(runner.run, asyncio.open_connection(host=host, port=587))
            blocked(runner.run, low_level())
            blocked(runner.run, look_up(25))
            assert len(take()) == 6
            runner.run(talk())
            runner.run(talk(host="127.0.0.1"))
            assert take() == []
"""


@pytest.mark.parametrize("place", ["before", "while"])
def test_uvloop_is_blocked_too(place: str) -> None:
    pytest.importorskip("uvloop")
    program = UVLOOP
    if place == "before":
        program = "    import uvloop\n" + program.replace("import_it_here", "pass")
    python(
        "    from pytest_smtpd.plugin import guard\n"
        + dedent(BLOCKED).replace("\n", "\n    ")
        + "\n"
        + program.replace("import_it_here", "assert 'uvloop' not in sys.modules; import uvloop")
    )


def test_a_uvloop_that_is_hidden_or_missing_stays_so() -> None:
    python(
        """
    def import_it():
        import uvloop

    def missing():
        try:
            import_it()
        except ModuleNotFoundError:
            return True

    sys.modules["uvloop"] = None
    with in_force():
        assert missing()
        assert missing()
    with in_force():
        assert missing()
    """
    )


def test_loops_that_connect_without_python_s_sockets_are_blocked_too() -> None:
    python(
        BLOCKED
        + """
    from asyncio.proactor_events import BaseProactorEventLoop

    class Proactor:
        connected = []

        async def connect(self, sock, address):
            self.connected.append(address)

    class Loop(BaseProactorEventLoop):  # as Windows has it, without its system calls
        _debug = False

        def __init__(self):
            self._proactor = Proactor()

        def __del__(self):
            pass

    loop = Loop()
    with socket.socket() as client, in_force():
        blocked(asyncio.run, loop.sock_connect(client, ("192.0.2.1", 25)))
        asyncio.run(loop.sock_connect(client, ("127.0.0.1", 25)))
        asyncio.run(loop.sock_connect(client, ("192.0.2.1", 26)))
    assert loop._proactor.connected == [("127.0.0.1", 25), ("192.0.2.1", 26)]
    """
    )


def test_outside_tests_it_does_nothing() -> None:
    python(
        """
    told = []
    sys.addaudithook(lambda event, args: told.append(args) if event == "socket.connect" else None)

    class Stop(Exception):
        pass

    def stop(event, args):
        if event == "socket.connect":
            raise Stop  # after the guard, before a packet

    with in_force():
        pass
    sys.addaudithook(stop)
    try:
        socket.socket().connect(("192.0.2.1", 25))
    except Stop:
        pass
    else:
        raise AssertionError
    assert len(told) == 1
    import gc, warnings
    warnings.simplefilter("ignore")
    gc.collect()
    """
    )


def test_unix_sockets_and_other_families_are_left_alone() -> None:
    python(
        """
    with in_force():
        if hasattr(socket, "AF_UNIX"):
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect("/nobody/listens/25")
                except OSError:
                    pass
    """
    )


def test_what_is_swallowed_is_remembered_once() -> None:
    python(
        """
    def attempt(port=25):
        for _ in range(3):
            try:
                socket.create_connection(("192.0.2.1", port))
            except Exception:
                pass

    with in_force():
        assert take() == []
        attempt()
        attempt(587)
        first, second = take()
        assert "192.0.2.1:25 " in first and "192.0.2.1:587 " in second
        assert take() == []

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        assert len(take()) == 1
    """
    )


def test_an_error_that_says_nothing_of_it_gets_a_note() -> None:
    python(
        """
    with in_force():
        try:
            socket.create_connection(("192.0.2.1", 25))
        except BlockedConnection as error:
            note(error)
            assert not hasattr(error, "__notes__")
        try:
            socket.create_connection(("192.0.2.1", 25))
        except BlockedConnection as error:
            other = OSError("no mail today")
            note(other)
            assert other.__notes__ == [str(error)]
        assert take() == []
    """
    )


# ---- in a test run

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    def run(tests: str, *arguments: str, ini: str = "smtpd_guard = true") -> pytest.RunResult:
        pytester.makeini(f"[pytest]\n{ini}\nasyncio_default_fixture_loop_scope = function\n")
        pytester.makepyfile(test_it=f"import smtplib, socket, pytest\n{dedent(tests)}")
        return pytester.runpytest_subprocess("-W", "error", "-p", "no:randomly", *arguments)

    return run


def test_a_test_that_would_mail_somebody_fails(run: Run) -> None:
    result = run(
        """
        def send():
            smtplib.SMTP("192.0.2.1", 25, timeout=1)

        def test_it(smtpd):
            send()
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *a connection to 192.0.2.1:25 was blocked, made by test_it.py:4 in send; " + ADVICE]
    )


def test_so_does_one_whose_application_swallows_the_error(run: Run) -> None:
    result = run(
        """
        def test_it():
            try:
                smtplib.SMTP("mail.invalid", 587)
            except Exception:
                pass

        def test_that_comes_after():
            pass
        """
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["smtpd_guard: a connection to mail.invalid:587 was blocked, made by test_it.py:5 in *"]
    )


def test_one_that_fails_or_skips_for_it_says_why(run: Run) -> None:
    result = run(
        """
        def try_it():
            try:
                smtplib.SMTP("192.0.2.1", 25)
            except Exception:
                return False

        def test_fails():
            assert try_it(), "not sent"

        def test_skips():
            if not try_it():
                pytest.skip("no mail server")
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *not sent*",
            "E *smtpd_guard: a connection to 192.0.2.1:25 was blocked, *",
            "smtpd_guard: a connection to 192.0.2.1:25 was blocked, *",
        ]
    )


def test_fixtures_and_unittest_are_guarded_too(run: Run) -> None:
    result = run(
        """
        import unittest

        def try_it():
            try:
                socket.create_connection(("192.0.2.1", 25))
            except AssertionError:
                pass

        @pytest.fixture
        def before():
            try_it()

        @pytest.fixture
        def after():
            yield
            try_it()

        def test_before(before):
            pass

        def test_after(after):
            pass

        class TestCase(unittest.TestCase):
            def test_it(self):
                try_it()
        """
    )
    result.assert_outcomes(errors=2, passed=1, failed=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_that_would_mail_somebody_fails_the_test(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(pytester.mkdir("letters")))
    result = run(
        """
        import multiprocessing, os

        def swallows():
            try:
                smtplib.SMTP("192.0.2.1", 25)
            except AssertionError:
                pass

        def closes_all_files_first():
            os.closerange(3, 100)
            swallows()

        def forks_again():
            in_a_child(swallows)

        def is_good():
            pass

        def in_a_child(target):
            child = multiprocessing.get_context("fork").Process(target=target)
            child.start()
            child.join()

        @pytest.mark.parametrize("target", [swallows, closes_all_files_first, forks_again, is_good])
        def test_it(target):
            in_a_child(target)

        def test_that_comes_after():
            pass
        """
    )
    result.assert_outcomes(failed=3, passed=2)
    result.stdout.fnmatch_lines(
        ["smtpd_guard: a connection to 192.0.2.1:25 was blocked, made by test_it.py:7 in swallows*"]
        * 3
    )
    assert not list((pytester.path / "letters").glob("smtpd-guard-*"))


def test_an_application_that_is_installed_is_named_with_its_caller(
    run: Run, pytester: pytest.Pytester
) -> None:
    library = pytester.mkdir("site-packages")
    (library / "mailer.py").write_text(
        "import smtplib\n\n\ndef send():\n    smtplib.SMTP('192.0.2.1', 25)\n"
    )
    result = run(
        """
        import mailer

        def test_it():
            mailer.send()
        """,
        ini="smtpd_guard = true\npythonpath = site-packages",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *made by *mailer.py:5 in send, called from test_it.py:6 in test_it; " + ADVICE]
    )


def test_asyncio_clients_are_named(run: Run) -> None:
    pytest.importorskip("aiosmtplib")
    result = run(
        """
        import aiosmtplib, asyncio

        async def send(host):
            client = aiosmtplib.SMTP(hostname=host, port=25, timeout=5)
            await client.connect()

        @pytest.mark.parametrize("host", ["192.0.2.1", "mail.invalid"])
        def test_it(host):
            asyncio.run(send(host))
        """
    )
    result.assert_outcomes(failed=2)
    for host in ("192.0.2.1", "mail.invalid"):
        result.stdout.fnmatch_lines([f"E *a connection to {host}:25 was blocked, made by *"])


def test_a_task_of_a_test_is_named(run: Run) -> None:
    pytest.importorskip("pytest_asyncio")
    result = run(
        """
        import asyncio

        async def send():
            await asyncio.open_connection("mail.invalid", 25)

        @pytest.mark.asyncio
        async def test_it():
            results = await asyncio.gather(send(), return_exceptions=True)
            assert len(results) == 1
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["smtpd_guard: a connection to mail.invalid:25 was blocked, made by test_it.py:6 in send;*"]
    )


def test_the_loopback_stays_open(run: Run) -> None:
    run(
        """
        def test_it(smtpd, monkeypatch):
            from pytest_smtpd.plugin import guard
            monkeypatch.setattr(guard, "PORTS", guard.PORTS | {smtpd.port})
            with smtplib.SMTP("localhost", smtpd.port) as client:
                client.sendmail("a@example.com", ["b@example.com"], "Subject: hello\\n\\n")
            assert len(smtpd.messages) == 1
        """
    ).assert_outcomes(passed=1)


def test_the_workers_of_xdist_are_guarded(run: Run) -> None:
    pytest.importorskip("xdist")
    run(
        """
        def test_it():
            with pytest.raises(AssertionError):
                smtplib.SMTP("192.0.2.1", 25, timeout=1)
        """,
        "-n1",
    ).assert_outcomes(failed=1)


def test_off_it_is_not_even_loaded(run: Run) -> None:
    run(
        """
        import sys

        def test_it():
            assert "pytest_smtpd.plugin.guard" not in sys.modules
        """,
        ini="",
    ).assert_outcomes(passed=1)


def test_a_value_that_is_no_boolean_is_a_usage_error(run: Run) -> None:
    result = run("def test_it(): pass", ini="smtpd_guard = maybe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *smtpd_guard*"])


def test_the_module_costs_asyncio_nothing_until_it_is_in_force() -> None:
    assert asyncio.base_events.BaseEventLoop.getaddrinfo.__module__ == "asyncio.base_events"
