"""The runtime under attack: processes killed and stopped in every state, clients, files and streams that misbehave."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from kactl_agent.control.protocol import ControlError
from support.agents import SLACK, START, Agent, agents, alive, instance, master_down, wait_warm
from support.netns import Network, ip, network, wait_for

pytestmark = pytest.mark.root
ADDRESS = "198.51.100.100/24"
FAST = 0.1


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def configuration(**more: Any) -> dict[str, Any]:
    fast = {"version": 3, "advert_int": FAST, "priority": 200, "virtual_ipaddress": [ADDRESS]}
    return instance(**(fast | more))


def started(net: Network, directory: Path, *options: str, **more: Any) -> Agent:
    return Agent(net.nodes[0], directory, configuration(**more), *options)


def wait_master(agent: Agent) -> None:
    agent.wait_state("MASTER", master_down(3, 200, FAST) + SLACK)


def descriptors(pid: int) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(f"/proc/{pid}/fd/{name}").split(":")[0])
    return sorted(found)


def more(after: list[str], before: list[str]) -> Counter[str]:
    """What has come. (A connection of ours that was closed just now may go.)"""
    return Counter(after) - Counter(before)


def resident(pid: int) -> int:
    """KiB. (The proportional size depends on who else shares pages at the moment.)"""
    found = re.search(r"^Rss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def heard(agent: Agent) -> int:
    """Adverts that have come."""
    status = agent.status()
    instances = status["vrrp"]["instances"] if status else {}
    return int(instances.get("VI_1", {}).get("statistics", {}).get("adverts_received", 0))


def transitions(agent: Agent) -> list[str]:
    with ControlClient(agent.run_dir, timeout=START) as client:
        return [event["new"] for event in client.call("events")["events"] if event["type"] == "transition"]


def reload(agent: Agent) -> dict[str, Any]:
    with ControlClient(agent.run_dir, timeout=60) as client:
        outcome: dict[str, Any] = client.call("reload")
    return outcome


def test_reloads_leave_nothing_behind(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        pids = {name: one.pid_of(name) for name in ("vrrp", "observer")} | {"supervisor": one.agent_pid}

        def measured() -> dict[str, tuple[list[str], int]]:
            return {name: (descriptors(pid), resident(pid)) for name, pid in pids.items()}

        def turn(number: int) -> None:
            one.configure(configuration(garp_master_repeat=1 + number % 3))
            reload(one)

        for number in range(5):
            turn(number)
        wait_warm(one)
        before = measured()
        for number in range(30):
            turn(number)
        after = measured()
        assert one.state() == "MASTER"
        for name in pids:
            wait_for(
                lambda name=name: not more(descriptors(pids[name]), before[name][0]), SLACK, f"descriptors of {name}"
            )
            assert after[name][1] < before[name][1] + 1024, (name, before[name][1], after[name][1])


def test_deaths_of_workers_leave_nothing_behind(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        before = descriptors(one.agent_pid)
        for name in ("observer", "vrrp", "spawner", "observer", "vrrp"):
            pid = wait_for(lambda name=name: one.pid_of(name), SLACK, f"{name} runs")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda name=name, pid=pid: one.pid_of(name) not in (0, pid), START, f"another {name}\n{one.log}")
        wait_master(one)
        wait_for(lambda: not more(descriptors(one.agent_pid), before), SLACK, "no descriptor is left behind")
        assert one.stop() == 0


def test_a_log_that_nobody_reads_delays_neither_adverts_nor_the_stop(net: Network, tmp_path: Path) -> None:
    readable, writable = os.pipe()
    node = net.nodes[0]
    config = tmp_path / "agent.yaml"
    one = Agent(node, tmp_path / "unused", configuration(advert_int=1), "--check")
    one.process.wait(START)
    config.write_text(one.config.read_text())
    command = (*one.command_line(config, tmp_path / "run"), "--log-level", "debug")
    process = node.run(*command, stderr=writable, stdin=subprocess.DEVNULL)
    os.close(writable)
    two = Agent(net.nodes[1], tmp_path / "two", configuration(priority=100, advert_int=1))
    try:
        with agents(two):
            wait_for(lambda: node.has(ADDRESS), START + SLACK, "the master")
            wait_for(lambda: two.state() == "BACKUP" and heard(two), START, "the backup hears it")
            before = transitions(two)
            with ControlClient(tmp_path / "run", timeout=30) as client:
                filled = False
                for _ in range(60):  # every reload says some lines; the pipe holds 64 KiB
                    config.write_text("x" * 200)
                    with pytest.raises(Exception, match="invalid"):
                        client.call("reload")
                    filled = True
                assert filled
            os.kill(process.pid, signal.SIGUSR1)
            wait_for(lambda: (tmp_path / "run" / "state.json").exists(), START, "the supervisor does not wait")
            count = heard(two)
            wait_for(lambda: heard(two) >= count + 3, 3 + SLACK, "adverts go on")
            assert two.state() == "BACKUP"
            assert transitions(two) == before, "adverts went on"
            process.terminate()
            assert process.wait(15) == 0
            assert not node.has(ADDRESS)
    finally:
        process.kill()
        process.wait()
        os.close(readable)


def test_closed_standard_streams(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "unused", configuration(), "--check")
    one.process.wait(START)
    command = " ".join(one.command_line(one.config, tmp_path / "run"))
    process = net.nodes[0].run("sh", "-c", f"exec {command} <&- >&- 2>&-")
    try:
        wait_for(lambda: net.nodes[0].has(ADDRESS), START + SLACK, "the master")
        process.terminate()
        assert process.wait(15) == 0
        assert not net.nodes[0].has(ADDRESS)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stopped", ["vrrp", "observer", "supervisor", "spawner"])
def test_a_process_that_is_stopped_for_a_while(net: Network, tmp_path: Path, stopped: str) -> None:
    interval = FAST if stopped == "vrrp" else 1.0  # what a busy machine holds up is no fault of who was stopped
    one = started(net, tmp_path / "one", advert_int=interval)
    two = Agent(net.nodes[1], tmp_path / "two", configuration(priority=100, advert_int=interval))
    with agents(one, two):
        one.wait_state("MASTER", master_down(3, 200, interval) + SLACK)
        wait_for(lambda: two.state() == "BACKUP" and heard(two), SLACK, "the backup hears it")
        pid = one.agent_pid if stopped == "supervisor" else one.pid_of(stopped)
        os.kill(pid, signal.SIGSTOP)
        if stopped == "vrrp":
            two.wait_state("MASTER", master_down(3, 100, FAST) + SLACK)
            os.kill(pid, signal.SIGCONT)
            two.wait_state("BACKUP", SLACK)
            assert not two.node.has(ADDRESS)
        else:
            ip("addr", "add", "203.0.113.1/32", "dev", "lo", namespace=one.node.namespace)
            before, count = transitions(two), heard(two)
            wait_for(lambda: heard(two) >= count + 4, 4 * interval + SLACK, "adverts go on")
            assert transitions(two) == before
            os.kill(pid, signal.SIGCONT)
        wait_master(one)
        reload(one)
        assert one.stop() == 0
        assert not one.node.has(ADDRESS)


def test_a_backup_that_was_stopped_hears_what_came_before_it_judges(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    two = Agent(net.nodes[1], tmp_path / "two", configuration(priority=100))
    with agents(one, two):
        wait_master(one)
        two.wait_state("BACKUP", SLACK)
        before = heard(two)
        with ControlClient(two.run_dir) as client:
            cursor = client.call("events")["cursor"]  # it may have been master before the other one was up
        pid = two.pid_of("vrrp")
        os.kill(pid, signal.SIGSTOP)
        received = Path(f"/proc/{pid}/net/raw")
        wait_for(lambda: queued(received) > 20 * 512, 30, "adverts wait")
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: heard(two) > before + 20, SLACK, "it runs again")
        with ControlClient(two.run_dir) as client:
            events = client.call("events", {"cursor": cursor})["events"]
            assert [event["cause"] for event in events if event["type"] == "transition"] == []


def queued(table: Path) -> int:
    """Bytes that wait in raw sockets of protocol 112."""
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(":0070"))


@pytest.mark.parametrize("killed", ["agent", "agent while its worker is stopped"])
def test_kill_nine_of_the_supervisor_leaves_no_master(net: Network, tmp_path: Path, killed: str) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        worker = one.pid_of("vrrp")
        if killed != "agent":
            os.kill(worker, signal.SIGSTOP)
        os.kill(one.agent_pid, signal.SIGKILL)
        one.process.wait(10)
        if killed != "agent":
            late = started(net, tmp_path / "one")
            with agents(late):
                assert late.process.wait(START) == 4
            assert "kactl-vrrp" in late.log
            os.kill(worker, signal.SIGCONT)
        wait_for(lambda: not alive(worker), SLACK, "the worker ends")
        assert not one.node.has(ADDRESS)


def test_a_storm_of_signals(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        for _ in range(50):
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                os.kill(one.agent_pid, number)
        wait_for(lambda: one.log.count("reload done") >= 1 and "state written" in one.log, START, one.log)
        reload(one)
        assert one.log.count("reload done") < 60
        assert "no state was written" not in one.log
        assert one.state() == "MASTER"
        one.process.send_signal(signal.SIGHUP)
        assert one.stop() == 0
        assert not one.node.has(ADDRESS)


def test_reload_of_what_cannot_be_loaded(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        text = one.config.read_text()

        def refused(what: str) -> None:
            before = one.log.count("reload failed")
            one.process.send_signal(signal.SIGHUP)
            wait_for(lambda: one.log.count("reload failed") > before, START, f"{what} is refused\n{one.log}")
            assert one.state() == "MASTER"

        one.config.write_text("{")
        refused("nonsense")
        one.config.unlink()
        refused("a missing file")
        one.config.mkdir()
        refused("a directory")
        one.config.rmdir()
        one.config.symlink_to(one.config)
        refused("a link to itself")
        one.config.unlink()
        one.config.write_text("{}")
        assert reload(one)["changes"]["removed"] == ["VI_1"]
        assert not one.node.has(ADDRESS)
        status = one.status()
        assert status is not None
        assert status["vrrp"]["instances"] == {}
        one.config.write_text(text)
        assert reload(one)["changes"]["added"] == ["VI_1"]
        wait_master(one)
        assert "Traceback" not in one.log, one.log
        assert one.stop() == 0


def test_no_instances_at_first(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", {})
    with agents(one):
        one.wait_running()
        assert one.pid_of("vrrp") == 0
        one.configure(configuration())
        assert reload(one)["changes"]["added"] == ["VI_1"]
        wait_master(one)
        assert one.stop() == 0
        assert not one.node.has(ADDRESS)


def test_two_agents_that_race_for_a_run_directory(net: Network, tmp_path: Path) -> None:
    racers = [started(net, tmp_path / "one") for _ in range(4)]
    with agents(*racers):
        wait_for(lambda: sum(racer.process.poll() is not None for racer in racers) == 3, START, "three give up")
        assert sorted(racer.process.poll() or 0 for racer in racers) == [0, 4, 4, 4]
        (winner,) = [racer for racer in racers if racer.process.poll() is None]
        wait_master(winner)
        assert winner.stop() == 0


def test_clients_that_misbehave(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        path = str(one.run_dir / "agent.sock")
        observer = one.pid_of("observer")
        before = descriptors(observer)
        deaf = socket.socket(socket.AF_UNIX)
        deaf.connect(path)
        deaf.settimeout(0.5)
        with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):  # let go, or not listened to
            while True:
                deaf.sendall(b'{"id":1,"method":"status"}\n' * 100)
        with contextlib.ExitStack() as crowd:
            for _ in range(200):
                sock = crowd.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(path)  # waits while the queue of the listener is full
            sock.settimeout(SLACK)
            assert b"too-many-clients" in sock.recv(4096)
        deaf.close()
        # each of them counts until its hanging up has been seen
        wait_for(lambda: len(descriptors(observer)) <= len(before) + 1, SLACK, "the crowd is gone")
        assert one.state() == "MASTER", "others are served again"
        assert one.stop() == 0


def test_a_run_directory_that_becomes_full(net: Network, tmp_path: Path) -> None:
    run = tmp_path / "one" / "run"
    run.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(run)], check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system")
    try:
        one = started(net, tmp_path / "one")
        with agents(one):
            wait_master(one)
            with (run / "fill").open("wb") as file, contextlib.suppress(OSError):
                while True:  # until there is no space left
                    os.write(file.fileno(), b"x" * 4096)
            one.process.send_signal(signal.SIGUSR1)
            wait_for(lambda: "no state was written" in one.log, SLACK, one.log)
            (run / "fill").unlink()
            one.process.send_signal(signal.SIGUSR1)
            wait_for(lambda: "state written" in one.log, SLACK, one.log)
            reload(one)
            assert one.stop() == 0
            assert not one.node.has(ADDRESS)
            assert "Traceback" not in one.log, one.log
    finally:
        subprocess.run(["umount", "-l", str(run)], check=False)


def test_many_instances(net: Network, tmp_path: Path) -> None:
    count = 250
    many = {
        f"V{number}": {
            "interface": "eth0", "virtual_router_id": number, "priority": 200, "version": 3, "advert_int": 1,
            "virtual_ipaddress": [f"198.18.{number}.1/24"],
        }
        for number in range(1, count + 1)
    }  # fmt: skip
    one = Agent(net.nodes[0], tmp_path / "one", {"vrrp_instance": many})
    with agents(one):
        one.wait_running()

        def masters() -> int:
            status = one.status()
            return sum(i["state"] == "MASTER" for i in status["vrrp"]["instances"].values()) if status else 0

        wait_for(lambda: masters() == count, START, "all are master")
        pid = one.pid_of("vrrp")
        for each in many.values():
            each["garp_master_repeat"] = 2
        one.configure({"vrrp_instance": many})
        assert len(reload(one)["changes"]["changed"]) == count
        assert masters() == count
        assert one.pid_of("vrrp") == pid
        with ControlClient(one.run_dir, timeout=10) as client:
            causes = [e["new"] for e in client.call("events")["events"] if e["type"] == "transition"]
        assert len(causes) == 2 * count, "INIT to BACKUP to MASTER, once each"
        assert one.stop() == 0
        assert not [address for address in one.node.addresses() if address.startswith("198.18.")]


def test_what_others_do_to_the_interface(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    node = net.nodes[0]

    def link(*arguments: str) -> None:
        ip("link", "set", *arguments, namespace=node.namespace)

    with agents(one):
        wait_master(one)
        try:
            link("eth0", "name", "other0")  # Linux 6.2 renames what is up
        except RuntimeError:
            link("eth0", "down")
            link("eth0", "name", "other0")
            link("other0", "up")
        one.wait_state("FAULT", SLACK)
        wait_for(lambda: not node.has(ADDRESS, "other0"), SLACK, "no virtual address under another name")
        link("other0", "down")
        link("other0", "name", "eth0")
        link("eth0", "up")
        wait_master(one)
        link("eth0", "mtu", "1280")
        ip("addr", "flush", "dev", "eth0", namespace=node.namespace)
        one.wait_state("FAULT", SLACK)
        ip("addr", "add", f"{node.ipv4}/24", "dev", "eth0", namespace=node.namespace)
        wait_master(one)
        assert node.has(ADDRESS)
        assert one.stop() == 0


def test_an_agent_without_descriptors_tries_again_and_the_others_go_on(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        before = resource.prlimit(one.agent_pid, resource.RLIMIT_NOFILE)
        # The first number that is free, and no more: poll() takes no more descriptors than the limit allows.
        used = {int(entry.name) for entry in Path(f"/proc/{one.agent_pid}/fd").iterdir()}
        full = next(number for number in range(len(used) + 1) if number not in used)
        resource.prlimit(one.agent_pid, resource.RLIMIT_NOFILE, (full, before[1]))
        one.kill("vrrp")
        wait_for(lambda: "the vrrp worker cannot be started" in one.log, START, one.log)
        assert one.process.poll() is None
        assert one.status() is not None
        resource.prlimit(one.agent_pid, resource.RLIMIT_NOFILE, before)
        wait_for(lambda: one.pid_of("vrrp"), START, one.log)
        wait_master(one)
        assert one.stop() == 0


def test_news_of_the_kernel_that_were_dropped_are_fetched_anew(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")

    with agents(one):
        wait_master(one)
        worker = one.pid_of("vrrp")
        os.kill(worker, signal.SIGSTOP)
        lines = "".join(f"addr {verb} 192.0.2.1/32 dev lo\n" for _ in range(20_000) for verb in ("add", "del"))
        command = ["ip", "-n", one.node.namespace, "-batch", "-"]
        subprocess.run(command, input=lines, text=True, check=True, capture_output=True)
        ip("addr", "del", ADDRESS, "dev", "eth0", namespace=one.node.namespace)
        drops = [line.split()[8] for line in Path(f"/proc/{worker}/net/netlink").read_text().splitlines()[1:]]
        assert any(int(count) for count in drops), "the queue was not full: this tests nothing"
        os.kill(worker, signal.SIGCONT)
        wait_for(lambda: "cause=address_lost" in one.log, START, one.log)
        wait_for(lambda: one.node.has(ADDRESS), master_down(3, 200, FAST) + SLACK, "the address is back")
        wait_master(one)
        assert one.pid_of("vrrp") == worker


def processes_of(run_dir: Path) -> list[int]:
    """All processes of the agent with this run directory: workers have its command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str(run_dir).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_at_any_moment_of_the_start(net: Network, tmp_path: Path, number: int) -> None:
    for step in range(12):
        one = started(net, tmp_path / str(step))
        with agents(one):
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(step * 0.06)
            one.process.send_signal(number)
            assert one.process.wait(15) in (0, -number), one.log
            wait_for(lambda run=one.run_dir: not processes_of(run), START, f"all have ended\n{one.log}")
            assert not one.node.has(ADDRESS)
            assert "Traceback" not in one.log, one.log


