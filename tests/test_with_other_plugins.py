"""Beside other plugins: in workers, in any order, again and again, in event loops, against time."""

from __future__ import annotations

import importlib.util
import signal

import pytest

from inner_run import COUNT_STARTS, lines, run, write

SEND = """
    import smtplib

    import pytest
    import pytest_smtpd

    def send(server, sender="ann@example.com"):
        with smtplib.SMTP(*server.address, timeout=20) as client:
            client.sendmail(sender, ["bob@example.net"], "Subject: hi\\r\\n\\r\\nhello\\r\\n")

"""

MANY = (
    SEND
    + """
    @pytest.mark.parametrize("n", range(60))
    def test_function(smtpd, n):
        send(smtpd, f"f{n}@example.com")
        assert [message.sender for message in smtpd.messages] == [f"f{n}@example.com"]
        assert len(smtpd.sessions) == 1 and smtpd.strays == []
        assert smtpd.config.reject_sender is None

    @pytest.mark.parametrize("n", range(40))
    @pytest.mark.smtpd(reject_sender="denied@*")
    def test_marker(smtpd, n):
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(smtpd, "denied@example.com")
        send(smtpd, f"m{n}@example.com")
        assert smtpd.messages.wait()[0].sender == f"m{n}@example.com"

    @pytest.mark.parametrize("n", range(20))
    def test_factory(smtpd_factory, n):
        for server in (smtpd_factory(), smtpd_factory()):
            send(server, f"s{n}@example.com")
            assert [message.sender for message in server.messages] == [f"s{n}@example.com"]

    def test_session(smtpd_session):
        smtpd_session.clear()
        send(smtpd_session)
        smtpd_session.messages.one()
"""
)

OWN_SERVER = """
    import pytest

    used = set()

    @pytest.fixture(autouse=True)
    def one_server(request):
        if request.config.getoption("smtpd_scope") == "session":
            server = request.getfixturevalue("smtpd_session")
            used.add(server.address)
            assert len(used) == 1
"""


def needs(module: str) -> pytest.MarkDecorator:
    found = importlib.util.find_spec(module) is not None
    return pytest.mark.skipif(not found, reason=f"needs {module}")


@needs("xdist")
@pytest.mark.parametrize("scope", ["function", "session"])
def test_xdist_mixes_nothing_up(pytester: pytest.Pytester, scope: str) -> None:
    # One server a worker: had two of them the same, mail of one would turn up in the other
    write(pytester, conftest=OWN_SERVER, test_many=MANY)
    result = run(pytester, "-n", "4", f"--smtpd-scope={scope}", plugins=("xdist",))
    result.assert_outcomes(passed=121)


@needs("pytest_randomly")
def test_randomly(pytester: pytest.Pytester) -> None:
    write(pytester, conftest=OWN_SERVER + COUNT_STARTS, test_many=MANY)
    args = ("-p", "pytest_randomly", "-k", "function or marker")
    for seed, scope in ((1, "session"), (2, "function")):
        result = run(pytester, *args, f"--randomly-seed={seed}", f"--smtpd-scope={scope}")
        result.assert_outcomes(passed=100, deselected=21)
        started = "servers started: 1" in result.outlines
        assert started == (scope == "session")


@needs("pytest_rerunfailures")
@pytest.mark.parametrize("scope", ["function", "session"])
def test_rerunfailures(pytester: pytest.Pytester, scope: str) -> None:
    write(
        pytester,
        test_flaky=SEND
        + """
    runs = []

    @pytest.mark.smtpd(banner="x", strict="violations")
    def test_flaky(smtpd):
        runs.append(smtpd)
        assert smtpd.messages == [] and smtpd.sessions == []
        send(smtpd, f"run{len(runs)}@example.com")
        assert len(runs) == 3

    def test_fails(smtpd):
        runs.append(smtpd)
        send(smtpd, f"run{len(runs)}@example.com")
        assert False
""",
    )
    result = run(
        pytester, "--reruns=2", f"--smtpd-scope={scope}", plugins=("pytest_rerunfailures",)
    )
    said = lines(result)
    assert "1 failed, 1 passed, 4 rerun" in said
    # of the last run only
    assert "<run6@example.com>" in said
    assert "<run5@example.com>" not in said


@needs("pytest_repeat")
def test_repeat(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_again=SEND
        + """
    @pytest.mark.smtpd(reject_sender="denied@*")
    def test_again(smtpd):
        send(smtpd)
        smtpd.messages.one()
        assert len(smtpd.sessions) == 1
""",
    )
    for scope in ("function", "session"):
        result = run(pytester, "--count=30", f"--smtpd-scope={scope}", plugins=("pytest_repeat",))
        result.assert_outcomes(passed=30)


