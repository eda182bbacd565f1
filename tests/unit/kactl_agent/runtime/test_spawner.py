"""The spawner as a process of its own, and the worker's side of it, with real commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kactl_agent.runtime import spawn_frames, spawner
from kactl_agent.runtime.scripts import ScriptRunner
from kactl_agent.tracking.settings import Executable
from support.agents import alive

NOBODY = 65534
root = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")


class Listener:
    def __init__(self) -> None:
        self.begun = 0
        self.heard: list[tuple[str, int | str]] = []

    def started(self) -> None:
        self.begun += 1

    def ended(self, status: int) -> None:
        self.heard.append(("ended", status))

    def not_started(self, reason: str) -> None:
        self.heard.append(("not started", reason))

    def lost(self) -> None:
        self.heard.append(("lost", ""))


class Bench:
    def __init__(self, launch: Callable[[], tuple[int, socket.socket]] = spawner.launch) -> None:
        self.pid, self.control = launch()
        self.loop = asyncio.SelectorEventLoop()
        self.runner = ScriptRunner(self.loop)
        self.connect()

    def connect(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self.control, [b"worker"], [theirs.fileno()])
        theirs.close()
        self.runner.connect(ours)

    def run(self, *arguments: str, uid: int | None = None, gid: int | None = None) -> Listener:
        listener = Listener()
        who = (os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid)
        self.last = self.runner.run(Executable(arguments, *who), listener)
        return listener

    def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        async def poll() -> None:
            deadline = self.loop.time() + seconds
            while not condition():
                assert self.loop.time() < deadline, "not in time"
                await asyncio.sleep(0.005)

        self.loop.run_until_complete(poll())

    def result(self, listener: Listener) -> tuple[str, int | str]:
        self.until(lambda: listener.heard)
        return listener.heard[0]

    def shell(self, script: str, **who: int) -> tuple[str, int | str]:
        return self.result(self.run("/bin/sh", "-c", script, **who))

    def wait_spawner(self) -> int:
        """Its exit code, once it has ended."""
        statuses: list[int] = []

        def over() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                statuses.append(status)
            return bool(pid)

        self.until(over)
        self.pid = 0
        return os.waitstatus_to_exitcode(statuses[0])

    def close(self) -> None:
        self.runner.close()
        self.control.close()
        if self.pid:
            self.wait_spawner()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def pid_in(path: Path) -> Callable[[], int]:
    return lambda: int(path.read_text()) if path.exists() and path.read_text().endswith("\n") else 0


def test_exit_status_and_signal(bench: Bench) -> None:
    assert bench.shell("exit 0") == ("ended", 0)
    assert bench.shell("exit 3") == ("ended", 3)
    assert bench.shell("kill -USR1 $$") == ("ended", -signal.SIGUSR1)
    assert bench.runner.running == 0


def test_arguments_reach_the_command_as_they_are(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert bench.shell(f'printf "<%s>" "$@" > {out}') == ("ended", 0)
    listener = bench.run("/bin/sh", "-c", f'printf "<%s>" "$@" > {out}', "name", "two words", "", "$HOME;'\"*")
    assert bench.result(listener) == ("ended", 0)
    assert out.read_text() == "<two words><><$HOME;'\"*>"


@pytest.mark.parametrize(
    ("path", "mode", "reason"),
    [("missing", None, "No such file or directory"), ("plain", 0o644, "Permission denied"),
     ("empty", 0o755, "Exec format error")],
)  # fmt: skip
def test_what_cannot_be_executed_says_why(
    bench: Bench, tmp_path: Path, path: str, mode: int | None, reason: str
) -> None:
    if mode is not None:
        (tmp_path / path).touch(mode)
        (tmp_path / path).chmod(mode)
    assert bench.result(bench.run(str(tmp_path / path))) == ("not started", reason)


PROBE = """
import json, os, signal, sys
found = {
    "standard": [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)],
    "others": [n for n in range(3, 1024) if os.path.exists(f"/proc/self/fd/{n}")],
    "leads its group": os.getpgrp() == os.getpid(),
    "ignored": [n for n in (1, 2, 10, 12, 15) if signal.getsignal(n) is signal.SIG_IGN],
    "environment": [n for n in ("IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "KEPT") if n in os.environ],
}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


def test_the_environment_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """keepalived: descriptors 0-2 are /dev/null and the others closed, a process group of its own, default signals,
    and of the environment IFS, LD_PRELOAD and LD_LIBRARY_PATH unset."""
    for name in ("IFS", "LD_LIBRARY_PATH", "KEPT"):
        monkeypatch.setenv(name, "x")
    bench = Bench()
    try:
        assert bench.result(bench.run(sys.executable, "-c", PROBE, str(tmp_path / "out"))) == ("ended", 0)
    finally:
        bench.close()
    assert json.loads((tmp_path / "out").read_text()) == {
        "standard": ["/dev/null"] * 3, "others": [], "leads its group": True, "ignored": [], "environment": ["KEPT"],
    }  # fmt: skip


@root
def test_it_runs_as_its_user_and_with_one_group(bench: Bench) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # those of pytest are closed to other users
        Path(directory).chmod(0o777)
        out = Path(directory, "out")
        assert bench.shell(f"id -u > {out}; id -G >> {out}", uid=NOBODY, gid=1) == ("ended", 0)
        assert out.read_text().split() == [str(NOBODY), "1"]
    assert bench.shell("kill -0 1", uid=NOBODY, gid=NOBODY) == ("ended", 1), "no privilege is left"


def test_a_signal_is_for_everything_the_run_started(bench: Bench, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    listener = bench.run("/bin/sh", "-c", f"sh -c 'echo $$ > {inner}; sleep 60' & wait")
    bench.until(pid_in(inner))
    bench.runner.signal(bench.last, signal.SIGTERM)
    assert bench.result(listener) == ("ended", -signal.SIGTERM)
    bench.until(lambda: not alive(pid_in(inner)()))


def test_a_worker_that_ends_takes_its_runs_with_it(bench: Bench, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    listener = bench.run("/bin/sh", "-c", f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.05; done")
    bench.until(pid_in(pid))
    bench.runner.close()
    bench.until(lambda: not alive(pid_in(pid)()))
    assert listener.heard == [], "who closed does not want to hear of it"
    bench.connect()
    assert bench.shell("exit 4") == ("ended", 4), "others are served on"


def test_the_end_of_the_supervisor_ends_spawner_and_runs(bench: Bench, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    bench.run("/bin/sh", "-c", f"echo $$ > {pid}; sleep 60")
    bench.until(pid_in(pid))
    bench.control.close()
    assert bench.wait_spawner() == 0
    assert not alive(pid_in(pid)())


def test_sigterm_does_not_end_it_while_there_is_a_supervisor(bench: Bench) -> None:
    """Service managers send it to every process of the agent; those who stop may still have scripts to run."""
    assert bench.shell("exit 0") == ("ended", 0)
    os.kill(bench.pid, signal.SIGTERM)
    assert bench.shell("exit 3") == ("ended", 3)


def test_without_a_supervisor_it_ends() -> None:
    """Killed, a supervisor closes nothing in order; somebody else may still hold the control socket."""
    ours, theirs = socket.socketpair()
    supervisor = os.fork()
    if supervisor == 0:
        pid, control = spawner.launch()
        socket.send_fds(theirs, [str(pid).encode()], [control.fileno()])
        signal.pause()
    with ours, theirs:
        data, descriptors, _flags, _address = socket.recv_fds(ours, 64, 1)
        pid = int(data)
        assert alive(pid)
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        deadline = time.monotonic() + 10
        while alive(pid):
            assert time.monotonic() < deadline, "it goes on without a supervisor"
            time.sleep(0.005)
        os.close(descriptors[0])


def test_a_spawner_that_was_killed_loses_its_runs_and_a_new_one_serves_what_waited(
    bench: Bench, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    listener = bench.run("/bin/sh", "-c", f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.05; done")
    bench.until(pid_in(pid))
    os.kill(bench.pid, signal.SIGKILL)
    assert bench.result(listener) == ("lost", "")
    bench.wait_spawner()
    bench.until(lambda: not alive(pid_in(pid)()))
    waiting = bench.run("/bin/sh", "-c", "exit 5")
    bench.control.close()
    bench.pid, bench.control = spawner.launch()
    bench.connect()
    assert bench.result(waiting) == ("ended", 5)


def test_many_at_once_all_answer(bench: Bench) -> None:
    listeners = [bench.run("/bin/sh", "-c", f"exit {n % 100}") for n in range(120)]
    bench.until(lambda: all(listener.heard for listener in listeners))
    assert {listener.begun for listener in listeners} == {1}
    assert [listener.heard for listener in listeners] == [[("ended", n % 100)] for n in range(120)]


def small_spawner() -> tuple[int, socket.socket]:
    """One that runs two commands at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        ours.close()
        theirs.setblocking(False)
        spawner.Spawner(theirs, runs_at_once=2).run()
    finally:
        os._exit(0)


def test_there_is_an_end_to_what_runs_at_once() -> None:
    bench = Bench(small_spawner)
    for _ in range(2):
        bench.run("/bin/sh", "-c", "exec sleep 60")
    assert bench.result(bench.run("/bin/true")) == ("not started", "2 scripts run already")
    bench.runner.signal(1, signal.SIGTERM)
    bench.until(lambda: bench.runner.running == 1)
    assert bench.shell("exit 6") == ("ended", 6)
    bench.close()


def test_a_worker_that_does_not_read_is_not_listened_to_and_harms_nobody(bench: Bench) -> None:
    deaf, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    socket.send_fds(bench.control, [b"worker"], [theirs.fileno()])
    theirs.close()
    deaf.setblocking(False)
    asked = 0
    with contextlib.suppress(BlockingIOError):
        for number in range(5000):
            deaf.send(spawn_frames.encode(spawn_frames.Run(number, ("/bin/true",), os.geteuid(), os.getegid())))
            asked += 1
            if not number % 20:
                assert bench.shell("exit 0") == ("ended", 0)
    assert asked < 5000, "its requests pile up at its own end"
    assert bench.shell("exit 4") == ("ended", 4)
    deaf.close()


@pytest.mark.parametrize("nonsense", [b"\xff\xff", b"hello", spawn_frames.encode(spawn_frames.Ended(1, 0))])
def test_who_speaks_nonsense_is_dropped_with_its_runs(bench: Bench, tmp_path: Path, nonsense: bytes) -> None:
    pid = tmp_path / "pid"
    stranger, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    socket.send_fds(bench.control, [b"worker"], [theirs.fileno()])
    theirs.close()
    command = ("/bin/sh", "-c", f"echo $$ > {pid}; exec sleep 60")
    stranger.send(spawn_frames.encode(spawn_frames.Run(1, command, os.geteuid(), os.getegid())))
    bench.until(pid_in(pid))
    stranger.send(nonsense)
    bench.until(lambda: not alive(pid_in(pid)()))
    assert bench.shell("exit 4") == ("ended", 4)
    stranger.close()


def test_a_command_line_that_no_frame_holds_is_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="too long"):
        bench.run("/bin/true", "x" * (1 << 18))
    assert bench.result(bench.run("/bin/true", "x" * (1 << 17))) == ("not started", "Argument list too long")
    assert bench.shell("exit 0") == ("ended", 0)
