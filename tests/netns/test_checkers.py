"""Every checker in a real agent: up, down when its server fails, and up again. Servers are checked where the kernel has
no IPVS, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.agents import SLACK, START, Agent, agents
from support.check_servers import Do, certificate, datagram_server, dns_answer, page, server_context, stream_server
from support.netns import Network, inside, ip, network, wait_for

pytestmark = pytest.mark.root

CHECKERS = (
    *("TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK", "MISC_CHECK"),
    "FILE_CHECK",
)


@pytest.fixture
def net() -> Iterator[Network]:
    with network(2) as made:
        yield made


class Servers:
    """On the second node; `well` decides what they answer."""

    def __init__(self, net: Network, folder: Path) -> None:
        self.net = net
        self.folder = folder
        self.well = True
        self.flag = folder / "well"
        self.value = folder / "value"
        self.script = folder / "check.sh"
        self.script.write_text(f"#!/bin/sh\n[ -e {self.flag} ] && exit 7\nexit 1\n")
        self.script.chmod(0o755)

    def web(self, _number: int) -> tuple[Any, ...]:
        return (Do.READ, page() if self.well else page(status=503))

    def mail(self, _number: int) -> tuple[Any, ...]:
        greeting = b"220 hi\r\n" if self.well else b"421 closing\r\n"
        return (greeting, Do.READ, b"250 ok\r\n", Do.READ, b"221 bye\r\n")

    def start(self, stack: ExitStack) -> dict[str, int]:
        """The port of each."""
        pair = certificate(self.folder)
        stack.enter_context(inside(self.net.nodes[1].namespace))
        return {
            "HTTP_GET": stack.enter_context(stream_server(script=self.web, address="0.0.0.0")).port,
            "SSL_GET": stack.enter_context(
                stream_server(script=self.web, address="0.0.0.0", tls=server_context(*pair))
            ).port,
            "SMTP_CHECK": stack.enter_context(stream_server(script=self.mail, address="0.0.0.0")).port,
            "DNS_CHECK": stack.enter_context(
                datagram_server(lambda data: dns_answer(0 if self.well else 2)(data), "0.0.0.0")
            ).port,
            "UDP_CHECK": stack.enter_context(
                datagram_server(lambda data: [b"yes" if self.well else b"no"], "0.0.0.0")
            ).port,
        }

    def be(self, *, well: bool) -> None:
        self.well = well
        self.value.write_text("0\n" if well else "5\n")
        if well:
            self.flag.touch()
        else:
            self.flag.unlink()
        ip("link", "set", "eth1", "up" if well else "down", namespace=self.net.nodes[1].namespace)

    def configuration(self, ports: dict[str, int]) -> dict[str, Any]:
        host = self.net.nodes[1].ipv4
        quick = {"connect_timeout": 2, "retry": 0, "delay_loop": 1, "warmup": 0, "delay_before_retry": 1}
        web = {"url": [{"path": "/a"}], "fast_recovery": True, **quick}
        blocks: dict[str, dict[str, Any]] = {
            "TCP_CHECK": {**quick, "connect_ip": "203.0.113.2", "connect_port": ports["HTTP_GET"]},
            "HTTP_GET": web,
            "SSL_GET": web,
            "SMTP_CHECK": quick,
            "DNS_CHECK": {**quick, "type": "A", "name": "x.example"},
            "UDP_CHECK": {**quick, "payload": "ask", "require_reply": "yes"},
            "PING_CHECK": {**quick, "connect_ip": "203.0.113.2"},
            "MISC_CHECK": {
                "misc_path": str(self.script), "misc_dynamic": True, "user": "root", "delay_loop": 1, "warmup": 0,
            },
            "FILE_CHECK": {"track_file": "f", "weight": 0},
        }  # fmt: skip
        reals = []
        for number, keyword in enumerate(CHECKERS):
            reals.append({"address": host, "port": ports.get(keyword, 1 + number), keyword: blocks[keyword]})
        virtual = {"address": "192.0.2.10", "port": 80, "protocol": "TCP", "lb_algo": "rr", "lb_kind": "NAT"}
        return {"track_file": {"f": {"file": str(self.value)}}, "virtual_server": [{**virtual, "real_server": reals}]}


def verdicts(agent: Agent) -> dict[str, bool]:
    """What each checker says, once it has a result."""
    status = agent.status()
    servers = status["ipvs"]["virtual_servers"] if status else []
    found = [checker for server in servers for real in server["real_servers"] for checker in real["checkers"]]
    return {checker["type"]: checker["up"] for checker in found if checker["last_run"]}


def _say(agent: Agent, expected: dict[str, bool]) -> bool:
    return verdicts(agent) == expected


def test_every_checker_goes_down_and_comes_back(net: Network, tmp_path: Path) -> None:
    net.add_lan("eth1", "203.0.113")
    servers = Servers(net, tmp_path)
    servers.be(well=True)
    with ExitStack() as stack:
        ports = servers.start(stack)
        agent = Agent(net.nodes[0], tmp_path / "agent", servers.configuration(ports))
        with agents(agent):
            agent.wait_running()
            for well in (True, False, True):
                servers.be(well=well)
                what = f"all {'up' if well else 'down'}: {verdicts(agent)}; log:\n{agent.log[-3000:]}"
                wait_for(partial(_say, agent, dict.fromkeys(CHECKERS, well)), START + SLACK, what)
                if well:
                    assert weight_of(agent, "MISC_CHECK") == 5
            assert agent.stop() == 0


def weight_of(agent: Agent, keyword: str) -> int:
    """The effective weight of the real server with this checker."""
    status = agent.status()
    assert status is not None
    (server,) = status["ipvs"]["virtual_servers"]
    return next(
        int(real["effective_weight"]) for real in server["real_servers"] if real["checkers"][0]["type"] == keyword
    )
