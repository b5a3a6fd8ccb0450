"""The marker `smtpd`: how levels merge, and what is said of a wrong one before anything starts."""

from __future__ import annotations

import pytest

from inner_run import COUNT_STARTS, lines, run, write

MERGING = """
    import unittest

    import pytest

    mark = pytest.mark.smtpd
    pytestmark = mark(banner="module", max_recipients=1, reject_sender="module@*")
    shared = mark(banner="shared")

    def given(smtpd):
        config = smtpd.config
        return config.banner, config.max_recipients, config.reject_sender

    def test_module(smtpd):
        assert given(smtpd) == ("module", 1, "module@*")

    @mark(banner="function")
    def test_function_over_module(smtpd):
        assert given(smtpd) == ("function", 1, "module@*")

    @mark(reject_sender=["x@*"])
    def test_a_value_is_replaced_whole(smtpd):
        assert smtpd.config.reject_sender == ("x@*",)

    @mark(reject_sender=None, max_recipients=None)
    def test_none_takes_a_value_back(smtpd):
        assert given(smtpd) == ("module", None, None)

    @mark(banner="outer", max_recipients=2)
    @mark(banner="inner")
    def test_two_decorators(smtpd, request):
        assert request.node.get_closest_marker("smtpd").kwargs == {"banner": "inner"}
        assert given(smtpd)[:2] == ("inner", 2)

    @mark
    @mark()
    def test_a_marker_that_says_nothing(smtpd):
        assert given(smtpd)[0] == "module"

    @mark(banner="base", greeting_hostname="base.example")
    class Base:
        def test_inherited(self, smtpd):
            assert smtpd.config.banner == self.banner
            assert smtpd.config.greeting_hostname == "base.example"
            assert smtpd.config.max_recipients == 1

        @mark(banner="method")
        def test_method(self, smtpd):
            assert given(smtpd)[0] == "method"

        @pytest.mark.parametrize(
            "banner",
            [
                pytest.param("param", marks=mark(banner="param")),
                pytest.param("first", marks=[mark(banner="first"), mark(banner="second")]),
                "method",
            ],
        )
        @mark(banner="method")
        def test_param(self, smtpd, banner):
            assert given(smtpd)[0] == banner
            assert smtpd.config.greeting_hostname == "base.example"

    class TestBase(Base):
        banner = "base"

    @mark(banner="sub")
    class TestSub(Base):
        banner = "sub"

        @mark(max_recipients=9)
        class TestNested:
            def test_nested(self, smtpd):
                assert given(smtpd) == ("sub", 9, "module@*")

    class TestList(Base):
        pytestmark = [mark(banner="closest"), mark(banner="farther")]
        banner = "closest"

    @shared
    class Lowest:
        pass

    @mark(banner="middle")
    class Middle(Lowest):
        pass

    @shared
    class TestSharedMark(Middle):
        def test_one_mark_on_two_levels(self, smtpd):
            assert given(smtpd)[0] == "shared"

    class TestBetween(Middle):
        def test_between(self, smtpd):
            assert given(smtpd)[0] == "middle"

    @pytest.mark.parametrize("a", [pytest.param(1, marks=mark(banner="a", max_recipients=4))])
    @pytest.mark.parametrize("b", [pytest.param(1, marks=mark(banner="b"))])
    def test_stacked_parameters(smtpd, a, b, request):
        assert request.node.get_closest_marker("smtpd").kwargs["banner"] in ("a", "b")
        assert given(smtpd)[1] == 4

    @mark(banner="unittest")
    class TestUnittest(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def server(self, smtpd):
            self.smtpd = smtpd

        @mark(max_recipients=7)
        def test_case(self):
            assert given(self.smtpd) == ("unittest", 7, "module@*")

    @pytest.mark.usefixtures("smtpd")
    @mark(banner="used")
    def test_usefixtures(request):
        assert request.getfixturevalue("smtpd").config.banner == "used"

    def test_configure_is_stronger_still(smtpd):
        smtpd.configure(banner="configured", reject_sender=None)
        assert given(smtpd) == ("configured", 1, None)

    def test_and_holds_for_one_test(smtpd):
        assert given(smtpd) == ("module", 1, "module@*")
"""


