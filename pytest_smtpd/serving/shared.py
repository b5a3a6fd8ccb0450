"""The loop, callbacks and buffer that the connections of one service share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..policy.callbacks import Callbacks
from .loop import Loop
from .state import State

if TYPE_CHECKING:
    import ssl

READ_SIZE = 262_144  # octets of the one buffer for all reads


class Shared:
    """One for each service. Only the service's thread uses it."""

    def __init__(self, loop: Loop, state: State, context: ssl.SSLContext | None) -> None:
        self.loop = loop
        self.state = state
        self.ssl_context = context
        self.callbacks = Callbacks()
        self.buffer = memoryview(bytearray(READ_SIZE))
        self.activity = 0  # grows with every action of a client
