"""How much a change hurts, and how it is said."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec


class Impact(Enum):
    """In rising order. The words are those of `kactl plan`."""

    NO_OP = "no-op"  # nothing on the machine or the wire is different
    HITLESS = "hitless"  # no address, no session and no service is gone for a moment
    BRIEF = "brief"  # an address is elsewhere, or gone for a moment; another router may become MASTER
    DISRUPTIVE = "disruptive"  # an address, a session or a service ends, or begins anew from nothing

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {impact: rank for rank, impact in enumerate(Impact)}


class Change(msgspec.Struct, frozen=True):
    """One thing a reload does. `peers`: why other routers would drop what we send then, or be something else; empty
    where they would not."""

    subject: str  # `vrrp_instance VI_1`, `static_routes`
    impact: Impact
    text: str
    addresses: tuple[str, ...] = ()  # the virtual addresses it is about, with prefix
    peers: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "class": self.impact.value,
            "text": self.text,
            "addresses": list(self.addresses),
            "peer_incompatible": bool(self.peers),
            "peers": self.peers,
        }
