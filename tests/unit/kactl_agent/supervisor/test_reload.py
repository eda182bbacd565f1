from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges
from kactl_agent.supervisor.loading import LoadOutcome
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.reload import Reload

OLD = AgentConfiguration(revision="old", file="f")
NEW = AgentConfiguration(revision="new", file="f")
CHANGES = ConfigurationChanges((), ("VI",), (), ())


class Loading:
    """A loading process that has ended already, or hangs until it is killed."""

    def __init__(self, outcome: LoadOutcome, hangs: bool = False) -> None:
        self._outcome = outcome
        self._readable, self._writable = os.pipe()
        self.pid = 0
        if not hangs:
            self.kill()

    def fileno(self) -> int:
        return self._readable

    def kill(self) -> None:
        os.close(self._writable)

    def outcome(self) -> LoadOutcome:
        os.close(self._readable)
        return self._outcome


class Host:
    def __init__(self) -> None:
        self.configuration = OLD
        self.logged: list[str] = []
        self.handed: list[int] = []
        self.committed: list[int] = []
        self.dropped: list[int] = []
        self.answers: list[frames.ReloadOutcome] = []
        self.workers = ["vrrp"]
        self.refusal = ""
        self.states: list[bool] = []

    def log(self, level: str, message: str) -> None:
        self.logged.append(f"{level}: {message}")

    def refuses(self, configuration: AgentConfiguration) -> str:
        return self.refusal

    def hand_over(self, serial: int, configuration: AgentConfiguration) -> list[str]:
        self.handed.append(serial)
        return list(self.workers)

    def commit(self, serial: int, workers: Iterable[str], configuration: AgentConfiguration) -> None:
        self.committed.append(serial)

    def drop(self, serial: int, workers: Iterable[str]) -> None:
        self.dropped.append(serial)

    def adopt(self, configuration: AgentConfiguration) -> None:
        self.configuration = configuration

    def reloading(self, under_way: bool) -> None:
        self.states.append(under_way)

    def answer(self, outcome: frames.ReloadOutcome) -> None:
        self.answers.append(outcome)


GOOD = LoadOutcome(NEW, ("f:1:1: warning[x]: y",), 0, 1)
BAD = LoadOutcome(None, ("f:1:1: error[x]: y",), 1, 0)


class Bench:
    def __init__(self, *outcomes: LoadOutcome, hangs: bool = False) -> None:
        self.host = Host()
        self.poller = Poller()
        self.outcomes = list(outcomes)
        self.hangs = hangs
        self.reload = Reload(self.host, self.poller, self._load)

    def _load(self) -> Loading:
        return Loading(self.outcomes.pop(0), self.hangs)

    def apply(self, times: int = 1, **answer: Any) -> None:
        """Everyone says yes, twice, to the reload that was handed over as the `times`-th."""
        self.prepare(times)
        for worker in self.host.workers:
            self.reload.applied(worker, frames.SettingsApplied(self.host.handed[times - 1], CHANGES, **answer))

    def prepare(self, times: int = 1) -> None:
        self.until(lambda: len(self.host.handed) == times)
        for worker in self.host.workers:
            self.reload.prepared(worker, frames.SettingsPrepared(self.host.handed[-1]))
        assert self.host.committed[-1] == self.host.handed[-1]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 5
        self.poller.call_later(5, lambda: None)
        while not condition():
            assert time.monotonic() < deadline
            self.poller.run_once()


@pytest.fixture
def good() -> Iterator[Bench]:
    return Bench(GOOD, GOOD, GOOD)


def test_settings_are_in_force_when_the_worker_says_so(good: Bench) -> None:
    good.reload.request(7)
    good.prepare()
    assert good.host.configuration is OLD
    good.reload.applied("vrrp", frames.SettingsApplied(good.host.handed[0], CHANGES))
    assert good.host.configuration is NEW
    assert good.host.answers == [frames.ReloadOutcome(7, True, "changed VI", "new", CHANGES)]
    assert good.host.states == [True, False]
    assert "warning: f:1:1: warning[x]: y" in good.host.logged


def test_an_invalid_file_changes_nothing_and_says_why() -> None:
    bench = Bench(BAD)
    bench.reload.request(7)
    bench.until(lambda: bench.host.answers)
    (answer,) = bench.host.answers
    assert (answer.ok, answer.revision) == (False, "old")
    assert "f:1:1: error[x]: y" in answer.message
    assert bench.host.configuration is OLD
    assert bench.host.handed == []
    assert "error: f:1:1: error[x]: y" in bench.host.logged
    assert not bench.reload.under_way


def test_a_missing_privilege_refuses_it(good: Bench) -> None:
    good.host.refusal = "VRRP needs CAP_NET_RAW"
    good.reload.request(7)
    good.until(lambda: good.host.answers)
    assert good.host.answers[0].message == "VRRP needs CAP_NET_RAW"
    assert good.host.configuration is OLD


def test_the_worker_may_refuse(good: Bench) -> None:
    good.reload.request(7)
    good.until(lambda: good.host.handed)
    good.reload.prepared("vrrp", frames.SettingsPrepared(good.host.handed[0], "no"))
    assert good.host.answers[0].ok is False
    assert good.host.answers[0].message == "the vrrp worker refused the settings: no"
    assert good.host.configuration is OLD
    assert good.host.dropped == good.host.handed
    assert good.host.committed == []


