"""Where log records go besides standard error: syslog, systemd's journal, and the process that writes files.

All of them are datagrams that nobody waits for: what finds no room is dropped and counted, and said once there is room.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from kactl_agent.runtime.frames import LogRecord

SYSLOG = "/dev/log"
JOURNAL = "/run/systemd/journal/socket"
FACILITIES = {"user": 1, "daemon": 3, **{f"local{number}": 16 + number for number in range(8)}}  # RFC 5424 6.2.1
PRIORITIES = {"debug": 7, "detail": 6, "info": 6, "warning": 4, "error": 3}  # RFC 5424 6.2.1, sd-daemon(3)
_CONNECT_AGAIN = 1.0  # seconds
_LONGEST = 8192  # bytes of a datagram of syslog


class LogTarget(Protocol):
    """Takes records, and never makes anybody wait."""

    def write(self, record: LogRecord, text: str) -> None:
        """`text` is the record's message as one line, with its fields where detail is wanted."""


class Datagrams:
    """Datagrams to a socket of the file system, whose owner may come and go."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._socket: socket.socket | None = None
        self._connect_at = 0.0
        self.lost = 0

    def send(self, data: bytes) -> None:
        """What is not taken is counted."""
        if not self.take(data):
            self.lost += 1

    def take(self, data: bytes) -> bool:
        """Whether it was taken."""
        if self._socket is None and not self._connect():
            return False
        assert self._socket is not None
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:  # its owner has gone
            self.close()
            return False
        return True

    def _connect(self) -> bool:
        now = self._clock()
        if now < self._connect_at:
            return False
        self._connect_at = now + _CONNECT_AGAIN
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        sock.setblocking(False)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            return False
        self._socket = sock
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def identifier(process: str) -> str:
    """What a process is called in logs of the system."""
    return "kactl-agent" if process == "supervisor" else f"kactl-{process}"


class SyslogTarget:
    """RFC 3164 as the C library sends it, which every syslog daemon takes on /dev/log."""

    def __init__(self, facility: str, path: str = SYSLOG) -> None:
        self._facility = FACILITIES[facility]
        self._datagrams = Datagrams(path)

    def write(self, record: LogRecord, text: str) -> None:
        if self._datagrams.lost and self._datagrams.take(self._encode(record, "warning", self._loss())):
            self._datagrams.lost = 0
        self._datagrams.send(self._encode(record, record.level, text))

    def close(self) -> None:
        self._datagrams.close()

    def _loss(self) -> str:
        return f"{self._datagrams.lost} lines of this log were lost: syslog did not take them"

    def _encode(self, record: LogRecord, level: str, text: str) -> bytes:
        priority = self._facility << 3 | PRIORITIES.get(level, 6)
        moment = time.localtime(record.at / 1e9)
        stamp = f"{time.strftime('%b', moment)} {moment.tm_mday:2} {time.strftime('%H:%M:%S', moment)}"
        return f"<{priority}>{stamp} {identifier(record.process)}: {text}".encode("utf-8", "backslashreplace")[
            :_LONGEST
        ]


class JournalTarget:
    """The native protocol of systemd's journal: every field of a record is a field there (`KACTL_CODE`, ...)."""

    def __init__(self, path: str = JOURNAL) -> None:
        self._datagrams = Datagrams(path)

    def write(self, record: LogRecord, text: str) -> None:
        del text
        if self._datagrams.lost:
            message = f"{self._datagrams.lost} records of this log were lost: the journal did not take them"
            if self._datagrams.take(_fields(LogRecord(record.at, "warning", record.process, message))):
                self._datagrams.lost = 0
        self._datagrams.send(_fields(record))

    def close(self) -> None:
        self._datagrams.close()


def _fields(record: LogRecord) -> bytes:
    fields = {
        "MESSAGE": record.message,
        "PRIORITY": str(PRIORITIES.get(record.level, 6)),
        "SYSLOG_IDENTIFIER": identifier(record.process),
        "KACTL_PROCESS": record.process,
        **{f"KACTL_{name.upper()}": str(value) for name, value in record.fields.items() if value != ""},
    }
    return b"".join(_field(name, value) for name, value in fields.items())


def _field(name: str, value: str) -> bytes:
    """`NAME=value`, or with a line feed in it the name, the length in 64 bits, and the value."""
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


class FileLine(msgspec.Struct, frozen=True, array_like=True):
    """A line for the file of a process."""

    process: str
    text: str


class FileTarget:
    """Lines for the process that writes files (`kactl_agent.supervisor.log_files`), over its SOCK_SEQPACKET socket."""

    def __init__(self, sock: socket.socket, render: Callable[[LogRecord], str]) -> None:
        self._socket = sock
        self._render = render
        self._lost = 0

    def write(self, record: LogRecord, text: str) -> None:
        del text
        if self._lost:
            loss = f"{self._lost} lines of this log were lost: the disk was too slow"
            if self._send(record.process, self._render(LogRecord(record.at, "warning", record.process, loss))):
                self._lost = 0
        self._lost += not self._send(record.process, self._render(record))

    def _send(self, process: str, line: str) -> bool:
        try:
            self._socket.send(
                msgspec.msgpack.encode(FileLine(process, line)), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
            )
        except OSError:
            return False
        return True
