from __future__ import annotations

import pytest

from kactl_agent.observe.journal import Journal


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
