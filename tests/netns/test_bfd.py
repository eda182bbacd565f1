"""BFD between agents, and with a router that runs none: faults are noticed in the negotiated time, reloads are not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance
from support.bad_link import BadLink
from support.netns import Network, ip, network, wait_for

pytestmark = pytest.mark.root

INTERVAL, MULTIPLIER = 100, 3  # ms
DETECTION = INTERVAL * MULTIPLIER / 1000
LATE = 1.0  # seconds that a loaded machine may be late
HANDSHAKE = 5.0


def session(neighbor: str, **said: Any) -> dict[str, Any]:
    return {"neighbor_ip": neighbor, "min_tx": INTERVAL, "min_rx": INTERVAL, "multiplier": MULTIPLIER} | said


def sessions(agent: Agent) -> dict[str, Any]:
    status = agent.status()
    found: dict[str, Any] = status["bfd"]["instances"] if status else {}
    return found


def wait_state(agent: Agent, state: str, seconds: float = HANDSHAKE + SLACK, name: str = "b1") -> dict[str, Any]:
    agent.wait_running()
    try:
        wait_for(lambda: sessions(agent).get(name, {}).get("state") == state, seconds, f"{name} {state}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {sessions(agent)}\n{agent.log}") from None
    found: dict[str, Any] = sessions(agent)[name]
    return found


def wait_paced(agent: Agent, name: str = "b1") -> None:
    """Up, and at the negotiated pace: before a session is Up its packets come every second, and so they are reckoned
    with until a Poll Sequence has ended."""
    wait_state(agent, "Up", name=name)

    def paced() -> bool:
        found = sessions(agent).get(name, {})
        return found.get("detection_time_ms") == INTERVAL * MULTIPLIER and not found["polling"]

    wait_for(paced, HANDSHAKE + SLACK, f"{name} is at its pace")


def events(agent: Agent) -> list[str]:
    return [line.partition("bfd: ")[2] for line in agent.log.splitlines() if "bfd: " in line and " -> " in line]


def reload(agent: Agent, configuration: dict[str, Any]) -> None:
    before = agent.status()
    assert before is not None
    old = before["agent"]["config_revision"]
    agent.configure(configuration)
    os.kill(agent.agent_pid, signal.SIGHUP)
    wait_for(lambda: (s := agent.status()) and s["agent"]["config_revision"] != old, START, f"reload\n{agent.log}")


def pair(net: Network, tmp_path: Path, **said: Any) -> tuple[Agent, Agent]:
    one, other = net.nodes[:2]
    return (
        Agent(one, tmp_path / "one", {"bfd_instance": {"b1": session(other.ipv4, **said)}}),
        Agent(other, tmp_path / "other", {"bfd_instance": {"b1": session(one.ipv4, **said)}}),
    )


def test_router_without_bfd_is_tracked_by_its_forwarding(tmp_path: Path) -> None:
    """RFC 9747: both families; it stops forwarding, and the session goes Down, with the echo function's diagnostic."""
    with network(2) as net:
        ours, router = net.nodes
        for node, last in ((ours, 1), (router, 2)):
            ip("addr", "add", f"2001:db8::{last}/64", "dev", "eth0", "nodad", namespace=node.namespace)

        def forwards(value: int) -> None:
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                command = ["ip", "netns", "exec", router.namespace, "sysctl", "-qw", f"{key}={value}"]
                subprocess.run(command, check=True)

        forwards(1)
        said = {"unaffiliated_echo": True, "interface": "eth0"}
        blocks = {
            "v4": session(router.ipv4, source_ip=ours.ipv4, **said),
            "v6": session("2001:db8::2", source_ip="2001:db8::1", **said, padded_pdu_size=1400),
        }
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": blocks})
        with agents(agent):
            for name in blocks:
                assert wait_state(agent, "Up", name=name)["mode"] == "unaffiliated-echo"
            time.sleep(1)
            assert len(events(agent)) == 4, agent.log
            forwards(0)
            for name in blocks:
                found = wait_state(agent, "Down", DETECTION + SLACK, name)
                assert found["diagnostic"] == "Echo Function Failed"
            forwards(1)
            for name in blocks:
                wait_state(agent, "Up", name=name)


# -- faults ------------------------------------------------------------------------------------------------------------


def silence(agent: Agent) -> float:
    """For how long nothing had been heard when the session went Down, in seconds, as its detail says."""
    words = sessions(agent)["b1"]["detail"].split()
    assert words[:3] == ["nothing", "was", "received"], words
    return int(words[-2]) / 1000


