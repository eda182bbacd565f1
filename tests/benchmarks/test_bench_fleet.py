"""Fifty nodes on one machine, driven by playbooks: the collection, against a template of keepalived.conf and a restart.

What is compared is how long a playbook takes a host, with connections that cost nothing (`local`) and as many hosts at
once as processors can bear: what the tasks themselves do. The two do not do the same. A rollout of the collection
validates everywhere, compares the hosts with each other, changes on probation and looks how each host fares; the plays
with keepalived copy a file and restart, as roles do that one finds, with a check by `keepalived -t` and a wait until
the new process runs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.agents import Agent, alive
from support.figures import Figure, add
from support.fleet import ROOT, Controller, Outcome, require_ansible
from support.netns import Network, Node, network, require_namespaces, wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]

HOSTS = int(os.environ.get("KACTL_BENCH_HOSTS", "50"))
FORKS = 5  # hosts at once, Ansible's own default
BATCH = 10  # hosts of a rolling change
PLAYBOOKS = ROOT / "ansible_collection" / "playbooks"
START = 180.0

_TEMPLATE = """\
vrrp_instance VI_1 {
  interface eth0
  virtual_router_id {{ vrid }}
  priority 150
  advert_int {{ advert_int }}
  virtual_ipaddress {
    {{ addresses | join('\\n    ') }}
  }
}
"""
_RESTART = """\
cd {{ folder }}
old=$(cat main.pid 2>/dev/null)
if [ -n "$old" ]; then kill $old; while kill -0 $old 2>/dev/null; do sleep 0.05; done; fi
rm -f main.pid vrrp.pid
ip netns exec {{ namespace }} keepalived --vrrp -f $PWD/keepalived.conf \\
  -p $PWD/main.pid -r $PWD/vrrp.pid >/dev/null 2>&1
