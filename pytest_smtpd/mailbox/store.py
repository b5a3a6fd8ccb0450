"""The store behind a mailbox: the server adds messages, tests read and remove them.

Rule: `messages` grows in place, and a removal replaces the list. So one operation on the list needs
no lock, and a reader that finds another list knows that messages were removed.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..message.message import Message


class Store:
    """Messages in the order they came, and the listeners to call when one is added.

    Each message has a number, counted from 0, that no other message gets.
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self.messages = list(messages)
        # Replaced, never changed: add() iterates over it outside the lock.
        self.listeners: tuple[Callable[[], None], ...] = ()
        self._end = len(self.messages)
        self._numbers = list(range(self._end))
        self._lock = threading.Lock()

    def add(self, message: Message) -> None:
        with self._lock:
            self.messages.append(message)
            self._numbers.append(self._end)
            self._end += 1
            listeners = self.listeners
        for listener in listeners:
            listener()

    def clear(self) -> None:
        """Remove all messages."""
        with self._lock:
            self.messages, self._numbers = [], []

    def take(self, matches: Callable[[Message], bool]) -> list[Message]:
        """Remove the messages that match and return them; no other thread gets the same ones."""
        __tracebackhide__ = True
        # Outside the lock, because `matches` runs code of the test
        found = set(filter(matches, self.messages[:]))
        with self._lock:
            here = list(zip(self._numbers, self.messages, strict=True))
            kept = [(number, message) for number, message in here if message not in found]
            if len(kept) == len(here):
                return []
            self._numbers = [number for number, _ in kept]
            self.messages = [message for _, message in kept]
        return [message for _, message in here if message in found]

    def end(self) -> int:
        """The number that the next message will get."""
        with self._lock:
            return self._end

    def since(self, number: int) -> list[Message]:
        """The messages from this number on."""
        with self._lock:
            return self.messages[bisect_left(self._numbers, number) :]

    def before(self, number: int) -> list[Message]:
        """The messages before this number."""
        with self._lock:
            return self.messages[: bisect_left(self._numbers, number)]

    def news(self, number: int) -> tuple[list[Message], list[Message], int]:
        """At one moment: the list `messages` itself, `since(number)` and `end()`."""
        with self._lock:
            new = self.messages[bisect_left(self._numbers, number) :]
            return self.messages, new, self._end

    @contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` after each message that is added, from the thread that adds it."""
        with self._lock:
            self.listeners += (listener,)
        try:
            yield
        finally:
            with self._lock:
                # A new bound method is made at each access, so == and not `is`.
                kept = list(self.listeners)
                kept.remove(listener)
                self.listeners = tuple(kept)
