"""SCRAM-SHA-256 (RFC 5802, RFC 7677)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import ClassVar

from .base import MALFORMED, REFUSED, Mechanism, Step, Success, Users, make_nonce
from .sasl import (
    SCRAM_ITERATIONS,
    b64,
    decoded,
    encoded,
    gs2_header,
    hmac_sha256,
    prepared,
    salted_password,
    sasl_name,
    unb64,
)

# Each user has one salt for the whole run, so that the derived key can be cached. Unknown users
# have a salt too, so that a client cannot find out which users exist (RFC 5802 section 9)
_SALT_KEY = os.urandom(32)


def _make_salt(user: str) -> bytes:
    return hmac_sha256(_SALT_KEY, encoded(user))[:16]


class ScramSHA256(Mechanism):
    """RFC 5802 with the hash of RFC 7677, without channel binding and without server errors.

    `salt` returns the salt of a user.
    """

    name = "SCRAM-SHA-256"
    cleartext = False
    needs_password = True

    # RFC 5802 section 7: username "," nonce ["," extensions]
    _CLIENT_FIRST: ClassVar[re.Pattern[str]] = re.compile(
        r"n=(?P<user>[^,]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*"
    )
    # channel-binding "," nonce ["," extensions] "," proof
    _CLIENT_FINAL: ClassVar[re.Pattern[str]] = re.compile(
        r"(?P<unproven>c=(?P<binding>[^,]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*)"
        r",p=(?P<proof>[^,]+)"
    )

    def __init__(
        self,
        users: Users,
        *,
        hostname: str,
        nonce: Callable[[], str] = make_nonce,
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
            return MALFORMED
        self._header, authzid, self._bare = gs2
        # RFC 5802 sections 5.1 and 6: both fail the authentication; neither is bad syntax
        if self._header.startswith("p=") or ",m=" in f",{self._bare}":
            return REFUSED
        match = self._CLIENT_FIRST.fullmatch(self._bare)
        user = match and sasl_name(match["user"])
        if match is None or user is None:
            return MALFORMED
        if authzid not in ("", user):
            return REFUSED
        self._user, self._known_password = self._find(user) or (user, None)
        self._salt = self._salt_of(self._user)
        self._full_nonce = match["nonce"] + self._nonce()
        self._server_first = f"r={self._full_nonce},s={b64(self._salt)},i={SCRAM_ITERATIONS}"
        return self._ask(encoded(self._server_first), self._final)

    def _final(self, data: bytes) -> Step:
        match = self._CLIENT_FINAL.fullmatch(decoded(data) or "")
        if match is None:
            return MALFORMED
        binding, proof = unb64(match["binding"]), unb64(match["proof"])
        if binding is None or proof is None:
            return MALFORMED
        if binding != encoded(self._header) or match["nonce"] != self._full_nonce:
            return REFUSED
        if ",m=" in match["unproven"] or self._known_password is None or len(proof) != 32:
            return REFUSED
        signed = encoded(f"{self._bare},{self._server_first},{match['unproven']}")
        salted = salted_password(prepared(self._known_password), self._salt)
        # RFC 5802 section 3: the proof is the client's key XOR a signature
        stored_key = sha256(hmac_sha256(salted, b"Client Key")).digest()
        signature = hmac_sha256(stored_key, signed)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if not compare_digest(sha256(client_key).digest(), stored_key):
            return REFUSED
        verifier = hmac_sha256(hmac_sha256(salted, b"Server Key"), signed)
        # RFC 4954 section 4: 235 carries no data. So the server sends the verifier as a challenge,
        # and the client answers with an empty line
        return self._ask(encoded(f"v={b64(verifier)}"), self._verified)

    def _verified(self, data: bytes) -> Step:
        return MALFORMED if data else Success(self._user)
