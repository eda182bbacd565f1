"""Trackers over a fake machine: what is run, what instances are told, what a reload keeps."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.kernel.inotify import Inotify
from kactl_agent.kernel.proc_events import ProcEvents
from kactl_agent.runtime.scripts import RunListener
from kactl_agent.runtime.trackers import Trackers
from kactl_agent.tracking.actions import SessionState
from kactl_agent.tracking.settings import (
    Command,
    Executable,
    FileSettings,
    ParamMatch,
    ProcessSettings,
    ScriptSettings,
    TrackerKind,
    TrackerUse,
    TrackingSettings,
)
from kactl_agent.vrrp.actions import Input, PriorityContribution, Report, TrackerFault, TrackerPending
from kactl_agent.vrrp.settings import SECOND
from support.netns import wait_for

CHK, IFACE = "track_script chk", "track_interface eth0"


class FakeRunner:
    def __init__(self) -> None:
        self.runs: list[tuple[Executable, RunListener]] = []
        self.signals: list[tuple[int, int]] = []

    def run(self, executable: Executable, listener: RunListener) -> int:
        if executable.arguments == ("too long",):
            raise ValueError("the command line is too long")
        self.runs.append((executable, listener))
        return len(self.runs)

    def signal(self, run: int, number: int) -> None:
        self.signals.append((run, number))


class Bench:
    def __init__(self) -> None:
        self.now = 0
        self.kernel = FakeKernel()
        self.kernel.links.add_link("eth0")
        self.runner = FakeRunner()
        self.told: list[tuple[str, Input]] = []
        self.reports: list[Report] = []
        self.armed: int | None = None
        self.readers: dict[int, Callable[[], None]] = {}
        self.soon: list[Callable[[], None]] = []
        self.trackers = Trackers(
            self.kernel.links, self.runner, lambda: self.now, self._arm,
            lambda name, told: self.told.append((name, told)), self.reports.append, Inotify,
            self, self._no_events,
        )  # fmt: skip

    def _no_events(self) -> ProcEvents:
        raise ConnectionRefusedError(111, "Connection refused")

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None:
        self.readers[descriptor] = callback

    def remove_reader(self, descriptor: int) -> None:
        del self.readers[descriptor]

    def read_all(self) -> None:
        for callback in list(self.readers.values()):
            callback()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def idle(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def _arm(self, deadline: int | None) -> None:
        self.armed = deadline

    def apply(self, *uses: TrackerUse, command: str = "/chk", **script: Any) -> None:
        scripts: tuple[ScriptSettings, ...] = ()
        if any(use.kind is TrackerKind.SCRIPT for use in uses):
            scripts = (ScriptSettings(name="chk", command=Command((command,)), **script),)
        self.trackers.apply(TrackingSettings(scripts=scripts, uses={"VI": uses}), {"chk": Executable((command,), 0, 0)})

    def ended(self, status: int, run: int = -1) -> None:
        self.runner.runs[run][1].ended(status)

    def at(self, now: int) -> None:
        self.now = now
        self.trackers.driver.run_due()

    def heard(self) -> list[Input]:
        told, self.told = self.told, []
        assert {name for name, _ in told} <= {"VI"}
        return [each for _, each in told]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def script(weight: int = 0) -> TrackerUse:
    return TrackerUse(TrackerKind.SCRIPT, "chk", weight)


def test_from_the_command_to_the_instance(bench: Bench) -> None:
    bench.apply(script(-10))
    assert bench.runner.runs[0][0] == Executable(("/chk",), 0, 0)
    assert PriorityContribution(CHK, 0) in bench.trackers.start("VI", (script(-10),))
    bench.ended(3)
    assert bench.heard()[0] == PriorityContribution(CHK, -10, "exited with status 3")
    assert [report.code for report in bench.reports] == ["script_status", "script_down"]
    bench.at(SECOND)
    bench.ended(0)
    assert bench.heard()[0] == PriorityContribution(CHK, 0, "exited with status 0")


def test_an_instance_that_starts_is_told_what_is_known(bench: Bench) -> None:
    bench.apply(script())
    assert bench.trackers.start("VI", (script(),)) == [TrackerPending(CHK, True)]
    bench.ended(1)
    assert TrackerFault(CHK, True, "exited with status 1") in bench.heard()
    bench.trackers.forget("VI")
    bench.at(SECOND)
    bench.ended(0)
    assert bench.heard() == [], "it is gone"
    assert TrackerFault(CHK, False) in bench.trackers.start("VI", (script(),))


def test_results_that_change_nothing_are_not_told(bench: Bench) -> None:
    bench.apply(script())
    bench.trackers.start("VI", (script(),))
    bench.ended(0)
    bench.heard()
    bench.at(SECOND)
    bench.ended(0)
    assert bench.heard() == []


def test_signals_and_refusals(bench: Bench) -> None:
    bench.apply(script(), timeout=SECOND // 2)
    bench.trackers.start("VI", (script(),))
    bench.runner.runs[0][1].started()
    bench.at(SECOND // 2)
    assert bench.runner.signals == [(1, 15)]
    assert TrackerFault(CHK, True, "timed out after 0.500 s") in bench.heard()
    refused = Bench()
    refused.trackers.start("VI", ())
    refused.apply(script(), command="too long")
    assert TrackerFault(CHK, True, "could not be run: the command line is too long") in (
        refused.trackers.start("VI", (script(),))
    )


def test_a_lost_run_is_no_result(bench: Bench) -> None:
    bench.apply(script())
    bench.trackers.start("VI", (script(),))
    bench.runner.runs[0][1].lost()
    assert bench.heard() == []
    bench.at(SECOND)
    assert len(bench.runner.runs) == 2


def test_reload_keeps_a_result_while_the_command_stays(bench: Bench) -> None:
    bench.apply(script())
    bench.trackers.start("VI", (script(),))
    bench.ended(1)
    bench.heard()
    bench.apply(script(-5), fall=3)
    bench.trackers.switch("VI", (script(-5),))
    assert bench.heard()[:2] == [PriorityContribution(CHK, -5, "exited with status 1"), TrackerFault(CHK, False)]
    assert len(bench.runner.runs) == 2, "with other settings it is started anew"
    bench.apply(script(-5), fall=3)
    assert len(bench.runner.runs) == 2, "the same is left alone"


def test_reload_forgets_the_result_of_another_command(bench: Bench) -> None:
    bench.apply(script())
    bench.ended(1)
    bench.apply(script(), command="/other")
    assert bench.trackers.start("VI", (script(),)) == [TrackerPending(CHK, True)]


def test_a_run_that_was_replaced_has_no_last_word(bench: Bench) -> None:
    bench.apply(script())
    bench.trackers.start("VI", (script(),))
    bench.apply(script(), command="/other")
    assert bench.runner.signals == [(1, 15)]
    bench.ended(1, run=0)
    assert bench.heard() == []


def test_what_is_not_tracked_any_more_is_taken_back(bench: Bench) -> None:
    bench.apply(script(-5))
    bench.trackers.start("VI", (script(-5),))
    bench.ended(1)
    bench.heard()
    bench.apply()
    bench.trackers.switch("VI", ())
    assert bench.heard() == [PriorityContribution(CHK, 0), TrackerFault(CHK, False), TrackerPending(CHK, False)]
    assert bench.armed is None


def test_interfaces(bench: Bench) -> None:
    use = TrackerUse(TrackerKind.INTERFACE, "eth0")
    bench.apply(use)
    assert TrackerFault(IFACE, False) in bench.trackers.start("VI", (use,))
    bench.trackers.check_links()
    assert bench.heard() == []
    bench.kernel.links.set_up("eth0", False)
    bench.kernel.links.drain()
    bench.trackers.check_links()
    assert TrackerFault(IFACE, True, "interface eth0 is down") in bench.heard()
    bench.apply()
    bench.kernel.links.set_up("eth0", True)
    bench.trackers.check_links()
    assert bench.heard() == []


def test_files(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "prio"
    path.write_text("5")
    use, double = TrackerUse(TrackerKind.FILE, "f", 1), TrackerUse(TrackerKind.FILE, "g", 2)
    files = tuple(FileSettings(name=name, path=str(path)) for name in ("f", "g"))
    bench.trackers.apply(TrackingSettings(files=files, uses={"VI": (use, double)}), {})
    told = bench.trackers.start("VI", (use, double))
    assert [each.weight for each in told if isinstance(each, PriorityContribution)] == [5, 10]
    path.write_text("-200")
    bench.read_all()
    heard = bench.heard()
    assert PriorityContribution("track_file f", -200, f"{path} holds -200") in heard
    assert TrackerFault("track_file g", True, f"{path} holds -200") in heard
    bench.trackers.apply(TrackingSettings(), {})
    path.write_text("0")
    bench.read_all()
    assert bench.heard() == []


def test_processes(bench: Bench) -> None:
    """This one and a child of it, by their command line: without the kernel's events they are listed on demand."""
    use = TrackerUse(TrackerKind.PROCESS, "p", 10)
    marker = f"kactl-test-{os.getpid()}"

    def apply(quorum: int) -> None:
        wanted = ProcessSettings(
            name="p", process="sh", arguments=("-c", "read x", marker), param_match=ParamMatch.EXACT, quorum=quorum
        )
        bench.trackers.apply(TrackingSettings(processes=(wanted,), uses={"VI": (use,)}), {})
        bench.idle()

    bench.trackers.start("VI", ())
    apply(1)
    told = [PriorityContribution("track_process p", 0, "0 processes running, wanted are at least 1")]
    assert bench.trackers.start("VI", (use,))[:1] == told
    child = subprocess.Popen(["sh", "-c", "read x", marker], stdin=subprocess.PIPE)
    said = Path(f"/proc/{child.pid}/cmdline")  # which is set some time behind the end of what Popen waits for
    wait_for(lambda: said.read_bytes().endswith(f"{marker}\0".encode()), 20, "it is what it was started as")
    bench.trackers.retry()
    bench.idle()
    up = PriorityContribution("track_process p", 10, "1 process running, wanted are at least 1")
    assert bench.heard()[0] == up
    apply(2)
    bench.trackers.switch("VI", (use,))
    assert bench.heard()[-3] == PriorityContribution("track_process p", 0, "1 process running, wanted are at least 2")
    apply(1)
    bench.trackers.switch("VI", (use,))
    bench.heard()
    child.communicate()
    bench.trackers.retry()
    bench.idle()
    down = PriorityContribution("track_process p", 0, "0 processes running, wanted are at least 1")
    assert bench.heard()[0] == down
    bench.trackers.stop()
    bench.trackers.retry()
    assert bench.soon == []


