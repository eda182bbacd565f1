"""What goes into a VRRP engine and what comes out: serialisable, so that it can be recorded, replayed and explained.

Every input and every action is a tagged, frozen struct: `msgspec.json.encode` of one is a line of a recording
(see `kactl_agent.vrrp.recording`).
"""

from __future__ import annotations

from enum import Enum

import msgspec

from kactl_agent.vrrp.evidence import Evidence
from kactl_agent.vrrp.routing import VirtualRoute, VirtualRule
from kactl_agent.vrrp.settings import VirtualAddress


class State(Enum):
    """RFC 9568 6.4 and keepalived's FAULT; RFC 9568 calls MASTER Active."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    FAULT = "FAULT"


class PacketMeta(msgspec.Struct, frozen=True):
    """What the kernel says about a received packet besides its bytes, all that stands behind the IP header."""

    source: bytes
    destination: bytes
    ttl: int  # TTL or hop limit
    interface: str
    checksum_verified: bool = False  # the kernel checks VRRP over IPv6 itself (IPV6_CHECKSUM)
    protocol: int = 112  # of the IP header: 112, or 51 when an authentication header comes first (IPv4)
    header: bytes = b""  # with protocol 51: the IPv4 header as received, options included


# -- inputs -----------------------------------------------------------------------------------------------------------


class Input(msgspec.Struct, frozen=True, tag_field="input", tag=True):
    """Anything an engine is told besides packets and the passing of time."""


class Startup(Input, frozen=True):
    """RFC 9568 6.4.1 Startup."""

    uptime: int | None = None  # ns since the machine was booted (CLOCK_BOOTTIME); None: long enough for any delay
    running: int = 0  # ns since the agent was started: what a reload adds has no startup delay of its own


class Shutdown(Input, frozen=True):
    """RFC 9568 6.4.2, 6.4.3 Shutdown."""


class InterfaceState(Input, frozen=True):
    """The interface of the instance as it is now. Sent before Startup, and at every change."""

    up: bool  # it counts as up, or the instance does not care, and something can be heard on it
    exists: bool
    primary_address: bytes  # primary IPv4 or link-local IPv6 address, b"" when there is none
    hardware_address: bytes
    mtu: int
    source_present: bool = True  # the configured source address is on the machine; matters with track_src_ip alone
    obstacle: str = ""  # why the interface that stands for it (use_vmac, use_ipvlan) cannot be used


class ClockOffset(Input, frozen=True):
    """What the wall clock says: Unix time is `now` plus this many ns. Instances with auth_hmac alone need it.

    Sent before Startup and whenever the clock was stepped or has drifted by more than a few ms since it was last sent.
    """

    nanoseconds: int


class AddressLost(Input, frozen=True):
    """A virtual address was deleted by somebody else while the instance is MASTER."""

    address: VirtualAddress


class RouteLost(Input, frozen=True):
    """A virtual route was deleted by somebody else, or by the kernel, while the instance is MASTER."""

    route: VirtualRoute


class RuleLost(Input, frozen=True):
    """A virtual rule was deleted by somebody else while the instance is MASTER."""

    rule: VirtualRule


class PriorityContribution(Input, frozen=True):
    """What a tracker adds to the priority from now on. A weight of 0 takes the contribution back."""

    name: str  # unique in the instance, e.g. "track_script chk_haproxy"
    weight: int
    detail: str = ""  # why, for an operator


class TrackerFault(Input, frozen=True):
    """A tracker puts the instance into FAULT, or takes its fault back."""

    name: str  # unique in the instance
    faulted: bool
    detail: str = ""  # why, for an operator: "exited with status 1"


class TrackerPending(Input, frozen=True):
    """A tracker that could be a fault does not know yet, or knows now. Until it knows, Startup waits in INIT."""

    name: str  # unique in the instance
    pending: bool


class SyncTo(Input, frozen=True):
    """The sync group of the instance takes it to MASTER or BACKUP."""

    state: State
    group: str
    resign: bool = False  # to BACKUP as if an address of its own had been lost: priority 0, back after Skew_Time


class SyncAnnounce(Input, frozen=True):
    """Another member of the sync group has heard a master of lower priority: the addresses may have moved here too."""


class Drain(Input, frozen=True):
    """An operator takes the instance out of service: it hands over, and is not MASTER again before `Undrain`."""

    reason: str = ""  # as the operator gave it
    require_peer: bool = False  # back to MASTER, and not drained, unless another router takes over


class Undrain(Input, frozen=True):
    """It may be MASTER again, if the protocol makes it that."""


class Stalled(Input, frozen=True):
    """This process, or the machine, stood still for a while: what was not heard meanwhile says nothing about others.

    To be told before anything else is, and before what was received meanwhile.
    """

    duration: int  # ns before `now`; may be longer than the clock of `now` says, which a sleeping machine stops


class ActionFailed(Input, frozen=True):
    """The driver could not carry an action out. Failures come back as inputs, never as exceptions in the engine."""

    action: str
    reason: str


# -- actions ----------------------------------------------------------------------------------------------------------


class Action(msgspec.Struct, frozen=True, tag_field="action", tag=True):
    """Something the driver does for an engine, in the order given."""


class SendAdvert(Action, frozen=True):
    """Send a VRRP packet: the driver puts `payload` behind an IP header of this source and TTL.

    With `protocol` 51 the payload begins with an authentication header, which covers the IPv4 header: it has to be
    the one of `kactl_agent.vrrp.auth_header.ipv4_header`, with `identification`. Otherwise the payload is the VRRP
    message (with the trailer of auth_hmac), and the identification is 0: the kernel's choice.
    """

    payload: bytes
    source: bytes
    destinations: tuple[bytes, ...]
    ttl: int
    priority: int
    protocol: int = 112
    identification: int = 0


class AddAddresses(Action, frozen=True):
    """Put the virtual addresses on the machine: one netlink buffer for all of them."""

    addresses: tuple[VirtualAddress, ...]


class RemoveAddresses(Action, frozen=True):
    addresses: tuple[VirtualAddress, ...]


class AddRoutes(Action, frozen=True):
    """Put the virtual routes into the kernel, in this order: one netlink buffer for all of them."""

    routes: tuple[VirtualRoute, ...]


class RemoveRoutes(Action, frozen=True):
    routes: tuple[VirtualRoute, ...]


class ReplaceRoutes(Action, frozen=True):
    """After a reload: what differs is changed, what is equal is not touched."""

    old: tuple[VirtualRoute, ...]
    new: tuple[VirtualRoute, ...]


class AddRules(Action, frozen=True):
    """Put the virtual rules into the kernel, in this order: one netlink buffer for all of them."""

    rules: tuple[VirtualRule, ...]


class RemoveRules(Action, frozen=True):
    rules: tuple[VirtualRule, ...]


class ReplaceRules(Action, frozen=True):
    """After a reload: what differs is changed, what is equal is not touched."""

    old: tuple[VirtualRule, ...]
    new: tuple[VirtualRule, ...]


class Announce(Action, frozen=True):
    """Gratuitous ARP (IPv4) or unsolicited neighbour advertisement (IPv6), `repeat` copies for each address."""

    addresses: tuple[VirtualAddress, ...]
    repeat: int


class Transition(Action, frozen=True, omit_defaults=True):
    """The state has changed: for the journal, notifications and everything that looks from outside.

    Recordings are without the evidence: their replay tells it.
    """

    old: State
    new: State
    cause: str  # stable code, e.g. "master_down_timer", "advert_higher_priority", "interface_down"
    detail: str  # one sentence for an operator
    priority: int
    master: bytes  # address of the master as far as known, b"" when not
    evidence: Evidence | None = None  # what the instance knew then


class LowerPriorityReceived(Action, frozen=True):
    """As MASTER, a lower priority was heard: for notify_master_rx_lower_pri, the FIFOs and the sync group."""

    source: bytes
    priority: int


class GroupTransition(Action, frozen=True):
    """The state of a sync group has changed, behind the transitions of its members."""

    group: str
    old: State
    new: State
    cause: str  # of the member that brought it about, as in Transition
    detail: str


class Report(Action, frozen=True):
    """Something an operator should know that is no transition: a dropped packet, a peer's misconfiguration."""

    code: str
    detail: str
    level: str = "info"  # detail, info, warning, error


AnyInput = (
    Startup
    | Shutdown
    | InterfaceState
    | ClockOffset
    | AddressLost
    | RouteLost
    | RuleLost
    | PriorityContribution
    | TrackerFault
    | TrackerPending
    | SyncTo
    | SyncAnnounce
    | Drain
    | Undrain
    | Stalled
    | ActionFailed
)
AnyAction = (
    SendAdvert
    | AddAddresses
    | RemoveAddresses
    | AddRoutes
    | RemoveRoutes
    | ReplaceRoutes
    | AddRules
    | RemoveRules
    | ReplaceRules
    | Announce
    | Transition
    | LowerPriorityReceived
    | GroupTransition
    | Report
)
