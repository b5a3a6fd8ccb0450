"""The catalogue of problems: one row a code. Plain data; imports nothing of the package."""

from __future__ import annotations

from dataclasses import dataclass

Finding = tuple[str, str]  # a code, and what or where it is

MAX_OF_A_CODE = 20  # in one message


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a message that the server accepted nevertheless.

    `code` is stable. `text` describes the problem and its place. `rfc` names the section.
    """

    code: str
    text: str
    rfc: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text} ({self.rfc})"


PROBLEMS: dict[str, Problem] = {
    row.code: row
    for row in (
        # ---- the header
        Problem("missing-date", "there is no Date header", "RFC 5322 3.6.1"),
        Problem("missing-from", "there is no From header", "RFC 5322 3.6.2"),
        Problem("missing-message-id", "there is no Message-ID header", "RFC 5322 3.6.4"),
        Problem("duplicate-header", "a header stands twice that may stand once", "RFC 5322 3.6"),
        Problem("empty-subject", "the Subject header is empty", "RFC 5322 3.6.5"),
        Problem("bad-date", "the Date header is not a date and time", "RFC 5322 3.3"),
        Problem(
            "bad-message-id",
            "a Message-ID, In-Reply-To or References header is not of the form <a@b>",
            "RFC 5322 3.6.4",
        ),
        Problem("bcc-header", "a Bcc header that names recipients was sent out", "RFC 5322 3.6.3"),
        Problem(
            "return-path-header",
            "the sender wrote a Return-Path header: the server that delivers does that",
            "RFC 5321 4.4",
        ),
        Problem(
            "malformed-header",
            "a line among the headers is no header",
            "RFC 5322 2.2",
        ),
        Problem(
            "obsolete-syntax",
            "a header is written in a form that may be read but no longer be sent",
            "RFC 5322 4",
        ),
        Problem("control-character", "a header has a control character in it", "RFC 5322 2.2"),
        Problem(
            "non-ascii-header", "a header is not ASCII, and SMTPUTF8 was not used", "RFC 5322 2.2"
        ),
        Problem("header-not-utf8", "a header sent with SMTPUTF8 is not UTF-8", "RFC 6532 3.1"),
        Problem("long-header-line", "a header line is over 998 octets long", "RFC 5322 2.1.1"),
        Problem("long-encoded-word", "an encoded word is over 75 characters long", "RFC 2047 2"),
        Problem("bad-encoded-word", "an encoded word cannot be decoded", "RFC 2047 2"),
        Problem(
            "misplaced-encoded-word",
            "an encoded word stands in quotes or in an address, where it is not decoded",
            "RFC 2047 5",
        ),
        # ---- addresses
        Problem("bad-address", "an address in a header is not one", "RFC 5322 3.4.1"),
        Problem("bad-address-list", "a header is not a list of addresses", "RFC 5322 3.4"),
        Problem("empty-address-header", "an address header is empty", "RFC 5322 3.6.3"),
        Problem(
            "unquoted-display-name",
            "a display name has characters that must stand in quotes",
            "RFC 5322 3.2.5",
        ),
        Problem(
            "from-without-sender",
            "From has several addresses, and there is no Sender header",
            "RFC 5322 3.6.2",
        ),
        Problem("bad-sender", "the Sender header is not a single address", "RFC 5322 3.6.2"),
        Problem(
            "recipient-not-named",
            "no To or Cc header names any recipient of the envelope",
            "RFC 5322 3.6.3",
        ),
        # ---- mailing lists
        Problem("bad-list-header", "a List header is not a list of <URL>s", "RFC 2369 2"),
        Problem("duplicate-list-header", "a List header stands twice", "RFC 2369 3"),
        Problem("bad-list-id", "the List-Id header does not end in <list.id>", "RFC 2919 3"),
        Problem(
            "bad-one-click",
            "the List-Unsubscribe-Post header is not List-Unsubscribe=One-Click",
            "RFC 8058 3.1",
        ),
        Problem(
            "one-click-without-https",
            "List-Unsubscribe-Post stands without an https URL in List-Unsubscribe",
            "RFC 8058 3.1",
        ),
        # ---- MIME
        Problem("missing-mime-version", "a MIME message has no MIME-Version header", "RFC 2045 4"),
        Problem("duplicate-mime-header", "a MIME header stands twice in a part", "RFC 2045 3"),
        Problem(
            "bad-content-type", "a Content-Type is not of the form type/subtype", "RFC 2045 5.1"
        ),
        Problem(
            "bad-mime-parameter",
            "a parameter of Content-Type or Content-Disposition is malformed, or needs quotes",
            "RFC 2045 5.1",
        ),
        Problem("missing-boundary", "a multipart has no boundary parameter", "RFC 2046 5.1.1"),
        Problem("bad-boundary", "a boundary is over 70 characters long", "RFC 2046 5.1.1"),
        Problem(
            "boundary-not-found", "the boundary of a multipart occurs nowhere", "RFC 2046 5.1.1"
        ),
        Problem("unclosed-multipart", "a multipart has no closing boundary", "RFC 2046 5.1.1"),
        Problem(
            "bad-transfer-encoding",
            "a Content-Transfer-Encoding is unknown",
            "RFC 2045 6.1",
        ),
        Problem(
            "encoded-multipart",
            "a multipart or an attached message is encoded as a whole",
            "RFC 2045 6.4",
        ),
        Problem("unknown-charset", "a charset is unknown", "RFC 2046 4.1.2"),
        Problem(
            "missing-charset", "a text is not ASCII and has no charset parameter", "RFC 2046 4.1.2"
        ),
        Problem(
            "undecodable-body",
            "a text cannot be decoded in the charset it declares",
            "RFC 2046 4.1.2",
        ),
        Problem("bad-base64", "a base64 body is damaged", "RFC 2045 6.8"),
        Problem("bad-quoted-printable", "a quoted-printable body is damaged", "RFC 2045 6.7"),
        Problem(
            "undeclared-8bit",
            "a body has octets over 127, and its Content-Transfer-Encoding does not say so",
            "RFC 2045 6.2",
        ),
        Problem("nul-in-body", "the body has a NUL octet in it", "RFC 2045 2.8"),
        Problem("long-body-line", "a line of the body is over 998 octets long", "RFC 5322 2.1.1"),
        # ---- content
        Problem("html-without-text", "an HTML body has no text alternative", "RFC 2046 5.1.4"),
        Problem("empty-text-alternative", "the text alternative is empty", "RFC 2046 5.1.4"),
        Problem(
            "alternative-order",
            "the text alternative stands after the HTML: the last one is shown",
            "RFC 2046 5.1.4",
        ),
        Problem("attachment-without-name", "an attachment has no file name", "RFC 2183 2.3"),
        Problem("unsafe-file-name", "a file name has a path or control characters", "RFC 2183 2.3"),
        Problem("duplicate-content-id", "two parts have the same Content-ID", "RFC 2045 7"),
        Problem("missing-cid-part", "the HTML uses a cid: URL that no part has", "RFC 2392 2"),
        Problem(
            "relative-link",
            "the HTML has a relative URL: a mail has no address it could be relative to",
            "RFC 3986 5.1",
        ),
    )
}