def test_levels_merge_from_outer_to_inner(pytester: pytest.Pytester) -> None:
    write(pytester, test_merging=MERGING)
    run(pytester).assert_outcomes(passed=29)


WRONG = {
    "reject_sendr='x@*'": "unknown smtpd option 'reject_sendr' (did you mean 'reject_sender'?)",
    "quite_another=1": "unknown smtpd option 'quite_another'",
    "addresses='strickt'": "smtpd option 'addresses': 'strickt' is not allowed: one of 'syntax', "
    "'strict', 'any' is wanted (did you mean 'strict'?)",
    "port='25'": "smtpd option 'port': '25' is not allowed: "
    "a whole number from 0 to 65535 is wanted",
    "port=70000": "smtpd option 'port': 70000 is not allowed: "
    "a whole number from 0 to 65535 is wanted",
    "timeout=0": "smtpd option 'timeout': 0 is not allowed: a number of seconds above 0 is wanted",
    "tls='STARTTLS'": "smtpd option 'tls': 'STARTTLS' is not allowed: one of None, 'starttls', "
    "'implicit' is wanted",
    "trace_headers=1": "smtpd option 'trace_headers': 1 is not allowed: True or False is wanted",
    "without_extensions=['PIPELINNG']": "smtpd option 'without_extensions': ['PIPELINNG'] is not "
    "allowed: 'PIPELINNG' is none of ",
    "deliver='x'": "smtpd option 'deliver': 'x' is not allowed: a callable is wanted",
    "reject_sender={'x@*': 250}": "smtpd option 'reject_sender': {'x@*': 250} is not allowed: ",
    "reject_sender=5": "smtpd option 'reject_sender': 5 is not allowed: ",
    "faults=['drop']": "smtpd option 'faults': ['drop'] is not allowed: a list of faults such as "
    "pytest_smtpd.faults.Drop(on='rcpt') is wanted, not 'drop'",
    "certificate='expird'": "smtpd option 'certificate': 'expird' is not allowed: ",
    "ignore=['no-quitt']": "smtpd option 'ignore': ['no-quitt'] is not allowed: ",
    "strict='all'": "smtpd option 'strict': 'all' is not allowed: ",
    "greeting_hostname='a b'": "smtpd option 'greeting_hostname': 'a b' is not allowed: ",
    "users={'ann': 1}": "smtpd option 'users': *** is not allowed: ",
    "require_tls=True": "smtpd option 'require_tls' needs 'tls', which is not set: "
    "add tls='starttls', for example",
    "require_auth=True": "smtpd option 'require_auth' needs 'users', which is not set: "
    "add users={'user': 'password'}, for example",
    "auth_requires_tls=True": "smtpd option 'auth_requires_tls' needs 'tls', which is not set: "
    "add tls='starttls', for example",
}


def test_a_wrong_marker_is_an_error_of_its_setup_before_anything_starts(
    pytester: pytest.Pytester,
) -> None:
    cases = "".join(
        f"@pytest.mark.smtpd({keywords})\ndef test_{number:02}(smtpd): pass\n\n"
        for number, keywords in enumerate(WRONG)
    )
    more = """
@pytest.mark.smtpd("denied@*")
def test_positional(smtpd): pass

@pytest.mark.smtpd({"users": {"ann": "secret"}}, banner="b")
def test_positional_and_keyword(smtpd): pass

@pytest.mark.smtpd(rejct_host="x")
class TestOuter:
    @pytest.mark.smtpd(banner="good")
    def test_inner(self, smtpd): pass
"""
    write(pytester, conftest=COUNT_STARTS)
    (pytester.path / "test_wrong.py").write_text(f"import pytest\n\n{cases}{more}")
    result = run(pytester)
    result.assert_outcomes(errors=len(WRONG) + 3)
    said = lines(result)
    for text in WRONG.values():
        assert text in said
    for text in (
        "@pytest.mark.smtpd takes keywords only, not a positional str: reject_sender=",
        "@pytest.mark.smtpd takes keywords only, not a positional dict: write "
        "@pytest.mark.smtpd(**options)\n",
        "unknown smtpd option 'rejct_host' (did you mean 'reject_host'?)",
        "servers started: 0",
    ):
        assert text in said
    assert "plugin.py" not in said  # the texts are enough: no traceback through our code
    assert "secret" not in said


