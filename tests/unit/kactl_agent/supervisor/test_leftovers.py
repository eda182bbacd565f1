"""What a dead worker left, when another one with other settings has taken over."""

from __future__ import annotations

import msgspec

from kactl_agent.ipvs.model import Timeouts
from kactl_agent.ipvs.settings import CheckersSettings
from kactl_agent.runtime.configuration import AgentConfiguration
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
