"""Directives that put generated tables and the picture into a page; here is only Sphinx's side.

What they show, `reference_tables`, `state_machine` and `state_picture` make of the package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import reference_tables
import state_machine
import state_picture
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_TABLES: dict[str, Callable[[], list[str]]] = {
    "smtpd-faults": reference_tables.fault_classes,
    "smtpd-stages": reference_tables.stages,
    "smtpd-violations": reference_tables.violations,
    "smtpd-problems": reference_tables.problems,
    "smtpd-usual-replies": reference_tables.usual_replies,
    "smtpd-extensions": reference_tables.extensions,
    "smtpd-auth-matrix": reference_tables.auth_matrix,
    "smtpd-phases": state_machine.phases,
    "smtpd-transitions": state_machine.transitions,
    "smtpd-commands": state_machine.commands,
}


def _sources() -> Iterator[str]:
    """All that a table may come from: when one of these changes, the page is written anew."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "pytest_smtpd" and module.__file__:
            yield module.__file__
    yield from map(str, Path(__file__).parent.glob("*.py"))
    yield str(reference_tables.TESTS / "auth_matrix.py")


class _Generated(SphinxDirective):
    def note_sources(self) -> None:
        for path in _sources():
            self.env.note_dependency(path)


class Table(_Generated):
    """Lines of Markdown out of the package, parsed as if they stood in the page."""

    lines: ClassVar[Callable[[], list[str]]]

    def run(self) -> list[nodes.Node]:
        self.note_sources()
        return self.parse_text_to_nodes("\n".join(type(self).lines()))


class Replies(_Generated):
    """The table of replies, a heading and a table a group."""

    def run(self) -> list[nodes.Node]:
        self.note_sources()
        found: list[nodes.Node] = []
        for group, lines in reference_tables.reply_groups():
            text = "\n".join([f"## {group}", "", *lines])
            found += self.parse_text_to_nodes(text, allow_section_headings=True)
        return found


class StatePicture(_Generated):
    """The picture for pages that a browser shows; others have the table that stands beside it."""

    def run(self) -> list[nodes.Node]:
        self.note_sources()
        return [nodes.raw("", state_picture.picture(), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    for name, lines in _TABLES.items():
        app.add_directive(name, type("Table", (Table,), {"lines": staticmethod(lines)}))
    app.add_directive("smtpd-replies", Replies)
    app.add_directive("smtpd-state-picture", StatePicture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
