"""What a failed ``== []`` says of a mailbox, violations or problems: a line for each of them.

Of many lines pytest shows some eight, and all with ``-vv`` or in CI.
"""

from __future__ import annotations

from ..lint.catalogue import Problem
from ..mail.mailbox import Mailbox
from ..smtp.violations import Violation
from ..text import counted


def listed(found: object) -> list[str] | None:
    """The lines of the explanation; None where pytest's own will do."""
    if isinstance(found, Mailbox):
        _, *lines = repr(found).removesuffix(">").splitlines()
        return _titled(len(found), "message", [line.strip() for line in lines])
    if isinstance(found, list) and found:
        for kind, name in ((Problem, "problem"), (Violation, "violation")):
            if all(isinstance(each, kind) for each in found):
                return _titled(len(found), name, [str(each) for each in found])
    return None


def _titled(count: int, name: str, lines: list[str]) -> list[str]:
    return [f"{counted(count, name)} == []", *lines]
