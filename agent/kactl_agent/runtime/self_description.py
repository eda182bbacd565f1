"""What a process says of its own insides when it is asked (SIGRTMAX, keepalived's TDATA): for who looks for a fault."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from kactl_agent.runtime.ipc import Edge


def describe(edges: Mapping[str, Edge | None], *, timers: int | None = None) -> str:
    """One line for the log: scheduling, memory, descriptors, timers where they are known, and what waits in `edges`."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    parts = [
        f"pid {os.getpid()}",
        _scheduling(),
        f"{usage.ru_utime:.3f} s of user and {usage.ru_stime:.3f} s of system CPU time",
        f"{usage.ru_maxrss} kB of memory at most",
        f"{sum(1 for _ in Path('/proc/self/fd').iterdir()) - 1} descriptors",
        *([] if timers is None else [f"{timers} timers"]),
    ]
    for name, edge in edges.items():
        if edge is None:
            parts.append(f"no edge to {name}")
        else:
            parts.append(f"{edge.waiting} frames wait for {name}, {edge.dropped} were dropped")
    return f"internal state: {'; '.join(parts)}"


def _scheduling() -> str:
    priority = os.sched_getparam(0).sched_priority
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    return f"real-time priority {priority}" if priority else f"nice {nice}"
