"""The AUTH exchange between a session and a SASL mechanism (RFC 4954 section 4).

It handles base64, the cancelling ``*`` and the replies; the mechanisms read the octets.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass

from .. import replies
from ..replies import Reply, fill
from .base import Challenge, Failure, Success, Users
from .mechanisms import MECHANISMS


def decode_initial(text: bytes) -> bytes | None:
    """The initial response of an AUTH command: None without one; ``=`` is an empty response.

    Raises ValueError for anything that is not base64.
    """
    return None if not text else b"" if text == b"=" else b64decode(text, validate=True)


@dataclass(frozen=True, slots=True)
class Turn:
    """The server's next line; the exchange is over unless `more` is expected."""

    reply: Reply
    more: bool = False
    user: str | None = None


class AuthExchange:
    """One AUTH command from its first line to its last.

    An `outcome` replaces the last reply of the exchange, whatever the credentials.
    """

    def __init__(
        self, mechanism: str, users: Users, hostname: str, outcome: Reply | None = None
    ) -> None:
        kind = MECHANISMS[mechanism]
        self.cleartext = kind.cleartext
        self._mechanism = kind(users, hostname=hostname)
        self._outcome = outcome

    def start(self, initial: bytes | None) -> Turn:
        """Answers the AUTH command with this decoded initial response."""
        return self._turn(self._mechanism.start(initial))

    def respond(self, line: bytes) -> Turn:
        if line == b"*":
            return Turn(replies.AUTH_CANCELLED)
        try:
            data = b64decode(line, validate=True)
        except ValueError:
            return Turn(replies.BAD_BASE64)
        return self._turn(self._mechanism.respond(data))

    def _turn(self, step: Challenge | Success | Failure) -> Turn:
        if isinstance(step, Challenge):
            text = b64encode(step.data).decode("ascii")
            return Turn(fill(replies.CHALLENGE, challenge=text), more=True)
        if isinstance(step, Success):
            return Turn(self._outcome or replies.AUTHENTICATED, user=step.user)
        if self._outcome is not None:
            return Turn(self._outcome, user="")
        return Turn(replies.AUTH_SYNTAX if step.malformed else replies.BAD_CREDENTIALS)
