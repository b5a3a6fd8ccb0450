"""Ini and command line: every option that can be written as text, and usage errors at the start."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from inner_run import COUNT_STARTS, lines, needs_unix, run, write
from pytest_smtpd.options import OPTIONS

# An option's text in ini, as flags, and the value that both give
TEXTS: dict[str, tuple[list[str], object]] = {
    "host": (["localhost"], "localhost"),
    "greeting_hostname": (["mail.example.org"], "mail.example.org"),
    "banner": (["not = a pattern # nor a comment"], "not = a pattern # nor a comment"),
    "reject_host": (["10.0.0.0/8", "192.0.2.*=421"], {"10.0.0.0/8": None, "192.0.2.*": "421"}),
    "reject_sender": (
        ["denied@*", "*@blocked.example=450 4.2.1 Mailbox busy", "a=b@example.com"],
        {
            "denied@*": None,
            "*@blocked.example": "450 4.2.1 Mailbox busy",
            "a=b@example.com": None,
        },
    ),
    "reject_recipient": (
        ["full@*=452", "a=b@*=550 5.1.1 No"],
        {"full@*": "452", "a=b@*": "550 5.1.1 No"},
    ),
    "trace_headers": (["true"], True),
    "addresses": (["strict"], "strict"),
    "protocol": (["lmtp"], "lmtp"),
    "extensions": (["size, dsn", "STARTTLS AUTH"], ("SIZE", "DSN", "STARTTLS", "AUTH")),
    "without_extensions": (["DSN"], ("DSN",)),
    "max_size": (["10_000"], 10000),
    "max_recipients": (["none"], None),
    "timeout": (["2.5"], 2.5),
    "tls": (["starttls"], "starttls"),
    "require_tls": (["yes"], True),
    "certificate": (["expired"], "expired"),
    "users": (["ann:secret", "bob:with:colon"], {"ann": "secret", "bob": "with:colon"}),
    "auth_mechanisms": (["LOGIN", "plain"], ("LOGIN", "PLAIN")),
    "require_auth": (["on"], True),
    "auth_requires_tls": (["1"], True),
    "seed": (["7"], "7"),
    "strict": (["problems"], "problems"),
    "ignore": (["no-quit missing-date", "bad-date"], ("no-quit", "missing-date", "bad-date")),
}
# `port` and `unix_socket` have tests of their own: no server has both of them

CHECK = """
    import pytest

    WANTED = {0!r}

    def test_all(smtpd, smtpd_factory, smtpd_session):
        for server in (smtpd, smtpd_factory(), smtpd_session):
            config = server.config
            assert {{name: getattr(config, name) for name in WANTED}} == WANTED
