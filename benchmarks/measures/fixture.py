"""What a fixture costs each test: set-up and teardown, and with one mail.

Rule: the whole of pytest's protocol for a test is timed, in a run with the plugin and in one
without any; the difference is the cost, a plugin's hooks included.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean, median

from ..model import OURS, Place, Sample, Scale, Taker
from ..servers.launch import find_module
from .startup import plugin_of, run_pytest, write_suite

# The first tests pay for imports, certificates and caches.
UNTIMED = 5

_STOPWATCH = """
import json, time
import pytest

taken = []

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    start = time.perf_counter()
    done = yield
    taken.append(time.perf_counter() - start)
    return done

def pytest_sessionfinish(session):
    with open("taken.json", "w") as file:
        json.dump(taken, file)
"""

# aiosmtpd has no fixture: this is the one that its users write.
_AIOSMTPD = """
import socket
from aiosmtpd.controller import Controller

class Keep:
    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 OK"

@pytest.fixture
def controller():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(Keep(), hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    controller.stop()
"""

_EMPTY = """
@pytest.fixture
def nothing():
    yield
"""

_SEND = """
    with smtplib.SMTP({host}, {port}, local_hostname="client.example") as client:
        client.sendmail("a@example.com", ["b@example.net"], MAIL)
    assert len({messages}) == 1
"""


@dataclass(frozen=True)
class Fixture:
    """How a test uses a contender's fixture."""

    name: str
    host: str = ""
    port: str = ""
    messages: str = ""
    conftest: str = ""


FIXTURES = {
    OURS: Fixture("smtpd", "smtpd.host", "smtpd.port", "smtpd.messages"),
    "smtpdfix": Fixture("smtpd", "smtpd.hostname", "smtpd.port", "smtpd.messages"),
    "pytest-localserver": Fixture(
        "smtpserver", "smtpserver.addr[0]", "smtpserver.addr[1]", "smtpserver.outbox"
    ),
    "aiosmtpd": Fixture(
        "controller",
        "controller.hostname",
        "controller.port",
        "controller.handler.envelopes",
        _AIOSMTPD,
    ),
}
NO_FIXTURE = Fixture("nothing", conftest=_EMPTY)


def _test(fixture: Fixture, tests: int, mail: bool) -> str:
    body = "    pass\n"
    if mail and fixture is not NO_FIXTURE:
        body = _SEND.format(host=fixture.host, port=fixture.port, messages=fixture.messages)
    return (
        "import smtplib\n"
        "import pytest\n"
        'MAIL = b"From: <a@example.com>\\r\\nTo: <b@example.net>\\r\\n\\r\\nHello\\r\\n"\n'
        f'@pytest.mark.parametrize("number", range({tests}))\n'
        f"def test_it(number, {fixture.name}):\n{body}"
    )


@dataclass(frozen=True)
class FixtureCost:
    """Milliseconds a test."""

    mail: bool
    tests: int = 100
    contenders: tuple[str, ...] = tuple(FIXTURES)

    @contextmanager
    def prepare(self, contender: str, scale: Scale, place: Place) -> Iterator[Taker]:
        if contender == "aiosmtpd":
            find_module("aiosmtpd", "aiosmtpd")
            args: list[str] = []
        else:
            args = ["-p", plugin_of(contender)]
        tests = scale.count(self.tests, 3) + UNTIMED
        folder = place.folder / f"fixture-{contender}-{self.mail}"
        bare = place.folder / f"fixture-{contender}-{self.mail}-bare"
        for where, fixture in ((folder, FIXTURES[contender]), (bare, NO_FIXTURE)):
            write_suite(where, _test(fixture, tests, self.mail), _STOPWATCH + fixture.conftest)

        def take() -> Sample:
            run_pytest(bare)
            run_pytest(folder, *args)
            without, taken = (
                json.loads((where / "taken.json").read_text())[UNTIMED:] for where in (bare, folder)
            )
            # The means say more of who else uses the machine: a thread that has to wait for a
            # processor starts 3 ms late
            return Sample(
                (median(taken) - median(without)) * 1000,
                extra={"mean": (fmean(taken) - fmean(without)) * 1000},
            )

        yield take
