"""The state machine of a session, drawn from its tables: no Sphinx here, so that tests can ask it.

The tables say which command may come in which phase. Where it leads is not written anywhere: each
command is put to the engine in each phase, and the engine looked at. A command that the tables have
and this module has no line for stops the build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from pytest_smtpd.options import merge
from pytest_smtpd.smtp.commands import COMMANDS, Phase
from pytest_smtpd.smtp.events import MessageReceived
from pytest_smtpd.smtp.grammar import USAGE
from pytest_smtpd.smtp.profile import Profile
from pytest_smtpd.smtp.replies import HOST_REFUSED
from pytest_smtpd.smtp.session import Session

CLOSED = "closed"
_BDAT, _LAST = "BDAT", "BDAT LAST"
_LINES = {
    "HELO": b"HELO c\r\n",
    "EHLO": b"EHLO c\r\n",
    "LHLO": b"LHLO c\r\n",
    "STARTTLS": b"STARTTLS\r\n",
    "AUTH": b"AUTH PLAIN AGEAYg==\r\n",
    "MAIL": b"MAIL FROM:<a@example.com>\r\n",
    "RCPT": b"RCPT TO:<b@example.com>\r\n",
    "DATA": b"DATA\r\n",
    _BDAT: b"BDAT 1\r\nx",
    _LAST: b"BDAT 1 LAST\r\nx",
    "RSET": b"RSET\r\n",
    "NOOP": b"NOOP\r\n",
    "VRFY": b"VRFY a\r\n",
    "EXPN": b"EXPN a\r\n",
    "HELP": b"HELP\r\n",
    "QUIT": b"QUIT\r\n",
}
_WAYS: dict[Phase, tuple[str, ...]] = {
    Phase.START: (),
    Phase.READY: ("EHLO",),
    Phase.SENDER: ("EHLO", "MAIL"),
    Phase.RECIPIENT: ("EHLO", "MAIL", "RCPT"),
    Phase.CHUNKS: ("EHLO", "MAIL", "RCPT", _BDAT),
}


class _Journal:
    """Is told everything, and keeps nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *told: None


@dataclass(frozen=True)
class Step:
    """A command in a phase: where it leads, None for a 503, and whether a message came with it."""

    command: str
    source: Phase
    target: Phase | str | None
    message: bool = False


def steps() -> list[Step]:
    """Every command in every phase in which a client may speak, as the engine takes it."""
    found = []
    for phase in Phase:
        if phase is not Phase.CONNECT:
            for verb in COMMANDS:
                for command in (_BDAT, _LAST) if verb == "BDAT" else (verb,):
                    found.append(_step(command, phase))
    return found


def openings() -> dict[str, Phase]:
    """Where the two verdicts on a client that connects lead."""
    return {"220": _session("EHLO").phase, "550": _refused("EHLO").phase}


def _step(command: str, phase: Phase) -> Step:
    verb = command.partition(" ")[0]
    if phase not in COMMANDS[verb].phases:
        return Step(command, phase, None)
    session = _refused(verb) if phase is Phase.REFUSED else _session(verb)
    for earlier in _WAYS.get(phase, ()):
        hello = "LHLO" if verb == "LHLO" and earlier == "EHLO" else earlier
        _say(session, _LINES[hello])
    assert session.phase is phase
    message = _say(session, _LINES[command])
    if session.tls_due:
        session.tls_established()
    return Step(command, phase, CLOSED if session.closing else session.phase, message)


def _session(verb: str) -> Session:
    protocol = "lmtp" if verb == "LHLO" else "smtp"
    options = merge({"tls": "starttls", "users": "any", "protocol": protocol})
    session = Session(Profile(options, date=str), cast(Any, _Journal()))
    session.connect("127.0.0.1")
    _accept_all(session)
    return session


def _refused(verb: str) -> Session:
    session = Session(Profile(merge({}), date=str), cast(Any, _Journal()))
    session.connect("127.0.0.1")
    session.next_event()
    session.refuse(HOST_REFUSED)
    return session


def _say(session: Session, line: bytes) -> bool:
    session.receive(line)
    message = _accept_all(session)
    if session.bytes_to_send().startswith(b"354"):
        session.receive(b".\r\n")
        message = _accept_all(session)
    return message


def _accept_all(session: Session) -> bool:
    message = False
    while (event := session.next_event()) is not None:
        message = message or isinstance(event, MessageReceived)
        session.accept()
    return message


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
    columns = [phase for phase in Phase if phase is not Phase.CONNECT]
    rows: dict[str, dict[Phase, str]] = {}
    for step in steps():
        rows.setdefault(step.command, {})[step.source] = _cell(step)
    return [
        f"| command | {' | '.join(f'`{phase.name}`' for phase in columns)} |",
        "|---" * (len(columns) + 1) + "|",
        *(
            f"| `{command}` | {' | '.join(cells[phase] for phase in columns)} |"
            for command, cells in rows.items()
        ),
    ]


def _cell(step: Step) -> str:
    if step.target is None:
        return "503"
    if step.target is step.source:
        return "stays"
    return f"`{step.target.name}`" if isinstance(step.target, Phase) else str(step.target)


def commands() -> list[str]:
    """A row a command: its syntax, and what else it needs."""
    return [
        "| command | extension | without the TLS that is required | "
        "without the AUTH that is required | may be followed at once by more |",
        "|---|---|---|---|---|",
        *(
            f"| `{USAGE[verb]}` | {command.extension or ''} | {_mark(command.before_tls)} | "
            f"{_mark(command.before_auth)} | {_mark(command.in_group)} |"
            for verb, command in COMMANDS.items()
        ),
    ]


def _mark(holds: bool) -> str:
    return "yes" if holds else ""


def described() -> Iterator[str]:
    """The picture in words, a sentence a phase, for those who cannot see it."""
    for verdict, phase in openings().items():
        yield f"{Phase.CONNECT.name}: {verdict} leads to {phase.name}."
    for phase in Phase:
        ways: dict[str, list[str]] = {}
        for step in steps():
            if step.source is phase and step.target is not None:
                way = "stay" if step.target is phase else f"lead to {_name(step.target)}"
                ways.setdefault(way, []).append(step.command)
        if ways:
            told = (f"{', '.join(commands)} {way}" for way, commands in ways.items())
            yield f"{phase.name}: {'; '.join(told)}."


def _name(target: Phase | str) -> str:
    return target.name if isinstance(target, Phase) else target
