"""What a test sees of a server: live, until the server goes on to the next test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..mailbox.mailbox import Mailbox
from ..mailbox.store import Store

if TYPE_CHECKING:
    from ..faults import Fault
    from ..record import Mask, SessionRecord
    from ..server import Server


class Facts(NamedTuple):
    """A server at one moment."""

    url: str | None  # None before the first start
    seed: str
    faults: list[tuple[Fault, int]]  # each with how often it has acted


class Seen:
    """A server in a test: `name` is that of the fixture.

    `mask` returns the passwords of the running test, and `seed` its seed.
    """

    def __init__(
        self, name: str, server: Server, mask: Callable[[], Mask], seed: Callable[[], str]
    ) -> None:
        self.name = name
        self.server = server
        self.messages: Mailbox = server.messages
        self.strays: Mailbox = server.strays
        self.sessions: Sequence[SessionRecord] = server.sessions
        self._mask = mask
        self._seed = seed
        self._kept: Facts | None = None

    @property
    def facts(self) -> Facts:
        if self._kept is not None:
            return self._kept
        try:
            url = self.server.url
        except RuntimeError:
            url = None
        faults = [(fault, self.server.hits(fault)) for fault in self.server.faults]
        return Facts(url, self._seed(), faults)

    def keep(self) -> None:
        """Keep the present state, because the server forgets it now."""
        self._kept = self.facts
        mask = self._mask()
        self._mask = lambda: mask
        self.messages = Mailbox(Store(self.messages), "messages")
        self.strays = Mailbox(Store(self.strays), "strays")
        self.sessions = list(self.sessions)

    @property
    def where(self) -> str:
        """The server's URL, or "not started"."""
        return self.facts.url or "not started"

    def hide(self, text: str) -> str:
        """The text with the passwords of this test masked."""
        return self._mask().hide(text)
