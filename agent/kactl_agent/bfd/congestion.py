"""Congestion control over several hops (RFC 5880 7, RFC 5883 6): who loses packets again and again sends fewer.

A session that loses its neighbour twice within a minute doubles its intervals, up to a second, in both directions; for
every minute that it stays Up it halves them again. The neighbour learns of both by Poll Sequences.
"""

from __future__ import annotations

from kactl_agent.bfd.settings import SLOWEST_ALLOWED

MINUTE = 60_000_000_000  # ns
_MOST = 1 << 10


class Congestion:
    """Of one session. `factor` is what its intervals are multiplied by."""

    def __init__(self) -> None:
        self.factor = 1
        self._failed: int | None = None
        self.deadline: int | None = None  # when `recover` is to be called

    def slowed(self, interval: int) -> int:
        """Microseconds; never slower than once a second for this reason."""
        return max(interval, min(interval * self.factor, SLOWEST_ALLOWED))

    def fail(self, now: int) -> bool:
        """The Detection Time has expired while Up. Returns whether the session slows down."""
        again = self._failed is not None and now - self._failed < MINUTE
        self._failed, self.deadline = now, None
        if again and self.factor < _MOST:
            self.factor *= 2
        return again

    def come_up(self, now: int) -> None:
        if self.factor > 1:
            self.deadline = now + MINUTE

    def recover(self, now: int) -> None:
        """A minute without a failure."""
        self.factor //= 2
        self.deadline = now + MINUTE if self.factor > 1 else None
