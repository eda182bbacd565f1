"""The state of a VRRP instance for everything that looks from outside."""

from __future__ import annotations

import msgspec

from kactl_agent.vrrp.actions import State
from kactl_agent.vrrp.settings import Family, VirtualAddress


class InstanceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One instance at one moment. Times are ns of the engine's clock, addresses packed bytes."""

    name: str
    state: State
    since: int  # when the state was entered
    cause: str  # of the last transition, as in Transition
    detail: str
    interface: str
    virtual_router_id: int
    family: Family
    version: int
    configured_priority: int
    effective_priority: int
    contributions: tuple[tuple[str, int], ...]  # (name, weight)
    master: bytes  # our own source address while MASTER, b"" when no master is known
    master_priority: int  # 0 when no master is known
    source_address: bytes  # what adverts are sent from, b"" when there is none
    advert_interval: int
    master_adver_interval: int  # VRRPv3: learned from the master
    addresses: tuple[VirtualAddress, ...]
    faults: tuple[str, ...]
    statistics: dict[str, int]
    wants_master: bool = False  # held in BACKUP by its sync group
    waiting_for: tuple[str, ...] = ()  # trackers without which the instance does not start yet
    drained: str | None = None  # the reason given; None when it is not drained
    handing_over: bool = False  # drained with require_peer, and nobody has taken over yet
    listening: bool = False  # MASTER after a pause of its own, silent until it knows that nobody else is
