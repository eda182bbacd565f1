"""Dumps of the state into files: on signals, for clients, and before and after reloads (config_save_dir).

The supervisor opens the files, the observer, who may not, fills them. A file gets its name when it is complete.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime.dump_frames import ClearStatistics, DumpFinished, DumpRequest, DumpWritten, WriteDump
from kactl_agent.runtime.frame import Frame

DATA, STATISTICS, STATISTICS_CLEAR, JSON = "data", "stats", "stats_clear", "json"
_OF_WORKERS = {"vrrp": "vrrp", "checkers": "check", "bfd": "bfd"}  # worker -> kind of its dump
_MOST_WAITING = 64
_MOST_FILES = 4  # descriptors in one frame


class DumpFile(NamedTuple):
    """What is written, and where it will stand."""

    kind: str  # as in kactl_agent.observe.dumping
    path: Path


class _Job(NamedTuple):
    files: tuple[DumpFile, ...]
    serial: int = 0  # of the client's request, 0 for none
    then_clear: bool = False
    quiet: bool = False


class Host(Protocol):
    """What dumps need of the supervisor."""

    @property
    def process_settings(self) -> ProcessSettings: ...

    def log(self, level: str, message: str) -> None: ...

    def pids(self) -> Mapping[str, int]:
        """Of the workers that run, by name."""

    def ask_observer(self, frame: Frame, descriptors: Sequence[int] = ()) -> bool:
        """False while there is no observer; the descriptors stay the caller's then."""


class Dumps:
    """One job after the other: files that are being filled are not pulled away."""

    def __init__(self, host: Host, run_dir: Path) -> None:
        self._host = host
        self._run_dir = run_dir
        self._waiting: deque[_Job] = deque()
        self._current: _Job | None = None
        self._serial = 0
        self._reloads = 0

    # -- on signals and for clients ------------------------------------------------------------------------------------

    def request(self, what: str, serial: int = 0) -> None:
        """One of DATA, STATISTICS, STATISTICS_CLEAR, JSON. Signals that come faster than files are written lead to one
        dump."""
        jobs = self._jobs(what, serial)
        if not serial and all(job in self._waiting for job in jobs):
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._finished(_Job((), serial), "too many dumps are waiting")
            return
        self._waiting += jobs
        self._next()

    def requested(self, frame: DumpRequest) -> None:
        """By a client."""
        self.request(frame.what, frame.serial)

    def _jobs(self, what: str, serial: int) -> list[_Job]:
        dumps = self._host.process_settings.dumps
        if what == JSON:
            return [_Job((DumpFile("json", self.path(dumps.json)),), serial)]
        if what in (STATISTICS, STATISTICS_CLEAR):
            return [_Job((DumpFile("stats", self.path(dumps.statistics)),), serial, what == STATISTICS_CLEAR)]
        own = tuple(DumpFile(f"state.{form}", self._run_dir / f"state.{form}") for form in ("json", "txt"))
        return [_Job(own), _Job((*self._of_workers(), DumpFile("parent", self.path(dumps.state, "parent"))), serial)]

    def _of_workers(self) -> list[DumpFile]:
        running, base = self._host.pids(), self._host.process_settings.dumps.state
        kinds = [kind for worker, kind in _OF_WORKERS.items() if worker in running]
        return [DumpFile(kind, self.path(base, "" if kind == "vrrp" else kind)) for kind in kinds]

    def path(self, name: str, process: str = "") -> Path:
        """`keepalived.data` of a process: `keepalived_check.data`; with data_use_instance `keepalived_check.X.data`."""
        path = self._run_dir / name
        suffix = self._host.process_settings.dumps.suffix
        stem = path.stem + (f"_{process}" if process else "") + (f".{suffix}" if suffix else "")
        return path.with_name(stem + path.suffix)

    # -- config_save_dir -----------------------------------------------------------------------------------------------

    def before_reload(self) -> None:
        """Before anybody has heard of the new settings: the state each worker is in."""
        self._reloads += 1
        self._save("pre")

    def after_reload(self) -> None:
        self._save("post")

    def _save(self, when: str) -> None:
        directory = self._host.process_settings.dumps.save_directory
        if not directory:
            return
        try:
            Path(directory).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            self._host.log("error", f"config_save_dir {directory}: {error.strerror or error}")
            return
        files = []
        for worker, pid in self._host.pids().items():
            if (kind := _OF_WORKERS.get(worker)) is not None:
                files.append(DumpFile(kind, Path(directory, f"keepalived_{kind}.{pid}.{self._reloads}.{when}")))
        if files:
            self._waiting.append(_Job(tuple(files), quiet=True))
            self._next()

    # -- one after the other -------------------------------------------------------------------------------------------

    def _next(self) -> None:
        while self._current is None and self._waiting:
            job = self._waiting.popleft()
            assert len(job.files) <= _MOST_FILES
            descriptors: list[int] = []
            try:
                for file in job.files:
                    descriptors += [_create(file.path, self._host.process_settings.umask)]
            except OSError as error:
                _close(descriptors)
                self._finished(job, f"{job.files[len(descriptors)].path}: {error.strerror or error}")
                continue
            self._serial += 1
            kinds = tuple(file.kind for file in job.files)
            if self._host.ask_observer(WriteDump(self._serial, kinds), descriptors):
                self._current = job
                if job.then_clear:
                    self._host.ask_observer(ClearStatistics())
            else:
                _close(descriptors)
                self._finished(job, "the observer, who writes dumps, is not running")

    def written(self, frame: DumpWritten) -> None:
        """The observer has filled the files, or says why it could not."""
        if self._current is None or frame.serial != self._serial:
            return
        job, self._current = self._current, None
        error = frame.error
        if not error:
            try:
                for file in job.files:
                    _unfinished(file.path).replace(file.path)
            except OSError as failure:
                error = f"{failure.filename2 or failure.filename}: {failure.strerror}"
        self._finished(job, error)
        self._next()

    def observer_lost(self) -> None:
        if self._current is not None:
            job, self._current = self._current, None
            self._finished(job, "the observer has ended")
        self._next()

    def _finished(self, job: _Job, error: str) -> None:
        names = tuple(str(file.path) for file in job.files)
        if error:
            self._host.log("error", f"no state was written: {error}")
        elif not job.quiet:
            self._host.log("info", f"state written to {', '.join(names)}")
        if job.serial:
            self._host.ask_observer(DumpFinished(job.serial, () if error else names, error))


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _create(path: Path, umask: int) -> int:
    """A file to fill, of nobody else, whatever stands there. Raises OSError."""
    unfinished = _unfinished(path)
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o666 & ~umask)
    return descriptor


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
