"""One SMTP or LMTP session without I/O: octets in, questions out, octets to send.

`next_event` works through what was received until something needs a verdict; the owner answers
with `accept`, `refuse` or `ignore`, and only then does the session go on. So pipelined commands
wait their turn by themselves, and nothing a client does can overtake a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from . import grammar, replies
from .commands import COMMANDS, UNIMPLEMENTED, Command, Phase, why_not
from .content import ChunkReader, DataReader, violations_in
from .events import (
    Auth,
    Connected,
    Data,
    Event,
    Hello,
    Mail,
    MessageReceived,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTLS,
    Transaction,
)
from .grammar import Malformed
from .lines import MAX_LINE, LineBuffer
from .profile import Profile
from .replies import Reply, fill

if TYPE_CHECKING:
    from .login import Login, Turn

MAX_COMMAND = 512  # RFC 5321 section 4.5.3.1.4, with the CRLF
# What extensions add: SIZE, BODY, SMTPUTF8, DSN and AUTH to MAIL; DSN to RCPT; RFC 4954 section 4
_EXTRA_OCTETS = {"MAIL": 700, "RCPT": 600, "AUTH": 12_288 - MAX_COMMAND}
_CLIENT_HELLO = b"\x16\x03"  # the first octets of a TLS handshake record (RFC 8446 section 5.1)


class Journal(Protocol):
    """Who keeps the conversation: told of each line and violation as it happens."""

    def client(self, line: bytes) -> None:
        """A line from the client, without its CRLF, what answers AUTH masked."""

    def content(self, octets: int) -> None:
        """The content of a message, or a chunk of it."""

    def server(self, reply: bytes) -> None:
        """A reply, all its lines."""

    def violation(self, code: str) -> None:
        """A row of the table in `violations`."""


class Session:
    """The protocol side of one connection. It has one owner, who calls it from one thread."""

    def __init__(self, profile: Profile, journal: Journal) -> None:
        self.profile = profile  # both may be exchanged between two events
        self.journal = journal
        self.phase = Phase.CONNECT
        self.hello: str | None = None  # what the client calls itself
        self.user: str | None = None  # who it authenticated as
        self.transaction: Transaction | None = None
        self.progress = 0  # grows with each line and each octet of content: ends a silence
        self.lines_left = math.inf  # so many are worked through; at 0 the owner has to set it anew
        self.closing = False  # nothing more is read; close when all is sent
        self.quit = False  # closing because the client said QUIT
        self.tls = False
        self.tls_due = False  # send what is due, shake hands, then call `tls_established`
        self._input = LineBuffer()
        self._output: list[bytes] = []
        self._event: Event | None = None  # what waits for its verdict
        self._esmtp = False  # greeted with EHLO or LHLO
        self._utf8 = False  # MAIL had SMTPUTF8
        self._in_group = False  # more may follow the present command at once
        self._commands = 0
        self._refused = False  # in this transaction: a pipelining client is not to blame then
        self._content: DataReader | ChunkReader | None = None  # what now takes the octets
        self._content_ended = False
        self._chunks: ChunkReader | None = None
        self._login: Login | None = None
        self._login_started = False
        self._masking = False  # what follows a refused AUTH may be its secrets

    # ---- octets

    def receive(self, data: bytes) -> None:
        """Takes octets from the client, in any portions."""
        if self.closing or not data:
            return
        if self.tls_due:
            self.journal.violation("starttls-injection")
        elif self._content is not None and not self._content_ended:
            self._feed(data)
        else:
            if self._event is not None and not self._in_group:
                self.journal.violation(
                    "early-talker" if self.phase is Phase.CONNECT else "pipelining"
                )
            self._input.feed(data)

    def bytes_to_send(self) -> bytes:
        """What is due to the client now, once."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    @property
    def waiting(self) -> Event | None:
        """The event whose verdict is due, if one is."""
        return self._event

    @property
    def content_octets(self) -> int | None:
        """How much of a message has come so far, in octets; None outside of one."""
        reader = self._content or self._chunks
        return None if reader is None else reader.size

    @property
    def backlog(self) -> int:
        """Octets received and not worked through."""
        return len(self._input)

    # ---- events

    def connect(self, peer: str) -> None:
        """A client at this address is there: the first event."""
        self._event = Connected(peer)

    def next_event(self) -> Event | None:
        """The next question, or the one still open.

        None when more octets are needed, or when `lines_left` has come to 0.
        """
        while self._event is None and not self.closing and not self.tls_due:
            if self._content is not None:
                if not self._content_ended:
                    return None
                self._event = self._end_of_content()
            elif self._input.starts_with(_CLIENT_HELLO):
                self.journal.violation("tls-on-plain-port")
                self.closing = True
            elif self.lines_left and (line := self._input.next_line()) is not None:
                self.progress += 1
                self.lines_left -= 1
                try:
                    self._event = self._line(line)
                except Malformed as malformed:
                    self._refused = True
                    self.journal.violation(malformed.violation)
                    self._send(malformed.reply)
            else:
                return None
        return self._event

    def accept(self, reply: Reply | Sequence[Reply] | None = None) -> None:
        """Lets the command take effect; `reply` replaces the usual one.

        After a message LMTP wants a reply for each recipient: then `reply` is a sequence. AUTH
        goes on to its end first; a `reply` then replaces the last one, whatever the credentials.
        """
        event = self._take_event()
        if isinstance(event, Auth):
            assert self._login is not None
            assert reply is None or isinstance(reply, Reply)
            self._login_started = True
            if self._login.cleartext and "STARTTLS" in self.profile.extensions and not self.tls:
                self.journal.violation("cleartext-password")
            self._login_turn(self._login.start(reply))
            return
        usual = self._take_effect(event)
        self._send_all(usual if reply is None else reply)

    def refuse(self, reply: Reply | Sequence[Reply]) -> None:
        """Answers the command, which has no effect; a message is lost with its transaction."""
        event = self._take_event()
        if isinstance(event, Connected):
            self.phase = Phase.REFUSED
        self._undo(event)
        self._refused = True
        self._send_all(reply)

    def ignore(self) -> None:
        """No effect and no reply: the owner says what it likes, or nothing."""
        event = self._take_event()
        if isinstance(event, Connected):
            self.phase = Phase.START
        self._undo(event)

    def close(self, reply: Reply) -> None:
        """Ends the session from the server's side; whatever waits is dropped."""
        if not self.closing:
            self._event = None
            self._send(reply)
            self.closing = True

    def client_closed(self) -> None:
        """The client sends nothing more, and all it sent was worked through."""
        if self.closing:
            return
        self.closing = True
        if self._commands:
            self.journal.violation("no-quit")
        if self._content is not None or self._chunks is not None:
            self.journal.violation("unfinished-message")

    def tls_established(self) -> None:
        """The handshake is done: all that was known before is forgotten (RFC 3207 section 4.2)."""
        if self.phase is not Phase.CONNECT:  # else it is TLS from the start
            self._reset()
            self.hello, self.user, self._esmtp = None, None, False
            self.phase = Phase.START
        self.tls, self.tls_due = True, False

    # ---- verdicts

    def _take_event(self) -> Event:
        event, self._event = self._event, None
        assert event is not None, "no event waits for a verdict"
        return event

    def _undo(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self._reset()
        elif isinstance(event, Auth):
            self._login = None

    def _take_effect(self, event: Event) -> Reply:
        """Carries a command out; its usual reply. The commonest come first: this is asked often."""
        match event:
            case Mail(transaction=transaction):
                self.transaction, self.phase, self._refused = transaction, Phase.SENDER, False
                return replies.SENDER_OK
            case Rcpt(address, parameters, transaction):
                transaction.rcpt_to.append(address)
                transaction.rcpt_parameters.append(parameters)
                self.phase = Phase.RECIPIENT
                return replies.RECIPIENT_OK
            case Data():
                self._begin_content(DataReader(self.profile.max_size))
                return replies.START_DATA
            case MessageReceived() | Rset():
                self._reset()
            case Connected():
                self.phase = Phase.START
                return self.profile.greeting()
            case Hello(verb, name):
                return self._greet(verb, name)
            case StartTLS():
                if self._input.take():
                    self.journal.violation("starttls-injection")
                self.tls_due = True
                return replies.READY_FOR_TLS
            case Quit():
                self.closing = self.quit = True
                return fill(replies.BYE, hostname=self.profile.hostname)
        return replies.OK

    def _greet(self, verb: str, name: str) -> Reply:
        self._reset()  # RFC 5321 section 4.1.4
        self.phase, self.hello, self._esmtp = Phase.READY, name, verb != "HELO"
        if not self._esmtp:
            return fill(replies.HELLO, hostname=self.profile.hostname)
        authenticated = self.user is not None
        return Reply(250, self.profile.hello(tls=self.tls, authenticated=authenticated))

    def _reset(self) -> None:
        # RFC 5321 section 4.1.1.5
        self.transaction = self._content = self._chunks = None
        self._refused = False
        if self.phase in (Phase.SENDER, Phase.RECIPIENT, Phase.CHUNKS):
            self.phase = Phase.READY

    def _send(self, reply: Reply) -> None:
        enhanced = self._esmtp and "ENHANCEDSTATUSCODES" in self.profile.extensions
        octets = reply.encode(enhanced=enhanced, utf8=self._utf8)
        self._output.append(octets)
        self.journal.server(octets)
        if reply.code == 421:  # RFC 5321 section 3.8
            self.closing = True

    def _send_all(self, reply: Reply | Sequence[Reply]) -> None:
        for each in (reply,) if isinstance(reply, Reply) else reply:
            self._send(each)

    # ---- the message's content

    def _begin_content(self, reader: DataReader | ChunkReader) -> None:
        self._content, self._content_ended = reader, False
        self._feed(self._input.take())

    def _feed(self, data: bytes) -> None:
        assert self._content is not None
        self.progress += len(data)
        rest = self._content.feed(data)
        if rest is not None:
            self._content_ended = True
            self._input.feed(rest)

    def _end_of_content(self) -> Event | None:
        reader, transaction = self._content, self.transaction
        assert reader is not None and transaction is not None
        self._content = None
        if isinstance(reader, ChunkReader):
            self.journal.content(reader.chunk_size)
            if not reader.last and not reader.over:
                self._send(fill(replies.CHUNK_OK, octets=str(reader.chunk_size)))
                return None
        else:
            self.journal.content(reader.size)
            self._in_group = "PIPELINING" in self.profile.extensions and self._esmtp
        declared = transaction.mail_parameters.get("SIZE")
        if declared and 0 < int(declared) < reader.size:
            self.journal.violation("size-mismatch")
        if reader.over:
            self.journal.violation("size-exceeded")
            self._reset()
            self._refused = True
            count = len(transaction.rcpt_to) if self.profile.lmtp else 1  # RFC 2033 section 4.2
            self._send_all([replies.TOO_BIG] * count)
            return None
        raw = reader.content()
        body = (transaction.mail_parameters.get("BODY") or "").upper()
        if body != "BINARYMIME":
            for code in violations_in(raw, eight_bit=bool(body == "8BITMIME" or transaction.utf8)):
                self.journal.violation(code)
        self._chunks = None
        return MessageReceived(raw, transaction)

    # ---- lines

    def _line(self, line: bytes) -> Event | None:
        if self._login is not None and self._login_started:
            self.journal.client(b"***")
            self._login_turn(self._login.respond(line.rstrip(b" ")))
            return None
        if len(line) > MAX_LINE:
            self.journal.client(b"(a line of over %d octets)" % MAX_LINE)
            raise Malformed(replies.LINE_TOO_LONG, "long-command")
        word, _, argument = line.rstrip(b" \t").partition(b" ")  # RFC 5321 section 4.1.1
        verb = word.upper().decode("ascii", "replace")
        command = self._known(verb)
        self._masking = verb == "AUTH" or (self._masking and command is None)
        self.journal.client(_masked(word, argument) if self._masking else line)
        self._commands += 1
        if b"\n" in line or b"\r" in line:
            code = "bare-lf" if b"\n" in line else "bare-cr"
            raise Malformed(replies.BARE_LF_IN_COMMAND, code)
        self._in_group = (
            command is not None
            and command.in_group
            and self._esmtp
            and "PIPELINING" in self.profile.extensions
        )
        if self._input and not self._in_group and verb != "STARTTLS":
            self.journal.violation("pipelining")
        if len(line) + 2 > MAX_COMMAND + _EXTRA_OCTETS.get(verb, 0):
            self.journal.violation("long-command")
        argument = argument.strip(b" ")
        obstacle = self._obstacle(verb, command)
        if obstacle is None:
            return _HANDLERS[verb](self, argument)
        if verb == "BDAT":  # its chunk comes all the same (RFC 3030 section 2)
            self._input.skip(grammar.chunk(argument)[0])
        self._refused = True
        self._send(obstacle)
        return None

    def _known(self, verb: str) -> Command | None:
        hellos = ("LHLO",) if self.profile.lmtp else ("HELO", "EHLO")
        if verb in ("HELO", "EHLO", "LHLO") and verb not in hellos:
            return None  # RFC 2033 section 4.1
        return COMMANDS.get(verb)

    def _obstacle(self, verb: str, command: Command | None) -> Reply | None:
        """The reply to a command that must not be carried out now."""
        profile = self.profile
        if self.phase is Phase.REFUSED and verb != "QUIT":
            return fill(replies.OUT_OF_ORDER, why=why_not(verb, self.phase))
        if command is None:
            if verb in UNIMPLEMENTED:
                return replies.NOT_IMPLEMENTED
            http = verb in ("GET", "POST", "PUT", "CONNECT", "OPTIONS", "PRI")
            self.journal.violation("http" if http else "unknown-command")
            return replies.UNKNOWN_COMMAND
        if verb == "EHLO" and not profile.extensions:
            return replies.NOT_IMPLEMENTED  # RFC 5321 section 4.1.1.1: the client tries HELO now
        if command.extension and command.extension not in profile.extensions:
            self.journal.violation("unoffered-extension")
            return replies.NOT_IMPLEMENTED
        if profile.require_tls and not self.tls and not command.before_tls:
            return replies.NEEDS_TLS
        if profile.require_auth and self.user is None and not command.before_auth:
            return replies.NEEDS_AUTH
        if self.phase not in command.phases:
            if not self._refused:
                early = self.phase is Phase.START
                self.journal.violation("no-ehlo" if early else "bad-sequence")
            return fill(replies.OUT_OF_ORDER, why=why_not(verb, self.phase))
        return None

    def _hello_command(self, argument: bytes, verb: str) -> Event:
        return Hello(verb, grammar.hello_name(argument, verb))

    def _starttls(self, argument: bytes) -> Event | None:
        grammar.no_argument(argument, "STARTTLS")
        if self.tls:
            return self._reply(fill(replies.OUT_OF_ORDER, why="TLS is active already"))
        return StartTLS()

    def _auth(self, argument: bytes) -> Event | None:
        from . import login

        word, _, initial = argument.partition(b" ")
        if self.user is not None:
            return self._reply(fill(replies.OUT_OF_ORDER, why="already authenticated"))
        if self.profile.auth_requires_tls and not self.tls:
            return self._reply(replies.AUTH_NEEDS_TLS)
        if not word:
            raise grammar.syntax("AUTH")
        mechanism = word.upper().decode("ascii", "replace")
        if mechanism not in self.profile.mechanisms:
            return self._reply(replies.UNKNOWN_MECHANISM)
        try:
            response = login.decode(initial.strip(b" ")) if initial else None
        except ValueError:
            raise Malformed(replies.BAD_BASE64) from None
        self._login, self._login_started = login.Login(mechanism, response, self.profile), False
        return Auth(mechanism)

    def _login_turn(self, turn: Turn) -> None:
        if not turn.more:
            self._login = None
            if turn.user is not None and turn.reply.positive:
                self.user = turn.user
        elif self._input:
            self.journal.violation("pipelining")
        self._send(turn.reply)

    def _mail(self, argument: bytes) -> Event | None:
        path = self._path(argument, "MAIL", "FROM:")
        parameters = grammar.parameters(path.parameters, "MAIL", self._offered())
        limit, declared = self.profile.max_size, parameters.get("SIZE")
        if declared and limit is not None and int(declared) > limit:
            raise Malformed(replies.TOO_BIG, "size-exceeded")  # RFC 1870 section 6.1
        self._utf8 = "SMTPUTF8" in parameters
        if not path.address.isascii() and not self._utf8:
            raise Malformed(replies.NEEDS_SMTPUTF8, "non-ascii-command")
        return Mail(path.address, Transaction(path.address, parameters))

    def _rcpt(self, argument: bytes) -> Event | None:
        transaction = self.transaction
        assert transaction is not None
        path = self._path(argument, "RCPT", "TO:")
        parameters = grammar.parameters(path.parameters, "RCPT", self._offered())
        if not path.address:
            raise Malformed(replies.BAD_RECIPIENT)
        if not path.address.isascii() and not transaction.utf8:
            raise Malformed(replies.NEEDS_SMTPUTF8, "non-ascii-command")
        limit = self.profile.max_recipients
        if limit is not None and len(transaction.rcpt_to) >= limit:
            return self._reply(replies.TOO_MANY_RECIPIENTS)
        return Rcpt(path.address, parameters, transaction)

    def _path(self, argument: bytes, verb: str, keyword: str) -> grammar.Path:
        path = grammar.path(argument, verb, keyword)
        if path.spaced:
            self.journal.violation("space-in-path")
        return path

    def _offered(self) -> frozenset[str]:
        # after HELO there are no extensions (RFC 5321 section 4.1.1.1)
        return self.profile.extensions if self._esmtp else frozenset()

    def _data(self, argument: bytes) -> Event | None:
        grammar.no_argument(argument, "DATA")
        transaction = self.transaction
        assert transaction is not None
        if (transaction.mail_parameters.get("BODY") or "").upper() == "BINARYMIME":
            # RFC 3030 section 3: only BDAT can carry it
            return self._reply(fill(replies.OUT_OF_ORDER, why="BINARYMIME needs BDAT"))
        return Data(transaction)

    def _bdat(self, argument: bytes) -> Event | None:
        octets, last = grammar.chunk(argument)
        self._chunks = self._chunks or ChunkReader(self.profile.max_size)
        self._chunks.begin(octets, last)
        self.phase = Phase.CHUNKS
        self._begin_content(self._chunks)
        return None

    def _rset(self, argument: bytes) -> Event:
        grammar.no_argument(argument, "RSET")
        return Rset()

    def _noop(self, argument: bytes) -> Event:
        return Noop()

    def _quit(self, argument: bytes) -> Event:
        grammar.no_argument(argument, "QUIT")
        return Quit()

    def _verify(self, argument: bytes, verb: str, reply: Reply) -> Event | None:
        if not argument:
            raise grammar.syntax(verb)
        grammar.decode(argument, verb)
        return self._reply(reply)

    def _help(self, argument: bytes) -> Event | None:
        usages = {verb: grammar.USAGE[verb] for verb in COMMANDS if self._usable(verb)}
        if not argument:
            text = "Commands:\n" + "\n".join(usages.values())
            return self._reply(fill(replies.HELP, text=text))
        topic = argument.upper().decode("ascii", "replace")
        if topic not in usages:
            return self._reply(replies.UNKNOWN_TOPIC)
        return self._reply(fill(replies.HELP, text="Syntax: " + usages[topic]))

    def _usable(self, verb: str) -> bool:
        command = self._known(verb)
        if verb == "EHLO" and not self.profile.extensions:
            return False
        return command is not None and (
            command.extension is None or command.extension in self.profile.extensions
        )

    def _reply(self, reply: Reply) -> Event | None:
        """Answers a command about which nobody has to be asked."""
        self._refused = self._refused or reply.code >= 400
        self._send(reply)
        return None


def _masked(word: bytes, argument: bytes) -> bytes:
    """A line of which only the verb, and the name of a known mechanism, may be shown."""
    if word.upper() != b"AUTH":
        return b"***"
    from .auth import MECHANISMS

    mechanism, _, rest = argument.strip(b" ").partition(b" ")
    known = mechanism.upper().decode("ascii", "replace") in MECHANISMS
    shown = mechanism if known or not mechanism else b"***"
    return b" ".join(filter(None, (word, shown, b"***" if rest else b"")))


_HANDLERS: dict[str, Callable[[Session, bytes], Event | None]] = {
    "HELO": lambda session, argument: session._hello_command(argument, "HELO"),
    "EHLO": lambda session, argument: session._hello_command(argument, "EHLO"),
    "LHLO": lambda session, argument: session._hello_command(argument, "LHLO"),
    "STARTTLS": Session._starttls,
    "AUTH": Session._auth,
    "MAIL": Session._mail,
    "RCPT": Session._rcpt,
    "DATA": Session._data,
    "BDAT": Session._bdat,
    "RSET": Session._rset,
    "NOOP": Session._noop,
    "VRFY": lambda session, argument: session._verify(argument, "VRFY", replies.CANNOT_VRFY),
    "EXPN": lambda session, argument: session._verify(argument, "EXPN", replies.CANNOT_EXPN),
    "HELP": Session._help,
    "QUIT": Session._quit,
}
