"""Sanitized HTML is harmless, and a usual newsletter looks as before."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_smtpd.report import css, sanitize
from report_attacks import ATTACKS, FRAGMENTS

URL_ATTRIBUTES = {
    *("action", "archive", "background", "cite", "classid", "codebase", "data", "dynsrc", "href"),
    *("formaction", "longdesc", "lowsrc", "manifest", "ping", "poster", "profile", "srcdoc"),
    *("srcset", "usemap", "xlink:href", "xmlns", "http-equiv"),
}


class Checker(HTMLParser):
    """An independent parser of the result."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert tag in sanitize._TAGS | {"style"}
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in URL_ATTRIBUTES
            if name == "src":
                assert tag == "img"
                assert re.match(r"data:(,|image/\w[\w-]*;base64,)", value or "")
            if name == "style":
                assert_inert_css(value or "")

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment came out")

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            assert_inert_css(data)


def assert_inert_css(text: str) -> None:
    assert not re.search(r"\\(?![0-9a-f]{6} )", text)
    assert "<" not in text
    assert not re.search(r"@(?!(media|supports|layer)\b)", text)
    assert not re.search(r"(?i)url|image-set|image\(|src\(|element\(|expression|attr\(", text)


def checked(source: str) -> str:
    html = sanitize.sanitize(source).html
    checker = Checker()
    checker.feed(html)
    checker.close()
    return html


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_leaves_nothing_that_acts(attack: str) -> None:
    checked(attack.replace("URL", "http://evil.example/x"))


@settings(deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))
def test_no_soup_of_fragments_gets_through(soup: str) -> None:
    checked(soup)


PASSIVE = {"tags": sanitize._TAGS | {"style"}, "clean_content_tags": set(), "link_rel": None}
ACTIVE_TAGS = """
    animate applet area audio base button dialog embed foreignobject form frame frameset iframe
    image input link math meta noscript object plaintext portal script select set source svg
    template textarea title track use video xmp
"""


def assert_a_second_opinion(source: str) -> None:
    """Another parser, html5ever, finds nothing to remove, whether it keeps what acts or not."""
    nh3 = pytest.importorskip("nh3")
    html = sanitize.sanitize(source).html
    attributes = {"*": sanitize._ATTRIBUTES | {"style", "src"}}
    strict = nh3.clean(html, **PASSIVE, attributes=attributes, url_schemes={"data"})
    tags = PASSIVE["tags"] | set(ACTIVE_TAGS.split())
    urls = {"*": attributes["*"] | URL_ATTRIBUTES}
    active = {**PASSIVE, "tags": tags, "attributes": urls, "generic_attribute_prefixes": {"on"}}
    schemes = {"data", "http", "javascript", "vbscript"}
    assert nh3.clean(html, **active, url_schemes=schemes) == strict


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_second_parser_finds_nothing_that_acts(attack: str) -> None:
    assert_a_second_opinion(attack.replace("URL", "http://evil.example/x"))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([*ATTACKS.values(), *FRAGMENTS]), max_size=25).map("".join))
def test_a_second_parser_finds_nothing_that_acts_in_soup(soup: str) -> None:
    assert_a_second_opinion(soup)


@settings(deadline=None)
@given(st.text())
def test_no_text_raises(text: str) -> None:
    checked(text)


def test_sanitizing_again_changes_nothing_of_a_newsletter() -> None:
    html = sanitize.sanitize(NEWSLETTER).html
    assert sanitize.sanitize(html).html == html


NEWSLETTER = """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/x">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>News</title>
<style type="text/css">
  /* buttons */
  .button { background: #0a7d4f; color: white !important; font-family: "Open Sans", sans-serif }
  @media only screen and (max-width: 480px) { .col { width: 100% !important; } }
  @font-face { font-family: x; src: url(http://fonts.example/x.woff) }
  h1 { background-image: url(http://x.example/y.png); margin: 0 }
</style></head>
<body bgcolor="#ffffff" style="margin:0">
<!--[if mso]><p>only Outlook</p><![endif]-->
<table width="600" align="center" cellpadding="0"><tr><td class="col" colspan="2">
<h1>Hello &amp; welcome, J&ouml;rg &#8364;</h1>
<p>1 < 2, 3 > 2 & done<br/>next</p>
<a class="button" href="https://shop.example/?a=1&amp;b=2">Go</a>
<img src="http://x.example/logo.png" alt="Logo" width=100>
</td></tr></table></body></html>"""


def test_a_newsletter_keeps_its_looks() -> None:
    html = checked(NEWSLETTER)
    assert '.button{background:#0a7d4f;color:white !important;font-family:"Open Sans", ' in html
    assert "@media only screen and (max-width: 480px){.col{width:100% !important}\n}" in html
    assert "h1{background-image:none;margin:0}" in html
    assert '<body bgcolor="#ffffff" style="margin:0">' in html
    assert '<table width="600" align="center" cellpadding="0"><tr><td class="col" ' in html
    assert "Hello &amp; welcome, Jörg €" in html
    assert "1 &lt; 2, 3 &gt; 2 &amp; done<br>next" in html
    assert "Outlook" not in html
    assert "News" not in html


