"""Which instances of which hosts are one virtual router, by what their agents say."""

from __future__ import annotations

import importlib.util
from typing import Any

from support.fleet import ROOT

_FILE = ROOT / "ansible_collection" / "plugins" / "plugin_utils" / "virtual_routers.py"
_spec = importlib.util.spec_from_file_location("virtual_routers", _FILE)
assert _spec is not None
assert _spec.loader is not None
plugin = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plugin)


def instance(state: str, *addresses: str, vrid: int = 51, source: str = "", master: str = "") -> dict[str, Any]:
    family = "ipv6" if any(":" in each for each in addresses) else "ipv4"
    said: dict[str, Any] = {"state": state, "virtual_router_id": vrid, "family": family}
    return said | {
        "virtual_ipaddress": list(addresses), "source_address": source or None, "master": master or None,
    }  # fmt: skip


def info(**instances: dict[str, Any]) -> dict[str, Any]:
    return {"vrrp": {"instances": instances}}


def hosts(states: dict[str, Any], *which: Any) -> list[list[str]]:
    return [each.hosts for each in plugin.virtual_routers(states, *which)]


def problems(states: dict[str, Any], *which: Any) -> list[str]:
    found: list[str] = plugin.problems(plugin.virtual_routers(states, *which))
    return found


A, B = "192.0.2.1/24", "198.51.100.1/24"


def test_one_name_and_vrid_on_two_segments() -> None:
    states = {
        "a1": info(VI_1=instance("MASTER", A)), "a2": info(VI_1=instance("BACKUP", A)),
        "b1": info(VI_1=instance("MASTER", B)), "b2": info(VI_1=instance("BACKUP", B)),
    }  # fmt: skip
    assert hosts(states) == [["a1", "a2"], ["b1", "b2"]]
    assert problems(states) == []
    states["b2"] = info(VI_1=instance("MASTER", B))
    assert problems(states) == ["VI_1 (198.51.100.1): b1 and b2 are master"]
    assert problems(states, "a1") == []


def test_two_names_and_vrids_for_one_address() -> None:
    """Neither hears the other: an address has one owner, whatever they are called."""
    states = {"a": info(WEB=instance("MASTER", A)), "b": info(VI_1=instance("MASTER", A, B, vrid=52))}
    assert problems(states) == ["WEB: a and b are master"]


def test_addresses_that_are_replaced_host_by_host() -> None:
    """The backup has the new address already, and hears the master, which has the old one."""
    old = info(VI_1=instance("BACKUP", A, master="10.0.0.1"))
    states = {
        "a": info(VI_1=instance("MASTER", A, source="10.0.0.1")),
        "b": info(VI_1=instance("BACKUP", "192.0.2.2/24", master="10.0.0.1")),
        "c": info(VI_1=instance("MASTER", B, source="10.1.0.1")),
    }
    assert hosts(states) == [["a", "b"], ["c"]]
    assert problems(states, "b", old) == []


def test_what_a_host_had_before() -> None:
    had = info(WEB=instance("MASTER", A), MAIL=instance("MASTER", B))
    states = {
        "a": info(WEB=instance("MASTER", A)),
        "b": info(MAIL=instance("BACKUP", B)),
        "c": info(VI_1=instance("MASTER", "203.0.113.1/24")),
    }
    assert hosts(states, "a") == [["a"]]
    assert hosts(states, "a", had) == [["a", "b"], ["a"]]
    assert problems(states, "a", had) == ["MAIL: no host is master"]
    assert problems({"a": info()}, "a", had) == [], "what nobody has any more needs no master"


def test_link_local_addresses_are_the_same_everywhere() -> None:
    one, two = "2001:db8:1::1/64", "2001:db8:2::1/64"
    states = {
        "a": info(VI_6=instance("MASTER", "fe80::1/64", one, source="fe80::2")),
        "b": info(VI_6=instance("MASTER", "fe80::1/64", two, source="fe80::2")),
    }
    assert problems(states) == []
    states = {host: info(VI_6=instance("MASTER", "fe80::1/64")) for host in ("a", "b")}
    assert problems(states) == ["VI_6: a and b are master"], "there is nothing else to know them by"
