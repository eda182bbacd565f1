"""What process keywords make of running agents, as the kernel and the file system show it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.runtime.agent_signals import REAL_TIME
from support.agents import SLACK, START, Agent, agents, alive, instance
from support.netns import Network, Node, ip, network, wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


def configured(*, outside: dict[str, Any] | None = None, **global_defs: Any) -> dict[str, Any]:
    """An address owner, which is MASTER at once."""
    return owner() | {"global_defs": global_defs} | (outside or {})


def owner(address: str = "198.51.100.100/24", **keywords: Any) -> dict[str, Any]:
    return instance(priority=255, state="MASTER", virtual_ipaddress=[address], **keywords)


def adverts_sent(agent: Agent) -> int:
    status = agent.status()
    return int(status["vrrp"]["instances"]["VI_1"]["statistics"]["adverts_sent"]) if status else 0


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def locked(pid: int) -> int:
    """kB of memory that cannot be swapped out (VmLck of proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmLck:"))


def priority_of(pid: int) -> int:
    """The real-time priority, 0 for none."""
    return os.sched_getparam(pid).sched_priority


def test_priority_memory_and_name_of_the_vrrp_worker(net: Network, tmp_path: Path) -> None:
    said: dict[str, Any] = {"vrrp_no_swap": True, "vrrp_rt_priority": 7, "vrrp_priority": -3, "vrrp_cpu_affinity": [0]}
    one = Agent(net.nodes[0], tmp_path / "one", configured(**said, process_name="lb", vrrp_process_name="lb-vrrp"))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        vrrp, observer = one.pid_of("vrrp"), one.pid_of("observer")
        wait_for(lambda: priority_of(vrrp) == 7, SLACK, "real-time scheduling")
        assert os.sched_getscheduler(vrrp) == os.SCHED_RR
        assert os.getpriority(os.PRIO_PROCESS, vrrp) == -3
        assert os.sched_getaffinity(vrrp) == {0}
        assert locked(vrrp) > 1000
        assert (locked(observer), priority_of(observer)) == (0, 0), "and of no other process"
        assert (locked(one.agent_pid), priority_of(one.agent_pid)) == (0, 0)
        assert (name_of(one.agent_pid), name_of(vrrp), name_of(observer)) == ("lb", "lb-vrrp", "kactl-observer")

        one.configure(configured(vrrp_rt_priority=3, process_names=True))
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: priority_of(vrrp) == 3, START, "another priority after a reload")
        wait_for(lambda: name_of(one.agent_pid) == "kactl-agent", SLACK, "another name after a reload")
        assert one.pid_of("vrrp") == vrrp, "without another process"
        assert locked(vrrp) == 0
        assert name_of(vrrp) == "kactl-vrrp"
        assert os.getpriority(os.PRIO_PROCESS, vrrp) == 0
        assert one.state() == "MASTER"
        assert one.stop() == 0


DATA = {"keepalived.data", "keepalived_parent.data", "state.json", "state.txt"}


def written(directory: Path) -> set[str]:
    names = {path.name for path in directory.iterdir()}
    return {name for name in names if name.startswith(("keepalived", "state.", "lb-", "mine")) and ".new" not in name}


def has_written(directory: Path, names: frozenset[str]) -> bool:
    return written(directory) == names


