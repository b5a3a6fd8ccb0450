"""The side of a server process that talks with the harness, over standard input and output.

Rule: nothing here runs while a load does; the thread waits for the next question.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..process import allow_open_files


@dataclass
class Wanted:
    """What the harness asks of a server."""

    certificate: Path | None  # PEM with the key; offers STARTTLS


@dataclass
class Stored:
    """How the harness sees what a server has stored. `octets` gives those of one message."""

    count: Callable[[], int]
    clear: Callable[[], None]
    octets: Callable[[int], bytes | bytearray] | None


def wanted(argv: Sequence[str] | None = None) -> Wanted:
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", type=Path)
    allow_open_files(8192)
    return Wanted(**vars(parser.parse_args(argv)))


def _say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)


def serve(port: int, stored: Stored) -> None:
    """Answers the harness until its end closes."""
    _say(port=port)
    for line in sys.stdin:
        match line.strip():
            case "count":
                _say(count=stored.count())
            case "sizes" if stored.octets is not None:
                sizes = [len(stored.octets(n)) for n in range(stored.count())]
                last = hashlib.sha256(stored.octets(len(sizes) - 1)).hexdigest() if sizes else ""
                _say(smallest=min(sizes, default=0), largest=max(sizes, default=0), sha256=last)
            case "clear":
                stored.clear()
                gc.collect()
                _say(count=stored.count())
            case _:
                _say(unknown=True)
