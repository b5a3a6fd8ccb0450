"""The players of conversations themselves: each kind of wrong server must be seen by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conversation import Case, Closed, Expect, Send, read_case, read_cases
from conversation_options import octets
from conversation_player import Player


@dataclass
class Script:
    """A server that says what it was told to, whatever the client does."""

    says: list[bytes]
    ends: bool = False
    found: list[Any] = field(default_factory=list)
    record: Any = field(default_factory=lambda: SimpleNamespace(violations=[], exchanges=[]))

    def connect(self, tls: bool) -> Script:
        return self

    def send(self, data: bytes) -> None:
        pass

    def receive(self, seconds: float) -> bytes | None:
        if self.says:
            return self.says.pop(0)
        return b"" if self.ends else None

    def close(self) -> None:
        pass

    reset = half_close = close

    def start_tls(self) -> Exception | None:
        return None

    def messages(self) -> Sequence[Any]:
        return self.found

    def pause(self, seconds: float) -> None:
        pass

    def sessions(self) -> Sequence[Any]:
        return [self.record]


def case(*steps: Any, **keys: Any) -> Case:
    return read_case("toy", {"name": "toy", "rfc": "", "steps": list(steps), **keys})


def play(script: Script, *steps: Any, **keys: Any) -> None:
    Player(case(*steps, **keys), script).play()


MESSAGE = SimpleNamespace(
    id="Q1",
    raw=b"hello\r\n",
    envelope=SimpleNamespace(
        mail_from="ann@example.com",
        rcpt_to=("bob@example.net",),
        mail_parameters={"SIZE": "10", "SMTPUTF8": None},
        rcpt_parameters=({"NOTIFY": "NEVER"},),
    ),
)


@pytest.mark.parametrize(
    ("says", "steps"),
    [
        ([b"220 ready\r\n"], ["< 220"]),
        ([b"22", b"0 rea", b"dy\r", b"\n"], ["< 220 ready$"]),
        ([b"250-a\r\n250 b\r\n"], [{"reply": "2xx", "lines": 2, "text": "^a\nb$"}]),
        ([b"250-a\r\n250-SIZE 10\r\n250 HELP\r\n"], [{"reply": "250", "has": ["SIZE 10", "HELP"]}]),
        ([b"250 a\r\n250 b\r\n"], [{"reply": "250", "repeat": 2}]),
        ([b"450 no\r\n"], ["< 250|450 (500) no"]),
        ([b"no reply at all"], [{"exactly": "no reply at all"}]),
        ([], ["silence 0.01"]),
        ([b"250 a\r\n"], ["< 250|451", "?451 < 220", "?250 silence 0.01"]),
        ([b"503 a\r\n"], [{"reply": "5xx", "ends": "503"}, "< 250"]),
    ],
)
def test_what_is_right_passes(says: list[bytes], steps: list[Any]) -> None:
    play(Script(says), *steps)


@pytest.mark.parametrize(
    ("says", "steps", "error"),
    [
        ([], ["< 220"], "nothing came"),
        ([b"220 half"], ["< 220"], "nothing came.*220 half"),
        ([b"554 no\r\n"], ["< 220"], "expected 220"),
        ([b"220 ready\r\n"], ["< 220 steady"], "expected 'steady'"),
        ([b"220 ready\r\n250 more\r\n"], ["< 220"], "without being asked"),
        ([b"220 ready\r\n"], ["silence 0.01"], "not silent"),
        ([b"220 ready\r\n"], ["closed"], "came before the end"),
        ([], ["closed"], "nothing came"),
        ([b"250-a\r\n251 b\r\n"], ["< 250"], "more than one code"),
        ([b"hello\r\n"], ["< 250"], "not a reply line"),
        ([b"250 a\tb\r\n"], ["< 250"], "control characters"),
        ([b"250 a\n250 b\r\n"], ["< 250"], "control characters"),
        ([b"250 \xc3\xa4\r\n"], ["< 250"], "not ASCII"),
        ([b"250 " + b"x" * 507 + b"\r\n"], ["< 250"], "513 octets"),
        ([b"550 2.0.0 no\r\n"], ["< 550"], "two classes"),
        ([b"250-a\r\n250 HELP\r\n"], [{"reply": "250", "lacks": ["HELP"]}], "HELP is in"),
        ([b"250-a\r\n250 HELP\r\n"], [{"reply": "250", "has": ["SIZE"]}], "SIZE is not in"),
        ([b"250-a\r\n250 HELP\r\n"], [{"reply": "250", "lines": 1}], "expected 1 lines"),
        ([b"250 a\r\n"], [{"reply": "250", "not_before": 5}], "before 5 s"),
        ([b"other"], [{"exactly": "octet"}], "expected b'octet'"),
        ([b"250 a\r\n"], ["<+ 250"], "0 messages"),
        (
            [b"250-localhost\r\n250 ENHANCEDSTATUSCODES\r\n", b"250 OK\r\n"],
            ["< 250", "< 250"],
            "no enhanced code",
        ),
    ],
)
def test_what_is_wrong_fails(says: list[bytes], steps: list[Any], error: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s){error}"):
        play(Script(says), *steps)


def test_a_server_that_closes_too_early() -> None:
    with pytest.raises(AssertionError, match="closed before '< 250'"):
        play(Script([b"220 x\r\n"], ends=True), "< 220", "< 250")
    with pytest.raises(AssertionError, match="closed where only silence"):
        play(Script([], ends=True), "silence 0.01")
    play(Script([], ends=True), {"reply": "250", "or_closed": True}, "< 250")


@pytest.mark.parametrize(
    "wrong",
    [
        {"mail_from": "eve@example.com"},
        {"rcpt_to": []},
        {"rcpt_to": ["bob@example.net", "eve@example.net"]},
        {"raw": r"hello\n"},
        {"raw_match": "^hallo"},
        {"raw_has": ["x"]},
        {"raw_lacks": ["hello"]},
        {"size": 6},
        {"as_sent": True},
        {"mail_parameters": {"SIZE": "11"}},
        {"mail_parameters": {"BODY": ""}},
        {"rcpt_parameters": []},
        {"rcpt_parameters": [{"NOTIFY": "DELAY"}]},
    ],
)
def test_a_message_that_is_another(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="message 0"):
        play(Script([], found=[MESSAGE]), mailbox=[wrong])


def test_a_message_that_is_as_told() -> None:
    script = Script([b"354 go\r\n", b"250 Q1\r\n"])
    told = {
        "mail_from": ["x@example.com", "ann@example.com"],
        "rcpt_to": [["bob", "bob@example.net"]],
        "mail_parameters": {"size": "10", "SMTPUTF8": ""},
        "rcpt_parameters": [{"notify": "never"}],
        "raw": r"hello\r\n",
        "raw_match": "^h.*$",
        "as_sent": True,
        "size": 7,
    }
    steps = ["< 354", r">> hello\r\n.\r\n", "wait 0", "<+ 250"]
    script.pause = lambda seconds: script.found.append(MESSAGE)  # type: ignore[method-assign]
    play(script, *steps, mailbox=[told])


def test_what_sessions_must_say() -> None:
    clean = SimpleNamespace(violations=[], exchanges=[], user="ann")
    dirty = SimpleNamespace(violations=[SimpleNamespace(code="x")], exchanges=[], user="secret")
    play(Script([], record=clean), violations=False, session={"user": "ann"}, hidden=["secret"])
    play(Script([], record=dirty), violations=["x"])
    for keys in (
        {"violations": False},
        {"violations": ["y"]},
        {"session": {"user": "ann"}},
        {"hidden": ["secret"]},
    ):
        with pytest.raises(AssertionError):
            play(Script([], record=dirty), **keys)
    with pytest.raises(AssertionError):
        play(Script([], record=clean), violations=True)


def test_messages_that_nobody_expects() -> None:
    with pytest.raises(AssertionError, match="0 messages expected"):
        play(Script([], found=[MESSAGE]), mailbox=[])
    with pytest.raises(AssertionError, match="1 messages expected"):
        play(Script([]), mailbox=[{}])
    with pytest.raises(AssertionError, match="0 messages expected"):
        play(Script([], found=[MESSAGE]))


@pytest.mark.parametrize(
    "step",
    [
        "<250",
        "send it",
        "on",
        "silence long",
        {"sent": "x"},
        {"reply": "250", "txt": "x"},
        r">> \q",
    ],
)
def test_a_word_the_format_does_not_have(step: Any) -> None:
    with pytest.raises(ValueError, match="toy"):
        case(step)


def test_a_key_the_format_does_not_have() -> None:
    with pytest.raises(ValueError, match="mailboxes"):
        case("< 220", mailboxes=[])
    with pytest.raises(ValueError, match="sender"):
        play(Script([], found=[MESSAGE]), mailbox=[{"sender": "x"}])


def test_a_name_given_twice(tmp_path: Path) -> None:
    text = '[[case]]\nname = "a"\nrfc = ""\nsteps = []\n'
    (tmp_path / "x.toml").write_text(text * 2)
    with pytest.raises(ValueError, match="more than one case is called"):
        read_cases(tmp_path)


def test_how_steps_are_read() -> None:
    steps = [step for _, step in case("> EHLO é", r">> a\r\n\0\\\xfff", "<+ 250", "closed").steps]
    expected = [Send("EHLO é\r\n".encode()), Send(b"a\r\n\0\\\xfff")]
    assert steps[:2] == expected
    assert isinstance(steps[2], Expect)
    assert steps[2].message
    assert steps[3] == Closed()
    assert octets("ä€") == "ä€".encode()
    assert [step for _, step in case({"send": "N {n}", "repeat": 2}).steps] == [
        Send(b"N 1\r\nN 2\r\n")
    ]
