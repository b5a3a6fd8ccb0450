"""Messages or megabytes a second, and the server's processor time for each of them.

Rule: what the server holds afterwards is checked, outside of what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..model import BenchmarkError, Place, Sample, Scale, Taker
from ..process import cpu_seconds, run, run_module
from ..servers.launch import Running, find_tool, launch


@dataclass(frozen=True)
class Result:
    """What a client says of its load; `seconds` are its own where it measures them."""

    seconds: float
    sha256: str | None = None


@dataclass(frozen=True)
class SmtpSource:
    """Postfix's client."""

    sessions: int = 1
    kept: bool = True
    octets: int = 1024

    def send(self, port: int, messages: int, octets: int, place: Place) -> Result:
        command = [find_tool("smtp-source"), *(["-d"] if self.kept else [])]
        command += ["-s", str(min(self.sessions, messages)), "-m", str(messages)]
        command += ["-l", str(octets), "-M", "client.example", "-C", "5"]
        command += ["-f", "a@example.com", "-t", "b@example.net", f"127.0.0.1:{port}"]
        start = time.perf_counter()
        run(command)
        return Result(time.perf_counter() - start)


@dataclass(frozen=True)
class Smtplib:
    """Python's client."""

    kept: bool = True
    octets: int = 1024
    tls: bool = False

    def send(self, port: int, messages: int, octets: int, place: Place) -> Result:
        args = ["--port", str(port), "--messages", str(messages), "--octets", str(octets)]
        if not self.kept:
            args.append("--new")
        if self.tls:
            args += ["--trust", str(place.authority)]
        return Result(**run_module("benchmarks.clients.smtplib_client", *args))


@dataclass(frozen=True)
class Replay:
    """Our client, which sends prepared octets."""

    shape: str = "plain"
    octets: int = 1024
    bdat: bool = False
    tls: bool = False

    def send(self, port: int, messages: int, octets: int, place: Place) -> Result:
        args = ["--port", str(port), "--messages", str(messages), "--octets", str(octets)]
        args += ["--shape", self.shape, *(["--bdat"] if self.bdat else [])]
        if self.tls:
            args += ["--trust", str(place.authority)]
        answer = run_module("benchmarks.clients.replay", *args)
        return Result(answer["seconds"], answer["sha256"])


Load = SmtpSource | Smtplib | Replay


@dataclass(frozen=True)
class Throughput:
    """`messages` of a load, sent to each server. `big`: the rate is in megabytes (1e6 octets)."""

    load: Load
    servers: tuple[str, ...]
    messages: int
    big: bool = False
    # Contenders that get fewer messages, because they take their time
    fewer: Mapping[str, int] = field(default_factory=dict)
    # Contenders that are one of the servers under another load: name -> (server, load)
    variants: Mapping[str, tuple[str, Load]] = field(default_factory=dict)

    @property
    def contenders(self) -> tuple[str, ...]:
        return (*self.servers, *self.variants)

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        server, load = self.variants.get(contender, (contender, self.load))
        if isinstance(load, SmtpSource):
            find_tool("smtp-source")
        tls = not isinstance(load, SmtpSource) and load.tls
        messages = self.fewer.get(contender, self.messages)
        if not self.big:
            messages = scale.count(messages, 2)
        octets = scale.count(load.octets, 20_000) if self.big else load.octets
        with launch(server, scale, place, tls=tls) as running:
            if scale.real:
                # Not measured: what loads and warms up with the first mail
                load.send(running.port, max(1, messages // 10), min(octets, 1_000_000), place)
                running.clear()
            yield self._taker(running, load, messages, octets, place)

    def _taker(
        self, running: Running, load: Load, messages: int, octets: int, place: Place
    ) -> Callable[[], Sample]:
        units = messages * octets / 1e6 if self.big else float(messages)

        def take() -> Sample:
            before = cpu_seconds(running.pid)
            try:
                result = load.send(running.port, messages, octets, place)
            except BenchmarkError as error:
                raise BenchmarkError(f"{error}; the server: {running.child.said()}") from error
            after = cpu_seconds(running.pid)
            # What a client adds (headers) or a wire (dots): no message is larger than twice
            # its octets and a kilobyte, or smaller than its content without doubled dots.
            running.expect(
                messages, least=octets // 2, most=2 * octets + 1024, sha256=result.sha256
            )
            running.clear()
            cpu = None
            if before is not None and after is not None:
                cpu = (after - before) / units * 1e6
            return Sample(units / result.seconds, cpu, {"seconds": result.seconds})

        return take