@pytest.mark.parametrize("dead", ["vrrp", "observer", "spawner"])
def test_a_stop_while_a_worker_dies(net: Network, tmp_path: Path, dead: str) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        one.kill(dead)
        assert one.stop() == 0
        assert not processes_of(one.run_dir)
        assert not one.node.has(ADDRESS)
        assert "Traceback" not in one.log, one.log


def test_a_stop_in_the_middle_of_a_reload(net: Network, tmp_path: Path) -> None:
    for step in range(6):
        one = started(net, tmp_path / str(step))
        with agents(one):
            wait_master(one)
            one.configure(configuration(virtual_ipaddress=["198.51.100.101/24"]))
            one.process.send_signal(signal.SIGHUP)
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(step * 0.03)
            assert one.stop() == 0
            assert not processes_of(one.run_dir)
            assert not {address for address in one.node.addresses() if address.startswith("198.51.100.10")}


def test_a_worker_that_hangs_at_the_stop_is_killed_and_cleaned_up_after(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        one.kill("vrrp", signal.SIGSTOP)
        assert one.stop() == 0
        assert "did not stop in time and is killed" in one.log
        assert not one.node.has(ADDRESS)
        assert not processes_of(one.run_dir)


def test_a_worker_that_hangs_during_a_reload_and_wakes_up(net: Network, tmp_path: Path) -> None:
    one = started(net, tmp_path / "one")
    with agents(one):
        wait_master(one)
        one.kill("vrrp", signal.SIGSTOP)
        one.configure(configuration(virtual_ipaddress=["198.51.100.101/24"]))
        with pytest.raises(ControlError, match="did not look at the settings"):
            reload(one)
        one.kill("vrrp", signal.SIGCONT)
        wait_master(one)
        assert one.node.has(ADDRESS), "it had not agreed, so nothing has changed"
        assert reload(one)["changes"]["changed"] == ["VI_1"]
        wait_for(lambda: one.node.has("198.51.100.101/24") and not one.node.has(ADDRESS), SLACK, one.log)
        status = one.status()
        assert status is not None
        assert status["vrrp"]["instances"]["VI_1"]["virtual_ipaddress"] == ["198.51.100.101/24"]
        assert one.stop() == 0
