"""The rules of the house that no tool checks: no reach into private parts, no long file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_smtpd

PACKAGE = Path(pytest_smtpd.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400
MOST_LOOSE = 11  # modules beside the packages
OWN = {"self", "cls"}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_parts(tree: ast.AST) -> set[str]:
    """The private attributes and functions that a module defines."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in OWN:
                found.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return set(filter(private, found))


def reaches(tree: ast.AST, others: set[str]) -> Iterator[str]:
    """What a module takes of the private parts of other modules, `others` by name."""
    here = private_parts(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from (f"import {alias.name}" for alias in node.names if private(alias.name))
        elif isinstance(node, ast.Attribute) and private(node.attr):
            mine = isinstance(node.value, ast.Name) and node.value.id in OWN
            if not mine and node.attr not in here and node.attr in others:
                yield f"line {node.lineno}: {ast.unparse(node)}"


TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}
PRIVATE = set().union(*map(private_parts, TREES.values()))


def test_no_module_reaches_into_the_private_parts_of_another() -> None:
    found = {path.name: [*reaches(tree, PRIVATE)] for path, tree in TREES.items()}
    assert {name: reached for name, reached in found.items() if reached} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("server._state.mask", ["line 1: server._state"]),
        ("from .server import _drained", ["import _drained"]),
        ("class A:\n def f(self, b):\n  self._state = b._state", []),
        ("self._state", []),
        ("sys._getframe()", []),
    ],
)
def test_a_reach_is_found(source: str, found: list[str]) -> None:
    assert [*reaches(ast.parse(source), {"_state"})] == found


def test_no_file_is_long() -> None:
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_most_modules_have_a_room() -> None:
    loose = [path.name for path in FILES if path.parent == PACKAGE and path.name != "__init__.py"]
    assert len(loose) <= MOST_LOOSE
