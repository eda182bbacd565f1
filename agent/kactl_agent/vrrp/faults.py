"""The reasons for FAULT that lie in the settings of an instance and in its interface; trackers have their own."""

from __future__ import annotations

from kactl_agent.vrrp.actions import InterfaceState
from kactl_agent.vrrp.packet import text_of
from kactl_agent.vrrp.settings import VrrpSettings

INTERFACE_MISSING = "interface_missing"
INTERFACE_DOWN = "interface_down"
NO_SOURCE_ADDRESS = "no_source_address"
CLOCK_UNKNOWN = "clock_unknown"
NO_UNICAST_PEER = "unicast_fault_no_peer"
SOURCE_ADDRESS_MISSING = "source_address_missing"
OWN_FAULTS = frozenset(
    {
        INTERFACE_MISSING,
        INTERFACE_DOWN,
        NO_SOURCE_ADDRESS,
        CLOCK_UNKNOWN,
        NO_UNICAST_PEER,
        SOURCE_ADDRESS_MISSING,
    }
)


def own_faults(settings: VrrpSettings, interface: InterfaceState | None, *, clock_known: bool) -> dict[str, str]:
    """Name -> sentence for an operator. `interface` is None while nothing is known of it."""
    faults = {}
    name = settings.interface or settings.vrf
    if interface is None or not interface.exists:
        faults[INTERFACE_MISSING] = f"interface {name} does not exist"
    elif not interface.up:
        faults[INTERFACE_DOWN] = interface.obstacle or f"interface {name} is down"
    if interface is not None:
        if not settings.source_address and not interface.primary_address:
            faults[NO_SOURCE_ADDRESS] = f"interface {name} has no address to send adverts from"
        elif settings.track_source and settings.source_address and not interface.source_present:
            detail = f"the source address, {text_of(settings.source_address)}, is not on this machine"
            faults[SOURCE_ADDRESS_MISSING] = detail
    if settings.auth_hmac is not None and not clock_known:
        # it could neither sign nor verify
        faults[CLOCK_UNKNOWN] = "the wall clock, which auth_hmac needs, is not known yet"
    if settings.unicast_fault_no_peer and not settings.unicast_peers:
        faults[NO_UNICAST_PEER] = "unicast is configured without a peer"
    return faults
