"""Routes, rules and static items as the real keepalived puts them into the kernel, from the same configurations.

The same node runs keepalived and then the agent, on the golden configurations with every word of a route and a rule.
What `ip` shows of the machine as MASTER, after a better router took over, as MASTER again and after the stop is the
same.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.netns import Network, Node, ip, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]

GOLDEN = Path(__file__).parents[1] / "golden" / "convert"
CONFIGURATIONS = {
    # folder -> virtual_router_id of its instance, its address, routes that keepalived 2.2.7 sends so that no kernel
    # takes them (`or`) and the agent does not
    "virtual-routes-words": (41, "192.0.2.41/24", "203.0.113.208/28"),
    "virtual-rules-words": (43, "192.0.2.43/24", ""),
    "static-routes-words": (0, "", "203.0.113.208/28"),
    "static-rules-words": (42, "192.0.2.42/24", ""),
    "static-items": (31, "192.0.2.31/24", ""),
}
WITHOUT_ENCAP6 = re.compile(r"  encap ip6 .* via")
"""keepalived 2.2.7 sends a route with `encap ip6` without its encapsulation; the agent with it."""

Snapshot = dict[str, list[str]]


class Golden(Agent):
    """An agent with a configuration as text."""

    def configure(self, configuration: dict[str, Any]) -> None:
        self.config.write_text(configuration["text"])


@pytest.fixture
def net() -> Iterator[Network]:
    """Two nodes with eth0 on a bridge, and eth1 with nobody at the other end."""
    with network(2) as made:
        for number, node in enumerate(made.nodes, 1):
            ip("addr", "flush", "dev", "eth0", namespace=node.namespace)
            ip("link", "add", "eth1", "type", "veth", "peer", "name", "peer1", namespace=node.namespace)
            for name in ("eth1", "peer1"):
                ip("link", "set", name, "addrgenmode", "none", namespace=node.namespace)
                ip("link", "set", name, "up", namespace=node.namespace)
            ip("addr", "add", f"198.18.1.{number}/24", "dev", "eth0", namespace=node.namespace)
            ip("addr", "add", f"fe80::{number}/64", "dev", "eth0", "nodad", namespace=node.namespace)
            ip("addr", "add", f"198.18.2.{number}/24", "dev", "eth1", namespace=node.namespace)
        yield made


def snapshot(node: Node) -> Snapshot:
    """Routes, rules and addresses in the words of iproute2, without what counts down or is the kernel's own."""
    shown = {}
    for what, words in (("route", ("route", "show", "table", "all")), ("rule", ("rule", "show"))):
        for family in ("-4", "-6"):
            lines = ip("-o", family, *words, namespace=node.namespace).splitlines()
            kept = [line.strip() for line in lines if "table local" not in line and not line.startswith("multicast")]
            shown[f"{what} {family}"] = sorted(re.sub(r" expires -?\d+sec", " expires", line) for line in kept)
    lines = ip("-o", "addr", "show", namespace=node.namespace).splitlines()
    kept = [re.sub(r"^\d+: ", "", line).strip() for line in lines]
    shown["addr"] = sorted(re.sub(r"(valid|preferred)_lft \d+sec", r"\1_lft sec", line) for line in kept)
    return shown


def settled(node: Node) -> Snapshot:
    """The machine once it has not changed for half a second, and the kernel has made sure of all addresses."""
    last, since = snapshot(node), time.monotonic()

    def unchanged() -> bool:
        nonlocal last, since
        now = snapshot(node)
        if now != last or any(" tentative" in line for line in now["addr"]):
            last, since = now, time.monotonic()
        return time.monotonic() - since > 0.5

    wait_for(unchanged, 15, "the machine comes to rest")
    return last


