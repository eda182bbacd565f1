"""The run directory: pid file, lock, control socket, dump files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from kactl_agent.control.protocol import SOCKET_NAME

PID_FILE = "agent.pid"
_ORPHAN_SECONDS = 8.0


class AlreadyRunning(Exception):
    """Another agent holds the lock of this run directory."""


class RunDirectory:
    """Ours from `claim` to `release`. A lock on the pid file decides, not that files exist."""

    def __init__(self, path: Path, orphan_seconds: float = _ORPHAN_SECONDS) -> None:
        """`orphan_seconds` is how long the workers of an agent that was killed may take to end."""
        self.path = path
        self._orphan_seconds = orphan_seconds
        self._lock = -1

    def claim(self) -> None:
        """Create the directory, take the lock and write the pid. Raises AlreadyRunning, OSError.

        The VRRP worker shares the lock. When an agent was killed the lock is held until its workers, who then end
        orderly, are gone: that is waited for, so that a new agent never meets an old master.
        """
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        deadline = time.monotonic() + self._orphan_seconds
        while not self._try_lock():
            pid = self._recorded_pid()
            if pid is None or _alive(pid):
                who = f"process {pid}" if pid is not None else "another process"
                raise AlreadyRunning(f"an agent is running already in {self.path} ({who})")
            if time.monotonic() > deadline:
                raise AlreadyRunning(
                    f"the agent of {self.path} (process {pid}) is gone, but a process kactl-vrrp of it still is, and "
                    "may hold virtual addresses: look for one that hangs or is stopped, and kill it"
                )
            time.sleep(0.02)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _try_lock(self) -> bool:
        while True:
            path = self.path / PID_FILE
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError:
                os.close(descriptor)
                raise
            # an agent that is just ending may have removed the file between open and lock
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    self._lock = descriptor
                    return True
            os.close(descriptor)

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.path / PID_FILE).read_text())
        except (OSError, ValueError):
            return None

    def danger(self) -> str:
        """Why others than the owner could take the place of the control socket; empty when they cannot."""
        try:
            found = self.path.stat()
        except OSError:
            return ""
        writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.st_uid not in (0, os.geteuid()):
            who = f"user {found.st_uid}, who owns it,"
        elif writable and not found.st_mode & stat.S_ISVTX:
            who = "others" if writable & stat.S_IWOTH else f"group {found.st_gid}"
        else:
            return ""
        return f"run directory {self.path}: {who} may put another socket in place of the agent's: chmod 755, chown root"

    @property
    def lock(self) -> int:
        """Descriptor of the lock: a child that keeps it keeps the lock."""
        return self._lock

    def listen(self) -> socket.socket:
        """The control socket, for its owner only, in place of one that a killed agent left. Raises OSError."""
        path = self.path / SOCKET_NAME
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            # a path may be longer than a socket address: bind by way of the directory's descriptor
            directory = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                listener.bind(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
            finally:
                os.close(directory)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        listener.listen(64)
        listener.setblocking(False)
        return listener

    def create(self, name: str) -> int:
        """A new file for its owner only, instead of whatever stands there. Raises OSError."""
        path = self.path / name
        path.unlink(missing_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def keep(self, names: Iterable[str]) -> list[int]:
        """Files that outlive us, for their owner only: to read, and to write at their end. Raises OSError."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        opened: list[int] = []
        try:
            opened.extend(os.open(self.path / name, flags, 0o600) for name in names)
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        return opened

    def replace(self, temporary: str, name: str) -> None:
        (self.path / temporary).replace(self.path / name)

    def release(self) -> None:
        """Remove socket and pid file, then the lock. Only for the process that claimed."""
        if self._lock >= 0:
            for name in (SOCKET_NAME, PID_FILE):
                with contextlib.suppress(OSError):
                    (self.path / name).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
