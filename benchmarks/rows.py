"""The one table of what is measured, with what is to be reached beside it.

Rule: a target stands here once, and the report shows it next to the figure.
"""

from __future__ import annotations

from .figures import BEST_PEER
from .measures.fixture import FixtureCost
from .measures.growth import OPERATIONS, Growth, grows
from .measures.idle import Idle
from .measures.memory import Peak, PerMessage
from .measures.startup import PluginImport, PytestStart
from .measures.throughput import Replay, Smtplib, SmtpSource, Throughput
from .model import Row, Target

__all__ = ["PEERS", "ROWS"]

# Who counts where a target is about the best peer
PEERS = ("smtpdfix", "pytest-localserver", "aiosmtpd")

# It waits 100 ms before it greets, to catch clients that talk too early.
NODE = "smtp-server (node)"
NODE_WAITS = "npm's smtp-server waits 100 ms before it greets."

PYTHON = ("ours", "aiosmtpd", "smtpdfix", "pytest-localserver", "floor")
ALL = (*PYTHON, NODE, "smtp-sink")
FEW = ("ours", "aiosmtpd", NODE, "floor", "smtp-sink")

FLOOR = Target("floor", at_most=1.6, figure="cpu")
AIOSMTPD = Target("aiosmtpd", at_least=2.0)
KEPT = (AIOSMTPD, Target("smtp-sink", at_least=0.6), FLOOR)
NEW = (AIOSMTPD, Target("smtp-sink", at_least=0.8), FLOOR)
BIG = (AIOSMTPD, Target("smtp-sink", at_least=1.0), FLOOR)

MB20 = 20_000_000


def _small(sessions: int, kept: bool, messages: int) -> Row:
    how = "kept" if kept else "new"
    of = "1 session" if sessions == 1 else f"{sessions} sessions"
    what = "connection kept" if kept else "a connection a message"
    return Row(
        key=f"1k-{sessions}-{how}",
        title=f"1 KB messages, {of}, {what} (smtp-source)",
        unit="messages/s",
        measure=Throughput(
            SmtpSource(sessions, kept),
            ALL if sessions == 1 else FEW,
            messages=messages,
            fewer={} if kept else {NODE: 10 * sessions},
        ),
        targets=KEPT if kept else NEW,
        more_is_better=True,
        note="" if kept else NODE_WAITS,
    )


def _big(key: str, title: str, load: SmtpSource | Replay) -> Row:
    return Row(
        key=key,
        title=title,
        unit="MB/s",
        measure=Throughput(load, FEW, messages=1, big=True),
        targets=BIG,
        more_is_better=True,
    )


def _smtplib(kept: bool) -> Row:
    what = "connection kept" if kept else "a connection a message"
    return Row(
        key=f"1k-smtplib-{'kept' if kept else 'new'}",
        title=f"1 KB messages, 1 session, {what} (smtplib)",
        unit="messages/s",
        measure=Throughput(
            Smtplib(kept), FEW, messages=500 if kept else 300, fewer={} if kept else {NODE: 10}
        ),
        targets=KEPT if kept else NEW,
        more_is_better=True,
        note="" if kept else NODE_WAITS,
    )


def _starttls(kept: bool) -> Row:
    what = "connection kept" if kept else "a connection a message"
    peer = AIOSMTPD if kept else Target("aiosmtpd", at_least=1.3)
    return Row(
        key=f"starttls-{'kept' if kept else 'new'}",
        title=f"1 KB messages after STARTTLS, {what} (smtplib)",
        unit="messages/s",
        measure=Throughput(
            Smtplib(kept, tls=True),
            FEW[:-1],
            messages=500 if kept else 60,
            fewer={} if kept else {NODE: 10},
        ),
        targets=(peer, FLOOR),
        more_is_better=True,
        note="smtp-sink has no STARTTLS." + ("" if kept else f" {NODE_WAITS}"),
    )


