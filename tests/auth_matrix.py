"""Which client authenticates how: the table behind `test_auth_matrix` and the page on AUTH.

The rule: only what a client does by itself stands here, and every cell of it is tested.
"""

from __future__ import annotations

SECURITY = {"plain": None, "starttls": "starttls", "implicit": "implicit"}
"""Each kind of connection, and the value of the option `tls` for it."""

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER")

INITIAL = "initial"
"""The first response stands in the AUTH command itself (RFC 4954 section 4)."""

LATER = "later"
"""AUTH names only the mechanism, the first response follows a challenge."""

BOTH = (INITIAL, LATER)

# curl has SCRAM-SHA-256 too where it is built with GNU SASL, which Debian's is not.
CLIENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "smtplib": {"PLAIN": BOTH, "LOGIN": BOTH, "CRAM-MD5": (LATER,)},
    "aiosmtplib": {
        "PLAIN": (INITIAL,),
        "LOGIN": (INITIAL,),
        "CRAM-MD5": (LATER,),
        "XOAUTH2": (INITIAL,),
    },
    "swaks": {"PLAIN": (INITIAL,), "LOGIN": (LATER,), "CRAM-MD5": (LATER,)},
    "curl": {
        "PLAIN": BOTH,
        "LOGIN": BOTH,
        "CRAM-MD5": (LATER,),
        "XOAUTH2": BOTH,
        "OAUTHBEARER": BOTH,
    },
    "msmtp": {
        "PLAIN": (INITIAL,),
        "LOGIN": (LATER,),
        "CRAM-MD5": (LATER,),
        "SCRAM-SHA-256": (LATER,),
        "XOAUTH2": (LATER,),
        "OAUTHBEARER": (INITIAL,),
    },
    "nodemailer": {
        "PLAIN": (INITIAL,),
        "LOGIN": (LATER,),
        "CRAM-MD5": (LATER,),
        "XOAUTH2": (INITIAL,),
    },
}
"""Client, mechanism, and how the client begins it."""


def cells() -> list[tuple[str, str, str, str]]:
    """Client, mechanism, `INITIAL` or `LATER`, and kind of connection of each cell."""
    return [
        (client, mechanism, begin, security)
        for client, known in CLIENTS.items()
        for mechanism, begins in known.items()
        for begin in begins
        for security in SECURITY
    ]


def markdown() -> list[str]:
    """The lines of a table: a row a client, a column a mechanism."""
    shown = {None: "–", (INITIAL,): "initial", (LATER,): "later", BOTH: "both"}
    rows = [
        [f"`{client}`", *(shown[known.get(mechanism)] for mechanism in MECHANISMS)]
        for client, known in CLIENTS.items()
    ]
    head = ["client", *MECHANISMS]
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
