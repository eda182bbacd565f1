"""The VRRP worker over the kernel in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from kactl_agent.runtime import frames, spawn_frames
from kactl_agent.runtime.checker_frames import InstanceVerdict
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.drain_frames import DrainOrder, Drains, DrainsApplied
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.tracking.debounce import longest_down_delay
from kactl_agent.tracking.settings import Command, Executable, ScriptSettings, TrackerKind, TrackerUse, TrackingSettings
from kactl_agent.vrrp.actions import PriorityContribution
from kactl_agent.vrrp.network_settings import LinkDelays, NetlinkBuffer, NetworkSettings
from kactl_agent.vrrp.recording import replay
from kactl_agent.vrrp.settings import CENTISECOND, Family, SyncGroupSettings, VirtualAddress
from kactl_agent.vrrp.static_items import StaticAddress, StaticItems
from kactl_agent.vrrp.virtual_interface import InterfaceKind, VirtualInterface
from kactl_agent.workers.vrrp import VrrpWorker, VrrpWorkerStart
from support.vrrp import advert
from support.vrrp_worker import Bench, address, settings


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    if made.worker is not None and not made.stopped:
        made.worker.stop()
        made.until_stopped()
    made.close()


def test_the_reports_of_many_instances_leave_the_loop_its_turns(bench: Bench) -> None:
    bench.start(*(settings(f"VI_{number}", number, advert_interval=100 * CENTISECOND) for number in range(1, 251)))
    bench.until(lambda: len({frame.snapshot.name for frame in bench.of(frames.Snapshot)}) == 250)
    together = Counter(frame.now for frame in bench.of(frames.Snapshot))
    assert max(together.values()) <= 16


def test_it_starts_and_tells(bench: Bench) -> None:
    bench.start(settings())
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    assert frames.WorkerStarted("vrrp") in bench.answers
    (transition,) = bench.of(frames.TransitionRecord)
    assert (transition.old, transition.new, transition.cause) == ("INIT", "MASTER", "startup")
    assert any("VI: INIT -> MASTER" in record.message for record in bench.of(frames.LogRecord))
    assert bench.of(frames.Snapshot)[-1].snapshot.addresses == (), "addresses do not travel"
    assert bench.kernel.links.has(address(51))
    bench.until(lambda: bench.of(frames.Heartbeat))


def test_adverts_go_out_in_time(bench: Bench) -> None:
    bench.start(settings())
    bench.until(lambda: bench.kernel.vrrp_sockets.opened and len(bench.kernel.vrrp_sockets.opened[0].sent) >= 5)


def test_the_end_of_the_supervisor_is_an_orderly_stop(bench: Bench) -> None:
    bench.start(settings())
    bench.until(lambda: bench.kernel.links.has(address(51)))
    bench.supervisor.close()
    bench.until_stopped()
    assert not bench.kernel.links.has(address(51))
    assert bench.kernel.vrrp_sockets.opened[0].sent[-1][0][2] == 0, "priority 0"
    assert bench.of(frames.TransitionRecord)[-1].cause == "shutdown", "the last words are heard"


@pytest.mark.parametrize("keep", [False, True])
def test_stop_by_order(bench: Bench, keep: bool) -> None:
    bench.start(settings())
    bench.until(lambda: bench.kernel.links.has(address(51)))
    bench.supervisor.post(frames.Stop(keep))
    bench.supervisor.flush()
    bench.until_stopped()
    assert bench.kernel.links.has(address(51)) is keep


def vmac_of_eth0() -> dict[str, Any]:
    vmac = VirtualInterface(
        name="vrrp.51", kind=InterfaceKind.MACVLAN, parent="eth0", family=Family.IPV4,
        hardware_address=bytes.fromhex("00005e000133"),
    )  # fmt: skip
    return {"virtual_interfaces": (vmac,), "own_interface": "vrrp.51"}


@pytest.mark.parametrize("slices", range(8))
@pytest.mark.parametrize("keep", [False, True])
def test_a_stop_in_the_middle_of_a_reload_leaves_what_any_stop_leaves(bench: Bench, keep: bool, slices: int) -> None:
    """An address on its way from one master to another, and an interface that is wanted before and after."""
    worker = bench.start(settings("A", 1), settings("B", 2), settings("C", 51, **vmac_of_eth0()), settings("D", 4))
    bench.until(lambda: all(bench.state_of(name) == "MASTER" for name in "ABCD"))
    new = (
        settings("A", 1, addresses=(address(3),)), settings("B", 2, addresses=(address(1), address(2))),
        settings("C", 51, lower_prio_no_advert=True, **vmac_of_eth0()), settings("E", 5),
    )  # fmt: skip
    steps = worker._reloading(AgentConfiguration(revision="2", file="f", vrrp=new))
    for _ in range(slices + 1):
        next(steps, None)
    worker.stop(frames.Stop(keep))
    bench.until_stopped()
    steps.close()
    left = [number for number in range(1, 100) if bench.kernel.links.has(address(number))]
    assert (bench.kernel.links.link("vrrp.51") is not None) is keep
    assert bool(left) is keep


def test_keep_addresses_from_the_command_line(bench: Bench) -> None:
    worker = bench.start(settings(), keep=True)
    bench.until(lambda: bench.kernel.links.has(address(51)))
    worker.stop()
    worker.stop()
    assert bench.kernel.links.has(address(51))


def test_reload_touches_only_what_changed(bench: Bench) -> None:
    same, old, gone = settings("same", 1), settings("old", 2), settings("gone", 3)
    other = settings("other", 5, interface="eth0")
    bench.start(same, old, gone, other)
    bench.until(lambda: all(bench.state_of(name) == "MASTER" for name in ("same", "old", "gone", "other")))
    since = {frame.snapshot.name: frame.snapshot.since for frame in bench.of(frames.Snapshot)}
    bench.kernel.log.clear()
    bench.heard.clear()
    more = (address(2), address(22))
    applied = bench.reload(settings("new", 4), settings("old", 2, addresses=more), same, settings("other", 6))
    assert applied.error == ""
    assert (applied.changes.removed, applied.changes.changed) == (("gone",), ("old", "other"))
    assert (applied.changes.added, applied.changes.unchanged) == (("new",), 1)
    bench.until(lambda: bench.state_of("new") == bench.state_of("other") == bench.state_of("old") == "MASTER")
    done = [(what, data[-1]) for what, _interface, data in bench.kernel.log if what in ("add", "remove")]
    assert set(done) == {("remove", 3), ("remove", 5), ("add", 4), ("add", 22), ("add", 6)}
    assert {frame.instance for frame in bench.of(frames.InstanceGone)} == {"gone", "other"}
    after = {frame.snapshot.name: frame.snapshot.since for frame in bench.of(frames.Snapshot)}
    assert after["old"] == since["old"], "another address is no reason to begin anew"
    assert after["same"] == since["same"]
    assert after["other"] > since["other"], "another VRID is another virtual router"
    bodies = [data for what, _interface, data in bench.kernel.log if what == "send"]
    assert {body[1] for body in bodies if body[2] == 0} == {3, 5}, "priority 0 from those that end alone"


def test_a_new_name_is_no_new_virtual_router(bench: Bench) -> None:
    bench.start(settings("before", 1))
    bench.until(lambda: bench.state_of("before") == "MASTER")
    since = bench.of(frames.Snapshot)[-1].snapshot.since
    bench.kernel.log.clear()
    applied = bench.reload(settings("after", 1))
    assert (applied.changes.removed, applied.changes.added) == (("before",), ("after",))
    bench.until(lambda: bench.state_of("after") == "MASTER")
    assert bench.of(frames.Snapshot)[-1].snapshot.since == since
    assert frames.InstanceGone("before") in bench.heard
    assert not [what for what, _interface, _data in bench.kernel.log if what in ("add", "remove")]


def test_a_sync_group_is_told_of_from_the_start_and_over_reloads(bench: Bench) -> None:
    group = SyncGroupSettings(name="G", members=("A", "B"))
    fast = {"priority": 250, "sync_group": "G"}
    bench.start(settings("A", 1, **fast), settings("B", 2, **fast), groups=(group,))
    bench.until(lambda: [frame.state for frame in bench.of(frames.GroupState)][-1:] == ["MASTER"])
    states = [(frame.old, frame.new, frame.cause) for frame in bench.of(frames.GroupRecord)]
    assert states == [("INIT", "BACKUP", "startup"), ("BACKUP", "MASTER", "master_down_timer")]
    assert any("sync group G: BACKUP -> MASTER" in frame.message for frame in bench.of(frames.LogRecord))
    bench.heard.clear()
    bench.reload(settings("A", 1, **fast, lower_prio_no_advert=True), settings("B", 2, **fast), groups=(group,))
    bench.until(lambda: bench.of(frames.GroupState))
    last = bench.of(frames.GroupState)[-1]
    assert (last.state, last.cause) == ("MASTER", "master_down_timer")
    assert not bench.of(frames.GroupRecord), "a reload that changes nothing for the group moves nobody"


def test_unsealed_settings_are_refused_and_change_nothing(bench: Bench) -> None:
    bench.start(settings())
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    descriptor = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    bench.supervisor.post(frames.Settings(9), [descriptor])
    bench.until(lambda: any(isinstance(frame, frames.SettingsPrepared) for frame in bench.answers))
    assert "not sealed" in bench.answers[-1].error
    assert bench.kernel.links.has(address(51))


def test_a_new_observer_is_told_everything(bench: Bench) -> None:
    bench.start(settings("A", 1), settings("B", 2))
    bench.until(lambda: bench.state_of("A") == bench.state_of("B") == "MASTER")
    bench.observer.close()
    bench.heard.clear()
    bench.until(lambda: bench.worker._shell.observer is None)
    ours, theirs = socket_pair()
    bench.observer = Edge(ours)
    bench.supervisor.post(frames.ObserverEdge("observer"), [theirs.detach()])
    bench.until(lambda: bench.state_of("A") == bench.state_of("B") == "MASTER")


def test_without_an_observer_the_protocol_goes_on(bench: Bench) -> None:
    bench.start(settings())
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    bench.observer.close()
    sent = bench.kernel.vrrp_sockets.opened[0].sent
    before = len(sent)
    bench.until(lambda: len(sent) > before + 5)


def test_an_observer_that_does_not_read_costs_a_bounded_queue(bench: Bench) -> None:
    worker = bench.start(settings())
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    for _ in range(30_000):
        worker._log("info", "x" * 500)
    edge = bench.worker._shell.observer
    assert edge.dropped > 0
    sent = bench.kernel.vrrp_sockets.opened[0].sent
    before = len(sent)

    async def wait() -> None:
        while len(sent) < before + 5:
            await asyncio.sleep(0.005)

    bench.loop.run_until_complete(asyncio.wait_for(wait(), 5))


def test_links_are_followed(bench: Bench) -> None:
    bench.start(settings())
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    bench.kernel.links.set_up("eth0", False)
    bench.until(lambda: bench.state_of("VI") == "FAULT")


def test_recordings_replay(bench: Bench) -> None:
    worker = bench.start(settings(), recording=True)
    bench.until(lambda: len(bench.of(frames.RecordingLine)) > 6)
    worker.stop()
    bench.until_stopped()
    lines = [frame.line for frame in bench.of(frames.RecordingLine) if frame.instance == "VI"]
    assert replay(lines) is None


def test_a_recording_goes_on_over_a_reload_and_replays(bench: Bench) -> None:
    bench.start(settings("VI", 1), settings("W", 2), recording=True)
    bench.until(lambda: bench.state_of("VI") == bench.state_of("W") == "MASTER")
    bench.reload(settings("VI", 1, lower_prio_no_advert=True), settings("W", 3))
    count = len(bench.of(frames.RecordingLine))
    bench.until(lambda: len(bench.of(frames.RecordingLine)) > count + 6)
    for name, recordings in (("VI", 1), ("W", 2)):
        told = [frame for frame in bench.of(frames.RecordingLine) if frame.instance == name]
        begins = [number for number, frame in enumerate(told) if frame.first]
        assert len(begins) == recordings, "another virtual router is another recording"
        for begin, end in zip(begins, [*begins[1:], len(told)], strict=True):
            assert replay([frame.line for frame in told[begin:end]]) is None


def test_a_recording_ends_when_another_instance_starts_under_its_name(bench: Bench) -> None:
    bench.start(settings("A", 1), recording=True)
    bench.until(lambda: bench.state_of("A") == "MASTER")
    bench.reload(settings("B", 1), settings("A", 2))
    count = len(bench.of(frames.RecordingLine))
    bench.until(lambda: len(bench.of(frames.RecordingLine)) > count + 6)
    told = bench.of(frames.RecordingLine)
    begins = [number for number, frame in enumerate(told) if frame.first]
    assert {frame.instance for frame in told} == {"A"}
    assert len(begins) == 2
    for lines in (told[: begins[1]], told[begins[1] :]):
        assert replay([frame.line for frame in lines]) is None


def test_a_recording_of_a_renamed_instance_ends_with_the_observer(bench: Bench) -> None:
    worker = bench.start(settings("A", 1), recording=True)
    bench.until(lambda: bench.state_of("A") == "MASTER")
    bench.reload(settings("B", 1))
    bench.until(lambda: bench.state_of("B") == "MASTER")
    worker.observed()
    bench.until(lambda: not worker._shell.observer.pending)
    bench.heard.clear()
    sent = bench.kernel.vrrp_sockets.opened[0].sent
    before = len(sent)
    bench.until(lambda: len(sent) > before + 5)
    assert bench.of(frames.RecordingLine) == []


def test_a_recording_that_lost_a_line_ends_there(bench: Bench) -> None:
    worker = bench.start(settings(), recording=True)
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    for _ in range(30_000):
        worker._log("info", "x" * 500)
    sent = bench.kernel.vrrp_sockets.opened[0].sent
    before = len(sent)

    async def wait() -> None:
        while len(sent) < before + 5:
            await asyncio.sleep(0.005)

    bench.loop.run_until_complete(asyncio.wait_for(wait(), 5))
    bench.until(lambda: not bench.worker._shell.observer.pending)
    bench.until(lambda: len(sent) > before + 10)
    lines = [frame.line for frame in bench.of(frames.RecordingLine)]
    assert replay(lines) is None


def tracked(*uses: TrackerUse, name: str = "VI") -> AgentConfiguration:
    instance = settings(name, priority=100)
    return AgentConfiguration(revision="3", file="f", vrrp=(instance,), tracking=TrackingSettings(uses={name: uses}))


def test_trackers_reach_their_instance_and_reloads_switch_them(bench: Bench) -> None:
    bench.kernel.links.add_link("eth7")
    bench.start_with(tracked(TrackerUse(TrackerKind.INTERFACE, "eth7")))
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    bench.kernel.links.set_up("eth7", False)
    bench.until(lambda: bench.state_of("VI") == "FAULT")
    assert bench.of(frames.TransitionRecord)[-1].detail == "track_interface eth7: interface eth7 is down"
    bench.reload_with(tracked(TrackerUse(TrackerKind.INTERFACE, "eth7", -30)))
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    snapshot = bench.of(frames.Snapshot)[-1].snapshot
    assert (snapshot.effective_priority, snapshot.contributions) == (70, (("track_interface eth7", -30),))


def test_an_instance_starts_into_the_fault_of_its_tracker(bench: Bench) -> None:
    bench.start_with(tracked(TrackerUse(TrackerKind.INTERFACE, "eth8")))
    bench.until(lambda: bench.state_of("VI") == "FAULT")
    (transition,) = bench.of(frames.TransitionRecord)
    assert (transition.old, transition.detail) == ("INIT", "track_interface eth8: interface eth8 does not exist")


def test_scripts_go_through_the_spawner(bench: Bench) -> None:
    use = TrackerUse(TrackerKind.SCRIPT, "chk", 20)
    configuration = tracked(use)
    tracking = TrackingSettings(
        scripts=(ScriptSettings(name="chk", command=Command(("/chk",))),), uses=configuration.tracking.uses
    )
    executables = {"chk": Executable(("/chk", "a b"), 7, 8)}
    bench.start_with(msgspec.structs.replace(configuration, tracking=tracking, track_scripts=executables))
    spawner, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    bench.supervisor.post(frames.SpawnerEdge(), [theirs.detach()])
    spawner.setblocking(False)
    asked: list[spawn_frames.AnySpawnFrame] = []

    def request() -> bool:
        with contextlib.suppress(BlockingIOError):
            asked.append(spawn_frames.decode(spawner.recv(65536)))
        return bool(asked)

    bench.until(request)
    assert asked == [spawn_frames.Run(1, ("/chk", "a b"), 7, 8, 0o177)]
    spawner.send(spawn_frames.encode(spawn_frames.Ended(1, 0)))
    bench.until(lambda: any(f.snapshot.effective_priority == 120 for f in bench.of(frames.Snapshot)))
    spawner.close()


BACKUP: dict[str, Any] = {"priority": 100, "advert_interval": 4000 * CENTISECOND}
"""For longer than any test takes, though nobody is master."""


@pytest.mark.parametrize("wanted", [True, False])
def test_changes_of_priority_are_in_the_journal(bench: Bench, wanted: bool) -> None:
    """Whether or not keepalived's notify_priority_changes wants them told to scripts as well."""
    worker = bench.start(settings(notify_priority_changes=wanted, **BACKUP))
    bench.until(lambda: bench.state_of("VI") == "BACKUP")
    worker._tell("VI", PriorityContribution("track_script chk", -20))
    bench.until(lambda: any("effective priority" in frame.message for frame in bench.of(frames.LogRecord)))
    told = [(frame.instance, frame.state, frame.priority) for frame in bench.of(frames.PriorityRecord)]
    assert told == [("VI", "BACKUP", 80)]