def test_a_stopped_peer_and_loss_in_one_direction_are_noticed_in_the_negotiated_time(tmp_path: Path) -> None:
    with network(2) as net:
        one, other = pair(net, tmp_path)
        with agents(one, other):
            for agent in (one, other):
                wait_paced(agent)
            before = len(events(other))
            stopped = other.pid_of("bfd")
            os.kill(stopped, signal.SIGSTOP)
            wait_state(one, "Down", DETECTION + SLACK)
            assert DETECTION <= silence(one) <= DETECTION + LATE
            os.kill(stopped, signal.SIGCONT)
            wait_for(lambda: any(" -> Up: " in each for each in events(other)[before:]), HANDSHAKE + SLACK, "Up again")
            for agent in (one, other):
                wait_paced(agent)
            before = len(events(other))
            nft = ["ip", "netns", "exec", net.nodes[0].namespace, "nft"]
            rule = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; "
            subprocess.run([*nft, f"{rule}add rule inet cut in udp dport 3784 drop"], check=True)
            found = wait_state(one, "Down", DETECTION + SLACK)
            assert found["diagnostic"] == "Control Detection Time Expired"
            assert DETECTION <= silence(one) <= DETECTION + LATE
            # it is Down until the next packet says that the neighbour is as well: Init then
            wait_for(lambda: events(other)[before:], SLACK, "the other one is told")
            assert events(other)[before].partition(": ")[2].startswith("Up -> Down: ")
            told = sessions(other)["b1"]
            assert told["diagnostic"] == "Neighbor Signaled Session Down"
            assert told["remote_diagnostic"] == "Control Detection Time Expired"
            subprocess.run([*nft, "delete table inet cut"], check=True)
            for agent in (one, other):
                wait_state(agent, "Up")


def test_loss_delay_and_reordering_within_what_is_negotiated_are_no_failure(tmp_path: Path) -> None:
    with network(2) as net:
        one, other = pair(net, tmp_path, multiplier=10, min_tx=50, min_rx=50)
        with agents(one, other):
            for agent in (one, other):
                wait_state(agent, "Up")
            before = [events(one), events(other)]
            with BadLink(net, seed=1, loss=0.1, least=0.01, most=0.12) as link:
                time.sleep(6)
                assert [events(one), events(other)] == before
            assert link.lost > 10
            assert link.overtaken > 10


def test_a_link_that_goes_down_and_an_interface_that_is_made_anew(tmp_path: Path) -> None:
    with network(2) as net:
        one, other = pair(net, tmp_path, interface="eth0")
        space = net.nodes[0].namespace
        with agents(one, other):
            for agent in (one, other):
                wait_paced(agent)
            ip("link", "set", "eth0", "down", namespace=space)
            wait_state(one, "Down", DETECTION + SLACK)
            wait_state(other, "Down", DETECTION + SLACK)
            assert DETECTION <= silence(other) <= DETECTION + LATE
            ip("link", "set", "eth0", "up", namespace=space)
            for agent in (one, other):
                wait_state(agent, "Up")
            bridge = net._bridge
            ip("link", "del", "eth0", namespace=space)
            wait_state(one, "Down", DETECTION + SLACK)
            wait_for(lambda: sessions(one)["b1"]["problem"], SLACK, "the missing interface is said")
            ip("link", "add", "eth0", "type", "veth", "peer", "name", "port1", "netns", bridge, namespace=space)
            ip("link", "set", "port1", "master", "br0", "up", namespace=bridge)
            ip("link", "set", "eth0", "up", namespace=space)
            ip("addr", "add", f"{net.nodes[0].ipv4}/24", "dev", "eth0", namespace=space)
            for agent in (one, other):
                wait_state(agent, "Up", HANDSHAKE + 2 * SLACK)
            assert sessions(one)["b1"]["problem"] is None


def test_sessions_in_a_vrf(tmp_path: Path) -> None:
    """`tests/kernel/test_ipvlan.py` runs this where the running kernel has no VRFs."""
    with network(2) as net:
        space = net.nodes[0].namespace
        add = ["ip", "-n", space, "link", "add", "red", "type", "vrf", "table", "100"]
        if subprocess.run(add, capture_output=True, check=False).returncode:
            pytest.skip("this kernel has no VRFs")
        ip("link", "set", "red", "up", namespace=space)
        ip("link", "set", "eth0", "master", "red", namespace=space)
        one = Agent(
            net.nodes[0], tmp_path / "one", {"bfd_instance": {"b1": session(net.nodes[1].ipv4, interface="red")}}
        )
        other = Agent(net.nodes[1], tmp_path / "other", {"bfd_instance": {"b1": session(net.nodes[0].ipv4)}})
        with agents(one, other):
            for agent in (one, other):
                wait_state(agent, "Up", HANDSHAKE + 4 * SLACK)
            ip("link", "set", "eth0", "nomaster", namespace=space)
            wait_state(other, "Down", DETECTION + 2 * SLACK)


