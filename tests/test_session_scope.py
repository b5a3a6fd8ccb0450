"""`smtpd_scope = session`: one server for the whole run, and still each test alone with it."""

from __future__ import annotations

import pytest

from inner_run import COUNT_STARTS, lines, needs_unix, run, write

SEND = """
    import smtplib
    import threading

    import pytest
    import pytest_smtpd
    from client import Client, connects
    from pytest_smtpd.faults import Answer, Delay, Drop, Hold, Stall

    seen = []

    def send(server, sender="ann@example.com"):
        with smtplib.SMTP(*server.address, timeout=20) as client:
            client.sendmail(sender, ["bob@example.net"], "Subject: hi\\r\\n\\r\\nhello\\r\\n")

"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nsmtpd_scope = session\nsmtpd_max_recipients = 5\n")
    return pytester


def test_each_test_is_alone_with_the_same_server(project: pytest.Pytester) -> None:
    write(
        project,
        conftest=COUNT_STARTS,
        test_alone=SEND
        + """
    @pytest.fixture(autouse=True)
    def nothing_left(request):
        yield
        if seen:
            server = seen[0]
            assert server.config == pytest_smtpd.Options(max_recipients=5)
            assert server.messages == [] and server.sessions == [] and list(server.faults) == []

    @pytest.fixture(scope="session")
    def app(smtpd_session):
        return smtpd_session.address

    @pytest.mark.smtpd(reject_sender="denied@*", faults=[Answer(452, on="rcpt", times=1)])
    def test_marker(smtpd, smtpd_session, app):
        seen.append(smtpd)
        assert smtpd is smtpd_session and smtpd.address == app
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(smtpd, "denied@example.com")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(smtpd)
        send(smtpd)
        assert len(smtpd.messages) == 1 and len(smtpd.sessions) == 3

    def test_no_marker(smtpd, app):
        assert smtpd is seen[0] and smtpd.address == app
        assert smtpd.messages == [] and smtpd.strays == [] and smtpd.sessions == []
        send(smtpd, "denied@example.com")
        smtpd.messages.one(sender="denied@*")

    def test_configured_in_the_test(smtpd):
        smtpd.configure(reject_sender="*", max_recipients=None)
        smtpd.faults.append(Drop(on="connect"))
        with pytest.raises(smtplib.SMTPServerDisconnected):
            send(smtpd)

    def test_is_undone(smtpd):
        send(smtpd)

    class TestModuleOptions:
        @pytest.fixture
        def smtpd_options(self):
            return {"banner": "visible here"}

        def test_override(self, smtpd):
            assert smtpd.config.banner == "visible here"
            assert smtpd.config.max_recipients == 5

    def test_stopped_by_the_test(smtpd, app):
        smtpd.stop()
        assert not connects(smtpd)

    def test_runs_again_at_the_same_place(smtpd, app):
        assert smtpd.address == app
        send(smtpd)

    def test_moved_by_the_test(smtpd, app):
        smtpd.stop()
        smtpd.configure(port=0)
        while True:
            smtpd.start()
            if smtpd.address != app:
                break
            smtpd.stop()

    def test_is_back(smtpd, app):
        assert smtpd.address == app
        send(smtpd)

    left = []

    def test_stopped_without_disconnecting(smtpd):
        left.append(Client(smtpd))
        left[0].ehlo()
        smtpd.stop(disconnect=False)

    def test_ended_by_the_end_of_the_test(smtpd, app):
        assert left[0].rest().startswith(b"421 ")
        left[0].close()
        assert smtpd.address == app
        send(smtpd)

    def test_factory_makes_other_servers(smtpd_factory, smtpd):
        other = smtpd_factory(banner="other")
        assert other.address != smtpd.address
        send(other)
        with pytest.raises(AssertionError, match="1 message at the other server"):
            smtpd.messages.one()

    @pytest.mark.parametrize("n", range(20))
    def test_many(smtpd, n):
        send(smtpd, f"user{n}@example.com")
        assert [message.sender for message in smtpd.messages] == [f"user{n}@example.com"]
