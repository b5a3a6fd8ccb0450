"""The thread of one server: `_live` runs it from the first client to the last."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from typing import TYPE_CHECKING

from ..clock import monotonic
from ..originals import DaemonThread, accept
from ..policy.callbacks import Callbacks
from .connection import Connection
from .listen import BACKLOG
from .loop import Loop, Timer
from .newcomers import CONTENT_TYPE_HANDSHAKE, Newcomers
from .shared import Shared
from .state import State

if TYPE_CHECKING:
    import ssl

    from ..record import SessionJournal

MIN_TURNS, MAX_TURNS = 3, 200  # of the loop, to read sent octets; a handshake needs a few
TAKE_IN_TIMEOUT = 0.3  # seconds for these turns, however busy clients are
GOODBYES = 0.25  # seconds at most for clients in the middle of a conversation
LAST_WORDS = 1.0  # seconds for clients to take their last reply
CLEAN_UP_TIME = 0.3  # seconds reserved for the end
LAST_TURNS = 5  # of the loop, in which transports close and call their owners
NO_DESCRIPTORS_PAUSE = 0.1  # seconds until the next try to accept


class Service:
    """Serves some listening sockets in a daemon thread until it is stopped."""

    def __init__(
        self, state: State, listeners: list[socket.socket], context: ssl.SSLContext | None
    ) -> None:
        self.closed = threading.Event()  # no client can connect any more
        self._state = state
        self._listeners = listeners
        self._implicit_tls = state.options.tls == "implicit"
        # ends of tests that threads wait for, and the connections that wait for the test's own code
        self._ends_of_tests: list[tuple[threading.Event, list[Connection]]] = []
        self._stopping = self._disconnecting = self._ended = False
        self._deadline = 0.0  # of the stop
        self._loop = Loop(state.errors.append)
        self._shared = Shared(self._loop, state, context)
        self._connections: set[Connection] = set()
        self._newcomers = Newcomers(self._shared, functools.partial(self._welcome, tls_first=True))
        self._silence = 0.0  # seconds of silence before a client is timed out
        self._watch: Timer | None = None
        self._thread = DaemonThread(self._run, "smtpd")

    @property
    def callbacks(self) -> Callbacks:
        """The threads in which the test's own code runs."""
        return self._shared.callbacks

    # ---- from any thread

    def start(self) -> None:
        """Starts the thread. If it raises, it leaves nothing open."""
        try:
            self._loop.turn(0.0)  # a first turn in this thread, so that errors are raised here
            for listener in self._listeners:
                self._listen_to(listener)
            self._thread.start()
        except BaseException:
            self._close_listeners()
            self._loop.close()
            raise

    def stop(self, deadline: float, *, disconnect: bool) -> None:
        """Tells the thread to close the listening sockets and, with `disconnect`, connections."""
        if disconnect and not self._disconnecting:
            self._deadline = deadline
            self._disconnecting = True
        self._stopping = True
        self._loop.wake()

    def join(self, deadline: float) -> None:
        """Waits for the threads, also of callbacks, until `deadline` on the real clock."""
        self._thread.join(deadline - monotonic())
        self.callbacks.close(deadline)

    def settle(self, timeout: float) -> None:
        """Processes everything that clients have sent or closed: the test is over.

        Ends sessions that a fault holds. Waits `timeout` seconds for the test's own code; the end
        of a later test does not wait for the same call again.
        """
        deadline = monotonic() + timeout
        while True:
            ended = self.callbacks.ended
            asking = self._settle_once(timeout)
            if not asking or monotonic() >= deadline:
                break
            self.callbacks.wait_for_end(ended, deadline)
        for connection in asking:
            connection.wait_no_longer()

    def _settle_once(self, timeout: float) -> list[Connection]:
        """Processes new octets; returns the connections that wait for the test's own code."""
        settled = threading.Event()
        asking: list[Connection] = []
        self._ends_of_tests.append((settled, asking))
        self._loop.wake()
        if not self._ended:
            settled.wait(timeout)
        return asking

    # ---- in the thread

    def _run(self) -> None:
        try:
            self._live()
        except BaseException as error:
            self._state.errors.append(error)
        finally:
            self._close_listeners()
            self._loop.close()
            self._ended = True
            for settled, _ in self._ends_of_tests:
                settled.set()
            self.callbacks.close(monotonic())  # needed if the thread ends without a stop

    def _live(self) -> None:
        connections, turn = self._connections, self._loop.turn
        # serve
        while not self._stopping:
            self._serve()
        # read the octets already sent, then close the port
        end = self._deadline if self._disconnecting else monotonic() + 2 * LAST_WORDS
        self._take_in(min(end - CLEAN_UP_TIME - LAST_WORDS / 2, monotonic() + TAKE_IN_TIMEOUT))
        self._close_listeners()
        # without disconnecting: until the last client quits, or another stop disconnects
        while not self._disconnecting and (connections or self._newcomers):
            self._serve()
        # hear the goodbyes
        end = min(self._deadline - CLEAN_UP_TIME, monotonic() + LAST_WORDS)
        self._hear_goodbyes(min(end - LAST_WORDS / 2, monotonic() + GOODBYES))
        # close
        for connection in list(connections):
            connection.shut_down()
        self._newcomers.drop()
        while connections and (left := end - monotonic()) > 0:
            turn(left)
        # end
        for connection in list(connections):
            connection.abort()
        for _ in range(LAST_TURNS):
            turn(0.0)

    def _serve(self) -> None:
        self._loop.turn()
        if self._ends_of_tests:
            self._end_tests()
        if self._connections and (self._watch is None or self._silence != self._state.timeout):
            self._watch_silence()

    def _watch_silence(self) -> None:
        # One timer, for the first connection that can time out: one for each would cost 3 us each
        if self._watch is not None:
            self._watch.cancel()
        self._silence = self._state.timeout
        left = [each.mind_silence(self._silence) for each in list(self._connections)]
        self._watch = self._loop.call_later(min(left), self._watch_silence) if left else None

    def _end_tests(self) -> None:
        while self._ends_of_tests:
            settled, asking = self._ends_of_tests.pop(0)
            self._take_in(monotonic() + TAKE_IN_TIMEOUT)
            for connection in list(self._connections):
                connection.end_if_held()
            asking.extend(each for each in self._connections if each.asks_the_test)
            settled.set()

    def _take_in(self, until: float) -> None:
        """Processes octets and closes of clients, until a time on the real clock."""
        for listener in self._listeners:
            for _ in range(BACKLOG):  # serve all clients that have connected by now
                if not self._accept(listener):
                    break
        for number in range(MAX_TURNS):
            seen = self._shared.activity
            self._loop.turn(0.0)
            quiet = self._shared.activity == seen and number >= MIN_TURNS
            if quiet or monotonic() >= until:
                break

    def _hear_goodbyes(self, until: float) -> None:
        """Serves clients that are in the middle of a conversation.

        A test that waits for its mail ends as soon as the mail is there. Its client, in another
        thread, is then about to say QUIT, and a 421 would raise an exception in it.
        """
        while True:
            talks_until = [each.talks_until for each in self._connections]
            left = min(until, max(talks_until, default=0.0)) - monotonic()
            if left <= 0:
                return
            self._loop.turn(left)

    # ---- new connections

    def _listen_to(self, listener: socket.socket) -> None:
        self._loop.add_reader(listener.fileno(), lambda: self._accept(listener))

    def _accept(self, listener: socket.socket) -> bool:
        """Takes in one client, if one is there.

        One client a turn: a second `accept` costs more than another turn of the loop.
        """
        try:
            client, address = accept(listener)
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError:  # most likely the process has no file descriptors left
            # without a pause the loop would try again at once
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(NO_DESCRIPTORS_PAUSE, self._accept_again, listener)
            return False
        self._shared.activity += 1
        client.setblocking(False)
        peer = (str(address[0]), int(address[1])) if isinstance(address, tuple) else ("", 0)
        record, epoch = self._state.open_record(peer)
        if self._implicit_tls:
            self._newcomers.add(client, record, epoch)
        else:
            self._welcome(client, record, epoch, spoke=_has_spoken(client))
        return True

    def _welcome(
        self, client: socket.socket, record: SessionJournal, epoch: int, **how: bool
    ) -> None:
        connection = Connection(self._shared, client, record, epoch, self._connections.discard)
        self._connections.add(connection)
        connection.begin(**how)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._listen_to(listener)

    def _close_listeners(self) -> None:
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            self._loop.remove_reader(listener.fileno())
            with contextlib.suppress(OSError):
                # a forked child has the socket too: after a close alone, it would keep the port
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.closed.set()


def _has_spoken(client: socket.socket) -> bool:
    """Whether a client speaks before the greeting; TLS on a plain port has its own violation."""
    try:
        return client.recv(1, socket.MSG_PEEK) not in (b"", CONTENT_TYPE_HANDSHAKE)
    except OSError:
        return False
