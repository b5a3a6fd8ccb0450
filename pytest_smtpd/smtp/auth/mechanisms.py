"""The mechanisms that send a password, a digest or a token, and the table of all mechanisms."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import ClassVar

from .base import MALFORMED, REFUSED, Failure, Mechanism, Step, Success, Users
from .sasl import bearer_token, decoded, encoded, gs2_header, key_values, prepared, same
from .scram import ScramSHA256


class Plain(Mechanism):
    """RFC 4616."""

    name = "PLAIN"
    cleartext = True

    def _first(self, data: bytes) -> Step:
        text = decoded(data)
        if text is None or text.count("\0") != 2:
            return MALFORMED
        authzid, authcid, password = text.split("\0")
        if authzid not in ("", authcid):
            return REFUSED
        return self._check(authcid, password)


class Login(Mechanism):
    """draft-murchison-sasl-login, with the usual prompts.

    An initial response is the user name: Python's smtplib and .NET send one.
    """

    name = "LOGIN"
    cleartext = True
    _user = ""

    def start(self, initial: bytes | None) -> Step:
        return self._ask(b"Username:", self._first) if initial is None else self._first(initial)

    def _first(self, data: bytes) -> Step:
        user = decoded(data)
        if user is None:
            return MALFORMED
        self._user = user
        return self._ask(b"Password:", self._password)

    def _password(self, data: bytes) -> Step:
        password = decoded(data)
        return MALFORMED if password is None else self._check(self._user, password)


class CramMD5(Mechanism):
    """RFC 2195. The digest may be in upper case, as for Dovecot."""

    name = "CRAM-MD5"
    cleartext = False
    _challenge = b""

    def start(self, initial: bytes | None) -> Step:
        if initial is not None:
            return MALFORMED
        self._challenge = encoded(f"<{self._nonce()}@{self._hostname}>")
        return self._ask(self._challenge, self._first)

    def _first(self, data: bytes) -> Step:
        # A user name may have spaces, a digest has none
        name, space, digest = data.rpartition(b" ")
        user = decoded(name)
        if not space or user is None or not re.fullmatch(rb"[0-9A-Fa-f]{32}", digest):
            return MALFORMED
        if not user:
            return REFUSED
        if self._users == "any":
            return Success(user)
        found = self._find(user)
        if found is None:
            return REFUSED
        sent = bytes.fromhex(digest.decode("ascii"))
        # RFC 2195 does not prepare the password, draft-ietf-sasl-crammd5 does: accept both
        keys = {found[1], prepared(found[1])}
        right = any(hmac.compare_digest(sent, self._digest(key)) for key in keys)
        return Success(found[0]) if right else REFUSED

    def _digest(self, password: str) -> bytes:
        # Without usedforsecurity=False a machine in FIPS mode has no MD5
        md5 = functools.partial(hashlib.md5, usedforsecurity=False)
        return hmac.new(encoded(password), self._challenge, md5).digest()


class _Bearer(Mechanism):
    """The base of both OAuth mechanisms: a refusal is first a challenge, then a failure."""

    cleartext = True
    _error: ClassVar[bytes]

    def _authenticate(self, user: str, token: str) -> Step:
        return self._or_error(self._check(user, token))

    def _or_error(self, step: Success | Failure) -> Step:
        if isinstance(step, Success):
            return step
        return self._ask(self._error, lambda data: REFUSED)


class XOAuth2(_Bearer):
    """The mechanism of Google and Microsoft: ``user=NAME^Aauth=Bearer TOKEN^A^A``."""

    name = "XOAUTH2"
    _error = b'{"status":"401","schemes":"bearer","scope":"smtp"}'

    def _first(self, data: bytes) -> Step:
        pairs = key_values(decoded(data))
        token = bearer_token(pairs)
        if token is None or "user" not in pairs:
            return MALFORMED
        return self._authenticate(pairs["user"], token)


class OAuthBearer(_Bearer):
    """RFC 7628: ``n,a=NAME,^Ahost=HOST^Aport=PORT^Aauth=Bearer TOKEN^A^A``.

    Without ``a=`` the token decides the user (RFC 7628 section 3.1).
    """

    name = "OAUTHBEARER"
    _error = b'{"status":"invalid_token","scope":"smtp"}'

    def _first(self, data: bytes) -> Step:
        text = decoded(data)
        gs2 = None if text is None else gs2_header(text)
        if gs2 is None:
            return MALFORMED
        header, user, rest = gs2
        if header.startswith("p="):
            return REFUSED
        token = bearer_token(key_values(rest[1:])) if rest.startswith("\x01") else None
        if token is None:
            return MALFORMED
        return self._authenticate(user, token) if user else self._whose(token)

    def _whose(self, token: str) -> Step:
        if isinstance(self._users, str):
            return Success("")
        owners = [user for user, known in self._users.items() if user and same(token, known)]
        return self._or_error(Success(owners[0]) if owners else REFUSED)


MECHANISMS: dict[str, type[Mechanism]] = {
    mechanism.name: mechanism
    for mechanism in (Plain, Login, CramMD5, ScramSHA256, XOAuth2, OAuthBearer)
}
"""Every mechanism by its SASL name, in the order of the default."""


def offered(names: Sequence[str], users: Users) -> tuple[str, ...]:
    """The `names` that the server can offer. With any credentials it cannot offer SCRAM.

    Raises KeyError for a name that is not in `MECHANISMS`.
    """
    return tuple(name for name in names if users != "any" or not MECHANISMS[name].needs_password)
