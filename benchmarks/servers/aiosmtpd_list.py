"""aiosmtpd with a handler that keeps each envelope in a list: the least that stores mail."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from . import control


class Keep:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 OK"

    def octets(self, number: int) -> bytes:
        content = self.envelopes[number].original_content
        assert content is not None
        return content


def context(certificate: str) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(certificate)
    return made


def main() -> None:
    wanted = control.wanted()
    options: dict[str, Any] = {}
    if wanted.certificate is not None:
        options["tls_context"] = context(str(wanted.certificate))
    handler = Keep()
    controller = Controller(handler, hostname="127.0.0.1", port=0, data_size_limit=0, **options)
    # Port 0 is taken literally by the probe with which `start` makes sure that the server runs.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        controller.port = probe.getsockname()[1]
    controller.start()
    stored = control.Stored(
        count=lambda: len(handler.envelopes),
        clear=handler.envelopes.clear,
        octets=handler.octets,
    )
    control.serve(controller.port, stored)
    controller.stop(no_assert=True)


if __name__ == "__main__":
    main()
