"""The section `smtpd` in the report of a failing test: shown when it helps, and only then."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from inner_run import lines, run, write

SEND = """
    import pytest
    from client import Client

    def send(server, sender="ann@example.com", text="Subject: hi\\r\\n\\r\\nhello\\r\\n"):
        with Client(server) as client:
            client.ehlo().deliver(text, sender)
            client.quit()

"""


def section(said: str, test: str) -> str:
    """The text of the section `smtpd` of a test's failure."""
    _, found, after = said.partition(f" {test} ___")
    assert found, f"no failure of {test}"
    report = re.split(r"^(?:_{10,} .* _{10,}|={10,} .* ={10,})$", after, flags=re.MULTILINE)[0]
    _, found, text = re.sub(r"-{10,}", "----", report).partition("---- smtpd ----\n")
    return text if found else ""


FAILING = (
    SEND
    + """
    def test_call(smtpd):
        send(smtpd, "call@example.com")
        assert False

    @pytest.fixture
    def setup(smtpd):
        send(smtpd, "setup@example.com")
        raise ValueError("in setup")

    def test_setup(setup): pass

    @pytest.fixture
    def missing(smtpd, no_such_fixture): pass

    @pytest.fixture
    def teardown(smtpd):
        yield
        raise ValueError("in teardown")

    def test_teardown(teardown, smtpd):
        send(smtpd, "teardown@example.com")

    @pytest.fixture
    def early():
        yield
        raise ValueError("in a teardown after that of smtpd")

    def test_late_teardown(early, smtpd):
        send(smtpd, "late@example.com")

    def test_several(smtpd, smtpd_factory, smtpd_session):
        send(smtpd, "one@example.com")
        send(smtpd_factory(), "two@example.com")
        send(smtpd_session, "three@example.com")
        smtpd_factory()
        assert False

    def test_session(smtpd_session):
        smtpd_session.clear()
        send(smtpd_session, "session@example.com")
        assert False

    def test_without_traceback(smtpd):
        send(smtpd, "fail@example.com")
        pytest.fail("says only this", pytrace=False)

    @pytest.mark.xfail(strict=True)
    def test_passes_unexpectedly(smtpd):
        send(smtpd, "xpass@example.com")

    def test_unused(smtpd):
        assert False

    def test_other():
        assert False

    def test_passing(smtpd):
        send(smtpd, "passing@example.com")

    def test_skipped(smtpd):
        send(smtpd, "skipped@example.com")
        pytest.skip("for a reason")

    @pytest.mark.xfail
    def test_expected(smtpd):
        send(smtpd, "expected@example.com")
        assert False
"""
)


@pytest.mark.parametrize("args", [(), ("--smtpd-scope=session",), ("-n", "2")], ids=" ".join)
def test_a_failing_test_shows_what_the_client_did(
    pytester: pytest.Pytester, args: tuple[str, ...]
) -> None:
    plugins: tuple[str, ...] = ()
    if "-n" in args:
        pytest.importorskip("xdist")
        plugins = ("xdist",)
    write(pytester, test_failing=FAILING)
    result = run(pytester, "--junit-xml=junit.xml", *args, plugins=plugins)
    result.assert_outcomes(failed=7, errors=3, passed=3, skipped=1, xfailed=1)
    said = lines(result)
    for test, sender in {
        "test_call": "call@example.com",
        "ERROR at setup of test_setup": "setup@example.com",
        "ERROR at teardown of test_teardown": "teardown@example.com",
        "ERROR at teardown of test_late_teardown": "late@example.com",
        "test_session": "session@example.com",
        "test_without_traceback": "fail@example.com",
        "test_passes_unexpectedly": "xpass@example.com",
    }.items():
        shown = section(said, test)
        name = "smtpd_session" if test == "test_session" else "smtpd"
        assert shown.startswith(f"{name} at smtp://127.0.0.1:")
        assert f"MAIL FROM:<{sender}>" in shown
        assert re.search(rf"^  \[0\] \w+ +{sender} -> bob@example.net +'hi'", shown, re.MULTILINE)
        assert shown.count("session from 127.0.0.1:") == 1
        assert "helo client.example, ended by quit" in shown
    shown = section(said, "test_several")
    servers = re.findall(r"^(\w+) at smtp://", shown, re.MULTILINE)
    if "--smtpd-scope=session" in args:
        assert servers == ["smtpd", "smtpd_factory", "smtpd_factory"]
    else:
        assert servers == ["smtpd", "smtpd_factory", "smtpd_factory", "smtpd_session"]
    for sender in ("one", "two", "three"):
        assert f"MAIL FROM:<{sender}@example.com>" in shown
    assert "no client has connected" in section(said, "test_unused")
    assert section(said, "test_other") == ""
    for test in ("passing", "skipped", "expected"):
        assert f"{test}@example.com" not in said
    junit = ElementTree.parse(pytester.path / "junit.xml")
    texts = {
        case.get("name"): "".join(failure.text or "" for failure in case)
        for case in junit.iter("testcase")
    }
    for test in ("call", "setup", "teardown", "late_teardown"):
        sender = test.removesuffix("_teardown")
        assert f"MAIL FROM:<{sender}@example.com>" in texts[f"test_{test}"]
    assert "smtpd at" not in texts["test_passing"]


