"""The checkers worker: wires virtual servers, checkers, IPVS and the rest of the agent together."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Callable
from functools import partial

import msgspec

from kactl_agent.checkers.actions import CheckFailed
from kactl_agent.ipvs.genl import MalformedMessage
from kactl_agent.ipvs.plan import Owner
from kactl_agent.ipvs.settings import CheckersSettings, VirtualServerSettings
from kactl_agent.ipvs.settings_wire import NOTHING, Decoded, decode
from kactl_agent.ipvs.telling import notification_of
from kactl_agent.kernel.inotify import Inotify
from kactl_agent.kernel.ipvs import IpvsPort, NetlinkIpvs
from kactl_agent.kernel.links import NetlinkLinks
from kactl_agent.kernel.nft_marks import MarksPort, NftMarks
from kactl_agent.kernel.ports import Links
from kactl_agent.runtime import frames, privileges
from kactl_agent.runtime.bfd_frames import BfdSessionGone, SessionVerdict
from kactl_agent.runtime.chance import random_bytes
from kactl_agent.runtime.check_run_frames import RunCheck
from kactl_agent.runtime.check_runs import CheckRuns
from kactl_agent.runtime.checker_frames import CheckersHeartbeat, InstanceVerdict, TimeoutsBefore
from kactl_agent.runtime.checker_reports import CheckerReports
from kactl_agent.runtime.checks import Checks
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges
from kactl_agent.runtime.group_marks import GroupMarks
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.ipvs_globals import IdleTimeouts, SyncDaemons
from kactl_agent.runtime.ipvs_leftovers import reclaim_at_end as reclaim_at_end
from kactl_agent.runtime.ipvs_leftovers import reclaim_replaced as reclaim_replaced
from kactl_agent.runtime.ipvs_table import IpvsTable
from kactl_agent.runtime.load_balancer import Balanced, Identity, LoadBalancer
from kactl_agent.runtime.loop import Timer, on_terminate, worker_loop
from kactl_agent.runtime.misc_runs import MiscRuns
from kactl_agent.runtime.notifications import Teller
from kactl_agent.runtime.order_frames import OrderServer
from kactl_agent.runtime.probe import ProbeShell
from kactl_agent.runtime.scripts import ScriptRunner
from kactl_agent.runtime.server_orders import ServerOrders
from kactl_agent.runtime.worker_shell import Applied, WorkerShell
from kactl_agent.vrrp.actions import Action, Report

PROCESS = "checkers"
_HEARTBEAT_SECONDS = 1.0
_AUDIT_PAUSE = 30  # beats from the end of a round to the next
_REOPEN = 10  # beats until IPVS is asked for again where there was none

OpenIpvs = Callable[[str | None], IpvsPort]


class CheckersWorkerStart(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor hands the worker at its fork."""

    configuration: AgentConfiguration
    capabilities: frozenset[privileges.Capability]
    keep_ipvs: bool  # --keep-ipvs


def start(
    configuration: AgentConfiguration, capabilities: frozenset[privileges.Capability], *, keep_ipvs: bool
) -> CheckersWorkerStart:
    """What `run` takes."""
    return CheckersWorkerStart(configuration=configuration, capabilities=capabilities, keep_ipvs=keep_ipvs)


def run(start: CheckersWorkerStart, supervisor: Edge, observer: Edge) -> int:
    """The life of the worker's process. Returns its exit code."""
    privileges.keep_only(start.capabilities)
    with worker_loop() as loop:
        worker = CheckersWorker(loop, start, supervisor, observer)
        on_terminate(loop, worker.stop)
        loop.call_soon(worker.begin)
        loop.run_forever()
        worker.close()
    return 0


class _Listener:
    """`kactl_agent.runtime.load_balancer.Listener`: what happens is reported, and told to whom it may concern."""

    def __init__(self, reports: CheckerReports, teller: Teller, work: Callable[[], None]) -> None:
        self._reports = reports
        self._teller = teller
        self._work = work
        self.settings = CheckersSettings()
        self.stopping = False

    def told(self, settings: VirtualServerSettings, action: Action) -> None:
        self._reports.told(settings, action)
        notification = notification_of(
            action, settings, init_notifies=self.settings.init_notifies, stopping=self.stopping
        )
        if notification is not None:
            self._teller.tell(notification if self.settings.mails else notification._replace(mail=None))

    def check_failed(self, balanced: Balanced, server: int, checker: int, action: CheckFailed) -> None:
        self._reports.check_failed(balanced, server, checker, action)

    def reported(self, balanced: Balanced, server: int, checker: int, report: Report) -> None:
        self._reports.reported(balanced, server, checker, report)

    def changed(self, identity: Identity) -> None:
        self._reports.changed(identity)

    def work(self) -> None:
        self._work()


