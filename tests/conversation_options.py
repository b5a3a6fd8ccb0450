"""What stands for something else in a conversation's TOML: octets, patterns, callbacks, faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def octets(text: str) -> bytes:
    r"""The octets that `text` stands for: `\r \n \t \0 \\ \xNN`, all else in UTF-8."""

    def plain(match: re.Match[str]) -> bytes:
        escape = match.group(1)
        if escape is None:
            return match.group().encode()
        if escape.startswith("x"):
            return bytes.fromhex(escape[1:])
        return _ESCAPES[escape]

    parts = re.finditer(r"\\(x[0-9a-fA-F]{2}|[rnt0\\])|[^\\]+|\\", text)
    decoded = []
    for part in parts:
        if part.group() == "\\":
            raise ValueError(f"a backslash that starts no escape in {text!r}")
        decoded.append(plain(part))
    return b"".join(decoded)


def live_option(name: str, value: Any) -> Any:
    """The value of an option of `Server`, with objects of its own at each call."""
    if name == "faults":
        return [_fault(entry) for entry in value]
    return _live(value)


def _fault(entry: Mapping[str, Any]) -> Any:
    from pytest_smtpd import faults

    keywords = {key: _live(value) for key, value in entry.items() if key != "fault"}
    if isinstance(keywords.get("data"), str):
        keywords["data"] = octets(keywords["data"])
    name = {"Reply": "Answer"}.get(entry["fault"], entry["fault"])  # the conversations say Reply
    return getattr(faults, name)(**keywords)


def _live(value: Any) -> Any:
    """A value of an option, with the tables that stand for objects made into these."""
    if isinstance(value, list):
        return [_live(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "none" in value:
        return None
    if "regex" in value:
        return re.compile(value["regex"])
    if "true_for" in value:
        return _matcher(value["true_for"])
    if "raises" in value:
        return _callback(value, lambda: RuntimeError(value["raises"]))
    if "rejects" in value:
        return _callback(value, lambda: _reject(value["rejects"]))
    if "returns" in value:
        return lambda *arguments: None
    return {key: _live(item) for key, item in value.items()}


def _reject(reply: Any) -> Exception:
    from pytest_smtpd import Reject

    return Reject() if reply is True else Reject(reply)


def _callback(table: Mapping[str, Any], error: Callable[[], Exception]) -> Callable[..., Any]:
    matches = _matcher(table.get("match", "*"))

    def call(first: object, *rest: object) -> None:
        # deliver_mime is given the message; its sender is what the glob is about.
        if matches(str(getattr(first, "sender", first))):
            raise error()

    async def call_async(first: object, *rest: object) -> None:
        call(first, *rest)

    return call_async if table.get("async") else call


def _matcher(glob: str) -> Callable[[str], bool]:
    words = {"*": ".*", "?": "."}
    pattern = "".join(words.get(char, re.escape(char)) for char in glob)
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None