""",
    )
    result = run(project)
    result.assert_outcomes(passed=32)
    # one for the run, one of the factory, and what the tests have restarted, moved and brought back
    assert any(line.startswith("servers started: ") for line in result.outlines)
    run(project, "-k", "many").assert_outcomes(passed=20, deselected=12)
    assert "servers started: 1" in run(project, "-k", "marker or many").outlines


def test_by_the_command_line(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsmtpd_scope = function\n")
    write(
        pytester,
        test_a="""
            def test_a(smtpd, smtpd_session, pytestconfig):
                scope = pytestconfig.getoption("smtpd_scope") or "function"
                assert (smtpd is smtpd_session) == (scope == "session")
        """,
    )
    for args in ((), ("--smtpd-scope=session",), ("--smtpd-scope=function",)):
        run(pytester, *args).assert_outcomes(passed=1)


def test_what_keeps_the_address_cannot_be_in_a_marker(project: pytest.Pytester) -> None:
    write(
        project,
        conftest=COUNT_STARTS,
        test_address="""
            import pytest

            @pytest.mark.smtpd(host="::1")
            def test_host(smtpd): pass

            @pytest.mark.smtpd(port=45678)
            def test_port(smtpd): pass

            @pytest.mark.smtpd(unix_socket="x.sock")
            def test_unix(smtpd): pass

            @pytest.mark.smtpd(host="127.0.0.1")
            def test_even_the_same(smtpd): pass

            @pytest.mark.smtpd(require_tls=True)
            def test_pair(smtpd): pass

            @pytest.mark.smtpd(reject_sendr="x")
            def test_name(smtpd): pass
        """,
    )
    result = run(project)
    result.assert_outcomes(errors=6)
    said = lines(result)
    for option in ("'host': '::1'", "'port': 45678", "'unix_socket': 'x.sock'",
                   "'host': '127.0.0.1'"):  # fmt: skip
        assert f"smtpd option {option} is not allowed with smtpd_scope = session" in said
    assert "smtpd option 'require_tls' needs 'tls'" in said
    assert "servers started: 0" in said


def test_tls_certificate_and_protocol_restart_it_in_place(project: pytest.Pytester) -> None:
    pytest.importorskip("trustme")
    write(
        project,
        test_restart=SEND
        + """
    import ssl

    def test_plain(smtpd):
        seen.append(smtpd.address)
        send(smtpd)

    @pytest.mark.smtpd(tls="starttls", require_tls=True)
    def test_starttls(smtpd):
        assert [smtpd.address] == seen
        with smtplib.SMTP(*smtpd.address, timeout=20) as client:
            client.starttls(context=smtpd.client_ssl_context())
            client.sendmail("ann@example.com", ["bob@example.net"], "Subject: tls\\r\\n\\r\\n")
        assert smtpd.messages.one().session.tls is not None

    @pytest.mark.smtpd(tls="starttls", certificate="expired")
    def test_certificate(smtpd):
        assert [smtpd.address] == seen
        with smtplib.SMTP(*smtpd.address, timeout=20) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                client.starttls(context=smtpd.client_ssl_context())

    @pytest.mark.smtpd(tls="implicit")
    def test_implicit(smtpd):
        assert [smtpd.address] == seen and smtpd.url.startswith("smtps://")
        context = smtpd.client_ssl_context()
        with smtplib.SMTP_SSL(*smtpd.address, timeout=20, context=context) as client:
            client.noop()

    @pytest.mark.smtpd(protocol="lmtp")
    def test_lmtp(smtpd):
        assert [smtpd.address] == seen
        with Client(smtpd) as client:
            assert client.say("LHLO x").startswith("250")
            client.quit()

    def test_plain_again(smtpd):
        assert [smtpd.address] == seen and smtpd.config.tls is None
        assert smtpd.sessions == []
        send(smtpd)

    @pytest.mark.smtpd(tls="starttls", certificate=("no.pem", "no.key"))
    def test_files_that_are_not_there(smtpd): pass

    def test_is_still_there(smtpd):
        assert [smtpd.address] == seen
        send(smtpd)
