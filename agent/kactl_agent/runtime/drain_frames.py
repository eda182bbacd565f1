"""What the processes say to each other about instances that an operator takes out of service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from kactl_agent.runtime.frame import Frame

ALL = "*"


class DrainOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is drained, by whose word. The supervisor keeps it; it outlives reloads and workers, not the agent."""

    target: str  # name of an instance or of a sync group, or ALL: instances that a reload adds as well
    reason: str = ""
    at: int = 0  # wall-clock ns
    until: int | None = None  # wall-clock ns; None: until it is undrained
    require_peer: bool = False  # while it is not settled


class DrainRequest(Frame, frozen=True):
    """A client wants something drained (`ttl` in ns, None is for ever), or undrained again."""

    serial: int
    target: str
    undrain: bool = False
    reason: str = ""
    ttl: int | None = None
    require_peer: bool = False


class DrainOutcome(Frame, frozen=True):
    """How that went; `instances` are those the request was about."""

    serial: int
    ok: bool
    message: str
    instances: tuple[str, ...] = ()


class Drains(Frame, frozen=True):
    """All orders there are, for the VRRP worker, who answers, and for the observer."""

    serial: int
    orders: tuple[DrainOrder, ...]


class DrainsApplied(Frame, frozen=True):
    """The worker follows the orders; `refused` are instances that nobody took over from and that are MASTER again."""

    serial: int
    refused: tuple[str, ...] = ()


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Group(Named, Protocol):
    @property
    def members(self) -> tuple[str, ...]: ...


def covered(target: str, instances: Iterable[Named], groups: Sequence[Group]) -> tuple[str, ...]:
    """The instances that an order is about: all members of a sync group when it is about one of them.

    An instance goes before a group of the same name."""
    names = [each.name for each in instances]
    if target == ALL:
        return tuple(names)
    if target in names:
        return next((group.members for group in groups if target in group.members), (target,))
    return next((group.members for group in groups if group.name == target), ())
