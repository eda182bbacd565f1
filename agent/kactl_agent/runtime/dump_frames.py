"""Frames about dumps of the state, and about what is only shown in them."""

from __future__ import annotations

from kactl_agent.runtime.frame import Frame


class WriteDump(Frame, frozen=True):
    """Attached are descriptors to write to, one for each of `kinds`, in their order (`kactl_agent.observe.dumps`)."""

    serial: int
    kinds: tuple[str, ...]


class DumpWritten(Frame, frozen=True):
    """Answer to WriteDump; `error` is empty when everything was written."""

    serial: int
    error: str = ""


class ClearStatistics(Frame, frozen=True):
    """Counters of instances are to be counted from now on."""


class DumpRequest(Frame, frozen=True):
    """A client of the control socket wants dumps written to their files, as at a signal."""

    serial: int
    what: str  # data, stats, stats_clear, json


class DumpFinished(Frame, frozen=True):
    """Answer to DumpRequest."""

    serial: int
    files: tuple[str, ...] = ()
    error: str = ""


class TrackerState(Frame, frozen=True):
    """What something that is tracked has come to."""

    kind: str  # the keyword of the lists that name it: track_script, track_file, track_process, ...
    name: str
    up: bool | None  # None: not known yet
    value: int = 0  # of a track_file
    detail: str = ""
    processes: int = 0  # that count now, of a track_process
    timer: str = ""  # of a track_process: fork or terminate while that delay runs


class TrackerGone(Frame, frozen=True):
    kind: str
    name: str
