"""Addresses in the engines' form: what keepalived puts into RTM_NEWADDR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.diagnostics import Severity
from kactl_agent.config.resolve import Resolution, resolve
from kactl_agent.vrrp.settings import VirtualAddress
from support.routing import packed


def resolution(entry: str, global_defs: str = "") -> Resolution:
    body = f"interface: eth0, virtual_router_id: 51, virtual_ipaddress: [{entry}]"
    document = bind(f"global_defs: {{{global_defs}}}\nvrrp_instance:\n  VI_1: {{{body}}}\n", "agent.yaml")
    assert document.diagnostics == []
    return resolve(document)


def address(entry: str) -> VirtualAddress:
    found = resolution(entry)
    assert found.diagnostics == []
    (item,) = found.settings.vrrp[0].addresses
    return item


ENTRIES: dict[str, dict[str, Any]] = {
    "192.0.2.10/24": {"address": packed("192.0.2.10"), "prefix_length": 24, "interface": "eth0", "scope": 0},
    "192.0.2.10": {"prefix_length": 32, "tracked": True},
    "{address: 192.0.2.10/24, dev: eth1, label: 'eth1:1', scope: link, no_track: true}": {
        "interface": "eth1", "label": "eth1:1", "scope": 253, "tracked": False,
    },
    "{address: 192.0.2.10/24, broadcast: +}": {"broadcast": packed("192.0.2.255")},
    "{address: 192.0.2.10/24, broadcast: '-'}": {"broadcast": packed("192.0.2.0")},
    "{address: 192.0.2.10/31, broadcast: +}": {"broadcast": b""},
    "{address: 192.0.2.10/24, broadcast: 192.0.2.9}": {"broadcast": packed("192.0.2.9")},
    "{address: 192.0.2.10, peer: 192.0.2.11/30}": {"peer": packed("192.0.2.11"), "prefix_length": 30},
    "{address: 192.0.2.10/24, scope: 200, preferred_lft: 60, noprefixroute: true}": {
        "scope": 200, "preferred_lifetime": 60, "flags": 0x200,
    },
    "'2001:db8::1/64'": {"flags": 0x02, "preferred_lifetime": None},  # no DAD
    "'2001:db8::1'": {"prefix_length": 128, "preferred_lifetime": 0},  # deprecated: never chosen as a source
    "{address: '2001:db8::1/64', -nodad: true, home: true, mngtmpaddr: true}": {"flags": 0x110},
    "{address: '2001:db8::1/128', preferred_lft: forever}": {"preferred_lifetime": None},
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_words_of_an_address(entry: str) -> None:
    item = address(entry)
    assert {name: getattr(item, name) for name in ENTRIES[entry]} == ENTRIES[entry]


def test_scopes_have_names_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "rt_scopes").write_text("201 office\n")
    found = resolution("{address: 192.0.2.10/24, scope: office}", f"iproute_etc_dir: '{tmp_path}'")
    assert found.diagnostics == []
    assert found.settings.vrrp[0].addresses[0].scope == 201
    (problem,) = resolution("{address: 192.0.2.10/24, scope: office}").diagnostics
    assert (problem.code, problem.severity) == ("unknown-name", Severity.ERROR)
