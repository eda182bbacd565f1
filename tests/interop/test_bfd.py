"""BFD sessions with BIRD 2, FRR's bfdd and keepalived: all kinds of paths, every type of authentication, failures."""

from __future__ import annotations

import contextlib
import math
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents, instance, master_down
from support.bfd_peers import Bird, Frr, KeepalivedBfd, Neighbor, Peer, peers, require
from support.netns import Node, ip, network, wait_for

pytestmark = pytest.mark.root

AUTHS = ("simple", "keyed md5", "meticulous keyed md5", "keyed sha1", "meticulous keyed sha1")
HANDSHAKE = 5.0  # seconds: both sides send once a second until they have heard each other
INTERVAL, MULTIPLIER = 100, 10  # ms
PACE: dict[str, Any] = {"min_tx": INTERVAL, "min_rx": INTERVAL, "multiplier": MULTIPLIER}
"""A second: peers that are no real-time processes may have to wait for a processor."""
DETECTION = INTERVAL * MULTIPLIER / 1000


def session(neighbor: str, **said: Any) -> dict[str, Any]:
    return {"neighbor_ip": neighbor} | PACE | said


def sessions(agent: Agent) -> dict[str, Any]:
    status = agent.status()
    found: dict[str, Any] = status["bfd"]["instances"] if status else {}
    return found


def wait_all(agent: Agent, state: str, seconds: float = HANDSHAKE + SLACK) -> dict[str, Any]:
    agent.wait_running()
    wait_for(
        lambda: (found := sessions(agent)) and all(s["state"] == state for s in found.values()),
        seconds,
        f"all sessions {state}: {sessions(agent)}\n{agent.log}",
    )
    return sessions(agent)


def transitions(agent: Agent) -> list[str]:
    return [line.partition("bfd: ")[2] for line in agent.log.splitlines() if "bfd: " in line and " -> " in line]


@contextlib.contextmanager
def firewall(node: Node, rule: str) -> Iterator[None]:
    """An nftables rule for what comes in."""
    table = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in "
    nft = ["ip", "netns", "exec", node.namespace, "nft"]
    subprocess.run([*nft, f"{table}{rule}"], check=True)
    try:
        yield
    finally:
        subprocess.run([*nft, "delete", "table", "inet", "cut"], check=True)


def reload(agent: Agent, blocks: dict[str, Any]) -> None:
    """And wait until it is in force."""
    done = agent.log.count("reload done")
    agent.configure({"bfd_instance": blocks})
    agent.process.send_signal(signal.SIGHUP)
    wait_for(lambda: agent.log.count("reload done") > done, START, f"the reload is in force\n{agent.log}")


def wait_priority(agent: Agent, priority: int) -> None:
    """Until the agent has advertised this priority for longer than a router of a higher one would stand it."""
    found: dict[str, Any] = {}

    def has() -> bool:
        status = agent.status()
        found.update(status["vrrp"]["instances"]["VI_1"] if status else {})
        return bool(found) and found["priority"]["effective"] == priority

    def sent() -> int:
        return int(found["statistics"]["adverts_sent"]) if has() else 0

    wait_for(has, SLACK, f"priority {priority}: {found}")
    until = sent() + math.ceil(master_down(2, priority)) + 1
    wait_for(lambda: sent() >= until, until + SLACK, f"{until} adverts: {found}")


def holds(agent: Agent, peer: Peer, seconds: float) -> None:
    """Nothing changes for a while, and both ends agree. The other end may come up a moment after ours."""
    wait_for(lambda: set(peer.states().values()) == {"Up"}, SLACK, f"the other end is up, too: {peer.states()}")
    before = transitions(agent)
    time.sleep(seconds)
    assert transitions(agent) == before
    assert set(peer.states().values()) == {"Up"}