def test_late_adverts_and_pauses_are_in_the_journal(bench: Bench) -> None:
    worker = bench.start(settings(advert_interval=5 * CENTISECOND))
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    time.sleep(0.5)  # the loop of the worker stands still: it is ours
    kinds = {"stall": "process vrrp", "stalled": "vrrp_instance VI", "stall_over": "vrrp_instance VI"}
    bench.until(lambda: {frame.kind for frame in bench.of(Happening)} >= kinds.keys())
    assert {frame.kind: frame.subject for frame in bench.of(Happening) if frame.kind in kinds} == kinds
    assert "stood still for" in next(frame.detail for frame in bench.of(Happening) if frame.kind == "stall")
    worker.stop()
    bench.until_stopped()


def test_a_transition_says_what_was_known(bench: Bench) -> None:
    bench.start(settings())
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    (transition,) = bench.of(frames.TransitionRecord)
    assert transition.revision == "1"
    assert transition.evidence.interface == "eth0"
    assert transition.evidence.interface_up is True


def test_orders_to_drain_are_followed_from_the_start_and_later(bench: Bench) -> None:
    configuration = AgentConfiguration(revision="1", file="f", vrrp=(settings(), settings("VI2", 52)))
    order = DrainOrder(target="VI", reason="disk")
    start = VrrpWorkerStart(configuration=configuration, keep_addresses=False, recording=False, drains=(order,))
    bench.worker = VrrpWorker(bench.loop, bench.kernel, start, bench._workers_end, bench._observed_end)
    bench.loop.call_soon(bench.worker.begin)
    bench.until(lambda: (bench.state_of("VI"), bench.state_of("VI2")) == ("BACKUP", "MASTER"))  # owners
    bench.supervisor.post(Drains(7, (DrainOrder(target="VI2"),)))
    bench.until(lambda: (bench.state_of("VI"), bench.state_of("VI2")) == ("MASTER", "BACKUP"))
    bench.until(lambda: DrainsApplied(7) in bench.answers)
    bench.reload(settings(), settings("VI2", 52), settings("VI3", 53))
    bench.until(lambda: (bench.state_of("VI2"), bench.state_of("VI3")) == ("BACKUP", "MASTER"))
    causes = [frame.cause for frame in bench.of(frames.TransitionRecord) if frame.instance == "VI2"]
    assert causes == ["startup", "drained"]


