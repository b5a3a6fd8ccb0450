"""Mail clients that others wrote, each behind one call: `deliver`.

The rule: a witness verifies certificates, reads no configuration of the machine's, and where it
is not installed its tests are skipped and say so.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import os
import shutil
import smtplib
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiosmtplib
import pytest

from auth_matrix import INITIAL, LATER
from client import LIMIT
from pytest_smtpd import Server

ROOT = Path(__file__).parent.parent
SENDER = "ann@example.com"
RECIPIENTS = ("bob@example.net", "carol@example.org")
HELLO = "client.example"


class Failed(Exception):
    """The client says that it could not deliver the mail, in its own words.

    `how` is the name of the exception it raised, or the exit status of the program.
    """

    def __init__(self, how: str | int, said: str) -> None:
        super().__init__(f"{how}: {said}")
        self.how = how


@dataclass
class Job:
    """What to deliver, where to, and how to authenticate, if at all."""

    server: Server
    directory: Path  # for files that a client needs
    message: bytes
    sender: str = SENDER
    recipients: Sequence[str] = RECIPIENTS
    mechanism: str | None = None
    begin: str = LATER
    user: str = "shop"
    password: str = ""
    timeout: float = LIMIT
    options: Sequence[str] = field(default=())  # more of them, for a command line

    @property
    def tls(self) -> str | None:
        return self.server.config.tls

    @property
    def lmtp(self) -> bool:
        return self.server.config.protocol == "lmtp"


def deliver(client: str, job: Job) -> None:
    """Lets a client deliver; raises `Failed` when it says that it failed."""
    require(client)
    if client == "swaks" and job.tls and not _perl_has_tls():
        pytest.skip("swaks speaks TLS only with Net::SSLeay (Debian: libnet-ssleay-perl)")
    _CLIENTS[client](job)


def require(client: str) -> None:
    """Skips the test where the client is not installed."""
    missing = _missing(client)
    if missing is not None:
        pytest.skip(missing)


@functools.cache
def _missing(client: str) -> str | None:
    if client in ("smtplib", "aiosmtplib"):
        return None
    if client == "nodemailer":
        node = _program("node")
        if node is None:
            return "node is not installed"
        found = subprocess.run(
            [node, "-e", "require.resolve('nodemailer')"],
            cwd=_node_directory(),
            capture_output=True,
            timeout=60,
        )
        return "node cannot resolve nodemailer" if found.returncode else None
    return None if _program(client) else f"{client} is not installed"


@functools.cache
def _program(name: str) -> str | None:
    # Debian's Postfix keeps its programs out of the PATH of a mere user.
    path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
    return shutil.which(name, path=path)


def _node_directory() -> Path:
    # .ci/run puts nodemailer there; node looks in the directories above it, too.
    directory = ROOT / ".tox" / "node"
    return directory if directory.is_dir() else ROOT


@functools.cache
def _perl_has_tls() -> bool:
    perl = _program("perl")
    if perl is None:
        return False
    return subprocess.run([perl, "-MNet::SSLeay", "-e", "1"], capture_output=True).returncode == 0


def run(
    job: Job, program: str, *arguments: str, stdin: bytes = b"", cwd: Path | None = None
) -> None:
    """Runs a client's program, without the user's and the machine's configuration of it."""
    path = _program(program)
    assert path is not None
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(job.directory),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        [path, *arguments],
        input=stdin,
        capture_output=True,
        env=environment,
        cwd=cwd or job.directory,
        timeout=60,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        raise Failed(done.returncode, said)


# ---- in Python


def _smtplib(job: Job) -> None:
    try:
        with _smtplib_connection(job) as client:
            if job.tls == "starttls":
                client.starttls(context=job.server.client_ssl_context())
            if job.mechanism:
                client.ehlo_or_helo_if_needed()
                client.user, client.password = job.user, job.password
                method = getattr(client, "auth_" + job.mechanism.lower().replace("-", "_"))
                client.auth(job.mechanism, method, initial_response_ok=job.begin == INITIAL)
            utf8 = not (job.sender + "".join(job.recipients)).isascii()
            options = ["BODY=8BITMIME"] * (not job.message.isascii()) + ["SMTPUTF8"] * utf8
            refused = client.sendmail(job.sender, job.recipients, job.message, options)
            if refused:
                raise Failed("refused", repr(refused))
    except (smtplib.SMTPException, OSError) as error:
        raise Failed(type(error).__name__, str(error)) from error


