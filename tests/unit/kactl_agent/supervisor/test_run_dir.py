from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import pytest

from kactl_agent.supervisor.run_dir import AlreadyRunning, RunDirectory


def test_claim_creates_what_is_missing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a" / "b")
    run.claim()
    assert (run.path / "agent.pid").read_text() == f"{os.getpid()}\n"
    run.release()
    assert not list(run.path.iterdir())


def test_the_lock_decides(tmp_path: Path) -> None:
    one = RunDirectory(tmp_path)
    one.claim()
    started = time.monotonic()
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        RunDirectory(tmp_path).claim()
    assert time.monotonic() - started < 1, "a living agent is not waited for"
    one.release()
    (tmp_path / "agent.pid").write_text(f"{os.getpid()}\n")
    two = RunDirectory(tmp_path)
    two.claim()
    two.release()


def test_the_last_words_of_a_killed_agents_workers_are_waited_for(tmp_path: Path) -> None:
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        run = RunDirectory(tmp_path)
        run.claim()
        if os.fork():
            os._exit(0)  # the supervisor is gone, its worker holds the lock for a while
        os.write(tell, b"x")
        time.sleep(0.4)
        os._exit(0)
    os.waitpid(pid, 0)
    os.read(ready, 1)
    started = time.monotonic()
    run = RunDirectory(tmp_path)
    run.claim()
    assert 0.2 < time.monotonic() - started < 5
    run.release()
    os.close(ready)
    os.close(tell)


def test_listen_replaces_a_stale_socket_and_is_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)  # longer than a socket address
    run = RunDirectory(deep)
    run.claim()
    before = os.umask(0)
    os.umask(before)
    run.listen().close()
    listener = run.listen()
    assert stat.S_IMODE((deep / "agent.sock").stat().st_mode) == 0o600
    assert os.umask(before) == before
    monkeypatch.chdir(deep)
    client = socket.socket(socket.AF_UNIX)
    client.connect("agent.sock")
    client.close()
    listener.close()
    run.release()


def test_created_files_do_not_follow_links(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "state.json.new").symlink_to(tmp_path / "victim")
    descriptor = run.create("state.json.new")
    os.write(descriptor, b"x")
    os.close(descriptor)
    run.replace("state.json.new", "state.json")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "state.json").read_text() == "x"
