"""`validate_*`, `deliver`, `deliver_mime`: what they get, what they raise, their threads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from client import LIMIT, TEXT, Client, in_thread, leased, threads
from pytest_smtpd import CallbackWarning, Message, Reject, Reply, Server
from pytest_smtpd.faults import Answer, Drop, Fault, Raw, Throttle
from pytest_smtpd.lease import Lease

MAIL = "MAIL FROM:<ann@example.com>"
DENIED = "553 5.7.1 Requested action not taken: mailbox name not allowed"
FAILED = "554 5.6.0 Transaction failed"


def raising(error: Callable[[], BaseException] | type[BaseException]) -> Callable[..., NoReturn]:
    def callback(*asked: object) -> NoReturn:
        raise error()

    return callback


def raising_async(error: Callable[[], BaseException] | type[BaseException]) -> Callable[..., Any]:
    async def callback(*asked: object) -> NoReturn:
        await asyncio.sleep(0)
        raise error()

    return callback


BOTH = pytest.mark.parametrize("make", [raising, raising_async], ids=["sync", "async"])


def reply_to_mail(callback: Callable[..., Any]) -> str:
    with Server(validate_sender=callback) as server, Client(server) as client:
        return client.ehlo().say(MAIL)


# ---- what they are called with


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_the_validators_get(asynchronous: bool) -> None:
    asked: list[tuple[str, str]] = []

    def validator(name: str) -> Callable[[str], Any]:
        def validate(subject: str) -> None:
            asked.append((name, subject))

        async def validate_async(subject: str) -> None:
            await asyncio.sleep(0)
            validate(subject)

        return validate_async if asynchronous else validate

    options = {f"validate_{name}": validator(name) for name in ("host", "sender", "recipient")}
    with Server(**options) as server, Client(server) as client:
        client.ehlo().deliver(TEXT, "Ann@Example.com", "bob@example.net", "carol@example.net")
        client.deliver(TEXT, "", "postmaster")
    assert asked == [
        ("host", "127.0.0.1"),
        ("sender", "Ann@Example.com"),
        ("recipient", "bob@example.net"),
        ("recipient", "carol@example.net"),
        ("sender", ""),
    ]
    assert len(server.messages) == 2


def test_they_accept_by_returning_whatever_it_is() -> None:
    for value in (None, False, 0, "no", Reject()):
        assert reply_to_mail(lambda address, value=value: value).startswith("250")


def test_they_are_asked_after_the_rules() -> None:
    asked: list[str] = []
    with (
        Server(reject_sender="denied@*", validate_sender=asked.append) as server,
        Client(server) as client,
    ):
        client.ehlo()
        assert client.say("MAIL FROM:<denied@example.com>") == DENIED
        assert client.say("MAIL FROM:<not an address>").startswith("501")
        assert client.say(MAIL).startswith("250")
    assert asked == ["ann@example.com"]


# ---- Reject


@BOTH
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Reject, DENIED),
        (lambda: Reject("Not you"), "553 5.7.1 Not you"),
        (lambda: Reject("450 4.2.1 later"), "450 4.2.1 later"),
        (lambda: Reject(450), "450 4.2.0 Requested mail action not taken: mailbox unavailable"),
        (lambda: Reject(Reply(552, "Full", "5.2.2")), "552 5.2.2 Full"),
        (lambda: Reject("bad\r\nnews"), "553-5.7.1 bad\n553 5.7.1 news"),
    ],
)
def test_a_reject(make: Any, error: Any, expected: str) -> None:
    assert reply_to_mail(make(error)) == expected


@BOTH
def test_a_reject_of_a_recipient_and_of_a_host(make: Any) -> None:
    options = {"validate_recipient": make(lambda: Reject("Nobody here"))}
    with Server(**options) as server, Client(server) as client:
        client.ehlo().say(MAIL)
        assert client.say("RCPT TO:<bob@example.net>") == "553 5.7.1 Nobody here"
        assert client.say("DATA").startswith("503")
    for error, expected in (
        (Reject, "550 Access denied: host 127.0.0.1 rejected"),
        (lambda: Reject("we are closed"), "550 Access denied: we are closed"),
        (lambda: Reject("554 no"), "554 no"),
    ):
        with Server(validate_host=make(error)) as server, Client(server) as client:
            assert client.greeting == expected
            assert client.say("EHLO me").startswith("503")
            client.quit()


@pytest.mark.parametrize("reply", [250, "220 hello", 354, Reply(200, "OK"), 700, "999 what"])
def test_a_reject_has_to_refuse(reply: Any) -> None:
    with pytest.raises(ValueError, match=r"\d{3}"):
        Reject(reply)


def test_a_reject_with_421_closes() -> None:
    with Server(validate_sender=raising(lambda: Reject(421))) as server, Client(server) as client:
        assert client.ehlo().say(MAIL).startswith("421 ")
        assert client.reply() == ""


# ---- other exceptions


class Bug(Exception):
    pass


@BOTH
@pytest.mark.parametrize(
    "error",
    [Bug, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, TimeoutError],
)
def test_any_other_exception_refuses_and_is_shown_with_its_traceback(make: Any, error: Any) -> None:
    server = Server(validate_sender=make(lambda: error("s3cret detail"))).start()
    with Client(server) as client:
        assert client.ehlo().say(MAIL) == DENIED
        assert client.say("NOOP").startswith("250")
        client.quit()
    with pytest.warns(CallbackWarning) as caught:
        server.stop()
    (warning,) = caught
    text = str(warning.message)
    assert "validate_sender" in text
    assert error.__name__ in text
    assert "Traceback" in text
    assert "in callback" in text
    assert "raise error()" in text
    assert warning.filename == __file__
    assert "s3cret" not in str(server.sessions[0])


def test_an_exception_with_a_text_that_cannot_be_shown() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    server = Server(validate_sender=raising(Unspeakable)).start()
    with Client(server) as client:
        assert client.ehlo().say(MAIL) == DENIED
    with pytest.warns(CallbackWarning, match="Unspeakable"):
        server.stop()


def test_each_bug_is_shown() -> None:
    server = Server(validate_sender=raising(Bug), validate_recipient=raising(Bug)).start()
    with Client(server) as client:
        client.ehlo().say(MAIL)
        client.say(MAIL)
    with pytest.warns(CallbackWarning) as caught:
        server.stop()
    assert len(caught) == 2


def test_a_wrong_signature_is_a_bug_like_any_other() -> None:
    server = Server(validate_sender=lambda: None).start()
    with Client(server) as client:
        assert client.ehlo().say(MAIL) == DENIED
    with pytest.warns(CallbackWarning, match="TypeError"):
        server.stop()


def test_a_reject_that_does_not_refuse_is_a_bug() -> None:
    server = Server(validate_sender=raising(lambda: Reject(250))).start()
    with Client(server) as client:
        assert client.ehlo().say(MAIL) == DENIED
    with pytest.warns(CallbackWarning, match="does not refuse"):
        server.stop()


@BOTH
@pytest.mark.parametrize(
    "option", ["validate_host", "validate_sender", "validate_recipient", "deliver", "deliver_mime"]
)
def test_a_bug_is_shown_with_the_name_of_its_callback(make: Any, option: str) -> None:
    server = Server(**{option: make(Bug)}).start()
    with Client(server) as client:
        client.send(f"EHLO me\r\n{MAIL}\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
        client.send(f"{TEXT}.\r\nQUIT\r\n")
        client.rest()
    with pytest.warns(CallbackWarning, match=rf"^smtpd callback {option} raised Bug; "):
        server.stop()


def test_a_bug_is_shown_where_it_is() -> None:
    """From the first line that is the test's own; and a pattern is no `validate_*`."""
    server = Server(reject_sender=raising(Bug), validate_host=lambda host: Reject(250)).start()
    with Client(server) as client:
        assert client.greeting.startswith("550")
        client.quit()
    server.configure(validate_host=None)
    with Client(server) as client:
        assert client.ehlo().say(MAIL) == DENIED
        client.quit()
    with pytest.warns(CallbackWarning) as caught:
        server.stop()
    for warning, name in zip(caught, ("validate_host", "reject_sender"), strict=True):
        assert warning.filename == __file__
        first, head, begin, *_ = str(warning.message).splitlines()
        assert first.startswith(f"smtpd callback {name} raised ")
        assert head.startswith("Traceback")
        assert f'File "{__file__}", line {warning.lineno}, in ' in begin


