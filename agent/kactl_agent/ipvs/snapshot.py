"""The state of a virtual server for everything that looks from outside."""

from __future__ import annotations

import msgspec


class ServerSnapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A real server; the order is that of the settings."""

    alive: bool
    weight: int  # configured
    effective_weight: int
    ordered: int | None = None  # the weight that an operator has for it


class VirtualServerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One virtual server at one moment."""

    quorum_up: bool
    weight: int  # sum over the real servers that are alive
    sorry_active: bool
    suspended: bool
    servers: tuple[ServerSnapshot, ...]