def test_each_signal_writes_its_files(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configured())
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        known: set[str] = set()
        for number, names in (
            (signal.SIGUSR1, DATA),
            (signal.SIGUSR2, {"keepalived.stats"}),
            (signal.SIGRTMIN + 2, {"keepalived.json"}),
        ):
            one.process.send_signal(number)
            known |= names
            wait_for(partial(has_written, one.run_dir, frozenset(known)), START, f"{names} after signal {number}")
        statistics = one.run_dir / "keepalived.stats"
        assert sent(statistics.read_text()) > 0
        assert (statistics.stat().st_mode & 0o777, statistics.stat().st_uid) == (0o600, 0)

        enough = 5  # more than a count that began anew can make up for while it is looked at
        wait_for(lambda: adverts_sent(one) >= enough, 2 * enough + SLACK, "some adverts")
        before, begun = statistics.stat().st_ino, time.monotonic()
        one.process.send_signal(signal.SIGRTMAX - 1)  # statistics, which then count anew
        wait_for(lambda: statistics.stat().st_ino != before, SLACK, "the statistics once more")
        assert sent(statistics.read_text()) >= enough
        status = one.status()
        assert status is not None
        counted = status["vrrp"]["instances"]["VI_1"]
        assert counted["statistics_since"] is not None
        assert counted["statistics"]["adverts_sent"] <= since(begun)
        assert kactl("dump", "--run-dir", str(one.run_dir), "stats", "--files").split() == [str(statistics)]
        assert sent(statistics.read_text()) <= since(begun)
        assert sent(kactl("dump", "--run-dir", str(one.run_dir), "stats")) <= since(begun)
        assert one.state() == "MASTER"
        assert one.stop() == 0


def since(moment: float) -> float:
    """How many adverts, one a second, there can have been since then: however long it has taken to ask."""
    return time.monotonic() - moment + 1


def says(agent: Agent, text: str) -> bool:
    return text in agent.log


def sent(statistics: str) -> int:
    found = re.search(r"Sent: (\d+)", statistics)
    assert found is not None
    return int(found[1])