@needs("pytest_timeout")
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no SIGALRM")
def test_timeout(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_stuck=SEND
        + """
    from pytest_smtpd.faults import Stall

    @pytest.mark.timeout(1, method="signal", func_only=True)
    def test_waits_for_mail(smtpd):
        smtpd.messages.wait(timeout=600)

    @pytest.mark.timeout(3, method="signal", func_only=True)
    @pytest.mark.smtpd(faults=[Stall(on="mail")])
    def test_waits_for_a_reply(smtpd):
        # its `with` would say QUIT and wait on
        client = smtplib.SMTP(*smtpd.address, local_hostname="client.example")
        client.ehlo()
        try:
            client.mail("stalled@example.com")
        finally:
            client.close()

    def test_next(smtpd):
        send(smtpd)
""",
    )
    for scope in ("function", "session"):
        result = run(pytester, f"--smtpd-scope={scope}", plugins=("pytest_timeout",))
        result.assert_outcomes(passed=1, failed=2)
        said = lines(result)
        assert "Timeout" in said
        assert "no client has connected" in said
        assert ":<stalled@example.com>" in said


@needs("pytest_asyncio")
@needs("aiosmtplib")
def test_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    # of old releases: that the default of an option of theirs will change
    quiet = ("-W", "ignore::pytest.PytestDeprecationWarning")
    write(
        pytester,
        test_async="""
            import asyncio
            from email.message import EmailMessage

            import aiosmtplib
            import pytest
            import pytest_asyncio

            async def send(server, sender="ann@example.com"):
                message = EmailMessage()
                message["From"], message["To"], message["Subject"] = sender, "bob@example.net", "hi"
                await aiosmtplib.send(message, hostname=server.host, port=server.port,
                                      start_tls=False)

            async def test_wait(smtpd):
                task = asyncio.create_task(send(smtpd))
                message, = await smtpd.messages.wait_async()
                assert message.sender == "ann@example.com"
                await task

            async def test_blocking_would_hang(smtpd):
                with pytest.raises(RuntimeError, match="wait_async"):
                    smtpd.messages.wait()

            @pytest.mark.smtpd(reject_sender="ann@*")
            async def test_marker(smtpd):
                with pytest.raises(aiosmtplib.SMTPSenderRefused):
                    await send(smtpd)
                await smtpd.messages.assert_none_async()

            @pytest_asyncio.fixture
            async def mailed(smtpd):
                await send(smtpd, "fixture@example.com")
                return smtpd

            async def test_async_fixture(mailed):
                assert mailed.messages.one().sender == "fixture@example.com"

            async def test_expect(smtpd_session):
                async with smtpd_session.messages.expect(2) as expected:
                    await asyncio.gather(send(smtpd_session), send(smtpd_session))
                assert len(expected.messages) == 2

            async def check(address):
                await asyncio.sleep(0)
                assert address == "expected"

            @pytest.mark.smtpd(validate_sender=check)
            async def test_coroutine_as_callback(smtpd):
                with pytest.raises(aiosmtplib.SMTPSenderRefused):
                    await send(smtpd)
        """,
    )
    for scope in ("function", "session"):
        result = run(pytester, *quiet, f"--smtpd-scope={scope}", plugins=("pytest_asyncio.plugin",))
        result.assert_outcomes(passed=6, errors=1)


@needs("anyio")
@needs("trio")
def test_anyio_and_trio(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        test_anyio=SEND
        + """
    import anyio

    pytestmark = pytest.mark.anyio

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(request):
        return request.param

    async def test_wait(smtpd):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, send, smtpd)
            message, = await smtpd.messages.wait_async()
        assert message.sender == "ann@example.com"
        await smtpd.messages.assert_none_async(sender="eve@*")

    @pytest.fixture
    async def mailed(smtpd):
        await anyio.to_thread.run_sync(send, smtpd, "fixture@example.com")
        yield smtpd

    @pytest.mark.smtpd(reject_sender="ann@*")
    async def test_async_fixture(mailed):
        assert mailed.messages.one().sender == "fixture@example.com"

    async def test_times_out(smtpd):
        with pytest.raises(AssertionError, match="at least 1"):
            await smtpd.messages.wait_async(timeout=0.01)

    async def test_own_client(smtpd):
        async with await anyio.connect_tcp(*smtpd.address) as stream:
            assert (await stream.receive()).startswith(b"220 ")
            await stream.send(b"QUIT\\r\\n")
            assert (await stream.receive()).startswith(b"221 ")
""",
    )
    run(pytester, plugins=("anyio.pytest_plugin",)).assert_outcomes(passed=8)
