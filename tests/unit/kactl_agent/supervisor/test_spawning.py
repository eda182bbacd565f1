"""A spawner that dies, with real processes and real time."""

from __future__ import annotations

import time
from collections.abc import Callable

from kactl_agent.runtime.spawner import launch
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.spawning import SpawnerProcess, Spawning
from support.full import no_room


def test_a_spawner_for_which_there_is_no_room_is_started_when_there_is() -> None:
    poller = Poller()
    ends: list[str] = []

    def ended(how: str) -> bool:
        ends.append(how)
        return len(ends) == 1

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            poller.call_later(0.01, lambda: None)
            poller.run_once()

    spawning = Spawning(poller, ended)
    spawning.watch(SpawnerProcess(*launch()), list)
    assert spawning.process is not None
    spawning.process.kill()
    with no_room():
        until(lambda: spawning.restarts == 1)
        assert spawning.process is None
    until(lambda: spawning.process)
    assert (ends, spawning.restarts) == (["killed by SIGKILL"], 2)
    spawning.stop()
    until(lambda: spawning.process is None)
