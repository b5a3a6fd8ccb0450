"""Memory of a server: for each message that it holds, and at the peak of a large one.

Rule: a fresh process each time, looked at from outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..model import MissingPeer, Place, Sample, Scale, Taker
from ..process import forget_peak, memory
from ..servers.launch import Running, find, find_tool, launch
from .throughput import Replay, SmtpSource


def _resident(running: Running) -> int:
    found = memory(running.pid)
    if found is None:
        raise MissingPeer("the system does not tell the memory of a process (psutil would)")
    return found.now


@dataclass(frozen=True)
class PerMessage:
    """Octets of resident memory a message of 1 KB, all of it included."""

    contenders: tuple[str, ...]
    kept: bool
    messages: int = 4000

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        find_tool("smtp-source")
        load = SmtpSource(10, self.kept)
        warm = scale.count(500, 10)
        messages = scale.count(self.messages, 20)

        def take() -> Sample:
            with launch(contender, scale, place) as running:
                load.send(running.port, warm, load.octets, place)
                before = _resident(running)
                load.send(running.port, messages, load.octets, place)
                after = _resident(running)
                running.expect(warm + messages, least=load.octets)
                return Sample((after - before) / messages)

        find(contender, scale, place)
        yield take


@dataclass(frozen=True)
class Peak:
    """How much more a server holds at the peak of a message, as a multiple of its size."""

    contenders: tuple[str, ...]
    octets: int = 50_000_000

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        load = Replay()
        octets = scale.count(self.octets)

        def take() -> Sample:
            with launch(contender, scale, place) as running:
                load.send(running.port, 1, 100, place)
                forget_peak(running.pid)
                before = _resident(running)
                sent = load.send(running.port, 1, octets, place)
                found = memory(running.pid)
                if found is None or found.peak is None:
                    raise MissingPeer("the system does not tell the peak of a process's memory")
                running.expect(2, sha256=sent.sha256)
                extra = {"after it": (found.now - before) / octets}
                return Sample((found.peak - before) / octets, extra=extra)

        find(contender, scale, place)
        yield take
