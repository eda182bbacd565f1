"""Scripts that the supervisor itself has run: startup_script, shutdown_script, and readers of FIFOs."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Protocol

from kactl_agent.notify.settings import OwnScript
from kactl_agent.runtime.scripts import ScriptRunner
from kactl_agent.supervisor.poller import Poller, TimerHandle
from kactl_agent.tracking.settings import Executable

_GRACE_SECONDS = 2.0  # from SIGTERM to SIGKILL, and from there to giving it up
LONGER_SECONDS = 2 * _GRACE_SECONDS  # than its time limit a script may take


class Connector(Protocol):
    """`kactl_agent.supervisor.spawning.Spawning`."""

    def client(self) -> socket.socket | None:
        """A new socket to the spawner; None while there is none."""


class _Run:
    """A script, from when it is asked for to its end."""

    def __init__(
        self,
        scripts: OwnScripts,
        name: str,
        executable: Executable,
        ended: Callable[[], None],
        *,
        limited: float | None,
    ) -> None:
        """`limited`: seconds it may take."""
        self.number = 0
        self._scripts = scripts
        self._name = name
        self._executable = executable
        self._ended = ended
        self._limited = limited
        self._over = False
        self._timer: TimerHandle | None = None
        self._terminated = False

    def begin(self) -> None:
        """Ask for it. Its time runs, and it has a number, from now on."""
        try:
            self.number = self._scripts.ask(self._executable, self)
        except ValueError as error:
            self._scripts.poller.call_later(0, partial(self.not_started, str(error)))
        if self._limited is not None and not self._over:
            self._timer = self._scripts.poller.call_later(self._limited, self._too_long)

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it."""
        if self._over or self._terminated:
            return
        self._terminated = True
        if self._timer is not None:
            self._timer.cancel()
        self._scripts.signal(self.number, signal.SIGTERM)
        self._timer = self._scripts.poller.call_later(_GRACE_SECONDS, self._kill)

    def _too_long(self) -> None:
        self._scripts.log("warning", f"{self._name} takes longer than {self._limited:g} s and is ended")
        self.terminate()

    def _kill(self) -> None:
        self._scripts.signal(self.number, signal.SIGKILL)
        self._timer = self._scripts.poller.call_later(_GRACE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """There is no spawner to tell of its end, or it waits in the kernel."""
        self._end("error", "has not ended and is left alone")

    # -- kactl_agent.runtime.scripts.RunListener -----------------------------------------------------------------------

    def started(self) -> None:
        """Its end is what counts."""

    def ended(self, status: int) -> None:
        if status == 0:
            self._end("info", "has ended")
        elif status > 0:
            self._end("warning", f"exited with status {status}")
        else:
            self._end("info" if self._terminated else "warning", f"was ended by signal {-status}")

    def not_started(self, reason: str) -> None:
        self._end("error", f"could not be started: {reason}")

    def lost(self) -> None:
        if self._limited is None and not self._terminated:
            self._scripts.log("warning", f"{self._name} ended with the spawner and is started again")
            self.number = self._scripts.ask(self._executable, self)
        else:
            self._end("error", "ended with the spawner")

    def _end(self, level: str, how: str) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._scripts.log(level, f"{self._name} {how}")
        self._ended()


class OwnScripts:
    """Runs them through the spawner. `log` takes a level and a message."""

    def __init__(self, poller: Poller, connector: Connector, log: Callable[[str, str], None]) -> None:
        self.poller = poller
        self.log = log
        self._connector = connector
        self._runner = ScriptRunner(poller)
        self._connected = False

    @property
    def umask(self) -> int:
        """Of scripts that begin from now on."""
        return self._runner.umask

    @umask.setter
    def umask(self, value: int) -> None:
        self._runner.umask = value

    def run(self, name: str, script: OwnScript, then: Callable[[], None]) -> Callable[[], None]:
        """`then` is called when it has ended, however that was. Returns what ends it early."""
        return self._begin(_Run(self, name, script.executable, then, limited=script.timeout / 1e9))

    def keep(self, name: str, executable: Executable, then: Callable[[], None]) -> Callable[[], None]:
        """One that may run as long as it likes. What ends with a spawner is started again by the next one."""
        return self._begin(_Run(self, name, executable, then, limited=None))

    def _begin(self, run: _Run) -> Callable[[], None]:
        if not self._connected:
            self.reconnect()
        run.begin()
        return run.terminate

    def ask(self, executable: Executable, run: _Run) -> int:
        """Raises ValueError."""
        return self._runner.run(executable, run)

    def signal(self, number: int, what: int) -> None:
        self._runner.signal(number, what)

    def spawner_restarted(self) -> None:
        """There is another spawner; scripts have ended with the last one."""
        if self._connected:
            self.reconnect()

    def reconnect(self) -> None:
        sock = self._connector.client()
        if sock is not None:
            self._connected = True
            self._runner.connect(sock)

    def close(self) -> None:
        """Nothing is run any more; the spawner ends what runs."""
        self._connected = False
        self._runner.close()
