"""Holds idle connections and sends mails beside them, a connection each.

Prints {"held", "milliseconds", "milliseconds alone", "opening"}: medians; seconds to open them.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median

from ..process import allow_open_files
from .replay import Talk, content, stuffed, transact


def latency(port: int, mails: int) -> float:
    octets = stuffed(content("plain", 1024)) + b".\r\n"
    taken = []
    for _ in range(mails):
        start = time.perf_counter()
        talk = Talk(port)
        talk.send(b"EHLO client.example\r\n", b"250")
        transact(talk, octets, bdat=False)
        talk.close()
        taken.append(time.perf_counter() - start)
    return median(taken) * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--mails", type=int, required=True)
    options = parser.parse_args()
    # Each has a socket and its file
    held = min(options.connections, allow_open_files(options.connections + 100) - 100)
    alone = latency(options.port, options.mails)
    start = time.perf_counter()
    idle = []
    for _ in range(held):
        talk = Talk(options.port)
        talk.send(b"EHLO idle.example\r\n", b"250")
        idle.append(talk)
    opening = time.perf_counter() - start
    beside = latency(options.port, options.mails)
    print(
        json.dumps(
            {
                "held": len(idle),
                "milliseconds": beside,
                "milliseconds alone": alone,
                "opening": opening,
            }
        ),
        flush=True,
    )
    for talk in idle:
        talk.close()


if __name__ == "__main__":
    main()
