"""Ini `smtpd_env`: reading its lines, and the environment while a server is live."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from pytest_smtpd import Server
from pytest_smtpd.plugin.environment import exported, parse

LINES = parse(
    ["X_HOST={host}", "X_PORT={port}", "X_URL={url}", "X_CA={ca_file}", "X_BOTH={host}:{port}"]
)


def live() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("X_")}


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """No test finds or leaves one of these variables."""
    assert live() == {}
    yield
    for name in live():
        del os.environ[name]


def test_the_variables_are_set_while_the_server_is_live() -> None:
    with Server() as server:
        with exported(LINES, server):
            assert live() == {
                "X_HOST": "127.0.0.1",
                "X_PORT": str(server.port),
                "X_URL": server.url,
                "X_BOTH": f"127.0.0.1:{server.port}",
            }
        assert live() == {}


def test_with_tls_there_is_a_ca_file() -> None:
    pytest.importorskip("trustme")
    with Server(tls="starttls") as server, exported(LINES, server):
        assert live()["X_CA"] == str(server.ca_file)


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({"ann": "s{e}cret"}, {"X_USER": "ann", "X_PASS": "s{e}cret"}),
        ({"ann": "a", "bob": "b"}, {}),
        ("any", {}),
        (None, {}),
    ],
)
def test_the_only_user_has_a_name_and_a_password(users: object, expected: object) -> None:
    lines = parse(["X_USER={username}", "X_PASS={password}"])
    with Server(users=users) as server, exported(lines, server):
        assert live() == expected


def test_text_without_placeholders_and_doubled_braces_stay() -> None:
    lines = parse(["X_BACKEND=smtp", 'X_JSON={{"port": {port}}}', "X_EMPTY=", " X_EQ = a=b "])
    with Server() as server, exported(lines, server):
        assert live() == {
            "X_BACKEND": "smtp",
            "X_JSON": f'{{"port": {server.port}}}',
            "X_EMPTY": "",
            "X_EQ": "a=b",
        }


def test_what_was_there_before_is_there_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_HOST", "before")
    monkeypatch.setenv("X_PORT", "before")
    with Server() as server:
        with exported(LINES, server):
            os.environ["X_HOST"] = "changed by the test"
            os.environ["X_URL"] = "changed by the test"
            del os.environ["X_PORT"]
            del os.environ["X_BOTH"]
        assert live() == {"X_HOST": "before", "X_PORT": "before"}


def test_a_skipped_line_leaves_its_variable_alone() -> None:
    os.environ["X_CA"] = "before"
    with Server() as server, exported(LINES, server):
        assert os.environ["X_CA"] == "before"
        os.environ["X_CA"] = "the test's own business"
    assert os.environ["X_CA"] == "the test's own business"


def test_an_exception_restores_too() -> None:
    with Server() as server:
        with pytest.raises(ZeroDivisionError), exported(LINES, server):
            raise ZeroDivisionError
        assert live() == {}


def test_the_server_that_came_last_is_named() -> None:
    with Server() as outer, Server() as inner, exported(LINES, outer):
        with exported(LINES, inner):
            assert os.environ["X_PORT"] == str(inner.port)
        assert os.environ["X_PORT"] == str(outer.port)


def test_servers_may_end_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_HOST", "before")
    with Server() as first, Server() as second:
        one = exported(parse(["X_HOST=1", "X_A=1"]), first)
        two = exported(parse(["X_HOST=2", "X_B=2"]), second)
        three = exported(parse(["X_HOST=3", "X_A=3"]), second)
        one.__enter__(), two.__enter__(), three.__enter__()
        one.__exit__(None, None, None)
        assert live() == {"X_HOST": "3", "X_A": "3", "X_B": "2"}
        three.__exit__(None, None, None)
        assert live() == {"X_HOST": "2", "X_B": "2"}
        two.__exit__(None, None, None)
        assert live() == {"X_HOST": "before"}


@pytest.mark.skipif(not hasattr(__import__("socket"), "AF_UNIX"), reason="no unix sockets here")
def test_a_unix_socket_has_no_port(tmp_path: object) -> None:
    with Server(unix_socket=f"{tmp_path}/s") as server, exported(LINES, server):
        assert live() == {"X_HOST": f"{tmp_path}/s", "X_URL": f"smtp+unix://{tmp_path}/s"}


def test_empty_lines_and_comments_are_nothing() -> None:
    assert parse(["", "   ", "# X={nope}"]) == ()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("EMAIL_HOST", "'EMAIL_HOST' is not allowed: a line such as EMAIL_HOST={host} is wanted"),
        ("={host}", "'={host}' is not allowed: a line such as EMAIL_HOST={host} is wanted"),
        ("EMAIL HOST={host}", "a line such as EMAIL_HOST={host} is wanted"),
        ("X={hots}", "'X={hots}': unknown placeholder {hots} (did you mean 'host'?); allowed"),
        ("X={}", "unknown placeholder {}"),
        ("X={0}", "unknown placeholder {0}"),
        ("X={port:05}", "unknown placeholder {port:05}"),
        ("X={host!r}", "unknown placeholder {host!r}"),
        ("X={host.upper}", "unknown placeholder {host.upper}"),
        ("X={host", "a brace that is none of a placeholder is written twice"),
        ("X=a}", "a brace that is none of a placeholder is written twice"),
    ],
)
def test_a_line_that_is_wrong_is_an_error(line: str, error: str) -> None:
    with pytest.raises(ValueError, match=r"^smtpd_env: ") as raised:
        parse(["GOOD={host}", line])
    assert error in str(raised.value)


# ---- in a test run


@pytest.fixture
def ini(pytester: pytest.Pytester) -> Callable[[str], None]:
    def ini(text: str) -> None:
        pytester.makeini(
            f"[pytest]\n{text}\nsmtpd_env =\n    # where mail goes\n"
            "    X_HOST={host}\n    X_PORT={port}\n    X_CA={ca_file}\n"
            "asyncio_default_fixture_loop_scope = function\n"
        )

    return ini


TESTS = """
    import os
    import pytest

    def live():
        return {name: value for name, value in os.environ.items() if name.startswith("X_")}

    def test_before():
        assert live() == {}

    def test_it(smtpd):
        assert live() == {"X_HOST": "127.0.0.1", "X_PORT": str(smtpd.port)}
        os.environ["X_HOST"] = "changed"

    @pytest.mark.smtpd(tls="starttls")
    def test_tls(smtpd):
        assert live()["X_CA"] == str(smtpd.ca_file)