def _smtplib_connection(job: Job) -> smtplib.SMTP:
    host, port, timeout = job.server.host, job.server.port, job.timeout
    if job.lmtp:
        return smtplib.LMTP(host, port, HELLO, timeout=timeout)
    if job.tls == "implicit":
        context = job.server.client_ssl_context()
        return smtplib.SMTP_SSL(host, port, HELLO, timeout=timeout, context=context)
    return smtplib.SMTP(host, port, HELLO, timeout=timeout)


def _aiosmtplib(job: Job) -> None:
    async def send() -> None:
        async with aiosmtplib_session(job.server, timeout=job.timeout) as client:
            if job.mechanism:
                await client.ehlo()
                method = getattr(client, "auth_" + job.mechanism.lower().replace("-", ""))
                await method(job.user, job.password)
            utf8 = not (job.sender + "".join(job.recipients)).isascii()
            options = ["BODY=8BITMIME"] * (not job.message.isascii()) + ["SMTPUTF8"] * utf8
            refused, _ = await client.sendmail(
                job.sender, list(job.recipients), job.message, mail_options=options
            )
            if refused:
                raise Failed("refused", repr(refused))

    try:
        asyncio.run(send())
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Failed(type(error).__name__, str(error)) from error


@contextlib.asynccontextmanager
async def aiosmtplib_session(
    server: Server, timeout: float = LIMIT
) -> AsyncIterator[aiosmtplib.SMTP]:
    """A connected client, of which nothing is left behind."""
    client = aiosmtplib_client(server, timeout)
    transport: asyncio.BaseTransport | None = None
    try:
        async with client:
            transport = client.transport
            yield client
    finally:
        await closed(transport)


async def closed(transport: asyncio.BaseTransport | None) -> None:
    """Lets a loop end without an open socket: TLS would wait for the server's close_notify."""
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    for _ in range(5):
        await asyncio.sleep(0)


def aiosmtplib_client(
    server: Server, timeout: float = LIMIT, *, start_tls: bool = True
) -> aiosmtplib.SMTP:
    """A client of that server that is not connected yet."""
    tls, unix = server.config.tls, server.config.unix_socket
    return aiosmtplib.SMTP(
        hostname=None if unix else server.host,
        port=None if unix else server.port,
        socket_path=unix,
        local_hostname=HELLO,
        use_tls=tls == "implicit",
        start_tls=start_tls and tls == "starttls",
        tls_context=server.client_ssl_context() if tls else None,
        timeout=timeout,
    )


# ---- programs


def _swaks(job: Job) -> None:
    # What swaks sends is what it is given: the dots are doubled and the end marked here.
    data = job.message.replace(b"\r\n.", b"\r\n..") + b"."
    arguments = ["--no-data-fixup", "--data", "-", "--helo", HELLO, "--suppress-data"]
    arguments += ["--from", job.sender, "--to", ",".join(job.recipients)]
    arguments += ["--timeout", f"{max(1, round(job.timeout))}s"]
    if job.server.config.unix_socket:
        arguments += ["--socket", job.server.host]
    else:
        arguments += ["--server", job.server.host, "--port", str(job.server.port)]
    if job.lmtp:
        arguments += ["--protocol", "LMTP"]
    if job.tls:
        way = "--tls" if job.tls == "starttls" else "--tls-on-connect"
        arguments += [way, "--tls-verify", "--tls-ca-path", str(job.server.ca_file)]
    if job.mechanism:
        arguments += ["--auth", job.mechanism, "--auth-user", job.user]
        arguments += ["--auth-password", job.password]
    run(job, "swaks", *arguments, *job.options, stdin=data)


