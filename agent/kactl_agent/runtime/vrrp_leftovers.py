"""What a VRRP worker that died may have left on the machine, taken away by a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from kactl_agent.kernel.linux import LinuxKernel
from kactl_agent.runtime import privileges, static_items, virtual_interfaces, vrrp_machine, vrrp_routing
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.vrrp_machine import addresses_of
from kactl_agent.runtime.vrrp_routing import routing_of

_CAPABILITIES = (privileges.Capability.CAP_NET_ADMIN, privileges.Capability.CAP_NET_RAW)


def reclaim(configurations: Iterable[AgentConfiguration]) -> int:
    """Take off the machine what a worker which died may have left there. Returns an exit code."""
    privileges.keep_only(_CAPABILITIES)
    kernel = LinuxKernel()
    configurations = list(configurations)
    failures = vrrp_routing.reclaim(kernel, [item for each in configurations for item in routing_of(each.vrrp)])
    failures += vrrp_machine.reclaim(kernel, [a for each in configurations for a in addresses_of(each.vrrp)])
    for settings in {each.firewall for each in configurations}:
        with contextlib.suppress(OSError):  # without nftables there is nothing
            kernel.firewall.discard(settings)
    for alias in {virtual_interfaces.alias_of(each.file) for each in configurations}:
        failures += virtual_interfaces.reclaim(kernel, alias)
    kernel.close()
    return 1 if failures else 0


def reclaim_at_end(configurations: Iterable[AgentConfiguration]) -> int:
    """Take the static items off the machine when no worker is left that will. Returns an exit code."""
    privileges.keep_only(_CAPABILITIES)
    kernel = LinuxKernel()
    failures = [failure for each in configurations for failure in static_items.reclaim(kernel, each.static)]
    kernel.close()
    return 1 if failures else 0
