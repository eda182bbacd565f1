from __future__ import annotations

from collections.abc import Hashable

from kactl_agent.runtime.dump_frames import TrackerGone, TrackerState
from kactl_agent.runtime.frame import Frame
from kactl_agent.runtime.tracker_reports import TrackerReports

UP = TrackerState("track_script", "chk", True)
DOWN = TrackerState("track_script", "chk", False, detail="exited with status 1")
FILE = TrackerState("track_file", "f", True, value=3)


def test_only_what_changed_is_told_and_everything_to_a_new_observer() -> None:
    states: list[TrackerState] = [UP, FILE]
    told: list[tuple[Hashable, Frame]] = []
    reports = TrackerReports(lambda: states, lambda key, frame: told.append((key, frame)))

    def news() -> list[Frame]:
        told.clear()
        reports.report()
        assert len({key for key, _frame in told}) == len(told), "a key each: the newest of each is sent"
        return [frame for _key, frame in told]

    assert news() == [UP, FILE]
    assert news() == []
    states[0] = DOWN
    assert news() == [DOWN]
    del states[1]
    assert news() == [TrackerGone("track_file", "f")]
    assert news() == []
    reports.again()
    assert news() == [DOWN]