# -- reloads and restarts ----------------------------------------------------------------------------------------------


def priority(agent: Agent, name: str = "VI_1") -> int:
    status = agent.status()
    assert status is not None
    found: int = status["vrrp"]["instances"][name]["priority"]["effective"]
    return found


def test_a_changed_interval_is_no_flap_and_a_changed_neighbour_concerns_its_session_alone(tmp_path: Path) -> None:
    with network(3) as net:
        ours, left, right = net.nodes
        blocks = {"b1": session(left.ipv4), "b2": session(right.ipv4)}
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": blocks})
        others = [
            Agent(node, tmp_path / f"other{number}", {"bfd_instance": {"b1": session(ours.ipv4)}})
            for number, node in enumerate((left, right))
        ]
        with agents(agent, *others):
            for name in blocks:
                wait_state(agent, "Up", name=name)
            for other in others:
                wait_state(other, "Up")  # one of the two is first
            known = {name: s["local_discriminator"] for name, s in sessions(agent).items()}
            before = [events(each) for each in (agent, *others)]
            blocks["b1"] |= {"min_tx": 200, "min_rx": 150, "multiplier": 4}
            reload(agent, {"bfd_instance": blocks})
            wait_for(
                lambda: (
                    sessions(others[0])["b1"]["detection_time_ms"] == 800
                    and sessions(agent)["b1"]["detection_time_ms"] == 450
                    and sessions(agent)["b1"]["transmit_interval_ms"] == 200
                    and not sessions(agent)["b1"]["polling"]
                ),
                SLACK + 5,
                f"the new intervals are in force: {sessions(agent)['b1']}",
            )
            assert [events(each) for each in (agent, *others)] == before
            blocks["b1"] = session("198.51.100.77")
            reload(agent, {"bfd_instance": blocks})
            wait_state(others[0], "Down", SLACK)
            found = sessions(agent)
            assert (found["b1"]["state"], found["b2"]["state"]) == ("Down", "Up")
            assert found["b2"]["local_discriminator"] == known["b2"]
            assert [events(each) for each in others[1:]] == before[2:]


def test_a_source_or_interface_that_is_said_or_changed_takes_nobody_down(tmp_path: Path) -> None:
    """Where packets go that way already it is the same session; else the neighbour sees no failure, and clients hear of
    none."""
    with network(2) as net:
        patient = {"min_tx": 200, "min_rx": 200, "multiplier": 10}  # two seconds, whatever else the machine does
        one, other = pair(net, tmp_path, **patient)
        ip("addr", "add", "198.51.100.101/24", "dev", "eth0", namespace=one.node.namespace)
        with agents(one, other):
            for agent in (one, other):
                wait_state(agent, "Up")
            known = sessions(one)["b1"]["local_discriminator"]
            wait_for(lambda: all("-> Up" in each.log for each in (one, other)), SLACK, "both say so")
            before = [events(agent) for agent in (one, other)]
            for way in (
                {"source_ip": one.node.ipv4},
                {"interface": "eth0"},
                {"interface": "eth0", "source_ip": one.node.ipv4},
                {},
            ):
                reload(one, {"bfd_instance": {"b1": session(other.node.ipv4, **patient, **way)}})
                time.sleep(2.5)
                assert sessions(one)["b1"]["local_discriminator"] == known
                assert [sessions(agent)["b1"]["state"] for agent in (one, other)] == ["Up", "Up"], (way, one.log)
            assert [events(agent) for agent in (one, other)] == before
            reload(one, {"bfd_instance": {"b1": session(other.node.ipv4, **patient, source_ip="198.51.100.101")}})
            reload(other, {"bfd_instance": {"b1": session("198.51.100.101", **patient)}})
            for agent in (one, other):
                wait_state(agent, "Up")
            time.sleep(patient["multiplier"] + 1)  # as long as a session that is given up says so
            assert [sessions(agent)["b1"]["state"] for agent in (one, other)] == ["Up", "Up"]
            assert sessions(one)["b1"]["local_discriminator"] != known
            assert not [line for line in events(one) if "-> Down" in line], one.log


