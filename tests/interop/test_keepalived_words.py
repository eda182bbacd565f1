"""The words that the schema writes are words to the real keepalived: its own check finds nothing it cannot read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Struct
from msgspec.structs import replace

from kactl.keepalived_conf.writer import write
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.schema.addresses import StaticAddressEntry
from kactl_agent.config.schema.bfd import BfdInstance
from kactl_agent.config.schema.global_defs import GlobalDefs
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.routes import StaticRouteEntry
from kactl_agent.config.schema.rules import StaticRuleEntry
from kactl_agent.config.schema.track import TrackedFile, TrackedProcess
from kactl_agent.config.schema.vrrp import VrrpInstance
from support.schema_strategies import instances

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]

UNREADABLE = re.compile(
    r"unknown (keyword|configuration entry|route keyword|rule option|option|.* option|encap type)"
    r"|trailing nonsense after|missing a parameter|invalid number|parsed invalid IP|invalid rule action",
    re.IGNORECASE,
)
"""What keepalived says of words it cannot read, as against values that this machine does not have."""

SAMPLES = {
    "global_defs": lambda: st.builds(lambda part: Config(global_defs=part), known(GlobalDefs, 20)),
    "static_ipaddress": lambda: entries(StaticAddressEntry).map(lambda part: Config(static_ipaddress=part)),
    "static_routes": lambda: entries(StaticRouteEntry).map(lambda part: Config(static_routes=part)),
    "static_rules": lambda: entries(StaticRuleEntry).map(lambda part: Config(static_rules=part)),
    "bfd_instance": lambda: entries(BfdInstance).map(lambda part: Config(bfd_instance=named(part))),
    "track_file": lambda: entries(TrackedFile).map(lambda part: Config(track_file=named(part))),
    "vrrp_track_process": lambda: entries(TrackedProcess).map(lambda part: Config(vrrp_track_process=named(part))),
}

ALONE = ("process_name", "vrrp_process_name", "checker_process_name", "bfd_process_name", "snmp_socket", "vrrp_ipsets")
"""Settings whose word 2.2 cannot do without, or that Debian's build leaves out."""


def named(parts: tuple[Any, ...]) -> dict[str, Any]:
    return {f"n{number}": part for number, part in enumerate(parts)}


def entries(struct: type[Struct]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(known(struct, 5), min_size=1, max_size=6).map(tuple)


def known(struct: type[Struct], most: int) -> st.SearchStrategy[Any]:
    """Values without what came after 2.2.7, the version under test."""
    newer = {
        f.attribute: UNSET
        for f in table_of(struct)
        if tuple(int(n) for n in f.keyword.since.split(".") if n) > (2, 2, 7) or f.name in ALONE
    }
    if struct is StaticAddressEntry:
        newer["peer"] = UNSET  # 2.2.7 takes no prefix length there, its manual says it does
    if struct is StaticRouteEntry:
        newer["or_"] = UNSET  # a deprecated word that no nexthop may follow
    return instances(struct, most).map(lambda value: replace(value, **newer))


@pytest.mark.parametrize("block", SAMPLES)
def test_keepalived_reads_what_is_written(block: str, tmp_path: Path) -> None:
    path = tmp_path / "keepalived.conf"
    instance = Config(vrrp_instance={"VI": VrrpInstance(interface="lo", virtual_router_id=1)})
    tail = write(Document(instance, Origin()), lambda _: "").text

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SAMPLES[block]())
    def check(config: Config) -> None:
        text = write(Document(config, Origin()), lambda _: "").text + tail
        path.write_text(text)
        path.chmod(0o600)
        command = ["keepalived", "-t", "-l", "--log-console", "-f", str(path)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        lines = [line for line in (run.stdout + run.stderr).splitlines() if UNREADABLE.search(line)]
        assert lines == [], text

    check()
