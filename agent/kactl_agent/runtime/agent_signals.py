"""Signals that are for the agent's own process, though service managers may send them to all of its processes."""

from __future__ import annotations

import signal

REAL_TIME = (signal.SIGRTMIN + 2, signal.SIGRTMIN + 3, signal.SIGRTMIN + 4, signal.SIGRTMAX - 1, signal.SIGRTMAX)
"""Those that would end a process which does not know them."""


def ignore() -> None:
    """In every other process of the agent."""
    for number in REAL_TIME:
        signal.signal(number, signal.SIG_IGN)
