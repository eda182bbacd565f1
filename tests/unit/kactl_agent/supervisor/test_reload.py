from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges
from kactl_agent.runtime.reload_frames import PendingConfirmation
from kactl_agent.supervisor.loading import LoadOutcome, PlanSummary
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.reload import Reload
from kactl_agent.supervisor.versions import ConfigurationFile, ReloadOrder, Version, Versions

OLD = AgentConfiguration(revision="old", file="f")
NEW = AgentConfiguration(revision="new", file="f")
CHANGES = ConfigurationChanges((), ("VI",), ())


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
        self.room = True
        self.states: list[bool] = []

    def log(self, level: str, message: str) -> None:
        self.logged.append(f"{level}: {message}")

    def refuses(self, configuration: AgentConfiguration) -> str:
        return self.refusal

    def hand_over(self, serial: int, configuration: AgentConfiguration) -> list[str]:
        if not self.room:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
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
    """`file` is the configuration file; without one it is a pipe, and no files are touched."""

    def __init__(self, *outcomes: LoadOutcome, hangs: bool = False, file: Path | None = None) -> None:
        self.host = Host()
        self.poller = Poller()
        self.outcomes = list(outcomes)
        self.hangs = hangs
        self.read: list[str] = []
        self.pending = PendingConfirmation()
        text = None if file is None else file.read_bytes()
        self.versions = Versions(self, self.poller, ConfigurationFile(file or Path("/nowhere")), Version(OLD, text))
        self.reload = Reload(self.host, self.poller, self.versions, self._load)

    def request(self, serial: int, **more: Any) -> None:
        self.reload.request(ReloadOrder(serial, **more))

    # what versions need of a supervisor

    def log(self, level: str, message: str) -> None:
        self.host.log(level, message)

    @property
    def going_back(self) -> bool:
        return self.reload.going_back

    def request_reload(self, order: ReloadOrder) -> None:
        self.reload.request(order)

    def tell_pending(self, pending: PendingConfirmation) -> None:
        self.pending = pending

    def _load(self, file: str) -> Loading:
        self.read.append(file)
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
        deadline = time.monotonic() + 30
        self.poller.call_later(30, lambda: None)
        while not condition():
            assert time.monotonic() < deadline
            self.poller.run_once()


@pytest.fixture
def good() -> Iterator[Bench]:
    return Bench(GOOD, GOOD, GOOD)


def test_settings_are_in_force_when_the_worker_says_so(good: Bench) -> None:
    good.request(7)
    good.prepare()
    assert good.host.configuration is OLD
    good.reload.applied("vrrp", frames.SettingsApplied(good.host.handed[0], CHANGES))
    assert good.host.configuration is NEW
    assert good.host.answers == [frames.ReloadOutcome(7, True, "changed VI", "new", CHANGES)]
    assert good.host.states == [True, False]
    assert "warning: f:1:1: warning[x]: y" in good.host.logged


def test_an_invalid_file_changes_nothing_and_says_why() -> None:
    bench = Bench(BAD)
    bench.request(7)
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
    good.request(7)
    good.until(lambda: good.host.answers)
    assert good.host.answers[0].message == "VRRP needs CAP_NET_RAW"
    assert good.host.configuration is OLD


def test_the_worker_may_refuse(good: Bench) -> None:
    good.request(7)
    good.until(lambda: good.host.handed)
    good.reload.prepared("vrrp", frames.SettingsPrepared(good.host.handed[0], "no"))
    assert good.host.answers[0].ok is False
    assert good.host.answers[0].message == "the vrrp worker refused the settings: no"
    assert good.host.configuration is OLD
    assert good.host.dropped == good.host.handed
    assert good.host.committed == []