""",
    )
    result = run(project)
    result.assert_outcomes(passed=7, errors=1)
    assert "no.pem" in lines(result)


def test_a_message_belongs_to_the_test_of_its_mail_command(project: pytest.Pytester) -> None:
    write(
        project,
        test_strays=SEND
        + """
    pool = []

    def test_a(smtpd):
        client = Client(smtpd)
        pool.append(client.ehlo())
        assert client.deliver().startswith("250")
        assert client.say("MAIL FROM:<begun@in-a.example>").startswith("250")
        assert client.say("RCPT TO:<bob@example.net>").startswith("250")
        smtpd.messages.one()
        assert [len(session.messages) for session in smtpd.sessions] == [1]

    @pytest.mark.smtpd(reject_sender="denied@*")
    def test_b(smtpd):
        client, = pool
        assert smtpd.messages == [] and smtpd.sessions == []
        assert client.say("DATA").startswith("354")
        assert client.say("Subject: late\\r\\n\\r\\nhello\\r\\n.").startswith("250")
        assert smtpd.messages == []
        assert [message.sender for message in smtpd.strays] == ["begun@in-a.example"]
        with pytest.raises(AssertionError, match="1 message in strays"):
            smtpd.messages.wait(timeout=0.01)
        # the pooled connection is a fresh session of this test, under its options
        session, = smtpd.sessions
        assert session.helo == "client.example" and session.ended_by is None
        assert [line for _, who, line in session.exchanges if who == "C"][0] == "DATA"
        assert client.say("MAIL FROM:<denied@example.com>").startswith("553")
        assert client.deliver(sender="b@example.com").startswith("250")
        assert smtpd.messages.one().sender == "b@example.com"
        assert smtpd.messages.one().session is session

    def test_c(smtpd):
        client, = pool
        assert smtpd.messages == [] and smtpd.strays == [] and smtpd.sessions == []
        with Client(smtpd) as other:
            other.ehlo().deliver()
            other.quit()
        client.begin("c@example.com")
        client.send("Subject: in two tests\\r\\n\\r\\n")
        assert len(smtpd.sessions) == 2

    def test_d(smtpd):
        client, = pool
        assert client.say("hello\\r\\n.").startswith("250")
        assert len(smtpd.strays) == 1 and smtpd.messages == []
        assert client.say("RSET").startswith("250")
        client.quit()
        session, = smtpd.sessions
        assert session.wait_closed() and session.ended_by == "quit"

    def test_smtplib_pool(smtpd):
        pool[:] = [smtplib.SMTP(*smtpd.address, timeout=20)]
        pool[0].sendmail("a@example.com", ["b@example.net"], "Subject: 1\\r\\n\\r\\n")
        smtpd.messages.one()

    def test_smtplib_pool_goes_on(smtpd):
        pool[0].sendmail("c@example.com", ["b@example.net"], "Subject: 2\\r\\n\\r\\n")
        assert smtpd.messages.one().sender == "c@example.com"
        assert len(smtpd.sessions) == 1
        pool[0].quit()
""",
    )
    run(project).assert_outcomes(passed=6)


def test_a_quit_that_comes_late_is_no_session_of_the_next_test(project: pytest.Pytester) -> None:
    write(
        project,
        test_late=SEND
        + """
    kept = []

    def test_waits_for_its_mail_only(smtpd):
        for _ in range(3):
            client = Client(smtpd)
            client.ehlo().deliver()
            kept.append((client, smtpd.messages[-1].session))
        kept[0][0].begin()

    @pytest.mark.parametrize("quit", ["QUIT", "quit"])
    def test_counts_its_sessions(smtpd, quit):
        client, session = kept.pop()
        client.say(quit)
        client.close()
        assert session.wait_closed() and session.ended_by == "quit"
        send(smtpd)
        assert [len(session.messages) for session in smtpd.sessions] == [1]

    def test_but_what_goes_on_is_one(smtpd):
        client, before = kept.pop()
        client.send("QUIT\\r\\n")  # a line of its message
        send(smtpd)  # when that is through the line has been read
        assert client.say(".").startswith("250")
        assert len(smtpd.sessions) == 2 and before not in smtpd.sessions
        assert [message.raw for message in smtpd.strays] == [b"QUIT\\r\\n"]
        client.close()
