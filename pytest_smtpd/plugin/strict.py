"""The option `strict`: what clients and their mail did wrong is an error of the teardown."""

from __future__ import annotations

from ..server import Server
from .asked import fail


def judge(*servers: Server) -> None:
    """Fails the test with a list of what its servers object to, if they do."""
    found = [finding for server in servers for finding in _objections(server)]
    if found:
        lines = [f"smtpd strict: {len(found)} found", *(f"  {finding}" for finding in found)]
        fail("\n".join([*lines, "to let some pass, name their codes in ignore=[...]"]))


def _objections(server: Server) -> list[str]:
    strict, ignore = server.config.strict, server.config.ignore
    found = []
    if strict in (True, "violations"):
        found += [
            f"violation {violation}"
            for session in list(server.sessions)
            for violation in session.violations
            if violation.code not in ignore
        ]
    if strict in (True, "problems"):
        found += [
            f"problem {problem} in {message!r}"
            for message in server.messages
            for problem in message.problems()
            if problem.code not in ignore
        ]
    return found
