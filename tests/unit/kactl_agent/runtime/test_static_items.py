"""Static items over the fake kernel: put back at once, tried again, and what depends on them (keepalived 2.2.7)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.static_items import StaticKeeper
from kactl_agent.vrrp.actions import Input, Report, TrackerFault
from kactl_agent.vrrp.routing import same_route, same_rule
from kactl_agent.vrrp.settings import VirtualAddress
from kactl_agent.vrrp.static_items import StaticAddress, StaticItems, StaticRoute, StaticRule
from support.routing import hop, packed, route, rule

ADDRESS = VirtualAddress(packed("198.51.100.5"), 24, "eth0")
OTHER = VirtualAddress(packed("198.51.100.6"), 24, "eth1")
ROUTE = route("203.0.113.0/26", hop("198.51.100.254", "eth0"))
FAR = route("203.0.113.64/26", hop("198.51.100.254", "eth1"))
RULE = rule(1000, "198.51.100.0/24")


class Machine:
    def __init__(self, *links: str) -> None:
        self.kernel = FakeKernel()
        for name in links or ("eth0", "eth1"):
            self.kernel.links.add_link(name)
        self.told: list[tuple[str, Input]] = []
        self.reports: list[Report] = []
        self.keeper = StaticKeeper(
            self.kernel, lambda name, event: self.told.append((name, event)), self.reports.append
        )

    def has(self) -> tuple[set[bytes], set[bytes], set[int]]:
        """Addresses, destinations of routes, preferences of rules."""
        return (
            {entry.address for entries in self.kernel.links.on_link.values() for entry in entries},
            {item.destination for item in self.kernel.routing.routes},
            {item.preference for item in self.kernel.routing.rules},
        )

    def log(self) -> list[tuple[str, bytes]]:
        entries = [(what, data) for what, _interface, data in self.kernel.log]
        self.kernel.log.clear()
        return entries


def items(*, instances: tuple[str, ...] = (), **more: Any) -> StaticItems:
    values: dict[str, Any] = {
        "addresses": (StaticAddress(ADDRESS, instances),),
        "routes": (StaticRoute(ROUTE, instances),),
        "rules": (StaticRule(RULE, instances),),
    }
    return StaticItems(**(values | more))


ALL = ({ADDRESS.address}, {ROUTE.destination}, {1000})


def test_added_at_the_start_and_removed_at_the_stop() -> None:
    machine = Machine()
    machine.keeper.apply(items())
    assert machine.has() == ALL
    assert [what for what, _ in machine.log()] == ["add", "add route", "add rule"]
    machine.keeper.settle()
    assert machine.log() == [], "nothing to do"
    machine.keeper.stop()
    assert machine.has() == (set(), set(), set())
    assert [what for what, _ in machine.log()] == ["remove rule", "remove route", "remove"]


def test_what_is_there_already_is_not_touched() -> None:
    machine = Machine()
    machine.kernel.links.add_address("eth0", ADDRESS.address, 24)
    machine.kernel.routing.routes.append(same_route(ROUTE))
    machine.kernel.routing.rules.append(same_rule(RULE))
    machine.keeper.apply(items())
    assert machine.log() == []
    machine.keeper.stop()
    assert machine.has() == (set(), set(), set())


def test_what_somebody_deletes_is_put_back() -> None:
    machine = Machine()
    machine.keeper.apply(items(instances=("VI",)))
    machine.keeper.settle()
    machine.kernel.links.remove_address("eth0", ADDRESS.address)
    machine.kernel.routing.lose_route(ROUTE)
    machine.kernel.routing.lose_rule(RULE)
    machine.keeper.settle()
    assert machine.has() == ALL
    assert machine.told == [], "no instance has noticed"


def test_no_track_is_left_alone() -> None:
    machine = Machine()
    quiet = StaticItems(
        addresses=(StaticAddress(msgspec.structs.replace(ADDRESS, tracked=False)),),
        routes=(StaticRoute(msgspec.structs.replace(ROUTE, tracked=False)),),
        rules=(StaticRule(msgspec.structs.replace(RULE, tracked=False)),),
    )
    machine.keeper.apply(quiet)
    machine.keeper.settle()
    machine.kernel.links.remove_address("eth0", ADDRESS.address)
    machine.kernel.routing.lose_route(ROUTE)
    machine.kernel.routing.lose_rule(RULE)
    machine.log()
    machine.keeper.settle()
    assert machine.has() == (set(), set(), set())


def test_an_interface_that_comes_later_gets_its_items() -> None:
    machine = Machine("eth0")
    machine.keeper.apply(items(addresses=(StaticAddress(OTHER),), routes=(StaticRoute(FAR),)))
    assert machine.has() == (set(), set(), {1000})
    assert len(machine.reports) == 2
    machine.keeper.settle()
    assert len(machine.reports) == 2, "told once"
    machine.kernel.links.add_link("eth1", up=False)
    machine.keeper.settle()
    assert machine.has() == ({OTHER.address}, set(), {1000}), "a route needs its interface up"
    machine.kernel.links.set_up("eth1", True)
    machine.keeper.settle()
    assert machine.has() == ({OTHER.address}, {FAR.destination}, {1000})


def test_instances_of_the_track_group_are_in_fault_while_it_is_missing() -> None:
    machine = Machine()
    machine.keeper.apply(items(routes=(StaticRoute(FAR, ("VI_1", "VI_2")),)))
    machine.keeper.settle()
    machine.kernel.links.set_up("eth1", False)
    machine.kernel.routing.lose_route(FAR)
    machine.keeper.settle()
    name = "static route 203.0.113.64/26"
    faulted = [(instance, TrackerFault(name, True, "it is not on the machine")) for instance in ("VI_1", "VI_2")]
    assert machine.told == faulted
    assert machine.keeper.inputs("VI_2") == [faulted[1][1]]
    assert machine.keeper.inputs("VI_3") == []
    machine.keeper.settle()
    assert len(machine.told) == 2
    machine.kernel.links.set_up("eth1", True)
    machine.keeper.settle()
    assert machine.told[2:] == [(instance, TrackerFault(name, False)) for instance in ("VI_1", "VI_2")]
    assert machine.keeper.inputs("VI_2") == []


@pytest.mark.parametrize("what", ["add", "route", "rule"])
def test_what_fails_is_reported_once_and_tried_again(what: str) -> None:
    machine = Machine()
    machine.kernel.failing.add(what)
    machine.keeper.apply(items(instances=("VI",)))
    (report,) = machine.reports
    assert report.level == "error"
    assert "Operation not permitted" in report.detail
    assert [type(event) for _, event in machine.told] == [TrackerFault]
    machine.keeper.settle()
    assert len(machine.reports) == 1
    machine.kernel.failing.clear()
    machine.keeper.settle()
    assert machine.has() == ALL
    assert [event.faulted for _, event in machine.told if isinstance(event, TrackerFault)] == [True, False]


def test_a_reload_changes_what_differs_and_touches_nothing_that_is_equal() -> None:
    machine = Machine()
    machine.keeper.apply(items())
    machine.log()
    changed = route("203.0.113.0/26", hop("198.51.100.253", "eth0"))
    new = items(addresses=(StaticAddress(ADDRESS), StaticAddress(OTHER)), routes=(StaticRoute(changed),), rules=())
    machine.keeper.apply(new)
    assert machine.log() == [
        ("add", OTHER.address),
        ("add route", changed.destination),
        ("remove route", ROUTE.destination),
        ("remove rule", RULE.destination),
    ]
    machine.keeper.apply(items())
    assert machine.has() == ALL
    assert ("add", ADDRESS.address) not in machine.log()


def test_a_reload_that_drops_the_track_group_ends_the_fault() -> None:
    machine = Machine("eth0")
    machine.keeper.apply(items(routes=(StaticRoute(FAR, ("VI",)),)))
    assert [event.faulted for _, event in machine.told if isinstance(event, TrackerFault)] == [True]
    machine.keeper.apply(items(routes=()))
    assert [event.faulted for _, event in machine.told if isinstance(event, TrackerFault)] == [True, False]


def test_nothing_static_costs_nothing() -> None:
    machine = Machine()
    machine.keeper.apply(StaticItems())
    machine.keeper.settle()
    machine.keeper.stop()
    assert machine.log() == []
