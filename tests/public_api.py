"""The public names, each with its signature on a line: what `tests/public_api.txt` holds.

`python tests/public_api.py` writes that file anew; what has changed then shows in review.
"""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest_smtpd
from pytest_smtpd.options import Option
from pytest_smtpd.plugin import fixtures

LIST = Path(__file__).with_suffix(".txt")

# Modules whose `__all__` is public, and classes that a test meets without importing them
MODULES = ("pytest_smtpd", "pytest_smtpd.faults")
MET = {
    "Addresses": "pytest_smtpd.message.values",
    "Criteria": "pytest_smtpd.mailbox.matching",
    "Expectation": "pytest_smtpd.mailbox.mailbox",
}

# Not made by tests: their signatures promise nothing
NOT_MADE = {
    *("Addresses", "CallbackWarning", "Criteria", "Expectation", "Fault"),
    *("Mailbox", "Message", "SessionRecord"),
}

# Without an underscore for other modules of the package, and no promise to users
FOR_THE_SERVER: dict[str, set[str]] = {
    "Fault": {"decides", "matcher"},
    "Hold": {"reach"},
    "Reply": {"encode"},
    "SessionRecord": {"hide", "last_refusal"},
}

# What `__init__` sets can be seen on an object only
_SAMPLES: dict[type, Callable[[], object]] = {
    pytest_smtpd.Reject: pytest_smtpd.Reject,
    pytest_smtpd.Server: pytest_smtpd.Server,
    pytest_smtpd.SessionRecord: pytest_smtpd.SessionRecord,
}


def objects() -> dict[str, Any]:
    """Each public name of a module by its path, and what it stands for."""
    found = {
        f"{module}.{name}": getattr(import_module(module), name)
        for module in MODULES
        for name in import_module(module).__all__
    }
    for name, home in MET.items():
        found[f"{home}.{name}"] = getattr(import_module(home), name)
    return found


def members(cls: type) -> dict[str, object]:
    """The methods and properties of a class that are its own: those of a base stand there."""
    fields = attributes(cls)
    return {
        name: value
        for name, value in vars(cls).items()
        if _is_public(cls, name)
        and name not in fields
        and isinstance(inspect.unwrap(value) if callable(value) else value, _MEMBERS)
    }


_MEMBERS = (type(lambda: None), property, classmethod, staticmethod)


def attributes(cls: type) -> dict[str, str]:
    """The other public attributes of a class, its options too, each with its type."""
    found = {name: _type(value, cls) for name, value in inspect.get_annotations(cls).items()}
    if cls in _SAMPLES:
        sample, types = _SAMPLES[cls](), _written_types(cls)
        slots = filter(inspect.ismemberdescriptor, vars(cls).values())
        for name in (*getattr(sample, "__dict__", ()), *(slot.__name__ for slot in slots)):
            kind = type(getattr(sample, name))
            found[name] = types.get(name) or f"{kind.__module__}.{kind.__name__}"
    return {name: found[name] for name in found if _is_public(cls, name)}


def types(cls: type) -> dict[str, str]:
    """The type of each attribute and property."""
    properties = {name: each for name, each in members(cls).items() if isinstance(each, property)}
    return {**attributes(cls), **{name: _returned(each) for name, each in properties.items()}}


def _returned(each: property) -> str:
    assert each.fget is not None
    return _type(inspect.get_annotations(each.fget)["return"])


def _is_public(cls: type, name: str) -> bool:
    hidden = {name for base in cls.__mro__ for name in FOR_THE_SERVER.get(base.__name__, ())}
    inherited = issubclass(cls, EmailMessage) and hasattr(EmailMessage, name)
    return not (name.startswith("_") or name in hidden or inherited)


def _written_types(cls: type) -> dict[str, str]:
    """What `__init__` says of the types of its parameters and of what it sets."""
    [function] = ast.parse(dedent(inspect.getsource(cls.__init__))).body  # type: ignore[misc]
    assert isinstance(function, ast.FunctionDef)
    found = {arg.arg: ast.unparse(arg.annotation) for arg in function.args.args if arg.annotation}
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            found[node.target.attr] = ast.unparse(node.annotation)
    return found


