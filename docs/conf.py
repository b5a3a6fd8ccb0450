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

extensions = ["myst_parser", "smtpd_tables"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True
exclude_patterns = ["_build", "_examples", "_ext"]
pygments_style = "default"

html_theme = "furo"
html_title = f"pytest-smtpd {release}"
