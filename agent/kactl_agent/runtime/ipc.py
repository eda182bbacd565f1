"""One end of a socket pair between two processes of the agent: frames, never blocking, bounded.

Three kinds of frames have three promises. Events (logs, journal lines) are dropped when the queue is full, and
counted. State is coalesced: of each key the newest version is kept until it is sent. Requests and answers are kept.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice

import msgspec

from kactl_agent.kernel.buffers import set_send_buffer
from kactl_agent.runtime.frames import AnyFrame, Frame, decode, encode

_LARGEST_FRAME = 1 << 19
_DESCRIPTORS = 4
_BUFFER = 1 << 20
_BUNDLE = b"\xc1"  # no MessagePack begins so: several frames behind it, each behind its length
_LENGTH = struct.Struct("=I")
_LARGEST_BUNDLE = 1 << 16
_MOST_IN_A_BUNDLE = 64


class EdgeClosed(Exception):
    """The other end is gone."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected SOCK_SEQPACKET sockets, non-blocking, not inherited over exec."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in pair:
        sock.setblocking(False)
        set_send_buffer(sock, _BUFFER)
    return pair


class _Entry:
    """A queued frame. Frames are encoded when they are sent, so that coalesced ones cost nothing."""

    __slots__ = ("descriptors", "frame", "is_event", "key")

    def __init__(self, frame: Frame, key: Hashable, is_event: bool, descriptors: Sequence[int]) -> None:
        self.frame = frame
        self.key = key
        self.is_event = is_event
        self.descriptors = tuple(descriptors)


class Edge:
    """Frames in and out over one socket. `on_pending` is called when something waits to be flushed."""

    def __init__(self, sock: socket.socket, *, event_limit: int = 4096) -> None:
        self._socket = sock
        self._event_limit = event_limit
        self._queue: deque[_Entry] = deque()
        self._states: dict[Hashable, _Entry] = {}
        self._events = 0
        self._closed = False
        self._incoming = memoryview(
            bytearray(_LARGEST_FRAME)
        )  # one buffer for ever: allocating it costs more than reading
        self.dropped = 0  # events that found the queue full
        self.on_pending: Callable[[], None] | None = None

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Edge:
        """An edge over a socket that came from another process."""
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        return cls(sock)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        return bool(self._queue)

    @property
    def waiting(self) -> int:
        """Frames that are queued."""
        return len(self._queue)

    def close(self) -> None:
        """What was not sent is lost, and what is posted from now on."""
        self._closed = True
        for entry in self._queue:
            _close_all(entry.descriptors)
        self._queue.clear()
        self._states.clear()
        self._socket.close()

    def post(self, frame: Frame, descriptors: Sequence[int] = ()) -> None:
        """Queue a request or an answer. The descriptors are the edge's from now on: it closes them once sent."""
        self._append(_Entry(frame, None, False, descriptors))

    def post_event(self, frame: Frame) -> bool:
        """Queue an event; False, and counted, when the queue is full."""
        if self._events >= self._event_limit:
            self.dropped += 1
            return False
        self._events += 1
        self._append(_Entry(frame, None, True, ()))
        return True

    def post_state(self, key: Hashable, frame: Frame) -> None:
        """Queue the state of `key` in place of an older one that has not been sent yet."""
        waiting = self._states.get(key)
        if waiting is not None:
            waiting.frame = frame
            return
        entry = self._states[key] = _Entry(frame, key, False, ())
        self._append(entry)

    def _append(self, entry: _Entry) -> None:
        if self._closed:
            self._events -= entry.is_event
            self._states.pop(entry.key, None)
            _close_all(entry.descriptors)
            return
        self._queue.append(entry)
        if self.on_pending is not None:
            self.on_pending()

    def flush(self) -> bool:
        """Send what can be sent without blocking. Returns whether all is out. Raises EdgeClosed, and ValueError for a
        frame that cannot be sent; it is gone then, and does not stand in the way of those behind it."""
        while self._queue:
            try:
                entries, data = self._next_message()
            except ValueError:
                self._done_with(self._queue[0])
                raise
            descriptors = entries[0].descriptors
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                self._socket.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            except OSError as error:
                raise EdgeClosed(str(error)) from error
            for entry in entries:
                self._done_with(entry)
        return True

    def _done_with(self, entry: _Entry) -> None:
        """The first of the queue."""
        self._queue.popleft()
        self._events -= entry.is_event
        self._states.pop(entry.key, None)
        _close_all(entry.descriptors)

    def _next_message(self) -> tuple[list[_Entry], bytes]:
        """The first frame of the queue, and small ones behind it in one message: each message wakes the other end."""
        entries: list[_Entry] = []
        encoded: list[bytes] = []
        size = 0
        for entry in islice(self._queue, _MOST_IN_A_BUNDLE):
            data = encode(entry.frame)
            if len(data) > _LARGEST_FRAME:
                if entries:
                    break  # what stands before it is sent first
                raise ValueError(f"a {type(entry.frame).__name__} frame of {len(data)} bytes does not fit")
            size += len(data)
            if entries and (size > _LARGEST_BUNDLE or entry.descriptors):
                break
            entries.append(entry)
            encoded.append(data)
            if entry.descriptors:
                break
        if len(entries) == 1:
            return entries, encoded[0]
        return entries, _BUNDLE + b"".join(part for data in encoded for part in (_LENGTH.pack(len(data)), data))

    def try_flush(self) -> None:
        """`flush` for who learns of the other end's end by reading."""
        with contextlib.suppress(EdgeClosed):
            self.flush()

    def receive(self, limit: int = 256) -> list[tuple[AnyFrame, list[int]]]:
        """Up to `limit` frames that are waiting, each with its descriptors, which are the caller's.

        Raises EdgeClosed when the other end is gone and everything has been read.
        """
        received: list[tuple[AnyFrame, list[int]]] = []
        while len(received) < limit:
            try:
                size, ancillary, _flags, _address = self._socket.recvmsg_into(
                    [self._incoming], socket.CMSG_SPACE(_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                break
            except OSError as error:
                if received:
                    break
                raise EdgeClosed(str(error)) from error
            descriptors = _descriptors(ancillary)
            if not size:
                _close_all(descriptors)
                if received:
                    break
                raise EdgeClosed("end of file")
            try:
                frames = [decode(part) for part in _parts(self._incoming[:size])]
                received += [(frame, descriptors if not n else []) for n, frame in enumerate(frames)]
            except msgspec.MsgspecError as error:
                # what does not speak our language is not one of our processes any more, nor was it just before
                for each in (descriptors, *(others for _frame, others in received)):
                    _close_all(each)
                raise EdgeClosed(f"not a frame: {error}") from error
        return received


def _parts(message: memoryview) -> Iterator[memoryview]:
    """The frames of a message. Raises msgspec.DecodeError for lengths that do not fit."""
    if message[:1] != _BUNDLE:
        yield message
        return
    at = len(_BUNDLE)
    while at < len(message):
        behind = at + _LENGTH.size
        if behind > len(message):
            raise msgspec.DecodeError("a bundle is cut short")
        (length,) = _LENGTH.unpack_from(message, at)
        at = behind + length
        if at > len(message):
            raise msgspec.DecodeError("a bundle is cut short")
        yield message[behind:at]


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
