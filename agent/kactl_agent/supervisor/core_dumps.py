"""Core dumps of processes that crash (--core-dump, --core-dump-pattern): allowed, and named as is wanted meanwhile."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_PATTERN = Path("/proc/sys/kernel/core_pattern")


class CoreDumps:
    """`pattern` is core(5)'s; what was in force before is so again after `restore`."""

    def __init__(self, pattern: str = "", file: Path = _PATTERN) -> None:
        self._wanted = pattern
        self._file = file
        self._before = ""

    def allow(self) -> str:
        """For this process and all that it starts. Returns what went wrong, "" when nothing did."""
        _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))  # as far as is permitted
        if not self._wanted:
            return ""
        try:
            before = self._file.read_text()
            self._file.write_text(f"{self._wanted}\n")
        except OSError as error:
            return f"core_pattern stays as it is: {error.strerror or error}"
        self._before = before
        return ""

    def restore(self) -> None:
        if self._before:
            with contextlib.suppress(OSError):
                self._file.write_text(self._before)
            self._before = ""
