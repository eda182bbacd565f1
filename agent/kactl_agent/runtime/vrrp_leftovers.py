"""What a VRRP worker that died may have left on the machine, taken away by a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable

import msgspec

from kactl_agent.kernel.linux import LinuxKernel
from kactl_agent.kernel.ports import Kernel
from kactl_agent.kernel.rtnetlink import RTPROT_KEEPALIVED
from kactl_agent.runtime import privileges, static_items, virtual_interfaces, vrrp_machine, vrrp_routing
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.on_the_machine import OnTheMachine, of
from kactl_agent.runtime.vrrp_machine import addresses_of
from kactl_agent.runtime.vrrp_routing import Item, routing_of, same
from kactl_agent.vrrp.pairing import place_of
from kactl_agent.vrrp.settings import VirtualAddress
from kactl_agent.vrrp.static_items import StaticItems

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


def reclaim_replaced(configurations: Iterable[AgentConfiguration], current: AgentConfiguration) -> int:
    """A worker died, and a reload came before the next one: take away the static items that only the configurations of
    before have. All else went when it died. Returns an exit code."""
    privileges.keep_only(_CAPABILITIES)
    kernel, marks, now = LinuxKernel(), _marks_addresses(), of(current)
    rest = msgspec.structs.replace(now, addresses=(), routes=(), rules=())
    failures: list[str] = []
    for each in configurations:
        left = msgspec.structs.replace(rest, static=each.static)
        failures += reclaim_difference(kernel, left, now, marks=marks)
    kernel.close()
    return 1 if failures else 0


def reclaim_predecessor(left: Iterable[OnTheMachine], now: OnTheMachine) -> int:
    """Take off the machine what an agent that was killed had there, each of these or a part of it, and this one does
    not have. What both have is the matter of the workers. Returns an exit code."""
    privileges.keep_only(_CAPABILITIES)
    kernel = LinuxKernel()
    marks = _marks_addresses()
    failures = [failure for each in left for failure in reclaim_difference(kernel, each, now, marks=marks)]
    kernel.close()
    return 1 if failures else 0


def reclaim_difference(kernel: Kernel, left: OnTheMachine, now: OnTheMachine, *, marks: bool) -> list[str]:
    """Returns what failed. Where the kernel keeps marks, an address without ours was put there by somebody else since,
    and stays."""
    kernel.links.drain()
    places = {place_of(a) for a in (*now.addresses, *(each.item for each in now.static.addresses))}
    gone = [a for a in left.addresses if place_of(a) not in places and _is_ours(kernel, a, marks)]
    static = [s for s in left.static.addresses if place_of(s.item) not in places and _is_ours(kernel, s.item, marks)]
    items = {same(item) for item in _routing(now)}
    items |= {same(item) for item in _static_routing(now)}
    routing = [item for item in _routing(left) if same(item) not in items]
    failures = vrrp_routing.reclaim(kernel, routing)
    failures += vrrp_machine.reclaim(kernel, gone)
    kept = StaticItems(
        addresses=tuple(static),
        routes=tuple(each for each in left.static.routes if same(each.item) not in items),
        rules=tuple(each for each in left.static.rules if same(each.item) not in items),
    )
    failures += static_items.reclaim(kernel, kept)
    if left.firewall != now.firewall:
        with contextlib.suppress(OSError):  # without nftables there is nothing
            kernel.firewall.discard(left.firewall)
    if left.interfaces_of and left.interfaces_of != now.interfaces_of:
        failures += virtual_interfaces.reclaim(kernel, virtual_interfaces.alias_of(left.interfaces_of))
    return failures


def _routing(kept: OnTheMachine) -> list[Item]:
    return [*kept.routes, *kept.rules]


def _static_routing(kept: OnTheMachine) -> list[Item]:
    return [*(each.item for each in kept.static.routes), *(each.item for each in kept.static.rules)]


def _is_ours(kernel: Kernel, address: VirtualAddress, marks: bool) -> bool:
    for entry in kernel.links.addresses(address.interface):
        if (entry.address, entry.prefix_length) == (address.address, address.prefix_length):
            return entry.protocol == RTPROT_KEEPALIVED or not marks
    return False


def _marks_addresses() -> bool:
    """Whether this kernel keeps who put an address there (IFA_PROTO, Linux 5.18)."""
    major, minor = (int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    return (major, minor) >= (5, 18)