# ---- what ends the test


def failing(*asked: object) -> None:
    pytest.fail("by pytest.fail")


def skipping(*asked: object) -> None:
    pytest.skip("by pytest.skip")


def asserting(*asked: object) -> None:
    assert not asked, "by assert"


async def asserting_async(*asked: object) -> None:
    await asyncio.sleep(0)
    assert not asked, "by assert"


@pytest.mark.parametrize("option", ["validate_sender", "deliver", "deliver_mime"])
@pytest.mark.parametrize(
    ("callback", "outcome"),
    [
        (failing, pytest.fail.Exception),
        (skipping, pytest.skip.Exception),
        (asserting, AssertionError),
        (asserting_async, AssertionError),
    ],
)
def test_an_assertion_ends_the_test(option: str, callback: Any, outcome: Any) -> None:
    server = Server(**{option: callback}).start()
    with Client(server) as client:
        client.ehlo().send(f"{MAIL}\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
        if option == "validate_sender":
            assert client.reply().startswith("451 4.3.0 ")
        else:
            assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
            assert client.say(f"{TEXT}.").startswith("451 4.3.0 ")
    with pytest.raises(outcome, match="by "):
        server.stop()
    assert not server.messages
    server.stop()  # once


def test_the_first_outcome_counts_and_bugs_are_shown_too() -> None:
    outcomes = iter([AssertionError("first"), Bug("a bug"), AssertionError("second")])
    server = Server(validate_sender=raising(lambda: next(outcomes))).start()
    with Client(server) as client:
        client.ehlo()
        assert [client.say(MAIL)[:3] for _ in range(3)] == ["451", "553", "451"]
    with pytest.warns(CallbackWarning, match="a bug"), pytest.raises(AssertionError, match="first"):
        server.stop()


# ---- deliver


def test_deliver_gets_sender_recipients_and_lines() -> None:
    delivered: list[tuple[str, list[str], list[str]]] = []
    with Server(deliver=lambda *mail: delivered.append(mail)) as server, Client(server) as client:
        client.ehlo().deliver("Subject: hi\r\n\r\n..dot\r\n\r\n", "", "a@b.example", "c@d.example")
        assert delivered == [("", ["a@b.example", "c@d.example"], ["Subject: hi", "", ".dot", ""])]
        assert len(server.messages) == 1


def test_deliver_of_what_is_no_utf_8() -> None:
    delivered: list[tuple[str, list[str], list[str]]] = []
    with Server(deliver=lambda *mail: delivered.append(mail)) as server, Client(server) as client:
        client.ehlo().begin()
        client.send(b"caf\xe9 \xc3\xa9\r\n.\r\n")
        assert client.reply().startswith("250")
    assert delivered[0][2] == ["caf\udce9 \xe9"]


def test_deliver_mime_gets_the_message_that_is_stored() -> None:
    delivered: list[Message] = []
    with Server(deliver_mime=delivered.append) as server, Client(server) as client:
        client.ehlo().deliver()
        assert delivered[0] is server.messages[0]
        assert delivered[0].subject == "hi"


def test_deliver_mime_wins_over_deliver() -> None:
    asked: list[str] = []
    options = {
        "deliver": lambda *mail: asked.append("deliver"),
        "deliver_mime": lambda message: asked.append("deliver_mime"),
    }
    with Server(**options) as server, Client(server) as client:
        client.ehlo().deliver()
    assert asked == ["deliver_mime"]


def test_they_run_before_the_250_and_before_the_message_is_stored() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def deliver(*mail: object) -> None:
        entered.set()
        assert go_on.wait(LIMIT)

    with Server(deliver=deliver) as server, Client(server) as client:
        client.ehlo().begin().send(f"{TEXT}.\r\n")
        assert entered.wait(LIMIT)
        assert not server.messages
        go_on.set()
        assert client.reply().startswith("250")
        assert len(server.messages) == 1


@BOTH
@pytest.mark.parametrize("option", ["deliver", "deliver_mime"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Reject, FAILED),
        (lambda: Reject("No room"), "554 5.6.0 No room"),
        (lambda: Reject("452 4.3.1 Later"), "452 4.3.1 Later"),
    ],
)
def test_a_reject_of_a_message(make: Any, option: str, error: Any, expected: str) -> None:
    with Server(**{option: make(error)}) as server, Client(server) as client:
        assert client.ehlo().deliver() == expected
        assert not server.messages
        assert client.say("RCPT TO:<bob@example.net>").startswith("503")
        server.configure(**{option: None})
        assert client.deliver().startswith("250")


