"""The FIFOs that events are written to: made, handed to the workers, removed; and the scripts that read them.

As keepalived: a FIFO that was there before stays at the end, the script gets its path as the last argument, a reload
starts the script anew, and one that ends by itself is not started again. Unlike keepalived, the FIFO stays open over a
reload that does not change it, so that no line is lost and no other reader sees its end.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kactl_agent.notify.settings import FifoSettings
from kactl_agent.process_settings import DEFAULT_UMASK
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.notify_frames import NotifyFifos
from kactl_agent.supervisor.own_scripts import OwnScripts

OF_WORKER = {"vrrp": ("notify_fifo", "vrrp_notify_fifo"), "checkers": ("notify_fifo", "lvs_notify_fifo")}
"""Which FIFOs each worker writes to."""
_LAST_LINES_SECONDS = 1.0  # for scripts, at the stop
_LOOK_SECONDS = 0.02
_MODE = 0o644  # less the umask


class _Fifo:
    """One that is open for writing. Its directory may be somebody else's, who can put anything in its place at any
    moment: nothing is done by its name but to make, open and remove it, and no link is followed."""

    def __init__(self, settings: FifoSettings, umask: int) -> None:
        """Raises OSError."""
        self.settings = settings
        path = Path(settings.path)
        self._name = path.name
        self._folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._made = False
        self._inode: tuple[int, int] | None = None
        try:
            self._make()
            self.descriptor = self._open(_MODE & ~umask)
        except OSError:
            self._remove()
            raise
        self.end_script: Callable[[], None] | None = None  # while one runs
        self.start_again = False

    def close(self) -> None:
        os.close(self.descriptor)
        self._remove()

    def _make(self) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._name, 0o600, dir_fd=self._folder)
            self._made = True

    def _open(self, mode: int) -> int:
        """A descriptor for writing alone: it tells a FIFO that is read from one that is not. Raises OSError, also for
        what is no FIFO of that user. One that was made gets its mode and owner then: before, others could not open it,
        and after, we could not where even root has only its own files."""
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        both = os.open(self._name, flags, dir_fd=self._folder)
        try:
            found = os.fstat(both)
            if not stat.S_ISFIFO(found.st_mode):
                raise OSError("there is something else of that name, which is no FIFO")
            if found.st_uid not in (self.settings.uid, os.geteuid()):
                raise OSError(f"it belongs to user {found.st_uid}")
            if self._made and found.st_nlink != 1:
                raise OSError("it has been replaced by one that has another name too")
            self._inode = found.st_dev, found.st_ino
            descriptor = os.open(f"/proc/self/fd/{both}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if self._made:
                    os.fchmod(both, mode)
                    if (self.settings.uid, self.settings.gid) != (os.geteuid(), os.getegid()):
                        os.fchown(both, self.settings.uid, self.settings.gid)
            except OSError:
                os.close(descriptor)
                raise
            return descriptor
        finally:
            os.close(both)

    def _remove(self) -> None:
        """Unless something else has its name by now."""
        if self._made:
            with contextlib.suppress(OSError):
                found = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
                if (found.st_dev, found.st_ino) == self._inode:
                    os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)


class NotifyFifoSet:
    """All of them, by keyword. `log` takes a level and a message."""

    def __init__(self, scripts: OwnScripts, log: Callable[[str, str], None]) -> None:
        self.umask = DEFAULT_UMASK  # of those that are made from now on
        self._scripts = scripts
        self._log = log
        self._fifos: dict[str, _Fifo] = {}

    def apply(self, wanted: dict[str, FifoSettings]) -> None:
        """These there are to be. Scripts of those that go on are started anew."""
        kept: dict[str, _Fifo] = {}
        for keyword, fifo in self._fifos.items():
            settings = wanted.get(keyword)
            if settings is not None and _place(settings) == _place(fifo.settings):
                kept[keyword] = fifo
                fifo.settings = settings
            else:
                fifo.close()
                self._end_script(fifo)
        self._fifos = kept
        for keyword, settings in wanted.items():
            if keyword not in kept:
                try:
                    self._fifos[keyword] = _Fifo(settings, self.umask)
                except OSError as error:
                    reason = error.strerror or str(error)
                    self._log("error", f"{keyword} {settings.path} is not written to: {reason}")
                    continue
            self._start_script(keyword)

    def hand_over(self, worker: str, edge: Edge) -> None:
        """The descriptors of its FIFOs, in place of those it had."""
        if worker not in OF_WORKER:
            return
        given: dict[str, int] = {}
        for keyword in OF_WORKER[worker]:
            if keyword in self._fifos:
                try:
                    given[keyword] = os.dup(self._fifos[keyword].descriptor)
                except OSError as error:
                    self._log("error", f"the {worker} worker does not write to the {keyword}: {error.strerror}")
        edge.post(NotifyFifos(tuple(given)), list(given.values()))

    def close(self, then: Callable[[], None]) -> None:
        """The workers have ended: readers see the end now. `then` is called when the scripts have read the last lines
        and ended, or have had the time to."""
        fifos, self._fifos = list(self._fifos.values()), {}
        for fifo in fifos:
            fifo.start_again = False
            fifo.close()
        self._wait(fifos, _LAST_LINES_SECONDS, then)

    def _wait(self, fifos: list[_Fifo], seconds: float, then: Callable[[], None]) -> None:
        running = [fifo for fifo in fifos if fifo.end_script is not None]
        if running and seconds > 0:
            later = partial(self._wait, running, seconds - _LOOK_SECONDS, then)
            self._scripts.poller.call_later(_LOOK_SECONDS, later)
            return
        for fifo in running:
            self._end_script(fifo)
        then()

    def _start_script(self, keyword: str) -> None:
        """After the end of the one that may run: two would each get a part of the lines."""
        fifo = self._fifos[keyword]
        script = fifo.settings.script
        fifo.start_again = script is not None and fifo.end_script is not None
        if fifo.end_script is not None:
            fifo.end_script()
        elif script is not None:
            command = script.with_arguments(fifo.settings.path)
            name = f"{keyword}_script"
            fifo.end_script = self._scripts.keep(name, command, partial(self._script_ended, keyword, fifo))

    def _script_ended(self, keyword: str, fifo: _Fifo) -> None:
        fifo.end_script = None
        if fifo.start_again and self._fifos.get(keyword) is fifo:
            self._start_script(keyword)

    def _end_script(self, fifo: _Fifo) -> None:
        fifo.start_again = False
        if fifo.end_script is not None:
            fifo.end_script()


def _place(settings: FifoSettings) -> tuple[str, int, int]:
    return settings.path, settings.uid, settings.gid
