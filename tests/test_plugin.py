"""The fixtures: what a test gets, what is defaulted for it, and what is left when it ends."""

from __future__ import annotations

import re

import pytest

from inner_run import COUNT_STARTS, lines, needs_unix, run, write

FIXTURES = """
    import smtplib
    import threading

    import pytest
    import pytest_smtpd
    from client import Client, connects

    seen = []
    servers = []

    def send(server, sender="ann@example.com"):
        with smtplib.SMTP(*server.address, timeout=20) as client:
            client.sendmail(sender, ["bob@example.net"], "Subject: hi\\r\\n\\r\\nhello\\r\\n")

    @pytest.fixture(autouse=True)
    def nothing_stays(request):
        before = set(threading.enumerate())
        yield
        if "smtpd_session" not in request.fixturenames:
            assert set(threading.enumerate()) == before
        for server in servers:
            assert server.stopped.is_set() and not connects(server)
        servers.clear()

    def test_smtpd_is_a_started_server(smtpd):
        servers.append(smtpd)
        seen.append(smtpd.address)
        assert isinstance(smtpd, pytest_smtpd.Server) and not smtpd.stopped.is_set()
        assert smtpd.messages == [] and smtpd.strays == [] and smtpd.sessions == []
        send(smtpd)
        assert smtpd.messages.one().sender == "ann@example.com"

    def test_each_test_has_its_own(smtpd, request):
        servers.append(smtpd)
        assert smtpd.messages == [] and smtpd.sessions == []
        assert request.getfixturevalue("smtpd") is smtpd

    @pytest.mark.smtpd(reject_sender="ann@*")
    def test_markers_configure_smtpd_only(smtpd, smtpd_factory, smtpd_session):
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(smtpd)
        send(smtpd_factory())
        send(smtpd_session)
        assert len({smtpd, smtpd_session}) == 2

    def test_factory_makes_several(smtpd_factory):
        first, second = smtpd_factory(), smtpd_factory(reject_sender="ann@*", banner="second")
        servers.extend([first, second])
        assert first.address != second.address and second.config.banner == "second"
        send(first)
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(second)
        first.stop()
        assert [len(first.messages), len(second.messages)] == [1, 0]

    def test_factory_and_a_port_in_use(smtpd_factory):
        first = smtpd_factory()
        servers.append(first)
        with pytest.raises(OSError, match=f"127.0.0.1:{first.port}"):
            smtpd_factory(port=first.port)

    def test_a_server_that_the_test_has_stopped_and_started(smtpd):
        servers.append(smtpd)
        port = smtpd.port
        smtpd.stop()
        smtpd.start()
        assert smtpd.port == port
        send(smtpd)

    def test_open_connections_do_not_keep_it(smtpd):
        servers.append(smtpd)
        clients = [Client(smtpd) for _ in range(5)]
        clients[0].ehlo().begin()
        smtpd.stop(disconnect=False)
        assert not smtpd.sessions[0].wait_closed(0)
        globals()["left"] = clients

    def test_they_were_told():
        for client in left:
            assert client.rest().startswith(b"421 ")
            client.close()

    def test_session_server(smtpd_session):
        seen.append(smtpd_session.address)
        smtpd_session.clear()
        send(smtpd_session)
        smtpd_session.configure(banner="kept")

    def test_session_server_is_the_same_and_keeps_what_it_has(smtpd_session):
        assert smtpd_session.address == seen[-1]
        assert smtpd_session.config.banner == "kept"
        smtpd_session.messages.one()

    @pytest.mark.parametrize("n", range(3))
    def test_parametrized(smtpd, n):
        send(smtpd)
        assert len(smtpd.messages) == 1

    @pytest.fixture
    def mail_settings(smtpd):
        return {"EMAIL_HOST": smtpd.host, "EMAIL_PORT": smtpd.port}

    def test_through_another_fixture(mail_settings, smtpd):
        assert mail_settings == {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": smtpd.port}
"""


def test_each_fixture_gives_what_it_promises(pytester: pytest.Pytester) -> None:
    write(pytester, test_fixtures=FIXTURES)
    run(pytester).assert_outcomes(passed=14)


def test_collect_only_starts_nothing(pytester: pytest.Pytester) -> None:
    write(pytester, conftest=COUNT_STARTS, test_fixtures=FIXTURES)
    result = run(pytester, "--collect-only", "-q")
    assert result.ret == 0
    assert "servers started: 0" in result.outlines


