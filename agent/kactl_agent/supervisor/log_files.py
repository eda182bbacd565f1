"""Log files (--log-file): one for each process, written by a small process that nobody waits for.

It is the only one that a disk can hold up. What it has no time for finds no room in its socket, is dropped by whoever
says it, and counted there. It ends when nobody has a socket to it any more.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec

from kactl_agent.observe.log_targets import FileLine
from kactl_agent.runtime import agent_signals, privileges
from kactl_agent.supervisor.children import Child, exit_text
from kactl_agent.supervisor.poller import close_all_but

PROCESS = "logger"
_OF_PROCESS = {"vrrp": "vrrp", "checkers": "check", "bfd": "bfd"}  # all others are in the file of the agent itself
_BUFFER = 1 << 20
_LARGEST = 1 << 16
_LAST_WORDS_SECONDS = 2.0


def log_path(base: Path, process: str, parts: tuple[str, ...] = ()) -> Path:
    """`/var/log/kactl.log` of a process: `/var/log/kactl_vrrp.log`; namespace and instance follow (`parts`)."""
    own = _OF_PROCESS.get(process, "")
    return base.with_name("_".join(filter(None, (base.stem, own, *parts))) + base.suffix)


class LogFiles:
    """The process, and the socket to it."""

    def __init__(self, base: Path, umask: int, complain: Callable[[str], None], parts: tuple[str, ...] = ()) -> None:
        """`complain` hears, in that process, of files that cannot be written; `parts` as in `log_path`."""
        self._parts = parts
        self._base = base.absolute()
        self._umask = umask
        self._complain = complain
        self.socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._owner = os.getpid()
        self.process: Child | None = None

    def start(self) -> None:
        """Raises OSError when there is no room for another process."""
        # a SIGHUP that comes before it is listened for must wait, and must not be taken for one of the agent's
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            pid = os.fork()
        finally:
            if os.getpid() == self._owner:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if pid:
            self.process = Child(PROCESS, pid)
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            close_all_but([self._theirs.fileno()])  # what it kept open others would never find closed
            privileges.set_process_name("kactl-logger")
            _Writer(self._base, self._umask, self._complain, self._parts).run(self._theirs)
            code = 0
        finally:
            os._exit(code)

    def reopen(self) -> None:
        """The files were moved away."""
        if self.process is not None:
            self.process.kill(signal.SIGHUP)

    def ended(self) -> str:
        """It is gone, and should not be; how."""
        assert self.process is not None
        code, self.process = self.process.reap(), None
        return exit_text(code)

    def close(self) -> None:
        """Wait until everything that was said is written, but not for ever."""
        self.socket.close()
        self._theirs.close()
        if self.process is not None and select.select([self.process], [], [], _LAST_WORDS_SECONDS)[0]:
            self.ended()


class _Writer:
    def __init__(self, base: Path, umask: int, complain: Callable[[str], None], parts: tuple[str, ...]) -> None:
        self._base = base
        self._parts = parts
        self._mode = 0o666 & ~umask
        self._complain = complain
        self._files: dict[Path, int] = {}
        self._failed: set[Path] = set()
        self._reopen = False

    def run(self, sock: socket.socket) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)  # it ends last, when nobody can say anything any more
        agent_signals.ignore()
        signal.signal(signal.SIGHUP, self._asked)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        decoder = msgspec.msgpack.Decoder(FileLine)
        while data := sock.recv(_LARGEST):
            if self._reopen:
                self._close_all()
            try:
                line = decoder.decode(data)
            except msgspec.MsgspecError:
                continue
            self._write(log_path(self._base, line.process, self._parts), line.text + "\n")

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self._reopen = True

    def _close_all(self) -> None:
        self._reopen = False
        self._failed.clear()
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _write(self, path: Path, text: str) -> None:
        try:
            descriptor = self._files.get(path)
            if descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                self._files[path] = descriptor = os.open(path, flags, self._mode)
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError as error:
            if path not in self._failed:  # a full disk is full for every line
                self._failed.add(path)
                self._complain(f"log file {path}: {error.strerror or error}")
        else:
            self._failed.discard(path)
