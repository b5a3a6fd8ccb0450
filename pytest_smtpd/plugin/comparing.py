"""The explanation of a failed ``== []``: a line for each message, violation or problem.

pytest truncates it after about eight lines, except with ``-vv`` and in CI.
"""

from __future__ import annotations

from ..lint.catalogue import Problem
from ..mailbox.mailbox import Mailbox
from ..smtp.violations import Violation
from ..text import counted


def listed(found: object) -> list[str] | None:
    """The lines of the explanation; None if pytest's explanation is enough."""
    if isinstance(found, Mailbox):
        _, *lines = repr(found).removesuffix(">").splitlines()
        return [f"{counted(len(found), 'message')} == []", *(line.strip() for line in lines)]
    if isinstance(found, list) and found:
        for kind, name in ((Problem, "problem"), (Violation, "violation")):
            if all(isinstance(each, kind) for each in found):
                return [f"{counted(len(found), name)} == []", *map(str, found)]
    return None
