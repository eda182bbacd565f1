"""Interfaces that are asked for their link, beside the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.link_states import LinkStates
from kactl_agent.runtime.linkbeat import Linkbeat
from kactl_agent.vrrp.network_settings import LinkDelays
from kactl_agent.vrrp.settings import SECOND


class FakeProbe:
    def __init__(self) -> None:
        self.answers: dict[str, bool] = {}
        self.asked: list[tuple[str, str]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def link(self, interface: str, wanted: str) -> bool:
        assert self.may_answer.wait(10)
        self.asked.append((interface, wanted))
        if interface not in self.answers:
            raise OSError(19, "No such device")
        return self.answers[interface]


class FakeLoop:
    """Carries out what a thread has handed over when `run` is called."""

    def __init__(self) -> None:
        self._handed = threading.Semaphore(0)
        self._calls: list[tuple[Callable[[Mapping[str, bool]], None], Mapping[str, bool]]] = []

    def call_soon_threadsafe(self, callback: Callable[[Mapping[str, bool]], None], told: Mapping[str, bool]) -> None:
        self._calls.append((callback, told))
        self._handed.release()

    def run(self) -> None:
        assert self._handed.acquire(timeout=10)
        callback, told = self._calls.pop(0)
        callback(told)


class Bench:
    def __init__(self) -> None:
        self.loop, self.probe = FakeLoop(), FakeProbe()
        self.heard: list[Mapping[str, bool]] = []
        self.linkbeat = Linkbeat(self.loop, lambda: self.probe, self.heard.append)


def test_each_round_asks_all_and_what_cannot_be_asked_is_left_out() -> None:
    bench = Bench()
    bench.probe.answers = {"eth0": False}
    bench.linkbeat.want({"eth0": "MII", "gone0": ""})
    bench.loop.run()
    assert bench.probe.asked == [("eth0", "MII"), ("gone0", "")]
    assert bench.heard[-1] == {"eth0": False}
    bench.probe.answers = {"eth0": True, "gone0": True}
    bench.linkbeat.poll()
    bench.loop.run()
    assert bench.heard[-1] == {"eth0": True, "gone0": True}


def test_a_slow_driver_is_waited_for_and_never_asked_twice_at_once() -> None:
    bench = Bench()
    bench.probe.answers = {"eth0": True}
    bench.probe.may_answer.clear()
    bench.linkbeat.want({"eth0": ""})
    for _ in range(5):
        bench.linkbeat.poll()
    bench.probe.may_answer.set()
    bench.loop.run()
    assert bench.probe.asked == [("eth0", "")]


def test_who_is_asked_no_more_has_nothing_to_say() -> None:
    bench = Bench()
    bench.probe.answers = {"eth0": False, "eth1": False}
    bench.linkbeat.want({"eth0": ""})
    bench.linkbeat.want({"eth1": ""})
    bench.loop.run()
    assert bench.heard[-1] == {}
    bench.linkbeat.want({})
    bench.linkbeat.poll()
    assert bench.probe.asked == [("eth0", "")]


def test_an_answer_counts_instead_of_what_the_kernel_says() -> None:
    kernel = FakeKernel()
    kernel.links.add_link("eth0")
    changes: list[bool] = []
    states = LinkStates(kernel.links, lambda: 0, changed=lambda: changes.append(True))
    states.heard({"eth0": False})
    assert not states.up("eth0")
    states.heard({"eth0": False})
    assert len(changes) == 1, "nothing has changed"
    states.heard({"eth0": True})
    assert states.up("eth0")
    kernel.links.set_up("eth0", False)
    assert not states.up("eth0"), "an interface that is set down has no link, whatever its transceiver says"
    states.heard({})
    kernel.links.set_up("eth0", True)
    assert states.up("eth0")


def test_an_answer_waits_for_the_delays_as_well() -> None:
    kernel = FakeKernel()
    kernel.links.add_link("eth0")
    now, armed = [0], [0]
    states = LinkStates(kernel.links, lambda: now[0], lambda deadline: armed.__setitem__(0, deadline or 0))
    states.apply((LinkDelays("eth0", down=SECOND),))
    states.heard({"eth0": False})
    assert states.up("eth0")
    now[0] = armed[0]
    states.run_due()
    assert not states.up("eth0")
