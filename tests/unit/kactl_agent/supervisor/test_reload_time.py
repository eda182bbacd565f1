"""reload_time_file, with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from kactl_agent.supervisor.reload_time import ReloadTimer, parse

EAST = timezone(timedelta(hours=2))
NOW = datetime(2026, 3, 5, 12, 0, 0, tzinfo=EAST)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("12:00:30", "2026-03-05T12:00:30+02:00"),
        ("11:59:59\n", "2026-03-06T11:59:59+02:00"),
        ("12:00:30Z", "2026-03-05T12:00:30+00:00"),
        ("26-03-07 01:02:03", "2026-03-07T01:02:03+02:00"),
        ("2026-03-07 01:02:03", "2026-03-07T01:02:03+02:00"),
        ("2026-03-07 01:02:03Z", "2026-03-07T01:02:03+00:00"),
    ],
)
def test_forms(text: str, at: str) -> None:
    scheduled = parse(text, NOW, EAST)
    assert scheduled.at == datetime.fromisoformat(at)
    assert scheduled.dated is (len(text) > 10)


@pytest.mark.parametrize(
    "text", ["", "noon", "12:00", "25:00:00", "2026-02-30 00:00:00", "1:00:00", "12:00:00 Z", "2026-03-05 11:58:00"]
)
def test_what_is_none_or_has_passed(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text, NOW, EAST)


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = datetime(2026, 3, 5, 12, 0, 0, tzinfo=UTC)
        self.reloads: list[datetime] = []
        self.logged: list[str] = []
        self.pending: list[Callable[[], None] | None] = []
        self.waits: list[float] = []
        self.due = self.now
        self.timer = ReloadTimer(
            lambda: self.reloads.append(self.now), lambda level, text: self.logged.append(text), self.later,
            lambda: self.now,
        )  # fmt: skip

    def later(self, seconds: float, callback: Callable[[], None]) -> World.Handle:
        self.waits.append(seconds)
        self.due = self.now + timedelta(seconds=max(seconds, 0.001))
        self.pending = [callback]
        return World.Handle(self)

    class Handle:
        def __init__(self, world: World) -> None:
            self.world = world

        def cancel(self) -> None:
            self.world.pending = []

    def until(self, moment: str) -> None:
        """Let the time pass, and the timer look when it wanted to."""
        end = datetime.fromisoformat(f"2026-03-{moment}+00:00")
        while self.pending and self.due <= end:
            self.now = max(self.due, self.now)
            (callback,) = self.pending
            assert callback is not None
            callback()
        self.now = end


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "reload_at")


def test_it_reloads_at_the_moment_and_removes_the_file(world: World) -> None:
    world.path.write_text("12:10:00Z\n")
    world.timer.configure(world.path, repeat=False)
    assert world.logged == ["a reload is scheduled for 2026-03-05 12:10:00+00:00"]
    world.until("05T12:09:59")
    assert world.reloads == []
    world.until("05T12:10:01")
    assert [at.isoformat() for at in world.reloads] == ["2026-03-05T12:10:00+00:00"]
    assert not world.path.exists()
    world.until("07T00:00:00")
    assert len(world.reloads) == 1


def test_every_day_where_that_is_wanted_and_there_is_no_date(world: World) -> None:
    world.path.write_text("12:10:00Z")
    world.timer.configure(world.path, repeat=True)
    world.until("07T12:30:00")
    assert [at.day for at in world.reloads] == [5, 6, 7]
    assert world.path.exists()
    world.path.write_text("2026-03-07 12:40:00Z")
    world.until("09T00:00:00")
    assert [at.day for at in world.reloads] == [5, 6, 7, 7]
    assert not world.path.exists()


def test_a_file_that_comes_later_changes_or_goes(world: World) -> None:
    world.timer.configure(world.path, repeat=False)
    assert world.logged == []
    world.path.write_text("13:00:00Z")
    world.timer.look()
    world.path.write_text("14:00:00Z")
    world.timer.look()
    assert [text[-14:] for text in world.logged] == ["13:00:00+00:00", "14:00:00+00:00"]
    world.until("05T13:30:00")
    assert world.reloads == [], "the first moment counts no more"
    world.path.write_text("whenever")
    world.timer.look()
    assert "'whenever' is none of" in world.logged[-1]
    world.until("05T14:30:00")
    assert world.reloads == []
    world.path.write_text("15:00:00Z")
    world.timer.look()
    world.path.unlink()
    world.until("06T00:00:00")
    assert world.reloads == []
    world.timer.configure(None, repeat=False)
    assert world.pending == []


def test_a_clock_that_is_set_is_noticed(world: World) -> None:
    world.path.write_text("12:10:00Z")
    world.timer.configure(world.path, repeat=False)
    assert world.waits[-1] <= 15, "it does not sleep for ten minutes"
    world.now += timedelta(minutes=10)
    world.until("05T12:10:20")
    assert len(world.reloads) == 1


def test_a_moment_that_has_just_passed_is_not_lost_and_old_ones_are(world: World) -> None:
    world.path.write_text("2026-03-05 11:59:30Z")
    world.timer.configure(world.path, repeat=False)
    assert len(world.reloads) == 1
    world.path.write_text("2026-03-05 11:50:00Z")
    world.timer.look()
    assert len(world.reloads) == 1
    assert "has passed" in world.logged[-1]
