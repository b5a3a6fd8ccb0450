"""Shows a message in a terminal: envelope, headers, bodies, attachments.

Rule: a message cannot act on the terminal. Control characters are escaped, long texts are
truncated, and a sender's text is indented, so that it cannot look like a line of this program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..text import counted, cut, escaped, shortened

if TYPE_CHECKING:
    from ..message.message import Attachment, Message

_Item = TypeVar("_Item")

MAX_LINES = 60  # of a body
MAX_LENGTH = 500  # characters of a line
MAX_ITEMS = 50  # recipients, headers, attachments, links


def safe(text: str) -> str:
    """Escapes what could act on a terminal, and shortens a long text."""
    return escaped(cut(text, MAX_LENGTH), keep="\t")


def show(message: Message, number: int) -> list[str]:
    """The lines for a message; `number` counts the messages that arrived."""
    lines = [f"message {number}: {safe(message.id)}{_session(message)}"]
    for section in (_envelope, _headers, _bodies, _attachments):
        lines += [f"  {line}" if line else "" for line in section(message)]
    return lines


def _session(message: Message) -> str:
    session = message.session
    if session is None:
        return ""
    facts = []
    if session.peer[0]:
        facts.append(f"from {session.peer[0]}")
    if session.tls is not None:
        facts.append(session.tls.version)
    if session.user is not None:
        facts.append(f"user {safe(session.user)}")
    return "".join(f", {fact}" for fact in facts)


def _envelope(message: Message) -> Iterator[str]:
    yield f"MAIL FROM:<{safe(message.sender)}>"
    yield from _first(message.recipients, lambda recipient: f"RCPT TO:<{safe(recipient)}>")


def _headers(message: Message) -> Iterator[str]:
    def decoded(header: tuple[str, Any]) -> str:
        name, value = header
        return f"  {safe(name)}: {safe(str(message.policy.header_fetch_parse(name, value)))}"

    yield ""
    yield from _first(list(message.raw_items()), decoded)


def _bodies(message: Message) -> Iterator[str]:
    text, html = message.text, message.html
    if text is not None:
        yield from ("", *_body(text))
    if html is not None and text is not None:
        yield from ("", f"and an HTML body of {counted(len(html), 'character')}")
    elif html is not None:
        from ..mime.html import read_page

        yield from ("", "the HTML body as text:", *_body(read_page(html).text))
        links = message.links
        if links:
            yield from ("", "links:", *_first(links, lambda link: f"  {safe(link)}"))


def _body(text: str) -> list[str]:
    lines = text.rstrip("\n").split("\n")
    return [f"  {safe(line)}" for line in shortened(lines, MAX_LINES)]


def _attachments(message: Message) -> Iterator[str]:
    attachments = message.attachments
    if attachments:
        yield from ("", "attachments:", *_first(attachments, _attachment))


def _attachment(attachment: Attachment) -> str:
    name = "(no name)" if attachment.filename is None else safe(attachment.filename)
    inline = ", inline" if attachment.inline else ""
    size = counted(len(attachment.content), "octet")
    return f"  {name}  {safe(attachment.content_type)}, {size}{inline}"


def _first(items: Sequence[_Item], line: Callable[[_Item], str]) -> Iterator[str]:
    """One line for each of the first `MAX_ITEMS` items, then a line that counts the others."""
    yield from map(line, items[:MAX_ITEMS])
    if len(items) > MAX_ITEMS:
        yield f"  ... {len(items) - MAX_ITEMS} more ..."
