"""The observer in a real loop, with this test as supervisor and VRRP worker."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.protocol import METHODS, ControlError, Parameters
from kactl_agent.observe.logs import LogFormat, LogSettings, LogWriter
from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration, ConfigurationChanges, dump_sealed
from kactl_agent.runtime.dump_frames import ClearStatistics, DumpFinished, DumpRequest, DumpWritten, WriteDump
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import Family, VrrpSettings
from kactl_agent.workers.observer import Observer, ObserverStart

SETTINGS = VrrpSettings(
    name="VI", interface="eth0", virtual_router_id=51, version=3, family=Family.IPV4, priority=100
)  # fmt: skip
CHANGES = ConfigurationChanges(("a",), (), ())


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.supervisor, self._observers_end = (Edge(sock) for sock in socket_pair())
        start = ObserverStart(
            configuration=AgentConfiguration(revision="1", file="f", vrrp=(SETTINGS,)), supervisor_pid=1,
            started=time.monotonic_ns(), log=LogSettings(form=LogFormat.TEXT, level="info", detail=False),
        )  # fmt: skip
        self.log = io.StringIO()
        log = LogWriter(LogFormat.TEXT, "info", False, self.log)
        self.observer = Observer(self.loop, start, self._observers_end, log)
        self.answers: list[frames.AnyFrame] = []
        self.worker = self.new_worker()

    def new_worker(self) -> Edge:
        ours, theirs = socket_pair()
        self.supervisor.post(frames.ObserverEdge("vrrp"), [theirs.detach()])
        return Edge(ours)

    def until(self, condition: Callable[[], Any], seconds: float = 5) -> None:
        async def poll() -> None:
            deadline = self.loop.time() + seconds
            while not condition():
                assert self.loop.time() < deadline
                await asyncio.sleep(0.002)
                for edge in (self.supervisor, self.worker):
                    edge.try_flush()
                self.answers += [frame for frame, _descriptors in self.supervisor.receive()]

        self.loop.run_until_complete(poll())

    def reload(self, answers: list[Any]) -> None:
        self.observer.methods["reload"](Parameters({}), answers.append)

    def state(self) -> str:
        return self.observer.status()["vrrp"]["instances"]["VI"]["state"]

    def report(self) -> None:
        instance = VrrpInstance(SETTINGS)
        from kactl_agent.vrrp.actions import InterfaceState, Startup

        now = time.monotonic_ns()
        instance.handle_event(InterfaceState(True, True, b"\1\2\3\4", b"\2\0\0\0\0\1", 1500), now)
        instance.handle_event(Startup(), now)
        self.worker.post_state("VI", frames.Snapshot(now, time.time_ns(), instance.snapshot()))

    def close(self) -> None:
        for edge in (self.supervisor, self.worker):
            edge.close()
        for worker in self.observer._workers.values():
            worker.close()
        self._observers_end.close()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def events(bench: Bench) -> list[dict[str, Any]]:
    return bench.observer.events_since("", 100)[0]


def test_another_configuration_is_taken_and_that_is_said(bench: Bench) -> None:
    new = AgentConfiguration(revision="2", file="f")
    bench.supervisor.post(frames.Settings(0), [dump_sealed(new)])
    bench.until(lambda: bench.answers)
    assert bench.answers == [frames.SettingsApplied(0, ConfigurationChanges((), (), ()))]
    assert bench.observer.status()["agent"]["config_revision"] == "2"


def test_state_journal_and_log(bench: Bench) -> None:
    bench.report()
    transition = frames.TransitionRecord(0, "VI", "INIT", "BACKUP", "startup", "started", 100, b"\1\2\3\4")
    bench.worker.post_event(transition)
    bench.worker.post_event(frames.LogRecord(0, "info", "vrrp", "hello"))
    bench.until(lambda: bench.log.getvalue() and bench.state() == "BACKUP" and events(bench))
    (event,) = events(bench)
    assert (event["type"], event["instance"], event["old"], event["new"]) == ("transition", "VI", "INIT", "BACKUP")
    assert (event["cause"], event["master"]) == ("startup", "1.2.3.4")
    assert bench.log.getvalue() == "1970-01-01T00:00:00.000Z info    vrrp: hello\n"


def test_a_lost_worker_is_nothing_known(bench: Bench) -> None:
    bench.report()
    bench.until(lambda: bench.state() == "BACKUP")
    bench.worker.close()
    bench.worker = bench.new_worker()
    bench.until(lambda: bench.state() == "INIT")
    bench.report()
    bench.until(lambda: bench.state() == "BACKUP")


def test_new_settings(bench: Bench) -> None:
    new = AgentConfiguration(revision="2", file="f")
    bench.supervisor.post(frames.Settings(0), [dump_sealed(new)])
    bench.until(lambda: bench.observer.status()["agent"]["config_revision"] == "2")
    assert bench.observer.status()["vrrp"]["instances"] == {}


def test_a_client_gets_the_outcome_of_its_reload(bench: Bench) -> None:
    answers: list[Any] = []
    bench.reload(answers)
    bench.reload(answers)
    bench.until(lambda: frames.ReloadRequest(2) in bench.answers)
    bench.supervisor.post(frames.ReloadOutcome(1, True, "removed a", "2", CHANGES))
    bench.supervisor.post(frames.ReloadOutcome(2, False, "invalid", "2", None, journal=False))
    bench.until(lambda: len(answers) == 2)
    assert answers[0]["revision"] == "2"
    assert list(answers[0]["changes"]["removed"]) == ["a"]
    assert isinstance(answers[1], ControlError)
    assert [event["type"] for event in events(bench)] == ["reload"]


def test_every_method_is_in_the_protocol(bench: Bench) -> None:
    own = {"ping", "version", "events", "subscribe"}
    assert own | set(bench.observer.methods) == set(METHODS)


def opened(*paths: Path) -> list[int]:
    return [os.open(path, os.O_WRONLY | os.O_CREAT, 0o600) for path in paths]


def test_a_dump_goes_to_the_descriptors(bench: Bench, tmp_path: Path) -> None:
    kinds = ("state.json", "state.txt", "vrrp", "parent")
    more = ("stats", "json", "check", "bfd")
    paths = {kind: tmp_path / kind for kind in (*kinds, *more)}
    bench.report()
    bench.until(lambda: bench.state() == "BACKUP")
    bench.supervisor.post(WriteDump(1, kinds), opened(*(paths[kind] for kind in kinds)))
    bench.supervisor.post(WriteDump(2, more), opened(*(paths[kind] for kind in more)))
    bench.until(lambda: DumpWritten(1) in bench.answers and DumpWritten(2) in bench.answers)
    texts = {kind: path.read_text() for kind, path in paths.items()}
    assert json.loads(texts["state.json"])["schema_version"] == 1
    assert "vrrp_instance VI" in texts["state.txt"]
    assert " VRRP Instance = VI\n" in texts["vrrp"]
    assert "------< Processes >------" in texts["parent"]
    assert texts["stats"].startswith("VRRP Instance: VI\n")
    assert json.loads(texts["json"])[0]["data"]["iname"] == "VI"
    assert texts["check"].startswith("------< LVS Topology >------\n")
    assert texts["bfd"].startswith("------< BFD Topology >------\n")


def test_a_dump_that_nobody_reads_holds_nothing_up(bench: Bench, tmp_path: Path) -> None:
    """A pipe without a reader stands for a disk that hangs."""
    os.mkfifo(tmp_path / "stuck")
    reader = os.open(tmp_path / "stuck", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "stuck", os.O_WRONLY)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    bench.supervisor.post(WriteDump(1, ("vrrp",)), [writer])
    bench.supervisor.post(WriteDump(2, ("vrrp",)), opened(tmp_path / "fine"))
    bench.until(lambda: DumpWritten(2) in bench.answers)
    assert DumpWritten(1) not in bench.answers
    os.set_blocking(reader, True)
    while os.read(reader, 1 << 20)[-1:] != b"\n":
        pass
    os.close(reader)
    bench.until(lambda: DumpWritten(1) in bench.answers)


def test_clients_get_dumps_or_have_them_written(bench: Bench) -> None:
    answers: list[Any] = []

    def ask(**said: Any) -> None:
        bench.observer.methods["dump"](Parameters(said), answers.append)

    ask()
    ask(what="json")
    assert answers[0]["text"].startswith("------< Global definitions >------")
    assert json.loads(answers[1]["text"])[0]["data"]["iname"] == "VI"
    for said in ({"what": "nonsense"}, {"what": "parent", "files": True}, {"what": 7}):
        with pytest.raises(ControlError):
            ask(**said)
    ask(what="stats", files=True)
    ask(what="data", files=True)
    bench.until(lambda: DumpRequest(2, "data") in bench.answers)
    bench.supervisor.post(DumpFinished(2, (), "no room"))
    bench.supervisor.post(DumpFinished(1, ("/run/x",)))
    bench.until(lambda: len(answers) == 4)
    assert isinstance(answers[2], ControlError)
    assert answers[3] == {"files": ["/run/x"]}


def test_statistics_that_were_cleared_are_counted_from_then_on(bench: Bench) -> None:
    bench.report()
    bench.until(lambda: bench.state() == "BACKUP")
    bench.supervisor.post(ClearStatistics())
    bench.until(lambda: bench.observer.status()["vrrp"]["instances"]["VI"]["statistics_since"])


def test_processes_that_end_are_in_the_journal(bench: Bench) -> None:
    bench.supervisor.post(frames.ProcessState("vrrp", 7, 0))
    bench.supervisor.post(frames.ProcessState("vrrp", 0, 0, "killed by SIGKILL"))
    bench.supervisor.post(frames.ProcessState("vrrp", 8, 1))
    bench.until(lambda: bench.observer.status()["agent"]["processes"].get("vrrp", {}).get("pid") == 8)
    assert [(event["type"], event["ended"]) for event in events(bench)] == [("process", "killed by SIGKILL")]


def test_recording_lines_go_to_their_file(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "VI.jsonl"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    bench.supervisor.post(frames.RecordingFile("VI"), [descriptor])
    bench.until(lambda: "VI" in bench.observer._recordings_to_begin)
    for text in (b"one\n", b"two\n"):
        bench.worker.post_event(frames.RecordingLine("VI", text, first=text == b"one\n"))
    bench.worker.post_event(frames.RecordingLine("other", b"x"))
    bench.until(lambda: path.read_bytes() == b"one\ntwo\n")
    os.close(bench.observer._recordings.pop("VI"))


def test_recordings_and_their_files_may_come_in_any_order(bench: Bench, tmp_path: Path) -> None:
    """A file comes from the supervisor, before it hands a reload over; lines come from the worker: the last ones of the
    old recording and the first ones of the new."""

    def file(name: str) -> int:
        return os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def line(text: bytes, *, first: bool = False) -> None:
        bench.worker.post_event(frames.RecordingLine("VI", text, first))

    line(b"1", first=True)
    line(b"2")
    bench.until(lambda: len(bench.observer._early.get("VI", ())) == 2)
    bench.supervisor.post(frames.RecordingFile("VI"), [file("a")])
    bench.until(lambda: "VI" in bench.observer._recordings)
    bench.supervisor.post(frames.RecordingFile("VI"), [file("b")])
    bench.until(lambda: "VI" in bench.observer._recordings_to_begin)
    line(b"3")
    line(b"4", first=True)
    bench.until(lambda: (tmp_path / "b").read_bytes() == b"4")
    assert (tmp_path / "a").read_bytes() == b"123"
    line(b"5", first=True)  # without a file so far
    for _ in range(2000):
        line(b"x")
    bench.until(lambda: not bench.observer._early and not bench.observer._recordings)
    assert (tmp_path / "b").read_bytes() == b"4"


def test_it_stays_for_the_last_words_of_the_worker(bench: Bench) -> None:
    bench.report()
    bench.until(lambda: bench.state() == "BACKUP")
    bench.supervisor.post(frames.Stop())
    bench.supervisor.flush()
    bench.worker.post_event(frames.TransitionRecord(0, "VI", "MASTER", "INIT", "shutdown", "", 100, b""))
    bench.worker.flush()
    bench.worker.close()
    bench.loop.run_forever()
    assert [event["cause"] for event in events(bench)] == ["shutdown"]


def test_an_unexpected_error_is_said_on_one_line_and_ends_nothing(bench: Bench) -> None:
    bench.loop.set_exception_handler(bench.observer.failed)
    bench.loop.call_soon(lambda: 1 // 0)
    bench.report()
    bench.until(lambda: bench.state() == "BACKUP")
    assert "ZeroDivisionError" in bench.log.getvalue()
    assert bench.log.getvalue().count("\n") == 1


def test_changes_of_priority_are_in_the_journal(bench: Bench) -> None:
    bench.worker.post_event(frames.PriorityRecord(0, "VI", "MASTER", 80, "effective priority 100 -> 80"))
    bench.until(lambda: events(bench))
    (event,) = events(bench)
    assert (event["type"], event["instance"], event["state"], event["priority"]) == ("priority", "VI", "MASTER", 80)
    assert event["detail"] == "effective priority 100 -> 80"