def test_netlink_buffers_are_resized_at_the_start_and_at_a_reload(bench: Bench) -> None:
    def configuration(size: int) -> AgentConfiguration:
        network = NetworkSettings(
            command_buffer=NetlinkBuffer(size), monitor_buffer=NetlinkBuffer(2 * size, force=True)
        )
        return AgentConfiguration(revision=str(size), file="f", vrrp=(settings(),), network=network)

    bench.start_with(configuration(1000))
    bench.until(lambda: bench.state_of("VI") == "MASTER")
    assert bench.kernel.buffers == (NetlinkBuffer(1000), NetlinkBuffer(2000, force=True))
    bench.reload_with(configuration(3000))
    assert bench.kernel.buffers == (NetlinkBuffer(3000), NetlinkBuffer(6000, force=True))


def test_what_an_instance_waits_for_adverts_limits_the_delay_of_its_interface(bench: Bench) -> None:
    """The interval in force counts, which is the master's: 40 s here."""
    delays = LinkDelays("eth0", down=6000 * CENTISECOND * 10)
    one = settings(priority=100, advert_interval=4000 * CENTISECOND)
    configuration = AgentConfiguration(revision="1", file="f", vrrp=(one,), network=NetworkSettings(delays=(delays,)))
    worker = bench.start_with(configuration)
    bench.until(lambda: bench.state_of("VI") == "BACKUP")
    assert worker._link_states._delayed["eth0"].delays.down == longest_down_delay(3, 4000 * CENTISECOND)


