"""TLS as a client meets it: STARTTLS, implicit TLS, certificates, and who speaks the wrong one."""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import inner_run
from client import LIMIT, TEXT, Client, connects, threads
from pytest_smtpd import Server
from pytest_smtpd.faults import Answer, Delay, Split, Throttle
from pytest_smtpd.serving import newcomers

trustme = pytest.importorskip("trustme")

BOUND = 2.0  # seconds: what docs/fixtures.md promises
TLS = ["starttls", "implicit"]


def shake_hands(
    client: Client, server: Server, context: ssl.SSLContext | None = None, name: str = "localhost"
) -> None:
    context = context or server.client_ssl_context()
    client.socket = context.wrap_socket(client.socket, server_hostname=name)


@contextlib.contextmanager
def encrypted(server: Server, context: ssl.SSLContext | None = None) -> Iterator[Client]:
    """A client past the handshake, and past the greeting where that comes after it."""
    implicit = server.config.tls == "implicit"
    with Client(server, greeting=not implicit) as client:
        if not implicit:
            assert client.ehlo().say("STARTTLS").startswith("220")
        shake_hands(client, server, context)
        if implicit:
            client.greeting = client.reply()
        yield client


def smtplib_deliver(server: Server, context: ssl.SSLContext, host: str = "localhost") -> None:
    if server.config.tls == "implicit":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            host, server.port, timeout=LIMIT, context=context
        )
    else:
        connection = smtplib.SMTP(host, server.port, timeout=LIMIT)
    with connection as client:
        if server.config.tls == "starttls":
            client.starttls(context=context)
        client.sendmail("ann@example.com", "bob@example.net", TEXT)


def codes(server: Server) -> list[str]:
    return [violation.code for session in server.sessions for violation in session.violations]


def wait_ended(server: Server) -> None:
    """Until the server is done with the client, which must not take as long as a time-out."""
    assert all(session.wait_closed() for session in server.sessions)


