"""Sync groups, rule by rule (keepalived), and the sequences that were observed of it."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.vrrp.actions import (
    Action,
    AddAddresses,
    AddressLost,
    Announce,
    Drain,
    GroupTransition,
    Input,
    LowerPriorityReceived,
    PacketMeta,
    RemoveAddresses,
    SendAdvert,
    Shutdown,
    Startup,
    State,
    SyncAnnounce,
    SyncTo,
    TrackerFault,
    TrackerPending,
    Transition,
)
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.recording import Recorder
from kactl_agent.vrrp.settings import SECOND, SyncGroupSettings
from kactl_agent.vrrp.sync_group import SyncGroup, joined
from support.vrrp import PEER, VIP, advert, due, interface, make_settings, transition

DOWN_100 = 3_609_375_000
SKEW_100 = 609_375_000
Done = list[tuple[str, Action]]


class Group:
    """A group of instances and what they do, as a driver sees it."""

    def __init__(self, *priorities: int, **changes: Any) -> None:
        names = [f"V{number}" for number in range(1, len(priorities) + 1)]
        self.engines = {
            name: VrrpInstance(
                make_settings(name=name, virtual_router_id=number, priority=priority, sync_group="G", **changes)
            )
            for number, (name, priority) in enumerate(zip(names, priorities, strict=True), 1)
        }
        self.group = SyncGroup(SyncGroupSettings(name="G", members=tuple(names)), self.engines)
        for engine in self.engines.values():
            engine.handle_event(interface(), 0)

    def tell(self, name: str, event: Input, now: int) -> Done:
        return self.group.follow(name, self.engines[name].handle_event(event, now), now)

    def hear(self, name: str, priority: int, now: int, source: bytes = PEER) -> Done:
        data: bytes
        meta: PacketMeta
        data, meta = advert(priority, source, settings=self.engines[name].settings)
        return self.group.follow(name, self.engines[name].receive(data, meta, now), now)

    def timer(self, name: str, now: int) -> Done:
        return self.group.follow(name, self.engines[name].handle_timer(now), now)

    def start(self, now: int = 0) -> Done:
        return [entry for name in self.engines for entry in self.tell(name, Startup(), now)]

    @property
    def states(self) -> list[str]:
        return [engine.state.value for engine in self.engines.values()]

    @property
    def wishes(self) -> list[bool]:
        return [engine.wants_master for engine in self.engines.values()]


def started(*priorities: int, **changes: Any) -> Group:
    group = Group(*priorities, **changes)
    group.start()
    return group


def master(*priorities: int, **changes: Any) -> tuple[Group, int]:
    group = started(*priorities, **changes)
    now = max(due(engine) for engine in group.engines.values())
    for name in group.engines:
        group.timer(name, now)
    assert set(group.states) == {"MASTER"}
    return group, now


def changes_of(done: Done) -> list[str]:
    """`V1 MASTER`, in order; the group's own behind them."""
    return [f"{name} {action.new.value}" for name, action in done if isinstance(action, Transition | GroupTransition)]


def sent(done: Done) -> list[tuple[str, int]]:
    return [(name, action.priority) for name, action in done if isinstance(action, SendAdvert)]


# -- to MASTER --------------------------------------------------------------------------------------------------------


def test_who_timed_out_first_is_held_until_every_member_wants_it() -> None:
    """Observed: V1 times out and only wants MASTER; when V2 does, V2 goes MASTER and V1 follows."""
    group = started(100, 100)
    assert group.timer("V1", DOWN_100) == []
    assert (group.states, group.wishes) == (["BACKUP", "BACKUP"], [True, False])
    done = group.timer("V2", DOWN_100 + SECOND)
    assert changes_of(done) == ["V2 MASTER", "V1 MASTER", "G MASTER"]
    assert sent(done) == [("V2", 100), ("V1", 100)]
    assert group.wishes == [False, False]
    assert group.group.state is State.MASTER


