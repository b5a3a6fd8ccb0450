"""Mail and servers' mailboxes for the tests of the report, without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

from make_mail import StoredMailbox
from pytest_smtpd.lease import Lease
from pytest_smtpd.message.message import Envelope, Message
from pytest_smtpd.options import Options
from pytest_smtpd.plugin.seen import Seen
from pytest_smtpd.record import SessionJournal, SessionRecord
from pytest_smtpd.report.collect import Phases

ONE_PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\x00\x00\x00\x00\x00!\xf9\x04\x00\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


def stored(
    raw: bytes,
    *,
    sender: str = "shop@example.com",
    to: tuple[str, ...] = ("ann@example.com",),
    id: str = "4F3A0001",
    session: SessionRecord | None = None,
) -> Message:
    envelope = Envelope(sender, to, {"SIZE": str(len(raw))}, tuple({} for _ in to))
    return Message(raw, envelope, id=id, received_at=datetime.now(UTC), session=session)


def written(
    html: str | None = None,
    text: str | None = "Hello Ann\n",
    subject: str = "Welcome",
    attachments: tuple[tuple[str, str, bytes], ...] = (),
    inline: tuple[tuple[str, str, bytes], ...] = (),
) -> bytes:
    """The octets of a mail; attachments are (file name, type, content), inline ones (cid, ...)."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = subject
    mail["From"] = "shop@example.com"
    mail["To"] = "ann@example.com"
    if text is not None:
        mail.set_content(text)
    if html is not None:
        if text is None:
            mail.set_content(html, subtype="html")
            body = mail
        else:
            mail.add_alternative(html, subtype="html")
            body = mail.get_payload()[1]  # type: ignore[assignment, index]
        for cid, kind, content in inline:
            maintype, _, subtype = kind.partition("/")
            body.add_related(content, maintype, subtype, cid=f"<{cid}>")
    for name, kind, content in attachments:
        maintype, _, subtype = kind.partition("/")
        mail.add_attachment(content, maintype, subtype, filename=name)
    return mail.as_bytes()


def session_of(*lines: str) -> SessionRecord:
    """A session with these lines, each with ``C: `` or ``S: `` in front."""
    session = SessionJournal(("127.0.0.1", 40001))
    for line in lines:
        who, _, text = line.partition(": ")
        if who == "C":
            session.client(text.encode())
        else:
            session.server(f"{text}\r\n".encode())
    return session


def seen_server(
    *messages: Message,
    sessions: tuple[SessionRecord, ...] = (),
    strays: tuple[Message, ...] = (),
    name: str = "smtpd",
    lease: Lease | None = None,
) -> Seen:
    """A server with this mail, as a test sees it."""
    seen = Seen(name, lease or Lease(Options()))
    seen.messages, seen.strays = StoredMailbox(), StoredMailbox("strays")
    for message in messages:
        seen.messages.store.add(message)
    for message in strays:
        seen.strays.store.add(message)
    seen.sessions = list(sessions)
    return seen


def came_to(outcome: str, failure: str = "") -> Phases:
    return Phases(outcome, 0.25, failure)
