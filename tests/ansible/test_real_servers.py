"""Real servers of a real agent, through the collection: for a while, or for good.

No kernel has to balance: what is to be in its table is what the agent's status says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.agents import Agent, agents
from support.fleet import KACTL, Controller, require_ansible
from support.netns import network, wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

WEB = "192.0.2.10:80/TCP"
DNS = "[2001:db8::10]:53/UDP"
MARKED = "fwmark 7"


def real(number: int, weight: int = 10, port: int = 8080) -> dict[str, Any]:
    return {"address": f"10.0.0.{number}", "port": port, "weight": weight}


CONFIGURATION: dict[str, Any] = {
    "virtual_server": [
        {"address": "192.0.2.10", "port": 80, "protocol": "TCP", "real_server": [real(1), real(2)]},
        {"fwmark": 7, "real_server": [real(1), real(3), real(3, port=8081)]},
        {
            "address": "2001:db8::10", "port": 53, "protocol": "UDP",
            "real_server": [{"address": "2001:db8::1", "port": 53, "weight": 3}],
        },
    ]
}  # fmt: skip


class Balancer:
    """One agent and a controller."""

    def __init__(self, agent: Agent, controller: Controller) -> None:
        self.agent = agent
        self.controller = controller
        self._node = {"run_dir": str(agent.run_dir)}

    def server(self, address: str, virtual_server: str = WEB, *options: str, **arguments: Any) -> dict[str, Any]:
        arguments.setdefault("port", 8080)
        said = {"virtual_server": virtual_server, "address": address, "executable": str(KACTL)} | self._node
        task = {"name": "it", "kactl.agent.real_server": said | arguments, "ignore_errors": True}
        outcome = self.controller.play(task, options=options)
        assert outcome.of("it"), outcome.output
        return outcome.of("it")[0]

    def maintain(self, state: str, address: str, *options: str, ttl: int = 0, **which: Any) -> dict[str, Any]:
        meant = {"address": address} | which
        said: dict[str, Any] = {"state": state, "real_server": meant, "ttl": ttl} | self._node
        return self.controller.task("maintenance", options=options, **said)

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Of each virtual server in the order of the configuration, those in force."""
        status = self.agent.status() or {"ipvs": {"virtual_servers": []}}  # it may not answer in time
        return {
            str(each.get("address") or each.get("fwmark")): tuple(
                real["effective_weight"] for real in each["real_servers"]
            )
            for each in status["ipvs"]["virtual_servers"]
        }

    def wait_weights(self, **wanted: tuple[int, ...]) -> None:
        expected = {"192.0.2.10": wanted["web"], "7": wanted["marked"], "2001:db8::10": wanted["dns"]}
        wait_for(lambda: self.weights() == expected, 10, f"{expected} in force; there is {self.weights()}")

    def kept(self) -> list[list[tuple[str, int]]]:
        """The real servers of the configuration file and their weights."""
        said = self.controller.task(
            "config", state="gathered", path=str(self.agent.config), executable=str(KACTL), **self._node
        )
        return [
            [(real["address"], real.get("weight", 1)) for real in each.get("real_server", [])]
            for each in said["gathered"]["virtual_server"]
        ]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    require_ansible()
    with network(1) as net:
        folder = tmp_path_factory.mktemp("balancer")
        agent = Agent(net.nodes[0], folder / "agent", CONFIGURATION)
        (folder / "controller").mkdir()
        with agents(agent):
            agent.wait_running()
            yield Balancer(agent, Controller(folder / "controller", {"lb1": {}}))


@pytest.fixture
def balancer(running: Balancer) -> Iterator[Balancer]:
    """With the configuration in force, and nothing ordered."""
    running.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))
    yield running
    running.agent.configure(CONFIGURATION)
    node = {"run_dir": str(running.agent.run_dir)}
    tasks: list[dict[str, Any]] = [{"kactl.agent.reload": node}]
    for number, virtual_server in enumerate((WEB, MARKED), 1):
        for address in ("10.0.0.1", f"10.0.0.{number + 1}"):
            said = {"virtual_server": virtual_server, "address": address, "state": "active"}
            tasks.append({"kactl.agent.real_server": said | node})
    outcome = running.controller.play(*tasks)
    assert outcome.status == 0, outcome.output


def test_a_weight_for_a_while(balancer: Balancer) -> None:
    before = balancer.agent.config.read_bytes()
    assert balancer.server("10.0.0.1", WEB, "--check", weight=1)["changed"]
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))
    assert not balancer.server("10.0.0.1", weight=10)["changed"], "the configuration's own"
    done = balancer.server("10.0.0.1", weight=1, reason="a tenth")
    assert done["changed"], done
    assert done["real_server"]["name"] == f"10.0.0.1:8080 of {WEB}"
    assert (done["real_server"]["weight"], done["real_server"]["effective_weight"]) == (10, 1)
    balancer.wait_weights(web=(1, 10), marked=(10, 10, 10), dns=(3,))
    assert not balancer.server("10.0.0.1", weight=1)["changed"]
    assert not balancer.server("10.0.0.1")["changed"], "it is there, and no weight is asked for"
    balancer.agent.configure({"virtual_server": [CONFIGURATION["virtual_server"][0] | {"lb_algo": "rr"}]})
    reloaded = balancer.controller.task("reload", run_dir=str(balancer.agent.run_dir))
    assert reloaded["changed"]
    wait_for(lambda: balancer.weights() == {"192.0.2.10": (1, 10)}, 10, "a reload keeps the order")
    balancer.agent.config.write_bytes(before)
    balancer.controller.task("reload", run_dir=str(balancer.agent.run_dir))
    assert balancer.server("10.0.0.1", state="active")["changed"]
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))
    assert not balancer.server("10.0.0.1", state="active")["changed"]
    assert balancer.agent.config.read_bytes() == before


