"""The table in the kernel: batches and slices, refusals that are named, drift that is found and put back."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.model import AF_INET, Destination, DestinationKey, Service, ServiceKey
from kactl_agent.ipvs.plan import Owner
from kactl_agent.kernel.fake_ipvs import FakeIpvs
from kactl_agent.runtime.ipvs_table import IpvsTable


def key(number: int) -> ServiceKey:
    return ServiceKey(AF_INET, 6, bytes((10, 0, number >> 8, number & 0xFF)), 80)


def to(number: int, weight: int = 1) -> Destination:
    return Destination(DestinationKey(bytes((10, 1, 1, number)), 80), weight)


class World:
    def __init__(self) -> None:
        self.fake = FakeIpvs()
        self.log: list[tuple[str, str]] = []
        self.drifted: list[str] = []
        self.table = IpvsTable(lambda *line: self.log.append(line), self.take_drift)
        self.table.open(self.fake, flush=False)

    def take_drift(self, owners: list[Owner], text: str) -> None:
        self.drifted.append(f"{owners}: {text}")

    def put(self, number: int, *destinations: Destination, scheduler: str = "rr") -> None:
        self.table.put_services(number, [Service(key(number), scheduler)])
        for destination in destinations:
            self.table.put_destination(number, destination)

    def settle(self) -> None:
        while not self.table.apply():
            pass

    def kernel(self) -> dict[int, dict[int, int]]:
        return {
            name.address[2] << 8 | name.address[3]: {each.address[3]: pool[each].weight for each in pool}
            for name, (_service, pool) in self.fake.table.items()
        }


def test_all_of_it_is_one_batch() -> None:
    world = World()
    for number in range(500):
        world.put(number, to(1), to(2))
    assert world.table.apply()
    assert world.fake.batches == 1
    assert len(world.fake.table) == 500
    assert world.table.operations == 1500
    world.table.desired.touch_all()
    world.settle()
    assert world.fake.batches == 1  # nothing is to be done about it


def test_much_of_it_is_done_in_slices() -> None:
    world = World()
    for number in range(100):
        world.put(number, to(1), to(2))
    turns = 1
    while not world.table.apply(limit=30):
        turns += 1
    assert turns == 10
    assert len(world.kernel()) == 100


def test_changes_are_single_operations() -> None:
    world = World()
    world.put(1, to(1), to(2))
    world.settle()
    before = world.fake.requests
    world.table.put_destination(1, to(1, 5))
    world.table.remove_destination(1, to(2).key)
    world.settle()
    assert world.fake.requests == before + 2
    assert world.kernel() == {1: {1: 5}}
    world.table.remove_services(1)
    world.settle()
    assert world.kernel() == {}


def test_what_is_there_already_is_taken_over() -> None:
    """A worker that died, or somebody's ipvsadm: what is right stays untouched, what is foreign too."""
    first = World()
    first.put(1, to(1), to(2))
    first.put(2, to(1))
    first.put(9, to(1))
    first.settle()
    world = World()
    world.fake = first.fake
    world.put(1, to(1), to(3, 4))
    world.put(2, to(1))
    world.table.open(first.fake, flush=False)
    before = first.fake.requests
    world.settle()
    assert first.fake.requests == before + 2
    assert world.kernel() == {1: {1: 1, 3: 4}, 2: {1: 1}, 9: {1: 1}}
    world.table.open(first.fake, flush=True)
    assert sorted(world.kernel()) == [1, 2]
    assert world.log == []


def test_a_wrong_idea_of_the_kernel_is_mended_without_a_word() -> None:
    world = World()
    world.put(1, to(1))
    world.settle()
    world.fake.table.clear()
    world.table.put_destination(1, to(2))
    world.settle()
    assert world.kernel() == {1: {1: 1, 2: 1}}
    assert world.log == []


def test_a_refusal_names_virtual_and_real_server() -> None:
    """S14"""
    world = World()
    world.fake.refuse = refuse(genl.NEW_DEST, errno.ENOMEM)
    world.put(1, to(1))
    world.settle()
    text = "IPVS refuses to add destination [10.1.1.1]:tcp:80 of service [10.0.0.1]:tcp:80: Cannot allocate memory"
    assert world.log == [("error", text)]
    assert world.table.problems == [text]
    world.table.desired.touch_all()
    world.settle()
    assert len(world.log) == 1  # said once
    world.fake.refuse = lambda _request: 0
    world.table.desired.touch_all()
    world.settle()
    assert world.table.problems == []
    assert world.kernel() == {1: {1: 1}}


