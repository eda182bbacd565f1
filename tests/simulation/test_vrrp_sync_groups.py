"""Two routers with a sync group of three, each member on a LAN of its own: all or none, and the right one."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from kactl_agent.vrrp.actions import AddressLost, PriorityContribution, State, TrackerFault
from kactl_agent.vrrp.settings import SECOND
from support.vrrp import VIP
from support.vrrp_group_world import GroupWorld, Router

MILLISECOND = SECOND // 1000
LANS = 3
SKEW = {priority: (256 - priority) * SECOND // 256 for priority in (100, 150)}


def make_world(seed: int = 1, **changes: Any) -> GroupWorld:
    routers = [Router(number, LANS, priority=priority, **changes) for number, priority in ((1, 150), (2, 100))]
    world = GroupWorld(seed, routers, max_delay=5 * MILLISECOND, lateness=2 * MILLISECOND)
    for router in routers:
        world.boot(router)
    world.run(10 * SECOND)
    return world


def test_one_router_has_everything() -> None:
    world = make_world()
    high, low = world.routers
    assert (high.states, low.states) == ({State.MASTER}, {State.BACKUP})
    assert [t.new for t in high.transitions] == [State.BACKUP, State.MASTER]


def test_a_dead_router_is_replaced_as_a_whole_within_master_down_interval() -> None:
    world = make_world()
    high, low = world.routers
    died = world.now
    world.halt(high)
    world.run(10 * SECOND)
    assert low.states == {State.MASTER}
    taken = [at for at, _, action in world.transitions if at > died and action.new is State.MASTER]
    assert max(taken) - died <= 3 * SECOND + SKEW[100] + 10 * MILLISECOND
    assert max(taken) == min(taken)


def test_a_link_that_fails_moves_everything() -> None:
    world = make_world()
    high, low = world.routers
    node = high.nodes["V1"]
    world.set_link(node, False)
    assert high.states == {State.FAULT}
    world.run(2 * SECOND)
    # two of three resigned with priority 0; the one whose link is down could not, and is waited for
    assert low.states == {State.BACKUP}
    world.run(3 * SECOND)
    assert low.states == {State.MASTER}
    world.set_link(node, True)
    assert high.states == {State.BACKUP}
    world.run(5 * SECOND)
    assert (high.states, low.states) == ({State.MASTER}, {State.BACKUP})


def test_a_lan_that_is_split_does_not_split_the_groups() -> None:
    """Neither link is down: the backup wants MASTER on that LAN, and is held."""
    world = make_world()
    high, low = world.routers
    low.nodes["V2"].segment = 1
    world.run(60 * SECOND)
    assert (high.states, low.states) == ({State.MASTER}, {State.BACKUP})
    engine = low.nodes["V2"].engine
    assert engine is not None
    assert engine.wants_master
    low.nodes["V2"].segment = 0
    world.run(2 * SECOND)
    assert not engine.wants_master


def test_addresses_that_something_removed_are_back_in_less_than_an_interval() -> None:
    """keepalived: for sync groups, the whole group; nobody else takes over meanwhile."""
    world = make_world()
    high, low = world.routers
    node = high.nodes["V0"]
    node.addresses.clear()
    world.tell(node, AddressLost(VIP))
    assert high.states == {State.BACKUP}
    world.run(SECOND)
    assert (high.states, low.states) == ({State.MASTER}, {State.BACKUP})
    assert [t.cause for t in high.transitions[-2:]] == ["address_lost", "master_down_timer"]


@pytest.mark.parametrize("preempt", [False, True])
def test_a_router_that_comes_back(preempt: bool) -> None:
    world = make_world(preempt=preempt)
    high, low = world.routers
    world.halt(high)
    world.run(10 * SECOND)
    world.boot(high)
    world.run(20 * SECOND)
    expected = [high] if preempt else [low]
    assert world.rivals() == expected


def disturb(world: GroupWorld) -> None:
    random: Random = world.random
    router = random.choice(world.routers)
    node = random.choice(list(router.nodes.values()))
    match random.randrange(6):
        case 0 if router.group:
            world.halt(router)
        case 0 | 1 if not router.group:
            world.boot(router)
        case 2:
            node.up = random.random() < 0.5
            if node.engine:
                world.tell(node, node.interface())
        case 3:
            node.segment = random.randrange(2)
        case 4:
            world.loss = random.choice([0.0, 0.1])
        case 5 if node.engine:
            faulted = random.random() < 0.5
            world.tell(node, TrackerFault("track_script chk", faulted))
            for member in router.nodes.values():
                world.tell(member, PriorityContribution("track_file f", random.choice([0, -60])))
        case _:
            pass


def heal(world: GroupWorld) -> None:
    world.loss = 0.0
    for router in world.routers:
        if not router.group:
            world.boot(router)
        for node in router.nodes.values():
            node.segment = 0
            if not node.up:
                world.set_link(node, True)
            world.tell(node, TrackerFault("track_script chk", False))
            world.tell(node, PriorityContribution("track_file f", 0))


@pytest.mark.parametrize("seed", range(25))
def test_one_router_in_the_end_whatever_happens(seed: int) -> None:
    random = Random(seed)
    world = make_world(
        seed,
        preempt=random.random() < 0.8,
        preempt_delay=random.choice([0, 2 * SECOND]),
        version=random.choice([2, 3]),
        lower_prio_no_advert=random.random() < 0.5,
    )
    for _ in range(12):
        for _ in range(random.randint(1, 8)):
            disturb(world)
            world.run(random.randrange(6 * SECOND))
        heal(world)
        world.run(20 * SECOND)
        (master,) = world.rivals()
        (other,) = (router for router in world.routers if router is not master)
        assert master.states == {State.MASTER}
        assert other.states == {State.BACKUP}
        before = len(world.transitions)
        world.run(20 * SECOND)
        assert world.transitions[before:] == []