def wait_accepted(server: Server) -> None:
    """Until the server has taken in the first client, which says nothing of it."""
    deadline = time.monotonic() + LIMIT
    while not server.sessions:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def took(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


# ---- STARTTLS


def test_the_session_begins_anew() -> None:
    with Server(tls="starttls") as server, Client(server) as client:
        hello = client.say("EHLO before.example")
        assert "250-STARTTLS" in hello
        client.say("MAIL FROM:<eve@example.com>")
        client.say("RCPT TO:<eve@example.net>")
        assert client.say("STARTTLS").startswith("503 ")
        client.say("RSET")
        assert client.say("STARTTLS").startswith("220 2.0.0 ")
        shake_hands(client, server)
        (session,) = server.sessions
        for command in ("MAIL FROM:<eve@example.com>", "RCPT TO:<eve@example.net>", "DATA"):
            assert client.say(command).startswith("503 ")
        assert session.helo is None
        inside = client.say("EHLO inside.example")
        assert "STARTTLS" not in inside
        assert client.say("DATA").startswith("503 ")
        assert client.say("STARTTLS").startswith("503 ")
        assert client.deliver().startswith("250 ")
        client.quit()
    assert session.helo == "inside.example"
    assert session.tls is not None
    assert session.tls.version in ("TLSv1.2", "TLSv1.3")
    assert session.tls.cipher
    message = server.messages.one()
    assert (message.sender, message.recipients) == ("ann@example.com", ("bob@example.net",))


def test_who_logged_in_is_forgotten() -> None:
    with Server(tls="starttls", users="any") as server, Client(server) as client:
        client.ehlo()
        assert client.say("AUTH PLAIN AGEAYg==").startswith("235")
        assert server.sessions[0].user == "a"
        assert client.say("STARTTLS").startswith("220")
        shake_hands(client, server)
        assert "AUTH PLAIN" in client.say("EHLO client.example")
        assert server.sessions[0].user is None
        assert client.say("AUTH PLAIN AGMAZA==").startswith("235")
        client.quit()
    assert server.sessions[0].user == "c"


@pytest.mark.parametrize("pieces", [1, 2], ids=["one-segment", "two-segments"])
def test_what_is_injected_before_the_handshake_is_thrown_away(pieces: int) -> None:
    injected = b"EHLO evil.example\r\nMAIL FROM:<eve@example.com>\r\n"
    with Server(tls="starttls") as server, Client(server) as client:
        client.ehlo()
        client.send(b"STARTTLS\r\n" + injected if pieces == 1 else b"STARTTLS\r\nRSET\r\nRSET\r\n")
        assert client.reply().startswith("220 ")
        shake_hands(client, server)
        # Had anything been carried out, this would get the reply to that.
        assert client.say("RCPT TO:<bob@example.net>").startswith("503 ")
        assert client.ehlo("inside.example").deliver().startswith("250 ")
        client.quit()
    assert server.messages.one().sender == "ann@example.com"
    assert "starttls-injection" in codes(server)
    assert "evil.example" not in str(server.sessions[0])


def test_pipelined_inside() -> None:
    with Server(tls="starttls") as server, encrypted(server) as client:
        client.ehlo()
        client.send("MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        client.send(f"{TEXT}.\r\nQUIT\r\n")
        assert [client.reply()[:3] for _ in range(2)] == ["250", "221"]
    assert codes(server) == []
    assert len(server.messages) == 1


def test_the_first_command_in_the_flight_of_the_handshake() -> None:
    # TLS 1.3 lets a client send with its Finished: it must not be lost, nor be taken for clear.
    with Server(tls="starttls") as server, Client(server) as client:
        client.ehlo()
        assert client.say("STARTTLS").startswith("220")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server.client_ssl_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        client.send(outgoing.read())
        while True:
            incoming.write(client.socket.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        tls.write(b"EHLO inside.example\r\nNOOP\r\n")
        client.send(outgoing.read())
        said = b""
        while b"250 2.0.0" not in said:
            incoming.write(client.socket.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                said += tls.read(65536)
    assert b"250-localhost" in said
    assert server.sessions[0].helo == "inside.example"


def test_required() -> None:
    refusal = "530 5.7.0 Must issue a STARTTLS command first"
    with Server(tls="starttls", require_tls=True) as server:
        with Client(server) as client:
            client.ehlo()
            assert client.say("MAIL FROM:<ann@example.com>") == refusal
            client.quit()
        with encrypted(server) as client:
            assert client.ehlo().deliver().startswith("250 ")
    assert len(server.messages) == 1


@pytest.mark.parametrize("option", ["require_tls", "auth_requires_tls"])
def test_implicit_tls_satisfies(option: str) -> None:
    with Server(tls="implicit", users="any", **{option: True}) as server:
        assert server.url == f"smtps://127.0.0.1:{server.port}"
        with encrypted(server) as client:
            assert client.greeting.startswith("220 localhost ")
            client.ehlo()
            assert client.say("AUTH PLAIN AGEAYg==").startswith("235")
            assert client.deliver().startswith("250 ")
            client.quit()
    assert codes(server) == []


def test_auth_only_inside() -> None:
    server = Server(tls="starttls", users="any", auth_requires_tls=True)
    with server, Client(server) as client:
        assert "AUTH" not in client.say("EHLO client.example")
        assert client.say("AUTH PLAIN AGEAYg==").startswith("538 5.7.11")
        assert client.say("STARTTLS").startswith("220")
        shake_hands(client, server)
        assert "AUTH" in client.say("EHLO client.example")
        assert client.say("AUTH PLAIN AGEAYg==").startswith("235")


@pytest.mark.parametrize("tls", TLS)
def test_much_in_both_directions(tls: str) -> None:
    text = "".join(f"{n} {'x' * 900}\r\n" for n in range(2000))
    with Server(tls=tls) as server, encrypted(server) as client:
        client.ehlo().deliver(text)
        client.send("NOOP\r\n" * 2000 + "QUIT\r\n")
        assert len(client.rest().splitlines()) == 2001
    assert server.messages.one().raw == text.encode()
    assert server.sessions[0].ended_by == "quit"


def test_an_older_version() -> None:
    with Server(tls="starttls") as server:
        context = server.client_ssl_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        smtplib_deliver(server, context)
    session = server.messages.one().session
    assert session is not None
    assert session.tls is not None
    assert session.tls.version == "TLSv1.2"


# ---- the wrong kind


@pytest.mark.parametrize("tls", [None, "starttls"])
def test_tls_on_a_plain_port_ends_at_once(tls: str | None) -> None:
    with Server(tls=tls) as server:
        context = ssl.create_default_context()
        with pytest.raises((ssl.SSLError, ConnectionError, smtplib.SMTPException)):
            smtplib.SMTP_SSL(server.host, server.port, timeout=LIMIT, context=context)
        wait_ended(server)
        assert connects(server)
    assert codes(server) == ["tls-on-plain-port"]
    assert "spoke TLS to a port that speaks plain SMTP" in str(server.sessions[0])


def test_tls_in_the_middle_of_a_plain_session() -> None:
    # A client that forgets the command STARTTLS.
    with Server(tls="starttls") as server, Client(server) as client:
        client.ehlo()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shake_hands(client, server)
        wait_ended(server)
    assert codes(server) == ["tls-on-plain-port"]


@pytest.mark.parametrize(
    "said", [b"EHLO client.example\r\n", b"E", b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff"]
)
def test_plain_text_on_a_tls_port_ends_at_once(said: bytes) -> None:
    with Server(tls="implicit") as server:
        with Client(server, greeting=False) as client:
            client.send(said)
            with contextlib.suppress(ConnectionError):
                assert client.rest() == b""
            wait_ended(server)
        smtplib_deliver(server, server.client_ssl_context())
    assert codes(server) == ["plain-on-tls-port"]
    assert server.sessions[0].ended_by == "server"
    assert "spoke plain text to a port that speaks TLS" in str(server.sessions[0])


def test_plain_text_after_starttls_ends_at_once() -> None:
    with Server(tls="starttls") as server, Client(server) as client:
        client.ehlo()
        assert client.say("STARTTLS").startswith("220")
        client.send("EHLO client.example\r\n")
        with contextlib.suppress(ConnectionError):
            client.rest()
        wait_ended(server)
        assert connects(server)
    assert codes(server) == ["plain-on-tls-port"]
    assert server.sessions[0].ended_by == "server"


def test_a_client_that_waits_for_a_greeting_on_a_tls_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newcomers, "FIRST_OCTET_TIMEOUT", 0.05)
    with Server(tls="implicit") as server:
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            smtplib.SMTP(server.host, server.port, timeout=LIMIT)
        wait_ended(server)
    assert codes(server) == ["plain-on-tls-port"]


def test_silence_on_a_tls_port_ends_with_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "FIRST_OCTET_TIMEOUT", 2 * LIMIT)
    with Server(tls="implicit", timeout=0.1) as server:
        with Client(server, greeting=False) as client:
            assert client.rest() == b""
        wait_ended(server)
    assert server.sessions[0].ended_by == "timeout"


def test_a_probe_of_a_tls_port_is_no_violation() -> None:
    with Server(tls="implicit") as server:
        Client(server, greeting=False).close()
        smtplib_deliver(server, server.client_ssl_context())
    wait_ended(server)
    assert codes(server) == []
    assert len(server.sessions) == 2


@pytest.mark.parametrize("tls", TLS)
def test_a_client_that_is_silent_in_the_handshake(
    tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "FIRST_OCTET_TIMEOUT", LIMIT)
    with Server(tls=tls) as server, Client(server, greeting=tls == "starttls") as client:
        if tls == "starttls":
            client.ehlo()
        else:
            wait_accepted(server)  # the time-out must not yet hold for the first octet
        server.configure(timeout=0.1)
        with contextlib.suppress(ConnectionError):
            if tls == "starttls":
                client.say("STARTTLS")
            client.send(b"\x16\x03\x01\x02")
            client.rest()
        wait_ended(server)
    assert server.sessions[0].ended_by == "timeout"
    assert codes(server) == []


# ---- certificates


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize(
    ("kind", "code"), [("expired", 10), ("not-yet-valid", 9), ("wrong-host", 62), ("untrusted", 20)]
)
def test_a_bad_certificate_is_the_servers_fault(kind: str, code: int, tls: str) -> None:
    with Server(tls=tls, certificate=kind) as server:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            smtplib_deliver(server, server.client_ssl_context())
        wait_ended(server)
    assert caught.value.verify_code == code
    assert server.messages == []
    assert codes(server) == []
    assert server.sessions[0].ended_by == "client"
    assert "TLS handshake failed" in str(server.sessions[0])


TRUST = "; does the client trust smtpd.ca_file? smtpd.client_ssl_context() does)"


@pytest.mark.parametrize("tls", TLS)
def test_the_transcript_asks_a_client_that_trusts_nobody_for_the_ca(tls: str) -> None:
    with Server(tls=tls) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            smtplib_deliver(server, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        wait_ended(server)
    assert "(TLS handshake failed: " in str(server.sessions[0])
    assert str(server.sessions[0]).endswith(TRUST)


def send_a_wrong_handshake(server: Server) -> None:
    """A TLS record whose handshake message has no known type; then waits for the end."""
    with socket.create_connection(server.address) as client:
        client.settimeout(LIMIT)
        client.sendall(b"\x16\x03\x01\x00\x05\xff\x00\x00\x01\x00")
        with contextlib.suppress(ConnectionError):
            while client.recv(1024):
                pass


def test_the_transcript_says_no_more_of_what_trust_does_not_mend() -> None:
    with Server(tls="implicit") as server:
        send_a_wrong_handshake(server)
        wait_ended(server)
    assert "(TLS handshake failed: " in str(server.sessions[0])
    assert "trust" not in str(server.sessions[0])


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_valid_under_strict_checks(host: str, tls: str) -> None:
    with Server(tls=tls) as server:
        context = server.client_ssl_context()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        smtplib_deliver(server, context, host)
        own = ssl.create_default_context(cafile=str(server.ca_file))
        own.verify_flags |= ssl.VERIFY_X509_STRICT
        smtplib_deliver(server, own, host)
    assert len(server.messages) == 2
    assert codes(server) == []


def test_valid_for_the_greeting_hostname() -> None:
    server = Server(tls="implicit", greeting_hostname="mx.example.org")
    with server, Client(server, greeting=False) as client:
        shake_hands(client, server, name="mx.example.org")
        assert client.reply().startswith("220 mx.example.org ")


@pytest.mark.parametrize("tls", TLS)
def test_the_ca_is_not_trusted_by_the_machine(tls: str) -> None:
    with Server(tls=tls) as server, pytest.raises(ssl.SSLCertVerificationError):
        smtplib_deliver(server, ssl.create_default_context())
    assert codes(server) == []


@pytest.fixture
def own_ca() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def own_pair(own_ca: trustme.CA, tmp_path: Path) -> tuple[str, str]:
    leaf = own_ca.issue_cert("localhost")
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    leaf.private_key_pem.write_to_path(str(keyfile))
    certfile.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    return str(certfile), str(keyfile)


@pytest.mark.parametrize("tls", TLS)
def test_an_own_pair(own_pair: tuple[str, str], tls: str) -> None:
    with Server(tls=tls, certificate=own_pair) as server:
        assert server.ca_file == Path(own_pair[0])
        smtplib_deliver(server, server.client_ssl_context())
    assert len(server.messages) == 1


@pytest.mark.parametrize("tls", TLS)
def test_an_own_context_wins(own_pair: tuple[str, str], own_ca: trustme.CA, tls: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*own_pair)
    with Server(tls=tls, ssl_context=context, certificate="expired") as server:
        assert server.ca_file is None
        trusting = ssl.create_default_context()
        own_ca.configure_trust(trusting)
        smtplib_deliver(server, trusting)
    assert len(server.messages) == 1


@pytest.mark.parametrize("tls", TLS)
def test_client_certificates(own_pair: tuple[str, str], own_ca: trustme.CA, tls: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*own_pair)
    context.verify_mode = ssl.CERT_REQUIRED
    own_ca.configure_trust(context)
    with Server(tls=tls, ssl_context=context, certificate=own_pair) as server:
        with pytest.raises((ssl.SSLError, ConnectionError, smtplib.SMTPServerDisconnected)):
            smtplib_deliver(server, server.client_ssl_context())
        wait_ended(server)
        assert server.messages == []
        known = server.client_ssl_context()
        own_ca.issue_cert("ann@example.com").configure_cert(known)
        smtplib_deliver(server, known)
    assert len(server.messages) == 1
    assert codes(server) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"certificate": "expird"}, "expired"),
        ({"certificate": ("nowhere.pem", "nowhere.key")}, "nowhere.pem"),
    ],
)
def test_what_cannot_be_used_is_an_error_before_the_start(
    options: dict[str, object], text: str
) -> None:
    before = threads()
    with pytest.raises(ValueError, match=text):
        Server(tls="starttls", **options).start()
    assert threads() <= before


