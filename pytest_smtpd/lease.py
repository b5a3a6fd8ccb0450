"""What the plugin and the command line hold of a server: more than `Server` shows to a test."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from .options import Options
from .server import Server, of_daemon
from .serving.daemon import Daemon, Endpoint


class Lease:
    """A server and the tests that use it, one after the other.

    `test` is the node id of the first one. Raises `ValueError` for a pair of options that cannot
    work.
    """

    def __init__(self, config: Options, test: str = "") -> None:
        __tracebackhide__ = True
        self._daemon = Daemon(config)
        self._daemon.use_seed(test)
        self.server: Server = of_daemon(self._daemon)
        self._usual: tuple[Options, Endpoint | None] = config, None

    def start(self) -> Server:
        """Starts the server; what it can raise is that of `Server.start`."""
        __tracebackhide__ = True
        self.server.start()
        self._usual = self._daemon.config, self._daemon.endpoint
        return self.server

    def begin(self, config: Options, test: str) -> None:
        """Begins a test: an empty mailbox, no sessions, these options, the same address.

        Raises `ValueError` for a pair of options that cannot work, and then nothing has changed; or
        what `Server.start` raises, and then the server is stopped.
        """
        self._daemon.begin_test(config, test)

    def end(self) -> None:
        """Ends a test: takes in what clients have sent, releases the sessions that a fault holds.

        Raises what callbacks raised.
        """
        self._daemon.end_test()

    def restore(self) -> None:
        """Gives the server the options and the address that it started with."""
        options, endpoint = self._usual
        self._daemon.begin_test(options, "", endpoint)

    def raise_caught(self) -> None:
        """Raises what callbacks raised, and warns of their bugs; see `Server.stop`."""
        __tracebackhide__ = True
        self._daemon.raise_caught()

    @property
    def options(self) -> Options:
        """The options that the server started with."""
        return self._usual[0]

    @property
    def started(self) -> bool:
        return self._daemon.endpoint is not None

    @property
    def seed(self) -> str:
        """The seed in use for faults with a probability."""
        return self._daemon.seed

    @property
    def hide(self) -> Callable[[str], str]:
        """Masks the passwords that this test has configured; a later test has another one."""
        return self._daemon.state.mask.hide

    def listening(self, listener: Callable[[], None]) -> AbstractContextManager[None]:
        """Calls `listener` after each message that comes, from the thread that adds it."""
        return self._daemon.state.mail.listening(listener)

    # ---- the other servers of a test

    def mind(self, other: Lease) -> None:
        """Notes mail that reaches the other server from now on: errors of the mailbox name it."""
        self._daemon.mind(other._daemon)

    def forget_others(self) -> None:
        self._daemon.others.clear()
