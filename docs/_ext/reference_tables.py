"""The reference tables, as lines of Markdown, from the tables of the package itself.

No Sphinx here, so that tests can ask for them. Run as a program, it renews the table that stands
in docs/options.md, to be read without a build.
"""

from __future__ import annotations

import inspect
import re
import runpy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pytest_smtpd import faults
from pytest_smtpd.lint.catalogue import PROBLEMS
from pytest_smtpd.options import OPTIONS
from pytest_smtpd.smtp import replies
from pytest_smtpd.smtp.extensions import EXTENSIONS
from pytest_smtpd.smtp.replies import Reply
from pytest_smtpd.smtp.violations import VIOLATIONS

DOCS = Path(__file__).parent.parent
TESTS = DOCS.parent / "tests"

_OPTIONS_TABLE = re.compile(r"^\| option \|.*\n(?:\|.*\n)+", re.MULTILINE)
_CODE_SPAN = re.compile(r"(`+[^`]*`+)")
_MARKUP = re.compile(r"([\\`*_<>\[\]|{}$])")
# In the source of the table of replies: a comment over a group of rows, and a row
_GROUP_OR_ROW = re.compile(
    r"^(?:# (?P<group>.+)|(?P<row>[A-Z][A-Z0-9_]+) = (?:Reply\(|[A-Z][A-Z0-9_]+$))", re.MULTILINE
)


def plain(text: object) -> str:
    """Text of the package as a Markdown table cell; only code spans keep their meaning."""
    parts = _CODE_SPAN.split(" ".join(str(text).split()))
    return "".join(
        part.replace("|", "\\|") if index % 2 else _MARKUP.sub(r"\\\1", part)
        for index, part in enumerate(parts)
    )


def code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def literal(value: object) -> str:
    """`value` as these pages write it: texts in double quotes."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ("---",) * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def options() -> list[str]:
    """`pytest_smtpd.options.OPTIONS`: name, default, help."""
    return _table(
        ("option", "default", "meaning"),
        ((code(row.name), code(literal(row.default)), plain(row.help)) for row in OPTIONS.values()),
    )


def with_options(page: str) -> str:
    """The text of docs/options.md with the table as it has to be."""
    table = "\n".join(options()) + "\n"
    renewed, found = _OPTIONS_TABLE.subn(lambda _: table, page)
    if found != 1:
        raise ValueError(f"docs/options.md has {found} tables that begin with '| option |'")
    return renewed


def violations() -> list[str]:
    """`pytest_smtpd.smtp.violations.VIOLATIONS`: code, text, rfc."""
    return _codes(VIOLATIONS.values())


def problems() -> list[str]:
    """`pytest_smtpd.lint.catalogue.PROBLEMS`: code, text, rfc."""
    return _codes(PROBLEMS.values())


def _codes(rows: Iterable[object]) -> list[str]:
    cells = ((code(row.code), plain(row.text), plain(row.rfc)) for row in rows)  # type: ignore[attr-defined]
    return _table(("code", "what", "source"), cells)


def extensions() -> list[str]:
    """`pytest_smtpd.smtp.extensions.EXTENSIONS`: EHLO keyword and RFC."""
    return _table(
        ("keyword", "source"), ((code(name), plain(rfc)) for name, rfc in EXTENSIONS.items())
    )


def fault_classes() -> list[str]:
    """The classes of `pytest_smtpd.faults`: how one is made, and what it does."""
    found = {name: getattr(faults, name) for name in faults.__all__}
    classes: list[type[faults.Fault]] = [
        each
        for name, each in found.items()
        if isinstance(each, type) and each is not faults.Fault and each.__name__ == name
    ]
    return _table(
        ("fault", "what", "lets the next one act"),
        (
            (
                code(f"{each.__name__}({', '.join(_own(each))})"),
                plain(_summary(each)),
                _mark(not each.decides),
            )
            for each in classes
        ),
    )


def _own(cls: type[faults.Fault]) -> Iterator[str]:
    """The parameters of a fault but those that all have."""
    for name, parameter in inspect.signature(cls).parameters.items():
        if name == "on" and parameter.default in (parameter.empty, ""):
            yield "on=STAGE"
        elif name not in inspect.signature(faults.Fault).parameters:
            default = parameter.default
            yield name if default is parameter.empty else f"{name}={default!r}"


def _summary(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("``", "`")


def stages() -> list[str]:
    """`pytest_smtpd.faults.STAGES`, and what `match` is about at each of them."""
    return _table(
        ("stage", "`match` is about"),
        ((code(f'"{stage}"'), plain(row.subject)) for stage, row in faults.STAGE_TABLE.items()),
    )


def reply_groups() -> Iterator[tuple[str, list[str]]]:
    """The rows of `pytest_smtpd.smtp.replies`, group by group, as its comments name them."""
    group = ""
    rows: list[tuple[str, ...]] = []
    for match in _GROUP_OR_ROW.finditer(inspect.getsource(replies)):
        if match["group"]:
            if rows:
                yield group, _replies(rows)
            group, rows = match["group"], []
        else:
            reply = getattr(replies, match["row"])
            when = match["row"].lower().replace("_", " ")
            rows.append((*_cells(reply), when))
    if rows:
        yield group, _replies(rows)


def _replies(rows: Iterable[Sequence[str]]) -> list[str]:
    return _table(("code", "enhanced", "text", "row"), rows)


def usual_replies() -> list[str]:
    """What a bare code says: `Reply.of(450)`."""
    usual = (Reply.of(number) for number in sorted(replies._USUAL))
    return _table(
        ("code", "enhanced", "text"),
        (_cells(reply) for reply in usual),
    )


def _cells(reply: Reply) -> tuple[str, str, str]:
    return str(reply.code), reply.enhanced or "", code(reply.text)


def auth_matrix() -> list[str]:
    """What `tests/test_auth_matrix.py` runs: it says what was tried and nothing else."""
    lines: list[str] = runpy.run_path(str(TESTS / "auth_matrix.py"))["markdown"]()
    return lines


def _mark(holds: bool) -> str:
    return "yes" if holds else ""


if __name__ == "__main__":
    page = DOCS / "options.md"
    page.write_text(with_options(page.read_text("utf-8")), "utf-8", newline="\n")
