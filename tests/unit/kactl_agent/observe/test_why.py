"""The chain and the words of `kactl why`, from events as the journal keeps them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kactl_agent.observe.journal import Event, Journal
from kactl_agent.observe.why import UnknownSubject, explain
from kactl_agent.runtime.journal_frames import Happening

SECOND = 1_000_000_000
GROUPS = {"G": ("A", "B")}
SUBJECTS = ("vrrp_instance A", "vrrp_instance B", "vrrp_instance C", "vrrp_sync_group G")


class Story:
    """A journal that is told what happens, second by second."""

    def __init__(self) -> None:
        self.journal = Journal(identity="j")
        self.events: list[Event] = []

    def at(self, seconds: float, kind: str, **fields: Any) -> Event:
        event = self.journal.append(kind, round(seconds * SECOND), **fields)
        self.events.append(event)
        return event

    def happens(self, seconds: float, kind: str, subject: str, **fields: Any) -> Event:
        return self.journal.take(Happening(at=round(seconds * SECOND), kind=kind, subject=subject, **fields))

    def transition(self, seconds: float, name: str, old: str, new: str, cause: str = "c", **fields: Any) -> Event:
        return self.at(seconds, "transition", instance=name, old=old, new=new, cause=cause, detail=cause, **fields)

    def why(self, name: str = "", cursor: str = "") -> list[dict[str, Any]]:
        explanations = explain(self.journal.newest(), GROUPS, SUBJECTS, name, cursor)["explanations"]
        assert isinstance(explanations, list)
        return explanations

    def chain(self, name: str) -> list[str]:
        (explanation,) = self.why(name)
        return [link["event"]["cursor"] for link in explanation["chain"]]


@pytest.fixture
def story() -> Story:
    return Story()


def test_the_newest_change_is_explained_and_the_ones_before_are_listed(story: Story) -> None:
    for second in range(8):
        story.transition(second, "A", "BACKUP", "MASTER", f"cause {second}")
    (found,) = story.why("A")
    assert found["subject"] == "vrrp_instance A"
    assert found["event"]["cursor"] == "j-8"
    assert [each["detail"] for each in found["earlier"]] == [f"cause {n}" for n in range(2, 7)]


def test_names_with_and_without_their_kind(story: Story) -> None:
    story.transition(1, "A", "BACKUP", "MASTER")
    assert story.why("A") == story.why("vrrp_instance A")


def test_any_event_can_be_asked_for(story: Story) -> None:
    story.at(0, "reload", ok=True)
    first = story.transition(1, "A", "INIT", "BACKUP")
    story.transition(2, "A", "BACKUP", "MASTER")
    (found,) = story.why(cursor=first["cursor"])
    assert found["event"] == first
    with pytest.raises(UnknownSubject, match="j-99"):
        story.why(cursor="j-99")


def test_without_a_name_everything_that_is_configured(story: Story) -> None:
    story.transition(1, "A", "INIT", "BACKUP")
    story.transition(2, "gone", "INIT", "BACKUP")
    story.at(3, "group_transition", group="G", old="INIT", new="BACKUP", cause="c", detail="d")
    assert [each["subject"] for each in story.why()] == ["vrrp_sync_group G", "vrrp_instance A"]


def test_who_is_configured_and_has_done_nothing_is_not_unknown(story: Story) -> None:
    answer = explain([], GROUPS, SUBJECTS, "C")
    assert answer == {"explanations": [], "message": "the journal knows of no change of C"}
    with pytest.raises(UnknownSubject, match="no change of X, and no instance or sync group is called so"):
        story.why("X")


def test_the_worker_that_died_and_the_reload_before_are_in_the_chain(story: Story) -> None:
    story.at(0, "process", process="observer", ended="killed by SIGKILL")
    died = story.at(1, "process", process="vrrp", ended="killed by SIGKILL")
    reload = story.at(2, "reload", ok=True, message="nothing changed")
    story.transition(3, "A", "INIT", "BACKUP")
    assert story.chain("A") == [died["cursor"], reload["cursor"]]


def test_the_reload_that_did_it_is_told_when_it_is_done(story: Story) -> None:
    story.transition(5, "A", "MASTER", "INIT", "shutdown")
    story.transition(5, "C", "MASTER", "INIT", "shutdown")
    done = story.at(5.2, "reload", ok=True, changes={"removed": ["A"], "changed": [], "added": ["B"]})
    story.at(60, "reload", ok=True, changes={"removed": ["A"]})
    assert story.chain("A") == [done["cursor"]]
    assert story.chain("C") == []
    (found,) = story.why("A")
    assert found["chain"][0]["ms_before"] == -200


def test_a_worker_that_died_is_behind_what_it_looks_after(story: Story) -> None:
    stalled = story.happens(1, "stall", "process bfd", detail="stood still")
    story.at(2, "process", process="vrrp", ended="killed by SIGKILL")
    story.happens(3, "bfd_session", "bfd_instance b1", old="Up", new="Down")
    assert story.chain("bfd_instance b1") == [stalled["cursor"]]


def test_what_was_before_the_last_change_of_its_own_led_to_that_one(story: Story) -> None:
    story.at(1, "reload", ok=True)
    story.transition(2, "A", "INIT", "BACKUP")
    assert story.transition(3, "A", "BACKUP", "MASTER")
    assert story.chain("A") == []


def test_what_was_long_ago_is_no_reason(story: Story) -> None:
    story.at(1, "reload", ok=True)
    story.transition(100, "A", "BACKUP", "MASTER")
    assert story.chain("A") == []


def test_a_chain_from_a_session_to_a_tracker_to_a_fault(story: Story) -> None:
    link = story.happens(1.0, "link", "interface eth1", old="up", new="down", detail="carrier lost")
    session = story.happens(
        1.1, "bfd_session", "bfd_instance b1", old="Up", new="Down", cause="detection_time", because=("interface eth1",)
    )
    story.happens(1.1, "bfd_session", "bfd_instance other", old="Up", new="Down")
    story.transition(
        1.14, "A", "MASTER", "FAULT", "track_bfd b1", evidence={"faults": ["track_bfd b1: session is down"]}
    )
    assert story.chain("A") == [link["cursor"], session["cursor"]]
    (found,) = story.why("A")
    assert [each["ms_before"] for each in found["chain"]] == [140, 40]


def test_a_session_that_is_told_after_what_it_led_to_is_in_the_chain(story: Story) -> None:
    """The processes tell of it on ways of their own."""
    faults = {"faults": ["track_bfd b1: BFD session b1 is not up"]}
    story.transition(1.5, "A", "MASTER", "FAULT", "tracker_down", evidence=faults)
    story.happens(1.499, "bfd_session", "bfd_instance other", old="Up", new="Down")
    down = story.happens(1.499, "bfd_session", "bfd_instance b1", old="Up", new="Down")
    story.happens(1.7, "bfd_session", "bfd_instance b1", old="Down", new="Init")
    assert story.chain("A") == [down["cursor"]]
    (found,) = story.why("A")
    assert found["chain"][0]["ms_before"] == 1


def test_a_real_server_has_a_chain_like_everyone(story: Story) -> None:
    subject = "real_server 10.0.0.1:80 of 192.0.2.1:80/TCP"
    story.happens(
        5, "real_server", subject, old="up", new="down", cause="check_failed", detail="TCP_CHECK: refused",
        facts={"failures": 3},
    )  # fmt: skip
    server = story.happens(
        5, "virtual_server", "virtual_server 192.0.2.1:80/TCP", old="up", new="quorum lost", because=(subject,)
    )
    (found,) = story.why("virtual_server 192.0.2.1:80/TCP")
    assert found["event"] == server
    assert [link["event"]["subject"] for link in found["chain"]] == [subject]
    (found,) = story.why(subject)
    assert found["reasons"] == ["TCP_CHECK: refused", "failures: 3"]


def test_members_of_a_sync_group_explain_each_other_and_the_group(story: Story) -> None:
    first = story.transition(5, "B", "MASTER", "FAULT", "interface_down", evidence={"interface": "eth1"})
    second = story.transition(
        5, "A", "MASTER", "FAULT", "sync_group G", evidence={"faults": ["sync_group G: B of its members is at fault"]}
    )
    story.at(5, "group_transition", group="G", old="MASTER", new="FAULT", cause="interface_down", detail="d")
    assert first["cursor"] in story.chain("A")
    assert set(story.chain("G")) >= {first["cursor"], second["cursor"]}


def test_a_drain_explains_those_it_names(story: Story) -> None:
    drain = story.happens(5, "drain", "agent", detail="every instance", facts={"instances": "A, B"})
    story.transition(5, "B", "MASTER", "BACKUP", "drained")
    assert drain["cursor"] in story.chain("B")
    story.transition(5, "C", "MASTER", "BACKUP", "x")
    assert story.chain("C") == []


def test_chains_are_bounded(story: Story) -> None:
    for number in range(200):
        story.happens(1, "x", f"tracker {number}", new="down")
    story.transition(1, "A", "MASTER", "FAULT", evidence={"faults": [f"tracker {n}: down" for n in range(200)]})
    assert len(story.chain("A")) == 20


def test_objects_that_point_at_each_other_do_not_go_round(story: Story) -> None:
    story.happens(1, "x", "one", new="down", because=("two",))
    story.happens(2, "x", "two", new="down", because=("one",))
    story.happens(3, "x", "one", new="up", because=("two",))
    assert story.chain("one") == ["j-1", "j-2"]


def test_the_words(story: Story) -> None:
    evidence = {
        "state_age_ms": 12_000.0, "late_ms": 4.04, "interface": "eth0", "interface_up": True,
        "configured_priority": 150, "timer": "master_down_interval", "timer_length_ms": 3609.375, "waited_ms": 3613.4,
        "heard": [{"source": "192.0.2.1", "priority": 200, "age_ms": 3613.4, "count": 42}],
        "discarded": {"source": "192.0.2.7", "reason": "ttl", "age_ms": 500.0},
        "contributions": [{"name": "track_script chk", "weight": -50}],
        "stalled_ms": 5000.0, "stalled_age_ms": 100.0, "faults": ["track_file f: is 1"],
    }  # fmt: skip
    story.transition(
        5,
        "A",
        "BACKUP",
        "MASTER",
        "no advert",
        evidence=evidence,
        lag_ms=12.5,
        priority=100,
        revision="0123456789abcdef",
    )
    (found,) = story.why("A")
    assert found["reasons"] == [
        "no advert",
        "heard 192.0.2.1 last 3.613 s before, priority 200 (42 adverts)",
        "an advert of 192.0.2.7 was discarded 500 ms before: ttl",
        "master_down_interval of 3.609 s had run for 3.613 s",
        "this process stood still for 5.000 s, until 100 ms before",
        "local delay: this timer was 4.0 ms late, the worker's loop at most 12 ms in the last 10 s",
        "priority 100: 150 configured, -50 track_script chk",
        "fault: track_file f: is 1",
        "interface eth0: up",
        "configuration in force: revision 0123456789ab",
    ]


def test_the_words_of_a_master_that_yields(story: Story) -> None:
    evidence = {
        "late_ms": 0.0, "sent_age_ms": 120_000.0, "drained": "disk", "interface": "eth0", "interface_up": False,
        "stalled_ms": 7_300_000.0, "heard": [{"source": "192.0.2.1", "priority": 1, "age_ms": 0.0, "count": 1}],
    }  # fmt: skip
    story.transition(5, "A", "MASTER", "BACKUP", "x", evidence=evidence, lag_ms=200_000_000.0)
    (found,) = story.why("A")
    assert found["reasons"] == [
        "x",
        "heard 192.0.2.1 last 0 ms before, priority 1 (1 advert)",
        "our own last advert: 2 min 0 s before",
        "this process stood still for 2 h 1 min, until then",
        "local delay: the worker's loop at most 2 d 7 h in the last 10 s",
        "drained: disk",
        "interface eth0: not usable",
    ]


def test_hundreds_of_instances_that_change_together_are_no_matter_of_minutes(story: Story) -> None:
    """A journal that is full of one sync group's transitions, each pointing at all the others."""
    members = tuple(f"V{number}" for number in range(250))
    for number in range(4000):
        story.transition(number / 100, members[number % 250], "BACKUP", "MASTER", "sync_group")
    began = time.process_time()
    answer = explain(story.journal.newest(), {"G": members}, [f"vrrp_instance {name}" for name in members])
    assert time.process_time() - began < 10  # half a second, and minutes where each looks at everything
    assert len(answer["explanations"]) == 50
    assert answer["message"] == "200 more that changed before are not shown: ask for one by its name"
    assert answer["explanations"][0]["subject"] == "vrrp_instance V249"