# -- addresses that change hands in a reload ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["giver first", "taker first"])
@pytest.mark.parametrize("giver", ["stays", "ends"])
def test_an_address_that_goes_from_master_to_master_never_leaves_the_machine(
    bench: Bench, order: str, giver: str
) -> None:
    bench.start(settings("A", 1), settings("B", 2))
    bench.until(lambda: bench.state_of("A") == bench.state_of("B") == "MASTER")
    bench.kernel.log.clear()
    new = [settings("A", 1, addresses=(address(3),))] if giver == "stays" else []
    new.insert(0 if order == "taker first" else 1, settings("B", 2, addresses=(address(1), address(2))))
    assert bench.reload(*new).error == ""
    assert ("remove", "eth0", address(1).address) not in bench.kernel.log
    assert bench.kernel.links.has(address(1))
    assert set(bench.worker._machine.actions.held["B"]) == {address(1), address(2)}


def test_an_address_whose_new_master_fails_in_the_same_reload_does_not_stay(bench: Bench) -> None:
    bench.start(settings("A", 1), settings("B", 2))
    bench.until(lambda: bench.state_of("A") == bench.state_of("B") == "MASTER")
    source = {"source_address": bytes((192, 0, 2, 77)), "track_source": True}
    bench.reload(settings("A", 1, addresses=(address(3),)), settings("B", 2, addresses=(address(1),), **source))
    bench.until(lambda: bench.state_of("B") == "FAULT")
    assert not bench.kernel.links.has(address(1))


