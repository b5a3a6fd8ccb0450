"""An installed plugin's fixture `smtpd` in place of ours: a usage error that says what to do.

One of the project's own, be it in a conftest or in a plugin, is an override, and passes.
"""

from __future__ import annotations

import site
import sysconfig
from pathlib import Path

import pytest

from inner_run import COUNT_STARTS, lines, run, write

RIVAL = """
    import pytest

    @pytest.fixture
    def smtpd():
        return "the rival's"
"""
MINE = """
    import pytest

    @pytest.fixture
    def smtpd(smtpd):
        smtpd.configure(banner="mine")
        return smtpd
"""
TEST = """
    import pytest_smtpd

    def test_other(): pass

    def test_mail(smtpd):
        assert isinstance(smtpd, pytest_smtpd.Server)
"""
ERROR = (
    "test_a.py::test_mail would get the fixture 'smtpd' of the plugin {0!r}, not that of "
    "pytest-smtpd-server: turn the other one off with -p no:{0}"
)


def install(folder: Path, plugin: str, module: str = "") -> None:
    """What makes a module in the folder the plugin of an installed distribution."""
    info = folder / f"{plugin}_dist-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plugin}-dist\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{plugin} = {module or plugin}\n")


@pytest.mark.parametrize(
    "source",
    {
        "as usual": RIVAL,
        "under another name": """
            import pytest

            @pytest.fixture(name="smtpd")
            def _fixture(): return "the rival's"
        """,
        "out of another module": "from rival_server import smtpd",
        "beside a name of ours": """
            import pytest
            import pytest_smtpd as smtpd

            @pytest.fixture(name="smtpd")
            def _fixture(): return "the rival's"
        """,
        "of a broader scope": """
            import pytest

            @pytest.fixture(scope="session")
            def smtpd(): yield "the rival's"
        """,
        "of a plugin that it loads": 'pytest_plugins = ["rival_server"]',
    }.items(),
    ids=lambda item: item[0].replace(" ", "-"),
)
def test_a_plugin_loaded_after_ours(pytester: pytest.Pytester, source: tuple[str, str]) -> None:
    install(pytester.path, "rival")
    write(pytester, conftest=COUNT_STARTS, rival=source[1], rival_server=RIVAL, test_a=TEST)
    result = run(pytester, plugins=("rival",))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = lines(result)
    assert ERROR.format("rival_server" if "pytest_plugins" in source[1] else "rival") in said
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said


def test_a_plugin_that_is_an_object(pytester: pytest.Pytester) -> None:
    install(pytester.path, "rival", "rival_server:rival")
    write(
        pytester,
        rival_server="""
            import pytest

            class Base:
                @pytest.fixture
                def smtpd(self):
                    return "the rival's"

            class Rival(Base):
                pass

            rival = Rival()
        """,
        test_a=TEST,
    )
    result = run(pytester, plugins=("rival",))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = lines(result)
    assert ERROR.format("rival") in said
    assert "INTERNALERROR" not in said


def test_what_the_error_says_helps(pytester: pytest.Pytester) -> None:
    install(pytester.path, "rival")
    write(pytester, rival=RIVAL, test_a=TEST)
    assert ERROR.format("rival") in lines(run(pytester, plugins=("rival",)))
    run(pytester, "-p", "no:rival").assert_outcomes(passed=2)


def test_only_tests_that_would_get_it_matter(pytester: pytest.Pytester) -> None:
    install(pytester.path, "rival")
    write(
        pytester,
        rival=RIVAL + "\n    @pytest.fixture\n    def inbox(): return []\n",
        test_none="""
            def test_other(inbox): pass
        """,
        test_own="""
            import pytest

            @pytest.fixture
            def smtpd():
                return "mine"

            def test_own(smtpd):
                assert smtpd == "mine"
        """,
    )
    run(pytester, plugins=("rival",)).assert_outcomes(passed=2)


