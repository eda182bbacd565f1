"""The supervisor's part in telling others: FIFOs, and the scripts before the first worker and behind the last."""

from __future__ import annotations

from collections.abc import Callable

from kactl_agent.notify.settings import OwnScript
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.notify_fifos import NotifyFifoSet
from kactl_agent.supervisor.own_scripts import LONGER_SECONDS, Connector, OwnScripts
from kactl_agent.supervisor.poller import Poller


class EventOutlets:
    """startup_script and shutdown_script belong to the agent, and no worker runs one."""

    def __init__(
        self,
        poller: Poller,
        connector: Connector,
        log: Callable[[str, str], None],
        extend: Callable[[float], None],
    ) -> None:
        """`log` takes a level and a message; `extend` tells the service manager how many seconds more to wait."""
        self.scripts = OwnScripts(poller, connector, log)
        self.fifos = NotifyFifoSet(self.scripts, log)
        self._log = log
        self._extend = extend
        self._end_startup: Callable[[], None] | None = None
        self._then: Callable[[], None] | None = None
        self.begun = False  # the startup script, if there is one, has ended
        self.ended = False  # so has the shutdown script
        self._ending = False

    def begin(self, current: Callable[[], AgentConfiguration], then: Callable[[], None]) -> None:
        """`then` is called when the startup script has ended, at once if there is none. `current` is the configuration
        in force: a reload may have changed it meanwhile."""
        self._then = then
        startup = current().startup
        if startup is None:
            self._start(current)
            return
        self._take(current())
        self._announce("startup_script", startup)
        self._end_startup = self.scripts.run("startup_script", startup, lambda: self._start(current))

    def _start(self, current: Callable[[], AgentConfiguration]) -> None:
        self._end_startup = None
        self.begun = True
        if not self._ending and self._then is not None:
            self.apply(current())
            self._then()

    def apply(self, configuration: AgentConfiguration) -> None:
        """Another configuration is in force."""
        self._take(configuration)
        if self.begun:
            self.fifos.apply(configuration.own_notify.fifos)

    def _take(self, configuration: AgentConfiguration) -> None:
        self.scripts.umask = self.fifos.umask = configuration.process.umask

    def _announce(self, name: str, script: OwnScript) -> None:
        self._log("info", f"running {name} {script.executable.arguments[0]}")
        self._extend(script.timeout / 1e9 + LONGER_SECONDS)

    def end(self, configuration: AgentConfiguration, then: Callable[[], None]) -> None:
        """The workers have ended. `then` is called when the readers of FIFOs and the shutdown script have as well; a
        second call changes nothing."""
        if self._ending:
            return
        self._ending = True
        self._then = then
        if self._end_startup is not None:
            self._end_startup()
        self.fifos.close(lambda: self._shut_down(configuration))

    def _shut_down(self, configuration: AgentConfiguration) -> None:
        script = configuration.own_notify.shutdown
        if script is None:
            self._finish()
            return
        self._announce("shutdown_script", script)
        self.scripts.run("shutdown_script", script, self._finish)

    def _finish(self) -> None:
        self.ended = True
        self.scripts.close()
        if self._then is not None:
            self._then()
