"""The fault lane: what is around the agent fails, or the agent itself. Adverts stay in time, or the fault is named in
the journal and another router takes over; there is no orphan master, and no second one for longer than it must be."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control.client import ControlClient
from kactl_agent.control.protocol import ControlError
from support.agents import SLACK, START, Agent, agents, alive, instance, master_down
from support.netns import Network, ip, network, wait_for
from support.wire import Witness, witness

pytestmark = pytest.mark.root
ADDRESS = "198.51.100.100/24"
FAST = 0.2
DOWN = master_down(3, 100, FAST)
FULL = bool(os.environ.get("KACTL_FULL"))


@pytest.fixture
def net() -> Iterator[Network]:
    with network(3) as made:
        yield made


def virtual_router(priority: int, interval: float = FAST, **keywords: Any) -> dict[str, Any]:
    return instance(version=3, advert_int=interval, priority=priority, virtual_ipaddress=[ADDRESS], **keywords)


def pair(net: Network, tmp_path: Path, interval: float = FAST, **keywords: Any) -> tuple[Agent, Agent]:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200, interval, **keywords))
    if "nopreempt" in keywords:  # who is first stays
        try:
            one.wait_state("MASTER", master_down(3, 200, interval) + SLACK)
        except BaseException:
            one.close()
            raise
    two = Agent(net.nodes[1], tmp_path / "two", virtual_router(100, interval, **keywords))
    return one, two


def settled(one: Agent, two: Agent, interval: float = FAST) -> None:
    one.wait_state("MASTER", master_down(3, 200, interval) + SLACK)
    two.wait_state("BACKUP", SLACK)


def journal(agent: Agent) -> list[dict[str, Any]]:
    with ControlClient(agent.run_dir, timeout=30) as client:
        found: list[dict[str, Any]] = client.call("events")["events"]
    return found


def causes(agent: Agent) -> list[str]:
    return [event["cause"] for event in journal(agent) if event["type"] == "transition"]


def kinds(agent: Agent) -> set[str]:
    return {event["type"] for event in journal(agent)}


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", SLACK, "it is suspended")


# -- what is around it fails -------------------------------------------------------------------------------------------


class Disk:
    """A file system of its own, which can stop to answer, become full, or become read-only."""

    def __init__(self, tmp_path: Path) -> None:
        if shutil.which("mkfs.ext4") is None or shutil.which("fsfreeze") is None:
            pytest.skip("needs mkfs.ext4 and fsfreeze")
        self.path = tmp_path / "disk"
        self.path.mkdir()
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(16 << 20)
        for command in (
            ["mkfs.ext4", "-q", "-O", "^has_journal", str(image)],
            ["mount", "-o", "loop,errors=remount-ro", str(image), str(self.path)],
        ):
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip(f"cannot have a disk of its own: {' '.join(command)}")
        self._frozen = False

    def freeze(self) -> None:
        subprocess.run(["fsfreeze", "-f", str(self.path)], check=True)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            subprocess.run(["fsfreeze", "-u", str(self.path)], check=True)
            self._frozen = False

    def fill(self) -> None:
        with (self.path / "fill").open("wb") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), b"x" * 65536)

    def empty(self) -> None:
        (self.path / "fill").unlink()

    def fail(self) -> None:
        """As the kernel does when a disk is broken: read-only, for those too who have files open."""
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        device = next(words[words.index("-") + 2] for words in mounts if words[4] == str(self.path))
        (Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error").write_text("1")

    def close(self) -> None:
        self.thaw()
        wait_for(
            lambda: not subprocess.run(["umount", str(self.path)], capture_output=True, check=False).returncode,
            START,
            "the disk is not used any more",
        )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    try:
        yield made
    finally:
        made.close()


def open_descriptors(pid: int) -> int:
    """None of a process that has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return 0