THROUGHPUT = (
    _small(1, True, 1500),
    _small(10, True, 3000),
    _small(50, True, 3000),
    _small(1, False, 600),
    _small(10, False, 1500),
    _small(50, False, 1500),
    _smtplib(True),
    _smtplib(False),
    _big("20m", "A 20 MB message (smtp-source)", SmtpSource(octets=MB20)),
    _big("20m-replay", "A 20 MB message (replay)", Replay(octets=MB20)),
    _big("20m-dots", "20 MB of lines with a dot alone (replay)", Replay("dots", MB20)),
    _big("20m-short", "20 MB of one-character lines (replay)", Replay("short", MB20)),
    _starttls(True),
    _starttls(False),
    Row(
        key="starttls-replay",
        title="1 KB messages after STARTTLS, connection kept (replay)",
        unit="messages/s",
        measure=Throughput(Replay(tls=True), FEW[:-1], messages=1000),
        targets=(AIOSMTPD, FLOOR),
        more_is_better=True,
        note="smtp-sink has no STARTTLS.",
    ),
    Row(
        key="bdat-1k",
        title="1 KB messages by BDAT, connection kept (replay)",
        unit="messages/s",
        measure=Throughput(
            Replay(bdat=True),
            ("ours", "floor"),
            messages=1000,
            variants={"ours, by DATA": ("ours", Replay())},
        ),
        targets=(FLOOR,),
        more_is_better=True,
        note="No peer has CHUNKING.",
    ),
    Row(
        key="bdat-20m",
        title="A 20 MB message by BDAT (replay)",
        unit="MB/s",
        measure=Throughput(
            Replay(octets=MB20, bdat=True),
            ("ours", "floor"),
            messages=1,
            big=True,
            variants={"ours, by DATA": ("ours", Replay(octets=MB20))},
        ),
        targets=(FLOOR,),
        more_is_better=True,
        note="No peer has CHUNKING.",
    ),
)

START = (Target(None, at_most=3.0), Target("smtpdfix", at_most=0.1))

COSTS = (
    Row(
        key="import",
        title="Import of the plugin, after pytest",
        unit="ms",
        measure=PluginImport(),
        targets=START,
    ),
    Row(
        key="start",
        title="What the plugin adds to a pytest run that does not use it",
        unit="ms",
        measure=PytestStart(),
        targets=START,
    ),
    Row(
        key="fixture",
        title="Set-up and teardown of the fixture, a test",
        unit="ms",
        measure=FixtureCost(mail=False),
        targets=(Target(BEST_PEER, at_most=1 / 3),),
        note="aiosmtpd has no fixture: a Controller, started and stopped by one.",
    ),
    Row(
        key="fixture-mail",
        title="The fixture and one mail from smtplib, a test",
        unit="ms",
        measure=FixtureCost(mail=True),
        note="The client's share is in it.",
    ),
)

MEMORY = (
    Row(
        key="memory-kept",
        title="Memory for each stored 1 KB message, 10 connections kept",
        unit="octets",
        measure=PerMessage(FEW[:-1], kept=True),
        most_rounds=5,
    ),
    Row(
        key="memory-new",
        title="Memory for each stored 1 KB message, a connection a message",
        unit="octets",
        measure=PerMessage(("ours", "aiosmtpd", "floor"), kept=False),
        most_rounds=3,
        note="Of ours the record of the connection is in it.",
    ),
    Row(
        key="peak-50m",
        title="Memory at the peak of a 50 MB message",
        unit="× its size",
        measure=Peak(FEW),
        targets=(Target(None, at_most=2.2),),
        most_rounds=5,
    ),
)

LONG = (
    Row(
        key="idle",
        title="Latency of a mail beside 2,000 idle connections",
        unit="ms",
        measure=Idle(("ours", "aiosmtpd", "floor", "smtp-sink")),
        most_rounds=5,
        note="Not npm's smtp-server: it greets late, and times the first out before the last.",
    ),
    Row(
        key="growth",
        title="A mailbox of 10 to 50,000 messages",
        unit="× at most",
        measure=Growth(),
        targets=tuple(Target(None, at_most=1.5, figure=grows(name)) for name in OPERATIONS),
        most_rounds=5,
        note="Where every message is looked at, the cost is that for each of them.",
    ),
)

ROWS: tuple[Row, ...] = (*COSTS, *THROUGHPUT, *MEMORY, *LONG)
