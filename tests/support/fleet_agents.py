"""Stand-ins for agents, for tests of what drives many of them: what they are asked and told changes what they are.

Stand-ins of one `Segment` hear each other. The one that a virtual router's configuration prefers is master, where it
is not drained and has the interface.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from kactl_agent.control.protocol import (
    CONFIGURATION_INVALID,
    CONFIRM_FAILED,
    DRAIN_FAILED,
    NOT_READY,
    RELOAD_FAILED,
    UNKNOWN_SUBJECT,
    ControlError,
    Parameters,
)
from kactl_agent.control.server import Answer, Method
from support.control_agent import FakeService, serve

INTERFACES = ("eth0", "lo")


@dataclass
class Segment:
    """A LAN, and who is on it."""

    agents: list[StandIn] = field(default_factory=list)

    def master(self, virtual_router_id: int, without: StandIn | None = None) -> StandIn | None:
        able = [each for each in self.agents if each is not without and each.bid(virtual_router_id) is not None]
        return max(able, key=lambda each: each.bid(virtual_router_id) or 0, default=None)


class StandIn(FakeService):
    """One agent with a configuration file, of which it puts texts in force, on probation too."""

    def __init__(self, folder: Path, config: dict[str, Any], segment: Segment | None = None, number: int = 1) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.run_dir.mkdir(parents=True)
        self.file = folder / "etc" / "agent.yaml"
        self.file.parent.mkdir()
        self.file.write_text(json.dumps(config))
        super().__init__({})
        self.address = f"10.0.0.{number}"
        self.segment = segment or Segment()
        self.segment.agents.append(self)
        self.text = self.file.read_text()
        self.previous: str | None = None
        self.rejected = ""  # revision
        self.pending: dict[str, Any] | None = None
        self.drained: dict[str, str] = {}  # instance -> reason
        self.holds: list[int] = []  # seconds of the drains that were asked for
        self.ordered: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuse_undrains = 0  # so many
        self.not_granted = ""  # what a new configuration needs and its unit does not grant
        self.clock = 0.0
        self.look_seconds = 0.0  # of its own time that pass with each look at its state
        self.said: list[str] = []  # methods that change something, in order

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load(self.text) or {}
        return config

    @property
    def instances(self) -> dict[str, dict[str, Any]]:
        instances: dict[str, dict[str, Any]] = self.config.get("vrrp_instance", {})
        return instances

    @property
    def revision(self) -> str:
        return _revision(self.text)

    def bid(self, virtual_router_id: int) -> int | None:
        """Its priority in an election; None when it takes no part."""
        for name, it in self.instances.items():
            if it["virtual_router_id"] == virtual_router_id:
                able = name not in self.drained and it.get("interface", "eth0") in INTERFACES
                return int(it.get("priority", 100)) if able else None
        return None

    def state(self, name: str) -> str:
        it = self.instances[name]
        if it.get("interface", "eth0") not in INTERFACES:
            return "FAULT"
        return "MASTER" if self.segment.master(it["virtual_router_id"]) is self else "BACKUP"

    def _instance(self, name: str, it: dict[str, Any]) -> dict[str, Any]:
        state = self.state(name)
        master = self.segment.master(it["virtual_router_id"])
        return {
            "state": state,
            "interface": it.get("interface", "eth0"),
            "virtual_router_id": it["virtual_router_id"],
            "family": "ipv4",
            "virtual_ipaddress": it.get("virtual_ipaddress", []),
            "virtual_ipaddress_excluded": it.get("virtual_ipaddress_excluded", []),
            "drained": {"by": name, "reason": self.drained[name]} if name in self.drained else None,
            "master": master.address if master is not None else None,
            "source_address": self.address,
            "faults": [f"interface {it['interface']} does not exist"] if state == "FAULT" else [],
        }

    def _virtual_server(self, it: dict[str, Any]) -> dict[str, Any]:
        servers = []
        name = f"{it['address']}:{it['port']}/{it.get('protocol', 'TCP')}".lower()
        for real in it.get("real_server", []):
            ordered = self.ordered.get((name, f"{real['address']}:{real['port']}"))
            weight = real.get("weight", 1)
            effective = ordered["weight"] if ordered else weight
            servers.append(
                {
                    "address": real["address"],
                    "port": real["port"],
                    "weight": weight,
                    "effective_weight": effective,
                    "alive": True,
                    "ordered": ordered,
                }
            )
        known = {key: it[key] for key in ("address", "port", "protocol")}
        return known | {"real_servers": servers}

    # -- what it is asked ----------------------------------------------------------------------------------------------

    @property
    def methods(self) -> dict[str, Method]:
        return {
            "status": self.status,
            "plan": self.plan,
            "reload": self.reload,
            "confirm": self.confirm,
            "rollback": self.rollback,
            "drain": self.drain,
            "undrain": self.undrain,
            "real_server": self.real_server,
        }

    def status(self, _parameters: Parameters, answer: Answer) -> None:
        self.clock += self.look_seconds
        if self.pending and self.clock >= self.pending["until"]:
            self._go_back()
        pending = {"pending_confirmation": self.pending} if self.pending else {}
        agent = {
            "version": "0.1.0", "pid": os.getpid(), "config_file": str(self.file), "config_revision": self.revision,
        }  # fmt: skip
        vrrp = {name: self._instance(name, it) for name, it in self.instances.items()}
        answer(
            {
                "schema_version": 1,
                "as_of": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "agent": agent | pending,
                "vrrp": {"instances": vrrp, "sync_groups": {}},
                "ipvs": {"virtual_servers": [self._virtual_server(it) for it in self.config.get("virtual_server", [])]},
                "bfd": {"instances": {}},
            }
        )

    def _read(self, parameters: Parameters) -> str:
        """The new text. As a service without any privilege it reads nothing but what stands in its own folder."""
        name = parameters.text("file")
        if name and Path(name).resolve().parent != self.file.parent:
            raise ControlError(CONFIGURATION_INVALID, f"{name}: cannot be read: Permission denied")
        return (Path(name) if name else self.file).read_text()

    def plan(self, parameters: Parameters, answer: Answer) -> None:
        new = self._read(parameters)
        changed = _revision(new) != self.revision
        changes = [{"subject": "all", "class": "hitless", "text": "another configuration"}] if changed else []
        answer(
            {
                "schema_version": 1,
                "valid": True,
                "revision": {"current": self.revision, "new": _revision(new)},
                "class": "hitless" if changed else "no-op",
                "peer_incompatible": False,
                "refused": self._refusal(new),
                "capabilities": ["CAP_KILL", *([self.not_granted] if self.not_granted else [])],
                "changes": changes,
                "left_out": 0,
                "report": [],
                "errors": 0,
                "warnings": 0,
            }
        )

    def _refusal(self, new: str) -> str:
        return f"VRRP needs {self.not_granted}" if self.not_granted and _revision(new) != self.revision else ""

    def reload(self, parameters: Parameters, answer: Answer) -> None:
        if self.pending:
            raise ControlError(RELOAD_FAILED, f"configuration {self.pending['revision']} waits to be confirmed")
        self.said.append("reload")
        new = self._read(parameters)
        if refusal := self._refusal(new):
            raise ControlError(RELOAD_FAILED, refusal)
        self.file.write_text(new)
        if new != self.text:
            self.previous, self.text, self.rejected = self.text, new, ""
            if seconds := parameters.number("confirm_s", 0, 1, 86400):
                self.pending = {"revision": self.revision, "until": self.clock + seconds}
        answer({"revision": self.revision, "changes": None, "message": "reloaded"})

    def _go_back(self) -> None:
        assert self.previous is not None
        self.rejected, self.text = self.revision, self.previous
        self.previous = self.pending = None
        self.file.write_text(self.text)

    def confirm(self, parameters: Parameters, answer: Answer) -> None:
        revision = parameters.text("revision")
        if revision and revision != self.revision:
            raise ControlError(CONFIRM_FAILED, f"configuration {revision} is not in force: {self.revision} is")
        if not revision and not self.pending:
            raise ControlError(CONFIRM_FAILED, "nothing waits to be confirmed")
        self.said.append("confirm")
        already, self.pending = self.pending is None, None
        answer({"revision": self.revision, "confirmed": not already, "message": f"{self.revision} stays"})

    def rollback(self, parameters: Parameters, answer: Answer) -> None:
        revision = parameters.text("revision")
        self.said.append("rollback")
        if revision and revision != self.revision:
            message = f"configuration {revision} is not in force: {self.revision} is, and stays"
            answer({"revision": self.revision, "message": message, "rolled_back": False})
            return
        if self.previous is None:
            raise ControlError(RELOAD_FAILED, "there is nothing to go back to")
        self._go_back()
        answer({"revision": self.revision, "message": "gone back", "rolled_back": True})

    def _targets(self, parameters: Parameters) -> list[str]:
        return list(self.instances) if parameters.flag("all") else [parameters.text("target")]

    def drain(self, parameters: Parameters, answer: Answer) -> None:
        names = self._targets(parameters)
        for name in names:
            other = self.segment.master(self.instances[name]["virtual_router_id"], self)
            if parameters.flag("require_peer") and other is None:
                raise ControlError(DRAIN_FAILED, f"{name}: no other router took over")
        self.said.append("drain")
        self.drained.update(dict.fromkeys(names, parameters.text("reason")))
        self.holds.append(parameters.number("ttl_s", 0, 1, 10**9))
        answer({"drained": names, "message": f"drained: {', '.join(names)}"})

    def undrain(self, parameters: Parameters, answer: Answer) -> None:
        if self.refuse_undrains:
            self.refuse_undrains -= 1
            raise ControlError(NOT_READY, "no such order today")
        self.said.append("undrain")
        names = [name for name in self._targets(parameters) if self.drained.pop(name, None) is not None]
        answer({"undrained": names, "message": f"undrained: {', '.join(names)}"})

    def real_server(self, parameters: Parameters, answer: Answer) -> None:
        key = (parameters.text("virtual_server").lower(), parameters.text("real_server"))
        known = [
            (f"{it['address']}:{it['port']}/{it['protocol']}".lower(), f"{real['address']}:{real['port']}")
            for it in self.config.get("virtual_server", [])
            for real in it.get("real_server", [])
        ]
        if key not in known:
            raise ControlError(UNKNOWN_SUBJECT, f"there is no {key[1]} of {key[0]}")
        self.said.append("real_server")
        if parameters.flag("reset"):
            self.ordered.pop(key, None)
        else:
            drained = parameters.flag("drained")
            weight = 0 if drained else parameters.number("weight", 0, 0, 65535)
            self.ordered[key] = {"weight": weight, "drained": drained}
        answer({"servers": [key[1]], "message": f"ordered for {key[1]}"})


def _revision(text: str) -> str:
    """Of what a text means."""
    return hashlib.sha256(json.dumps(yaml.safe_load(text), sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def serving(*agents: StandIn) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for agent in agents:
            stack.enter_context(serve(agent.run_dir, agent))
        yield


def hosts_of(**agents: StandIn) -> dict[str, dict[str, Any]]:
    """What an inventory says of them."""
    return {
        host: {"agent_run_dir": str(agent.run_dir), "agent_config_path": str(agent.file)}
        for host, agent in agents.items()
    }
