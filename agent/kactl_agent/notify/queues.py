"""Scripts wait for each other: those of one item run one after the other, in the order of its events, and a script that
does not end delays its own item alone. Nothing is dropped.

At the stop the agent cannot wait for ever: a script has a moment to end, then SIGTERM, then SIGKILL, and what is still
waiting near the end of the agent's patience is started all at once, so that the last scripts, notify_stop, have been
started in any case (keepalived: all at once, and killed after one second). Pure; times are ns.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from kactl_agent.tracking.settings import Executable
from kactl_agent.vrrp.settings import SECOND

AT_ONCE = 512  # scripts of all queues together: the spawner has a limit of its own, and refuses what is above it
ALLOWANCE = SECOND  # from the stop, or the start of a script behind it, to SIGTERM
GRACE = SECOND // 2  # from SIGTERM to SIGKILL
PATIENCE = 3 * SECOND  # from the stop to the moment when everything left is started, unless there is less time


class StartScript(NamedTuple):
    """Start a script; its end is told to `ended` with this number."""

    number: int
    executable: Executable


class SignalScript(NamedTuple):
    """Send a running script, and all it started, a signal."""

    number: int
    kill: bool  # SIGKILL, else SIGTERM


Action = StartScript | SignalScript


class _Running:
    """A script that has not ended; `due` is when it gets its next signal."""

    def __init__(self, queue: str, due: int | None) -> None:
        self.queue = queue
        self.due = due
        self.terminated = False


class ScriptQueues:
    """All the queues of a worker."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._waiting: dict[str, deque[Executable]] = {}
        self._turns: deque[str] = deque()  # queues that could start a script if there was room
        self._running: dict[int, _Running] = {}
        self._busy: set[str] = set()
        self._last = 0
        self._stopped_at: int | None = None
        self._patience = PATIENCE

    @property
    def idle(self) -> bool:
        """Whether every script has ended."""
        return not self._running and not self._waiting

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def deadline(self) -> int | None:
        """When `handle_timer` is to be called next; never before the stop."""
        if self._stopped_at is None:
            return None
        due = [running.due for running in self._running.values() if running.due is not None]
        if self._waiting:
            due.append(self._stopped_at + self._patience)
        return min(due, default=None)

    def add(self, queue: str, scripts: tuple[Executable, ...], now: int) -> list[Action]:
        """Scripts of one event."""
        if not scripts:
            return []
        waiting = self._waiting.get(queue)
        if waiting is None:
            waiting = self._waiting[queue] = deque()
            if queue not in self._busy:
                self._turns.append(queue)
        waiting.extend(scripts)
        return self._start(now)

    def ended(self, number: int, now: int) -> list[Action]:
        """A script has ended, or could not be started."""
        running = self._running.pop(number, None)
        if running is None:
            return []
        self._busy.discard(running.queue)
        if running.queue in self._waiting:
            self._turns.append(running.queue)
        return self._start(now)

    def stop(self, now: int, patience: int = PATIENCE) -> list[Action]:
        """The agent is stopping. What is added from now on is still run."""
        if self._stopped_at is None:
            self._stopped_at = now
            self._patience = patience
            for running in self._running.values():
                running.due = now + ALLOWANCE
        return []

    def handle_timer(self, now: int) -> list[Action]:
        actions: list[Action] = []
        for number, running in self._running.items():
            if running.due is not None and running.due <= now:
                actions.append(SignalScript(number, running.terminated))
                running.due = None if running.terminated else now + GRACE
                running.terminated = True
        if self._stopped_at is not None and now >= self._stopped_at + self._patience:
            for queue in list(self._waiting):
                actions += [self._run(queue, script, now) for script in self._waiting.pop(queue)]
            self._turns.clear()
        return actions

    def _start(self, now: int) -> list[Action]:
        actions: list[Action] = []
        while self._turns and len(self._running) < self._at_once:
            queue = self._turns.popleft()
            waiting = self._waiting[queue]
            actions.append(self._run(queue, waiting.popleft(), now))
            if not waiting:
                del self._waiting[queue]
        return actions

    def _run(self, queue: str, executable: Executable, now: int) -> StartScript:
        self._last += 1
        self._busy.add(queue)
        self._running[self._last] = _Running(queue, None if self._stopped_at is None else now + ALLOWANCE)
        return StartScript(self._last, executable)