def test_an_address_with_another_label_is_another_one(bench: Bench) -> None:
    bench.start(settings("A", 1), settings("B", 2))
    bench.until(lambda: bench.state_of("A") == bench.state_of("B") == "MASTER")
    labelled = VirtualAddress(bytes((192, 0, 2, 1)), 24, "eth0", label="eth0:1")
    bench.kernel.log.clear()
    bench.reload(settings("A", 1, addresses=(address(3),)), settings("B", 2, addresses=(labelled,)))
    assert bench.kernel.links.has(labelled)
    done = [entry[0] for entry in bench.kernel.log if entry[1:] == ("eth0", labelled.address)]
    assert done == ["remove", "add"]


def test_a_backup_takes_nothing_over_and_nothing_is_left_for_it(bench: Bench) -> None:
    bench.start(settings("A", 1), settings("B", 2, **BACKUP))
    bench.until(lambda: bench.state_of("A") == "MASTER" and bench.state_of("B") == "BACKUP")
    bench.reload(settings("A", 1, addresses=(address(3),)), settings("B", 2, **BACKUP, addresses=(address(1),)))
    assert bench.state_of("B") == "BACKUP"
    assert not bench.kernel.links.has(address(1))


# -- what happens between the slices of a reload -----------------------------------------------------------------------

