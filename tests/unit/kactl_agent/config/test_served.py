"""Keywords that the agent does not act on are warnings at the check and at the start; which ones that are, is known."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl_agent.config.schema.global_defs import GlobalDefs
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.sync_group import SyncGroup
from kactl_agent.config.schema.vrrp import VrrpInstance
from kactl_agent.config.served import SERVED
from kactl_agent.supervisor.loading import load, report_lines
from kactl_agent.supervisor.options import parse

SNMP_AND_DBUS = {
    "snmp_socket", "enable_snmp_vrrp", "enable_snmp_checker", "enable_snmp_rfc", "enable_snmp_rfcv2",
    "enable_snmp_rfcv3", "enable_traps", "snmp_vs_stats_update_interval", "snmp_rs_stats_update_interval",
    "enable_dbus", "dbus_service_name", "dbus_no_interface_name",
}  # fmt: skip
BLOCKS = {"": Config, "global_defs": GlobalDefs, "vrrp_instance": VrrpInstance, "vrrp_sync_group": SyncGroup}


@pytest.mark.parametrize("block", list(BLOCKS))
def test_every_keyword_acts_but_snmp_and_dbus(block: str) -> None:
    idle = {field.name for field in table_of(BLOCKS[block]).fields if field.name not in SERVED[block]}
    assert idle == (SNMP_AND_DBUS if block == "global_defs" else set())


@pytest.mark.parametrize(
    "said", ["enable_snmp_vrrp: true", "enable_snmp_checker: true", "enable_snmp_rfc: true", "enable_snmp_rfcv2: true",
             "enable_snmp_rfcv3: true", "enable_traps: true", "snmp_socket: 'udp:127.0.0.1:705'", "enable_dbus: true"],
)  # fmt: skip
def test_snmp_and_dbus_are_said_to_be_missing_at_the_check_and_at_the_start(tmp_path: Path, said: str) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(f"global_defs:\n  {said}\n")
    keyword = said.partition(":")[0]
    wanted = f"{keyword} is not served by this version of the agent"
    said_by_check = io.StringIO()
    environment = Environment(stdin=io.BytesIO(), stdout=io.StringIO(), stderr=said_by_check, variables={})
    assert run(["check", str(file)], environment) == 0
    assert f"{file}:2:{5 + len(keyword)}: warning[not-served]: {wanted}" in said_by_check.getvalue()
    outcome = load(parse(["--config", str(file)]))
    assert outcome.configuration is not None
    logged = report_lines(outcome, file)
    assert any(level == "warning" and wanted in line for level, line in logged), json.dumps(logged)
