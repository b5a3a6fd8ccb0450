"""Applications of all kinds send, and `wait()` sees it: frameworks, workers, other processes.

A framework that is not installed is skipped; tox's environment `cov` has them all.
"""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import smtplib
import sys
import threading
from collections.abc import Iterator

import pytest

from client import LIMIT, TEXT
from inner_run import run, write
from pytest_smtpd import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


# ---- in this process


def send(host: str, port: int, to: str = "ann@example.net") -> None:
    with smtplib.SMTP(host, port, timeout=LIMIT) as client:
        client.sendmail("shop@example.com", to, TEXT)


def test_smtplib_in_threads(server: Server) -> None:
    threads = [threading.Thread(target=send, args=(*server.address, f"{n}@x")) for n in range(8)]
    for thread in threads:
        thread.start()
    found = server.messages.wait(8, timeout=LIMIT)
    assert {message.recipients for message in found} == {(f"{n}@x",) for n in range(8)}
    for thread in threads:
        thread.join()


@needs("aiosmtplib")
def test_aiosmtplib_in_tasks(server: Server) -> None:
    import aiosmtplib

    async def signup(n: int) -> None:
        await aiosmtplib.send(
            TEXT,
            sender="shop@example.com",
            recipients=[f"{n}@x"],
            hostname=server.host,
            port=server.port,
            timeout=LIMIT,
        )

    async def test() -> None:
        tasks = [asyncio.create_task(signup(n)) for n in range(8)]
        found = await server.messages.wait_async(8, timeout=LIMIT)
        assert {message.recipients for message in found} == {(f"{n}@x",) for n in range(8)}
        await asyncio.gather(*tasks)

    asyncio.run(test())


@needs("flask", "flask_mail")
def test_flask_mail() -> None:
    from flask import Flask
    from flask_mail import Mail, Message

    with Server(users={"shop": "secret"}, require_auth=True) as server:
        app = Flask("shop")
        app.config.update(
            TESTING=True,
            MAIL_SUPPRESS_SEND=False,
            MAIL_SERVER=server.host,
            MAIL_PORT=server.port,
            MAIL_USERNAME="shop",
            MAIL_PASSWORD="secret",
            MAIL_DEFAULT_SENDER=("Shop", "shop@example.com"),
        )
        mail = Mail(app)

        @app.post("/signup/<address>")
        def signup(address: str) -> str:
            message = Message("Schöne Grüße", recipients=[address], bcc=["bob@example.net"])
            message.body = "Grüße\n"
            message.attach("a.pdf", "application/pdf", b"%PDF")
            mail.send(message)
            return "done"

        assert app.test_client().post("/signup/ann@example.net").text == "done"
        [message] = server.messages.wait(subject="Schöne Grüße", timeout=LIMIT)
        assert message.bcc == ["bob@example.net"]
        assert message.text == "Grüße\n"
        assert [each.content for each in message.attachments] == [b"%PDF"]
        assert message.session is not None
        assert message.session.user == "shop"

        server.configure(reject_sender="shop@*")
        with pytest.raises(smtplib.SMTPSenderRefused):
            app.test_client().post("/signup/ann@example.net")