def test_the_transition_says_what_each_member_waited_for() -> None:
    group = started(100, 100)
    group.hear("V1", 150, SECOND)
    group.timer("V2", DOWN_100)
    done = group.timer("V1", SECOND + DOWN_100)
    first, second = (action for _, action in done if isinstance(action, Transition))
    assert first.detail == (
        "all members of sync group G want MASTER; this one: no advert from 192.0.2.9 for 3.609 s (master_down_interval)"
    )
    assert "no advert heard" in second.detail
    (group_transition,) = (action for _, action in done if isinstance(action, GroupTransition))
    assert (group_transition.cause, group_transition.old) == ("master_down_timer", State.BACKUP)
    assert group_transition.detail == first.detail


def test_a_wish_ends_with_an_advert_that_is_accepted() -> None:
    group = started(100, 100)
    group.timer("V1", DOWN_100)
    group.hear("V1", 100, DOWN_100 + 1)
    assert group.wishes == [False, False]
    assert changes_of(group.timer("V2", DOWN_100 + 2)) == []
    assert group.states == ["BACKUP", "BACKUP"]


def test_a_wish_outlasts_an_advert_that_is_discarded() -> None:
    group = started(100, 100)
    group.timer("V1", DOWN_100)
    group.hear("V1", 50, DOWN_100 + 1)
    assert group.wishes == [True, False]
    assert due(group.engines["V1"]) == 2 * DOWN_100  # a timer runs on, so that the wish is renewed
    group.timer("V1", 2 * DOWN_100)
    assert group.wishes == [True, False]


def test_a_wish_outlasts_a_shorter_or_longer_wait_of_the_others() -> None:
    group = started(100, 100, 100)
    for name, now in (("V3", DOWN_100), ("V1", DOWN_100 + 1)):
        assert changes_of(group.timer(name, now)) == []
    assert changes_of(group.timer("V2", DOWN_100 + 2)) == ["V2 MASTER", "V1 MASTER", "V3 MASTER", "G MASTER"]


def test_a_group_of_one_is_allowed() -> None:
    group = started(100)
    assert changes_of(group.timer("V1", DOWN_100)) == ["V1 MASTER", "G MASTER"]
    assert changes_of(group.hear("V1", 200, DOWN_100 + 1)) == ["V1 BACKUP", "G BACKUP"]


def test_it_starts_as_master_only_if_all_members_are_owners() -> None:
    group = started(255, 255)
    assert group.states == ["BACKUP", "BACKUP"]
    assert [due(engine) for engine in group.engines.values()] == [0, 0]
    group.timer("V1", 0)
    assert changes_of(group.timer("V2", 0)) == ["V2 MASTER", "V1 MASTER", "G MASTER"]
    mixed = started(255, 100)
    mixed.timer("V1", 0)
    assert (mixed.states, mixed.wishes) == (["BACKUP", "BACKUP"], [True, False])


def test_the_group_waits_for_a_member_that_waits_for_a_tracker() -> None:
    group = Group(100, 100)
    group.tell("V1", TrackerPending("track_script chk", True), 0)
    group.start()
    assert group.states == ["INIT", "BACKUP"]
    assert group.group.state is State.INIT
    group.timer("V2", DOWN_100)
    assert group.states == ["INIT", "BACKUP"]
    done = group.tell("V1", TrackerPending("track_script chk", False), DOWN_100)
    assert changes_of(done) == ["V1 BACKUP", "G BACKUP"]
    assert changes_of(group.timer("V1", 2 * DOWN_100)) == ["V1 MASTER", "V2 MASTER", "G MASTER"]


# -- to BACKUP --------------------------------------------------------------------------------------------------------


def test_a_member_that_yields_takes_all_to_backup() -> None:
    """keepalived 2.2.7, observed: without priority 0, which is for faults and the end."""
    group, now = master(100, 100, 100)
    done = group.hear("V2", 200, now + 1)
    assert changes_of(done) == ["V2 BACKUP", "V1 BACKUP", "V3 BACKUP", "G BACKUP"]
    assert sent(done) == []
    assert [name for name, action in done if isinstance(action, RemoveAddresses)] == ["V2", "V1", "V3"]
    assert [due(engine) for engine in group.engines.values()] == [now + 1 + DOWN_100] * 3
    assert {engine.snapshot().cause for engine in group.engines.values()} == {"advert_higher_priority", "sync_group"}