def test_the_fixtures_are_explained(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--fixtures", "-q")
    for fixture in ("smtpd", "smtpd_session", "smtpd_factory", "smtpd_options"):
        assert any(line.startswith(fixture) for line in result.outlines)


def test_where_options_come_from_and_which_wins(pytester: pytest.Pytester) -> None:
    """Defaults, ini, command line, `smtpd_options` as visible, markers, configure."""
    pytester.makeini("""
        [pytest]
        smtpd_banner = ini
        smtpd_greeting_hostname = ini.example
        smtpd_max_recipients = 1
        smtpd_reject_sender =
            ini@*
        smtpd_reject_recipient =
            ini@*
    """)
    override = """
        import pytest

        @pytest.fixture(scope="session")
        def smtpd_options():
            return {{"max_recipients": {0}, "banner": "{1}"}}
    """
    write(
        pytester,
        conftest=override.format(3, "root"),
        test_root="""
            import pytest
            import pytest_smtpd

            def test_root(smtpd, smtpd_factory, smtpd_session):
                for server in (smtpd, smtpd_factory(), smtpd_session):
                    config = server.config
                    assert config.addresses == "syntax"
                    assert config.greeting_hostname == "ini.example"
                    assert config.reject_sender == {"cli@*": None, "more@*": None}
                    assert config.reject_recipient == {"ini@*": None}
                    assert (config.banner, config.max_recipients) == ("root", 3)

            @pytest.mark.smtpd(max_recipients=4, reject_sender=None)
            def test_marker(smtpd):
                assert smtpd.config.max_recipients == 4
                assert smtpd.config.reject_sender is None
                smtpd.configure(max_recipients=5)
                assert smtpd.config.max_recipients == 5
                smtpd.configure(max_recipients=None, banner=None)
                assert smtpd.config.max_recipients == 1000
                assert smtpd.config.banner.startswith("pytest-smtpd ")

            def test_factory(smtpd_factory):
                assert smtpd_factory(max_recipients=6).config.max_recipients == 6

            def test_without_pytest_nothing_of_it_counts():
                assert pytest_smtpd.Server().config == pytest_smtpd.Options()
        """,
        sub__conftest=override.format(7, "sub"),
        sub__test_sub="""
            import pytest

            def test_sub(smtpd, smtpd_factory, smtpd_session):
                assert (smtpd.config.banner, smtpd.config.max_recipients) == ("sub", 7)
                assert smtpd_factory().config == smtpd.config
                assert smtpd_session.config.banner == "root"

            class TestOverride:
                @pytest.fixture
                def smtpd_options(self, smtpd_options):
                    return {**smtpd_options, "banner": "class"}

                def test_class(self, smtpd, smtpd_session):
                    assert (smtpd.config.banner, smtpd.config.max_recipients) == ("class", 7)
                    assert smtpd_session.config.banner == "root"
        """,
        sub__test_module="""
            import pytest

            @pytest.fixture(scope="module")
            def smtpd_options():
                return {"banner": "module"}

            def test_module(smtpd, smtpd_factory, smtpd_session):
                assert (smtpd.config.banner, smtpd.config.max_recipients) == ("module", 1)
                assert smtpd_factory(max_size=9).config.banner == "module"
                assert smtpd_session.config.banner == "root"
        """,
    )
    flags = ("--smtpd-reject-sender=cli@*", "--smtpd-reject-sender=more@*",
             "--smtpd-banner", "cli")  # fmt: skip
    result = run(pytester, *flags)
    result.assert_outcomes(passed=7)
    # whichever test asks first
    result = run(pytester, *flags, "sub/test_module.py", "sub/test_sub.py", "test_root.py")
    result.assert_outcomes(passed=7)


def test_an_error_of_the_session_is_a_text_alone(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_a="""
            def test_one(smtpd_session): pass
            def test_two(smtpd_session): pass
        """,
    )
    for flag, text in (
        ("--smtpd-host=192.0.2.1", "cannot listen on 192.0.2.1:0: "),
        ("--smtpd-require-tls", "smtpd option 'require_tls' needs 'tls', which is not set: "),
    ):
        result = run(pytester, "-rN", flag)
        result.assert_outcomes(errors=2)
        said = lines(result)
        assert said.count(f"\n{text}") == 2
        assert "fixtures.py" not in said and "server.py" not in said


def test_a_port_in_use_is_said_at_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_a="""
            def test_port(smtpd, smtpd_factory):
                smtpd_factory(port=smtpd.port)
        """,
    )
    result = run(pytester, "-rN")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *Error: *cannot listen on 127.0.0.1:*: *; port=0 takes a free one",
            "test_a.py:3: *Error",
        ]
    )
    assert "listen.py" not in lines(result) and "server.py" not in lines(result)


