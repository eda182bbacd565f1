"""What VRRP instances share on a machine: how its interfaces are looked at. Resolved, integers only, times in ns."""

from __future__ import annotations

import msgspec


class LinkDelays(msgspec.Struct, frozen=True):
    """An entry of interface_up_down_delays, within the limits that the instances on the interface set."""

    interface: str
    down: int = 0
    up: int = 0


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of all instances together."""

    delays: tuple[LinkDelays, ...] = ()