def _curl(job: Job) -> None:
    scheme = "smtps" if job.tls == "implicit" else "smtp"
    arguments = ["-q", "--silent", "--show-error", "--noproxy", "*", "--crlf"]
    arguments += ["--url", f"{scheme}://{job.server.host}:{job.server.port}/{HELLO}"]
    arguments += ["--mail-from", job.sender]
    for recipient in job.recipients:
        arguments += ["--mail-rcpt", recipient]
    arguments += ["--upload-file", "-", "--max-time", str(job.timeout)]
    if job.tls:
        arguments += ["--ssl-reqd", "--cacert", str(job.server.ca_file)]
    if job.mechanism:
        arguments += ["--user", f"{job.user}:{job.password}"]
        arguments += ["--login-options", f"AUTH={job.mechanism}"]
        if job.mechanism in ("XOAUTH2", "OAUTHBEARER"):
            arguments += ["--oauth2-bearer", job.password]
        if job.begin == INITIAL:
            arguments += ["--sasl-ir"]
    # with --crlf curl makes CRLF of LF
    stdin = job.message.replace(b"\r\n", b"\n")
    run(job, "curl", *arguments, *job.options, stdin=stdin)


def _msmtp(job: Job) -> None:
    lines = ["account default", f"host {job.server.host}", f"port {job.server.port or 24}"]
    if job.server.config.unix_socket:
        lines += [f"socket {job.server.host}"]
    lines += [f"from {job.sender}", f"domain {HELLO}", f"timeout {max(1, round(job.timeout))}"]
    lines += ["undisclosed_recipients off", f"protocol {'lmtp' if job.lmtp else 'smtp'}"]
    if job.tls:
        lines += ["tls on", f"tls_starttls {'on' if job.tls == 'starttls' else 'off'}"]
        lines += [f"tls_trust_file {job.server.ca_file}"]
    if job.mechanism:
        lines += [f"auth {job.mechanism.lower()}", f"user {job.user}", f"password {job.password}"]
    file = job.directory / "msmtprc"
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n", "utf-8")
    stdin = job.message.replace(b"\r\n", b"\n")
    run(job, "msmtp", "-C", str(file), *job.options, "--", *job.recipients, stdin=stdin)


def _smtp_source(job: Job) -> None:
    # Of several recipients it makes the names itself, so that it gets one.
    file = job.directory / "message"
    file.write_bytes(job.message.replace(b"\r\n", b"\n"))
    unix = job.server.config.unix_socket
    where = f"unix:{unix}" if unix else f"inet:{job.server.host}:{job.server.port}"
    arguments = ["-L"] * job.lmtp + ["-M", HELLO, "-f", job.sender, "-t", job.recipients[0]]
    run(job, "smtp-source", *arguments, "-F", str(file), *job.options, where)


_NODE_SCRIPT = """
const job = JSON.parse(require('fs').readFileSync(0));
const nodemailer = require('nodemailer');
if (job.ca) job.transport.tls = {ca: require('fs').readFileSync(job.ca)};
const raw = Buffer.from(job.message, 'base64');
nodemailer.createTransport(job.transport).sendMail({envelope: job.envelope, raw}).then(
  info => { process.exitCode = info.rejected.length ? 3 : 0; },
  error => { console.error(String(error)); process.exitCode = 2; },
);
"""


def _nodemailer(job: Job) -> None:
    transport: dict[str, object] = {
        "host": job.server.host,
        "port": job.server.port,
        "name": HELLO,
        "secure": job.tls == "implicit",
        "requireTLS": job.tls == "starttls",
        "lmtp": job.lmtp,
        "connectionTimeout": job.timeout * 1000,
        "greetingTimeout": job.timeout * 1000,
        "socketTimeout": job.timeout * 1000,
    }
    if job.mechanism == "XOAUTH2":
        token = {"type": "OAuth2", "user": job.user, "accessToken": job.password}
        transport["auth"] = token
    elif job.mechanism:
        transport["auth"] = {"user": job.user, "pass": job.password}
        transport["authMethod"] = job.mechanism
    task = {
        "transport": transport,
        "ca": str(job.server.ca_file) if job.tls else None,
        "envelope": {"from": job.sender, "to": list(job.recipients)},
        "message": base64.b64encode(job.message).decode(),
    }
    stdin = json.dumps(task).encode()
    run(job, "node", "-e", _NODE_SCRIPT, stdin=stdin, cwd=_node_directory())


_CLIENTS: dict[str, Callable[[Job], None]] = {
    "smtplib": _smtplib,
    "aiosmtplib": _aiosmtplib,
    "swaks": _swaks,
    "curl": _curl,
    "msmtp": _msmtp,
    "smtp-source": _smtp_source,
    "nodemailer": _nodemailer,
}
WITNESSES = tuple(_CLIENTS)
