from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from kactl_agent.process_settings import DumpSettings, ProcessSettings
from kactl_agent.runtime.dump_frames import ClearStatistics, DumpFinished, DumpRequest, DumpWritten, WriteDump
from kactl_agent.runtime.frame import Frame
from kactl_agent.supervisor.dumps import DATA, JSON, STATISTICS, STATISTICS_CLEAR, Dumps


class Bench:
    """The supervisor, and an observer that fills files when it is told to."""

    def __init__(self, directory: Path) -> None:
        self.process_settings = ProcessSettings()
        self.running = {"vrrp": 11}
        self.said: list[str] = []
        self.asked: list[tuple[Frame, list[int]]] = []
        self.there = True
        self.directory = directory
        self.dumps = Dumps(self, directory)

    def log(self, level: str, message: str) -> None:
        self.said.append(f"{level}: {message}")

    def pids(self) -> dict[str, int]:
        return self.running

    def ask_observer(self, frame: Frame, descriptors: Sequence[int] = ()) -> bool:
        if self.there:
            self.asked.append((frame, list(descriptors)))
        return self.there

    def fill(self, text: str = "text", error: str = "") -> list[tuple[str, ...]]:
        """All that the observer was asked for, and for what kinds that was."""
        kinds = []
        while self.asked:
            frame, descriptors = self.asked.pop(0)
            for descriptor in descriptors:
                os.write(descriptor, text.encode())
                os.close(descriptor)
            if isinstance(frame, WriteDump):
                kinds.append(frame.kinds)
                self.dumps.written(DumpWritten(frame.serial, error))
        return kinds

    def files(self) -> dict[str, str]:
        return {each.name: each.read_text() for each in self.directory.iterdir() if each.is_file()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("what", "running", "names"),
    [
        (DATA, "vrrp", {"state.json", "state.txt", "keepalived.data", "keepalived_parent.data"}),
        (DATA, "checkers bfd", {
            "state.json", "state.txt", "keepalived_check.data", "keepalived_bfd.data", "keepalived_parent.data",
        }),
        (STATISTICS, "vrrp", {"keepalived.stats"}),
        (STATISTICS_CLEAR, "vrrp", {"keepalived.stats"}),
        (JSON, "vrrp", {"keepalived.json"}),
    ],
)  # fmt: skip
def test_files_of_each_dump(bench: Bench, what: str, running: str, names: set[str]) -> None:
    bench.running = dict.fromkeys(running.split(), 1)
    bench.dumps.request(what)
    assert all(name.endswith(".new") for name in bench.files()), "a file gets its name when it is complete"
    bench.fill()
    assert bench.files() == dict.fromkeys(names, "text")
    assert all(line.startswith("info: state written to ") for line in bench.said)


