"""A server over its starts and stops: the options in force, the address, the running service.

`Server` is the public class; a `Lease` goes from test to test. Any thread may call it.
"""

from __future__ import annotations

import atexit
import errno
import os
import secrets
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clock import monotonic
from ..options import OPTIONS, Options, merge
from ..options.pairs import check_pairs
from ..originals import getpid
from ..policy import addresses
from ..text import counted
from .listen import identity, listen, listen_unix
from .service import Service
from .state import State

if TYPE_CHECKING:
    import socket

    from ..tls import TLSMaterial

STOP_TIMEOUT = 1.5  # seconds; 2 are promised, and the machine may be busy

_ALL_INTERFACES = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

_running: set[Daemon] = set()  # stopped at the end of the process


class Endpoint(NamedTuple):
    """Where a local client connects: a host and a port, or a path, then with port 0."""

    host: str
    port: int
    scheme: str = "smtp"

    @property
    def address(self) -> tuple[str, int] | str:
        return (self.host, self.port) if self.port else self.host

    @property
    def url(self) -> str:
        if not self.port:
            return f"smtp+unix://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host  # RFC 3986 section 3.2.2
        return f"{self.scheme}://{host}:{self.port}"


class Daemon:
    """A server that can be started and stopped again and again.

    Raises `ValueError` for a pair of options that cannot work.
    """

    def __init__(self, config: Options) -> None:
        __tracebackhide__ = True
        check_pairs(config)
        self.config = config
        self.state = State(config, self._hints)
        self.state.faults.replace(config.faults)
        self.stopped = threading.Event()
        self.stopped.set()
        self.endpoint: Endpoint | None = None  # None before the first start
        self.seed = ""
        self._test = ""
        self.use_seed("")
        # Servers that may have received the mail by mistake, and how much they held before
        self.others: list[tuple[Daemon, int]] = []
        self._lock = threading.RLock()
        self._service: Service | None = None
        self._draining: list[Service] = []  # stopped, with sessions that go on
        self._port = 0  # reused after a stop
        self._unix: tuple[str, tuple[int, int] | None] | None = None  # our socket's path and file
        self._pid = getpid()

    @property
    def runs(self) -> bool:
        return self._service is not None

    # ---- start

    def start(self) -> None:
        """Binds and listens in this thread, then serves in another; see `Server.start`."""
        __tracebackhide__ = True
        with self._lock:
            if self._service is not None and self.endpoint is not None:
                raise RuntimeError(
                    f"this smtpd is already listening on {self.endpoint.url}; stop() it first, "
                    "or make another Server"
                )
            for each in self._draining:  # another thread may be about to stop it
                each.closed.wait(STOP_TIMEOUT)
            self._remove_socket()  # left from the last start if its stop is not finished
            context = self.tls().server_context if self.config.tls else None
            listeners = self._listen()
            try:
                service = Service(self.state, listeners, context)
                service.start()
            except BaseException:  # the system has no thread or file number left
                for listener in listeners:
                    listener.close()
                self._remove_socket()
                raise
            self._service = service
            self._pid = getpid()
            self.stopped.clear()
            _running.add(self)

    def _listen(self) -> list[socket.socket]:
        __tracebackhide__ = True
        config = self.config
        if config.unix_socket is not None:
            listener = listen_unix(config.unix_socket)
            path = os.path.abspath(config.unix_socket)  # the test may change its directory
            self._unix = (path, identity(path))
            self.endpoint = Endpoint(config.unix_socket, 0)
            return [listener]
        try:
            listeners = listen(config.host, config.port or self._port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and config.port:
                error.strerror = f"{error.strerror}; port=0 takes a free one"
            raise error.with_traceback(None) from None
        self._port = listeners[0].getsockname()[1]
        host = _ALL_INTERFACES.get(config.host, config.host)
        self.endpoint = Endpoint(host, self._port, "smtps" if config.tls == "implicit" else "smtp")
        return listeners

    def tls(self) -> TLSMaterial:
        __tracebackhide__ = True
        from ..tls import material

        return material(self.config)

    # ---- stop

    def stop(self, disconnect: bool = True) -> None:
        """Stops serving, then reports callback errors; see `Server.stop`."""
        __tracebackhide__ = True
        if self._pid != getpid():
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
        if not inside:  # a callback: the next one to stop the server gets the errors
            self.raise_caught()

    def _remove_socket(self) -> None:
        unix, self._unix = self._unix, None
        if unix is not None and unix[1] is not None and identity(unix[0]) == unix[1]:
            os.unlink(unix[0])

    def raise_caught(self) -> None:
        """Warns of callback errors; raises outcomes of the test, and errors of the server."""
        __tracebackhide__ = True
        raised, errors = _drained(self.state.raised), _drained(self.state.errors)
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

    # ---- options

    def configure(self, given: Mapping[str, Any]) -> None:
        """Changes options, all or none; see `Server.configure`."""
        __tracebackhide__ = True
        with self._lock:
            config = merge(given, self.config, restore=True)
            check_pairs(config)
            fixed = [name for name in given if name in OPTIONS and not OPTIONS[name].live]
            if fixed and self.runs:
                raise ValueError(
                    f"smtpd option {fixed[0]!r} cannot change while the server runs: stop() it "
                    "first, or set it in the marker or in Server(...)"
                )
            if "port" in given:
                self._port = 0
            self._apply(config, new_faults="faults" in given)
            if "seed" in given:
                self.use_seed(self._test)

    def _apply(self, config: Options, *, new_faults: bool) -> None:
        self.state.use(config)
        self.config = config
        if new_faults:
            self.state.faults.replace(config.faults)

    def use_seed(self, test: str) -> None:
        """Seeds the dice for `probability` with the seed and the test's node id."""
        self._test, seed = test, self.config.seed
        self.seed = secrets.token_hex(4) if seed is None else str(seed)
        self.state.faults.seed(f"{self.seed}:{test}")

    def _hints(self) -> Sequence[str]:
        """Hints for a test whose mail is missing."""
        state, hints = self.state, []
        if state.strays:
            strays = counted(len(state.strays), "message")
            hints.append(f"{strays} in strays: of a MAIL during an earlier test")
        refusals = (session.last_refusal() for session in list(state.sessions))
        hints += [f"refused: {each}{addresses.advice(each)}" for each in refusals if each]
        for other, before in self.others:
            messages = other.state.mail.since(before)
            if messages and other.endpoint is not None:
                came = counted(len(messages), "message")
                hints.append(f"{came} at the other server, {other.endpoint.url}")
        if not state.sessions:
            where = ": the server is not started"
            if self.endpoint is not None:
                stopped = "" if self.runs else ", which has been stopped"
                where = f" to {self.endpoint.url}{stopped}"
            hints.append(f"no client has connected{where}")
        return hints


def _drained(box: list[Any]) -> list[Any]:
    # one by one: threads of callbacks may still append errors
    return [box.pop(0) for _ in box[:]]


@atexit.register
def _stop_all() -> None:
    with ExitStack() as stack:  # stops each, whatever the stop of another raises
        for daemon in list(_running):
            stack.callback(daemon.stop)
