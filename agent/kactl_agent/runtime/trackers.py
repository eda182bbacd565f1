"""The trackers of a worker: runs them, feeds them what the machine says, and tells instances what they make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from kactl_agent.kernel.inotify import Inotify
from kactl_agent.kernel.ports import Links
from kactl_agent.runtime.driver import TimedDriver
from kactl_agent.runtime.dump_frames import TrackerState
from kactl_agent.runtime.link_states import LinkStates
from kactl_agent.runtime.processes import EventSource, Loop, Processes
from kactl_agent.runtime.scripts import RunListener
from kactl_agent.runtime.tracked_files import TrackedFiles, read
from kactl_agent.tracking.actions import (
    FileContent,
    LinkState,
    ScriptEnded,
    ScriptLost,
    ScriptStarted,
    SessionState,
    SignalScript,
    StartScript,
    Verdict,
    VerdictChanged,
)
from kactl_agent.tracking.bfd import session_verdict
from kactl_agent.tracking.contribution import TrackerKey, changed_inputs, inputs
from kactl_agent.tracking.file import file_verdict
from kactl_agent.tracking.interface import interface_verdict
from kactl_agent.tracking.process import ProcessTracker, needs_command_line
from kactl_agent.tracking.script import ScriptTracker
from kactl_agent.tracking.settings import Executable, TrackerKind, TrackerUse, TrackingSettings
from kactl_agent.vrrp.actions import Action, ActionFailed, Input, Report, Shutdown, Startup
from kactl_agent.vrrp.network_settings import NetlinkBuffer


class Runner(Protocol):
    """Runs commands: `kactl_agent.runtime.scripts.ScriptRunner`."""

    def run(self, executable: Executable, listener: RunListener) -> int: ...

    def signal(self, run: int, number: int) -> None: ...


class _Script:
    """A script that is tracked, and its latest run; hears how that ended."""

    def __init__(
        self, name: str, tracker: ScriptTracker, executable: Executable, tell: Callable[[Input], None]
    ) -> None:
        self.name = name
        self.tracker = tracker
        self.executable = executable
        self.run = 0
        self._tell = tell

    def started(self) -> None:
        self._tell(ScriptStarted())

    def ended(self, status: int) -> None:
        self._tell(ScriptEnded(status))

    def not_started(self, reason: str) -> None:
        self._tell(ActionFailed(StartScript.__name__, reason))

    def lost(self) -> None:
        self._tell(ScriptLost())


class Trackers:
    """`tell` passes an input to an instance that runs; `report` is for the log."""

    def __init__(
        self,
        links: Links,
        runner: Runner,
        clock: Callable[[], int],
        arm: Callable[[int | None], None],
        tell: Callable[[str, Input], None],
        report: Callable[[Report], None],
        open_inotify: Callable[[], Inotify],
        loop: Loop,
        open_process_events: Callable[[], EventSource],
        link_states: LinkStates | None = None,
    ) -> None:
        self._links = links
        self._link_states = link_states or LinkStates(links, clock)
        self._runner = runner
        self._tell = tell
        self._report = report
        self.driver = TimedDriver[ScriptTracker | ProcessTracker](clock, self._perform, arm, _nobody_asks)
        self._scripts: dict[str, _Script] = {}
        self._process_trackers: dict[str, ProcessTracker] = {}
        self._processes = Processes(loop, open_process_events, self._process_changed, report)
        self._tracked_files = TrackedFiles(loop, open_inotify, self._file_changed, report)
        self._files: dict[str, list[str]] = {}  # path -> the track_file blocks that name it
        self._verdicts: dict[TrackerKey, Verdict] = {}
        self._uses: dict[str, tuple[TrackerUse, ...]] = {}
        self._sessions: dict[str, SessionState] = {}  # all that was said of BFD sessions, tracked or not yet

    # -- configuration -------------------------------------------------------------------------------------------------

    def apply(self, tracking: TrackingSettings, executables: dict[str, Executable]) -> None:
        """Track this from now on. What is the same goes on; instances that run are told by `switch`, new ones by
        whoever starts them (`inputs`)."""
        wanted = {settings.name: settings for settings in tracking.scripts}
        states: dict[str, Verdict] = {}
        for name, script in list(self._scripts.items()):
            settings, executable = wanted.get(name), executables.get(name)
            if settings == script.tracker.settings and executable == script.executable:
                del wanted[name]
                continue
            if settings is not None and executable == script.executable and script.tracker.decided:
                states[name] = script.tracker.verdict  # keepalived: a result counts on while command and user stay
            self._remove(name)
        for name, settings in wanted.items():
            tracker = ScriptTracker(settings, states.get(name))
            self._scripts[name] = _Script(name, tracker, executables[name], self._teller(name, tracker))
            self._verdicts[TrackerKind.SCRIPT, name] = tracker.verdict
            self.driver.add(_engine(TrackerKind.SCRIPT, name), tracker)
            self.driver.tell(_engine(TrackerKind.SCRIPT, name), Startup())
        self._apply_files(tracking)
        self._apply_processes(tracking)
        self._apply_sessions(tracking)
        interfaces = {
            use.tracker for uses in tracking.uses.values() for use in uses if use.kind is TrackerKind.INTERFACE
        }
        for key in [key for key in self._verdicts if key[0] is TrackerKind.INTERFACE and key[1] not in interfaces]:
            del self._verdicts[key]
        for name in interfaces:
            self._verdicts[TrackerKind.INTERFACE, name] = self._link_verdict(name)

    def _apply_files(self, tracking: TrackingSettings) -> None:
        names = {settings.name for settings in tracking.files}
        for key in [key for key in self._verdicts if key[0] is TrackerKind.FILE and key[1] not in names]:
            del self._verdicts[key]
        self._files = {}
        for settings in tracking.files:
            self._files.setdefault(settings.path, []).append(settings.name)
            self._verdicts[TrackerKind.FILE, settings.name] = file_verdict(settings.path, read(settings.path))
        self._tracked_files.track(self._files)

    def _apply_sessions(self, tracking: TrackingSettings) -> None:
        names = {use.tracker for uses in tracking.uses.values() for use in uses if use.kind is TrackerKind.BFD}
        for key in [key for key in self._verdicts if key[0] is TrackerKind.BFD and key[1] not in names]:
            del self._verdicts[key]
        for name in names:
            known = self._sessions.get(name, SessionState(False))
            self._verdicts[TrackerKind.BFD, name] = session_verdict(name, known)

    def session_changed(self, name: str, state: SessionState) -> None:
        """A BFD session changed, or is said again after a reload, which may be before this worker's own."""
        self._sessions[name] = state
        if (TrackerKind.BFD, name) in self._verdicts:
            self._decide((TrackerKind.BFD, name), session_verdict(name, state))

    def session_gone(self, name: str) -> None:
        """There is no such session any more: another one of its name, some day, is down until it is said to be up."""
        self._sessions.pop(name, None)

    def _apply_processes(self, tracking: TrackingSettings) -> None:
        wanted = {settings.name: settings for settings in tracking.processes}
        states: dict[str, Verdict] = {}
        for name, tracker in list(self._process_trackers.items()):
            if wanted.get(name) == tracker.settings:
                del wanted[name]
                continue
            states[name] = tracker.verdict  # counts on until all processes have been compared anew
            del self._process_trackers[name], self._verdicts[TrackerKind.PROCESS, name]
            self.driver.remove(_engine(TrackerKind.PROCESS, name))
        for name, settings in wanted.items():
            tracker = self._process_trackers[name] = ProcessTracker(settings, states.get(name))
            self._verdicts[TrackerKind.PROCESS, name] = tracker.verdict
            self.driver.add(_engine(TrackerKind.PROCESS, name), tracker)
        if wanted or not self._process_trackers:
            commands = any(needs_command_line(settings) for settings in tracking.processes)
            self._processes.follow(wanted=bool(self._process_trackers), with_commands=commands)

    def _process_changed(self, event: Input) -> None:
        for name, tracker in self._process_trackers.items():
            if tracker.concerns(event):
                self.driver.tell(_engine(TrackerKind.PROCESS, name), event)

    def retry(self) -> None:
        """To be called every second: what nothing tells about is looked at again."""
        self._tracked_files.retry()
        self._processes.retry()

    def _file_changed(self, path: str, content: FileContent) -> None:
        verdict = file_verdict(path, content)
        for name in self._files[path]:
            self._decide((TrackerKind.FILE, name), verdict)

    def _remove(self, name: str) -> None:
        engine = _engine(TrackerKind.SCRIPT, name)
        self.driver.tell(engine, Shutdown())
        self.driver.remove(engine)
        del self._scripts[name]
        del self._verdicts[TrackerKind.SCRIPT, name]

    def _teller(self, name: str, tracker: ScriptTracker) -> Callable[[Input], None]:
        def tell(event: Input) -> None:
            script = self._scripts.get(name)
            if script is not None and script.tracker is tracker:  # not the last word of one that was replaced
                self.driver.tell(_engine(TrackerKind.SCRIPT, name), event)

        return tell

    def start(self, instance: str, uses: tuple[TrackerUse, ...]) -> list[Input]:
        """An instance is about to start: all it has to be told before its Startup. It is told the rest as it comes."""
        self._uses[instance] = uses
        return [told for use in uses for told in inputs(use, self._verdicts[use.kind, use.tracker])]

    def switch(self, instance: str, uses: tuple[TrackerUse, ...]) -> None:
        """A running instance tracks this from now on."""
        old, self._uses[instance] = self._uses.get(instance, ()), uses
        for told in changed_inputs(old, uses, self._verdicts):
            self._tell(instance, told)

    def rename(self, names: Mapping[str, str]) -> None:
        """Instances that are called something else from now on: old name -> new name."""
        self._uses = {names.get(name, name): uses for name, uses in self._uses.items()}

    def forget(self, instance: str) -> None:
        """The instance is gone, or will be started anew."""
        self._uses.pop(instance, None)

    def stop(self) -> None:
        """The worker ends: no run goes on."""
        self._uses.clear()
        self._tracked_files.track(())
        self._processes.follow(wanted=False, with_commands=False)
        for name in list(self._scripts):
            self._remove(name)

    def resize_buffer(self, buffer: NetlinkBuffer) -> None:
        """Of process events. Raises OSError."""
        self._processes.resize_buffer(buffer)

    def states(self) -> Iterator[TrackerState]:
        """What everything that is tracked has come to."""
        for (kind, name), verdict in self._verdicts.items():
            tracker = self._process_trackers.get(name) if kind is TrackerKind.PROCESS else None
            yield TrackerState(
                kind=kind.value,
                name=name,
                up=verdict.up,
                value=verdict.value,
                detail=verdict.detail,
                processes=len(tracker.pids) if tracker is not None else 0,
                timer="" if tracker is None or tracker.deadline() is None else _delay(tracker),
            )

    # -- what trackers say and do --------------------------------------------------------------------------------------

    def check_links(self) -> None:
        """Interfaces may have changed."""
        for kind, name in list(self._verdicts):
            if kind is TrackerKind.INTERFACE:
                self._decide((kind, name), self._link_verdict(name))

    def _link_verdict(self, name: str) -> Verdict:
        link = self._links.link(name)
        return interface_verdict(name, LinkState(up=self._link_states.up(name), exists=link is not None))

    def _decide(self, key: TrackerKey, verdict: Verdict) -> None:
        if self._verdicts[key] == verdict:
            return
        self._verdicts[key] = verdict
        for instance, uses in list(self._uses.items()):
            for use in uses:
                if (use.kind, use.tracker) == key:
                    for told in inputs(use, verdict):
                        self._tell(instance, told)

    def _perform(self, name: str, action: Action, _now: int) -> ActionFailed | None:
        keyword, _, name = name.partition(" ")
        match action:
            case StartScript():
                script = self._scripts[name]
                try:
                    script.run = self._runner.run(script.executable, script)
                except ValueError as error:
                    return ActionFailed(StartScript.__name__, str(error))
            case SignalScript():
                self._runner.signal(self._scripts[name].run, action.signal)
            case VerdictChanged():
                self._decide((TrackerKind(keyword), name), action.verdict)
            case Report():
                self._report(action)
            case _:
                return ActionFailed(type(action).__name__, "nothing carries this action out")
        return None


def _engine(kind: TrackerKind, name: str) -> str:
    """What an engine is called in the driver: `track_script chk`."""
    return f"{kind.value} {name}"


def _delay(tracker: ProcessTracker) -> str:
    """The delay that runs: it had enough processes and has not any more, or the other way round."""
    return "terminate" if tracker.verdict.up else "fork"


def _nobody_asks(_name: str, _now: int) -> None:
    """Trackers have no state of their own for the observer: instances show what they contribute."""
