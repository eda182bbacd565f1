"""The same keepalived.conf for the real keepalived and, converted, for the agent: the adverts have the same priorities.

Each daemon has a LAN of its own, so that every instance is MASTER unless its trackers put it into FAULT. What is
compared is what the LAN sees: the priority that each virtual router advertises, or that it does not advertise.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import START, Agent, agents
from support.netns import Network, Node, inside, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]

ALONE = {
    # virtual_router_id -> what the instance tracks
    1: "track_script {\n chk weight 10\n }",
    2: "track_script {\n chk weight -10\n }",
    3: "track_script {\n chk weight 10 reverse\n }",
    4: "track_script {\n chk weight -10 reverse\n }",
    5: "track_script {\n chk\n }",
    6: "track_script {\n chk weight 0 reverse\n }",
    7: "track_script {\n turned\n }",
    8: "track_script {\n turned weight 7\n }",
    9: "track_script {\n turned weight 7 noreverse\n }",
    10: "track_file {\n prio\n }",
    11: "track_file {\n prio weight -2\n }",
    12: "track_file {\n prio weight 0\n }",
    13: "track_file {\n prio weight 0 reverse\n }",
    14: "track_file {\n turned\n }",
    15: "track_file {\n turned weight 3\n }",
    16: "track_interface {\n lo weight 20\n }",
    17: "track_interface {\n lo weight 20 reverse\n }",
    18: "track_script {\n chk weight -90\n patient weight -90\n }\n track_file {\n prio\n }",
    19: "track_script {\n patient\n }",
}
GROUPED = {
    30: "track_script {\n chk weight -10\n }",
    31: "track_file {\n prio weight 5\n }\n track_interface {\n lo weight 9\n }",
    32: "track_script {\n chk weight -10\n }\n track_file {\n prio weight 5\n }",
    33: "track_file {\n prio weight 5\n }",
}
GROUPS = {
    "closed": ((30, 31), "track_script {\n chk weight 3\n }\n track_interface {\n lo weight 4\n }"),
    "open": ((32, 33), "sync_group_tracking_weight\n track_script {\n chk weight 3\n }"),
}
MOST_OF_A_KIND = 2
SCRIPTS = {
    "chk": "",
    "turned": " weight -20 reverse\n",
    "patient": f" rise {MOST_OF_A_KIND}\n fall {MOST_OF_A_KIND}\n",
}
STEPS = [
    # (exit status of the script, content of the file)
    (0, "0"),
    (3, "5"),
    (0, "-7 and more"),
    (1, "-300"),
    (0, "300"),
    (0, "nothing"),
]


def configuration(directory: Path) -> str:
    check = directory / "check.sh"
    check.write_text(f'#!/bin/sh\nread code < {directory}/status\necho "$1:$code" >> {directory}/runs\nexit "$code"\n')
    check.chmod(0o755)
    blocks = ["global_defs {\n enable_script_security\n script_user root\n vrrp_version 3\n}"]
    for name, more in SCRIPTS.items():
        blocks.append(f'vrrp_script {name} {{\n script "{check} {name}"\n interval 1\n{more}}}')
    for name, more in {"prio": "", "turned": " weight 2 reverse\n"}.items():
        blocks.append(f"track_file {name} {{\n file {directory}/value\n{more}}}")
    for number, tracked in (ALONE | GROUPED).items():
        address = f"198.51.100.{number + 100}/32"
        head = f"interface eth0\n virtual_router_id {number}\n priority 100\n advert_int 0.1"
        blocks.append(f"vrrp_instance V{number} {{\n {head}\n virtual_ipaddress {{\n {address}\n }}\n {tracked}\n}}")
    for name, (members, tracked) in GROUPS.items():
        listed = "\n ".join(f"V{number}" for number in members)
        blocks.append(f"vrrp_sync_group {name} {{\n group {{\n {listed}\n }}\n {tracked}\n}}")
    return "\n".join(blocks) + "\n"


class Machine:
    """What the scripts and files say, for one daemon."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.says(*STEPS[0])
        self.config = directory / "keepalived.conf"
        self.config.write_text(configuration(directory))

    def says(self, status: int, value: str) -> None:
        for name, text in (("status", str(status)), ("value", value)):
            new = self.directory / f"{name}.new"
            new.write_text(text + "\n")
            new.replace(self.directory / name)

    def checks(self) -> Counter[str]:
        """How often each script has been begun, and found which status."""
        runs = self.directory / "runs"
        return Counter(runs.read_text().split() if runs.exists() else ())


