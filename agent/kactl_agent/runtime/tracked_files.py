"""Tracked files: read when their directory says that they changed. They are small and local, so that reading is quick:
files elsewhere are refused when the configuration is loaded."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from kactl_agent.kernel.inotify import DIRECTORY_GONE, IN_Q_OVERFLOW, Inotify
from kactl_agent.tracking.actions import FileContent
from kactl_agent.tracking.file import LARGEST


class TrackedFiles:
    """`changed` is told the content of each file when it is first watched, and whenever it may have changed."""

    def __init__(self, inotify: Inotify, changed: Callable[[str, FileContent], None]) -> None:
        self._inotify = inotify
        self._changed = changed
        self._watched: dict[str, frozenset[str]] = {}  # file -> the directories that tell about it
        self._directories: dict[str, int] = {}  # directory -> watch

    def fileno(self) -> int:
        return self._inotify.fileno()

    def close(self) -> None:
        self._inotify.close()

    def track(self, files: Iterable[str]) -> None:
        """Track these files and no others."""
        wanted = set(files)
        for path in [path for path in self._watched if path not in wanted]:
            del self._watched[path]
        for path in wanted - set(self._watched):
            self._watched[path] = frozenset()
            self._look(path)
        self._forget_unneeded()

    def drain(self) -> None:
        """Read what has changed. To be called when the descriptor is readable."""
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
        """Look again for directories that were not there. To be called now and then."""
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
            try:
                self._directories[directory] = self._inotify.watch(directory)
            except OSError:
                continue  # `retry` comes back to it
        self._changed(path, read(path))

    def _forget_unneeded(self) -> None:
        needed = {directory for directories in self._watched.values() for directory in directories}
        for directory in [directory for directory in self._directories if directory not in needed]:
            self._inotify.unwatch(self._directories.pop(directory))


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
