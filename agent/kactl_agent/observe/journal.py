"""What happened and why, in order: transitions, reloads, restarted processes. Bounded, in memory.

Every entry has a cursor: an opaque text that says how far a reader has come. It survives the reader, not the observer:
after a restart of that process a reader starts over and is told that something may be missing.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

from kactl_agent.observe.wall_clock import timestamp

Event = dict[str, Any]


class Journal:
    """The newest `limit` events. `follow` registers a listener for new ones."""

    def __init__(self, limit: int = 10_000, identity: str | None = None) -> None:
        self._events: deque[tuple[int, Event]] = deque(maxlen=limit)
        self._identity = identity or secrets.token_hex(4)
        self._number = 0
        self._listeners: list[Callable[[Event], None]] = []

    def append(self, kind: str, at: int, **fields: Any) -> Event:
        """Add an event that happened at wall-clock ns `at`."""
        self._number += 1
        event = {"cursor": f"{self._identity}-{self._number}", "time": timestamp(at), "type": kind, **fields}
        self._events.append((self._number, event))
        for listener in tuple(self._listeners):
            listener(event)
        return event

    @property
    def cursor(self) -> str:
        """Where the journal ends now."""
        return f"{self._identity}-{self._number}"

    def since(self, cursor: str, limit: int) -> tuple[list[Event], bool]:
        """The oldest `limit` events behind `cursor`, and whether there is a gap before them.

        An empty cursor is the beginning of what is kept. Raises ValueError for what never was a cursor.
        """
        after, gap = 0, False
        if cursor:
            identity, _, number = cursor.rpartition("-")
            if not identity or not number.isascii() or not number.isdigit() or len(number) > 18:
                raise ValueError(f"{cursor!r} is not a cursor")
            if identity == self._identity:
                after = int(number)
                gap = bool(self._events) and self._events[0][0] > after + 1
            else:
                gap = True
        events: list[Event] = []
        for number_, event in self._events:
            if number_ > after:
                if len(events) == limit:
                    break
                events.append(event)
        return events, gap

    def follow(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with every new event until the function returned is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None
