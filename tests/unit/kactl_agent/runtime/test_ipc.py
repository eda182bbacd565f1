from __future__ import annotations

import os
import socket

import pytest

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge, EdgeClosed, socket_pair


def record(text: str) -> frames.LogRecord:
    return frames.LogRecord(0, "info", "test", text)


@pytest.fixture
def edges():
    pair = tuple(Edge(sock, event_limit=10) for sock in socket_pair())
    yield pair
    for edge in pair:
        edge.close()


def sent(edge: Edge) -> list[frames.AnyFrame]:
    return [frame for frame, _descriptors in edge.receive()]


def test_frames_arrive_in_order(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    one.post(frames.WorkerStarted("vrrp"))
    one.post_event(record("a"))
    one.post_state("k", frames.InstanceGone("VI"))
    assert one.pending
    assert one.flush()
    assert not one.pending
    assert sent(two) == [frames.WorkerStarted("vrrp"), record("a"), frames.InstanceGone("VI")]
    assert two.receive() == []


def test_events_are_dropped_and_counted_when_the_queue_is_full(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    kept = [one.post_event(record(str(number))) for number in range(15)]
    assert kept == [True] * 10 + [False] * 5
    assert one.dropped == 5
    one.flush()
    assert sent(two) == [record(str(number)) for number in range(10)]
    assert one.post_event(record("again"))


def test_state_is_coalesced_and_never_dropped(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    for number in range(15):
        one.post_event(record("x"))
        for key in ("a", "b"):
            one.post_state(key, frames.InstanceGone(f"{key}{number}"))
    one.flush()
    states = [frame for frame in sent(two) if isinstance(frame, frames.InstanceGone)]
    assert states == [frames.InstanceGone("a14"), frames.InstanceGone("b14")]
    one.post_state("a", frames.InstanceGone("new"))
    one.flush()
    assert sent(two) == [frames.InstanceGone("new")]


def test_requests_are_never_dropped(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    for number in range(5000):
        one.post(frames.ReloadRequest(number))
    received: list[frames.AnyFrame] = []
    while not one.flush() or len(received) < 5000:
        received += sent(two)
    assert received == [frames.ReloadRequest(number) for number in range(5000)]


def test_a_reader_that_does_not_read_never_blocks_the_writer(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    while one.flush():
        one.post(record("x" * 1000))
    assert one.pending
    one.post_state("a", frames.InstanceGone("VI"))
    received: list[frames.AnyFrame] = []
    while one.pending or received[-1] != frames.InstanceGone("VI"):
        received += sent(two)
        one.flush()
    assert len(received) > 10


def test_descriptors_travel_and_are_closed_here(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    readable, writable = os.pipe()
    one.post(frames.Settings(1), [writable])
    one.flush()
    with pytest.raises(OSError):
        os.fstat(writable)
    ((frame, (descriptor,)),) = two.receive()
    assert frame == frames.Settings(1)
    os.write(descriptor, b"x")
    assert os.read(readable, 1) == b"x"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    os.close(readable)


def test_the_end_of_the_other_process(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    one.post(record("last words"))
    one.flush()
    one.close()
    assert sent(two) == [record("last words")]
    with pytest.raises(EdgeClosed):
        two.receive()
    two.post(record("x"))
    with pytest.raises(EdgeClosed):
        two.flush()
    two.try_flush()


def test_a_frame_too_large_is_a_bug_that_shows(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    one.post(record("x" * 600_000))
    one.post(record("behind it"))
    with pytest.raises(ValueError, match="does not fit"):
        one.flush()
    assert one.flush()
    assert sent(two) == [record("behind it")], "and does not stand in the way"


def test_what_is_no_text_comes_with_its_other_characters(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    one.post(frames.ReloadRequest(1, "/caf\udce9.yaml"))
    one.post_event(frames.LogRecord(1, "info", "\ud800", "é\udcfc", {"na\udcefve": "\udfff"}))
    one.post(frames.RecordingLine("V\udcfc", b"\xff\x00", first=True))
    one.post(frames.ReloadRequest(2))
    assert one.flush()
    assert sent(two) == [
        frames.ReloadRequest(1, "/caf?.yaml"),
        frames.LogRecord(1, "info", "?", "é?", {"na?ve": "?"}),
        frames.RecordingLine("V?", b"\xff\x00", first=True),
        frames.ReloadRequest(2),
    ]


def test_who_does_not_speak_our_language_is_gone(edges: tuple[Edge, Edge]) -> None:
    ours, theirs = socket_pair()
    edge = Edge(ours)
    theirs.send(b"\x81\xa5frame\xa8Nonsense")
    with pytest.raises(EdgeClosed, match="not a frame"):
        edge.receive()
    edge.close()
    theirs.close()


def messages(sock: socket.socket) -> list[bytes]:
    """What is waiting, unread by an edge."""
    found = []
    while True:
        try:
            found.append(sock.recv(1 << 20))
        except BlockingIOError:
            return found


def test_many_small_frames_are_few_messages_in_their_order() -> None:
    """Each message wakes the other end."""
    ours, theirs = socket_pair()
    edge, other = Edge(ours), Edge(theirs)
    for number in range(200):
        edge.post(record(str(number)))
    assert edge.flush()
    waiting = messages(theirs)
    assert len(waiting) == 4
    for message in waiting:
        ours.send(message)
    assert sent(other) == [record(str(number)) for number in range(200)]
    edge.close()
    other.close()


def test_large_frames_and_descriptors_travel_alone(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    first, second = os.pipe()
    posted: list[tuple[frames.Frame, list[int]]] = [
        (record("a"), []), (record("b"), []), (frames.SpawnerEdge(), [first]), (record("x" * 100_000), []),
        (record("c"), []), (frames.SpawnerEdge(), [second]), (record("d"), []),
    ]  # fmt: skip
    for frame, descriptors in posted:
        one.post(frame, descriptors)
    assert one.flush()
    received = two.receive()
    assert [frame for frame, _descriptors in received] == [frame for frame, _descriptors in posted]
    assert [len(descriptors) for _frame, descriptors in received] == [0, 0, 1, 0, 0, 1, 0]
    for _frame, descriptors in received:
        for descriptor in descriptors:
            os.close(descriptor)


def test_what_is_before_a_frame_too_large_is_sent(edges: tuple[Edge, Edge]) -> None:
    one, two = edges
    one.post(record("a"))
    one.post(record("x" * 600_000))
    with pytest.raises(ValueError, match="does not fit"):
        one.flush()
    assert sent(two) == [record("a")]


@pytest.mark.parametrize("message", [b"\xc1\1", b"\xc1\xff\xff\xff\xff", b"\xc1\5\0\0\0\x80", b"\xc1\1\0\0\0\xc1"])
def test_a_bundle_that_is_none(message: bytes) -> None:
    ours, theirs = socket_pair()
    edge = Edge(ours)
    theirs.send(message)
    with pytest.raises(EdgeClosed, match="not a frame"):
        edge.receive()
    edge.close()
    theirs.close()
