"""A VRRP worker in a real loop over the kernel in memory, with the test as its supervisor and observer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, dump_sealed
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair
from kactl_agent.vrrp.settings import (
    CENTISECOND,
    Family,
    GratuitousSettings,
    SyncGroupSettings,
    VirtualAddress,
    VrrpSettings,
)
from kactl_agent.workers.vrrp import VrrpWorker, VrrpWorkerStart


def address(last: int) -> VirtualAddress:
    return VirtualAddress(bytes((192, 0, 2, last)), 24, "eth0")


def settings(name: str = "VI", vrid: int = 51, **more: Any) -> VrrpSettings:
    values: dict[str, Any] = {
        "interface": "eth0", "version": 3, "family": Family.IPV4, "priority": 255, "addresses": (address(vrid),),
        "advert_interval": 2 * CENTISECOND, "gratuitous": GratuitousSettings(repeat=1, delay=0),
    } | more  # fmt: skip
    return VrrpSettings(name=name, virtual_router_id=vrid, **values)


class Bench:
    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.kernel.links.add_link("eth0")
        self.kernel.links.add_address("eth0", bytes((192, 0, 2, 200)), 24)
        self.loop = asyncio.SelectorEventLoop()
        self.supervisor, self._workers_end = (Edge(sock) for sock in socket_pair())
        self.observer, self._observed_end = (Edge(sock) for sock in socket_pair())
        self.heard: list[frames.AnyFrame] = []
        self.answers: list[frames.AnyFrame] = []
        self.worker: VrrpWorker | None = None
        self.stopped = False

    def start(
        self,
        *instances: VrrpSettings,
        keep: bool = False,
        recording: bool = False,
        groups: tuple[SyncGroupSettings, ...] = (),
    ) -> VrrpWorker:
        configuration = AgentConfiguration(revision="1", file="f", vrrp=instances, sync_groups=groups)
        return self.start_with(configuration, keep, recording)

    def start_with(self, configuration: AgentConfiguration, keep: bool = False, recording: bool = False) -> VrrpWorker:
        start = VrrpWorkerStart(configuration=configuration, keep_addresses=keep, recording=recording)
        self.worker = VrrpWorker(self.loop, self.kernel, start, self._workers_end, self._observed_end)
        self.loop.call_soon(self.worker.begin)
        return self.worker

    def listen(self) -> None:
        for edge, into in ((self.supervisor, self.answers), (self.observer, self.heard)):
            try:
                edge.try_flush()
                into += [frame for frame, _descriptors in edge.receive()]
            except (EdgeClosed, OSError):
                continue

    def until(self, condition: Callable[[], Any], seconds: float = 5) -> None:
        async def poll() -> None:
            deadline = self.loop.time() + seconds
            while not condition():
                assert self.loop.time() < deadline, (self.heard, self.answers)
                await asyncio.sleep(0.002)
                self.listen()

        self.loop.run_until_complete(poll())

    def turn(self) -> None:
        """The loop does what is due now."""
        for _ in range(2):
            self.loop.run_until_complete(asyncio.sleep(0))
        self.listen()

    def until_stopped(self) -> None:
        guard = self.loop.call_later(5, lambda: pytest.fail("the worker does not stop"))
        self.loop.run_forever()
        guard.cancel()
        self.stopped = True
        self.listen()

    def of(self, kind: type[Any]) -> list[Any]:
        return [frame for frame in self.heard if isinstance(frame, kind)]

    def state_of(self, name: str) -> str:
        snapshots = [frame.snapshot.state.value for frame in self.of(frames.Snapshot) if frame.snapshot.name == name]
        return snapshots[-1] if snapshots else ""

    def reload(self, *instances: VrrpSettings, groups: tuple[SyncGroupSettings, ...] = ()) -> frames.SettingsApplied:
        return self.reload_with(AgentConfiguration(revision="2", file="f", vrrp=instances, sync_groups=groups))

    def reload_with(self, configuration: AgentConfiguration) -> frames.SettingsApplied:
        self.supervisor.post(frames.Settings(9), [dump_sealed(configuration)])
        self.until(lambda: frames.SettingsPrepared(9) in self.answers)
        self.supervisor.post(frames.ApplySettings(9))
        self.until(lambda: any(isinstance(frame, frames.SettingsApplied) for frame in self.answers))
        return next(frame for frame in self.answers if isinstance(frame, frames.SettingsApplied))

    def close(self) -> None:
        for edge in (self.supervisor, self.observer, self._workers_end, self._observed_end):
            edge.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.kernel.close()