@needs("fastapi", "fastapi_mail", "httpx2", "trustme")
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_fastapi_mail(tls: str) -> None:
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse
    from fastapi.testclient import TestClient
    from fastapi_mail import ConnectionConfig, FastMail, MessageSchema, MessageType
    from fastapi_mail.errors import ConnectionErrors
    from starlette.background import BackgroundTask

    def app_for(server: Server) -> FastAPI:
        app = FastAPI()
        mail = FastMail(
            ConnectionConfig(
                MAIL_SERVER=server.host,
                MAIL_PORT=server.port,
                MAIL_USERNAME="shop",
                MAIL_PASSWORD="secret",
                MAIL_FROM="shop@example.com",
                MAIL_STARTTLS=tls == "starttls",
                MAIL_SSL_TLS=tls == "implicit",
                CERT_BUNDLE=str(server.ca_file),
            )
        )

        @app.post("/signup/{address}")
        async def signup(address: str):  # type: ignore[no-untyped-def]  # FastAPI would read it
            message = MessageSchema(
                subject="Welcome",
                recipients=[address],
                body="<p>Hello</p>",
                subtype=MessageType.html,
            )
            return JSONResponse("done", background=BackgroundTask(mail.send_message, message))

        return app

    with Server(tls=tls, users={"shop": "secret"}, require_auth=True) as server:
        client = TestClient(app_for(server))
        assert client.post("/signup/ann@example.com").json() == "done"
        [message] = server.messages.wait(to="ann@example.com", timeout=LIMIT)
        assert message.html is not None and "<p>Hello</p>" in message.html
        assert message.session is not None and message.session.tls is not None
        assert message.session.user == "shop"

    with Server(tls=tls, certificate="untrusted", users="any") as server:
        with pytest.raises(ConnectionErrors, match="certificate verify failed"):
            TestClient(app_for(server)).post("/signup/ann@example.com")
        assert server.messages == []


# ---- Celery: its worker is a thread here, a process there

SHOP = """
    import os
    import smtplib

    from celery import Celery

    app = Celery("shop")
    # Where another process finds the tasks; in this one a queue in memory will do
    folder = os.environ.get("BROKER_FOLDER")
    app.conf.update(
        broker_url="filesystem://" if folder else "memory://",
        broker_transport_options={"polling_interval": 0.02}
        | ({"data_folder_in": folder, "data_folder_out": folder,
            "control_folder": folder} if folder else {}),
    )

    @app.task(autoretry_for=(smtplib.SMTPResponseException,), default_retry_delay=0)
    def welcome(address):
        host, port = os.environ["EMAIL_HOST"], int(os.environ["EMAIL_PORT"])
        with smtplib.SMTP(host, port, timeout=20) as client:
            client.sendmail("shop@example.com", address, "Subject: welcome\\r\\n\\r\\n")
"""

ENVIRONMENT = """
[pytest]
pythonpath = .
smtpd_env =
    EMAIL_HOST={host}
    EMAIL_PORT={port}
    EMAIL_USER={username}
    EMAIL_PASSWORD={password}
    SSL_CERT_FILE={ca_file}
"""


@needs("celery")
def test_a_celery_worker_in_a_thread(pytester: pytest.Pytester) -> None:
    pytester.makeini(ENVIRONMENT + "smtpd_scope = session\n")
    write(
        pytester,
        shop=SHOP,
        conftest="""
            import pytest
            from celery.contrib.testing.worker import start_worker
            from shop import app

            @pytest.fixture(scope="session")
            def worker(smtpd_session):
                with start_worker(app, perform_ping_check=False, pool="threads"):
                    yield
        """,
        test_shop="""
            import pytest
            from pytest_smtpd.faults import Answer
            from shop import welcome

            pytestmark = pytest.mark.usefixtures("worker")

            @pytest.mark.parametrize("n", range(20))
            def test_welcome(smtpd, n):
                welcome.delay(f"ann{n}@example.net")
                [message] = smtpd.messages.wait(timeout=20)
                assert message.recipients == (f"ann{n}@example.net",)
                assert smtpd.strays == []

            @pytest.mark.smtpd(faults=[Answer("451 4.3.0 Later", on="mail", times=2)])
            def test_retry(smtpd):
                welcome.delay("bob@example.net")
                smtpd.messages.wait(to="bob@example.net", timeout=20)
                assert len(smtpd.sessions) == 3
        """,
    )
    run(pytester).assert_outcomes(passed=21)


