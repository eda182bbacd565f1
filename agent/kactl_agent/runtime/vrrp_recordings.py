"""Recordings of VRRP engines on their way to the observer, which writes them to files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from kactl_agent.runtime.frames import RecordingLine
from kactl_agent.runtime.vrrp_machine import VrrpEngine
from kactl_agent.runtime.worker_shell import WorkerShell
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.recording import Recorder
from kactl_agent.vrrp.settings import VrrpSettings


class VrrpRecordings:
    """Once a line could not be sent, no more of that instance are: what is there can be replayed."""

    def __init__(self, shell: WorkerShell, wanted: bool) -> None:
        self._shell = shell
        self._wanted = wanted
        self._unrecorded: set[str] = set()
        self._to_begin: set[str] = set()
        self._writers: dict[str, object] = {}  # name of a recording -> whose it is

    def engine(self, settings: VrrpSettings) -> tuple[VrrpInstance, VrrpEngine]:
        """A new instance, and what is to be driven: itself, or a recorder around it.

        A recording keeps its name when a reload renames the instance, and ends when another one starts under it."""
        if not self._wanted:
            instance = VrrpInstance(settings)
            return instance, instance
        self._unrecorded.discard(settings.name)
        self._to_begin.add(settings.name)
        writer = self._writers[settings.name] = object()
        recorder = Recorder(settings, partial(self._record, settings.name, writer))
        return recorder.instance, recorder

    def interrupted(self, names: Iterable[str]) -> None:
        """There is another observer: what the one before had not written yet is lost, and without it nothing that
        follows could be replayed."""
        if self._wanted:
            interrupted = self._writers.keys() - self._unrecorded
            self._unrecorded |= interrupted
            for name in interrupted.intersection(names):
                text = f"{name}: the recording ends here: the process that wrote it was restarted"
                self._shell.log("warning", text)

    def _record(self, name: str, writer: object, line: bytes) -> None:
        if self._shell.observer is None or name in self._unrecorded or self._writers[name] is not writer:
            return
        first = name in self._to_begin
        self._to_begin.discard(name)
        if not self._shell.event(RecordingLine(name, line, first)):
            self._unrecorded.add(name)
            self._shell.log("warning", f"{name}: the recording ends here: it could not be written fast enough")
