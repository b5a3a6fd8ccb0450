"""What a conversation leaves behind: its messages and its sessions, compared with the case."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conversation import Case
from conversation_options import octets


def check_sessions(case: Case, sessions: Sequence[Any]) -> None:
    """What a case says of violations, of the first session's attributes, and of secrets."""
    violations = [item for session in sessions for item in session.violations]
    if isinstance(case.violations, bool):
        assert bool(violations) == case.violations, f"{case.id}: violations {violations}"
    elif case.violations is not None:
        codes = {item.code for item in violations}
        assert codes == set(case.violations), f"{case.id}: violations {sorted(codes)}"
    for name, value in case.session.items():
        found = getattr(sessions[0], name)
        assert found == value, f"{case.id}: session.{name} is {found!r}, not {value!r}"
    for secret in case.hidden:
        for session in sessions:
            said = f"{session}\n{session!r}\n{session.exchanges!r}"
            assert secret not in said, f"{case.id}: {secret!r} is in\n{said}"


def content(sent: bytes) -> bytes | None:
    """The message in what was sent since the 354: up to the final dot, doubled dots undone."""
    lines, end, _ = (b"\r\n" + sent).partition(b"\r\n.\r\n")
    if not end:
        return None
    return (lines + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]


def differences(table: Mapping[str, Any], message: Any, sent: bytes | None) -> list[str]:
    """What about a message is not as the table says."""
    unknown = set(table) - set(CHECKS)
    if unknown:
        raise ValueError(f"no such key of a message: {sorted(unknown)}")
    return [
        f"{key} {value!r} but {message.envelope}, {message.raw[:400]!r}"
        for key, value in table.items()
        if not (message.raw == sent if key == "as_sent" else CHECKS[key](message, value))
    ]


def _choice(found: object, wanted: object) -> bool:
    return found in wanted if isinstance(wanted, list) else found == wanted


def _recipients(found: Sequence[str], wanted: Sequence[object]) -> bool:
    return len(found) == len(wanted) and all(map(_choice, found, wanted))


def _parameters(found: Mapping[str, str | None], wanted: Mapping[str, str]) -> bool:
    values = {key.upper(): str(value or "").lower() for key, value in found.items()}
    return all(
        key.upper() in values and value.lower() in ("", values[key.upper()])
        for key, value in wanted.items()
    )


def _raw(found: bytes, wanted: str | list[str]) -> bool:
    choices = [wanted] if isinstance(wanted, str) else wanted
    return found in [octets(choice) for choice in choices]


CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "mail_from": lambda m, v: _choice(m.envelope.mail_from, v),
    "rcpt_to": lambda m, v: _recipients(m.envelope.rcpt_to, v),
    "mail_parameters": lambda m, v: _parameters(m.envelope.mail_parameters, v),
    "rcpt_parameters": lambda m, v: (
        len(v) == len(m.envelope.rcpt_parameters)
        and all(map(_parameters, m.envelope.rcpt_parameters, v))
    ),
    "raw": lambda m, v: _raw(m.raw, v),
    "raw_match": lambda m, v: re.search(v.encode(), m.raw, re.DOTALL) is not None,
    "raw_has": lambda m, v: all(octets(item) in m.raw for item in v),
    "raw_lacks": lambda m, v: not any(octets(item) in m.raw for item in v),
    "size": lambda m, v: len(m.raw) == v,
    "as_sent": lambda m, v: True,
}
