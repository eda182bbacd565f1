"""Which kernel parameters a virtual router on a macvlan needs (keepalived sets the same).

Two interfaces of a machine have addresses of one network then: each must answer ARP for its own addresses alone, and
take packets whose way back leads through the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kactl_agent.kernel.ports import Sysctls
from kactl_agent.vrrp.settings import Family
from kactl_agent.vrrp.virtual_interface import InterfaceKind, VirtualInterface

_ALL = "net/ipv4/conf/all/rp_filter"


def of_virtual(interface: VirtualInterface) -> dict[str, int]:
    """Of the interface itself; one for IPv4 has no IPv6 at all."""
    conf = f"net/ipv4/conf/{interface.name}"
    if interface.kind is InterfaceKind.IPVLAN:
        return {f"net/ipv6/conf/{interface.name}/disable_ipv6": 1} if interface.family is Family.IPV4 else {}
    if interface.family is Family.IPV6:
        return {f"{conf}/arp_ignore": 1}
    return {
        f"{conf}/arp_ignore": 1,
        f"{conf}/accept_local": 1,
        f"{conf}/rp_filter": 0,
        f"{conf}/promote_secondaries": 1,
        f"net/ipv6/conf/{interface.name}/disable_ipv6": 1,
    }


def of_parent(name: str) -> dict[str, int]:
    """Of the interface below."""
    return {f"net/ipv4/conf/{name}/arp_ignore": 1, f"net/ipv4/conf/{name}/arp_filter": 1}


def all_interfaces(names: Iterable[str], sysctls: Sysctls, borrowed: Mapping[str, int]) -> dict[str, int]:
    """rp_filter of `all` is the least for every interface, macvlans included: it goes to 0, and each interface gets
    for its own what `all` has demanded of it. `borrowed` has what was set before: it stays as it is."""
    if _ALL in borrowed:
        return {key: value for key, value in borrowed.items() if key.endswith("/rp_filter")}
    least = sysctls.read(_ALL) or 0
    if not least:
        return {}
    raised = {}
    for name in ("default", *names):
        key = f"net/ipv4/conf/{name}/rp_filter"
        own = sysctls.read(key)
        if own is not None:
            raised[key] = own if name == "lo" else max(own, least)
    return raised | {_ALL: 0}
