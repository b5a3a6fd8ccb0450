"""The real monotonic clock, whatever a test has done to time.

Rule: every deadline and every duration in this package is taken from here, never from `time`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["monotonic"]


class _Hidden:
    """Keeps the functions where freezegun, which swaps module attributes, does not look.

    Under POSIX the kernel's clock is asked by its number: neither freezegun nor time-machine fakes
    that one (time-machine shifts CLOCK_REALTIME alone), so it is real even if this module is first
    imported while time is frozen. Windows has no `clock_gettime`; there it is `time.monotonic` as
    it was at the import of this module, which the plugin does when pytest starts.
    """

    read: Callable[..., float] = getattr(time, "clock_gettime", time.monotonic)
    clock: tuple[int, ...] = (
        (getattr(time, "CLOCK_MONOTONIC"),) if hasattr(time, "clock_gettime") else ()  # noqa: B009
    )


def monotonic() -> float:
    """Seconds on a clock that never goes back and that frozen time does not stop.

    Only differences mean anything, and only between two values of this function: the zero may be
    another one than that of `time.monotonic()` and of `asyncio`'s `loop.time()`.
    """
    return _Hidden.read(*_Hidden.clock)