def test_a_refused_service_does_not_hold_others_up() -> None:
    world = World()
    world.put(1, to(1), scheduler="nosuch")
    world.put(2, to(1))
    world.settle()
    assert world.kernel() == {2: {1: 1}}
    assert world.table.problems == ["IPVS refuses to add service [10.0.0.1]:tcp:80: No such file or directory"]


def test_what_was_refused_is_tried_again_with_every_audit() -> None:
    """The module of the scheduler comes later."""
    world = World()
    missing = refuse(genl.NEW_SERVICE, errno.ENOENT)
    world.fake.refuse = missing
    world.put(1, to(1))
    world.settle()
    for _round in range(2):
        while not world.table.audit():
            pass
        world.settle()
    text = "IPVS refuses to add service [10.0.0.1]:tcp:80: No such file or directory"
    assert world.log == [("error", text)]
    assert world.table.problems == [text]
    world.fake.refuse = lambda _request: 0
    while not world.table.audit():
        pass
    world.settle()
    assert world.kernel() == {1: {1: 1}}
    assert world.table.problems == []
    assert world.drifted == []


def test_drift_is_reported_and_put_back() -> None:
    world = World()
    for number in range(1, 101):
        world.put(number, to(1), to(2))
    world.settle()
    while not world.table.audit():
        pass
    assert world.drifted == []
    del world.fake.table[key(7)]
    world.fake.table[key(80)][1][to(1).key] = to(1, 9)
    world.fake.table[key(80)][1][to(5).key] = to(5)
    rounds = 1
    while not world.table.audit():
        rounds += 1
    assert rounds == 2
    assert world.drifted == [
        "[7]: service [10.0.0.7]:tcp:80 is gone",
        "[80]: destination [10.1.1.1]:tcp:80 of service [10.0.0.80]:tcp:80 was changed: weight 9 instead of 1",
        "[80]: destination [10.1.1.5]:tcp:80 of service [10.0.0.80]:tcp:80 was added",
    ]
    world.settle()
    assert world.kernel() == {number: {1: 1, 2: 1} for number in range(1, 101)}


def test_what_changes_during_an_audit_is_no_drift() -> None:
    world = World()
    for number in range(1, 101):
        world.put(number, to(1))
    world.settle()
    assert not world.table.audit()
    world.put(90, to(1), scheduler="wlc")
    world.table.put_destination(91, to(1, 4))
    world.settle()
    while not world.table.audit():
        pass
    assert world.drifted == []


def test_what_goes_while_the_kernel_is_lost_goes_when_it_is_there_again() -> None:
    world = World()
    world.put(1, to(1))
    world.put(2, to(1))
    world.settle()
    foreign = key(9)
    world.fake.table[foreign] = (Service(foreign, "rr"), {})
    world.table.close()
    world.table.remove_services(2)
    world.table.open(world.fake, flush=False)
    world.settle()
    assert world.kernel() == {1: {1: 1}, 9: {}}
    assert world.log == []


@pytest.mark.parametrize("command", [genl.NEW_DEST, genl.DEL_SERVICE])
def test_a_batch_that_breaks_off_leaves_nothing_behind(command: int) -> None:
    """Nobody knows what of it the kernel has done."""
    world = World()
    world.put(1, to(1))
    world.settle()
    world.put(2, to(1))
    world.table.remove_services(1)
    world.fake.refuse = broken(command)
    with pytest.raises(OSError, match="No buffer space"):
        world.settle()
    world.fake.refuse = lambda _request: 0
    world.table.close()
    world.table.remove_services(2)
    world.table.open(world.fake, flush=False)
    world.settle()
    assert world.kernel() == {}


def test_what_could_not_be_deleted_is_not_forgotten_with_the_kernel() -> None:
    world = World()
    world.put(1, to(1))
    world.settle()
    world.fake.refuse = refuse(genl.DEL_SERVICE, errno.EPERM)
    world.table.remove_services(1)
    world.settle()
    assert len(world.table.problems) == 1
    world.fake.refuse = lambda _request: 0
    world.table.close()
    world.table.open(world.fake, flush=False)
    world.settle()
    assert world.kernel() == {}
    assert world.table.problems == []


def test_a_flush_takes_everything() -> None:
    world = World()
    world.put(1, to(1))
    world.settle()
    world.fake.table[key(9)] = (Service(key(9), "rr"), {})
    world.table.flush()
    assert world.kernel() == {}


def refuse(command: int, error: int) -> Callable[[bytes], int]:
    return lambda request: error if genl.command_of(request) == command else 0


def broken(command: int) -> Callable[[bytes], int]:
    """The kernel is lost at the first such request."""

    def answer(request: bytes) -> int:
        if genl.command_of(request) == command:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return 0

    return answer
