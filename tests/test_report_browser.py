"""The report in a real browser: hostile mail does no harm, and a person can use the pages.

Skipped where there is no Chromium or no Playwright. The host that hostile mail names is a listener
of the tests' own, so that any connection the browser makes for a page is seen.
"""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_smtpd.report import collect, render, sanitize
from report_attacks import ATTACKS, FRAGMENTS
from report_mail import ONE_PIXEL, came_to, seen_server, stored, written

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need Playwright: pip install playwright"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser tests need Chromium")

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    # Chromium connects to other hosts for its own purposes
    "--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND",
]


class Listener:
    """Records the first line of each connection, and answers nothing."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.grew = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://mail.example:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1.0)  # a preconnect says nothing
                try:
                    line = connection.recv(1000).partition(b"\r\n")[0].decode("ascii", "replace")
                except OSError:
                    line = ""
            with self.grew:
                self.heard.append(line)
                self.grew.notify_all()

    def wait_for(self, text: str) -> None:
        with self.grew:
            assert self.grew.wait_for(lambda: any(text in line for line in self.heard), 10)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(playwright: Any) -> Iterator[Any]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def profile(playwright: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A normal window, because an incognito window makes no preconnects."""
    context = playwright.chromium.launch_persistent_context(
        tmp_path_factory.mktemp("profile"),
        executable_path=CHROMIUM,
        args=ARGUMENTS,
        viewport={"width": 1280, "height": 900},
    )
    context.set_default_timeout(15_000)
    yield context
    context.close()


class Watch:
    """A page, and a record of everything that must not happen."""

    def __init__(self, context: Any, listener: Listener) -> None:
        self.events: list[str] = []
        self._listener = listener
        self._context = context
        self._last = context.new_page()
        self.page = context.new_page()
        context.on("page", self._new_page)
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.events.append(f"error {error}"))
        self.start()

    def start(self) -> None:
        self.events.clear()
        self._listener.heard.clear()

    def close(self) -> None:
        self._context.remove_listener("page", self._new_page)
        self.page.close()
        self._last.close()

    def _new_page(self, page: Any) -> None:
        self.events.append(f"new page {page.url}")

    def _dialog(self, dialog: Any) -> None:
        self.events.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def assert_quiet(self) -> None:
        """Nothing has happened, and the last request, which the test makes, is the only one."""
        frames = [frame.url for frame in self.page.frames if frame.url]  # "": nothing loaded yet
        assert [url for url in frames if not url.startswith(("file:", "about:"))] == []
        self._last.set_content(f"<img src='{self._listener.url}/the-end'>", wait_until="commit")
        self._listener.wait_for("/the-end")
        assert [line for line in self._listener.heard if "/the-end" not in line] == []
        assert self.events == []


@pytest.fixture
def watch(profile: Any, listener: Listener) -> Iterator[Watch]:
    watch = Watch(profile, listener)
    yield watch
    watch.close()


@pytest.fixture(scope="module")
def shared_watch(profile: Any, listener: Listener) -> Iterator[Watch]:
    watch = Watch(profile, listener)
    yield watch
    watch.close()


@pytest.fixture
def quick_watch(shared_watch: Watch) -> Watch:
    """The same page for many tests: a new one costs half a second."""
    shared_watch.start()
    return shared_watch


def made_hostile(attack: str, listener: Listener) -> str:
    """`pwned()` tells the listener and opens a dialog."""
    # Without a quote or a space, so that it may stand anywhere
    codes = ",".join(str(ord(char)) for char in f"{listener.url}/pwned")
    pwned = f"[fetch(String.fromCharCode({codes})),alert(1)]"
    return attack.replace("pwned()", pwned).replace("URL", f"{listener.url}/asked")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Path:
    """A report with a test for each attack."""
    folder = tmp_path_factory.mktemp("hostile") / "report"
    collect.begin(folder)
    for name, attack in ATTACKS.items():
        html = made_hostile(attack, listener)
        raw = written(html=html, subject=" ".join(html.replace("\0", "").split())[:900])
        collect.write_test(
            folder, f"test_attack.py::{name}", came_to("passed"), [seen_server(stored(raw))]
        )
    render.build(folder)
    return folder


