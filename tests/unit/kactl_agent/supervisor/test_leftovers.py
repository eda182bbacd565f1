"""What a dead worker left, when another one with other settings has taken over."""

from __future__ import annotations

import msgspec
import pytest

from kactl_agent.ipvs.model import Timeouts
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.runtime.checker_frames import TimeoutsBefore
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.leftovers import Leftovers
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.worker_kinds import WORKERS, import_module, replacer


def configuration(tcp: int) -> AgentConfiguration:
    settings = CheckersSettings(timeouts=Timeouts(tcp))
    return AgentConfiguration(revision=str(tcp), file="f", checkers=msgspec.msgpack.encode(settings))


def test_the_same_settings_leave_nothing_to_take_back() -> None:
    assert replacer("checkers", [configuration(1)], configuration(1)) is None
    assert replacer("checkers", [], configuration(1)) is None


def test_other_settings_are_looked_through() -> None:
    target = replacer("checkers", [configuration(1), configuration(2)], configuration(2))
    assert target is not None
    assert target() == 0  # there are no virtual servers in them


@pytest.mark.parametrize("worker", [name for name, kind in WORKERS.items() if kind.hands_over])
def test_who_hands_something_over_can_take_it_back(worker: str) -> None:
    module = import_module(worker)
    assert callable(module.reclaim_replaced)
    assert callable(module.reclaim_at_end)


class Bench:
    """Who takes away what `left` has made cannot read it, and complains: that is how it is seen."""

    left = AgentConfiguration(revision="1", file="f", checkers=b"\xc1")
    nothing = AgentConfiguration(revision="2", file="f")

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.leftovers = Leftovers(Poller(), lambda *line: self.log.append(line))


def test_a_worker_that_dies_while_it_leaves_has_made_what_it_ran_before() -> None:
    bench = Bench()
    bench.leftovers.leaves("checkers", [bench.left])
    bench.leftovers.note("checkers", [bench.nothing])
    bench.leftovers.taken_over("checkers", configuration(1))
    assert len(bench.log) == 1


def test_a_worker_that_has_left_is_forgotten() -> None:
    bench = Bench()
    bench.leftovers.leaves("checkers", [bench.left])
    bench.leftovers.gone("checkers")
    bench.leftovers.note("checkers", [bench.nothing])  # another one, later
    bench.leftovers.reclaim_at_end()
    assert bench.log == []


def test_what_there_is_no_work_for_any_more_goes_at_once() -> None:
    bench = Bench()
    bench.leftovers.note("checkers", [bench.left])
    bench.leftovers.settle(configuration(1), ())  # the next one takes it over
    bench.leftovers.settle(bench.nothing, ("checkers",))  # or who is leaving takes it away
    assert bench.log == []
    bench.leftovers.settle(bench.nothing, ())
    bench.leftovers.settle(bench.nothing, ())
    bench.leftovers.reclaim_at_end()
    assert len(bench.log) == 1


def test_the_first_worker_knows_what_was_there_before() -> None:
    leftovers = Bench().leftovers
    assert leftovers.for_next("checkers") is None
    first = TimeoutsBefore(Timeouts(900, 120, 300))
    leftovers.found("checkers", first)
    leftovers.found("checkers", TimeoutsBefore(Timeouts(100, 120, 300)))  # from one that follows a dead one
    assert leftovers.for_next("checkers") == first
    leftovers.found("checkers", TimeoutsBefore(None))
    assert leftovers.for_next("checkers") is None
    leftovers.found("checkers", first)
    leftovers.gone("checkers")  # which puts them back
    assert leftovers.for_next("checkers") is None


@pytest.mark.parametrize(("keep", "told"), [(False, 1), (True, 0)])
def test_keep_ipvs_holds_for_what_a_dead_worker_left_too(*, keep: bool, told: int) -> None:
    bench = Bench()
    bench.leftovers.note("checkers", [bench.left])
    bench.leftovers.leave(addresses=False, services=keep)
    bench.leftovers.reclaim_at_end()
    assert len(bench.log) == told
