"""The server's side of a SASL mechanism: takes decoded octets, returns the next step.

Rule: a mechanism does not handle base64, reply codes or the cancelling ``*`` (RFC 4954). No input
of a client raises, and no ``repr`` shows a secret.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from .sasl import same, saslprep

Users: TypeAlias = Mapping[str, str] | Literal["any"]
"""User names with their passwords (tokens for the OAuth mechanisms), or any credentials."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The exchange continues: send `data`, and pass the client's answer to `Mechanism.respond`."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Success:
    """Authenticated as `user`: the name as configured.

    It is ``""`` only for an OAUTHBEARER client that names no user, if any credentials are accepted.
    """

    user: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Not authenticated: wrong credentials, or a message outside the mechanism's grammar."""

    malformed: bool = False


Step: TypeAlias = Challenge | Success | Failure

REFUSED = Failure()
MALFORMED = Failure(malformed=True)


def make_nonce() -> str:
    return os.urandom(18).hex()


class Mechanism(ABC):
    """One exchange of one mechanism: `start` once, then `respond` until no `Challenge` comes.

    `users` is read when the credentials are complete. `hostname` is the server's name, for the
    CRAM-MD5 challenge. `nonce` makes the server's nonces: printable ASCII without a comma.
    """

    name: ClassVar[str]
    cleartext: ClassVar[bool]
    """Whether the client sends the password or token itself."""
    needs_password: ClassVar[bool] = False
    """Whether the server must know the password, so it cannot accept any credentials."""

    def __init__(
        self, users: Users, *, hostname: str, nonce: Callable[[], str] = make_nonce
    ) -> None:
        self._users = users
        self._hostname = hostname
        self._nonce = nonce
        self._next: Callable[[bytes], Step] = self._over

    def start(self, initial: bytes | None) -> Step:
        """Begins with the decoded initial response, None if AUTH had none.

        An initial response is malformed if the mechanism takes none (RFC 4954 section 4).
        """
        return self._ask(b"", self._first) if initial is None else self._first(initial)

    def respond(self, data: bytes) -> Step:
        """Reads the decoded answer to the last challenge. Any answer after the end is malformed."""
        step, self._next = self._next, self._over
        return step(data)

    @abstractmethod
    def _first(self, data: bytes) -> Step:
        """Reads the client's first message."""

    def _over(self, data: bytes) -> Step:
        return MALFORMED

    def _ask(self, data: bytes, then: Callable[[bytes], Step]) -> Challenge:
        self._next = then
        return Challenge(data)

    def _find(self, name: str) -> tuple[str, str] | None:
        """The configured user of this name, with its password."""
        if isinstance(self._users, str):
            return None
        if name in self._users:
            return name, self._users[name]
        # A client sends the prepared name; the test may have configured another form of it
        prepared = saslprep(name)
        if prepared:
            for known, password in self._users.items():
                if saslprep(known) == prepared:
                    return known, password
        return None

    def _check(self, user: str, password: str) -> Success | Failure:
        # RFC 4616 section 2: an empty name is never valid
        if not user:
            return REFUSED
        if self._users == "any":
            return Success(user)
        found = self._find(user)
        if found is None or not same(password, found[1]):
            return REFUSED
        return Success(found[0])
