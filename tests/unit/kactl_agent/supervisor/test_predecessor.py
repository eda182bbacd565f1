"""What the run directory says of the machine, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kactl_agent.kernel.fake import FakeKernel
from kactl_agent.kernel.routes import RouteOperation
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.on_the_machine import OnTheMachine, of
from kactl_agent.runtime.vrrp_leftovers import reclaim_difference
from kactl_agent.supervisor.predecessor import Record
from kactl_agent.supervisor.run_dir import RunDirectory
from kactl_agent.vrrp.firewall import FirewallSettings
from kactl_agent.vrrp.settings import Family, VirtualAddress
from kactl_agent.vrrp.static_items import StaticAddress, StaticItems
from support.routing import hop, route
from support.vrrp import make_settings, packed

ROUTE = route("203.0.113.0/28", hop("192.0.2.254", "eth0"))
NOTHING_STATIC = StaticItems()
OTHER_ROUTE = route("203.0.113.16/28", hop("192.0.2.254", "eth0"))


def address(last: int) -> VirtualAddress:
    return VirtualAddress(packed(f"192.0.2.{last}"), 24, "eth0")


def configuration(*addresses: VirtualAddress, static: StaticItems = NOTHING_STATIC) -> AgentConfiguration:
    instance = make_settings(addresses=addresses, auth_password=b"s3cret77")
    return AgentConfiguration(revision="r", file="/etc/kactl/agent.yaml", vrrp=(instance,), static=static)


class Bench:
    def __init__(self, path: Path) -> None:
        self.said: list[str] = []
        self.path = path
        self.record = Record(RunDirectory(path), lambda _level, text: self.said.append(text))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_is_written_is_read_until_it_is_removed(bench: Bench) -> None:
    assert bench.record.read() == ()
    bench.record.write([configuration(address(1))])
    assert bench.record.read() == (of(configuration(address(1))),)
    bench.record.write([configuration(address(2))])
    assert bench.record.read() == (of(configuration(address(2))),)
    bench.record.remove()
    bench.record.remove()
    assert bench.record.read() == ()
    assert bench.said == []


def test_in_the_middle_of_a_reload_it_says_both(bench: Bench) -> None:
    one, two = configuration(address(1)), configuration(address(2))
    bench.record.write([one, two, one])
    assert bench.record.read() == (of(one), of(two))
    bench.record.write([two])
    assert bench.record.read() == (of(two),)
    file = bench.path / "machine.msgpack"
    file.unlink()
    bench.record.write([configuration(address(2))])
    assert not file.exists(), "what is said already is not written again"


def test_it_is_for_its_owner_and_has_no_secrets(bench: Bench) -> None:
    bench.record.write([configuration(address(1))])
    file = bench.path / "machine.msgpack"
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"s3cret77" not in file.read_bytes()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x81\xa9addresses\x01"])
def test_what_cannot_be_read_is_passed_over_and_said(bench: Bench, content: bytes) -> None:
    (bench.path / "machine.msgpack").write_bytes(content)
    assert bench.record.read() == ()
    assert "cannot be read" in bench.said[0]


def test_a_link_in_its_place_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    bench.record.write([configuration(address(1))])
    (bench.path / "machine.msgpack").rename(tmp_path / "elsewhere")
    (bench.path / "machine.msgpack").symlink_to(tmp_path / "elsewhere")
    assert bench.record.read() == ()


def test_a_directory_that_takes_no_file_is_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "missing")
    bench.record.write([configuration(address(1))])
    assert "the next one cannot know" in bench.said[0]


def machine(*addresses: VirtualAddress) -> FakeKernel:
    kernel = FakeKernel()
    kernel.links.add_link("eth0")
    kernel.links.add_address("eth0", packed("192.0.2.200"), 24)
    kernel.addresses.apply((), addresses, kernel.links)
    kernel.links.drain()
    return kernel


def hosts(kernel: FakeKernel) -> set[int]:
    return {entry.address[3] for entry in kernel.links.addresses("eth0")}


def test_what_is_configured_still_is_the_workers_matter() -> None:
    kernel = machine(address(1), address(2), address(3))
    static = StaticItems(addresses=(StaticAddress(address(3)),))
    left = of(configuration(address(1), address(2), static=static))
    assert reclaim_difference(kernel, left, of(configuration(address(2))), marks=False) == []
    assert hosts(kernel) == {2, 200}


def test_the_same_settings_leave_all_as_it_is() -> None:
    kernel = machine(address(1))
    kept = of(configuration(address(1)))
    assert reclaim_difference(kernel, kept, kept, marks=False) == []
    assert hosts(kernel) == {1, 200}


def test_routes_go_unless_they_are_configured() -> None:
    kernel = machine(address(1))
    left, now = OnTheMachine(routes=(ROUTE, OTHER_ROUTE)), OnTheMachine(routes=(OTHER_ROUTE,))
    kernel.routing.apply([RouteOperation(ROUTE, False), RouteOperation(OTHER_ROUTE, False)], kernel.links)
    assert reclaim_difference(kernel, left, now, marks=False) == []
    assert [each.destination for each in kernel.routing.routes] == [OTHER_ROUTE.destination]


def test_another_table_of_the_firewall_goes() -> None:
    kernel = machine()
    old = FirewallSettings(families=(Family.IPV4,), table="old")
    kernel.firewall.install(old, ())
    assert reclaim_difference(kernel, OnTheMachine(firewall=old), OnTheMachine(), marks=False) == []
    assert kernel.firewall.settings is None
