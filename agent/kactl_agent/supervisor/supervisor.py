"""The supervisor: starts the workers, restarts the ones that die, carries reloads and the stop out."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from functools import partial

import msgspec

from kactl_agent import __version__
from kactl_agent.observe.logs import LogFormat, LogWriter
from kactl_agent.runtime import frames, privileges
from kactl_agent.runtime.configuration import AgentConfiguration, dump_sealed, without_secrets
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair
from kactl_agent.runtime.privileges import Capability
from kactl_agent.runtime.sdnotify import Notifier
from kactl_agent.supervisor.children import Backoff, Child, Worker, exit_text, fork_child
from kactl_agent.supervisor.loading import LoadingProcess
from kactl_agent.supervisor.options import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_FINE,
    EXIT_PRIVILEGE,
    Options,
)
from kactl_agent.supervisor.poller import Poller, TimerHandle
from kactl_agent.supervisor.recordings import Recordings
from kactl_agent.supervisor.reload import Reload
from kactl_agent.supervisor.run_dir import RunDirectory
from kactl_agent.supervisor.spawning import SpawnerProcess, Spawning
from kactl_agent.supervisor.state_dump import StateDump
from kactl_agent.supervisor.tracked_files import initialise
from kactl_agent.tracking.settings import FileSettings
from kactl_agent.vrrp.pairing import pair
from kactl_agent.vrrp.static_items import StaticItems
from kactl_agent.workers import observer as observer_worker
from kactl_agent.workers import vrrp as vrrp_worker

PROCESS = "supervisor"
_STOP_SECONDS = 5.0  # for the VRRP worker, as keepalived's child_wait_time
_OBSERVER_STOP_SECONDS = 2.0
_PERMANENT = frozenset({EXIT_CONFIGURATION, EXIT_PRIVILEGE})  # a restart would end the same way
_VRRP_CAPABILITIES = (Capability.CAP_NET_ADMIN, Capability.CAP_NET_RAW)
_SCRIPT_CAPABILITIES = (Capability.CAP_SETUID, Capability.CAP_SETGID, Capability.CAP_KILL)  # of the spawner alone


class Log:
    """Records of the supervisor itself."""

    def __init__(self, options: Options) -> None:
        self._writer = LogWriter(LogFormat(options.log_format), options.log_level, options.log_detail)

    def __call__(self, level: str, message: str) -> None:
        self._writer.write(frames.LogRecord(time.time_ns(), level, PROCESS, message))


def _complain(process: str, options: Options, line: str) -> None:
    """In a worker that cannot go on; the log of the supervisor is closed there."""
    writer = LogWriter(LogFormat(options.log_format), options.log_level, options.log_detail)
    writer.write(frames.LogRecord(time.time_ns(), "error", process, line))


def privilege_refusal(configuration: AgentConfiguration) -> str:
    """Which capability the configuration needs and this process lacks; empty when there is none."""
    if not configuration.needs_vrrp:
        return ""
    missing = privileges.missing_capabilities(_VRRP_CAPABILITIES)
    if not missing:
        needing = [name for name, script in configuration.track_scripts.items() if script.uid != os.geteuid()]
        missing = privileges.missing_capabilities(_SCRIPT_CAPABILITIES) if needing else []
        what = f"running vrrp_script {', '.join(needing)} as another user"
    else:
        what = "VRRP"
    names = " and ".join(capability.name for capability in missing)
    return f"{what} needs {names}: run as root, or grant it (AmbientCapabilities= in a unit)" if missing else ""


class Supervisor:
    """`kactl_agent.supervisor.reload.Host`, and the lives of the workers."""

    def __init__(
        self,
        options: Options,
        log: Log,
        notifier: Notifier,
        run_dir: RunDirectory,
        configuration: AgentConfiguration,
        spawner: SpawnerProcess,
    ) -> None:
        self.configuration = configuration
        self._options = options
        self._log = log
        self._notifier = notifier
        self._run_dir = run_dir
        self._listener = run_dir.listen()
        self._poller = Poller()
        self._reload = Reload(self, self._poller, lambda: LoadingProcess(options))
        self._children: dict[str, Worker] = {}
        self._spawning = Spawning(self._poller, self._spawner_ended)
        self._spawning.watch(spawner, self._script_workers)
        self._backoff = {"vrrp": Backoff(), "observer": Backoff()}
        self._restarts = {"vrrp": 0, "observer": 0}
        self._respawns: dict[str, TimerHandle] = {}
        self._started = time.monotonic_ns()
        self._exit_code = EXIT_FINE
        self._stopping = False
        self._ready = False
        self._recordings = Recordings(options.record, log)
        self._state_dump = StateDump(run_dir, log)
        self._unclean: list[AgentConfiguration] = []  # whose addresses a VRRP worker that died may have left
        self._static_left: list[AgentConfiguration] = []  # whose static items are there, and no worker

    def run(self) -> int:
        ignored = (signal.SIGPIPE,)
        dump = self._dump
        self._poller.on_signals(
            {
                signal.SIGTERM: partial(self.stop, EXIT_FINE),
                signal.SIGINT: partial(self.stop, EXIT_FINE),
                signal.SIGHUP: partial(self._reload_requested, 0),
                signal.SIGUSR1: dump,
                signal.SIGUSR2: dump,  # keepalived's STATS and JSON: both files hold the statistics
                signal.SIGRTMIN + 2: dump,
                signal.SIGRTMAX - 1: partial(self._log, "warning", "statistics are not cleared: they count for ever"),
            },
            ignored,
        )
        self._log("info", f"kactl-agent {__version__} starting, configuration {self.configuration.revision}")
        gc.collect()
        gc.freeze()  # what is shared with the workers stays shared: a collection would write to every page
        self._start_observer()
        self._initialise_files(self.configuration, ())
        if self.configuration.needs_vrrp:
            self._start_vrrp()
        else:
            self._set_ready()
        self._poller.run()
        return self._exit_code

    # -- workers -------------------------------------------------------------------------------------------------------

    def _start_observer(self) -> None:
        ours, theirs = (Edge(sock) for sock in socket_pair())
        start = observer_worker.ObserverStart(
            configuration=without_secrets(self.configuration),
            supervisor_pid=os.getpid(),
            started=self._started,
            log_format=LogFormat(self._options.log_format),
            log_level=self._options.log_level,
            log_detail=self._options.log_detail,
        )
        target = partial(observer_worker.run, start, self._listener, theirs)
        self._spawn("observer", target, ours, theirs, [self._listener.fileno()])
        for name in self._children:
            self._post_process(name)
        self._post_spawner()
        if "vrrp" in self._children:
            to_observer, to_vrrp = socket_pair()
            self._children["vrrp"].edge.post(frames.ObserverEdge("observer"), [to_vrrp.detach()])
            ours.post(frames.ObserverEdge("vrrp"), [to_observer.detach()])

    def _start_vrrp(self) -> None:
        ours, theirs = (Edge(sock) for sock in socket_pair())
        to_observer, to_vrrp = socket_pair()
        start = vrrp_worker.VrrpWorkerStart(
            configuration=self.configuration,
            keep_addresses=self._options.keep_vips,
            recording=self._options.record is not None,
        )
        target = partial(vrrp_worker.run, start, theirs, Edge(to_vrrp))
        # the worker shares the lock: see RunDirectory.claim
        self._spawn("vrrp", target, ours, theirs, [to_vrrp.fileno(), self._run_dir.lock])
        to_vrrp.close()
        self._spawning.connect(self._children["vrrp"])
        observer = self._children.get("observer")
        if observer is not None:
            observer.edge.post(frames.ObserverEdge("vrrp"), [to_observer.detach()])
            self._recordings.open(observer.edge, self.configuration.vrrp)
        else:
            to_observer.close()
        self._static_left = []

    def _spawn(self, name: str, target: partial[int], ours: Edge, theirs: Edge, keep: list[int]) -> None:
        complain = partial(_complain, name, self._options)
        pid = fork_child(name, target, [theirs.fileno(), *keep], self._poller.after_fork, complain)
        child = Worker(name, pid, ours)
        theirs.close()
        self._children[name] = child
        self._poller.add_reader(child.fileno(), partial(self._ended, child))
        self._poller.add_edge(ours, partial(self._readable, child))
        self._post_process(name)

    def _post_process(self, name: str, last_exit: str = "") -> None:
        observer = self._children.get("observer")
        if observer is not None:
            child = self._children.get(name)
            state = frames.ProcessState(name, child.pid if child else 0, self._restarts[name], last_exit)
            observer.edge.post(state)

    def _script_workers(self) -> list[Worker]:
        self._post_spawner()
        return [child for name, child in self._children.items() if name == "vrrp"]

    def _post_spawner(self, last_exit: str = "") -> None:
        observer, process = self._children.get("observer"), self._spawning.process
        if observer is not None:
            pid = process.pid if process else 0
            observer.edge.post(frames.ProcessState("spawner", pid, self._spawning.restarts, last_exit))

    def _spawner_ended(self, how: str) -> bool:
        if self._stopping:
            self._stop_next()
            return False
        self._log("error", f"the spawner, which runs scripts, ended: {how}")
        self._post_spawner(how)
        if not self._options.respawn:
            self.stop(EXIT_FAILED)
        return self._options.respawn

    def _readable(self, child: Worker) -> None:
        try:
            received = child.edge.receive()
        except EdgeClosed:
            self._poller.remove_edge(child.edge)
            child.kill(signal.SIGTERM)  # mostly it has ended already; one that speaks nonsense has to
            return
        for frame, descriptors in received:
            for descriptor in descriptors:
                os.close(descriptor)
            match frame:
                case frames.WorkerStarted("vrrp"):
                    self._set_ready()
                case frames.SettingsApplied():
                    self._reload.applied(frame)
                case frames.ReloadRequest():
                    self._reload_requested(frame.serial)
                case frames.StateDumped():
                    self._state_dump.done(frame.error, self._observer_edge())
                case _:
                    pass

    def _set_ready(self) -> None:
        if not self._ready and not self._stopping:
            self._ready = True
            count = len(self.configuration.vrrp)
            self._log("info", f"running: {count} VRRP instance{'' if count == 1 else 's'}")
            self._notifier.ready(f"{count} VRRP instances")

    def _ended(self, child: Worker) -> None:
        self._poller.remove_reader(child.fileno())
        self._poller.remove_edge(child.edge)
        code = child.reap()
        child.edge.close()
        del self._children[child.name]
        if child.name == "vrrp" and code != 0 and code not in _PERMANENT:
            self._unclean = self._static_left = self._reload.configurations()
        if child.name == "observer":
            self._state_dump.observer_lost()
        if self._stopping:
            self._stop_next()
            return
        self._log("error", f"the {child.name} worker ended: {exit_text(code)}")
        self._post_process(child.name, exit_text(code))
        if code in _PERMANENT:
            self.stop(code)
        elif not self._options.respawn:
            self.stop(EXIT_FAILED)
        else:
            self._respawn_later(child)
            if child.name == "vrrp":
                self._reload.worker_lost()

    def _respawn_later(self, child: Worker) -> None:
        self._reclaim()
        delay = self._backoff[child.name].after(time.monotonic_ns() - child.started)
        start = self._start_vrrp if child.name == "vrrp" else self._start_observer
        self._log("info", f"the {child.name} worker is restarted {f'in {delay} s' if delay else 'now'}")
        self._restarts[child.name] += 1
        self._respawns[child.name] = self._poller.call_later(delay, partial(self._respawn, child.name, start))

    def _respawn(self, name: str, start: Callable[[], None]) -> None:
        del self._respawns[name]
        try:
            start()
        except OSError as error:  # no process, no descriptor, no memory: the others go on meanwhile
            delay = self._backoff[name].after(0)
            self._log("error", f"the {name} worker cannot be started, again in {delay} s: {error.strerror or error}")
            self._respawns[name] = self._poller.call_later(delay, partial(self._respawn, name, start))

    def _reclaim(self) -> None:
        """Addresses of a worker that was killed must not stay while another router has taken them over."""
        if not self._unclean:
            return
        self._clean_up(partial(vrrp_worker.reclaim, self._unclean), "addresses")
        self._unclean = []

    def _reclaim_static(self) -> None:
        """A worker that follows takes static items over as they are; they go when there is none."""
        if any(each.static != StaticItems() for each in self._static_left):
            self._clean_up(partial(vrrp_worker.reclaim_static, self._static_left), "static items")
        self._static_left = []

    def _clean_up(self, target: Callable[[], int], what: str) -> None:
        try:
            code = Child("reclaim", fork_child("reclaim", target, [], self._poller.after_fork)).reap()
            failure = exit_text(code) if code else ""
        except OSError as error:
            failure = error.strerror or str(error)
        if failure:
            self._log("error", f"{what} of the worker that died may still be here: {failure}")

    # -- kactl_agent.supervisor.reload.Host ----------------------------------------------------------------------------

    def log(self, level: str, message: str) -> None:
        self._log(level, message)

    def refuses(self, configuration: AgentConfiguration) -> str:
        return privilege_refusal(configuration)

    def hand_over(self, serial: int, configuration: AgentConfiguration) -> bool:
        vrrp = self._children.get("vrrp")
        if vrrp is None:
            return False
        self._initialise_files(configuration, self.configuration.tracking.files)
        observer = self._children.get("observer")
        if observer is not None:
            kept = pair(self.configuration.vrrp, configuration.vrrp)
            self._recordings.open(observer.edge, [each for each in configuration.vrrp if each.name not in kept])
        vrrp.edge.post(frames.Settings(serial), [dump_sealed(msgspec.structs.replace(configuration, sources={}))])
        return True

    def _initialise_files(self, configuration: AgentConfiguration, known: tuple[FileSettings, ...]) -> None:
        for failure in initialise(each for each in configuration.tracking.files if each not in known):
            self._log("warning", failure)

    def adopt(self, configuration: AgentConfiguration) -> None:
        self.configuration = configuration
        observer = self._children.get("observer")
        if observer is not None:
            observer.edge.post(frames.Settings(0), [dump_sealed(without_secrets(configuration))])
        if configuration.needs_vrrp and "vrrp" not in self._children and "vrrp" not in self._respawns:
            self._start_vrrp()

    def reloading(self, under_way: bool) -> None:
        if under_way:
            self._notifier.reloading()
        else:
            self._notifier.ready(f"{len(self.configuration.vrrp)} VRRP instances")

    def answer(self, outcome: frames.ReloadOutcome) -> None:
        observer = self._children.get("observer")
        if observer is not None:
            observer.edge.post(outcome)

    def _dump(self) -> None:
        if not self._stopping:
            self._state_dump.request(self._observer_edge())

    def _observer_edge(self) -> Edge | None:
        observer = self._children.get("observer")
        return None if observer is None else observer.edge

    def _reload_requested(self, serial: int) -> None:
        if self._stopping:
            return
        self._reload.request(serial)

    # -- the end -------------------------------------------------------------------------------------------------------

    def stop(self, code: int) -> None:
        """Orderly: the VRRP worker first, then the observer. A second call changes nothing."""
        if self._stopping:
            return
        self._stopping = True
        self._exit_code = code
        self._log("info", "stopping")
        self._notifier.stopping()
        self._reload.cancel()
        for handle in self._respawns.values():
            handle.cancel()
        self._stop_next()

    def _stop_next(self) -> None:
        vrrp, observer = self._children.get("vrrp"), self._children.get("observer")
        if vrrp is not None:
            vrrp.edge.post(frames.Stop(self._options.keep_vips))
            self._poller.call_later(_STOP_SECONDS, partial(self._kill, vrrp))
            return
        if not self._options.keep_vips:
            self._reclaim()
        self._reclaim_static()
        if self._spawning.process is not None:
            self._spawning.stop()
            return
        if observer is not None:
            observer.edge.post(frames.Stop())
            self._poller.call_later(_OBSERVER_STOP_SECONDS, partial(self._kill, observer))
            return
        self._log("info", "stopped")
        self._listener.close()
        self._poller.stop()

    def _kill(self, child: Worker) -> None:
        if self._children.get(child.name) is child:
            self._log("warning", f"the {child.name} worker did not stop in time and is killed")
            child.kill()
