"""Worker processes: forked, watched, restarted with back-off."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable

from kactl_agent.observe.log_sink import LogSink
from kactl_agent.runtime import privileges
from kactl_agent.runtime.ipc import Edge
from kactl_agent.supervisor.poller import close_all_but

LONG_ENOUGH = 60 * 1_000_000_000  # ns: a worker that ran so long is restarted at once
_FIRST_DELAY = 1
_LONGEST_DELAY = 60


class Backoff:
    """Seconds to wait before a worker is restarted: none after 60 s of life, else 1, doubling to 60."""

    def __init__(self) -> None:
        self._delay = _FIRST_DELAY

    def after(self, lifetime: int) -> int:
        """`lifetime` is how long the worker ran, in ns."""
        if lifetime >= LONG_ENOUGH:
            self._delay = _FIRST_DELAY
            return 0
        delay = self._delay
        self._delay = min(delay * 2, _LONGEST_DELAY)
        return delay


class Child:
    """A running process, seen from the one that forked it."""

    def __init__(self, name: str, pid: int) -> None:
        """Raises OSError when there is no descriptor to watch it by; it has been ended then."""
        self.name = name
        self.pid = pid
        self.started = time.monotonic_ns()
        try:
            self._descriptor = os.pidfd_open(pid)
        except OSError:  # nobody would learn of its end
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self.user_time = self.system_time = 0.0  # seconds of CPU, once it has been reaped

    def fileno(self) -> int:
        """Readable when the process has ended."""
        return self._descriptor

    def kill(self, number: int = signal.SIGKILL) -> None:
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return

    def reap(self) -> int:
        """The exit code, negative for a signal; the process must have ended."""
        _pid, status, usage = os.wait4(self.pid, 0)
        self.user_time, self.system_time = usage.ru_utime, usage.ru_stime
        os.close(self._descriptor)
        return os.waitstatus_to_exitcode(status)

    @property
    def cpu_text(self) -> str:
        return cpu_text(self.name, self.user_time, self.system_time)


class Worker(Child):
    """A child with an edge to talk to it."""

    def __init__(self, name: str, pid: int, edge: Edge) -> None:
        super().__init__(name, pid)
        self.edge = edge


def fork_child(
    name: str,
    target: Callable[[], int],
    keep: Iterable[int],
    in_child: Callable[[], None],
    complain: Callable[[str], None] | None = None,
) -> int:
    """Fork a process that runs `target` and exits with what it returns; its pid. It keeps the descriptors `keep` and no
    others, and gets SIGTERM when this process ends. `in_child` runs first in it. What `target` raises goes to
    `complain` line by line, or to standard error."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        in_child()
        close_all_but(keep)
        privileges.set_process_name(f"kactl-{name}")
        privileges.die_with_parent(parent)
        code = target()
    except BaseException:  # noqa: BLE001 - the child must never return into the code of its parent
        text = traceback.format_exc()
        if complain is None:
            LogSink().write(text)  # not print: it would wait for a stuck reader, and the end with it
        else:
            for line in text.splitlines():
                complain(line)
    finally:
        os._exit(code)


def cpu_text(process: str, user: float, system: float) -> str:
    """`the vrrp process used 1.234 s of user and 0.056 s of system CPU time`"""
    return f"the {process} process used {user:.3f} s of user and {system:.3f} s of system CPU time"


def exit_text(code: int) -> str:
    """`exit code 1`, `killed by SIGKILL`"""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