def test_a_conftest_may_override_it(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        conftest=MINE,
        helpers="""
            import pytest

            @pytest.fixture
            def smtpd():
                return "helper's"
        """,
        test_a="""
            import pytest

            def test_conftest(smtpd):
                assert smtpd.config.banner == "mine"

            class TestOverride:
                @pytest.fixture
                def smtpd(self, smtpd):
                    return (smtpd,)

                def test_class(self, smtpd):
                    assert smtpd[0].config.banner == "mine"
        """,
        sub__conftest="from helpers import smtpd\n",
        sub__test_b="""
            def test_imported_into_a_conftest(smtpd):
                assert smtpd == "helper's"
        """,
    )
    run(pytester).assert_outcomes(passed=3)


TEST_MINE = """
    def test_mine(smtpd):
        assert smtpd.config.banner == "mine"
"""


def test_a_plugin_of_the_project_may_override_it(pytester: pytest.Pytester) -> None:
    install(pytester.path, "other")  # that an installed one is loaded, too, does not matter
    write(pytester, support__mail=MINE, other="", test_a=TEST_MINE)
    run(pytester, plugins=("other", "support.mail")).assert_outcomes(passed=1)
    write(pytester, conftest='pytest_plugins = ["support.mail"]')
    run(pytester, plugins=("other",)).assert_outcomes(passed=1)
    mine = """
        import pytest

        class Mine:
            @pytest.fixture
            def smtpd(self, smtpd):
                smtpd.configure(banner="mine")
                return smtpd

        def pytest_configure(config):
            config.pluginmanager.register(Mine())
    """
    write(pytester, conftest=mine)
    run(pytester, plugins=("other",)).assert_outcomes(passed=1)


@pytest.mark.parametrize("others", ["None", "[]", "'other_fixtures'"])
def test_an_installed_one_may_name_others_or_none(pytester: pytest.Pytester, others: str) -> None:
    install(pytester.path, "other")
    other = f"pytest_plugins = {others}"
    write(pytester, conftest=MINE, other=other, other_fixtures="", test_a=TEST_MINE)
    run(pytester, plugins=("other",)).assert_outcomes(passed=1)


def test_a_module_of_a_distribution_that_is_not_its_plugin(pytester: pytest.Pytester) -> None:
    install(pytester.path, "rival", "rival.plugin")
    write(pytester, rival__plugin="", rival__fixtures=RIVAL, test_a=TEST)
    result = run(pytester, plugins=("rival.fixtures",))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert ERROR.format("rival.fixtures") in lines(result)


def test_the_workers_of_xdist_say_it(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    install(pytester.path, "rival")
    write(pytester, rival=RIVAL, test_a=TEST)
    result = run(pytester, "-n", "1", plugins=("xdist", "rival"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert ERROR.format("rival") in lines(result)
    assert "INTERNALERROR" not in lines(result)


@pytest.fixture
def installed_rival(pytester: pytest.Pytester) -> Path:
    """A distribution with a pytest plugin named `smtpd`, as smtpdfix has."""
    folder = pytester.mkdir("rival_site")
    (folder / "rival.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef smtpd():\n    return 'the rival'\n"
    )
    install(folder, "smtpd", "rival")
    return folder


def test_an_installed_plugin(pytester: pytest.Pytester, installed_rival: Path) -> None:
    """Named as smtpdfix names itself: what the error says must not turn ours off, too."""
    # An installation's own folder first: then its plugins are loaded first, and ours among them
    ours = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    write(pytester, test_a=TEST)
    args = ("-p", "no:randomly", "-W", "default", "test_a.py")
    result = run(pytester, *args, autoload=True, path=(*ours, installed_rival))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert ERROR.format("smtpd") in lines(result)
    result = run(pytester, "-p", "no:smtpd", *args, autoload=True, path=(*ours, installed_rival))
    result.assert_outcomes(passed=2)
