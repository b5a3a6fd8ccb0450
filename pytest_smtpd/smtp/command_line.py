"""Reads a command line, in the present state of the session.

Each command is checked in the same order: known, of an offered extension, secure enough, in
sequence; then its grammar. Nothing here changes a session: the result is an event, a chunk or a
reply, or `Refused` is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from . import events, grammar, replies
from .commands import COMMANDS, UNIMPLEMENTED, Command, Phase, why_not
from .events import Event, Parameters
from .grammar import Refused
from .replies import Reply, fill
from .standing import Standing

MAX_COMMAND = 512  # RFC 5321 section 4.5.3.1.4, with the CRLF
# The octets that extensions add, if one of them is offered (RFC 1870, 3461, 4954, 6152, 6531)
_EXTRA_OCTETS = {
    "MAIL": (700, frozenset({"SIZE", "8BITMIME", "BINARYMIME", "SMTPUTF8", "DSN", "AUTH"})),
    "RCPT": (600, frozenset({"DSN"})),
    "AUTH": (12_288 - MAX_COMMAND, frozenset({"AUTH"})),
}
_HTTP = frozenset({"CONNECT", "GET", "HEAD", "OPTIONS", "POST", "PRI", "PUT"})


class CommandLine(NamedTuple):
    """The parts of a line. They are the same in every session of one protocol."""

    word: bytes  # the verb as it was sent
    verb: str  # in upper case
    argument: bytes
    octets: int  # of the whole line, with its CRLF
    command: Command | None  # None for a verb that is not in the table
    is_auth: bool  # the argument may be a secret
    bare: str | None  # the violation of a line with a CR or LF in it
    http: bool
    non_ascii: bool
    is_odd: bool  # one of the three, or over 512 octets


class Chunk(NamedTuple):
    """BDAT: this many octets follow. There is no event before they have arrived."""

    octets: int
    last: bool


def read(line: bytes, lmtp: bool, *, secret: bool) -> CommandLine:
    """Splits a line into its parts. A line that may be `secret` is not cached."""
    if secret or len(line) > MAX_COMMAND or line[:1] in b"Aa \t":  # AUTH has secrets
        return _read.__wrapped__(line, lmtp)
    return _read(line, lmtp)


# Clients repeat the same few lines: a look-up takes 0.1 us, reading a line 3 us.
@lru_cache(maxsize=1024)
def _read(line: bytes, lmtp: bool) -> CommandLine:
    word, _, argument = line.rstrip(b" \t").partition(b" ")  # RFC 5321 section 4.1.1
    verb = word.upper().decode("ascii", "replace")
    command = COMMANDS.get(verb)
    if command is not None and command.lmtp not in (None, lmtp):
        command = None
    # RFC 6531 section 3.3: in MAIL and RCPT the grammar of the path decides
    non_ascii = (
        verb not in ("MAIL", "RCPT")
        and not line.isascii()
        and not line.upper().endswith(b" SMTPUTF8")
    )
    bare = "bare-lf" if b"\n" in line else "bare-cr" if b"\r" in line else None
    http, octets = verb in _HTTP, len(line) + len(b"\r\n")
    return CommandLine(
        word,
        verb,
        argument.strip(b" "),
        octets,
        command,
        line.lstrip().upper().startswith(b"AUTH"),
        bare,
        http,
        non_ascii,
        is_odd=bare is not None or http or non_ascii or octets > MAX_COMMAND,
    )


def masked(said: CommandLine) -> bytes:
    """The line with its secrets hidden: only AUTH and the name of a mechanism are shown."""
    if said.word.upper() != b"AUTH":
        return b"***"
    from .auth.sasl import REGISTERED

    mechanism, _, rest = said.argument.partition(b" ")
    known = mechanism.upper().decode("ascii", "replace") in REGISTERED
    shown = mechanism if known or not mechanism else b"***"
    return b" ".join(filter(None, (said.word, shown, b"***" if rest else b"")))


def request(said: CommandLine, session: Standing) -> Event | Chunk | Reply:
    """Reads the command: an event for the owner, a chunk, or an immediate reply.

    Raises `Refused` for a command that is not carried out. Other violations go to the session's
    `conduct`; nothing else of the session changes here.
    """
    command, conduct = said.command, session.conduct
    if said.is_odd:
        _check_form(said, session)
    in_group = command is not None and command.in_group
    conduct.completes(
        in_group and session.esmtp and session.profile.pipelining,
        session.intake.lines.octets > 0 and said.verb != "STARTTLS",
    )
    obstacle = _obstacle(said, session)
    if obstacle is None:
        return _HANDLERS[said.verb](said, session)
    if said.verb == "BDAT" and "CHUNKING" in session.profile.extensions:
        conduct.refused(obstacle.violation)
        # The client sends the chunk anyway (RFC 3030 section 2)
        raise Refused(obstacle.reply, skips=grammar.chunk(said.argument)[0])
    raise obstacle


def _check_form(said: CommandLine, session: Standing) -> None:
    """Checks the line itself, whatever its command."""
    conduct = session.conduct
    if said.http:
        conduct.speaks_http()
    if said.bare is not None:
        conduct.cuts_lines_wrongly(said.bare)
        raise Refused(replies.BARE_LF_IN_COMMAND)
    if said.non_ascii:
        conduct.blame("non-ascii-command")
    if _is_too_long(said, session):
        conduct.blame("long-command")


def _is_too_long(said: CommandLine, session: Standing) -> bool:
    extra, extensions = _EXTRA_OCTETS.get(said.verb, (0, frozenset[str]()))
    offered = session.esmtp and not extensions.isdisjoint(session.profile.extensions)
    return said.octets > MAX_COMMAND + (extra if offered else 0)


def note_cleartext(session: Standing) -> None:
    """Notes a password in clear: a violation if the client could have used STARTTLS."""
    if not session.tls and "STARTTLS" in session.profile.extensions:  # RFC 4954 section 4
        session.conduct.blame("cleartext-password")


def _obstacle(said: CommandLine, session: Standing) -> Refused | None:
    """The reason to refuse a command now, whatever its argument."""
    verb, command, profile, phase = said.verb, said.command, session.profile, session.phase
    if phase is Phase.REFUSED and verb != "QUIT":
        return Refused(fill(replies.OUT_OF_ORDER, why=why_not(verb, phase)))
    if command is None:
        if verb in UNIMPLEMENTED:
            return Refused(replies.NOT_IMPLEMENTED)
        return Refused(replies.UNKNOWN_COMMAND, "unknown-command")
    if verb == "EHLO" and not profile.esmtp:
        return Refused(replies.NOT_IMPLEMENTED)  # RFC 5321 section 4.1.1.1: the client tries HELO
    if command.extension and command.extension not in profile.extensions:
        return Refused(replies.NOT_IMPLEMENTED, "unoffered-extension")
    if profile.require_tls and not session.tls and not command.before_tls:
        return Refused(replies.NEEDS_TLS)
    if profile.require_auth and session.user is None and not command.before_auth:
        return Refused(replies.NEEDS_AUTH)
    if phase not in command.leads_to:
        violation = "no-ehlo" if phase is Phase.START else "bad-sequence"
        return Refused(fill(replies.OUT_OF_ORDER, why=why_not(verb, phase)), violation)
    return None


# ---- one function for each command: reads the argument


def _hello(said: CommandLine, session: Standing) -> events.Hello:
    return events.Hello(said.verb, grammar.hello_name(said.argument, said.verb))


def _starttls(said: CommandLine, session: Standing) -> events.StartTLS:
    grammar.no_argument(said.argument, "STARTTLS")
    if session.tls:
        raise Refused(fill(replies.OUT_OF_ORDER, why="TLS is active already"))
    return events.StartTLS()


def _auth(said: CommandLine, session: Standing) -> events.Auth:
    from .auth.exchange import decode_initial
    from .auth.mechanisms import MECHANISMS

    word, _, initial = said.argument.partition(b" ")
    mechanism = word.upper().decode("ascii", "replace")
    if initial and mechanism in MECHANISMS and MECHANISMS[mechanism].cleartext:
        note_cleartext(session)
    if session.user is not None:
        raise Refused(fill(replies.OUT_OF_ORDER, why="already authenticated"))
    if session.profile.auth_requires_tls and not session.tls:
        raise Refused(replies.AUTH_NEEDS_TLS)
    if not word:
        raise grammar.syntax("AUTH")
    if mechanism not in session.profile.mechanisms:
        raise Refused(replies.UNKNOWN_MECHANISM)
    try:
        return events.Auth(mechanism, decode_initial(initial.strip(b" ")))
    except ValueError:
        raise Refused(replies.BAD_BASE64, "bad-syntax") from None


def _mail(said: CommandLine, session: Standing) -> events.Mail:
    address, parameters = _path(said, "FROM:", session)
    limit, declared = session.profile.max_size, parameters.get("SIZE")
    if declared and limit is not None and int(declared) > limit:
        raise Refused(replies.TOO_BIG, "size-exceeded")  # RFC 1870 section 6.1
    transaction = events.Transaction(address, parameters, [], [], session.tag)
    if not address.isascii() and not transaction.utf8:
        raise Refused(replies.NEEDS_SMTPUTF8, "non-ascii-command")
    return events.Mail(address, transaction)


def _rcpt(said: CommandLine, session: Standing) -> events.Rcpt:
    transaction = session.transaction
    assert transaction is not None
    address, parameters = _path(said, "TO:", session)
    if not address:
        raise Refused(replies.BAD_RECIPIENT, "bad-syntax")
    if not address.isascii() and not transaction.utf8:
        raise Refused(replies.NEEDS_SMTPUTF8, "non-ascii-command")
    limit = session.profile.max_recipients
    if limit is not None and len(transaction.rcpt_to) >= limit:
        raise Refused(replies.TOO_MANY_RECIPIENTS)
    return events.Rcpt(address, parameters, transaction)


def _path(said: CommandLine, keyword: str, session: Standing) -> tuple[str, Parameters]:
    address, parameters, spaced = grammar.path(said.argument, said.verb, keyword)
    if spaced:
        session.conduct.blame("space-in-path")
    if not parameters:
        return address, {}
    # After HELO there are no extensions (RFC 5321 section 4.1.1.1)
    offered = session.profile.extensions if session.esmtp else frozenset[str]()
    return address, grammar.parameters(parameters, said.verb, offered)


def _data(said: CommandLine, session: Standing) -> events.Data:
    grammar.no_argument(said.argument, "DATA")
    transaction = session.transaction
    assert transaction is not None
    if transaction.binary:
        # RFC 3030 section 3: only BDAT can carry it
        raise Refused(fill(replies.OUT_OF_ORDER, why="BINARYMIME needs BDAT"))
    return events.Data(transaction)


def _rset(said: CommandLine, session: Standing) -> events.Rset:
    grammar.no_argument(said.argument, "RSET")
    return events.Rset()


def _quit(said: CommandLine, session: Standing) -> events.Quit:
    grammar.no_argument(said.argument, "QUIT")
    session.conduct.said_quit = True
    return events.Quit()


def _verify(said: CommandLine, session: Standing) -> Reply:
    if not said.argument:
        raise grammar.syntax(said.verb)
    grammar.decode(said.argument, said.verb)
    return replies.CANNOT_VRFY if said.verb == "VRFY" else replies.CANNOT_EXPN


def _help(said: CommandLine, session: Standing) -> Reply:
    profile = session.profile
    usages = {
        verb: command.usage
        for verb, command in COMMANDS.items()
        if command.lmtp in (None, profile.lmtp)
        and (command.extension is None or command.extension in profile.extensions)
    }
    if not said.argument:
        return fill(replies.HELP, text="Commands:\n" + "\n".join(usages.values()))
    topic = said.argument.upper().decode("ascii", "replace")
    if topic not in usages:
        raise Refused(replies.UNKNOWN_TOPIC)
    return fill(replies.HELP, text="Syntax: " + usages[topic])


_HANDLERS: dict[str, Callable[[CommandLine, Standing], Event | Chunk | Reply]] = {
    "HELO": _hello,
    "EHLO": _hello,
    "LHLO": _hello,
    "STARTTLS": _starttls,
    "AUTH": _auth,
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _data,
    "BDAT": lambda said, session: Chunk(*grammar.chunk(said.argument)),
    "RSET": _rset,
    "NOOP": lambda said, session: events.Noop(),
    "VRFY": _verify,
    "EXPN": _verify,
    "HELP": _help,
    "QUIT": _quit,
}