def test_what_the_setup_could_not_find(pytester: pytest.Pytester) -> None:
    """A fixture is missing after the server has started, and a server does not start."""
    write(
        pytester,
        test_a=SEND
        + """
    @pytest.fixture
    def needs(smtpd, request):
        send(smtpd, "before@example.com")
        request.getfixturevalue("no_such_fixture")

    def test_missing(needs): pass

    @pytest.mark.smtpd(host="192.0.2.1")
    def test_not_started(smtpd): pass
""",
    )
    result = run(pytester)
    result.assert_outcomes(errors=2)
    said = lines(result)
    assert "MAIL FROM:<before@example.com>" in section(said, "ERROR at setup of test_missing")
    assert "cannot listen on 192.0.2.1" in said  # that says all: nothing was sent, nothing came
    assert "not started" not in said.replace("test_not_started", "")


def test_it_is_short_masked_and_harmless(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_a=SEND
        + """
    PASSWORD = "correct horse battery"

    def test_many_commands(smtpd):
        with Client(smtpd) as client:
            client.ehlo()
            for n in range(2000):
                client.say(f"NOOP {n}")
            client.quit()
        assert False

    def test_many_sessions(smtpd):
        for n in range(15):
            send(smtpd, f"user{n}@example.com")
        assert False

    def test_many_messages(smtpd):
        with Client(smtpd) as client:
            client.ehlo()
            for n in range(100):
                client.deliver(sender=f"user{n}@example.com")
            client.quit()
        assert False

    def test_long_lines(smtpd):
        with Client(smtpd) as client:
            client.ehlo()
            client.say("NOOP " + "x" * 60000)
            client.deliver("Subject: " + "y " * 30000 + "\\r\\n\\r\\nhello\\r\\n")
            client.quit()
        assert False

    def test_control_characters(smtpd):
        with Client(smtpd) as client:
            client.say("EHLO \\x1b[31m\\x07")
            client.say("NOOP \\x1b]0;title\\x07")
            client.quit()
        assert False

    def test_secrets(smtpd):
        import base64
        smtpd.configure(users={"ann": PASSWORD})
        with Client(smtpd) as client:
            client.ehlo()
            plain = base64.b64encode(f"\\0ann\\0{PASSWORD}".encode()).decode()
            client.say(f"AUTH PLAIN {plain}")
            client.say(f"NOOP {PASSWORD}")
            client.say(f"MAIL FROM:<{plain}>")
            client.deliver(f"Subject: {PASSWORD}\\r\\n\\r\\n{PASSWORD}\\r\\n")
            client.quit()
        smtpd.messages.one(subject="nothing like it")
""",
    )
    result = run(pytester, "--tb=short")
    result.assert_outcomes(failed=6)
    said = lines(result)
    shown = section(said, "test_many_commands")
    assert "NOOP 0" in shown
    assert "C: QUIT" in shown
    assert "lines left out" in shown
    assert len(shown.splitlines()) < 80
    shown = section(said, "test_many_sessions")
    assert "... 5 sessions left out ..." in shown
    assert "MAIL FROM:<user14@example.com>" in shown
    assert "MAIL FROM:<user4@example.com>" in shown
    assert "MAIL FROM:<user7@example.com>" not in shown
    shown = section(said, "test_many_messages")
    assert "user0@example.com -> " in shown
    assert "user99@example.com -> " in shown
    assert "user50@example.com -> " not in shown
    assert len(shown.splitlines()) < 110
    shown = section(said, "test_long_lines")
    assert len(shown) < 8000
    assert "characters left out" in shown
    assert "\x1b" not in said
    assert "\x07" not in said
    assert r"NOOP \x1b]0;title\x07" in section(said, "test_control_characters")
    shown = section(said, "test_secrets")
    assert "NOOP ***" in shown
    assert "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5" not in said  # the password, as AUTH sends it
    assert "AGFubgBjb3JyZWN0" not in said
    assert "correct horse battery" not in shown


