"""What a dead worker left, when another one with other settings has taken over."""

from __future__ import annotations

import msgspec
import pytest

from kactl_agent.ipvs.model import Timeouts
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.leftovers import Leftovers
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.worker_kinds import WORKERS, replacer


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


def test_only_the_checkers_worker_leaves_what_the_next_one_may_not_know_of() -> None:
    assert [name for name, kind in WORKERS.items() if kind.reclaims_replaced] == ["checkers"]


@pytest.mark.parametrize(("keep", "told"), [(False, 1), (True, 0)])
def test_keep_ipvs_holds_for_what_a_dead_worker_left_too(*, keep: bool, told: int) -> None:
    """Who takes it away cannot read this configuration, and complains if it is asked to."""
    log: list[tuple[str, str]] = []
    leftovers = Leftovers(Poller(), lambda *line: log.append(line))
    leftovers.note("checkers", [AgentConfiguration(revision="1", file="f", checkers=b"\xc1")])
    leftovers.leave(addresses=False, services=keep)
    leftovers.reclaim_at_end()
    assert len(log) == told
