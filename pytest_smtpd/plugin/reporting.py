"""The output of a test: the section in its report, and its mail in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .keys import seen_servers, session_lease, uses
from .seen import Seen

if TYPE_CHECKING:
    from ..lease import Lease

_phases = pytest.StashKey[Any]()  # report.collect.Phases of a test so far
_unwritten = pytest.StashKey[str]()  # why there is no report


def remember(item: pytest.Item, name: str, lease: Lease) -> Seen:
    """Notes a server of the test, by the name of its fixture."""
    for other in seen_by(item):
        if other.lease is not lease:
            other.lease.mind(lease)
            lease.mind(other.lease)
    seen = Seen(name, lease)
    item.stash.setdefault(seen_servers, []).append(seen)
    return seen


def seen_by(item: pytest.Item) -> list[Seen]:
    """The servers of a test so far, with `smtpd_session` if the test uses it."""
    seen = item.stash.get(seen_servers, [])
    lease = item.config.stash.get(session_lease, None)
    if lease is None or lease in [each.lease for each in seen] or not uses(item, "smtpd_session"):
        return seen
    return [*seen, Seen("smtpd_session", lease)]


def blame_too(lease: Lease, error: BaseException) -> None:
    """Attributes callback errors to the test that is ending, whose teardown has failed as well."""
    __tracebackhide__ = True
    if isinstance(error, KeyboardInterrupt | SystemExit | pytest.exit.Exception):
        return  # there is no next test
    try:
        lease.raise_caught()
    except BaseException as raised:
        raise BaseExceptionGroup("errors during test teardown", [error, raised]) from None


def complete(item: pytest.Item, report: pytest.TestReport) -> None:
    """Adds the section of a test that has failed; writes its mail after teardown."""
    seen = seen_by(item)
    _note_phase(item, report)
    if report.failed and any(each.lease.endpoint for each in seen):
        from .transcript import section

        _add_section(report, section(seen))
    if report.when == "teardown" and seen:
        _write_mail(item, report, seen)
        for each in seen:
            each.lease.others.clear()
        item.stash[seen_servers] = []


def _add_section(report: pytest.TestReport, text: str) -> None:
    # Into the representation of the failure, because junit-xml writes that, too
    longrepr: Any = report.longrepr
    if hasattr(longrepr, "addsection"):
        longrepr.addsection("smtpd", text)
    elif isinstance(longrepr, str):
        report.longrepr = f"{longrepr}\n{' smtpd '.center(80, '-')}\n{text}"
    else:
        report.sections.append(("smtpd", text))


def _folder(config: pytest.Config, option: str) -> Path | None:
    value = config.getoption(option)
    return config.rootpath / value if value and not config.option.collectonly else None


def begin(config: pytest.Config) -> None:
    """Raises a usage error for folders that cannot be written, before a test runs."""
    if hasattr(config, "workerinput"):
        return
    for option in ("smtpd_save", "smtpd_report"):
        folder = _folder(config, option)
        if folder is not None:
            from ..report.save import check_folder

            try:
                check_folder(folder)
            except ValueError as error:
                raise pytest.UsageError(f"--{option.replace('_', '-')}: {error}") from None
    if folder is None:  # that of the report
        return
    from ..report import collect, render

    try:
        render.require()
        collect.begin(folder)
    except collect.ReportError as error:
        raise pytest.UsageError(str(error)) from None


def _note_phase(item: pytest.Item, report: pytest.TestReport) -> None:
    if _folder(item.config, "smtpd_report") is None:
        return
    from ..report.collect import Phases

    if report.when == "setup":
        item.stash[_phases] = Phases()
    failure = report.longreprtext if report.failed else ""
    expected = hasattr(report, "wasxfail")
    item.stash[_phases].add(report.when, report.outcome, expected, report.duration, failure)


def _write_mail(item: pytest.Item, report: pytest.TestReport, seen: list[Seen]) -> None:
    save, folder = (_folder(item.config, each) for each in ("smtpd_save", "smtpd_report"))
    flag = "--smtpd-save"
    try:
        if save is not None:
            from ..report.save import save_test

            mail = [message for each in seen for message in (*each.messages, *each.strays)]
            save_test(save, item.nodeid, mail)
        flag = "--smtpd-report"
        if folder is not None:
            from ..report.collect import write_test

            write_test(folder, item.nodeid, item.stash[_phases], seen)
    except OSError as error:
        report.outcome = "failed"
        report.longrepr = f"{flag}: the mail of this test was not written: {error}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = _folder(session.config, "smtpd_report")
    if folder is None or hasattr(session.config, "workerinput"):
        return
    from ..report.render import build

    try:
        build(folder)
    except OSError as error:  # a full disk, for example; pytest still prints its summary
        session.config.stash[_unwritten] = f"--smtpd-report: the report was not written: {error}"
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    folder = _folder(config, "smtpd_report")
    if folder is not None:
        written = f"mail of the tests: {folder / 'index.html'}"
        terminalreporter.write_line(config.stash.get(_unwritten, written))