def wait_checked(status: int, *machines: Machine) -> None:
    """Until every script has found this status as often as any of them has to, and has been begun once more: its daemon
    has taken in then how those before have ended."""
    enough = Counter({f"{name}:{status}": MOST_OF_A_KIND + 1 for name in SCRIPTS})
    before = [machine.checks() for machine in machines]

    def checked() -> bool:
        return all(each.checks() - old >= enough for each, old in zip(machines, before, strict=True))

    wait_for(checked, START, f"all scripts are run: {[machine.checks() for machine in machines]}")


class Witness:
    """Another node of the LAN, which hears the adverts."""

    def __init__(self, node: Node) -> None:
        with inside(node.namespace):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
            index = struct.pack("=i", socket.if_nametoindex("eth0"))
        group = socket.inet_aton("224.0.0.18") + b"\0" * 4 + index
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)

    def priorities(self) -> dict[int, int]:
        """What each virtual router advertised last, of those that advertise at all."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(2048):
                pass
        found: dict[int, int] = {}
        end = time.monotonic() + 0.6
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(2048)
                message = data[(data[0] & 0xF) * 4 :]
                found[message[1]] = message[2]
        return dict(sorted(found.items()))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def lans() -> Iterator[tuple[Network, Network]]:
    with network(2) as one, network(2) as two:
        yield one, two


@contextlib.contextmanager
def keepalived(node: Node, machine: Machine) -> Iterator[Path]:
    log = machine.directory / "keepalived.log"
    with log.open("w") as out:
        process = node.run(
            "keepalived", "--vrrp", "-n", "-l", "-D", "-f", str(machine.config),
            "-p", str(machine.directory / "main.pid"), "-r", str(machine.directory / "vrrp.pid"),
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def converted(machine: Machine) -> Path:
    path = machine.directory / "agent.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "kactl", "convert", str(machine.config), "-o", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return path


def test_trackers_move_priorities_as_keepalived_does(lans: tuple[Network, Network], tmp_path: Path) -> None:
    theirs, ours = Machine(tmp_path / "theirs"), Machine(tmp_path / "ours")
    one, two = lans
    agent = Agent(two.nodes[0], tmp_path / "agent", {"include": str(converted(ours))})
    witnesses = Witness(one.nodes[1]), Witness(two.nodes[1])
    seen: list[dict[int, int]] = []
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(keepalived(one.nodes[0], theirs))
        stack.enter_context(agents(agent))
        for witness in witnesses:
            stack.callback(witness.close)
        agent.wait_running()
        for step in STEPS:
            for machine in (theirs, ours):
                machine.says(*step)
            wait_checked(step[0], theirs, ours)
            last: list[dict[int, int]] = []

            def settled(last: list[dict[int, int]] = last) -> bool:
                """Both say the same, and say it twice."""
                last[:] = [witness.priorities() for witness in witnesses]
                return last[0] == last[1] and [witness.priorities() for witness in witnesses] == last

            try:
                wait_for(settled, 20, "the same priorities")
            except AssertionError:
                text = f"{step}: keepalived {last[0]}, agent {last[1]}\n{log.read_text()}\n{agent.log}"
                raise AssertionError(text) from None
            seen.append(last[0])
    assert [sorted(set(ALONE | GROUPED) - set(each)) for each in seen][:3] == [[6, 13], [5, 12, 19], [6, 12]], seen
    assert all(before != after for before, after in itertools.pairwise(seen)), "each step moves something"
