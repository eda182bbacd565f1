"""What the checkers worker says to the observer, and what VRRP says to it.

What does not change but by a reload goes once, what changes goes in place of what was not sent yet. Both come in parts
of so many real servers that each fits a frame.
"""

from __future__ import annotations

import msgspec

from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.ipvs.model import Timeouts
from kactl_agent.ipvs.snapshot import ServerSnapshot
from kactl_agent.runtime.frame import Frame

SERVERS_A_FRAME = 128


class TimeoutsBefore(Frame, frozen=True):
    """What the idle timeouts of IPVS were before lvs_timeouts, None when they are so again. The worker tells the
    supervisor, who tells the one that follows."""

    timeouts: Timeouts | None


class InstanceVerdict(Frame, frozen=True):
    """Of the vrrp worker: the state of an instance. Posted as the state of `instance`."""

    instance: str
    state: str


class MemberFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Services of a virtual server."""

    family: int
    address: bytes = b""  # the first one
    count: int = 1
    port: int = 0
    fwmark: int = 0


class RealServerFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A real server as it is configured."""

    address: bytes
    port: int
    weight: int
    method: str  # NAT, DR, TUN
    inhibit: bool
    snmp_name: str
    checkers: tuple[str, ...]  # where each of its checkers looks at, empty: nowhere in particular


class VirtualServerFacts(Frame, frozen=True, kw_only=True):
    """A virtual server as it is configured. Posted as the state of (facts, `key`, `first`)."""

    key: str
    first: int  # place of the first of `real_servers`
    total: int  # real servers there are
    order: int  # place in the configuration
    name: str
    protocol: int
    group: str
    scheduler: str
    method: str
    persistence_timeout: int
    quorum: int
    hysteresis: int
    snmp_name: str
    sorry_server: str  # `[192.0.2.9]:tcp:80`, empty: none
    members: tuple[MemberFacts, ...]
    real_servers: tuple[RealServerFacts, ...]


class VirtualServerStatus(Frame, frozen=True, kw_only=True):
    """A virtual server as it is at `now`. Posted as the state of (status, `key`, `first`)."""

    key: str
    first: int
    now: int
    at: int
    quorum_up: bool
    weight: int
    sorry_active: bool
    suspended: bool
    servers: tuple[ServerSnapshot, ...]
    checkers: tuple[tuple[CheckerSnapshot, ...], ...]  # of each of `servers`


class VirtualServerGone(Frame, frozen=True):
    """A reload has taken it away. Posted as the state of (gone, `key`)."""

    key: str


class CheckersHeartbeat(Frame, frozen=True, kw_only=True):
    """The worker's loop is alive."""

    now: int
    at: int
    timers: int
    late_max: int  # ns, since the worker started
    late_over_10ms: int
    dropped: int  # records
    running: int  # checks that are under way
    operations: int  # on the IPVS table, since the worker started
    drifts: int  # what somebody else had changed, since the worker started
    problems: tuple[str, ...]  # what IPVS refuses