STATIC = VirtualAddress(bytes((198, 51, 100, 9)), 24, "eth9")
OTHER_STATIC = VirtualAddress(bytes((198, 51, 100, 9)), 24, "eth0")


def depending(*names: str, static: VirtualAddress = STATIC, track: str = "") -> AgentConfiguration:
    """Instances A and B of these names, which depend on a static address, and on an interface if `track` says so."""
    return AgentConfiguration(
        revision="2", file="f", vrrp=tuple(settings(name, vrid) for vrid, name in enumerate(names, 1)),
        static=StaticItems(addresses=(StaticAddress(static, names),)),
        tracking=TrackingSettings(uses={name: (TrackerUse(TrackerKind.INTERFACE, track),) for name in names if track}),
    )  # fmt: skip


def test_an_instance_with_another_name_is_at_fault_for_the_same_static_item(bench: Bench) -> None:
    bench.start_with(depending("A"))
    bench.until(lambda: bench.state_of("A") == "FAULT")
    bench.reload_with(depending("B"))
    bench.until(lambda: bench.state_of("B") == "FAULT")
    bench.kernel.links.add_link("eth9")
    bench.until(lambda: bench.state_of("B") == "MASTER")


def test_an_instance_with_another_name_recovers_from_a_static_item_that_is_no_more(bench: Bench) -> None:
    bench.start_with(depending("A"))
    bench.until(lambda: bench.state_of("A") == "FAULT")
    bench.reload_with(depending("B", static=OTHER_STATIC))
    bench.until(lambda: bench.state_of("B") == "MASTER")


