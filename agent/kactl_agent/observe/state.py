"""The status of the agent as a client reads it (`kactl status --output json`), from what the workers report."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from kactl_agent import __version__
from kactl_agent.observe.views import AgentView, InstanceView
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.dump_frames import TrackerGone, TrackerState
from kactl_agent.runtime.frames import GroupState, Heartbeat, ProcessState, Snapshot
from kactl_agent.vrrp.settings import SyncGroupSettings, VirtualAddress, VrrpSettings
from kactl_agent.vrrp.snapshot import InstanceSnapshot

SCHEMA_VERSION = 1


class AgentState:
    """The newest of everything. `wall` and `monotonic` read clocks in ns."""

    def __init__(
        self,
        configuration: AgentConfiguration,
        pid: int,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
        started: int | None = None,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._pid = pid
        self._started = monotonic() if started is None else started
        self._snapshots: dict[str, Snapshot] = {}
        self._groups: dict[str, GroupState] = {}
        self._since: dict[str, tuple[int, int]] = {}  # engine's monotonic ns -> wall ns when it was first heard of
        self._heartbeat: Heartbeat | None = None
        self._trackers: dict[tuple[str, str], TrackerState] = {}
        self._cleared: dict[str, tuple[int, dict[str, int]]] = {}  # instance -> wall ns, counters at that moment
        self._processes: dict[str, ProcessState] = {}
        self.sections: dict[str, Callable[[], dict[str, Any]]] = {
            "ipvs": lambda: {"virtual_servers": []},
            "bfd": lambda: {"instances": {}},
        }
        self.about_agent: dict[str, Callable[[], Any]] = {}  # more of what `agent` has
        self.configuration = configuration
        self.drained: Callable[[str], dict[str, Any] | None] = lambda _name: None
        """By whose word an instance is drained."""

    # -- what the workers report ---------------------------------------------------------------------------------------

    def take_snapshot(self, frame: Snapshot) -> None:
        name = frame.snapshot.name
        self._snapshots[name] = frame
        _at, cleared = self._cleared.get(name, (0, {}))
        if any(frame.snapshot.statistics.get(counter, 0) < value for counter, value in cleared.items()):
            del self._cleared[name]  # it counts anew by itself
        since = frame.snapshot.since
        if self._since.get(name, (None, 0))[0] != since:
            # fixed when first heard of: a clock that is set later does not move the past
            self._since[name] = (since, frame.at - (frame.now - since))

    def forget_instance(self, name: str) -> None:
        self._snapshots.pop(name, None)
        self._since.pop(name, None)
        self._cleared.pop(name, None)

    def take_group(self, frame: GroupState) -> None:
        self._groups[frame.group] = frame

    def forget_instances(self) -> None:
        """The worker has ended: what it said last is no longer so."""
        self._snapshots.clear()
        self._groups.clear()
        self._trackers.clear()
        self._cleared.clear()
        self._heartbeat = None

    def take_heartbeat(self, frame: Heartbeat) -> None:
        self._heartbeat = frame

    def take_process(self, frame: ProcessState) -> None:
        self._processes[frame.process] = frame

    def take_tracker(self, frame: TrackerState) -> None:
        self._trackers[frame.kind, frame.name] = frame

    def forget_tracker(self, frame: TrackerGone) -> None:
        self._trackers.pop((frame.kind, frame.name), None)

    def clear_statistics(self) -> None:
        """Counters of instances are shown as counted from now on; the engines count on, so that nothing is lost."""
        now = self._wall()
        self._cleared = {name: (now, dict(known.snapshot.statistics)) for name, known in self._snapshots.items()}

    def _statistics(self, snapshot: InstanceSnapshot) -> dict[str, int]:
        _at, cleared = self._cleared.get(snapshot.name, (0, {}))
        return {name: value - cleared.get(name, 0) for name, value in snapshot.statistics.items()}

    def _cleared_at(self, name: str) -> str | None:
        """When the counters were cleared; None: they are from when the instance was made."""
        at, _cleared = self._cleared.get(name, (0, {}))
        return timestamp(at) if at else None

    # -- what dumps are made of ----------------------------------------------------------------------------------------

    def view(self) -> AgentView:
        return AgentView(
            configuration=self.configuration,
            instances=[self._view(settings) for settings in self.configuration.vrrp],
            groups={name: group.state for name, group in self._groups.items()},
            trackers=tuple(self._trackers.values()),
            processes={name: state.pid for name, state in self._processes.items()},
            now=self._wall(),
        )

    def _view(self, settings: VrrpSettings) -> InstanceView:
        known = self._snapshots.get(settings.name)
        if known is None:
            return InstanceView(settings, None, 0, {})
        return InstanceView(settings, known.snapshot, self._since[settings.name][1], self._statistics(known.snapshot))

    # -- what a client reads -------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The status document, schema_version 1, plain JSON values only. `as_of` is when the VRRP worker was last
        heard of, so that a worker that hangs cannot look alive; by the steady clock, whatever was done to the other."""
        heard = [frame.now for frame in self._snapshots.values()]
        if self._heartbeat is not None:
            heard.append(self._heartbeat.now)
        as_of = self._wall()
        if heard and self.configuration.vrrp:
            as_of -= self._monotonic() - max(heard)
        return {
            "schema_version": SCHEMA_VERSION,
            "as_of": timestamp(as_of),
            "agent": self._agent(),
            "vrrp": {
                "instances": {settings.name: self._instance(settings) for settings in self.configuration.vrrp},
                "sync_groups": {settings.name: self._group(settings) for settings in self.configuration.sync_groups},
            },
            **{name: section() for name, section in self.sections.items()},
        }

    def _agent(self) -> dict[str, Any]:
        heartbeat = self._heartbeat
        return {
            "version": __version__,
            "pid": self._pid,
            "uptime_s": round((self._monotonic() - self._started) / 1e9, 3),
            "config_revision": self.configuration.revision,
            "config_file": self.configuration.file,
            "router_id": self.configuration.router_id,
            "processes": {
                name: {"pid": state.pid or None, "restarts": state.restarts, "last_exit": state.last_exit or None}
                for name, state in self._processes.items()
            },
            "timers": {
                "handled": heartbeat.timers if heartbeat else 0,
                "latest_ms": round(heartbeat.late_max / 1e6, 3) if heartbeat else 0.0,
                "later_than_10ms": heartbeat.late_over_10ms if heartbeat else 0,
            },
            "dropped_records": heartbeat.dropped if heartbeat else 0,
            **{name: about() for name, about in self.about_agent.items()},
        }

    def _group(self, settings: SyncGroupSettings) -> dict[str, Any]:
        known = self._groups.get(settings.name)
        return {
            "state": known.state if known is not None else "INIT",
            "since": timestamp(known.at) if known is not None and known.at else None,
            "members": list(settings.members),
            "cause": known.cause if known is not None else "",
            "detail": known.detail if known is not None else "",
        }

    def _instance(self, settings: VrrpSettings) -> dict[str, Any]:
        known = self._snapshots.get(settings.name)
        common = {
            "interface": settings.interface,
            "virtual_router_id": settings.virtual_router_id,
            "family": settings.family.value,
            "version": settings.version,
            "virtual_ipaddress": [address_text(a) for a in settings.addresses if a.advertised],
            "virtual_ipaddress_excluded": [address_text(a) for a in settings.addresses if not a.advertised],
            "virtual_routes": [route.text for route in settings.routes],
            "virtual_rules": [rule.text for rule in settings.rules],
            "sources": dict(self.configuration.sources.get(settings.name, {})),
        }
        if known is None:
            # the worker is being started or restarted: nothing is known, and nothing is made up
            return {
                "state": "INIT", "since": None, **common,
                "priority": {"configured": settings.priority, "effective": settings.priority, "contributions": []},
                "drained": self.drained(settings.name),
                "master": None, "faults": [], "waiting_for": [], "cause": "", "detail": "",
                "statistics": {}, "statistics_since": None,
            }  # fmt: skip
        snapshot = known.snapshot
        return {
            "state": snapshot.state.value,
            "since": timestamp(self._since[settings.name][1]),
            **common,
            "priority": {
                "configured": snapshot.configured_priority,
                "effective": snapshot.effective_priority,
                "contributions": [{"name": name, "weight": weight} for name, weight in snapshot.contributions],
            },
            "drained": self._drained(settings.name, snapshot),
            "listening": snapshot.listening,
            "master": _host(snapshot.master),
            "master_priority": snapshot.master_priority or None,
            "source_address": _host(snapshot.source_address),
            "advert_interval_ms": snapshot.advert_interval / 1e6,
            "master_adver_interval_ms": snapshot.master_adver_interval / 1e6,
            "faults": list(snapshot.faults),
            "waiting_for": list(snapshot.waiting_for),
            "cause": snapshot.cause,
            "detail": snapshot.detail,
            "statistics": self._statistics(snapshot),
            "statistics_since": self._cleared_at(settings.name),
            "as_of": timestamp(known.at),
        }

    def _drained(self, name: str, snapshot: InstanceSnapshot) -> dict[str, Any] | None:
        """By whose word; the instance itself knows whether it is drained."""
        if snapshot.drained is None:
            return None
        known = self.drained(name) or {"by": name, "reason": snapshot.drained, "since": None, "until": None}
        return {**known, "handing_over": snapshot.handing_over}


def address_text(address: VirtualAddress) -> str:
    """`192.0.2.10/24`"""
    return f"{ip_address(address.address)}/{address.prefix_length}"


def _host(packed: bytes) -> str | None:
    return str(ip_address(packed)) if packed else None
