"""For any two configurations A and B: a reload from A to B leaves the kernel's table as a start with B does, whatever
checkers have said in between; and a stop leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.settings import CheckTiming, ConnectTarget, TcpCheckSettings
from kactl_agent.ipvs.model import AF_INET, DIRECT_ROUTE, MASQUERADE, Forwarding
from kactl_agent.ipvs.settings import (
    CheckersSettings,
    MarksSettings,
    Members,
    RealServerSettings,
    SorryServerSettings,
    VirtualServerSettings,
)
from kactl_agent.kernel.fake_ipvs import FakeIpvs
from kactl_agent.kernel.inotify import Inotify
from kactl_agent.runtime.checks import Checks, Outcome
from kactl_agent.runtime.ipvs_table import IpvsTable
from kactl_agent.runtime.load_balancer import Balanced, Identity, LoadBalancer
from kactl_agent.vrrp.actions import Action
from kactl_agent.vrrp.settings import SECOND


class Nobody:
    """Hears everything and does nothing; makes no checks but by hand."""

    def told(self, settings: VirtualServerSettings, action: Action) -> None: ...

    def check_failed(self, balanced: Balanced, server: int, checker: int, action: object) -> None: ...

    def reported(self, balanced: Balanced, server: int, checker: int, report: object) -> None: ...

    def changed(self, identity: Identity) -> None: ...

    def work(self) -> None: ...

    def __init__(self) -> None:
        self.asked: list[Callable[[Outcome], None]] = []

    def start(self, settings: object, step: int, done: Callable[[Outcome], None]) -> Nobody:
        self.asked.append(done)
        return self

    def abort(self) -> None: ...


class World:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.fake = FakeIpvs()
        self.log: list[str] = []
        table = IpvsTable(lambda _level, text: self.log.append(text), lambda _owners, text: self.log.append(text))
        table.open(self.fake, flush=False)
        nobody = self.nobody = Nobody()
        self.loop = loop
        self.now = 1
        self.balancer = LoadBalancer(
            table,
            lambda said, changed: Checks(
                loop, lambda: self.now, lambda _deadline: None, nobody, nobody, Inotify, lambda _report: None,
                said, changed,
            ),
            nobody,
            lambda: self.now,
            lambda _address: True,
            lambda _settings, _marked: True,
        )  # fmt: skip

    def apply(self, wanted: CheckersSettings) -> None:
        self.balancer.apply(wanted)
        self.settle()

    def settle(self) -> None:
        while not self.balancer.table.apply(limit=7):
            pass

    def fail(self) -> None:
        """All checkers find their servers dead."""
        self.now += 3600 * SECOND
        self.balancer.checks.driver.run_due()
        self.loop.run_until_complete(asyncio.sleep(0))
        for done in self.nobody.asked:
            done(CheckEnded(False, "refused"))
        self.settle()


@contextmanager
def loops() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.SelectorEventLoop()
    try:
        yield loop
    finally:
        loop.close()


CHECK = TcpCheckSettings(timing=CheckTiming(retry=0), target=ConnectTarget(address="127.0.0.1", port=1))
ALPHA = TcpCheckSettings(timing=CheckTiming(alpha=True), target=ConnectTarget(address="127.0.0.1", port=1))
methods = st.sampled_from((Forwarding(MASQUERADE), Forwarding(DIRECT_ROUTE)))
reals = st.builds(
    RealServerSettings,
    address=st.integers(1, 4).map(lambda n: bytes((10, 0, 1, n))),
    port=st.sampled_from((80, 8080)),
    weight=st.integers(0, 3),
    forwarding=methods,
    upper_threshold=st.just(0),
    lower_threshold=st.just(0),
    inhibit=st.booleans(),
    smtp_alert=st.just(False),
    snmp_name=st.just(""),
    notify_up=st.none(),
    notify_down=st.none(),
    checkers=st.sampled_from(((), (CHECK,), (ALPHA,), (CHECK, ALPHA))),
)
pools = st.lists(reals, max_size=4, unique_by=lambda real: real.address).map(tuple)
sorry = st.none() | st.builds(SorryServerSettings, st.just(bytes((10, 0, 9, 9))), st.just(80), methods, st.booleans())
members = st.lists(
    st.builds(
        Members,
        st.just(AF_INET),
        st.just(6),
        st.integers(1, 6).map(lambda n: bytes((10, 0, 0, n))),
        st.integers(1, 3),
        st.sampled_from((80, 81)),
        st.just(0),
    )
    | st.builds(lambda mark: Members(AF_INET, fwmark=mark), st.integers(1, 2)),
    min_size=1,
    max_size=3,
).map(tuple)


@st.composite
def servers(draw: st.DrawFn, number: int) -> VirtualServerSettings:
    grouped = draw(st.booleans())
    own = (Members(AF_INET, 6, bytes((10, 9, 0, number)), 1, 80),)
    return VirtualServerSettings(
        name=f"[g{number}]:0" if grouped else f"[10.9.0.{number}]:tcp:80",
        protocol=6,
        group=f"g{number}" if grouped else "",
        members=draw(members) if grouped else own,
        scheduler=draw(st.sampled_from(("rr", "wlc"))),
        quorum=draw(st.integers(1, 3)),
        sorry_server=draw(sorry),
        real_servers=draw(pools),
    )


@st.composite
def configurations(draw: st.DrawFn) -> CheckersSettings:
    numbers = draw(st.lists(st.integers(1, 3), unique=True, max_size=3))
    marks = draw(st.none() | st.just(MarksSettings(first_mark=100)))
    return CheckersSettings(virtual_servers=tuple(draw(servers(number)) for number in numbers), marks=marks)


def one_owner_each(wanted: CheckersSettings) -> bool:
    """Services that several virtual servers want are those of the first, which a reload may have made another one."""
    keys = [
        (member.first[3:] and number, member.port, member.fwmark)
        for server in wanted.virtual_servers
        for member in server.members
        for number in (range(member.first[3], member.first[3] + member.count) if member.first else (0,))
    ]
    return len(keys) == len(set(keys))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(configurations(), configurations().filter(one_owner_each), st.booleans())
def test_a_reload_leads_where_a_start_does(first: CheckersSettings, second: CheckersSettings, failing: bool) -> None:
    with loops() as loop:
        reloaded, started = World(loop), World(loop)
        reloaded.apply(first)
        reloaded.apply(second)
        started.apply(second)
        marked = second.marks is not None
        assert by_owner(reloaded, marked) == by_owner(started, marked)
        if failing:
            reloaded.fail()
            started.fail()
        assert by_owner(reloaded, marked) == by_owner(started, marked)
        for world in (reloaded, started):
            assert world.log == []
            world.balancer.stop()
            world.settle()
            assert world.fake.table == {}


def by_owner(world: World, marked: bool) -> object:
    """The table; marks of groups may be others after a reload, so that what they are does not count."""
    rows = [
        (
            key.address,
            key.port,
            0 if marked and key.fwmark >= 100 else key.fwmark,
            service.scheduler,
            sorted(pool.items()),
        )
        for key, (service, pool) in world.fake.table.items()
    ]
    return sorted(rows)
