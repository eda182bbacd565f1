from __future__ import annotations

from collections.abc import Container, Sequence

import pytest

from kactl_agent.runtime.driver import Driver
from kactl_agent.vrrp.actions import Action, ActionFailed, Input, PacketMeta, Report, Startup
from kactl_agent.vrrp.settings import Family, VrrpSettings

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

    def reconfigure(self, settings: VrrpSettings, now: int) -> Sequence[Action]:
        return self._answer("settings", settings.name, now)

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


def test_other_settings_reach_the_engine() -> None:
    bench = Bench()
    engine = bench.engine("a", 5000)
    engine.answers = [Report("changed", "")]
    new = VrrpSettings(name="new", interface="eth0", virtual_router_id=1, version=3, family=Family.IPV4, priority=1)
    bench.driver.reconfigure("a", new)
    assert engine.calls == [("settings", "new", 1000)]
    assert bench.performed == [("a", Report("changed", ""))]


def test_renamed_engines_keep_their_deadlines_even_when_names_are_swapped() -> None:
    bench = Bench()
    one, two = bench.engine("a", 2000), bench.engine("b", 3000)
    bench.driver.rename({"a": "b", "b": "a"})
    one.answers = [Report("x", "")]
    bench.now = 2000
    bench.driver.run_due()
    assert bench.performed == [("b", Report("x", ""))]
    assert two.calls == []
    assert bench.armed[-1] == 3000


def test_overdue() -> None:
    bench = Bench()
    assert bench.driver.overdue() == 0
    bench.engine("a", 2000)
    assert bench.driver.overdue() == 0
    bench.now = 2500
    assert bench.driver.overdue() == 500


class ScriptedGroup:
    """Makes another engine act whenever there is news."""

    def __init__(self, *members: str) -> None:
        self.members = members
        self.news = True
        self.followed: list[tuple[str, tuple[Action, ...]]] = []
        self.then: list[tuple[str, Action]] = []
        self.staying: Container[str] = ()
        self.touched: list[str] = []

    def is_news(self, _name: str, _actions: Sequence[Action]) -> bool:
        return self.news

    def follow(self, name: str, actions: Sequence[Action], _now: int) -> Sequence[tuple[str, Action]]:
        self.followed.append((name, tuple(actions)))
        then, self.then = self.then, []
        self.touched = [other for other in self.members if other != name]
        return [*((name, action) for action in actions), *then]

    def release(self, _now: int, staying: Container[str]) -> Sequence[tuple[str, Action]]:
        self.staying = staying
        return self.then


def test_a_group_hears_what_its_members_do_and_members_are_armed_anew() -> None:
    bench = Bench()
    one, two = bench.engine("a", 2000), bench.engine("b")
    group = ScriptedGroup("a", "b")
    bench.driver.join(group)
    one.answers = [Report("mine", "")]
    group.then = [("b", Report("too", ""))]
    two.when = 1500  # as if the group had told it something
    bench.driver.tell("a", Startup())
    assert group.followed == [("a", (Report("mine", ""),))]
    assert bench.performed == [("a", Report("mine", "")), ("b", Report("too", ""))]
    assert set(bench.changed) == {"a", "b"}
    assert bench.armed[-1] == 1500


def test_a_group_is_not_bothered_without_news() -> None:
    bench = Bench()
    bench.engine("a"), bench.engine("b")
    group = ScriptedGroup("a", "b")
    group.news = False
    bench.driver.join(group)
    bench.driver.receive("a", b"x", META)
    assert group.followed == []
    assert bench.changed == ["a"]


def test_a_failure_of_a_member_goes_to_that_member() -> None:
    bench = Bench()
    bench.engine("a")
    two = bench.engine("b")
    group = ScriptedGroup("a", "b")
    bench.driver.join(group)
    group.then = [("b", Report("breaks", ""))]
    bench.failing = {"breaks"}
    bench.driver.tell("a", Startup())
    assert two.calls == [("event", ActionFailed("breaks", "no"), 1000)]
    assert group.followed[-1][0] == "b"


def test_a_group_that_ends_is_asked_no_more() -> None:
    bench = Bench()
    one, two = bench.engine("a"), bench.engine("b")
    group = ScriptedGroup("a", "b")
    bench.driver.join(group)
    group.then = [("b", Report("free", ""))]
    two.when = 4000
    bench.driver.part(group, ["a"])
    assert group.staying == ["a"]
    assert bench.performed == [("b", Report("free", ""))]
    assert bench.armed[-1] == 4000
    bench.driver.tell("a", Startup())
    assert group.followed == []
    assert one.calls