class Surroundings:
    """An agent whose log nobody reads and whose run directory is on a disk of its own, and ways to break these."""

    def __init__(self, net: Network, tmp_path: Path, disk: Disk) -> None:
        self._unread, writable = os.pipe()
        directory = tmp_path / "one"
        self.agent = Agent(net.nodes[0], directory, virtual_router(200, 1.0), "--check")
        self.agent.process.wait(START)
        self.agent.run_dir = disk.path / "run"
        command = (*Agent.command_line(self.agent.config, self.agent.run_dir), "--log-level", "debug")
        self.agent.process = net.nodes[0].run(*command, stderr=writable, stdin=subprocess.DEVNULL)
        os.close(writable)
        self._clients = contextlib.ExitStack()
        self._crowded = 0  # the observer that has them
        self._descriptors = 0  # what it had open before

    def crowd(self) -> None:
        """200 clients, none of which reads what it asked for."""
        self._crowded = self.agent.pid_of("observer")
        self._descriptors = open_descriptors(self._crowded)
        for _ in range(200):
            client = self._clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(OSError):
                client.connect(str(self.agent.run_dir / "agent.sock"))
                client.send(b'{"id":1,"method":"status"}\n{"id":2,"method":"subscribe"}\n' * 200)

    def disperse(self) -> None:
        """Until their hanging up has been seen: as long as it has not, each of them counts."""
        self._clients.close()
        pid, self._crowded = self._crowded, 0
        wait_for(lambda: not pid or open_descriptors(pid) < self._descriptors + 32, START, "the crowd is gone")

    def flood(self) -> None:
        """News of addresses, more than the kernel queues."""
        lines = "".join(f"addr {verb} 192.0.2.1/32 dev lo\n" for _ in range(5000) for verb in ("add", "del"))
        command = ["ip", "-n", self.agent.node.namespace, "-batch", "-"]
        subprocess.run(command, input=lines, text=True, check=True, capture_output=True)

    def reload_nonsense(self) -> None:
        good = self.agent.config.read_text()
        self.agent.config.write_text("}")
        with ControlClient(self.agent.run_dir, timeout=30) as client, contextlib.suppress(ControlError):
            client.call("reload")
        self.agent.config.write_text(good)

    def close(self) -> None:
        self.disperse()
        self.agent.close()
        os.close(self._unread)


@pytest.fixture
def surroundings(net: Network, tmp_path: Path, disk: Disk) -> Iterator[Surroundings]:
    made = Surroundings(net, tmp_path, disk)
    try:
        yield made
    finally:
        disk.thaw()
        made.close()


def gaps(seen: Witness, source: str) -> list[float]:
    """Seconds between adverts."""
    times = [sighting.at for sighting in seen.seen if sighting.kind == "advert" and sighting.source == source]
    return [(after - before) / 1e9 for before, after in pairwise(times)]


def test_adverts_stay_in_time_whatever_fails_around_it(
    net: Network, tmp_path: Path, disk: Disk, surroundings: Surroundings
) -> None:
    one = surroundings.agent
    two = Agent(net.nodes[1], tmp_path / "two", virtual_router(100, 1.0))
    length = 10.0 if FULL else 2.5
    with agents(two), witness(net.nodes[2].namespace) as seen:
        wait_for(lambda: one.state() == "MASTER", START + SLACK, "the master")
        two.wait_state("BACKUP", SLACK)
        seen.forget()
        before = causes(two)

        def dump() -> None:
            one.process.send_signal(signal.SIGUSR1)

        worker = one.pid_of("vrrp")
        disk.freeze()  # a disk that does not answer; the journal and the dump wait for it
        dump()
        seen.watch(length)
        disk.thaw()
        for begin, end in ((disk.fill, disk.empty), (surroundings.crowd, surroundings.disperse)):
            begin()
            dump()
            seen.watch(1.5)
            end()
        wait_for(lambda: one.status(), SLACK, "clients are served again")
        for _ in range(3):
            surroundings.reload_nonsense()
        surroundings.flood()
        seen.watch(1.5)

        assert one.pid_of("vrrp") == worker
        assert two.state() == "BACKUP"
        assert causes(two) == before, "nobody had to take over"
        found = gaps(seen, one.node.ipv4)
        assert len(found) > 5
        assert max(found) < 3.0
        named = kinds(one) & {"advert_late", "stall"}
        assert max(found) <= 1.1 or named, f"gaps of {found} s, and the journal says nothing of it"


