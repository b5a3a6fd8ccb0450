"""The SASL mechanisms, server side: decoded octets in, the next step out.

The rule: nothing here knows base64 on the wire, reply codes or the cancelling ``*`` (RFC 4954);
no octet a client can send raises, and no secret is in a ``repr``.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from .sasl import (
    SCRAM_ITERATIONS,
    b64,
    bearer_token,
    decoded,
    encoded,
    equal,
    gs2_header,
    hmac_sha256,
    key_values,
    prepared,
    salted_password,
    same,
    sasl_name,
    saslprep,
    sha256,
    unb64,
)

Users: TypeAlias = Mapping[str, str] | Literal["any"]
"""User names and their passwords (tokens, for the OAuth mechanisms), or any credentials at all."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The exchange goes on: send `data` and hand the answer to `Mechanism.respond`."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Success:
    """Authenticated as `user`: the name as configured.

    It is ``""`` only for an OAUTHBEARER client that names no user where any credentials do.
    """

    user: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Not authenticated: wrong credentials, or a message outside the mechanism's grammar."""

    malformed: bool = False


Step: TypeAlias = Challenge | Success | Failure

_REFUSED = Failure()
_MALFORMED = Failure(malformed=True)


def _make_nonce() -> str:
    return os.urandom(18).hex()


class Mechanism(ABC):
    """One exchange of one mechanism: `start` once, then `respond` until no `Challenge` comes.

    `users` is asked when the credentials are complete. `hostname` is the server's name (in the
    CRAM-MD5 challenge), `nonce` makes the server's nonces: printable ASCII without a comma.
    """

    name: ClassVar[str]
    cleartext: ClassVar[bool]
    """Whether the password or token itself crosses the wire."""
    client_first: ClassVar[bool]
    """Whether the client speaks first (RFC 4422 section 5)."""
    needs_password: ClassVar[bool] = False
    """Whether the server must know the password, so that accepting any is impossible."""

    def __init__(
        self, users: Users, *, hostname: str, nonce: Callable[[], str] = _make_nonce
    ) -> None:
        self._users = users
        self._hostname = hostname
        self._nonce = nonce
        self._next: Callable[[bytes], Step] = self._over

    def start(self, initial: bytes | None) -> Step:
        """Begin, with the decoded initial response or None where AUTH had none.

        An initial response that the mechanism has no use for is malformed (RFC 4954 section 4).
        """
        return self._ask(b"", self._first) if initial is None else self._first(initial)

    def respond(self, data: bytes) -> Step:
        """Take the decoded answer to the last challenge. After the end it is malformed."""
        step, self._next = self._next, self._over
        return step(data)

    @abstractmethod
    def _first(self, data: bytes) -> Step:
        """The first message of the client."""

    def _over(self, data: bytes) -> Step:
        return _MALFORMED

    def _ask(self, data: bytes, then: Callable[[bytes], Step]) -> Challenge:
        self._next = then
        return Challenge(data)

    def _find(self, name: str) -> tuple[str, str] | None:
        """The configured user of that name and its password."""
        if isinstance(self._users, str):
            return None
        if name in self._users:
            return name, self._users[name]
        # A client sends the prepared name, the test may have configured another form of it.
        prepared = saslprep(name)
        if prepared:
            for known, password in self._users.items():
                if saslprep(known) == prepared:
                    return known, password
        return None

    def _check(self, user: str, password: str) -> Success | Failure:
        # RFC 4616 section 2: an empty name never verifies.
        if not user:
            return _REFUSED
        if self._users == "any":
            return Success(user)
        found = self._find(user)
        if found is None or not same(password, found[1]):
            return _REFUSED
        return Success(found[0])


class Plain(Mechanism):
    """RFC 4616."""

    name = "PLAIN"
    cleartext = True
    client_first = True

    def _first(self, data: bytes) -> Step:
        text = decoded(data)
        if text is None or text.count("\0") != 2:
            return _MALFORMED
        authzid, authcid, password = text.split("\0")
        if authzid not in ("", authcid):
            return _REFUSED
        return self._check(authcid, password)


