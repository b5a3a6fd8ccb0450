"""The state machine of a session as tables and sentences: no Sphinx here, so that tests can ask it.

All of it is read from the table of commands that the engine works by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_smtpd.smtp.commands import COMMANDS, LAST_CHUNK, OPENINGS, Command, Phase


@dataclass(frozen=True)
class Step:
    """A command in a phase: where it leads, None for a 503, and whether it brings a message."""

    command: str
    source: Phase
    target: Phase | None
    message: bool


def rows() -> dict[str, Command]:
    """The table by what a client says: BDAT has two rows, since LAST leads elsewhere."""
    found: dict[str, Command] = {}
    for verb, command in COMMANDS.items():
        found[verb] = command
        if verb == "BDAT":
            found["BDAT LAST"] = LAST_CHUNK
    return found


def steps() -> list[Step]:
    """Every command in every phase in which a client may speak."""
    return [
        Step(name, phase, command.leads_to.get(phase), command.brings_message)
        for phase in _phases()
        for name, command in rows().items()
    ]


def _phases() -> list[Phase]:
    return [phase for phase in Phase if phase not in (Phase.CONNECT, Phase.CLOSED)]


# ---- tables, as Markdown


def phases() -> list[str]:
    """A row a phase: its name, and what it means."""
    return [
        "| phase | where the session stands |",
        "|---|---|",
        *(f"| `{phase.name}` | {phase.value} |" for phase in Phase),
    ]


def transitions() -> list[str]:
    """A row a command, a column a phase: where it leads."""
    columns = _phases()
    cells: dict[str, dict[Phase, str]] = {}
    for step in steps():
        cells.setdefault(step.command, {})[step.source] = _cell(step)
    return [
        f"| command | {' | '.join(f'`{phase.name}`' for phase in columns)} |",
        "|---" * (len(columns) + 1) + "|",
        *(
            f"| `{command}` | {' | '.join(row[phase] for phase in columns)} |"
            for command, row in cells.items()
        ),
    ]


def _cell(step: Step) -> str:
    if step.target is None:
        return "503"
    if step.target is step.source:
        return "stays"
    return "closed" if step.target is Phase.CLOSED else f"`{step.target.name}`"


def commands() -> list[str]:
    """A row a command: its syntax, and what else it needs."""
    return [
        "| command | extension | without the TLS that is required | "
        "without the AUTH that is required | may be followed at once by more |",
        "|---|---|---|---|---|",
        *(
            f"| `{command.usage}` | {command.extension or ''} | {_mark(command.before_tls)} | "
            f"{_mark(command.before_auth)} | {_mark(command.in_group)} |"
            for command in COMMANDS.values()
        ),
    ]


def _mark(holds: bool) -> str:
    return "yes" if holds else ""


def described() -> Iterator[str]:
    """The picture in words, a sentence a phase, for those who cannot see it."""
    for verdict, phase in OPENINGS.items():
        yield f"{Phase.CONNECT.name}: {verdict} leads to {phase.name}."
    for phase in Phase:
        ways: dict[str, list[str]] = {}
        for step in steps():
            if step.source is phase and step.target is not None:
                way = "stay" if step.target is phase else f"lead to {step.target.name}"
                ways.setdefault(way, []).append(step.command)
        if ways:
            told = (f"{', '.join(commands)} {way}" for way, commands in ways.items())
            yield f"{phase.name}: {'; '.join(told)}."
