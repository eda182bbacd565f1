"""Inside another kernel: routes that need MPLS, ILA or a VRF, ours against what iproute2 makes of the same words.

As a program it prints, for every case, what went wrong there (an empty list when nothing did), as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from kactl_agent.kernel.linux import LinuxKernel
from kactl_agent.kernel.routes import RouteOperation
from kactl_agent.vrrp.routing import IlaEncapsulation, MplsEncapsulation, VirtualRoute
from support.routing import hop, route

CASES: dict[str, VirtualRoute] = {
    # words of `ip route add` -> the route
    "10.1.0.0/16 encap mpls 100/200 via 198.51.100.254 dev eth0": route(
        "10.1.0.0/16", hop("198.51.100.254", "eth0", encapsulation=MplsEncapsulation((100, 200)))
    ),
    "10.1.0.0/16 encap mpls 16 via 198.51.100.254 dev eth0": route(
        "10.1.0.0/16", hop("198.51.100.254", "eth0", encapsulation=MplsEncapsulation((16,)))
    ),
    "2001:db8:14:0:2000::/80 encap ila 10:20:30:40 via fe80::3 dev eth0": route(
        "2001:db8:14:0:2000::/80",  # an identifier of type 1, locally unique: the kernel takes no other here
        hop("fe80::3", "eth0", encapsulation=IlaEncapsulation(bytes.fromhex("0010002000300040"))),
    ),
    "10.1.0.0/16 vrf red via 198.51.100.254 dev eth0": route(
        "10.1.0.0/16", hop("198.51.100.254", "eth0"), vrf="red"
    ),
    "2001:db8::/48 vrf red via fe80::3 dev eth0": route("2001:db8::/48", hop("fe80::3", "eth0"), vrf="red"),
}  # fmt: skip
SETUP = """
link add eth0 type veth peer name peer0
link add red type vrf table 1234
link set red up
link set eth0 addrgenmode none up
link set peer0 addrgenmode none up
address add 198.51.100.1/24 dev eth0
address add fe80::1/64 dev eth0 nodad
"""


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"ip {' '.join(words)}: {done.stderr.strip()}"


def shown(family: str) -> Any:
    text = ip(family, "-j", "-d", "route", "show", "table", "all", "proto", "18")
    return json.loads(text) if text.strip().startswith("[") else text.strip() or []


def differences(kernel: LinuxKernel, words: str, item: VirtualRoute) -> list[str]:
    family = "-6" if ":" in words.split()[0] else "-4"
    wrong = [said] if (said := ip(family, "route", "add", *words.split(), "proto", "18")) else []
    expected = shown(family)
    kernel.links.drain()
    kernel.routing.prepare([item], kernel.links)
    kernel.routing.drain()
    if not kernel.routing.has_route(item, kernel.links):
        wrong.append(f"not recognised: {expected}")
    for remove in (True, False):
        failures = kernel.routing.apply([RouteOperation(item, remove)], kernel.links)
        wrong += [failure.text for failure in failures]
        if shown(family) != ([] if remove else expected):
            wrong.append(f"{'removed' if remove else 'added'}: {shown(family)}, not {expected}")
    kernel.routing.apply([RouteOperation(item, remove=True)], kernel.links)
    return wrong


def main() -> None:
    setup = [said for line in SETUP.strip().splitlines() if (said := ip(*line.split()))]
    kernel = LinuxKernel()
    found = {words: differences(kernel, words, item) for words, item in CASES.items()}
    json.dump({"setup": setup} | found, sys.stdout)


if __name__ == "__main__":
    main()
