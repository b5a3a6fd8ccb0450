"""`Lease`: a server that several tests use in turn; for the plugin and the command line."""

from __future__ import annotations

from .options import OPTIONS, Options
from .options.pairs import check_pairs
from .server import of_daemon
from .serving.daemon import STOP_TIMEOUT, Daemon, Endpoint


class Lease(Daemon):
    """A server and the tests that use it, one after the other.

    `test` is the node id of the first test. Raises `ValueError` for a pair of options that cannot
    work.

    - `server`: the `Server` that the tests use
    - `options`: the options at the first start
    """

    def __init__(self, options: Options, test: str = "") -> None:
        __tracebackhide__ = True
        super().__init__(options)
        self.use_seed(test)
        self.server = of_daemon(self)
        self.options = options
        self._home: Endpoint | None = None  # the address of the first start

    def start(self) -> None:
        __tracebackhide__ = True
        super().start()
        self._home = self._home or self.endpoint

    def begin(self, options: Options, test: str) -> None:
        """Begins a test: an empty mailbox, no sessions, these options, the same address.

        Raises `ValueError` for a pair of options that cannot work, and changes nothing. Raises the
        errors of `Server.start`, and leaves the server stopped, with these options.
        """
        self._begin(options, test, self.endpoint)

    def end(self) -> None:
        """Ends a test: receives mail already sent, releases the sessions that a fault holds.

        Running callbacks may finish, within `STOP_TIMEOUT`. Raises the errors of callbacks.
        """
        service = self._service
        if service is not None:
            service.settle(STOP_TIMEOUT)
        self.raise_caught()

    def restore(self) -> None:
        """Gives the server the options and the address that it started with."""
        self._begin(self.options, "", self._home)

    def _begin(self, options: Options, test: str, endpoint: Endpoint | None) -> None:
        check_pairs(options)
        here = self.endpoint and self.endpoint.address
        moved = endpoint is not None and endpoint.address != here
        # A test may have stopped the server, or left sessions of an earlier start running
        restart = moved or not self.runs or bool(self._draining)
        restart = restart or any(
            getattr(options, name) != getattr(self.config, name)
            for name, option in OPTIONS.items()
            if not option.live
        )
        if restart and options.tls:
            from .tls import material

            _ = material(options).server_context  # fails before anything is stopped
        try:
            if restart:
                self.stop()
        finally:
            self._apply(options, new_faults=True)
            self.use_seed(test)
            self.state.begin_test()
            if moved and endpoint is not None and endpoint.port:
                self._port = endpoint.port
            if restart:
                self.start()

    def mind(self, other: Lease) -> None:
        """Notes mail that reaches the other server from now on: errors of the mailbox name it."""
        self.others.append((other, other.state.mail.end()))