def test_links_show_where_they_lead_and_lead_nowhere() -> None:
    html = checked('<a href="https://shop.example/?a=1&amp;b=2">Go</a>')
    assert html == '<a title="https://shop.example/?a=1&amp;b=2">Go</a>'


def test_remote_images_are_left_out_and_inline_ones_shown() -> None:
    images = {"logo@shop": "data:image/png;base64,AAAA"}
    html, removed = sanitize.sanitize(
        '<img src="cid:logo%40shop"><img src="CID:nowhere"><img src="//x.example/y.png" alt="Y">'
        '<img src="data:image/gif;base64,R0lG\nODlh"><img src="data:image/svg+xml,<svg/>"><img>',
        images,
    )
    assert html == (
        '<img src="data:image/png;base64,AAAA"><img src="data:,"><img alt="Y" src="data:,">'
        '<img src="data:image/gif;base64,R0lGODlh"><img src="data:,"><img src="data:,">'
    )
    assert removed == {"image that is not in the message": 1, "remote image": 1}


def test_one_image_is_not_put_in_without_end() -> None:
    images = {"a": "data:image/png;base64," + "A" * 1_000_000}
    html = sanitize.sanitize('<img src="cid:a">' * 1000, images).html
    assert html.count("base64") == 7


def test_the_reader_is_told_what_is_missing() -> None:
    _, removed = sanitize.sanitize(
        "<script>x</script><script>y</script><form action=/x><input><p onclick=x()></form>"
        "<iframe src=/x></iframe><link rel=preconnect href=//x><meta http-equiv=refresh content=0>"
        "<p style='background:url(//x)'>"
    )
    assert removed == {
        "script": 2,
        "form": 1,
        "form field": 1,
        "event handler": 1,
        "frame": 1,
        "link element": 1,
        "meta element": 1,
        "style that loads something": 1,
    }


def test_the_document_forbids_what_it_should_not_hold() -> None:
    page = sanitize.document("<p>x").html
    assert "default-src 'none'" in page
    assert '<meta http-equiv="x-dns-prefetch-control" content="off">' in page
    assert "<p>x" in page


@pytest.mark.parametrize(
    "hostile",
    [
        "<" * 1_000_000,
        "<a" * 500_000,
        '<a x="' * 200_000,
        "<a x='" * 200_000 + '"',
        "<a " + "x=" * 500_000,
        "<a " + "x " * 500_000 + ">",
        "<!--" * 250_000,
        "<!" * 500_000,
        "<style>" * 150_000,
        "<style>" + "/*" * 500_000,
        "<style>" + "a{" * 500_000,
        "<style>" + "(" * 900_000 + "{}",
        "<style>" + "a(" * 450_000 + "{x:y}",
        "<style>" + "\"'" * 450_000,
        "<style>" + "\\" * 999_000,
        "<style>" + "uU/" * 330_000,
        "<style>" + "url(" * 250_000,
        "<style>" + "nth-" * 250_000 + "{}",
        "<style>" + "~" * 900_000 + "{}",
        "<style>" + ("~" * 1999 + "{}") * 500,
        "<style>" + (":has(" * 399 + "{}") * 500,
        "<style media='" + "{" * 999_000 + "'>p{margin:0}",
        "<p style='" + 'url("' * 190_000 + "'>",
        "<p style='--a:" + "x" * 19_000 + "'>" * 50,
        "<p style='a:\\61 '>" * 60_000,
        "<td colspan='" + "0" * 999_000 + "1'>",
        "<p style='" + "a:b;" * 250_000 + "'>",
        "<p style='" + "x(" * 450_000 + "'>",
        "<script>" + "</scrip" * 150_000,
        "&" * 1_000_000,
        "&#" + "9" * 1_000_000 + ";",
        "&#x110000;&#xd800;&#0;" * 40_000,
        "<div>" * 300_000,
        "<b>" * 300_000,
        "".join(f"<font color={n}>" for n in range(1000)) + "<p>x" * 100_000,
        "</div>" * 300_000,
        "<img src=data:image/png;base64," + "A" * 1_900_000 + ">",
        "<a href='" + "\n" * 1_900_000 + "'>",
    ],
    ids=lambda text: text[:24],
)
def test_it_takes_hostile_megabytes(hostile: str) -> None:
    html = sanitize.sanitize(hostile).html
    assert len(html) < 12_000_000


def test_nothing_makes_a_browser_build_without_end() -> None:
    fonts = "".join(f"<font color={n}>" for n in range(1000))
    html, removed = sanitize.sanitize(fonts + "<p>x" * 100_000)
    assert html.count("<font") <= sanitize.MAX_DEPTH
    assert html.count("<font") * html.count("<p>") <= 2 * sanitize.MAX_NODES
    assert removed[f"all beyond {sanitize.MAX_NODES:,} elements"] == 1


