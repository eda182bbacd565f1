"""Everything about configurations that somebody asks the supervisor for: reloads by signal, by clients and by the
clock, plans, confirmations and rollbacks."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

from kactl_agent.kernel.inotify import Inotify
from kactl_agent.reload_settings import ReloadSettings
from kactl_agent.runtime import frames
from kactl_agent.supervisor.loading import LoadingProcess
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.reload import Host as ReloadHost
from kactl_agent.supervisor.reload import Reload
from kactl_agent.supervisor.reload_time import ReloadTimer
from kactl_agent.supervisor.versions import ConfigurationFile, ReloadOrder, Version, Versions

_MOST_PLANS = 4  # that are made at the same time
_PLAN_SECONDS = 30.0


class Host(ReloadHost, Protocol):
    """What it needs of the supervisor."""

    def tell_observer(self, frame: frames.Frame, descriptors: tuple[int, ...] = ()) -> None: ...


class ConfigurationDesk:
    """`kactl_agent.supervisor.versions.Host`"""

    def __init__(self, host: Host, poller: Poller, options: Options, text: bytes | None) -> None:
        """`text` is what the configuration in force was read from."""
        self._host = host
        self._poller = poller
        self._options = options
        file = ConfigurationFile(options.config)
        self._versions = Versions(self, poller, file, Version(host.configuration, text))
        self.reload = Reload(host, poller, self._versions, self._load)
        self._plans: dict[LoadingProcess, int] = {}
        self._timer = ReloadTimer(self.request_plain, host.log, poller.call_later)
        self._inotify: Inotify | None = None
        self._watch: int | None = None
        self._marked: Path | None = None
        self._closed = False

    def _load(self, file: str) -> LoadingProcess:
        return LoadingProcess(self._options, file, self._host.configuration)

    # -- kactl_agent.supervisor.versions.Host --------------------------------------------------------------------------

    def log(self, level: str, message: str) -> None:
        self._host.log(level, message)

    @property
    def going_back(self) -> bool:
        return self.reload.going_back

    def request_reload(self, order: ReloadOrder) -> None:
        if not self._closed:
            self.reload.request(order)

    def tell_pending(self, pending: frames.PendingConfirmation) -> None:
        self._host.tell_observer(pending)

    # -- who asks ------------------------------------------------------------------------------------------------------

    def request_plain(self) -> None:
        """The file as it is, and nobody to answer to: SIGHUP, and reload_time_file."""
        self.request_reload(ReloadOrder())

    def said(self, frame: frames.AnyFrame) -> None:
        """The observer has a client with a wish."""
        match frame:
            case frames.ReloadRequest():
                self.request_reload(ReloadOrder(frame.serial, frame.file, frame.confirm))
            case frames.RollbackRequest():
                self.request_reload(ReloadOrder(frame.serial, back=True, revision=frame.revision))
            case frames.ConfirmRequest():
                self._host.tell_observer(self._versions.confirm(frame.serial, frame.revision))
            case frames.PlanRequest():
                self._plan(frame)
            case _:
                pass

    def observer_started(self) -> None:
        """It knows nothing."""
        self._host.tell_observer(self._versions.pending)

    def close(self) -> None:
        """The agent is stopping."""
        self._closed = True
        self.reload.cancel()
        self._timer.cancel()
        self._versions.stop()
        for process in list(self._plans):
            process.kill()

    # -- plans ---------------------------------------------------------------------------------------------------------

    def _plan(self, request: frames.PlanRequest) -> None:
        """Beside everything else: it changes nothing."""
        if self._closed or len(self._plans) >= _MOST_PLANS:
            text = "the agent is stopping" if self._closed else f"{_MOST_PLANS} plans are being made already"
            self._host.tell_observer(frames.PlanOutcome(request.serial, text))
            return
        try:
            process = LoadingProcess(self._options, request.file, self._host.configuration, plan_only=True)
        except OSError as error:
            text = f"no process to read the configuration: {error.strerror or error}"
            self._host.tell_observer(frames.PlanOutcome(request.serial, text))
            return
        self._plans[process] = request.serial
        patience = self._poller.call_later(_PLAN_SECONDS, process.kill)

        def ended() -> None:
            patience.cancel()
            self._poller.remove_reader(process.fileno())
            serial = self._plans.pop(process)
            outcome = process.outcome()
            if outcome.plan is None:
                text = "; ".join(outcome.report) or "the plan could not be made"
                self._host.tell_observer(frames.PlanOutcome(serial, text))
                return
            memory = os.memfd_create("kactl-plan", os.MFD_CLOEXEC)
            with os.fdopen(memory, "wb", closefd=False) as file:
                file.write(outcome.plan.document)
            self._host.tell_observer(frames.PlanOutcome(serial), (memory,))

        self._poller.add_reader(process.fileno(), ended)

    # -- reload_file, reload_time_file ---------------------------------------------------------------------------------

    def take_settings(self, settings: ReloadSettings) -> None:
        """At the start, and after each reload."""
        path = Path(self._options.run_dir, settings.time_file) if settings.time_file else None
        self._follow(path)
        self._timer.configure(path, repeat=settings.repeat)

    def mark(self, *, under_way: bool) -> None:
        """reload_file: there while a reload runs. One that cannot be made is no reason not to reload."""
        marker = self._host.configuration.reload.marker
        try:
            if self._marked is not None:
                self._marked.unlink(missing_ok=True)
                self._marked = None
            if under_way and marker:
                self._marked = Path(self._options.run_dir, marker)
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                os.close(os.open(self._marked, flags, 0o644))
        except OSError as error:
            self._host.log("warning", f"reload_file {marker}: {error.strerror or error}")

    def _follow(self, path: Path | None) -> None:
        """What happens in the directory of reload_time_file is looked at; without inotify that is done now and then."""
        if self._inotify is not None and self._watch is not None:
            self._inotify.unwatch(self._watch)
            self._watch = None
        if path is None:
            return
        with contextlib.suppress(OSError):
            if self._inotify is None:
                self._inotify = Inotify()
                self._poller.add_reader(self._inotify.fileno(), self._changed)
            self._watch = self._inotify.watch(str(path.parent))

    def _changed(self) -> None:
        if self._inotify is not None and list(self._inotify.events()):
            self._timer.look()