"""


def test_the_table_has_every_option_that_can_be_written() -> None:
    written = {name for name, option in OPTIONS.items() if option.form is not None}
    assert {*TEXTS, "port", "unix_socket"} == written


def _write_check(pytester: pytest.Pytester) -> None:
    wanted = {name: value for name, (_, value) in TEXTS.items()}
    write(pytester, test_all=CHECK.format(wanted))


def test_each_option_in_ini(pytester: pytest.Pytester) -> None:
    pytest.importorskip("trustme")
    settings = "\n".join(
        f"smtpd_{name} =" + "".join(f"\n    {line}" for line in given)
        if OPTIONS[name].several
        else f"smtpd_{name} = {given[0]}"
        for name, (given, _) in TEXTS.items()
    )
    (pytester.path / "pytest.ini").write_text(f"[pytest]\n{settings}\n", encoding="utf-8")
    _write_check(pytester)
    result = run(pytester, "--strict-config")
    result.assert_outcomes(passed=1)
    assert "secret" not in lines(result)


def test_each_option_on_the_command_line(pytester: pytest.Pytester) -> None:
    pytest.importorskip("trustme")
    pytester.makeini("[pytest]\nsmtpd_reject_sender = replaced@*\nsmtpd_timeout = 9\n")
    flags = [
        f"--smtpd-{name.replace('_', '-')}={text}"
        for name, (given, _) in TEXTS.items()
        for text in given
    ]
    _write_check(pytester)
    run(pytester, *flags).assert_outcomes(passed=1)


def test_other_ways_to_write_them(pytester: pytest.Pytester) -> None:
    """Underscores, flags without a value, lists that are empty, `any`, a pair of files."""
    pytester.makeini("[pytest]\nsmtpd_without_extensions =\n")
    write(
        pytester,
        test_a="""
            def test_a(smtpd):
                config = smtpd.config
                assert config.greeting_hostname == "x.example"
                assert config.trace_headers is True and config.strict is True
                assert config.extensions == () and config.without_extensions == ()
                assert config.users == "any" and config.max_size is None
                assert smtpd.config.host == "" and smtpd.host == "127.0.0.1"

            def test_pair(pytestconfig):
                from pytest_smtpd.options.values import read
                assert read("certificate", "mail.pem, mail.key") == ("mail.pem", "mail.key")
        """,
    )
    result = run(
        pytester, "--smtpd-greeting_hostname=x.example", "--smtpd-extensions=", "--smtpd-host=",
        "--smtpd-users=any", "--smtpd-max-size=None", "--smtpd-trace_headers", "--smtpd-strict",
    )  # fmt: skip
    result.assert_outcomes(passed=2)
    said = lines(run(pytester, "--help"))
    for name, option in OPTIONS.items():
        dashed = f"--smtpd-{name.replace('_', '-')}"
        assert (dashed in said) == (option.form is not None)
        assert (f"smtpd_{name} (" in said) == (option.form is not None)
    for form in ("tls=none|starttls|implicit", "strict=[yes|no|violations|problems]",
                 "timeout=SECONDS", "reject-sender=PATTERN[=REPLY]", "users=NAME:PASSWORD|any",
                 "max-size=OCTETS", "unix-socket=PATH", "ignore=CODE"):  # fmt: skip
        assert f"--smtpd-{form}" in said
    assert "--smtpd-scope" in said
    assert "smtpd_scope (" in said


def test_a_pyproject_is_read_too(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml("""
        [tool.pytest.ini_options]
        smtpd_reject_sender = ["denied@*=450", "x@*"]
        smtpd_strict = "violations"
        smtpd_scope = "session"
    """)
    write(
        pytester,
        test_a="""
            def test_a(smtpd, smtpd_session):
                assert smtpd.config.reject_sender == {"denied@*": "450", "x@*": None}
                assert smtpd.config.strict == "violations"
                assert smtpd is smtpd_session
        """,
    )
    run(pytester).assert_outcomes(passed=1)


native_toml = pytest.mark.skipif(pytest.version_tuple < (9,), reason="from pytest 9 on")


@native_toml
def test_toml_has_numbers_and_booleans(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml("""
        [tool.pytest]
        smtpd_trace_headers = true
        smtpd_strict = false
        smtpd_max_size = 10_000
        smtpd_timeout = 2.5
        smtpd_seed = "7"
        smtpd_max_recipients = "none"
        smtpd_reject_sender = ["denied@*=450", "x@*"]
        smtpd_env = ["MAIL={url}"]
        smtpd_guard = true
    """)
    write(
        pytester,
        test_a="""
            import os

            def test_a(smtpd):
                config = smtpd.config
                assert config.trace_headers is True and config.strict is False
                assert (config.max_size, config.timeout) == (10_000, 2.5)
                assert (config.seed, config.max_recipients) == ("7", None)
                assert config.reject_sender == {"denied@*": "450", "x@*": None}
                assert os.environ["MAIL"] == smtpd.url
        """,
    )
    run(pytester).assert_outcomes(passed=1)
    run(pytester, "-o", "smtpd_timeout=2.50").assert_outcomes(passed=1)


@native_toml
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('smtpd_users = "ann:secret"', "ini smtpd_users: a list of strings is wanted"),
        ('smtpd_env = "MAIL={url}"', "ini smtpd_env: a list of strings is wanted"),
        ('smtpd_banner = ["a"]', "ini smtpd_banner: a string is wanted"),
        ("smtpd_port = true", "ini smtpd_port: smtpd option 'port': 'True' is not allowed: "),
        ("smtpd_scope = 1", "ini smtpd_scope: '1' is not allowed: "),
        ('smtpd_guard = "on"', "ini smtpd_guard: "),
    ],
)
def test_a_wrong_kind_in_toml(pytester: pytest.Pytester, line: str, text: str) -> None:
    pytester.makepyprojecttoml(f"[tool.pytest]\n{line}\n")
    write(pytester, test_a="def test_a(smtpd): pass")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = lines(result)
    assert text in said
    assert "Traceback" not in said and "INTERNALERROR" not in said and "secret" not in said


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("smtpd_reject_sender = [1, 2]", "ini smtpd_reject_sender: a list of strings is wanted"),
        ("smtpd_env = [1]", "ini smtpd_env: a list of strings is wanted"),
    ],
)
def test_a_list_of_what_is_no_text_in_pyproject(
    pytester: pytest.Pytester, line: str, text: str
) -> None:
    pytester.makepyprojecttoml(f"[tool.pytest.ini_options]\n{line}\n")
    write(pytester, test_a="def test_a(smtpd): pass")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert text in lines(result)
    assert "INTERNALERROR" not in lines(result)


def test_a_fixed_port(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_port="""
            import socket

            import pytest

            def test_port(smtpd, pytestconfig):
                assert smtpd.port == int(pytestconfig.getoption("smtpd_port"))

            def test_again(smtpd, pytestconfig):
                assert smtpd.port == int(pytestconfig.getoption("smtpd_port"))
        """,
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    run(pytester, f"--smtpd-port={port}").assert_outcomes(passed=2)
    pytest.importorskip("xdist")
    result = run(pytester, f"--smtpd-port={port}", "-n", "2", plugins=("xdist",))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"smtpd option 'port': {port} cannot serve several xdist workers" in lines(result)


def test_a_fixed_port_by_marker_is_an_error_in_a_worker(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    write(
        pytester,
        conftest=COUNT_STARTS,
        test_port="""
            import pytest

            @pytest.mark.smtpd(port=45678)
            def test_marker(smtpd): pass

            def test_factory(smtpd_factory):
                smtpd_factory(port=45678)
        """,
    )
    result = run(pytester, "-n", "1", plugins=("xdist",))
    result.assert_outcomes(errors=1, failed=1)
    assert "smtpd option 'port': 45678 cannot serve several xdist workers" in lines(result)


@needs_unix
def test_a_unix_socket(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of the ini file, or, by the command line, where pytest is started."""
    write(pytester, test_a="def test_a(smtpd): print('at', smtpd.url)")
    root = ("-s", f"--rootdir={pytester.path}", str(pytester.path))
    # pytest's own directories may be too long for a socket's name
    with tempfile.TemporaryDirectory() as directory:
        short = Path(directory).resolve()
        (short / "short.ini").write_text("[pytest]\nsmtpd_unix_socket = ini.sock\n")
        result = run(pytester, *root, "-c", str(short / "short.ini"))
        assert f"at smtp+unix://{short / 'ini.sock'}" in lines(result)
        monkeypatch.chdir(short)
        result = run(pytester, *root, "--smtpd-unix-socket=cli.sock")
        assert "at smtp+unix://cli.sock" in lines(result)
        deep = short / ("d" * 60) / ("e" * 60)
        deep.mkdir(parents=True)
        (deep / "deep.ini").write_text("[pytest]\nsmtpd_unix_socket = ../../s.sock\n")
        result = run(pytester, *root, "-c", str(deep / "deep.ini"))
        assert "at smtp+unix://s.sock" in lines(result)


