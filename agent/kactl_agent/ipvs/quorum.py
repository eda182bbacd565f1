"""Whether the live real servers of a virtual server are enough, with hysteresis (quorum, hysteresis).

As keepalived 2.2.7: what counts is the sum of the weights in force of the real servers that are alive.
"""

from __future__ import annotations

from enum import Enum


class QuorumChange(Enum):
    """What a new sum of weights makes of the quorum."""

    NONE = "none"
    GAINED = "gained"
    LOST = "lost"


def judge(up: bool, weight: int, quorum: int, hysteresis: int) -> QuorumChange:
    """`up` is what the quorum is.

    The quorum is gained with `quorum` + `hysteresis` or more, and lost below `quorum` - `hysteresis`. In between it
    stays what it is: at the start, down.
    """
    if not up and weight >= quorum + hysteresis:
        return QuorumChange.GAINED
    if up and (weight == 0 or weight < quorum - hysteresis):
        return QuorumChange.LOST
    return QuorumChange.NONE
