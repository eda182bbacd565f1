"""What the firewall is for: which instances do not accept packets for their addresses, and which table it uses."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from kactl_agent.config.in_force import OWNER, InstanceInForce, Sourced
from kactl_agent.config.schema.global_defs import GlobalDefs, IptablesChains
from kactl_agent.config.schema.global_defs import IpsetNames as SaidNames
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.vrrp.firewall import FirewallSettings, IpsetNames, IptablesSettings
from kactl_agent.vrrp.settings import Family, VrrpSettings
from kactl_agent.vrrp.virtual_interface import InterfaceKind

_TABLE = "keepalived"


def accepts(instance: InstanceInForce) -> Sourced[bool]:
    """Accept_Mode (RFC 9568 6.1): on, but in strict mode, and always for the owner. Strict VRRPv2 has no such mode."""
    said, path = instance.said, instance.path
    if instance.priority.value == OWNER:
        return Sourced(True, instance.priority.path)
    strict = instance.strict_mode
    if or_default(said.accept, False) and not (strict.value and instance.version.value == 2):
        return Sourced(True, (*path, "accept"))
    if strict.value:
        return Sourced(False, strict.path)
    if or_default(said.no_accept, False):
        return Sourced(False, (*path, "no_accept"))
    return Sourced(True)


def resolve_firewall(config: Config, instances: Iterable[VrrpSettings]) -> FirewallSettings:
    """Families are those of addresses that are not accepted and of VMACs, whose reports need a way out."""
    said = GlobalDefs() if config.global_defs is UNSET else config.global_defs
    local_igmp = not or_default(said.disable_local_igmp, False)
    needed: set[Family] = set()
    for instance in instances:
        needed |= {address.family for address in instance.addresses if not address.accepted}
        vmacs = (i for i in instance.virtual_interfaces if i.kind is InterfaceKind.MACVLAN)
        needed |= {vmac.family for vmac in vmacs if local_igmp or vmac.family is Family.IPV6}
    table = or_default(said.nftables, True)
    return FirewallSettings(
        families=tuple(family for family in Family if family in needed),
        table=table if isinstance(table, str) else _TABLE,
        iptables=_iptables(said) if said.nftables is UNSET or said.nftables is False else None,
        priority=or_default(said.nftables_priority, -1),
        counters=or_default(said.nftables_counters, False),
        by_index=or_default(said.nftables_ifindex, False),
        local_igmp=local_igmp,
    )


def _iptables(said: GlobalDefs) -> IptablesSettings | None:
    """vrrp_iptables and vrrp_ipsets. Where nftables is asked for as well, that is used."""
    chains = said.vrrp_iptables
    if chains is UNSET or chains is False:
        return None
    sets = said.vrrp_ipsets
    names = None if sets is False else _set_names(sets if isinstance(sets, SaidNames) else SaidNames())
    if not isinstance(chains, IptablesChains):
        return IptablesSettings(input_chain="INPUT", output_chain="OUTPUT", sets=names)
    return IptablesSettings(
        input_chain=or_default(chains.inchain, "INPUT"), output_chain=or_default(chains.outchain, ""), sets=names
    )


def _set_names(said: SaidNames) -> IpsetNames:
    """What is left out is made from the first."""
    first = or_default(said.ipv4, _TABLE)
    return IpsetNames(
        ipv4=first,
        ipv6=or_default(said.ipv6, f"{first}6"),
        ipv6_interface=or_default(said.ipv6_interface, f"{first}_if6"),
        igmp=or_default(said.igmp, f"{first}_igmp"),
        mld=or_default(said.mld, f"{first}_mld"),
        neighbours=or_default(said.nd, f"{first}_nd"),
    )
