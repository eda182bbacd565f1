"""Work that is too much for one turn of a loop: done a slice at a time, with everything else in between."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Protocol, TypeVar

T = TypeVar("T")


class Loop(Protocol):
    """What is needed of an asyncio loop."""

    def call_soon(self, callback: Callable[[], None]) -> object: ...


def sliced(loop: Loop, steps: Generator[None, None, T], done: Callable[[T], None], wanted: Callable[[], bool]) -> None:
    """Carry `steps` out; at each of its yields the loop has a turn. The first slice is now. Once it is not `wanted` any
    more the rest is left, and `done` is not called."""

    def go_on() -> None:
        if not wanted():
            steps.close()
            return
        try:
            next(steps)
        except StopIteration as end:
            done(end.value)
        else:
            loop.call_soon(go_on)

    go_on()


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size`, in order."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
