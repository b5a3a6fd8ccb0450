"""In the report's frame a good mail looks as in a browser, and a hostile one does not stall it.

Skipped where there is no Chromium or no Playwright.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_smtpd.report import sanitize
from report_templates import TEMPLATES

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need Playwright: pip install playwright"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser tests need Chromium")

# The report's own page: the mail as it is gets the same
PAGE = "<style>:where(body){margin:16px;font-family:sans-serif}</style>"
# Where each element is, and what of its style a reader would see
LOOKS = """() => {
  const seen = ["color", "backgroundColor", "fontSize", "fontWeight", "textAlign", "display",
                "textDecorationLine", "borderTopWidth", "borderTopColor", "content"];
  const skipped = "head, head *, style, script, title, meta, link";
  const shown = [...document.querySelectorAll("body, body *")].filter((e) => !e.matches(skipped));
  return shown.map((e) => {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    return [e.localName, ...["x", "y", "width", "height"].map((side) => Math.round(box[side])),
            ...seen.map((name) => style[name]), getComputedStyle(e, "::before").content];
  });
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.route("**/*", lambda route: route.abort())
        yield page
        browser.close()


def looks(page: Any, html: str, width: int) -> list[list[Any]]:
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(html, wait_until="load")
    found: list[list[Any]] = page.evaluate(LOOKS)
    return found


@pytest.mark.parametrize("width", [375, 1000])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_good_mail_looks_as_in_a_browser(page: Any, name: str, width: int) -> None:
    source = TEMPLATES[name]
    doctype, _, rest = source.rpartition("<html") if "<html" in source else ("", "", source)
    raw = (
        f"{doctype or '<!doctype html>'}{PAGE}<html{rest}"
        if doctype
        else f"<!doctype html>{PAGE}{rest}"
    )
    before = looks(page, raw, width)
    after = looks(page, sanitize.document(source).html, width)
    assert [each[0] for each in after] == [each[0] for each in before]
    for was, is_now in zip(before, after, strict=True):
        assert is_now[5:] == was[5:], was
        assert is_now[1:5] == pytest.approx(was[1:5], abs=1), was


P = "<p>x"
# Each kept a browser busy for more than ten seconds, or crashed it
STALLING = {
    "columns": '<div style="columns:9999;height:1px">' * 10 + "word " * 6000,
    "spans of columns": "<table>" + "<col span=1000>" * 60_000 + "<tr><td>x",
    "spans of cells": "<table>" + "<tr><td rowspan=65534 colspan=1000>x" * 8000,
    "cells": "<table style='border-collapse:collapse'><tr>" + "<td>x" * 100_000 + "<tr>" * 90_000,
    "cells by style": (
        "<style>tr{display:table-cell}tbody{display:table-row}</style><table border=1 "
        "style='border-collapse:collapse'>" + "<tr>" * 50_000 + "<tbody>" * 50_000
    ),
    "ruby": "<ruby>a<rt>" * 20_000,
    "combining marks": "<p>x" + "\u0301" * 490_000,
    "combining marks in pieces": "<p>x" + ("\u0301" * 20 + "</x>&#x301;") * 15_000,
    "changes of direction": "<p dir=rtl>" + "\u202e\u2067x" * 150_000,
    "elements of another direction": "<p dir=rtl>" + "<bdi>x</bdi><b dir=ltr>x</b>" * 35_000,
    "combining marks between tags": "<p>x" + ("\u0301" * 29 + "<wbr>") * 28_000,
    "fonts": "<style>"
    + "".join(
        f".a{n}{{font-family:{','.join(f'f{n}x{m}' for m in range(60))}}}" for n in range(500)
    )
    + "</style>"
    + "".join(f"<p class=a{n % 500}>x" for n in range(4500)),
    "ruby by style": "<style>p{display:ruby}b{display:ruby-text}</style><p>" + "x<b>y" * 90_000,
    "scrolling boxes": "<style>*{overflow:scroll;height:9px}</style>" + P * 100_000,
    "list": "<ol reversed>" + "<li>x" * 150_000,
    "sibling": "<style>" + "b ~ p{color:red}" * 1500 + "</style>" + P * 4900,
    "siblings": "<style>" + "b ~ p ~ p{color:red}" * 3 + "</style>" + P * 4900,
    "siblings, nested": "<style>" + "b ~ p:is(b ~ p, p){color:red}" * 9 + "</style>" + P * 4900,
    "has": "<style>" + "p:has(b.x i){color:red}" * 1500 + "</style>" + "<p><b>x</b>" * 50_000,
    "nth": "<style>" + "p:nth-last-child(3n){color:red}" * 1500 + "</style>" + P * 100_000,
    "generated text": f"<style>*::before{{content:'{'x' * 190}'}}</style>{'<p>' * 190_000}",
    "layers": "<style>*{transform:translate3d(0,0,0);opacity:.9}</style>" + P * 100_000,
    "variables": (
        "<style>*{--a0:x"
        + "".join(f";--a{n}:var(--a{n - 1}),x" for n in range(1, 10_000))
        + f";font-family:{','.join(['var(--a99)'] * 190)}}}</style>{P * 100_000}"
    ),
}


@pytest.mark.parametrize("name", STALLING)
def test_a_hostile_mail_does_not_stall_the_browser(page: Any, name: str) -> None:
    page.set_viewport_size({"width": 900, "height": 600})
    html = sanitize.document(STALLING[name][:1_000_000]).html
    page.set_content(html, wait_until="load", timeout=15_000)
    assert page.evaluate("document.body.getBoundingClientRect().width") > 800