def test_a_setup_error_is_said_once(pytester: pytest.Pytester) -> None:
    pytest.importorskip("trustme")
    write(
        pytester,
        test_setup="""
            import pytest

            @pytest.mark.smtpd(reject_sendr="x")
            def test_name(smtpd): pass

            @pytest.mark.smtpd(timeout=0)
            def test_value(smtpd): pass

            @pytest.mark.smtpd(require_tls=True)
            def test_pair(smtpd): pass

            @pytest.mark.smtpd(tls="starttls", certificate=("nowhere.pem", "nowhere.key"))
            def test_certificate(smtpd): pass

            @pytest.mark.smtpd(host="192.0.2.1")
            def test_host(smtpd): pass
        """,
    )
    for scope in ("function", "session"):
        result = run(pytester, "-rN", f"--smtpd-scope={scope}")  # no summary, which repeats them
        result.assert_outcomes(errors=5)
        said = lines(result)
        for text in (
            "unknown smtpd option 'reject_sendr' (did you mean 'reject_sender'?)",
            "smtpd option 'timeout': 0 is not allowed",
            "smtpd option 'require_tls' needs 'tls'",
            "smtpd option 'certificate': cannot read 'nowhere.pem': No such file or directory",
            "cannot listen on 192.0.2.1" if scope == "function" else "smtpd option 'host': ",
        ):
            assert said.count(text) == 1, text
        for text in ("During handling", "direct cause", "Traceback", "fixtures.py"):
            assert text not in said


def test_the_place_of_the_marker_is_shown(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        base="""
            import pytest

            @pytest.mark.smtpd(tls="yes")
            class Base:
                def test_base(self, smtpd): pass
        """,
        test_module="""
            import pytest

            pytestmark = [pytest.mark.smtpd(banner="fine"), pytest.mark.smtpd(timeout=0)]

            def test_module(smtpd): pass
        """,
        test_places="""
            import pytest
            from base import Base

            class TestBase(Base): pass

            @pytest.mark.smtpd(max_size=-1)
            @pytest.mark.filterwarnings("default")
            class TestClass:
                @pytest.mark.smtpd(banner="fine")
                def test_class(self, smtpd): pass

            @pytest.mark.smtpd(require_auth=True)
            def test_pair(smtpd): pass

            @pytest.mark.smtpd(max_size=5)
            @pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.smtpd(max_size="5"))])
            def test_parameter(smtpd, a): pass

            @pytest.mark.smtpd(banner="fine")
            class TestPositional:
                @pytest.mark.smtpd("denied@*")
                def test_positional(self, smtpd): pass
        """,
    )
    result = run(pytester, "-rN")
    result.assert_outcomes(errors=6)
    said = lines(result)
    option = "@pytest.mark.smtpd: smtpd option"
    for start, place in (
        (f"{option} 'timeout': 0 is", "test_module.py: test_module"),
        (f"{option} 'tls': 'yes' is", "base.py:4: Base"),
        (f"{option} 'max_size': -1 is", "test_places.py:7: TestClass"),
        ("smtpd option 'require_auth' needs", "test_places.py:13: test_pair"),
        (f"{option} 'max_size': '5' is", "test_places.py:16: test_parameter"),
        ("@pytest.mark.smtpd takes keywords only", "test_places.py:22: test_positional"),
    ):
        (line,) = (n for n, line in enumerate(result.outlines) if line.startswith(start))
        assert result.outlines[line + 1] == place, said


