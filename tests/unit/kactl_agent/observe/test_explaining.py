"""The methods why, drain and undrain, with this test as the supervisor and the VRRP worker."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.control.protocol import ControlError, Parameters
from kactl_agent.control.server import Method
from kactl_agent.observe.explaining import Explaining
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.journal import Journal
from kactl_agent.observe.state import AgentState
from kactl_agent.observe.vrrp_view import watch_vrrp
from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.drain_frames import ALL, DrainOrder, DrainOutcome, DrainRequest, Drains
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.vrrp.actions import Drain
from kactl_agent.vrrp.evidence import Discarded, Evidence, Heard
from kactl_agent.vrrp.settings import SECOND, SyncGroupSettings
from support.vrrp import PEER, make_settings, master

SETTINGS = (make_settings(name="A"), make_settings(name="B"), make_settings(name="C"))
GROUP = SyncGroupSettings(name="G", members=("A", "B"))


class Observer:
    def __init__(self) -> None:
        self.handlers = Handlers()
        self.journal = Journal(identity="j")
        self.state = AgentState(
            AgentConfiguration(revision="1", file="f", vrrp=SETTINGS, sync_groups=(GROUP,)), 1, lambda: 0, lambda: 0
        )
        self.posted: list[frames.Frame] = []
        self.stopping = False
        self.methods: dict[str, Method] = {}
        watch_vrrp(self.handlers, self.state, self.journal)
        Explaining(self.handlers, self.journal, self.state, self.post).offer(self.methods)

    def post(self, frame: frames.Frame) -> bool:
        if not self.stopping:
            self.posted.append(frame)
        return not self.stopping

    def call(self, method: str, **parameters: Any) -> list[Any]:
        """Its answers, as they come."""
        answers: list[Any] = []
        self.methods[method](Parameters(parameters), answers.append)
        return answers

    def instance(self, name: str) -> dict[str, Any]:
        found = self.state.status()["vrrp"]["instances"][name]
        assert isinstance(found, dict)
        return found


@pytest.fixture
def observer() -> Observer:
    return Observer()


def test_a_transition_is_explained_from_what_the_worker_said_with_it(observer: Observer) -> None:
    evidence = Evidence(
        state_age=5 * SECOND, heard=(Heard(PEER, 150, 3 * SECOND, 7),), discarded=Discarded(PEER, "ttl", SECOND),
        timer="master_down_interval", timer_length=3 * SECOND, waited=3 * SECOND, late=SECOND // 1000, sent_age=None,
        interface="eth0", interface_up=True, configured_priority=100, contributions=(("track_script chk", -5),),
        faults=("x: y",), drained="disk", stalled=SECOND, stalled_age=SECOND,
    )  # fmt: skip
    observer.handlers.handle(
        frames.TransitionRecord(
            0, "A", "BACKUP", "MASTER", "master_down_timer", "d", 95, PEER, evidence, 7_000_000, "r"
        )
    )
    (answer,) = observer.call("why", subject="A")
    (explanation,) = answer["explanations"]
    event = explanation["event"]
    assert (event["lag_ms"], event["revision"], event["master"]) == (7.0, "r", "192.0.2.9")
    assert event["evidence"] == {
        "state_age_ms": 5000.0, "heard": [{"source": "192.0.2.9", "priority": 150, "age_ms": 3000.0, "count": 7}],
        "late_ms": 1.0, "interface_up": True, "configured_priority": 100,
        "discarded": {"source": "192.0.2.9", "reason": "ttl", "age_ms": 1000.0}, "timer": "master_down_interval",
        "timer_length_ms": 3000.0, "waited_ms": 3000.0, "interface": "eth0",
        "contributions": [{"name": "track_script chk", "weight": -5}], "faults": ["x: y"], "drained": "disk",
        "stalled_ms": 1000.0, "stalled_age_ms": 1000.0,
    }  # fmt: skip
    assert len(explanation["reasons"]) == 11


def test_why_refuses_what_it_does_not_know(observer: Observer) -> None:
    with pytest.raises(ControlError) as refusal:
        observer.call("why", subject="X")
    assert refusal.value.code == "unknown-subject"
    with pytest.raises(ControlError):
        observer.call("why", subject=7)
    (answer,) = observer.call("why")
    assert answer == {"explanations": []}


def test_happenings_of_every_process_are_events(observer: Observer) -> None:
    observer.handlers.handle(Happening(at=0, kind="stall", subject="process vrrp", detail="stood still"))
    assert observer.journal.newest()[0]["detail"] == "stood still"


def test_a_drain_goes_to_the_supervisor_and_its_outcome_back(observer: Observer) -> None:
    first = observer.call("drain", target="A", reason="disk", ttl_s=60, require_peer=True)
    second = observer.call("undrain", all=True)
    assert observer.posted == [
        DrainRequest(1, "A", False, "disk", 60 * SECOND, True),
        DrainRequest(2, ALL, True),
    ]
    observer.handlers.handle(DrainOutcome(2, True, "done", ("A", "B", "C")))
    observer.handlers.handle(DrainOutcome(1, False, "no", ("A", "B")))
    observer.handlers.handle(DrainOutcome(1, True, "twice", ()))
    assert second == [{"undrained": ["A", "B", "C"], "message": "done"}]
    (refusal,) = first
    assert (refusal.code, refusal.message) == ("drain-failed", "no")


@pytest.mark.parametrize(
    "parameters",
    [
        {}, {"target": "A", "all": True}, {"all": False}, {"target": 7}, {"target": "A", "ttl_s": -1},
        {"target": "A", "ttl_s": 1.5}, {"target": "A", "ttl_s": 1 << 60}, {"target": "A", "reason": []},
        {"target": "A", "require_peer": 1},
    ],
)  # fmt: skip
def test_bad_parameters(observer: Observer, parameters: dict[str, Any]) -> None:
    with pytest.raises(ControlError) as refusal:
        observer.call("drain", **parameters)
    assert refusal.value.code == "bad-params"
    assert observer.posted == []


def test_an_agent_that_stops_drains_nobody(observer: Observer) -> None:
    observer.stopping = True
    (refusal,) = observer.call("drain", target="A")
    assert refusal.message == "the agent is stopping"


def test_requests_without_an_end_are_not_collected(observer: Observer) -> None:
    answers = [observer.call("drain", target="A") for _ in range(65)]
    assert [len(answer) for answer in answers] == [0] * 64 + [1]


def test_the_status_says_who_is_drained_by_whose_word(observer: Observer) -> None:
    assert observer.instance("A")["drained"] is None
    engine, now = master(name="A")
    engine.handle_event(Drain("disk", require_peer=True), now)
    observer.handlers.handle(frames.Snapshot(0, 0, engine.snapshot()))
    assert observer.instance("A")["drained"] == {
        "by": "A", "reason": "disk", "since": None, "until": None, "handing_over": True,
    }  # fmt: skip
    observer.handlers.handle(Drains(0, (DrainOrder(target="G", reason="disk", at=SECOND, until=61 * SECOND),)))
    assert observer.instance("A")["drained"] == {
        "by": "G", "reason": "disk", "since": "1970-01-01T00:00:01.000Z", "until": "1970-01-01T00:01:01.000Z",
        "handing_over": True,
    }  # fmt: skip
    assert observer.instance("B")["drained"] == {  # no word of its worker yet
        "by": "G", "reason": "disk", "since": "1970-01-01T00:00:01.000Z", "until": "1970-01-01T00:01:01.000Z",
    }  # fmt: skip
    assert observer.instance("C")["drained"] is None
