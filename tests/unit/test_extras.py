"""Each part runs without the packages that only another part needs, and says what is missing when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ABSENT = """
import sys

class Absent:
    names = {names!r}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""

CONFIGURATION = """\
global_defs: {router_id: lb1, enable_dbus: true, enable_snmp_vrrp: true}
vrrp_instance:
  VI_1: {interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]}
"""


def without(names: set[str], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = ABSENT.format(names=names) + f"sys.argv = {[program, *arguments]!r}\n"
    code += f"from {program}.__main__ import main\nsys.exit(main())\n"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIGURATION)
    return path


def test_agent_runs_without_optional_packages(configuration: Path) -> None:
    """Nothing of the command line, of SNMP, D-Bus or packet dissection is needed to run VRRP."""
    absent = {"click", "rich", "pyroute2", "scapy", "pysnmp", "dbus_fast", "ruamel", "kactl"}
    done = without(absent, "kactl_agent", "--check", "--config", str(configuration))
    assert done.returncode == 0, done.stderr
    assert "enable_dbus is not served by this version of the agent" in done.stderr
    assert "enable_snmp_vrrp is not served by this version of the agent" in done.stderr


def test_command_runs_without_the_packages_of_the_demo(configuration: Path) -> None:
    done = without({"rich", "pyroute2", "scapy"}, "kactl", "check", str(configuration))
    assert done.returncode == 0, done.stderr