def test_a_run_directory_that_becomes_read_only(net: Network, tmp_path: Path, disk: Disk) -> None:
    run_dir = disk.path / "run"

    def start() -> Agent:
        agent = Agent(net.nodes[0], tmp_path / "unused", virtual_router(200), "--run-dir", str(run_dir))
        agent.run_dir = run_dir
        return agent

    with contextlib.ExitStack() as stack:
        one = start()
        stack.enter_context(agents(one))
        one.wait_state("MASTER", DOWN + SLACK)
        disk.fail()
        one.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: "no state was written" in one.log, SLACK, one.log)
        with ControlClient(one.run_dir, timeout=30) as client:
            client.call("reload")
        assert "reload" in kinds(one), "what cannot be written is kept in memory"
        for worker in ("observer", "vrrp"):
            pid = one.pid_of(worker)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda worker=worker, pid=pid: one.pid_of(worker) not in (0, pid), START, f"another {worker}")
        one.wait_state("MASTER", DOWN + SLACK)
        assert one.stop() == 0
        assert not one.node.has(ADDRESS)
        late = start()
        stack.enter_context(agents(late))
        assert late.process.wait(START) == 1
        assert "Read-only file system" in late.log
        assert "Traceback" not in late.log


# -- processes that are killed -----------------------------------------------------------------------------------------

STATES = ("MASTER", "BACKUP", "FAULT")
PROCESSES = ("supervisor", "vrrp", "observer", "spawner")
QUICK = {
    ("supervisor", "MASTER"),
    ("vrrp", "MASTER"),
    ("vrrp", "FAULT"),
    ("supervisor", "BACKUP"),
    ("observer", "MASTER"),
}
KILLED = [(p, s) for p in PROCESSES for s in STATES if FULL or (p, s) in QUICK]


@pytest.mark.parametrize(("process", "state"), KILLED)
def test_kill_nine_of_any_process_in_any_state(net: Network, tmp_path: Path, process: str, state: str) -> None:
    """The address is on one node in the end, and on no node whose agent is not there to look after it."""
    one, two = pair(net, tmp_path)
    victim, other = (two, one) if state == "BACKUP" else (one, two)
    with agents(one, two):
        settled(one, two)
        if state == "FAULT":
            ip("link", "set", "eth0", "down", namespace=victim.node.namespace)
            victim.wait_state("FAULT", SLACK)
            other.wait_state("MASTER", DOWN + SLACK)
        pids = {name: victim.pid_of(name) for name in PROCESSES[1:]} | {"supervisor": victim.agent_pid}
        os.kill(pids[process], signal.SIGKILL)
        if process == "supervisor":
            for name, pid in pids.items():
                wait_for(lambda pid=pid: not alive(pid), 15, f"the {name} ends with the agent")
            victim.process.wait(5)
            assert not victim.node.has(ADDRESS), "no orphan"
            other.wait_state("MASTER", DOWN + SLACK)
            assert other.node.has(ADDRESS)
            return
        wait_for(lambda: victim.pid_of(process) not in (0, pids[process]), START, f"another {process}")
        killed = [e for e in journal(victim) if e["type"] == "process" and e["process"] == process]
        assert "SIGKILL" in killed[-1]["ended"]
        if state == "FAULT":
            wait_for(lambda: victim.state() == "FAULT", SLACK, "it is still at fault")
            ip("link", "set", "eth0", "up", namespace=victim.node.namespace)
        one.wait_state("MASTER", 2 * DOWN + SLACK)
        two.wait_state("BACKUP", SLACK)
        wait_for(lambda: one.node.has(ADDRESS) and not two.node.has(ADDRESS), SLACK, "one master")


# -- pauses of its own -------------------------------------------------------------------------------------------------


