"""The waits and verdicts of the policy: plain values that a connection carries out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from ..faults import Hold
    from ..message.message import Message
    from ..smtp.replies import Reply
    from ..smtp.session import Answer


# ---- waits


class Sleep(NamedTuple):
    """Go on after this many seconds."""

    seconds: float


class Until(NamedTuple):
    """Go on when the test releases this fault."""

    hold: Hold


class Call(NamedTuple):
    """Run the test's own code in another thread, and go on with its exception, or None.

    `unheard` gets the exception if the session ended first. `due` says that the end of a test
    waits for the call.
    """

    call: Callable[[], object]
    unheard: Callable[[BaseException], object]
    due: bool = True


class Send(NamedTuple):
    """Send octets, in pieces of that size if one is given.

    Go on with True if the client still takes them.
    """

    octets: bytes
    size: int | None = None


class Silence(NamedTuple):
    """Never go on. As a verdict: there is no answer, and the connection stays open."""


Wait: TypeAlias = "Sleep | Until | Call | Send | Silence"
_T = TypeVar("_T")
Waits: TypeAlias = Generator[Wait, Any, _T]


# ---- verdicts


class Accept(NamedTuple):
    """The command takes effect; a `message` is stored first.

    `reply` replaces the usual one. LMTP wants a sequence, one reply for each recipient. `split` is
    the size of the pieces to send it in, and `ended` says that a fault ends the session with it.
    """

    reply: Answer | Sequence[Answer] | None = None
    message: Message | None = None
    split: int | None = None
    ended: bool = False


class Refuse(NamedTuple):
    """The command has no effect. `reply`, `split` and `ended` are as for `Accept`."""

    reply: Reply | Sequence[Reply]
    split: int | None = None
    ended: bool = False


class Say(NamedTuple):
    """The command has no effect, and these octets are sent in place of a reply."""

    octets: bytes | Iterable[bytes]
    split: int | None = None


class Close(NamedTuple):
    """The connection is closed without an answer, with a TCP reset if `reset` is set."""

    reset: bool


Verdict: TypeAlias = "Accept | Refuse | Say | Close | Silence"
