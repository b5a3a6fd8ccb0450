"""What a command line means where a session stands: an event to ask about, or a reply at once.

The order of checks is the same for every command: known, in an extension that is offered, secure
enough, in sequence; then its own grammar. Only `Session` changes what a session remembers of a
transaction; here a line is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from . import grammar, replies
from .commands import COMMANDS, UNIMPLEMENTED, Command, Phase, why_not
from .content import ChunkReader
from .events import (
    Auth,
    Data,
    Event,
    Hello,
    Mail,
    Noop,
    Parameters,
    Quit,
    Rcpt,
    Rset,
    StartTLS,
    Transaction,
)
from .grammar import Malformed
from .lines import MAX_LINE
from .replies import Reply, fill

if TYPE_CHECKING:
    from .login import Turn
    from .session import Session

_HTTP = frozenset({"CONNECT", "GET", "HEAD", "OPTIONS", "POST", "PRI", "PUT"})
MAX_COMMAND = 512  # RFC 5321 section 4.5.3.1.4, with the CRLF
# What extensions add where one of them is offered (RFC 1870, 3461, 4954, 6152, 6531)
_EXTRA_OCTETS = {
    "MAIL": (700, frozenset({"SIZE", "8BITMIME", "BINARYMIME", "SMTPUTF8", "DSN", "AUTH"})),
    "RCPT": (600, frozenset({"DSN"})),
    "AUTH": (12_288 - MAX_COMMAND, frozenset({"AUTH"})),
}


class CommandLine(NamedTuple):
    """What a line says by itself, in whatever session it comes."""

    word: bytes
    verb: str
    argument: bytes
    command: Command | None
    masks: bool  # what it says may be a secret
    malformed: str | None  # the violation of a line that is no line at all
    violations: tuple[str, ...]  # of one that is carried out all the same


# A client, and a suite even more, says the same few lines over and over: looking one up takes
# 0.1 us, reading it 3 us, and a message takes three.
@lru_cache(maxsize=1024)
def _read(line: bytes) -> CommandLine:
    word, _, argument = line.rstrip(b" \t").partition(b" ")  # RFC 5321 section 4.1.1
    verb = word.upper().decode("ascii", "replace")
    command = COMMANDS.get(verb)
    malformed = "bare-lf" if b"\n" in line else "bare-cr" if b"\r" in line else None
    violations = ["http"] if verb in _HTTP else []
    # RFC 6531 section 3.3: in MAIL and RCPT it is their own parameter that decides
    if (
        verb not in ("MAIL", "RCPT")
        and not line.isascii()
        and not line.upper().endswith(b" SMTPUTF8")
    ):
        violations.append("non-ascii-command")
    masks = line.lstrip().upper().startswith(b"AUTH")
    return CommandLine(
        word, verb, argument.strip(b" "), command, masks, malformed, tuple(violations)
    )


def dispatch(session: Session, line: bytes) -> Event | None:
    """Reads one line: the event it asks for, or None where it has been answered.

    Raises `Malformed` with the reply that is due.
    """
    if session.login is not None and session.login_started:
        session.journal.client(b"***")
        _note_cleartext(session, session.login.cleartext)
        take_turn(session, session.login.respond(line.rstrip(b" ")))
        return None
    if len(line) > MAX_LINE:
        session.journal.client(b"(a line of over %d octets)" % MAX_LINE)
        raise Malformed(replies.LINE_TOO_LONG, "long-command")
    word, verb, argument, command, masks, malformed, violations = (
        _read.__wrapped__(line)
        if len(line) > MAX_COMMAND or session.masking or line[:1] in b"Aa \t"  # AUTH: a secret
        else _read(line)
    )
    profile = session.profile
    if command is not None and command.lmtp is not None and command.lmtp is not profile.lmtp:
        command = None
    session.masking = masks or (session.masking and command is None)
    session.journal.client(_masked(word, argument) if session.masking else line)
    session.commands += 1
    if violations or malformed:
        _blame(session, malformed, violations)
    if len(line) + len(b"\r\n") > MAX_COMMAND:
        _mind_length(session, verb, line)
    session.in_group = (
        command is not None and command.in_group and session.esmtp and profile.pipelining
    )
    if session.input.octets and not session.in_group and verb != "STARTTLS":
        session.blame("pipelining")
    obstacle = _obstacle(session, verb, command)
    if obstacle is None:
        return _HANDLERS[verb](session, argument)
    if verb == "BDAT" and "CHUNKING" in profile.extensions:
        # its chunk comes all the same (RFC 3030 section 2)
        session.input.skip(grammar.chunk(argument)[0])
    session.refused = True
    session.send(obstacle)
    return None


def _blame(session: Session, malformed: str | None, violations: Sequence[str]) -> None:
    if "http" in violations:
        session.blame("http")
        session.misled = session.said_quit = True  # of what follows nothing is meant for us
    if malformed is not None:
        raise Malformed(replies.BARE_LF_IN_COMMAND, malformed)
    for code in violations:
        session.blame(code)


def _mind_length(session: Session, verb: str, line: bytes) -> None:
    extra, extensions = _EXTRA_OCTETS.get(verb, (0, frozenset[str]()))
    if not session.esmtp or not extensions & set(session.profile.extensions):
        extra = 0
    if len(line) + len(b"\r\n") > MAX_COMMAND + extra:
        session.blame("long-command")


def _obstacle(session: Session, verb: str, command: Command | None) -> Reply | None:
    """The reply to a command that must not be carried out now."""
    profile = session.profile
    if session.phase is Phase.REFUSED and verb != "QUIT":
        return fill(replies.OUT_OF_ORDER, why=why_not(verb, session.phase))
    if command is None:
        if verb in UNIMPLEMENTED:
            return replies.NOT_IMPLEMENTED
        session.blame("unknown-command")
        return replies.UNKNOWN_COMMAND
    if verb == "EHLO" and not profile.esmtp:
        return replies.NOT_IMPLEMENTED  # RFC 5321 section 4.1.1.1: the client tries HELO now
    if command.extension and command.extension not in profile.extensions:
        session.blame("unoffered-extension")
        return replies.NOT_IMPLEMENTED
    if profile.require_tls and not session.tls and not command.before_tls:
        return replies.NEEDS_TLS
    if profile.require_auth and session.user is None and not command.before_auth:
        return replies.NEEDS_AUTH
    if session.phase not in command.phases:
        if not session.refused:
            early = session.phase is Phase.START
            session.blame("no-ehlo" if early else "bad-sequence")
        return fill(replies.OUT_OF_ORDER, why=why_not(verb, session.phase))
    return None


def _hello_command(session: Session, argument: bytes, verb: str) -> Event:
    return Hello(verb, grammar.hello_name(argument, verb))


def _starttls(session: Session, argument: bytes) -> Event | None:
    grammar.no_argument(argument, "STARTTLS")
    if session.tls:
        return _reply(session, fill(replies.OUT_OF_ORDER, why="TLS is active already"))
    return StartTLS()


def _auth(session: Session, argument: bytes) -> Event | None:
    from . import login
    from .auth import MECHANISMS

    word, _, initial = argument.partition(b" ")
    mechanism = word.upper().decode("ascii", "replace")
    if initial and mechanism in MECHANISMS:
        _note_cleartext(session, MECHANISMS[mechanism].cleartext)
    if session.user is not None:
        return _reply(session, fill(replies.OUT_OF_ORDER, why="already authenticated"))
    if session.profile.auth_requires_tls and not session.tls:
        return _reply(session, replies.AUTH_NEEDS_TLS)
    if not word:
        raise grammar.syntax("AUTH")
    if mechanism not in session.profile.mechanisms:
        return _reply(session, replies.UNKNOWN_MECHANISM)
    try:
        response = login.decode_initial(initial.strip(b" "))
    except ValueError:
        raise Malformed(replies.BAD_BASE64) from None
    session.login = login.AuthExchange(mechanism, response, session.profile)
    session.login_started = False
    return Auth(mechanism)


def _note_cleartext(session: Session, cleartext: bool) -> None:
    # RFC 4954 section 4: not where the client could have encrypted it
    if cleartext and not session.tls and "STARTTLS" in session.profile.extensions:
        session.blame("cleartext-password")


def take_turn(session: Session, turn: Turn) -> None:
    """Sends the server's line of an AUTH exchange, and ends it if it was the last one."""
    if not turn.more:
        session.login = None
        if turn.user is not None and turn.reply.positive:
            session.user = turn.user
    elif session.input.octets:
        session.blame("pipelining")
    session.send(turn.reply)


