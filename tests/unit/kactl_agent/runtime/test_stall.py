"""The watch over the loop, in virtual time."""

from __future__ import annotations

from collections.abc import Callable

from kactl_agent.runtime.stall import StallWatch

MS = 1_000_000
SECOND = 1000 * MS


class Call:
    def __init__(self, at: int, callback: Callable[[], object]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop whose time is ours; `pause` is time in which it does not run."""

    def __init__(self) -> None:
        self.now = 0
        self._calls: list[Call] = []

    def clock(self) -> int:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Call:
        self._calls.append(Call(self.now + round(delay * SECOND), callback))
        return self._calls[-1]

    def run(self, until: int) -> None:
        while due := [call for call in self._calls if call.at <= until]:
            call = min(due, key=lambda call: call.at)
            self._calls.remove(call)
            if not call.cancelled:
                self.now = max(self.now, call.at)
                call.callback()
        self.now = max(self.now, until)


class Watched:
    def __init__(self, interval: int = SECOND) -> None:
        self.loop = Loop()
        self.gaps: list[int] = []
        self.lines: list[int] = []
        self.watch = StallWatch(self.loop, self.loop.clock, self._stalled)
        self.watch.follow(interval)
        self.watch.start()

    def _stalled(self, gap: int, notable: bool) -> None:
        self.gaps.append(gap)
        if notable:
            self.lines.append(gap)

    def pause(self, length: int) -> None:
        self.loop.now += length


def test_a_loop_that_runs_is_no_event() -> None:
    watched = Watched()
    watched.loop.run(60 * SECOND)
    assert watched.gaps == []
    assert watched.watch.worst == 0


def test_a_pause_is_noticed_by_whoever_looks_first() -> None:
    watched = Watched()
    watched.loop.run(10 * SECOND)
    watched.pause(5 * SECOND)
    watched.watch.look()  # a packet is about to be read
    watched.watch.look()
    watched.loop.run(20 * SECOND)
    assert watched.gaps == [5 * SECOND]


def test_a_pause_is_noticed_when_nothing_else_happens() -> None:
    watched = Watched()
    watched.loop.run(10 * SECOND)
    watched.pause(5 * SECOND)
    watched.loop.run(20 * SECOND)
    assert watched.gaps == [5 * SECOND]


def test_short_intervals_are_watched_closely() -> None:
    watched = Watched(100 * MS)
    watched.loop.run(SECOND)
    watched.pause(350 * MS)
    watched.watch.look()
    assert watched.gaps == [350 * MS]
    slow = Watched()
    slow.loop.run(SECOND)
    slow.pause(350 * MS)
    slow.watch.look()
    assert slow.gaps == []


def test_what_is_done_about_a_pause_is_not_another_one() -> None:
    loop = Loop()
    gaps: list[int] = []

    def stalled(gap: int, _notable: bool) -> None:
        gaps.append(gap)
        loop.now += 2 * SECOND  # reading all that waits takes its time, and looks at the clock
        watch.look()

    watch = StallWatch(loop, loop.clock, stalled)
    watch.start()
    loop.now += 5 * SECOND
    watch.look()
    assert gaps == [5 * SECOND]


def test_the_worst_lag_is_forgotten_after_a_while() -> None:
    watched = Watched()
    watched.loop.run(SECOND)
    watched.pause(700 * MS)
    watched.loop.run(watched.loop.now)
    assert watched.watch.worst == 200 * MS
    watched.loop.run(watched.loop.now + 4 * SECOND)
    assert watched.watch.worst == 200 * MS
    watched.loop.run(watched.loop.now + 11 * SECOND)
    assert watched.watch.worst == 0


def test_it_can_be_stopped() -> None:
    watched = Watched()
    watched.watch.stop()
    watched.pause(5 * SECOND)
    watched.loop.run(20 * SECOND)
    assert watched.gaps == []


def test_short_gaps_are_worth_a_line_now_and_then_and_long_ones_always() -> None:
    watched = Watched(100 * MS)
    for _ in range(100):
        watched.pause(150 * MS)
        watched.watch.look()
    assert len(watched.gaps) == 100
    assert watched.lines == [150 * MS] * 2  # in 15 s
    watched.pause(400 * MS)
    watched.watch.look()
    assert watched.lines[-1] == 400 * MS


def test_a_shorter_interval_after_a_reload_is_watched_at_once_and_the_change_is_no_pause() -> None:
    watched = Watched()
    watched.loop.run(510 * MS)  # the next tick is to come at 1 s
    watched.watch.follow(100 * MS)
    watched.loop.run(900 * MS)
    watched.watch.look()
    assert watched.gaps == []
    assert watched.watch.worst == 0
    watched.pause(150 * MS)
    watched.watch.look()
    assert watched.gaps == [150 * MS]


def test_a_pause_that_ends_with_the_change_of_the_interval_is_measured_with_the_old_one() -> None:
    watched = Watched()
    watched.loop.run(10 * SECOND)
    watched.pause(400 * MS)
    watched.watch.follow(100 * MS)
    watched.loop.run(11 * SECOND)
    assert watched.gaps == []
    watched.pause(5 * SECOND)
    watched.watch.follow(50 * MS)
    assert watched.gaps == [5 * SECOND]


def test_a_longer_interval_after_a_reload_makes_no_pause_either() -> None:
    watched = Watched(100 * MS)
    watched.loop.run(SECOND)
    watched.watch.follow(SECOND)
    watched.loop.run(10 * SECOND)
    assert watched.gaps == []


def test_one_that_is_stopped_by_what_it_says_ticks_no_more() -> None:
    loop = Loop()
    gaps: list[int] = []

    def stalled(gap: int, _notable: bool) -> None:
        gaps.append(gap)
        watch.stop()

    watch = StallWatch(loop, loop.clock, stalled)
    watch.start()
    loop.now += 5 * SECOND
    loop.run(20 * SECOND)
    loop.now += 5 * SECOND
    loop.run(40 * SECOND)
    assert gaps == [5 * SECOND]
