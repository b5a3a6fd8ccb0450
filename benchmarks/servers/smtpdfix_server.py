"""The server of smtpdfix's fixture. It keeps parsed messages, so only their number is checked."""

from __future__ import annotations

import os

from . import control


def main() -> None:
    wanted = control.wanted()
    if wanted.certificate is not None:
        os.environ["SMTPD_SSL_CERTIFICATE_FILE"] = str(wanted.certificate)
        os.environ["SMTPD_USE_STARTTLS"] = "True"
    from smtpdfix import SMTPDFix

    with SMTPDFix(hostname="127.0.0.1") as server:
        kept = server._messages
        stored = control.Stored(count=lambda: len(kept), clear=kept.clear, octets=None)
        control.serve(server.port, stored)


if __name__ == "__main__":
    main()
