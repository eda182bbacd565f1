"""FRR's vrrpd, with a zebra of its own, in a node: a VRRPv3 router that is not keepalived."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.netns import Node, ip, wait_for

DAEMONS = Path("/usr/lib/frr")
_START = 30.0
MAC_ADDRESSES = {4: "00:00:5e:00:01:33", 6: "00:00:5e:00:02:33"}


def why_not() -> str:
    """Why FRR's vrrpd cannot be run here, or an empty string."""
    missing = [name for name in ("zebra", "vrrpd") if not (DAEMONS / name).exists()]
    if shutil.which("vtysh") is None:
        missing.append("vtysh")
    return f"FRR is not installed: {', '.join(missing)}" if missing else ""


class Vrrpd:
    """Virtual router 51 on eth0, over the macvlan `vrrp4` or `vrrp6` that FRR wants to find there."""

    def __init__(self, node: Node, family: int, address: str, priority: int, interval: int) -> None:
        """`interval` is in ms. The daemons give up root, and so the folder is one that others may write to."""
        self.node = node
        self._family = family
        self._folder = Path(tempfile.mkdtemp(prefix="kactl-frr-", dir="/tmp"))
        self._folder.chmod(0o777)
        self._processes: list[subprocess.Popen[str]] = []
        self._link(address)
        host = address.partition("/")[0]
        word = "ip" if family == 4 else "ipv6"
        self._write("zebra.conf", "hostname zebra", "log stdout")
        self._write(
            "vrrpd.conf", "hostname vrrpd", "log stdout debugging", "interface eth0", " vrrp 51 version 3",
            f" vrrp 51 priority {priority}", f" vrrp 51 advertisement-interval {interval}", f" vrrp 51 {word} {host}",
        )  # fmt: skip

    def _link(self, address: str) -> None:
        name, node = f"vrrp{self._family}", self.node.namespace
        with contextlib.suppress(RuntimeError):
            ip("link", "del", name, namespace=node)
        ip("link", "add", name, "link", "eth0", "type", "macvlan", "mode", "bridge", namespace=node)
        ip("link", "set", name, "address", MAC_ADDRESSES[self._family], namespace=node)
        ip("addr", "add", address, "dev", name, *(["nodad"] if self._family == 6 else []), namespace=node)
        ip("link", "set", name, "up", namespace=node)

    def _write(self, name: str, *lines: str) -> None:
        (self._folder / name).write_text("\n".join((*lines, "")))

    def start(self) -> None:
        for name in ("zebra", "vrrpd"):
            with (self._folder / f"{name}.log").open("a") as log:
                process = self.node.run(
                    str(DAEMONS / name), "-f", str(self._folder / f"{name}.conf"), "-z", str(self._folder / "zserv"),
                    "-i", str(self._folder / f"{name}.pid"), "--vty_socket", str(self._folder),
                    stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                )  # fmt: skip
            self._processes.append(process)
            wait_for((self._folder / f"{name}.vty").exists, _START, f"{name} is up\n{self.log}")

    @property
    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log")))

    def show(self) -> dict[str, Any]:
        """Of the family's virtual router, as vtysh shows it; empty while it says nothing."""
        command = ["vtysh", "--vty_socket", str(self._folder), "-d", "vrrpd", "-c", "show vrrp json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            (found,) = json.loads(done.stdout)
        except ValueError:
            return {}
        shown: dict[str, Any] = found[f"v{self._family}"]
        return shown

    def adverts_received(self) -> int:
        """0, too, while vtysh says nothing."""
        return int(self.show().get("stats", {}).get("adverRx", 0))

    def wait_status(self, status: str, seconds: float) -> float:
        """`Master`, `Backup`. Returns how long it took."""
        began = time.monotonic()
        wait_for(lambda: self.show().get("status") == status, seconds, f"vrrpd {status}: {self.show()}\n{self.log}")
        return time.monotonic() - began

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """All daemons, vrrpd first."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(number)
                process.wait(10)
        self._processes.clear()
        for path in self._folder.glob("*.vty"):
            path.unlink()

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def vrrpd(node: Node, family: int, address: str, *, priority: int, interval: int) -> Iterator[Vrrpd]:
    daemon = Vrrpd(node, family, address, priority, interval)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()