def test_the_seed_is_there_when_chance_played_a_part(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_a=SEND
        + """
    from pytest_smtpd.faults import Answer

    chance = Answer(452, on="rcpt", probability=0.5)

    @pytest.mark.smtpd(faults=[chance], seed=7)
    def test_given(smtpd):
        assert False

    @pytest.mark.smtpd(faults=[chance])
    def test_drawn(smtpd):
        assert False

    def test_none(smtpd):
        assert False
""",
    )
    for args in ((), ("--smtpd-scope=session",)):
        said = lines(run(pytester, *args))
        assert re.search(r":\d+, seed='7'$", section(said, "test_given"), re.MULTILINE)
        assert re.search(r":\d+, seed='\w{8}'$", section(said, "test_drawn"), re.MULTILINE)
        assert "seed" not in section(said, "test_none").splitlines()[0]


def test_logging_has_it_at_debug_only(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_log=SEND
        + """
    import logging

    def test_silent(smtpd, caplog, capfd):
        with caplog.at_level(logging.INFO):
            send(smtpd)
        assert caplog.records == []
        assert capfd.readouterr() == ("", "")

    def test_debug(smtpd, caplog):
        with caplog.at_level(logging.DEBUG, logger="pytest_smtpd"):
            send(smtpd)
        assert {record.name for record in caplog.records} == {"pytest_smtpd"}
        assert "C: MAIL FROM:<ann@example.com>" in caplog.text

    def test_fails(smtpd):
        send(smtpd)
        assert False
""",
    )
    result = run(pytester)
    result.assert_outcomes(passed=2, failed=1)
    assert "Captured log" not in lines(result)


def test_a_failed_comparison_with_nothing_lists_all_there_is(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_nothing=SEND
        + """
    def test_messages(smtpd):
        send(smtpd)
        send(smtpd, "bob@example.com")
        assert smtpd.messages == []

    def test_problems(smtpd):
        send(smtpd)
        assert smtpd.messages[0].problems() == []

    def test_violations(smtpd):
        with Client(smtpd) as client:
            client.say("FOO")
            client.say("EHLO client.example.net")
            client.say("DATA")
        assert smtpd.sessions[0].wait_closed()
        assert smtpd.sessions[0].violations == []

    def test_one(smtpd):
        with Client(smtpd) as client:
            client.say("FOO")
            client.say("QUIT")
        assert smtpd.sessions[0].violations == []

    def test_others(smtpd):
        assert [1, 2] == []

    def test_other_comparisons(smtpd):
        send(smtpd)
        assert smtpd.messages == [1]
""",
    )
    result = run(pytester)
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(
        [
            "E * assert 2 messages == []",
            "E * [[]0[]] * ann@example.com -> bob@example.net *'hi'",
            "E * [[]1[]] * bob@example.com -> bob@example.net *'hi'",
            "E * assert [0-9] problems == []",
            "E * missing-date: there is no Date header (RFC 5322 3.6.1)",
            "E * missing-message-id: *",
            "E * assert 3 violations == []",
            "E * unknown-command: *",
            "E * bad-sequence: *",
            "E * no-quit: *",
            "E * assert 1 violation == []",
            "E * Left contains 2 more items, first extra item: 1",
        ]
    )


def test_where_no_server_is_loaded_comparisons_are_pytest_s_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_before():
            assert [1, 2] == []

        def test_after():
            assert not [name for name in sys.modules if name.endswith("plugin.comparing")]
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E * Left contains 2 more items, first extra item: 1"])


@pytest.mark.parametrize("scope", ["function", "session"])
def test_how_often_faults_have_acted(pytester: pytest.Pytester, scope: str) -> None:
    write(
        pytester,
        test_faults=SEND
        + """
    from pytest_smtpd.faults import Answer, Delay, Hold, Raw

    later = Answer("451 Later", on="mail", times=2)
    secret = Raw(b"x" * 160 + b"correct-horse-battery-staple" + b"y" * 300, on="rset")

    @pytest.mark.smtpd(faults=[later, Hold(on="quit", match=None), Delay(0, on="noop")])
    def test_retry(smtpd):
        with Client(smtpd) as client:
            client.ehlo()
            for command in ("MAIL FROM:<ann@example.com>", "NOOP", "MAIL FROM:<ann@example.com>"):
                client.say(command)
        assert False

    def test_none(smtpd):
        assert False

    @pytest.mark.smtpd(faults=[secret], users={"ann": "correct-horse-battery-staple"})
    def test_secret(smtpd):
        assert False
""",
    )
    result = run(pytester, f"--smtpd-scope={scope}")
    result.assert_outcomes(failed=3)
    assert "correct" not in section(result.stdout.str(), "test_secret")
    said = result.stdout.str()
    assert section(said, "test_retry").splitlines()[1:4] == [
        "Answer(on='mail', times=2, reply='451 Later') has acted 2 times",
        "Hold(on='quit') has not acted",
        "Delay(on='noop', seconds=0) has acted once",
    ]
    assert section(said, "test_none").splitlines()[1] == "<Mailbox messages: empty>"
