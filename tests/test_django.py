"""Django, pointed at a server; each test is a process of its own, with its own Django."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest

pytest.importorskip("django")

# Each part is a program: Django can be configured once a process.
START = """
import warnings
from contextlib import ExitStack
from django.conf import settings
{configure}
import django
django.setup()
from django.core import mail
from django.test.utils import override_settings, setup_test_environment
from pytest_smtpd import Server
from pytest_smtpd.plugin.django import pointed_at

NEW = hasattr(mail, "mailers")

def send(subject="hello", **options):
    with warnings.catch_warnings():
        if not hasattr(settings, "MAILERS"):
            warnings.simplefilter("ignore")  # Django 6.1 would like to have that
        return mail.send_mail(subject, "text", "a@example.com", ["b@example.com"], **options)

def held():
    return dict(vars(settings._wrapped))
"""


def django(program: str, configure: str = "settings.configure()") -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START.format(configure=configure) + dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_django_sends_to_the_server_and_then_no_more() -> None:
    django(
        """
        warnings.simplefilter("ignore")
        setup_test_environment()  # as pytest-django does: mail goes to mail.outbox
        before = held()
        with Server() as server:
            with pointed_at(server):
                assert settings.EMAIL_HOST == server.host
                assert settings.EMAIL_PORT == server.port
                assert send() == 1
            assert server.messages.one(subject="hello").recipients == ("b@example.com",)
            assert mail.outbox == []
            assert send("later") == 1
            assert len(server.messages) == 1
        assert [message.subject for message in mail.outbox] == ["later"]
        assert held() == before
        """
    )


def has_mailers() -> bool:
    from importlib.util import find_spec

    return find_spec("django.core.mail.handler") is not None


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_is_used_and_its_certificate_trusted(tls: str) -> None:
    pytest.importorskip("trustme")
    django(
        f"""
        from ssl import SSLCertVerificationError
        from django.core.mail.backends.smtp import EmailBackend
        made = vars(EmailBackend)["ssl_context"]
        with Server(tls={tls!r}, require_tls=True) as server, pointed_at(server):
            send()
            assert server.messages[0].session.tls is not None
        for kind in ("expired", "untrusted", "wrong-host"):
            with Server(tls={tls!r}, certificate=kind) as server, pointed_at(server):
                try:
                    send()
                except SSLCertVerificationError:
                    pass
                else:
                    raise AssertionError("a certificate that is not valid was taken: " + kind)
        assert vars(EmailBackend)["ssl_context"] is made
        """
    )


def test_only_the_server_is_trusted_meanwhile() -> None:
    pytest.importorskip("trustme")
    django(
        """
        from ssl import SSLCertVerificationError
        warnings.simplefilter("ignore")
        with Server(tls="starttls") as server, Server(tls="starttls") as other:
            with pointed_at(server):
                backend = mail.get_connection(host=other.host, port=other.port)
                try:
                    send(connection=backend)
                except SSLCertVerificationError:
                    pass
                else:
                    raise AssertionError("the other server was trusted")
                send()
        """
    )


@pytest.mark.parametrize(
    ("users", "expected"), [({"ann": "secret", "bob": "x"}, "ann"), ("any", "user"), (None, None)]
)
def test_a_user_of_the_server_logs_in(users: object, expected: str | None) -> None:
    django(
        f"""
        users = {users!r}
        with Server(users=users, require_auth=users is not None) as server, pointed_at(server):
            send()
            assert server.messages[0].session.user == {expected!r}
        """,
        "warnings.simplefilter('ignore')\n"
        "settings.configure(EMAIL_HOST_USER='live', EMAIL_HOST_PASSWORD='live')\n"
        "warnings.simplefilter('error')",
    )


def test_all_mailers_are_pointed_at_the_server() -> None:
    if not has_mailers():
        pytest.skip("this Django has no MAILERS")
    django(
        """
        setup_test_environment()
        before = held()
        with Server(users={"ann": "secret"}, require_auth=True) as server:
            with pointed_at(server):
                send("first")
                send("second", using="bulk")
                assert list(mail.mailers) == ["default", "bulk"]
            assert [message.subject for message in server.messages] == ["first", "second"]
        assert held() == before
        send("third", using="bulk")
        assert [message.subject for message in mail.outbox] == ["third"]
        """,
        """settings.configure(MAILERS={
            "default": {"OPTIONS": {"host": "mail.example.com"}},
            "bulk": {"BACKEND": "django.core.mail.backends.console.EmailBackend"},
        })""",
    )


@pytest.mark.parametrize("ours_ends_first", [True, False])
@pytest.mark.parametrize("ours_begins_first", [True, False])
def test_other_overrides_may_begin_and_end_in_any_order(
    ours_begins_first: bool, ours_ends_first: bool
) -> None:
    django(
        f"""
        warnings.simplefilter("ignore")
        before, holder = held(), settings._wrapped
        told = []
        from django.core.signals import setting_changed
        def tell(setting, value, enter, **rest):
            told.append((setting, enter))
        setting_changed.connect(tell)
        other = override_settings(EMAIL_TIMEOUT=7, DEBUG=True)
        with Server() as server:
            ours = pointed_at(server)
            for begin in ({ours_begins_first} and ours.__enter__, other.enable):
                if begin:
                    begin()
            if not {ours_begins_first}:
                ours.__enter__()
            send()
            ours_ends = lambda: ours.__exit__(None, None, None)
            for end in (ours_ends, other.disable) if {ours_ends_first} else (
                other.disable, ours_ends
            ):
                end()
        assert len(server.messages) == 1
        assert settings._wrapped is holder
        assert held() == before
        assert settings.EMAIL_PORT == 25 and settings.EMAIL_TIMEOUT is None
        assert ("EMAIL_HOST", True) in told and ("EMAIL_HOST", False) in told
        """
    )


def test_a_server_that_django_cannot_talk_to_is_an_error() -> None:
    django(
        """
        with Server(protocol="lmtp") as server:
            try:
                pointed_at(server).__enter__()
            except ValueError as error:
                assert "LMTP" in str(error)
            else:
                raise AssertionError
        """
    )


def test_without_settings_django_says_so() -> None:
    django(
        """
        """,
        dedent(
            """
            from django.core.exceptions import ImproperlyConfigured
            from pytest_smtpd import Server
            from pytest_smtpd.plugin.django import pointed_at
            with Server() as server:
                try:
                    pointed_at(server).__enter__()
                except ImproperlyConfigured as error:
                    assert "DJANGO_SETTINGS_MODULE" in str(error)
                else:
                    raise AssertionError
            settings.configure()
            """
        ),
    )


def test_django_is_imported_only_when_asked_for() -> None:
    code = "import sys, pytest_smtpd.plugin.django; print('django' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "False\n"


# ---- in a test run


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytest.importorskip("pytest_django")
    pytester.makepyfile(
        site_settings="""
        SECRET_KEY = "x"
        EMAIL_HOST = "mail.invalid"
        """
        if not has_mailers()
        else """
        SECRET_KEY = "x"
        MAILERS = {"default": {"OPTIONS": {"host": "mail.invalid"}}}
        """
    )
    pytester.makeini(
        "[pytest]\nDJANGO_SETTINGS_MODULE = site_settings\npythonpath = .\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    return pytester


def test_a_test_with_pytest_django(project: pytest.Pytester) -> None:
    pytest.importorskip("trustme")
    project.makepyfile(
        """
        import pytest
        from django.core import mail

        def send(subject):
            mail.send_mail(subject, "text", "shop@example.com", ["ann@example.net"])

        def test_before(mailoutbox):
            send("before")
            assert len(mailoutbox) == 1

        def test_it(smtpd_django, smtpd, mailoutbox):
            assert smtpd_django is smtpd
            send("hello")
            assert smtpd.messages.one(subject="hello").text == "text\\n"
            assert mailoutbox == []

        @pytest.mark.smtpd(tls="starttls", users={"ann": "secret"}, require_auth=True)
        def test_options(settings, smtpd_django):
            settings.EMAIL_SUBJECT_PREFIX = "[test] "
            send("hello")
            assert smtpd_django.messages[0].session.user == "ann"

        @pytest.mark.smtpd(reject_recipient="ann@*")
        def test_refusal(smtpd_django, settings):
            from smtplib import SMTPRecipientsRefused
            with pytest.raises(SMTPRecipientsRefused):
                send("hello")

        def test_after(mailoutbox):
            send("after")
            assert len(mailoutbox) == 1
        """
    )
    result = project.runpytest_subprocess("-p", "no:randomly", "-W", "error")
    result.assert_outcomes(passed=5)


def test_the_site_under_test_may_be_a_live_server(project: pytest.Pytester) -> None:
    project.makepyfile(
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
        import urllib.request
        import pytest

        @pytest.mark.urls("site_urls")
        def test_it(smtpd_django, client, live_server):
            assert client.get("/signup").status_code == 200
            with urllib.request.urlopen(live_server.url + "/signup") as answer:
                assert answer.read() == b"done"
            assert len(smtpd_django.messages) == 2
        """,
    )
    settings = project.path / "site_settings.py"
    settings.write_text(
        settings.read_text() + "\nROOT_URLCONF = 'site_urls'\nALLOWED_HOSTS = ['*']\n"
        "STATIC_URL = '/static/'\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
    )
    project.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=1)
