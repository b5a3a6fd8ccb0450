"""Sends one mail through a mail server, and decides which failures are worth another attempt."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable, Iterable
from email.message import EmailMessage

TIMEOUT = 10.0
BACKOFF = (1.0, 10.0, 60.0)


class MailNotSent(Exception):
    """The mail server could not be reached, or put us off more often than we are willing to ask."""


class InvalidAddress(Exception):
    """The mail server will never take mail for this address."""


class Mailer:
    """A way to the mail server at `smtp`, a pair of host and port.

    `backoff` holds the seconds to wait before the second attempt, the third, and so on: its length
    is the number of attempts that follow the first one. `sleep` does the waiting.
    """

    def __init__(
        self,
        smtp: tuple[str, int],
        *,
        sender: str = "welcome@signup.example",
        backoff: Iterable[float] = BACKOFF,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.smtp = smtp
        self.sender = sender
        self.backoff = tuple(backoff)
        self._sleep = sleep

    def send(self, message: EmailMessage) -> None:
        """Send `message`; raise `InvalidAddress` or `MailNotSent` where that cannot be done."""
        for pause in (*self.backoff, None):
            try:
                self._attempt(message)
                return
            except (smtplib.SMTPException, OSError) as error:
                if _is_final(error):
                    raise InvalidAddress(f"{message['To']}: {error}") from error
                if pause is None:
                    raise MailNotSent(f"{message['To']}: {error}") from error
            self._sleep(pause)

    def _attempt(self, message: EmailMessage) -> None:
        host, port = self.smtp
        with smtplib.SMTP(host, port, local_hostname="signup.example", timeout=TIMEOUT) as client:
            client.send_message(message, from_addr=self.sender)


def _is_final(error: Exception) -> bool:
    """Whether the server answered 5xx (RFC 5321 4.2.1): asking again would not change its mind."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500
