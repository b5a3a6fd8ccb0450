"""What the page of the API needs beyond `sphinx.ext.autodoc`.

- A list of attributes in a class's docstring, and the options of `Options`, become entries of their
  own, each with its type: `tests/public_api.py` knows it.
- Signatures are those of `tests/public_api.txt`, types as they were written.
- A type is linked under its public name, wherever its class was written.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from pytest_smtpd.options import OPTIONS, Options

API = runpy.run_path(str(Path(__file__).parent.parent.parent / "tests" / "public_api.py"))
_ATTRIBUTE = re.compile(r"- `(\w+)`: (.+)")
_MARKUP = re.compile(r"([\\`*_|])")


def entries(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turns `- `name`: text` into an entry of an attribute; for `Options`, adds its own."""
    if what not in ("class", "exception"):
        return
    types = API["types"](obj)
    written: list[str] = []
    inside = False
    for line in lines:
        found = _ATTRIBUTE.match(line)
        if found and found[1] in types:
            written += _entry(found[1], types[found[1]])
            written.append(f"   {found[2]}")
            inside = True
        elif inside and line.startswith("  "):
            written.append(f"   {line.strip()}")
        else:
            written += ["", line] if inside else [line]
            inside = False
    if obj is Options:
        for option in OPTIONS.values():
            default = f"   :value: {option.default!r}"
            written += _entry(option.name, types[option.name], default)
            written += ["   " + _MARKUP.sub(r"\\\1", option.help), ""]
    lines[:] = written


def _entry(name: str, kind: str, *fields: str) -> list[str]:
    return ["", f".. py:attribute:: {name}", f"   :type: {kind}", *fields, ""]


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, shown: str, returns: str
) -> tuple[str, str] | None:
    if not shown:
        return None
    if isinstance(obj, type):
        return "" if obj.__name__ in API["NOT_MADE"] else API["signature"](obj), ""
    written, _, returned = API["signature"](obj).rpartition(" -> ")
    return written, returned


def public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.reference | None:
    """`pytest_smtpd.message.message.Message` is `pytest_smtpd.Message` to a user."""
    target = node.get("reftarget", "")
    for path, value in API["objects"]().items():
        written = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        if target in (written, path.rpartition(".")[2]) and target != path:
            domain = env.get_domain("py")
            document = node["refdoc"]
            return domain.resolve_xref(env, document, app.builder, "obj", path, node, shown)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", entries)
    app.connect("autodoc-process-signature", signature)
    app.connect("missing-reference", public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
