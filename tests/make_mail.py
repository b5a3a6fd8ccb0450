"""Messages as a server would have stored them, for tests that need no server."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from pytest_smtpd.mailbox.mailbox import Mailbox
from pytest_smtpd.mailbox.store import Store
from pytest_smtpd.message.message import Envelope, Message


def make_message(
    subject: str | None = "Welcome",
    *,
    sender: str = "shop@example.com",
    to: str | tuple[str, ...] = "ann@example.com",
    text: str | None = "Hello Ann,\nglad you are here.\n",
    html: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    id: str = "4F3A",
) -> Message:
    content = EmailMessage(policy=SMTP)
    if subject is not None:
        content["Subject"] = subject
    for name, value in headers:
        content[name] = value
    if text is not None:
        content.set_content(text)
    if html is not None:
        if text is None:
            content.set_content(html, subtype="html")
        else:
            content.add_alternative(html, subtype="html")
    recipients = (to,) if isinstance(to, str) else to
    envelope = Envelope(
        mail_from=sender,
        rcpt_to=recipients,
        mail_parameters={},
        rcpt_parameters=tuple({} for _ in recipients),
    )
    return Message(content.as_bytes(), envelope, id=id, received_at=datetime.now(UTC), session=None)


class StoredMailbox(Mailbox):
    """A mailbox and its store: tests add messages to `store`, as a server does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.store = Store()
        super().__init__(self.store, *args, **kwargs)
