"""The supervisor: what is done about signals, reloads, ended workers, and the stop."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterable, Sequence
from functools import partial

from kactl_agent import __version__
from kactl_agent.observe.journal_files import NAMES as JOURNAL_FILES
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime import frames, privileges
from kactl_agent.runtime.checker_frames import TimeoutsBefore
from kactl_agent.runtime.configuration import (
    AgentConfiguration,
    dump_sealed,
    dump_to_disk,
    settings_for,
    without_secrets,
)
from kactl_agent.runtime.drain_frames import DrainOrder, DrainRequest, DrainsApplied
from kactl_agent.runtime.dump_frames import DumpRequest, DumpWritten
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.log_frames import DescribeYourself, LogDetail
from kactl_agent.runtime.sdnotify import Notifier
from kactl_agent.runtime.self_description import describe
from kactl_agent.supervisor.children import Worker, cpu_text, exit_text
from kactl_agent.supervisor.desk import ConfigurationDesk
from kactl_agent.supervisor.drains import DrainRecord, KeptDrains
from kactl_agent.supervisor.dumps import DATA, JSON, STATISTICS, STATISTICS_CLEAR, Dumps
from kactl_agent.supervisor.event_outlets import EventOutlets
from kactl_agent.supervisor.fleet import OBSERVER, Fleet
from kactl_agent.supervisor.leftovers import Leftovers
from kactl_agent.supervisor.loading import warm
from kactl_agent.supervisor.log import Log, complain
from kactl_agent.supervisor.options import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_FINE,
    EXIT_PRIVILEGE,
    Options,
)
from kactl_agent.supervisor.pid_files import AGENT, PidFiles
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.predecessor import Record
from kactl_agent.supervisor.recordings import Recordings
from kactl_agent.supervisor.run_dir import RunDirectory
from kactl_agent.supervisor.spawning import SpawnerProcess, Spawning
from kactl_agent.supervisor.told_observer import ToldObserver
from kactl_agent.supervisor.tracked_files import initialise
from kactl_agent.supervisor.worker_kinds import Prepare, import_wanted, prepare, refusal, wanted
from kactl_agent.tracking.settings import FileSettings
from kactl_agent.vrrp.pairing import pair
from kactl_agent.workers import observer as observer_worker

_DUMPS = {
    # the signals of keepalived
    signal.SIGUSR1: DATA,
    signal.SIGUSR2: STATISTICS,
    signal.SIGRTMIN + 2: JSON,
    signal.SIGRTMAX - 1: STATISTICS_CLEAR,
}
_SETTLED_SECONDS = 0.5  # after a reload, until the workers have told the observer what they are now
_WARM_SECONDS = 1.0  # after the start, when nobody waits any more, what a reload needs is imported
_MOST_PUT_OFF = 60
_PERMANENT = frozenset({EXIT_CONFIGURATION, EXIT_PRIVILEGE})  # a restart would end the same way


class Supervisor:
    """The Host of `kactl_agent.supervisor.fleet` and `kactl_agent.supervisor.reload`."""

    def __init__(
        self,
        options: Options,
        log: Log,
        notifier: Notifier,
        run_dir: RunDirectory,
        configuration: AgentConfiguration,
        spawner: SpawnerProcess,
        text: bytes | None = None,
        prepare: Prepare = prepare,
    ) -> None:
        """`text` is what the configuration was read from."""
        self.configuration = configuration
        self._options = options
        self._log = log
        self._notifier = notifier
        self._run_dir = run_dir
        self._listener = run_dir.listen()
        self._poller = Poller()
        self._desk = ConfigurationDesk(self, self._poller, options, text)
        self._reload = self._desk.reload
        self._spawning = Spawning(self._poller, self._spawner_ended)
        self._fleet = Fleet(self, self._poller, options, self._spawning, self._kept_by, prepare)
        self._spawning.watch(spawner, self._script_workers)
        self._events = EventOutlets(self._poller, self._spawning, log, notifier.extend)
        self._leftovers = Leftovers(self._poller, log)
        self._record = Record(run_dir, log)
        self._starting: set[str] = set()  # workers that have not said yet that they are at work, after our own start
        self._started = time.monotonic_ns()
        self._exit_code = EXIT_FINE
        self._stopping = False
        self._ready = False
        self._recordings = Recordings(options.record, log)
        self._dumps = Dumps(self, run_dir.path)
        process = configuration.process
        self._pid_files = PidFiles(
            run_dir.path, options.pid_files, own_directory=process.use_pid_dir, instance=process.instance
        )
        self._drains = KeptDrains(self, self._poller, DrainRecord(run_dir, log))
        self._told_observer = ToldObserver(
            self._poller,
            lambda: self._fleet.edge(OBSERVER),
            lambda: self._sealed(without_secrets(self.configuration)),
            log,
        )
        self._journal = self._open_journal()

    def run(self) -> int:
        ignored = (signal.SIGPIPE, *((signal.SIGINT,) if self._options.ignore_sigint else ()))
        self._poller.on_signals(
            {
                signal.SIGTERM: partial(self.stop, EXIT_FINE),
                **({} if self._options.ignore_sigint else {signal.SIGINT: partial(self.stop, EXIT_FINE)}),
                signal.SIGHUP: self._desk.request_plain,
                **{number: partial(self._dump, what) for number, what in _DUMPS.items()},
                signal.SIGRTMAX: self._describe,
                signal.SIGRTMIN + 3: self._reopen_logs,
                signal.SIGRTMIN + 4: self._toggle_detail,
            },
            ignored,
        )
        self._log.watch(self._poller)
        self._write_pid(AGENT, os.getpid())
        self._log("info", f"kactl-agent {__version__} starting, configuration {self.configuration.revision}")
        self._take_process_settings()
        self._desk.take_settings(self.configuration.reload)
        import_wanted(self.configuration)
        gc.collect()
        gc.freeze()  # what is shared with the workers stays shared: a collection would write to every page
        self._record.succeed(self.configuration, self._poller.after_fork)
        self._drains.take_up()
        self._fleet.start_observer()
        self._initialise_files(self.configuration, ())
        self._starting = set(wanted(self.configuration))
        self._events.begin(lambda: self.configuration, self._start_workers)
        self._poller.run()
        self._record.remove()
        self._drains.end()
        return self._exit_code

    def _describe(self) -> None:
        """Every process says in the log what it is made of (keepalived: TDATA)."""
        edges: dict[str, Edge | None] = {name: self._fleet.edge(name) for name in (*self.pids(), OBSERVER)}
        self._log("info", describe(edges, timers=self._poller.timers))
        self._post_to(edges, DescribeYourself())

    def _reopen_logs(self) -> None:
        if self._log.files is not None:
            self._log.files.reopen()

    def _toggle_detail(self) -> None:
        detail = self._log.toggle_detail()
        self._fleet.post(LogDetail(detail))
        self._log("info", f"detail is {'logged' if detail else 'not logged'} from now on")

    def _start_workers(self) -> None:
        """The startup script has ended."""
        if not self._stopping:
            self._fleet.start_wanted()
            self._set_ready()

    # -- kactl_agent.supervisor.fleet.Host -----------------------------------------------------------------------------

    def complain(self, process: str, line: str) -> None:
        """The log of the supervisor is closed there."""
        complain(self._log.settings, process, line)

    def to_start_with(self) -> AgentConfiguration | None:
        return self._reload.to_start_with()

    def observe(self, supervisor: Edge) -> int:
        start = observer_worker.ObserverStart(
            configuration=without_secrets(self.configuration),
            supervisor_pid=os.getppid(),
            started=self._started,
            log=self._log.settings,
            journal=tuple(self._journal),
        )
        return observer_worker.run(start, self._listener, supervisor, self._log.socket)

    def _kept_by(self, name: str) -> list[int]:
        """Workers share the lock: see RunDirectory.claim."""
        if name != OBSERVER:
            return [self._run_dir.lock]
        files = self._log.socket
        return [self._listener.fileno(), *self._journal, *([] if files is None else [files.fileno()])]

    def _open_journal(self) -> list[int]:
        try:
            return self._run_dir.keep(JOURNAL_FILES)
        except OSError as error:
            self._log("warning", f"the journal is kept in memory alone: {self._run_dir.path}: {error.strerror}")
            return []

    def drains(self) -> tuple[DrainOrder, ...]:
        return self._drains.orders

    def observer_started(self) -> None:
        self._told_observer.follows()
        self._drains.observer_started()
        self._desk.observer_started()

    def started(self, worker: str, configuration: AgentConfiguration) -> None:
        self._leftovers.taken_over(worker, configuration)
        if found := self._leftovers.for_next(worker):
            self._post_to([worker], found)
        self._write_pid(worker, self.pids()[worker])
        self._hand_fifos_over(worker)
        observer = self._fleet.edge(OBSERVER)
        if worker == "vrrp" and observer is not None:
            self._recordings.open(observer, configuration.vrrp)

    def _hand_fifos_over(self, worker: str) -> None:
        edge = self._fleet.edge(worker)
        if edge is not None:
            self._events.fifos.hand_over(worker, edge)

    def said(self, worker: str, frame: frames.AnyFrame) -> None:
        match frame:
            case frames.WorkerStarted():
                self._starting.discard(frame.process)
                self._set_ready()
            case frames.SettingsPrepared():
                self._reload.prepared(worker, frame)
            case frames.SettingsApplied() if worker == OBSERVER:
                self._told_observer.taken()
            case frames.SettingsApplied():
                self._reload.applied(worker, frame)
            case frames.ReloadRequest() | frames.RollbackRequest() | frames.ConfirmRequest() | frames.PlanRequest() if (
                worker == OBSERVER
            ):
                self._desk.said(frame)
            case DrainRequest() if worker == OBSERVER and not self._stopping:
                self._drains.request(frame)
            case TimeoutsBefore():
                self._leftovers.found(worker, frame)
            case DrainsApplied():
                self._drains.applied(frame)
            case DumpWritten() if worker == OBSERVER:
                self._dumps.written(frame)
            case DumpRequest() if worker == OBSERVER and not self._stopping:
                self._dumps.requested(frame)
            case _:
                pass

    def ended(self, worker: Worker, code: int) -> None:
        name = worker.name
        self._log("detail", worker.cpu_text)
        self._pid_files.remove(name)
        if name == "vrrp":
            self._drains.worker_lost()
        if name == OBSERVER:
            self._dumps.observer_lost()
        elif code != 0 and code not in _PERMANENT:
            self._leftovers.note(name, self._reload.configurations())
        else:
            self._leftovers.gone(name)
        if self._stopping:
            self._stop_next()
        elif not self._fleet.is_staying(worker):
            self._leftovers.reclaim()
            self._leftovers.settle(self.configuration, self.pids())
            self._reload.worker_lost(name)
            self._fleet.start_wanted()
        else:
            self._log("error", f"the {name} worker ended: {exit_text(code)}")
            if code in _PERMANENT:
                self.stop(code)
            elif not self._options.respawn:
                self.stop(EXIT_FAILED)
            else:
                self._leftovers.reclaim()
                self._fleet.respawn_later(worker)
                self._reload.worker_lost(name)

    def _set_ready(self) -> None:
        if not self._ready and not self._stopping and not self._starting:
            self._ready = True
            count = len(self.configuration.vrrp)
            self._log("info", f"running: {count} VRRP instance{'' if count == 1 else 's'}")
            self._notifier.ready(f"{count} VRRP instances")
            # not in the middle of a reload, which would wait for it, unless there is no end of them
            self._poller.call_when_idle(_WARM_SECONDS, lambda: self._reload.under_way, self._warm_up, _MOST_PUT_OFF)

    def _warm_up(self) -> None:
        if not self._stopping:
            warm()

    # -- the spawner ---------------------------------------------------------------------------------------------------

    def _script_workers(self) -> list[Worker]:
        self._fleet.post_spawner()
        self._events.scripts.spawner_restarted()
        return self._fleet.script_workers

    def _spawner_ended(self, how: str) -> bool:
        if self._stopping:
            self._stop_next()
            return False
        self._log("error", f"the spawner, which runs scripts, ended: {how}")
        self._fleet.post_spawner(how)
        if not self._options.respawn:
            self.stop(EXIT_FAILED)
        return self._options.respawn

    # -- kactl_agent.supervisor.drains.Host ----------------------------------------------------------------------------

    def to_vrrp(self, frame: frames.Frame) -> bool:
        edge = self._fleet.edge("vrrp")
        if edge is not None:
            edge.post(frame)
        return edge is not None

    # -- kactl_agent.supervisor.reload.Host ----------------------------------------------------------------------------

    def log(self, level: str, message: str) -> None:
        self._log(level, message)

    def refuses(self, configuration: AgentConfiguration) -> str:
        try:
            import_wanted(configuration)
        except ImportError as error:
            return f"{error}: restart the agent"
        return refusal(configuration)

    def hand_over(self, serial: int, configuration: AgentConfiguration) -> list[str]:
        self._dumps.before_reload()
        # those that lack something, or have nothing to do any more: others will start with these
        staying = [each for each in self._fleet if self._fleet.is_staying(each)]
        staying = [each for each in staying if not self._fleet.lacks(each, configuration)]
        sealed: list[int] = []
        try:
            sealed += (self._sealed(settings_for(worker.name, configuration)) for worker in staying)
        except OSError:
            for descriptor in sealed:
                os.close(descriptor)
            raise
        for worker, descriptor in zip(staying, sealed, strict=True):
            worker.edge.post(frames.Settings(serial), [descriptor])
        return [worker.name for worker in staying]

    def _sealed(self, configuration: AgentConfiguration) -> int:
        """For another process to read: in memory, or where the configuration wants it (tmp_config_directory)."""
        directory = configuration.process.tmp_directory
        if directory:
            try:
                return dump_to_disk(configuration, directory)
            except OSError as error:
                self._log("warning", f"tmp_config_directory {directory}: {error.strerror or error}: memory is used")
        return dump_sealed(configuration)

    def commit(self, serial: int, workers: Iterable[str], configuration: AgentConfiguration) -> None:
        self._record.write(self._reload.configurations())
        self._initialise_files(configuration, self.configuration.tracking.files)
        self._events.apply(configuration)
        for worker in workers:
            self._hand_fifos_over(worker)
        observer = self._fleet.edge(OBSERVER)
        if observer is not None and "vrrp" in workers:
            kept = pair(self.configuration.vrrp, configuration.vrrp)
            self._recordings.open(observer, [each for each in configuration.vrrp if each.name not in kept])
        self._post_to(workers, frames.ApplySettings(serial))

    def drop(self, serial: int, workers: Iterable[str]) -> None:
        self._post_to(workers, frames.DropSettings(serial))

    def _post_to(self, workers: Iterable[str], frame: frames.Frame) -> None:
        for name in workers:
            edge = self._fleet.edge(name)
            if edge is not None:
                edge.post(frame)

    def _initialise_files(self, configuration: AgentConfiguration, known: tuple[FileSettings, ...]) -> None:
        for failure in initialise(each for each in configuration.tracking.files if each not in known):
            self._log("warning", failure)

    def _take_process_settings(self) -> None:
        privileges.set_process_name(self.configuration.process.name or "kactl-agent")
        self._spawning.settle(self.configuration.process.umask)

    def adopt(self, configuration: AgentConfiguration) -> None:
        possible = self._reload.configurations()
        before, self.configuration = self.configuration, configuration
        self._record.write([configuration])
        self._drains.adopted(before, configuration)
        self._desk.take_settings(configuration.reload)
        self._take_process_settings()
        self._told_observer.tell()
        for worker in self._fleet:
            if not self._fleet.is_staying(worker):
                continue
            missing = self._fleet.lacks(worker, configuration)
            if missing:
                # what a process has given up it cannot have again
                self._log("info", f"the {worker.name} worker is restarted: it needs {' and '.join(missing)} now")
            elif not configuration.needs(worker.name):
                self._log("info", f"the {worker.name} worker has nothing to do any more and ends")
            else:
                continue
            self._leftovers.leaves(worker.name, possible)
            self._fleet.retire(worker, self._stop_order, self._stop_seconds)
        self._leftovers.settle(configuration, self.pids())
        if self._events.begun:
            self._fleet.start_wanted()
        self._poller.call_later(_SETTLED_SECONDS, self._dumps.after_reload)

    def reloading(self, under_way: bool) -> None:
        if under_way:
            self._reopen_logs()
        self._desk.mark(under_way=under_way)
        if under_way:
            self._notifier.reloading()
        else:
            self._notifier.ready(f"{len(self.configuration.vrrp)} VRRP instances")

    def answer(self, outcome: frames.ReloadOutcome) -> None:
        self._fleet.post(outcome)

    def tell_observer(self, frame: frames.Frame, descriptors: tuple[int, ...] = ()) -> None:
        self._fleet.post(frame, descriptors)

    # -- kactl_agent.supervisor.dumps.Host -----------------------------------------------------------------------------

    @property
    def process_settings(self) -> ProcessSettings:
        return self.configuration.process

    def pids(self) -> dict[str, int]:
        return {worker.name: worker.pid for worker in self._fleet}

    def ask_observer(self, frame: frames.Frame, descriptors: Sequence[int] = ()) -> bool:
        edge = self._fleet.edge(OBSERVER)
        if edge is not None:
            edge.post(frame, descriptors)
        return edge is not None

    def _write_pid(self, process: str, pid: int) -> None:
        if failure := self._pid_files.write(process, pid):
            self._log("error", failure)

    def _dump(self, what: str) -> None:
        if not self._stopping:
            self._dumps.request(what)

    # -- the end -------------------------------------------------------------------------------------------------------

    @property
    def _stop_order(self) -> frames.Stop:
        return frames.Stop(self._options.keep_vips, self._options.keep_ipvs)

    @property
    def _stop_seconds(self) -> float:
        """Until a worker that was told to stop is killed (child_wait_time)."""
        return self.configuration.process.child_wait_time / 1e9

    def stop(self, code: int) -> None:
        """Orderly: the workers, then the spawner, then the observer. A second call changes nothing."""
        if self._stopping:
            return
        self._stopping = True
        self._exit_code = code
        self._fleet.cancel_restarts()
        self._fleet.stop_workers(self._stop_order, self._stop_seconds)  # before all else: peers wait for it
        self._log("info", "stopping")
        self._notifier.stopping()
        self._desk.close()
        self._stop_next()

    def _stop_next(self) -> None:
        if self._fleet.stop_workers(self._stop_order, self._stop_seconds):
            return
        self._leftovers.leave(addresses=self._options.keep_vips, services=self._options.keep_ipvs)
        self._leftovers.reclaim()
        self._leftovers.reclaim_at_end()
        if not self._events.ended:
            self._events.end(self.configuration, self._stop_next)
        elif self._spawning.process is not None:
            self._spawning.stop()
        elif not self._fleet.stop_observer():
            self._log("detail", cpu_text("supervisor", os.times().user, os.times().system))
            self._pid_files.close()
            self._log("info", "stopped")
            self._log.close()
            self._listener.close()
            self._poller.stop()