def test_an_address_that_cannot_be_had_is_an_error_of_the_setup(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_address="""
            import pytest
            import pytest_smtpd

            @pytest.mark.smtpd(host="192.0.2.1")
            def test_host(smtpd_session, smtpd): pass

            class TestTaken:
                @pytest.fixture
                def smtpd_options(self):
                    server = pytest_smtpd.Server().start()
                    yield {"port": server.port}
                    server.stop()

                def test_port(self, smtpd): pass

            def test_afterwards(smtpd): pass
        """,
    )
    result = run(pytester)
    result.assert_outcomes(errors=2, passed=1)
    said = lines(result)
    assert "192.0.2.1" in said
    assert "\nsmtpd, which was not started\n" in said
    assert "\nsmtpd_session at smtp://" in said
    assert re.search(r"cannot listen on 127\.0\.0\.1:\d+", said)
    assert "Traceback" not in said and "another exception" not in said


@needs_unix
def test_a_unix_socket_by_marker(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_unix="""
            import pytest
            from client import Client

            path = "mail.sock"

            @pytest.mark.smtpd(unix_socket=path)
            def test_socket(smtpd):
                assert smtpd.address == path
                with Client(smtpd) as client:
                    client.ehlo().deliver()
                    client.quit()
                smtpd.messages.one()

            def test_gone():
                import os
                assert not os.path.exists(path)
        """,
    )
    run(pytester).assert_outcomes(passed=2)


def test_errors_name_the_other_server_that_got_the_mail(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_both="""
            import re

            import pytest
            from client import Client

            def send(server):
                with Client(server) as client:
                    client.ehlo().deliver()
                    client.quit()

            def test_before(smtpd_session):
                send(smtpd_session)

            def test_mail_of_another_test_is_not_meant(smtpd, smtpd_session):
                with pytest.raises(AssertionError) as error:
                    smtpd.messages.one()
                assert "other server" not in str(error.value)

            def test_session_got_it(smtpd, smtpd_session):
                send(smtpd_session)
                hint = re.escape(f"1 message at the other server, {smtpd_session.url}")
                with pytest.raises(AssertionError, match=hint):
                    smtpd.messages.one()
                with pytest.raises(AssertionError, match=hint):
                    smtpd.messages.wait(timeout=0.01)
                with pytest.raises(IndexError, match=hint):
                    smtpd.messages[0]

            @pytest.fixture
            def app(smtpd_session):
                return smtpd_session

            def test_through_an_app(smtpd, app):
                send(app)
                send(app)
                with pytest.raises(AssertionError, match="2 messages at the other server, smtp://"):
                    smtpd.messages.wait(timeout=0.01)

            def test_smtpd_got_it(smtpd, smtpd_session):
                smtpd_session.clear()
                send(smtpd)
                with pytest.raises(AssertionError, match=re.escape(
                        f"1 message at the other server, {smtpd.url}")):
                    smtpd_session.messages.one()

            def test_factory_got_it(smtpd, smtpd_factory):
                other = smtpd_factory()
                send(other)
                with pytest.raises(AssertionError, match=re.escape(
                        f"1 message at the other server, {other.url}")):
                    smtpd.messages.wait(timeout=0.01)

            def test_nothing_is_held_back_from_earlier_tests(smtpd_session):
                smtpd_session.clear()
                with pytest.raises(AssertionError) as error:
                    smtpd_session.messages.one()
                assert "other server" not in str(error.value)
        """,
    )
    run(pytester).assert_outcomes(passed=7)


def test_every_server_is_stopped_whatever_the_stop_of_another_raises(
    pytester: pytest.Pytester,
) -> None:
    write(
        pytester,
        test_stop="""
            import pytest
            from client import Client, connects

            made = []

            def refuse(address):
                assert address == "expected"

            def test_two(smtpd_factory):
                made.extend([smtpd_factory(), smtpd_factory(validate_sender=refuse),
                             smtpd_factory()])
                with Client(made[1]) as client:
                    assert client.ehlo().say("MAIL FROM:<ann@example.com>").startswith("451 ")

            def test_stopped():
                assert [connects(server) for server in made] == [False, False, False]
        """,
    )
    result = run(pytester)
    result.assert_outcomes(passed=2, errors=1)
    assert "test_stop.py:8: AssertionError" in lines(result)
