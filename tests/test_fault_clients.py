"""Real clients on a server that misbehaves: each reacts as its documentation says.

First all that a server can do to aiosmtplib, at each stage; then the recipes of the page on faults.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiosmtplib
import pytest

from client import LIMIT
from pytest_smtpd import Message, Server
from pytest_smtpd.faults import (
    STAGES,
    Answer,
    Delay,
    Drop,
    Fault,
    Hold,
    Raw,
    Split,
    Stall,
    Throttle,
)
from witnesses import (
    SENDER,
    Failed,
    Job,
    aiosmtplib_client,
    aiosmtplib_session,
    closed,
    deliver,
)

SHORT = 0.1  # seconds of patience with the one command that a client is to lose it over
IMPATIENCE = 1.0  # the same for a whole session, in which the other replies must come in time
RECIPIENT = "bob@example.net"
MESSAGE = (
    b"Date: Wed, 04 Mar 2026 09:00:00 +0000\r\nFrom: ann@example.com\r\n"
    b"Message-ID: <1@example.com>\r\nSubject: hello\r\n\r\nhello\r\n"
)
BIG = MESSAGE + b"".join(b"%60d\r\n" % n for n in range(5000))

Client = aiosmtplib.SMTP
each_stage = pytest.mark.parametrize("stage", STAGES)
# Where 250 is the reply that a client waits for.
WANTS_250 = ("helo", "mail", "rcpt", "message", "rset", "noop")


def fault_server(*faults: Fault, stage: str = "") -> Server:
    # STARTTLS is offered only where it is the matter: otherwise a password in clear is rude.
    return Server(faults=faults, users="any", tls="starttls" if stage == "starttls" else None)


async def reach(client: Client, stage: str, patience: float) -> aiosmtplib.SMTPResponse:
    """Says what leads to a stage, then the command of the stage: its reply, if soon enough."""
    commands: dict[str, Callable[[], Awaitable[aiosmtplib.SMTPResponse]]] = {
        "connect": client.connect,
        "helo": client.ehlo,
        "starttls": client.starttls,
        "auth": lambda: client.auth_plain("shop", "s3cret"),
        "mail": lambda: client.mail(SENDER),
        "rcpt": lambda: client.rcpt(RECIPIENT),
        "data": lambda: client.data(MESSAGE),
        "message": lambda: data_and_message(client, patience),
        "rset": client.rset,
        "noop": client.noop,
        "quit": client.quit,
    }
    before = ["connect", "helo", "mail", "rcpt"]
    before = before[: {"connect": 0, "helo": 1, "rcpt": 3, "data": 4, "message": 4}.get(stage, 2)]
    for each in before:
        await commands[each]()
    client.timeout = patience
    return await commands[stage]()


async def data_and_message(client: Client, patience: float) -> aiosmtplib.SMTPResponse:
    """`data` waits for two replies: the one to DATA must come in time on a busy machine as well."""
    assert client.protocol is not None
    read, patiences = client.protocol.read_response, iter((LIMIT, patience))

    def read_response(timeout: float | None = None) -> Awaitable[aiosmtplib.SMTPResponse]:
        return read(timeout=next(patiences))

    client.protocol.read_response = read_response  # type: ignore[method-assign]
    return await client.data(MESSAGE)


def at_stage(server: Server, stage: str, patience: float = LIMIT) -> aiosmtplib.SMTPResponse:
    async def go() -> aiosmtplib.SMTPResponse:
        client = aiosmtplib_client(server, start_tls=False)
        try:
            return await reach(client, stage, patience)
        finally:
            transport = client.transport
            client.close()
            await closed(transport)

    return asyncio.run(go())


# ---- aiosmtplib, at each stage


@each_stage
def test_no_fault(stage: str) -> None:
    with fault_server(stage=stage) as server:
        assert 200 <= at_stage(server, stage).code < 300


@each_stage
def test_a_delay_that_the_client_waits_out(stage: str) -> None:
    delay = Delay(0.01, on=stage)
    with fault_server(delay, stage=stage) as server:
        assert 200 <= at_stage(server, stage).code < 300
        assert server.hits(delay) == 1


@each_stage
@pytest.mark.parametrize(
    "fault",
    [
        lambda stage: Delay(LIMIT, on=stage),
        lambda stage: Stall(on=stage),
        lambda stage: Hold(on=stage),
        lambda stage: Raw(b"", on=stage),
        lambda stage: Raw(b"250 half a rep", on=stage),
        lambda stage: Raw(b"250-more will co", on=stage),
    ],
    ids=["long-delay", "stall", "hold", "nothing", "half-a-line", "half-a-reply"],
)
def test_a_time_out(fault: Callable[[str], Fault], stage: str) -> None:
    silent = fault(stage)
    with fault_server(silent, stage=stage) as server:
        with pytest.raises(aiosmtplib.SMTPTimeoutError):
            at_stage(server, stage, SHORT)
        deadline = time.monotonic() + LIMIT
        while not server.hits(silent):  # a server out of breath may not have seen it yet
            assert time.monotonic() < deadline
            time.sleep(0.001)
    assert server.hits(silent) == 1
    assert server.messages == []


@each_stage
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_a_disconnect(stage: str, reset: bool) -> None:
    with fault_server(Drop(on=stage, reset=reset), stage=stage) as server:
        if stage == "quit" and reset:
            at_stage(server, stage)  # a lost connection is what the client asked for
        else:
            with pytest.raises((aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPConnectError)):
                at_stage(server, stage)
    assert server.messages == []
    assert server.sessions[0].ended_by == "fault"


@each_stage
@pytest.mark.parametrize("reply", ["421 4.3.2 Closing", "454 4.7.0 Not now", "550 5.7.1 Never"])
def test_a_refusal(stage: str, reply: str) -> None:
    with fault_server(Answer(reply, on=stage), stage=stage) as server:
        with pytest.raises(aiosmtplib.SMTPResponseException) as caught:
            at_stage(server, stage)
        assert caught.value.code == int(reply[:3])
        assert caught.value.message.endswith(reply[4:])
        if caught.value.code == 421:
            assert server.sessions[0].wait_closed()
            assert server.sessions[0].ended_by == "fault"
    assert server.messages == []


@each_stage
@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\r\n",
        b"\xff\xfe\x00\r\n",
        b"ok\r\n",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"250-one\r\ntwo\r\n",
        [b"2", b"5x\r", b"\n"],
    ],
    ids=["ssh", "empty-line", "binary", "no-code", "http", "in-a-reply", "in-pieces"],
)
def test_garbage(stage: str, data: bytes | list[bytes]) -> None:
    with (
        fault_server(Raw(data, on=stage), stage=stage) as server,
        pytest.raises(aiosmtplib.SMTPResponseException) as caught,
    ):
        at_stage(server, stage)
    assert caught.value.code == aiosmtplib.SMTPStatus.invalid_response
    assert server.messages == []


@each_stage
@pytest.mark.parametrize("piece", [b"250-more\r\n", b"2" * 1000], ids=["lines", "one-line"])
def test_an_endless_reply(stage: str, piece: bytes) -> None:
    with fault_server(Raw(itertools.repeat(piece), on=stage), stage=stage) as server:
        with pytest.raises(aiosmtplib.SMTPResponseException) as caught:
            at_stage(server, stage)
        assert caught.value.code == aiosmtplib.SMTPStatus.invalid_response
        assert server.sessions[0].wait_closed()


@pytest.mark.parametrize("stage", WANTS_250)
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"250-one\r\n250-two\r\n250 three\r\n", "one\ntwo\nthree"),
        (b"250\r\n", ""),
        (b"250 ok\n", "ok"),
        (b"250 ok\r\n250 unasked\r\n", "ok"),
        (b"250-" + b"x" * 6000 + b"\r\n250 long\r\n", "x" * 6000 + "\nlong"),
    ],
    ids=["multi-line", "code-only", "bare-lf", "one-too-many", "long"],
)
def test_an_odd_reply_that_is_none_the_less_one(stage: str, data: bytes, text: str) -> None:
    with fault_server(Raw(data, on=stage)) as server:
        assert at_stage(server, stage) == (250, text)
    assert server.messages == []  # what looks like an acceptance has no effect


@each_stage
@pytest.mark.parametrize("octets", [1, 2, 7])
def test_a_reply_in_pieces(stage: str, octets: int) -> None:
    with fault_server(Split(octets, on=stage), stage=stage) as server:
        assert 200 <= at_stage(server, stage).code < 300
    assert len(server.messages) == (stage in ("data", "message"))


@each_stage
def test_a_wrong_code(stage: str) -> None:
    # 2xx lets the command take effect; whether the client goes on is its own affair.
    with (
        fault_server(Answer("299 Fine", on=stage), stage=stage) as server,
        pytest.raises(aiosmtplib.SMTPResponseException) as caught,
    ):
        at_stage(server, stage)
    assert caught.value.code == 299


# ---- aiosmtplib, what its own tests need a crooked server for


def sent(server: Server, body: bytes = MESSAGE, timeout: float = LIMIT) -> None:
    async def go() -> None:
        async with aiosmtplib_session(server, timeout) as client:
            await client.sendmail(SENDER, [RECIPIENT], body)

    asyncio.run(go())


def test_a_refused_message_is_reset_and_the_connection_good_for_the_next() -> None:
    async def go(server: Server) -> None:
        async with aiosmtplib_session(server) as client:
            with pytest.raises(aiosmtplib.SMTPDataError):
                await client.sendmail(SENDER, [RECIPIENT], MESSAGE)
            await client.sendmail(SENDER, [RECIPIENT], MESSAGE)

    with Server(faults=[Answer("554 5.6.0 Refused", on="message", times=1)]) as server:
        asyncio.run(go(server))
    assert [line for _, _, line in server.sessions[0].exchanges].count("RSET") == 1
    assert len(server.messages) == 1


def test_an_error_and_then_a_disconnect() -> None:
    faults = [Answer("501 5.5.4 What?", on="mail"), Drop(on="rset")]
    with Server(faults=faults) as server, pytest.raises(aiosmtplib.SMTPSenderRefused):
        sent(server)
    assert server.sessions[0].ended_by == "fault"


def test_a_disconnect_after_354() -> None:
    with (
        Server(faults=[Drop(after=0)]) as server,
        pytest.raises(aiosmtplib.SMTPServerDisconnected),
    ):
        sent(server)
    assert any(line.startswith("354 ") for _, _, line in server.sessions[0].exchanges)
    assert server.messages == []


def test_a_disconnect_in_the_middle_of_the_data() -> None:
    with (
        Server(faults=[Drop(after=100_000)]) as server,
        pytest.raises(aiosmtplib.SMTPServerDisconnected),
    ):
        sent(server, BIG)
    assert server.messages == []


def test_a_disconnect_when_tls_was_promised() -> None:
    # After a 220 that has no effect a handshake is but a ClientHello on a plain port.
    with Server(tls="starttls", faults=[Raw(b"220 go on\r\n", on="starttls")]) as server:
        with pytest.raises((aiosmtplib.SMTPException, OSError)):
            sent(server)
        assert server.sessions[0].wait_closed()
    assert server.messages == []


def test_starttls_refused_keeps_the_mail_from_being_sent_in_clear() -> None:
    with (
        Server(tls="starttls", faults=[Answer(454, on="starttls")]) as server,
        pytest.raises(aiosmtplib.SMTPException),
    ):
        sent(server)
    assert server.messages == []


def test_ehlo_refused_falls_back_to_helo() -> None:
    with Server(faults=[Answer("500 What?", on="helo", times=1)]) as server:
        sent(server)
    assert server.messages.one().envelope.mail_parameters == {}


def test_some_recipients_refused() -> None:
    async def go(server: Server) -> dict[str, aiosmtplib.SMTPResponse]:
        async with aiosmtplib_session(server) as client:
            refused, _ = await client.sendmail(SENDER, [RECIPIENT, "eve@example.net"], MESSAGE)
            return refused

    with Server(faults=[Answer("550 5.1.1 Unknown", on="rcpt", match="eve@*")]) as server:
        assert asyncio.run(go(server)) == {"eve@example.net": (550, "5.1.1 Unknown")}
    assert server.messages.one().recipients == (RECIPIENT,)


def test_a_slow_reader() -> None:
    throttle = Throttle(len(BIG) * 5)
    with Server(faults=[throttle]) as server:
        sent(server, BIG)
        assert server.hits(throttle) == 1
    assert server.messages.one().raw == BIG


def test_cancelled_while_it_waits() -> None:
    hold = Hold(on="message")

    async def go(server: Server) -> None:
        async with aiosmtplib_session(server) as client:
            task = asyncio.ensure_future(client.sendmail(SENDER, [RECIPIENT], MESSAGE))
            assert await asyncio.to_thread(hold.wait_reached)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            client.close()

    with Server(faults=[hold]) as server:
        asyncio.run(go(server))
        assert server.messages == []


# ---- recipes, each with clients of three kinds

CLIENTS = ("smtplib", "aiosmtplib", "swaks", "curl", "msmtp")
# With its time-out over, curl says QUIT and waits for two minutes more.
IMPATIENT = ("smtplib", "aiosmtplib", "msmtp")
each_client = pytest.mark.parametrize("client", CLIENTS)
each_impatient_client = pytest.mark.parametrize("client", IMPATIENT)


class Sender:
    """A client that delivers the same mail again and again."""

    def __init__(self, client: str, server: Server, directory: Path) -> None:
        self.client, self.server, self.directory = client, server, directory

    def send(self, body: bytes = MESSAGE, timeout: float = LIMIT) -> Message:
        job = Job(self.server, self.directory, body, recipients=[RECIPIENT], timeout=timeout)
        deliver(self.client, job)
        return self.server.messages[-1]

    def fail(self, body: bytes = MESSAGE, timeout: float = LIMIT) -> str | int:
        """How it fails: see `Failed`."""
        with pytest.raises(Failed) as caught:
            self.send(body, timeout)
        return caught.value.how


def how(client: str, *, smtplib: str, aiosmtplib: str, swaks: int, curl: int, msmtp: int) -> object:
    """An exception, or an exit status: of `man swaks`, `man curl` and sysexits.h for msmtp."""
    return {
        "smtplib": smtplib,
        "aiosmtplib": aiosmtplib,
        "swaks": swaks,
        "curl": curl,
        "msmtp": msmtp,
    }[client]


@each_client
def test_greylisting(client: str, tmp_path: Path) -> None:
    grey = Answer("451 4.7.1 Greylisted", on="rcpt", times=1, per="recipient")
    with Server(faults=[grey]) as server:
        sender = Sender(client, server, tmp_path)
        assert sender.fail() == how(
            client,
            smtplib="SMTPRecipientsRefused",
            aiosmtplib="SMTPRecipientsRefused",
            swaks=24,
            curl=55,
            msmtp=69,
        )
        assert server.messages == []
        assert sender.send().raw == MESSAGE
        sender.send()
    assert server.hits(grey) == 1
    assert len(server.messages) == 2


@each_client
def test_the_third_mail_fails(client: str, tmp_path: Path) -> None:
    full = Answer("452 4.3.1 Full", on="message", skip=2, times=1)
    with Server(faults=[full]) as server:
        sender = Sender(client, server, tmp_path)
        sender.send()
        sender.send()
        assert sender.fail() == how(
            client,
            smtplib="SMTPDataError",
            aiosmtplib="SMTPDataError",
            swaks=26,
            curl=8,
            msmtp=69,
        )
        sender.send()
    assert len(server.messages) == 3
    assert len(server.sessions) == 4


@each_client
def test_drop_after_1000_octets_of_data(client: str, tmp_path: Path) -> None:
    with Server(faults=[Drop(after=1000, times=1)]) as server:
        sender = Sender(client, server, tmp_path)
        sender.fail(BIG)
        assert server.messages == []
        assert server.sessions[0].ended_by == "fault"
        assert sender.send(BIG).raw == BIG


@each_client
def test_a_short_message_escapes_a_late_drop(client: str, tmp_path: Path) -> None:
    with Server(faults=[Drop(after=1000)]) as server:
        assert Sender(client, server, tmp_path).send().raw == MESSAGE


@each_client
def test_421_and_close(client: str, tmp_path: Path) -> None:
    with Server(faults=[Answer("421 4.3.2 Shutting down", on="mail", times=1)]) as server:
        sender = Sender(client, server, tmp_path)
        assert sender.fail() == how(
            client,
            smtplib="SMTPSenderRefused",
            aiosmtplib="SMTPSenderRefused",
            swaks=23,
            curl=55,
            msmtp=69,
        )
        assert server.sessions[0].wait_closed()
        assert server.sessions[0].ended_by == "fault"
        sender.send()
    assert len(server.messages) == 1


@each_client
def test_421_instead_of_the_greeting(client: str, tmp_path: Path) -> None:
    with Server(faults=[Answer("421 4.3.2 Busy", on="connect", times=1)]) as server:
        sender = Sender(client, server, tmp_path)
        assert sender.fail() == how(
            client,
            smtplib="SMTPConnectError",
            aiosmtplib="SMTPConnectResponseError",
            swaks=21,
            curl=8,
            msmtp=76,
        )
        sender.send()
    assert len(server.messages) == 1


@each_impatient_client
def test_the_final_dot_is_never_answered(client: str, tmp_path: Path) -> None:
    with Server(faults=[Stall(on="message", times=1)]) as server:
        sender = Sender(client, server, tmp_path)
        assert sender.fail(timeout=IMPATIENCE) == how(
            client,
            smtplib="SMTPServerDisconnected",
            aiosmtplib="SMTPReadTimeoutError",
            swaks=26,
            curl=28,
            msmtp=74,
        )
        assert server.messages == []
        sender.send()
    assert len(server.messages) == 1


@each_impatient_client
def test_half_a_reply(client: str, tmp_path: Path) -> None:
    with Server(faults=[Raw(b"250 2.0.0 OK: que", on="message", times=1)]) as server:
        sender = Sender(client, server, tmp_path)
        assert sender.fail(timeout=IMPATIENCE) == how(
            client,
            smtplib="SMTPServerDisconnected",
            aiosmtplib="SMTPReadTimeoutError",
            swaks=26,
            curl=28,
            msmtp=74,
        )
        assert server.messages == []
        sender.send()
    assert len(server.messages) == 1


@each_client
def test_a_reply_octet_by_octet(client: str, tmp_path: Path) -> None:
    stages = ("connect", "mail", "rcpt", "data", "message", "quit")
    with Server(faults=[Split(1, on=stage) for stage in stages]) as server:
        assert Sender(client, server, tmp_path).send().raw == MESSAGE
        assert all(server.hits(fault) == 1 for fault in server.faults)


@each_client
def test_accepted_but_not_confirmed(client: str, tmp_path: Path) -> None:
    with Server(faults=[Drop(on="message", times=1)]) as server:
        sender = Sender(client, server, tmp_path)
        sender.fail()
        assert server.messages == []
        sender.send()
    assert len(server.messages) == 1