def test_an_instance_that_was_removed_hears_nothing_of_a_static_item(bench: Bench) -> None:
    bench.kernel.links.add_link("eth9")
    worker = bench.start_with(depending("A", "B"))
    bench.until(lambda: bench.state_of("A") == bench.state_of("B") == "MASTER")
    steps = worker._reloading(depending("A"))
    next(steps)
    bench.kernel.links.remove_link("eth9")
    worker._links_changed()
    worker._drained(Drains(1, (DrainOrder(target="*"),)))
    worker._drained(Drains(2, ()))
    for _slice in steps:
        pass
    bench.until(lambda: bench.state_of("A") == "FAULT")
    assert bench.of(frames.InstanceGone) == [frames.InstanceGone("B")]


@pytest.mark.parametrize("slices", range(5))
def test_news_between_the_slices_reach_an_instance_that_has_another_name(bench: Bench, slices: int) -> None:
    for name in ("eth7", "eth9"):
        bench.kernel.links.add_link(name)
    worker = bench.start_with(depending("A", track="eth7"))
    bench.until(lambda: bench.state_of("A") == "MASTER")
    steps = worker._reloading(depending("B", track="eth7"))
    for _ in range(slices):
        next(steps)
    bench.kernel.links.set_up("eth7", False)
    worker._links_changed()
    bench.turn()
    for _slice in steps:
        pass
    bench.until(lambda: bench.state_of("B") == "FAULT")
    names = {frame.snapshot.name for frame in bench.heard[bench.heard.index(frames.InstanceGone("A")) :]
             if isinstance(frame, frames.Snapshot)}  # fmt: skip
    assert names == {"B"}, "nobody is told of A any more"


