"""Log lines: text for people, JSON for collectors, and text with a priority for systemd's journal."""

from __future__ import annotations

import json
from enum import Enum
from typing import Protocol

from kactl_agent.observe.log_sink import LogSink
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime.frames import LogRecord

LEVELS = ("debug", "info", "warning", "error")
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}  # sd-daemon(3)
_LONGEST_MESSAGE = 4096


class LogFormat(Enum):
    TEXT = "text"
    JSON = "json"
    JOURNAL = "journal"


class TextSink(Protocol):
    """Takes lines, and never makes anybody wait."""

    def write(self, text: str, /) -> object: ...


class LogWriter:
    """Writes records of at least `level` to `sink`, standard error unless said otherwise. `detail` adds the fields to
    the text formats."""

    def __init__(self, form: LogFormat, level: str, detail: bool, sink: TextSink | None = None) -> None:
        self._form = form
        self._threshold = _RANKS[level]
        self._detail = detail
        self._sink = sink if sink is not None else LogSink()

    def write(self, record: LogRecord) -> None:
        """One line, whatever the message holds. A log that cannot be written is no reason to fail."""
        if _RANKS.get(record.level, 1) >= self._threshold:
            self._sink.write(self.render(record) + "\n")

    def render(self, record: LogRecord) -> str:
        if self._form is LogFormat.JSON:
            line = {
                "time": timestamp(record.at),
                "level": record.level,
                "process": record.process,
                "message": record.message[:_LONGEST_MESSAGE],
                **record.fields,
            }
            return json.dumps(line, ensure_ascii=False)
        text = _one_line(record.message[:_LONGEST_MESSAGE])
        if self._detail:
            text += "".join(f" {key}={_quoted(value)}" for key, value in record.fields.items())
        if self._form is LogFormat.JOURNAL:
            return f"<{_PRIORITIES.get(record.level, 6)}>{record.process}: {text}"
        return f"{timestamp(record.at)} {record.level:<7} {record.process}: {text}"


def _one_line(text: str) -> str:
    """Control characters cannot forge a second line."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _quoted(value: str | int | bool) -> str:
    text = _one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
