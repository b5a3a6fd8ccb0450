"""Directives that write the reference tables from the tables of the package itself.

{smtpd-options}      pytest_smtpd.options.OPTIONS: name, default, help
{smtpd-violations}   pytest_smtpd.smtp.violations.VIOLATIONS: code, text, rfc
{smtpd-problems}     pytest_smtpd.mail.problems.PROBLEMS: code, text, rfc

One comes from the tests, so that it says what was tried and nothing else:

{smtpd-auth-matrix}  tests/auth_matrix.py: which client was tested with which mechanism
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_CODE_SPAN = re.compile(r"(`+[^`]*`+)")
_MARKUP = re.compile(r"([\\`*_<>\[\]|{}$])")


def _plain(text: object) -> str:
    """Text of the package as a Markdown table cell; only code spans keep their meaning."""
    parts = _CODE_SPAN.split(" ".join(str(text).split()))
    return "".join(
        part.replace("|", "\\|") if index % 2 else _MARKUP.sub(r"\\\1", part)
        for index, part in enumerate(parts)
    )


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _literal(value: object) -> str:
    """`value` as these pages write it: texts in double quotes."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _rows(table: Any) -> Iterable[Any]:
    return table.values() if isinstance(table, Mapping) else table


class _Table(SphinxDirective):
    """A table of the package, one row an entry, parsed as Markdown."""

    module: ClassVar[str]
    table: ClassVar[str]
    heads: ClassVar[tuple[str, ...]]

    def cells(self, row: Any) -> tuple[str, ...]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        module = import_module(self.module)
        self.env.note_dependency(str(module.__file__))
        lines = [self.heads, ("---",) * len(self.heads)]
        lines += [self.cells(row) for row in _rows(getattr(module, self.table))]
        return self.parse_text_to_nodes("\n".join(f"| {' | '.join(line)} |" for line in lines))


class OptionTable(_Table):
    module = "pytest_smtpd.options"
    table = "OPTIONS"
    heads = ("option", "default", "meaning")

    def cells(self, row: Any) -> tuple[str, ...]:
        return (_code(row.name), _code(_literal(row.default)), _plain(row.help))


class _CodeTable(_Table):
    heads = ("code", "what", "source")

    def cells(self, row: Any) -> tuple[str, ...]:
        return (_code(row.code), _plain(row.text), _plain(row.rfc))


class ViolationTable(_CodeTable):
    module = "pytest_smtpd.smtp.violations"
    table = "VIOLATIONS"


class ProblemTable(_CodeTable):
    module = "pytest_smtpd.mail.problems"
    table = "PROBLEMS"


class AuthMatrix(SphinxDirective):
    """The cells that `tests/test_auth_matrix.py` runs."""

    def run(self) -> list[nodes.Node]:
        path = Path(__file__).parent.parent.parent / "tests" / "auth_matrix.py"
        self.env.note_dependency(str(path))
        return self.parse_text_to_nodes("\n".join(runpy.run_path(str(path))["markdown"]()))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("smtpd-options", OptionTable)
    app.add_directive("smtpd-violations", ViolationTable)
    app.add_directive("smtpd-problems", ProblemTable)
    app.add_directive("smtpd-auth-matrix", AuthMatrix)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
