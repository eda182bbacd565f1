"""Scripts of one item in order, one at a time; those of others are not held up; nothing is lost."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.notify.queues import ALLOWANCE, GRACE, PATIENCE, Action, ScriptQueues, SignalScript, StartScript
from kactl_agent.tracking.settings import Executable


def call(name: str) -> Executable:
    return Executable((name,), 0, 0)


def names(actions: list[Action]) -> list[str]:
    return [action.executable.arguments[0] for action in actions if isinstance(action, StartScript)]


def numbers(actions: list[Action]) -> list[int]:
    return [action.number for action in actions if isinstance(action, StartScript)]


def test_scripts_of_an_item_wait_for_each_other() -> None:
    queues = ScriptQueues()
    first = queues.add("V1", (call("master"), call("any")), 0)
    assert names(first) == ["master"]
    assert queues.add("V1", (call("backup"),), 1) == []
    second = queues.ended(numbers(first)[0], 2)
    assert names(second) == ["any"]
    third = queues.ended(numbers(second)[0], 3)
    assert names(third) == ["backup"]
    assert queues.ended(numbers(third)[0], 4) == []
    assert queues.idle


def test_a_script_that_does_not_end_delays_its_own_item_alone() -> None:
    queues = ScriptQueues()
    queues.add("V1", (call("stuck"), call("later")), 0)
    other = queues.add("V2", (call("a"), call("b")), 0)
    assert names(other) == ["a"]
    assert names(queues.ended(numbers(other)[0], 1)) == ["b"]
    assert queues.waiting == 1
    assert queues.deadline() is None  # for as long as the agent runs


def test_no_more_run_at_once_than_the_spawner_takes_and_none_is_lost() -> None:
    queues = ScriptQueues(at_once=2)
    started = [
        *queues.add("V1", (call("1"),), 0),
        *queues.add("V2", (call("2"),), 0),
        *queues.add("V3", (call("3"),), 0),
    ]
    assert names(started) == ["1", "2"]
    assert names(queues.ended(numbers(started)[0], 1)) == ["3"]


def test_at_the_stop_a_script_has_a_moment_then_the_next_one_starts() -> None:
    queues = ScriptQueues()
    running = queues.add("V1", (call("stuck"),), 0)
    queues.stop(100)
    assert queues.add("V1", (call("stop"),), 100) == []
    assert queues.deadline() == 100 + ALLOWANCE
    [terminate] = queues.handle_timer(100 + ALLOWANCE)
    assert terminate == SignalScript(numbers(running)[0], kill=False)
    [kill] = queues.handle_timer(100 + ALLOWANCE + GRACE)
    assert kill == SignalScript(numbers(running)[0], kill=True)
    now = 100 + ALLOWANCE + GRACE + 5
    last = queues.ended(numbers(running)[0], now)
    assert names(last) == ["stop"]
    assert queues.handle_timer(now + ALLOWANCE) == [SignalScript(numbers(last)[0], kill=False)]
    assert queues.ended(numbers(last)[0], now + ALLOWANCE + 1) == []
    assert queues.idle
    assert queues.deadline() is None


def test_what_cannot_wait_any_longer_is_started_all_the_same() -> None:
    queues = ScriptQueues()
    queues.add("V1", tuple(call(str(number)) for number in range(50)), 0)
    queues.stop(0)
    queues.add("V1", (call("stop"),), 0)
    now, started = 0, ["0"]
    while not queues.idle:
        deadline = queues.deadline()
        if deadline is None:
            break
        now = deadline
        started += names(queues.handle_timer(now))
        assert now <= PATIENCE + ALLOWANCE + GRACE
    assert started == [*map(str, range(50)), "stop"]


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 3)), max_size=30), st.randoms(use_true_random=False))
def test_every_script_is_started_once_and_in_the_order_of_its_item(
    events: list[tuple[str, int]], chance: Random
) -> None:
    queues = ScriptQueues(at_once=2)
    running: dict[int, str] = {}
    started: dict[str, list[str]] = {"A": [], "B": [], "C": []}
    wanted: dict[str, list[str]] = {"A": [], "B": [], "C": []}

    def take(actions: list[Action]) -> None:
        for action in actions:
            assert isinstance(action, StartScript)
            name = action.executable.arguments[0]
            assert name[0] not in running.values()
            running[action.number] = name[0]
            started[name[0]].append(name)
        assert len(running) <= 2

    for place, (queue, count) in enumerate(events):
        calls = tuple(call(f"{queue}{place}.{number}") for number in range(count))
        wanted[queue] += [each.arguments[0] for each in calls]
        take(queues.add(queue, calls, place))
        if running and chance.random() < 0.5:
            number = chance.choice(sorted(running))
            del running[number]
            take(queues.ended(number, place))
    while running:
        number = min(running)
        del running[number]
        take(queues.ended(number, 0))
    assert started == wanted
    assert queues.idle