def test_what_is_too_long_is_cut_and_said_so() -> None:
    html, removed = sanitize.sanitize("x" * (sanitize.MAX_SOURCE + 1))
    assert len(html) == sanitize.MAX_SOURCE
    assert removed == {"all beyond 2,000,000 characters": 1}


@pytest.mark.parametrize(
    "hostile",
    [
        "background:url(//x)",
        "background:URL( '//x' )",
        "background:u\\72l(//x)",
        "background:ur/**/l(//x)",
        "background:image-set('//x' 1x)",
        "background:-webkit-image-set(url(x) 1x)",
        "background:cross-fade(url(x),url(y),50%)",
        "width:expression(alert(1))",
        "behavior:url(#x)",
        "-moz-binding:url(#x)",
        "--x:url(//x)",
        "background:var(--x)",
        "content:'</style><script>'",
        "src:url(x)",
        "list-style:url(x)",
        "cursor:url(x),auto",
        "filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='//x')",
        "color:red}body{background:url(//x)",
        "content:'\n;background:url(//x);",
        "@import '//x'",
    ],
)
def test_a_declaration_that_loads_is_dropped(hostile: str) -> None:
    assert_inert_css(css.Styles().attribute(hostile))
    assert "//x" not in css.Styles().attribute(hostile)
    sheet = css.Styles().sheet(f"p{{margin:0;{hostile}}} @import '//x';q{{{hostile}}}")
    assert_inert_css(sheet)
    assert "//x" not in sheet


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("a:link, a[href^='tel:'] { margin: 0 }", "a[title], a[title^='tel:']{margin:0}"),
        ("a:visited{margin:0}", "a:visited{margin:0}"),
        (r".sm\:w-1\/2{margin:0}", r".sm\00003a w-1\00002f 2{margin:0}"),
        (r"p{c\6fl\6F r:red;content:'\2014 \27'}", r"p{color:red;content:'—\000027 '}"),
        ("@supports (display: flex){p{margin:0}}", "@supports (display: flex){p{margin:0}}"),
        ("@layer a, b; @layer a{p{margin:0}}", "@layer a, b;@layer a{p{margin:0}}"),
        (":root{--Ink:red}p{color:var(--Ink)}", ":root{--Ink:red}p{color:var(--Ink)}"),
        ("td:has(> img){margin:0}", "td:has(> img){margin:0}"),
        ("p{background:#222 url(//x/y;z.png) repeat-x}", "p{background:#222 none repeat-x}"),
        ("p{background:url('//x)') #222}", "p{background:none #222}"),
        ("p{margin:0;b{margin:1px}padding:0}", "p{margin:0;padding:0}"),
        ("p{columns:9;filter:blur(9px);animation:x;margin:0}", "p{margin:0}"),
        ("p{--a:var(--b)var(--b);margin:0}", "p{margin:0}"),
        ("@font-face{font-family:x;src:url(//x)}p{margin:0", "p{margin:0}"),
    ],
)
def test_styles_of_a_good_mail_stay(source: str, kept: str) -> None:
    sheet = css.Styles().sheet(source)
    assert sheet.replace("\n", "") == kept
    assert_inert_css(sheet)


def test_a_style_counts_only_for_its_media_and_type() -> None:
    html = checked(
        "<style media=print>p{margin:0}</style><style type=text/plain>p{margin:1px}</style>"
        "<style media='x{}</style>'>p{margin:2px}</style><style type=''>p{margin:3px}</style>"
    )
    assert "<style>@media print{p{margin:0}\n}\n</style>" in html
    assert "margin:1px" not in html
    assert "<style>p{margin:3px}\n</style>" in html


def test_what_costs_a_browser_much_is_bounded() -> None:
    html, removed = sanitize.sanitize("<style>" + "p{margin:0}" * 5000 + "</style>")
    assert html.count("{") == css.MAX_SELECTORS
    assert removed == {"style beyond the bounds": 1}
    table = "<table><tr><td colspan=99999 rowspan=0>" + "<td colspan=900>x" * 99 + "<td>y" * 4000
    html, _ = sanitize.sanitize(table)
    assert html.startswith('<table><tr><td colspan="1000">x')
    assert html.count("<td") == 1


def test_usual_declarations_stay() -> None:
    usual = (
        "color:rgba(0, 0, 0, 0.5);width:calc(100% - 2px);font-family:'A;B', serif;"
        "background:linear-gradient(#fff, #000);mso-line-height-rule:exactly"
    )
    assert css.Styles().attribute(usual) == usual


@pytest.mark.parametrize("blanks", [" ", " /", "\n"])
@pytest.mark.parametrize("tag", ["<p", "<a href=x", "<img alt=x"])
def test_blanks_at_the_end_of_a_tag_are_read_once(tag: str, blanks: str) -> None:
    # In quadratic time it would take minutes
    begun = time.thread_time()
    html, _ = sanitize.sanitize(f"{tag}{blanks * 500_000}>text")
    assert "text" in html
    assert time.thread_time() - begun < 8