class Login(Mechanism):
    """draft-murchison-sasl-login, with the prompts every client knows.

    An initial response is taken as the user name: Python's smtplib and .NET send one.
    """

    name = "LOGIN"
    cleartext = True
    client_first = False
    _user = ""

    def start(self, initial: bytes | None) -> Step:
        return self._ask(b"Username:", self._first) if initial is None else self._first(initial)

    def _first(self, data: bytes) -> Step:
        user = decoded(data)
        if user is None:
            return _MALFORMED
        self._user = user
        return self._ask(b"Password:", self._password)

    def _password(self, data: bytes) -> Step:
        password = decoded(data)
        return _MALFORMED if password is None else self._check(self._user, password)


class CramMD5(Mechanism):
    """RFC 2195. The digest is taken in upper case too, as Dovecot does."""

    name = "CRAM-MD5"
    cleartext = False
    client_first = False
    _challenge = b""

    def start(self, initial: bytes | None) -> Step:
        if initial is not None:
            return _MALFORMED
        self._challenge = encoded(f"<{self._nonce()}@{self._hostname}>")
        return self._ask(self._challenge, self._first)

    def _first(self, data: bytes) -> Step:
        # A user name may hold spaces, a digest never does.
        name, space, digest = data.rpartition(b" ")
        user = decoded(name)
        if not space or user is None or not re.fullmatch(rb"[0-9A-Fa-f]{32}", digest):
            return _MALFORMED
        if not user:
            return _REFUSED
        if self._users == "any":
            return Success(user)
        found = self._find(user)
        if found is None:
            return _REFUSED
        sent = bytes.fromhex(digest.decode("ascii"))
        # RFC 2195 knows no preparation, draft-ietf-sasl-crammd5 asks for it: clients do either.
        right = any(equal(sent, self._digest(key)) for key in {found[1], prepared(found[1])})
        return Success(found[0]) if right else _REFUSED

    def _digest(self, password: str) -> bytes:

        # usedforsecurity=False, or the mechanism is missing on a machine in FIPS mode.
        md5 = functools.partial(hashlib.md5, usedforsecurity=False)
        return hmac.new(encoded(password), self._challenge, md5).digest()


# The salts of a run: a user keeps one, so that the derived key can be kept, and one that does
# not exist has one as well, so that nobody learns which users do (RFC 5802 section 9).
_SALT_KEY = os.urandom(32)


def _make_salt(user: str) -> bytes:
    return hmac_sha256(_SALT_KEY, encoded(user))[:16]


class ScramSHA256(Mechanism):
    """RFC 5802 with the hash of RFC 7677, without channel binding and without server errors.

    `salt` gives the salt of a user.
    """

    name = "SCRAM-SHA-256"
    cleartext = False
    client_first = True
    needs_password = True

    # RFC 5802 section 7: username "," nonce ["," extensions].
    _CLIENT_FIRST: ClassVar[re.Pattern[str]] = re.compile(
        r"n=(?P<user>[^,]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*"
    )
    # channel-binding "," nonce ["," extensions] "," proof.
    _CLIENT_FINAL: ClassVar[re.Pattern[str]] = re.compile(
        r"(?P<unproven>c=(?P<binding>[^,]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*)"
        r",p=(?P<proof>[^,]+)"
    )

    def __init__(
        self,
        users: Users,
        *,
        hostname: str,
        nonce: Callable[[], str] = _make_nonce,
        salt: Callable[[str], bytes] = _make_salt,
    ) -> None:
        super().__init__(users, hostname=hostname, nonce=nonce)
        self._salt_of = salt
        self._header = self._bare = self._server_first = self._full_nonce = self._user = ""
        self._salt = b""
        self._known_password: str | None = None

    def _first(self, data: bytes) -> Step:
        text = decoded(data)
        gs2 = None if text is None else gs2_header(text)
        if gs2 is None:
            return _MALFORMED
        self._header, authzid, self._bare = gs2
        # RFC 5802 sections 5.1 and 6: both are an authentication that fails, not bad syntax.
        if self._header.startswith("p=") or ",m=" in f",{self._bare}":
            return _REFUSED
        match = self._CLIENT_FIRST.fullmatch(self._bare)
        user = match and sasl_name(match["user"])
        if match is None or user is None:
            return _MALFORMED
        if authzid not in ("", user):
            return _REFUSED
        self._user, self._known_password = self._find(user) or (user, None)
        self._salt = self._salt_of(self._user)
        self._full_nonce = match["nonce"] + self._nonce()
        self._server_first = f"r={self._full_nonce},s={b64(self._salt)},i={SCRAM_ITERATIONS}"
        return self._ask(encoded(self._server_first), self._final)

    def _final(self, data: bytes) -> Step:
        match = self._CLIENT_FINAL.fullmatch(decoded(data) or "")
        if match is None:
            return _MALFORMED
        binding, proof = unb64(match["binding"]), unb64(match["proof"])
        if binding is None or proof is None:
            return _MALFORMED
        if binding != encoded(self._header) or match["nonce"] != self._full_nonce:
            return _REFUSED
        if ",m=" in match["unproven"]:
            return _REFUSED
        if self._known_password is None or len(proof) != 32:
            return _REFUSED
        signed = encoded(f"{self._bare},{self._server_first},{match['unproven']}")
        salted = salted_password(prepared(self._known_password), self._salt)
        # RFC 5802 section 3: the proof is the client's key, hidden by a signature.
        stored_key = sha256(hmac_sha256(salted, b"Client Key"))
        signature = hmac_sha256(stored_key, signed)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if not equal(sha256(client_key), stored_key):
            return _REFUSED
        verifier = hmac_sha256(hmac_sha256(salted, b"Server Key"), signed)
        # RFC 4954 section 4: 235 carries no data, so the verifier is a challenge of its own,
        # and the client's answer to it is empty.
        return self._ask(encoded(f"v={b64(verifier)}"), self._verified)

    def _verified(self, data: bytes) -> Step:
        return _MALFORMED if data else Success(self._user)


