"""A worker's side of the spawner: runs by their number, requests that wait while there is no spawner."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol

from kactl_agent.runtime.spawn_frames import LARGEST, Ended, Run, Signal, SpawnFrame, Started, decode, encode
from kactl_agent.tracking.settings import Executable

_ANSWERS_A_WAKEUP = 64


class DescriptorWatcher(Protocol):
    """Calls back when a descriptor is readable or writable, as an asyncio loop does."""

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> object: ...

    def remove_reader(self, descriptor: int) -> object: ...

    def add_writer(self, descriptor: int, callback: Callable[[], None]) -> object: ...

    def remove_writer(self, descriptor: int) -> object: ...


class RunListener(Protocol):
    """Hears of the run that it asked for: that it has started, and at the end exactly one of the others."""

    def started(self) -> None: ...

    def ended(self, status: int) -> None:
        """Exit status, or a signal as a negative number."""

    def not_started(self, reason: str) -> None: ...

    def lost(self) -> None:
        """The spawner has ended, and the run with it: nothing is known of what it did."""


class _Pending:
    """A run that has not ended."""

    def __init__(self, listener: RunListener, request: bytes) -> None:
        self.listener = listener
        self.request = request
        self.pidfd = -1


class ScriptRunner:
    """Never blocks. What cannot be sent at once waits: there is at most what callers ask for, a run each."""

    def __init__(self, watcher: DescriptorWatcher) -> None:
        self.umask = -1  # of what is run from now on; -1: that of the spawner
        self._watcher = watcher
        self._socket: socket.socket | None = None
        self._unsent: deque[bytes] = deque()
        self._runs: dict[int, _Pending] = {}
        self._last = 0
        self._writing = False

    def connect(self, sock: socket.socket) -> None:
        """Use this socket to a spawner from now on. Runs of an earlier one are lost; requests it never saw are not."""
        self._disconnect()
        sock.setblocking(False)
        self._socket = sock
        self._watcher.add_reader(sock.fileno(), self._readable)
        self._flush()

    def close(self) -> None:
        """The runs end with the connection; nobody hears of it any more."""
        self._unsent.clear()
        self._runs.clear()
        self._disconnect()

    def run(self, executable: Executable, listener: RunListener) -> int:
        """Ask for a run; its number. Raises ValueError for a command line that no process can have."""
        request = encode(Run(self._last + 1, executable.command_line, executable.uid, executable.gid, self.umask))
        if len(request) > LARGEST:
            raise ValueError("the command line is too long")
        self._last += 1
        self._runs[self._last] = _Pending(listener, request)
        self._post(request)
        return self._last

    def signal(self, run: int, number: int) -> None:
        """Signal a run and everything it started; nothing when it has ended."""
        if run in self._runs:
            self._post(encode(Signal(run, number)))

    @property
    def running(self) -> int:
        return len(self._runs)

    def _post(self, frame: bytes) -> None:
        self._unsent.append(frame)
        self._flush()

    def _flush(self) -> None:
        while self._unsent and self._socket is not None:
            try:
                self._socket.send(self._unsent[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                if not self._writing:
                    self._writing = True
                    self._watcher.add_writer(self._socket.fileno(), self._flush)
                return
            except OSError:
                return  # it has ended, which reading tells
            self._unsent.popleft()
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._writing and self._socket is not None:
            self._writing = False
            self._watcher.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        for _ in range(_ANSWERS_A_WAKEUP):
            if self._socket is None:
                return
            try:
                data, ancillary, _flags, _address = self._socket.recvmsg(
                    LARGEST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC
                )
                descriptors = _descriptors(ancillary)
                frame = decode(data) if data else None
            except BlockingIOError:
                return
            except (OSError, ValueError):
                frame, descriptors = None, []
            self._take(frame, descriptors)

    def _take(self, frame: SpawnFrame | None, descriptors: list[int]) -> None:
        match frame:
            case Started() if descriptors and frame.run in self._runs:
                self._runs[frame.run].pidfd = descriptors.pop()
                self._runs[frame.run].listener.started()
            case Ended():
                pending = self._runs.pop(frame.run, None)
                if pending is not None:
                    _close(pending.pidfd)
                    if frame.error:
                        pending.listener.not_started(frame.error)
                    else:
                        pending.listener.ended(frame.status)
            case None:
                self._disconnect()
            case _:
                pass
        for descriptor in descriptors:
            os.close(descriptor)

    def _disconnect(self) -> None:
        """Without a spawner nobody could end the runs, which end with it: those that would not are killed here."""
        if self._socket is not None:
            self._stop_writing()
            self._watcher.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        unsent = set(self._unsent)
        lost = {run: pending for run, pending in self._runs.items() if pending.request not in unsent}
        self._unsent = deque(pending.request for pending in self._runs.values() if pending.request in unsent)
        for run, pending in lost.items():
            del self._runs[run]
            if pending.pidfd >= 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):  # of another user: SIGTERM has to do
                    signal.pidfd_send_signal(pending.pidfd, signal.SIGKILL)
                _close(pending.pidfd)
        for pending in lost.values():
            pending.listener.lost()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
