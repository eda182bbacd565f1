"""Two to four engines on a LAN that loses, delays and splits: one master in the end, two never for long."""

from __future__ import annotations

from random import Random

import pytest

from kactl_agent.vrrp.actions import PriorityContribution, Shutdown, State
from kactl_agent.vrrp.settings import (
    CENTISECOND,
    SECOND,
    ChecksumForm,
    Family,
    HmacKey,
    HmacSettings,
    OldUnicastChecksum,
    VirtualAddress,
)
from support.vrrp import VIP, VIP6, make_settings, packed
from support.vrrp_world import Node, World

MILLISECOND = SECOND // 1000
HOUR = 3600 * SECOND
EXTRA = VirtualAddress(packed("192.0.2.101"), 24, "eth0", advertised=False)
HMAC = HmacSettings(keys=(HmacKey(1, bytes(range(32))),), active_key=1, time_window=5)


def make_world(seed: int, longest_interval: int = 0) -> tuple[World, int]:
    """A LAN of random routers, and the longest advertisement interval on it."""
    random = Random(seed)
    family = random.choice(list(Family))
    version = 3 if family is Family.IPV6 else random.choice([2, 3])
    count = random.randint(2, 4)
    same = longest_interval or random.choice([1, 2]) * SECOND
    unicast = random.random() < 0.3
    addresses = [packed(f"192.0.2.{9 - i}" if family is Family.IPV4 else f"fe80::{9 - i}") for i in range(count)]
    random.shuffle(addresses)
    nodes = []
    for index in range(count):
        interval = same
        if version == 3 and not longest_interval and random.random() < 0.3:
            interval = random.choice([10, 50, 150]) * CENTISECOND
        settings = make_settings(
            family=family,
            version=version,
            advert_interval=interval,
            priority=random.choice([1, 50, 100, 100, 150, 254, 255]),
            preempt=random.random() < 0.8,
            preempt_delay=random.choice([0, 0, 3 * SECOND]),
            start_as_master=random.random() < 0.2,
            startup_delay=random.choice([0, 0, 0, 2 * SECOND]),
            higher_prio_send_advert=random.random() < 0.3,
            lower_prio_no_advert=random.random() < 0.3,
            checksum_form=random.choice(list(ChecksumForm)),
            auth_password=b"secret" if version == 2 and seed % 2 else b"",
            authentication_header=version == 2 and seed % 4 == 1,
            auth_hmac=HMAC if seed % 4 == 2 else None,
            check_unicast_source=random.random() < 0.5,
            old_unicast_checksum=random.choice([OldUnicastChecksum.AUTO, OldUnicastChecksum.ALWAYS]),
            unicast_peers=tuple(a for a in addresses if a != addresses[index]) if unicast else (),
            addresses=(VIP if family is Family.IPV4 else VIP6, VirtualAddress(packed("2001:db8::7"), 64, "eth0"))
            if family is Family.IPV6
            else (VIP,),
        )
        nodes.append(Node(settings, addresses[index]))
        nodes[-1].clock_error = random.randrange(-SECOND, SECOND)
    world = World(seed, nodes, max_delay=20 * MILLISECOND, lateness=2 * MILLISECOND)
    return world, max(node.settings.advert_interval for node in nodes)


def disturb(world: World) -> None:
    """One thing that goes wrong, or right again."""
    random = world.random
    node = random.choice(world.nodes)
    match random.randrange(9):
        case 0:
            (world.kill if random.random() < 0.5 else world.power_off)(node)
        case 1:
            if node.engine is None:
                world.start(node)
            elif random.random() < 0.5:
                world.tell(node, Shutdown())
                world.kill(node)
        case 2:
            world.set_link(node, random.random() < 0.5)
        case 3:
            node.segment = random.randrange(2)
        case 4:
            world.loss = random.choice([0.0, 0.05, 0.5])
        case 5:
            if node.engine:
                world.tell(node, PriorityContribution("chk", random.choice([0, -20, -120, 60])))
        case 6:
            pass
        case 7:
            world.step_clock(node, random.choice([-HOUR, HOUR]))
        case 8:
            addresses = node.settings.addresses
            world.reload(
                node,
                priority=random.choice([1, 100, 200, 255]),
                preempt=random.random() < 0.8,
                addresses=addresses[:1] if len(addresses) > 1 else (*addresses, EXTRA),
            )
    world.disturbed()


def heal(world: World) -> None:
    world.loss = 0.0
    for node in world.nodes:
        node.segment = 0
        if not node.up:
            world.set_link(node, True)
        if node.engine is None:
            world.start(node)
        world.step_clock(node, 0)
    world.disturbed()


