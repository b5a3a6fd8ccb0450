"""pytest_smtpd.Server as any test gets it, but for the limit on the size of a message."""

from __future__ import annotations

from pytest_smtpd import Server

from . import control


def main() -> None:
    wanted = control.wanted()
    options = {}
    if wanted.certificate is not None:
        certificate = str(wanted.certificate)
        options = {"tls": "starttls", "certificate": (certificate, certificate)}
    with Server(max_size=None, **options) as server:
        messages = server.messages
        stored = control.Stored(
            count=lambda: len(messages),
            clear=server.clear,
            octets=lambda n: messages[n].raw,
        )
        control.serve(server.port, stored)


if __name__ == "__main__":
    main()
