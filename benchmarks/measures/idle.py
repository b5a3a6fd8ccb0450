"""The latency of a mail while many connections are held that do nothing.

Rule: where the system allows fewer open files than are wanted, the row says how many were held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..model import Place, Sample, Scale, Taker
from ..process import allow_open_files, memory, run_module
from ..servers.launch import launch


@dataclass(frozen=True)
class Idle:
    """Milliseconds from the connect of a mail to the end of its connection, the median."""

    contenders: tuple[str, ...]
    connections: int = 2000
    mails: int = 100

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        connections = scale.count(self.connections, 10)
        # The server has this limit from us.
        allowed = allow_open_files(self.connections + 200)
        mails = scale.count(self.mails, 3)
        wanted = min(connections, allowed - 100)
        with launch(contender, scale, place) as running:

            def take() -> Sample:
                before = memory(running.pid)
                answer = run_module(
                    "benchmarks.clients.idle",
                    *("--port", str(running.port)),
                    *("--connections", str(wanted)),
                    *("--mails", str(mails)),
                )
                after = memory(running.pid)
                running.expect(2 * mails, least=1024)
                running.clear()
                held = answer["held"]
                extra = {name: float(value) for name, value in answer.items()}
                if before is not None and after is not None:
                    extra["resident octets a connection"] = (after.now - before.now) / held
                remark = f"Only {held} connections could be held." if held < connections else ""
                return Sample(answer["milliseconds"], extra=extra, remark=remark)

            if scale.real:
                take()
            yield take
