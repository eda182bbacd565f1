"""Two routers that both claim to own the addresses: when the one with the higher address gives in (keepalived 2.3.3).

The one with the lower address has to yield (RFC 9568 6.4.3, erratum 8298). One that goes on after two adverts of ours
and a pause does not know the rule, and somebody has to: the other one becomes BACKUP with priority 254.
"""

from __future__ import annotations

_OWN_ADVERTS = 2
_PAUSE_TENTHS = 12  # of the longer interval of the two


class Rival:
    """An owner with a lower address than ours, while we are MASTER. Times are ns."""

    def __init__(self, source: bytes, interval: int, now: int) -> None:
        self.source = source
        self._interval = interval
        self._heard = now
        self._sent = 0
        self._until: int | None = None

    def advert_sent(self, own_interval: int, now: int) -> None:
        """We have sent an advert, which it should yield to."""
        self._sent += 1
        if self._sent == _OWN_ADVERTS:
            self._until = now + max(own_interval, self._interval) * _PAUSE_TENTHS // 10

    def forgotten(self, now: int) -> bool:
        """It was silent for so long that it must have yielded meanwhile."""
        return now - self._heard > 4 * self._interval

    def persists(self, now: int) -> bool:
        """It is heard again: whether it has had its time to yield."""
        self._heard = now
        return self._until is not None and now >= self._until
