"""Log lines: text for people, JSON for collectors, and text with a priority for systemd's journal."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from kactl_agent.observe.log_sink import LogSink
from kactl_agent.observe.log_targets import PRIORITIES, FileTarget, JournalTarget, LogTarget, SyslogTarget
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime.frames import LogRecord

LEVELS = ("debug", "info", "warning", "error")
DETAIL = "detail"
"""The level of what is only worth a line with --log-detail."""
_RANKS = {**{level: rank for rank, level in enumerate(LEVELS)}, DETAIL: LEVELS.index("info")}
_LONGEST_MESSAGE = 4096


class LogFormat(Enum):
    TEXT = "text"
    JSON = "json"
    JOURNAL = "journal"


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of logs."""

    form: LogFormat
    level: str
    detail: bool
    stderr: bool = True
    syslog: str = ""  # facility, "" is none
    journal: bool = False  # systemd's, by its own protocol

    def only_files(self) -> LogSettings:
        return msgspec.structs.replace(self, stderr=False, syslog="", journal=False)

    def with_detail(self, detail: bool) -> LogSettings:
        return msgspec.structs.replace(self, detail=detail)


class TextSink(Protocol):
    """Takes lines, and never makes anybody wait."""

    def write(self, text: str, /) -> object: ...


class LogWriter:
    """Writes records of at least `level` to `sink`, standard error unless said otherwise, and to other targets. With
    `detail` records of that level count too, and the text formats have the fields."""

    def __init__(
        self,
        form: LogFormat,
        level: str,
        detail: bool,
        sink: TextSink | None = None,
        targets: Sequence[LogTarget] = (),
    ) -> None:
        self._form = form
        self._threshold = _RANKS[level]
        self.detail = detail
        self._sink: TextSink = sink if sink is not None else LogSink()
        self._targets = targets

    def write(self, record: LogRecord) -> None:
        """One line, whatever the message holds. A log that cannot be written is no reason to fail."""
        if record.level == DETAIL and not self.detail:
            return
        if _RANKS.get(record.level, 1) >= self._threshold:
            self._sink.write(self.render(record) + "\n")
            for target in self._targets:
                target.write(record, self._text(record))

    def render(self, record: LogRecord, form: LogFormat | None = None) -> str:
        """The line, in `form` or the writer's own."""
        form = form or self._form
        level = "info" if record.level == DETAIL else record.level
        if form is LogFormat.JSON:
            line = {
                "time": timestamp(record.at),
                "level": level,
                "process": record.process,
                "message": record.message[:_LONGEST_MESSAGE],
                **record.fields,
            }
            return json.dumps(line, ensure_ascii=False)
        if form is LogFormat.JOURNAL:
            return f"<{PRIORITIES.get(level, 6)}>{record.process}: {self._text(record)}"
        return f"{timestamp(record.at)} {level:<7} {record.process}: {self._text(record)}"

    def _text(self, record: LogRecord) -> str:
        text = _one_line(record.message[:_LONGEST_MESSAGE])
        if self.detail:
            text += "".join(f" {key}={_quoted(value)}" for key, value in record.fields.items())
        return text


def _one_line(text: str) -> str:
    """Control characters cannot forge a second line."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _quoted(value: str | int | bool) -> str:
    text = _one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


class NoSink:
    """Standard error is not wanted."""

    def write(self, text: str) -> None:
        """Nothing comes of it."""


def open_log(settings: LogSettings, files: socket.socket | None = None, sink: TextSink | None = None) -> LogWriter:
    """Everything that is wanted. `files` is the socket to the process that writes files; `sink` is in place of standard
    error."""
    form = settings.form
    targets: list[LogTarget] = []
    if settings.syslog:
        targets.append(SyslogTarget(settings.syslog))
    if settings.journal:
        targets.append(JournalTarget())
    if settings.stderr:
        sink = sink if sink is not None else LogSink()
    else:
        sink = NoSink()
    writer = LogWriter(form, settings.level, settings.detail, sink, targets)
    if files is not None:
        in_files = LogFormat.TEXT if form is LogFormat.JOURNAL else form
        targets.append(FileTarget(files, lambda record: writer.render(record, in_files)))
    return writer
