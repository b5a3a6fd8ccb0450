"""Records the violations of a client, except those that the server caused. One object a session.

`command_line` finds violations of single lines, `content` those inside a message.
"""

from __future__ import annotations

from typing import Protocol

# Violations of the rest of a pipelined group after one of its commands was refused
_FOLLOWS_A_REFUSAL = frozenset({"bad-sequence", "no-ehlo"})


class Journal(Protocol):
    """Keeps the conversation: the engine calls it for each line and violation as it happens."""

    def client(self, line: bytes) -> None:
        """A command line from the client, without its CRLF; secrets of AUTH are masked."""

    def note(self, text: bytes) -> None:
        """A line that is no command: an answer to AUTH, masked, or a line that is too long."""

    def content(self, octets: int) -> None:
        """The content of a message, or a chunk of it."""

    def server(self, reply: bytes) -> None:
        """A reply, all its lines."""

    def message(self, raw: bytes, eight_bit: bool) -> None:
        """A message was accepted; `content.violations_in` finds the violations in its octets.

        `eight_bit` says that octets over 127 were announced.
        """

    def violation(self, code: str) -> None:
        """A violation, by its code in the table `violations`."""


class Conduct:
    """The behaviour of a client, as the engine reports it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal  # the session's owner may replace it between two events
        self.in_group = False  # the client may send more at once (RFC 2920 section 3.1)
        self.misled = False  # a reply was replaced or left out: do not blame the client
        self.any_refused = False  # a command of this transaction was refused
        self.said_quit = False
        self._spoke = False
        self._talked_early = False

    def blame(self, code: str) -> None:
        """Records a violation, unless the client was misled."""
        if not self.misled:
            self.journal.violation(code)

    # ---- actions of the client

    def talks_early(self) -> None:
        """The client sends before it has the greeting."""
        if not self._talked_early:
            self._talked_early = True
            self.journal.violation("early-talker")

    def speaks_http(self) -> None:
        """Nothing that follows is meant for a mail server."""
        self.blame("http")
        self.misled = self.said_quit = True

    def cuts_lines_wrongly(self, violation: str) -> None:
        """A line with a bare CR or LF: it counts as a command, whatever its text."""
        self._spoke = True
        self.blame(violation)

    def completes(self, in_group: bool, more: bool) -> None:
        """A command or a message is complete; `more` says that more octets wait.

        `in_group` says that the client may send more before the reply.
        """
        self._spoke, self.in_group = True, in_group
        if more and not in_group:
            self.blame("pipelining")

    def leaves(self, *, inside_message: bool) -> None:
        """The client closes the connection."""
        if self._spoke and not self.said_quit:
            self.journal.violation("no-quit")
        if inside_message:
            self.journal.violation("unfinished-message")

    # ---- the replies to the client

    def refused(self, violation: str | None = None) -> None:
        """A command is refused, because of this violation if one is given.

        A pipelining client sends the rest of its group before it sees the refusal, so a command out
        of sequence after a refusal is no violation.
        """
        if violation is not None and not (self.any_refused and violation in _FOLLOWS_A_REFUSAL):
            self.blame(violation)
        self.any_refused = True