def page_of(folder: Path, name: str) -> str:
    from pytest_smtpd.report.names import folder_name

    return (folder / "tests" / folder_name(f"test_attack.py::{name}") / "index.html").as_uri()


# ---- hostile mail


def test_the_listener_hears_what_is_not_sanitized(watch: Watch, listener: Listener) -> None:
    """The control: if this page did no harm, the other tests would prove nothing."""
    for name, path in (("images", "/asked"), ("event handlers", "/pwned"), ("script", "/pwned")):
        watch.page.set_content(made_hostile(ATTACKS[name], listener), wait_until="commit")
        listener.wait_for(path)
        listener.heard.clear()


def test_a_sandbox_and_a_policy_alone_let_a_preconnect_out(
    watch: Watch, listener: Listener, tmp_path: Path
) -> None:
    link = f"<link rel=preconnect href={listener.url}>"
    policy = sanitize.document("").html.partition("<body>")[0]
    (tmp_path / "mail.html").write_text(f"{policy}{link}<p>x")
    (tmp_path / "page.html").write_text("<!doctype html><iframe sandbox src=mail.html></iframe>")
    watch.page.goto((tmp_path / "page.html").as_uri())
    with listener.grew:
        assert listener.grew.wait_for(lambda: listener.heard, 10)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_mail_does_nothing_in_the_report(
    quick_watch: Watch, hostile: Path, name: str
) -> None:
    quick_watch.page.goto(page_of(hostile, name))
    frame = quick_watch.page.frame_locator(".sheet iframe")
    frame.locator("body").wait_for(state="attached")
    quick_watch.page.mouse.move(400, 500)
    quick_watch.page.mouse.click(400, 500)
    quick_watch.assert_quiet()


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_mail_does_nothing_even_without_sandbox_and_policy(
    quick_watch: Watch, listener: Listener, tmp_path: Path, name: str
) -> None:
    html = sanitize.sanitize(made_hostile(ATTACKS[name], listener)).html
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{html}", "utf-8")
    quick_watch.page.goto(path.as_uri())
    assert quick_watch.page.evaluate(FOREIGN, [sorted(sanitize._TAGS)]) == []
    quick_watch.page.mouse.move(100, 100)
    quick_watch.page.mouse.click(100, 100)
    quick_watch.assert_quiet()


# What a browser made of it: elements and attributes that should not be there
FOREIGN = """([tags]) => {
  const known = new Set([...tags, "html", "head", "meta", "style"]);
  const found = [];
  for (const element of document.querySelectorAll("*")) {
    if (element.namespaceURI !== "http://www.w3.org/1999/xhtml") found.push(element.namespaceURI);
    if (!known.has(element.localName)) found.push(element.localName);
    for (const { name, value } of element.attributes) {
      if (/^on|^(action|background|data|formaction|href|ping|poster|srcdoc|srcset)$/.test(name))
        found.push(`${element.localName} ${name}`);
      if (name === "src" && !value.startsWith("data:")) found.push(value);
    }
  }
  return found;
}"""


def test_no_soup_of_fragments_becomes_something_else_in_a_browser(watch: Watch) -> None:
    import random

    dice = random.Random(7)
    soups = ["".join(dice.choices(FRAGMENTS, k=dice.randint(2, 40))) for _ in range(1500)]
    found = watch.page.evaluate(
        f"""([tags, soups]) => soups.flatMap((soup) => {{
          const parsed = new DOMParser().parseFromString("<body>" + soup, "text/html");
          const check = new Function("document", "argument", "return ({FOREIGN_INLINE})(argument)");
          return check(parsed, [tags]).map((what) => [what, soup]);
        }})""",
        [sorted(sanitize._TAGS), [sanitize.sanitize(soup).html for soup in soups]],
    )
    assert found == []


FOREIGN_INLINE = FOREIGN.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def test_the_list_of_hostile_tests_does_nothing(watch: Watch, hostile: Path) -> None:
    watch.page.goto((hostile / "index.html").as_uri())
    watch.page.get_by_role("searchbox").fill("script")
    watch.page.locator(".tests li:not([hidden]) a").first.click()
    watch.page.frame_locator("iframe[name=detail]").locator("h1").wait_for()
    watch.assert_quiet()


