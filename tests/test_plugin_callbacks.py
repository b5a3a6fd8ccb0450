"""What callbacks of `smtpd_session` raise ends the test during which they ran, and no other."""

from __future__ import annotations

import pytest

from inner_run import lines, run, write

# The first test is the guilty one; `{raises}` is what its callback does
GUILTY_FIRST = """
    import pytest
    from client import Client

    def check(address):
        {raises}

    def send(server):
        server.configure(validate_sender=check)
        with Client(server) as client:
            client.ehlo().say("MAIL FROM:<ann@example.com>")
            client.quit()
        server.configure(validate_sender=None)

    def test_guilty(smtpd_session):
        send(smtpd_session)

    def test_innocent(smtpd_session): pass

    def test_without(): pass

    def test_last(smtpd_session): pass
"""
SCOPES = pytest.mark.parametrize("scope", ["function", "session"])


@SCOPES
@pytest.mark.parametrize(
    ("raises", "shown"),
    [
        ("assert address == 'expected'", "AssertionError: assert 'ann@example.com' == 'expected'"),
        ("pytest.fail('not that one')", "Failed: not that one"),
        ("{}[address]", "CallbackWarning: smtpd callback validate_sender raised KeyError"),
    ],
)
def test_an_error_is_of_the_test_that_led_to_it(
    pytester: pytest.Pytester, scope: str, raises: str, shown: str
) -> None:
    write(pytester, test_a=GUILTY_FIRST.format(raises=raises))
    result = run(pytester, "-rN", f"--smtpd-scope={scope}")
    result.assert_outcomes(passed=4, errors=1)
    said = lines(result)
    assert "ERROR at teardown of test_guilty" in said
    assert said.count(shown) == 1
    assert "contextlib" not in said and "plugin/" not in said


@SCOPES
def test_a_skip_and_a_warning_too(pytester: pytest.Pytester, scope: str) -> None:
    write(pytester, test_a=GUILTY_FIRST.format(raises="pytest.skip('none today')"))
    result = run(pytester, "-rs", f"--smtpd-scope={scope}")
    result.assert_outcomes(passed=4, skipped=1)
    assert "none today" in lines(result)
    write(pytester, test_a=GUILTY_FIRST.format(raises="{}[address]"))
    result = run(pytester, "-W", "default", f"--smtpd-scope={scope}")
    result.assert_outcomes(passed=4, warnings=1)
    assert "test_a.py::test_guilty" in result.outlines


def test_whichever_way_the_test_got_the_server(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_a=GUILTY_FIRST.format(raises="assert address == 'expected'")
        + """
    @pytest.fixture(scope="session")
    def app(smtpd_session):
        return lambda: send(smtpd_session)

    def test_through_an_app(app):
        app()

    def test_while_it_ran(request):
        send(request.getfixturevalue("smtpd_session"))

    def test_beside_its_own(smtpd, smtpd_session):
        send(smtpd_session)

    def test_after_them(smtpd_session): pass
""",
    )
    result = run(pytester, "-rN")
    result.assert_outcomes(passed=8, errors=4)
    for name in ("guilty", "through_an_app", "while_it_ran", "beside_its_own"):
        assert f"ERROR at teardown of test_{name}" in lines(result)


@SCOPES
@pytest.mark.parametrize("also", ["raise ValueError('the fixture')", "pytest.skip('the fixture')"])
def test_a_teardown_that_has_failed_already_moves_no_blame(
    pytester: pytest.Pytester, scope: str, also: str
) -> None:
    source = GUILTY_FIRST.format(raises="assert address == 'expected'")
    source = source.replace("test_guilty(smtpd_session)", "test_guilty(smtpd_session, fails)")
    source += f"""
    @pytest.fixture
    def fails():
        yield
        {also}
"""
    write(pytester, test_a=source)
    result = run(pytester, "-rN", f"--smtpd-scope={scope}")
    result.assert_outcomes(passed=4, errors=1)
    said = lines(result)
    assert "ERROR at teardown of test_guilty" in said
    assert "the fixture" in said
    assert "AssertionError: assert 'ann@example.com' == 'expected'" in said


def test_the_end_of_a_run_is_not_hidden(pytester: pytest.Pytester) -> None:
    source = GUILTY_FIRST.format(raises="{}[address]")
    source = source.replace("test_guilty(smtpd_session)", "test_guilty(smtpd_session, ends)")
    source += """
    @pytest.fixture
    def ends():
        yield
        pytest.exit("enough for today", returncode=7)
"""
    write(pytester, test_a=source)
    result = run(pytester, "-W", "default")
    assert result.ret == 7
    assert "enough for today" in lines(result)
