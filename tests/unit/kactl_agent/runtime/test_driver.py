from __future__ import annotations

from collections.abc import Sequence

import pytest

from kactl_agent.runtime.driver import Driver
from kactl_agent.vrrp.actions import Action, ActionFailed, Input, PacketMeta, Report, Startup

META = PacketMeta(b"\1\1\1\1", b"\2\2\2\2", 255, "eth0")


class ScriptedEngine:
    """Deadlines and actions as the test sets them; `calls` has what it was told."""

    def __init__(self) -> None:
        self.when: int | None = None
        self.answers: list[Action] = []
        self.calls: list[tuple[str, object, int]] = []

    def _answer(self, *call: object) -> Sequence[Action]:
        self.calls.append(call)
        answers, self.answers = self.answers, []
        return answers

    def receive(self, data: bytes, meta: PacketMeta, now: int) -> Sequence[Action]:
        return self._answer("packet", data, now)

    def handle_timer(self, now: int) -> Sequence[Action]:
        self.when = None
        return self._answer("timer", None, now)

    def handle_event(self, event: Input, now: int) -> Sequence[Action]:
        return self._answer("event", event, now)

    def deadline(self) -> int | None:
        return self.when


class Bench:
    def __init__(self) -> None:
        self.now = 1000
        self.armed: list[int | None] = []
        self.performed: list[tuple[str, Action]] = []
        self.changed: list[str] = []
        self.failing: set[str] = set()
        self.driver = Driver(
            lambda: self.now, self.perform, self.armed.append, lambda name, _now: self.changed.append(name)
        )

    def perform(self, name: str, action: Action, now: int) -> ActionFailed | None:
        self.performed.append((name, action))
        code = action.code if isinstance(action, Report) else ""
        return ActionFailed(code, "no") if code in self.failing else None

    def engine(self, name: str, when: int | None = None) -> ScriptedEngine:
        engine = ScriptedEngine()
        engine.when = when
        self.driver.add(name, engine)
        return engine


def test_the_earliest_deadline_is_armed() -> None:
    bench = Bench()
    one = bench.engine("one", 3000)
    bench.engine("two", 2000)
    assert bench.armed == [3000, 2000]
    one.when = 1500
    bench.driver.tell("one", Startup())
    assert bench.armed[-1] == 1500
    one.when = None
    bench.driver.receive("one", b"x", META)
    assert bench.armed[-1] == 2000


def test_a_deadline_that_stays_is_not_armed_again() -> None:
    bench = Bench()
    bench.engine("one", 3000)
    bench.driver.receive("one", b"x", META)
    assert bench.armed == [3000]


def test_due_timers_run_in_order_and_lateness_is_measured() -> None:
    bench = Bench()
    engines = {name: bench.engine(name, when) for name, when in (("b", 2000), ("a", 1500), ("c", 9000))}
    bench.now = 2500
    bench.driver.run_due()
    assert bench.changed == ["a", "b"]
    assert engines["c"].calls == []
    assert bench.armed[-1] == 9000
    assert (bench.driver.lateness.timers, bench.driver.lateness.maximum) == (2, 1000)


def test_an_early_call_arms_again() -> None:
    bench = Bench()
    engine = bench.engine("one", 3000)
    bench.now = 2999
    bench.driver.run_due()
    assert engine.calls == []
    assert bench.armed == [3000, 3000]


def test_actions_are_carried_out_in_order() -> None:
    bench = Bench()
    engine = bench.engine("one")
    engine.answers = [Report(code, "") for code in "abc"]
    bench.driver.tell("one", Startup())
    assert [action.code for _name, action in bench.performed] == ["a", "b", "c"]


def test_a_failure_returns_as_an_input_and_what_it_causes_comes_last() -> None:
    bench = Bench()
    bench.failing = {"b"}
    engine = bench.engine("one")
    engine.answers = [Report(code, "") for code in "abc"]
    original = engine.handle_event

    def answering(event: Input, now: int) -> Sequence[Action]:
        if isinstance(event, ActionFailed):
            engine.answers = [Report("after", "")]
        return original(event, now)

    engine.handle_event = answering
    bench.driver.receive("one", b"x", META)
    assert [action.code for _name, action in bench.performed] == ["a", "b", "c", "after"]
    assert engine.calls[-1][1] == ActionFailed("b", "no")


def test_a_removed_engine_is_never_called() -> None:
    bench = Bench()
    engine = bench.engine("one", 2000)
    bench.driver.remove("one")
    assert bench.armed[-1] is None
    bench.now = 5000
    bench.driver.run_due()
    assert engine.calls == []
    again = bench.engine("one", 9000)
    bench.driver.run_due()
    assert again.calls == []


def test_names_are_unique() -> None:
    bench = Bench()
    bench.engine("one")
    with pytest.raises(ValueError, match="one"):
        bench.engine("one")


def test_many_engines_stay_cheap() -> None:
    """Deadlines that are overtaken all the time, as in BACKUP, do not pile up."""
    bench = Bench()
    engine = bench.engine("one", 2000)
    for step in range(10_000):
        bench.now += 1
        engine.when = bench.now + 100
        bench.driver.receive("one", b"x", META)
        if step % 50 == 0:
            bench.driver.run_due()
    assert len(bench.driver._heap) < 300
