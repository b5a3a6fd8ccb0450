"""The EHLO keywords, in the order of the reply, each with the RFC that defines it."""

from __future__ import annotations

EXTENSIONS: dict[str, str] = {
    "PIPELINING": "RFC 2920",
    "SIZE": "RFC 1870",
    "8BITMIME": "RFC 6152",
    "SMTPUTF8": "RFC 6531",
    "DSN": "RFC 3461",
    "CHUNKING": "RFC 3030",
    "BINARYMIME": "RFC 3030",
    "ENHANCEDSTATUSCODES": "RFC 2034",
    "STARTTLS": "RFC 3207",
    "AUTH": "RFC 4954",
    "HELP": "RFC 5321 4.1.1.8",
}