def settling_time(world: World, interval: int) -> int:
    """How long until one master is left, at most, once nothing is lost any more.

    Without a master, Master_Down_Interval of the slowest: 3 intervals and a skew below one interval (one second in
    VRRPv2). It may count from what was still under way. A lower router that was faster is then preempted by a higher
    one whose timer kept running, at the latest after another such time, plus preempt_delay and startup_delay. With two
    masters, the next advert of the better one settles it: one interval.
    """
    once = 3 * interval + max(interval, SECOND) + world.max_delay + world.lateness
    delays = max(n.settings.preempt_delay for n in world.nodes) + max(n.settings.startup_delay for n in world.nodes)
    return 2 * once + delays + interval


@pytest.mark.parametrize("seed", range(60))
def test_one_master_in_the_end_and_two_never_for_long(seed: int) -> None:
    world, interval = make_world(seed)
    allowed = rivalry_allowed(world, interval)
    for node in world.nodes:
        world.start(node)
    for _ in range(12):
        for _ in range(world.random.randint(1, 8)):
            disturb(world)
            world.run(world.random.randrange(6 * interval))
        heal(world)
        world.run(settling_time(world, interval))
        (master,) = world.masters()
        others = [node for node in world.nodes if node is not master]
        assert all(node.state is State.BACKUP for node in others)
        preempting = [n for n in others if n.settings.preempt]
        assert all(priority_of(n) <= priority_of(master) for n in preempting)
        before = len(world.transitions)
        world.run(20 * interval)
        assert world.transitions[before:] == []  # it stays settled
    assert world.rivalry <= allowed


def rivalry_allowed(world: World, interval: int) -> int:
    """How long two masters may share a sound LAN: until the better one's next advert.

    With an authentication header, the better one's adverts may be behind the other's sequence number: it hears the
    other within an interval and is believed with its next advert.
    """
    count = 2 if world.nodes[0].settings.authentication_header else 1
    return count * (interval + world.max_delay + 2 * world.lateness)


def priority_of(node: Node) -> int:
    assert node.engine is not None
    return node.engine.snapshot().effective_priority


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_virtual_hours(seed: int) -> None:
    """Faults every few hours for six weeks: every failover within the protocol's time."""
    world, interval = make_world(seed + 1000, longest_interval=40 * SECOND)
    for node in world.nodes:
        world.start(node)
    while world.now < 1000 * HOUR:
        disturb(world)
        world.run(world.random.randrange(HOUR))
        heal(world)
        world.run(settling_time(world, interval))
        assert len(world.masters()) == 1
        world.run(world.random.randrange(20 * HOUR))
        assert len(world.masters()) == 1
    assert world.rivalry <= rivalry_allowed(world, interval)


def test_a_partition_makes_two_masters_and_its_end_leaves_one() -> None:
    """The rules above are not kept idly: here the two masters are seen, and for how long."""
    nodes = [
        Node(make_settings(priority=priority), packed(f"192.0.2.{index}"))
        for index, priority in enumerate((150, 100), 1)
    ]
    world = World(3, nodes, max_delay=MILLISECOND)
    for node in nodes:
        world.start(node)
    world.run(10 * SECOND)
    nodes[1].segment = 1
    world.disturbed()
    world.run(10 * SECOND)
    assert world.masters() == nodes
    assert world.rivalry == 0  # on two LANs they are no rivals
    nodes[1].segment = 0
    world.disturbed()
    world.run(2 * SECOND)
    assert world.masters() == nodes[:1]
    assert 0 < world.rivalry <= SECOND + MILLISECOND


@pytest.mark.parametrize("orderly", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_failover_time(version: int, orderly: bool) -> None:
    """A killed master is missed after Master_Down_Interval, one that resigns after Skew_Time (RFC 9568 6.4.2)."""
    nodes = [
        Node(make_settings(version=version, priority=priority), packed(f"192.0.2.{index}"))
        for index, priority in enumerate((150, 100), 1)
    ]
    world = World(1, nodes, max_delay=MILLISECOND)
    for node in nodes:
        world.start(node)
    world.run(100 * SECOND)
    assert world.masters() == [nodes[0]]
    left = world.now
    if orderly:
        world.tell(nodes[0], Shutdown())
    world.kill(nodes[0])
    world.run(10 * SECOND)
    assert world.masters() == [nodes[1]]
    taken = next(at for at, node, action in reversed(world.transitions) if action.new is State.MASTER) - left
    skew = (256 - 100) * SECOND // 256
    if orderly:
        assert skew <= taken <= skew + MILLISECOND
    else:
        assert 2 * SECOND + skew <= taken <= 3 * SECOND + skew + MILLISECOND