@BOTH
@pytest.mark.parametrize("option", ["deliver", "deliver_mime"])
def test_a_bug_in_a_delivery_never_goes_over_the_wire(make: Any, option: str) -> None:
    server = Server(**{option: make(lambda: Bug("s3cret detail"))}).start()
    with Client(server) as client:
        assert client.ehlo().deliver() == FAILED
    with pytest.warns(CallbackWarning, match="s3cret detail"):
        server.stop()
    assert not server.messages
    assert "s3cret" not in str(server.sessions[0])


def test_with_trace_headers_that_is_what_is_delivered() -> None:
    delivered: list[Any] = []
    options = {"trace_headers": True, "deliver": lambda *mail: delivered.append(mail)}
    with Server(**options) as server, Client(server) as client:
        client.ehlo().deliver()
        assert delivered[0][2][0] == "Return-Path: <ann@example.com>"
        assert delivered[0][2][1].startswith("Received: from client.example ([127.0.0.1])")
        assert server.messages[0].raw.startswith(b"Return-Path: <ann@example.com>\r\nReceived: ")
        assert server.messages[0].raw.endswith(TEXT.encode())


def test_in_lmtp_a_delivery_is_refused_for_each_recipient() -> None:
    with Server(protocol="lmtp", deliver=raising(Reject)) as server, Client(server) as client:
        client.say("LHLO me")
        client.begin("ann@example.com", "bob@example.net", "carol@example.net").send(f"{TEXT}.\r\n")
        assert [client.reply(), client.reply()] == [FAILED, FAILED]
        assert client.say("NOOP").startswith("250")