def observe(
    node: Node, address: str, is_master: Callable[[], bool], rival: Callable[[], Agent], stop: Callable[[], None]
) -> Any:
    """The machine as MASTER, as BACKUP of a rival, as MASTER again, and after the stop. `is_master`: and has done all
    that a MASTER does."""
    wait_for(is_master, START + master_down(2, 100) + SLACK, "MASTER")
    seen = [settled(node)]
    better = rival()
    with agents(better):
        better.wait_state("MASTER", master_down(2, 200) + SLACK)
        wait_for(lambda: not is_master(), SLACK, "BACKUP")
        wait_for(lambda: f" {address} " not in str(snapshot(node)["addr"]), SLACK, "the address goes, last of all")
        seen.append(settled(node))
        assert better.stop() == 0
    wait_for(is_master, master_down(2, 100) + SLACK, "MASTER again")
    seen.append(settled(node))
    stop()
    return [*seen, settled(node)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("folder", CONFIGURATIONS)
def test_the_machine_looks_the_same(net: Network, tmp_path: Path, folder: str) -> None:
    router, address, beyond = CONFIGURATIONS[folder]
    node, other = net.nodes
    before = settled(node)

    def rival() -> Agent:
        block = instance(virtual_router_id=router, priority=200, version=2, virtual_ipaddress=[address])
        return Agent(other, tmp_path / "rival", block)

    *theirs, after = run_keepalived(node, tmp_path, folder, rival if address else None)
    if folder == "static-items":  # keepalived 2.2.7 leaves an address with a peer behind
        ip("addr", "del", "198.51.100.9", "peer", "198.51.100.10", "dev", "eth1", namespace=node.namespace)
        after = settled(node)
    assert after == before
    *ours, after = run_agent(node, tmp_path, folder, rival if address else None)
    assert after == before
    for moment, (expected, found) in enumerate(zip(theirs, ours, strict=True)):
        for what, lines in found.items():
            taken = [WITHOUT_ENCAP6.sub(" via", line) for line in lines if not beyond or beyond not in line]
            assert taken == expected[what], f"{what} at moment {moment}"
            assert (len(taken) < len(lines)) is (
                bool(beyond) and what == "route -4" and any(beyond in x for x in lines)
            )


def run_keepalived(node: Node, directory: Path, folder: str, rival: Callable[[], Agent] | None) -> list[Snapshot]:
    log_path = directory / "keepalived.log"
    with log_path.open("w") as log:
        process = node.run(
            "keepalived", "--vrrp", "-n", "-l", "-D", "-f", str(GOLDEN / folder / "keepalived.conf"),
            "-p", str(directory / "main.pid"), "-r", str(directory / "vrrp.pid"),
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def stop() -> None:
        process.send_signal(signal.SIGTERM)
        process.wait(10)

    def is_master() -> bool:
        """It announces its addresses when it has put everything where it belongs."""
        _before, *entered = re.split(r"\(VI_1\) Entering (\w+) STATE", log_path.read_text())
        state, since = entered[-2:] or ("", "")
        return state == "MASTER" and "(VI_1) Sending/queueing gratuitous ARPs" in since

    try:
        if rival is not None:
            return list(observe(node, CONFIGURATIONS[folder][1], is_master, rival, stop))
        wait_for(lambda: "Startup complete" in log_path.read_text(), START, "keepalived is up")
        seen = settled(node)
        stop()
        return [seen, settled(node)]
    finally:
        if process.poll() is None:
            stop()


def run_agent(node: Node, directory: Path, folder: str, rival: Callable[[], Agent] | None) -> list[Snapshot]:
    text = (GOLDEN / folder / "expected.yaml").read_text()
    agent = Golden(node, directory / "agent", {"text": text}, "--only", "vrrp")

    def stop() -> None:
        assert agent.stop() == 0

    with agents(agent):
        if rival is not None:
            return list(observe(node, CONFIGURATIONS[folder][1], lambda: agent.state() == "MASTER", rival, stop))
        agent.wait_running()
        seen = settled(node)
        stop()
        return [seen, settled(node)]
