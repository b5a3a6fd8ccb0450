"""The conversations again, with the bare engine and no socket, three ways that must agree.

As written; octet by octet; and all that the client says at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from conversation import Case, CramMD5, ScramSHA256, read_cases
from conversation_player import Player, Wire
from engine_owner import EngineWire, Owner, Splitter, plays_without_socket

CASES = [case for case in read_cases() if plays_without_socket(case)]
# What the client answers to a challenge of the server's cannot be sent before it came.
DYNAMIC = (CramMD5, ScramSHA256)
STATIC = [case for case in CASES if not any(isinstance(s, DYNAMIC) for s in case.flat_steps())]


class EngineWorld:
    def __init__(self, case: Case, split: Splitter) -> None:
        self.owner = Owner(**case.server_options())
        self.split = split

    def connect(self, tls: bool) -> Wire:
        return self.owner.connect(self.split)

    def messages(self) -> Sequence[Any]:
        return self.owner.messages

    def pause(self, seconds: float) -> None:
        pass  # nothing here takes time

    def sessions(self) -> Sequence[Any]:
        for wire in self.owner.connections:
            wire.record.ends("client")
        return [wire.record for wire in self.owner.connections]

    @property
    def wire(self) -> EngineWire:
        (wire,) = self.owner.connections
        return wire


def whole(data: bytes) -> Sequence[bytes]:
    return [data]


def octets(data: bytes) -> Sequence[bytes]:
    # Single octets where that is quick enough; else portions that meet no power of two.
    size = 1 if len(data) <= 10_000 else 61 if len(data) <= 200_000 else 1021
    return [data[start : start + size] for start in range(0, len(data), size)]


def play(case: Case, split: Splitter) -> EngineWorld:
    world = EngineWorld(case, split)
    Player(case, world).play()
    return world


def names(cases: Sequence[Case]) -> list[str]:
    return [case.id for case in cases]


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_as_written(case: Case) -> None:
    play(case, whole)


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_octet_by_octet(case: Case) -> None:
    # Whether a client pipelines shows in the portions alone; all else is the same.
    play(replace(case, violations=None), octets)


@pytest.mark.parametrize("case", STATIC, ids=names(STATIC))
def test_all_at_once(case: Case) -> None:
    written = play(case, whole)

    at_once = EngineWorld(case, whole)
    at_once.connect(tls=False)
    at_once.wire.send(bytes(written.wire.sent))
    if written.wire.eof:
        at_once.wire.half_close()

    assert bytes(at_once.wire.all_output) == bytes(written.wire.all_output)
    assert at_once.owner.messages == written.owner.messages


def test_most_cases_need_no_socket() -> None:
    assert len(CASES) > 0.7 * len(read_cases())