def test_nothing_is_in_force_before_everyone_is_prepared(good: Bench) -> None:
    good.host.workers = ["vrrp", "checkers", "bfd"]
    good.request(7)
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
    good.request(7)
    good.until(lambda: good.host.handed)
    (serial,) = good.host.handed
    for worker in good.host.workers:
        good.reload.prepared(worker, frames.SettingsPrepared(serial, "no" if worker == refuses else ""))
    assert good.host.committed == []
    assert good.host.dropped == [serial]
    assert good.host.configuration is good.reload.to_start_with() is OLD


def test_a_worker_that_ends_while_it_looks_at_the_settings_may_have_died_of_them(good: Bench) -> None:
    good.request(7)
    good.until(lambda: good.host.handed)
    good.reload.worker_lost("vrrp")
    assert good.host.answers[0].message == "the vrrp worker ended while it looked at the settings"
    assert good.host.configuration is OLD


def test_one_that_hangs_while_it_looks_at_them_changes_nothing(good: Bench) -> None:
    good.request(7)
    good.until(lambda: good.host.handed)
    good.reload._unprepared()
    assert good.host.answers[0].message == "the vrrp worker did not look at the settings within 10 s"
    assert good.reload.configurations() == [OLD], "nobody can be running the new ones"


def test_requests_while_one_runs_lead_to_one_more(good: Bench) -> None:
    for serial in (1, 2, 0, 3):
        good.request(serial)
    good.apply()
    assert [answer.serial for answer in good.host.answers] == [1]
    good.apply(2)
    assert [answer.serial for answer in good.host.answers] == [1, 2, 0, 3]
    assert [answer.journal for answer in good.host.answers] == [True, True, False, False]
    assert not good.reload.under_way
    assert len(good.outcomes) == 1


def test_an_answer_to_another_reload_is_not_taken(good: Bench) -> None:
    good.request(1)
    good.prepare()
    good.reload.applied("vrrp", frames.SettingsApplied(good.host.handed[0] + 1, CHANGES))
    assert good.host.configuration is OLD


@pytest.mark.parametrize("dies_when", ["before", "while"])
def test_without_a_worker_the_next_one_starts_with_the_new(good: Bench, dies_when: str) -> None:
    good.host.workers = ["vrrp"] if dies_when == "while" else []
    good.request(1)
    if dies_when == "while":
        good.prepare()
        good.reload.worker_lost("vrrp")
    good.until(lambda: good.host.answers)
    assert good.host.answers[0].ok
    assert good.host.configuration is NEW


def test_stopping_ends_a_loading_process() -> None:
    bench = Bench(GOOD, hangs=True)
    bench.request(1)
    assert bench.reload.under_way
    bench.reload.cancel()
    assert not bench.reload.under_way
    assert bench.host.answers == []


def test_a_worker_that_takes_settings_too_late_is_believed() -> None:
    """Or the status would say what nobody runs any more."""
    bench = Bench(GOOD)
    bench.request(7)
    bench.prepare()
    bench.reload._too_late()
    assert bench.host.answers[0].ok is False
    assert bench.host.configuration is OLD
    assert bench.reload.configurations() == [OLD, NEW], "it may be running either"
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is NEW
    assert "warning: reload: configuration new is in force after all: changed VI" in bench.host.logged
    told = bench.host.answers[1]
    assert (told.serial, told.ok, told.journal, told.revision) == (0, True, True, "new"), "the journal, and no client"
    assert bench.reload.configurations() == [NEW]


def test_a_late_answer_to_a_reload_that_another_one_followed_is_not_taken() -> None:
    newer = msgspec.structs.replace(NEW, revision="newer")
    bench = Bench(GOOD, LoadOutcome(newer, (), 0, 0))
    bench.request(1)
    bench.prepare()
    bench.reload._too_late()
    bench.request(2)
    bench.prepare(2)
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is OLD
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[1], CHANGES))
    assert bench.host.configuration is newer


def late(*outcomes: LoadOutcome, configuration_file: Path | None = None, **order: Any) -> Bench:
    """The settings of the first outcome are in force in vrrp; checkers hangs, and the reload has failed."""
    bench = Bench(*outcomes, file=configuration_file)
    bench.host.workers = ["vrrp", "checkers"]
    bench.request(1, **order)
    bench.prepare()
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    bench.reload._too_late()
    assert bench.host.answers[0].message == "the checkers worker did not take the settings within 10 s"
    return bench


