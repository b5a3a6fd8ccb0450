"""smtplib sends messages, over one connection or over one for each. Prints {"seconds": ...}."""

from __future__ import annotations

import argparse
import hashlib
import json
import smtplib
import ssl
import time

from .replay import content


def connect(port: int, context: ssl.SSLContext | None) -> smtplib.SMTP:
    # The host by name for the certificate, the client's own name without a look-up
    client = smtplib.SMTP(local_hostname="client.example", timeout=120)
    client._host = "localhost"  # type: ignore[attr-defined]
    client.connect("127.0.0.1", port)
    if context is not None:
        client.starttls(context=context)
    return client


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--messages", type=int, default=1)
    parser.add_argument("--octets", type=int, default=1024)
    parser.add_argument("--new", action="store_true", help="a connection for each message")
    parser.add_argument("--trust", help="STARTTLS, and whom to trust")
    options = parser.parse_args()
    message = content("plain", options.octets)
    context = None
    if options.trust:
        context = ssl.create_default_context(cafile=options.trust)
    start = time.perf_counter()
    if options.new:
        for _ in range(options.messages):
            with connect(options.port, context) as client:
                client.sendmail("a@example.com", ["b@example.net"], message)
    else:
        with connect(options.port, context) as client:
            for _ in range(options.messages):
                client.sendmail("a@example.com", ["b@example.net"], message)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "sha256": hashlib.sha256(message).hexdigest()}))


if __name__ == "__main__":
    main()
