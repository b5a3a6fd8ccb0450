"""Helpers of the SASL mechanisms: prepared texts, encodings, digests, small grammars.

Rule: any input of a client gives a value or None, never an exception.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import hmac
import re
from collections.abc import Mapping

SCRAM_ITERATIONS = 4096  # the minimum of RFC 7677 section 4: each one costs time

# The names registered by IANA, and further SCRAM names in use. Any other word may be a password
_NAMES = """
    9798-M-DSA-SHA1 9798-M-ECDSA-SHA1 9798-M-RSA-SHA1-ENC 9798-U-DSA-SHA1 9798-U-ECDSA-SHA1
    9798-U-RSA-SHA1-ENC ANONYMOUS CRAM-MD5 DIGEST-MD5 EAP-AES128 EAP-AES128-PLUS
    ECDH-X25519-CHALLENGE ECDSA-NIST256P-CHALLENGE EXTERNAL GS2-KRB5 GS2-KRB5-PLUS
    GSS-SPNEGO GSSAPI KERBEROS_V4 KERBEROS_V5 LOGIN NMAS-SAMBA-AUTH NMAS_AUTHEN NMAS_LOGIN
    NTLM OAUTH10A OAUTHBEARER OPENID20 OTP PLAIN SAML20 SCRAM-SHA-1 SCRAM-SHA-1-PLUS
    SCRAM-SHA-256 SCRAM-SHA-256-PLUS SCRAM-SHA-512 SCRAM-SHA-512-PLUS SCRAM-SHA3-512
    SCRAM-SHA3-512-PLUS SECURID SKEY SPNEGO SPNEGO-PLUS SXOVER-PLUS XOAUTH XOAUTH2
"""
REGISTERED = frozenset(_NAMES.split())


def saslprep(text: str) -> str | None:
    """Prepares a stored string by SASLprep (RFC 4013); None for a text that it prohibits."""
    if text.isascii() and text.isprintable():
        return text
    import stringprep
    from unicodedata import ucd_3_2_0  # RFC 3454 is bound to Unicode 3.2

    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)
    )
    result = ucd_3_2_0.normalize("NFKC", mapped)
    prohibited = [
        getattr(stringprep, f"in_table_{name}")
        for name in ("a1", "c12", "c21_c22", "c3", "c4", "c5", "c6", "c7", "c8", "c9")
    ]
    if any(table(char) for char in result for table in prohibited):
        return None
    # RFC 3454 section 6: right-to-left text begins and ends with RandALCat, and has no LCat
    if any(map(stringprep.in_table_d1, result)) and (
        any(map(stringprep.in_table_d2, result))
        or not stringprep.in_table_d1(result[0])
        or not stringprep.in_table_d1(result[-1])
    ):
        return None
    return result


def prepared(password: str) -> str:
    # SASLprep prohibits characters newer than Unicode 3.2, such as emoji. Then clients send the
    # password unprepared, as libpq does
    prepared = saslprep(password)
    return password if prepared is None else prepared


def same(sent: str, known: str) -> bool:
    return hmac.compare_digest(encoded(prepared(sent)), encoded(prepared(known)))


@functools.lru_cache(maxsize=256)
def salted_password(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", encoded(password), salt, SCRAM_ITERATIONS)


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def encoded(text: str) -> bytes:
    # A configured name may have a lone surrogate; no client can send one, so it matches nothing
    return text.encode("utf-8", "surrogatepass")


def b64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def unb64(text: str) -> bytes | None:
    try:
        return binascii.a2b_base64(encoded(text), strict_mode=True)
    except binascii.Error:
        return None


def gs2_header(text: str) -> tuple[str, str, str] | None:
    """The GS2 header as it was sent, its authorization identity, and the rest of the text.

    gs2-cbind-flag "," [authzid] "," (RFC 5801 section 4)
    """
    match = re.match(r"(?:[ny]|p=[A-Za-z0-9.-]+),(?:a=([^,]+))?,", text)
    if match is None:
        return None
    authzid = "" if match[1] is None else sasl_name(match[1])
    return None if authzid is None else (match[0], authzid, text[match.end() :])


def sasl_name(text: str) -> str | None:
    """Decodes a saslname: ``=2C`` and ``=3D`` are its only escapes (RFC 5802 section 5.1)."""
    if "\0" in text or re.search("=(?!2C|3D)", text):
        return None
    return text.replace("=2C", ",").replace("=3D", "=")


def key_values(text: str | None) -> dict[str, str]:
    """Reads *(key "=" value ^A) ^A (RFC 7628 section 3.1); {} if it is wrong or repeats a key."""
    if text is None or not re.fullmatch("(?:[A-Za-z]+=[^\x01]*\x01)+\x01", text):
        return {}
    pairs = [pair.partition("=") for pair in text[:-2].split("\x01")]
    found = {key: value for key, _, value in pairs}
    return found if len(found) == len(pairs) else {}


def bearer_token(pairs: Mapping[str, str]) -> str | None:
    # The scheme's name is case-insensitive (RFC 9110 section 11.1)
    match = re.fullmatch("bearer +(.*)", pairs.get("auth", ""), re.IGNORECASE | re.DOTALL)
    return None if match is None else match[1]
