"""The log of the supervisor itself, and of processes that have no other: `--log-*` of the command line."""

from __future__ import annotations

import socket
import time
from functools import partial

from kactl_agent.observe.logs import LogFormat, LogSettings, open_log
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime.frames import LogRecord
from kactl_agent.supervisor.log_files import LogFiles
from kactl_agent.supervisor.options import Options
from kactl_agent.supervisor.poller import Poller

PROCESS = "supervisor"
_MOST_EARLY = 1000


class Log:
    """Records of the supervisor. Files begin when the configuration has named the instance (`begin_files`): what was
    said before follows then."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.settings = LogSettings(
            form=LogFormat(options.log_format),
            level=options.log_level,
            detail=options.log_detail,
            stderr=options.log_stderr,
            syslog=options.log_syslog,
            journal=options.log_journal,
        )
        self.files: LogFiles | None = None
        self._writer = open_log(self.settings)
        self._early: list[LogRecord] = []

    def __call__(self, level: str, message: str) -> None:
        record = LogRecord(time.time_ns(), level, PROCESS, message)
        self._writer.write(record)
        if self._options.log_file is not None and self.files is None and len(self._early) < _MOST_EARLY:
            self._early.append(record)

    @property
    def socket(self) -> socket.socket | None:
        """To the process that writes files."""
        return None if self.files is None else self.files.socket

    def begin_files(self, process: ProcessSettings) -> None:
        """Raises OSError when there is no room for another process."""
        if self._options.log_file is None:
            return
        parts = tuple(filter(None, (process.namespace, process.instance)))
        self.files = LogFiles(self._options.log_file, process.umask, partial(complain, self.settings, "logger"), parts)
        self.files.start()
        self._writer = open_log(self.settings, self.files.socket)
        files_alone = open_log(self.settings.only_files(), self.files.socket)
        for record in self._early:
            files_alone.write(record)
        self._early.clear()

    def toggle_detail(self) -> bool:
        """Whether there is detail now."""
        self._writer.detail = not self._writer.detail
        self.settings = self.settings.with_detail(self._writer.detail)
        return self._writer.detail

    def watch(self, poller: Poller) -> None:
        """Another process writes files when one has ended, which none should."""
        files = self.files
        if files is None or files.process is None:
            return
        descriptor = files.process.fileno()

        def ended() -> None:
            poller.remove_reader(descriptor)
            self("error", f"the process that writes log files ended: {files.ended()}")
            poller.call_later(1.0, again)

        def again() -> None:
            try:
                files.start()
            except OSError:  # no room for a process
                poller.call_later(1.0, again)
            else:
                self.watch(poller)

        poller.add_reader(descriptor, ended)

    def close(self) -> None:
        """Wait until everything is in the files."""
        if self.files is not None:
            self.files.close()


def complain(settings: LogSettings, process: str, line: str, level: str = "error") -> None:
    """In a process that has no log: another sink, because the one of the supervisor is closed there."""
    open_log(settings).write(LogRecord(time.time_ns(), level, process, line))