"""


def test_tests_find_their_server_in_the_environment(
    pytester: pytest.Pytester, ini: Callable[[str], None]
) -> None:
    pytest.importorskip("trustme")
    ini("")
    pytester.makepyfile(TESTS + "\n    def test_after():\n        assert live() == {}\n")
    pytester.runpytest_subprocess("-p", "no:randomly", "-W", "error").assert_outcomes(passed=4)


def test_with_one_server_for_the_run_it_is_named_from_then_on(
    pytester: pytest.Pytester, ini: Callable[[str], None]
) -> None:
    pytest.importorskip("trustme")
    ini("smtpd_scope = session")
    pytester.makepyfile(
        TESTS
        + """
    def test_after(smtpd_session):
        assert live() == {"X_HOST": "127.0.0.1", "X_PORT": str(smtpd_session.port)}
    """
    )
    pytester.runpytest_subprocess("-p", "no:randomly", "-W", "error").assert_outcomes(passed=4)


@pytest.mark.parametrize("line", ["X_HOST={hots}", "X_HOST"])
def test_a_wrong_line_is_a_usage_error(pytester: pytest.Pytester, line: str) -> None:
    pytester.makeini(
        f"[pytest]\nsmtpd_env = {line}\nasyncio_default_fixture_loop_scope = function\n"
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: ini smtpd_env: '{line}'*"])
