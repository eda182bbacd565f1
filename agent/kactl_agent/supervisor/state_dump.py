"""State into the run directory (SIGUSR1): the supervisor opens the files, the observer, who may not, fills them."""

from __future__ import annotations

import os
from collections.abc import Callable

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge
from kactl_agent.supervisor.run_dir import RunDirectory

_NAMES = ("state.json", "state.txt")


class StateDump:
    """One at a time: files that are being filled are not pulled away. `log` takes a level and a message."""

    def __init__(self, run_dir: RunDirectory, log: Callable[[str, str], None]) -> None:
        self._run_dir = run_dir
        self._log = log
        self._under_way = False
        self._again = False

    def request(self, observer: Edge | None) -> None:
        """Any number while one is under way lead to one more. `observer` is None while it is not running."""
        if observer is None:
            self._log("warning", "no state was written: the observer is not running")
            return
        if self._under_way:
            self._again = True
            return
        descriptors: list[int] = []
        try:
            for name in _NAMES:
                descriptors.append(self._run_dir.create(f"{name}.new"))  # noqa: PERF401 - closed when the second fails
        except OSError as error:
            for descriptor in descriptors:
                os.close(descriptor)
            self._failed(error.strerror or str(error))
            return
        self._under_way = True
        observer.post(frames.DumpState(), descriptors)

    def done(self, error: str, observer: Edge | None) -> None:
        """The observer has filled them, or says why it could not."""
        self._under_way = False
        if error:
            self._failed(error)
        else:
            self._put_in_place()
        if self._again:
            self._again = False
            self.request(observer)

    def observer_lost(self) -> None:
        if self._under_way:
            self._failed("the observer has ended")
        self._under_way = self._again = False

    def _put_in_place(self) -> None:
        try:
            for name in _NAMES:
                self._run_dir.replace(f"{name}.new", name)
        except OSError as error:
            self._failed(error.strerror or str(error))
            return
        self._log("info", f"state written to {self._run_dir.path}/{_NAMES[0]} and {_NAMES[1]}")

    def _failed(self, reason: str) -> None:
        self._log("error", f"no state was written to {self._run_dir.path}: {reason}")
