"""What a checkers worker that died has left in IPVS and in nftables, taken away by a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from kactl_agent.ipvs.genl import encode_delete_daemon, encode_delete_service, encode_set_timeouts
from kactl_agent.ipvs.marks import marks_of
from kactl_agent.ipvs.model import ServiceKey, SyncDaemon, Timeouts
from kactl_agent.ipvs.plan import services_of
from kactl_agent.ipvs.settings import CheckersSettings, MarksSettings
from kactl_agent.kernel.ipvs import IpvsPort, NetlinkIpvs
from kactl_agent.kernel.nft_marks import MarksPort, NftMarks
from kactl_agent.runtime.configuration import AgentConfiguration

_decoder = msgspec.msgpack.Decoder(CheckersSettings)
OpenIpvs = Callable[[str | None], IpvsPort]
OpenMarks = Callable[[str | None], MarksPort]


class _Made(NamedTuple):
    """What the worker makes of a configuration."""

    services: frozenset[ServiceKey] = frozenset()
    daemon: SyncDaemon | None = None  # of either kind
    marks: MarksSettings | None = None  # of a table that there is


def reclaim_at_end(
    configurations: list[AgentConfiguration],
    open_ipvs: OpenIpvs = NetlinkIpvs,
    open_marks: OpenMarks = NftMarks,
    *,
    before: Timeouts | None = None,
) -> int:
    """Take it off the machine when no worker is left that will, and put idle timeouts back to what they were before.
    Returns an exit code."""
    code = _reclaim(configurations, _Made(), open_ipvs, open_marks)
    if before is not None:
        with contextlib.suppress(OSError):  # without IPVS there are none
            port = open_ipvs(configurations[-1].process.namespace_ipvs)
            code |= 1 if port.apply([encode_set_timeouts(before)]) else 0
            port.close()
    return code


def reclaim_replaced(
    configurations: list[AgentConfiguration],
    current: AgentConfiguration,
    open_ipvs: OpenIpvs = NetlinkIpvs,
    open_marks: OpenMarks = NftMarks,
) -> int:
    """A worker died, and a reload came before the next one: take away what only the configurations of before have."""
    return _reclaim(configurations, _made(current), open_ipvs, open_marks)


def _reclaim(configurations: list[AgentConfiguration], kept: _Made, open_ipvs: OpenIpvs, open_marks: OpenMarks) -> int:
    failures = 0
    for configuration in configurations:
        left = _made(configuration)
        services = left.services - kept.services
        daemon = left.daemon if kept.daemon is None else None  # a worker that has one ends those of others
        if services or daemon is not None:
            try:
                port = open_ipvs(configuration.process.namespace_ipvs)
            except OSError:
                pass  # without IPVS there is nothing
            else:
                failures += _release(port, services, daemon)
                port.close()
        if left.marks is not None and (kept.marks is None or kept.marks.table != left.marks.table):
            _unmark(left.marks, partial(open_marks, configuration.process.namespace_ipvs))
    return 1 if failures else 0


def _release(port: IpvsPort, services: frozenset[ServiceKey], daemon: SyncDaemon | None) -> int:
    """How many things are still there."""
    requests = [encode_delete_service(seen.service.key) for seen in port.services() if seen.service.key in services]
    if daemon is not None:
        same = (daemon.interface, daemon.sync_id)
        requests += [encode_delete_daemon(each) for each in port.daemons() if (each.interface, each.sync_id) == same]
    return len(port.apply(requests))


def _unmark(settings: MarksSettings, open_marks: Callable[[], MarksPort]) -> None:
    with contextlib.suppress(OSError):  # without nftables there is nothing
        port = open_marks()
        try:
            port.discard(settings)
        finally:
            port.close()


def _made(configuration: AgentConfiguration) -> _Made:
    settings = _decoder.decode(configuration.checkers) if configuration.checkers else CheckersSettings()
    marks = marks_of(settings)
    services = (each for server in settings.virtual_servers for each in marks.services(server, services_of))
    return _Made(
        frozenset(service.key for service in services),
        None if settings.sync_daemon is None else settings.sync_daemon.daemon,
        settings.marks if any(marks.marked(settings.virtual_servers)) else None,
    )