class _Bearer(Mechanism):
    """What both OAuth mechanisms do: a refusal is a challenge first, then fails."""

    cleartext = True
    client_first = True
    _error: ClassVar[bytes]

    def _authenticate(self, user: str, token: str) -> Step:
        return self._or_error(self._check(user, token))

    def _or_error(self, step: Success | Failure) -> Step:
        if isinstance(step, Success):
            return step
        return self._ask(self._error, lambda data: _REFUSED)


class XOAuth2(_Bearer):
    """Google's and Microsoft's: ``user=NAME^Aauth=Bearer TOKEN^A^A``."""

    name = "XOAUTH2"
    _error = b'{"status":"401","schemes":"bearer","scope":"smtp"}'

    def _first(self, data: bytes) -> Step:
        pairs = key_values(decoded(data))
        token = bearer_token(pairs)
        if token is None or "user" not in pairs:
            return _MALFORMED
        return self._authenticate(pairs["user"], token)


class OAuthBearer(_Bearer):
    """RFC 7628: ``n,a=NAME,^Ahost=HOST^Aport=PORT^Aauth=Bearer TOKEN^A^A``.

    Without ``a=`` the token says who it is, as in RFC 7628 section 3.1.
    """

    name = "OAUTHBEARER"
    _error = b'{"status":"invalid_token","scope":"smtp"}'

    def _first(self, data: bytes) -> Step:
        text = decoded(data)
        gs2 = None if text is None else gs2_header(text)
        if gs2 is None:
            return _MALFORMED
        header, user, rest = gs2
        if header.startswith("p="):
            return _REFUSED
        token = bearer_token(key_values(rest[1:])) if rest.startswith("\x01") else None
        if token is None:
            return _MALFORMED
        return self._authenticate(user, token) if user else self._whose(token)

    def _whose(self, token: str) -> Step:
        if isinstance(self._users, str):
            return Success("")
        owners = [user for user, known in self._users.items() if user and same(token, known)]
        return self._or_error(Success(owners[0]) if owners else _REFUSED)


MECHANISMS: dict[str, type[Mechanism]] = {
    mechanism.name: mechanism
    for mechanism in (Plain, Login, CramMD5, ScramSHA256, XOAuth2, OAuthBearer)
}
"""Every mechanism by its SASL name, in the order of the default."""


def offered(names: Sequence[str], users: Users) -> tuple[str, ...]:
    """Those of `names` that can be served: with any credentials, no SCRAM, which signs with the
    password. Raises KeyError for a name that is not in `MECHANISMS`.
    """
    return tuple(name for name in names if users != "any" or not MECHANISMS[name].needs_password)
