"""The VRRP worker: wires engines, kernel and the rest of the agent together. No file, log or DNS I/O happens here."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from itertools import islice

import msgspec

from kactl_agent.kernel.inotify import Inotify
from kactl_agent.kernel.linkbeat import LinkProbe
from kactl_agent.kernel.linux import LinuxKernel
from kactl_agent.kernel.ports import InterfaceAddress, Kernel
from kactl_agent.kernel.proc_events import ProcEvents
from kactl_agent.runtime import frames, privileges, virtual_interfaces, vrrp_journal
from kactl_agent.runtime.bfd_frames import BfdSessionGone, SessionVerdict
from kactl_agent.runtime.checker_frames import InstanceVerdict
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges, compare
from kactl_agent.runtime.drain_frames import DrainOrder, Drains
from kactl_agent.runtime.drains import DrainKeeper
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.link_states import LinkStates
from kactl_agent.runtime.linkbeat import Linkbeat
from kactl_agent.runtime.loop import SocketWatcher, Timer, on_terminate, worker_loop
from kactl_agent.runtime.notifications import Teller
from kactl_agent.runtime.scripts import ScriptRunner
from kactl_agent.runtime.slices import batches, sliced
from kactl_agent.runtime.stall import StallWatch
from kactl_agent.runtime.static_items import StaticKeeper
from kactl_agent.runtime.tracker_reports import TrackerReports
from kactl_agent.runtime.trackers import Trackers
from kactl_agent.runtime.virtual_names import with_free_names
from kactl_agent.runtime.vrrp_leftovers import reclaim as reclaim
from kactl_agent.runtime.vrrp_leftovers import reclaim_at_end as reclaim_at_end
from kactl_agent.runtime.vrrp_leftovers import reclaim_replaced as reclaim_replaced
from kactl_agent.runtime.vrrp_machine import VrrpEngine, VrrpMachine
from kactl_agent.runtime.vrrp_notifications import VrrpNotifications
from kactl_agent.runtime.vrrp_recordings import VrrpRecordings
from kactl_agent.runtime.worker_shell import Applied, WorkerShell
from kactl_agent.tracking.actions import SessionState
from kactl_agent.tracking.debounce import longest_down_delay
from kactl_agent.vrrp.actions import GroupTransition, Input, LowerPriorityReceived, Report, Transition
from kactl_agent.vrrp.firewall import together
from kactl_agent.vrrp.instance import PRIORITY_CHANGED, VrrpInstance
from kactl_agent.vrrp.network_settings import NetworkSettings
from kactl_agent.vrrp.pairing import Succession, succession
from kactl_agent.vrrp.settings import VrrpSettings

PROCESS = "vrrp"
EXIT_FAILED = 1
EXIT_PRIVILEGE = 5
GROUP = "sync_group"
_FOLLOWER = "checkers"
_HEARTBEAT_SECONDS = 1.0
_SNAPSHOT_SECONDS = 0.5  # between two reports of what is no transition: statistics, a master heard of
_SNAPSHOTS_A_TURN = 16  # of the loop: the timers of hundreds of instances do not wait for the reports of all of them
_INSTANCES_A_SLICE = 32  # of a reload
_CAPABILITIES = (privileges.Capability.CAP_NET_ADMIN, privileges.Capability.CAP_NET_RAW)


class VrrpWorkerStart(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor hands the worker at its fork."""

    configuration: AgentConfiguration
    keep_addresses: bool  # --keep-vips
    recording: bool
    capabilities: frozenset[privileges.Capability] = frozenset(_CAPABILITIES)
    drains: tuple[DrainOrder, ...] = ()
    monitor_addresses: bool = False  # --address-monitoring


def start(
    configuration: AgentConfiguration,
    capabilities: frozenset[privileges.Capability],
    *,
    keep_addresses: bool,
    recording: bool,
    monitor_addresses: bool,
) -> VrrpWorkerStart:
    """What `run` takes."""
    return VrrpWorkerStart(
        configuration=configuration, keep_addresses=keep_addresses, recording=recording, capabilities=capabilities,
        monitor_addresses=monitor_addresses,
    )  # fmt: skip


