"""For any two configurations A and B: a reload from A to B leaves the machine as a start with B does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair
from kactl_agent.vrrp.firewall import Blocked
from kactl_agent.workers.vrrp import VrrpWorker, VrrpWorkerStart
from support.reload_pairs import INTERFACES, configurations, settings_of

FULL = bool(os.environ.get("KACTL_FULL"))


def agent_configuration(block: dict[str, Any], revision: str) -> AgentConfiguration:
    found = settings_of(block)
    return AgentConfiguration(
        revision=revision, file="f", vrrp=found.vrrp, sync_groups=found.sync_groups, static=found.static,
        firewall=found.firewall, network=found.network, tracking=found.tracking,
    )  # fmt: skip


class Machine:
    """A VRRP worker over a machine in memory."""

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        for number, name in enumerate(INTERFACES):
            self.kernel.links.add_link(name)
            self.kernel.links.add_address(name, bytes((192, 0, 2, 200 + number)), 24)
        self.loop = asyncio.SelectorEventLoop()
        self.supervisor, theirs = (Edge(sock) for sock in socket_pair())
        self.observer, observed = (Edge(sock) for sock in socket_pair())
        self.ends = theirs, observed
        self.worker: VrrpWorker | None = None

    def start(self, configuration: AgentConfiguration) -> None:
        start = VrrpWorkerStart(configuration=configuration, keep_addresses=False, recording=False)
        self.worker = VrrpWorker(self.loop, self.kernel, start, *self.ends)
        self.loop.call_soon(self.worker.begin)
        self.until(self.settled)

    def reload(self, configuration: AgentConfiguration) -> frames.SettingsApplied:
        assert self.worker is not None
        done: list[Any] = []
        self.worker.apply(configuration, lambda changes, problems: done.append((changes, problems)))
        self.until(lambda: done and self.settled())
        return frames.SettingsApplied(0, done[0][0], problems=tuple(done[0][1]))

    def settled(self) -> bool:
        """Everyone is MASTER: there is nobody else on the LAN."""
        assert self.worker is not None
        instances = self.worker._instances.values()
        return bool(instances) and all(instance.state.value == "MASTER" for instance in instances)

    def until(self, condition: Callable[[], object]) -> None:
        async def poll() -> None:
            deadline = self.loop.time() + 10
            while not condition():
                assert self.loop.time() < deadline, self.state()
                await asyncio.sleep(0.002)
                for edge in (self.supervisor, self.observer):
                    try:
                        edge.try_flush()
                        edge.receive()
                    except (EdgeClosed, OSError):
                        continue

        self.loop.run_until_complete(poll())

    def state(self) -> dict[str, Any]:
        """All that is on the machine, without the numbers that depend on what was there before."""
        links = self.kernel.links
        names = {link.index: link.name for link in links.all()}
        entries = self.kernel.firewall.entries
        return {
            "links": sorted(repr(msgspec.structs.replace(link, index=0)) for link in links.all()),
            "addresses": {
                name: sorted(repr(msgspec.structs.replace(a, index=0)) for a in links.addresses(name))
                for name in links.table
            },
            "routes": sorted(map(repr, self.kernel.routing.routes)),
            "rules": sorted(map(repr, self.kernel.routing.rules)),
            "sysctls": {key: value for key, value in self.kernel.sysctls.values.items() if value},
            "table": self.kernel.firewall.settings,
            "blocked": sorted(repr(entry) for entry in entries if isinstance(entry, Blocked)),
            "vmacs": sorted(
                repr((entry.family, names.get(entry.index), names.get(entry.parent), entry.parent_link_local))
                for entry in entries
                if not isinstance(entry, Blocked)
            ),
            "sockets": sorted(
                repr((sock.interface, sock.family, sock.protocol, sorted(sock.groups)))
                for sock in self.kernel.vrrp_sockets.opened
                if not sock.closed
            ),
        }

    def close(self) -> None:
        if self.worker is not None:
            self.worker.stop()
            self.loop.run_forever()
            self.worker._shell.close()
        for edge in (self.supervisor, self.observer, *self.ends):
            edge.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.kernel.close()


def state_after(*blocks: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a start with the first and reloads to the others; and what is left after the stop."""
    machine = Machine()
    try:
        first, *others = [agent_configuration(block, str(number)) for number, block in enumerate(blocks)]
        machine.start(first)
        for other in others:
            applied = machine.reload(other)
            assert applied.problems == ()
        state = machine.state()
    finally:
        machine.close()
    return state, machine.state()


@given(configurations(), configurations())
@settings(max_examples=600 if FULL else 60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_reload_leaves_the_machine_as_a_start_does(old: dict[str, Any], new: dict[str, Any]) -> None:
    reloaded, left = state_after(old, new)
    started, left_by_start = state_after(new)
    assert reloaded == started
    assert left == left_by_start


@given(configurations(), configurations())
@settings(max_examples=200 if FULL else 25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_reload_and_one_back_are_none(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert state_after(old, new, old)[0] == state_after(old)[0]
