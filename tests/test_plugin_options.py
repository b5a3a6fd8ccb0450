"""`smtpd_options`: whose override counts for the whole run, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from inner_run import COUNT_STARTS, lines, run, write

OVERRIDE = """
    import pytest

    @pytest.fixture(scope="session")
    def smtpd_options():
        return {{"banner": "{0}"}}
"""
# Says which override counts, `- smtpd` where it is that of nobody
SAYS = """
    def test_session(smtpd_session):
        print("\\nrun:", smtpd_session.config.banner.replace("pytest-smtpd", "-"))
"""


def test_the_root_conftest_of_a_project_whose_tests_are_in_a_folder(
    pytester: pytest.Pytester,
) -> None:
    """The outermost override counts for `smtpd_session`, also one that a plugin brings."""
    check = """
        def test_banner(smtpd_session):
            assert smtpd_session.config.banner == "{0}"
    """
    plain = """
        import pytest

        @pytest.fixture(scope="session")
        def smtpd_options({0}):
            return {1}
    """
    write(
        pytester,
        company=plain.format("", '{"banner": "company", "max_size": 77}'),
        only__test_plugin=check.format("company"),
        tests__conftest=plain.format("tmp_path_factory", '{"banner": "tests"}'),
        tests__test_a=check.format("tests"),
        tests__sub__conftest=plain.format("", '{"banner": "sub"}'),
        tests__sub__test_b=check.format("tests"),
    )
    args = ("--import-mode=importlib",)
    run(pytester, *args, "tests").assert_outcomes(passed=2)
    run(pytester, *args, "tests/sub", plugins=("company",)).assert_outcomes(passed=1)
    run(pytester, *args, "only", plugins=("company",)).assert_outcomes(passed=1)


def counting(pytester: pytest.Pytester, *args: str) -> str:
    """The banner that `smtpd_session` has got."""
    result = run(pytester, "-s", "--import-mode=importlib", *args)
    assert result.ret == 0, lines(result)
    (said,) = {line for line in result.outlines if line.startswith("run: ")}
    return said.split()[1]


def test_what_not_all_see_counts_for_none_whoever_asks_first(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        a__conftest=OVERRIDE.format("a"),
        a__test_a=SAYS,
        a__sub__conftest=OVERRIDE.format("sub"),
        a__sub__test_sub=SAYS,
        b__test_b=SAYS,
    )
    assert counting(pytester, "a", "b") == counting(pytester, "b", "a") == "-"
    assert counting(pytester, "a/sub", "b") == counting(pytester, "b", "a/sub") == "-"
    assert counting(pytester, "a/sub", "a/test_a.py") == "a"
    assert counting(pytester, "a/test_a.py", "a/sub") == "a"
    assert counting(pytester, "b") == "-"
    assert counting(pytester, "a", "b", "-k", "test_sub") == "a"


def test_only_those_who_ask_for_the_server_of_the_run_matter(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        tests__conftest=OVERRIDE.format("tests"),
        tests__test_a=SAYS,
        tests__sub__conftest=OVERRIDE.format("sub"),
        tests__sub__test_b=SAYS,
        shop="""
            def total():
                '''
                >>> total()
                3
                '''
                return 3
        """,
        other__test_no_server="""
            def test_nothing(): pass
        """,
        other__test_server="""
            def test_its_own(smtpd, smtpd_factory):
                assert smtpd.config.banner != "tests"
        """,
    )
    everything = (".", "--doctest-modules")
    assert counting(pytester, *everything) == "tests"
    assert counting(pytester, "other", "tests", "shop.py", "--doctest-modules") == "tests"
    # there `smtpd` is the server of the run, too
    assert counting(pytester, "--smtpd-scope=session", *everything) == "-"
    others = ("other/test_no_server.py", "shop.py", "tests", "--doctest-modules")
    assert counting(pytester, "--smtpd-scope=session", *others) == "tests"


def test_a_conftest_may_have_it_from_elsewhere(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        company=OVERRIDE.format("company"),
        tests__conftest="from company import smtpd_options\n",
        tests__test_a=SAYS,
        tests__sub__conftest=OVERRIDE.format("sub"),
        tests__sub__test_b=SAYS,
    )
    assert counting(pytester, "tests/sub") == "company"


def test_the_server_of_the_run_in_workers_of_xdist(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    check = """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_banner(smtpd_session, n):
            assert smtpd_session.config.banner.startswith("pytest-smtpd ")
    """
    write(
        pytester,
        a__conftest=OVERRIDE.format("a"),
        a__test_a=check,
        b__test_b=check,
    )
    args = ("-n", "2", "--import-mode=importlib", "a", "b")
    run(pytester, *args, plugins=("xdist",)).assert_outcomes(passed=8)


def test_wrong_smtpd_options(pytester: pytest.Pytester) -> None:
    cases = [
        "{'reject_sendr': 'x'}",
        "{'timeout': -1}",
        "{'require_tls': True}",
        "{'users': {'ann': 'secret'}},",  # a comma too much
        "{1: 2}",
    ]
    override = """
        import pytest

        @pytest.fixture
        def smtpd_options():
            return {0}

        def test_smtpd(smtpd): pass
    """
    files = {f"test_{number}": override.format(case) for number, case in enumerate(cases)}
    write(pytester, conftest=COUNT_STARTS, **files)
    result = run(pytester)
    result.assert_outcomes(errors=5)
    said = lines(result)
    assert "secret" not in said
    assert "smtpd_options: unknown smtpd option 1; pytest --markers lists them\ntest_4.py:4" in said
    assert (
        "smtpd_options: unknown smtpd option 'reject_sendr' (did you mean 'reject_sender'?)\n"
        "test_0.py:4: smtpd_options\n" in said
    )
    assert "smtpd_options: smtpd option 'timeout': -1 is not allowed: " in said
    assert "smtpd option 'require_tls' needs 'tls', which is not set" in said
    assert "smtpd_options: a dict of options is wanted, not tuple" in said
    assert "servers started: 0" in said


@pytest.mark.parametrize("ini", ["", "smtpd_scope = session"])
def test_the_options_of_the_whole_run_have_its_scope(pytester: pytest.Pytester, ini: str) -> None:
    """What `smtpd_session` takes is needed before and after any one test."""
    pytester.makeini(f"[pytest]\n{ini}\n")
    write(
        pytester,
        conftest="""
            import pytest

            @pytest.fixture
            def smtpd_options(tmp_path): return {"banner": "mine"}
        """,
        test_a="""
            def test_smtpd(smtpd):
                assert smtpd.config.banner == "mine"

            def test_factory(smtpd_factory):
                assert smtpd_factory().config.banner == "mine"

            def test_session(smtpd_session): pass
        """,
    )
    result = run(pytester, "-rN")
    result.assert_outcomes(passed=1 if ini else 2, errors=2 if ini else 1)
    text = (
        "smtpd_options has the scope 'function': smtpd_session, which lives for the whole run, "
        'wants @pytest.fixture(scope="session")\nconftest.py:4: smtpd_options\n'
    )
    assert text in lines(result)