def run(start: VrrpWorkerStart, supervisor: Edge, observer: Edge) -> int:
    """The life of the worker's process. Returns its exit code."""
    privileges.keep_only(start.capabilities)
    with worker_loop() as loop:
        try:
            kernel = LinuxKernel()
        except PermissionError as error:
            text = f"the kernel refuses what VRRP needs (CAP_NET_ADMIN and CAP_NET_RAW): {error.strerror}"
            observer.post_event(frames.LogRecord(time.time_ns(), "error", PROCESS, text))
            observer.try_flush()
            return EXIT_PRIVILEGE
        except OSError as error:
            text = f"the kernel has no sockets for VRRP: {error.strerror or error}"
            observer.post_event(frames.LogRecord(time.time_ns(), "error", PROCESS, text))
            observer.try_flush()
            return EXIT_FAILED
        worker = VrrpWorker(loop, kernel, start, supervisor, observer)
        if start.monitor_addresses:
            kernel.links.on_address = worker.address_seen
        on_terminate(loop, worker.stop)
        loop.call_soon(worker.begin)
        loop.run_forever()
        kernel.close()
    return 0


class VrrpWorker:
    """`kactl_agent.runtime.vrrp_actions.Listener`, and everything between the machine and the other processes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        kernel: Kernel,
        start: VrrpWorkerStart,
        supervisor: Edge,
        observer: Edge,
    ) -> None:
        self._loop = loop
        self._kernel = kernel
        self._configuration = start.configuration
        timer = Timer(loop, lambda: self._machine.run_due())
        link_timer = Timer(loop, lambda: self._link_states.run_due())
        self._link_states = LinkStates(kernel.links, time.monotonic_ns, link_timer.arm, self._links_changed)
        self._linkbeat = Linkbeat(loop, LinkProbe, self._linkbeat_heard)
        announcements = Timer(loop, lambda: self._machine.announce_due())
        self._machine = VrrpMachine(
            kernel, SocketWatcher(loop), self, time.monotonic_ns, timer.arm, self._changed,
            vrrp_journal.nanoseconds_since_boot, self._link_states, announcements.arm,
        )  # fmt: skip
        self._machine.actions.keep_addresses = start.keep_addresses
        self._machine.interfaces.alias = virtual_interfaces.alias_of(start.configuration.file)
        self._runner = ScriptRunner(loop)
        self._runner.umask = start.configuration.process.umask
        trackers_timer = Timer(loop, lambda: self._trackers.driver.run_due())
        self._trackers = Trackers(
            kernel.links, self._runner, time.monotonic_ns, trackers_timer.arm,
            self._machine.driver.tell, partial(self.report, ""), Inotify, loop, ProcEvents, self._link_states,
        )  # fmt: skip
        self._static = StaticKeeper(kernel, self._tell, partial(self.report, ""))
        self._instances: dict[str, VrrpInstance] = {}
        self._groups: dict[str, frames.GroupState] = {}
        self._dirty: dict[str, None] = {}
        self._report_scheduled: asyncio.TimerHandle | None = None
        self._report_due = False
        self._stopping = False
        self._shell = WorkerShell(PROCESS, loop, supervisor, observer, self)
        self._recordings = VrrpRecordings(self._shell, start.recording)
        self._tracker_reports = TrackerReports(self._trackers.states, self._shell.state)
        self._told = VrrpNotifications(Teller(loop, self._shell, self._runner), self._configuration.vrrp_notify)
        self._stall_watch = StallWatch(loop, vrrp_journal.nanoseconds_since_boot, self._stalled)
        self._machine.before_work = self._stall_watch.look
        self._drains = DrainKeeper(
            lambda: self._instances, self._machine.driver.tell, self._report_soon, self._shell.answer, start.drains
        )  # fmt: skip
        self._shell.on(Drains, self._drained)

    def begin(self) -> None:
        self._loop.add_reader(self._kernel.links.fileno(), self._links_changed)
        self._loop.add_reader(self._kernel.routing.fileno(), self._links_changed)
        self._configuration = self._with_free_names(self._configuration)
        self._apply_network(self._configuration.network)
        self._static.apply(self._configuration.static)
        self._machine.set_clock_offset(time.time_ns() - time.monotonic_ns())
        self._trackers.apply(self._configuration.tracking, self._configuration.track_scripts)
        self._machine.actions.firewall.configure(self._configuration.firewall)
        self._drains.configure(self._configuration.vrrp, self._configuration.sync_groups)
        with self._told.together():
            self._machine.start(self._engines(self._configuration.vrrp), self._tracked, self._configuration.sync_groups)
        self._note_groups()
        self._watch_stalls()
        self._stall_watch.start()
        self._shell.started()
        self._beat()

    def _with_free_names(self, configuration: AgentConfiguration) -> AgentConfiguration:
        """Somebody else may have interfaces of the names that VMACs and ipvlans are to have."""
        instances, reports = with_free_names(configuration.vrrp, self._kernel.links, self._machine.interfaces.alias)
        for report in reports:
            self.report("", report)
        return msgspec.structs.replace(configuration, vrrp=instances)

    def _apply_network(self, network: NetworkSettings) -> None:
        self._link_states.apply(network.delays)
        self._linkbeat.want(network.linkbeat)
        self._machine.pace(network.pace)
        self._machine.log_unknown_vrids(network.log_unknown_vrids)
        try:
            self._kernel.resize_buffers(network.command_buffer, network.monitor_buffer)
            self._trackers.resize_buffer(network.process_buffer)
        except OSError as error:
            self._log("warning", f"the receive buffers of netlink stay as they are: {error.strerror or error}")

    def _links_changed(self) -> None:
        """Interfaces, addresses, routes or rules have."""
        self._machine.settle()
        self._static.settle()
        self._trackers.check_links()

    def address_seen(self, interface: str, address: InterfaceAddress, added: bool) -> None:
        """Somebody put an address on the machine or took one off it."""
        text = f"{ip_address(address.address)}/{address.prefix_length}"
        self._log("info", f"address {text} {'came to' if added else 'went from'} {interface}")

    def _linkbeat_heard(self, beats: Mapping[str, bool]) -> None:
        self._loop.call_soon(partial(self._link_states.heard, beats))  # not in the middle of a reload

    def _tracked(self, name: str) -> list[Input]:
        """What an instance has to be told of its trackers before it starts."""
        trackers = self._trackers.start(name, self._configuration.tracking.uses.get(name, ()))
        return [*trackers, *self._static.inputs(name), *self._drains.inputs(name)]

    def _tell(self, name: str, event: Input) -> None:
        """What static items say to an instance; one that does not run yet asks when it starts."""
        if name in self._instances:
            self._machine.driver.tell(name, event)

    def stop(self, order: frames.Stop | None = None) -> None:
        """Orderly: priority 0 adverts, addresses removed, last words sent. A second call changes nothing."""
        if self._stopping:
            return
        self._stopping = True
        self._stall_watch.stop()
        if order is not None:
            self._machine.actions.keep_addresses = order.keep_addresses
        self._loop.remove_reader(self._kernel.links.fileno())
        self._loop.remove_reader(self._kernel.routing.fileno())
        self._trackers.stop()
        with self._told.together():
            self._machine.stop(self._machine.names)
        self._static.stop()
        if not self._machine.actions.keep_addresses:
            self._machine.end_sparing()  # of a reload that is not finished any more
            self._machine.actions.firewall.close()
        self._machine.close()
        self._report()
        self._told.teller.finish(self._configuration.process.child_wait_time)

    # -- instances -----------------------------------------------------------------------------------------------------

    def _engines(self, instances: Sequence[VrrpSettings]) -> list[tuple[VrrpSettings, VrrpEngine]]:
        engines: list[tuple[VrrpSettings, VrrpEngine]] = []
        for settings in instances:
            self._instances[settings.name], engine = self._recordings.engine(settings)
            engines.append((settings, engine))
        return engines

    def _reloading(self, new: AgentConfiguration) -> Generator[None, None, tuple[ConfigurationChanges, list[str]]]:
        """Stop what is gone, let go on with other settings what is the same virtual router, then start what is new. In
        slices: the timers of a thousand instances do not wait for each other's settings."""
        new, old = self._with_free_names(new), self._configuration
        after = succession(old.vrrp, new.vrrp)
        self._machine.spare(after.kept, after.fresh)
        self._machine.part(new.sync_groups, {*after.gone, *after.renamed})
        for ending in batches(after.gone, _INSTANCES_A_SLICE):
            self._end(ending)
            yield
        self._machine.actions.firewall.configure(together(old.firewall, new.firewall))
        self._adopt(after, new)
        yield
        yield from self._machine.reconfiguring(after.changed.values(), _INSTANCES_A_SLICE)
        self._trackers.apply(new.tracking, new.track_scripts)
        for settings in after.kept.values():
            self._trackers.switch(settings.name, new.tracking.uses.get(settings.name, ()))
        yield
        fresh = after.fresh
        if not new.sync_groups:  # those of a group start together
            for starting in batches(fresh, _INSTANCES_A_SLICE):
                with self._told.together():
                    self._machine.start(self._engines(starting), self._tracked)
                yield
            fresh = []
        with self._told.together():
            self._machine.start(self._engines(fresh), self._tracked, new.sync_groups)
        self._machine.end_sparing()
        self._machine.actions.firewall.configure(new.firewall)
        self._drains.enforce()
        self._watch_stalls()
        self._note_groups()
        self._write_states()
        self._dirty.update(dict.fromkeys(self._instances))
        self._report_soon()
        yield
        return compare(old.vrrp, new.vrrp), self._machine.problems()

    def _end(self, names: Sequence[str]) -> None:
        """Stop instances. Nobody knows them any more at the end of the slice."""
        for name in names:
            self._trackers.forget(name)
        with self._told.removing():
            self._machine.stop(names)
        for name in names:
            del self._instances[name]
            self._report_last(name)

    def _adopt(self, after: Succession, new: AgentConfiguration) -> None:
        """Everybody knows the instances that stay by their new names at the end of the slice."""
        self._configuration, renamed = new, after.renamed
        self._told.reconfigure(new.vrrp_notify)
        self._runner.umask = new.process.umask
        self._machine.adopt(after.changed)
        self._instances = {renamed.get(name, name): instance for name, instance in self._instances.items()}
        for name in renamed:
            self._report_last(name)
        for name in renamed.values():
            self._shell.tell(_FOLLOWER, name, InstanceVerdict(name, self._instances[name].state.value))
        for keeper in (self._trackers, self._drains, self._static):
            keeper.rename(renamed)
        self._drains.configure(new.vrrp, new.sync_groups)
        self._static.apply(new.static)
        self._apply_network(new.network)

    def _write_states(self) -> None:
        """Where that is wanted after a reload."""
        snapshots = [instance.snapshot() for instance in self._instances.values()]
        self._told.write_states(
            [(group.name, group.state) for group in self._machine.groups],
            [(each.name, each.state, each.effective_priority) for each in snapshots],
        )

    def _note_groups(self) -> None:
        """What is known of a group of this name in this state stays."""
        known, self._groups = self._groups, {}
        for group in self._machine.groups:
            state, before = group.state.value, known.get(group.name)
            kept = before if before is not None and before.state == state else frames.GroupState(group.name, state)
            self._groups[group.name] = kept
        self._report_groups()

    # -- what engines say ----------------------------------------------------------------------------------------------

    def transition(self, name: str, transition: Transition, now: int) -> None:
        old, new = transition.old.value, transition.new.value
        self._shell.tell(_FOLLOWER, name, InstanceVerdict(name, new))
        lag = self._stall_watch.worst
        self._shell.event(vrrp_journal.of_transition(name, transition, now, lag, self._configuration.revision))
        self._told.transition(name, transition)
        self._log("info", f"{name}: {old} -> {new}: {transition.detail}", instance=name, cause=transition.cause)
        self._dirty[name] = None
        self._report_soon()

    def group_transition(self, transition: GroupTransition, now: int) -> None:
        group, old, new = transition.group, transition.old.value, transition.new.value
        cause, detail, at = transition.cause, transition.detail, vrrp_journal.wall(now)
        self._told.group_transition(transition)
        self._shell.event(frames.GroupRecord(at, group, old, new, cause, detail))
        self._log("info", f"sync group {group}: {old} -> {new}: {detail}", group=group, cause=cause)
        self._groups[group] = frames.GroupState(group, new, at, cause, detail)
        self._report_groups()

    def lower_priority(self, name: str, received: LowerPriorityReceived) -> None:
        self._told.lower_priority(name, received, self._instances[name].snapshot().effective_priority)

    def report(self, name: str, report: Report) -> None:
        text = f"{name}: {report.detail}" if name else report.detail
        self._log(report.level, text, instance=name, code=report.code)
        instance = self._instances.get(name)
        if instance is None:
            return
        now = instance.snapshot()
        if report.code == PRIORITY_CHANGED and instance.settings.notify_priority_changes:
            self._told.priority_changed(name, now.state, now.effective_priority)
        record = vrrp_journal.of_report(name, report, now)
        if record is not None:
            self._shell.event(record)

    def _stalled(self, gap: int, notable: bool) -> None:
        if notable:
            stall = vrrp_journal.of_stall(gap)
            self._log("warning", stall.detail)
            self._shell.event(stall)
        self._machine.stalled(gap)

    def _watch_stalls(self) -> None:
        self._stall_watch.follow(min((each.advert_interval for each in self._configuration.vrrp), default=0))

    def _drained(self, orders: Drains) -> None:
        self._drains.follow(orders, self._configuration.vrrp, self._configuration.sync_groups)

    def _log(self, level: str, message: str, **fields: str | int | bool) -> None:
        self._shell.log(level, message, **fields)

    # -- state for the observer ----------------------------------------------------------------------------------------

    def _changed(self, name: str, _now: int) -> None:
        self._drains.settle()
        self._dirty[name] = None
        if self._report_scheduled is None:
            self._report_scheduled = self._loop.call_later(_SNAPSHOT_SECONDS, self._report)

    def _report_soon(self) -> None:
        if not self._report_due:
            self._report_due = True
            self._loop.call_soon(self._report)

    def _report(self) -> None:
        self._report_due = False
        if self._report_scheduled is not None:
            self._report_scheduled.cancel()
            self._report_scheduled = None
        now, at = time.monotonic_ns(), time.time_ns()
        for name in list(islice(self._dirty, None if self._stopping else _SNAPSHOTS_A_TURN)):
            del self._dirty[name]
            instance = self._instances.get(name)
            if instance is not None and self._shell.observer is not None:
                # the observer has the addresses from the configuration: hundreds need not travel every second
                slim = msgspec.structs.replace(instance.snapshot(), name=name, addresses=())
                self._shell.state(name, frames.Snapshot(now, at, slim))
                longest = longest_down_delay(instance.settings.down_timer_adverts, slim.master_adver_interval)
                self._link_states.limit(slim.interface, name, longest)
        if self._dirty:
            self._report_soon()
        else:  # behind the state that they speak of: who is answered asks for that next
            self._drains.send_answers()

    def _report_groups(self) -> None:
        for state in self._groups.values():
            self._shell.state((GROUP, state.group), state)

    def _report_last(self, name: str) -> None:
        self._dirty.pop(name, None)
        self._shell.state(name, frames.InstanceGone(name))

    def _beat(self) -> None:
        if self._stopping:
            return
        self._machine.retry()
        self._linkbeat.poll()
        self._static.settle()
        self._trackers.retry()
        self._tracker_reports.report()
        self._machine.set_clock_offset(time.time_ns() - time.monotonic_ns())
        observer = self._shell.observer
        if observer is not None:
            lateness = self._machine.driver.lateness
            beat = frames.Heartbeat(
                now=time.monotonic_ns(),
                at=time.time_ns(),
                timers=lateness.timers,
                late_max=lateness.maximum,
                late_over_10ms=lateness.over_10ms,
                dropped=observer.dropped,
            )
            observer.post_state(None, beat)
        self._loop.call_later(_HEARTBEAT_SECONDS, self._beat)

    # -- kactl_agent.runtime.worker_shell.ShelteredWorker --------------------------------------------------------------

    def prepare(self, new: AgentConfiguration) -> str:
        del new  # what is wrong with VRRP settings has been said where the file was read
        return ""

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        sliced(self._loop, self._reloading(new), lambda result: done(*result), lambda: not self._stopping)

    def observed(self) -> None:
        self._told.teller.observed()
        self._tracker_reports.again()
        self._recordings.interrupted(self._instances)
        self._dirty.update(dict.fromkeys(self._instances))
        self._report_soon()
        self._report_groups()

    def connect_spawner(self, sock: socket.socket) -> None:
        self._runner.connect(sock)

    def peer_joined(self, name: str) -> None:
        """The checkers worker follows instances (lvs_sync_daemon)."""
        if name == _FOLLOWER:
            for instance, engine in self._instances.items():
                verdict = InstanceVerdict(instance, engine.snapshot().state.value)
                self._shell.tell(_FOLLOWER, instance, verdict)

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None:
        """The bfd worker says which sessions are up, and everything again after a reload."""
        del name
        match frame:
            case SessionVerdict():
                self._trackers.session_changed(frame.session, SessionState(frame.up))
            case BfdSessionGone():
                self._trackers.session_gone(frame.session)
            case _:
                pass

    def peer_lost(self, name: str) -> None:
        """What was said last counts on, until the next one says otherwise."""
