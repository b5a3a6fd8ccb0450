"""A client that costs next to nothing: it sends octets prepared before the clock starts.

Prints {"seconds": ..., "sha256": ...}: of the whole load, and of the content of a message.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import ssl
import time

HEADER = b"From: <a@example.com>\r\nTo: <b@example.net>\r\nSubject: replay\r\n\r\n"
# The lines of a body as they are in the message; "dots" has a dot alone on every line.
LINES = {
    "plain": b"x" * 70 + b"\r\n",
    "dots": b".\r\n",
    "short": b"x\r\n",
}


def content(shape: str, octets: int) -> bytes:
    """A message of at least so many octets on the wire."""
    line = LINES[shape]
    return HEADER + line * -(-octets // len(stuffed(line)))


def stuffed(message: bytes) -> bytes:
    """RFC 5321 section 4.5.2. No message here begins with a dot, but a line may."""
    doubled = message.replace(b"\r\n.", b"\r\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled


class Talk:
    """A connection that waits for each reply."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.reply(b"220")

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.send(b"EHLO client.example\r\n", b"250")
        self.send(b"STARTTLS\r\n", b"220")
        self._file.close()
        self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self._file = self._socket.makefile("rb")

    def reply(self, wanted: bytes) -> None:
        while True:
            line = self._file.readline()
            if not line.startswith(wanted):
                raise SystemExit(f"expected {wanted!r}, got {line!r}")
            if line[3:4] != b"-":
                return

    def send(self, octets: bytes, wanted: bytes) -> None:
        self._socket.sendall(octets)
        self.reply(wanted)

    def close(self) -> None:
        self.send(b"QUIT\r\n", b"221")
        self._file.close()
        self._socket.close()


def transact(talk: Talk, octets: bytes, bdat: bool) -> None:
    """One message; `octets` are all that follows 354, or BDAT with its command."""
    talk.send(b"MAIL FROM:<a@example.com>\r\n", b"250")
    talk.send(b"RCPT TO:<b@example.net>\r\n", b"250")
    if not bdat:
        talk.send(b"DATA\r\n", b"354")
    talk.send(octets, b"250")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--messages", type=int, default=1)
    parser.add_argument("--octets", type=int, default=1024)
    parser.add_argument("--shape", choices=sorted(LINES), default="plain")
    parser.add_argument("--bdat", action="store_true")
    parser.add_argument("--trust", help="STARTTLS, and whom to trust")
    options = parser.parse_args()
    message = content(options.shape, options.octets)
    if options.bdat:
        octets = b"BDAT %d LAST\r\n" % len(message) + message
    else:
        octets = stuffed(message) + b".\r\n"
    context = ssl.create_default_context(cafile=options.trust) if options.trust else None
    start = time.perf_counter()
    talk = Talk(options.port)
    if context is not None:
        talk.start_tls(context)
    talk.send(b"EHLO client.example\r\n", b"250")
    for _ in range(options.messages):
        transact(talk, octets, options.bdat)
    talk.close()
    seconds = time.perf_counter() - start
    digest = hashlib.sha256(message).hexdigest()
    print(json.dumps({"seconds": seconds, "sha256": digest, "octets": len(octets)}))


if __name__ == "__main__":
    main()