# ---- threads


def test_never_in_the_thread_that_serves_and_always_in_daemons() -> None:
    seen: list[threading.Thread] = []

    async def asynchronous(address: str) -> None:
        seen.append(threading.current_thread())

    options = {
        "validate_host": lambda host: seen.append(threading.current_thread()),
        "reject_sender": lambda address: seen.append(threading.current_thread()),
        "validate_sender": asynchronous,
        "deliver": lambda *mail: seen.append(threading.current_thread()),
    }
    with Server(**options) as server, Client(server) as client:
        client.ehlo().deliver()
    assert len(seen) == 4
    assert all(thread.daemon for thread in seen)
    assert threading.current_thread() not in seen
    assert "smtpd" not in {thread.name for thread in seen}


def test_coroutines_share_a_loop_of_the_server() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def validate(address: str) -> None:
        loops.append(asyncio.get_running_loop())

    with (
        Server(validate_sender=validate, validate_recipient=validate) as server,
        Client(server) as client,
    ):
        client.ehlo().deliver()
    assert len(set(loops)) == 1
    assert loops[0].is_closed()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_slow_one_stalls_no_other_session(asynchronous: bool) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(address: str) -> None:
        if address.startswith("slow"):
            entered.set()
            assert go_on.wait(LIMIT)

    async def slow_async(address: str) -> None:
        if address.startswith("slow"):
            entered.set()
            while not go_on.is_set():
                await asyncio.sleep(0.001)

    with (
        Server(validate_sender=slow_async if asynchronous else slow) as server,
        Client(server) as waiting,
        Client(server) as other,
    ):
        waiting.ehlo().send("MAIL FROM:<slow@example.com>\r\n")
        assert entered.wait(LIMIT)
        assert other.ehlo().deliver().startswith("250")
        other.quit()
        go_on.set()
        assert waiting.reply().startswith("250")


def test_many_at_once() -> None:
    barrier = threading.Barrier(20)

    def meet(address: str) -> None:
        barrier.wait(LIMIT)

    def visit() -> None:
        with Client(server) as client:
            assert client.ehlo().say(MAIL).startswith("250")

    before = threads()
    with Server(validate_sender=meet) as server, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(in_thread(visit))
    assert threads() <= before


