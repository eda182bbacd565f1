"""What a checkers worker that died has left in IPVS, taken away by a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from kactl_agent.ipvs.genl import encode_delete_service
from kactl_agent.ipvs.marks import marks_of
from kactl_agent.ipvs.model import ServiceKey
from kactl_agent.ipvs.plan import services_of
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.kernel.ipvs import IpvsPort, NetlinkIpvs
from kactl_agent.runtime.configuration import AgentConfiguration

_decoder = msgspec.msgpack.Decoder(CheckersSettings)
OpenIpvs = Callable[[str | None], IpvsPort]


def reclaim_at_end(configurations: list[AgentConfiguration], open_ipvs: OpenIpvs = NetlinkIpvs) -> int:
    """Take IPVS entries off the machine when no worker is left that will. Returns an exit code."""
    return _reclaim(configurations, frozenset(), open_ipvs)


def reclaim_replaced(
    configurations: list[AgentConfiguration], current: AgentConfiguration, open_ipvs: OpenIpvs = NetlinkIpvs
) -> int:
    """A worker died, and a reload came before the next one: take away what only the configurations of before have."""
    return _reclaim(configurations, frozenset(_services(_settings(current))), open_ipvs)


def _reclaim(configurations: list[AgentConfiguration], kept: frozenset[ServiceKey], open_ipvs: OpenIpvs) -> int:
    failures = 0
    for configuration in configurations:
        wanted = set(_services(_settings(configuration))) - kept
        if not wanted:
            continue
        try:
            port = open_ipvs(configuration.process.namespace_ipvs)
        except OSError:
            continue  # without IPVS there is nothing
        there = [seen.service.key for seen in port.services() if seen.service.key in wanted]
        failures += len(port.apply([encode_delete_service(key) for key in there]))
        port.close()
    return 1 if failures else 0


def _settings(configuration: AgentConfiguration) -> CheckersSettings:
    return _decoder.decode(configuration.checkers) if configuration.checkers else CheckersSettings()


def _services(settings: CheckersSettings) -> Iterator[ServiceKey]:
    marks = marks_of(settings)
    for server in settings.virtual_servers:
        for service in marks.services(server, services_of):
            yield service.key
