"""The pages hold together: links lead somewhere, tables are whole, figures are those of the code.

No network and no Sphinx: what Sphinx checks, `tox -e docs` does.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from pytest_smtpd import faults
from pytest_smtpd.lint.catalogue import PROBLEMS
from pytest_smtpd.options import OPTIONS
from pytest_smtpd.report import sanitize
from pytest_smtpd.smtp import replies
from pytest_smtpd.smtp.commands import COMMANDS, Phase
from pytest_smtpd.smtp.extensions import EXTENSIONS
from pytest_smtpd.smtp.violations import VIOLATIONS

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
OTHERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")
PAGES = [*DOCS, *(ROOT / name for name in OTHERS if (ROOT / name).exists())]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

_FENCED = re.compile(r"^(`{3,}|:{3,}).*?^\1$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TARGET = re.compile(
    r"\]\(\s*<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\s*\)"  # [text](target "title"), images too
    r"|^\[[^\]]+\]:\s*(\S+)"  # [name]: target
    r"|<([a-z]+:[^>\s]+)>",  # <https://...>
    re.MULTILINE,
)
_HEADING = re.compile(r"^(#{1,3}) +(.+?) *#*$", re.MULTILINE)
_TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _prose(page: Path) -> str:
    """A page without code and comments, where nothing is a link."""
    text = _FENCED.sub("", _COMMENT.sub("", page.read_text("utf-8")))
    return _CODE.sub("", text)


def _targets(page: Path) -> list[str]:
    return [next(filter(None, match)) for match in _TARGET.findall(_prose(page))]


def _anchors(page: Path) -> set[str]:
    """Of its headings, down to the third level, as MyST and GitHub make them; and explicit ones."""
    text = _FENCED.sub("", page.read_text("utf-8"))
    found: set[str] = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    for _, heading in _HEADING.findall(text):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        same = sum(each == slug or re.fullmatch(rf"{slug}-\d+", each) is not None for each in found)
        found.add(f"{slug}-{same}" if same else slug)
    return found


# ---- links


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in _targets(page):
        path, _, anchor = target.partition("#")
        if urlsplit(target).scheme:
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            broken.append(f"{target}: there is no {path}")
        elif ROOT not in (file, *file.parents):
            broken.append(f"{target}: outside of the project")
        elif anchor and anchor not in _anchors(file):
            known = ", ".join(sorted(_anchors(file)))
            broken.append(f"{target}: there is no such heading, only {known}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_to_elsewhere_are_well_formed(page: Path) -> None:
    for target in _targets(page):
        address = urlsplit(target)
        if address.scheme and address.scheme != "mailto":
            assert address.scheme == "https", target
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", address.netloc), target


def test_links_are_found() -> None:
    """A changed pattern must not silently leave the pages unread."""
    found = [target for page in PAGES for target in _targets(page)]
    assert len(found) > 100
    assert {"rules.md#patterns-that-refuse", "https://semver.org"} <= set(found)


def test_each_page_is_in_the_contents_once() -> None:
    text = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = [
        line.strip()
        for block in _TOCTREE.findall(text)
        for line in block.splitlines()
        if line.strip() and not line.startswith(":")
    ]
    assert sorted(listed) == sorted(page.stem for page in DOCS if page.stem != "index")


# ---- generated tables


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tables that are made when the documentation is built."""
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    return import_module("reference_tables")


def _first_cells(lines: list[str]) -> list[str]:
    return [line.split(" | ")[0].removeprefix("| ").strip("` |") for line in lines[2:]]


def test_the_tables_have_every_row(generated: ModuleType) -> None:
    assert _first_cells(generated.options()) == list(OPTIONS)
    assert _first_cells(generated.violations()) == list(VIOLATIONS)
    assert _first_cells(generated.problems()) == list(PROBLEMS)
    assert _first_cells(generated.extensions()) == list(EXTENSIONS)
    assert [cell.strip('"') for cell in _first_cells(generated.stages())] == list(faults.STAGES)
    shown = [cell.partition("(")[0] for cell in _first_cells(generated.fault_classes())]
    assert {*shown, "Fault", "STAGES"} == set(faults.__all__)