def test_threads_are_used_again() -> None:
    seen: set[threading.Thread] = set()
    with (
        Server(validate_sender=lambda address: seen.add(threading.current_thread())) as server,
        Client(server) as client,
    ):
        client.ehlo()
        for _ in range(50):
            client.say(MAIL)
            client.say("RSET")
    assert len(seen) < 5


def test_a_callback_may_send_mail_itself() -> None:
    with Server() as relay:

        def forward(message: Message) -> None:
            with Client(relay) as client:
                assert client.ehlo().deliver().startswith("250")

        with Server(deliver_mime=forward) as server, Client(server) as client:
            assert client.ehlo().deliver().startswith("250")
            assert len(relay.messages) == 1


def test_a_callback_may_look_at_the_mailbox() -> None:
    seen: list[int] = []
    options = {"deliver_mime": lambda message: seen.append(len(server.messages))}
    with Server(**options) as server, Client(server) as client:
        client.ehlo().deliver()
        client.deliver()
    assert seen == [0, 1]


def test_a_client_that_goes_away_while_a_callback_runs() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(*mail: object) -> None:
        entered.set()
        assert go_on.wait(LIMIT)

    with Server(deliver=slow) as server:
        with Client(server) as client:
            client.ehlo().begin().send(f"{TEXT}.\r\n")
            assert entered.wait(LIMIT)
            client.reset()
        assert server.sessions[0].wait_closed(LIMIT)
        go_on.set()
        with Client(server) as client:
            assert client.ehlo().deliver().startswith("250")


@pytest.mark.parametrize("returns_coroutine", [False, True])
def test_a_callback_that_outlives_the_server_says_nothing_more(returns_coroutine: bool) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(address: str) -> object:
        entered.set()
        assert go_on.wait(LIMIT)
        if returns_coroutine:
            return raising_async(Bug)()
        raise Bug

    before = threads()
    server = Server(validate_sender=slow).start()
    with warnings.catch_warnings(record=True) as caught, Client(server) as client:
        client.ehlo().send(f"{MAIL}\r\n")
        assert entered.wait(LIMIT)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 2.0
        go_on.set()
        for thread in threads() - before:
            thread.join(LIMIT)
    assert not caught


# A coroutine is cancelled when the server goes: what it raises then is of no more interest
@pytest.mark.parametrize(
    ("goes", "asynchronous"), [("client", False), ("client", True), ("server", False)]
)
def test_what_one_raises_when_nobody_is_to_be_answered_is_shown(
    goes: str, asynchronous: bool
) -> None:
    asked, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        assert go_on.wait(LIMIT)

    def fail() -> NoReturn:
        over.set()
        raise AssertionError("seen too late")

    def validate(address: str) -> NoReturn:
        wait()
        fail()

    async def validate_async(address: str) -> NoReturn:
        await asyncio.to_thread(wait)
        fail()

    server = Server(validate_sender=validate_async if asynchronous else validate).start()
    with Client(server) as client:
        client.ehlo().send(f"{MAIL}\r\n")
        assert asked.wait(LIMIT)
        if goes == "client":
            client.reset()
            assert server.sessions[0].wait_closed(LIMIT)
            go_on.set()
            assert over.wait(LIMIT)
        else:
            threading.Timer(0.2, go_on.set).start()  # in the middle of the stop
        with pytest.raises(AssertionError, match="seen too late"):
            server.stop()


def test_a_server_started_while_another_thread_stops_it_has_callbacks_of_its_own() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def validate(address: str) -> None:
        if address.startswith("first"):
            asked.set()
            assert go_on.wait(LIMIT)

    before = threads()
    server = Server(validate_sender=validate).start()
    with Client(server) as first:
        first.ehlo().send("MAIL FROM:<first@example.com>\r\n")
        assert asked.wait(LIMIT)
        with in_thread(server.stop):
            while not server.stopped.is_set():
                with contextlib.suppress(RuntimeError):  # it is not being stopped yet
                    server.start()
                    break
            with Client(server) as client:
                client.ehlo()
                go_on.set()
                assert client.say(MAIL).startswith("250")
        with Client(server) as client:
            assert client.ehlo().say(MAIL).startswith("250")
    assert not server.stopped.is_set()
    server.stop()
    assert server.stopped.is_set()
    for thread in threads() - before:
        thread.join(LIMIT)
    assert threads() <= before


