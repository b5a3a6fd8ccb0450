"""A test's view of a server: live, until the server serves the next test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..mailbox.mailbox import Mailbox
from ..mailbox.store import Store

if TYPE_CHECKING:
    from ..faults import Fault
    from ..lease import Lease
    from ..record import SessionRecord


class Facts(NamedTuple):
    """A server at one moment."""

    url: str | None  # None before the first start
    seed: str
    faults: list[tuple[Fault, int]]  # each with how often it has acted
    hide: Callable[[str], str]  # masks the passwords of the test


class Seen:
    """A server in a test: `name` is the name of the fixture."""

    def __init__(self, name: str, lease: Lease) -> None:
        server = lease.server
        self.name = name
        self.lease = lease
        self.messages: Mailbox = server.messages
        self.strays: Mailbox = server.strays
        self.sessions: Sequence[SessionRecord] = server.sessions
        self._kept: Facts | None = None

    @property
    def facts(self) -> Facts:
        if self._kept is not None:
            return self._kept
        lease = self.lease
        url = None if lease.endpoint is None else lease.endpoint.url
        faults = [(fault, lease.server.hits(fault)) for fault in lease.server.faults]
        return Facts(url, lease.seed, faults, lease.state.mask.hide)

    def keep(self) -> None:
        """Keep the present state, because the server forgets it now."""
        self._kept = self.facts
        self.messages = Mailbox(Store(self.messages), "messages")
        self.strays = Mailbox(Store(self.strays), "strays")
        self.sessions = list(self.sessions)

    @property
    def where(self) -> str:
        """The server's URL, or "not started"."""
        return self.facts.url or "not started"

    def hide(self, text: str) -> str:
        """The text with the passwords of this test masked."""
        return self.facts.hide(text)
