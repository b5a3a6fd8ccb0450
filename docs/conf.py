"""Sphinx configuration; built with -W, so that a broken reference breaks the build."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

version_namespace: dict[str, str] = {}
exec((DOCS.parent / "pytest_smtpd" / "_version.py").read_text("utf-8"), version_namespace)

project = "pytest-smtpd"
author = "the pytest-smtpd contributors"
copyright = "2026, the pytest-smtpd contributors"
release = version_namespace["__version__"]
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "smtpd_api", "smtpd_tables"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
default_role = "py:obj"  # docstrings: `name` is a link where there is such a name, code elsewhere
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    # The standard library's, for which there would have to be a network
    ("py:class", r"(collections\.abc|datetime|os|pathlib|re|ssl|threading)\.\w+"),
    ("py:class", r"Path|PathLike|datetime|Unpack"),
    # Told at the top of the page of the API
    ("py:class", r"PatternLike|RejectOption|ReplyLike|Per|EndedBy"),
]
exclude_patterns = ["_build", "_examples", "_ext", "performance"]
pygments_style = "default"
smartquotes = False  # quotes are those of Python

html_theme = "furo"
html_title = f"pytest-smtpd {release}"
