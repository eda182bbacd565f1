"""What is left in IPVS and in nftables by a checkers worker that died, and who takes it away."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.marks import Marked
from kactl_agent.ipvs.model import AF_INET, Service, ServiceKey, SyncDaemon, Timeouts
from kactl_agent.ipvs.settings import (
    CheckersSettings,
    MarksSettings,
    Members,
    SyncDaemonSettings,
    VirtualServerSettings,
)
from kactl_agent.kernel.fake_ipvs import FakeIpvs
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipvs_leftovers import reclaim_at_end, reclaim_replaced

DAEMON = SyncDaemon(False, "eth0", 51)
GROUP = VirtualServerSettings(
    name="[g]:0", protocol=6, group="g", members=(Members(AF_INET, 6, bytes((10, 0, 0, 9)), 2, 80),)
)


class Marks:
    """nftables in memory: the names of its tables."""

    def __init__(self, error: int = 0) -> None:
        self.tables: set[str] = set()
        self.error = error

    def install(self, settings: MarksSettings, marked: Sequence[Marked]) -> str:
        self.tables.add(settings.table)
        return ""

    def discard(self, settings: MarksSettings) -> None:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        self.tables.discard(settings.table)

    def close(self) -> None: ...


class Machine:
    """Services of `names`, a sync daemon, a table of marks, and things of others."""

    def __init__(self, *names: int, daemon: SyncDaemon | None = None, table: str = "", lacks_nftables: int = 0) -> None:
        self.ipvs = FakeIpvs()
        self.marks = Marks(lacks_nftables)
        self.opened: list[str | None] = []
        foreign = ServiceKey(AF_INET, 6, bytes((10, 9, 9, 9)), 80)
        keys = [ServiceKey(AF_INET, 6, bytes((10, 0, 0, number)), 80) for number in names]
        for key in (foreign, *keys, *([ServiceKey(AF_INET, fwmark=1000)] if table else [])):
            self.ipvs.table[key] = (Service(key, "rr"), {})
        self.ipvs.apply([genl.encode_new_daemon(daemon)] if daemon is not None else [])
        self.marks.tables = {"foreign", *([table] if table else [])}

    def open(self, namespace: str | None) -> FakeIpvs:
        self.opened.append(namespace)
        return self.ipvs

    def open_marks(self, namespace: str | None) -> Marks:
        self.opened.append(namespace)
        return self.marks

    def reclaim(self, *before: AgentConfiguration, now: AgentConfiguration | None = None) -> int:
        if now is None:
            return reclaim_at_end(list(before), self.open, self.open_marks)
        return reclaim_replaced(list(before), now, self.open, self.open_marks)

    @property
    def services(self) -> list[int]:
        return [key.address[3] if key.address else key.fwmark for key in self.ipvs.table]


def of(*numbers: int, namespace: str | None = None, **more: Any) -> AgentConfiguration:
    servers = tuple(
        VirtualServerSettings(
            name=f"[10.0.0.{number}]:tcp:80",
            protocol=6,
            members=(Members(AF_INET, 6, bytes((10, 0, 0, number)), 1, 80),),
        )
        for number in numbers
    )
    settings = msgspec.structs.replace(CheckersSettings(), **{"virtual_servers": servers} | more)
    process = ProcessSettings(namespace_ipvs=namespace)
    return AgentConfiguration(revision="1", file="f", checkers=msgspec.msgpack.encode(settings), process=process)


NOTHING = AgentConfiguration(revision="2", file="f")


def test_services_that_only_the_configuration_before_has_go() -> None:
    machine = Machine(1, 2)
    assert machine.reclaim(of(1, 2), now=of(2)) == 0
    assert machine.services == [9, 2]
    assert machine.reclaim(of(1, 2)) == 0
    assert machine.services == [9]


@pytest.mark.parametrize("now", [None, NOTHING, of(1)])
def test_a_sync_daemon_goes_when_nobody_has_one(now: AgentConfiguration | None) -> None:
    machine = Machine(daemon=DAEMON._replace(master=True))
    machine.ipvs.apply([genl.encode_new_daemon(SyncDaemon(False, "eth1", 7))])
    assert machine.reclaim(of(1, sync_daemon=SyncDaemonSettings(daemon=DAEMON, instance="VI")), now=now) == 0
    assert [daemon.interface for daemon in machine.ipvs.sync_daemons.values()] == ["eth1"]


def test_a_sync_daemon_that_follows_another_one_is_the_next_workers_matter() -> None:
    machine = Machine(daemon=DAEMON)
    other = SyncDaemonSettings(daemon=DAEMON._replace(sync_id=9))
    machine.reclaim(of(sync_daemon=SyncDaemonSettings(daemon=DAEMON)), now=of(sync_daemon=other))
    assert machine.ipvs.sync_daemons == {False: DAEMON}


@pytest.mark.parametrize(
    ("now", "tables"),
    [
        (None, {"foreign"}),
        (NOTHING, {"foreign"}),
        (of(1, marks=MarksSettings(table="t")), {"foreign"}),  # nobody has a mark
        (of(virtual_servers=(GROUP,), marks=MarksSettings(table="other")), {"foreign"}),
        (of(virtual_servers=(GROUP,), marks=MarksSettings(table="t")), {"foreign", "t"}),
    ],
)
def test_a_table_of_marks_that_nobody_makes_goes(now: AgentConfiguration | None, tables: set[str]) -> None:
    machine = Machine(table="t")
    assert machine.reclaim(of(virtual_servers=(GROUP,), marks=MarksSettings(table="t")), now=now) == 0
    assert machine.marks.tables == tables


def test_without_nftables_there_is_no_table() -> None:
    machine = Machine(1, lacks_nftables=errno.EOPNOTSUPP)
    assert machine.reclaim(of(1, virtual_servers=(GROUP,), marks=MarksSettings())) == 0


def test_idle_timeouts_are_put_back_where_they_are_known() -> None:
    machine = Machine(1)
    machine.ipvs.idle = Timeouts(100, 120, 300)
    assert machine.reclaim(of(1)) == 0
    assert machine.ipvs.idle == Timeouts(100, 120, 300)
    before = Timeouts(900, 120, 300)
    assert reclaim_at_end([of(1, namespace="lvs")], machine.open, machine.open_marks, before=before) == 0
    assert machine.ipvs.idle == before
    assert set(machine.opened) <= {None, "lvs"}
    assert machine.opened[-1] == "lvs"


def test_where_the_services_are() -> None:
    machine = Machine(1)
    machine.reclaim(of(namespace="lvs", virtual_servers=(GROUP,), marks=MarksSettings()), of(1, namespace="lvs"))
    assert machine.opened == ["lvs"] * 3
    assert machine.services == [9]


def test_what_ipvs_refuses_to_delete_is_a_failure() -> None:
    machine = Machine(1)
    machine.ipvs.refuse = lambda _request: errno.EBUSY
    assert machine.reclaim(of(1)) == 1