def test_the_table_of_options_is_that_of_the_code(generated: ModuleType) -> None:
    page = (ROOT / "docs" / "options.md").read_text("utf-8")
    renew = "docs/options.md is renewed by: python docs/_ext/reference_tables.py"
    assert page == generated.with_options(page), renew


def test_the_table_of_replies_has_every_row(generated: ModuleType) -> None:
    tables = dict(generated.reply_groups())
    assert len(tables) > 3
    shown = [line for lines in tables.values() for line in lines[2:]]
    rows = {name: value for name, value in vars(replies).items() if _is_row(name, value)}
    assert len(shown) == len(rows)
    for name, reply in rows.items():
        cells = f"| {reply.code} | {reply.enhanced or ''} | `{reply.text}` |"
        assert f"{cells} {name.lower().replace('_', ' ')} |" in shown


def _is_row(name: str, value: object) -> bool:
    return name.isupper() and not name.startswith("_") and isinstance(value, replies.Reply)


def test_each_table_stands_on_a_page() -> None:
    directives = (ROOT / "docs" / "_ext" / "smtpd_tables.py").read_text("utf-8")
    names = set(re.findall(r'"(smtpd-[\w-]+)"', directives))
    assert {"smtpd-faults", "smtpd-replies", "smtpd-state-picture"} <= names
    used = {
        name
        for page in DOCS
        for name in re.findall(r"^```\{(smtpd-[\w-]+)\}$", page.read_text("utf-8"), re.MULTILINE)
    }
    assert used == names


# ---- the state machine


def test_the_picture_has_every_phase_and_every_command(
    generated: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = import_module("state_picture").picture()
    [svg] = ElementTree.fromstring(picture)
    texts = [text.text or "" for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    for phase in Phase:
        assert phase.name in texts
        assert phase.value in texts
    assert set(COMMANDS) <= set(re.findall(r"[A-Z]+", " ".join(texts)))
    words = "".join(each.text or "" for each in svg if each.tag.endswith("desc"))
    assert {*COMMANDS, *(phase.name for phase in Phase)} <= set(re.findall(r"[A-Z]+", words))


def test_the_table_of_transitions_is_that_of_the_engine(generated: ModuleType) -> None:
    state_machine = import_module("state_machine")
    head, _, *rows = state_machine.transitions()
    phases = re.findall(r"`(\w+)`", head)
    assert {Phase[name] for name in phases} == set(Phase) - {Phase.CONNECT, Phase.CLOSED}
    seen = set()
    for row in rows:
        command, *cells = (cell.strip(" `") for cell in row.strip("|").split("|"))
        verb = command.partition(" ")[0]
        seen.add(verb)
        for phase, cell in zip(phases, cells, strict=True):
            assert (cell != "503") is (Phase[phase] in COMMANDS[verb].leads_to), (command, phase)
            assert cell in ("503", "stays", "closed", *Phase.__members__)
    assert seen == set(COMMANDS)
    assert len(state_machine.commands()) == len(COMMANDS) + 2


# ---- figures


SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")
BOUNDS = re.findall(r"^\| .+ \| ([\d.,]+)[^|]* \| `([\w.]+)` \|$", SECURITY, re.MULTILINE)


@pytest.mark.parametrize(("figure", "where"), BOUNDS, ids=[where for _, where in BOUNDS])
def test_a_bound_is_that_of_the_code(figure: str, where: str) -> None:
    if where in OPTIONS:
        value = OPTIONS[where].default
    else:
        module, _, name = where.rpartition(".")
        value = getattr(import_module(f"pytest_smtpd.{module}"), name)
    assert float(figure.replace(",", "")) == value


def test_bounds_are_found() -> None:
    assert len(BOUNDS) == SECURITY.count("\n| ") - SECURITY.count("\n|---")
    assert len(BOUNDS) > 30


def test_the_policies_are_those_of_the_report() -> None:
    pages = (Path(sanitize.__file__).parent / "templates" / "base.html").read_text("utf-8")
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', pages)
    assert f"`{policy}`" in SECURITY
    assert f"`{sanitize.POLICY}`" in SECURITY