def test_sessions_start_down_and_keep_their_state_over_a_reload(bench: Bench) -> None:
    use = TrackerUse(TrackerKind.BFD, "b1", -20)
    bench.trackers.apply(TrackingSettings(uses={"VI": (use,)}), {})
    told = bench.trackers.start("VI", (use,))
    assert told[0] == PriorityContribution("track_bfd b1", -20, "BFD session b1 is not up")
    bench.trackers.session_changed("b1", SessionState(True))
    assert bench.heard()[0] == PriorityContribution("track_bfd b1", 0, "BFD session b1 is up")
    bench.trackers.session_changed("b1", SessionState(True))
    bench.trackers.session_changed("other", SessionState(False))
    assert bench.heard() == []
    fault = TrackerUse(TrackerKind.BFD, "b1", 0, reverse=True)
    bench.trackers.apply(TrackingSettings(uses={"VI": (fault,)}), {})
    bench.trackers.switch("VI", (fault,))
    assert TrackerFault("track_bfd b1", True, "BFD session b1 is up") in bench.heard()
    bench.trackers.apply(TrackingSettings(), {})
    bench.trackers.switch("VI", ())
    bench.heard()
    bench.trackers.session_changed("b1", SessionState(False))
    assert bench.heard() == []


def test_what_a_session_said_before_it_was_tracked_counts_until_it_is_gone(bench: Bench) -> None:
    """The bfd worker may be through with a reload before this one is."""
    use = TrackerUse(TrackerKind.BFD, "b1", 20)
    bench.trackers.session_changed("b1", SessionState(True))
    bench.trackers.apply(TrackingSettings(uses={"VI": (use,)}), {})
    assert bench.trackers.start("VI", (use,))[0] == PriorityContribution("track_bfd b1", 20, "BFD session b1 is up")
    bench.trackers.apply(TrackingSettings(), {})
    bench.trackers.session_gone("b1")
    bench.trackers.apply(TrackingSettings(uses={"VI": (use,)}), {})
    assert bench.trackers.start("VI", (use,))[0] == PriorityContribution("track_bfd b1", 0, "BFD session b1 is not up")


def test_stop_ends_every_run(bench: Bench) -> None:
    bench.apply(script())
    bench.trackers.stop()
    assert bench.runner.signals == [(1, 15)]
    assert bench.armed is None
