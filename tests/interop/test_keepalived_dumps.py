"""What keepalived and the agent write of one and the same configuration, on the same signals, into files of the same
names: exporters that read keepalived's find the same fields, of the same types, with the same values."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from kactl.app import run as kactl
from support.agents import SLACK, START, Agent, agents
from support.keepalived_peer import closed_text
from support.netns import Node, network, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]

CONF = """
global_defs {
  router_id lb1
  notification_email {
    root@localhost
  }
  smtp_server 127.0.0.1
  enable_script_security
  script_user root
}
vrrp_script chk {
  script "/bin/true"
  interval 1
}
vrrp_instance VI_1 {
  interface eth0
  virtual_router_id 51
  priority 150
  advert_int 1
  version 3
  track_script {
    chk
  }
  promote_secondaries
  virtual_ipaddress {
    198.51.100.100/24
    198.51.100.101/24 dev eth0 label eth0:1
    192.0.2.102/24 brd 192.0.2.255 scope link
  }
  virtual_ipaddress_excluded {
    203.0.113.1/32
  }
}
vrrp_instance VI_2 {
  interface eth0
  state BACKUP
  virtual_router_id 52
  priority 90
  nopreempt
  garp_master_delay 2
  garp_master_refresh 60
  garp_lower_prio_repeat 3
  garp_lower_prio_delay 4
  authentication {
    auth_type PASS
    auth_pass secret1
  }
  virtual_ipaddress {
    198.51.100.110/24
  }
}
vrrp_instance VI_3 {
  interface eth0
  virtual_router_id 53
  version 3
  advert_int 0.5
  preempt_delay 3.5
  smtp_alert
  notify_master "/bin/true"
  notify_backup "/bin/true"
  notify_fault "/bin/true"
  notify_stop "/bin/true"
  notify "/bin/true"
  notify_master_rx_lower_pri "/bin/true"
  lower_prio_no_advert
  track_interface {
    lo
  }
  virtual_ipaddress {
    fe80::99/64
    2001:db8::99/64
  }
}
vrrp_sync_group VG {
  group {
    VI_2
  }
}
"""
NAMES = ("VI_1", "VI_2", "VI_3")
DUMPS = {signal.SIGUSR1: "keepalived.data", signal.SIGUSR2: "keepalived.stats", signal.SIGRTMIN + 2: "keepalived.json"}


def run_keepalived(node: Node, directory: Path, conf: Path) -> dict[str, str]:
    """Its dumps as MASTER of all."""
    directory.mkdir()
    pid = directory / "main.pid"
    with (directory / "log").open("w") as log:
        process = node.run(
            "keepalived", "--vrrp", "-n", "-l", "-D", "-G", "-f", str(conf),
            "-p", str(pid), "-r", str(directory / "vrrp.pid"),
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(directory)},
        )  # fmt: skip
    try:
        read = (directory / "log").read_text
        wait_for(lambda: read().count("Entering MASTER STATE") == len(NAMES), 15 + SLACK, "keepalived is MASTER of all")
        return dumps(process, directory)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def dumps(process: subprocess.Popen[str], directory: Path) -> dict[str, str]:
    found = {}
    for number, name in DUMPS.items():
        process.send_signal(number)
        found[name] = wait_for(partial(_whole, directory / name), START, name)
    return found


def _whole(path: Path) -> str | None:
    """keepalived fills the file under its name."""
    return closed_text(path) if path.exists() else None


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """What keepalived wrote, what the agent wrote."""
    directory = tmp_path_factory.mktemp("dumps")
    conf, converted = directory / "keepalived.conf", directory / "converted.yaml"
    conf.write_text(CONF)
    assert kactl(["convert", str(conf), "-o", str(converted)]) == 0
    with network(1) as one, network(1) as other:
        (directory / "agent").mkdir()
        (directory / "agent" / "agent.yaml").write_text(converted.read_text())
        agent = Agent(other.nodes[0], directory / "agent", None)
        with agents(agent):
            theirs = run_keepalived(one.nodes[0], directory / "keepalived", conf)
            for name in NAMES:
                agent.wait_state("MASTER", START + SLACK, name)
            yield theirs, dumps(agent.process, agent.run_dir)
            assert agent.stop() == 0


def test_json_has_the_same_fields_types_and_values(both: tuple[dict[str, str], dict[str, str]]) -> None:
    theirs, ours = (json.loads(each["keepalived.json"]) for each in both)
    assert [each["data"]["iname"] for each in ours] == list(NAMES)
    for one, other in zip(theirs, ours, strict=True):
        assert list(other) == list(one) == ["data", "stats"]
        for part in ("data", "stats"):
            assert list(other[part]) == list(one[part]), "names and order"
            kinds = {name: type(value) for name, value in one[part].items()}
            assert {name: type(value) for name, value in other[part].items()} == kinds
        expected = {name: value for name, value in one["data"].items() if name not in ("last_transition", "auth_data")}
        assert {name: other["data"][name] for name in expected} == expected
        assert other["data"].get("auth_data") in (None, "********")
        assert abs(other["data"]["last_transition"] - one["data"]["last_transition"]) < 60, "both are Unix time"
        counted = {name: value for name, value in one["stats"].items() if name != "advert_sent"}
        assert {name: other["stats"][name] for name in counted} == counted


def test_statistics_are_the_same_text(both: tuple[dict[str, str], dict[str, str]]) -> None:
    theirs, ours = (re.sub(r"Sent: [1-9]\d*", "Sent: N", each["keepalived.stats"]) for each in both)
    assert ours == theirs


LABELS = (
    "VRRP Instance", "VRRP Version", "Sync group", "State", "Wantstate", "Interface", "Using src_ip",
    "Down timer adverts", "Gratuitous ARP delay", "Gratuitous ARP repeat", "Gratuitous ARP refresh",
    "Gratuitous ARP lower priority repeat",
    "Send advert after receive lower priority advert", "Virtual Router ID", "Priority", "Effective priority",
    "Advert interval", "Accept", "Preempt", "Preempt delay", "Promote_secondaries", "Authentication type",
    "VRRP Sync Group", "VRRP Script", "Status",
)  # fmt: skip


def labelled(text: str) -> list[str]:
    """Lines of instances, groups and scripts whose label is one of those, and lists of addresses."""
    text = text[text.index("------< VRRP Topology") :].partition("------< Interfaces")[0]
    text = re.sub("------< VRRP Sockpool.*?(?=------<)", "", text, flags=re.DOTALL)
    text = re.sub(r"^   State = [a-z ]+\n", "", text, flags=re.MULTILINE)  # of a script: whether it runs right now
    found = []
    for line in text.splitlines():
        label = line.strip().partition(" = ")[0]
        if " = " in line and label in LABELS:
            # interfaces have link-local addresses of their own in each network
            found.append(re.sub(r"fe80::\S+", "fe80::", line))
        elif re.match(r" +(Virtual IP|[0-9a-f:.]+/?\d* (dev|brd|scope) )", line):
            found.append(line)
    return found


def test_labelled_lines_of_instances_groups_and_scripts_are_the_same(
    both: tuple[dict[str, str], dict[str, str]],
) -> None:
    theirs, ours = (labelled(each["keepalived.data"]) for each in both)
    assert len(ours) > 40
    assert Counter(ours) - Counter(theirs) == {}
    assert Counter(theirs) - Counter(ours) == {}
