"""400 tests that mail at the same time in four workers: nothing is mixed up, nothing is missing."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter

import pytest

from inner_run import run, write

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xdist") is None, reason="needs pytest-xdist"
)

WORKERS = 4
TESTS = 400

# Three threads of the application are under way while the test looks: had two workers one server,
# or two tests one mailbox, somebody else's mail would be seen.
MANY = f"""
    import os
    import smtplib
    from concurrent.futures import ThreadPoolExecutor

    import pytest

    WORKER = os.environ["PYTEST_XDIST_WORKER"]

    def send(server, to):
        with smtplib.SMTP(*server.address, timeout=20) as client:
            client.sendmail("shop@example.org", to, f"Subject: {{to}} {{WORKER}}\\r\\n\\r\\n")

    def check(server, n):
        to = [f"{{n}}.{{each}}@example.com" for each in range(3)]
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(send, [server] * 3, to))
        found = server.messages.wait(3, timeout=20)
        assert sorted(message.recipients for message in found) == [(each,) for each in to]
        assert all(message.subject.endswith(WORKER) for message in found)
        assert len(server.sessions) == 3
        assert server.strays == []

    @pytest.mark.parametrize("n", range({TESTS // 2}))
    def test_plain(smtpd, n, record_property):
        check(smtpd, f"plain{{n}}")
        record_property("served by", f"{{WORKER}} {{smtpd.url}}")

    @pytest.mark.parametrize("n", range({TESTS // 4}))
    @pytest.mark.smtpd(reject_sender="denied@*")
    def test_marker(smtpd, n, record_property):
        assert smtpd.config.reject_sender == "denied@*"
        check(smtpd, f"marker{{n}}")
        record_property("served by", f"{{WORKER}} {{smtpd.url}}")

    @pytest.mark.parametrize("n", range({TESTS // 4}))
    def test_factory(smtpd_factory, n):
        check(smtpd_factory(), f"factory{{n}}")
"""


@pytest.mark.parametrize("scope", ["function", "session"])
def test_400_tests_in_four_workers(pytester: pytest.Pytester, scope: str) -> None:
    pytest.importorskip("jinja2")
    write(pytester, test_many=MANY)
    result = run(
        pytester,
        *("-n", str(WORKERS), f"--smtpd-scope={scope}"),
        *("--smtpd-save=mail", "--smtpd-report=report", "--junitxml=junit.xml"),
        plugins=("xdist",),
    )
    result.assert_outcomes(passed=TESTS)

    saved = [path.read_bytes() for path in (pytester.path / "mail").rglob("*.eml")]
    sent = Counter(re.search(rb"Subject: (\S+) gw\d", raw)[1] for raw in saved)  # type: ignore[index]
    assert len(sent) == 3 * TESTS
    assert set(sent.values()) == {1}
    assert len(list((pytester.path / "mail").iterdir())) == TESTS

    # One page for all workers: every test is on it, and its messages on its own pages
    report = pytester.path / "report"
    index = (report / "index.html").read_text("utf-8")
    folders = set(re.findall(r'href="tests/([^/"]+)/index.html"', index))
    assert len(folders) == TESTS
    shown: set[str] = set()
    for folder in folders:
        page = (report / "tests" / folder / "index.html").read_text("utf-8")
        subjects = set(re.findall(r"[a-z]+\d+\.\d@example\.com(?= gw\d)", page))
        assert len(subjects) == 3
        shown |= subjects
    assert shown == {subject.decode() for subject in sent}

    junit = (pytester.path / "junit.xml").read_text("utf-8")
    served = set(re.findall(r'value="(gw\d) (smtp://[\d.:]+)"', junit))
    assert {worker for worker, _ in served} <= {f"gw{n}" for n in range(WORKERS)}
    if scope == "session":
        urls = [url for _, url in served]
        assert len(urls) == len(set(urls)) == len({worker for worker, _ in served})
