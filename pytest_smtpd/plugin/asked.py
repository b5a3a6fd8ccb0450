"""Collects the options of `smtpd_options` and the markers, and remembers where each was given.

A wrong option fails the test, and the failure names the line that gave it.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from ..options import Options, merge

_OPTION = re.compile(r"smtpd option '(\w+)'")  # the option that an error text is about


class Asked:
    """The options for a server of one test, collected source by source."""

    def __init__(self, item: pytest.Item, base: Options) -> None:
        self.item = item
        self.options = base
        self.marked: dict[str, object] = {}  # by markers
        self._owners: dict[object, object] = {}  # the function, class or module that gave an option

    def add_fixture(self, given: object, fixture: Any) -> None:
        """Adds what `smtpd_options` returned."""
        if not isinstance(given, Mapping):  # no value in the error: it may have passwords
            kind = "None" if given is None else type(given).__name__
            self.fail(f"smtpd_options: a dict of options is wanted, not {kind}", fixture)
        self._owners.update(dict.fromkeys(given, fixture))
        with self.blamed("smtpd_options: ", fixture):
            self.options = merge(given, self.options)

    def add_markers(self) -> None:
        """Adds the keywords of all `smtpd` markers of the test; inner ones replace outer ones."""
        for owner, level in _marker_levels(self.item):
            for marker in reversed(level):  # pytest lists the closest marker first
                if marker.args:
                    first = marker.args[0]
                    meant = "reject_sender='denied@*', for example"
                    if isinstance(first, Mapping):  # no value: it may have passwords
                        meant = "write @pytest.mark.smtpd(**options)"
                    self.fail(
                        f"@pytest.mark.smtpd takes keywords only, not a positional "
                        f"{type(first).__name__}: {meant}",
                        owner,
                    )
                self.marked.update(marker.kwargs)
                self._owners.update(dict.fromkeys(marker.kwargs, owner))
        with self.blamed("@pytest.mark.smtpd: "):
            self.options = merge(self.marked, self.options)

    @contextmanager
    def blamed(self, prefix: str = "", owner: object = None) -> Iterator[None]:
        """Turns an error about an option into a failure, with the line that gave the option."""
        __tracebackhide__ = True
        try:
            yield
        except (TypeError, ValueError, RuntimeError) as error:
            self.fail(f"{prefix}{error}", owner)
        except OSError as error:
            self.fail(f"{prefix}{error.strerror or error}", owner)

    def fail(self, text: str, owner: object = None) -> NoReturn:
        """Fails with the text and the place of `owner`, or of the owner of the named option."""
        __tracebackhide__ = True
        named = _OPTION.search(text)
        if owner is None and named:
            owner = self._owners.get(named[1])
        fail(text if owner is None else f"{text}\n{_place(self.item, owner)}")


def fail(text: str) -> NoReturn:
    """Fails with the text alone, without the error that is being handled."""
    __tracebackhide__ = True
    raise pytest.fail.Exception(text, pytrace=False) from None


def _marker_levels(item: pytest.Item) -> Iterator[tuple[object, list[pytest.Mark]]]:
    """Owners and their markers, from outer to inner: module, classes, function, `pytest.param`."""
    for node in item.listchain():
        markers = [marker for marker in node.own_markers if marker.name == "smtpd"]
        obj: object = getattr(node, "obj", node)
        levels: list[tuple[object, list[pytest.Mark]]] = []
        if isinstance(node, pytest.Class):
            classes = reversed(node.obj.__mro__)
            levels = [(cls, _marks(cls.__dict__.get("pytestmark"))) for cls in classes]
        elif isinstance(node, pytest.Function) and hasattr(node, "callspec"):
            parametrized = node.callspec.marks  # listed last
            levels = [(obj, [mark for mark in markers if not _among(mark, parametrized)])]
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


def _place(item: pytest.Item, owner: Any) -> str:
    """The file, line and name of a module, class or function, as pytest writes them."""
    name = getattr(owner, "__name__", item.name)
    try:
        file = inspect.getsourcefile(owner) or ""
        path = os.path.relpath(file, item.config.invocation_params.dir)
        line = "" if inspect.ismodule(owner) else f":{inspect.findsource(owner)[1] + 1}"
    except (OSError, TypeError, ValueError):  # no source, or it is on another drive
        return f"at {item.nodeid}"
    return f"{path}{line}: {name}"