def test_lost_addresses_are_a_matter_of_the_whole_group() -> None:
    """keepalived 2.2.7, observed: priority 0 from all, and all of them are back after the skew."""
    group, now = master(100, 100)
    done = group.tell("V1", AddressLost(VIP), now + 1)
    assert changes_of(done) == ["V1 BACKUP", "V2 BACKUP", "G BACKUP"]
    assert sent(done) == [("V1", 0), ("V2", 0)]
    assert [due(engine) for engine in group.engines.values()] == [now + 1 + SKEW_100] * 2


def test_an_advert_that_changes_nothing_changes_nothing() -> None:
    group, now = master(100, 100)
    assert changes_of(group.hear("V1", 0, now + 1)) == []
    assert group.states == ["MASTER", "MASTER"]


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_member_at_fault_takes_all_to_fault_with_priority_0() -> None:
    """Observed: V1 FAULT, the group syncs, V2 FAULT."""
    group, now = master(100, 100)
    done = group.tell("V1", TrackerFault("track_script chk", True), now + 1)
    assert changes_of(done) == ["V1 FAULT", "V2 FAULT", "G FAULT"]
    assert sent(done) == [("V1", 0), ("V2", 0)]
    assert group.engines["V2"].faults == ("sync_group G",)
    assert transition([a for name, a in done if name == "V2"]).detail == "sync_group G: V1 of its members is at fault"


def test_the_group_leaves_fault_when_no_member_is_at_fault() -> None:
    group, now = master(100, 100, 100)
    group.tell("V1", TrackerFault("track_script chk", True), now + 1)
    group.tell("V2", interface(up=False), now + 2)
    assert changes_of(group.tell("V1", TrackerFault("track_script chk", False), now + 3)) == []
    assert group.states == ["FAULT"] * 3
    done = group.tell("V2", interface(), now + 4)
    assert changes_of(done)[-1] == "G BACKUP"
    assert sorted(changes_of(done)[:-1]) == ["V1 BACKUP", "V2 BACKUP", "V3 BACKUP"]
    assert group.engines["V1"].faults == ()
    assert [due(engine) for engine in group.engines.values()] == [now + 4 + DOWN_100] * 3


def test_no_member_is_out_of_fault_while_another_one_is_in_it() -> None:
    """In any order of faults and recoveries."""
    group, now = master(100, 100)
    for step, (name, up) in enumerate([("V1", False), ("V2", False), ("V2", True), ("V2", False), ("V1", True)], 1):
        group.tell(name, interface(up=up), now + step)
        assert group.states == ["FAULT", "FAULT"]
    group.tell("V2", interface(), now + 9)
    assert group.states == ["BACKUP", "BACKUP"]


def test_a_fault_before_startup_is_one_of_the_group_after_it() -> None:
    group = Group(100, 100)
    group.tell("V1", interface(up=False), 0)
    assert changes_of(group.start()) == ["V1 FAULT", "V2 FAULT", "G FAULT"]
    done = group.tell("V1", interface(), SECOND)
    assert changes_of(done) == ["V1 BACKUP", "V2 BACKUP", "G BACKUP"]


def test_the_last_member_to_start_may_be_the_one_at_fault() -> None:
    group = Group(100, 100)
    group.tell("V2", interface(up=False), 0)
    assert changes_of(group.start()) == ["V1 BACKUP", "V2 FAULT", "V1 FAULT", "G FAULT"]


def test_owners_want_master_at_once_after_a_fault() -> None:
    group = started(255, 255)
    for name in group.engines:
        group.timer(name, 0)
    group.tell("V1", interface(up=False), SECOND)
    group.tell("V1", interface(), 2 * SECOND)
    assert group.states == ["BACKUP", "BACKUP"]
    group.timer("V1", 2 * SECOND)
    assert changes_of(group.timer("V2", 2 * SECOND)) == ["V2 MASTER", "V1 MASTER", "G MASTER"]


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_a_lower_priority_makes_all_members_announce_again() -> None:
    """keepalived: the GARP burst of garp_lower_prio_repeat, also for the other members of the group."""
    group, now = master(100, 100)
    done = group.hear("V1", 50, now + 1)
    kinds = [(name, type(action)) for name, action in done]
    assert kinds == [("V1", SendAdvert), ("V1", Announce), ("V1", LowerPriorityReceived), ("V2", Announce)]


