"""Which processes match: what the real keepalived counts, and what we count, of the same processes of this machine.

keepalived hears of processes in the first network namespace alone. It is given an interface that does not exist there,
so that it counts and does nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.resolve import resolve
from kactl_agent.kernel.proc_events import ProcEvents
from kactl_agent.runtime.processes import Processes
from kactl_agent.tracking.process import ProcessTracker
from kactl_agent.vrrp.actions import Input
from support.agents import START
from support.keepalived_peer import closed_text
from support.netns import wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

NAME = f"kt{os.getpid()}"
LONG = f"{NAME}-longer-than-the-kernel-keeps"
COMMANDS = [(NAME, "300"), (NAME, "77"), (NAME, "771"), (NAME, "77", "3"), (f"./{NAME}", "300"), (LONG, "98")]
WANTED = [
    # (words of `process`, other lines)
    ((NAME,), ()),
    ((NAME,), ("full_command",)),
    ((NAME,), ("param_match",)),
    ((NAME,), ("param_match partial",)),
    ((NAME,), ("param_match initial",)),
    ((NAME, "300"), ()),
    ((NAME, "77"), ()),
    ((NAME, "77"), ("param_match initial",)),
    ((NAME, "77"), ("param_match partial",)),
    ((NAME, "7"), ("param_match initial",)),
    ((NAME, "77", "3"), ()),
    ((NAME, "77", "4"), ()),
    ((f"./{NAME}",), ()),
    ((f"./{NAME}",), ("full_command",)),
    ((f"./{NAME}",), ("full_command", "param_match partial")),
    ((f"./{NAME}", "300"), ()),
    ((LONG,), ()),
    ((LONG,), ("full_command",)),
    ((LONG[:15],), ()),
    ((LONG[:14],), ()),
]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for words in COMMANDS:
            program = tmp_path / Path(words[0]).name
            if not program.exists():
                shutil.copy("/bin/sleep", program)
            process = subprocess.Popen(words, executable=program, cwd=tmp_path)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


class Turns:
    """The loop of `Processes`, one turn after the other."""

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None:
        raise AssertionError("there are no events")

    def remove_reader(self, descriptor: int) -> None:
        raise AssertionError("there are no events")

    def call_soon(self, callback: Callable[[], None]) -> None:
        callback()


def our_counts() -> list[int]:
    words = {"param_match": "true", "param_match partial": "partial", "param_match initial": "initial"}
    lines = ["vrrp_track_process:"]
    for number, (process, more) in enumerate(WANTED):
        options = [f"process: [{', '.join(repr(word) for word in process)}]"]
        options += [f"param_match: {words[each]}" if each in words else f"{each}: true" for each in more]
        lines.append(f"  p{number}: {{{', '.join(options)}}}")
    tracked = ", ".join(f"p{number}" for number in range(len(WANTED)))
    head = "interface: eth0, virtual_router_id: 5, virtual_ipaddress: [192.0.2.1]"
    lines.append(f"vrrp_instance:\n  VI: {{{head}, track_process: [{tracked}]}}")
    settings = resolve(bind("\n".join(lines), "agent.yaml")).settings.tracking.processes
    assert len(settings) == len(WANTED)
    trackers = [ProcessTracker(each) for each in settings]

    def tell(event: Input) -> None:
        for tracker in trackers:
            tracker.handle_event(event, 0)

    def no_events() -> ProcEvents:
        raise ConnectionRefusedError(111, "Connection refused")

    Processes(Turns(), no_events, tell, lambda _report: None).follow(wanted=True, with_commands=True)
    return [len(tracker.pids) for tracker in trackers]


def their_counts(directory: Path) -> list[int]:
    blocks = ["global_defs {\n dynamic_interfaces\n}"]
    for number, (words, more) in enumerate(WANTED):
        body = "\n ".join((f"process {' '.join(words)}", *more))
        blocks.append(f"vrrp_track_process p{number} {{\n {body}\n}}")
    tracked = "\n ".join(f"p{number}" for number in range(len(WANTED)))
    head = "interface kactl-none0\n virtual_router_id 5\n virtual_ipaddress {\n 192.0.2.1\n }"
    blocks.append(f"vrrp_instance VI {{\n {head}\n track_process {{\n {tracked}\n }}\n}}")
    config, log, dump = directory / "keepalived.conf", directory / "log", directory / "keepalived.data"
    config.write_text("\n".join(blocks) + "\n")
    with log.open("w") as out:
        process = subprocess.Popen(
            ["keepalived", "--vrrp", "-n", "-l", "-D", "-f", str(config), "-p", str(directory / "main.pid"),
             "-r", str(directory / "vrrp.pid")],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(directory)},
        )  # fmt: skip
    try:
        wait_for(lambda: "Startup complete" in log.read_text(), START, "keepalived is up")
        if "process event listen" in log.read_text():
            pytest.skip("the kernel does not tell keepalived of processes here")
        process.send_signal(signal.SIGUSR1)
        text = wait_for(lambda: dump.exists() and closed_text(dump), START, "the dump")
    finally:
        process.terminate()
        process.wait(15)
    found = re.findall(r"Current processes = (\d+)", text)
    assert len(found) == len(WANTED), f"{log.read_text()}\n{text}"
    return [int(count) for count in found]


@pytest.mark.usefixtures("running")
def test_we_count_what_keepalived_counts(tmp_path: Path) -> None:
    theirs = their_counts(tmp_path)
    assert dict(zip(WANTED, our_counts(), strict=True)) == dict(zip(WANTED, theirs, strict=True))
    assert len(set(theirs)) > 4, "the table tells the rules apart"
