"""Finds the problems of a message: runs all checks on a tree and the facts of its envelope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ..mime.tree import Part
from ..text import cut, escaped
from .addresses import check_addresses
from .catalogue import MAX_OF_A_CODE, PROBLEMS, Finding, Problem
from .header import check_header
from .parts import check_parts


def find_problems(
    tree: Part, recipients: Sequence[str], *, utf8: bool = False, binary: bool = False
) -> list[Problem]:
    """The problems of a message, at most 20 of one code.

    `recipients` are those of the envelope; `utf8` and `binary` say whether it was sent with
    SMTPUTF8 (RFC 6531) and with BODY=BINARYMIME (RFC 3030). Never raises, and looks nothing up.
    """
    counts: Counter[str] = Counter()
    seen = set()
    problems = []
    for finding in _findings(tree, recipients, utf8=utf8, binary=binary):
        code, detail = finding
        if finding in seen or counts[code] == MAX_OF_A_CODE:
            continue
        seen.add(finding)
        counts[code] += 1
        row = PROBLEMS[code]
        text = f"{row.text}: {escaped(cut(detail, 160))}" if detail else row.text
        problems.append(Problem(code, text, row.rfc))
    return problems


def _findings(
    tree: Part, recipients: Sequence[str], *, utf8: bool, binary: bool
) -> Iterator[Finding]:
    yield from check_header(tree.header, tree.raw, utf8=utf8)
    yield from check_addresses(tree.header, recipients)
    yield from check_parts(tree, binary=binary)
