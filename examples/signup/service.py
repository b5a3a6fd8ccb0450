"""Who has signed up, who has confirmed, and the mail that asks for it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from signup.mailer import BACKOFF, Mailer

SITE = "https://signup.example"


@dataclass
class Pending:
    """A sign-up that waits to be confirmed, by the link or by the code."""

    address: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    code: str = field(default_factory=lambda: f"{secrets.randbelow(10**6):06}")

    @property
    def link(self) -> str:
        """The page that confirms the address when it is opened."""
        return f"{SITE}/confirm/{self.token}"


class SignUps:
    """All sign-ups of the site; its methods may be called from any thread."""

    def __init__(self, mailer: Mailer) -> None:
        self.mailer = mailer
        self.confirmed: set[str] = set()
        self._pending: dict[str, Pending] = {}
        self._lock = threading.Lock()

    def start(self, address: str) -> Pending:
        """Ask `address` for a confirmation; raises what `Mailer.send` raises."""
        pending = Pending(address)
        self.mailer.send(_mail(pending, self.mailer.sender, "Confirm your address"))
        with self._lock:
            self._pending[address] = pending
        return pending

    def remind(self, address: str) -> bool:
        """Ask once more, if `address` has not confirmed yet; say whether a mail went out."""
        with self._lock:
            pending = self._pending.get(address)
        if pending is None:
            return False
        self.mailer.send(_mail(pending, self.mailer.sender, "Reminder: confirm your address"))
        return True

    def open(self, link: str) -> bool:
        """What the web site does when `link` is opened."""
        return self._confirm(lambda pending: secrets.compare_digest(pending.link, link))

    def enter(self, address: str, code: str) -> bool:
        """What the web site does when somebody enters `code` for `address`."""
        return self._confirm(
            lambda pending: (
                pending.address == address and secrets.compare_digest(pending.code, code)
            )
        )

    def _confirm(self, fits: Callable[[Pending], bool]) -> bool:
        with self._lock:
            for address, pending in self._pending.items():
                if fits(pending):
                    del self._pending[address]
                    self.confirmed.add(address)
                    return True
        return False


def signup(address: str, *, smtp: tuple[str, int], backoff: Iterable[float] = BACKOFF) -> Pending:
    """Sign `address` up with the mail server at `smtp`, for those who need no more than that."""
    return SignUps(Mailer(smtp, backoff=backoff)).start(address)


def _mail(pending: Pending, sender: str, subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"Sign-up <{sender}>"
    message["To"] = pending.address
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="signup.example")
    message.set_content(
        f"Welcome!\n\nOpen {pending.link}\nor enter the code {pending.code} on our site.\n"
    )
    message.add_alternative(
        f'<p>Welcome!</p><p><a href="{pending.link}">Confirm your address</a>\n'
        f"or enter the code <b>{pending.code}</b> on our site.</p>\n",
        subtype="html",
    )
    return message