def test_stopping_one_member_after_the_other() -> None:
    """Observed: V1 STOP, V2 STOP, and the group behind them. Nobody goes to BACKUP on the way."""
    group, now = master(100, 100)
    done = group.tell("V1", Shutdown(), now + 1) + group.tell("V2", Shutdown(), now + 1)
    assert changes_of(done) == ["V1 INIT", "V2 INIT", "G INIT"]
    assert sent(done) == [("V1", 0), ("V2", 0)]


def test_stopping_in_fault() -> None:
    group, now = master(100, 100)
    group.tell("V1", interface(up=False), now)
    done = group.tell("V1", Shutdown(), now + 1) + group.tell("V2", Shutdown(), now + 1)
    assert changes_of(done) == ["V1 INIT", "V2 INIT", "G INIT"]


def test_a_new_group_around_instances_that_disagree_goes_to_backup() -> None:
    """A reload: who was MASTER on its own cannot stay it alone."""
    group = started(100, 100)
    alone, now = VrrpInstance(make_settings(name="V1", virtual_router_id=1)), DOWN_100
    alone.handle_event(interface(), 0)
    alone.handle_event(Startup(), 0)
    alone.handle_timer(now)
    alone.reconfigure(group.engines["V1"].settings, now)
    engines = {"V1": alone, "V2": group.engines["V2"]}
    new = SyncGroup(SyncGroupSettings(name="G", members=("V1", "V2")), engines)
    assert changes_of(new.follow("V1", [], now)) == ["V1 BACKUP", "G BACKUP"]


def test_a_new_group_around_masters_is_master() -> None:
    group, _ = master(100, 100)
    new = SyncGroup(SyncGroupSettings(name="G", members=("V1", "V2")), group.engines)
    assert new.state is State.MASTER
    assert new.follow("V1", [], 0) == []
    assert (new.name, new.members) == ("G", ("V1", "V2"))


# -- a reload adds a member --------------------------------------------------------------------------------------------


class Wider(Group):
    """Masters V1 and V2, to which a reload has added V3 and V4."""

    def __init__(self) -> None:
        super().__init__(100, 100, 100, 100)
        self.now = DOWN_100
        before = SyncGroup(SyncGroupSettings(name="G", members=("V1", "V2")), self.engines)
        for event in (Startup(), None, None):
            for name in ("V1", "V2"):
                engine = self.engines[name]
                done = engine.handle_event(event, 0) if event else engine.handle_timer(self.now)
                before.follow(name, done, self.now if event is None else 0)
        assert before.told is State.MASTER
        self.group = SyncGroup(SyncGroupSettings(name="G", members=tuple(self.engines)), self.engines, before.told)


def test_a_member_that_starts_among_masters_is_one_at_once() -> None:
    """keepalived 2.2.7 takes all of them to BACKUP, and their addresses away for a Master_Down_Interval."""
    group = Wider()
    assert changes_of(group.tell("V3", Startup(), group.now)) == ["V3 BACKUP", "V3 MASTER"]
    assert changes_of(group.tell("V4", Startup(), group.now)) == ["V4 BACKUP", "V4 MASTER"]
    assert group.group.state is State.MASTER, "and nobody is told that the group is what it was"


def test_the_masters_do_not_wait_for_a_member_whose_tracker_is_in_doubt() -> None:
    group = Wider()
    group.tell("V4", Startup(), group.now)
    group.tell("V3", TrackerPending("track_script chk", True), group.now)
    assert changes_of(group.tell("V3", Startup(), group.now)) == []
    assert group.states == ["MASTER", "MASTER", "INIT", "MASTER"]
    done = group.tell("V3", TrackerPending("track_script chk", False), group.now + SECOND)
    assert changes_of(done) == ["V3 BACKUP", "V3 MASTER"]


def test_a_member_that_starts_with_a_fault_takes_the_masters_along() -> None:
    group = Wider()
    group.tell("V4", Startup(), group.now)
    group.tell("V3", TrackerFault("track_interface eth9", True), group.now)
    group.tell("V3", Startup(), group.now)
    assert set(group.states) == {"FAULT"}


