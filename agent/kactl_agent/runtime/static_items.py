"""Keeps static addresses, routes and rules on the machine, and tells instances that depend on one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address

from kactl_agent.kernel.addresses import plan
from kactl_agent.kernel.ports import AddressFailure, Kernel
from kactl_agent.runtime.vrrp_routing import HeldRouting, Item, same
from kactl_agent.runtime.vrrp_routing import reclaim as reclaim_routing
from kactl_agent.vrrp.actions import Input, Report, TrackerFault
from kactl_agent.vrrp.routing import VirtualRoute
from kactl_agent.vrrp.settings import VirtualAddress
from kactl_agent.vrrp.static_items import StaticItems

_HOLDER = "static"
_MISSING = "it is not on the machine"


class StaticKeeper:
    """What is gone is put back at once, as keepalived does, unless it says no_track; what cannot be put back is tried
    again, and faults the instances of its track_group until it is there."""

    def __init__(self, kernel: Kernel, tell: Callable[[str, Input], None], report: Callable[[Report], None]) -> None:
        self._kernel = kernel
        self._tell = tell
        self._report = report
        self._items = StaticItems()
        self._routing = HeldRouting(kernel)
        self._complaints: dict[str, str] = {}  # by what was done
        self._faults: dict[tuple[str, str], None] = {}  # (instance, name of the fault)

    # -- configuration -------------------------------------------------------------------------------------------------

    def apply(self, items: StaticItems) -> None:
        """Make the machine have these and no others of ours: what differs is changed, what is equal is not touched.

        New ones come first, so that nothing is missing on the way.
        """
        old, self._items = self._items, items
        if old == items == StaticItems():
            return
        links = self._kernel.links
        links.drain()
        self._complaints.clear()
        self._kernel.routing.prepare(self._routing_items(), links)
        addresses = [static.item for static in items.addresses]
        work = plan(addresses, [static.item for static in old.addresses], links.has)
        self._complain("add", self._kernel.addresses.apply((), work.add, links))
        failures = (
            self._routing.replace_routes(_HOLDER, [s.item for s in old.routes], [s.item for s in items.routes]),
            self._routing.replace_rules(_HOLDER, [s.item for s in old.rules], [s.item for s in items.rules]),
        )
        self._complain_once("routing", "; ".join(filter(None, failures)))
        self._complain("remove", self._kernel.addresses.apply(work.remove, (), links))
        self._kernel.links.drain()
        self._find_faults()

    def rename(self, names: Mapping[str, str]) -> None:
        """Instances that are called something else from now on: old name -> new name. Items that name them so follow at
        once (`apply`)."""
        self._faults = {(names.get(instance, instance), fault): None for instance, fault in self._faults}

    def stop(self) -> None:
        """Take everything off the machine, in the opposite order."""
        self._complaints.clear()
        self._complain_once("routing", self._routing.remove(_HOLDER, self._routing_items()))
        links = self._kernel.links
        links.drain()
        work = plan((), [static.item for static in self._items.addresses], links.has)
        self._complain("remove", self._kernel.addresses.apply(work.remove, (), links))
        self._items = StaticItems()

    # -- the machine ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Interfaces, addresses, routes or rules may have changed: put back what is gone, tell instances.

        Nothing is waited for: what could not be put back is tried again at the next call.
        """
        if self._items == StaticItems():
            return
        self._restore_addresses()
        for holder, item in self._routing.missing():
            self._routing.forget(holder, item)
        held = {same(item) for item in self._routing.held.get(_HOLDER, ())}
        gone = [item for item in self._routing_items() if item.tracked and same(item) not in held]
        self._complain_once("routing", self._routing.add(_HOLDER, [item for item in gone if self._can_be(item)]))
        self._find_faults()

    def _restore_addresses(self) -> None:
        links = self._kernel.links
        gone = [
            static.item
            for static in self._items.addresses
            if static.item.tracked and not links.has(static.item) and links.link(static.item.interface) is not None
        ]
        self._complain("add", self._kernel.addresses.apply((), gone, links) if gone else ())
        if gone:
            links.drain()

    def _can_be(self, item: Item) -> bool:
        """A route over an interface that is down would be refused."""
        if not isinstance(item, VirtualRoute):
            return True
        found = [self._kernel.links.link(name) for name in item.interfaces]
        return all(link is not None and link.flags & 1 for link in found)

    def _routing_items(self) -> list[Item]:
        return [*(static.item for static in self._items.routes), *(static.item for static in self._items.rules)]

    # -- instances that depend on them ---------------------------------------------------------------------------------

    def inputs(self, instance: str) -> list[Input]:
        """What an instance has to be told before it starts."""
        return [TrackerFault(fault, True, _MISSING) for name, fault in self._faults if name == instance]

    def _find_faults(self) -> None:
        held = {same(item) for item in self._routing.held.get(_HOLDER, ())}
        missing = [
            *((s.instances, _text(s.item)) for s in self._items.addresses if not self._kernel.links.has(s.item)),
            *((s.instances, f"route {s.item.text}") for s in self._items.routes if same(s.item) not in held),
            *((s.instances, f"rule {s.item.text}") for s in self._items.rules if same(s.item) not in held),
        ]
        found = dict.fromkeys((name, f"static {text}") for instances, text in missing for name in instances)
        before, self._faults = self._faults, found
        for instance, fault in before:
            if (instance, fault) not in found:
                self._tell(instance, TrackerFault(fault, False))
        for instance, fault in found:
            if (instance, fault) not in before:
                self._tell(instance, TrackerFault(fault, True, _MISSING))

    # -- complaints ----------------------------------------------------------------------------------------------------

    def _complain(self, what: str, failures: Iterable[AddressFailure]) -> None:
        self._complain_once(what, "; ".join(f"{_text(failure.address)}: {failure.reason}" for failure in failures))

    def _complain_once(self, what: str, failure: str) -> None:
        """A failure that lasts is told once."""
        if failure and self._complaints.get(what) != failure:
            self._report(Report("static_failed", f"static items: {failure}", "error"))
        if failure:
            self._complaints[what] = failure
        else:
            self._complaints.pop(what, None)


def reclaim(kernel: Kernel, items: StaticItems) -> list[str]:
    """Take the items of a keeper that was killed off the machine. Returns what failed."""
    links = kernel.links
    links.drain()
    routing: list[Item] = [*(static.item for static in items.routes), *(static.item for static in items.rules)]
    failures = reclaim_routing(kernel, routing)
    work = plan((), [static.item for static in items.addresses], links.has)
    refused = kernel.addresses.apply(work.remove, (), links)
    return [*failures, *(f"{_text(failure.address)}: {failure.reason}" for failure in refused)]


def _text(address: VirtualAddress) -> str:
    return f"{ip_address(address.address)}/{address.prefix_length} on {address.interface}"
