"""Routers that stand still for a while, and routers that are drained, in virtual time."""

from __future__ import annotations

from random import Random

import pytest

from kactl_agent.vrrp.actions import Drain, State, Undrain
from kactl_agent.vrrp.settings import SECOND
from kactl_agent.vrrp.timers import master_down_interval
from support.vrrp import make_settings, packed
from support.vrrp_world import Node, World

MILLISECOND = SECOND // 1000


def make_world(seed: int) -> World:
    random = Random(seed)
    version = random.choice([2, 3])
    nodes = [
        Node(
            make_settings(
                version=version,
                priority=random.choice([1, 50, 100, 100, 200, 254, 255]),
                preempt=random.random() < 0.7,
                advert_interval=SECOND,
                preempt_delay=random.choice([0, 0, 2 * SECOND]),
            ),
            packed(f"192.0.2.{number}"),
        )
        for number in range(1, random.randint(3, 5))
    ]
    return World(seed, nodes, max_delay=20 * MILLISECOND, lateness=2 * MILLISECOND)


def quiet(world: World) -> None:
    """Until nothing is under way that could come behind a priority 0 which is sent now."""
    while world.sent and world.now - world.sent[-1][0] <= world.max_delay:
        world.run(world.max_delay)


def started(world: World) -> None:
    for node in world.nodes:
        world.start(node)
    world.run(20 * SECOND)
    assert len(world.masters()) == 1


@pytest.mark.parametrize("machine", [False, True], ids=["process", "machine"])
@pytest.mark.parametrize("seed", range(40))
def test_after_a_pause_there_is_one_master_and_who_stood_still_listens_first(seed: int, machine: bool) -> None:
    world = make_world(seed)
    started(world)
    random = world.random
    for _ in range(12):
        paused = random.sample(world.nodes, random.randint(1, len(world.nodes)))
        for node in paused:
            world.suspend(node)
            world.run(random.randrange(SECOND))
        world.run(random.randrange(20 * SECOND))
        for node in paused:
            was_master = node.state is State.MASTER
            assert node.suspended_at is not None
            pause = world.now - node.suspended_at
            shortest = master_down_interval(node.settings.version, 254, SECOND)
            began = world.now
            world.resume(node, machine=machine)
            world.run(random.randrange(3 * SECOND))
            if was_master and pause > shortest + SECOND:  # the last advert is up to an interval older than the pause
                early = [at for at, by, _ in world.sent if by is node and began <= at < began + SECOND]
                assert not early, "it spoke before it had listened"
        world.disturbed()
        world.run(20 * SECOND)
        (master,) = world.masters()
        assert all(node.state is State.BACKUP for node in world.nodes if node is not master)
    assert world.rivalry <= SECOND + world.max_delay + 2 * world.lateness


@pytest.mark.parametrize("seed", range(40))
def test_drained_routers_are_never_master_and_others_are_within_the_skew_time(seed: int) -> None:
    world = make_world(seed)
    started(world)
    random = world.random
    for _ in range(15):
        (master,) = world.masters()
        drained = random.sample(world.nodes, random.randint(1, len(world.nodes) - 1))
        quiet(world)
        before = len(world.transitions)
        for node in drained:
            world.tell(node, Drain("maintenance"))
        if master in drained:
            world.run(SECOND + world.max_delay + world.lateness)  # the Skew_Time of any priority
            assert len(world.masters()) >= 1
            assert [t.cause for _, node, t in world.transitions[before:] if node is master] == ["drained"]
        for _ in range(10):
            world.run(random.randrange(5 * SECOND))
            assert all(node.state is State.BACKUP for node in drained)
        world.run(20 * SECOND)
        assert len(world.masters()) == 1
        for node in drained:
            world.tell(node, Undrain())
            world.run(random.randrange(SECOND))
        world.run(20 * SECOND)
        assert len(world.masters()) == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_drain_that_requires_a_peer_ends_with_a_master_in_any_case(seed: int) -> None:
    """With all others gone, or silent one by one."""
    world = make_world(seed)
    started(world)
    for _ in range(10):
        (master,) = world.masters()
        others = [node for node in world.nodes if node is not master]
        alone = world.random.random() < 0.5
        if alone:
            for node in others:
                world.power_off(node)
        quiet(world)
        world.tell(master, Drain("", require_peer=True))
        world.run(2 * SECOND + world.max_delay + 2 * world.lateness)
        assert len(world.masters()) >= 1
        assert master.engine is not None
        assert (master.engine.drained is None) is alone
        assert (master.state is State.MASTER) is alone
        world.tell(master, Undrain())
        for node in others:
            if node.engine is None:
                world.start(node)
        world.run(20 * SECOND)


@pytest.mark.parametrize(
    ("version", "interval"), [(2, SECOND), (3, 10 * MILLISECOND), (3, 100 * MILLISECOND), (3, SECOND)]
)
def test_with_one_advert_to_wait_for_a_master_that_is_a_little_late_stays_the_master(
    version: int, interval: int
) -> None:
    """down_timer_adverts 1: what remains until a backup takes over is its skew, and no late timer is a pause."""
    priorities = (200, 150, 100)
    nodes = [
        Node(
            make_settings(version=version, priority=priority, advert_interval=interval, down_timer_adverts=1),
            packed(f"192.0.2.{number}"),
        )
        for number, priority in enumerate(priorities, 1)
    ]
    world = World(1, nodes, max_delay=interval // 50, lateness=interval // 10)
    started(world)
    engine = nodes[0].engine
    assert engine is not None
    transitions, before = len(world.transitions), engine.count("adverts_sent")
    world.run(1000 * interval)
    assert world.transitions[transitions:] == []
    assert 999 <= engine.count("adverts_sent") - before <= 1001
