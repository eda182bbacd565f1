"""A real agent tells others: its own scripts before and behind everything, scripts in order, FIFO readers, mails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from support.agents import START, Agent, agents, instance
from support.mail_sink import Behaviour, MailSink
from support.netns import Network, inside, network, wait_for

pytestmark = pytest.mark.root
FAST: dict[str, Any] = {"advert_int": 0.2, "version": 3, "virtual_ipaddress": ["198.51.100.100/24"]}


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


@pytest.fixture
def place() -> Iterator[Path]:
    """Where other users may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def lines(path: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().splitlines()
    return []


def configuration(global_defs: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"global_defs": {"script_user": "root", **global_defs}, **instance(**(FAST | keywords))}


def test_no_worker_runs_before_the_startup_script_has_ended_or_behind_the_shutdown_script(
    net: Network, place: Path
) -> None:
    """S24: the supervisor alone runs them."""
    out, gate = place / "out", place / "gate"
    os.mkfifo(gate)
    said = {
        "startup_script": script(place / "start", f"echo start >> {out}; read go < {gate}; echo started >> {out}"),
        "startup_script_timeout": 60,
        "shutdown_script": script(place / "end", f"ip -o addr show dev eth0 | grep -c '100/24' >> {out}; exit 3"),
    }
    agent = Agent(net.nodes[0], place / "agent", configuration(said))
    with agents(agent):
        wait_for(lambda: lines(out) == ["start"], START, "the startup script")
        wait_for(agent.status, START, "the control socket is served meanwhile")
        assert agent.pid_of("vrrp") == 0
        assert "running: " not in agent.log
        gate.write_text("go\n")
        agent.wait_state("MASTER", START)
        assert lines(out) == ["start", "started"]
        # after a reload it is neither run nor looked at
        agent.configure(configuration(said | {"startup_script": "/nonexistent"}))
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload done" in agent.log, START, "the reload")
        assert "startup_script is disabled" not in agent.log
        assert agent.stop() == 0
    assert lines(out) == ["start", "started", "0"]
    assert "shutdown_script exited with status 3" in agent.log


def test_a_startup_script_over_its_time_keeps_nobody_waiting(net: Network, place: Path) -> None:
    said = {"startup_script": script(place / "start", "sleep 60"), "startup_script_timeout": 1}
    agent = Agent(net.nodes[0], place / "agent", configuration(said))
    with agents(agent):
        agent.wait_state("MASTER", START)
        assert "startup_script takes longer than 1 s and is ended" in agent.log


def test_a_stop_during_the_startup_script_ends_it(net: Network, place: Path) -> None:
    out = place / "out"
    said = {
        "startup_script": script(place / "start", f"echo $$ >> {out}; exec sleep 60"),
        "shutdown_script": script(place / "end", f"echo end >> {out}"),
        "startup_script_timeout": 60,
    }
    agent = Agent(net.nodes[0], place / "agent", configuration(said))
    with agents(agent):
        wait_for(lambda: lines(out), START, "the startup script")
        begun = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - begun < 10
    pid, end = lines(out)
    assert end == "end"
    assert not Path(f"/proc/{pid}").exists()


def test_a_slow_script_is_followed_by_the_others_in_order_and_a_stuck_one_does_not_hinder_the_stop(
    net: Network, place: Path
) -> None:
    """keepalived runs them all at once; what a script of BACKUP writes can come behind that of MASTER."""
    out = place / "out"
    slow = script(place / "slow", f'echo "begin $3" >> {out}; sleep 1; echo "end $3" >> {out}')
    stuck = script(place / "stuck", f'trap "" TERM; echo "stuck $3" >> {out}; [ $3 = STOP ] || exec sleep 60')
    blocks = configuration({})
    blocks["vrrp_instance"]["VI_1"]["notify"] = slow
    blocks["vrrp_instance"]["VI_2"] = blocks["vrrp_instance"]["VI_1"] | {
        "notify": stuck,
        "virtual_router_id": 52,
        "virtual_ipaddress": ["198.51.100.101/24"],
    }
    agent = Agent(net.nodes[0], place / "agent", blocks)
    with agents(agent):
        for name in ("VI_1", "VI_2"):
            agent.wait_state("MASTER", START, name)
        wait_for(lambda: "end MASTER" in lines(out), 20, "both of VI_1")
        wait_for(lambda: "stuck BACKUP" in lines(out), 20, "the first one of VI_2")
        assert [line for line in lines(out) if "stuck" not in line] == [
            "begin BACKUP",
            "end BACKUP",
            "begin MASTER",
            "end MASTER",
        ]
        begun = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - begun < 12
    assert [line for line in lines(out) if "stuck" in line] == ["stuck BACKUP", "stuck MASTER", "stuck STOP"]
    assert "begin STOP" in lines(out)
    ended = subprocess.run(["pgrep", "-f", f"{place}/stuck"], capture_output=True, text=True, check=False).stdout
    assert ended == ""


def test_a_reader_of_a_fifo_gets_every_line_to_the_last_one(net: Network, place: Path) -> None:
    out, fifo = place / "out", place / "fifo"
    reader = script(place / "read", f'while read -r line; do sleep 0.01; echo "$line" >> {out}; done < "$1"')
    agent = Agent(
        net.nodes[0], place / "agent", configuration({"notify_fifo": str(fifo), "notify_fifo_script": reader})
    )
    with agents(agent):
        agent.wait_state("MASTER", START)
        expected = ['INSTANCE "VI_1" BACKUP 100', 'INSTANCE "VI_1" MASTER 100']
        wait_for(lambda: lines(out) == expected, 20, f"lines: {lines(out)}")
        first = agent.kill("vrrp")
        wait_for(lambda: agent.pid_of("vrrp") not in (0, first), START, "another worker")
        agent.wait_state("MASTER", START)
        wait_for(lambda: lines(out) == expected * 2, 20, f"lines: {lines(out)}")
        assert agent.stop() == 0
    assert lines(out) == [*expected, *expected, 'INSTANCE "VI_1" STOP 100']
    assert not fifo.exists()


@pytest.fixture
def relay(net: Network) -> Iterator[MailSink]:
    with inside(net.nodes[0].namespace):
        sink = MailSink(Behaviour(delay=0.3))
    yield sink
    sink.close()


def mails(relay: MailSink) -> dict[str, Any]:
    return {
        "router_id": "lb1",
        "smtp_server": {"host": "127.0.0.1", "port": relay.port},
        "notification_email": ["a@example.org"],
        "smtp_alert": True,
    }


def test_mails_outlive_the_process_that_sends_them(net: Network, place: Path, relay: MailSink) -> None:
    """The first observer is killed while it talks to the relay; the stop is told as well."""
    agent = Agent(net.nodes[0], place / "agent", configuration(mails(relay)))
    subjects = [f"[lb1] VRRP Instance VI_1 - {what}" for what in ("Entering BACKUP state", "Entering MASTER state")]
    with agents(agent):
        wait_for(lambda: relay.connections, START, "the first mail is on its way")
        agent.kill("observer")
        wait_for(lambda: set(relay.subjects) >= set(subjects), START, f"mails: {relay.subjects}\n{agent.log}")
        agent.wait_state("MASTER", START)
        relay.behaviour.delay = 0.0
        assert agent.stop() == 0
    assert relay.subjects[-1] == "[lb1] VRRP Instance VI_1 - Stopping"


def test_scripts_are_run_while_the_observer_stands_still(net: Network, place: Path) -> None:
    out = place / "out"
    blocks = configuration({})
    blocks["vrrp_instance"]["VI_1"]["notify"] = script(place / "any", f'echo "$3" >> {out}')
    blocks["track_file"] = {"fault": {"file": str(place / "fault"), "weight": 0}}
    blocks["vrrp_instance"]["VI_1"]["track_file"] = ["fault"]
    (place / "fault").write_text("0\n")
    agent = Agent(net.nodes[0], place / "agent", blocks)
    with agents(agent):
        agent.wait_state("MASTER", START)
        wait_for(lambda: lines(out) == ["BACKUP", "MASTER"], 20, "the start")
        observer = agent.kill("observer", signal.SIGSTOP)
        try:
            (place / "fault").write_text("1\n")
            wait_for(lambda: lines(out) == ["BACKUP", "MASTER", "FAULT"], 20, f"the fault: {lines(out)}")
        finally:
            os.kill(observer, signal.SIGCONT)


def test_a_reload_that_takes_an_instance_away(net: Network, place: Path) -> None:
    out = place / "out"
    blocks = configuration({"vrrp_notify_fifo": str(place / "fifo")})
    blocks["vrrp_instance"]["VI_2"] = blocks["vrrp_instance"]["VI_1"] | {
        "notify": script(place / "any", f'echo "$3" >> {out}'),
        "notify_deleted": script(place / "gone", f"echo gone >> {out}"),
        "virtual_router_id": 52,
        "virtual_ipaddress": ["198.51.100.101/24"],
    }
    agent = Agent(net.nodes[0], place / "agent", blocks)
    with agents(agent):
        agent.wait_state("MASTER", START, "VI_2")
        wait_for(lambda: lines(out) == ["BACKUP", "MASTER"], 20, "the start")
        del blocks["vrrp_instance"]["VI_2"]
        agent.configure(blocks)
        with ControlClient(agent.run_dir, timeout=START) as client:
            client.call("reload")
        assert agent.state("VI_2") == ""  # who is told that it is done sees that it is
        wait_for(lambda: lines(out) == ["BACKUP", "MASTER", "gone", "DELETED"], 20, f"its end: {lines(out)}")
