from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kactl_agent.supervisor.children import LONG_ENOUGH, Backoff, Child, exit_text, fork_child


def test_backoff_doubles_to_a_minute_and_starts_over() -> None:
    backoff = Backoff()
    assert [backoff.after(LONG_ENOUGH - 1) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert backoff.after(LONG_ENOUGH) == 0
    assert backoff.after(0) == 1


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (5, "exit code 5"), (-9, "killed by SIGKILL"), (-40, "killed by signal 40")]
)
def test_exit_text(code: int, text: str) -> None:
    assert exit_text(code) == text


def test_a_child_keeps_only_its_descriptors_and_returns_its_code() -> None:
    readable, writable = os.pipe()
    kept, _unused = os.pipe()

    def target() -> int:
        os.fstat(kept)
        try:
            os.fstat(readable)
        except OSError:
            return 7
        return 1

    child = Child("test", fork_child("test", target, [kept], lambda: None))
    assert child.reap() == 7
    for descriptor in (readable, writable, kept, _unused):
        os.close(descriptor)


def test_a_child_that_raises_says_so_and_ends_there() -> None:
    program = (
        "from kactl_agent.supervisor.children import Child, fork_child;"
        "print(Child('test', fork_child('test', lambda: 1 // 0, [], lambda: None)).reap())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert "ZeroDivisionError" in done.stderr


def test_kill() -> None:
    child = Child("test", fork_child("test", lambda: signal.pause() or 0, [], lambda: None))
    child.kill()
    assert child.reap() == -signal.SIGKILL


def test_what_a_child_dies_of_is_told_line_by_line() -> None:
    readable, writable = os.pipe()

    def fail() -> int:
        raise RuntimeError("the reason")

    def complain(line: str) -> None:
        os.write(writable, f"<{line}>\n".encode())

    pid = fork_child("test", fail, [writable], lambda: None, complain)
    os.close(writable)
    with os.fdopen(readable) as file:
        lines = file.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert lines[0] == "<Traceback (most recent call last):>"
    assert lines[-1] == "<RuntimeError: the reason>"
