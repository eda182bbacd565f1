"""Kernel parameters below /proc/sys, and the values of before for those that are changed for a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kactl_agent.kernel.ports import Sysctls

_ROOT = Path("/proc/sys")


class ProcSysctls:
    """`kactl_agent.kernel.ports.Sysctls` on Linux. The files are the kernel's memory: nothing waits for a disk."""

    def read(self, key: str) -> int | None:
        try:
            return int((_ROOT / key).read_text())
        except (OSError, ValueError):
            return None

    def write(self, key: str, value: int) -> None:
        (_ROOT / key).write_text(f"{value}\n")


class BorrowedSysctls:
    """Parameters that are set for a time: `give_back` restores what was there, unless it was changed meanwhile."""

    def __init__(self, sysctls: Sysctls, refused: Callable[[str, int, OSError], None]) -> None:
        self._sysctls = sysctls
        self._refused = refused
        self._before: dict[str, tuple[int, int]] = {}  # key -> value of before, value set

    @property
    def values(self) -> dict[str, int]:
        """What is set, in the order in which it was."""
        return {key: value for key, (_before, value) in self._before.items()}

    def borrow(self, key: str, value: int) -> None:
        """Set one parameter, as `borrow_all`."""
        self.borrow_all({key: value})

    def borrow_all(self, wanted: Mapping[str, int]) -> None:
        """Set them, in this order. A parameter that the kernel does not have is left out; a refusal is told.

        What was set before is not looked at again. All are read before any is set: the kernel hands `default` of an
        interface's parameters on to interfaces whose own was never set.
        """
        changes = {key: value for key, value in wanted.items() if self.values.get(key) != value}
        before = {key: self._before[key][0] if key in self._before else self._sysctls.read(key) for key in changes}
        for key, value in changes.items():
            old = before[key]
            if old is None:
                continue
            if self._sysctls.read(key) != value:
                try:
                    self._sysctls.write(key, value)
                except OSError as error:
                    self._refused(key, value, error)
                    continue
            self._before[key] = old, value

    def before(self, key: str) -> int | None:
        """What it was, None when it is not borrowed."""
        return self._before[key][0] if key in self._before else None

    def remember(self, key: str, before: int, value: int) -> None:
        """A predecessor has set it to `value` and left word of what it was. Changed since, it is nobody's."""
        if key not in self._before and self._sysctls.read(key) == value:
            self._before[key] = before, value

    def forget(self, key: str) -> None:
        """What it belonged to is gone."""
        self._before.pop(key, None)

    def give_back(self, key: str) -> None:
        if key not in self._before:
            return
        before, value = self._before.pop(key)
        if before == value or self._sysctls.read(key) != value:
            return
        try:
            self._sysctls.write(key, before)
        except OSError as error:
            self._refused(key, before, error)