def test_files_are_looked_for_where_their_names_were_written(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nsmtpd_certificate = tls/mail.pem, mail.key\n")
    write(
        pytester,
        sub__test_a="""
            import pytest

            @pytest.fixture(autouse=True)
            def elsewhere(tmp_path, monkeypatch):
                monkeypatch.chdir(tmp_path)

            def test_a(smtpd):
                print("\\nat", *smtpd.config.certificate, sep="|")
        """,
    )
    here, sub = pytester.path, pytester.path / "sub"
    result = run(pytester, "-s")
    assert f"at|{here / 'tls' / 'mail.pem'}|{here / 'mail.key'}" in lines(result)
    monkeypatch.chdir(sub)
    result = run(pytester, "-s")
    assert f"at|{here / 'tls' / 'mail.pem'}|{here / 'mail.key'}" in lines(result)
    result = run(pytester, "-s", f"--smtpd-certificate=own.pem,{here / 'own.key'}")
    assert f"at|{sub / 'own.pem'}|{here / 'own.key'}" in lines(result)


@pytest.mark.parametrize(
    ("ini", "flag", "text"),
    [
        ("smtpd_port = smtp", "", "ini smtpd_port: smtpd option 'port': 'smtp' is not allowed: "
         "a whole number from 0 to 65535 is wanted"),
        ("smtpd_addresses = strickt", "", "ini smtpd_addresses: smtpd option 'addresses': 'strickt'"
         " is not allowed: one of 'syntax', 'strict', 'any' is wanted (did you mean 'strict'?)"),
        ("smtpd_users =\n    secret", "", "ini smtpd_users: smtpd option 'users': *** is not "
         "allowed: NAME:PASSWORD, or any, is wanted"),
        ("smtpd_scope = module", "", "ini smtpd_scope: 'module' is not allowed: 'function' or "
         "'session' is wanted"),
        ("smtpd_guard = maybe", "", "ini smtpd_guard: invalid truth value 'maybe'; true or false "
         "is wanted"),
        ("", "--smtpd-timeout=soon", "--smtpd-timeout: smtpd option 'timeout': 'soon' is not "
         "allowed: a number of seconds above 0 is wanted"),
        ("", "--smtpd-reject-sender=a@*=250 ok", "--smtpd-reject-sender: smtpd option "
         "'reject_sender': "),
        ("", "--smtpd-strict=all", "--smtpd-strict: smtpd option 'strict': 'all' is not allowed: "
         "one of False, True, 'violations', 'problems' is wanted"),
        ("", "--smtpd-scope=module", "argument --smtpd-scope: invalid choice: 'module'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_a_usage_error(
    pytester: pytest.Pytester, ini: str, flag: str, text: str
) -> None:
    pytester.makeini(f"[pytest]\n{ini}\n")
    write(pytester, conftest=COUNT_STARTS, test_a="def test_a(smtpd): pass")
    result = run(pytester, *filter(None, [flag]))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert text in lines(result)
    assert "Traceback" not in lines(result)
    assert "servers started" not in lines(result)
    if "users" in ini:
        assert "'secret'" not in lines(result)


@pytest.mark.parametrize(
    ("ini", "arguments", "said"),
    [
        (
            "smtpd_reject_sendr = x",
            (),
            "ini smtpd_reject_sendr: unknown smtpd option 'reject_sendr' "
            "(did you mean 'reject_sender'?)",
        ),
        (
            "",
            ("--smtpd-reject-sendr=x",),
            "--smtpd-reject-sendr: unknown smtpd option 'reject_sendr' "
            "(did you mean 'reject_sender'?)",
        ),
        ("smtpd_faults = x", (), "ini smtpd_faults: smtpd option 'faults' has no text form"),
        ("", ("--smtpd-deliver=x",), "--smtpd-deliver: smtpd option 'deliver' has no text form"),
        ("smtpd_qqqq = x", (), "ini smtpd_qqqq: unknown smtpd option 'qqqq'; pytest --markers"),
        (
            "smtpd_save = x",
            (),
            "ini smtpd_save is no key of the ini file: it is a flag, --smtpd-save=DIR",
        ),
        ("", ("--smtpd-env=x",), "--smtpd-env is no flag: set it in the ini file, as smtpd_env"),
    ],
)
def test_a_wrong_name_is_a_usage_error(
    pytester: pytest.Pytester, ini: str, arguments: tuple[str, ...], said: str
) -> None:
    pytester.makeini(f"[pytest]\n{ini}\n")
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in f"{result.stdout}{result.stderr}"