def adverts(seen: Witness, source: str) -> int:
    return sum(sighting.kind == "advert" and sighting.source == source for sighting in seen.seen)


def test_a_master_that_stood_still_gives_way_to_who_took_over(net: Network, tmp_path: Path) -> None:
    """With nopreempt it would stay master if it spoke first."""
    one, two = pair(net, tmp_path, nopreempt=True, state="BACKUP")
    with agents(one, two), witness(net.nodes[2].namespace) as seen:
        settled(one, two)
        worker = one.pid_of("vrrp")
        stop(worker)
        two.wait_state("MASTER", DOWN + SLACK)
        seen.watch(3 * FAST)
        seen.forget()
        os.kill(worker, signal.SIGCONT)
        one.wait_state("BACKUP", SLACK)
        wait_for(lambda: not one.node.has(ADDRESS), SLACK, "it has given the address up")
        assert causes(one)[-1] == "advert_after_stall"
        assert {"stall", "stalled"} <= kinds(one)
        with ControlClient(one.run_dir, timeout=10) as client:
            (found,) = client.call("why", {"subject": "VI_1"})["explanations"]
        assert any(reason.startswith("this process stood still for") for reason in found["reasons"])
        assert "stall" in [link["event"]["type"] for link in found["chain"]]
        seen.watch(5 * FAST)
        assert adverts(seen, one.node.ipv4) == 0, "it listened and did not speak"
        assert two.state() == "MASTER"
        assert causes(two)[-1] == "master_down_timer"


def test_a_master_that_stood_still_and_is_alone_announces_its_addresses_again(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", virtual_router(200))
    with agents(one), witness(net.nodes[2].namespace) as seen:
        one.wait_state("MASTER", DOWN + SLACK)
        worker = one.pid_of("vrrp")
        before = len(causes(one))
        stop(worker)
        seen.watch(2 * DOWN)
        seen.forget()
        os.kill(worker, signal.SIGCONT)
        seen.wait(lambda all_: [s for s in all_ if s.kind == "garp"], SLACK, "gratuitous ARP")
        seen.wait(lambda all_: [s for s in all_ if s.kind == "advert"], SLACK, "adverts")
        wait_for(lambda: "stall_over" in kinds(one), SLACK, "the journal says that it is master all the same")
        assert {"stall", "stalled"} <= kinds(one)
        assert len(causes(one)) == before, "no transition"


def test_a_backup_that_could_not_listen_does_not_take_over(net: Network, tmp_path: Path) -> None:
    """Its machine stood still: what the master said meanwhile never reached it."""
    one, two = pair(net, tmp_path)
    with agents(one, two), witness(net.nodes[2].namespace) as seen:
        settled(one, two)
        before = causes(two)
        worker = two.pid_of("vrrp")
        net.cut(2)
        stop(worker)
        seen.watch(2 * DOWN)
        net.mend(2)
        os.kill(worker, signal.SIGCONT)
        wait_for(lambda: "stalled" in kinds(two), SLACK, "it has noticed")
        seen.watch(2 * DOWN)
        assert two.state() == "BACKUP"
        assert causes(two) == before


@pytest.mark.parametrize("stalled", ["observer", "supervisor", "spawner"])
def test_who_is_not_timing_may_stand_still(net: Network, tmp_path: Path, stalled: str) -> None:
    interval = 0.5  # so that what a busy machine holds up makes nobody MASTER
    one, two = pair(net, tmp_path, interval)
    with agents(one, two), witness(net.nodes[2].namespace) as seen:
        settled(one, two, interval)
        pid = one.agent_pid if stalled == "supervisor" else one.pid_of(stalled)
        before = causes(two)
        stop(pid)
        seen.forget()
        seen.watch(10.0 if FULL else 3.0)
        found = gaps(seen, one.node.ipv4)
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: one.state() == "MASTER", SLACK, "it goes on")
        if max(found) > 1.1 * interval:
            wait_for(lambda: kinds(one) & {"advert_late", "stall"}, SLACK, f"gaps of {found} s have a name")
        assert causes(two) == before
