"""Which interfaces count as up, over a fake machine."""

from __future__ import annotations

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.runtime.link_states import LinkStates
from kactl_agent.vrrp.network_settings import LinkDelays
from kactl_agent.vrrp.settings import SECOND


class Bench:
    def __init__(self, *delays: LinkDelays) -> None:
        self.now = 0
        self.kernel = FakeKernel()
        self.kernel.links.add_link("eth0")
        self.armed: int | None = None
        self.changes = 0
        self.states = LinkStates(self.kernel.links, lambda: self.now, self._arm, self._changed)
        self.states.apply(delays)

    def _arm(self, deadline: int | None) -> None:
        self.armed = deadline

    def _changed(self) -> None:
        self.changes += 1

    def set_up(self, up: bool) -> None:
        self.kernel.links.set_up("eth0", up)
        self.states.refresh()

    def advance(self, nanoseconds: int) -> None:
        self.now += nanoseconds
        if self.armed is not None and self.armed <= self.now:
            self.states.run_due()


def test_without_a_delay_it_is_as_the_kernel_says() -> None:
    bench = Bench()
    assert bench.states.up("eth0")
    bench.kernel.links.set_up("eth0", False)
    assert not bench.states.up("eth0")
    assert not bench.states.up("eth7")


def test_a_change_counts_after_its_delay_and_is_told_once() -> None:
    bench = Bench(LinkDelays("eth0", down=SECOND))
    bench.set_up(False)
    assert bench.states.up("eth0")
    bench.advance(SECOND - 1)
    bench.set_up(True)
    assert bench.armed is None
    bench.set_up(False)
    bench.advance(SECOND)
    assert not bench.states.up("eth0")
    assert bench.changes == 1
    bench.set_up(True)
    assert bench.states.up("eth0")
    assert bench.changes == 1, "who has news of the kernel looks by itself"


def test_an_interface_that_is_gone_is_not_up() -> None:
    bench = Bench(LinkDelays("eth0", down=SECOND))
    bench.kernel.links.remove_link("eth0")
    bench.states.refresh()
    assert not bench.states.up("eth0")


def test_a_reload_goes_on_from_where_an_interface_is() -> None:
    bench = Bench(LinkDelays("eth0", down=5 * SECOND))
    bench.set_up(False)
    bench.states.apply((LinkDelays("eth0", down=2 * SECOND),))
    assert bench.states.up("eth0")
    assert bench.armed == 2 * SECOND
    bench.states.apply(())
    assert not bench.states.up("eth0"), "without a delay the change counts"
    assert bench.armed is None


def test_an_interval_learned_from_a_master_shortens_the_down_delay() -> None:
    """keepalived: what an instance waits for adverts sets the limit, and that may change at run time."""
    bench = Bench(LinkDelays("eth0", down=5 * SECOND))
    bench.states.limit("eth0", "A", 9 * SECOND)
    bench.states.limit("eth0", "B", 2 * SECOND)
    bench.states.limit("eth7", "B", 0)
    bench.set_up(False)
    assert bench.armed == 2 * SECOND
    bench.states.limit("eth0", "A", SECOND)
    assert bench.armed == SECOND, "what waits is shortened"
    bench.advance(SECOND)
    assert not bench.states.up("eth0")
    bench.set_up(True)
    bench.states.limit("eth0", "A", 9 * SECOND)
    bench.states.limit("eth0", "B", 9 * SECOND)
    bench.set_up(False)
    assert bench.armed == bench.now + 5 * SECOND, "never longer than it says"
    bench.states.apply((LinkDelays("eth0", down=4 * SECOND),))
    assert bench.armed == bench.now + 4 * SECOND, "a reload begins without limits"
