"""What goes into a virtual server's engine and what comes out: serialisable, like those of the VRRP engine.

Startup and Shutdown are those of `kactl_agent.vrrp.actions`. Real servers and their checkers are called by their place
in the settings.
"""

from __future__ import annotations

from kactl_agent.ipvs.model import Destination, DestinationKey
from kactl_agent.vrrp.actions import Action, Input

# -- inputs -----------------------------------------------------------------------------------------------------------


class CheckerSaid(Input, frozen=True):
    """A checker says something else of its real server than before."""

    server: int
    checker: int
    up: bool
    keyword: str  # TCP_CHECK, ...
    detail: str  # what was seen


class CheckerFailed(Input, frozen=True):
    """A check has failed for good, and the checker said already that its real server is down."""

    server: int
    checker: int
    keyword: str
    detail: str


class CheckerWeighed(Input, frozen=True):
    """A checker makes something else of the weight of its real server: it is `weight` (None: the configured one), and
    `difference` more."""

    server: int
    checker: int
    weight: int | None = None
    difference: int = 0


class WeightOrdered(Input, frozen=True):
    """An operator has a weight for a real server (0 drains it) in place of what configuration and checkers make of it;
    None takes that back."""

    server: int
    weight: int | None
    reason: str = ""


class AddressPresent(Input, frozen=True):
    """Whether the address of the virtual server is on this machine (ha_suspend)."""

    present: bool


# -- actions ----------------------------------------------------------------------------------------------------------


class PutServices(Action, frozen=True):
    """The services of the virtual server are to be there, as its settings say."""


class RemoveServices(Action, frozen=True):
    """They are to be there no more, nor anything in them."""


class PutDestination(Action, frozen=True):
    """A destination is to be in every service of the virtual server, exactly like this."""

    destination: Destination


class RemoveDestination(Action, frozen=True):
    """It is to be in none of them."""

    key: DestinationKey


class ServerChanged(Action, frozen=True):
    """A real server is up or down; it is in the pool, or not, in consequence."""

    server: int
    up: bool
    keyword: str  # of the checker that decided it; empty: none did
    detail: str
    starting: bool = False  # told at the start alone (rs_init_notifies)


class ServerRemoved(Action, frozen=True):
    """A reload, or the stop of the agent (omega), has taken a real server away that was alive."""

    server: int  # its place in the settings before
    detail: str


class QuorumChanged(Action, frozen=True):
    """The quorum is gained or lost; told once at the start too."""

    up: bool
    weight: int  # of the real servers that are alive
    starting: bool = False
    detail: str = ""


class SorryServerChanged(Action, frozen=True):
    """The sorry server stands in for the pool, or does not any more."""

    active: bool


class WeightChanged(Action, frozen=True):
    """The weight in force of a real server."""

    server: int
    old: int
    new: int
    ordered: str = ""  # what an operator said; empty: a checker has another weight for it


class SuspendCheckers(Action, frozen=True):
    """No checks of this virtual server from now on; what is known stays."""


class ResumeCheckers(Action, frozen=True):
    """Checks again."""
