"""What goes into a BFD session and what comes out: serialisable, like the inputs and actions of the VRRP engine."""

from __future__ import annotations

from enum import Enum

import msgspec

from kactl_agent.bfd.packet import State


class PacketMeta(msgspec.Struct, frozen=True):
    """What the kernel says about a received datagram besides its bytes."""

    source: bytes
    port: int  # of the destination
    ttl: int  # TTL or hop limit
    destination: bytes = b""
    interface: str = ""  # the socket is bound to it; "" where it is bound to none


# -- inputs -----------------------------------------------------------------------------------------------------------


class Input(msgspec.Struct, frozen=True, tag_field="input", tag=True):
    """Anything a session is told besides packets and the passing of time."""


class Disable(Input, frozen=True):
    """RFC 5880 6.8.16: administratively down."""


class Enable(Input, frozen=True):
    """RFC 5880 6.8.16."""


class Repeat(Input, frozen=True):
    """Send what is sent periodically once more, now: the packet before may have been lost."""


class ForwardingPlaneReset(Input, frozen=True):
    """RFC 5880 6.8.15."""


class ConcatenatedPath(Input, frozen=True):
    """RFC 5880 6.8.17: a path behind this one is down, which the neighbour is told; the session stays as it is."""

    down: bool
    reverse: bool = False


# -- actions ----------------------------------------------------------------------------------------------------------


class Action(msgspec.Struct, frozen=True, tag_field="action", tag=True):
    """Anything a session wants done."""


class Send(Action, frozen=True):
    """Send the datagram to the neighbour."""

    data: bytes


class Cause(Enum):
    """Why a session changed its state."""

    NEIGHBOR_ADMIN_DOWN = "neighbor_admin_down"
    NEIGHBOR_DOWN = "neighbor_down"
    NEIGHBOR_INIT = "neighbor_init"
    NEIGHBOR_UP = "neighbor_up"
    DETECTION_TIME_EXPIRED = "detection_time_expired"
    ECHO_FAILED = "echo_failed"
    FORWARDING_PLANE_RESET = "forwarding_plane_reset"
    DISABLED = "disabled"
    ENABLED = "enabled"


class StateChanged(Action, frozen=True):
    """The session is in another state. `up` is what clients (VRRP, checkers) are to go by: see `Session.up`."""

    old: State
    new: State
    cause: Cause
    detail: str
    diagnostic: int
    remote_diagnostic: int
    up: bool


class Settled(Action, frozen=True):
    """The session had its time to come Up, and did not: that it is not may be told (RFC 5882 3.3)."""


class Report(Action, frozen=True):
    """Something for the log."""

    level: str
    code: str
    detail: str
