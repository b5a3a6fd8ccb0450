"""The section `smtpd` in the report of a failing test: each server's faults, mail and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from ..text import cut_middle, shortened

if TYPE_CHECKING:
    from ..faults import Fault
    from .seen import Facts, Seen

# Longer lists and lines are truncated in the middle
MAX_LINES = 60  # of a session; a third of it for a mailbox
MAX_WIDTH = 400  # characters of a line
MAX_SESSIONS = 10  # of a server
MAX_FAULTS = 10  # of a server


def section(servers: Sequence[Seen]) -> str:
    """The text of the section: for each server its faults, its mail, then its sessions."""
    return "\n".join(map(_server, servers))


def _server(seen: Seen) -> str:
    facts = seen.facts
    # A fault that has not acted may be why the test fails
    faults = [_fault(fault, hits) for fault, hits in facts.faults]
    lines = [f"{seen.name}{_place(facts)}", *shortened(faults, MAX_FAULTS)]
    lines += shortened(repr(seen.messages).splitlines(), MAX_LINES // 3)
    if seen.strays:
        lines += shortened(repr(seen.strays).splitlines(), MAX_LINES // 3)
    sessions = list(seen.sessions)
    if not sessions:
        lines.append("no client has connected")
    half, left_out = MAX_SESSIONS // 2, len(sessions) - MAX_SESSIONS
    shown = sessions if left_out <= 0 else [*sessions[:half], *sessions[-half:]]
    for number, session in enumerate(shown):
        if left_out > 0 and number == half:
            lines.append(f"... {left_out} sessions left out ...")
        lines += shortened(str(session).splitlines(), MAX_LINES)
    return "\n".join(cut_middle(seen.hide(line), MAX_WIDTH) for line in lines)


def _place(facts: Facts) -> str:
    by_chance = any(fault.probability < 1 for fault, _ in facts.faults)
    seed = f", seed={facts.seed!r}" if by_chance else ""
    return (f" at {facts.url}" if facts.url else ", which was not started") + seed


def _fault(fault: Fault, hits: int) -> str:
    given = [
        f"{field.name}={value!r}"
        for field in fields(fault)
        if field.init and (value := getattr(fault, field.name)) != field.default
    ]
    times = {0: "not acted", 1: "acted once"}.get(hits, f"acted {hits} times")
    return f"{type(fault).__name__}({', '.join(given)}) has {times}"
