"""``python -m pytest_smtpd`` as a process of its own."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from client import LIMIT
from pytest_smtpd._version import __version__
from pytest_smtpd.cli.run import main
from pytest_smtpd.options import OPTIONS

ERROR = "python -m pytest_smtpd: error: "
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    "PYTHONIOENCODING": "utf-8",
}

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-X", "dev", "-W", "error", "-m", "pytest_smtpd", *arguments]


class Program:
    """A running server; killed when it takes too long, so that no test hangs."""

    def __init__(self, directory: Path, *arguments: str, **options: Any) -> None:
        self.process: subprocess.Popen[str] = subprocess.Popen(
            command(*arguments),
            cwd=directory,
            env={**ENVIRONMENT, **options.pop("env", {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            **options,
        )
        self._timer = threading.Timer(2 * LIMIT, self.process.kill)
        self._timer.start()
        self.first = self.line()
        self.host, _, port = self.first.rpartition("/")[2].rpartition(":")
        self.port = int(port) if port.isdecimal() else 0

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().removesuffix("\n")

    def message(self) -> str:
        """What is printed next, to the end of a message whose text ends with `the end`."""
        lines = [self.line()]
        while lines[-2:] != ["    the end", ""] and self.process.poll() is None:
            lines.append(self.line())
        return "\n".join(lines)

    def stop(self, signal_number: int = signal.SIGINT) -> str:
        """Ends it as a user would; what it still printed."""
        self.process.send_signal(signal_number)
        out, err = self.process.communicate(timeout=LIMIT)
        assert err == ""
        assert self.process.returncode == 0
        return out

    def close(self) -> None:
        self._timer.cancel()
        self.process.kill()
        self.process.communicate()

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=LIMIT)

    def send(self, *mails: EmailMessage | bytes, to: str = "bob@example.net") -> None:
        with self.smtp() as client:
            for mail in mails:
                client.sendmail("ann@example.com", [to], bytes(mail))


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs = []

    def start(*arguments: str, **options: Any) -> Program:
        port = () if {"--port", "--unix-socket"} & set(arguments) else ("--port", "0")
        programs.append(Program(tmp_path, *port, *arguments, **options))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env={**ENVIRONMENT, **options.pop("env", {})},
        capture_output=True,
        encoding="utf-8",
        timeout=2 * LIMIT,
        check=False,
        **options,
    )


def mail(subject: str = "Welcome", text: str = "hello\nthe end\n", **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Ann <ann@example.com>"
    for name, value in headers.items():
        message[name] = value
    message.set_content(text)
    return message


def free_port() -> int:
    # Below those that systems give out for port 0, to other tests meanwhile
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


# ---- from the first line to the last


def test_the_first_line_says_where_it_listens(start: Start) -> None:
    port = free_port()
    program = start("--port", str(port))
    assert program.first == f"listening on smtp://127.0.0.1:{port}"
    with program.smtp() as client:
        assert client.noop()[0] == 250


def test_it_listens_on_2525_unless_told_otherwise() -> None:
    text = " ".join(run("--help").stdout.split())
    assert "the port to listen on; 0 takes a free one (default: 2525)" in text


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(start: Start, number: int) -> None:
    program = start()
    assert program.stop(number) == "stopped: 0 messages, 0 sessions, 0 refused\n"


@needs_signals
def test_the_summary_counts_messages_sessions_and_what_was_refused(start: Start) -> None:
    program = start("--reject-recipient", "nobody@*", "--reject-sender=eve@*=450 4.2.1 later")
    program.send(mail(), mail())
    with program.smtp() as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("ann@example.com", ["nobody@example.com"], b"")
        with pytest.raises(smtplib.SMTPSenderRefused, match="later"):
            client.sendmail("eve@example.com", ["bob@example.com"], b"")
    assert program.stop().endswith("\nstopped: 2 messages, 2 sessions, 2 refused\n")


@needs_signals
def test_pipelined_refusals_are_counted_one_by_one(start: Start) -> None:
    program = start("--reject-recipient", "nobody*@*")
    with socket.create_connection(("127.0.0.1", program.port), LIMIT) as client:
        file = client.makefile("rb")
        file.readline()
        client.sendall(b"EHLO me\r\n")
        while file.readline()[3:4] == b"-":
            pass
        client.sendall(
            b"MAIL FROM:<a@example.com>\r\nRCPT TO:<nobody1@example.com>\r\n"
            b"RCPT TO:<nobody2@example.com>\r\nQUIT\r\n"
        )
        assert len(file.read().splitlines()) == 4
        file.close()
    assert program.stop() == "stopped: 0 messages, 1 session, 2 refused\n"


@needs_signals
def test_open_sessions_do_not_keep_it(start: Start) -> None:
    program = start()
    with program.smtp() as client:
        client.ehlo()
        assert program.stop() == "stopped: 0 messages, 1 session, 0 refused\n"
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop(), client.noop()
        client.close()


@needs_signals
def test_mail_that_was_answered_250_is_shown_even_if_a_signal_follows_at_once(
    start: Start, tmp_path: Path
) -> None:
    program = start("--save", "kept")
    with program.smtp() as client:
        for number in range(50):
            client.sendmail("a@example.com", ["b@example.com"], bytes(mail(f"number {number}")))
        out = program.stop(signal.SIGTERM)
        client.close()
    assert out.count("    Subject: number ") == 50
    assert "stopped: 50 messages, 1 session, 0 refused\n" in out
    assert len(list((tmp_path / "kept").glob("*.eml"))) == 50


@needs_signals
def test_a_second_signal_does_no_harm(start: Start) -> None:
    program = start()
    with socket.create_connection(("127.0.0.1", program.port), LIMIT):
        program.process.send_signal(signal.SIGINT)
        assert program.stop(signal.SIGTERM).startswith("stopped: ")


@needs_signals
def test_a_reader_that_goes_away_ends_it_quietly(start: Start) -> None:
    program = start()
    process = program.process
    assert process.stdout is not None
    process.stdout.close()
    program.send(mail())
    process.wait(LIMIT)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stdout = None


@needs_signals
def test_without_a_stdout_it_runs_on(start: Start, tmp_path: Path) -> None:
    port = free_port()
    line = " ".join(command("--port", str(port), "--save", "kept"))
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {line} >&-"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:  # it cannot say that it listens
            try:
                smtplib.SMTP("127.0.0.1", port, timeout=LIMIT).quit()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
                time.sleep(0.01)
        process.terminate()
        assert process.communicate(timeout=LIMIT)[1] == b""
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


# ---- messages as they come


def test_a_message_is_shown_as_soon_as_it_came(start: Start) -> None:
    program = start()
    for number in (1, 2):
        program.send(mail("Grüße ☃", To="Bøb <bob@example.net>"))
        shown = program.message()
        assert shown.startswith(f"message {number}: ")
        assert "  MAIL FROM:<ann@example.com>\n  RCPT TO:<bob@example.net>\n" in shown
        assert "\n    Subject: Grüße ☃\n" in shown
        assert "\n    To: Bøb <bob@example.net>\n" in shown
        assert "\n    hello\n    the end\n" in shown


def test_bodies_are_decoded_and_attachments_listed(start: Start) -> None:
    program = start()
    message = mail(text="Schöne Grüße: " + "ä" * 100 + "\nthe end\n")
    message.add_alternative("<p>Schöne Grüße</p>", subtype="html")
    message.add_attachment(b"%PDF" * 500, "application", "pdf", filename="Rechnung März.pdf")
    message.add_attachment(b"x", "image", "png", disposition="inline", cid="<logo>")
    program.send(message, mail())
    shown = program.message() + program.message()
    assert "    Schöne Grüße: " + "ä" * 100 + "\n" in shown
    assert "  and an HTML body of 20 characters\n" in shown
    assert "\n  attachments:\n    Rechnung März.pdf  application/pdf, 2,000 octets\n" in shown
    assert "\n    (no name)  image/png, 1 octet, inline\n" in shown


def test_an_html_body_alone_is_shown_as_text_with_its_links(start: Start) -> None:
    program = start()
    message = mail()
    message.set_content(
        "<style>p {}</style><p>Hello <a href='https://shop.example/confirm?x=1'>confirm</a></p>",
        subtype="html",
    )
    program.send(message, mail())
    shown = program.message()
    assert "  the HTML body as text:\n    Hello confirm\n" in shown
    assert "  links:\n    https://shop.example/confirm?x=1\n" in shown
    assert "<style>" not in shown


def test_the_session_is_named(start: Start) -> None:
    pytest.importorskip("trustme")
    program = start("--tls=starttls", "--users", "ann:secret", "--require-auth", "--require-tls")
    _, _, ca_file = program.line().partition("TLS clients may trust ")
    with program.smtp() as client:
        client.starttls(context=ssl.create_default_context(cafile=ca_file))
        client.login("ann", "secret")
        client.sendmail("ann@example.com", ["bob@example.net"], bytes(mail()))
    assert program.message().partition("\n")[0].endswith(", from 127.0.0.1, TLSv1.3, user ann")


def test_a_hostile_mail_does_not_act_on_the_terminal(start: Start) -> None:
    program = start()
    evil = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f\u202e\u2066\u2028"
    message = mail(text=f"{evil}\nsecond\rstill second\nlistening on smtp://evil:1\nthe end\n")
    message["X-Evil"] = "=?utf-8?b?G1sySg==?="  # an encoded escape sequence
    message.add_attachment(b"", "text", "plain", filename=f"a{evil}.txt")
    program.send(message, mail())
    shown = program.message() + program.message()
    assert [c for c in shown if not c.isprintable() and c != "\n"] == []
    assert r"    \x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f\u202e\u2066\u2028" in shown
    assert r"    X-Evil: \x1b[2J" in shown
    assert "\nlistening on" not in shown  # all that a mail says is indented


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"\x00\xff\xfe\r\n\r\n\xff\x00",
        b"Subject: =?nope?q?x?=\r\nContent-Type: text/plain; charset=nope\r\n\r\n\xe4\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
        b"To: <\r\nMessage-ID: <a@[>\r\n\r\n",
        b"Subject: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
def test_a_broken_mail_does_not_stop_it(start: Start, raw: bytes) -> None:
    program = start()
    program.send(raw, mail("after it"))
    shown = program.message()
    assert "message 2: " in shown
    assert "Subject: after it" in shown
    assert len(shown) < 10_000


def test_what_is_long_is_shortened(start: Start) -> None:
    program = start()
    lines = [f"line {number}" for number in range(5_000)]
    message = mail(text="\n".join(["x" * 100_000, *lines, "the end", ""]))
    for number in range(80):
        message[f"X-{number}"] = "x"
    program.send(message)
    shown = program.message()
    assert len(shown) < 5_000
    assert "99,500" in shown or "99500 characters left out" in shown
    assert "lines left out" in shown
    assert "    line 0\n" in shown
    assert "more ...\n" in shown


def test_an_output_that_knows_no_umlauts_shows_escapes(start: Start) -> None:
    program = start(env={"PYTHONIOENCODING": "ascii"})
    program.send(mail("Grüße ☃"))
    assert r"Subject: Gr\xfc\xdfe \u2603" in program.message()


def test_strict_shows_problems_and_violations(start: Start) -> None:
    program = start("--strict", "--ignore", "missing-message-id")
    with socket.create_connection(("127.0.0.1", program.port), LIMIT) as client:
        client.recv(1000)
        client.sendall(b"HELO me\r\n")
        client.recv(1000)
    violation = [program.line(), program.line()]
    assert violation[0] == "session 1:"
    assert violation[1].startswith("  violation ")
    assert program.line() == ""
    program.send(mail())
    lines = [program.line()]
    while not lines[-1].startswith("  problem "):
        lines.append(program.line())
    assert lines[-1].startswith("  problem missing-date: ")


# ---- --save


def test_messages_are_saved_as_they_come_and_no_file_is_overwritten(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "0007.eml").write_bytes(b"before")
    (folder / "0099.txt").write_bytes(b"")
    (folder / "x0500.eml").write_bytes(b"")
    program = start("--save", "a/b")
    program.send(b"Subject: one\r\n\r\n..dot\r\n")
    line = program.line()
    while not line.startswith("  saved as "):
        line = program.line()
    assert line.endswith("0008.eml")
    assert (folder / "0008.eml").read_bytes() == b"Subject: one\r\n\r\n..dot\r\n"
    (folder / "0009.eml").write_bytes(b"another server's")
    program.send(b"Subject: two\r\n\r\nlast\r\n")
    line = program.line()
    while not line.startswith("  saved as "):
        line = program.line()
    assert (folder / "0010.eml").read_bytes() == b"Subject: two\r\n\r\nlast\r\n"
    assert (folder / "0007.eml").read_bytes() == b"before"
    assert (folder / "0009.eml").read_bytes() == b"another server's"


def test_the_directory_is_made(start: Start, tmp_path: Path) -> None:
    start("--save", str(tmp_path / "new" / "mail"))
    assert (tmp_path / "new" / "mail").is_dir()


@needs_signals
def test_a_message_that_cannot_be_saved_is_shown_nevertheless(start: Start, tmp_path: Path) -> None:
    program = start("--save", "mail")
    (tmp_path / "mail").rmdir()
    (tmp_path / "mail").write_bytes(b"")
    program.send(mail())
    assert "Subject: Welcome" in program.message()
    program.process.send_signal(signal.SIGTERM)
    out, err = program.process.communicate(timeout=LIMIT)
    assert "stopped: 1 message, " in out
    assert err.startswith("python -m pytest_smtpd: message 1 is not saved: ")
    assert err.count("\n") == 1
    assert program.process.returncode == 1


# ---- clients


@pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
@pytest.mark.parametrize("tls", [(), ("--tls",), ("--tls-on-connect",)])
def test_swaks_delivers(start: Start, tls: tuple[str, ...]) -> None:
    if tls:
        pytest.importorskip("trustme")
    server = {(): (), ("--tls",): ("--tls", "starttls")}.get(tls, ("--tls", "implicit"))
    program = start(*server, "--users", "ann:secret", "--require-auth")
    swaks = ["swaks", "--server", f"127.0.0.1:{program.port}", *tls, "--helo", "me.example"]
    swaks += ["--from", "ann@example.com", "--to", "bob@example.net,eve@example.net"]
    swaks += ["--auth", "PLAIN", "--auth-user", "ann", "--auth-password", "secret"]
    swaks += ["--body", "hello\nthe end", "--header", "Subject: from swaks"]
    done = subprocess.run(swaks, capture_output=True, timeout=2 * LIMIT, check=False)
    if b"requires" in done.stdout + done.stderr and done.returncode == 10:
        pytest.skip("swaks has no TLS here")
    assert done.returncode == 0, done.stdout
    shown = program.message()
    assert "  RCPT TO:<bob@example.net>\n  RCPT TO:<eve@example.net>\n" in shown
    assert "    Subject: from swaks\n" in shown
    assert "user ann" in shown


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
@needs_signals
def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    program = start("--unix-socket", "s")
    assert program.first == "listening on smtp+unix://s"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        assert client.recv(1000).startswith(b"220 ")
    program.stop()
    assert not (tmp_path / "s").exists()


# ---- options


def test_help_explains_every_option() -> None:
    text = " ".join(run("--help", env={"COLUMNS": "1000"}).stdout.split())
    for option in OPTIONS.values():
        flag = f"--{option.name.replace('_', '-')} "
        assert (flag in text) == (option.form is not None)
        if option.form is not None:
            assert option.hand_help in text
    assert "--tls none|starttls|implicit " in text
    assert "--strict [yes|no|violations|problems] " in text
    assert "|untrusted|CERTFILE,KEYFILE " in text
    assert "--timeout SECONDS " in text
    assert "--save DIR " in text


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"pytest-smtpd {__version__}\n")


def test_options_reach_the_server(start: Start) -> None:
    program = start(
        "--greeting_hostname", "mx.example",
        "--banner=by hand",
        "--without-extensions", "PIPELINING,SIZE",
        "--without_extensions", "DSN",
        "--max-recipients", "1",
        "--trace-headers",
        "--require-auth=no",
        "--reject-recipient", "a@*",
        "--reject_recipient", "b@*=550 5.1.1 no such user",
    )  # fmt: skip
    with program.smtp() as client:
        assert client.ehlo("me")[0] == 250
        assert b"mx.example" in (client.ehlo_resp or b"")
        assert not {"pipelining", "size", "dsn"} & client.esmtp_features.keys()
        client.mail("x@example.com")
        assert client.rcpt("a@example.com")[0] == 553
        assert client.rcpt("b@example.com") == (550, b"5.1.1 no such user")
        assert client.rcpt("c@example.com")[0] == 250
        assert client.rcpt("d@example.com")[0] == 452
        assert client.data(bytes(mail()))[0] == 250
    assert "    Return-Path: <x@example.com>\n" in program.message()


def test_no_limit_can_be_asked_for(start: Start) -> None:
    program = start("--max-size", "none")
    with program.smtp() as client:
        client.ehlo()
        assert client.esmtp_features["size"] in ("", "0")


def test_lmtp_and_all_interfaces(start: Start) -> None:
    program = start("--protocol", "lmtp", "--host", "")
    assert program.first == f"listening on smtp://127.0.0.1:{program.port}"
    with smtplib.LMTP("127.0.0.1", program.port) as client:
        client.sendmail("a@example.com", ["b@example.com"], bytes(mail()))
    assert "Subject: Welcome" in program.message()


# ---- errors


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--reject-sendr x", "unknown option --reject-sendr (did you mean '--reject-sender'?)"),
        ("--reject_sendr=x", "unknown option --reject_sendr (did you mean '--reject-sender'?)"),
        ("--usrs ann:secret", "unknown option --usrs (did you mean '--users'?)"),
        ("--por 25", "unknown option --por (did you mean '--port'?)"),
        ("-p 25", "unknown option -p; --help lists them"),
        ("2525", "unexpected argument '2525': options are --NAME VALUE"),
        (
            "--port smtp",
            "--port: smtpd option 'port': 'smtp' is not allowed: a whole number from 0 to 65535 "
            "is wanted",
        ),
        ("--port -1", "--port: smtpd option 'port': -1 is not allowed"),
        ("--port", "argument --port: expected one argument"),
        ("--tls startls", "'startls' is not allowed: one of None, 'starttls', 'implicit' is"),
        ("--require-tls", "smtpd option 'require_tls' needs 'tls', which is not set"),
        ("--require-auth maybe", "--require-auth: smtpd option 'require_auth': 'maybe' is not"),
        ("--users ann", "--users: smtpd option 'users': *** is not allowed: NAME:PASSWORD"),
        ("--without-extensions SIZ", "'SIZ' is none of PIPELINING, "),
        ("--ignore no-dat", "--ignore: smtpd option 'ignore': "),
        ("--reject-sender x=999", "--reject-sender: smtpd option 'reject_sender': "),
        ("--deliver x", "option --deliver has no text form: give it to pytest_smtpd.Server"),
    ],
)
def test_a_wrong_option_is_an_error_that_says_what_is_allowed(
    arguments: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    usage, text = err.splitlines()
    assert usage.startswith("usage: python -m pytest_smtpd ")
    assert text.startswith(ERROR)
    assert error in text


def test_a_wrong_option_ends_the_process_with_2() -> None:
    done = run("--qqq")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"\n{ERROR}unknown option --qqq; --help lists them\n")


def test_no_error_shows_a_password() -> None:
    for arguments in (("--user", "ann:s3cret"), ("--users", ":s3cret"), ("--users", "s3cret")):
        assert "s3cret" not in run(*arguments).stderr


def start_error(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(ERROR)
    return line.removeprefix(ERROR)


def test_a_port_in_use_is_an_error_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        error = start_error(run("--port", str(port)))
    assert error.startswith(f"cannot listen on 127.0.0.1:{port}: ")


@needs_signals
def test_a_privileged_port_is_an_error_in_one_line() -> None:
    limit = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not limit.exists() or int(limit.read_text()) < 1024:
        pytest.skip("no port is privileged here")
    line = command("--port", "26")
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may listen anywhere, and there is no setpriv")
        line = ["setpriv", "--bounding-set=-net_bind_service", *line]
    done = subprocess.run(
        line, env=ENVIRONMENT, capture_output=True, text=True, timeout=2 * LIMIT, check=False
    )
    assert start_error(done) == "cannot listen on 127.0.0.1:26: Permission denied"


def test_an_address_that_is_not_ours_is_an_error_in_one_line() -> None:
    assert start_error(run("--host", "192.0.2.1", "--port", "0")).startswith(
        "cannot listen on 192.0.2.1:0: "
    )


def test_a_directory_that_cannot_be_made_is_an_error_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for folder in (file, file / "mail"):
        error = start_error(run("--port", "0", "--save", str(folder)))
        assert error == f"--save: {file} is a file; a folder that can be written or made is wanted"


def test_tls_without_trustme_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "trustme.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    error = start_error(run("--port", "0", "--tls", "implicit", env={"PYTHONPATH": path}))
    assert error == "tls needs trustme: pip install 'pytest-smtpd-server[tls]'"


def test_a_certificate_that_is_not_there_is_an_error_in_one_line() -> None:
    error = start_error(run("--port", "0", "--tls", "implicit", "--certificate", "no.pem,no.key"))
    assert error.startswith("smtpd option 'certificate': cannot read 'no.pem'")
