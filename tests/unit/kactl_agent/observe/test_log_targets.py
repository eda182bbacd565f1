"""Records as syslog daemons (RFC 3164) and systemd's journal (its native protocol) get them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.observe.log_targets import Datagrams, JournalTarget, SyslogTarget
from kactl_agent.observe.logs import LogFormat, LogWriter
from kactl_agent.runtime.frames import LogRecord

AT = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
RECORD = LogRecord(AT, "warning", "vrrp", "VI_1: hello", {"code": "x y", "n": 3, "instance": ""})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[socket.socket]:
    sock = listening(tmp_path)
    yield sock
    sock.close()


def listening(directory: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(directory / "log"))
    sock.setblocking(False)
    return sock


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("facility", "level", "process", "expected"),
    [
        ("daemon", "info", "vrrp", b"<30>Jan  1 00:00:00 kactl-vrrp: hello"),
        ("daemon", "error", "supervisor", b"<27>Jan  1 00:00:00 kactl-agent: hello"),
        ("user", "warning", "bfd", b"<12>Jan  1 00:00:00 kactl-bfd: hello"),
        ("local7", "debug", "observer", b"<191>Jan  1 00:00:00 kactl-observer: hello"),
    ],
)
def test_syslog(
    daemon: socket.socket, tmp_path: Path, facility: str, level: str, process: str, expected: bytes
) -> None:
    with contextlib.closing(SyslogTarget(facility, str(tmp_path / "log"))) as target:
        target.write(LogRecord(AT, level, process, "hello"), "hello")
    assert daemon.recv(1000) == expected


def fields(data: bytes) -> dict[str, str]:
    """As https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ says."""
    found = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
            data = rest
        else:
            name, (length,) = line, struct.unpack_from("<Q", rest)
            value, data = rest[8 : 8 + length], rest[8 + length :]
            assert data[:1] == b"\n"
            data = data[1:]
        found[name.decode()] = value.decode()
    return found


def test_the_journal_gets_every_field(daemon: socket.socket, tmp_path: Path) -> None:
    target = JournalTarget(str(tmp_path / "log"))
    target.write(RECORD, "not looked at")
    assert fields(daemon.recv(1000)) == {
        "MESSAGE": "VI_1: hello", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "kactl-vrrp", "KACTL_PROCESS": "vrrp",
        "KACTL_CODE": "x y", "KACTL_N": "3",
    }  # fmt: skip
    target.write(LogRecord(AT, "error", "vrrp", "two\nlines=1\n"), "")
    assert fields(daemon.recv(1000))["MESSAGE"] == "two\nlines=1\n", "nothing in a message forges a field"
    target.close()


def test_a_daemon_that_does_not_read_holds_nobody_up_and_the_loss_is_said(
    daemon: socket.socket, tmp_path: Path
) -> None:
    target = SyslogTarget("daemon", str(tmp_path / "log"))
    for _ in range(5000):
        target.write(RECORD, "x" * 500)
    taken = len(list(drain(daemon)))
    assert 0 < taken < 5000
    target.write(RECORD, "after")
    loss, after = drain(daemon)
    assert f"{5000 - taken} lines of this log were lost".encode() in loss
    assert after.endswith(b": after")
    target.write(RECORD, "more")
    assert [data.rpartition(b": ")[2] for data in drain(daemon)] == [b"more"]
    target.close()


def drain(sock: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield sock.recv(10_000)
        except BlockingIOError:
            return


def test_a_daemon_that_is_restarted_is_found_again(tmp_path: Path) -> None:
    clock = [100.0]
    datagrams = Datagrams(str(tmp_path / "log"), lambda: clock[0])
    assert not datagrams.take(b"nobody there")
    first = listening(tmp_path)
    assert not datagrams.take(b"asked for too soon")
    clock[0] += 1
    assert datagrams.take(b"one")
    assert list(drain(first)) == [b"one"]
    first.close()
    (tmp_path / "log").unlink()
    second = listening(tmp_path)
    datagrams.send(b"lost")
    clock[0] += 1
    assert datagrams.take(b"two")
    assert list(drain(second)) == [b"two"]
    assert datagrams.lost == 1
    second.close()
    datagrams.close()


def test_other_targets_get_what_the_level_lets_through_and_details_when_wanted(
    daemon: socket.socket, tmp_path: Path
) -> None:
    class Nowhere:
        def write(self, text: str) -> None: ...

    target = SyslogTarget("daemon", str(tmp_path / "log"))
    log = LogWriter(LogFormat.TEXT, "info", False, Nowhere(), [target])
    for level in ("debug", "detail", "info"):
        log.write(LogRecord(AT, level, "vrrp", level, {"code": "c"}))
    log.detail = True
    log.write(LogRecord(AT, "detail", "vrrp", "now", {"code": "c"}))
    assert [data.partition(b": ")[2] for data in drain(daemon)] == [b"info", b"now code=c"]
    target.close()
