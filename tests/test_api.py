"""The public names are those of `public_api.txt`, on the page of the API, and each is explained.

A name that comes, goes or changes shows in the list's difference, and so in review.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

import public_api
from pytest_smtpd.options import OPTIONS, Options
from pytest_smtpd.plugin import fixtures

PAGE = (Path(__file__).parent.parent / "docs" / "api.md").read_text("utf-8")
CLASSES = {
    path: value
    for path, value in public_api.objects().items()
    if isinstance(value, type) and value.__name__ == path.rpartition(".")[2]
}


def _with_installed_fixtures(lines: list[str]) -> list[str]:
    missing = "" if find_spec("django") else "fixture smtpd_django:"
    return [line for line in lines if not missing or not line.startswith(missing)]


def test_the_public_names_are_those_of_the_list() -> None:
    listed = _with_installed_fixtures(public_api.written())
    difference = difflib.unified_diff(
        listed, public_api.lines(), "tests/public_api.txt", "the package", n=0, lineterm=""
    )
    text = "\n".join(difference)
    if text:
        pytest.fail(
            f"{text}\n\nIf that is meant: python tests/public_api.py writes the list anew.",
            pytrace=False,
        )


def test_all_is_what_can_be_imported() -> None:
    for path, value in public_api.objects().items():
        module, _, name = path.rpartition(".")
        assert getattr(__import__(module, fromlist=[name]), name) is value


# ---- the page


def _on_the_page() -> dict[str, str]:
    """Each object that a directive of the page names, and what stands inside the directive."""
    found: dict[str, str] = {}
    module = ""
    for match in re.finditer(r"^\.\. ([\w:]+):: (\S+)\n((?:   .+\n|\n)*)", PAGE, re.MULTILINE):
        directive, name, body = match.groups()
        if directive in ("currentmodule", "module"):
            module = name
            if directive == "module":
                found[module] = body
        else:
            found[name if name.startswith("pytest_smtpd.") else f"{module}.{name}"] = body
    return found


def _shown_members(path: str) -> set[str]:
    listed = re.search(r"   :members: ((?:.+\n)(?:    .+\n)*)", _on_the_page()[path])
    return set(re.split(r",\s*", listed[1].strip())) if listed else set()


def test_the_page_has_each_name_and_no_other() -> None:
    expected = {*public_api.objects(), "pytest_smtpd.__version__"}
    assert set(_on_the_page()) == expected


@pytest.mark.parametrize("path", CLASSES)
def test_the_page_shows_each_method_and_property(path: str) -> None:
    """By itself, in the list of its class, or under the name that it is another one of."""
    cls = CLASSES[path]
    members = public_api.members(cls)
    listed = set(re.findall(r"^- `(\w+)`: ", inspect.getdoc(cls) or "", re.MULTILINE))
    other = {name for name in members if _is_another_name(cls, name, members[name])}
    assert set(members) - listed - other <= _shown_members(path)
    assert _shown_members(path) <= {*members, *public_api.attributes(cls)} - listed


def _is_another_name(cls: type, name: str, member: object) -> bool:
    """Of one that stands before it, whose docstring has to tell."""
    first = next(each for each, value in vars(cls).items() if value is member)
    return first != name and f"`{name}`" in (inspect.getdoc(member) or "")


def test_the_page_has_each_fixture_with_its_scope_and_type() -> None:
    for line in _with_installed_fixtures(public_api.written()):
        if match := re.fullmatch(r"fixture (\w+): (\w+), (.+)", line):
            name, scope, kind = match.groups()
            assert f"\n| `{name}` | {scope} | `{kind}` |" in PAGE


def test_the_list_has_each_fixture() -> None:
    listed = re.findall(r"^fixture (\w+)", "\n".join(public_api.written()), re.MULTILINE)
    assert set(fixtures.__all__) <= set(listed)


# ---- docstrings


@pytest.mark.parametrize("path", CLASSES)
def test_each_class_and_member_has_a_docstring(path: str) -> None:
    cls = CLASSES[path]
    assert vars(cls).get("__doc__")
    for name, member in public_api.members(cls).items():
        assert inspect.getdoc(member), name


@pytest.mark.parametrize("path", CLASSES)
def test_each_attribute_is_told_of(path: str) -> None:
    """By name in its class's docstring or on the page, or as an option by its help."""
    cls = CLASSES[path]
    told = " ".join(inspect.getdoc(each) or "" for each in cls.__mro__ if each is not object)
    told += _on_the_page()[path]
    own = _attribute_docstrings(cls)
    for name in public_api.attributes(cls):
        if cls is Options:
            assert OPTIONS[name].help
        else:
            assert f"`{name}`" in told or own.get(name), name


def _attribute_docstrings(cls: type) -> dict[str, str]:
    """A text right behind an attribute, as Sphinx takes it."""
    [definition] = ast.parse(dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for one, after in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[one.target.id] = str(after.value.value)
    return found
