"""The VRRP machine with the real engine over the fake kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kactl_agent.kernel.fake import FakeKernel, FakeLan, FakeVrrpSocket
from kactl_agent.kernel.ports import InterfaceAddress, VrrpSocket
from kactl_agent.runtime.vrrp_machine import VrrpMachine, reclaim
from kactl_agent.vrrp.actions import GroupTransition, LowerPriorityReceived, RemoveAddresses, Report, State, Transition
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.network_settings import PaceSettings
from kactl_agent.vrrp.settings import (
    SECOND,
    Family,
    GratuitousSettings,
    HmacKey,
    HmacSettings,
    SyncGroupSettings,
    VirtualAddress,
    VrrpSettings,
)
from support.vrrp import advert

VIP = VirtualAddress(bytes((192, 0, 2, 100)), 24, "eth0")
VIP6 = VirtualAddress(bytes.fromhex("20010db8" + "0" * 22 + "64"), 64, "eth0")
LINK_LOCAL = bytes.fromhex("fe80" + "0" * 27 + "1")


class Machine:
    """A node: kernel, machine, a clock the test moves."""

    def __init__(self, lan: FakeLan | None = None, host: int = 1) -> None:
        self.kernel = FakeKernel(lan)
        self.kernel.links.add_link("eth0", bytes((2, 0, 0, 0, 0, host)))
        self.kernel.links.add_address("eth0", bytes((192, 0, 2, host)), 24)
        self.now = SECOND
        self.uptime = 86_400 * SECOND
        self.armed: int | None = None
        self.transitions: list[tuple[str, Transition]] = []
        self.group_transitions: list[GroupTransition] = []
        self.reports: list[tuple[str, Report]] = []
        self.watched: dict[VrrpSocket, Callable[[], None]] = {}
        self.machine = VrrpMachine(
            self.kernel, self, self, lambda: self.now, self._arm, lambda _name, _now: None, lambda: self.uptime
        )
        self.instances: dict[str, VrrpInstance] = {}

    def _arm(self, deadline: int | None) -> None:
        self.armed = deadline

    def watch(self, sock: VrrpSocket, readable: Callable[[], None]) -> None:
        self.watched[sock] = readable

    def unwatch(self, sock: VrrpSocket) -> None:
        del self.watched[sock]

    def transition(self, name: str, transition: Transition, now: int) -> None:
        self.transitions.append((name, transition))

    def lower_priority(self, name: str, received: LowerPriorityReceived) -> None: ...

    def group_transition(self, transition: GroupTransition, now: int) -> None:
        self.group_transitions.append(transition)

    def report(self, name: str, report: Report) -> None:
        self.reports.append((name, report))

    def start(self, *settings: VrrpSettings, groups: tuple[SyncGroupSettings, ...] = ()) -> None:
        engines = []
        for each in settings:
            instance = self.instances[each.name] = VrrpInstance(each)
            engines.append((each, instance))
        self.machine.start(engines, groups=groups)

    def read(self) -> None:
        for readable in tuple(self.watched.values()):
            readable()

    def advance(self, nanoseconds: int) -> None:
        end = self.now + nanoseconds
        while self.armed is not None and self.armed <= end:
            self.now = self.armed
            self.machine.run_due()
        self.now = end

    def state(self, name: str = "VI") -> State:
        return self.instances[name].state

    def has(self, address: VirtualAddress = VIP) -> bool:
        return self.kernel.links.has(address)


def settings(name: str = "VI", vrid: int = 51, **more: Any) -> VrrpSettings:
    values: dict[str, Any] = {
        "version": 3, "family": Family.IPV4, "priority": 100, "addresses": (VIP,), "interface": "eth0",
        "gratuitous": GratuitousSettings(repeat=2, delay=0),
    } | more  # fmt: skip
    return VrrpSettings(name=name, virtual_router_id=vrid, **values)


def master(**more: Any) -> Machine:
    node = Machine()
    node.start(settings(**more))
    node.advance(4 * SECOND)
    assert node.state() is State.MASTER
    return node


def test_going_master_sends_the_advert_then_the_addresses_then_the_announcements() -> None:
    node = master()
    kinds = [kind for kind, _interface, _data in node.kernel.log]
    assert kinds[:4] == ["send", "add", "frame", "frame"]
    assert node.has()
    frame = node.kernel.log[2][2]
    assert frame[:6] == b"\xff" * 6
    assert frame[6:12] == bytes((2, 0, 0, 0, 0, 1))
    assert VIP.address in frame


def test_stop_sends_priority_zero_and_removes_the_addresses() -> None:
    node = master()
    node.kernel.log.clear()
    node.machine.stop(["VI"])
    assert [kind for kind, _interface, _data in node.kernel.log] == ["send", "remove"]
    assert node.kernel.log[0][2][2] == 0
    assert not node.has()
    assert node.armed is None
    assert node.watched == {}
    assert node.kernel.vrrp_sockets.opened[0].closed


def test_keep_addresses() -> None:
    node = master()
    node.machine.actions.keep_addresses = True
    node.machine.stop(["VI"])
    assert node.has()


def test_two_machines_agree() -> None:
    lan = FakeLan()
    one, two = Machine(lan, 1), Machine(lan, 2)
    one.start(settings(priority=200))
    two.start(settings(priority=100))
    for _ in range(60):
        for node in (one, two):
            node.advance(SECOND // 10)
            node.read()
    assert (one.state(), two.state()) == (State.MASTER, State.BACKUP)
    assert (one.has(), two.has()) == (True, False)
    one.machine.stop(["VI"])
    two.read()
    two.advance(SECOND)
    assert two.state() is State.MASTER
    assert two.has()


def test_packets_reach_the_instance_of_their_virtual_router_only() -> None:
    lan = FakeLan()
    one, two = Machine(lan, 1), Machine(lan, 2)
    one.start(settings("A", 1, priority=255), settings("B", 2))
    two.start(settings("A", 1), settings("B", 2))
    two.read()
    received = {name: instance.snapshot().statistics["adverts_received"] for name, instance in two.instances.items()}
    assert received == {"A": 0, "B": 0}
    one.advance(SECOND)
    two.read()
    received = {name: instance.snapshot().statistics["adverts_received"] for name, instance in two.instances.items()}
    assert received["A"] == 1
    assert received["B"] == 0


def test_a_flood_does_not_starve_the_timers() -> None:
    lan = FakeLan()
    node, other = Machine(lan, 1), Machine(lan, 2)
    node.start(settings())
    other.start(settings(priority=255))
    sock = node.kernel.vrrp_sockets.opened[0]
    other.advance(SECOND)
    packet = sock.queue[0]
    sock.queue.extend([packet] * 10_000)
    before = len(sock.queue)
    node.read()
    assert before - len(sock.queue) == 64


@pytest.mark.parametrize("data", [b"", b"\x31"])
def test_a_message_too_short_to_name_its_virtual_router_is_nobodys(data: bytes) -> None:
    node = Machine()
    node.start(settings())
    sock = node.kernel.vrrp_sockets.opened[0]
    from kactl_agent.vrrp.actions import PacketMeta

    sock.queue.append((data, PacketMeta(b"\1" * 4, b"\2" * 4, 255, "eth0")))
    node.read()
    assert node.instances["VI"].snapshot().statistics["adverts_received"] == 0


def test_leftovers_are_removed_before_anything_else() -> None:
    node = Machine()
    node.kernel.links.add_address("eth0", VIP.address, 24)
    node.start(settings(priority=255))
    assert node.kernel.log[0] == ("remove", "eth0", VIP.address)
    assert node.has(), "the owner is master at once and puts it back"


def test_a_virtual_address_is_no_source() -> None:
    node = Machine()
    node.kernel.links.on_link["eth0"].clear()
    other = VirtualAddress(bytes((203, 0, 113, 1)), 24, "eth0")
    node.kernel.links.add_address("eth0", other.address, 24)
    node.start(settings("A", 1, addresses=(VIP,)), settings("B", 2, addresses=(other,)))
    assert node.state("A") is State.FAULT
    node.kernel.links.add_address("eth0", bytes((192, 0, 2, 1)), 24)
    node.machine.settle()
    assert node.state("A") is State.BACKUP
    assert node.instances["A"].snapshot().source_address == bytes((192, 0, 2, 1))


def test_a_virtual_address_of_another_daemon_is_no_source() -> None:
    node = Machine()
    node.kernel.links.on_link["eth0"][0] = InterfaceAddress(1, bytes((203, 0, 113, 9)), 32, protocol=18)
    node.start(settings())
    assert node.state() is State.FAULT


def test_ipv6_sends_from_a_usable_link_local_address() -> None:
    node = Machine()
    node.kernel.links.add_address("eth0", bytes.fromhex("20010db8" + "0" * 23 + "1"), 64)
    node.kernel.links.add_address("eth0", LINK_LOCAL, 64, flags=0x40)
    node.start(settings(family=Family.IPV6, addresses=(VIP6,)))
    assert node.state() is State.FAULT, "a tentative address is no source"
    node.kernel.links.remove_address("eth0", LINK_LOCAL)
    node.kernel.links.add_address("eth0", LINK_LOCAL, 64)
    node.machine.settle()
    assert node.state() is State.BACKUP
    assert node.instances["VI"].snapshot().source_address == LINK_LOCAL
    node.kernel.links.routers.add("eth0")
    node.advance(4 * SECOND)
    frames = [data for kind, _interface, data in node.kernel.log if kind == "frame"]
    assert frames[0][:6] == bytes.fromhex("333300000001")
    assert frames[0][58] & 0x80, "the router flag, since the interface forwards"


def test_interface_down_and_up() -> None:
    node = master()
    node.kernel.links.set_up("eth0", False)
    node.machine.settle()
    assert node.state() is State.FAULT
    assert not node.has()
    node.kernel.links.set_up("eth0", True)
    node.machine.settle()
    assert node.state() is State.BACKUP


def test_interface_that_comes_later_gets_its_socket() -> None:
    node = Machine()
    address = VirtualAddress(VIP.address, 24, "eth1")
    node.start(settings(interface="eth1", addresses=(address,)))
    assert node.state() is State.FAULT
    assert node.watched == {}
    node.kernel.links.add_link("eth1")
    node.kernel.links.add_address("eth1", bytes((192, 0, 2, 7)), 24)
    node.machine.settle()
    assert node.state() is State.BACKUP
    assert len(node.watched) == 1


def test_recreated_interface_gets_a_new_socket() -> None:
    node = master()
    node.kernel.links.remove_link("eth0")
    node.machine.settle()
    assert node.state() is State.FAULT
    node.kernel.links.add_link("dummy")
    node.kernel.links.add_link("eth0")
    node.kernel.links.add_address("eth0", bytes((192, 0, 2, 1)), 24)
    node.machine.settle()
    first, second = node.kernel.vrrp_sockets.opened
    assert first.closed
    assert not second.closed
    assert node.state() is State.BACKUP


def test_an_instance_that_cannot_listen_never_becomes_master() -> None:
    node = Machine()
    node.kernel.failing = {"open"}
    node.start(settings())
    node.advance(20 * SECOND)
    assert node.state() is State.FAULT
    assert [report.code for _name, report in node.reports if report.code == "socket_failed"] == ["socket_failed"]
    node.machine.retry()
    assert [report.code for _name, report in node.reports if report.code == "socket_failed"] == ["socket_failed"]
    node.kernel.failing = set()
    node.machine.retry()
    assert node.state() is State.BACKUP


def test_a_lost_address_is_noticed() -> None:
    node = master()
    node.kernel.links.remove_address("eth0", VIP.address)
    node.machine.settle()
    assert node.transitions[-1][1].cause == "address_lost"
    node.advance(SECOND)
    assert node.state() is State.MASTER
    assert node.has()


def test_an_untracked_address_that_is_lost_is_told_once() -> None:
    free = VirtualAddress(bytes((192, 0, 2, 101)), 24, "eth0", tracked=False)
    node = master(addresses=(VIP, free))
    node.kernel.links.remove_address("eth0", free.address)
    for _ in range(3):
        node.machine.settle()
    assert node.state() is State.MASTER
    assert node.machine.actions.held["VI"] == (VIP,)


def test_own_additions_are_not_taken_for_losses() -> None:
    node = master()
    for _ in range(3):
        node.machine.settle()
    assert [transition.cause for _name, transition in node.transitions] == ["startup", "master_down_timer"]


def test_an_address_two_instances_hold_stays_until_the_last_one_gives_it_up() -> None:
    node = Machine()
    node.start(settings("A", 1), settings("B", 2))
    node.advance(4 * SECOND)
    node.machine.stop(["A"])
    assert node.has()
    node.machine.stop(["B"])
    assert not node.has()


@pytest.mark.parametrize(
    ("operation", "action"), [("send", "SendAdvert"), ("add", "AddAddresses"), ("frames", "Announce")]
)
def test_failures_reach_the_engine_and_are_reported(operation: str, action: str) -> None:
    node = Machine()
    node.kernel.failing = {operation}
    node.start(settings())
    node.advance(4 * SECOND)
    assert node.state() is State.MASTER
    assert f"action_failed_{action}" in [report.code for _name, report in node.reports]


def test_an_address_that_could_not_be_added_is_no_loss() -> None:
    node = Machine()
    node.kernel.failing = {"add"}
    node.start(settings())
    node.advance(4 * SECOND)
    node.machine.settle()
    assert node.state() is State.MASTER
    assert [transition.cause for _name, transition in node.transitions] == ["startup", "master_down_timer"]


def test_unicast_joins_no_group() -> None:
    node = Machine()
    node.start(settings(unicast_peers=(bytes((192, 0, 2, 2)),)))
    assert node.kernel.vrrp_sockets.opened[0].groups == frozenset()
    node.start(settings("M", 52, addresses=()))
    assert node.kernel.vrrp_sockets.opened[-1].groups == {bytes((224, 0, 0, 18))}
    assert node.kernel.vrrp_sockets.opened[0].closed


def exchange(*nodes: Machine) -> None:
    for _ in range(60):
        for node in nodes:
            node.advance(SECOND // 10)
            node.read()


def test_authentication_header() -> None:
    lan = FakeLan()
    one, two, plain = (Machine(lan, host) for host in (1, 2, 3))
    secret: dict[str, Any] = {"version": 2, "auth_password": b"secret", "authentication_header": True}
    one.start(settings(priority=200, **secret))
    two.start(settings(priority=100, **secret))
    plain.start(settings("P", 52), settings(priority=50, version=2))
    exchange(one, two, plain)
    assert (one.state(), two.state()) == (State.MASTER, State.BACKUP)
    assert one.kernel.vrrp_sockets.opened[0].protocol == 51
    assert plain.state() is State.MASTER, "protocols 51 and 112 do not hear each other"


def test_instances_with_auth_hmac_are_told_the_time() -> None:
    lan = FakeLan()
    one, two = Machine(lan, 1), Machine(lan, 2)
    signed: dict[str, Any] = {"auth_hmac": HmacSettings(keys=(HmacKey(1, b"k" * 32),), active_key=1, time_window=5)}
    for node, priority in ((one, 200), (two, 100)):
        node.machine.set_clock_offset(1_767_225_600 * SECOND)
        node.start(settings(priority=priority, **signed))
    exchange(one, two)
    assert (one.state(), two.state()) == (State.MASTER, State.BACKUP)
    two.machine.set_clock_offset(1_767_225_600 * SECOND + 1_000_000)
    exchange(one, two)
    assert two.state() is State.BACKUP
    two.machine.set_clock_offset(1_767_225_600 * SECOND + 3600 * SECOND)
    exchange(one, two)
    assert two.state() is State.MASTER, "an hour away, what the other one signs is stale"


def test_a_delay_counts_from_the_boot_of_the_machine() -> None:
    node = Machine()
    node.uptime = 20 * SECOND
    node.start(settings(delay_after_boot=30 * SECOND))
    node.advance(9 * SECOND)
    assert node.state() is State.BACKUP
    node.advance(5 * SECOND)
    assert node.state() is State.MASTER


def test_a_tracked_source_address_that_is_gone_is_a_fault() -> None:
    node = Machine()
    source = bytes((192, 0, 2, 1))
    node.start(settings(source_address=source, track_source=True))
    assert node.state() is State.BACKUP
    node.kernel.links.remove_address("eth0", source)
    node.machine.settle()
    assert node.state() is State.FAULT
    node.kernel.links.add_link("lo1")
    node.kernel.links.add_address("lo1", source, 32)
    node.machine.settle()
    assert node.state() is State.BACKUP


def test_reclaim() -> None:
    node = Machine()
    node.kernel.links.add_address("eth0", VIP.address, 24)
    assert reclaim(node.kernel, [VIP]) == []
    assert not node.has()


# -- other settings of a running instance ------------------------------------------------------------------------------

OTHER = VirtualAddress(bytes((192, 0, 2, 101)), 24, "eth0")


def test_a_running_master_takes_other_settings_without_giving_anything_up() -> None:
    node = master()
    since = node.instances["VI"].snapshot().since
    node.kernel.log.clear()
    node.machine.reconfigure({"VI": settings(priority=150, addresses=(VIP, OTHER))})
    kinds = [(kind, data[-1]) for kind, _interface, data in node.kernel.log if kind in ("add", "remove")]
    assert kinds == [("add", 101)]
    assert [data[2] for kind, _interface, data in node.kernel.log if kind == "send"] == [150]
    assert node.has()
    assert node.has(OTHER)
    assert node.instances["VI"].snapshot().since == since
    node.machine.reconfigure({"VI": settings(priority=150, addresses=(OTHER,))})
    assert not node.has()
    assert node.has(OTHER)
    assert node.state() is State.MASTER
    node.machine.stop(["VI"])
    assert not node.has(OTHER)


def test_what_only_counts_differently_stays_ours() -> None:
    """An address that is no longer tracked is the same address on the machine: at the end it goes once, and is not
    missed afterwards."""
    node = master()
    untracked = VirtualAddress(VIP.address, 24, "eth0", tracked=False)
    node.machine.reconfigure({"VI": settings(addresses=(untracked,))})
    node.machine.actions.perform("VI", RemoveAddresses((untracked,)), node.now)
    assert node.machine.actions.held == {}
    assert not node.has()


def test_a_renamed_instance_keeps_state_addresses_and_packets() -> None:
    lan = FakeLan()
    one, two = Machine(lan, 1), Machine(lan, 2)
    one.start(settings(priority=200))
    one.advance(4 * SECOND)
    one.machine.reconfigure({"VI": settings("NEW", priority=200)})
    assert one.machine.names == ["NEW"]
    assert one.instances["VI"].state is State.MASTER
    assert list(one.machine.actions.held) == ["NEW"]
    two.start(settings(priority=250))
    two.advance(4 * SECOND)
    one.read()
    assert one.transitions[-1][0] == "NEW"
    assert one.transitions[-1][1].new is State.BACKUP
    assert not one.has()


def test_names_may_be_swapped() -> None:
    node = Machine()
    node.start(settings("A", 1), settings("B", 2, addresses=(OTHER,)))
    node.advance(4 * SECOND)
    node.machine.reconfigure({"A": settings("B", 1), "B": settings("A", 2, addresses=(OTHER,))})
    node.machine.stop(["B"])
    assert not node.has()
    assert node.has(OTHER)


def test_an_authentication_header_changes_the_socket_before_the_advert() -> None:
    node = Machine()
    node.start(settings(version=2))
    node.advance(4 * SECOND)
    node.machine.reconfigure({"VI": settings(version=2, auth_password=b"secret", authentication_header=True)})
    old, new = node.kernel.vrrp_sockets.opened
    assert (old.closed, new.closed, new.protocol) == (True, False, 51)
    assert new.sent, "a master advertises at once"
    assert node.state() is State.MASTER


def test_auth_hmac_can_come_with_a_reload() -> None:
    node = master()
    node.machine.set_clock_offset(1_700_000_000 * SECOND)
    hmac = HmacSettings(keys=(HmacKey(1, b"k" * 32),), active_key=1, time_window=5)
    node.machine.reconfigure({"VI": settings(auth_hmac=hmac)})
    assert node.state() is State.MASTER, "no moment without the time"


# -- sync groups -------------------------------------------------------------------------------------------------------

PAIR = SyncGroupSettings(name="G", members=("A", "B"))


def grouped(**more: Any) -> tuple[VrrpSettings, VrrpSettings]:
    return settings("A", 1, sync_group="G", **more), settings("B", 2, addresses=(OTHER,), sync_group="G", **more)


def test_members_of_a_group_become_master_together() -> None:
    node = Machine()
    node.start(*grouped(), groups=(PAIR,))
    node.advance(4 * SECOND)
    assert [(t.old, t.new) for t in node.group_transitions] == [
        (State.INIT, State.BACKUP), (State.BACKUP, State.MASTER),
    ]  # fmt: skip
    assert node.state("A") is node.state("B") is State.MASTER
    assert node.has()
    assert node.has(OTHER)


def test_a_lost_address_takes_the_group_along() -> None:
    node = Machine()
    node.start(*grouped(), groups=(PAIR,))
    node.advance(4 * SECOND)
    node.kernel.links.remove_address("eth0", VIP.address)
    node.machine.settle()
    assert node.state("A") is node.state("B") is State.BACKUP
    assert not node.has(OTHER)
    assert node.group_transitions[-1].cause == "address_lost"


def test_instances_that_run_can_be_put_into_a_group_and_taken_out() -> None:
    node = Machine()
    node.kernel.links.add_link("eth1", bytes((2, 0, 0, 0, 1, 1)))
    node.kernel.links.add_address("eth1", bytes((203, 0, 113, 1)), 24)
    there = {"interface": "eth1", "addresses": ()}
    node.start(settings("A", 1), settings("B", 2, **there))
    node.advance(4 * SECOND)
    node.machine.part((PAIR,), ())
    node.machine.reconfigure({"A": settings("A", 1, sync_group="G"), "B": settings("B", 2, sync_group="G", **there)})
    node.machine.start((), groups=(PAIR,))
    assert [group.state for group in node.machine.groups] == [State.MASTER]
    node.kernel.links.set_up("eth1", False)
    node.machine.settle()
    assert node.state("A") is State.FAULT
    node.machine.part((), ())
    assert node.state("A") is State.BACKUP, "what its group held in FAULT is on its own"
    assert node.machine.groups == []


def test_a_group_that_stays_does_not_let_go_of_its_members_for_a_moment() -> None:
    node = Machine()
    node.kernel.links.add_link("eth1", bytes((2, 0, 0, 0, 1, 1)))
    far = settings("B", 2, sync_group="G", interface="eth1", addresses=())
    node.start(settings("A", 1, sync_group="G"), far, groups=(PAIR,))
    assert node.state("A") is State.FAULT
    before = len(node.transitions)
    wider = SyncGroupSettings(name="G", members=("A", "B", "C"))
    node.machine.part((wider,), ())
    node.start(settings("C", 3, addresses=(), sync_group="G"), groups=(wider,))
    assert {name for name, _transition in node.transitions[before:]} == {"C"}
    assert node.state("C") is State.FAULT


def test_a_master_group_that_gets_another_member_keeps_its_addresses() -> None:
    node = Machine()
    node.start(*grouped(), groups=(PAIR,))
    node.advance(8 * SECOND)
    node.kernel.log.clear()
    told = len(node.group_transitions)
    wider = SyncGroupSettings(name="G", members=("A", "B", "C"))
    third = VirtualAddress(bytes((192, 0, 2, 103)), 24, "eth0")
    node.machine.part((wider,), ())
    node.start(settings("C", 3, addresses=(third,), sync_group="G"), groups=(wider,))
    assert node.state("A") is node.state("B") is node.state("C") is State.MASTER
    assert [(kind, data) for kind, _interface, data in node.kernel.log if kind in ("add", "remove")] == [
        ("add", third.address)
    ]
    assert node.group_transitions[told:] == []


# -- a process that was held up ----------------------------------------------------------------------------------------


def test_adverts_that_have_come_in_are_heard_before_a_late_timer_says_that_none_came() -> None:
    lan = FakeLan()
    one, two = Machine(lan, 1), Machine(lan, 2)
    one.start(settings(priority=200, vrid=51), settings("W", 52, priority=200, addresses=(OTHER,)))
    two.start(settings(priority=100, vrid=51), settings("W", 52, priority=100, addresses=(OTHER,)))
    one.advance(4 * SECOND)
    two.read()
    for _ in range(90):  # more than are read at once: the newest are behind many others
        one.advance(SECOND)
    two.now += 90 * SECOND
    two.machine.run_due()
    assert two.state() is two.state("W") is State.BACKUP
    two.now += 10 * SECOND
    two.machine.run_due()
    assert two.state() is State.MASTER, "silence is still silence"


def test_a_down_interface_is_no_fault_of_an_instance_that_does_not_track_it() -> None:
    node = master(track_primary=False)
    node.kernel.links.set_up("eth0", False)
    node.machine.settle()
    assert node.state() is State.MASTER
    node.kernel.links.remove_link("eth0")
    node.machine.settle()
    assert node.state() is State.FAULT, "nothing can be heard where there is no interface"


# -- the pace of announcements -----------------------------------------------------------------------------------------


def test_instances_on_one_interface_share_the_pace_of_their_announcements() -> None:
    node = Machine()
    due: list[int | None] = []
    node.machine = VrrpMachine(
        node.kernel, node, node, lambda: node.now, node._arm, lambda _name, _now: None, lambda: node.uptime,
        arm_announcements=due.append,
    )  # fmt: skip
    node.machine.pace(PaceSettings(arp_interval=SECOND))
    node.start(settings("A", 1), settings("B", 2, addresses=(OTHER,)))
    node.advance(4 * SECOND)
    assert node.state("A") is node.state("B") is State.MASTER
    frames = [kind for kind, _interface, _frame in node.kernel.log].count("frame")
    assert frames == 1
    assert due[-1] is not None
    for count in (2, 3):
        node.now = due[-1] or 0
        node.machine.announce_due()
        assert [kind for kind, _interface, _frame in node.kernel.log].count("frame") == count
    node.machine.stop(["A", "B"])
    node.now += 9 * SECOND
    node.machine.announce_due()
    assert [kind for kind, _interface, _frame in node.kernel.log].count("frame") == 3, "nobody has them any more"


def test_an_announcement_that_had_to_wait_and_cannot_be_sent_is_reported() -> None:
    node = Machine()
    due: list[int | None] = []
    node.machine = VrrpMachine(
        node.kernel, node, node, lambda: node.now, node._arm, lambda _name, _now: None, lambda: node.uptime,
        arm_announcements=due.append,
    )  # fmt: skip
    node.machine.pace(PaceSettings(arp_interval=SECOND))
    node.start(settings())
    node.advance(4 * SECOND)
    node.kernel.failing = {"frames"}
    node.now = due[-1] or 0
    node.machine.announce_due()
    assert any("Announce could not be carried out: eth0" in report.detail for _name, report in node.reports)


def test_an_interface_that_is_renamed_keeps_no_virtual_address() -> None:
    """The instance is at fault then, and another router takes the address."""
    node = master()
    node.kernel.links.rename_link("eth0", "eth9")
    node.machine.settle()
    assert node.state() is State.FAULT
    assert [entry.address for entry in node.kernel.links.addresses("eth9")] == [bytes((192, 0, 2, 1))]
    node.kernel.links.rename_link("eth9", "eth0")
    node.machine.settle()
    node.advance(4 * SECOND)
    assert node.state() is State.MASTER
    assert node.has()


def test_the_startup_delay_is_the_agents_and_not_that_of_what_a_reload_adds() -> None:
    """keepalived 2.3.2: a reload neither ends the delay nor starts another one."""
    node = Machine()
    node.start(settings("A", 1, startup_delay=10 * SECOND))
    node.advance(6 * SECOND)
    node.machine.reconfigure({"A": settings("A", 1, startup_delay=10 * SECOND, priority=101)})
    node.start(settings("B", 2, addresses=(OTHER,), startup_delay=10 * SECOND))
    node.advance(4 * SECOND - 1)
    assert node.state("A") is node.state("B") is State.BACKUP
    node.advance(3 * SECOND + 1)
    assert node.state("A") is node.state("B") is State.BACKUP, "Master_Down_Interval begins when the delay ends"
    node.advance(SECOND)
    assert node.state("A") is node.state("B") is State.MASTER
    node.start(settings("C", 3, addresses=(), startup_delay=10 * SECOND))
    node.advance(4 * SECOND)
    assert node.state("C") is State.MASTER


def test_a_master_of_lower_priority_makes_the_whole_group_announce_its_addresses() -> None:
    """keepalived: whoever took one member's addresses may have taken those of the others too."""
    node = Machine()
    node.start(*grouped(priority=200), groups=(PAIR,))
    node.advance(4 * SECOND)
    node.kernel.log.clear()
    (sock,) = node.watched
    assert isinstance(sock, FakeVrrpSocket)
    sock.push(*advert(50, settings=node.instances["A"].settings))
    node.read()
    told = [frame[28:32] for kind, _interface, frame in node.kernel.log if kind == "frame"]
    assert set(told) == {VIP.address, OTHER.address}