def test_attachments_are_not_rendered(watch: Watch, tmp_path: Path, listener: Listener) -> None:
    evil = made_hostile(ATTACKS["script"] + ATTACKS["images"], listener).encode()
    mhtml = b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\n"
    raw = written(
        attachments=(
            ("x.html", "text/html", evil),
            ("x.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'>" + evil),
            ("x.eml", "application/octet-stream", mhtml + evil),
            ("x", "text/html", evil),
            ("x.xhtml", "application/xhtml+xml", evil),
        )
    )
    collect.begin(tmp_path)
    test = collect.write_test(tmp_path, "t.py::test", came_to("passed"), [seen_server(stored(raw))])
    files = list(test.rglob("*.bin"))
    assert len(files) == 6
    for path in files:
        with watch.page.expect_download() as download, pytest.raises(Exception, match="Download"):
            watch.page.goto(path.as_uri())
        download.value.cancel()
    watch.assert_quiet()


# ---- use


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    collect.begin(folder)
    html = '<h1>Hello</h1><img src="cid:logo" alt="Logo"><a href="https://shop.example/go">Go</a>'
    raw = written(html=html, subject="Welcome", inline=(("logo", "image/gif", ONE_PIXEL),))
    collect.write_test(folder, "t.py::test_passes", came_to("passed"), [seen_server(stored(raw))])
    collect.write_test(folder, "t.py::test_fails", came_to("failed", "E assert 0"), [seen_server()])
    several = [stored(written(subject=f"Number {number}")) for number in range(1, 4)]
    collect.write_test(folder, "u.py::test_several", came_to("passed"), [seen_server(*several)])
    render.build(folder)
    return folder


def visible_tests(page: Any) -> list[str]:
    return [each.split("/")[1][:20] for each in page.eval_on_selector_all(
        ".tests li:not([hidden]) a", "links => links.map(link => link.getAttribute('href'))"
    )]  # fmt: skip


def test_the_failed_test_is_shown_first_and_others_on_a_click(watch: Watch, report: Path) -> None:
    page = watch.page
    page.goto((report / "index.html").as_uri())
    detail = page.frame_locator("iframe[name=detail]")
    playwright_api.expect(detail.get_by_text("E assert 0")).to_be_visible()
    page.get_by_role("link", name="test_passes").click()
    mail = detail.frame_locator(".sheet iframe")
    playwright_api.expect(mail.get_by_role("heading", name="Hello")).to_be_visible()
    logo = mail.get_by_alt_text("Logo")
    playwright_api.expect(logo).to_have_js_property("naturalWidth", 1)
    playwright_api.expect(page.locator(".tests a[aria-current]")).to_contain_text("test_passes")
    chosen = page.url
    page.goto("about:blank")
    page.goto(chosen)
    playwright_api.expect(detail.get_by_role("heading", name="Welcome")).to_be_visible()


def test_a_broken_fragment_breaks_nothing(watch: Watch, report: Path) -> None:
    watch.page.goto((report / "index.html").as_uri() + "#%E0%A4%A")
    detail = watch.page.frame_locator("iframe[name=detail]")
    playwright_api.expect(detail.get_by_text("E assert 0")).to_be_visible()
    watch.page.get_by_role("link", name="test_passes").click()
    playwright_api.expect(detail.get_by_role("heading", name="Welcome")).to_be_visible()
    assert watch.events == []


def test_the_filter_finds_tests_by_name_subject_and_outcome(watch: Watch, report: Path) -> None:
    page = watch.page
    page.goto((report / "index.html").as_uri())
    field = page.get_by_role("searchbox", name="Filter by test, subject or address")
    assert len(visible_tests(page)) == 3
    field.fill("number 2")
    assert visible_tests(page) == ["u.py--test_several-"[:20] + visible_tests(page)[0][19:]]
    playwright_api.expect(page.get_by_role("status")).to_have_text("1 of 3 tests")
    field.fill("nothing like it")
    playwright_api.expect(page.get_by_text("No test fits the filter")).to_be_visible()
    field.fill("")
    page.get_by_role("radio", name="Failed").check()
    assert [name[:16] for name in visible_tests(page)] == ["t.py--test_fails"]


