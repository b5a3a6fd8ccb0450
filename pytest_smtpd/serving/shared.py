"""What the connections of one service share: its loop, callbacks, buffer, and who is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..policy.callbacks import Callbacks
from .loop import Loop, Timer
from .state import State

if TYPE_CHECKING:
    import ssl

READ_SIZE = 262_144  # octets of the one buffer for all reads


class Member(Protocol):
    """What a service may ask of a connection."""

    @property
    def asks_the_test(self) -> bool:
        """Whether a command waits for the test's own code."""

    @property
    def talks_until(self) -> float:
        """Until when the client is likely to say the next thing, on the real clock."""

    def wait_no_longer(self) -> None:
        """The call of the test's own code counts no more for `asks_the_test`."""

    def mind_silence(self, limit: float) -> float:
        """Ends a session that has been silent for `limit` seconds; the seconds it has left."""

    def end_if_held(self) -> None:
        """Ends the session if a fault keeps it waiting."""

    def shut_down(self) -> None:
        """Sends what is due, then 421, then closes."""

    def abort(self) -> None:
        """Closes at once."""


class Shared:
    """One for each service. Only the service's thread uses it."""

    def __init__(self, loop: Loop, state: State, context: ssl.SSLContext | None) -> None:
        self.loop = loop
        self.state = state
        self.ssl_context = context
        self.callbacks = Callbacks()
        self.buffer = memoryview(bytearray(READ_SIZE))
        self.connections: set[Member] = set()
        self.activity = 0  # grows with all that clients do
        self._timeout = 0.0  # seconds of silence that clients are watched for
        self._watch: Timer | None = None

    def add(self, connection: Member) -> None:
        self.connections.add(connection)
        if self._watch is None:
            self._watch_silence()
        else:
            self.mind_timeout()

    def mind_timeout(self) -> None:
        """Watches for another length of silence if the option has changed."""
        if self._timeout != self.state.timeout:
            self._watch_silence()

    def _watch_silence(self) -> None:
        # One timer for the connection that can be due first: a timer for each costs each 3 us
        if self._watch is not None:
            self._watch.cancel()
        self._timeout = self.state.timeout
        left = [each.mind_silence(self._timeout) for each in list(self.connections)]
        self._watch = self.loop.call_later(min(left), self._watch_silence) if left else None
