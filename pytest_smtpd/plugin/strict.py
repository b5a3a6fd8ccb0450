"""The option `strict`: violations and problems fail the test at teardown."""

from __future__ import annotations

from collections.abc import Iterator

from ..server import Server
from .asked import fail


def judge(*servers: Server) -> None:
    """Fails the test if its servers have violations or problems, and lists them."""
    found = [finding for server in servers for finding in _objections(server)]
    if found:
        lines = [f"smtpd strict: {len(found)} found", *(f"  {finding}" for finding in found)]
        fail("\n".join([*lines, "to let some pass, name their codes in ignore=[...]"]))


def _objections(server: Server) -> Iterator[str]:
    strict, ignore = server.config.strict, server.config.ignore
    if strict in (True, "violations"):
        for session in list(server.sessions):
            found = (each for each in session.violations if each.code not in ignore)
            yield from (f"violation {violation}" for violation in found)
    if strict in (True, "problems"):
        for message in server.messages:
            problems = (each for each in message.problems() if each.code not in ignore)
            yield from (f"problem {problem} in {message!r}" for problem in problems)
