from __future__ import annotations

import json
import os
from typing import Any

import pytest

from kactl_agent.control.protocol import ControlError, Parameters
from kactl_agent.observe.journal import Journal
from kactl_agent.observe.reload_desk import ReloadDesk
from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import ConfigurationChanges

CHANGES = ConfigurationChanges((), ("VI",), (), unchanged=7)


class Bench:
    def __init__(self) -> None:
        self.posted: list[frames.Frame] = []
        self.answers: list[Any] = []
        self.supervisor = True
        self.journal = Journal()
        self.desk = ReloadDesk(self.post, self.journal)

    def post(self, frame: frames.Frame) -> bool:
        if self.supervisor:
            self.posted.append(frame)
        return self.supervisor

    def call(self, method: str, **parameters: Any) -> None:
        self.desk.methods[method](Parameters(parameters), self.answers.append)

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.journal.since("", 100)[0]]


def test_requests_are_passed_on() -> None:
    bench = Bench()
    bench.call("reload")
    bench.call("reload", file="/etc/new.yaml", confirm_s=60)
    bench.call("rollback")
    bench.call("confirm")
    bench.call("plan", file="/etc/new.yaml")
    bench.call("rollback", revision="3b1f0c5a9d2e")
    bench.call("confirm", revision="3b1f0c5a9d2e")
    assert bench.posted == [
        frames.ReloadRequest(1),
        frames.ReloadRequest(2, "/etc/new.yaml", 60_000_000_000),
        frames.RollbackRequest(3),
        frames.ConfirmRequest(4),
        frames.PlanRequest(5, "/etc/new.yaml"),
        frames.RollbackRequest(6, "3b1f0c5a9d2e"),
        frames.ConfirmRequest(7, "3b1f0c5a9d2e"),
    ]
    assert bench.answers == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": "relative.yaml"},
        {"file": "/" + "x" * 5000},
        {"file": "/a\0b"},
        {"confirm_s": -1},
        {"confirm_s": "60"},
        {"confirm_s": 86401},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    bench = Bench()
    with pytest.raises(ControlError) as refused:
        bench.call("reload", **wrong)
    assert refused.value.code == "bad-params"
    assert bench.posted == []


def test_outcomes_find_their_clients() -> None:
    bench = Bench()
    for _ in range(3):
        bench.call("reload")
    bench.desk.reload_outcome(
        frames.ReloadOutcome(1, True, "changed VI", "r2", CHANGES, True, {"bfd": CHANGES}, impact="brief")
    )
    bench.desk.reload_outcome(frames.ReloadOutcome(2, False, "no", "r2", journal=False))
    bench.desk.reload_outcome(frames.ReloadOutcome(3, False, "line 3", "r2", journal=False, invalid=True))
    fine, failed, invalid = bench.answers
    assert (fine["revision"], fine["class"], list(fine["changes"]["changed"])) == ("r2", "brief", ["VI"])
    assert list(fine["workers"]["bfd"]["changed"]) == ["VI"]
    assert (failed.code, invalid.code) == ("reload-failed", "configuration-invalid")
    (event,) = bench.journal.since("", 9)[0]
    kinds = {"removed": [], "changed": ["VI"], "added": [], "unchanged": 7}
    assert (event["changes"], event["workers"]) == (kinds, {"bfd": kinds}), "of what stays as it is, no names"
    assert bench.kinds() == ["reload"]
    bench.desk.reload_outcome(frames.ReloadOutcome(0, True, "by signal", "r3"))
    assert bench.kinds() == ["reload", "reload"]


def test_a_revision_is_no_novel() -> None:
    bench = Bench()
    for method in ("confirm", "rollback"):
        with pytest.raises(ControlError, match="revision has at most 64 characters"):
            bench.call(method, revision="x" * 65)
    assert bench.posted == []


def test_whether_a_rollback_had_to_be_done_is_said() -> None:
    bench = Bench()
    bench.call("rollback")
    bench.call("rollback", revision="new")
    bench.desk.reload_outcome(frames.ReloadOutcome(1, True, "changed VI", "old", CHANGES, rolled_back=True))
    bench.desk.reload_outcome(frames.ReloadOutcome(2, True, "not in force", "old", journal=False, rolled_back=False))
    assert [(answer["rolled_back"], answer["revision"]) for answer in bench.answers] == [(True, "old"), (False, "old")]
    (event,) = bench.journal.since("", 9)[0]
    assert event["rolled_back"]


def test_plans_come_as_a_memory_file() -> None:
    bench = Bench()
    bench.call("plan")
    bench.call("plan")
    memory = os.memfd_create("plan")
    os.write(memory, json.dumps({"valid": True}).encode())
    bench.desk.plan_outcome(frames.PlanOutcome(1), memory)
    bench.desk.plan_outcome(frames.PlanOutcome(2, "no process"), None)
    assert bench.answers[0] == {"valid": True}
    assert (bench.answers[1].code, bench.answers[1].message) == ("plan-failed", "no process")
    with pytest.raises(OSError):
        os.fstat(memory)


def test_what_waits_to_be_confirmed_is_in_the_status_and_in_the_journal() -> None:
    bench = Bench()
    assert bench.desk.status() is None
    bench.desk.take_pending(frames.PendingConfirmation("new", "old", 1_000_000_000))
    assert bench.desk.status() == {
        "revision": "new", "previous_revision": "old", "until": "1970-01-01T00:00:01.000Z",
    }  # fmt: skip
    (event,) = bench.journal.since("", 9)[0]
    assert (event["revision"], event["until"]) == ("new", "1970-01-01T00:00:01.000Z")
    bench.call("confirm")
    bench.desk.confirm_outcome(frames.ConfirmOutcome(1, "", "new"))
    bench.desk.take_pending(frames.PendingConfirmation())
    assert bench.answers == [{"revision": "new", "confirmed": True, "message": "configuration new stays"}]
    assert bench.desk.status() is None
    assert bench.kinds() == ["confirmation_pending", "confirmed"]
    bench.call("confirm")
    bench.desk.confirm_outcome(frames.ConfirmOutcome(2, "nothing waits to be confirmed"))
    assert bench.answers[1].code == "nothing-to-confirm"
    bench.call("confirm", revision="new")
    bench.desk.confirm_outcome(frames.ConfirmOutcome(3, "", "new", already=True))
    assert bench.answers[2] == {
        "revision": "new", "confirmed": False, "message": "configuration new is in force already, and stays",
    }  # fmt: skip
    assert bench.kinds() == ["confirmation_pending", "confirmed"]


def test_an_agent_that_stops_and_one_with_too_much_to_do_refuse() -> None:
    bench = Bench()
    for _ in range(64):
        bench.call("plan")
    with pytest.raises(ControlError, match="64 requests are waiting already"):
        bench.call("plan")
    other = Bench()
    other.supervisor = False
    with pytest.raises(ControlError, match="the agent is stopping"):
        other.call("reload")
