"""What IPVS has besides its services: the sync daemons and the timeouts of connections."""

from __future__ import annotations

import os
from collections.abc import Callable

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.model import SyncDaemon, Timeouts
from kactl_agent.ipvs.settings import SyncDaemonSettings
from kactl_agent.kernel.ipvs import IpvsPort

MASTER = "MASTER"
Log = Callable[[str, str], None]  # level, text


class SyncDaemons:
    """lvs_sync_daemon: both of them, or the one that the state of a VRRP instance asks for: MASTER sends, others
    receive. Before `open` there is nothing to do; raises OSError when the kernel cannot be asked."""

    def __init__(self, log: Log) -> None:
        self._port: IpvsPort | None = None
        self._log = log
        self._settings: SyncDaemonSettings | None = None
        self._states: dict[str, str] = {}
        self._refused: set[SyncDaemon] = set()
        self._behind = False  # the kernel has not heard, or was lost in the middle of it

    def open(self, port: IpvsPort) -> None:
        self._port = port

    def close(self) -> None:
        self._port = None

    def configure(self, settings: SyncDaemonSettings | None) -> None:
        before, self._settings = self._settings, settings
        if before is not None or settings is not None or self._behind:
            self._refused.clear()
            self._follow()

    def instance_changed(self, instance: str, state: str) -> None:
        self._states[instance] = state
        if self._settings is not None and self._settings.instance == instance:
            self._follow()

    def stop(self) -> None:
        if self._settings is not None or self._behind:
            self._settings = None
            self._follow()

    def retry(self) -> None:
        """What could not be started may be possible now: its interface may have come."""
        if self._refused:
            self._follow()

    def _wanted(self) -> list[SyncDaemon]:
        if self._settings is None:
            return []
        daemon, instance = self._settings.daemon, self._settings.instance
        if not instance:
            return [daemon._replace(master=True), daemon._replace(master=False)]
        return [daemon._replace(master=self._states.get(instance) == MASTER)]

    def _follow(self) -> None:
        """Those that go first: the kernel runs one of each kind."""
        self._behind = True
        if self._port is None:
            return
        running = {daemon.master: daemon for daemon in self._port.daemons()}
        wanted = self._wanted()
        right = [daemon for daemon in wanted if _is(running.get(daemon.master), daemon)]
        kept = {daemon.master for daemon in right}
        for master, daemon in running.items():
            if master not in kept:
                self._carry_out(genl.encode_delete_daemon(daemon), daemon, "stop")
        for daemon in wanted:
            if daemon not in right:
                self._carry_out(genl.encode_new_daemon(daemon), daemon, "start")
        self._behind = False

    def _carry_out(self, request: bytes, daemon: SyncDaemon, verb: str) -> None:
        kind = "master" if daemon.master else "backup"
        text = f"the IPVS sync daemon ({kind}) on {daemon.interface} with id {daemon.sync_id}"
        failures = () if self._port is None else self._port.apply([request])
        if not failures:
            self._refused.discard(daemon)
            self._log("info", f"{text} is {'started' if verb == 'start' else 'stopped'}")
        elif verb == "start":
            if daemon not in self._refused:
                self._log("error", f"{text} cannot be started: {os.strerror(failures[0].error)}")
            self._refused.add(daemon)


def _is(running: SyncDaemon | None, wanted: SyncDaemon) -> bool:
    """Whether a daemon is as wanted; what is not said the kernel has filled in."""
    if running is None:
        return False
    return all(there == said for there, said in zip(running, wanted, strict=True) if said) and (
        running.master is wanted.master and running.sync_id == wanted.sync_id
    )


class IdleTimeouts:
    """lvs_timeouts; without them, and at the stop, those that were there before. As above.

    `found` is told what was there before, None when it is there again: for whoever follows.
    """

    def __init__(self, found: Callable[[Timeouts | None], None]) -> None:
        self._port: IpvsPort | None = None
        self._found = found
        self._wanted: Timeouts | None = None
        self._before: Timeouts | None = None

    def open(self, port: IpvsPort) -> None:
        self._port = port

    def close(self) -> None:
        self._port = None

    def inherit(self, before: Timeouts) -> None:
        """Somebody else has found these, and did not put them back: what is there now is no more than what they set."""
        self._before = before
        self.configure(self._wanted)

    def configure(self, timeouts: Timeouts | None) -> None:
        self._wanted = timeouts
        if self._port is None:
            return
        if timeouts is None:
            self.restore()
            return
        if self._before is None:
            self._before = self._port.timeouts()
            self._found(self._before)
        said = Timeouts(*(new or old for new, old in zip(timeouts, self._before, strict=True)))
        self._port.apply([genl.encode_set_timeouts(said)])

    def restore(self) -> None:
        if self._before is not None and self._port is not None:
            self._port.apply([genl.encode_set_timeouts(self._before)])
            self._before = None
            self._found(None)