""",
    )
    run(project).assert_outcomes(passed=4)


def test_what_waits_in_one_test_does_not_disturb_the_next(project: pytest.Pytester) -> None:
    write(
        project,
        test_waiting=SEND
        + """
    waiting = []
    hold = Hold(on="message")

    @pytest.mark.smtpd(faults=[Stall(on="message", times=1)])
    def test_stalled(smtpd):
        client = Client(smtpd)
        waiting.append(client)
        client.ehlo().begin()
        client.send("Subject: x\\r\\n\\r\\n.\\r\\n")

    @pytest.mark.smtpd(faults=[hold])
    def test_held(smtpd):
        client = Client(smtpd)
        waiting.append(client)
        client.ehlo().begin()
        client.send("Subject: x\\r\\n\\r\\n.\\r\\n")
        assert hold.wait_reached()

    @pytest.mark.smtpd(faults=[Delay(600, on="message")])
    def test_delayed(smtpd):
        client = Client(smtpd)
        client.ehlo().begin()
        client.send("Subject: x\\r\\n\\r\\n.\\r\\n")
        globals()["delayed"] = client

    def test_next(smtpd):
        send(smtpd, "next@example.com")
        assert [message.sender for message in smtpd.messages] == ["next@example.com"]
        assert len(smtpd.sessions) == 1 and smtpd.strays == []

    def test_the_waiting_clients_were_let_go(smtpd):
        for client in waiting:
            assert client.rest().startswith(b"421 ")
            client.close()
        delayed.close()
        assert smtpd.messages == [] and smtpd.strays == []
""",
    )
    run(project).assert_outcomes(passed=5)


def test_all_is_undone_also_after_a_teardown_that_fails(project: pytest.Pytester) -> None:
    write(
        project,
        test_undone=SEND
        + """
    def refuse(address):
        assert address == "expected"

    @pytest.mark.smtpd(validate_sender=refuse, banner="a")
    def test_callback(smtpd):
        with Client(smtpd) as client:
            assert client.ehlo().say("MAIL FROM:<ann@example.com>").startswith("451")
            client.quit()

    def test_after_callback(smtpd):
        assert smtpd.config == pytest_smtpd.Options(max_recipients=5)
        assert smtpd.messages == [] and smtpd.sessions == []
        send(smtpd)

    @pytest.mark.smtpd(strict=True, banner="b")
    def test_strict(smtpd):
        with Client(smtpd) as client:
            client.ehlo().deliver()

    def test_after_strict(smtpd):
        assert smtpd.config == pytest_smtpd.Options(max_recipients=5)
        assert smtpd.messages == [] and smtpd.sessions == []
        send(smtpd)
""",
    )
    result = run(project)
    result.assert_outcomes(passed=4, errors=2)
    said = lines(result)
    # what the server has forgotten by now is in the report all the same
    assert said.count("MAIL FROM:<ann@example.com>") == 2
    assert "smtpd strict: " in said
    assert "violation no-quit: " in said
    assert "ann@example.com -> bob@example.net  'hi'" in said


def test_a_password_is_a_secret_of_its_own_test(project: pytest.Pytester) -> None:
    write(
        project,
        test_secret=SEND
        + """
    WORD = "-".join(["correct", "horse"])

    @pytest.mark.smtpd(users={"ann": WORD})
    def test_with_users(smtpd):
        with Client(smtpd) as client:
            client.ehlo().say(f"NOOP {WORD}")
            client.deliver(f"Subject: {WORD}\\r\\n\\r\\n")
            client.quit()
        seen.extend(smtpd.sessions)
        raise AssertionError

    def test_without(smtpd):
        with Client(smtpd) as client:
            client.ehlo().say(f"NOOP {WORD}")
            client.deliver(f"Subject: {WORD}\\r\\n\\r\\n")
            client.quit()
        assert WORD in str(smtpd.sessions[0])
        assert WORD in repr(smtpd.messages)
        assert "NOOP ***" in str(seen[0]) and WORD not in str(seen[0])
