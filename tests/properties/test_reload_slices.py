"""Whatever happens between the slices of a reload, it ends as one ends in which nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kactl_agent.runtime import frames, spawn_frames
from kactl_agent.runtime.bfd_frames import SessionVerdict
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.drain_frames import DrainOrder, Drains
from kactl_agent.tracking.settings import Command, Executable, ScriptSettings, TrackerKind, TrackerUse, TrackingSettings
from kactl_agent.vrrp.settings import CENTISECOND, SyncGroupSettings, VirtualAddress
from kactl_agent.vrrp.static_items import StaticAddress, StaticItems
from support.vrrp import advert
from support.vrrp_worker import Bench, address, settings

FULL = bool(os.environ.get("KACTL_FULL"))
STATIC = VirtualAddress(bytes((198, 51, 100, 9)), 24, "eth0")
HIGHEST, LOWEST = bytes((192, 0, 2, 250)), bytes((192, 0, 2, 1))
USES = (
    TrackerUse(TrackerKind.INTERFACE, "eth7"), TrackerUse(TrackerKind.SCRIPT, "chk"),
    TrackerUse(TrackerKind.BFD, "session", -20),
)  # fmt: skip
SLICES = 9


def configuration(revision: str, group: tuple[str, ...], **vrids: int) -> AgentConfiguration:
    """Instances by name that all track something of each kind; those of the group are one."""
    script = ScriptSettings(name="chk", command=Command(("/chk",)), interval=2 * CENTISECOND)
    more = {"B": {"addresses": (address(2), address(22))}} if revision == "2" else {}
    instances = tuple(
        settings(name, vrid, sync_group="G" if name in group else "", **more.get(name, {}))
        for name, vrid in vrids.items()
    )
    return AgentConfiguration(
        revision=revision, file="f", vrrp=instances,
        sync_groups=(SyncGroupSettings(name="G", members=group),) if group else (),
        static=StaticItems(addresses=(StaticAddress(STATIC, tuple(vrids)),)),
        tracking=TrackingSettings(scripts=(script,), uses=dict.fromkeys(vrids, USES)),
        track_scripts={"chk": Executable(("/chk",), 7, 8)},
    )  # fmt: skip


OLD = configuration("1", (), A=1, B=2, C=3, D=4, E=5, F=6)
"""A and B swap their names, C goes, D becomes another router, E has another name, F stays, G comes."""
NEW = configuration("2", (), B=1, A=2, D=14, X=5, F=6, G=7)
OLD_GROUPED = configuration("1", ("A", "B"), A=1, B=2, C=3, D=4, E=5, F=6)
NEW_GROUPED = configuration("2", ("A", "X"), B=1, A=2, D=14, X=5, F=6, G=7)
PAIRS = {False: (OLD, NEW), True: (OLD_GROUPED, NEW_GROUPED)}


class Scene:
    """A worker and all that can happen to it; each thing that happens can be undone."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.kernel.links.add_link("eth7")
        self.spawner, self.workers_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.spawner.setblocking(False)
        self.script_status = 0
        self.serial = 0

    def start(self, old: AgentConfiguration) -> None:
        self.worker = self.bench.start_with(old)
        self.worker.connect_spawner(self.workers_end)
        self.session(True)
        self.until(lambda: self.all_masters(old))

    def session(self, up: bool) -> None:
        self.worker.peer_said("bfd", SessionVerdict("session", up))

    def all_masters(self, configuration: AgentConfiguration) -> bool:
        masters = {name for name, instance in self.worker._instances.items() if instance.state.value == "MASTER"}
        return masters == {each.name for each in configuration.vrrp}

    def until(self, condition: Callable[[], bool]) -> None:
        def met() -> bool:
            self.answer_scripts()
            return condition()

        self.bench.until(met, 10)

    def answer_scripts(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                asked = spawn_frames.decode(self.spawner.recv(65536))
                if isinstance(asked, spawn_frames.Run):
                    self.spawner.send(spawn_frames.encode(spawn_frames.Ended(asked.run, self.script_status)))

    # -- what happens --------------------------------------------------------------------------------------------------

    def happen(self, what: str, on: bool) -> None:
        getattr(self, f"_{what}")(on)

    def _link(self, on: bool) -> None:
        self.bench.kernel.links.set_up("eth0", not on)
        self.worker._links_changed()

    def _tracked_link(self, on: bool) -> None:
        self.bench.kernel.links.set_up("eth7", not on)
        self.worker._links_changed()

    def _linkbeat(self, on: bool) -> None:
        self.worker._linkbeat_heard({"eth0": not on})

    def _script(self, on: bool) -> None:
        self.script_status = int(on)
        self.answer_scripts()

    def _bfd(self, on: bool) -> None:
        self.session(not on)

    def _static_item(self, on: bool) -> None:
        """Somebody takes it away, and it cannot be put back."""
        failing = self.bench.kernel.failing
        if on:
            failing.add("add")
            if self.bench.kernel.links.has(STATIC):
                self.bench.kernel.links.remove_address("eth0", STATIC.address)
        else:
            failing.discard("add")
        self.worker._links_changed()

    def _lost_address(self, on: bool) -> None:
        if on:
            for number in (1, 5, 6):
                if self.bench.kernel.links.has(address(number)):
                    self.bench.kernel.links.remove_address("eth0", address(number).address)
            self.worker._links_changed()

    def _drain_all(self, on: bool) -> None:
        self.drain(*([DrainOrder(target="*", reason="x")] if on else []))

    def _drain_some(self, on: bool) -> None:
        self.drain(*(DrainOrder(target=name, require_peer=True) for name in "ACE" if on))

    def drain(self, *orders: DrainOrder) -> None:
        self.serial += 1
        self.worker._drained(Drains(self.serial, orders))

    def _lower_master(self, on: bool) -> None:
        self.hear(100, LOWEST)

    def _higher_master(self, on: bool) -> None:
        self.hear(255, HIGHEST)

    def _resignation(self, on: bool) -> None:
        self.hear(0, HIGHEST)

    def hear(self, priority: int, source: bytes) -> None:
        for sock in self.bench.kernel.vrrp_sockets.opened:
            for vrid in (1, 2, 3, 4, 5, 6, 7, 14):
                if not sock.closed:
                    sock.push(*advert(priority, source, settings=settings("peer", vrid)))
        self.worker._machine._places.read_all()

    def _stall(self, on: bool) -> None:
        self.worker._stalled(10_000_000_000, on)

    def _beat(self, on: bool) -> None:
        self.worker._machine.retry()
        self.worker._machine.announce_due()
        self.worker._machine.run_due()
        self.worker._static.settle()
        self.worker._trackers.retry()

    def _newcomers(self, on: bool) -> None:
        self.worker.observed()
        self.worker.peer_joined("checkers")

    # -- how it ends ---------------------------------------------------------------------------------------------------

    def end(self) -> dict[str, Any]:
        worker, links = self.worker, self.bench.kernel.links
        snapshots = {name: instance.snapshot() for name, instance in worker._instances.items()}
        addresses = {entry.address for entry in links.addresses("eth0")}
        return {
            "instances": {
                name: (each.name, each.state, each.faults, each.contributions, each.drained, each.effective_priority)
                for name, each in snapshots.items()
            },
            "settings": {name: instance.settings for name, instance in worker._instances.items()},
            "machine": worker._machine._settings,
            "driven": sorted(worker._machine.driver._engines),
            "held": {name: set(held) for name, held in worker._machine.actions.held.items()},
            "uses": worker._trackers._uses,
            "drains": worker._drains._wanted,
            "groups": {group.name: (group.members, group.state) for group in worker._machine.groups},
            "static": list(worker._static._faults),
            "addresses": addresses,
            "observed": self.observed(),
        }

    def observed(self) -> set[str]:
        """The instances that the observer knows."""
        known: set[str] = set()
        for frame in self.bench.heard:
            if isinstance(frame, frames.Snapshot):
                known.add(frame.snapshot.name)
            elif isinstance(frame, frames.InstanceGone):
                known.discard(frame.instance)
        return known

    def close(self) -> None:
        self.bench.worker = None
        self.worker.stop()
        self.bench.until_stopped()
        self.worker._runner.close()
        self.bench.close()
        self.spawner.close()


EVENTS = sorted(name[1:] for name in vars(Scene) if name.startswith("_") and not name.startswith("__"))
HAPPENINGS = st.tuples(st.sampled_from(EVENTS), st.integers(0, SLICES), st.integers(0, SLICES), st.booleans())
"""What, after which slice, for how many slices, and whether the loop has a turn after it."""


def reload(old: AgentConfiguration, new: AgentConfiguration, *happenings: tuple[str, int, int, bool]) -> dict[str, Any]:
    """The end of a reload in which this happens, once all of it is undone and everybody is MASTER again."""
    scene = Scene()
    try:
        scene.start(old)
        steps = scene.worker._reloading(new)
        for done in range(2 * SLICES + 1):
            for what, begin, length, turn in happenings:
                if done in (begin, begin + length):
                    scene.happen(what, done == begin and length > 0)
                    if turn:
                        scene.bench.turn()
            next(steps, None)
        assert next(steps, "over") == "over"
        for what, _begin, _length, _turn in happenings:
            scene.happen(what, False)
        expected = {each.name for each in new.vrrp}
        scene.until(lambda: scene.all_masters(new) and scene.observed() == expected)
        assert scene.worker._machine.problems() == []
        return scene.end()
    finally:
        scene.close()


@cache
def undisturbed(grouped: bool) -> dict[str, Any]:
    return reload(*PAIRS[grouped])


@given(st.booleans(), st.lists(HAPPENINGS, min_size=1, max_size=6))
@hypothesis_settings(max_examples=400 if FULL else 40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_happens_between_the_slices_changes_nothing_about_the_end(
    grouped: bool, happenings: list[tuple[str, int, int, bool]]
) -> None:
    assert reload(*PAIRS[grouped], *happenings) == undisturbed(grouped)
