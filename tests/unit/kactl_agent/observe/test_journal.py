from __future__ import annotations

import pytest

from kactl_agent.observe.journal import Journal, subject_of
from kactl_agent.runtime.journal_frames import Happening


def test_events_have_times_and_cursors_that_go_on() -> None:
    journal = Journal(identity="j")
    journal.append("transition", 1_767_225_600_123_000_000, instance="VI_1")
    event = journal.append("reload", 0, ok=True)
    assert event == {"cursor": "j-2", "time": "1970-01-01T00:00:00.000Z", "type": "reload", "ok": True}
    events, gap = journal.since("", 10)
    assert not gap
    assert events[0]["time"] == "2026-01-01T00:00:00.123Z"
    assert journal.since("j-1", 10) == ([event], False)
    assert journal.since(journal.cursor, 10) == ([], False)


def test_it_is_bounded_and_tells_of_the_gap() -> None:
    journal = Journal(limit=3, identity="j")
    for number in range(1, 6):
        journal.append("x", 0, number=number)
    assert [event["number"] for event in journal.since("", 10)[0]] == [3, 4, 5]
    assert journal.since("j-1", 10)[1] is True
    assert journal.since("j-2", 10)[1] is False
    assert [event["number"] for event in journal.since("j-2", 2)[0]] == [3, 4]


def test_a_page_is_bounded_by_its_length_too() -> None:
    journal = Journal(identity="j")
    for number in range(1, 5):
        journal.append("x", 0, number=number, text="y" * (2_000_000 if number == 3 else 400_000))
    pages = [[event["number"] for event in journal.since(f"j-{after}", 10)[0]] for after in (0, 2, 3, 4)]
    assert pages == [[1, 2], [3], [4], []]


def test_a_cursor_of_another_journal_starts_over_with_a_gap() -> None:
    journal = Journal(identity="new")
    event = journal.append("x", 0)
    assert journal.since("old-77", 10) == ([event], True)


@pytest.mark.parametrize("cursor", ["x", "-1", "j-", "j-x", "j-1.5", "j-" + "9" * 30, "j-٣"])
def test_nonsense_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Journal(identity="j").since(cursor, 1)


def test_followers_hear_of_new_events_until_they_stop() -> None:
    journal = Journal()
    heard: list[object] = []
    journal.append("before", 0)
    unfollow = journal.follow(heard.append)
    event = journal.append("x", 0)
    unfollow()
    unfollow()
    journal.append("after", 0)
    assert heard == [event]


def test_a_cursor_from_the_future_of_this_journal_is_a_gap() -> None:
    """One that was written to disk no more: its reader must not wait for numbers that mean other events."""
    journal = Journal(identity="j")
    event = journal.append("x", 0)
    assert journal.since("j-7", 10) == ([event], True)


def test_happenings_have_one_shape_and_say_no_more_than_they_know() -> None:
    journal = Journal(identity="j")
    happening = Happening(
        at=0, kind="bfd_session", subject="bfd_instance b1", old="Up", new="Down", cause="detection_time",
        detail="nothing heard for 300 ms", because=("interface eth0",), facts={"detect_mult": 3},
    )  # fmt: skip
    event = journal.take(happening)
    assert event["type"] == "bfd_session"
    assert (event["old"], event["new"], event["because"]) == ("Up", "Down", ["interface eth0"])
    assert journal.take(Happening(at=0, kind="stall", subject="process vrrp")) == {
        "cursor": "j-2", "time": "1970-01-01T00:00:00.000Z", "type": "stall", "subject": "process vrrp",
    }  # fmt: skip


def test_every_event_has_a_subject() -> None:
    assert subject_of({"subject": "bfd_instance b1"}) == "bfd_instance b1"
    assert subject_of({"type": "transition", "instance": "VI"}) == "vrrp_instance VI"
    assert subject_of({"type": "group_transition", "group": "G"}) == "vrrp_sync_group G"
    assert subject_of({"type": "process", "process": "vrrp"}) == "process vrrp"
    assert subject_of({"type": "reload"}) == ""
