"""Django's mail settings, pointed at a server for the time of a test.

Rule: Django is imported only on first use. Afterwards its settings object is restored, even if
other code has overridden settings meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..server import Server

BACKEND = "django.core.mail.backends.smtp.EmailBackend"

# The settings before Django 6.1, each with the argument of the backend
_EMAIL_SETTINGS = {
    "EMAIL_HOST": "host", "EMAIL_PORT": "port",
    "EMAIL_HOST_USER": "username", "EMAIL_HOST_PASSWORD": "password",
    "EMAIL_USE_TLS": "use_tls", "EMAIL_USE_SSL": "use_ssl",
}  # fmt: skip


@contextmanager
def pointed_at(server: Server) -> Iterator[None]:
    """Lets Django send its mail to a started server: through SMTP, with the server's TLS and user.

    Changes all entries of the setting ``MAILERS`` (Django 6.1) if it exists, otherwise the settings
    ``EMAIL_*``. Django trusts the server's certificate meanwhile, on that connection only. Raises
    `ValueError` for a server that Django cannot use, and the error of Django if its settings are
    not configured.
    """
    if not server.port:
        raise ValueError("Django's SMTP backend cannot connect to a unix socket")
    if server.config.protocol != "smtp":
        raise ValueError("Django's SMTP backend does not speak LMTP")
    settings = import_module("django.conf").settings
    options = _options(server)
    if hasattr(settings, "MAILERS") and hasattr(import_module("django.core.mail"), "mailers"):
        mailer = {"BACKEND": BACKEND, "OPTIONS": options}
        changed: dict[str, Any] = {"MAILERS": dict.fromkeys(settings.MAILERS, mailer)}
    else:
        changed = {"EMAIL_BACKEND": BACKEND, "EMAIL_SSL_CERTFILE": None, "EMAIL_SSL_KEYFILE": None}
        changed.update((name, options[option]) for name, option in _EMAIL_SETTINGS.items())
    with _changed(settings, changed), _trusted(server):
        yield


def _options(server: Server) -> dict[str, Any]:
    """The keyword arguments of Django's SMTP backend."""
    config = server.config
    users = {"user": "password"} if config.users == "any" else config.users
    username, password = next(iter(users.items())) if users else ("", "")
    return {
        "host": server.host,
        "port": server.port,
        "username": username,
        "password": password,
        "use_tls": config.tls == "starttls",
        "use_ssl": config.tls == "implicit",
    }


@contextmanager
def _changed(settings: Any, changed: Mapping[str, Any]) -> Iterator[None]:
    """Changes the current settings object.

    `override_settings` would put a new object in front of it. The `settings` of pytest-django and
    this override may not end in reverse order, and then one of them would stay.
    """
    holder = vars(settings._wrapped)
    found = {name: holder[name] for name in changed if name in holder}
    try:
        holder.update(changed)
        _tell(settings, changed, enter=True)
        yield
    finally:
        for name in changed:
            holder.pop(name, None)
        holder.update(found)
        _tell(settings, changed, enter=False)


def _tell(settings: Any, changed: Mapping[str, Any], *, enter: bool) -> None:
    for name in changed:
        vars(settings).pop(name, None)  # what it has cached
    signal = import_module("django.core.signals").setting_changed
    for name in changed:
        # Not from the lazy object: it warns about old names
        value = getattr(settings._wrapped, name, None)
        signal.send_robust(type(settings._wrapped), setting=name, value=value, enter=enter)


@contextmanager
def _trusted(server: Server) -> Iterator[None]:
    """Lets Django's backend, and backends derived from it, trust the server's certificate.

    Django has no setting for this: `EMAIL_SSL_CERTFILE` is the client's certificate.
    """
    backend = import_module("django.core.mail.backends.smtp").EmailBackend
    made = vars(backend).get("ssl_context")
    if server.config.tls is None or made is None:  # before Django 4.2 nothing is verified
        yield
        return
    address = (server.host, server.port)

    def ssl_context(self: Any) -> Any:
        if (self.host, self.port) == address:
            return server.client_ssl_context()
        return made.__get__(self, type(self))

    backend.ssl_context = property(ssl_context)
    try:
        yield
    finally:
        backend.ssl_context = made
