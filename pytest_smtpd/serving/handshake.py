"""A TLS handshake on a socket that does not block, and the text in the transcript if it fails."""

from __future__ import annotations

import ssl
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from .loop import Loop

if TYPE_CHECKING:
    import socket

    from ..record import SessionJournal

# How OpenSSL's names of the alerts end with which a client refuses a certificate (RFC 8446 6.2);
# their beginning differs between versions
_DISTRUST = ("_ALERT_UNKNOWN_CA", "_ALERT_BAD_CERTIFICATE", "_ALERT_CERTIFICATE_UNKNOWN")
_ASK_FOR_TRUST = "; does the client trust smtpd.ca_file? smtpd.client_ssl_context() does"

# OpenSSL's names for octets that are no TLS
_PLAIN_TEXT = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})


class Handshake:
    """The server's side of a handshake. `socket` is the TLS socket that takes over from `client`.

    It ends with a call of `done`, with the error if it failed: after `timeout` seconds that is a
    `TimeoutError`. After `give_up` there is no call.
    """

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        context: ssl.SSLContext,
        timeout: float,
        done: Callable[[OSError | None], None],
    ) -> None:
        self._loop = loop
        self._done = done
        self._number = client.fileno()
        self._over = False
        self.socket: socket.socket = client
        too_long = TimeoutError(f"not done in {timeout:g} s")
        self._timer = loop.call_later(timeout, self._end, too_long)
        try:
            self.socket = context.wrap_socket(
                client, server_side=True, do_handshake_on_connect=False
            )
        except (OSError, ValueError) as error:  # the client has gone, or a context for clients
            loop.remove_reader(self._number)
            _close_half_made(error)
            loop.call_soon(self._end, OSError(str(error)))

    def go_on(self) -> None:
        """Takes the next step when the socket can be read or written."""
        assert isinstance(self.socket, ssl.SSLSocket)
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.remove_writer(self._number)
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._number, self.go_on)
        except OSError as error:
            self._end(error)
        else:
            self._end(None)

    def give_up(self) -> None:
        """Ends the handshake without a call of `done`."""
        if not self._over:
            self._over = True
            self._timer.cancel()
            self._loop.remove_writer(self._number)

    def _end(self, error: OSError | None) -> None:
        if not self._over:
            self.give_up()
            self._done(error)


def _close_half_made(error: Exception) -> None:
    # wrap_socket has already detached the original socket: close the one it was making, which
    # only the frames of the traceback know
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            made.close()


def note_failed_handshake(record: SessionJournal, error: OSError) -> None:
    """Notes the reason in the transcript. Refusing a bad certificate is no violation."""
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    trust = _ASK_FOR_TRUST if reason.endswith(_DISTRUST) else ""
    record.note(f"(TLS handshake failed: {reason}{trust})".encode())
    if reason in _PLAIN_TEXT:
        record.violation("plain-on-tls-port")
        record.ends("server")
    # any other failure is the client's doing
    record.ends("timeout" if isinstance(error, TimeoutError) else "client")
