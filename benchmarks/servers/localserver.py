"""The server of pytest-localserver's fixture. It keeps parsed messages: only a count is checked."""

from __future__ import annotations

from pytest_localserver.smtp import Server  # type: ignore[import-untyped]

from . import control


def main() -> None:
    control.wanted()
    server = Server("127.0.0.1")
    server.start()
    kept = server.outbox
    stored = control.Stored(count=lambda: len(kept), clear=kept.clear, octets=None)
    control.serve(server.addr[1], stored)
    server.stop()


if __name__ == "__main__":
    main()
