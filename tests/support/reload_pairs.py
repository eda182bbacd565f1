"""Random configurations of one machine with eth0 and eth1, for what must hold between any two of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from kactl_agent.config.load import load_bytes
from kactl_agent.config.resolve import Settings, resolve

INTERFACES = ("eth0", "eth1")
_HOSTS = tuple(f"198.51.{third}.{last}" for third in (100, 101) for last in (100, 101, 102))
_ROUTES = ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
_STATIC = ("192.0.2.66/24", "192.0.2.67/24")

Block = dict[str, Any]


@st.composite
def _address(draw: st.DrawFn, host: str, interface: str) -> Block:
    found: Block = {"address": f"{host}/{draw(st.sampled_from((24, 24, 25, 32)))}"}
    other = draw(st.sampled_from((None, None, *INTERFACES)))
    if other is not None:
        found["dev"] = other
    if draw(st.booleans()) and draw(st.booleans()):
        found["label"] = f"{other or interface}:v"
    return found


@st.composite
def _instance(draw: st.DrawFn, vrid: int, interface: str, hosts: list[str], advert_int: float, vmac: bool) -> Block:
    some = st.lists(st.sampled_from(_ROUTES), unique=True, max_size=2)
    found: Block = {
        "interface": interface, "virtual_router_id": vrid, "version": 3, "advert_int": advert_int,
        "priority": draw(st.sampled_from((200, 255))),
        "virtual_ipaddress": [draw(_address(host, interface)) for host in hosts],
        "virtual_routes": [{"destination": text, "dev": interface, "table": 100 + vrid} for text in draw(some)],
        "virtual_rules": [{"from": text, "table": 100 + vrid, "preference": 1000 + 10 * vrid + number}
                          for number, text in enumerate(draw(some))],
    }  # fmt: skip
    if draw(st.booleans()):
        found["virtual_ipaddress_excluded"] = [f"2001:db8::{vrid}/128"]
    if draw(st.booleans()) and found["priority"] != 255:
        found["accept"] = False
    if draw(st.booleans()):
        found["promote_secondaries"] = True
    if vmac and draw(st.booleans()) and draw(st.booleans()):
        found["use_vmac"] = True
    return {name: value for name, value in found.items() if value != []}


@st.composite
def configurations(draw: st.DrawFn, advert_int: float = 0.01, vmac: bool = True) -> Block:
    """YAML as data. Every instance can be MASTER; no two have the same address on an interface."""
    routers = draw(
        st.lists(st.tuples(st.integers(1, 4), st.sampled_from(INTERFACES)), min_size=1, max_size=4, unique=True)
    )
    names = draw(st.permutations([f"VI_{number}" for number in range(5)]))
    hosts = draw(st.permutations(_HOSTS))
    instances, at = {}, 0
    for (vrid, interface), name in zip(routers, names, strict=False):
        count = draw(st.integers(1, 2)) if at + 2 <= len(hosts) else 1
        mine, at = list(hosts[at : at + count]), at + count
        if mine:
            instances[name] = draw(_instance(vrid, interface, mine, advert_int, vmac))
    found: Block = {"vrrp_instance": instances}
    groups = draw(st.lists(st.sampled_from(sorted(instances)), unique=True, max_size=3))
    if len(groups) > 1 and all(instances[name]["priority"] == instances[groups[0]]["priority"] for name in groups):
        found["vrrp_sync_group"] = {"VG": {"group": groups}}
    statics = draw(st.lists(st.sampled_from(_STATIC), unique=True, max_size=2))
    if statics:
        found["static_ipaddress"] = [{"address": text, "dev": "eth0"} for text in statics]
    if draw(st.booleans()):
        found["static_routes"] = [{"destination": "10.9.0.0/16", "dev": draw(st.sampled_from(INTERFACES)), "table": 90}]
    if draw(st.booleans()):
        found["static_rules"] = [{"from": "10.9.0.0/16", "table": 90, "preference": draw(st.sampled_from((900, 901)))}]
    # the name of the table is one of the things that a reload does not change, as with keepalived
    found["global_defs"] = {"nftables": "kactl_test", "nftables_counters": draw(st.booleans())}
    return found


def settings_of(configuration: Block) -> Settings:
    """Resolved; one with errors is no configuration."""
    document = load_bytes(json.dumps(configuration).encode(), "agent.yaml")
    assert not document.errors, document.errors
    resolution = resolve(document)
    assert not [d for d in resolution.diagnostics if d.severity.value == "error"], resolution.diagnostics
    return resolution.settings