def kactl(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kactl", *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_dump_files_carry_the_instance_and_stand_where_they_are_wanted(net: Network, tmp_path: Path) -> None:
    """S09; with the permissions that umask leaves."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said: dict[str, Any] = {
        "data_use_instance": True,
        "state_dump_file": f"{elsewhere}/mine.data",
        "umask": "0137",
        "json_version": 2,
    }
    one = Agent(net.nodes[0], tmp_path / "one", configured(outside={"instance": "lb-a"}, **said))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        one.process.send_signal(signal.SIGUSR1)
        one.process.send_signal(signal.SIGRTMIN + 2)
        names = {"mine.lb-a.data", "mine_parent.lb-a.data"}
        wait_for(lambda: written(elsewhere) == names, SLACK, "text dumps")
        wait_for(lambda: "keepalived.lb-a.json" in written(one.run_dir), SLACK, "the JSON dump")
        assert (elsewhere / "mine.lb-a.data").stat().st_mode & 0o777 == 0o640
        document = json.loads((one.run_dir / "keepalived.lb-a.json").read_text())
        assert list(document) == ["vrrp", "track_process"]
        assert one.stop() == 0


def test_configuration_and_state_are_saved_around_every_reload(net: Network, tmp_path: Path) -> None:
    """S06: per process, as keepalived names the files."""
    saved = tmp_path / "saved"
    on_disk: dict[str, Any] = {"config_save_dir": str(saved)}
    on_disk["tmp_config_directory"] = str(tmp_path)  # settings are handed over there
    one = Agent(net.nodes[0], tmp_path / "one", configured(**on_disk))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        vrrp = one.pid_of("vrrp")
        one.configure(owner("198.51.100.101/24") | {"global_defs": on_disk})
        one.process.send_signal(signal.SIGHUP)
        before, after = saved / f"keepalived_vrrp.{vrrp}.1.pre", saved / f"keepalived_vrrp.{vrrp}.1.post"
        wait_for(lambda: after.exists(), START, "what follows the reload")
        assert "198.51.100.100/24 dev eth0 scope global set" in before.read_text()
        assert "198.51.100.101/24 dev eth0 scope global set" in after.read_text()
        copies = [(saved / f"agent.yaml.{one.agent_pid}.{number}").read_text() for number in (0, 1)]
        assert "198.51.100.100" in copies[0]
        assert "198.51.100.101" in copies[1]
        assert "tmp_config_directory" not in one.log, "it could be used"
        assert one.stop() == 0


def test_log_files_of_each_process_are_opened_again_and_may_hold_details(net: Network, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    options = ("--log-file", str(logs / "kactl.log"), "--umask", "027", "--no-log-stderr")
    one = Agent(net.nodes[0], tmp_path / "one", configured(outside={"instance": "a"}), *options)
    with agents(one):
        own, vrrp = logs / "kactl_a.log", logs / "kactl_vrrp_a.log"
        wait_for(lambda: own.exists() and "running: " in own.read_text(), START, "the log of the agent")
        wait_for(lambda: vrrp.exists() and "-> MASTER" in vrrp.read_text(), SLACK + START, "that of VRRP")
        assert one.log == "", "nothing on standard error"
        assert "-> MASTER" not in own.read_text()
        assert "starting, configuration" in own.read_text(), "what was said before there were files"
        assert own.stat().st_mode & 0o777 == 0o640

        (logger,) = (pid for pid in children_of(one.agent_pid) if alive(pid) and name_of(pid) == "kactl-logger")
        os.kill(logger, signal.SIGKILL)  # another one goes on
        wait_for(lambda: "the process that writes log files ended" in own.read_text(), SLACK, "another logger")
        own.rename(logs / "old")
        one.process.send_signal(signal.SIGRTMIN + 3)

        def begun_again() -> bool:
            one.process.send_signal(signal.SIGUSR2)  # which is worth a line; the first may come before the signal above
            return own.exists()

        wait_for(begun_again, SLACK, "a new file")
        one.process.send_signal(signal.SIGRTMIN + 4)
        wait_for(lambda: "detail is not logged from now on" in own.read_text(), SLACK, "no details")
        one.process.send_signal(signal.SIGRTMIN + 4)
        wait_for(lambda: "detail is logged from now on" in own.read_text(), SLACK, "details again")
        assert one.stop() == 0
    assert own.read_text().rstrip().endswith("supervisor: stopped"), "the last word too"
    assert "orderly stop" in vrrp.read_text()


def test_cpu_time_of_each_process_is_logged_at_its_end_with_detail(net: Network, tmp_path: Path) -> None:
    """S20: what the kernel counted for it."""
    one = Agent(net.nodes[0], tmp_path / "one", configured())  # with --log-detail
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        used = cpu_seconds(one.pid_of("vrrp"))
        assert one.stop() == 0
    found = dict(re.findall(r"the (\w+) process used (\d+\.\d{3}) s of user and \d+\.\d{3} s of system CPU", one.log))
    assert set(found) == {"vrrp", "observer", "supervisor"}
    assert used <= float(found["vrrp"]) + 0.02 <= used + 10
    with one.log_path.open("w") as log:
        command = Agent.command_line(one.config, one.run_dir)
        one.process = net.nodes[0].run(*command, stderr=log, stdin=subprocess.DEVNULL)
    with agents(one):
        one.wait_running()
        assert one.stop() == 0
    assert "CPU time" not in one.log, "not without --log-detail"


def cpu_seconds(pid: int) -> float:
    """Of user time (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def test_adverts_of_priority_0_are_logged_with_detail_alone(net: Network, tmp_path: Path) -> None:
    """S18: those that are sent and those that come."""
    sent_line, came_line = "an advert of priority 0 is sent", "an advert of priority 0 came from 198.51.100.1"
    backup = Agent(net.nodes[1], tmp_path / "backup", instance(virtual_ipaddress=["198.51.100.100/24"]))
    with agents(backup):
        for times in (1, 2):
            master = Agent(
                net.nodes[0], tmp_path / f"m{times}", instance(priority=200, virtual_ipaddress=["198.51.100.100/24"])
            )
            with agents(master):
                master.wait_state("MASTER", SLACK + START)
                wait_for(lambda: backup.state() == "BACKUP", SLACK + START, "the other one gives way")
                if times > 1:
                    for agent in (master, backup):
                        agent.process.send_signal(signal.SIGRTMIN + 4)
                        wait_for(partial(says, agent, "detail is not logged"), SLACK, "no detail")
                assert master.stop() == 0
            backup.wait_state("MASTER", SLACK)
            assert master.log.count(sent_line) == (times == 1)
            assert backup.log.count(came_line) == 1, "the first time alone"
        assert backup.stop() == 0


def holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def test_pid_files_interrupts_and_the_configuration_in_the_log(net: Network, tmp_path: Path) -> None:
    said = configured(outside={"use_pid_dir": True, "instance": "a"})
    said["vrrp_instance"]["VI_1"] |= {"authentication": {"auth_type": "PASS", "auth_pass": "hushhush"}}
    options = ("--vrrp-pid-file", str(tmp_path / "vrrp.pid"), "--ignore-sigint", "--dump-conf", "--core-dump")
    one = Agent(net.nodes[0], tmp_path / "one", said, *options)
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        assert int((one.run_dir / "kactl" / "agent_a.pid").read_text()) == one.agent_pid
        assert int((tmp_path / "vrrp.pid").read_text()) == one.pid_of("vrrp")
        limits = Path(f"/proc/{one.pid_of('vrrp')}/limits").read_text()
        core = next(line.split() for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core[4] == core[5], "as large as is permitted"
        assert '"virtual_router_id": 51' in one.log
        assert "hushhush" not in one.log

        killed = one.kill("vrrp")
        wait_for(lambda: one.pid_of("vrrp") not in (0, killed), SLACK + START, "another worker")
        wait_for(lambda: holds(tmp_path / "vrrp.pid", f"{one.pid_of('vrrp')}\n"), SLACK, "its pid")
        one.process.send_signal(signal.SIGINT)
        one.process.send_signal(signal.SIGUSR2)
        wait_for((one.run_dir / "keepalived.stats").exists, SLACK, "statistics after SIGINT")
        assert one.stop() == 0
    assert not (tmp_path / "vrrp.pid").exists()
    assert not (one.run_dir / "kactl").exists()


def test_every_process_describes_itself_on_a_signal(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configured())
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        one.process.send_signal(signal.SIGRTMAX)
        wait_for(lambda: one.log.count("internal state: ") == 3, SLACK, "a line of each process")
        for process, pid in (
            ("supervisor", one.agent_pid),
            *((name, one.pid_of(name)) for name in ("vrrp", "observer")),
        ):
            assert re.search(
                rf"{process}: internal state: pid {pid}; nice 0; .* s of user .*; \d+ kB of memory at most; "
                r"\d+ descriptors; .*0 frames wait for \w+, 0 were dropped", one.log
            )  # fmt: skip
        assert one.state() == "MASTER"
        assert one.stop() == 0


def test_addresses_that_come_and_go_are_logged(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configured(), "--address-monitoring")
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        ip("addr", "add", "203.0.113.7/28", "dev", "eth0", namespace=net.nodes[0].namespace)
        wait_for(partial(says, one, "address 203.0.113.7/28 came to eth0"), SLACK, "an address that came")
        ip("addr", "del", "203.0.113.7/28", "dev", "eth0", namespace=net.nodes[0].namespace)
        wait_for(partial(says, one, "address 203.0.113.7/28 went from eth0"), SLACK, "an address that went")
        assert says(one, "address 198.51.100.100/24 came to eth0"), "our own too"
        assert not says(one, "198.51.100.1/24"), "but not those found at the start"
        assert one.stop() == 0


def test_signals_to_all_processes_of_the_agent_are_for_one_alone(net: Network, tmp_path: Path) -> None:
    """As `systemctl kill` sends them: no other process of the agent may end of one."""
    one = Agent(net.nodes[0], tmp_path / "one", configured(), "--log-file", str(tmp_path / "kactl.log"))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        before = sorted(children_of(one.agent_pid))
        assert {name_of(pid) for pid in before} >= {"kactl-vrrp", "kactl-observer", "kactl-spawner", "kactl-logger"}
        for number in (signal.SIGUSR1, signal.SIGUSR2, *REAL_TIME):
            for pid in (*before, one.agent_pid):
                os.kill(pid, number)
        wait_for((one.run_dir / "keepalived.json").exists, SLACK, "the JSON dump")
        wait_for(lambda: one.log.count("internal state: ") == 3, SLACK, "all of them alive")
        assert sorted(children_of(one.agent_pid)) == before
        assert one.stop() == 0


class FromOutside(Agent):
    """Started in the network namespace of the tests, not in that of its node."""

    def __init__(self, node: Node, directory: Path, configuration: dict[str, Any]) -> None:
        super().__init__(Here(node), directory, configuration)


class Here(Node):
    def __init__(self, node: Node) -> None:
        super().__init__(node.namespace, node.ipv4, node.link_local)

    def run(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        options.setdefault("text", True)
        return subprocess.Popen(command, **options)


def test_a_network_namespace_of_the_configuration_and_what_scripts_inherit(net: Network, tmp_path: Path) -> None:
    script, seen = tmp_path / "script", tmp_path / "seen"
    script.write_text(f"#!/bin/sh\n(readlink /proc/self/ns/net; umask) > {seen}.$$ && mv {seen}.$$ {seen}\n")
    script.chmod(0o755)
    node = net.nodes[0]
    said = owner(track_script=["chk"]) | {
        "net_namespace": node.namespace,
        "global_defs": {"script_user": "root", "data_use_instance": True},
        "vrrp_script": {"chk": {"script": str(script), "interval": 1}},
    }
    one = FromOutside(node, tmp_path / "one", said)
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        assert node.has("198.51.100.100/24")
        there = str(Path(f"/proc/{one.pid_of('vrrp')}/ns/net").readlink())
        assert there != str(Path("/proc/self/ns/net").readlink())
        wait_for(lambda: seen.exists() and seen.read_text().split() == [there, "0177"], SLACK, "keepalived's umask")
        one.process.send_signal(signal.SIGUSR2)
        wait_for((one.run_dir / f"keepalived.{node.namespace}.stats").exists, SLACK, "statistics of the namespace")

        one.kill("spawner")  # its successor is told too
        one.configure(said | {"net_namespace": "other", "global_defs": {"script_user": "root", "umask": "022"}})
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: seen.read_text().split() == [there, "0022"], SLACK + START, "another umask")
        assert "net_namespace is not changed by a reload: restart the agent" in one.log
        assert one.stop() == 0
    assert not node.has("198.51.100.100/24")


def test_a_network_namespace_that_does_not_exist(net: Network, tmp_path: Path) -> None:
    one = FromOutside(net.nodes[0], tmp_path / "one", configured(outside={"net_namespace": "nosuch"}))
    with agents(one):
        assert one.process.wait(START) == 1
        assert "network namespace nosuch: No such file or directory" in one.log


def test_each_worker_has_keywords_of_its_own(net: Network, tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "bfd_rt_priority": 9,
        "bfd_no_swap": True,
        "bfd_process_name": "lb-bfd",
        "vrrp_priority": -2,
    }
    session = {"b": {"neighbor_ip": "198.51.100.2", "source_ip": "198.51.100.1"}}
    one = Agent(net.nodes[0], tmp_path / "one", configured(outside={"bfd_instance": session}, **said))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        bfd, vrrp = one.pid_of("bfd"), one.pid_of("vrrp")
        wait_for(lambda: priority_of(bfd) == 9, SLACK, "real-time scheduling")
        assert (name_of(bfd), name_of(vrrp)) == ("lb-bfd", "kactl-vrrp")
        assert locked(bfd) > 1000
        assert (priority_of(vrrp), locked(vrrp), os.getpriority(os.PRIO_PROCESS, vrrp)) == (0, 0, -2)
        assert one.stop() == 0


def test_a_worker_that_does_not_stop_is_killed_after_child_wait_time(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", configured(outside={"child_wait_time": 1}))
    with agents(one):
        one.wait_state("MASTER", SLACK + START)
        one.kill("vrrp", signal.SIGSTOP)
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "did not stop in time and is killed" in one.log, 1 + SLACK / 2, "the end of its time")
        assert one.process.wait(10) == 0
        assert not net.nodes[0].has("198.51.100.100/24"), "what it left is taken back"
