"""What the firewall has to know of the configuration, and what it is to hold: packets for addresses of a router that
does not accept them (Accept_Mode, RFC 9568 6.1) are dropped, and reports of VMACs leave by their parents."""

from __future__ import annotations

import msgspec

from kactl_agent.vrrp.family import Family


class IpsetNames(msgspec.Struct, frozen=True, kw_only=True):
    """vrrp_ipsets: the sets that the rules of iptables refer to."""

    ipv4: str = "keepalived"
    ipv6: str = "keepalived6"
    ipv6_interface: str = "keepalived_if6"  # link-local addresses
    igmp: str = "keepalived_igmp"  # VMACs, whose reports are dropped
    mld: str = "keepalived_mld"
    neighbours: str = "keepalived_nd"  # link-local addresses of parents, not to be advertised by their VMACs


class IptablesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """vrrp_iptables: the chains to put rules into, which have to exist."""

    input_chain: str = "INPUT"
    output_chain: str = ""  # "": what goes out is not filtered
    sets: IpsetNames | None = None  # None: no ipsets, a rule for each address


class FirewallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """nftables, nftables_*: which table, and how. `families` are those that need one."""

    families: tuple[Family, ...] = ()
    table: str = "keepalived"
    priority: int = -1
    counters: bool = False
    iptables: IptablesSettings | None = None  # instead of nftables, where the machine has it
    by_index: bool = False  # nftables_ifindex: link-local addresses with the index of their interface, not its name
    local_igmp: bool = True  # False: disable_local_igmp, the kernel reports no membership of 224.0.0.0/24


def together(old: FirewallSettings, new: FirewallSettings) -> FirewallSettings:
    """The new settings with all families that were needed so far: while a reload goes on both are."""
    families = tuple(family for family in Family if family in (*old.families, *new.families))
    return msgspec.structs.replace(new, families=families)


class Blocked(msgspec.Struct, frozen=True):
    """Packets for and from the address are dropped; of a link-local one, those on its interface."""

    address: bytes
    interface: str = ""  # of a link-local address
    index: int = 0  # of that interface, 0 to go by its name


class VmacTraffic(msgspec.Struct, frozen=True):
    """IGMP, MLD and router solicitations of a VMAC are its parent's matter."""

    family: Family
    index: int
    parent: int  # index
    parent_link_local: bytes = b""  # not to be advertised by the VMAC, which mirrors it
    interface: str = ""  # its name, which iptables goes by


FirewallEntry = Blocked | VmacTraffic


def is_link_local(address: bytes) -> bool:
    """fe80::/10 (RFC 4291 2.4)."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def blocked(address: bytes, interface: str, index: int) -> Blocked:
    """`index` is 0 where interfaces go by their names."""
    return Blocked(address, interface, index) if is_link_local(address) else Blocked(address)
