"""The thread of one server: its event loop, its listening sockets, its connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..clock import monotonic
from ..policy.callbacks import Callbacks
from ..record import EndedBy, SessionJournal
from .connection import Connection, note_failed_handshake
from .listen import BACKLOG
from .transport import Transport

if TYPE_CHECKING:
    import ssl

    from .state import State

READ_SIZE = 262_144  # octets; what asyncio would allocate for each read of each connection
FIRST_OCTET_TIMEOUT = 2.0  # seconds: whoever speaks TLS speaks first and at once
MIN_TURNS, MAX_TURNS = 3, 200  # of the loop, to take in what has been sent
LAST_TURNS = 5  # in which tasks end, and transports close and say so
SETTLE_TIMEOUT = 0.3  # seconds for that, however busy clients are
GOODBYES = 0.25  # seconds at most for clients in the middle of a conversation
LAST_WORDS = 1.0  # seconds for clients to take their last reply
CLEAN_UP_TIME = 0.3  # seconds kept for the end itself
_CONTENT_TYPE_HANDSHAKE = b"\x16"  # RFC 8446 section 5.1


class _Loop(asyncio.SelectorEventLoop):
    """Selectors everywhere, Windows too, and a clock that frozen time does not stop."""

    time = staticmethod(monotonic)


class Service:
    """Serves some listening sockets in a daemon thread until it is stopped."""

    def __init__(
        self, state: State, listeners: list[socket.socket], context: ssl.SSLContext | None
    ) -> None:
        self.state = state
        self.loop = _Loop()
        self.loop.set_debug(False)  # or slow callbacks would be logged under -X dev
        self.loop.set_exception_handler(self._on_exception)
        self.ssl_context = context
        self.buffer = memoryview(bytearray(READ_SIZE))
        self.callbacks = Callbacks()
        self.connections: set[Connection] = set()
        self.activity = 0  # grows with all that clients do
        self.timeout = 0.0  # seconds of silence that clients are watched for
        self._watch: asyncio.TimerHandle | None = None
        self._implicit_tls = state.options.tls == "implicit"
        self._listeners = listeners
        # Accepted, nothing heard of them yet
        self._waiting: dict[socket.socket, tuple[SessionJournal, asyncio.TimerHandle]] = {}
        self._shaking: dict[Transport, SessionJournal] = {}  # hands, before anything else
        self.closed = threading.Event()  # nobody can connect any more
        self._ended = False  # the loop has been told to stop
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="smtpd", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def abandon(self) -> None:
        """Closes all that is open, where there is no thread that could."""
        self._close_listeners()
        self.loop.close()

    def stop(self, deadline: float, *, disconnect: bool) -> None:
        """From any thread: closes the listening sockets, and the connections if wanted."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended by itself
            self.loop.call_soon_threadsafe(self._begin_stop, deadline, disconnect)

    def join(self, deadline: float) -> None:
        """Waits for its threads, those of callbacks too, until `deadline` on the real clock."""
        if self._thread is not threading.current_thread():
            self._thread.join(max(0.0, deadline - monotonic()))
        self.callbacks.close(deadline)

    def settle(self, timeout: float) -> None:
        """From any thread: waits until all that clients have sent or closed is taken in.

        Sessions that a fault keeps waiting are ended. What code of the test's is still to decide is
        waited for `timeout` seconds, and not again.
        """
        deadline = monotonic() + timeout
        while True:
            ended = self.callbacks.ended
            asking = self._take_in(timeout)
            if not asking or monotonic() >= deadline:
                break
            self.callbacks.wait_for_end(ended, deadline)
        for connection in asking:
            connection.asking = False

    def _take_in(self, timeout: float) -> list[Connection]:
        """Takes in what clients have sent; those about which code of the test's is to decide."""
        settled = threading.Event()
        asking: list[Connection] = []

        def then() -> None:
            for connection in list(self.connections):
                connection.end_if_held()
            asking.extend(each for each in self.connections if each.asks_the_test)
            settled.set()

        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, then, monotonic() + timeout)
            settled.wait(timeout)
        return asking

    # ---- in the thread

    def _run(self) -> None:
        try:
            for listener in self._listeners:
                self._listen_to(listener)
            self.loop.run_forever()
        finally:
            self._close_listeners()  # of a loop that has failed: the port must not stay taken
            self.loop.close()
            self.callbacks.close(monotonic())  # of a service that ends by itself nobody does it

    def _listen_to(self, listener: socket.socket) -> None:
        self.loop.add_reader(listener.fileno(), self._accept, listener)

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:  # ours: what a client's going away raises is caught where it is
            self.state.errors.append(error)

    # ---- new connections

    def _accept(self, listener: socket.socket) -> bool:
        """Takes in one client, if one is there.

        One a turn: if there are more the loop says so again, which costs less than to ask.
        """
        try:
            client, address = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError:  # out of descriptors, most likely
            # Without a pause this would be asked again at once
            self.loop.remove_reader(listener.fileno())
            self.loop.call_later(0.1, self._accept_again, listener)
            return False
        self.activity += 1
        client.setblocking(False)
        peer = (str(address[0]), int(address[1])) if isinstance(address, tuple) else ("", 0)
        record, epoch = self.state.open_record(peer)
        if self._implicit_tls:
            self._await_first_octet(client, record, epoch)
        else:
            connection = Connection(self, record, epoch, spoke=_has_spoken(client))
            connection.connection_made(Transport(self.loop, client, connection))
        return True

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._listen_to(listener)

    def _shake_hands(self, client: socket.socket, record: SessionJournal, epoch: int) -> None:
        """TLS from the start: the client is a connection when that is agreed upon."""
        connection = Connection(self, record, epoch, spoke=False)
        transport = Transport(self.loop, client, connection)
        self._shaking[transport] = record

        def done(error: OSError | None) -> None:
            del self._shaking[transport]
            self.activity += 1
            if error is None:
                connection.connection_made(transport)
            else:
                note_failed_handshake(record, error)
                transport.abort()

        assert self.ssl_context is not None
        transport.start_tls(self.ssl_context, self.state.timeout, done)

    def _await_first_octet(self, client: socket.socket, record: SessionJournal, epoch: int) -> None:
        # The handshake must not start before it is sure that the client wants one: it would wait
        # out its time-out with a client that waits for our greeting
        patience = min(FIRST_OCTET_TIMEOUT, self.state.timeout)
        timer = self.loop.call_later(patience, self._refuse_plain, client, record, "timeout")

        def first_octet() -> None:
            nonlocal record, epoch
            self.activity += 1
            self._forget(client)
            if self.state.epoch != epoch:  # another test has begun meanwhile
                record, epoch = self.state.renew_record(record)
            try:
                octets = client.recv(512, socket.MSG_PEEK)
            except OSError:
                octets = b""
            if octets.startswith(_CONTENT_TYPE_HANDSHAKE):
                self._shake_hands(client, record, epoch)
            else:
                if octets:
                    record.client(octets.partition(b"\r\n")[0])
                self._refuse_plain(client, record, "server" if octets else "client")

        self._waiting[client] = record, timer
        self.loop.add_reader(client, first_octet)

    def _refuse_plain(self, client: socket.socket, record: SessionJournal, ended: EndedBy) -> None:
        """Hangs up on a client that begins no handshake; one that has just gone is not to blame."""
        self._forget(client).close()
        if ended != "client":
            record.violation("plain-on-tls-port")
        record.ends(ended)
        record.closed()

    def _forget(self, client: socket.socket) -> socket.socket:
        if client in self._waiting:
            _, timer = self._waiting.pop(client)
            timer.cancel()
            self.loop.remove_reader(client)
        return client

    # ---- connections that are there

    def add(self, connection: Connection) -> None:
        self.connections.add(connection)
        if self._watch is None or self.timeout != self.state.timeout:
            self.watch_silence()

    def watch_silence(self) -> None:
        """Watches all connections with one timer, set for the first that may have been silent.

        One for each would cost each of them 3 us.
        """
        if self._watch is not None:
            self._watch.cancel()
        self.timeout = self.state.timeout
        left = [each.mind_silence(self.timeout) for each in list(self.connections)]
        self._watch = self.loop.call_later(min(left), self.watch_silence) if left else None

    # ---- the end

    def _begin_stop(self, deadline: float, disconnect: bool) -> None:
        end = deadline - CLEAN_UP_TIME
        self._settle(lambda: self._stop_serving(end, disconnect), end - LAST_WORDS / 2)

    def _settle(self, then: Callable[[], None], end: float) -> None:
        """Takes in what clients have already sent or closed, until `end` at most, then goes on."""
        for listener in self._listeners:
            for _ in range(BACKLOG):  # whoever has connected by now is served
                if not self._accept(listener):
                    break
        self._take_turns(then, min(end, monotonic() + SETTLE_TIMEOUT), self.activity, 0)

    def _take_turns(self, then: Callable[[], None], end: float, seen: int, turns: int) -> None:
        # A turn of the loop reads what is there; a handshake needs a few
        going_on = turns < MIN_TURNS or (self.activity != seen and turns < MAX_TURNS)
        if going_on and monotonic() < end:
            self.loop.call_soon(self._take_turns, then, end, self.activity, turns + 1)
        else:
            then()

    def _stop_serving(self, end: float, disconnect: bool) -> None:
        self._close_listeners()
        if not disconnect:
            self._drain()
            return
        self._deadline = min(end, monotonic() + LAST_WORDS)
        self._hear_goodbyes(min(self._deadline - LAST_WORDS / 2, monotonic() + GOODBYES))

    def _hear_goodbyes(self, deadline: float) -> None:
        # A test that waits for its mail is over the moment the mail is there; its client, in
        # another thread, is then just about to say QUIT, and a 421 would make it raise
        if monotonic() < deadline and any(each.in_conversation for each in self.connections):
            self.loop.call_later(0.002, self._hear_goodbyes, deadline)
            return
        for connection in list(self.connections):
            connection.shut_down()
        self._drop_newcomers()
        self._finish()

    def _close_listeners(self) -> None:
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            self.loop.remove_reader(listener)
            with contextlib.suppress(OSError):
                # a forked child has the socket too: closing alone would leave it the port
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.closed.set()

    def _drain(self) -> None:
        if self.connections or self._waiting or self._shaking:
            self.loop.call_later(0.02, self._drain)
        else:
            self._end()

    def _finish(self) -> None:
        if self.connections and monotonic() < self._deadline:
            self.loop.call_later(0.002, self._finish)
        else:
            self._end()

    def _end(self) -> None:
        # Once: a second stop may still be on its way when the loop is being wound up
        if self._ended:
            return
        self._ended = True
        self._drop_newcomers()
        for connection in list(self.connections):
            connection.abort()
        self._wind_up(LAST_TURNS)

    def _drop_newcomers(self) -> None:
        """Those to whom nothing can be said, as TLS would come first."""
        for waiting, (record, _) in list(self._waiting.items()):
            self._forget(waiting).close()
            record.ends("server")
            record.closed()
        for transport, record in self._shaking.items():
            record.ends("server")
            transport.abort()
        self._shaking.clear()

    def _wind_up(self, turns: int) -> None:
        if turns:
            self.loop.call_soon(self._wind_up, turns - 1)
        else:
            self.loop.stop()


def _has_spoken(client: socket.socket) -> bool:
    """Whether a client speaks before the greeting; TLS on a plain port has its own violation."""
    try:
        return client.recv(1, socket.MSG_PEEK) not in (b"", _CONTENT_TYPE_HANDSHAKE)
    except OSError:
        return False
