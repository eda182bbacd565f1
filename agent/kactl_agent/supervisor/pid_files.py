"""Files that hold the pids of the agent's processes. None of them is a lock: that is the run directory's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

_DIRECTORY = "kactl"
AGENT = "agent"


class PidFiles:
    """`vrrp.pid`, `checkers.pid` and `bfd.pid` in the run directory; with `own_directory` (use_pid_dir, instance) all
    of them, the agent's too, in a directory of their own there, with the instance in their names. `said` are other
    paths, by process."""

    def __init__(
        self, run_dir: Path, said: Mapping[str, Path], *, own_directory: bool = False, instance: str = ""
    ) -> None:
        self._run_dir = run_dir
        self._said = said
        self._own_directory = own_directory or bool(instance)
        self._suffix = f"_{instance}" if instance else ""
        self._written: dict[str, Path] = {}

    def path(self, process: str) -> Path | None:
        """None: there is none besides the lock."""
        if process in self._said:
            return self._said[process]
        if self._own_directory:
            return self._run_dir / _DIRECTORY / f"{process}{self._suffix}.pid"
        return None if process == AGENT else self._run_dir / f"{process}.pid"

    def write(self, process: str, pid: int) -> str:
        """Returns what went wrong, "" when nothing did."""
        path = self.path(process)
        if path is None:
            return ""
        unfinished = path.with_name(f"{path.name}.new")
        try:
            if path.parent == self._run_dir / _DIRECTORY:
                path.parent.mkdir(exist_ok=True)
                path.parent.chmod(0o755)
            unfinished.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(unfinished, flags, 0o600), "w") as file:
                os.fchmod(file.fileno(), 0o644)  # whatever the umask: others read it
                file.write(f"{pid}\n")
            unfinished.replace(path)
        except OSError as error:
            return f"pid file {path}: {error.strerror or error}"
        self._written[process] = path
        return ""

    def remove(self, process: str) -> None:
        path = self._written.pop(process, None)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()

    def close(self) -> None:
        for process in list(self._written):
            self.remove(process)
        if self._own_directory:
            with contextlib.suppress(OSError):
                (self._run_dir / _DIRECTORY).rmdir()  # unless another agent's are there
