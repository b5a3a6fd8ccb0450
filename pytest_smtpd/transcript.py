"""The section `smtpd` in a failing test's report: for each server its mail and its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Server

MAX_LINES = 60  # of a transcript; a longer one is shortened in the middle
MAX_SESSIONS = 10  # of a server


def section(servers: list[tuple[str, Server]]) -> str:
    """What a reader needs to see what the client did: mail first, then the conversations."""
    return "\n".join(_server(name, server) for name, server in servers)


def _server(name: str, server: Server) -> str:
    try:
        where = server.url
    except RuntimeError:
        where = "not started"
    lines = [f"{name} at {where}" + _seed(server)]
    for title, box in (("messages", server.messages), ("strays", server.strays)):
        if box or title == "messages":
            lines += shortened(repr(box).splitlines(), MAX_LINES // 3)
    sessions = list(server.sessions)
    if not sessions:
        lines.append("no client has connected")
    for session in sessions[-MAX_SESSIONS:]:
        lines += shortened(str(session).splitlines(), MAX_LINES)
    if len(sessions) > MAX_SESSIONS:
        lines.insert(1, f"(the last {MAX_SESSIONS} of {len(sessions)} sessions)")
    return server._state.mask.hide("\n".join(lines))


def _seed(server: Server) -> str:
    chance = any(fault.probability < 1 for fault in server.faults)
    return f", seed={server._seed!r}" if chance else ""


def shortened(lines: list[str], most: int) -> list[str]:
    """The first and the last of many lines, and how many were left out between them."""
    if len(lines) <= most:
        return lines
    head = most // 2
    tail = most - head - 1
    left_out = len(lines) - head - tail
    return [*lines[:head], f"    ... {left_out} lines left out ...", *lines[-tail:]]
