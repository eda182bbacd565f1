"""Edges, timers and sockets of a loop survive the end, an error or the cancelling of any descriptor in any order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair
from kactl_agent.runtime.loop import LoopEdge, SocketWatcher, Timer

NUMBERS = st.integers(0, 3)
OPERATIONS = st.one_of(
    st.tuples(st.just("open"), NUMBERS),  # in place of what is there: the same descriptor number, mostly
    st.tuples(st.just("say"), NUMBERS, st.integers(1, 5)),
    st.tuples(st.just("answer"), NUMBERS, st.integers(1, 400)),
    st.tuples(st.just("say with a descriptor"), NUMBERS),
    st.tuples(st.just("answer with a descriptor"), NUMBERS),
    st.tuples(st.just("nonsense"), NUMBERS),
    st.tuples(st.just("shut down"), NUMBERS, st.sampled_from((socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR))),
    st.tuples(st.just("peer ends"), NUMBERS),  # what it has not read is an error for us
    st.tuples(st.just("close"), NUMBERS),
    st.tuples(st.just("close at a frame"), NUMBERS, NUMBERS),  # from within a callback, itself or another
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.tuples(st.just("arm"), st.sampled_from((None, 0, 1))),
    st.tuples(st.just("watch"), st.booleans()),
)


class End:
    """One edge of ours in the loop, and its peer, who is this test."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        theirs, ours = socket_pair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.peer = Edge(theirs)
        self.heard: list[int] = []
        self.said = 0
        self.ended = 0
        self.closed = False
        self.closes: End | None = None
        self.spoiled = False
        self.loop_edge = LoopEdge(world.loop, Edge(ours), self.on_frame, self.on_closed)

    def on_frame(self, frame: frames.AnyFrame, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
        assert not self.closed, "nothing is heard of what was closed"
        assert isinstance(frame, frames.Settings)
        assert frame.serial // 1000 == self.number, "frames come by their own edge alone"
        self.heard.append(frame.serial % 1000)
        if self.closes is not None:
            target, self.closes = self.closes, None
            target.close()

    def on_closed(self) -> None:
        assert not self.closed
        self.ended += 1

    def close(self) -> None:
        self.closed = True
        self.loop_edge.close()

    def say(self, descriptors: list[int]) -> None:
        self.said += 1
        self.peer.post(frames.Settings(self.number * 1000 + self.said), descriptors)
        self.peer.try_flush()

    def check(self) -> None:
        assert self.heard == list(range(1, len(self.heard) + 1)), "in order, and nothing twice"
        assert self.ended <= 1


class World:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.failures: list[Any] = []
        self.loop.set_exception_handler(lambda _loop, context: self.failures.append(context))
        self.numbers = 0
        self.ends = [self.end() for _ in range(4)]
        self.gone: list[End] = []
        self.fired = 0
        self.timer = Timer(self.loop, self.fire)
        self.watcher = SocketWatcher(self.loop)
        self.watched: tuple[socket.socket, socket.socket] | None = None

    def end(self) -> End:
        self.numbers += 1
        return End(self, self.numbers)

    def fire(self) -> None:
        self.fired += 1

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        for end in self.ends:
            end.check()
        assert self.failures == []

    def apply(self, operation: tuple[Any, ...]) -> None:
        match operation:
            case ("open", number):
                self.ends[number].close()
                self.ends[number].peer.close()
                self.gone.append(self.ends[number])
                self.ends[number] = self.end()
            case ("say", number, count):
                for _ in range(count):
                    self.ends[number].say([])
            case ("say with a descriptor", number):
                self.ends[number].say([os.memfd_create("x")])
            case ("answer", number, count):
                for _ in range(count):
                    self.ends[number].loop_edge.edge.post(frames.Settings(1))
            case ("answer with a descriptor", number):
                self.ends[number].loop_edge.edge.post(frames.Settings(1), [os.memfd_create("y")])
            case ("nonsense", number):
                with contextlib.suppress(OSError):
                    self.ends[number].peer._socket.send(b"\xff\x00nonsense")
            case ("shut down", number, how):
                with contextlib.suppress(OSError):
                    self.ends[number].peer._socket.shutdown(how)
            case ("peer ends", number):
                self.ends[number].peer.close()
            case ("close", number):
                self.ends[number].close()
            case ("close at a frame", number, other):
                self.ends[number].closes = self.ends[other]
            case ("turn", times):
                self.turn(times)
            case ("arm", deadline):
                self.timer.arm(deadline)
            case ("watch", readable):
                self.watch(readable)

    def watch(self, readable: bool) -> None:
        """A socket that others own is watched, gets an error, and is closed by its owner after it is unwatched."""
        if self.watched is not None:
            self.watcher.unwatch(self.watched[0])
            for sock in self.watched:
                sock.close()
        self.watched = socket.socketpair()
        sock = self.watched[0]
        self.watcher.watch(sock, lambda: self.watcher.unwatch(sock))
        if readable:
            reset = struct.pack("ii", 1, 0)
            self.watched[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            self.watched[1].close()

    def close(self) -> None:
        self.turn(2)
        for end in (*self.ends, *self.gone):
            end.close()
            end.peer.close()
        if self.watched is not None:
            self.watcher.unwatch(self.watched[0])
            for sock in self.watched:
                sock.close()
        self.timer.close()
        self.turn(2)
        self.loop.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@given(st.lists(OPERATIONS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_the_loop_survives_any_end_of_any_descriptor(operations: list[tuple[Any, ...]]) -> None:
    before = open_descriptors()
    world = World()
    try:
        for operation in operations:
            world.apply(operation)
    finally:
        world.close()
    assert open_descriptors() == before, "and nothing stays open"


@given(st.lists(st.sampled_from(("post", "event", "state", "flush", "receive", "close", "peer")), max_size=30))
@settings(max_examples=100, deadline=None)
def test_an_edge_that_was_closed_takes_everything_and_does_nothing(operations: list[str]) -> None:
    before = open_descriptors()
    ours, theirs = (Edge(sock) for sock in socket_pair())
    for operation in operations:
        with contextlib.suppress(EdgeClosed):
            match operation:
                case "post":
                    ours.post(frames.Settings(1), [os.memfd_create("z")])
                case "event":
                    ours.post_event(frames.InstanceGone("a"))
                case "state":
                    ours.post_state("a", frames.InstanceGone("a"))
                case "flush":
                    ours.flush()
                case "receive":
                    for _frame, descriptors in theirs.receive():
                        for descriptor in descriptors:
                            os.close(descriptor)
                case "close":
                    ours.close()
                case "peer":
                    theirs.close()
    ours.close()
    theirs.close()
    assert open_descriptors() == before
