"""Routes and rules of an instance: when they come and go, and what their loss does (keepalived's virtual_routes)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kactl_agent.vrrp.actions import (
    Action,
    AddAddresses,
    AddRoutes,
    AddRules,
    Announce,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
    ReplaceRoutes,
    ReplaceRules,
    RouteLost,
    RuleLost,
    SendAdvert,
    Shutdown,
    Startup,
    State,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import ForeignRemoval
from kactl_agent.vrrp.timers import skew_time
from support.routing import hop, route, rule
from support.vrrp import LOCAL, due, interface, make_settings, master, of, sent, started, transition

ROUTE = route("203.0.113.0/28", hop("192.0.2.254", "eth0"))
SECOND = route("203.0.113.16/28", hop("192.0.2.254", "eth0"))
RULE = rule(2000, "198.51.100.0/25")
BOTH: dict[str, Any] = {"routes": (ROUTE, SECOND), "rules": (RULE,)}


def kinds(actions: list[Action]) -> list[type]:
    return [type(action) for action in actions]


def test_master_adds_routes_and_then_rules_behind_the_addresses() -> None:
    """keepalived: the advert, addresses, routes, rules, announcements."""
    instance = started(**BOTH)
    actions = instance.handle_timer(due(instance))
    assert kinds(actions)[:5] == [SendAdvert, AddAddresses, AddRoutes, AddRules, Announce]
    assert of(AddRoutes, actions) == [AddRoutes((ROUTE, SECOND))]
    assert of(AddRules, actions) == [AddRules((RULE,))]


def test_leaving_master_removes_them_in_the_opposite_order() -> None:
    instance, now = master(**BOTH)
    actions = instance.handle_event(Shutdown(), now + 1)
    assert kinds(actions)[:4] == [SendAdvert, RemoveRules, RemoveRoutes, RemoveAddresses]
    instance, now = master(**BOTH)
    actions = instance.handle_event(interface(LOCAL, up=False), now + 1)
    assert kinds(actions)[:3] == [RemoveRules, RemoveRoutes, RemoveAddresses]


def test_start_removes_what_a_killed_predecessor_left() -> None:
    settings = make_settings(**BOTH)
    instance = VrrpInstance(settings)
    instance.handle_event(interface(LOCAL), 0)
    assert kinds(instance.handle_event(Startup(), 0))[:3] == [RemoveRules, RemoveRoutes, RemoveAddresses]


@pytest.mark.parametrize(("loss", "cause"), [(RouteLost(SECOND), "route_lost"), (RuleLost(RULE), "rule_lost")])
def test_a_loss_is_answered_as_keepalived_does(loss: RouteLost | RuleLost, cause: str) -> None:
    """BACKUP with a priority 0 advert, everything removed, MASTER again after the skew time."""
    instance, now = master(**BOTH)
    actions = instance.handle_event(loss, now + 5)
    change = transition(actions)
    assert (change.new, change.cause) == (State.BACKUP, cause)
    assert "203.0.113.16/28" in change.detail or "from 198.51.100.0/25" in change.detail
    assert sent(actions) == [0]
    assert of(RemoveRules, actions) == [RemoveRules((RULE,))]
    assert of(RemoveRoutes, actions) == [RemoveRoutes((ROUTE, SECOND))]
    assert due(instance) == now + 5 + skew_time(3, 100, 1_000_000_000)
    actions = instance.handle_timer(due(instance))
    assert instance.state is State.MASTER
    assert of(AddRoutes, actions)


@pytest.mark.parametrize(
    ("loss", "remedy"), [(RouteLost(SECOND), AddRoutes((SECOND,))), (RuleLost(RULE), AddRules((RULE,)))]
)
def test_a_loss_that_is_to_be_restored(loss: RouteLost | RuleLost, remedy: AddRoutes | AddRules) -> None:
    instance, now = master(**BOTH, foreign_removal=ForeignRemoval.RESTORE)
    report, action = instance.handle_event(loss, now + 5)
    assert "is put back" in str(report)
    assert action == remedy
    assert instance.state is State.MASTER


def test_no_track_and_what_is_no_longer_ours_changes_nothing() -> None:
    quiet, silent = msgspec.structs.replace(ROUTE, tracked=False), msgspec.structs.replace(RULE, tracked=False)
    instance, now = master(routes=(quiet,), rules=(silent,))
    assert instance.handle_event(RouteLost(quiet), now + 1) == []
    assert instance.handle_event(RuleLost(silent), now + 1) == []
    assert instance.handle_event(RouteLost(SECOND), now + 1) == []
    assert instance.handle_event(RuleLost(rule(1)), now + 1) == []
    assert instance.state is State.MASTER


@pytest.mark.parametrize("loss", [RouteLost(ROUTE), RuleLost(RULE)])
def test_a_backup_loses_nothing(loss: RouteLost | RuleLost) -> None:
    instance = started(**BOTH)
    assert instance.handle_event(loss, 1) == []


def test_a_reload_replaces_what_differs() -> None:
    instance, now = master(**BOTH)
    settings = make_settings(routes=(ROUTE,), rules=(RULE,))
    actions = instance.reconfigure(settings, now + 1)
    assert of(ReplaceRoutes, actions) == [ReplaceRoutes((ROUTE, SECOND), (ROUTE,))]
    assert of(ReplaceRules, actions) == []
    actions = instance.reconfigure(make_settings(routes=(ROUTE,), rules=()), now + 2)
    assert of(ReplaceRoutes, actions) == []
    assert of(ReplaceRules, actions) == [ReplaceRules((RULE,), ())]


def test_a_reload_that_ends_mastership_leaves_nothing_of_the_old_behind() -> None:
    instance, now = master(**BOTH, source_address=LOCAL, track_source=False)
    instance.handle_event(
        msgspec.structs.replace(interface(LOCAL), source_present=False), now
    )  # matters with track_src_ip alone
    settings = make_settings(routes=(ROUTE,), source_address=LOCAL, track_source=True)
    actions = instance.reconfigure(settings, now + 1)
    assert transition(actions).new is State.FAULT
    assert RemoveRoutes((ROUTE, SECOND)) in actions
    assert RemoveRules((RULE,)) in actions


def test_a_backup_reloads_without_touching_the_machine() -> None:
    instance = started(**BOTH)
    actions = instance.reconfigure(make_settings(routes=(), rules=()), 1)
    assert not {ReplaceRoutes, ReplaceRules, RemoveRoutes, RemoveRules} & set(kinds(actions))