# ---- in a process of its own


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_ssl_cert_file_is_all_that_an_application_needs() -> None:
    application = """
        import os, smtplib, ssl
        with smtplib.SMTP("localhost", int(os.environ["PORT"]), timeout=20) as client:
            client.starttls(context=ssl.create_default_context())
            client.sendmail("ann@example.com", "bob@example.net", "Subject: hi\\n\\n")
    """
    with Server(tls="starttls") as server:
        done = run(application, PORT=str(server.port), SSL_CERT_FILE=str(server.ca_file))
        assert (done.returncode, done.stderr) == (0, "")
        refused = run(application, PORT=str(server.port))
        assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    assert len(server.messages) == 1


WITHOUT_TRUSTME = "import sys; sys.modules['trustme'] = None\n"


def test_without_trustme_the_error_says_what_to_install() -> None:
    done = run(
        WITHOUT_TRUSTME
        + textwrap.dedent("""
        import threading
        from pytest_smtpd import Server
        server = Server(tls="starttls")
        try:
            server.start()
        except RuntimeError as error:
            print(error)
        print(threading.active_count(), server.stopped.is_set())
        """)
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "tls needs trustme: pip install 'pytest-smtpd-server[tls]'",
        "1 True",
    ]


def test_without_trustme_it_is_a_setup_error(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(WITHOUT_TRUSTME)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.smtpd(tls="starttls")
        def test_it(smtpd): ...

        def test_plain(smtpd): ...
        """
    )
    result = inner_run.run(pytester)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_it*",
            "*tls needs trustme: pip install 'pytest-smtpd-server?tls?'",
        ]
    )


def test_an_own_pair_needs_no_trustme(own_pair: tuple[str, str]) -> None:
    done = run(
        WITHOUT_TRUSTME
        + textwrap.dedent(f"""
        import smtplib
        from pytest_smtpd import Server
        with Server(tls="implicit", certificate={own_pair!r}) as server:
            context = server.client_ssl_context()
            smtplib.SMTP_SSL("localhost", server.port, context=context).quit()
        """)
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_who_uses_no_tls_pays_nothing() -> None:
    # asyncio itself imports ssl; before a server is started there is neither.
    done = run(
        """
        import sys
        import pytest_smtpd.plugin
        print({"ssl", "asyncio", "trustme", "pytest_smtpd.tls"} & set(sys.modules))
        from pytest_smtpd import Server
        with Server() as server:
            assert server.ca_file is None
        print({"trustme", "cryptography", "pytest_smtpd.tls"} & set(sys.modules))
        """
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["set()", "set()"]


# ---- stop and restart


def test_restarted_with_tls_on_the_same_port() -> None:
    server = Server().start()
    port = server.port
    with pytest.raises(ValueError, match="'tls' cannot change while the server runs"):
        server.configure(tls="implicit")
    for tls in ("implicit", "starttls", None):
        server.stop()
        server.configure(tls=tls)
        server.start()
        assert server.port == port
        if tls is None:
            with Client(server) as client:
                client.ehlo().deliver()
                client.quit()
        else:
            smtplib_deliver(server, server.client_ssl_context())
    server.stop()
    assert len(server.messages) == 3
    assert [session.tls is None for session in server.sessions] == [False, False, True]


@pytest.mark.parametrize("tls", TLS)
def test_a_stop_says_goodbye_through_tls(tls: str) -> None:
    before = threads()
    server = Server(tls=tls).start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(encrypted(server)) for _ in range(10)]
        for client in clients[5:]:
            client.ehlo().begin()
            client.send("Subject: never ended\r\n")
        assert took(server.stop) < BOUND
        for client in clients:
            assert client.reply().startswith("421 ")
            assert client.reply() == ""
    assert {session.ended_by for session in server.sessions} == {"server"}
    assert all(session.wait_closed(0) for session in server.sessions)
    assert threads() <= before
    assert server.messages == []


@pytest.mark.parametrize("octets", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
@pytest.mark.parametrize("tls", TLS)
def test_a_stop_in_the_middle_of_a_handshake(tls: str, octets: bytes) -> None:
    before = threads()
    server = Server(tls=tls).start()
    with Client(server, greeting=tls == "starttls") as client:
        if tls == "starttls":
            assert client.ehlo().say("STARTTLS").startswith("220")
        client.send(octets)
        assert took(server.stop) < BOUND
        with contextlib.suppress(ConnectionError):
            assert client.rest() == b""
    (session,) = server.sessions
    assert session.wait_closed(0)
    assert session.ended_by == "server"
    assert session.violations == []
    assert threads() <= before
    assert not connects(server)


def test_a_client_that_does_not_read_keeps_no_stop_waiting() -> None:
    server = Server(tls="implicit").start()
    with encrypted(server) as client:
        client.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ssl.SSLError):
            for _ in range(200):
                client.send("HELP\r\n" * 500)
        assert took(server.stop) < BOUND


@pytest.mark.parametrize("tls", TLS)
def test_a_client_that_goes_without_a_word(tls: str) -> None:
    with Server(tls=tls) as server:
        with encrypted(server) as client:
            client.ehlo().begin()
            client.send("Subject: half\r\n")
        # the socket is closed without TLS's close_notify
        wait_ended(server)
    assert server.messages == []
    assert codes(server)[:2] == ["no-quit", "unfinished-message"]
    assert server.sessions[0].ended_by == "client"


@pytest.mark.parametrize("tls", TLS)
def test_a_clean_end_of_tls(tls: str) -> None:
    with Server(tls=tls) as server, encrypted(server) as client:
        client.ehlo().deliver()
        assert client.say("QUIT").startswith("221 ")
        assert isinstance(client.socket, ssl.SSLSocket)
        client.socket.unwrap().close()
    assert server.sessions[0].ended_by == "quit"
    assert codes(server) == []


def test_no_socket_is_left_open_by_a_failed_handshake() -> None:
    with Server(tls="implicit") as server:
        for _ in range(5):
            send_a_wrong_handshake(server)
        wait_ended(server)
    assert len(server.sessions) == 5
    assert all("TLS handshake failed" in str(session) for session in server.sessions)


def test_a_throttled_client_may_encrypt() -> None:
    with Server(tls="starttls", faults=[Throttle(200_000)]) as server, encrypted(server) as client:
        assert client.ehlo().deliver().startswith("250")
        assert len(server.messages) == 1


def test_a_handshake_that_never_comes_is_ended_without_a_word() -> None:
    with Server(tls="starttls") as server, Client(server) as client:
        client.ehlo()
        server.configure(timeout=0.1)
        assert client.say("STARTTLS").startswith("220")
        assert client.rest() == b""
        session = server.sessions[0]
        assert session.wait_closed(LIMIT)
        assert session.ended_by == "timeout"
        assert "S: 421" not in str(session)


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"deliver_mime": lambda message: time.sleep(0.1)},
        {"faults": [Delay(0.1, on="quit")]},
        {"faults": [Split(1, on="message")]},
        {"faults": [Answer("250 OK", on="noop")]},
    ],
    ids=["at-once", "callback", "delay", "split", "another-fault"],
)
def test_a_client_that_ends_its_side_gets_what_is_due(tls: str, options: dict[str, Any]) -> None:
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    with Server(tls=tls, **options) as server, Client(server, greeting=tls == "starttls") as client:
        if tls == "starttls":
            assert client.ehlo().say("STARTTLS").startswith("220")
        client.came = b""
        wire = server.client_ssl_context().wrap_bio(come, go, server_hostname="localhost")
        shaken = False
        while not shaken:
            try:
                wire.do_handshake()
                shaken = True
            except ssl.SSLWantReadError:
                client.send(go.read())
                come.write(client.socket.recv(65536))
        lines = ("EHLO me", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
        wire.write("\r\n".join([*lines, f"{TEXT}.", "QUIT", ""]).encode())
        with contextlib.suppress(ssl.SSLWantReadError):  # which would be the server's goodbye
            wire.unwrap()
        client.send(go.read())
        while data := client.socket.recv(65536):
            come.write(data)
        said = b""
        with contextlib.suppress(ssl.SSLError):  # the end
            while data := wire.read():
                said += data
        assert b"\r\n221 " in said
        assert len(server.messages) == 1
