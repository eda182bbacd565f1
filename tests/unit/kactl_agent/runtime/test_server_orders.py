"""Orders for real servers, carried out by a balancer over a table that remembers, in time that tests advance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from kactl_agent.checkers.exchanges import NetworkCheckSettings
from kactl_agent.checkers.settings import MiscCheckSettings
from kactl_agent.ipvs.actions import WeightChanged
from kactl_agent.ipvs.model import AF_INET
from kactl_agent.ipvs.settings import CheckersSettings, Members, RealServerSettings, VirtualServerSettings
from kactl_agent.kernel.fake_ipvs import FakeIpvs
from kactl_agent.kernel.inotify import Inotify
from kactl_agent.runtime.checks import Checks, Outcome, Running
from kactl_agent.runtime.ipvs_table import IpvsTable
from kactl_agent.runtime.load_balancer import Balanced, Identity, LoadBalancer
from kactl_agent.runtime.order_frames import OrderServer, ServerOrdered
from kactl_agent.runtime.server_orders import ServerOrders
from kactl_agent.vrrp.actions import Action

SECOND = 1_000_000_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes by `advance` alone."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.call_soon(self.stop)
        self.run_forever()


class Listener:
    """Remembers what is told."""

    def __init__(self) -> None:
        self.weights: list[tuple[str, int, int, str]] = []

    def told(self, settings: VirtualServerSettings, action: Action) -> None:
        if isinstance(action, WeightChanged):
            self.weights.append((settings.name, action.server, action.new, action.ordered))

    def check_failed(self, balanced: Balanced, server: int, checker: int, action: object) -> None: ...

    def reported(self, balanced: Balanced, server: int, checker: int, report: object) -> None: ...

    def changed(self, identity: Identity) -> None: ...

    def work(self) -> None: ...


class NoProber:
    def start(self, settings: NetworkCheckSettings, step: int, done: Callable[[Outcome], None]) -> Running:
        raise AssertionError("there is no checker")


class NoPrograms:
    def start(self, settings: MiscCheckSettings, done: Callable[[Outcome], None]) -> Running:
        raise AssertionError("there is no checker")


def virtual(number: int, *servers: RealServerSettings) -> VirtualServerSettings:
    """192.0.2.NUMBER:80/tcp"""
    address = bytes((192, 0, 2, number))
    return VirtualServerSettings(
        name=f"[192.0.2.{number}]:tcp:80", protocol=6, members=(Members(AF_INET, 6, address, 1, 80),),
        real_servers=servers,
    )  # fmt: skip


def real(number: int, weight: int = 1, port: int = 80) -> RealServerSettings:
    return RealServerSettings(bytes((10, 0, 0, number)), port, weight)


class World:
    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.listener = listener = Listener()
        self.kernel = FakeIpvs()
        table = IpvsTable(lambda *_line: None, lambda *_drift: None)
        table.open(self.kernel, flush=False)
        self.balancer = LoadBalancer(
            table,
            lambda said, changed: Checks(
                loop,
                lambda: 1,
                lambda _deadline: None,
                NoProber(),
                NoPrograms(),
                Inotify,
                lambda _report: None,
                said,
                changed,
            ),
            listener,
            lambda: 1,
            lambda _address: True,
            lambda _settings, _marked: True,
        )
        self.answers: list[ServerOrdered] = []
        self.orders = ServerOrders(loop, self.balancer, self._show, self._answer)
        self.sent: list[str] = []  # what goes to the observer, in order

    def _show(self, identity: Identity) -> None:
        balanced = self.balancer.get(identity)
        assert balanced is not None
        self.sent.append(f"{identity[0]} {[each.effective_weight for each in balanced.engine.snapshot().servers]}")

    def _answer(self, answer: ServerOrdered) -> None:
        self.answers.append(answer)
        self.sent.append("answer")

    def apply(self, *servers: VirtualServerSettings) -> None:
        self.balancer.apply(CheckersSettings(virtual_servers=servers))

    def order(
        self, real_server: str, weight: int | None, virtual_server: str = "", *, ttl: int = 0, reason: str = ""
    ) -> ServerOrdered:
        """The answer; `ttl` in seconds."""
        self.orders.order(OrderServer(len(self.answers) + 1, virtual_server, real_server, weight, reason, ttl * SECOND))
        assert self.answers[-1].serial == len(self.answers), "each order has one answer"
        return self.answers[-1]

    @property
    def weights(self) -> dict[str, int]:
        """What the kernel has: `VIRTUAL>REAL:PORT` (the last parts of the addresses) -> weight."""
        while not self.balancer.table.apply():
            pass
        return {
            f"{key.address[3]}>{name.address[3]}:{name.port}": destination.weight
            for key, (_service, pool) in self.kernel.table.items()
            for name, destination in pool.items()
        }


@pytest.fixture
def world() -> Iterator[World]:
    loop = VirtualLoop()
    made = World(loop)
    made.apply(virtual(1, real(1, 5), real(2, 5)), virtual(2, real(1, 7)))
    assert made.weights == {"1>1:80": 5, "1>2:80": 5, "2>1:80": 7}
    yield made
    made.balancer.stop()
    loop.close()


def test_a_weight_and_its_end(world: World) -> None:
    said = world.order("10.0.0.1:80", 2, "192.0.2.1:80/tcp", reason="warming up")
    assert said == ServerOrdered(1, ("10.0.0.1:80 of [192.0.2.1]:tcp:80",))
    assert world.weights == {"1>1:80": 2, "1>2:80": 5, "2>1:80": 7}
    assert world.listener.weights == [("[192.0.2.1]:tcp:80", 0, 2, "warming up")]
    assert world.order("10.0.0.1:80", None, "192.0.2.1:80/tcp").servers
    assert world.weights == {"1>1:80": 5, "1>2:80": 5, "2>1:80": 7}


def test_a_drained_server_stays_in_the_table(world: World) -> None:
    """Weight 0 gets no new connection; taken away, those it has would break (ipvsadm(8), --weight)."""
    world.order("10.0.0.2", 0, "192.0.2.1:80/tcp")
    assert world.weights == {"1>1:80": 5, "1>2:80": 0, "2>1:80": 7}


def test_without_a_virtual_server_all_are_meant(world: World) -> None:
    said = world.order("10.0.0.1:80", 0)
    assert said.servers == ("10.0.0.1:80 of [192.0.2.1]:tcp:80", "10.0.0.1:80 of [192.0.2.2]:tcp:80")
    assert world.weights == {"1>1:80": 0, "1>2:80": 5, "2>1:80": 0}
    assert world.sent == ["[192.0.2.1]:tcp:80 [0, 5]", "[192.0.2.2]:tcp:80 [0]", "answer"], "who asks sees it done"
    assert world.order("10.0.0.2:80", 0).servers == ("10.0.0.2:80 of [192.0.2.1]:tcp:80",)
    assert world.order("10.0.0.1:80", None).servers == said.servers
    assert world.weights == {"1>1:80": 5, "1>2:80": 0, "2>1:80": 7}


def test_names_that_nobody_has(world: World) -> None:
    before = world.weights
    assert world.order("10.0.0.9:80", 0).error.startswith("there is no real server of ")
    unknown = world.order("10.0.0.1:80", 0, "192.0.2.9:80/tcp").error
    assert unknown.startswith("there is no virtual server `192.0.2.9:80/tcp`; there are: [192.0.2.1]:tcp:80")
    missing = world.order("10.0.0.2:80", 0, "192.0.2.2:80/tcp").error
    assert missing == "there is no real server of [192.0.2.2]:tcp:80 `10.0.0.2:80`; there are: 10.0.0.1:80"
    assert world.weights == before
    world.apply()
    assert world.order("10.0.0.1:80", 0).error == "there is no virtual server"


def test_an_address_that_means_two_is_refused_whole(world: World) -> None:
    """Not carried out where it happens to be clear, and silently left out where it is not."""
    world.apply(virtual(1, real(1, 5), real(2, 5)), virtual(2, real(1, 7), real(1, 7, port=81)))
    said = world.order("10.0.0.1", 0)
    assert said.servers == ()
    assert said.error.startswith("more than one real server of [192.0.2.2]:tcp:80 is `10.0.0.1`")
    assert set(world.weights.values()) == {5, 7}
    assert world.order("10.0.0.1:80", 0).servers


def test_an_order_ends_by_itself(world: World) -> None:
    world.order("10.0.0.1:80", 0, ttl=60)
    world.loop.advance(59.9)
    assert world.weights == {"1>1:80": 0, "1>2:80": 5, "2>1:80": 0}
    world.loop.advance(0.2)
    assert world.weights == {"1>1:80": 5, "1>2:80": 5, "2>1:80": 7}
    assert world.listener.weights[-1] == ("[192.0.2.2]:tcp:80", 0, 7, "the time of the order is up")


def test_the_last_order_says_when_it_ends(world: World) -> None:
    world.order("10.0.0.2:80", 0, ttl=60)
    world.loop.advance(30)
    world.order("10.0.0.2:80", 1, ttl=60)
    world.loop.advance(59)
    assert world.weights["1>2:80"] == 1
    world.order("10.0.0.2:80", 2)
    world.loop.advance(100_000)
    assert world.weights["1>2:80"] == 2
    world.order("10.0.0.2:80", 0, ttl=60)
    world.order("10.0.0.2:80", None)
    assert world.weights["1>2:80"] == 5
    told = list(world.listener.weights)
    world.loop.advance(100)
    assert world.listener.weights == told, "an order that was taken back has no end"


def test_a_reload_keeps_orders_and_their_end(world: World) -> None:
    world.order("10.0.0.1:80", 0, "192.0.2.1:80/tcp", ttl=60)
    world.apply(virtual(1, real(3, 9), real(2, 4), real(1, 6)), virtual(2, real(1, 7)))
    assert world.weights == {"1>1:80": 0, "1>2:80": 4, "1>3:80": 9, "2>1:80": 7}
    world.loop.advance(61)
    assert world.weights == {"1>1:80": 6, "1>2:80": 4, "1>3:80": 9, "2>1:80": 7}


def test_the_end_of_an_order_for_what_a_reload_took_away(world: World) -> None:
    world.order("10.0.0.1:80", 0, ttl=60)
    world.apply(virtual(1, real(2, 4)))
    world.loop.advance(61)
    assert world.weights == {"1>2:80": 4}