def _type(annotation: Any, owner: Any = None) -> str:
    """An annotation as it was written: every module of ours keeps them as text."""
    if isinstance(annotation, typing.ForwardRef):  # of a NamedTuple or TypedDict
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str) and annotation.startswith("_"):  # says nothing elsewhere
        annotation = getattr(import_module(owner.__module__), annotation)
    if isinstance(annotation, str):
        return annotation
    return inspect.formatannotation(annotation).replace("collections.abc.", "")


def signature(function: Callable[..., object]) -> str:
    """The parameters of a function or class, and what it returns; `self` is left out."""
    given = inspect.signature(function)
    shown: list[str] = []
    star = False
    for name, parameter in given.parameters.items():
        if name in ("self", "cls"):
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            name, star = f"*{name}", True
        elif parameter.kind is parameter.VAR_KEYWORD:
            name = f"**{name}"
        elif parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        if parameter.annotation is not parameter.empty:
            name += f": {_type(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            name += f" = {parameter.default!r}"
        shown.append(name)
    returns = given.return_annotation
    if isinstance(function, type) or returns is given.empty:
        return f"({', '.join(shown)})"
    return f"({', '.join(shown)}) -> {_type(returns)}"


def lines() -> list[str]:
    """The list: a line a name, in alphabetical order."""
    found = ["pytest_smtpd.__version__: str"]
    for path, value in objects().items():
        found += _lines(path, value)
    for name in fixtures.__all__:
        function = inspect.unwrap(getattr(fixtures, name))
        found.append(f"fixture {name}: {_scope(getattr(fixtures, name))}, {_given(function)}")
    return sorted(found, key=str.casefold)


def _lines(path: str, value: Any) -> Iterator[str]:
    if inspect.ismodule(value):
        yield f"{path} (module)"
    elif not isinstance(value, type):
        yield f"{path}: {type(value).__name__} = {value!r}"
    elif value.__name__ != path.rpartition(".")[2]:
        yield f"{path} = {value.__name__}"
    else:
        parameters = "" if value.__name__ in NOT_MADE else signature(value)
        base = value.__bases__[0].__name__
        kind = "" if base == "object" or base.startswith("_") else f" ({base})"
        yield f"{path}{parameters}{kind}"
        for name, member in members(value).items():
            yield f"{path}.{name}{_member(member)}"
        for name, kind in attributes(value).items():
            yield f"{path}.{name}: {kind}{_default(value, name)}"


def _member(member: Any) -> str:
    if isinstance(member, property):
        return f": {_returned(member)}"
    function = getattr(member, "__func__", member)
    kind = " (async)" if inspect.iscoroutinefunction(function) else ""
    kind = " (class method)" if isinstance(member, classmethod) else kind
    return f"{signature(function)}{kind}"


def _default(cls: type, name: str) -> str:
    option = vars(cls).get(name)
    if not isinstance(option, Option):
        return ""
    return f" = {option.default!r}".replace(pytest_smtpd.__version__, "VERSION")


def _scope(fixture: Any) -> str:
    # pytest keeps it under one of these names, the second one before 8.4
    for name in ("_fixture_function_marker", "_pytestfixturefunction"):
        if hasattr(fixture, name):
            return str(getattr(fixture, name).scope)
    raise AttributeError(f"{fixture!r} is no fixture")


def _given(function: Callable[..., object]) -> str:
    returns = _type(inspect.get_annotations(function)["return"])
    return returns[len("Iterator[") : -1] if returns.startswith("Iterator[") else returns


def written() -> list[str]:
    """The lines of the committed list."""
    return LIST.read_text("utf-8").splitlines()


if __name__ == "__main__":
    LIST.write_text("\n".join(lines()) + "\n", "utf-8", newline="\n")