def test_drained_in_one_virtual_server(balancer: Balancer) -> None:
    done = balancer.server("10.0.0.1", state="drained", reason="new disk")
    assert done["changed"], done
    assert (done["real_server"]["drained"], done["real_server"]["effective_weight"]) == (True, 0)
    balancer.wait_weights(web=(0, 10), marked=(10, 10, 10), dns=(3,))
    assert not balancer.server("10.0.0.1", state="drained")["changed"]
    events = balancer.controller.task("info", run_dir=str(balancer.agent.run_dir), gather_subset=["events"])["events"]
    assert any("new disk" in json.dumps(each) for each in events)
    assert balancer.server("10.0.0.1", state="active")["changed"]
    assert balancer.server("10.0.0.3", MARKED, state="drained", port=8081)["changed"]
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 0), dns=(3,))


def test_a_drain_ends_by_itself(balancer: Balancer) -> None:
    done = balancer.server("2001:DB8:0::1", "[2001:db8:0::10]:53/udp", port=53, state="drained", ttl=5)
    assert done["changed"], done
    # as its agent had it then: until Ansible has ended, it may be over
    assert (done["real_server"]["drained"], done["real_server"]["effective_weight"]) == (True, 0)
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))


def test_one_more_for_good_and_one_less(balancer: Balancer) -> None:
    before = balancer.agent.config.read_bytes()
    more: dict[str, Any] = {"keep": True, "weight": 4, "options": {"TCP_CHECK": {"connect_timeout": 3}}}
    planned = balancer.server("10.0.0.4", WEB, "--check", "--diff", **more)
    assert planned["changed"], planned
    assert planned["plan"]["class"] == "hitless"
    assert "10.0.0.4" in json.dumps(planned["diff"])
    assert balancer.agent.config.read_bytes() == before
    done = balancer.server("10.0.0.4", **more)
    assert done["plan"]["class"] == "hitless"
    assert done["real_server"]["weight"] == 4
    assert balancer.kept()[0] == [("10.0.0.1", 10), ("10.0.0.2", 10), ("10.0.0.4", 4)]
    assert not balancer.server("10.0.0.4", **more)["changed"]
    gone = balancer.server("10.0.0.4", state="absent", keep=True)
    assert gone["changed"], gone
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))
    assert not balancer.server("10.0.0.4", state="absent", keep=True)["changed"]
    assert balancer.kept()[0] == [("10.0.0.1", 10), ("10.0.0.2", 10)]


def test_drained_for_good(balancer: Balancer) -> None:
    assert balancer.server("10.0.0.2", state="drained", keep=True)["changed"]
    balancer.wait_weights(web=(10, 0), marked=(10, 10, 10), dns=(3,))
    assert not balancer.server("10.0.0.2", state="drained", keep=True)["changed"]
    which = balancer.server("10.0.0.2", state="active", keep=True)
    assert which["failed"]
    assert "needs weight" in which["msg"]
    assert balancer.server("10.0.0.2", state="active", keep=True, weight=10)["changed"]
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))


def test_what_cannot_be_done_says_why(balancer: Balancer) -> None:
    before = balancer.agent.config.read_bytes()
    missing = balancer.server("10.0.0.9", weight=1)
    assert missing["msg"].startswith(f"there is no real server 10.0.0.9:8080 of {WEB}; virtual servers: {WEB}")
    nowhere = balancer.server("10.0.0.1", "192.0.2.99:80/TCP", weight=1)
    assert nowhere["msg"].startswith("there is no real server 10.0.0.1:8080 of 192.0.2.99:80/TCP")
    unkept = balancer.server("10.0.0.1", "192.0.2.99:80/TCP", keep=True)
    assert unkept["failed"], "a virtual server is not made by the way"
    assert "there is no virtual server 192.0.2.99:80/TCP" in unkept["msg"]
    wrong = balancer.server("10.0.0.1", keep=True, options={"wieght": 3})
    assert wrong["failed"]
    assert "wieght" in wrong["msg"]
    for keep in (False, True):
        assert "from 0 to 65535" in balancer.server("10.0.0.1", weight=70_000, keep=keep)["msg"]
    assert "keep" in balancer.server("10.0.0.1", state="absent")["msg"]
    assert "weight is for state present" in balancer.server("10.0.0.1", state="drained", weight=1)["msg"]
    assert balancer.agent.config.read_bytes() == before
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))


def test_maintenance_of_a_real_server_everywhere_and_in_one(balancer: Balancer) -> None:
    assert balancer.maintain("drained", "10.0.0.1", "--check")["changed"]
    done = balancer.maintain("drained", "10.0.0.1")
    assert done["changed"], done
    assert done["drained"] == [f"10.0.0.1:8080 of {WEB}", f"10.0.0.1:8080 of {MARKED}"]
    balancer.wait_weights(web=(0, 10), marked=(0, 10, 10), dns=(3,))
    assert not balancer.maintain("drained", "10.0.0.1")["changed"]
    one = balancer.maintain("active", "10.0.0.1", virtual_server=MARKED, port=8080)
    assert one["changed"]
    assert one["drained"] == []
    balancer.wait_weights(web=(0, 10), marked=(10, 10, 10), dns=(3,))
    assert balancer.maintain("active", "10.0.0.1")["changed"]
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))
    both = balancer.maintain("drained", "10.0.0.3", virtual_server=MARKED, ttl=3)
    assert both["drained"] == [f"10.0.0.3:8080 of {MARKED}", f"10.0.0.3:8081 of {MARKED}"]
    balancer.wait_weights(web=(10, 10), marked=(10, 10, 10), dns=(3,))
    assert balancer.maintain("drained", "10.0.0.9")["failed"]
