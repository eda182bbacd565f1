"""Trackers that stand twice are said in one form, whatever they are and whoever names them (seed row S17)."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.check import check

DEFINITIONS = """
vrrp_script: {t: {script: /bin/true}}
vrrp_track_process: {t: {process: x}}
bfd_instance: {t: {neighbor_ip: 10.0.0.9}}
track_file: {t: {file: /tmp/t}}
"""
INSTANCE = "interface: eth0, virtual_router_id: 5, virtual_ipaddress: [192.0.2.1]"


@pytest.mark.parametrize("owner", ["instance", "group"])
@pytest.mark.parametrize("keyword", ["track_interface", "track_script", "track_file", "track_process", "track_bfd"])
def test_a_tracker_that_stands_twice(keyword: str, owner: str) -> None:
    own, of_group = (f", {keyword}: [t, t]", "") if owner == "instance" else ("", f", {keyword}: [t, t]")
    text = f"{DEFINITIONS}vrrp_sync_group: {{G: {{group: [A]{of_group}}}}}\nvrrp_instance: {{A: {{{INSTANCE}{own}}}}}\n"
    document = bind(text, "agent.yaml")
    assert document.diagnostics == []
    (found,) = [d for d in check(document) if d.code == "duplicate-tracker"]
    assert found.message == f"duplicate {keyword} `t`"
    assert found.hint == "leave it out"
    line = text.splitlines()[found.place.line - 1]
    assert line[: found.place.column - 1].endswith("[t, "), "the second one is meant"
