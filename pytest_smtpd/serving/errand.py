"""Carries out the waits of the policy for one connection: time, the test, the client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..policy.verdicts import Call, Send, Sleep, Until, Wait, Waits
from .shared import Shared
from .transport import Transport

SPLIT_PAUSE = 0.001  # seconds between two pieces, or they may arrive as one


class Errand:
    """One run of a generator of waits. `resume` is called when a wait is over.

    `write` sends octets on the transport and returns whether the client is still there.
    """

    def __init__(
        self,
        waits: Waits[None],
        shared: Shared,
        transport: Transport,
        write: Callable[[bytes], bool],
        resume: Callable[[Any], None],
    ) -> None:
        self.wait: Wait | None = None  # the present one
        self._waits = waits
        self._loop = shared.loop
        self._callbacks = shared.callbacks
        self._transport = transport
        self._write = write
        self._resume = resume
        self._unsent = b""
        self._size = 0
        self._take_back: Callable[[], object] = _nothing

    def go_on(self, value: Any = None) -> bool:
        """Continues with the result of the last wait; returns whether the generator has ended.

        Raises the exceptions of the generator.
        """
        while True:
            self.wait, self._take_back = None, _nothing
            try:
                self.wait = wait = self._waits.send(value)
            except StopIteration:
                return True
            match wait:
                case Sleep(seconds=seconds):
                    self._take_back = self._loop.call_later(seconds, self._over, wait).cancel
                case Until(hold=hold):
                    self._take_back = hold.reach(partial(self._tell, wait))
                case Call(call=call):
                    self._callbacks.run(call, partial(self._tell, wait))
                case Send(octets=octets, size=size):
                    self._unsent, self._size = octets, size or len(octets)
                    taken = self._send()
                    if taken is not None:
                        value = taken
                        continue
            return False

    def cancel(self) -> bytes:
        """Ends the generator at its wait; returns the octets that are still unsent."""
        unsent, self._unsent = self._unsent, b""
        self.wait = None
        self._take_back()
        self._waits.close()
        return unsent

    def _over(self, wait: Wait, value: Any = None) -> None:
        if self.wait is wait:
            self._resume(value)
        else:
            _miss(wait, value)

    def _tell(self, wait: Wait, error: BaseException | None = None) -> None:
        """From any thread: the wait is over."""
        try:
            self._loop.call_soon_threadsafe(self._over, wait, error)
        except RuntimeError:  # the loop is closed
            _miss(wait, error)

    # ---- sending

    def _send(self) -> bool | None:
        """Sends now; None while octets are left, then whether the client took them all."""
        while self._unsent:
            if self._transport.unsent:
                return None
            piece, self._unsent = self._unsent[: self._size], self._unsent[self._size :]
            if not self._write(piece):
                self._unsent = b""
                return False
            # Not after the last piece: the client may go on at once, for example with a handshake
            if self._unsent:
                self._take_back = self._loop.call_later(SPLIT_PAUSE, self.send_more).cancel
                return None
        return True

    def send_more(self) -> None:
        """Goes on sending, after a pause or when the client takes octets again."""
        self._take_back()
        if isinstance(self.wait, Send):
            taken = self._send()
            if taken is not None:
                self._resume(taken)


def _miss(wait: Wait, error: BaseException | None) -> None:
    if isinstance(wait, Call) and error is not None:
        wait.unheard(error)


def _nothing() -> None:
    pass
