from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

from kactl_agent.observe.log_sink import LogSink


def test_a_pipe_that_nobody_reads_never_blocks_and_says_what_was_lost() -> None:
    readable, writable = os.pipe()
    sink = LogSink(writable)
    for number in range(20_000):
        sink.write(f"line {number} {'x' * 60}\n")
    assert not fcntl.fcntl(writable, fcntl.F_GETFL) & os.O_NONBLOCK, "what is shared with others stays as it was"
    text = b""
    os.set_blocking(readable, False)
    while b"last\n" not in text:
        sink.write("last\n")
        text += os.read(readable, 1 << 16)
    lines = text.decode().splitlines()
    first = [line for line in lines if line.startswith("line ")]
    assert [int(line.split()[1]) for line in first] == list(range(len(first))), "whole lines, in their order"
    (lost,) = [line for line in lines if "were lost" in line]
    assert int(lost.split()[0]) + len(first) >= 20_000
    for descriptor in (readable, writable):
        os.close(descriptor)
    sink.close()


def test_a_pipe_without_a_reader() -> None:
    readable, writable = os.pipe()
    sink = LogSink(writable)
    os.close(readable)
    for _ in range(3):
        sink.write("nobody\n")
    os.close(writable)
    sink.close()


def test_a_socket_that_nobody_reads_never_blocks() -> None:
    ours, theirs = socket.socketpair()
    sink = LogSink(theirs.fileno())
    for _ in range(20_000):
        sink.write("x" * 80 + "\n")
    assert theirs.getblocking()
    assert ours.recv(81) == b"x" * 80 + b"\n"
    sink.close()
    ours.close()
    theirs.close()


def test_a_closed_descriptor_and_odd_text() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    os.close(writable)
    LogSink(writable).write("\udc80\n")


def test_a_file_and_a_full_disk(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as file:
        LogSink(file.fileno()).write("one\n")
    assert (tmp_path / "log").read_text() == "one\n"
    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = LogSink(descriptor)
    sink.write("no room\n")
    sink.close()
    os.close(descriptor)


def test_standard_descriptors_that_are_closed_are_opened_on_nothing() -> None:
    code = (
        "import os; from kactl_agent.observe.log_sink import LogSink, open_standard_descriptors; "
        "[os.close(n) for n in (0, 1, 2)]; open_standard_descriptors(); LogSink().write('x'); "
        "n = os.open('/', os.O_RDONLY); os._exit(0 if n > 2 and os.readlink('/proc/self/fd/2') == '/dev/null' else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
