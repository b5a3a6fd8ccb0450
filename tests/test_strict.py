"""`strict` and `ignore`: violations and problems fail a test. Errors of callbacks do, too."""

from __future__ import annotations

import pytest

from inner_run import lines, run, write

SEND = """
    import pytest
    from client import Client

    CLEAN = (
        "Date: Mon, 05 Jan 2026 10:00:00 +0000\\r\\nFrom: Ann <ann@example.com>\\r\\n"
        "To: bob@example.net\\r\\nMessage-ID: <1@example.com>\\r\\n"
        "Subject: hi\\r\\n\\r\\nhello\\r\\n"
    )
    UNDATED = CLEAN.partition("\\r\\n")[2]

    def send(server, text=CLEAN, quit=True):
        with Client(server) as client:
            assert client.ehlo().deliver(text).startswith("250")
            if quit:
                client.quit()

    def rude(server):
        send(server, quit=False)

    def undated(server):
        send(server, UNDATED)

"""

STRICT = (
    SEND
    + """
    pooled = []
    mark = pytest.mark.smtpd

    def test_off_by_default(smtpd):
        rude(smtpd)
        undated(smtpd)

    @mark(strict=True)
    def test_clean(smtpd):
        send(smtpd)

    @mark(strict=True)
    def test_nothing_came(smtpd): pass

    @mark(strict=True)
    def test_an_open_connection_is_no_violation(smtpd):
        pooled.append(Client(smtpd))
        assert pooled[0].ehlo().deliver(CLEAN).startswith("250")

    def test_the_pool_is_closed():
        pooled[0].close()

    @mark(strict=True)
    def test_true_rude(smtpd): rude(smtpd)

    @mark(strict=True)
    def test_true_undated(smtpd): undated(smtpd)

    @mark(strict="violations")
    def test_violations_rude(smtpd): rude(smtpd)

    @mark(strict="violations")
    def test_violations_undated(smtpd): undated(smtpd)

    @mark(strict="problems")
    def test_problems_rude(smtpd): rude(smtpd)

    @mark(strict="problems")
    def test_problems_undated(smtpd): undated(smtpd)

    @mark(strict=True, ignore=["no-quit"])
    def test_ignored_violation(smtpd): rude(smtpd)

    @mark(strict=True, ignore=["missing-date", "no-quit"])
    def test_ignored_problem(smtpd):
        undated(smtpd)
        rude(smtpd)

    @mark(strict=True, ignore="missing-date")
    def test_ignored_one_of_two(smtpd):
        send(smtpd, UNDATED, quit=False)

    def test_configured(smtpd):
        smtpd.configure(strict=True)
        rude(smtpd)

    @mark(strict=True)
    def test_configured_away(smtpd):
        rude(smtpd)
        smtpd.configure(strict=None)

    @mark(strict=True)
    def test_cleared(smtpd):
        rude(smtpd)
        smtpd.clear()

    def test_factory(smtpd_factory):
        first, second = smtpd_factory(strict=True), smtpd_factory(strict="problems")
        rude(first)
        undated(second)
        rude(smtpd_factory())

    @mark(strict=True)
    def test_last_words_are_heard(smtpd):
        with Client(smtpd) as client:
            client.ehlo()
            client.send("NOOP \\n\\r\\n")
"""
)


@pytest.mark.parametrize("scope", ["function", "session"])
def test_strict_lists_what_was_found_at_teardown(pytester: pytest.Pytester, scope: str) -> None:
    write(pytester, test_strict=STRICT)
    result = run(pytester, f"--smtpd-scope={scope}")
    said = lines(result)
    wrong = {
        "test_true_rude": ["violation no-quit: closed the connection without QUIT (RFC 5321 "],
        "test_true_undated": ["problem missing-date: there is no Date header (RFC 5322 3.6.1) in "],
        "test_violations_rude": ["violation no-quit: "],
        "test_problems_undated": ["problem missing-date: "],
        "test_ignored_one_of_two": ["violation no-quit: "],
        "test_configured": ["violation no-quit: "],
        "test_factory": ["violation no-quit: ", "problem missing-date: "],
        "test_last_words_are_heard": ["violation no-quit: ", "violation bare-lf: "],
    }
    result.assert_outcomes(passed=19, errors=len(wrong))
    for test, texts in wrong.items():
        _, found, after = said.partition(f" ERROR at teardown of {test} ___")
        assert found, test
        error = after.partition("--- smtpd ---")[0]
        assert f"smtpd strict: {len(texts)} found\n" in error
        for text in texts:
            assert f"\n  {text}" in error