for try in $(seq 200); do [ -s vrrp.pid ] && exit 0; sleep 0.05; done
exit 1
"""


def block(number: int, *more: str) -> dict[str, Any]:
    """Each host is master of a virtual router of its own: nobody waits for an election."""
    keywords = {
        "interface": "eth0", "virtual_router_id": number, "priority": 150, "advert_int": 2,
        "virtual_ipaddress": [f"10.77.{number}.1/32", *more],
    }  # fmt: skip
    return {"vrrp_instance": {f"VI_{number}": keywords}}


@pytest.fixture
def net() -> Iterator[Network]:
    require_ansible()
    require_namespaces()
    with network(HOSTS) as made:
        yield made


def controller(folder: Path, hosts: Mapping[str, Mapping[str, Any]]) -> Controller:
    folder.mkdir()
    return Controller(folder, hosts)


def timed(outcome: Callable[[], Outcome]) -> tuple[float, Outcome]:
    """Milliseconds a host, and how it went."""
    begun = time.monotonic()
    done = outcome()
    spent = (time.monotonic() - begun) * 1000 / HOSTS
    assert done.status == 0, done.output[-4000:]
    print(f"a playbook over {HOSTS} hosts: {spent:.0f} ms a host")
    return spent, done


def kactl_times(net: Network, folder: Path) -> dict[str, float]:
    with ExitStack() as stack:
        started: dict[str, Agent] = {}
        for number, node in enumerate(net.nodes, 1):
            agent = Agent(node, folder / f"lb{number}", block(number))
            stack.callback(agent.close)
            started[f"lb{number}"] = agent
            if number % FORKS == 0:
                agent.wait_running()  # not all interpreters at once
        for number, agent in enumerate(started.values(), 1):
            agent.wait_state("MASTER", START, f"VI_{number}")
        hosts = {
            host: {"agent_run_dir": str(agent.run_dir), "agent_config_path": str(agent.config), "number": number}
            for number, (host, agent) in enumerate(started.items(), 1)
        }
        control = controller(folder / "controller", hosts)
        look = {"kactl.agent.info": {"run_dir": "{{ agent_run_dir }}", "gather_subset": ["agent", "vrrp"]}}
        times: dict[str, float] = {}
        times["info"], _ = timed(lambda: control.play(look))
        wanted = {host: block(number, f"10.78.{number}.1/32") for number, host in enumerate(hosts, 1)}
        variables = {
            "wanted": wanted, "agent_config": "{{ wanted[inventory_hostname] }}", "kactl_rollout_batch": BATCH,
            "kactl_rollout_quiet": True,
        }  # fmt: skip
        times["rollout"], _ = timed(lambda: control.run(str(PLAYBOOKS / "rollout.yml"), variables=variables))
        for number, agent in enumerate(started.values(), 1):
            assert agent.node.has(f"10.78.{number}.1/32")
            assert agent.state(f"VI_{number}") == "MASTER"
        times["again"], done = timed(lambda: control.run(str(PLAYBOOKS / "rollout.yml"), variables=variables))
        assert not done.of("Let it stay")
        for number, agent in enumerate(started.values(), 1):
            agent.configure(block(number))
        where = {"run_dir": "{{ agent_run_dir }}"}
        reload = [{"kactl.agent.reload": where}, {"kactl.agent.wait": where}]
        times["reload"], _ = timed(lambda: rolling(control, *reload))
        for number, agent in enumerate(started.values(), 1):
            assert not agent.node.has(f"10.78.{number}.1/32")
    return times


def rolling(control: Controller, *tasks: Mapping[str, Any]) -> Outcome:
    """A playbook of these tasks, a batch of hosts after the other."""
    play = {"hosts": "kactl", "gather_facts": False, "serial": BATCH, "tasks": list(tasks)}
    (control.folder / "play.yml").write_text(json.dumps([play]))
    return control.run("play.yml")


class Keepalived:
    """The folder of one in a node; who runs it is Ansible."""

    def __init__(self, node: Node, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.node = node
        self.folder = folder

    @property
    def pid(self) -> int:
        path = self.folder / "main.pid"
        return int(path.read_text() or 0) if path.exists() else 0

    def close(self) -> None:
        pid = self.pid
        if pid and alive(pid):
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not alive(pid), 20, f"keepalived {pid} has ended")


def keepalived_times(net: Network, folder: Path) -> dict[str, float]:
    with ExitStack() as stack:
        daemons = {f"lb{number}": Keepalived(node, folder / f"lb{number}") for number, node in enumerate(net.nodes, 1)}
        for daemon in daemons.values():
            stack.callback(daemon.close)
        hosts = {
            host: {
                "folder": str(daemon.folder), "namespace": daemon.node.namespace, "vrid": number, "advert_int": 2,
                "addresses": [f"10.77.{number}.1/32"],
            }
            for number, (host, daemon) in enumerate(daemons.items(), 1)
        }  # fmt: skip
        control = controller(folder / "controller", hosts)
        (folder / "keepalived.conf.j2").write_text(_TEMPLATE)
        template = {
            "ansible.builtin.template": {
                "src": str(folder / "keepalived.conf.j2"), "dest": "{{ folder }}/keepalived.conf", "mode": "0600",
                "validate": "keepalived -t -f %s",
            },
            "register": "written",
        }  # fmt: skip
        restart = {"ansible.builtin.shell": {"cmd": _RESTART}, "when": "written is changed"}
        timed(lambda: rolling(control, template, restart))  # the first one starts them
        more = "{{ ['10.77.%d.1/32' % vrid, '10.78.%d.1/32' % vrid] }}"
        change = template | {"vars": {"addresses": more}}
        times: dict[str, float] = {}
        before = {host: daemon.pid for host, daemon in daemons.items()}
        times["rollout"], _ = timed(lambda: rolling(control, change, restart))
        assert all(daemon.pid != before[host] for host, daemon in daemons.items())
        for number, daemon in enumerate(daemons.values(), 1):
            wait_for(partial(daemon.node.has, f"10.78.{number}.1/32"), 30, "keepalived is master again")
        times["again"], _ = timed(lambda: rolling(control, change, restart))
    return times


def test_playbooks_over_fifty_nodes(net: Network, tmp_path: Path) -> None:
    theirs = keepalived_times(net, tmp_path / "keepalived") if shutil.which("keepalived") else {}
    ours = kactl_times(net, tmp_path / "kactl")
    for key, what in (
        ("info", "kactl.agent.info"),
        ("rollout", "rollout of one address more; template and restart"),
        ("again", "the same again, which changes nothing"),
        ("reload", "rolling reload, and a look at how it fares; template and restart"),
    ):
        peer = theirs.get("rollout" if key == "reload" else key)
        add(Figure(f"{HOSTS} hosts, time a host: {what}", "ms", ours[key], peer))