class CheckersWorker:
    """`kactl_agent.runtime.worker_shell.ShelteredWorker`"""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: CheckersWorkerStart,
        supervisor: Edge,
        observer: Edge,
        open_ipvs: OpenIpvs = NetlinkIpvs,
        open_links: Callable[[], Links] = NetlinkLinks,
        open_marks: Callable[[str | None], MarksPort] = NftMarks,
    ) -> None:
        self._loop = loop
        self._keep_ipvs = start.keep_ipvs
        self._decoded = decode(start.configuration.checkers)
        self._next: Decoded | None = None
        self._namespace = start.configuration.process.namespace_ipvs  # which a reload does not change
        self._open_ipvs = open_ipvs
        self._open_links = open_links
        self._links: Links | None = None
        self._ipvs: IpvsPort | None = None
        self._drifts = 0  # what somebody else had changed
        self._absent = ""  # why there is no IPVS
        self._beats = 0
        self._audit_at = _AUDIT_PAUSE
        self._reopen_at = 0
        self._working = False
        self._stopping = False
        self._applied: Callable[[], None] | None = None
        self._shell = WorkerShell(PROCESS, loop, supervisor, observer, self)
        self._runner = ScriptRunner(loop)
        self._runner.umask = start.configuration.process.umask
        self._patience = start.configuration.process.child_wait_time
        self._teller = Teller(loop, self._shell, self._runner)
        self._reports = CheckerReports(loop, self._shell)
        self._listener = _Listener(self._reports, self._teller, self._work)
        self._prober = ProbeShell(loop)
        self._timer = Timer(loop, lambda: self._balancer.checks.run_due())
        self._table = IpvsTable(self._shell.log, self._drifted)
        self._daemons = SyncDaemons(self._shell.log)
        self._timeouts = IdleTimeouts(lambda found: self._shell.answer(TimeoutsBefore(found)))
        self._shell.on(TimeoutsBefore, self._inherit)
        self._marks = GroupMarks(partial(open_marks, self._namespace), self._shell.log)
        self._balancer = LoadBalancer(
            self._table,
            self._make_checks,
            self._listener,
            time.monotonic_ns,
            self._has_address,
            self._marks.follow,
            random_bytes(start.configuration.process),
        )
        self._reports.balancer = self._balancer
        programs = MiscRuns(loop, self._runner, time.monotonic_ns)
        asked = CheckRuns(self._balancer, self._prober, programs, self._tell_observer, time.monotonic_ns)
        self._shell.on_observer(RunCheck, asked.run)
        orders = ServerOrders(loop, self._balancer, self._reports.send_now, self._tell_observer)
        self._shell.on_observer(OrderServer, orders.order)

    def _make_checks(self, said: Callable[[int, Action], None], changed: Callable[[int], None]) -> Checks[Balanced]:
        programs = MiscRuns(self._loop, self._runner, time.monotonic_ns)
        return Checks(
            self._loop, time.monotonic_ns, self._timer.arm, self._prober, programs, Inotify, self._file_report,
            said, changed,
        )  # fmt: skip

    def _tell_observer(self, frame: frames.Frame) -> None:
        """What it has asked for."""
        if self._shell.observer is not None:
            self._shell.observer.post(frame)

    @property
    def settings(self) -> CheckersSettings:
        """Those in force."""
        return self._decoded.settings

    def begin(self) -> None:
        self._listener.settings = self.settings
        self._teller.configure(self.settings.executables, self.settings.fifos)
        self._watch_addresses()
        self._balance(self.settings)
        self._reports.configured(self.settings.virtual_servers)
        self._open(flush=self.settings.flush)
        self._applied = self._started
        self._work()
        self._beat()

    def _started(self) -> None:
        servers = self.settings.virtual_servers
        count = sum(len(server.real_servers) for server in servers)
        self._shell.log("info", f"balancing {len(servers)} virtual servers with {count} real servers")
        self._shell.started()

    def _balance(self, settings: CheckersSettings) -> ConfigurationChanges:
        gc.disable()  # thousands of new objects, and none to throw away
        changes = self._balancer.apply(settings)
        gc.enable()
        return changes

    def close(self) -> None:
        """After the loop has ended."""
        if self._ipvs is not None:
            self._ipvs.close()
        if self._links is not None:
            self._links.close()
        self._timer.close()
        self._runner.close()
        self._shell.close()

    # -- IPVS ----------------------------------------------------------------------------------------------------------

    def _open(self, *, flush: bool = False) -> None:
        """Begin with the kernel: what is there already is taken over."""
        try:
            self._ipvs = self._open_ipvs(self._namespace)
            self._ipvs.resize_buffer(self.settings.command_buffer)
            self._table.open(self._ipvs, flush=flush)
            self._daemons.open(self._ipvs)
            self._timeouts.open(self._ipvs)
            if not self._stopping:
                self._configure_globals()
        except (OSError, MalformedMessage) as error:
            self._lost(error)
            return
        if self._absent:
            self._absent = ""
            self._shell.log("info", "IPVS is there now")

    def _inherit(self, frame: TimeoutsBefore) -> None:
        try:
            if frame.timeouts is not None:
                self._timeouts.inherit(frame.timeouts)
        except (OSError, MalformedMessage) as error:
            self._lost(error)

    def _configure_globals(self) -> None:
        self._timeouts.configure(self.settings.timeouts)
        self._daemons.configure(self.settings.sync_daemon)

    def _lost(self, error: OSError | MalformedMessage) -> None:
        """There is no IPVS here (yet), or no sense in what it says: servers are checked, and it is asked for again."""
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if text != self._absent:
            self._absent = text
            self._shell.log("error", f"nothing can be balanced: {text}")
        if self._ipvs is not None:
            self._ipvs.close()
            self._ipvs = None
        self._table.close()
        self._daemons.close()
        self._timeouts.close()
        self._reopen_at = self._beats + _REOPEN

    def _work(self) -> None:
        if not self._working and not self._stopping:
            self._working = True
            self._loop.call_soon(self._apply_slice)

    def _apply_slice(self) -> None:
        self._working = False
        if self._stopping:
            return
        try:
            complete = self._ipvs is None or self._table.apply()
        except (OSError, MalformedMessage) as error:
            self._lost(error)
            complete = True
        if not complete:
            self._work()
        elif self._applied is not None:
            applied, self._applied = self._applied, None
            applied()

    def audit_soon(self) -> None:
        """Look at the next beat whether the table is as it is to be."""
        self._audit_at = 0

    def _drifted(self, owners: list[Owner], text: str) -> None:
        self._drifts += 1
        for owner in owners:
            balanced = self._balancer.get(owner) if isinstance(owner, tuple) else None
            self._reports.drifted("" if balanced is None else balanced.settings.name, text)

    # -- beats ---------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        if self._stopping:
            return
        self._beats += 1
        self._balancer.checks.retry()
        if self._ipvs is None:
            if self._beats >= self._reopen_at:
                self._open()
                self._work()
        else:
            try:
                self._daemons.retry()
                if self._beats >= self._audit_at and self._table.audit():
                    self._audit_at = self._beats + _AUDIT_PAUSE
            except (OSError, MalformedMessage) as error:
                self._lost(error)
            if self._table.pending:
                self._work()
        self._report_beat()
        self._loop.call_later(_HEARTBEAT_SECONDS, self._beat)

    def _report_beat(self) -> None:
        observer = self._shell.observer
        if observer is None:
            return
        lateness = self._balancer.checks.driver.lateness
        problems = [self._absent] if self._absent else self._table.problems
        beat = CheckersHeartbeat(
            now=time.monotonic_ns(), at=time.time_ns(), timers=lateness.timers, late_max=lateness.maximum,
            late_over_10ms=lateness.over_10ms, dropped=observer.dropped, running=self._prober.running,
            operations=self._table.operations, drifts=self._drifts, problems=tuple(problems[:16]),
        )  # fmt: skip
        self._shell.state("heartbeat", beat)

    # -- addresses -----------------------------------------------------------------------------------------------------

    def _watch_addresses(self) -> None:
        wanted = any(settings.ha_suspend for settings in self.settings.virtual_servers)
        if wanted and self._links is None:
            try:
                links = self._open_links()
            except OSError as error:
                self._shell.log("error", f"ha_suspend is without effect: addresses cannot be seen: {error.strerror}")
                return
            self._links = links
            self._loop.add_reader(links.fileno(), self._addresses_changed)
        elif not wanted and self._links is not None:
            self._loop.remove_reader(self._links.fileno())
            self._links.close()
            self._links = None
        if isinstance(self._links, NetlinkLinks):
            self._links.resize_buffer(self.settings.monitor_buffer)

    def _addresses_changed(self) -> None:
        if self._links is not None and self._links.drain():
            self._balancer.addresses_changed()

    def _has_address(self, address: bytes) -> bool:
        return self._links is None or self._links.has_host(address)

    def _file_report(self, report: Report) -> None:
        self._shell.log(report.level, report.detail, code=report.code)

    # -- kactl_agent.runtime.worker_shell.ShelteredWorker --------------------------------------------------------------

    def prepare(self, new: AgentConfiguration) -> str:
        self._next = None
        if not new.checkers:
            return ""
        try:
            self._next = decode(new.checkers, self._decoded)
        except msgspec.MsgspecError as error:
            return f"the settings of virtual servers cannot be read: {error}"
        return ""

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        self._runner.umask = new.process.umask
        self._patience = new.process.child_wait_time
        self._decoded, self._next = self._next or NOTHING, None
        wanted = self.settings
        executables = {**dict(self._listener.settings.executables), **dict(wanted.executables)}
        self._teller.configure(executables.items(), wanted.fifos)  # what goes has scripts of its own to be told by
        self._listener.settings = wanted
        self._prober.forget_contexts()
        self._watch_addresses()
        changes = self._balance(wanted)
        self._teller.configure(wanted.executables, wanted.fifos)
        self._reports.configured(wanted.virtual_servers)
        if self._ipvs is not None:
            try:
                self._ipvs.resize_buffer(wanted.command_buffer)
                self._configure_globals()
            except (OSError, MalformedMessage) as error:
                self._lost(error)
        self._table.retry_refused()
        before = self._applied  # the start may not be complete, nor another reload

        def say() -> None:
            if before is not None:
                before()
            done(changes, [self._absent] if self._absent else self._table.problems)

        self._applied = say
        self._work()

    def stop(self, order: frames.Stop | None = None) -> None:
        """Services and what they hold are deleted, unless that is not wanted. A second call changes nothing."""
        if self._stopping:
            return
        self._stopping = True
        keep = self._keep_ipvs if order is None else order.keep_ipvs
        self._listener.stopping = True
        if keep:
            self._balancer.checks.close()
        else:
            self._release()
        self._prober.close()
        if self._applied is not None:
            self._applied = None
        self._teller.finish(self._patience)

    def _release(self) -> None:
        self._balancer.stop()
        self._table.last_comes_first()
        self._marks.stop()
        self._reports.flush(None)
        for _attempt in range(2):  # the kernel may have been lost for a moment
            if self._ipvs is None:
                self._open()
            if self._ipvs is None or self._emptied():
                break
        for problem in self._table.problems:
            self._shell.log("error", problem)

    def _emptied(self) -> bool:
        try:
            if self.settings.flush_on_stop:
                self._table.flush()
            while not self._table.apply():
                pass
            self._daemons.stop()
            self._timeouts.restore()
        except (OSError, MalformedMessage) as error:
            self._lost(error)
            return False
        return True

    def observed(self) -> None:
        self._reports.configured(self.settings.virtual_servers)
        self._teller.observed()

    def connect_spawner(self, sock: socket.socket) -> None:
        if self._stopping and not self.settings.executables:
            sock.close()
        else:
            self._runner.connect(sock)

    def peer_joined(self, name: str) -> None:
        """Nobody has to be told anything."""

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None:
        """Which BFD sessions are up, and what VRRP instances are."""
        del name
        match frame:
            case SessionVerdict():
                self._balancer.checks.session(frame.session, frame.up)
            case BfdSessionGone():
                self._balancer.checks.session_gone(frame.session)
            case InstanceVerdict():
                try:
                    self._daemons.instance_changed(frame.instance, frame.state)
                except (OSError, MalformedMessage) as error:
                    self._lost(error)
            case _:
                pass

    def peer_lost(self, name: str) -> None:
        """The next one tells everything again; until then what is known stays."""