# -- addresses that the kernel tells of later --------------------------------------------------------------------------


def test_an_address_that_the_kernel_has_not_told_of_yet_is_not_lost() -> None:
    node = Machine()
    node.kernel.addresses.slow = True
    node.start(settings(priority=255))
    assert node.state() is State.MASTER
    node.kernel.links.add_address("eth0", bytes((192, 0, 2, 77)), 24)  # some news
    node.machine.settle()
    node.machine.retry()
    assert node.state() is State.MASTER
    assert node.machine.problems() == []
    node.kernel.addresses.arrive()
    node.machine.settle()
    node.machine.retry()
    node.machine.retry()
    assert [transition.new for _name, transition in node.transitions] == [State.MASTER]
    node.kernel.links.remove_address("eth0", VIP.address)
    node.machine.settle()
    assert node.transitions[-1][1].cause == "address_lost", "and from then on it is missed"


def test_one_that_it_never_tells_of_is_lost_after_a_while() -> None:
    node = Machine()
    node.kernel.addresses.slow = True
    node.start(settings(priority=255))
    node.machine.retry()
    assert node.state() is State.MASTER
    node.machine.retry()
    assert "address_lost" in [transition.cause for _name, transition in node.transitions]


def test_one_that_it_has_not_told_of_is_removed_all_the_same() -> None:
    node = Machine()
    node.kernel.addresses.slow = True
    node.start(settings(priority=255))
    node.kernel.log.clear()
    node.machine.stop(["VI"])
    assert ("remove", "eth0", VIP.address) in node.kernel.log
