"""`Server`: the public object for starting, stopping, configuring and inspecting a server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, MutableSequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .faults import Fault
from .mailbox.mailbox import Mailbox
from .options import OPTIONS, Options, merge
from .options.errors import ELSEWHERE, how_to_set
from .record import SessionRecord
from .serving.daemon import Daemon, Endpoint
from .text import counted

if TYPE_CHECKING:
    import ssl
    import threading


class Server:
    """An SMTP server in a background thread, for tests; usable without pytest.

    The options are the same as in the marker (see `Options`): ``Server(reject_sender="denied@*")``.
    As a context manager, it starts and stops.

    Raises `TypeError` for an unknown option, naming the nearest one, and `ValueError` for a value
    or a pair of options that cannot work.

    - `stopped`: set while the server is not running; another thread can wait for it
    """

    stopped: threading.Event

    def __init__(self, **options: Any) -> None:
        __tracebackhide__ = True
        self._use(Daemon(merge(options)))

    def _use(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.stopped = daemon.stopped
        self._given_addresses: set[str] = set()

    def __setattr__(self, name: str, value: object) -> None:
        __tracebackhide__ = True
        # The list of faults can be replaced; another assignment would be ignored silently
        if name != "faults" and (name in OPTIONS or name in ELSEWHERE):
            raise AttributeError(f"options are no attributes of a server: {how_to_set(name)}")
        super().__setattr__(name, value)

    # ---- life

    def start(self) -> Server:
        """Binds and listens in the calling thread, then serves in a background thread.

        When it returns, clients can connect. After a stop it takes the same port again, unless
        `port` was configured since. Returns the server itself.

        Raises `RuntimeError` if it runs already, or if TLS needs trustme and that is not installed,
        `ValueError` for a certificate file that cannot be used, and `OSError`, naming the address,
        if the server cannot listen there. After an error, nothing is left open.
        """
        __tracebackhide__ = True
        self._daemon.start()
        return self

    def stop(self, disconnect: bool = True) -> None:
        """Closes the listening socket; a no-op when nothing runs.

        With `disconnect`, the default, it flushes replies, sends 421 to open sessions and closes
        them (RFC 5321 section 3.8). Without, sessions go on until their clients quit, and still
        deliver; a later `stop()` ends them. Never blocks longer than 2 seconds; may be called from
        a callback.

        Reports the errors of callbacks: warns with `CallbackWarning` of each bug, and raises the
        first assertion, `pytest.fail` or `pytest.skip` again.
        """
        __tracebackhide__ = True
        self._daemon.stop(disconnect)

    def __enter__(self) -> Server:
        __tracebackhide__ = True
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        __tracebackhide__ = True
        self.stop()

    # ---- where to connect

    @property
    def _endpoint(self) -> Endpoint:
        __tracebackhide__ = True
        if self._daemon.endpoint is None:
            raise RuntimeError("not started")
        return self._daemon.endpoint

    @property
    def address(self) -> tuple[str, int] | str:
        """``(host, port)`` to connect to, or the path of a unix socket.

        Kept while stopped; raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        return self._endpoint.address

    @property
    def host(self) -> str:
        """Where a local client connects: an address or name, or the path of a unix socket.

        ``"127.0.0.1"`` by default, and if the server listens on all interfaces. `hostname` is
        an alias. Raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        return self._endpoint.host

    hostname = host

    @property
    def port(self) -> int:
        """The port to connect to, 0 for a unix socket; it stays the same after a stop.

        Raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        return self._endpoint.port

    @property
    def url(self) -> str:
        """``smtp://127.0.0.1:40001``; ``smtps`` for implicit TLS, ``smtp+unix`` for a path.

        An IPv6 address stands in brackets (RFC 3986 section 3.2.2).
        Raises `RuntimeError` before the first start.
        """
        __tracebackhide__ = True
        return self._endpoint.url

    @property
    def ca_file(self) -> Path | None:
        """A PEM file that clients may trust; None without TLS.

        None also for an option `ssl_context` without a `certificate`. The file exists until the
        process ends.

        Raises `RuntimeError` if TLS needs trustme and that is not installed, and `ValueError`
        for a certificate file that cannot be used.
        """
        return self._daemon.tls().ca_file if self.config.tls else None

    def client_ssl_context(self) -> ssl.SSLContext:
        """A fresh `ssl.SSLContext` that trusts this server's certificate and checks its name.

        Raises `RuntimeError` without TLS, and the errors of `ca_file`.
        """
        __tracebackhide__ = True
        if self.config.tls is None:
            raise RuntimeError("this smtpd speaks no TLS: set tls='starttls' or tls='implicit'")
        return self._daemon.tls().client_context()

    def address_for(self, name: str = "user") -> str:
        """A new address, unique in this run, such as ``user.K3F9A2C4@example.com``.

        `name` stands before the last dot of the local part. Use it to find a test's mail on a
        shared server. Raises `ValueError` for a name that needs quotes (RFC 5321 section 4.1.2).
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

    # ---- received mail and sessions

    @property
    def messages(self) -> Mailbox:
        """The mail of this test, oldest first. The same object for the server's life.

        A message is in the list before its client can read the 250 for it.
        """
        return self._daemon.state.messages

    @property
    def strays(self) -> Mailbox:
        """Mail whose MAIL command came during an earlier test, oldest first.

        The same object for the server's life; empty if the server lives for one test only.
        """
        return self._daemon.state.strays

    @property
    def sessions(self) -> list[SessionRecord]:
        """A record of each connection, oldest first, live. The same object for the server's life.

        Includes refused and aborted connections.
        """
        return self._daemon.state.sessions

    def clear(self) -> None:
        """Empties `messages`, `strays` and `sessions`; later mail still arrives."""
        self.messages.clear()
        self.strays.clear()
        self.sessions.clear()

    # ---- behavior

    @property
    def config(self) -> Options:
        """The options now in force, frozen; `repr` masks passwords."""
        return self._daemon.config

    @property
    def faults(self) -> MutableSequence[Fault]:
        """The live list of faults: append, remove, clear. The same object for the server's life.

        They act in the order of the list. A fault that is in the list twice counts twice. Raises
        `TypeError` for a value that is not a fault.
        """
        return self._daemon.state.faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]) -> None:
        if faults is not self._daemon.state.faults:  # it is the same after `server.faults += [...]`
            self._daemon.state.faults.replace(faults)

    def hits(self, fault: Fault) -> int:
        """How often this fault has acted, over all its places in the list; 0 if not listed."""
        return self._daemon.state.faults.hits(fault)

    def configure(self, **options: Any) -> None:
        """Changes options, all or none, from the next command on, in open sessions too.

        The options are those of `Options`; None restores a default. A running server cannot change
        `host`, `port`, `unix_socket`, `tls`, `certificate`, `ssl_context` and `protocol`.

        Raises `TypeError` for an unknown name, and `ValueError` for a value or pair that cannot
        work, or for an option that a running server cannot change.
        """
        __tracebackhide__ = True
        self._daemon.configure(options)

    def __repr__(self) -> str:
        endpoint = self._daemon.endpoint
        where = "not started" if endpoint is None else endpoint.url
        state = "" if self._daemon.runs or endpoint is None else ", stopped"
        return f"<Server {where}{state}, {counted(len(self.messages), 'message')}>"


def of_daemon(daemon: Daemon) -> Server:
    """A `Server` for an existing daemon."""
    server = Server.__new__(Server)
    server._use(daemon)
    return server
