"""Scripts of the supervisor itself, and the FIFOs that events go to: a real spawner, real pipes, real time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.notify.settings import FifoSettings, OwnScript
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.runtime.notify_frames import NotifyFifos
from kactl_agent.runtime.spawner import launch
from kactl_agent.supervisor.notify_fifos import NotifyFifoSet
from kactl_agent.supervisor.own_scripts import OwnScripts
from kactl_agent.supervisor.poller import Poller
from kactl_agent.supervisor.spawning import SpawnerProcess
from kactl_agent.tracking.settings import Executable
from kactl_agent.vrrp.settings import SECOND
from support.full import no_room

ME = (os.geteuid(), os.getegid())


class Bench:
    """A supervisor with nothing but scripts."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.process: SpawnerProcess | None = SpawnerProcess(*launch())
        self.log: list[str] = []
        self.scripts = OwnScripts(self.poller, self, lambda level, text: self.log.append(f"{level}: {text}"))
        self.fifos = NotifyFifoSet(self.scripts, lambda level, text: self.log.append(f"{level}: {text}"))

    def client(self) -> socket.socket | None:
        return None if self.process is None else self.process.client("supervisor")

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        self.poller.call_later(seconds + 1, lambda: None)
        while not condition():
            assert time.monotonic() < deadline, self.log
            self.poller.call_later(0.01, lambda: None)
            self.poller.run_once()

    def kill_spawner(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.end()
        self.process = None


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.fifos.close(lambda: None)
    made.scripts.close()
    if made.process is not None:
        made.process.end()


def shell(text: str, seconds: float = 10) -> OwnScript:
    return OwnScript(Executable(("/bin/sh", "-c", text), *ME), int(seconds * SECOND))


# -- scripts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 0", "info: startup_script has ended"),
        ("exit 3", "warning: startup_script exited with status 3"),
        ("kill -9 $$", "warning: startup_script was ended by signal 9"),
    ],
)
def test_a_script_ends_and_that_is_said(bench: Bench, text: str, said: str) -> None:
    done: list[int] = []
    bench.scripts.run("startup_script", shell(text), lambda: done.append(1))
    bench.until(lambda: done)
    assert bench.log == [said]


def test_what_cannot_be_started_has_ended(bench: Bench) -> None:
    done: list[int] = []
    bench.scripts.run("x", OwnScript(Executable(("/nonexistent",), *ME)), lambda: done.append(1))
    bench.until(lambda: done)
    assert bench.log == ["error: x could not be started: No such file or directory"]
    bench.scripts.run("x", OwnScript(Executable(("/bin/true", "y" * 300_000), *ME)), lambda: done.append(2))
    bench.until(lambda: len(done) == 2)
    assert bench.log[1] == "error: x could not be started: the command line is too long"


def test_a_script_over_its_time_is_terminated(bench: Bench) -> None:
    done: list[float] = []
    begun = time.monotonic()
    bench.scripts.run("startup_script", shell("sleep 60", 0.3), lambda: done.append(time.monotonic() - begun))
    bench.until(lambda: done)
    assert 0.3 <= done[0] < 1.9
    assert bench.log == [
        "warning: startup_script takes longer than 0.3 s and is ended",
        "info: startup_script was ended by signal 15",
    ]


def test_a_script_that_does_not_care_is_killed(bench: Bench, tmp_path: Path) -> None:
    done: list[float] = []
    begun = time.monotonic()
    text = f"trap '' TERM; touch {tmp_path}/there; while :; do sleep 0.05; done"
    bench.scripts.run("startup_script", shell(text, 3.0), lambda: done.append(time.monotonic() - begun))
    bench.until((tmp_path / "there").exists)
    bench.until(lambda: done, 20)
    assert done[0] >= 5.0
    assert bench.log[-1] == "info: startup_script was ended by signal 9"


