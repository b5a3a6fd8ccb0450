"""Plays a conversation and judges it: the steps, the form of each reply, the mailbox afterwards.

Its rule: it speaks only through a `World`, which may be a real server or the bare engine.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import conversation as c
from conversation_outcome import check_sessions, content, differences

LIMIT = 10.0  # seconds a server has for each step


class Wire(Protocol):
    """One connection, seen from the client."""

    def send(self, data: bytes) -> None: ...
    def receive(self, seconds: float) -> bytes | None:
        """What came: b"" when the server has closed, None when nothing came in time."""

    def close(self) -> None: ...
    def reset(self) -> None: ...
    def half_close(self) -> None: ...
    def start_tls(self) -> Exception | None:
        """A handshake; the error where the client does not trust the server."""


class World(Protocol):
    """What the conversation is held with."""

    def connect(self, tls: bool) -> Wire: ...
    def messages(self) -> Sequence[Any]: ...
    def pause(self, seconds: float) -> None: ...
    def sessions(self) -> Sequence[Any]:
        """The records of all sessions, once these have ended."""


@dataclass(frozen=True, slots=True)
class Reply:
    code: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class ServerClosed(Exception):
    pass


@dataclass
class Connection:
    wire: Wire
    utf8: bool  # replies may be in UTF-8
    sent_at: float = 0.0  # when the client last sent, or began to connect
    came: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    last: Reply = Reply("", ())
    data_from: int = 0
    closed: bool = False
    enhanced: bool = False

    def send(self, data: bytes) -> None:
        self.sent += data
        self.utf8 = self.utf8 or b"SMTPUTF8" in self.sent[-len(data) - 8 :].upper()
        self.sent_at = time.monotonic()  # before, as the server's delay may begin at once
        self.wire.send(data)

    def more(self, deadline: float) -> None:
        """Waits for octets; TimeoutError when none come, ServerClosed when none can."""
        data = self.wire.receive(max(deadline - time.monotonic(), 0.0))
        if data is None:
            raise TimeoutError
        if data == b"":
            raise ServerClosed
        self.came += data

    def line(self, deadline: float) -> bytes:
        while (end := self.came.find(b"\r\n")) < 0:
            self.more(deadline)
        line = bytes(self.came[:end])
        del self.came[: end + 2]
        return line

    def reply(self, deadline: float) -> Reply:
        """The next reply. AssertionError when it is not well-formed."""
        lines: list[bytes] = []
        while not lines or lines[-1][3:4] == b"-":
            lines.append(self.line(deadline))
        self.last = self.well_formed(lines)
        if self.last.code == "354":
            self.data_from = len(self.sent)
        return self.last

    def well_formed(self, lines: list[bytes]) -> Reply:
        code = lines[0][:3]
        for line in lines:
            assert re.match(rb"[2345][0-9][0-9]([ -]|$)", line), f"not a reply line: {line!r}"
            assert line[:3] == code, f"more than one code in a reply: {lines!r}"
            assert len(line) + 2 <= 512, f"a reply line of {len(line) + 2} octets: {line!r}"
            assert not re.search(rb"[\x00-\x1f\x7f]", line), f"control characters: {line!r}"
            assert self.utf8 or line.isascii(), f"a reply that is not ASCII: {line!r}"
            enhanced = re.match(rb"([245])\.\d{1,3}\.\d{1,3}( |$)", line[4:])
            assert not enhanced or enhanced[1] == code[:1], f"two classes in one reply: {line!r}"
        return Reply(code.decode(), tuple(line[4:].decode() for line in lines))


class Player:
    """Plays one case in a world. AssertionError, with the conversation so far, where it differs."""

    def __init__(self, case: c.Case, world: World) -> None:
        self.case = case
        self.world = world
        self.connections: dict[str, Connection] = {}
        self.delivered = 0
        self.as_sent: list[bytes | None] = []
        self.transcript: list[str] = []
        self.skipping = False
        self.ended = False
        self.complete = True
        standard = {"faults", "deliver", "deliver_mime"}
        self.own_replies = any(
            name in standard or name.startswith(("reject_", "validate_")) for name in case.options
        )

    def play(self) -> None:
        """The steps, then the mailbox and the sessions."""
        try:
            self.on(c.On("a"))
            self.steps(self.case.steps)
            self.no_more()
        except AssertionError as error:
            said = "\n".join(self.transcript)
            raise AssertionError(f"{self.case.id}: {error}\n{said}") from None
        finally:
            for connection in self.connections.values():
                connection.wire.close()
        self.check_outcome()

    def steps(self, steps: c.Steps) -> None:
        for source, step in steps:
            if self.ended:
                return
            if self.skipping and not isinstance(step, c.On):
                continue
            self.transcript.append(f"  {source[:200]}")
            try:
                self.step(step)
            except TimeoutError:
                came = bytes(self.here.came)
                raise AssertionError(f"nothing came for {source!r} (but {came!r})") from None
            except ServerClosed:
                came = bytes(self.here.came)
                raise AssertionError(f"closed before {source!r} (after {came!r})") from None

    def step(self, step: c.Step) -> None:
        deadline = time.monotonic() + LIMIT
        match step:
            case c.Send(data=data, pace=pace):
                self.send(data, pace)
            case c.Expect():
                for _ in range(step.repeat):  # each in its time, where thousands are late
                    self.expect(step, time.monotonic() + LIMIT)
            case c.Exactly(data=data):
                self.exactly(data, deadline)
            case c.Silence(seconds=seconds):
                self.silence(seconds)
            case c.Wait(seconds=seconds):
                self.world.pause(seconds)
            case c.Closed(maybe=maybe):
                self.closed(maybe, deadline)
            case c.Close():
                self.here.wire.close()
                self.here.closed = True
            case c.Reset():
                self.here.wire.reset()
                self.here.closed = True
            case c.HalfClose():
                self.here.wire.half_close()
            case c.StartTLS(refused=refused):
                self.start_tls(refused)
            case c.On():
                self.on(step)
            case c.CramMD5(user=user, password=password):
                self.cram_md5(user, password)
            case c.ScramSHA256(user=user, password=password, end=end):
                self.scram_sha256(user, password, end)
            case c.If(codes=codes, steps=steps):
                if self.here.last.code in codes:
                    self.steps(steps)

    def on(self, step: c.On) -> None:
        self.skipping = False
        if step.name not in self.connections:
            tls = step.tls and self.case.options.get("tls") == "implicit"
            about_utf8 = "SMTPUTF8" in self.case.needs
            begun = time.monotonic()
            wire = self.world.connect(tls)
            self.connections[step.name] = Connection(wire, about_utf8, begun)
        self.here = self.connections[step.name]

    def send(self, data: bytes, pace: float) -> None:
        if not pace:
            self.here.send(data)
            return
        for octet in data:
            self.here.send(bytes([octet]))
            self.world.pause(pace)

    def next_reply(self, deadline: float) -> Reply:
        reply = self.here.reply(deadline)
        self.transcript += [f"        {reply.code} {line}" for line in reply.lines]
        self.check_enhanced(reply)
        return reply

    def expect(self, step: c.Expect, deadline: float) -> None:
        try:
            reply = self.next_reply(deadline)
        except ServerClosed:
            if not step.or_closed:
                raise
            self.skipping = self.here.closed = True
            return
        after = time.monotonic() - self.here.sent_at
        assert reply.code in step.codes, f"expected {step.codes.text}, got {reply}"
        assert after >= step.not_before, f"came after {after:.2f} s, before {step.not_before} s"
        if step.text is not None:
            found = re.search(step.text, reply.text, re.IGNORECASE)
            assert found, f"expected {step.text!r} in {reply.text!r}"
        if step.lines is not None:
            assert len(reply.lines) == step.lines, f"expected {step.lines} lines: {reply}"
        offered = keywords(reply)
        for keyword in step.has:
            assert keyword.upper() in offered, f"{keyword} is not in {reply}"
        for keyword in step.lacks:
            assert keyword.upper() not in offered, f"{keyword} is in {reply}"
        if step.message:
            self.message(reply)
        if step.ends is not None and reply.code in step.ends:
            self.ended = True

    def message(self, reply: Reply) -> None:
        messages = self.world.messages()
        if reply.code.startswith("2"):
            self.delivered += 1
            data = content(bytes(self.here.sent[self.here.data_from :]))
            self.as_sent.append(data)
            assert len(messages) == self.delivered, f"{len(messages)} messages after {reply}"
            assert messages[-1].id in reply.text, f"{messages[-1].id} is not in {reply}"
        else:
            assert len(messages) == self.delivered, f"{len(messages)} messages after {reply}"

    def check_enhanced(self, reply: Reply) -> None:
        """RFC 2034 4: all but 3xx, the greeting and the answers to HELO and EHLO carry a code."""
        name = self.case.options.get("greeting_hostname", "localhost")
        hello = reply.code == "250" and re.match(rf"{re.escape(name)}( |$)", reply.lines[0])
        if hello:
            self.here.enhanced = "ENHANCEDSTATUSCODES" in keywords(reply)
        elif self.here.enhanced and not self.own_replies and reply.code[0] != "3":
            for line in reply.lines:
                assert re.match(r"[245]\.\d+\.\d+( |$)", line), f"no enhanced code: {reply}"

    def exactly(self, data: bytes, deadline: float) -> None:
        here = self.here
        while len(here.came) < len(data):
            here.more(deadline)
        came = bytes(here.came[: len(data)])
        del here.came[: len(data)]
        assert came == data, f"expected {data!r}, got {came!r}"

    def silence(self, seconds: float) -> None:
        assert not self.here.came, f"not silent: {bytes(self.here.came)!r}"
        try:
            self.here.more(time.monotonic() + seconds)
        except TimeoutError:
            return
        except ServerClosed:
            raise AssertionError("closed where only silence was due") from None
        raise AssertionError(f"not silent: {bytes(self.here.came)!r}")

    def closed(self, maybe: c.Codes | None, deadline: float) -> None:
        while True:
            try:
                reply = self.next_reply(deadline)
            except ServerClosed:
                break
            assert maybe is not None and reply.code in maybe, f"came before the end: {reply}"
            maybe = None
        assert not self.here.came, f"came before the end: {bytes(self.here.came)!r}"
        self.here.closed = True

    def start_tls(self, refused: bool) -> None:
        here = self.here
        assert not here.came, f"in clear, behind the reply: {bytes(here.came)!r}"
        error = here.wire.start_tls()
        here.enhanced = False
        if refused:
            assert error is not None, "the client trusts the certificate"
            here.closed = True
        else:
            assert error is None, f"no TLS: {error}"

    def cram_md5(self, user: str, password: str) -> None:
        challenge = base64.b64decode(self.here.last.text, validate=True)
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
        self.send_base64(f"{user} {digest}".encode())

    def scram_sha256(self, user: str, password: str, end: str) -> None:
        """RFC 5802 3 and 5, RFC 7677; the success of it as RFC 4954 4 wants: an empty answer."""
        first = f"n={user.replace('=', '=3D').replace(',', '=2C')},r=fyko+d2lbbFgONRv9qkxdawL"
        self.send_base64(b"n,," + first.encode(), b"AUTH SCRAM-SHA-256 ")
        reply = self.next_reply(time.monotonic() + LIMIT)
        if reply.code == end:
            return
        assert reply.code == "334", f"expected 334, got {reply}"
        challenge = base64.b64decode(reply.text, validate=True).decode()
        nonce, salt, rounds = (item[2:] for item in challenge.split(",")[:3])
        assert nonce.startswith("fyko+d2lbbFgONRv9qkxdawL"), f"not our nonce: {challenge!r}"
        assert int(rounds) >= 4096, f"RFC 7677 4 wants 4096 rounds: {challenge!r}"
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(salt), int(rounds)
        )
        final = f"c=biws,r={nonce}"
        signed = ",".join((first, challenge, final)).encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        self.send_base64(f"{final},p={base64.b64encode(proof).decode()}".encode())
        reply = self.next_reply(time.monotonic() + LIMIT)
        if reply.code == "334":
            ours = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
            theirs = base64.b64decode(reply.text, validate=True)
            if not theirs.startswith(b"e="):
                assert theirs == b"v=" + base64.b64encode(ours), f"the signature is {theirs!r}"
            self.here.send(b"\r\n")
            reply = self.next_reply(time.monotonic() + LIMIT)
        else:
            assert end != "235", f"no signature of the server, but {reply}"
        assert reply.code == end, f"expected {end}, got {reply}"

    def send_base64(self, data: bytes, before: bytes = b"") -> None:
        self.here.send(before + base64.b64encode(data) + b"\r\n")

    def no_more(self) -> None:
        """A reply that no step expected is one too many."""
        if self.ended:
            return
        for name, connection in self.connections.items():
            data = bytes(connection.came)
            if not connection.closed:
                data += connection.wire.receive(0.0) or b""
            assert not data, f"on {name}, said without being asked: {data!r}"

    def check_outcome(self) -> None:
        case = self.case
        messages = list(self.world.messages())
        expected = case.mailbox
        count = self.delivered if expected is None or self.skipping else len(expected)
        assert len(messages) == count, f"{case.id}: {count} messages expected, not {messages}"
        for number, table in enumerate(expected or ()):
            sent = self.as_sent[number] if number < len(self.as_sent) else None
            wrong = differences(table, messages[number], sent)
            assert not wrong, f"{case.id}: message {number}: " + "; ".join(wrong)
        check_sessions(case, self.world.sessions())


def keywords(reply: Reply) -> set[str]:
    """What an answer to EHLO offers: each keyword, and each with one of its parameters."""
    offered = set()
    for line in reply.lines[1:]:
        keyword, *parameters = line.upper().split()
        offered |= {keyword} | {f"{keyword} {parameter}" for parameter in parameters}
    return offered
