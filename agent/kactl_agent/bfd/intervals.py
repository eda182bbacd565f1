"""Intervals of BFD, in microseconds (RFC 5880 6.8.2, 6.8.4, 6.8.7)."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_LEAST, _MOST = 750_000, 900_000  # of a million


def transmit_interval(desired_min_tx: int, remote_min_rx: int) -> int:
    """Between two periodic packets, before jitter; 0: the neighbour wants none (RFC 5880 6.8.1, 6.8.7)."""
    return max(desired_min_tx, remote_min_rx) if remote_min_rx else 0


def detection_time(remote_detect_mult: int, required_min_rx: int, remote_desired_min_tx: int) -> int:
    """Without a packet for so long the session is Down; asynchronous mode (RFC 5880 6.8.4)."""
    return remote_detect_mult * max(required_min_rx, remote_desired_min_tx)


def jittered(interval: int, number: int) -> int:
    """75 to 90 % of the interval, as the random number of 32 bits says.

    RFC 5880 6.8.7 wants 0 to 25 % less, and with a multiplier of one at least 10 % less. That, for any multiplier,
    leaves a timer that is late its room.
    """
    return interval * (_LEAST + number % (_MOST - _LEAST + 1)) // 1_000_000


class Randomness:
    """Numbers of 32 bits from a seed (xorshift32): jitter has to be spread, not unguessable."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK or 1

    def next(self) -> int:
        state = self._state
        state ^= state << 13 & _MASK
        state ^= state >> 17
        state ^= state << 5 & _MASK
        self._state = state
        return state