def test_a_script_can_be_ended_early(bench: Bench) -> None:
    done: list[int] = []
    end = bench.scripts.run("startup_script", shell("sleep 60"), lambda: done.append(1))
    end()
    bench.until(lambda: done, 5)


def test_a_spawner_that_dies_ends_the_script(bench: Bench, tmp_path: Path) -> None:
    done: list[int] = []
    pid = tmp_path / "pid"
    bench.scripts.run("startup_script", shell(f"echo $$ > {pid}; exec sleep 60"), lambda: done.append(1))
    bench.until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    bench.kill_spawner()
    os.kill(int(pid.read_text()), signal.SIGKILL)  # nobody else ends it now
    bench.until(lambda: done)
    assert bench.log == ["error: startup_script ended with the spawner"]
    bench.process = SpawnerProcess(*launch())
    bench.scripts.spawner_restarted()
    bench.scripts.run("shutdown_script", shell("exit 0"), lambda: done.append(2))
    bench.until(lambda: len(done) == 2)
    assert bench.log[1] == "info: shutdown_script has ended"


# -- FIFOs -------------------------------------------------------------------------------------------------------------


def given(bench: Bench, worker: str) -> dict[str, int]:
    """What a worker is handed: descriptors by keyword."""
    ours, theirs = (Edge(sock) for sock in socket_pair())
    bench.fifos.hand_over(worker, ours)
    ours.flush()
    [(frame, descriptors)] = theirs.receive()
    ours.close()
    theirs.close()
    assert isinstance(frame, NotifyFifos)
    return dict(zip(frame.keywords, descriptors, strict=True))


def test_a_fifo_is_made_and_removed(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    bench.fifos.apply({"notify_fifo": FifoSettings(str(path), *ME)})
    found = path.lstat()
    assert stat.S_ISFIFO(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    done: list[int] = []
    bench.fifos.close(lambda: done.append(1))
    assert done == [1]
    assert not path.exists()


def test_a_worker_for_whose_fifo_there_is_no_room_is_given_none(bench: Bench, tmp_path: Path) -> None:
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "fifo"), *ME)})
    with no_room(2):  # the socket pair
        assert given(bench, "vrrp") == {}
    assert bench.log == ["error: the vrrp worker does not write to the notify_fifo: Too many open files"]
    handed = given(bench, "vrrp")
    assert list(handed) == ["notify_fifo"]
    os.close(handed["notify_fifo"])


def test_umask_is_of_fifos_and_scripts(bench: Bench, tmp_path: Path) -> None:
    bench.fifos.umask = bench.scripts.umask = 0o137
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "fifo"), *ME)})
    assert stat.S_IMODE((tmp_path / "fifo").lstat().st_mode) == 0o640
    done: list[int] = []
    bench.scripts.run("startup_script", shell(f"touch {tmp_path}/file"), lambda: done.append(1))
    bench.until(lambda: done)
    assert stat.S_IMODE((tmp_path / "file").lstat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_fifo_belongs_to_who_it_is_for(bench: Bench, tmp_path: Path) -> None:
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "fifo"), 65534, 7)})
    found = (tmp_path / "fifo").lstat()
    assert (found.st_uid, found.st_gid) == (65534, 7)


@pytest.mark.parametrize("other", ["link to a file", "link to a FIFO", "file", "another name of a FIFO"])
def test_what_is_put_in_the_place_of_a_new_fifo_stays_as_it_is(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """By whoever owns the directory, right after it was made."""
    path, precious = tmp_path / "fifo", tmp_path / "precious"
    make = os.mkfifo
    if "FIFO" in other:
        make(precious, 0o600)
    else:
        precious.write_text("precious")
        precious.chmod(0o600)

    def make_and_replace(*arguments: Any, **named: Any) -> None:
        make(*arguments, **named)
        path.unlink()
        if "link" in other:
            path.symlink_to(precious)
        elif other == "file":
            path.write_text("mine")
            path.chmod(0o600)
        else:
            path.hardlink_to(precious)

    monkeypatch.setattr(os, "mkfifo", make_and_replace)
    replaced = path if other == "file" else precious
    bench.fifos.umask = 0o022
    bench.fifos.apply({"notify_fifo": FifoSettings(str(path), os.geteuid(), 7 if os.geteuid() == 0 else os.getegid())})
    assert len(bench.log) == 1
    assert f"notify_fifo {path} is not written to: " in bench.log[0]
    assert given(bench, "vrrp") == {}
    found = replaced.lstat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o600, os.getegid())


