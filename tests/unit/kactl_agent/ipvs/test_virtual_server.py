"""The engine of a virtual server: the tables of keepalived 2.2.7's own behaviour, seen in its FIFO and in ipvsadm."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.ipvs.actions import (
    AddressPresent,
    CheckerFailed,
    CheckerSaid,
    CheckerWeighed,
    PutDestination,
    PutServices,
    QuorumChanged,
    RemoveDestination,
    RemoveServices,
    ResumeCheckers,
    ServerChanged,
    ServerRemoved,
    SorryServerChanged,
    SuspendCheckers,
    WeightChanged,
    WeightOrdered,
)
from kactl_agent.ipvs.model import AF_INET, DIRECT_ROUTE, Forwarding
from kactl_agent.ipvs.settings import Members, RealServerSettings, SorryServerSettings, VirtualServerSettings
from kactl_agent.ipvs.virtual_server import CheckerState, VirtualServer
from kactl_agent.vrrp.actions import Action, Input, Shutdown, Startup


def address(number: int) -> bytes:
    return bytes((10, 0, 1, number))


def real(number: int, **more: Any) -> RealServerSettings:
    return RealServerSettings(address(number), 80, **more)


SORRY = SorryServerSettings(address(99), 80)
INHIBITED_SORRY = SorryServerSettings(address(99), 80, Forwarding(DIRECT_ROUTE), True)


class World:
    """A virtual server with a checker for each real server, and the pool its actions have made."""

    def __init__(self, *servers: RealServerSettings, alpha: bool = False, **more: Any) -> None:
        self.settings = VirtualServerSettings(
            name="[10.0.0.1]:tcp:80",
            protocol=6,
            members=(Members(AF_INET, 6, bytes((10, 0, 0, 1)), 1, 80),),
            real_servers=servers,
            **more,
        )
        self.engine = VirtualServer(self.settings, [[CheckerState(not alpha)] for _ in servers])
        self.pool: dict[int, int] = {}
        self.services = False
        self.told: list[str] = []

    def start(self) -> World:
        self.take(self.engine.handle_event(Startup(), 0))
        return self

    def tell(self, event: Input) -> list[str]:
        self.told.clear()
        self.take(self.engine.handle_event(event, 0))
        return list(self.told)

    def check(self, number: int, up: bool) -> list[str]:
        return self.tell(CheckerSaid(number - 1, 0, up, "TCP_CHECK", "seen"))

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case PutServices():
                    self.services = True
                case RemoveServices():
                    self.services = False
                    self.pool.clear()
                case PutDestination():
                    self.pool[action.destination.key.address[3]] = action.destination.weight
                case RemoveDestination():
                    del self.pool[action.key.address[3]]
                case ServerChanged():
                    started = " (start)" if action.starting else ""
                    self.told.append(f"RS {action.server + 1} {'UP' if action.up else 'DOWN'}{started}")
                case ServerRemoved():
                    self.told.append(f"RS {action.server + 1} REMOVED")
                case QuorumChanged():
                    self.told.append(f"VS {'UP' if action.up else 'DOWN'} {action.weight}")
                case SorryServerChanged():
                    self.told.append(f"SORRY {'on' if action.active else 'off'}")
                case WeightChanged():
                    self.told.append(f"WEIGHT {action.server + 1} {action.old}->{action.new}")
                case SuspendCheckers() | ResumeCheckers():
                    self.told.append(type(action).__name__)
                case _:
                    raise AssertionError(action)


def test_real_servers_are_in_the_pool_from_the_start_without_alpha() -> None:
    world = World(real(1), real(2, weight=5)).start()
    assert world.services
    assert world.pool == {1: 1, 2: 5}
    assert world.told == ["RS 1 UP (start)", "RS 2 UP (start)", "VS UP 6"]


def test_without_a_sorry_server_those_alive_stay_when_the_quorum_is_lost() -> None:
    """quorum 3, hysteresis 1, weight 3: the quorum is never gained, and its loss never told."""
    world = World(real(1), real(2), real(3), quorum=3, hysteresis=1).start()
    assert world.told == [f"RS {n} UP (start)" for n in (1, 2, 3)]
    assert world.check(1, False) == ["RS 1 DOWN"]
    assert world.check(2, False) == ["RS 2 DOWN"]
    assert world.pool == {3: 1}
    assert world.check(1, True) == ["RS 1 UP"]
    assert world.check(2, True) == ["RS 2 UP"]
    assert world.pool == {1: 1, 2: 1, 3: 1}
    assert not world.engine.snapshot().quorum_up


def test_the_sorry_server_takes_the_place_of_the_pool() -> None:
    world = World(real(1), real(2, inhibit=True), real(3), quorum=2, sorry_server=SORRY).start()
    assert world.check(1, False) == ["RS 1 DOWN"]
    assert world.pool == {2: 1, 3: 1}
    assert world.check(2, False) == ["RS 2 DOWN", "VS DOWN 1", "SORRY on"]
    assert world.pool == {2: 0, 99: 1}
    assert world.check(1, True) == ["RS 1 UP", "VS UP 2", "SORRY off"]
    assert world.pool == {1: 1, 2: 0, 3: 1}
    assert world.check(2, True) == ["RS 2 UP"]
    assert world.pool == {1: 1, 2: 1, 3: 1}
    world.check(1, False)
    world.check(2, False)
    assert world.check(3, False) == ["RS 3 DOWN"]
    assert world.check(1, True) == ["RS 1 UP"]  # one is not enough: it is only noted
    assert world.pool == {2: 0, 99: 1}


def test_a_sorry_server_that_is_inhibited_stays_with_weight_0() -> None:
    world = World(real(1), real(2), sorry_server=INHIBITED_SORRY).start()
    assert world.pool == {1: 1, 2: 1, 99: 0}
    world.check(1, False)
    world.check(2, False)
    assert world.pool == {99: 1}
    world.check(1, True)
    assert world.pool == {1: 1, 99: 0}


def test_alpha_starts_down_and_with_the_sorry_server() -> None:
    world = World(real(1), real(2), alpha=True, sorry_server=SORRY).start()
    assert world.told == ["VS DOWN 0", "SORRY on"]
    assert world.pool == {99: 1}
    assert world.check(1, True) == ["RS 1 UP", "VS UP 1", "SORRY off"]
    assert world.check(2, True) == ["RS 2 UP"]
    assert world.pool == {1: 1, 2: 1}


def test_without_the_quorum_at_the_start_the_sorry_server_stands_in() -> None:
    """3 is below 3+1, though not below 3-1."""
    world = World(real(1), real(2), real(3), quorum=3, hysteresis=1, sorry_server=SORRY).start()
    assert world.told[3:] == ["VS DOWN 3", "SORRY on"]
    assert world.pool == {99: 1}


def test_without_a_sorry_server_nothing_is_told_before_the_quorum_is_gained() -> None:
    world = World(real(1), real(2), alpha=True).start()
    assert world.told == []
    assert world.check(2, True) == ["RS 2 UP", "VS UP 1"]
    assert world.check(2, False) == ["RS 2 DOWN", "VS DOWN 0"]


def test_alpha_with_inhibit_starts_with_weight_0() -> None:
    assert World(real(1, inhibit=True), real(2), alpha=True).start().pool == {1: 0}


def test_the_first_failure_of_an_alpha_checker_is_told_once() -> None:
    world = World(real(1), real(2), alpha=True).start()
    failed = CheckerFailed(0, 0, "TCP_CHECK", "refused")
    assert world.tell(failed) == ["RS 1 DOWN"]
    assert world.tell(failed) == []
    world.check(1, True)
    assert world.tell(failed) == []  # it is up: what counts is its verdict


def test_a_real_server_is_up_when_all_its_checkers_say_so() -> None:
    settings = World(real(1)).settings
    engine = VirtualServer(settings, [[CheckerState(True), CheckerState(True)]])
    engine.handle_event(Startup(), 0)
    assert engine.handle_event(CheckerSaid(0, 0, False, "A", ""), 0)
    assert engine.handle_event(CheckerSaid(0, 1, False, "B", ""), 0) == []
    assert engine.handle_event(CheckerSaid(0, 0, True, "A", ""), 0) == []
    assert not engine.snapshot().servers[0].alive
    engine.handle_event(CheckerSaid(0, 1, True, "B", ""), 0)
    assert engine.snapshot().servers[0].alive


def test_dynamic_weights_move_pool_and_quorum() -> None:
    world = World(real(1), real(2, weight=5), quorum=3, sorry_server=SORRY).start()
    assert world.tell(CheckerWeighed(0, 0, difference=6)) == ["WEIGHT 1 1->7"]
    assert world.tell(CheckerWeighed(0, 0, difference=-20)) == ["WEIGHT 1 7->0"]
    assert world.pool == {1: 0, 2: 5}
    assert world.tell(CheckerWeighed(1, 0, difference=-4)) == ["WEIGHT 2 5->1", "VS DOWN 1", "SORRY on"]
    assert world.tell(CheckerWeighed(1, 0, difference=-20)) == ["WEIGHT 2 1->0"]
    assert world.tell(CheckerWeighed(0, 0)) == ["WEIGHT 1 0->1"]
    assert world.pool == {99: 1}


def test_a_weight_that_a_checker_says_adds_to_a_difference() -> None:
    settings = World(real(1, weight=10)).settings
    engine = VirtualServer(settings, [[CheckerState(True), CheckerState(True)]])
    engine.handle_event(Startup(), 0)
    engine.handle_event(CheckerWeighed(0, 0, weight=4), 0)
    engine.handle_event(CheckerWeighed(0, 1, difference=3), 0)
    assert engine.snapshot().servers[0].effective_weight == 7
    engine.handle_event(CheckerWeighed(0, 1, difference=2**31), 0)
    assert engine.snapshot().servers[0].effective_weight == 2**31 - 1


def test_the_stop_is_told_with_omega_alone() -> None:
    quiet = World(real(1), real(2)).start()
    assert quiet.tell(Shutdown()) == []
    assert not quiet.services
    world = World(real(1), real(2), real(3), omega=True).start()
    world.check(3, False)
    assert world.tell(Shutdown()) == ["RS 1 REMOVED", "RS 2 REMOVED", "VS DOWN 0"]
    assert not world.services
    assert world.tell(Shutdown()) == []


def test_checks_are_suspended_while_the_address_is_elsewhere() -> None:
    world = World(real(1), ha_suspend=True).start()
    assert world.tell(AddressPresent(True)) == []
    assert world.tell(AddressPresent(False)) == ["SuspendCheckers"]
    assert world.engine.snapshot().suspended
    assert world.tell(AddressPresent(True)) == ["ResumeCheckers"]
    assert world.pool == {1: 1}


def test_servers_that_began_with_the_same_go_their_own_ways() -> None:
    settings = World(real(1), real(2)).settings
    engine = VirtualServer(settings, [(CheckerState(True),)] * 2)
    engine.handle_event(Startup(), 0)
    engine.handle_event(CheckerWeighed(0, 0, weight=3), 0)
    engine.handle_event(CheckerSaid(1, 0, False, "TCP_CHECK", "seen"), 0)
    assert [(each.alive, each.effective_weight) for each in engine.snapshot().servers] == [(True, 3), (False, 1)]
    engine.handle_event(CheckerSaid(1, 0, True, "TCP_CHECK", "seen"), 0)
    assert [(each.alive, each.effective_weight) for each in engine.snapshot().servers] == [(True, 3), (True, 1)]


def test_a_destination_that_stays_is_the_one_that_was_put() -> None:
    world = World(real(1), real(2))
    actions = world.engine.handle_event(Startup(), 0)
    world.take(actions)
    put = [action.destination for action in actions if isinstance(action, PutDestination)]
    assert [id(each) for each in world.engine.desired()] == [id(each) for each in put]
    world.check(1, False)
    assert [id(each) for each in world.engine.desired()] == [id(put[1])]


def test_a_reload_keeps_what_is_known() -> None:
    world = World(real(1), real(2), real(3)).start()
    world.check(3, False)
    world.told.clear()
    new = World(real(1, weight=5), real(3), real(4)).settings
    states = [[CheckerState(True)], [CheckerState(False)], [CheckerState(True)]]
    world.take(world.engine.reconfigure(new, states))
    assert world.told == ["RS 2 REMOVED", "RS 3 UP (start)"]
    assert world.pool == {1: 5, 4: 1}
    world.told.clear()
    world.take(world.engine.reconfigure(new, states))
    assert world.told == []


def test_a_reload_with_a_higher_quorum_loses_it() -> None:
    world = World(real(1, weight=5), real(2)).start()
    world.told.clear()
    new = World(real(1, weight=5), real(2), quorum=8, sorry_server=SORRY).settings
    world.take(world.engine.reconfigure(new, [[CheckerState(True)]] * 2))
    assert world.told == ["VS DOWN 6", "SORRY on"]
    assert world.pool == {99: 1}
    world.told.clear()
    without = World(real(1, weight=5), real(2), quorum=8).settings
    world.take(world.engine.reconfigure(without, [[CheckerState(True)]] * 2))
    assert world.pool == {1: 5, 2: 1}
    assert world.told == ["SORRY off"]


def test_a_sorry_server_that_a_reload_brings_stands_in_at_once() -> None:
    world = World(real(1), real(2)).start()
    world.check(1, False)
    world.check(2, False)
    world.told.clear()
    new = World(real(1), real(2), sorry_server=SORRY).settings
    world.take(world.engine.reconfigure(new, [[CheckerState(False)], [CheckerState(False)]]))
    assert world.told == ["SORRY on"]
    assert world.pool == {99: 1}


def test_a_virtual_server_that_a_reload_takes_away_is_told_as_down() -> None:
    world = World(real(1), real(2)).start()
    world.check(2, False)
    world.told.clear()
    world.take(world.engine.removed())
    assert world.told == ["RS 1 REMOVED", "VS DOWN 0"]
    assert not world.services


def test_other_inputs_are_refused() -> None:
    with pytest.raises(TypeError):
        World(real(1)).engine.handle_event(Input(), 0)


def test_an_operators_weight_is_in_place_of_all_others() -> None:
    world = World(real(1, weight=5), real(2, weight=5)).start()
    world.tell(WeightOrdered(0, 0, "new disk"))
    assert world.pool == {1: 0, 2: 5}
    world.tell(CheckerWeighed(0, 0, weight=9))
    assert world.pool == {1: 0, 2: 5}
    assert world.engine.snapshot().servers[0].ordered == 0
    assert world.engine.snapshot().servers[0].weight == 5
    world.check(1, False)
    world.check(1, True)
    assert world.pool == {1: 0, 2: 5}
    world.take(world.engine.reconfigure(world.settings, [[CheckerState(True)], [CheckerState(True)]]))
    assert world.pool == {1: 0, 2: 5}  # a reload keeps it
    world.tell(WeightOrdered(0, None))
    assert world.pool == {1: 5, 2: 5}
    assert world.engine.snapshot().servers[0].ordered is None


def test_an_order_for_a_server_that_is_down_waits_for_it() -> None:
    world = World(real(1, weight=5), real(2, weight=5)).start()
    world.check(1, False)
    world.tell(WeightOrdered(0, 2))
    assert world.pool == {2: 5}
    world.check(1, True)
    assert world.pool == {1: 2, 2: 5}


def test_draining_counts_for_the_quorum() -> None:
    """As a weight of 0 in the configuration does: with nothing left the sorry server stands in."""
    world = World(real(1), real(2), sorry_server=SORRY).start()
    world.tell(WeightOrdered(0, 0))
    world.tell(WeightOrdered(1, 0))
    assert world.pool == {99: 1}
    world.tell(WeightOrdered(1, None))
    assert world.pool == {1: 0, 2: 1}
