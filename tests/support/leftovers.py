"""Processes that outlive the tests that started them, found by a variable of their environment."""

from __future__ import annotations

import os
import signal
from pathlib import Path

VARIABLE = "KACTL_STARTED_BY_TEST"


def leftovers(of: str) -> dict[int, str]:
    """What still runs of all that was started while VARIABLE began with `of`: by pid, what to say of it."""
    wanted = f"{VARIABLE}={of}".encode()
    found = {}
    for place in Path("/proc").iterdir():
        if not place.name.isdecimal():
            continue
        try:
            said = [entry for entry in (place / "environ").read_bytes().split(b"\0") if entry.startswith(wanted)]
            if not said:
                continue
            name, _, rest = (place / "stat").read_text().rpartition(")")
            state, parent = rest.split()[:2]
            if state not in "ZX":
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                wait = (place / "wchan").read_text()
                test = said[0].decode().partition("=")[2]
                found[int(place.name)] = (
                    f"{name.partition('(')[2]}, state {state}, parent {parent}, in {wait}, of {test}: {command}"
                )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # gone meanwhile, or of somebody else
    return found


def end(processes: dict[int, str]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
