from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.runtime.loop import LoopEdge, Timer, worker_loop

MILLISECOND = 1_000_000


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    thresholds = gc.get_threshold()
    with worker_loop() as made:
        yield made
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def run_until(loop: asyncio.AbstractEventLoop, condition: object, seconds: float = 5) -> None:
    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    loop.run_until_complete(asyncio.wait_for(poll(), seconds))


def test_what_a_callback_raises_ends_the_worker() -> None:
    thresholds = gc.get_threshold()

    def live() -> None:
        with worker_loop() as loop:
            loop.call_soon(lambda: 1 // 0)
            loop.run_forever()

    with pytest.raises(ZeroDivisionError):
        live()
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_the_timer_fires_at_its_time_of_the_monotonic_clock(loop: asyncio.AbstractEventLoop) -> None:
    fired: list[int] = []
    timer = Timer(loop, lambda: fired.append(time.monotonic_ns()))
    deadline = time.monotonic_ns() + 20 * MILLISECOND
    timer.arm(deadline + 1000 * MILLISECOND)
    timer.arm(deadline)
    run_until(loop, lambda: fired)
    assert fired[0] >= deadline - MILLISECOND // 1000
    assert len(fired) == 1


def test_a_disarmed_timer_never_fires(loop: asyncio.AbstractEventLoop) -> None:
    fired: list[int] = []
    timer = Timer(loop, lambda: fired.append(1))
    timer.arm(time.monotonic_ns())
    timer.arm(None)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert fired == []


def test_a_timer_that_was_moved_while_it_fired_waits(loop: asyncio.AbstractEventLoop) -> None:
    fired: list[int] = []
    timer = Timer(loop, lambda: fired.append(1))
    timer.arm(1)  # long past
    loop.call_soon(lambda: timer.arm(time.monotonic_ns() + 3600 * 1000 * MILLISECOND))
    loop.run_until_complete(asyncio.sleep(0.01))
    assert fired == []
    timer.arm(1)
    run_until(loop, lambda: fired)
    timer.close()
    loop.run_until_complete(asyncio.sleep(0.005))
    assert fired == [1]


def test_the_timer_is_not_rounded_to_milliseconds(loop: asyncio.AbstractEventLoop) -> None:
    late: list[int] = []
    fired: list[int] = []
    timer = Timer(loop, lambda: (fired.append(time.monotonic_ns()), loop.stop()))
    for _ in range(20):
        deadline = time.monotonic_ns() + 3 * MILLISECOND + MILLISECOND // 20
        timer.arm(deadline)
        loop.run_forever()
        late.append(fired.pop() - deadline)
    assert min(late) < MILLISECOND // 2, late  # the best of many: the machine may be busy


def test_a_timer_does_not_fire_twice_in_a_millisecond(loop: asyncio.AbstractEventLoop) -> None:
    fired: list[int] = []

    def fire() -> None:
        fired.append(time.monotonic_ns())
        timer.arm(fired[-1] + MILLISECOND // 10)

    timer = Timer(loop, fire)
    timer.arm(1)
    run_until(loop, lambda: len(fired) >= 5)
    assert min(later - earlier for earlier, later in pairwise(fired)) >= MILLISECOND * 9 // 10


def test_edges_in_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    one, two = (Edge(sock) for sock in socket_pair())
    heard: list[frames.AnyFrame] = []
    ended: list[bool] = []
    ours = LoopEdge(loop, one, lambda _frame, _descriptors: None, lambda: None)
    LoopEdge(loop, two, lambda frame, _descriptors: heard.append(frame), lambda: ended.append(True))
    for number in range(3000):  # more than the socket holds: the rest waits for room
        one.post(frames.LogRecord(number, "info", "x", "y" * 1000))
    run_until(loop, lambda: len(heard) == 3000)
    assert [frame.at for frame in heard] == list(range(3000))
    ours.close()
    run_until(loop, lambda: ended)


def test_a_posting_callback_does_not_recurse(loop: asyncio.AbstractEventLoop) -> None:
    one, two = (Edge(sock) for sock in socket_pair())
    turns: list[int] = []

    def bounce(_frame: frames.AnyFrame, _descriptors: list[int]) -> None:
        turns.append(1)
        if len(turns) < 2000:
            two.post(frames.WorkerStarted("x"))

    here = LoopEdge(loop, one, lambda _frame, _descriptors: one.post(frames.WorkerStarted("y")), lambda: None)
    there = LoopEdge(loop, two, bounce, lambda: None)
    one.post(frames.WorkerStarted("z"))
    run_until(loop, lambda: len(turns) == 2000)
    here.close()
    there.close()


def test_a_frame_that_cannot_be_sent_holds_up_none_behind_it() -> None:
    """Where what a callback raises is said and the others go on, as in the observer."""
    loop = asyncio.SelectorEventLoop()
    raised: list[BaseException | None] = []
    loop.set_exception_handler(lambda _loop, context: raised.append(context.get("exception")))
    ours, theirs = (Edge(sock) for sock in socket_pair())
    edge = LoopEdge(loop, ours, lambda _frame, _descriptors: None, lambda: None)
    other: list[frames.AnyFrame] = []
    ours.post(frames.LogRecord(0, "info", "test", "x" * 600_000))
    ours.post(frames.ReloadRequest(2))

    def arrived() -> bool:
        other.extend(frame for frame, _descriptors in theirs.receive())
        return bool(other)

    run_until(loop, arrived)
    assert other == [frames.ReloadRequest(2)]
    assert isinstance(raised[0], ValueError)
    edge.close()
    theirs.close()
    loop.close()
