"""The files of --record: opened here, where permissions allow it, filled by the observer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge
from kactl_agent.vrrp.settings import VrrpSettings


class Recordings:
    """`directory` None: nothing is recorded. `log` takes a level and a message."""

    def __init__(self, directory: Path | None, log: Callable[[str, str], None]) -> None:
        self._directory = directory
        self._log = log
        self._count = 0

    def open(self, observer: Edge, instances: Iterable[VrrpSettings]) -> None:
        """A file for each instance that begins. Those that go on after a reload go on in theirs."""
        if self._directory is None:
            return
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for settings in instances:
            safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in settings.name).lstrip(".")
            self._count += 1
            path = self._directory / f"{safe or 'instance'}-{stamp}-{self._count}.jsonl"
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                descriptor = os.open(path, flags, 0o600)
            except OSError as error:
                self._log("error", f"{settings.name} is not recorded: {path}: {error.strerror or error}")
                continue
            observer.post(frames.RecordingFile(settings.name), [descriptor])
        observer.try_flush()  # the first lines come from the worker, by another way