def test_a_fifo_is_removed_from_where_it_was_made(bench: Bench, tmp_path: Path) -> None:
    """The name of its directory may have come to mean another one."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "fifo").write_text("precious")
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "folder" / "fifo"), *ME)})
    (tmp_path / "folder").rename(tmp_path / "moved")
    (tmp_path / "folder").symlink_to("other")
    bench.fifos.apply({})
    assert (tmp_path / "other" / "fifo").read_text() == "precious"
    assert list((tmp_path / "moved").iterdir()) == []


def test_a_fifo_that_was_there_stays(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o640)
    bench.fifos.apply({"notify_fifo": FifoSettings(str(path), *ME)})
    bench.fifos.close(lambda: None)
    assert path.is_fifo()


@pytest.mark.parametrize("kind", ["file", "link", "missing directory"])
def test_something_else_is_not_written_to(bench: Bench, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "fifo"
    if kind == "file":
        path.write_text("precious")
    elif kind == "link":
        os.mkfifo(tmp_path / "real")
        path.symlink_to("real")
    else:
        path = tmp_path / "no" / "fifo"
    bench.fifos.apply({"notify_fifo": FifoSettings(str(path), *ME)})
    assert len(bench.log) == 1
    assert bench.log[0].startswith(f"error: notify_fifo {path} is not written to: ")
    assert given(bench, "vrrp") == {}
    bench.fifos.close(lambda: None)
    if kind == "file":
        assert path.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_fifo_of_somebody_else_is_not_written_to(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o666)
    os.chown(path, 65534, 65534)
    bench.fifos.apply({"notify_fifo": FifoSettings(str(path), *ME)})
    assert bench.log == [f"error: notify_fifo {path} is not written to: it belongs to user 65534"]


def test_workers_get_the_fifos_of_their_events(bench: Bench, tmp_path: Path) -> None:
    keywords = ("notify_fifo", "vrrp_notify_fifo", "lvs_notify_fifo")
    bench.fifos.apply({keyword: FifoSettings(str(tmp_path / keyword), *ME) for keyword in keywords})
    vrrp, checkers = given(bench, "vrrp"), given(bench, "checkers")
    assert (set(vrrp), set(checkers)) == (set(keywords[:2]), {keywords[0], keywords[2]})
    reader = os.open(tmp_path / "notify_fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.write(vrrp["notify_fifo"], b"one\n")
    os.write(checkers["notify_fifo"], b"two\n")
    assert os.read(reader, 100) == b"one\ntwo\n"
    for descriptor in (reader, *vrrp.values(), *checkers.values()):
        os.close(descriptor)


def test_nobody_that_is_us_looks_like_a_reader(bench: Bench, tmp_path: Path) -> None:
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "fifo"), *ME)})
    with pytest.raises(OSError, match="No such device"):
        os.open(tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    [descriptor] = given(bench, "vrrp").values()
    with pytest.raises(BrokenPipeError):
        os.write(descriptor, b"x")
    os.close(descriptor)


def reader_script(tmp_path: Path) -> Executable:
    """Appends what it reads to a file; at the end of the FIFO it says so and ends."""
    script = tmp_path / "reader"
    out = tmp_path / "out"
    script.write_text(f'#!/bin/sh\necho "start $*" >> {out}\ncat "$2" >> {out}\necho end >> {out}\n')
    script.chmod(0o755)
    return Executable((str(script), "own"), *ME)


def lines(tmp_path: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return (tmp_path / "out").read_text().splitlines()
    return []


def test_a_script_reads_the_fifo_and_the_last_lines(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    bench.fifos.apply({"notify_fifo": FifoSettings(str(path), *ME, reader_script(tmp_path))})
    [descriptor] = given(bench, "vrrp").values()
    bench.until(lambda: lines(tmp_path) == [f"start own {path}"])
    bench.until(lambda: _written(descriptor, b"one\n"))
    bench.until(lambda: lines(tmp_path)[1:] == ["one"])
    os.write(descriptor, b"last\n")
    os.close(descriptor)
    done: list[int] = []
    bench.fifos.close(lambda: done.append(1))
    bench.until(lambda: done)
    assert lines(tmp_path)[1:] == ["one", "last", "end"]


def _written(descriptor: int, data: bytes) -> bool:
    try:
        return os.write(descriptor, data) > 0
    except BrokenPipeError:
        return False  # the script has not opened it yet


def test_a_reload_starts_the_script_anew_and_keeps_the_fifo(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    wanted = {"notify_fifo": FifoSettings(str(path), *ME, reader_script(tmp_path))}
    bench.fifos.apply(wanted)
    bench.until(lambda: len(lines(tmp_path)) == 1)
    other_reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    bench.fifos.apply(wanted)
    bench.until(lambda: len(lines(tmp_path)) == 2)
    assert lines(tmp_path) == [f"start own {path}"] * 2
    with pytest.raises(BlockingIOError):
        os.read(other_reader, 1)  # no end: it is open all the time
    os.close(other_reader)
    assert "info: notify_fifo_script was ended by signal 15" in bench.log


def test_a_script_that_ends_by_itself_is_not_started_again(bench: Bench, tmp_path: Path) -> None:
    """keepalived 2.2.7"""
    script = Executable(("/bin/sh", "-c", f"echo >> {tmp_path}/out", "x"), *ME)
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "fifo"), *ME, script)})
    bench.until(lambda: bench.log)
    assert bench.log == ["info: notify_fifo_script has ended"]
    bench.until(lambda: lines(tmp_path))
    done: list[int] = []
    bench.scripts.run("another", shell("exit 0"), lambda: done.append(1))
    bench.until(lambda: done)  # what had been asked for before it would have run by now
    assert len(lines(tmp_path)) == 1


def test_a_fifo_that_moves(bench: Bench, tmp_path: Path) -> None:
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "a"), *ME, reader_script(tmp_path))})
    bench.until(lambda: len(lines(tmp_path)) == 1)
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "b"), *ME)})
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "b").is_fifo()
    bench.until(lambda: bench.log)  # its script is ended, and no other one is wanted
    bench.fifos.apply({})
    assert not (tmp_path / "b").exists()


def test_a_script_that_ends_with_the_spawner_is_started_by_the_next_one(bench: Bench, tmp_path: Path) -> None:
    bench.fifos.apply({"notify_fifo": FifoSettings(str(tmp_path / "fifo"), *ME, reader_script(tmp_path))})
    bench.until(lambda: len(lines(tmp_path)) == 1)
    bench.kill_spawner()
    bench.until(lambda: bench.log)
    bench.process = SpawnerProcess(*launch())
    bench.scripts.spawner_restarted()
    bench.until(lambda: len(lines(tmp_path)) == 2)
    assert bench.log == ["warning: notify_fifo_script ended with the spawner and is started again"]


def test_without_a_spawner_the_end_comes_all_the_same(bench: Bench) -> None:
    bench.kill_spawner()
    done: list[int] = []
    bench.scripts.run("shutdown_script", shell("exit 0", 0.1), lambda: done.append(1))
    bench.until(lambda: done)
    assert bench.log[-1] == "error: shutdown_script has not ended and is left alone"
