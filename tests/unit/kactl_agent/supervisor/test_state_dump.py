from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.supervisor.run_dir import RunDirectory
from kactl_agent.supervisor.state_dump import StateDump


class Bench:
    def __init__(self, directory: Path) -> None:
        self.said: list[str] = []
        self.path = directory
        self.dump = StateDump(RunDirectory(directory), lambda level, text: self.said.append(f"{level}: {text}"))
        self.ours, self.theirs = (Edge(sock) for sock in socket_pair())

    def fill(self, text: str) -> int:
        """As the observer does; how many dumps it was asked for."""
        self.ours.flush()
        asked = self.theirs.receive()
        for _frame, descriptors in asked:
            for descriptor in descriptors:
                os.write(descriptor, text.encode())
                os.close(descriptor)
        return len(asked)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ours.close()
    made.theirs.close()


def test_files_appear_when_they_are_complete(bench: Bench) -> None:
    bench.dump.request(bench.ours)
    assert not (bench.path / "state.json").exists()
    assert bench.fill("one") == 1
    bench.dump.done("", bench.ours)
    assert (bench.path / "state.json").read_text() == (bench.path / "state.txt").read_text() == "one"
    assert bench.said == [f"info: state written to {bench.path}/state.json and state.txt"]


def test_requests_while_one_is_under_way_lead_to_one_more(bench: Bench) -> None:
    for _ in range(50):
        bench.dump.request(bench.ours)
    assert bench.fill("one") == 1
    bench.dump.done("", bench.ours)
    assert (bench.path / "state.json").read_text() == "one"
    assert bench.fill("two") == 1
    bench.dump.done("", bench.ours)
    assert (bench.path / "state.json").read_text() == "two"
    assert bench.fill("") == 0
    assert len(bench.said) == 2


def test_what_goes_wrong_is_said_and_forgotten(bench: Bench) -> None:
    bench.dump.request(None)
    bench.dump.request(bench.ours)
    bench.dump.done("No space left on device", bench.ours)
    bench.dump.request(bench.ours)
    bench.dump.observer_lost()
    (bench.path / "state.txt.new").unlink()
    (bench.path / "state.txt.new").mkdir()
    bench.dump.request(bench.ours)
    assert [line.split(": ")[-1] for line in bench.said] == [
        "the observer is not running", "No space left on device", "the observer has ended", "Is a directory",
    ]  # fmt: skip
    (bench.path / "state.txt.new").rmdir()
    bench.fill("")
    bench.dump.request(bench.ours)
    bench.fill("again")
    bench.dump.done("", bench.ours)
    assert (bench.path / "state.json").read_text() == "again"