def test_the_client_s_name_is_there_where_all_was_sent_at_once() -> None:
    names: list[str | None] = []
    lines = ("EHLO me.example", MAIL, "RCPT TO:<bob@example.net>", "BDAT 3 LAST", "x")
    deliver = {"deliver_mime": lambda message: names.append(message.session.helo)}
    with Server(**deliver) as server, Client(server) as client:
        client.send("\r\n".join(lines) + "\r\nQUIT\r\n")
        client.rest()
    assert names == ["me.example"]


# ---- other code of the test's: the callables and iterables in faults


@pytest.mark.parametrize("by", ["match", "data"])
def test_that_of_faults_stalls_no_other_session(by: str) -> None:
    asked, go_on = threading.Event(), threading.Event()
    names: list[str] = []

    def slow() -> Iterator[bytes]:
        names.append(threading.current_thread().name)
        asked.set()
        assert go_on.wait(LIMIT)
        yield b"450 Later\r\n"

    def matches(address: str) -> bool:
        return b"450 Later\r\n" in slow()

    fault: Fault = Answer("450 Later", on="mail", match=matches, times=1)
    if by == "data":
        fault = Raw(SlowIterable(slow), on="mail", times=1)
    with Server(faults=[fault]) as server, Client(server) as client, Client(server) as other:
        client.ehlo().send(f"{MAIL}\r\n")
        assert asked.wait(LIMIT)
        other.ehlo()
        assert other.say("NOOP").startswith("250")
        go_on.set()
        assert client.reply() == "450 Later"
    assert names == ["smtpd-callback"]


