"""The violations of the RFCs: a row for each code, with a sentence and a section.

The engine records codes; the transcript, `strict` and the reference page read the rows. Rule: this
module imports nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """A client's violation of the protocol, also if the server accepted the command.

    `code` is stable, `text` describes the violation in a sentence, `rfc` names the section.
    """

    code: str
    text: str
    rfc: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text} ({self.rfc})"


_ROWS = (
    ("bare-lf", "sent a line feed without a carriage return before it", "RFC 5321 2.3.8"),
    ("bare-cr", "sent a carriage return without a line feed after it", "RFC 5321 2.3.8"),
    ("long-line", "sent a line of more than 998 octets in a message", "RFC 5321 4.5.3.1.6"),
    ("long-command", "sent a command line over its limit", "RFC 5321 4.5.3.1.4"),
    ("early-talker", "sent something before the greeting", "RFC 5321 3.1"),
    (
        "pipelining",
        "sent more before the reply to a command that must be waited for",
        "RFC 2920 3.1",
    ),
    ("eight-bit", "sent octets over 127 without BODY=8BITMIME or SMTPUTF8", "RFC 6152 3"),
    ("no-quit", "closed the connection without QUIT", "RFC 5321 4.1.1.10"),
    ("unfinished-message", "closed the connection inside a message", "RFC 5321 4.1.1.10"),
    ("cleartext-password", "sent a password in clear although STARTTLS was offered", "RFC 4954 4"),
    ("tls-on-plain-port", "spoke TLS to a port that speaks plain SMTP", "RFC 8314 3.3"),
    (
        "plain-on-tls-port",
        "spoke plain text to a port that speaks TLS, or waited for it to speak",
        "RFC 8314 3.3",
    ),
    (
        "starttls-injection",
        "sent something in clear behind STARTTLS before the handshake",
        "RFC 3207 6",
    ),
    ("no-ehlo", "sent before EHLO or HELO what has to come after it", "RFC 5321 3.2"),
    ("bad-sequence", "sent a command out of sequence", "RFC 5321 4.1.4"),
    ("unknown-command", "sent a command the server does not know", "RFC 5321 4.2.4"),
    ("unoffered-extension", "used an extension that was not offered", "RFC 5321 2.2.1"),
    ("bad-syntax", "sent a command with wrong syntax", "RFC 5321 4.1.1"),
    ("space-in-path", "put a space between the colon and the path", "RFC 5321 3.3"),
    ("non-ascii-command", "sent octets over 127 without SMTPUTF8", "RFC 5321 2.4"),
    ("size-exceeded", "declared or sent a message over the announced SIZE", "RFC 1870 6"),
    ("size-mismatch", "sent more octets than SIZE had declared", "RFC 1870 5"),
    ("http", "spoke HTTP to a mail server", "RFC 5321 2.4"),
)
VIOLATIONS: dict[str, Violation] = {row[0]: Violation(*row) for row in _ROWS}
