"""Tracked files: read when their directory says that they changed. They are small and local, so that reading is quick:
files elsewhere are refused when the configuration is loaded."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from kactl_agent.kernel.inotify import DIRECTORY_GONE, IN_Q_OVERFLOW, Inotify
from kactl_agent.tracking.actions import FileContent
from kactl_agent.tracking.file import LARGEST
from kactl_agent.vrrp.actions import Report


class ReaderLoop(Protocol):
    """What is needed of an asyncio loop."""

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> object: ...

    def remove_reader(self, descriptor: int) -> object: ...


class TrackedFiles:
    """`changed` is told the content of each file when it is first watched, and whenever it may have changed."""

    def __init__(
        self,
        loop: ReaderLoop,
        open_inotify: Callable[[], Inotify],
        changed: Callable[[str, FileContent], None],
        report: Callable[[Report], None],
    ) -> None:
        self._loop = loop
        self._open_inotify = open_inotify
        self._inotify: Inotify | None = None
        self._changed = changed
        self._report = report
        self._watched: dict[str, frozenset[str]] = {}  # file -> the directories that tell about it
        self._directories: dict[str, int] = {}  # directory -> watch

    def track(self, files: Iterable[str]) -> None:
        """Track these files and no others."""
        wanted = set(files)
        if wanted:
            self._open()
        else:
            self._close()
        for path in [path for path in self._watched if path not in wanted]:
            del self._watched[path]
        for path in wanted - set(self._watched):
            self._watched[path] = frozenset()
            self._look(path)
        self._forget_unneeded()

    def _open(self) -> None:
        if self._inotify is not None:
            return
        try:
            self._inotify = self._open_inotify()
        except OSError as error:  # a limit of the system: fs.inotify.max_user_instances
            text = f"tracked files are read every second: inotify does not serve us ({error.strerror})"
            self._report(Report("inotify", text, "warning"))
        else:
            self._loop.add_reader(self._inotify.fileno(), self._drain)

    def _close(self) -> None:
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None
        self._directories.clear()

    def _drain(self) -> None:
        if self._inotify is None:
            return
        names = {watch: directory for directory, watch in self._directories.items()}
        touched: set[str] = set()
        for event in self._inotify.events():
            if event.mask & IN_Q_OVERFLOW:
                touched.update(self._watched)
            directory = names.get(event.watch)
            if directory is None:
                continue
            if event.mask & DIRECTORY_GONE:
                self._directories.pop(directory, None)
                self._inotify.unwatch(event.watch)
            touched.update(path for path, directories in self._watched.items() if directory in directories)
        for path in sorted(touched & set(self._watched)):
            self._look(path)
        self._forget_unneeded()

    def retry(self) -> None:
        """Look again for what no directory tells about. To be called every second."""
        for path, directories in list(self._watched.items()):
            if any(directory not in self._directories for directory in directories) or not directories:
                self._look(path)

    def _look(self, path: str) -> None:
        """Watch first, then read: nothing falls between the two."""
        directories = {str(Path(path).parent)}
        with contextlib.suppress(OSError, RuntimeError):  # a loop of links
            directories.add(str(Path(path).resolve().parent))  # of what a link leads to
        self._watched[path] = frozenset(directories)
        for directory in directories - set(self._directories):
            if self._inotify is not None:
                with contextlib.suppress(OSError):  # `retry` comes back to it
                    self._directories[directory] = self._inotify.watch(directory)
        self._changed(path, read(path))

    def _forget_unneeded(self) -> None:
        needed = {directory for directories in self._watched.values() for directory in directories}
        for directory in [directory for directory in self._directories if directory not in needed]:
            watch = self._directories.pop(directory)
            if self._inotify is not None:
                self._inotify.unwatch(watch)


def read(path: str) -> FileContent:
    """The beginning of a regular file; what is none is not opened for long, and never waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        return FileContent(None, getattr(error, "strerror", None) or str(error))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return FileContent(None, "it is no regular file")
        return FileContent(os.read(descriptor, LARGEST))
    except OSError as error:
        return FileContent(None, error.strerror or str(error))
    finally:
        os.close(descriptor)
