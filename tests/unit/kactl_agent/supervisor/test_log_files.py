from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from kactl_agent.observe.log_targets import FACILITIES
from kactl_agent.observe.logs import LogFormat, LogSettings, LogWriter, open_log
from kactl_agent.runtime.frames import LogRecord
from kactl_agent.supervisor import options
from kactl_agent.supervisor.log_files import LogFiles, log_path
from support.netns import wait_for

SETTINGS = LogSettings(form=LogFormat.TEXT, level="info", detail=False, stderr=False)


@pytest.mark.parametrize(
    ("process", "parts", "name"),
    [
        ("supervisor", (), "kactl.log"),
        ("observer", (), "kactl.log"),
        ("vrrp", (), "kactl_vrrp.log"),
        ("checkers", (), "kactl_check.log"),
        ("bfd", (), "kactl_bfd.log"),
        ("vrrp", ("blue", "one"), "kactl_vrrp_blue_one.log"),
        ("supervisor", ("one",), "kactl_one.log"),
    ],
)
def test_each_process_has_its_file(process: str, parts: tuple[str, ...], name: str) -> None:
    assert log_path(Path("/var/log/kactl.log"), process, parts) == Path("/var/log") / name
    assert log_path(Path("/var/log/kactl"), process, parts) == Path("/var/log") / name.removesuffix(".log")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LogFiles]:
    complaints = tmp_path / "complaints"

    def complain(text: str) -> None:
        complaints.write_text(text)

    made = LogFiles(tmp_path / "kactl.log", 0o137, complain)
    made.start()
    yield made
    made.close()
    assert made.process is None, "it ends when nobody can say anything any more"


def writer(files: LogFiles) -> LogWriter:
    return open_log(SETTINGS, files.socket)


def say(log: LogWriter, text: str, process: str = "vrrp", level: str = "info") -> None:
    log.write(LogRecord(0, level, process, text))


def has_lines(path: Path, count: int) -> bool:
    return len(lines(path)) >= count


def lines(path: Path) -> list[str]:
    return [line.split(": ", 1)[1] for line in path.read_text().splitlines()] if path.exists() else []


def test_lines_go_to_the_files_of_their_processes(files: LogFiles, tmp_path: Path) -> None:
    log = writer(files)
    say(log, "one")
    say(log, "two", "supervisor")
    say(log, "not said", level="debug")
    say(log, "three\nand no line of its own")
    files.close()
    assert lines(tmp_path / "kactl_vrrp.log") == ["one", "three\\x0aand no line of its own"]
    assert lines(tmp_path / "kactl.log") == ["two"]
    assert (tmp_path / "kactl.log").stat().st_mode & 0o777 == 0o640, "umask"


def test_files_that_were_moved_away_are_opened_again(files: LogFiles, tmp_path: Path) -> None:
    log, path = writer(files), tmp_path / "kactl_vrrp.log"
    say(log, "one")
    wait_for(lambda: lines(path) == ["one"], 5, "the first line")
    path.rename(tmp_path / "kactl_vrrp.log.1")
    say(log, "two")
    wait_for(lambda: len(lines(tmp_path / "kactl_vrrp.log.1")) == 2, 5, "the second line where the file is now")
    files.reopen()
    say(log, "three")
    wait_for(lambda: lines(path) == ["three"], 5, "a new file")


def test_a_process_that_does_not_write_holds_nobody_up_and_the_loss_is_said(files: LogFiles, tmp_path: Path) -> None:
    log, path = writer(files), tmp_path / "kactl_vrrp.log"
    assert files.process is not None
    os.kill(files.process.pid, signal.SIGSTOP)
    for number in range(20_000):
        say(log, f"line {number} " + "x" * 200)
    os.kill(files.process.pid, signal.SIGCONT)
    wait_for(lambda: path.exists() and len(lines(path)) > 10, 5, "what it had room for")

    def said() -> bool:
        say(log, "after")
        return any("lines of this log were lost" in line for line in lines(path))

    wait_for(said, 5, "how many were lost")
    assert lines(path)[0].startswith("line 0 ")


def test_a_file_that_cannot_be_written_is_said_once_and_the_others_are(tmp_path: Path) -> None:
    complaints = tmp_path / "complaints"
    (tmp_path / "kactl_vrrp.log").mkdir()

    def complain(text: str) -> None:
        with complaints.open("a") as file:
            file.write(f"{text}\n")

    made = LogFiles(tmp_path / "kactl.log", 0o177, complain)
    made.start()
    log = writer(made)
    for _ in range(3):
        say(log, "one")
        say(log, "two", "supervisor")
    made.close()
    assert lines(tmp_path / "kactl.log") == ["two"] * 3
    assert complaints.read_text() == f"log file {tmp_path}/kactl_vrrp.log: Is a directory\n"


def test_another_process_goes_on_after_one_that_ended(files: LogFiles, tmp_path: Path) -> None:
    assert files.process is not None
    files.process.kill(signal.SIGKILL)
    assert files.ended() == "killed by SIGKILL"
    log = writer(files)
    say(log, "said meanwhile")
    files.start()
    say(log, "said later")
    wait_for(lambda: lines(tmp_path / "kactl_vrrp.log") == ["said meanwhile", "said later"], 5, "both lines")


def test_facilities_of_the_command_line_are_those_of_syslog() -> None:
    assert set(options.FACILITIES) == set(FACILITIES)


def test_nothing_follows_a_link(files: LogFiles, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "kactl_vrrp.log").symlink_to(victim)
    say(writer(files), "one")
    files.close()
    assert victim.read_text() == "precious"


def test_it_keeps_nothing_open_that_others_wait_for_to_be_closed(files: LogFiles) -> None:
    ours, theirs = os.pipe()
    assert files.process is not None
    files.process.kill(signal.SIGKILL)
    files.ended()
    files.start()
    os.close(theirs)
    assert os.read(ours, 1) == b"", "the end of a pipe that another process closed"
    os.close(ours)


def test_a_request_to_reopen_right_after_the_start_is_not_lost(files: LogFiles, tmp_path: Path) -> None:
    path, log = tmp_path / "kactl_vrrp.log", writer(files)
    for number in range(20):
        assert files.process is not None
        files.process.kill(signal.SIGKILL)
        files.ended()
        files.start()
        files.reopen()
        say(log, str(number))
        wait_for(partial(has_lines, path, number + 1), 5, f"line {number}")
    assert lines(path) == [str(number) for number in range(20)]
