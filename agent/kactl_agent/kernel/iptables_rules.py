"""Which rules and sets of iptables stand for what the firewall is to hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel import xtables as xt
from kactl_agent.kernel.ipset import Element, Set, SetType
from kactl_agent.kernel.xtables import MatchSet, Rule
from kactl_agent.vrrp.family import Family
from kactl_agent.vrrp.firewall import (
    Blocked,
    FirewallEntry,
    FirewallSettings,
    IpsetNames,
    IptablesSettings,
    VmacTraffic,
    is_link_local,
)

_NEIGHBOUR_DISCOVERY = (135, 136)
_ROUTER_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 133, 136
_REPORTS = (131, 143)  # of multicast listeners: versions 1 and 2


def comment_of(settings: FirewallSettings) -> str:
    """Tells the rules of one agent from those of another in the same network namespace, as the nftables table does."""
    return f"kactl {settings.table}"


def sets_of(families: Collection[Family], names: IpsetNames) -> list[Set]:
    """All that the rules of the families refer to."""
    pairs = SetType.NETWORKS_AND_INTERFACES
    found = []
    if Family.IPV4 in families:
        found += [Set(names.ipv4, SetType.ADDRESSES, nl.AF_INET), Set(names.igmp, pairs, nl.AF_INET)]
    if Family.IPV6 in families:
        found.append(Set(names.ipv6, SetType.ADDRESSES, nl.AF_INET6))
        found += [Set(name, pairs, nl.AF_INET6) for name in (names.ipv6_interface, names.mld, names.neighbours)]
    return found


def elements_of(
    families: Collection[Family], names: IpsetNames, entries: Collection[FirewallEntry]
) -> set[tuple[Set, Element]]:
    """What stands for the entries, where their family has sets."""
    by_name = {each.name: each for each in sets_of(families, names)}
    return {
        (by_name[name], element) for entry in entries for name, element in _elements_of(names, entry) if name in by_name
    }


def _elements_of(names: IpsetNames, entry: FirewallEntry) -> Iterator[tuple[str, Element]]:
    if isinstance(entry, Blocked):
        if is_link_local(entry.address):
            yield names.ipv6_interface, Element(entry.address, entry.interface)
        else:
            yield names.ipv4 if len(entry.address) == 4 else names.ipv6, Element(entry.address)
    elif entry.family is Family.IPV4:
        yield names.igmp, Element(b"", entry.interface)
    else:
        yield names.mld, Element(b"", entry.interface)
        if entry.parent_link_local:
            yield names.neighbours, Element(entry.parent_link_local, entry.interface)


def rules_with_sets(family: Family, chains: IptablesSettings, names: IpsetNames, indexes: dict[str, int]) -> list[Rule]:
    """They never change: what is blocked are elements. `indexes` are those of the sets, by name."""
    inside, outside = chains.input_chain, chains.output_chain

    def elements(name: str, *sources: bool) -> MatchSet:
        return MatchSet(indexes[name], sources)

    if family is Family.IPV4:
        rules = [Rule(chain=inside, match_set=elements(names.ipv4, False))]
        if outside:
            rules.append(Rule(chain=outside, match_set=elements(names.ipv4, True)))
            rules.append(Rule(chain=outside, protocol=xt.IGMP, match_set=elements(names.igmp, False, False)))
        return rules
    by_vmac = [(kind, elements(names.mld, False, False)) for kind in (*_REPORTS, _ROUTER_SOLICITATION)]
    by_vmac.append((_NEIGHBOUR_ADVERTISEMENT, elements(names.neighbours, True, False)))
    rules = [
        Rule(chain=outside, protocol=xt.ICMPV6, icmpv6_type=kind, match_set=match) for kind, match in by_vmac if outside
    ]
    for chain, incoming in ((inside, True), (outside, False)):
        addresses = elements(names.ipv6, not incoming)
        link_local = elements(names.ipv6_interface, not incoming, incoming)
        for match in (addresses, link_local) if chain else ():
            rule = Rule(chain=chain, match_set=match)
            rules += [*_neighbour_discovery(rule), rule]
    return rules


def rules_without_sets(family: Family, chains: IptablesSettings, entries: Collection[FirewallEntry]) -> list[Rule]:
    """One or more for each entry: addresses before all that is in the chains, VMACs behind."""
    rules: list[Rule] = []
    for entry in entries:
        if isinstance(entry, Blocked):
            if (len(entry.address) == 4) == (family is Family.IPV4):
                rules += _address_rules(chains, entry)
        elif entry.family is family and chains.output_chain:
            rules += _vmac_rules(chains.output_chain, entry)
    return rules


def _address_rules(chains: IptablesSettings, entry: Blocked) -> Iterator[Rule]:
    on = entry.interface if is_link_local(entry.address) else ""
    ways = [Rule(chain=chains.input_chain, destination=entry.address, input_interface=on, first=True)]
    if chains.output_chain:
        ways.append(Rule(chain=chains.output_chain, source=entry.address, output_interface=on, first=True))
    for way in ways:
        if len(entry.address) == 16:
            yield from _neighbour_discovery(way)
        yield way


def _neighbour_discovery(rule: Rule) -> Iterator[Rule]:
    """What goes before the rule: without neighbour discovery nobody could find the router."""
    for kind in _NEIGHBOUR_DISCOVERY:
        yield msgspec.structs.replace(rule, protocol=xt.ICMPV6, icmpv6_type=kind, verdict=xt.ACCEPT)


def _vmac_rules(chain: str, entry: VmacTraffic) -> Iterator[Rule]:
    if entry.family is Family.IPV4:
        yield Rule(chain=chain, output_interface=entry.interface, protocol=xt.IGMP)
        return
    for kind in (*_REPORTS, _ROUTER_SOLICITATION):
        yield Rule(chain=chain, output_interface=entry.interface, protocol=xt.ICMPV6, icmpv6_type=kind)
    if entry.parent_link_local:
        yield Rule(
            chain=chain,
            output_interface=entry.interface,
            protocol=xt.ICMPV6,
            icmpv6_type=_NEIGHBOUR_ADVERTISEMENT,
            source=entry.parent_link_local,
        )
