from __future__ import annotations

from collections.abc import Callable, Generator

from kactl_agent.runtime.slices import batches, sliced


class Loop:
    def __init__(self) -> None:
        self.ready: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    def turn(self) -> None:
        ready, self.ready = self.ready, []
        for callback in ready:
            callback()


def steps(done: list[str]) -> Generator[None, None, str]:
    try:
        for number in range(3):
            done.append(f"slice {number}")
            yield
    finally:
        done.append("end")
    return "result"


def test_each_turn_has_a_slice() -> None:
    loop, done, results = Loop(), [], []
    sliced(loop, steps(done), results.append, lambda: True)
    assert done == ["slice 0"]
    loop.turn()
    assert done == ["slice 0", "slice 1"]
    loop.turn()
    assert results == []
    loop.turn()
    assert (done[-1], results, loop.ready) == ("end", ["result"], [])


def test_what_is_not_wanted_any_more_ends() -> None:
    loop, done, results, wanted = Loop(), [], [], [True]
    sliced(loop, steps(done), results.append, lambda: wanted[0])
    wanted[0] = False
    loop.turn()
    assert (done, results, loop.ready) == (["slice 0", "end"], [], [])


def test_batches() -> None:
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
