"""The names that a server can offer: EHLO keywords, and the SASL mechanisms of AUTH.

Rule: this module imports nothing, so that options can check names without loading the engine.
"""

from __future__ import annotations

# Each keyword with the RFC that defines it, in the order of the EHLO reply
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

# In the order of the AUTH line in the EHLO reply; `auth.mechanisms` has a class for each
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER")
