"""`Server`: what a test holds in its hand. Starting, stopping, configuring, looking."""

from __future__ import annotations

import atexit
import errno
import os
import re
import secrets
import threading
import warnings
from collections.abc import Iterable, MutableSequence, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .clock import monotonic
from .faults import Fault
from .mail.mailbox import Mailbox
from .options import OPTIONS, Options, merge
from .options.errors import ELSEWHERE, how_to_set
from .options.pairs import check_pairs
from .record import SessionRecord
from .serving.listen import identity, listen, listen_unix
from .serving.service import Service
from .serving.state import State
from .text import counted

if TYPE_CHECKING:
    import ssl

    from .tls import TLSMaterial

STOP_TIMEOUT = 1.5  # seconds; 2 are promised, and the machine may be busy

_ALL_INTERFACES = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

_running: set[Server] = set()  # ended with the process, at the latest


class Server:
    """An SMTP server in a background thread, for tests; usable without pytest.

    Options are those of the marker (see `Options`): ``Server(reject_sender="denied@*")``.
    As a context manager it is started and stopped.

    Raises `TypeError` for an unknown option, naming the nearest one, and `ValueError` for a value
    or a pair of options that cannot work.

    - `stopped`: set while the server is not running; another thread can wait for that
    """

    def __init__(self, **options: Any) -> None:
        __tracebackhide__ = True
        self._set_up(merge(options))

    @classmethod
    def _with(cls, config: Options) -> Server:
        """A server with options that are merged already."""
        __tracebackhide__ = True
        server = cls.__new__(cls)
        server._set_up(config)
        return server

    def _set_up(self, config: Options) -> None:
        __tracebackhide__ = True
        check_pairs(config)
        self.stopped = threading.Event()
        self.stopped.set()
        self._lock = threading.RLock()
        self._config = config
        self._state = State(self._config, self._hints)
        self._state.faults.replace(self._config.faults)
        self._seed = ""
        self._use_seed("")
        self._service: Service | None = None
        self._draining: list[Service] = []
        self._address: tuple[str, int] | str | None = None
        self._port = 0  # the one to take again after a stop
        self._implicit_tls = False
        self._unix: tuple[str, tuple[int, int] | None] | None = None
        self._pid = os.getpid()
        # That mail may have gone to by mistake, and how much had come there before
        self._others: list[tuple[Server, int]] = []
        self._given_addresses: set[str] = set()

    def __setattr__(self, name: str, value: object) -> None:
        __tracebackhide__ = True
        # The list of faults can be replaced; what else is assigned would be ignored without a word
        if name != "faults" and (name in OPTIONS or name in ELSEWHERE):
            raise AttributeError(f"options are no attributes of a server: {how_to_set(name)}")
        super().__setattr__(name, value)

    # ---- life

    def start(self) -> Server:
        """Binds and listens in the calling thread, then serves in a thread of its own.

        When it returns, clients can connect. After a stop the same port is taken again, unless
        `port` was configured since. Returns the server itself.

        Raises `RuntimeError` if it runs already, or if TLS needs trustme and that is not installed,
        `ValueError` for a certificate file that cannot be used, and `OSError` with the address in
        its text if that cannot be listened on; nothing is left behind then.
        """
        __tracebackhide__ = True
        with self._lock:
            if self._service is not None:
                raise RuntimeError(
                    f"this smtpd is already listening on {self.url}; stop() it first, "
                    "or make another Server"
                )
            for each in self._draining:  # another thread may be about to stop it
                each.closed.wait(STOP_TIMEOUT)
            self._remove_socket()  # of the last start, if its stop has not come so far
            context = self._tls().server_context if self._config.tls else None
            listeners = self._listen()
            service = Service(self._state, listeners, context)
            try:
                service.start()
            except BaseException:  # no thread can be had
                service.abandon()
                self._remove_socket()
                raise
            self._service = service
            self._pid = os.getpid()
            self.stopped.clear()
            _running.add(self)
        return self

    def _listen(self) -> list[Any]:
        __tracebackhide__ = True
        config = self._config
        if config.unix_socket is not None:
            listener = listen_unix(config.unix_socket)
            path = os.path.abspath(config.unix_socket)  # the test may go elsewhere
            self._unix = (path, identity(path))
            self._address = config.unix_socket
            return [listener]
        try:
            listeners = listen(config.host, config.port or self._port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and config.port:
                error.strerror = f"{error.strerror}; port=0 takes a free one"
            raise error.with_traceback(None) from None
        self._port = listeners[0].getsockname()[1]
        self._implicit_tls = config.tls == "implicit"
        self._address = (_ALL_INTERFACES.get(config.host, config.host), self._port)
        return listeners

    def stop(self, disconnect: bool = True) -> None:
        """Closes the listening socket; a no-op when nothing runs.

        With `disconnect`, the default, replies in flight are flushed, open sessions get 421 and are
        closed (RFC 5321 section 3.8); without, they go on until their clients quit, and still
        deliver: a later `stop()` ends them. Never blocks longer than 2 seconds; may be called from
        a callback.

        What callbacks raised is shown now: a `CallbackWarning` for each bug in one, and the first
        assertion, `pytest.fail` or `pytest.skip` is raised again.
        """
        __tracebackhide__ = True
        if self._pid != os.getpid():
            return  # a forked child: the server is its parent's
        deadline = monotonic() + STOP_TIMEOUT
        with self._lock:
            service, self._service = self._service, None
            if service is not None:
                service.stop(deadline, disconnect=disconnect)
                self._draining.append(service)
            ending = self._draining[:] if disconnect else []
            inside = any(each.callbacks.here for each in self._draining)
        if service is not None and not disconnect:
            service.closed.wait(max(0.0, deadline - monotonic()))
        for each in ending:
            if each is not service:
                each.stop(deadline, disconnect=True)
        for each in ending:
            each.join(deadline)
        with self._lock:
            self._draining = [each for each in self._draining if each not in ending]
            if self._service is None:  # or another thread has started it meanwhile
                self._remove_socket()
                self.stopped.set()
                if not self._draining:
                    _running.discard(self)
        if not inside:  # a callback: whoever stops the server next is told
            self._show_raised()

    def _remove_socket(self) -> None:
        unix, self._unix = self._unix, None
        if unix is not None and unix[1] is not None and identity(unix[0]) == unix[1]:
            os.unlink(unix[0])

    def _show_raised(self) -> None:
        __tracebackhide__ = True
        raised, errors = _drained(self._state.raised), _drained(self._state.errors)
        outcomes = [each.outcome for each in raised if each.outcome is not None]
        try:
            for each in raised:
                if each.warning is not None:
                    warnings.warn_explicit(each.warning, None, *each.place)
        finally:
            if outcomes:
                raise outcomes[0]
            if len(errors) == 1:
                raise errors[0]
            if errors:
                raise BaseExceptionGroup("errors in the smtpd server", errors)

    def __enter__(self) -> Server:
        __tracebackhide__ = True
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self.stop()

    # ---- where to connect

    @property
    def address(self) -> tuple[str, int] | str:
        """``(host, port)`` to connect to, or the path of a unix socket.

        Kept while stopped; raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        if self._address is None:
            raise RuntimeError("not started")
        return self._address

    @property
    def host(self) -> str:
        """Where a local client connects: an address or name, or the path of a unix socket.

        ``"127.0.0.1"`` by default, and where the server listens on all interfaces. `hostname` is
        another name for it. Raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        return self.address if isinstance(self.address, str) else self.address[0]

    hostname = host

    @property
    def port(self) -> int:
        """The port to connect to, 0 for a unix socket; it stays the same after a stop.

        Raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        return 0 if isinstance(self.address, str) else self.address[1]

    @property
    def url(self) -> str:
        """``smtp://127.0.0.1:40001``; ``smtps`` for implicit TLS, ``smtp+unix`` for a path.

        An IPv6 address stands in brackets (RFC 3986 section 3.2.2).
        Raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        if isinstance(self.address, str):
            return f"smtp+unix://{self.address}"
        scheme = "smtps" if self._implicit_tls else "smtp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def ca_file(self) -> Path | None:
        """A PEM file that clients may trust; None without TLS.

        None also for an `ssl_context` of your own that came without a `certificate`. The file is
        there until the process ends.

        Raises `RuntimeError` where TLS needs trustme and that is not installed, and `ValueError`
        for a certificate file that cannot be used.
        """
        return self._tls().ca_file if self._config.tls else None

    def client_ssl_context(self) -> ssl.SSLContext:
        """A fresh `ssl.SSLContext` that trusts this server's certificate and checks its name.

        Raises `RuntimeError` without TLS, and what `ca_file` raises.
        """
        __tracebackhide__ = True
        if self._config.tls is None:
            raise RuntimeError("this smtpd speaks no TLS: set tls='starttls' or tls='implicit'")
        return self._tls().client_context()

    def _tls(self) -> TLSMaterial:
        __tracebackhide__ = True
        from .tls import material

        return material(self._config)

    def address_for(self, name: str = "user") -> str:
        """An address nobody else uses in this run, such as ``user.K3F9A2C4@example.com``.

        `name` stands in front of the dot. A criterion to tell one's own mail by, on a server that
        others use as well. Raises `ValueError` for a name that would have to stand in quotes (RFC
        5321 section 4.1.2).
        """
        __tracebackhide__ = True
        if not re.fullmatch(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", name):
            raise ValueError(
                f"address_for({name!r}): letters, digits, dots between them are wanted"
            )
        while (address := f"{name}.{secrets.token_hex(4).upper()}@example.com") in (
            self._given_addresses
        ):
            pass
        self._given_addresses.add(address)
        return address

    # ---- what came

    @property
    def messages(self) -> Mailbox:
        """The mail of this test, oldest first. The same object for the server's life.

        A message is here before its client can read the 250 for it.
        """
        return self._state.messages

    @property
    def strays(self) -> Mailbox:
        """Mail whose MAIL command came during an earlier test, oldest first.

        The same object for the server's life; empty where a server lives for one test only.
        """
        return self._state.strays

    @property
    def sessions(self) -> list[SessionRecord]:
        """A record of each connection, oldest first, live. The same object for the server's life.

        Refused and aborted ones are there like any other.
        """
        return self._state.sessions

    def clear(self) -> None:
        """Empties `messages`, `strays` and `sessions`; what is delivered later still arrives."""
        self.messages.clear()
        self.strays.clear()
        self.sessions.clear()

    def _hints(self) -> Sequence[str]:
        """What else a test should know that misses its mail."""
        hints = []
        if self.strays:
            strays = counted(len(self.strays), "message")
            hints.append(f"{strays} in strays: of a MAIL during an earlier test")
        for session in list(self.sessions):
            refusal = session.last_refusal()
            if refusal is not None:
                hints.append(f"refused: {refusal}")
        for other, before in self._others:
            _, messages = other.messages._store.since(before)
            if messages:
                hints.append(
                    f"{counted(len(messages), 'message')} at the other server, {other.url}"
                )
        if not self.sessions:
            started = self._address is not None
            stopped = "" if self._service is not None else ", which has been stopped"
            where = f" to {self.url}{stopped}" if started else ": the server is not started"
            hints.append(f"no client has connected{where}")
        return hints

    def _beside(self, other: Server) -> None:
        """Mail that comes to the other one from now on may have been meant for this one."""
        self._others.append((other, other.messages._store.end()))

    # ---- how it behaves

    @property
    def config(self) -> Options:
        """The options now in force, frozen; `repr` masks passwords."""
        return self._config

    @property
    def faults(self) -> MutableSequence[Fault]:
        """The live list of faults: append, remove, clear. The same object for the server's life.

        They act in the order of the list. A fault that is put in twice is counted twice. Raises
        `TypeError` for what is no fault.
        """
        return self._state.faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]) -> None:
        if faults is not self._state.faults:  # it is the same after `server.faults += [...]`
            self._state.faults.replace(faults)

    def hits(self, fault: Fault) -> int:
        """How often this fault has acted, over all its places in the list; 0 if it is in none."""
        return self._state.faults.hits(fault)

    def configure(self, **options: Any) -> None:
        """Changes options, all or none, from the next command on, in open sessions too.

        The options are those of `Options`; None restores a default. A running server cannot change
        `host`, `port`, `unix_socket`, `tls`, `certificate`, `ssl_context` and `protocol`.

        Raises `TypeError` for an unknown name, and `ValueError` for a value or pair that cannot
        work, or for an option that a running server cannot change.
        """
        __tracebackhide__ = True
        with self._lock:
            config = merge(options, self._config, restore=True)
            check_pairs(config)
            fixed = [name for name in options if name in OPTIONS and not OPTIONS[name].live]
            if fixed and self._service is not None:
                raise ValueError(
                    f"smtpd option {fixed[0]!r} cannot change while the server runs: stop() it "
                    "first, or set it in the marker or in Server(...)"
                )
            if "port" in options:
                self._port = 0
            self._apply(config, new_faults="faults" in options)
            if "seed" in options:
                self._use_seed(self._test)

    def _apply(self, config: Options, *, new_faults: bool) -> None:
        self._state.use(config)
        self._config = config
        if new_faults:
            self._state.faults.replace(config.faults)

    def _use_seed(self, test: str) -> None:
        """Starts the dice for `probability` anew: by the seed and the test, nothing else."""
        self._test, seed = test, self._config.seed
        self._seed = secrets.token_hex(4) if seed is None else str(seed)
        self._state.faults.seed(f"{self._seed}:{test}")

    # ---- for a server that several tests share

    def _begin_test(
        self, config: Options, test: str, address: tuple[str, int] | str | None = None
    ) -> None:
        """Empty mailbox, fresh sessions, these options; on the same address, or back at `address`.

        Raises `ValueError` as `configure` does, and then nothing has changed; or as `start` does,
        and then the server is stopped, with these options.
        """
        check_pairs(config)
        moved = address is not None and address != self._address
        # A test may have stopped the server, or left sessions of an earlier start running
        restart = moved or self._service is None or bool(self._draining)
        restart = restart or any(
            getattr(config, name) != getattr(self._config, name)
            for name, option in OPTIONS.items()
            if not option.live
        )
        if restart and config.tls:
            from .tls import material

            _ = material(config).server_context  # fails before anything is stopped
        try:
            if restart:
                self.stop()
        finally:
            self._apply(config, new_faults=True)
            self._use_seed(test)
            self._state.begin_test()
            if moved and isinstance(address, tuple):
                self._port = address[1]
            if restart:
                self.start()

    def _end_test(self) -> None:
        """Takes in what clients have already sent, lets go who is held by a fault.

        Callbacks that are running may come to their end, until `STOP_TIMEOUT`.
        """
        service = self._service
        if service is not None:
            service.settle(STOP_TIMEOUT)
        self._show_raised()

    def __repr__(self) -> str:
        where = "not started" if self._address is None else self.url
        state = "" if self._service is not None or self._address is None else ", stopped"
        return f"<Server {where}{state}, {counted(len(self.messages), 'message')}>"


def _drained(box: list[Any]) -> list[Any]:
    # one by one: threads of callbacks go on to put something in
    return [box.pop(0) for _ in box[:]]


@atexit.register
def _stop_all() -> None:
    with ExitStack() as stack:  # each, whatever the stop of another one raises
        for server in list(_running):
            stack.callback(server.stop)