@needs("celery")
@pytest.mark.skipif(sys.platform == "win32", reason="kombu's filesystem broker needs pywin32")
def test_a_celery_worker_in_another_process(pytester: pytest.Pytester) -> None:
    pytester.makeini(ENVIRONMENT + "smtpd_scope = session\n")
    write(
        pytester,
        shop=SHOP,
        test_shop="""
            import subprocess
            import sys

            import pytest

            @pytest.fixture(scope="session")
            def worker(smtpd_session, tmp_path_factory):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("BROKER_FOLDER", str(tmp_path_factory.mktemp("broker")))
                    command = [sys.executable, "-m", "celery", "-q", "-A", "shop", "worker",
                               "--pool=solo", "--without-mingle", "--without-gossip"]
                    with subprocess.Popen(command, stderr=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL) as process:
                        yield
                        process.kill()

            def test_welcome(smtpd, worker):
                from shop import welcome
                for n in range(3):
                    welcome.delay(f"ann{n}@example.net")
                found = smtpd.messages.wait(3, timeout=60)
                assert {message.recipients[0] for message in found} == {
                    "ann0@example.net", "ann1@example.net", "ann2@example.net"
                }
        """,
    )
    run(pytester).assert_outcomes(passed=1)


# ---- other processes


def test_an_application_that_reads_its_settings_from_the_environment(
    pytester: pytest.Pytester,
) -> None:
    pytest.importorskip("trustme")
    pytester.makeini(ENVIRONMENT)
    write(
        pytester,
        shop="""
            import os
            import smtplib
            import ssl

            with smtplib.SMTP(os.environ["EMAIL_HOST"], os.environ["EMAIL_PORT"]) as client:
                client.starttls(context=ssl.create_default_context())
                client.login(os.environ["EMAIL_USER"], os.environ["EMAIL_PASSWORD"])
                client.sendmail("shop@example.com", "ann@example.net", "Subject: hi\\r\\n\\r\\n")
        """,
        test_shop="""
            import subprocess
            import sys

            import pytest

            @pytest.mark.smtpd(tls="starttls", require_tls=True, users={"shop": "s{ecret"},
                               require_auth=True)
            def test_shop(smtpd):
                with subprocess.Popen([sys.executable, "shop.py"]) as process:
                    [message] = smtpd.messages.wait(to="ann@example.net", timeout=30)
                    assert message.session.user == "shop"
                    assert process.wait(timeout=30) == 0
        """,
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_child_of_multiprocessing(server: Server) -> None:
    child = multiprocessing.get_context("spawn").Process(target=send, args=server.address)
    child.start()
    server.messages.wait(to="ann@example.net", timeout=60)
    child.join(60)
    assert child.exitcode == 0
    child.close()


@needs("django")
def test_django_s_runserver(pytester: pytest.Pytester) -> None:
    pytester.makeini(ENVIRONMENT)
    write(
        pytester,
        site_settings="""
            import os

            SECRET_KEY = "x"
            ALLOWED_HOSTS = ["127.0.0.1"]
            ROOT_URLCONF = "site_urls"
            EMAIL_HOST = os.environ["EMAIL_HOST"]
            EMAIL_PORT = int(os.environ["EMAIL_PORT"])
        """,
        site_urls="""
            from django.core.mail import send_mail
            from django.http import HttpResponse
            from django.urls import path

            def signup(request):
                send_mail("Welcome", "text", "shop@example.com", ["ann@example.net"])
                return HttpResponse("done")

            urlpatterns = [path("signup", signup)]
        """,
        test_site="""
            import os
            import re
            import subprocess
            import sys
            import urllib.request

            import pytest

            @pytest.fixture
            def site(smtpd):
                command = [sys.executable, "-u", "-m", "django", "runserver", "--noreload",
                           "--settings=site_settings", "--pythonpath=.", "127.0.0.1:0"]
                with subprocess.Popen(command, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True) as process:
                    for line in process.stdout:
                        if at := re.search(r"server at (http://127.0.0.1:[1-9]\\d*)/", line):
                            yield at[1]
                            break
                    process.kill()

            def test_site(smtpd, site):
                with urllib.request.urlopen(site + "/signup") as answer:
                    assert answer.read() == b"done"
                smtpd.messages.wait(to="ann@example.net", subject="Welcome", timeout=20)
        """,
    )
    run(pytester).assert_outcomes(passed=1)
