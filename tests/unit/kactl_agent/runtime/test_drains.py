"""Engines that follow drain orders, as the vrrp worker has them."""

from __future__ import annotations

from kactl_agent.runtime.drain_frames import ALL, DrainOrder, Drains, DrainsApplied, covered
from kactl_agent.runtime.drains import DrainKeeper
from kactl_agent.vrrp.actions import Drain, Input, State
from kactl_agent.vrrp.settings import SECOND, SyncGroupSettings
from support.vrrp import PEER, advert, due, make_settings, started

GROUPS = (SyncGroupSettings(name="G", members=("B", "C")),)
SETTINGS = tuple(make_settings(name=name) for name in "ABC")


class Worker:
    """Masters A, B and C, of which the last two are a group (whose own logic is not part of this)."""

    def __init__(self, *orders: DrainOrder) -> None:
        self.now = 10 * SECOND
        self.answers: list[DrainsApplied] = []
        self.engines = {each.name: started(name=each.name) for each in SETTINGS}
        for engine in self.engines.values():
            engine.handle_timer(due(engine))
        self.keeper = DrainKeeper(lambda: self.engines, self.tell, self.soon, self.answers.append, orders)
        self.keeper.configure(SETTINGS, GROUPS)

    def tell(self, name: str, event: Input) -> None:
        self.engines[name].handle_event(event, self.now)

    def soon(self) -> None:
        self.keeper.send_answers()

    def follow(self, serial: int, *orders: DrainOrder) -> None:
        self.keeper.follow(Drains(serial, orders), SETTINGS, GROUPS)

    @property
    def drained(self) -> str:
        return "".join(name for name, engine in self.engines.items() if engine.drained is not None)


def order(target: str, reason: str = "", require_peer: bool = False) -> DrainOrder:
    return DrainOrder(target=target, reason=reason, require_peer=require_peer)


def test_who_an_order_is_about() -> None:
    assert covered(ALL, SETTINGS, GROUPS) == ("A", "B", "C")
    assert covered("A", SETTINGS, GROUPS) == ("A",)
    assert covered("B", SETTINGS, GROUPS) == covered("G", SETTINGS, GROUPS) == ("B", "C")
    assert covered("X", SETTINGS, GROUPS) == ()
    same = (SyncGroupSettings(name="A", members=("B", "C")),)
    assert covered("A", SETTINGS, same) == ("A",)


def test_orders_come_and_go() -> None:
    worker = Worker()
    worker.follow(1, order("G", "disk"))
    assert (worker.drained, worker.answers) == ("BC", [DrainsApplied(1)])
    worker.follow(2, order("G", "disk"), order("A"))
    assert worker.drained == "ABC"
    worker.follow(3, order("A"))
    assert worker.drained == "A"
    worker.follow(4)
    assert (worker.drained, worker.answers[-1]) == ("", DrainsApplied(4))


def test_the_same_orders_again_change_nothing() -> None:
    worker = Worker()
    worker.follow(1, order("A", "x"))
    before = worker.engines["A"].snapshot()
    worker.follow(2, order("A", "x"))
    assert worker.engines["A"].snapshot() == before


def test_the_first_order_says_why() -> None:
    worker = Worker()
    worker.follow(1, order(ALL, "all"), order("A", "one"))
    assert worker.engines["A"].drained == Drain("all")
    worker.follow(2, order("A", "one"))
    assert worker.engines["A"].drained == Drain("one")


def test_a_worker_that_is_started_under_orders_drains_before_it_starts() -> None:
    worker = Worker(order("G", "disk"))
    assert worker.keeper.inputs("B") == [Drain("disk")]
    assert worker.keeper.inputs("A") == []


def test_a_reload_puts_new_instances_under_the_orders() -> None:
    worker = Worker()
    worker.follow(1, order("A"))
    other = (SyncGroupSettings(name="G", members=("A", "B")),)
    worker.keeper.configure(SETTINGS, other)
    worker.keeper.enforce()
    assert worker.drained == "AB"


def test_the_same_orders_after_a_reload_free_who_has_left_the_group() -> None:
    worker = Worker()
    worker.follow(1, order("G"))
    other = (SyncGroupSettings(name="G", members=("A", "B")),)
    worker.keeper.configure(SETTINGS, other)
    worker.keeper.enforce()
    worker.keeper.follow(Drains(2, (order("G"),)), SETTINGS, other)
    assert worker.drained == "AB"


def test_require_peer_is_answered_when_somebody_has_taken_over() -> None:
    worker = Worker()
    worker.follow(1, order("A", "", True))
    assert worker.engines["A"].state is State.BACKUP
    assert worker.answers == []
    worker.keeper.settle()
    assert worker.answers == []
    worker.engines["A"].receive(*advert(50, PEER), worker.now)
    worker.keeper.settle()
    worker.keeper.settle()
    assert worker.answers == [DrainsApplied(1)]


def test_require_peer_says_who_is_master_again() -> None:
    worker = Worker()
    worker.follow(1, order("G", "", True))
    worker.engines["B"].receive(*advert(50, PEER), worker.now)
    worker.engines["C"].handle_timer(due(worker.engines["C"]))
    worker.keeper.settle()
    assert worker.answers == [DrainsApplied(1, ("C",))]


def test_an_instance_that_is_gone_is_not_waited_for() -> None:
    worker = Worker()
    worker.follow(1, order("A", "", True))
    del worker.engines["A"]
    worker.keeper.settle()
    assert worker.answers == [DrainsApplied(1)]


def test_two_requests_at_once_are_both_about_their_own() -> None:
    """The supervisor sends all orders each time, with what is not settled yet of those before."""
    worker = Worker()
    worker.follow(1, order("A", "", True))
    worker.follow(2, order("A", "", True), order("G"))
    assert worker.answers == [DrainsApplied(2)]
    worker.engines["A"].receive(*advert(50, PEER), worker.now)
    worker.keeper.settle()
    assert worker.answers == [DrainsApplied(2), DrainsApplied(1)]