def test_a_pair_may_come_from_two_levels(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_pairs="""
            import pytest

            pytestmark = pytest.mark.smtpd(users={"ann": "secret"})

            @pytest.mark.smtpd(require_auth=True)
            def test_together(smtpd):
                assert smtpd.config.require_auth

            @pytest.mark.smtpd(require_auth=True)
            @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.smtpd(users=None))])
            def test_taken_away(smtpd, x):
                pass
        """,
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    assert WRONG["require_auth=True"] in lines(result)


def test_the_same_texts_come_from_server_configure_and_factory(pytester: pytest.Pytester) -> None:
    """As `TypeError` and `ValueError`, at the line of whoever wrote the mistake."""
    write(
        pytester,
        conftest=COUNT_STARTS,
        test_lines="""
            import pytest_smtpd

            def test_server_name():
                pytest_smtpd.Server(reject_sendr="x")  # line 5

            def test_server_pair():
                pytest_smtpd.Server(require_tls=True)  # line 8

            def test_options_value():
                pytest_smtpd.Options(addresses="strickt")  # line 11

            def test_configure_name():
                pytest_smtpd.Server().configure(reject_sendr="x")  # line 14

            def test_configure_value():
                pytest_smtpd.Server().configure(addresses="strickt")  # line 17

            def test_factory_name(smtpd_factory):
                smtpd_factory(reject_sendr="x")  # line 20

            def test_factory_value(smtpd_factory):
                smtpd_factory(addresses="strickt")  # line 23

            def test_factory_pair(smtpd_factory):
                smtpd_factory(require_tls=True)  # line 26
        """,
    )
    result = run(pytester)
    result.assert_outcomes(failed=8)
    name, value, pair = "reject_sendr='x@*'", "addresses='strickt'", "require_tls=True"
    for line, error, key in (
        (5, "TypeError", name),
        (8, "ValueError", pair),
        (11, "ValueError", value),
        (14, "TypeError", name),
        (17, "ValueError", value),
        (20, "TypeError", name),
        (23, "ValueError", value),
        (26, "ValueError", pair),
    ):
        assert f"test_lines.py:{line}: {error}" in result.outlines
        assert f"E       {error}: {WRONG[key]}" in result.outlines
    assert "servers started: 0" in result.outlines


def test_a_marker_without_the_fixture_is_a_warning(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_unused="""
            import pytest

            pytestmark = pytest.mark.smtpd(banner="for those that use it")

            @pytest.mark.smtpd(banner="x")
            def test_unused():
                pass

            @pytest.mark.smtpd(banner="x")
            def test_factory_is_not_reached(smtpd_factory):
                assert smtpd_factory().config.banner != "x"

            @pytest.mark.smtpd(banner="x")
            def test_used(smtpd):
                assert smtpd.config.banner == "x"

            @pytest.mark.smtpd(banner="x")
            def test_used_by_request(request):
                assert request.getfixturevalue("smtpd").config.banner == "x"

            def test_outer_marker():
                pass
        """,
    )
    result = run(pytester, "-W", "default")
    result.assert_outcomes(passed=5, warnings=2)
    said = lines(result)
    for name in ("test_unused", "test_factory_is_not_reached"):
        assert (
            f"::{name} has a marker smtpd and uses no fixture smtpd: no effect; "
            "name smtpd among its arguments, or take the marker off" in said
        )
    # where warnings are errors it is one of those tests, and the run goes on
    run(pytester).assert_outcomes(passed=5, errors=2)


def test_the_marker_is_registered_and_explained(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        conftest=COUNT_STARTS,
        test_a="""
            import pytest

            @pytest.mark.smtpd(reject_sender="x")
            def test_a(smtpd): pass
        """,
    )
    result = run(pytester, "--strict-markers", "--collect-only")
    assert result.ret == 0
    assert "servers started: 0" in result.outlines
    result = run(pytester, "--markers")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["@pytest.mark.smtpd(**options): *reject_sender*faults*"])