def test_files_where_the_configuration_says(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    base = f"{tmp_path}/elsewhere/"
    bench.process_settings = ProcessSettings(
        dumps=DumpSettings(state=f"{base}a.data", statistics=f"{base}b", json=f"{base}c.json", suffix="blue_one")
    )
    for what in (DATA, STATISTICS, JSON):
        bench.dumps.request(what)
    bench.fill()
    assert {path.name for path in Path(base).iterdir()} == {
        "a.blue_one.data", "a_parent.blue_one.data", "b.blue_one", "c.blue_one.json",
    }  # fmt: skip


@pytest.mark.parametrize(("umask", "mode"), [(0o177, 0o600), (0o022, 0o644), (0o027, 0o640)])
def test_permissions_follow_umask(bench: Bench, umask: int, mode: int) -> None:
    bench.process_settings = ProcessSettings(umask=umask)
    bench.dumps.request(JSON)
    bench.fill()
    assert stat.S_IMODE((bench.directory / "keepalived.json").stat().st_mode) == mode


def test_requests_while_one_is_under_way_lead_to_one_more(bench: Bench) -> None:
    for _ in range(50):
        bench.dumps.request(STATISTICS)
    assert bench.fill() == [("stats",), ("stats",)]


def test_statistics_are_cleared_once_they_are_written(bench: Bench) -> None:
    bench.dumps.request(STATISTICS_CLEAR)
    assert [type(frame) for frame, _ in bench.asked] == [WriteDump, ClearStatistics], "in this order"


def test_what_others_put_there_is_replaced_not_followed(bench: Bench) -> None:
    victim = bench.directory / "victim"
    victim.write_text("precious")
    for name in ("keepalived.json", "keepalived.json.new"):
        (bench.directory / name).symlink_to(victim)
    bench.dumps.request(JSON)
    bench.fill("new")
    assert victim.read_text() == "precious"
    assert (bench.directory / "keepalived.json").read_text() == "new"


def test_failures_are_said_and_the_next_one_works(bench: Bench) -> None:
    bench.process_settings = ProcessSettings(dumps=DumpSettings(json="/nonexistent/x.json"))
    bench.dumps.request(JSON)
    assert bench.said == ["error: no state was written: /nonexistent/x.json: No such file or directory"]
    bench.dumps.request(STATISTICS)
    bench.fill(error="No space left on device")
    assert bench.said[1:] == ["error: no state was written: No space left on device"]
    assert "keepalived.stats" not in bench.files()
    bench.there = False
    bench.dumps.request(STATISTICS)
    assert "the observer, who writes dumps, is not running" in bench.said[-1]
    bench.there = True
    bench.dumps.request(STATISTICS)
    bench.dumps.observer_lost()
    assert "the observer has ended" in bench.said[-1]


def test_a_client_is_told_which_files_there_are(bench: Bench) -> None:
    bench.dumps.requested(DumpRequest(7, STATISTICS))
    frame, descriptors = bench.asked.pop(0)
    assert isinstance(frame, WriteDump)
    os.close(descriptors[0])
    bench.dumps.written(DumpWritten(frame.serial))
    assert [frame for frame, _ in bench.asked] == [DumpFinished(7, (f"{bench.directory}/keepalived.stats",))]
    bench.asked.clear()
    bench.process_settings = ProcessSettings(dumps=DumpSettings(json="/nonexistent/x.json"))
    bench.dumps.requested(DumpRequest(8, JSON))
    assert [frame for frame, _ in bench.asked] == [
        DumpFinished(8, (), "/nonexistent/x.json: No such file or directory")
    ]


def test_state_is_saved_before_and_after_every_reload_per_process(bench: Bench, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    bench.process_settings = ProcessSettings(dumps=DumpSettings(save_directory=str(saved)))
    bench.running = {"vrrp": 11, "checkers": 12, "bfd": 13}
    for text in ("one", "two"):
        bench.dumps.before_reload()
        bench.fill(f"before {text}")
        bench.dumps.after_reload()
        bench.fill(f"after {text}")
    assert stat.S_IMODE(saved.stat().st_mode) == 0o700
    expected = {  # keepalived 2.2.7: keepalived_vrrp.PID.1.pre, counted from 1
        f"keepalived_{kind}.{pid}.{number}.{when}": f"{'before' if when == 'pre' else 'after'} {text}"
        for kind, pid in (("vrrp", 11), ("check", 12), ("bfd", 13))
        for number, text in ((1, "one"), (2, "two"))
        for when in ("pre", "post")
    }
    assert {each.name: each.read_text() for each in saved.iterdir()} == expected
    assert bench.said == []


def test_nothing_is_saved_without_a_directory_and_its_lack_is_said(bench: Bench) -> None:
    bench.dumps.before_reload()
    assert bench.asked == []
    bench.process_settings = ProcessSettings(dumps=DumpSettings(save_directory="/nonexistent/saved"))
    bench.dumps.before_reload()
    assert bench.said == ["error: config_save_dir /nonexistent/saved: No such file or directory"]