def test_flags_and_weights_are_those_of_the_newest_configuration(tmp_path: Path) -> None:
    """S25: who is told of a session follows the reload. S36: weights count in sync groups, at the start and then."""
    with network(2) as net:
        ours, theirs = net.nodes
        blocks = instance(priority=100, virtual_ipaddress=["198.51.100.100/24"])
        blocks["vrrp_instance"]["VI_2"] = blocks["vrrp_instance"]["VI_1"] | {
            "virtual_router_id": 52, "virtual_ipaddress": ["198.51.100.101/24"],
        }  # fmt: skip
        blocks["vrrp_sync_group"] = {"G": {"group": ["VI_1", "VI_2"], "track_bfd": [{"name": "b1", "weight": 20}]}}
        blocks["bfd_instance"] = {"b1": session(theirs.ipv4, checker=True)}
        agent = Agent(ours, tmp_path / "ours", blocks)
        other = Agent(theirs, tmp_path / "other", {"bfd_instance": {"b1": session(ours.ipv4)}})
        with agents(agent, other):
            wait_state(agent, "Up")
            time.sleep(1)
            assert [priority(agent, name) for name in ("VI_1", "VI_2")] == [100, 100], "the checkers alone are told"
            blocks["bfd_instance"]["b1"] |= {"vrrp": True}
            reload(agent, blocks)
            wait_for(lambda: [priority(agent, n) for n in ("VI_1", "VI_2")] == [120, 120], SLACK, "VRRP is told now")
            blocks["vrrp_sync_group"]["G"]["track_bfd"] = [{"name": "b1", "weight": 30}]
            reload(agent, blocks)
            wait_for(
                lambda: [priority(agent, n) for n in ("VI_1", "VI_2")] == [130, 130], SLACK, "the new weight counts"
            )
            other.stop()
            wait_state(agent, "Down", SLACK)
            # what VRRP is told at a reload comes behind what it may have been told of the end
            blocks["vrrp_sync_group"]["G"]["track_bfd"] = [{"name": "b1", "weight": 40}]
            reload(agent, blocks)
            wait_for(
                lambda: [priority(agent, n) for n in ("VI_1", "VI_2")] == [140, 140], SLACK, "AdminDown is no failure"
            )
            assert len(events(agent)) == len([e for e in events(agent) if "b1" in e])


def test_a_bfd_worker_that_is_killed_does_not_move_priorities(tmp_path: Path) -> None:
    """The next one says nothing before its session came up, or had the time to."""
    with network(2) as net:
        ours, theirs = net.nodes
        blocks = instance(
            priority=100, virtual_ipaddress=["198.51.100.100/24"], track_bfd=[{"name": "b1", "weight": 20}]
        )
        blocks["bfd_instance"] = {"b1": session(theirs.ipv4)}
        agent = Agent(ours, tmp_path / "ours", blocks)
        other = Agent(theirs, tmp_path / "other", {"bfd_instance": {"b1": session(ours.ipv4)}})
        with agents(agent, other):
            wait_state(agent, "Up")
            wait_for(lambda: priority(agent) == 120, SLACK, "the weight counts")
            pid = agent.pid_of("bfd")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: agent.pid_of("bfd") not in (0, pid), START, "another worker")
            wait_state(agent, "Up")
            said = [line for line in agent.log.splitlines() if "effective priority" in line]
            assert len(said) == 1, said
            assert priority(agent) == 120


def test_padded_packets_prove_what_the_path_takes(tmp_path: Path) -> None:
    """RFC 9764: the session is Up while the path takes packets of this size, which are not fragmented."""
    with network(2) as net:
        one, other = pair(net, tmp_path, padded_pdu_size=1472)
        with agents(one, other):
            for agent in (one, other):
                assert wait_state(agent, "Up")["padded_pdu_size"] == 1472
            ip("link", "set", "port2", "mtu", "1400", namespace=net._bridge)
            for agent in (one, other):
                wait_state(agent, "Down", DETECTION + SLACK)
            ip("link", "set", "port2", "mtu", "1500", namespace=net._bridge)
            for agent in (one, other):
                wait_state(agent, "Up")


def test_the_journal_has_what_the_session_knew(tmp_path: Path) -> None:
    with network(2) as net:
        one, other = pair(net, tmp_path)
        with agents(one, other):
            for agent in (one, other):
                wait_paced(agent)
            stopped = other.pid_of("bfd")
            os.kill(stopped, signal.SIGSTOP)
            try:
                wait_state(one, "Down", DETECTION + SLACK)
            finally:
                os.kill(stopped, signal.SIGKILL)  # one that stands still would outlive its agent
            command = [sys.executable, "-m", "kactl", "events", "--output", "json", "--run-dir", str(one.run_dir)]
            found = [
                json.loads(line)
                for line in subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
            ]
            [down] = [e for e in found if e.get("subject") == "bfd_instance b1" and e["new"] == "Down"]
            assert (down["type"], down["old"], down["cause"]) == ("bfd_session", "Up", "detection_time_expired")
            assert down["facts"]["detection_time_ms"] == INTERVAL * MULTIPLIER
            assert down["facts"]["last_packet_age_ms"] >= INTERVAL * MULTIPLIER
            assert down["facts"]["diagnostic"] == "Control Detection Time Expired"