def test_bird_every_authentication(tmp_path: Path) -> None:
    """One network for each type, over IPv4; without any over IPv6 between link-local addresses."""
    require("bird")
    with network(2) as net:
        ours, theirs = net.nodes
        blocks = {"v6": session(theirs.link_local, interface="eth0")}
        neighbors = [Neighbor(ours.link_local, **PACE)]
        for number, auth in enumerate(AUTHS, 1):
            net.add_lan(f"eth{number}", f"10.0.{number}")
            keys = [{"id": 1, "key": "first"}, {"id": 7, "key": "second-key"}]
            said = {"auth_type": auth.replace(" ", "_"), "key": keys, "active_key": 7}
            blocks[f"a{number}"] = session(f"10.0.{number}.2", authentication=said)
            neighbors.append(
                Neighbor(
                    f"10.0.{number}.1", interface=f"eth{number}", auth=auth, **PACE,
                    keys=((1, "first"), (7, "second-key")),
                )
            )  # fmt: skip
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": blocks})
        bird = Bird(theirs, tmp_path / "bird", neighbors)
        with agents(agent), peers(bird):
            found = wait_all(agent, "Up")
            assert {name: s["authentication"] for name, s in found.items()} == {
                "v6": None,
                **{f"a{n}": a.replace(" ", "_").replace("simple", "simple_password") for n, a in enumerate(AUTHS, 1)},
            }
            holds(agent, bird, 2.0)
            wait_for(
                lambda: all(s["detection_time_ms"] == INTERVAL * MULTIPLIER for s in sessions(agent).values()),
                SLACK,
                f"the pace that was agreed on: {sessions(agent)}",
            )
            # the other key signs from now on, here: BIRD takes it, and nobody notices
            for name in list(blocks)[1:]:
                blocks[name]["authentication"]["active_key"] = 1
            before = transitions(agent)
            reload(agent, blocks)
            holds(agent, bird, 2.0)
            assert transitions(agent) == before
            bird.kill()
            found = wait_all(agent, "Down", DETECTION + SLACK)
            assert {s["diagnostic"] for s in found.values()} == {"Control Detection Time Expired"}


def test_bird_with_other_keys_or_none_is_never_heard(tmp_path: Path) -> None:
    require("bird")
    with network(2) as net:
        ours, theirs = net.nodes
        sha1 = {"auth_type": "meticulous_keyed_sha1", "key": [{"id": 1, "key": "right"}]}
        cases = {
            "wrong": (sha1, "meticulous keyed sha1", ((1, "wrong"),), "auth_digest"),
            "unknown": (sha1, "meticulous keyed sha1", ((2, "right"),), "auth_key"),
            "type": (sha1, "keyed sha1", ((1, "right"),), "auth_type"),
            "missing": (sha1, "", (), "auth_missing"),
            "extra": (None, "keyed md5", ((1, "right"),), "auth_unexpected"),
        }
        blocks, neighbors = {}, []
        for number, (name, (said, auth, keys, _reason)) in enumerate(cases.items(), 1):
            net.add_lan(f"eth{number}", f"10.0.{number}")
            blocks[name] = session(f"10.0.{number}.2", **({"authentication": said} if said else {}))
            neighbors.append(Neighbor(f"10.0.{number}.1", interface=f"eth{number}", auth=auth, keys=keys))
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": blocks})
        bird = Bird(theirs, tmp_path / "bird", neighbors)
        with agents(agent), peers(bird):
            agent.wait_running()
            found = wait_for(
                lambda: (seen := sessions(agent)) and all(s.get("discarded") for s in seen.values()) and seen,
                HANDSHAKE + SLACK,
                f"packets discarded: {sessions(agent)}",
            )
            assert {name: list(s["discarded"]) for name, s in found.items()} == {
                name: [reason] for name, (*_, reason) in cases.items()
            }
            assert {s["state"] for s in found.values()} == {"Down"}
            assert not transitions(agent)


