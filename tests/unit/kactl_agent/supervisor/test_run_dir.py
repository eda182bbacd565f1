from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from kactl_agent.control.client import ControlClient
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
        os.write(tell, b"y")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(ready, 1) == b"x"
    started = time.monotonic()
    run = RunDirectory(tmp_path)
    run.claim()
    os.set_blocking(ready, False)
    assert os.read(ready, 1) == b"y", "its worker has come to its end"
    assert time.monotonic() - started < 5
    run.release()
    os.close(ready)
    os.close(tell)


def test_listen_replaces_a_stale_socket_and_is_for_its_owner(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)  # longer than a socket address
    run = RunDirectory(deep)
    run.claim()
    before = os.umask(0)
    os.umask(before)
    run.listen().close()
    listener = run.listen()
    assert stat.S_IMODE((deep / "agent.sock").stat().st_mode) == 0o600
    assert os.umask(before) == before
    with ControlClient(deep):  # and the client gets there as well
        listener.accept()[0].close()
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


def test_a_directory_where_others_could_put_their_own_socket_is_warned_of(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.claim()
    assert run.danger() == ""
    for mode, who in ((0o777, "others"), (0o775, "group"), (0o1777, "")):
        run.path.chmod(mode)
        assert who in run.danger()
        assert bool(run.danger()) is bool(who)
    run.path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(run.path, 65534, 65534)
        assert "user 65534" in run.danger()
    run.release()


def test_a_link_to_a_directory_is_as_good_as_the_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    run = RunDirectory(tmp_path / "link")
    run.claim()
    assert (tmp_path / "real" / "agent.pid").exists()
    with pytest.raises(AlreadyRunning):
        RunDirectory(tmp_path / "real").claim()
    run.release()


def test_a_pid_file_that_names_a_living_stranger_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "agent.pid").write_text("1\n")
    run = RunDirectory(tmp_path)
    run.claim()
    assert (tmp_path / "agent.pid").read_text() == f"{os.getpid()}\n"
    run.release()


@pytest.mark.parametrize("what", ["directory", "link"])
def test_a_pid_file_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    if what == "directory":
        (tmp_path / "agent.pid").mkdir()
    else:
        (tmp_path / "victim").write_text("precious")
        (tmp_path / "agent.pid").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"agent\.pid"):
        RunDirectory(tmp_path).claim()
    if what == "link":
        assert (tmp_path / "victim").read_text() == "precious"


def test_an_orphan_that_does_not_end_is_named_as_such(tmp_path: Path) -> None:
    holder = RunDirectory(tmp_path)
    holder.claim()
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    (tmp_path / "agent.pid").write_text(f"{gone}\n")  # as after kill -9 of an agent whose worker is stopped
    with pytest.raises(AlreadyRunning, match="is gone, but a process kactl-vrrp"):
        RunDirectory(tmp_path, orphan_seconds=0.1).claim()
    holder.release()
