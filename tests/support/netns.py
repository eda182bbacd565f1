"""Network namespaces for tests: nodes on a bridge, made with iproute2, gone at the end."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def why_no_namespaces() -> str:
    """Why network namespaces cannot be made here, or an empty string."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    if os.geteuid() != 0:
        return "not root"
    name = f"Cprobe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"ip netns add: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False)
    return ""


def require_namespaces() -> None:
    if reason := why_no_namespaces():
        pytest.skip(f"needs network namespaces: {reason}")


def ip(*arguments: str, namespace: str | None = None) -> str:
    command = ["ip", *(["-n", namespace] if namespace else []), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until the condition holds and return its value; fail with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.1f} s: {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Run the calling thread in the namespace: sockets opened meanwhile belong to it."""
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Node:
    """A namespace with `eth0` on the network's bridge."""

    def __init__(self, namespace: str, ipv4: str, link_local: str) -> None:
        self.namespace = namespace
        self.ipv4 = ipv4
        self.link_local = link_local

    def addresses(self, interface: str = "eth0") -> set[str]:
        """`address/prefix` of the interface."""
        found = json.loads(ip("-j", "addr", "show", "dev", interface, namespace=self.namespace) or "[]")
        return {f"{a['local']}/{a['prefixlen']}" for link in found for a in link.get("addr_info", ())}

    def has(self, address: str, interface: str = "eth0") -> bool:
        return address in self.addresses(interface)

    def run(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        options.setdefault("text", True)
        return subprocess.Popen(["ip", "netns", "exec", self.namespace, *command], **options)


class Network:
    """A bridge in a namespace of its own, and nodes 198.51.100.1, .2, ... on it."""

    def __init__(self, nodes: int) -> None:
        self._tag = f"C{uuid.uuid4().hex[:6]}"
        self._bridge = f"{self._tag}br"
        self._namespaces: list[str] = []
        self.nodes: list[Node] = []
        try:
            self._build(nodes)
        except BaseException:
            self.close()
            raise

    def _add_namespace(self, name: str) -> str:
        ip("netns", "add", name)
        self._namespaces.append(name)
        ip("link", "set", "lo", "up", namespace=name)
        return name

    def _build(self, nodes: int) -> None:
        bridge = self._add_namespace(self._bridge)
        ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0", namespace=bridge)
        ip("link", "set", "br0", "up", namespace=bridge)
        for number in range(1, nodes + 1):
            name = self._add_namespace(f"{self._tag}n{number}")
            port = f"port{number}"
            ip("link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", bridge, namespace=name)
            ip("link", "set", port, "master", "br0", "up", namespace=bridge)
            ip("link", "set", "eth0", "addrgenmode", "none", namespace=name)
            ip("link", "set", "eth0", "up", namespace=name)
            node = Node(name, f"198.51.100.{number}", f"fe80::{number}")
            ip("addr", "add", f"{node.ipv4}/24", "dev", "eth0", namespace=name)
            ip("addr", "add", f"{node.link_local}/64", "dev", "eth0", "nodad", namespace=name)
            self.nodes.append(node)

    def add_lan(self, interface: str, subnet: str) -> None:
        """Another bridge, and on every node `interface` with the address subnet.NUMBER/24."""
        bridge = f"br-{interface}"
        ip("link", "add", bridge, "type", "bridge", "stp_state", "0", "mcast_snooping", "0", namespace=self._bridge)
        ip("link", "set", bridge, "up", namespace=self._bridge)
        for number, node in enumerate(self.nodes, 1):
            port = f"{interface}-{number}"
            name = node.namespace
            ip("link", "add", interface, "type", "veth", "peer", "name", port, "netns", self._bridge, namespace=name)
            ip("link", "set", port, "master", bridge, "up", namespace=self._bridge)
            ip("link", "set", interface, "up", namespace=name)
            ip("addr", "add", f"{subnet}.{number}/24", "dev", interface, namespace=name)

    def cut(self, number: int) -> None:
        """Take the cable of a node (from 1) off the bridge; its own interface keeps its carrier."""
        ip("link", "set", f"port{number}", "nomaster", namespace=self._bridge)

    def mend(self, number: int) -> None:
        ip("link", "set", f"port{number}", "master", "br0", namespace=self._bridge)

    def disturb(self, rules: str) -> None:
        """nftables for what passes the bridge, in the words of nft; cables are port1, port2, ..."""
        command = ["ip", "netns", "exec", self._bridge, "nft", "-f", "-"]
        subprocess.run(command, input=f"flush ruleset\n{rules}\n", text=True, check=True)

    def heal(self) -> None:
        """Nothing is disturbed any more."""
        self.disturb("")

    def port_socket(self, number: int) -> socket.socket:
        """All frames that a node (from 1) sends, and a way to it, at the bridge's end of its cable."""
        with inside(self._bridge):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.bind((f"port{number}", 3))
        return sock

    def close(self) -> None:
        for name in reversed(self._namespaces):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextlib.contextmanager
def network(nodes: int) -> Iterator[Network]:
    require_namespaces()
    net = Network(nodes)
    try:
        yield net
    finally:
        net.close()