def test_an_advert_between_the_slices_reaches_an_instance_that_has_another_name(bench: Bench) -> None:
    worker = bench.start(settings("A", 1))
    bench.until(lambda: bench.state_of("A") == "MASTER")
    steps = worker._reloading(AgentConfiguration(revision="2", file="f", vrrp=(settings("B", 1),)))
    for _slice in steps:
        bench.kernel.vrrp_sockets.opened[0].push(*advert(100, settings=settings("A", 1)))
        worker._machine._places.read_all()
    assert worker._instances["B"].count("adverts_received") == 5


def test_a_drain_that_waits_for_a_peer_is_answered_under_the_new_name(bench: Bench) -> None:
    worker = bench.start(settings("A", 1, advert_interval=10 * CENTISECOND))
    bench.until(lambda: bench.state_of("A") == "MASTER")
    worker._drained(Drains(7, (DrainOrder(target="A", require_peer=True),)))
    bench.reload(settings("B", 1, advert_interval=10 * CENTISECOND))
    assert not any(isinstance(frame, DrainsApplied) for frame in bench.answers), "nobody knows yet"
    bench.until(lambda: DrainsApplied(7, ("B",)) in bench.answers)


def test_a_drain_is_answered_behind_the_state_of_all_that_it_concerns(bench: Bench) -> None:
    """Who has the answer asks for the state next. Hundreds are told of in more than one turn of the loop."""
    names = [f"VI_{number}" for number in range(1, 201)]
    worker = bench.start(*(settings(name, number) for number, name in enumerate(names, 1)))
    bench.until(lambda: all(bench.state_of(name) for name in names), 20)
    bench.heard.clear()
    worker._drained(Drains(7, (DrainOrder(target="*"),)))
    bench.listen()
    assert DrainsApplied(7) not in bench.answers
    bench.until(lambda: DrainsApplied(7) in bench.answers)
    told = {frame.snapshot.name for frame in bench.of(frames.Snapshot) if frame.snapshot.drained is not None}
    assert told == set(names)


def test_timers_of_others_come_between_the_slices_of_a_reload(bench: Bench) -> None:
    many = [settings(f"VI_{number}", number) for number in range(1, 201)]
    bench.start(*many)
    bench.until(lambda: len({frame.snapshot.name for frame in bench.of(frames.Snapshot)}) == 200, 20)
    turns: list[int] = []

    def count() -> None:
        turns.append(1)
        bench.loop.call_soon(count)

    bench.loop.call_soon(count)
    before = len(turns)
    done: list[Any] = []
    bench.worker.apply(
        AgentConfiguration(
            revision="2", file="f", vrrp=tuple(msgspec.structs.replace(each, down_timer_adverts=5) for each in many)
        ),
        lambda *result: done.append(result),
    )
    assert done == []
    bench.until(lambda: done)
    assert len(turns) - before >= 200 / 32
    assert done[0][0].changed == tuple(each.name for each in many)
    assert done[0][1] == [], "and everything is as it should be"


def test_what_is_not_as_it_should_be_after_a_reload_is_said(bench: Bench) -> None:
    bench.start(settings("A", 1))
    bench.until(lambda: bench.state_of("A") == "MASTER")
    bench.kernel.links.add_link("eth1")
    bench.kernel.failing.add("open")
    applied = bench.reload(settings("A", 1), settings("B", 2, interface="eth1"))
    (problem,) = applied.problems
    assert problem.startswith("no socket on eth1: ")


def test_an_instance_that_is_called_something_else_is_told_of_under_its_new_name(bench: Bench) -> None:
    bench.start(settings("A", 1))
    bench.until(lambda: bench.state_of("A") == "MASTER")
    ours, theirs = socket_pair()
    peer = Edge(ours)
    bench.supervisor.post(frames.PeerEdge("checkers"), [theirs.detach()])
    told: list[frames.AnyFrame] = []

    def heard(frame: frames.AnyFrame) -> bool:
        told.extend(each for each, _descriptors in peer.receive())
        return frame in told

    bench.until(lambda: heard(InstanceVerdict("A", "MASTER")))
    bench.reload(settings("B", 1))
    bench.until(lambda: heard(InstanceVerdict("B", "MASTER")))
    peer.close()
