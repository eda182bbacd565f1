"""The agent and the real keepalived through the same sequence, in both roles; what counts is what the LAN sees: who
advertises when, and in which bytes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import SLACK, START, master_down
from support.contest import Contender, Kactl, Keepalived, Router, configuration, running
from support.keepalived_peer import keepalived_path
from support.netns import Network, Node, inside, ip, network, wait_for
from support.wire import Witness, witness

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(keepalived_path() is None, reason="keepalived is not installed"),
]

FULL = bool(os.environ.get("KACTL_FULL"))
INTERVAL = 0.5
HIGH, LOW = "198.51.100.1", "198.51.100.2"
ROLES = {"agent-first": (Kactl, Keepalived), "keepalived-first": (Keepalived, Kactl)}
only_full = pytest.mark.skipif(not FULL, reason="in the full matrix")
roles = pytest.mark.parametrize("role", ROLES if FULL else ("agent-first",))


@pytest.fixture
def net() -> Iterator[Network]:
    with network(3) as made:
        yield made


def router(priority: int, *lines: str, version: int = 3) -> str:
    interval = str(INTERVAL) if version == 3 else "1"
    made = Router("VI", 51, ["198.51.100.100/24"], priority=priority, advert_int=interval, version=version, lines=lines)
    return configuration([made])


def master(watching: Witness) -> str:
    """Who has advertised alone for as long as it takes to call a master dead; "" for nobody, or several."""
    watching.read()
    since = time.time_ns() - int(master_down(3, 100, INTERVAL) * 1e9)
    heard = {e.source for e in watching.seen if e.kind == "advert" and e.priority and e.at >= since}
    return heard.pop() if len(heard) == 1 else ""


def wait_master(watching: Witness, source: str, seconds: float, daemons: tuple[Contender, ...]) -> None:
    logs = "\n".join(f"{daemon.label}:\n{daemon.log}" for daemon in daemons)
    wait_for(lambda: master(watching) == source, seconds + master_down(3, 100, INTERVAL), f"{source} alone\n{logs}")


@contextlib.contextmanager
def contest(
    net: Network, directory: Path, role: str, high: str, low: str
) -> Iterator[tuple[Contender, Contender, Witness]]:
    """The one of the higher priority is master to begin with."""
    kinds = ROLES[role]
    with (
        witness(net.nodes[2].namespace) as watching,
        running(kinds[0], net.nodes[0], directory / "high", high) as first,
    ):
        wait_for(lambda: master(watching) == HIGH, START + master_down(3, 200, INTERVAL), f"the first\n{first.log}")
        with running(kinds[1], net.nodes[1], directory / "low", low) as second:
            wait_for(lambda: backup(second), START, f"the second is a backup\n{second.log}")
            yield first, second, watching


def backup(daemon: Contender) -> bool:
    return any(words in daemon.log for words in ("INIT -> BACKUP", "Entering BACKUP STATE"))


@roles
def test_five_seconds_without_a_processor(net: Network, tmp_path: Path, role: str) -> None:
    """All processes of the master are stopped: the backup takes over, and gives back when the master goes on."""
    with contest(net, tmp_path, role, router(200), router(100)) as (first, second, watching):
        pids = first.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # one that had a task, and has ended since it was seen
                os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        wait_master(watching, LOW, master_down(3, 100, INTERVAL) + SLACK, (first, second))
        time.sleep(max(0.0, stopped + 5 - time.monotonic()))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        wait_master(watching, HIGH, master_down(3, 200, INTERVAL) + SLACK, (first, second))
        nodes = net.nodes
        wait_for(lambda: nodes[0].has("198.51.100.100/24"), SLACK, "its address")
        wait_for(lambda: not nodes[1].has("198.51.100.100/24"), SLACK, "no other's")


@only_full
@pytest.mark.parametrize("role", ROLES)
def test_a_link_that_is_down(net: Network, tmp_path: Path, role: str) -> None:
    with contest(net, tmp_path, role, router(200), router(100)) as (first, second, watching):
        ip("link", "set", "eth0", "down", namespace=first.node.namespace)
        wait_master(watching, LOW, master_down(3, 100, INTERVAL) + SLACK, (first, second))
        wait_for(lambda: not first.node.has("198.51.100.100/24"), SLACK, f"its address is gone\n{first.log}")
        ip("link", "set", "eth0", "up", namespace=first.node.namespace)
        wait_master(watching, HIGH, master_down(3, 200, INTERVAL) + SLACK, (first, second))


@only_full
@pytest.mark.parametrize("role", ROLES)
def test_preempt_delay(net: Network, tmp_path: Path, role: str) -> None:
    """keepalived: the delay begins with the first advert of a lower priority; then that is discarded, and the timer
    that runs already decides."""
    delay = 2.0
    kinds = ROLES[role]
    with (
        witness(net.nodes[2].namespace) as watching,
        running(kinds[1], net.nodes[1], tmp_path / "low", router(100)) as low,
    ):
        wait_for(lambda: master(watching) == LOW, START + master_down(3, 100, INTERVAL), f"the lower one\n{low.log}")
        text = router(150, f"preempt_delay {delay:g}")
        with running(kinds[0], net.nodes[0], tmp_path / "high", text) as high:
            wait_for(lambda: backup(high), START, f"a backup\n{high.log}")
            began = time.time_ns()
            wait_master(watching, HIGH, delay + master_down(3, 150, INTERVAL) + SLACK, (high, low))
            taken = min(e.at for e in watching.seen if e.source == HIGH and e.kind == "advert" and e.at >= began)
            # the log may be read a moment late; the first advert came within an interval of it
            assert delay - 0.5 <= (taken - began) / 1e9 <= delay + INTERVAL + master_down(3, 150, INTERVAL) + SLACK


# -- bytes -------------------------------------------------------------------------------------------------------------

PASSWORD = "authentication {\n auth_type PASS\n auth_pass s3cret77\n }"
V6 = ["2001:db8:1::100/64", "2001:db8:1::101/64"]
SPOKEN = {
    "v2": Router("VI", 51, ["198.51.100.100/24", "198.51.100.101/24"], priority=255),
    "v2-password": Router("VI", 51, ["198.51.100.100/24"], priority=255, lines=[PASSWORD]),
    "v3": Router("VI", 51, ["198.51.100.100/24"], priority=255, version=3, advert_int="0.25"),
    "v3-ipv6": Router("VI", 51, V6, priority=255, version=3, advert_int="0.25", excluded=["198.51.100.100/24"]),
    "unicast": Router(
        "VI", 51, ["198.51.100.100/24"], priority=255, version=3, advert_int="0.25",
        lines=["unicast_src_ip 198.51.100.1", "unicast_peer {\n 198.51.100.3\n }", "unicast_ttl 64"],
    ),
    "vmac": Router("VI", 51, ["198.51.100.100/24"], priority=255, version=3, advert_int="0.25", lines=["use_vmac"]),
    "vmac-ipv6": Router("VI", 51, V6, priority=255, version=3, advert_int="0.25", lines=["use_vmac"]),
}  # fmt: skip
QUICK = ("v2-password", "v3-ipv6")


def spoken(
    node: Node, kind: type[Contender], directory: Path, text: str, listener: Node, numbers: bool = False
) -> set[bytes]:
    """All different frames that a daemon sends, from its start to its end: adverts, and what announces addresses. With
    the `numbers` in their headers when the daemon sets them."""
    with inside(listener.namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind(("eth0", 3))
    sock.settimeout(0.1)
    found: set[bytes] = set()
    with sock, running(kind, node, directory, text) as daemon:
        for _ in range(4):
            wait_for(lambda: take(sock, found, numbers), START, f"adverts\n{daemon.log}")
        daemon.stop()
        # the last one is behind whatever was sent until the daemon had stopped
        wait_for(lambda: take(sock, found, numbers) == 0, START, f"the advert of priority 0\n{daemon.log}")
    return found


def take(sock: socket.socket, found: set[bytes], numbers: bool = False) -> int | None:
    """The priority of the next frame if that is an advert. What the kernel numbers by itself is left out."""
    try:
        frame = sock.recv(2048)
    except TimeoutError:
        return None
    kind = frame[12:14]
    if kind == b"\x08\x06" and frame[28:32] == frame[38:42]:
        found.add(frame)
    elif kind == b"\x08\x00" and frame[23] in (51, 112):
        found.add(frame if numbers else frame[:18] + b"\0\0" + frame[20:24] + b"\0\0" + frame[26:])
        return frame[36 if frame[23] == 112 else 60]
    elif kind == b"\x86\xdd" and (frame[20] == 112 or (frame[20], frame[54]) == (58, 136)):
        found.add(frame[:14] + frame[14:15] + b"\0\0\0" + frame[18:])  # the flow label is the kernel's
        return frame[56] if frame[20] == 112 else None
    return None


@pytest.mark.parametrize("kind", SPOKEN if FULL else QUICK)
def test_the_same_bytes(net: Network, tmp_path: Path, kind: str) -> None:
    """Adverts, the last one of priority 0, gratuitous ARPs and neighbour advertisements: frame by frame the same."""
    router = SPOKEN[kind]
    text = configuration([router])
    node, listener = net.nodes[0], net.nodes[2]
    theirs = spoken(node, Keepalived, tmp_path / "theirs", text, listener)
    ours = spoken(node, Kactl, tmp_path / "ours", text, listener)
    assert ours == theirs, f"only ours: {shown(ours - theirs)}; only theirs: {shown(theirs - ours)}"
    assert len(ours) >= 2


def test_the_same_bytes_behind_an_authentication_header(net: Network, tmp_path: Path) -> None:
    """Identification and header checksum of IP too, sequence numbers and check values. How many adverts there are until
    the daemon is stopped is chance: those of the same number and priority are the same."""
    secret = "authentication {\n auth_type AH\n auth_pass s3cret77\n }"
    text = configuration([Router("VI", 51, ["198.51.100.100/24"], priority=200, lines=[secret])])

    def numbered(kind: type[Contender]) -> dict[tuple[int, int], bytes]:
        frames = spoken(net.nodes[0], kind, tmp_path / kind.label, text, net.nodes[2], numbers=True)
        return {
            (int.from_bytes(frame[42:46], "big"), frame[60]): frame
            for frame in frames
            if frame[12:14] == b"\x08\x00" and frame[23] == 51
        }

    theirs, ours = numbered(Keepalived), numbered(Kactl)
    both = theirs.keys() & ours.keys()
    assert {(number, 200) for number in range(1, 5)} <= both, (sorted(theirs), sorted(ours))
    different = {key: shown({ours[key], theirs[key]}) for key in both if ours[key] != theirs[key]}
    assert not different
    assert {priority for _number, priority in ours} == {priority for _number, priority in theirs} == {200, 0}


def shown(frames: set[bytes]) -> list[str]:
    return [frame.hex(" ", 2) for frame in frames]