NEWER = msgspec.structs.replace(NEW, revision="newer")
LATER = LoadOutcome(NEWER, (), 0, 0)


def test_a_reload_that_comes_to_nothing_does_not_forget_one_that_is_late() -> None:
    bench = late(GOOD, LATER)
    bench.request(2)
    bench.until(lambda: len(bench.host.handed) == 2)
    bench.reload.prepared("vrrp", frames.SettingsPrepared(bench.host.handed[1]))
    bench.reload._unprepared()
    assert bench.host.answers[1].message == "the checkers worker did not look at the settings within 10 s"
    assert bench.reload.configurations() == [OLD, NEW]
    bench.reload.applied("checkers", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert (bench.host.configuration, bench.reload.configurations()) == (NEW, [NEW])


def test_what_is_late_is_not_adopted_in_the_middle_of_another_reload() -> None:
    bench = late(GOOD, LATER)
    bench.request(2)
    bench.until(lambda: len(bench.host.handed) == 2)
    bench.reload.applied("checkers", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is OLD
    bench.reload.prepared("vrrp", frames.SettingsPrepared(bench.host.handed[1], "no"))
    assert bench.host.configuration is NEW, "when nothing comes of that one"
    assert [answer.serial for answer in bench.host.answers] == [1, 2, 0]


def test_a_reload_that_all_answer_takes_the_place_of_what_was_late() -> None:
    bench = late(GOOD, LATER)
    bench.request(2)
    bench.prepare(2)
    assert bench.reload.configurations() == [OLD, NEW, NEWER]
    for worker in bench.host.workers:
        bench.reload.applied(worker, frames.SettingsApplied(bench.host.handed[1], CHANGES))
    assert (bench.host.configuration, bench.reload.configurations()) == (NEWER, [NEWER])
    bench.reload.applied("checkers", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is NEWER


@pytest.mark.parametrize("when", ["at rest", "while another reload is looked at"])
def test_who_follows_a_worker_that_hangs_and_is_killed_runs_what_the_others_run(when: str) -> None:
    bench = late(GOOD, LATER)
    if when != "at rest":
        bench.request(2)
        bench.until(lambda: len(bench.host.handed) == 2)
    assert bench.reload.configurations() == [OLD, NEW], "what it leaves may be of either"
    bench.reload.worker_lost("checkers")
    assert bench.reload.to_start_with() is NEW
    assert bench.host.configuration is NEW
    assert bench.reload.configurations() == [NEW]


def test_who_starts_while_another_worker_hangs_runs_what_that_one_will_run() -> None:
    bench = Bench(GOOD)
    bench.host.workers = ["vrrp", "checkers", "bfd"]
    bench.request(1)
    bench.prepare()
    bench.reload._too_late()
    bench.reload.worker_lost("vrrp")
    assert bench.host.configuration is OLD, "two of them may not run it yet"
    assert bench.reload.to_start_with() is NEW
    for worker in ("bfd", "checkers"):
        bench.reload.applied(worker, frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is NEW


def test_what_a_worker_did_not_put_in_force_is_not_in_force() -> None:
    bench = Bench(GOOD, LATER)
    bench.host.workers = ["vrrp", "checkers"]
    bench.request(1)
    bench.prepare()
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    bench.reload.applied("checkers", frames.SettingsApplied(bench.host.handed[0], CHANGES, "not prepared"))
    (answer,) = bench.host.answers
    assert (answer.ok, answer.revision) == (False, "old")
    assert answer.message == "the checkers worker did not put the settings in force: not prepared"
    assert bench.host.configuration is OLD
    assert bench.reload.configurations() == [OLD, NEW], "for vrrp did"
    bench.request(2)
    bench.apply(2)
    assert bench.host.configuration is NEWER


def test_settings_for_which_there_is_no_room_change_nothing(good: Bench) -> None:
    good.host.room = False
    good.request(1)
    good.until(lambda: good.host.answers)
    assert good.host.answers[0].message == "there is no room for the settings: Too many open files"
    assert (good.host.configuration, good.reload.to_start_with()) == (OLD, OLD)
    assert not good.reload.under_way
    good.host.room = True
    good.request(2)
    good.apply()
    assert good.host.configuration is NEW


def test_a_stop_in_the_middle_of_a_reload_knows_what_may_be_on_the_machine() -> None:
    bench = Bench(GOOD, GOOD)
    bench.request(1)
    bench.prepare()
    bench.request(2)
    bench.reload.cancel()
    assert bench.reload.configurations() == [OLD, NEW]
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.answers == []
    assert len(bench.outcomes) == 1, "and begins nothing more"


def test_reading_that_takes_too_long_is_said_to() -> None:
    bench = Bench(GOOD, hangs=True)
    bench.request(1)
    bench.reload._give_up()
    bench.until(lambda: bench.host.answers)
    assert bench.host.answers[0].message == "reading the configuration took longer than 30 s"
    assert bench.host.configuration is OLD


# -- other orders than the file as it is -------------------------------------------------------------------------------

OLD_TEXT, NEW_TEXT = b"old: 1\n", b"new: 1\n"
OTHER = LoadOutcome(NEW, (), 0, 0, NEW_TEXT)
SECOND = 1_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_bytes(OLD_TEXT)
    path.chmod(0o640)
    return path


def names(file: Path) -> set[str]:
    return {entry.name for entry in file.parent.iterdir()}


def test_another_file_becomes_the_configuration_once_it_is_in_force(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml")
    bench.prepare()
    assert bench.read == ["/etc/new.yaml"]
    assert file.read_bytes() == OLD_TEXT, "not before"
    bench.apply()
    assert file.read_bytes() == NEW_TEXT
    assert file.stat().st_mode & 0o777 == 0o640
    assert (file.parent / "agent.yaml.previous").read_bytes() == OLD_TEXT
    assert names(file) == {"agent.yaml", "agent.yaml.previous"}
    assert "agent.yaml.previous" in bench.host.answers[0].message


@pytest.mark.parametrize("fails", ["invalid", "refused", "privilege"])
def test_another_file_that_cannot_be_in_force_leaves_no_trace(file: Path, fails: str) -> None:
    bench = Bench(BAD if fails == "invalid" else OTHER, file=file)
    bench.host.refusal = "no" if fails == "privilege" else ""
    bench.request(7, file="/etc/new.yaml", confirm=60 * SECOND)
    bench.until(lambda: bench.host.handed or bench.host.answers)
    if fails == "refused":
        bench.reload.prepared("vrrp", frames.SettingsPrepared(bench.host.handed[0], "no"))
    (answer,) = bench.host.answers
    assert (answer.ok, answer.invalid) == (False, fails == "invalid")
    assert file.read_bytes() == OLD_TEXT
    assert names(file) == {"agent.yaml"}
    assert bench.pending.revision == "", "and nothing waits to be confirmed"


def test_a_file_that_cannot_be_written_is_said_before_anything_happens(file: Path) -> None:
    file.with_name(".agent.yaml.kactl-new").mkdir()
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml")
    bench.until(lambda: bench.host.answers)
    assert "the configuration file cannot be replaced" in bench.host.answers[0].message
    assert bench.host.handed == []


def test_what_is_not_confirmed_in_time_is_rolled_back(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=SECOND // 5)
    bench.apply()
    assert (bench.pending.revision, bench.pending.previous) == ("new", "old")
    assert "unless it is confirmed within 0.2 s it is rolled back" in bench.host.answers[0].message
    bench.apply(2)
    assert bench.host.configuration is OLD
    assert file.read_bytes() == OLD_TEXT
    assert (file.parent / "agent.yaml.rejected").read_bytes() == NEW_TEXT
    assert bench.pending.revision == ""
    assert bench.read == ["/etc/new.yaml"], "what was in force is known, and read nowhere"
    assert any("not confirmed in time" in line for line in bench.host.logged)


def test_a_file_that_was_edited_in_place_is_put_back_too(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    file.write_bytes(NEW_TEXT)
    bench.request(7, confirm=SECOND // 5)
    bench.apply()
    bench.apply(2)
    assert file.read_bytes() == OLD_TEXT
    assert (file.parent / "agent.yaml.rejected").read_bytes() == NEW_TEXT


def test_what_is_confirmed_stays(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=SECOND // 5)
    bench.apply()
    assert bench.versions.confirm(1) == frames.ConfirmOutcome(1, "", "new")
    assert bench.pending.revision == ""
    assert bench.versions.confirm(2) == frames.ConfirmOutcome(2, "nothing waits to be confirmed")
    done: list[bool] = []
    bench.poller.call_later(0.4, lambda: done.append(True))
    bench.until(lambda: done)
    assert bench.host.configuration is NEW
    assert len(bench.host.handed) == 1


@pytest.mark.parametrize("first", ["trial", "plain"])
def test_what_is_late_is_on_trial_and_in_the_file_as_it_was_ordered(file: Path, first: str) -> None:
    """Whatever was ordered after it."""
    trial = {"file": "/etc/new.yaml", "confirm": 60 * SECOND}
    bench = late(OTHER, BAD, configuration_file=file, **(trial if first == "trial" else {}))
    bench.request(2, **({} if first == "trial" else trial))
    bench.until(lambda: len(bench.host.answers) == 2)
    assert bench.host.answers[1].invalid
    assert (file.read_bytes(), bench.pending.revision) == (OLD_TEXT, "")
    bench.reload.applied("checkers", frames.SettingsApplied(bench.host.handed[0], CHANGES))
    assert bench.host.configuration is NEW
    assert bench.pending.revision == ("new" if first == "trial" else "")
    assert file.read_bytes() == (NEW_TEXT if first == "trial" else OLD_TEXT)
    assert ".agent.yaml.kactl-new" not in names(file)


def test_a_late_rollback_whose_file_cannot_be_written_is_in_force_all_the_same(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(1, file="/etc/new.yaml")
    bench.apply()
    bench.request(2, back=True)
    bench.prepare(2)
    bench.reload._too_late()
    file.with_name(".agent.yaml.kactl-new").mkdir()
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[1], CHANGES))
    assert bench.host.configuration is OLD
    assert "the configuration file cannot be replaced" in bench.host.answers[-1].message
    assert file.read_bytes() == NEW_TEXT


def test_while_something_waits_to_be_confirmed_no_other_reload_gets_in_between(file: Path) -> None:
    bench = Bench(OTHER, OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=60 * SECOND)
    bench.apply()
    bench.request(8)
    assert "`kactl confirm` keeps it, `kactl rollback` goes back to old" in bench.host.answers[-1].message
    assert len(bench.outcomes) == 1
    bench.versions.confirm(1)
    bench.request(9)
    bench.apply(2)
    assert bench.host.answers[-1].ok


def test_a_rollback_by_hand_is_not_rolled_back_by_another_one(file: Path) -> None:
    bench = Bench(OTHER, OTHER, file=file)
    bench.request(6, back=True)
    assert "no configuration was replaced since the agent started" in bench.host.answers[-1].message
    bench.request(7, file="/etc/new.yaml")
    bench.apply()
    bench.request(8, back=True)
    bench.apply(2)
    assert (bench.host.answers[-1].serial, bench.host.answers[-1].rolled_back) == (8, True)
    assert (bench.host.configuration, file.read_bytes()) == (OLD, OLD_TEXT)
    bench.request(9, back=True)
    assert not bench.host.answers[-1].ok
    text = "there is nothing to go back to: configuration new was rolled back already; its file is "
    assert bench.host.answers[-1].message == text + str(file.parent / "agent.yaml.rejected")
    assert (bench.host.configuration, file.read_bytes()) == (OLD, OLD_TEXT)
    bench.request(10, file="/etc/new.yaml")
    bench.apply(3)
    bench.request(11, back=True)
    bench.apply(4)
    assert bench.host.configuration is OLD, "a configuration that came later can be rolled back as ever"


def test_a_rollback_after_a_trial_that_ran_out_does_not_go_forth_again(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=SECOND // 10)
    bench.apply()
    bench.apply(2)
    bench.request(8, back=True)
    assert not bench.host.answers[-1].ok
    bench.request(9, back=True, revision="new")
    answer = bench.host.answers[-1]
    assert (answer.ok, answer.rolled_back, answer.journal) == (True, False, False)
    assert answer.message == "configuration new is not in force: old is, and stays"
    assert bench.host.configuration is OLD


def test_a_trial_of_what_is_in_force_already_goes_back_to_nothing_older(file: Path) -> None:
    bench = Bench(OTHER, OTHER, file=file)
    bench.request(7, file="/etc/new.yaml")
    bench.apply()
    bench.request(8, confirm=SECOND // 10)
    bench.apply(2)
    assert bench.pending.revision == ""
    assert bench.host.answers[-1].notes == ("it is what was in force already: nothing has to be confirmed",)
    done: list[bool] = []
    bench.poller.call_later(0.3, lambda: done.append(True))
    bench.until(lambda: done)
    assert (bench.host.configuration, len(bench.host.handed)) == (NEW, 2)


def test_another_text_of_the_same_meaning_is_on_trial_too(file: Path) -> None:
    bench = Bench(LoadOutcome(OLD, (), 0, 0, NEW_TEXT), file=file)
    bench.request(7, file="/etc/new.yaml", confirm=SECOND // 10)
    bench.apply()
    assert bench.pending.revision == "old"
    bench.apply(2)
    assert file.read_bytes() == OLD_TEXT
    assert bench.versions.confirm(8, "old").error == "configuration old was rolled back"
    bench.request(9, back=True, revision="old")
    assert bench.host.answers[-1].ok
    assert bench.host.answers[-1].message == "configuration old was rolled back already"


def test_no_other_revision_is_confirmed_than_the_one_that_is_meant(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=60 * SECOND)
    bench.apply()
    wrong = bench.versions.confirm(1, "old")
    assert wrong.error == "configuration old is not in force: new waits to be confirmed"
    assert bench.pending.revision == "new", "still"
    assert bench.versions.confirm(2, "new") == frames.ConfirmOutcome(2, "", "new")
    assert bench.versions.confirm(3, "new") == frames.ConfirmOutcome(3, "", "new", already=True)
    assert bench.versions.confirm(4, "old").error == "configuration old is not in force: new is in force"
    bench.request(8, back=True, revision="new")
    bench.apply(2)
    assert bench.versions.confirm(5, "new").error == "configuration new was rolled back"
    assert bench.host.configuration is OLD


def test_what_is_being_rolled_back_cannot_be_confirmed_any_more(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=SECOND // 10)
    bench.apply()
    bench.until(lambda: len(bench.host.handed) == 2)
    assert bench.versions.confirm(1).error == "configuration new is being rolled back"
    bench.apply(2)
    assert bench.host.configuration is OLD


def test_what_a_worker_that_hangs_will_roll_back_cannot_be_confirmed(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=60 * SECOND)
    bench.apply()
    bench.request(8, back=True)
    bench.prepare(2)
    bench.reload._too_late()
    assert bench.host.answers[-1].ok is False
    assert bench.versions.confirm(1).error == "configuration new is being rolled back"
    assert bench.pending.revision == "new"
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[1], CHANGES))
    assert (bench.host.configuration, bench.pending.revision) == (OLD, "")
    assert bench.versions.confirm(1, "new").error == "configuration new was rolled back"


def test_a_rollback_that_was_refused_leaves_the_choice(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=60 * SECOND)
    bench.apply()
    bench.request(8, back=True)
    bench.reload.prepared("vrrp", frames.SettingsPrepared(bench.host.handed[1], "no"))
    assert bench.versions.confirm(1).error == ""


def test_a_rollback_that_waits_for_a_reload_goes_back_from_no_other_revision(file: Path) -> None:
    bench = Bench(OTHER, OTHER, file=file)
    bench.request(7)
    bench.request(8, back=True, revision="old")
    bench.apply()
    assert [(answer.serial, answer.ok) for answer in bench.host.answers] == [(7, True), (8, True)]
    assert bench.host.answers[-1].rolled_back is False
    assert bench.host.configuration is NEW


def test_a_file_that_is_edited_while_it_is_what_is_gone_back_to_stays(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml")
    bench.apply()
    file.write_bytes(OLD_TEXT)
    bench.request(8, back=True)
    bench.prepare(2)
    file.write_bytes(b"edited: 1\n")
    bench.reload.applied("vrrp", frames.SettingsApplied(bench.host.handed[1], CHANGES))
    assert bench.host.configuration is OLD
    assert file.read_bytes() == b"edited: 1\n"


def test_a_rollback_that_fails_is_tried_again(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=SECOND // 10)
    bench.apply()
    bench.until(lambda: len(bench.host.handed) == 2)
    bench.reload.prepared("vrrp", frames.SettingsPrepared(bench.host.handed[1], "no"))
    assert bench.pending.revision == "new", "still"
    assert bench.versions._timer is not None
    bench.versions._expired()
    bench.apply(3)
    assert bench.host.configuration is OLD


def test_the_end_of_the_agent_is_no_confirmation(file: Path) -> None:
    bench = Bench(OTHER, file=file)
    bench.request(7, file="/etc/new.yaml", confirm=60 * SECOND)
    bench.apply()
    bench.versions.stop()
    assert file.read_bytes() == OLD_TEXT
    assert (file.parent / "agent.yaml.rejected").read_bytes() == NEW_TEXT


def test_orders_follow_one_after_the_other_and_the_last_one_wins(file: Path) -> None:
    bench = Bench(GOOD, OTHER, LoadOutcome(OLD, (), 0, 0, OLD_TEXT), file=file)
    bench.request(1)
    for serial, more in ((2, {"file": "/a"}), (3, {}), (4, {})):
        bench.request(serial, **more)
    for number in (1, 2, 3):
        bench.apply(number)
    assert bench.read == ["", "/a", ""]
    assert [answer.serial for answer in bench.host.answers] == [1, 2, 3, 4]
    assert bench.host.configuration is OLD


def test_a_pipe_can_be_read_but_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    bench = Bench(GOOD)
    bench.versions._file = ConfigurationFile(path)
    bench.request(7)
    assert "the configuration is a pipe, which has been read" in bench.host.answers[0].message
    assert bench.read == []
    bench.request(8, file="/a")
    bench.apply()
    assert bench.host.answers[-1].ok
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"], "and nothing takes its place"


def test_a_link_stays_one(file: Path) -> None:
    link = file.parent / "link.yaml"
    link.symlink_to(file)
    known = ConfigurationFile(link)
    known.stage(NEW_TEXT)
    known.install(known.previous)
    assert link.is_symlink()
    assert (file.read_bytes(), known.previous) == (NEW_TEXT, file.parent / "agent.yaml.previous")


def test_what_changes_is_said_and_how_much_it_hurts() -> None:
    plan = PlanSummary("brief", ("brief: vrrp_instance VI: priority 100 -> 150",))
    bench = Bench(msgspec.structs.replace(GOOD, plan=plan))
    bench.request(1)
    bench.apply()
    assert bench.host.answers[0].impact == "brief"
    assert "info: reload: brief: vrrp_instance VI: priority 100 -> 150" in bench.host.logged