def test_bird_multihop_over_a_router(tmp_path: Path) -> None:
    """RFC 5883: two hops, both families; what max_hops does not allow is discarded."""
    require("bird")
    with network(3) as net:
        ours, router, theirs = net.nodes
        ip("addr", "add", "10.9.0.1/32", "dev", "lo", namespace=ours.namespace)
        ip("addr", "add", "10.9.0.3/32", "dev", "lo", namespace=theirs.namespace)
        ip("addr", "add", "2001:db8::1/128", "dev", "lo", namespace=ours.namespace)
        ip("addr", "add", "2001:db8::3/128", "dev", "lo", namespace=theirs.namespace)
        for node, peer, ends in ((ours, theirs, (1, 3)), (theirs, ours, (3, 1))):
            far = ends[1]
            ip("route", "add", f"10.9.0.{far}/32", "via", router.ipv4, namespace=node.namespace)
            ip("route", "add", f"10.9.0.{far}/32", "via", peer.ipv4, namespace=router.namespace)
            for where, via in ((node, router), (router, peer)):
                ip("route", "add", f"2001:db8::{far}/128", "via", via.link_local, "dev", "eth0",
                   namespace=where.namespace)  # fmt: skip
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            subprocess.run(["ip", "netns", "exec", router.namespace, "sysctl", "-qw", f"{key}=1"], check=True)
        said = {"multihop": True, "source_ip": "10.9.0.1"}
        blocks = {
            "v4": session("10.9.0.3", **said, ttl=64, max_hops=1),  # BIRD sends 64
            "v6": session("2001:db8::3", **said | {"source_ip": "2001:db8::1"}),
        }
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": blocks})
        neighbors = [Neighbor(f"{at}1", local=f"{at}3", multihop=True, **PACE) for at in ("10.9.0.", "2001:db8::")]
        bird = Bird(theirs, tmp_path / "bird", neighbors)
        with agents(agent), peers(bird):
            found = wait_all(agent, "Up")
            assert {s["mode"] for s in found.values()} == {"multihop"}
            holds(agent, bird, 1.0)
            blocks["v4"]["max_hops"] = 0
            reload(agent, blocks)
            found = wait_for(
                lambda: (seen := sessions(agent)) and seen["v4"]["state"] == "Down" and seen,
                DETECTION + SLACK,
                "a packet that crossed a router is too far",
            )
            assert found["v4"]["discarded"]["ttl"] > 0
            assert found["v6"]["state"] == "Up"


def intervals(frr: Frr) -> list[tuple[int, int]]:
    return [(peer["remote-receive-interval"], peer["remote-transmit-interval"]) for peer in frr.peers()]


@pytest.mark.parametrize("passive", ["nobody", "ours", "theirs"])
def test_frr_single_hop(tmp_path: Path, passive: str) -> None:
    require("frr")
    with network(2) as net:
        ours, theirs = net.nodes
        agent = Agent(
            ours, tmp_path / "ours", {"bfd_instance": {"b1": session(theirs.ipv4, passive=passive == "ours")}}
        )
        neighbor = Neighbor(ours.ipv4, theirs.ipv4, **PACE, passive=passive == "theirs")
        frr = Frr(theirs, tmp_path / "frr", [neighbor])
        with agents(agent), peers(frr):
            wait_all(agent, "Up")
            holds(agent, frr, 1.0)
            wait_for(lambda: intervals(frr) == [(INTERVAL, INTERVAL)], SLACK, f"the agent's intervals: {frr.peers()}")
            [peer] = frr.peers()
            assert peer["remote-echo-receive-interval"] == 0, "the agent loops no echo packets"
            frr.kill()
            wait_all(agent, "Down", DETECTION + SLACK)


def test_frr_multihop_and_an_orderly_stop(tmp_path: Path) -> None:
    """What ends here says AdminDown, which is no failure there."""
    require("frr")
    with network(2) as net:
        ours, theirs = net.nodes
        said = session(theirs.ipv4, source_ip=ours.ipv4, multihop=True)
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": {"b1": said}})
        neighbor = Neighbor(ours.ipv4, theirs.ipv4, multihop=True, **PACE)
        frr = Frr(theirs, tmp_path / "frr", [neighbor])
        with agents(agent), peers(frr):
            wait_all(agent, "Up")
            holds(agent, frr, 1.0)
            assert agent.stop() == 0
            frr.wait_state("Down", 2 * DETECTION + SLACK)
            [peer] = frr.peers()
            assert peer["remote-diagnostic"] == "administratively down"


