"""Whether this process gets to run: its loop's lag, and pauses of the process or of the whole machine.

A tick comes every so often; a gap between two looks at the clock that is longer than that is time in which nothing was
read and nothing was sent. Whoever is about to judge others by their silence looks at the clock first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

_LAG_WINDOW = 5_000_000_000  # ns; `worst` looks back over one to two of them
_LONG = 6  # ticks, three intervals: others begin to conclude from our silence
_QUIET = 10_000_000_000  # ns between two lines about shorter gaps
_LONGEST_TICK = 500_000_000
_SHORTEST_TICK = 20_000_000


class Cancellable(Protocol):
    """What a call that is to come can be taken back by."""

    def cancel(self) -> None: ...


class Later(Protocol):
    """The part of an event loop that a watch needs."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Cancellable: ...


class StallWatch:
    """`stalled` is called with the length of a gap, in ns, before anything else is done after it, and with whether it
    is worth a line: short ones, which a busy machine has many of where intervals are short, are so now and then.

    `clock` is best one that goes on while the machine sleeps (CLOCK_BOOTTIME), which timers do not notice.
    """

    def __init__(self, loop: Later, clock: Callable[[], int], stalled: Callable[[int, bool], None]) -> None:
        self._loop = loop
        self._clock = clock
        self._stalled = stalled
        self._tick = _LONGEST_TICK
        self._last = clock()
        self._window_start = self._last
        self._worst_before = self._worst_now = 0
        self._noticing = False
        self._said: int | None = None  # when one was worth a line
        self._next: Cancellable | None = None  # the next tick

    def follow(self, shortest_interval: int) -> None:
        """Look twice in the shortest interval (ns) that anybody counts silence in; 0 is none."""
        tick = min(_LONGEST_TICK, max(_SHORTEST_TICK, shortest_interval // 2)) if shortest_interval else _LONGEST_TICK
        if self._next is None or tick >= self._tick:
            self._tick = tick
            return
        self.look()  # the time up to now was to be no shorter than the old tick
        self._tick = tick
        self._next.cancel()
        self._again()

    def start(self) -> None:
        self._last = self._clock()
        self._again()

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    @property
    def worst(self) -> int:
        """The longest lag of the last 5 to 10 s, in ns."""
        self._turn(self._clock())
        return max(self._worst_before, self._worst_now)

    def look(self) -> None:
        """Notice a gap now. To be called before packets are read and timers are served."""
        now = self._clock()
        gap, self._last = now - self._last, now
        lag = gap - self._tick
        if lag <= 0:
            return
        self._turn(now)
        self._worst_now = max(self._worst_now, lag)
        if lag > self._tick and not self._noticing:  # less is what a loaded machine does
            self._noticing = True
            notable = gap > _LONG * self._tick or self._said is None or now - self._said > _QUIET
            if notable:
                self._said = now
            try:
                self._stalled(gap, notable)
            finally:
                self._noticing = False

    def _again(self) -> None:
        self._next = self._loop.call_later(self._tick / 1e9, self._ticked)

    def _ticked(self) -> None:
        self.look()
        if self._next is not None:
            self._again()

    def _turn(self, now: int) -> None:
        """Forget what is older than the window."""
        windows = (now - self._window_start) // _LAG_WINDOW
        if windows > 0:
            self._worst_before = self._worst_now if windows == 1 else 0
            self._worst_now = 0
            self._window_start += windows * _LAG_WINDOW