def _mail(session: Session, argument: bytes) -> Event | None:
    address, parameters = _path(session, argument, "MAIL", "FROM:")
    limit, declared = session.profile.max_size, parameters.get("SIZE")
    if declared and limit is not None and int(declared) > limit:
        raise Malformed(replies.TOO_BIG, "size-exceeded")  # RFC 1870 section 6.1
    session.utf8 = "SMTPUTF8" in parameters
    if not address.isascii() and not session.utf8:
        raise Malformed(replies.NEEDS_SMTPUTF8, "non-ascii-command")
    return Mail(address, Transaction(address, parameters, [], [], session.tag))


def _rcpt(session: Session, argument: bytes) -> Event | None:
    transaction = session.transaction
    assert transaction is not None
    address, parameters = _path(session, argument, "RCPT", "TO:")
    if not address:
        raise Malformed(replies.BAD_RECIPIENT)
    if not address.isascii() and not transaction.utf8:
        raise Malformed(replies.NEEDS_SMTPUTF8, "non-ascii-command")
    limit = session.profile.max_recipients
    if limit is not None and len(transaction.rcpt_to) >= limit:
        return _reply(session, replies.TOO_MANY_RECIPIENTS)
    return Rcpt(address, parameters, transaction)


def _path(session: Session, argument: bytes, verb: str, keyword: str) -> tuple[str, Parameters]:
    address, parameters, spaced = grammar.path(argument, verb, keyword)
    if spaced:
        session.blame("space-in-path")
    if not parameters:
        return address, {}
    # after HELO there are no extensions (RFC 5321 section 4.1.1.1)
    offered = session.profile.extensions if session.esmtp else frozenset[str]()
    return address, grammar.parameters(parameters, verb, offered)


