"""What the bfd worker says: to VRRP and checkers whether sessions are up, to the observer everything else."""

from __future__ import annotations

import msgspec

from kactl_agent.bfd.snapshot import SessionSnapshot
from kactl_agent.runtime.frame import Frame


class SessionVerdict(Frame, frozen=True):
    """What a client of the session is to go by. Posted as the state of `session`, and again after each reload."""

    session: str
    up: bool


class BfdSnapshot(Frame, frozen=True, kw_only=True):
    """State of a session as of `now`."""

    now: int
    at: int
    snapshot: SessionSnapshot
    source: bytes = b""  # the address packets are sent from, b"" while there is none
    source_port: int = 0
    problem: str = ""  # why packets cannot be sent or received


class BfdSessionGone(Frame, frozen=True):
    session: str


class BfdHeartbeat(Frame, frozen=True, kw_only=True):
    """The worker's loop is alive: its timers' lateness since it started, and packets that were no session's."""

    now: int
    at: int
    timers: int
    late_max: int  # ns
    late_over_10ms: int
    late_over_quarter: int  # of a detection time
    dropped: int  # records
    discarded: dict[str, int] = msgspec.field(default_factory=dict)  # packets, by reason
