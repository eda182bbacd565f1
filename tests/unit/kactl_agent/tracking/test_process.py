"""Which processes count and when. The table of counts is what keepalived 2.2.7 counted of the same processes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.tracking.actions import (
    ProcessEnded,
    ProcessesListed,
    ProcessForked,
    ProcessSeen,
    VerdictChanged,
)
from kactl_agent.tracking.process import ProcessTracker, matches
from kactl_agent.tracking.settings import ParamMatch, ProcessSettings
from kactl_agent.vrrp.actions import Action, Input, Shutdown
from kactl_agent.vrrp.settings import SECOND

ANY, EXACT, PARTIAL, INITIAL = ParamMatch.ANY, ParamMatch.EXACT, ParamMatch.PARTIAL, ParamMatch.INITIAL

RUNNING: list[tuple[bytes, tuple[bytes, ...]]] = [
    (b"sleep", (b"sleep", b"300")),
    (b"sleep", (b"sleep", b"77")),
    (b"sleep", (b"sleep", b"771")),
    (b"sleep", (b"sleep", b"77", b"3")),
    (b"sleep", (b"/bin/sleep", b"300")),
    (b"verylongprocess", (b"./verylongprocessname", b"99")),
    (b"fifteencharname", (b"./fifteencharname", b"98")),
    (b"scr.sh", (b"/bin/sh", b"/tmp/scr.sh")),
    (b"kthreadd", ()),
]


def settings(process: str, *arguments: str, match: ParamMatch = ANY, **more: Any) -> ProcessSettings:
    return ProcessSettings(name="p", process=process, arguments=arguments, param_match=match, **more)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (settings("sleep"), 5),
        (settings("sleep", full_command=True), 4),
        (settings("sleep", match=EXACT), 0),
        (settings("sleep", match=PARTIAL), 4),
        (settings("sleep", match=INITIAL), 4),
        (settings("sleep", "300", match=EXACT), 1),
        (settings("sleep", "77", match=EXACT), 1),
        (settings("sleep", "77", match=INITIAL), 3),
        (settings("sleep", "77", match=PARTIAL), 2),
        (settings("sleep", "7", match=INITIAL), 3),
        (settings("sleep", "77", "3", match=EXACT), 1),
        (settings("verylongprocessname"), 0),
        (settings("./verylongprocessname"), 0),
        (settings("./verylongprocessname", full_command=True), 1),
        (settings("./verylongprocessname", "99", match=EXACT), 1),
        (settings("verylongprocess"), 1),
        (settings("verylongprocessnam"), 0),
        (settings("fifteencharname"), 1),
        (settings("/bin/sleep"), 0),
        (settings("/bin/sleep", full_command=True), 1),
        (settings("/bin/sleep", "300", match=EXACT), 1),
        (settings("/bin/sleep", full_command=True, match=PARTIAL), 1),
        (settings("scr.sh"), 1),
        (settings("kthreadd"), 1),
        (settings("kthreadd", full_command=True), 0),
    ],
)
def test_counts_of_keepalived(wanted: ProcessSettings, count: int) -> None:
    assert sum(matches(wanted, name, command) for name, command in RUNNING) == count


class Bench:
    def __init__(self, **more: Any) -> None:
        self.tracker = ProcessTracker(settings("nginx", **more))
        self.now = 0

    def tell(self, *events: Input) -> list[bool | None]:
        """What was decided on the way."""
        return ups([action for event in events for action in self.tracker.handle_event(event, self.now)])

    def run(self, *pids: int) -> list[bool | None]:
        return self.tell(*(ProcessSeen(pid, b"nginx", ()) for pid in pids))

    def at(self, now: int) -> list[bool | None]:
        self.now = now
        return ups(self.tracker.handle_timer(now))

    def listed(self, *pids: int) -> list[bool | None]:
        return self.tell(ProcessesListed(frozenset(pids)))


def ups(actions: list[Action]) -> list[bool | None]:
    return [action.verdict.up for action in actions if isinstance(action, VerdictChanged)]


def test_nothing_is_decided_before_all_have_been_seen() -> None:
    bench = Bench(fork_delay=SECOND, terminate_delay=SECOND)
    assert bench.run(1) == []
    assert bench.tracker.verdict.up is None
    assert bench.listed(1, 2) == [True], "and then at once"
    assert Bench().listed(1) == [False]


def test_processes_come_and_go() -> None:
    bench = Bench(quorum=2)
    bench.listed()
    assert bench.run(1) == []
    assert bench.tell(ProcessForked(1, 2)) == [True]
    assert bench.tracker.verdict.detail == "2 processes running, wanted are at least 2"
    assert bench.tell(ProcessForked(7, 8)) == [], "of another kind"
    assert bench.tell(ProcessEnded(7)) == []
    assert bench.tell(ProcessSeen(2, b"sh", ())) == [False], "it executed something else"
    assert bench.tracker.verdict.detail == "1 process running, wanted are at least 2"
    assert bench.tell(ProcessSeen(2, b"nginx", ())) == [True], "and changed its name"
    assert bench.tell(ProcessEnded(1)) == [False]


def test_a_list_ends_what_is_not_on_it() -> None:
    bench = Bench()
    bench.run(1, 2)
    bench.listed(1, 2)
    assert bench.listed(2, 9) == []
    assert bench.tracker.pids == {2}
    assert bench.listed(9) == [False]


@pytest.mark.parametrize(("quorum", "most", "up"), [(1, 2, {1, 2}), (0, 0, {0}), (2, None, {2, 3, 4}), (2, 2, {2})])
def test_quorum(quorum: int, most: int | None, up: set[int]) -> None:
    for count in range(5):
        bench = Bench(quorum=quorum, quorum_max=most)
        bench.run(*range(1, count + 1))
        assert bench.listed(*range(1, count + 1)) == [count in up]


def test_delays_wait_for_a_change_that_lasts() -> None:
    bench = Bench(fork_delay=2 * SECOND, terminate_delay=SECOND)
    bench.run(1)
    bench.listed(1)
    bench.now = 10 * SECOND
    assert bench.tell(ProcessEnded(1)) == []
    assert bench.tracker.deadline() == 11 * SECOND
    bench.now = 10 * SECOND + 5
    assert bench.run(2) == []
    assert bench.tracker.deadline() is None, "it was restarted in time"
    assert bench.tell(ProcessEnded(2)) == []
    assert bench.at(11 * SECOND + 4) == []
    assert bench.at(11 * SECOND + 5) == [False]
    bench.now = 20 * SECOND
    assert bench.run(3) == []
    bench.now = 21 * SECOND
    assert bench.run(4) == []
    assert bench.at(22 * SECOND) == [True]


def test_an_earlier_verdict_stands_until_the_first_list() -> None:
    bench = Bench()
    bench.listed()
    tracker = ProcessTracker(settings("nginx", quorum=3), bench.tracker.verdict)
    assert tracker.verdict.up is False
    assert ups(tracker.handle_event(ProcessesListed(frozenset()), 0)) == []


@given(st.lists(st.tuples(st.sampled_from("sfex"), st.integers(1, 6), st.integers(1, 6)), max_size=40))
def test_what_does_not_concern_it_changes_nothing(events: list[tuple[str, int, int]]) -> None:
    told, filtered = ProcessTracker(settings("nginx")), ProcessTracker(settings("nginx"))
    for tracker in (told, filtered):
        tracker.handle_event(ProcessesListed(frozenset()), 0)
    for kind, pid, other in events:
        event: Input = {
            "s": ProcessSeen(pid, b"nginx", ()), "x": ProcessSeen(pid, b"other", ()),
            "f": ProcessForked(other, pid), "e": ProcessEnded(pid),
        }[kind]  # fmt: skip
        told.handle_event(event, 0)
        if filtered.concerns(event):
            filtered.handle_event(event, 0)
        assert (told.pids, told.verdict) == (filtered.pids, filtered.verdict)


def test_it_takes_no_other_input() -> None:
    with pytest.raises(TypeError):
        Bench().tell(Shutdown())