def _data(session: Session, argument: bytes) -> Event | None:
    grammar.no_argument(argument, "DATA")
    transaction = session.transaction
    assert transaction is not None
    if transaction.binary:
        # RFC 3030 section 3: only BDAT can carry it
        return _reply(session, fill(replies.OUT_OF_ORDER, why="BINARYMIME needs BDAT"))
    return Data(transaction)


def _bdat(session: Session, argument: bytes) -> Event | None:
    octets, last = grammar.chunk(argument)
    session.chunks = session.chunks or ChunkReader()
    session.chunks.begin(octets, last, session.profile.max_size)
    session.phase = Phase.CHUNKS
    session.begin_content(session.chunks)
    return None


def _rset(session: Session, argument: bytes) -> Event:
    grammar.no_argument(argument, "RSET")
    return Rset()


def _noop(session: Session, argument: bytes) -> Event:
    return Noop()


def _quit(session: Session, argument: bytes) -> Event:
    grammar.no_argument(argument, "QUIT")
    session.said_quit = True
    return Quit()


def _verify(session: Session, argument: bytes, verb: str, reply: Reply) -> Event | None:
    if not argument:
        raise grammar.syntax(verb)
    grammar.decode(argument, verb)
    return _reply(session, reply)


def _help(session: Session, argument: bytes) -> Event | None:
    usages = {verb: grammar.USAGE[verb] for verb in COMMANDS if _usable(session, verb)}
    if not argument:
        text = "Commands:\n" + "\n".join(usages.values())
        return _reply(session, fill(replies.HELP, text=text))
    topic = argument.upper().decode("ascii", "replace")
    if topic not in usages:
        return _reply(session, replies.UNKNOWN_TOPIC)
    return _reply(session, fill(replies.HELP, text="Syntax: " + usages[topic]))


def _usable(session: Session, verb: str) -> bool:
    command = COMMANDS[verb]
    return command.lmtp in (None, session.profile.lmtp) and (
        command.extension is None or command.extension in session.profile.extensions
    )


def _reply(session: Session, reply: Reply) -> Event | None:
    """Answers a command about which nobody has to be asked."""
    session.refused = session.refused or reply.code >= 400
    session.send(reply)
    return None


def _masked(word: bytes, argument: bytes) -> bytes:
    """A line of which only the verb, and the name of a mechanism, offered or not, may be shown."""
    if word.upper() != b"AUTH":
        return b"***"
    from .sasl import REGISTERED

    mechanism, _, rest = argument.strip(b" ").partition(b" ")
    known = mechanism.upper().decode("ascii", "replace") in REGISTERED
    shown = mechanism if known or not mechanism else b"***"
    return b" ".join(filter(None, (word, shown, b"***" if rest else b"")))


_HANDLERS: dict[str, Callable[[Session, bytes], Event | None]] = {
    "HELO": lambda session, argument: _hello_command(session, argument, "HELO"),
    "EHLO": lambda session, argument: _hello_command(session, argument, "EHLO"),
    "LHLO": lambda session, argument: _hello_command(session, argument, "LHLO"),
    "STARTTLS": _starttls,
    "AUTH": _auth,
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _data,
    "BDAT": _bdat,
    "RSET": _rset,
    "NOOP": _noop,
    "VRFY": lambda session, argument: _verify(session, argument, "VRFY", replies.CANNOT_VRFY),
    "EXPN": lambda session, argument: _verify(session, argument, "EXPN", replies.CANNOT_EXPN),
    "HELP": _help,
    "QUIT": _quit,
}