class SlowIterable:
    def __init__(self, make: Callable[[], Iterator[bytes]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[bytes]:
        return self.make()


@pytest.mark.parametrize("outcome", [pytest.fail, pytest.skip])
def test_what_a_pattern_of_a_fault_raises_is_shown(outcome: Callable[[str], NoReturn]) -> None:
    server = Server(faults=[Answer(450, on="mail", match=lambda address: outcome("seen"))])
    with (
        pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="seen"),
        server,
        Client(server) as client,
    ):
        assert client.ehlo().say(MAIL) == "421 4.3.0 localhost Internal error, closing connection"


def test_what_was_raised_before_a_callback_stops_the_server_is_shown_by_the_next_stop() -> None:
    def check(address: str) -> None:
        raise AssertionError("seen before")

    server = Server(validate_sender=check, validate_recipient=lambda address: server.stop())
    server.start()
    with Client(server) as client:
        client.ehlo().say(MAIL)
        server.configure(validate_sender=None)
        client.say(MAIL)
        assert client.say("RCPT TO:<bob@example.net>").startswith("421")
    assert server.stopped.wait(LIMIT)
    with pytest.raises(AssertionError, match="seen before"):
        server.stop()


@contextlib.contextmanager
def asserting(text: str) -> Iterator[tuple[Lease, Client, threading.Event]]:
    """A server whose callback fails when it is told to go on; a client has sent it a message."""
    asked, go_on = threading.Event(), threading.Event()

    def check(message: Message) -> None:
        asked.set()
        assert go_on.wait(LIMIT)
        raise AssertionError(text)

    with leased(deliver_mime=check) as lease, Client(lease.server) as client:
        client.ehlo().begin().send(f"{TEXT}.\r\n")
        assert asked.wait(LIMIT)
        yield lease, client, go_on


def test_with_a_server_for_the_run_a_callback_fails_its_own_test() -> None:
    with asserting("seen in the first test") as (lease, _, go_on):
        threading.Timer(0.2, go_on.set).start()  # while the test's end waits for it
        with pytest.raises(AssertionError, match="seen in the first test"):
            lease.end()


def test_what_is_raised_for_an_earlier_test_only_warns() -> None:
    with asserting("seen too late") as (lease, client, go_on):
        lease.begin(lease.options, "the next test")
        go_on.set()
        assert client.reply().startswith("554 ")
        with pytest.warns(CallbackWarning, match="asked by a client of an earlier test"):
            lease.server.stop()


def test_the_end_of_a_test_waits_for_all_that_is_still_to_be_asked() -> None:
    asked: list[str] = []

    def check(address: str) -> None:
        asked.append(address)
        assert not address.startswith("last"), "seen at the end"

    with leased(validate_recipient=check) as lease, Client(lease.server) as client:
        client.ehlo()
        for _ in range(20):
            asked.clear()
            names = [f"RCPT TO:<r{number}@example.com>\r\n" for number in range(5)]
            client.send(f"{MAIL}\r\n{''.join(names)}RCPT TO:<last@example.com>\r\nRSET\r\n")
            with pytest.raises(AssertionError, match="seen at the end"):
                lease.end()
            assert len(asked) == 6
            for _ in range(8):
                client.reply()


def test_a_stuck_callback_is_waited_for_once() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def stuck(address: str) -> None:
        asked.set()
        go_on.wait(LIMIT)

    with leased(validate_sender=stuck) as lease, Client(lease.server) as client:
        client.ehlo().send(f"{MAIL}\r\n")
        assert asked.wait(LIMIT)
        lease.end()
        started = time.monotonic()
        for _ in range(10):  # each would take the time of a stop
            lease.begin(lease.options, "another test")
            lease.end()
        assert time.monotonic() - started < 10
        go_on.set()


def test_one_that_was_stuck_is_waited_for_when_its_client_asks_again() -> None:
    asked, go_on = threading.Semaphore(0), threading.Event()

    def check(address: str) -> None:
        asked.release()
        assert go_on.wait(LIMIT)
        assert address != "bob@example.com", "seen in the second test"

    with leased(validate_sender=check) as lease, Client(lease.server) as client:
        client.ehlo().send(f"{MAIL}\r\n")
        assert asked.acquire(timeout=LIMIT)
        lease.end()
        lease.begin(lease.options, "the second test")
        go_on.set()
        assert client.reply().startswith("250 ")
        client.say("RSET")
        go_on.clear()
        client.send("MAIL FROM:<bob@example.com>\r\n")
        assert asked.acquire(timeout=LIMIT)
        threading.Timer(0.2, go_on.set).start()  # while the test's end waits for it
        with pytest.raises(AssertionError, match="seen in the second test"):
            lease.end()


@pytest.mark.parametrize(
    "fault", [lambda match: Drop(after=1, match=match), lambda match: Throttle(1e6, match=match)]
)
@pytest.mark.parametrize("error", [pytest.fail.Exception, SystemExit, FileNotFoundError])
def test_what_a_pattern_raises_in_the_serving_thread_is_shown(
    fault: Callable[..., Fault], error: type[BaseException]
) -> None:
    def matches(subject: str) -> bool:
        raise error("seen")

    server = Server(faults=[fault(matches)]).start()
    with Client(server) as client:
        client.send("EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nhello")
        client.rest()
    assert server.sessions[0].wait_closed(LIMIT)
    with pytest.raises(error, match="seen"):
        server.stop()
    server.configure(faults=[])
    with server, Client(server) as client:
        assert client.ehlo().deliver().startswith("250 ")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_one_with_a_yield_in_it_is_a_bug(asynchronous: bool) -> None:
    def generator(address: str) -> Any:
        yield

    async def async_generator(address: str) -> Any:
        yield

    server = Server(validate_sender=async_generator if asynchronous else generator).start()
    with Client(server) as client:
        assert client.ehlo().say(MAIL) == DENIED
    with pytest.warns(CallbackWarning, match="a callback with a yield in it does nothing"):
        server.stop()


def test_a_coroutine_that_never_began_is_not_warned_of() -> None:
    begun = threading.Event()

    async def blocks(address: str) -> None:
        begun.set()
        time.sleep(0.9)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server = Server(validate_sender=blocks).start()
        with Client(server) as first, Client(server) as second:
            first.ehlo().send(f"{MAIL}\r\n")
            assert begun.wait(LIMIT)
            second.ehlo().send(f"{MAIL}\r\n")
            server.stop()
        gc.collect()


@pytest.mark.parametrize("error", [asyncio.CancelledError, StopIteration])
def test_what_a_pattern_raises_is_answered_whatever_it_is(error: type[BaseException]) -> None:
    def matches(address: str) -> bool:
        raise error

    server = Server(faults=[Answer(450, on="mail", match=matches)]).start()
    with Client(server) as client:
        assert client.ehlo().say(MAIL).startswith("421 ")
    with pytest.raises(RuntimeError, match=error.__name__):
        server.stop()