def test_a_member_that_starts_when_the_masters_are_none_any_more_is_a_backup() -> None:
    group = Wider()
    group.tell("V4", Startup(), group.now)
    assert changes_of(group.hear("V1", 200, group.now)) == ["V1 BACKUP", "V2 BACKUP", "V4 BACKUP"]
    assert changes_of(group.tell("V3", Startup(), group.now)) == ["V3 BACKUP", "G BACKUP"]


def test_a_member_that_has_started_takes_the_others_to_backup_as_any_other() -> None:
    group = Wider()
    group.start(group.now)
    done = group.hear("V3", 200, group.now + SECOND)
    assert changes_of(done) == ["V3 BACKUP", "V1 BACKUP", "V2 BACKUP", "V4 BACKUP", "G BACKUP"]


def test_a_member_that_is_drained_before_it_starts_drains_the_masters() -> None:
    group = Wider()
    group.tell("V4", Startup(), group.now)
    group.tell("V3", Drain("x"), group.now)
    group.tell("V3", Startup(), group.now)
    assert set(group.states) == {"BACKUP"}
    assert all(engine.drained for name, engine in group.engines.items() if name != "V3")


def test_what_members_became_between_two_groups_is_told() -> None:
    group, now = master(100, 100)
    for name in ("V1", "V2"):
        group.engines[name].receive(*advert(200, PEER, settings=group.engines[name].settings), now)
    new = SyncGroup(SyncGroupSettings(name="G", members=("V1", "V2")), group.engines, group.group.told)
    (told,) = [action for _, action in new.follow("V1", [], now)]
    assert told == GroupTransition(
        "G", State.MASTER, State.BACKUP, "reload", "a reload has put the group together anew"
    )


def test_a_group_that_ends_lets_its_members_go() -> None:
    group, now = master(100, 100)
    group.tell("V1", interface(up=False), now)
    done = group.group.release(now + 1)
    assert changes_of(done) == ["V2 BACKUP"]
    assert group.states == ["FAULT", "BACKUP"]


def test_a_wish_is_nothing_without_a_group() -> None:
    group = started(100, 100)
    group.timer("V1", DOWN_100)
    engine = group.engines["V1"]
    engine.reconfigure(make_settings(name="V1", virtual_router_id=1), DOWN_100)
    assert not engine.wants_master
    assert transition(engine.handle_timer(due(engine))).new is State.MASTER


def test_a_recorded_member_is_a_member() -> None:
    lines: list[bytes] = []
    recorder = Recorder(make_settings(name="V1", sync_group="G"), lines.append)
    recorder.handle_event(interface(), 0)
    group = SyncGroup(SyncGroupSettings(name="G", members=("V1",)), {"V1": recorder})
    group.follow("V1", recorder.handle_event(Startup(), 0), 0)
    done = group.follow("V1", recorder.handle_timer(DOWN_100), DOWN_100)
    assert changes_of(done) == ["V1 MASTER", "G MASTER"]
    assert b'"input":"SyncTo"' in lines[-1]


@pytest.mark.parametrize("state", [State.MASTER, State.BACKUP])
def test_commands_for_those_who_are_there_already_change_nothing(state: State) -> None:
    group, now = master(100, 100)
    if state is State.BACKUP:
        group.hear("V1", 200, now)
    engine = group.engines["V2"]
    deadline = engine.deadline()
    assert engine.handle_event(SyncTo(state, "G"), now) == []
    assert engine.deadline() == deadline
    assert [a for a in engine.handle_event(SyncAnnounce(), now) if not isinstance(a, Announce)] == []
    assert AddAddresses not in {type(a) for a in engine.handle_event(SyncAnnounce(), now)}


def test_the_snapshot_shows_the_wish() -> None:
    group = started(100, 100)
    group.timer("V1", DOWN_100)
    assert group.engines["V1"].snapshot().wants_master
    assert not group.engines["V2"].snapshot().wants_master


def test_instances_join_the_groups_that_name_them() -> None:
    instances = [make_settings(name=name) for name in ("A", "B", "C")]
    groups = [SyncGroupSettings(name="G", members=("C", "A"))]
    assert [settings.sync_group for settings in joined(instances, groups)] == ["G", "", "G"]
    assert [settings.sync_group for settings in joined(joined(instances, groups), [])] == ["", "", ""]
