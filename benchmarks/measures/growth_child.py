"""Fills a mailbox level by level and times what a test does with it. Run by growth.py.

Prints {operation: {messages stored: microseconds}}, for each message where all are looked at.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median

from pytest_smtpd import Server

from ..clients.replay import Talk, content, stuffed, transact
from ..model import MissingPeer
from ..process import run, run_module
from ..servers.launch import find_tool
from .growth import OPERATIONS

MAILS = 500


def fill(port: int, messages: int) -> None:
    try:
        tool = find_tool("smtp-source")
    except MissingPeer:
        args = ("--port", str(port), "--messages", str(messages))
        run_module("benchmarks.clients.replay", *args)
        return
    options = ["-d", "-N", "-s", "5", "-S", "load", "-M", "client.example", "-l", "1024"]
    addresses = ["-f", "a@example.com", "-t", "b@example.net"]
    run([tool, *options, *addresses, "-m", str(messages), f"127.0.0.1:{port}"])


def timed(call: Callable[[], object], *, least: float = 0.02) -> float:
    """The median of calls in batches, in microseconds; at least so many seconds, or 5 batches."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    batch = max(1, int(least / 10 / max(once, 1e-8)))
    taken: list[float] = []
    while len(taken) < 5 or sum(taken) * batch < least:
        start = time.perf_counter()
        for _ in range(batch):
            call()
        taken.append((time.perf_counter() - start) / batch)
    return median(taken) * 1e6


def mean(call: Callable[[], object], calls: int) -> float:
    """Of calls that cannot be repeated at will, in microseconds: what comes now and then counts."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls * 1e6


def main() -> None:
    costs: dict[str, dict[int, float]] = {operation: {} for operation in OPERATIONS}
    octets = stuffed(content("plain", 1024)) + b".\r\n"
    with Server() as server:
        messages = server.messages
        talk = Talk(server.port)
        talk.send(b"EHLO client.example\r\n", b"250")

        def send() -> None:
            transact(talk, octets, bdat=False)

        def send_expected() -> None:
            with messages.expect(sender="a@example.com"):
                send()

        def unread() -> None:
            messages.matching(subject="nothing*")

        send()
        unread()  # loads what reads mail
        for level in map(int, sys.argv[1:]):
            server.clear()
            mails = min(MAILS, max(10, level // 2))  # so few that the level is still the same
            fill(server.port, level)
            if len(messages) != level:
                raise SystemExit(f"{len(messages)} messages of {level}")
            found = {
                # Parses the headers of each message
                "matching(subject), the first time": mean(unread, 1),
                "matching(subject)": timed(lambda: messages.matching(subject="nothing*")),
                "matching(sender)": timed(lambda: messages.matching(sender="nobody@*")),
                "wait": timed(lambda: messages.wait(sender="a@*")),
                "messages[-1]": timed(lambda: messages[-1]),
                "receive": mean(send, mails),
                "expect": mean(send_expected, mails),
            }
            for operation, cost in found.items():
                costs[operation][level] = cost / level if OPERATIONS[operation] else cost
        talk.close()
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
