"""Reminds people in the background, so that no request has to wait for a mail server."""

from __future__ import annotations

import queue
import threading
from types import TracebackType

from signup.mailer import InvalidAddress, MailNotSent
from signup.service import SignUps


class Reminder:
    """A thread that reminds whom `remind()` names; a context manager that ends it.

    A mail that cannot be sent is kept in `failures`: it must not end the thread.
    """

    def __init__(self, signups: SignUps) -> None:
        self.failures: list[Exception] = []
        self._signups = signups
        self._addresses: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reminder")

    def __enter__(self) -> Reminder:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._addresses.put(None)
        self._thread.join()

    def remind(self, address: str) -> None:
        """Remind `address` soon; returns at once."""
        self._addresses.put(address)

    def _run(self) -> None:
        while (address := self._addresses.get()) is not None:
            try:
                self._signups.remind(address)
            except (InvalidAddress, MailNotSent) as error:
                self.failures.append(error)