def test_nothing_is_in_force_before_everyone_is_prepared(good: Bench) -> None:
    good.host.workers = ["vrrp", "checkers", "bfd"]
    good.reload.request(7)
    good.until(lambda: good.host.handed)
    (serial,) = good.host.handed
    good.reload.prepared("vrrp", frames.SettingsPrepared(serial))
    good.reload.prepared("bfd", frames.SettingsPrepared(serial))
    assert good.reload.to_start_with() is None, "a worker that starts now would not know with what"
    assert good.host.committed == []
    good.reload.prepared("checkers", frames.SettingsPrepared(serial))
    assert good.host.committed == [serial]
    assert good.reload.to_start_with() is NEW
    for worker in ("bfd", "vrrp"):
        good.reload.applied(worker, frames.SettingsApplied(serial, CHANGES))
    assert good.host.answers == []
    good.reload.applied("checkers", frames.SettingsApplied(serial, CHANGES, problems=("no room",)))
    (answer,) = good.host.answers
    assert (answer.ok, answer.changes) == (True, CHANGES)
    assert answer.others == {"bfd": CHANGES, "checkers": CHANGES}
    assert "checkers: no room" in answer.message


@pytest.mark.parametrize("refuses", ["vrrp", "checkers", "bfd"])
def test_the_refusal_of_one_leaves_the_old_in_force_everywhere(good: Bench, refuses: str) -> None:
    good.host.workers = ["vrrp", "checkers", "bfd"]
    good.reload.request(7)
    good.until(lambda: good.host.handed)
    (serial,) = good.host.handed
    for worker in good.host.workers:
        good.reload.prepared(worker, frames.SettingsPrepared(serial, "no" if worker == refuses else ""))
    assert good.host.committed == []
    assert good.host.dropped == [serial]
    assert good.host.configuration is good.reload.to_start_with() is OLD


def test_a_worker_that_ends_while_it_looks_at_the_settings_may_have_died_of_them(good: Bench) -> None:
    good.reload.request(7)
    good.until(lambda: good.host.handed)
    good.reload.worker_lost("vrrp")
    assert good.host.answers[0].message == "the vrrp worker ended while it looked at the settings"
    assert good.host.configuration is OLD


def test_one_that_hangs_while_it_looks_at_them_changes_nothing(good: Bench) -> None:
    good.reload.request(7)
    good.until(lambda: good.host.handed)
    good.reload._unprepared()
    assert good.host.answers[0].message == "the vrrp worker did not look at the settings within 10 s"
    assert good.reload.configurations() == [OLD], "nobody can be running the new ones"


def test_requests_while_one_runs_lead_to_one_more(good: Bench) -> None:
    for serial in (1, 2, 0, 3):
        good.reload.request(serial)
    good.apply()
    assert [answer.serial for answer in good.host.answers] == [1]
    good.apply(2)
    assert [answer.serial for answer in good.host.answers] == [1, 2, 0, 3]
    assert [answer.journal for answer in good.host.answers] == [True, True, False, False]
    assert not good.reload.under_way
    assert len(good.outcomes) == 1


def test_an_answer_to_another_reload_is_not_taken(good: Bench) -> None:
    good.reload.request(1)
    good.prepare()
    good.reload.applied("vrrp", frames.SettingsApplied(good.host.handed[0] + 1, CHANGES))
    assert good.host.configuration is OLD


@pytest.mark.parametrize("dies_when", ["before", "while"])
def test_without_a_worker_the_next_one_starts_with_the_new(good: Bench, dies_when: str) -> None:
    good.host.workers = ["vrrp"] if dies_when == "while" else []
    good.reload.request(1)
    if dies_when == "while":
        good.prepare()
        good.reload.worker_lost("vrrp")
    good.until(lambda: good.host.answers)
    assert good.host.answers[0].ok
    assert good.host.configuration is NEW


def test_stopping_ends_a_loading_process() -> None:
    bench = Bench(GOOD, hangs=True)
    bench.reload.request(1)
    assert bench.reload.under_way
    bench.reload.cancel()
    assert not bench.reload.under_way
    assert bench.host.answers == []


def test_a_worker_that_takes_settings_too_late_is_believed() -> None:
    """Or the status would say what nobody runs any more."""
    bench = Bench(GOOD)
    bench.reload.request(7)
    bench.prepare()
    bench.reload._too_late()
    assert bench.host.answers[0].ok is False
    assert bench.host.configuration is OLD
    assert bench.reload.configurations() == [OLD, NEW], "it may be running either"
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is NEW
    assert any("in force after all" in line for line in bench.host.logged)
    assert len(bench.host.answers) == 1


def test_a_late_answer_to_a_reload_that_another_one_followed_is_not_taken() -> None:
    newer = msgspec.structs.replace(NEW, revision="newer")
    bench = Bench(GOOD, LoadOutcome(newer, (), 0, 0))
    bench.reload.request(1)
    bench.prepare()
    bench.reload._too_late()
    bench.reload.request(2)
    bench.prepare(2)
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is OLD
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[1], CHANGES))
    assert bench.host.configuration is newer


def test_a_stop_in_the_middle_of_a_reload_knows_what_may_be_on_the_machine() -> None:
    bench = Bench(GOOD, GOOD)
    bench.reload.request(1)
    bench.prepare()
    bench.reload.request(2)
    bench.reload.cancel()
    assert bench.reload.configurations() == [OLD, NEW]
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.answers == []
    assert len(bench.outcomes) == 1, "and begins nothing more"


def test_reading_that_takes_too_long_is_said_to() -> None:
    bench = Bench(GOOD, hangs=True)
    bench.reload.request(1)
    bench.reload._give_up()
    bench.until(lambda: bench.host.answers)
    assert bench.host.answers[0].message == "reading the configuration took longer than 30 s"
    assert bench.host.configuration is OLD
