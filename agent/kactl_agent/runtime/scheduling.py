"""How a worker is scheduled: nice value, real-time priority, CPUs, locked memory, name (`*_priority` and its like).

A worker gives its capabilities up when it starts, but a reload may want another priority of it. So it first raises the
limits within which the kernel lets a process set these things for itself (RLIMIT_RTPRIO, RLIMIT_NICE, RLIMIT_MEMLOCK);
where that is not permitted either (CAP_SYS_RESOURCE), it keeps the capability if its first settings need it, and a
reload can change less than a start. What cannot be had is said and the worker runs without: a router that is scheduled
as everybody else is better than none.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from typing import ClassVar

from kactl_agent.process_settings import ProcessSettings, WorkerScheduling
from kactl_agent.runtime import privileges
from kactl_agent.runtime.loop import Timer
from kactl_agent.runtime.privileges import Capability

_MCL_CURRENT, _MCL_FUTURE = 1, 2
_RLIMIT_RTPRIO_ALL = 99
_RLIMIT_NICE_ALL = 40  # 20 - nice, so -20
_SAY_AGAIN_AFTER = 60_000_000_000  # ns between two warnings of the same kind
_libc = ctypes.CDLL(None, use_errno=True)
Say = Callable[[str, str], None]
"""Takes a level and a message for the log."""


def wants_priority(settings: ProcessSettings, worker: str) -> bool:
    """Whether the worker is to run before others, now or when it is late."""
    own = settings.of(worker)
    return bool(own.rt_priority or (own.nice or 0) < 0 or settings.max_auto_priority)


class Scheduling:
    """Of the process that makes it. `prepare` before capabilities are given up; `begin` when the loop runs."""

    current: ClassVar[Scheduling | None] = None
    """Of this process, once it has been prepared: there is one, as there is one set of capabilities."""

    def __init__(self, worker: str, settings: ProcessSettings) -> None:
        self._worker = worker
        self._settings = settings
        self._auto = 0  # the real-time priority that lateness has led to
        self._problems: list[str] = []
        self._say: Say | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._paused = False  # real-time scheduling, after rt_time was used up
        self._said_overrun = 0
        self._locked = False
        self._had = WorkerScheduling()
        self._first_nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._first_cpus = os.sched_getaffinity(0)

    @property
    def priority(self) -> int:
        """The real-time priority it is to have; 0 is none."""
        return max(self._settings.of(self._worker).rt_priority, self._auto)

    def prepare(self) -> frozenset[Capability]:
        """Raise the limits and do what need not wait for the loop. Returns the capabilities to keep for later. From now
        on it is the `current` one."""
        Scheduling.current = self
        own = self._settings.of(self._worker)
        keep = set()
        raised = _raise_limit(resource.RLIMIT_RTPRIO, _RLIMIT_RTPRIO_ALL)
        raised &= _raise_limit(resource.RLIMIT_NICE, _RLIMIT_NICE_ALL)
        if not raised and wants_priority(self._settings, self._worker):
            keep.add(Capability.CAP_SYS_NICE)
        if not _raise_limit(resource.RLIMIT_MEMLOCK, resource.RLIM_INFINITY) and own.no_swap:
            keep.add(Capability.CAP_IPC_LOCK)
        self._apply(own)
        return frozenset(keep)

    def begin(self, loop: asyncio.AbstractEventLoop, say: Say) -> None:
        """The worker is about to serve: real-time scheduling begins, and what could not be had is said."""
        self._loop, self._say = loop, say
        Timer.on_lateness = self.late
        signal.signal(signal.SIGXCPU, self._used_up)
        self._set_priority()
        self._tell()

    def change(self, settings: ProcessSettings) -> None:
        """After a reload."""
        self._settings = settings
        self._auto = min(self._auto, settings.max_auto_priority)
        self._apply(settings.of(self._worker))
        self._set_priority()
        self._tell()

    def late(self, by: int) -> None:
        """A timer was handled `by` ns after its time: max_auto_priority may raise the priority by one, and the first
        time makes the process a real-time one."""
        if by < self._settings.late_after or self.priority >= self._settings.max_auto_priority:
            return
        self._auto = self.priority + 1
        self._set_priority()
        if self._say is not None and not self._problems:
            text = f"a timer was {by / 1e6:.0f} ms late: real-time priority {self._auto} from now on"
            self._say("warning", f"{text} (max_auto_priority is {self._settings.max_auto_priority})")
        self._tell()

    def _apply(self, own: WorkerScheduling) -> None:
        before, self._had = self._had, own
        privileges.set_process_name(own.name or f"kactl-{self._worker}")
        nice = self._first_nice if own.nice is None else own.nice
        if own.nice != before.nice:
            self._try("nice value", lambda: os.setpriority(os.PRIO_PROCESS, 0, nice))
        if own.cpus != before.cpus:
            self._try("CPU affinity", lambda: os.sched_setaffinity(0, own.cpus or self._first_cpus))
        if own.no_swap and not self._locked:
            self._locked = self._try("locking of memory", _lock_memory)
        elif self._locked and not own.no_swap:
            _libc.munlockall()
            self._locked = False

    def _set_priority(self) -> None:
        """In force now, unless it is only paused."""
        own, priority = self._settings.of(self._worker), 0 if self._paused else self.priority
        soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
        wanted = own.rt_time if self.priority else hard
        wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if wanted != soft:
            self._try("time limit", lambda: resource.setrlimit(resource.RLIMIT_RTTIME, (wanted, hard)))
        policy = os.SCHED_RR if priority else os.SCHED_OTHER
        if (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == (policy, priority):
            return
        done = self._try("real-time priority", lambda: os.sched_setscheduler(0, policy, os.sched_param(priority)))
        if not done:
            self._auto = 0

    def _used_up(self, _number: int, _frame: object) -> None:
        """SIGXCPU: it has used rt_time without a pause. It goes on, but as everybody else, so that a process that never
        pauses does not take the machine; once the loop turns again it is a real-time process again. (keepalived: the
        kernel kills it.)"""
        if self._paused or self._loop is None:
            return
        self._paused = True
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        self._paused = False
        self._set_priority()
        now = time.monotonic_ns()
        if self._say is not None and (not self._said_overrun or now - self._said_overrun > _SAY_AGAIN_AFTER):
            self._said_overrun = now
            own = self._settings.of(self._worker)
            text = f"more than {own.rt_time} us of CPU time without a pause: not in real time until that was done"
            self._say("warning", f"{text} ({_keyword(self._worker)}_rlimit_rttime)")
        self._tell()

    def _try(self, what: str, do: Callable[[], object]) -> bool:
        try:
            do()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            hint = "; a restart of the agent may change it" if self._loop is not None else ""
            self._problems.append(f"the {what} of the {self._worker} process stays as it is: {reason}{hint}")
            return False
        return True

    def _tell(self) -> None:
        if self._say is not None:
            problems, self._problems = self._problems, []
            for problem in problems:
                self._say("warning", problem)


def _keyword(worker: str) -> str:
    return "checker" if worker == "checkers" else worker


def _raise_limit(limit: int, wanted: int) -> bool:
    """The soft and the hard limit, to at least this. False when that is not permitted."""
    _soft, hard = resource.getrlimit(limit)
    enough = hard == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and hard >= wanted)
    try:
        resource.setrlimit(limit, (hard, hard) if enough else (wanted, wanted))
    except (OSError, ValueError):
        return False
    return True


def _lock_memory() -> None:
    if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