def test_strict_for_a_whole_project(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsmtpd_strict = true\nsmtpd_ignore = missing-date\n")
    write(
        pytester,
        test_project=SEND
        + """
    def test_clean(smtpd): send(smtpd)

    def test_rude(smtpd): rude(smtpd)

    def test_ignored(smtpd): undated(smtpd)

    @pytest.mark.smtpd(strict=False)
    def test_let_off(smtpd): rude(smtpd)

    @pytest.mark.smtpd(ignore=["no-quit"])
    def test_a_list_of_its_own(smtpd):
        rude(smtpd)
        undated(smtpd)

    def test_factory(smtpd_factory): rude(smtpd_factory())
""",
    )
    run(pytester).assert_outcomes(passed=6, errors=3)
    run(pytester, "--smtpd-strict=false").assert_outcomes(passed=6)
    run(pytester, "--smtpd-ignore=no-quit").assert_outcomes(passed=6, errors=2)


CALLBACKS = (
    SEND
    + """
    def failing(*args):
        pytest.fail("said by the callback")

    def asserting(*args):
        assert args == ("never",)

    def skipping(*args):
        pytest.skip("the callback says so")

    def broken(*args):
        raise KeyError("a bug in it")

    def interrupted(*args):
        raise KeyboardInterrupt

    async def asserting_later(*args):
        asserting(*args)

    def try_mail(server, reply):
        with Client(server) as client:
            assert client.ehlo().say("MAIL FROM:<ann@example.com>").startswith(reply)
            client.quit()

    @pytest.mark.smtpd(validate_sender=asserting)
    def test_assertion(smtpd): try_mail(smtpd, "451")

    @pytest.mark.smtpd(validate_sender=asserting_later)
    def test_assertion_in_a_coroutine(smtpd): try_mail(smtpd, "451")

    @pytest.mark.smtpd(validate_sender=failing)
    def test_fail(smtpd): try_mail(smtpd, "451")

    @pytest.mark.smtpd(validate_sender=skipping)
    def test_skip(smtpd): try_mail(smtpd, "451")

    @pytest.mark.smtpd(deliver_mime=asserting)
    def test_deliver(smtpd):
        with Client(smtpd) as client:
            assert client.ehlo().deliver().startswith("451")
            client.quit()
        assert smtpd.messages == []

    @pytest.mark.smtpd(validate_sender=broken)
    def test_bug(smtpd): try_mail(smtpd, "553")

    @pytest.mark.smtpd(validate_sender=interrupted)
    def test_interrupt(smtpd): try_mail(smtpd, "553")

    def test_factory(smtpd_factory): try_mail(smtpd_factory(validate_sender=asserting), "451")

    def test_stopped_in_the_test(smtpd):
        smtpd.configure(validate_sender=asserting)
        try_mail(smtpd, "451")
        with pytest.raises(AssertionError):
            smtpd.stop()

    def test_nothing_is_left_for_the_next(smtpd):
        send(smtpd)
"""
)


@pytest.mark.parametrize("scope", ["function", "session"])
def test_the_outcome_that_a_callback_raises(pytester: pytest.Pytester, scope: str) -> None:
    write(pytester, test_callbacks=CALLBACKS)
    result = run(pytester, f"--smtpd-scope={scope}", "-W", "default", "-rs")
    result.assert_outcomes(passed=10, errors=5, skipped=1, warnings=2)
    said = lines(result)
    for test in ("assertion", "assertion_in_a_coroutine", "fail", "deliver", "factory"):
        assert f" ERROR at teardown of test_{test} ___" in said
    assert "E   Failed: said by the callback" in said.replace("E       ", "E   ")
    assert "the callback says so" in said
    assert "CallbackWarning: smtpd callback validate_sender raised KeyError; " in said
    assert "a bug in it" in said
    assert "CallbackWarning: smtpd callback validate_sender raised KeyboardInterrupt; " in said
    # the traceback leads to the bug
    assert 'raise KeyError("a bug in it")' in said


def test_a_bug_in_a_callback_is_an_error_where_warnings_are(pytester: pytest.Pytester) -> None:
    write(pytester, test_callbacks=CALLBACKS)
    result = run(pytester, "-k", "bug or interrupt")
    result.assert_outcomes(passed=2, errors=2, deselected=8)
