"""What was asked for a test: the options of its markers and of `smtpd_options`, and whose they are.

What is wrong with them fails the test, with the line of its author.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import pytest

from ..options import Options, merge


def marker_options(node: pytest.Item) -> dict[str, object]:
    """The keywords of all `smtpd` markers of a test, the inner ones replacing the outer ones."""
    given: dict[str, object] = {}
    for owner, level in _marker_levels(node):
        for marker in reversed(level):  # pytest lists the closest of a level first
            if marker.args:
                first = marker.args[0]
                meant = "reject_sender='denied@*', for example"
                if isinstance(first, Mapping):  # whose passwords are not to be seen
                    meant = "write @pytest.mark.smtpd(**options)"
                fail(
                    f"@pytest.mark.smtpd takes keywords only, not a positional "
                    f"{type(first).__name__}: {meant}\n{place(node, owner)}"
                )
            given.update(marker.kwargs)
    return given


def _marker_levels(item: pytest.Item) -> Iterator[tuple[object, list[pytest.Mark]]]:
    """Outer to inner: module, base class, subclass, function, `pytest.param`; and whose it is."""
    for node in item.listchain():
        markers = [marker for marker in node.own_markers if marker.name == "smtpd"]
        obj: object = getattr(node, "obj", node)
        levels: list[tuple[object, list[pytest.Mark]]] = []
        if isinstance(node, pytest.Class):
            classes = reversed(node.obj.__mro__)
            levels = [(cls, _marks(cls.__dict__.get("pytestmark"))) for cls in classes]
        elif isinstance(node, pytest.Function) and hasattr(node, "callspec"):
            parametrized = [mark for mark in markers if _among(mark, node.callspec.marks)]
            plain = [mark for mark in markers if mark not in parametrized]
            levels = [(obj, plain), (obj, parametrized)]
        for owner, marks in levels:
            yield owner, [mark for mark in marks if mark.name == "smtpd"]
        rest = [mark for mark in markers if not any(_among(mark, marks) for _, marks in levels)]
        yield obj, rest


def _marks(pytestmark: object) -> list[pytest.Mark]:
    listed = pytestmark if isinstance(pytestmark, list) else [pytestmark]
    marks = (getattr(mark, "mark", mark) for mark in listed)
    return [mark for mark in marks if isinstance(mark, pytest.Mark)]


def _among(mark: object, marks: Any) -> bool:
    return any(mark is getattr(each, "mark", each) for each in marks)


def fail(text: str) -> NoReturn:
    """Fails with the text alone, whatever error is being handled."""
    __tracebackhide__ = True
    raise pytest.fail.Exception(text, pytrace=False) from None


def fail_at_marker(item: pytest.Item, text: str) -> NoReturn:
    """Fails with the text, and with the place of the marker that gave the option it is about."""
    named = re.search(r"smtpd option '(\w+)'", text)
    places = [
        place(item, owner)
        for owner, level in _marker_levels(item)
        for marker in level
        if named and named[1] in marker.kwargs
    ]
    fail("\n".join([text, *places[-1:]]))


def place(item: pytest.Item, owner: Any) -> str:
    """Where a module, class or function stands, as a line such as pytest writes it."""
    name = getattr(owner, "__name__", item.name)
    try:
        file = inspect.getsourcefile(owner) or ""
        path = os.path.relpath(file, item.config.invocation_params.dir)
        line = "" if inspect.ismodule(owner) else f":{inspect.findsource(owner)[1] + 1}"
    except (OSError, TypeError, ValueError):  # there is no source; or it is on another drive
        return f"at {item.nodeid}"
    return f"{path}{line}: {name}"


def checked_options(item: pytest.Item, given: object, base: Options, fixture: Any) -> Options:
    """The options of the fixture `smtpd_options`, over those of the run."""
    try:
        if not isinstance(given, Mapping):  # whose passwords are not to be seen
            kind = "None" if given is None else type(given).__name__
            raise TypeError(f"a dict of options is wanted, not {kind}")
        return merge(given, base)
    except (TypeError, ValueError) as error:
        fail(f"smtpd_options: {error}\n{place(item, fixture)}")


def checked_markers(item: pytest.Item, given: Mapping[str, object], base: Options) -> Options:
    try:
        return merge(given, base)
    except (TypeError, ValueError) as error:
        fail_at_marker(item, f"@pytest.mark.smtpd: {error}")
