"""Compares how mail is read here, by mailparser and by postal-mime.

It prints each difference that `known.toml` does not explain, and ends with 1 where there is one.
docs/differential.md says how to run it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_smtpd import Envelope, Message

HERE = Path(__file__).parent
FIELDS = ("subject", "text", "html", "addresses", "attachments", "links")


def read(octets: bytes) -> dict[str, Any]:
    """A mail in the terms of parsers.mjs."""
    message = Message(octets, Envelope("", ()), id="", received_at=datetime.now(UTC))
    headers = [message[name] for name in ("From", "To", "Cc")]
    return {
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "addresses": [
            address.addr_spec
            for header in headers
            for address in getattr(header, "addresses", ())
            if address.addr_spec
        ],
        "attachments": [
            {
                "filename": each.filename,
                "type": each.content_type,
                "octets": len(each.content),
                "digest": hashlib.sha256(each.content).hexdigest()[:16],
            }
            for each in message.attachments
        ],
        "links": [link for link in message.links if link.lower().startswith("http")],
    }


def others(files: list[Path]) -> Iterator[dict[str, Any]]:
    """What the two parsers make of each file."""
    run = subprocess.run(
        ["node", str(HERE / "parsers.mjs")],
        input="".join(f"{file}\n" for file in files),
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return map(json.loads, run.stdout.splitlines())


def same(field: str, ours: Any, theirs: Any) -> bool:
    """Whether two values mean the same to a test."""
    if field in ("text", "html"):
        # one parser drops final line ends, the other adds one behind each part
        return (ours or "").rstrip() == (theirs or "").rstrip()
    if field == "attachments":
        keys = ("filename", "digest")
        return [[each[key] for key in keys] for each in ours] == [
            [each[key] for key in keys] for each in theirs
        ]
    return bool(ours == theirs)


def differences(file: Path, found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    ours = read(file.read_bytes())
    for parser in ("mailparser", "postal-mime"):
        theirs = found[parser]
        if "error" in theirs:
            yield parser, "error", theirs["error"]
            continue
        for field in FIELDS:
            if not same(field, ours[field], theirs[field]):
                yield parser, field, f"ours {ours[field]!r}\n        theirs {theirs[field]!r}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/differential", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", help="where .eml files are")
    parser.add_argument("--all", action="store_true", help="show those that are explained, too")
    options = parser.parse_args()
    files = sorted({file.absolute() for each in options.folder for file in each.rglob("*.eml")})
    known = tomllib.loads((HERE / "known.toml").read_text("utf-8"))
    unexplained = explained = 0
    for file, found in zip(files, others(files), strict=True):
        reasons = known.get(file.name, {})
        for parser_name, field, text in differences(file, found):
            reason = reasons.get(f"{parser_name}-{field}") or reasons.get(field)
            explained, unexplained = explained + bool(reason), unexplained + (not reason)
            if options.all or not reason:
                print(f"{file.name}: {field} by {parser_name}: {reason or 'not explained'}")
                print(f"        {text}")
    print(f"{len(files)} mails: {unexplained} differences, and {explained} that are explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
