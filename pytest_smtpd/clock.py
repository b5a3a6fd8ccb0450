"""The real monotonic clock, whatever a test has done to time.

Rule: every deadline and every duration in this package is taken from here, never from `time`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

__all__ = ["monotonic"]


def _real_clock() -> Callable[[], float]:
    # freezegun replaces module attributes that are the real functions, but no partial. On POSIX
    # no library fakes CLOCK_MONOTONIC, so the clock is real even if this module is first imported
    # while time is frozen. Windows has no such function; there the plugin imports this module
    # when pytest starts.
    if hasattr(time, "clock_gettime"):
        return functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    return functools.partial(time.monotonic)


monotonic = _real_clock()
"""Seconds on a clock that never goes back and that frozen time does not stop.

Only differences mean anything, and only between two values of this function.
"""