def test_it_is_used_with_the_keyboard_alone(watch: Watch, report: Path) -> None:
    page = watch.page
    page.goto((report / "index.html").as_uri())
    page.keyboard.press("Tab")
    playwright_api.expect(
        page.get_by_role("link", name="Skip to the selected test")
    ).to_be_focused()
    page.get_by_role("link", name="test_passes").focus()
    page.keyboard.press("Enter")
    detail = page.frame_locator("iframe[name=detail]")
    tab = detail.get_by_role("tab", name="HTML")
    playwright_api.expect(tab).to_have_attribute("aria-selected", "true")
    tab.focus()
    page.keyboard.press("ArrowRight")
    playwright_api.expect(detail.get_by_role("tab", name="Text")).to_be_focused()
    panel = detail.get_by_role("tabpanel", name="Text")
    playwright_api.expect(panel).to_contain_text("Hello Ann")
    page.keyboard.press("End")
    playwright_api.expect(detail.get_by_role("tabpanel", name="Source")).to_be_visible()
    playwright_api.expect(panel).to_be_hidden()


def test_messages_of_a_test_are_paged_through(watch: Watch, report: Path) -> None:
    page = watch.page
    page.goto((report / "index.html").as_uri())
    page.get_by_role("link", name="test_several").click()
    detail = page.frame_locator("iframe[name=detail]")
    detail.get_by_role("link", name="Number 1").click()
    detail.get_by_role("link", name="Next").click()
    playwright_api.expect(detail.get_by_role("heading", name="Number 2")).to_be_visible()
    detail.get_by_role("link", name="test_several").click()
    playwright_api.expect(detail.get_by_role("link", name="Number 3")).to_be_visible()


def test_links_open_elsewhere_and_say_nothing_of_the_report(watch: Watch, report: Path) -> None:
    page = watch.page
    page.goto((report / "index.html").as_uri())
    page.get_by_role("link", name="test_passes").click()
    detail = page.frame_locator("iframe[name=detail]")
    detail.get_by_role("tab", name="Links").click()
    link = detail.get_by_role("link", name="https://shop.example/go")
    assert link.get_attribute("target") == "_blank"
    assert set((link.get_attribute("rel") or "").split()) >= {"noopener", "noreferrer"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_the_window(
    chromium: Any, report: Path, hostile: Path, scheme: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page = context.new_page()
    pages = [report / "index.html", *report.glob("tests/*/*.html"), hostile / "index.html"]
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        if not path.name.startswith("000"):
            assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    context.close()


def test_without_javascript_everything_can_be_read(chromium: Any, report: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((report / "index.html").as_uri())
    page.get_by_role("link", name="test_passes").click()
    detail = page.frame_locator("iframe[name=detail]")
    for name in ("HTML", "Text", "Headers", "Problems", "Source"):
        playwright_api.expect(detail.get_by_role("heading", name=name, exact=True)).to_be_visible()
    context.close()


def test_a_thousand_messages_are_not_all_opened_at_once(watch: Watch, tmp_path: Path) -> None:
    collect.begin(tmp_path)
    raw = written(html="<h1>Hello</h1>" * 20)
    for number in range(500):
        nodeid = f"tests/test_{number // 50}.py::test_number_{number}"
        collect.write_test(tmp_path, nodeid, came_to("passed"), [seen_server(stored(raw))])
    many = [stored(raw) for _ in range(500)]
    collect.write_test(
        tmp_path, "tests/test_many.py::test_many", came_to("failed"), [seen_server(*many)]
    )
    render.build(tmp_path)
    watch.page.goto((tmp_path / "index.html").as_uri())
    watch.page.frame_locator("iframe[name=detail]").locator("h1").wait_for()
    assert watch.page.locator(".tests li").count() == 501
    nodes = "document.getElementsByTagName('*').length"
    assert sum(frame.evaluate(nodes) for frame in watch.page.frames) < 20_000
    octets = "document.documentElement.outerHTML.length"
    assert sum(frame.evaluate(octets) for frame in watch.page.frames) < 1_000_000