""",
    )
    result = run(project, "--tb=short")
    result.assert_outcomes(failed=1, passed=1)
    said = lines(result)
    assert "NOOP ***" in said
    assert "bob@example.net" in said
    assert "correct-horse" not in said


@needs_unix
def test_the_run_may_have_an_address_of_its_own(project: pytest.Pytester) -> None:
    write(
        project,
        conftest="""
            import pytest

            @pytest.fixture(scope="session")
            def smtpd_options():
                return {"unix_socket": "run.sock"}
        """,
        test_a=SEND
        + """
    def test_a(smtpd):
        assert smtpd.address == "run.sock"
        with Client(smtpd) as client:
            client.ehlo().deliver()
            client.quit()
        smtpd.messages.one()

    def test_b(smtpd):
        smtpd.stop()

    def test_c(smtpd):
        with Client(smtpd) as client:
            client.quit()
""",
    )
    run(project).assert_outcomes(passed=3)


def test_a_message_belongs_to_the_test_in_which_its_mail_command_was_whole(
    project: pytest.Pytester,
) -> None:
    write(
        project,
        test_busy=SEND
        + """
    pool = []

    def test_half_a_command(smtpd):
        client = Client(smtpd).ehlo()
        client.send("MA")
        pool.append(client)

    def test_the_other_half(smtpd):
        client = pool.pop()
        assert client.say("IL FROM:<b@example.com>").startswith("250")
        client.say("RCPT TO:<bob@example.net>")
        client.say("DATA")
        assert client.say("Subject: x\\r\\n\\r\\n.").startswith("250")
        client.close()
        assert smtpd.messages.one().session is smtpd.sessions[0]
        assert smtpd.strays == []

    @pytest.mark.smtpd(faults=[Delay(1.0, on="noop")])
    def test_a_command_that_takes_long(smtpd):
        client = Client(smtpd).ehlo()
        client.send("NOOP\\r\\n")
        pool.append(client)
        other = Client(smtpd).ehlo()
        other.send("NOOP\\r\\nQU")
        pool.insert(0, other)

    def test_sent_behind_it(smtpd):
        client = pool.pop()
        client.send("MAIL FROM:<d@example.com>\\r\\nRCPT TO:<bob@example.net>\\r\\nDATA\\r\\n")
        assert [client.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        assert client.say("Subject: x\\r\\n\\r\\n.").startswith("250")
        client.close()
        other = pool.pop()
        assert other.reply().startswith("250")
        assert other.say("IT").startswith("221")
        other.close()
        session, = smtpd.sessions
        assert smtpd.messages.one().session is session
        assert smtpd.strays == []

    def test_a_chunk_that_is_refused(smtpd):
        client = Client(smtpd).ehlo()
        client.send("BDAT 1000 LAST\\r\\n" + "x" * 998)
        pool.append(client)

    def test_the_rest_of_it(smtpd):
        client = pool.pop()
        client.send("xxMAIL FROM:<f@example.com>\\r\\nRCPT TO:<bob@example.net>\\r\\nDATA\\r\\n")
        assert [client.reply()[:3] for _ in range(4)] == ["503", "250", "250", "354"]
        assert client.say("Subject: x\\r\\n\\r\\n.").startswith("250")
        client.close()
        assert smtpd.messages.one().session is smtpd.sessions[0]
        assert smtpd.strays == []

    @pytest.mark.smtpd(faults=[Delay(1.0, on="noop")])
    def test_two_commands_that_take_long(smtpd):
        client = Client(smtpd).ehlo()
        client.send("NOOP\\r\\nVRFY bob\\r\\n")
        pool.append(client)

    def test_sent_behind_both(smtpd):
        client = pool.pop()
        client.send("MAIL FROM:<g@example.com>\\r\\nRCPT TO:<bob@example.net>\\r\\nDATA\\r\\n")
        assert [client.reply()[:3] for _ in range(5)] == ["250", "252", "250", "250", "354"]
        assert client.say("Subject: x\\r\\n\\r\\n.").startswith("250")
        client.close()
        assert smtpd.messages.one().session is smtpd.sessions[0]
        assert smtpd.strays == []
""",
    )
    run(project).assert_outcomes(passed=8)
