"""What instances want of routes and rules, over the fake kernel."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.vrrp_routing import HeldRouting, reclaim, routing_of
from kactl_agent.vrrp.routing import same_route, same_rule
from support.routing import hop, route, rule
from support.vrrp import make_settings

ONE = route("203.0.113.0/28", hop("192.0.2.254", "eth0"))
TWO = route("203.0.113.16/28", hop("192.0.2.254", "eth0"))
RULE = rule(2000, "198.51.100.0/25")


@pytest.fixture
def kernel() -> FakeKernel:
    kernel = FakeKernel()
    kernel.links.add_link("eth0")
    return kernel


@pytest.fixture
def held(kernel: FakeKernel) -> HeldRouting:
    return HeldRouting(kernel)


def log(kernel: FakeKernel) -> list[tuple[str, bytes]]:
    entries = [(what, data) for what, _interface, data in kernel.log]
    kernel.log.clear()
    return entries


def test_added_in_order_and_removed_in_the_opposite_one(kernel: FakeKernel, held: HeldRouting) -> None:
    assert held.add("VI", (ONE, TWO)) == ""
    assert log(kernel) == [("add route", ONE.destination), ("add route", TWO.destination)]
    assert held.held == {"VI": (ONE, TWO)}
    assert held.remove("VI", (ONE, TWO)) == ""
    assert log(kernel) == [("remove route", TWO.destination), ("remove route", ONE.destination)]
    assert held.held == {}
    assert kernel.routing.routes == []


def test_what_two_want_goes_with_the_last_of_them(kernel: FakeKernel, held: HeldRouting) -> None:
    held.add("A", (ONE, TWO))
    held.add("B", (ONE,))
    held.remove("A", (ONE, TWO))
    assert kernel.routing.routes == [same_route(ONE)]
    held.remove("B", (ONE,))
    assert kernel.routing.routes == []


def test_a_refusal_is_told_and_not_missed(kernel: FakeKernel, held: HeldRouting) -> None:
    missing = route("203.0.113.32/28", hop("", "nosuch0"), text="203.0.113.32/28 dev nosuch0")
    assert held.add("VI", (missing, ONE)) == "route `203.0.113.32/28 dev nosuch0`: there is no interface nosuch0"
    assert held.held == {"VI": (ONE,)}
    kernel.failing.add("rule")
    assert "rule `from 198.51.100.0/25`" in held.add("VI", (RULE,))
    assert held.held == {"VI": (ONE,)}
    assert held.missing() == []


def test_a_loss_is_missed_once_it_was_seen(kernel: FakeKernel, held: HeldRouting) -> None:
    held.add("VI", (ONE, TWO, RULE))
    assert held.missing() == []
    kernel.routing.lose_route(ONE)
    kernel.routing.lose_rule(RULE)
    assert held.missing() == [("VI", ONE), ("VI", RULE)]
    held.forget("VI", ONE)
    assert held.missing() == [("VI", RULE)]
    held.remove("VI", (ONE, TWO, RULE))
    assert held.missing() == []


def test_what_the_kernel_shows_otherwise_than_it_was_asked_is_not_missed(
    kernel: FakeKernel, held: HeldRouting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or an instance would give up and take over again without end."""
    monkeypatch.setattr(kernel.routing, "has_route", lambda *_: False)
    held.add("VI", (ONE,))
    assert held.missing() == []
    assert held.missing() == []


def test_remove_takes_what_a_predecessor_left_and_only_that(kernel: FakeKernel, held: HeldRouting) -> None:
    kernel.routing.routes.append(same_route(ONE))
    held.remove("VI", (ONE, TWO, RULE))
    assert log(kernel) == [("remove route", ONE.destination)]


def test_leave_keeps_it_on_the_machine(kernel: FakeKernel, held: HeldRouting) -> None:
    held.add("VI", (ONE, RULE))
    held.leave("VI", (ONE, RULE))
    assert held.held == {}
    assert kernel.routing.routes == [same_route(ONE)]
    assert kernel.routing.rules == [same_rule(RULE)]


@pytest.mark.parametrize("what", ["route", "rule"])
def test_replace_touches_what_differs_alone(kernel: FakeKernel, held: HeldRouting, what: str) -> None:
    old: Any
    new: Any
    changed: Any
    if what == "route":
        changed = route("203.0.113.16/28", hop("192.0.2.253", "eth0"))
        old, new = (ONE, TWO), (ONE, changed)
        held.add("VI", old)
        log(kernel)
        assert held.replace_routes("VI", old, new) == ""
    else:
        other, changed = rule(2010, "198.51.100.128/25"), rule(2010, "198.51.100.192/26")
        old, new = (RULE, other), (RULE, changed)
        held.add("VI", old)
        log(kernel)
        assert held.replace_rules("VI", old, new) == ""
    assert [entry for entry, _ in log(kernel)] == [f"add {what}", f"remove {what}"]
    assert held.held == {"VI": new}
    assert held.missing() == []


def test_replace_leaves_another_holders_route(kernel: FakeKernel, held: HeldRouting) -> None:
    held.add("A", (ONE,))
    held.add("B", (ONE,))
    held.replace_routes("A", (ONE,), ())
    assert kernel.routing.routes == [same_route(ONE)]
    assert held.held == {"B": (ONE,)}


def test_reclaim(kernel: FakeKernel) -> None:
    settings = make_settings(routes=(ONE, TWO), rules=(RULE,))
    items = routing_of([settings])
    assert items == [ONE, TWO, RULE]
    kernel.routing.routes.append(same_route(TWO))
    kernel.routing.rules.append(same_rule(RULE))
    assert reclaim(kernel, items) == []
    assert kernel.routing.routes == []
    assert kernel.routing.rules == []
    assert reclaim(kernel, []) == []
