"""promote_secondaries over a fake machine: 2.2.7 sets the parameter at the start and restores it at the stop."""

from __future__ import annotations

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.promotion import SecondaryPromotion
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.settings import Family, VrrpSettings

KEY = "net/ipv4/conf/eth0/promote_secondaries"


def settings(wanted: bool = True) -> VrrpSettings:
    return VrrpSettings(
        name="VI", interface="eth0", virtual_router_id=51, version=3, family=Family.IPV4, priority=100,
        promote_secondaries=wanted,
    )  # fmt: skip


class Bench:
    def __init__(self, before: int = 0) -> None:
        self.kernel = FakeKernel()
        self.kernel.links.add_link("eth0")
        self.kernel.sysctls.values[KEY] = before
        self.reports: list[Report] = []
        self.promotion = SecondaryPromotion(self.kernel, self.reports.append)

    @property
    def value(self) -> int:
        return self.kernel.sysctls.values[KEY]


def test_it_is_set_and_restored() -> None:
    bench = Bench()
    bench.promotion.settle([settings()])
    assert bench.value == 1
    bench.promotion.settle([])
    assert bench.value == 0


def test_what_was_set_before_stays_set() -> None:
    bench = Bench(before=1)
    bench.promotion.settle([settings()])
    bench.promotion.settle([settings(False)])
    assert bench.value == 1


def test_the_last_instance_on_the_interface_takes_it_back() -> None:
    bench = Bench()
    bench.promotion.settle([settings(), settings()])
    bench.promotion.settle([settings(), settings(False)])
    assert bench.value == 1


def test_an_interface_that_came_anew_is_set_anew() -> None:
    bench = Bench()
    bench.promotion.settle([settings()])
    bench.kernel.links.remove_link("eth0")
    bench.promotion.settle([settings()])
    bench.kernel.links.add_link("eth1")
    bench.kernel.links.add_link("eth0")
    bench.kernel.sysctls.values[KEY] = 0
    bench.promotion.settle([settings()])
    assert bench.value == 1


def test_a_refusal_is_told_once() -> None:
    bench = Bench()
    bench.kernel.failing = {"sysctl"}
    bench.promotion.settle([settings()])
    bench.promotion.settle([settings()])
    assert [report.detail for report in bench.reports] == [
        f"the kernel parameter {KEY} cannot be set to 1: Operation not permitted (sysctl)"
    ]