@pytest.mark.parametrize("family", [4, 6])
def test_keepalived(tmp_path: Path, family: int) -> None:
    """Over IPv6 too, where keepalived sends a hop limit of 64."""
    require("keepalived")
    with network(2) as net:
        ours, theirs = net.nodes
        addresses = [ours.ipv4, theirs.ipv4]
        if family == 6:
            addresses = ["2001:db8::1", "2001:db8::2"]
            for node, address in zip(net.nodes, addresses, strict=True):
                ip("addr", "add", f"{address}/64", "dev", "eth0", "nodad", namespace=node.namespace)
        agent = Agent(ours, tmp_path / "ours", {"bfd_instance": {"b1": session(addresses[1], source_ip=addresses[0])}})
        neighbor = Neighbor(addresses[0], addresses[1], **PACE)
        keepalived = KeepalivedBfd(theirs, tmp_path / "keepalived", [neighbor])
        with agents(agent), peers(keepalived):
            wait_all(agent, "Up")
            keepalived.wait_state("Up", SLACK)
            holds(agent, keepalived, 1.0)
            keepalived.kill()
            wait_all(agent, "Down", DETECTION + SLACK)


VRRP = """
vrrp_instance VI_1 {{
  interface eth0
  virtual_router_id 51
  priority {priority}
  advert_int 1
  virtual_ipaddress {{
    198.51.100.100/24
  }}
  track_bfd {{
    b1 weight -50
  }}
}}
"""


class Tracking(KeepalivedBfd):
    """With a virtual router, a backup while its session is up."""

    more = VRRP.format(priority=120)


def test_track_bfd_moves_the_master_between_the_agent_and_keepalived(tmp_path: Path) -> None:
    """Both watch a gateway. Who does not hear it any more hands over, in both directions."""
    require("bird")
    require("keepalived")
    with network(3) as net:
        ours, theirs, gateway = net.nodes
        blocks = instance(
            priority=150,
            virtual_ipaddress=["198.51.100.100/24"],
            track_bfd=[{"name": "b1", "weight": -50}],
        ) | {"bfd_instance": {"b1": session(gateway.ipv4)}}
        bird = Bird(gateway, tmp_path / "bird", [Neighbor(n.ipv4, **PACE) for n in net.nodes[:2]])
        keepalived = Tracking(theirs, tmp_path / "keepalived", [Neighbor(gateway.ipv4, theirs.ipv4, **PACE)])
        agent = Agent(ours, tmp_path / "ours", blocks)
        unheard = f"ip saddr {gateway.ipv4} udp dport 3784 drop"
        with agents(agent), peers(bird, keepalived):
            wait_all(agent, "Up")
            keepalived.wait_state("Up", HANDSHAKE + SLACK)
            agent.wait_state("MASTER", START)
            wait_for(lambda: not theirs.has("198.51.100.100/24"), SLACK, "one master")
            with firewall(ours, unheard):
                wait_for(lambda: theirs.has("198.51.100.100/24"), 5 + SLACK, f"keepalived takes over\n{agent.log}")
                agent.wait_state("BACKUP", 5 + SLACK)
                assert not ours.has("198.51.100.100/24")
            agent.wait_state("MASTER", 10 + SLACK)
            wait_for(lambda: not theirs.has("198.51.100.100/24"), SLACK, "one master")
            with firewall(theirs, unheard):
                keepalived.wait_state("Down", DETECTION + SLACK)
                with firewall(ours, unheard):
                    # 100 against 70
                    masters = agent.log.count("-> MASTER")
                    wait_all(agent, "Down", DETECTION + SLACK)
                    wait_priority(agent, 100)
                    assert agent.log.count("-> MASTER") == masters, f"the higher of the two stays\n{agent.log}"
                    assert (agent.state(), theirs.has("198.51.100.100/24")) == ("MASTER", False)
            wait_all(agent, "Up")
