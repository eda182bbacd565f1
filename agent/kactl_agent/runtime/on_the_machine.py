"""What a configuration puts on the machine, for whoever may have to take it away again."""

from __future__ import annotations

import msgspec

from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.vrrp.firewall import FirewallSettings
from kactl_agent.vrrp.routing import VirtualRoute, VirtualRule
from kactl_agent.vrrp.settings import VirtualAddress
from kactl_agent.vrrp.static_items import StaticItems


class OnTheMachine(msgspec.Struct, frozen=True, kw_only=True):
    """What a configuration puts there, sooner or later."""

    addresses: tuple[VirtualAddress, ...] = ()
    routes: tuple[VirtualRoute, ...] = ()
    rules: tuple[VirtualRule, ...] = ()
    static: StaticItems = StaticItems()
    firewall: FirewallSettings = FirewallSettings()
    interfaces_of: str = ""  # the path of the configuration that made macvlans and ipvlans; "" for none


def of(configuration: AgentConfiguration) -> OnTheMachine:
    instances = configuration.vrrp
    return OnTheMachine(
        addresses=tuple(address for instance in instances for address in instance.addresses),
        routes=tuple(route for instance in instances for route in instance.routes),
        rules=tuple(rule for instance in instances for rule in instance.rules),
        static=configuration.static,
        firewall=configuration.firewall,
        interfaces_of=configuration.file if any(instance.virtual_interfaces for instance in instances) else "",
    )
