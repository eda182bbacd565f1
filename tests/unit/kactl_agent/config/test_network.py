"""What instances share on a machine: limits and messages of keepalived (seen with 2.2.7)."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.check import check
from kactl_agent.config.resolve import resolve
from kactl_agent.vrrp.network_settings import LinkDelays, NetlinkBuffer, NetworkSettings, PaceGroup, PaceSettings
from kactl_agent.vrrp.settings import SECOND

ON_ETH1 = "virtual_ipaddress_excluded: [{address: 192.0.2.11/24, dev: eth1}]"
INSTANCE = "interface: eth0, virtual_router_id: 51, version: 3, virtual_ipaddress: [192.0.2.10/24]"


def made(text: str, instance: str = "") -> tuple[NetworkSettings, list[str]]:
    document = bind(f"{text}\nvrrp_instance:\n  VI: {{{INSTANCE}, {instance}}}\n", "agent.yaml")
    assert document.diagnostics == []
    resolution = resolve(document)
    assert resolution.diagnostics == []
    return resolution.settings.network, [d.message for d in check(document)]


def test_delays_are_taken_as_said() -> None:
    network, messages = made(
        "interface_up_down_delays: [{interface: eth0, down: 1.5, up: 20}, {interface: eth1, down: 30}]"
    )
    assert network.delays == (
        LinkDelays("eth0", 1_500_000_000, 20 * SECOND),
        LinkDelays("eth1", 30 * SECOND),
    ), "nobody limits what is not an instance's own"
    assert messages == []


@pytest.mark.parametrize(
    ("instance", "down", "message"),
    [
        ("advert_int: 1", 1_996_093_750, "becomes 1.996093"),
        ("advert_int: 0.1", 199_609_375, "becomes 0.199609"),
        ("advert_int: 1, down_timer_adverts: 1", 0, "`VI` waits for one advert alone"),
    ],
)
def test_a_down_delay_that_others_would_not_wait_for_is_shortened(instance: str, down: int, message: str) -> None:
    network, messages = made("interface_up_down_delays: [{interface: eth0, down: 10, up: 20}]", instance)
    assert network.delays == (LinkDelays("eth0", down, 20 * SECOND),)
    assert any(message in said for said in messages), messages


def test_an_interface_that_stands_twice_is_an_error() -> None:
    document = bind("interface_up_down_delays: [{interface: eth0, down: 1}, {interface: eth0, down: 2}]", "agent.yaml")
    assert [d.code for d in check(document)] == ["duplicate-interface"]


def test_a_pace_for_all_interfaces_and_groups_with_their_own() -> None:
    network, messages = made(
        "global_defs: {vrrp_garp_interval: 0.1, vrrp_gna_interval: 0.000001}\n"
        "garp_group: [{garp_interval: 0.5, interfaces: [eth0, eth1]}, {gna_interval: 2, interface: eth2}]"
    )
    assert network.pace == PaceSettings(
        100_000_000, 1000, (PaceGroup(("eth0", "eth1"), 500_000_000), PaceGroup(("eth2",), 0, 2 * SECOND))
    )
    assert messages == []


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("{interface: eth0}", "this garp_group has no interval and is left out"),
        ("{garp_interval: 1}", "this garp_group has no interface and does nothing"),
        ("{garp_interval: 1, interface: eth0}, {garp_interval: 2, interfaces: [eth1, eth0]}", "`eth0` is in a garp_"),
    ],
)
def test_groups_that_say_too_little_or_too_much(groups: str, message: str) -> None:
    """What -t of 2.2.7 says: `does not have any delay set - removing`, `already specified for n0 - ignoring`."""
    network, messages = made(f"garp_group: [{groups}]")
    assert any(message in said for said in messages), messages
    assert all(
        group.interfaces and (group.arp_interval or group.advertisement_interval) for group in network.pace.groups
    )


@pytest.mark.parametrize(
    ("of_all", "instance", "expected"),
    [
        ("", "", (0, 0)),
        ("vrrp_rx_bufs_policy: MTU", "", (0, 3)),
        ("vrrp_rx_bufs_policy: ADVERT, vrrp_rx_bufs_multiplier: 2", "", (64, 0)),
        ("vrrp_rx_bufs_policy: 7000", "", (7000, 0)),
        ("vrrp_rx_bufs_policy: MTU", "kernel_rx_buf_size: 5000", (5000, 0)),
        ("vrrp_rx_bufs_multiplier: 4", "kernel_rx_buf_size: 5000", (5000, 0)),
    ],
)
def test_receive_buffers_are_keepaliveds(of_all: str, instance: str, expected: tuple[int, int]) -> None:
    """`Rx buf size` of 2.2.7's dump: 4500 of MTU 1500, 64 of an advert of 32 bytes, 7000, 5000."""
    text = f"global_defs: {{{of_all}}}\nvrrp_instance:\n  VI: {{{INSTANCE}, {instance}}}\n"
    resolution = resolve(bind(text, "agent.yaml"))
    assert resolution.diagnostics == []
    (settings,) = resolution.settings.vrrp
    assert (settings.receive_buffer, settings.receive_buffer_mtus) == expected


def test_unknown_virtual_routers_are_said_on_request() -> None:
    assert not made("")[0].log_unknown_vrids
    assert made("global_defs: {log_unknown_vrids: true}")[0].log_unknown_vrids


@pytest.mark.parametrize(
    ("body", "codes", "uses"),
    [
        ("track_interface: [eth0]", ["own-interface"], ()),
        ("dont_track_primary: true, track_interface: [{name: eth0, weight: 10}]", ["own-interface"], ()),
        ("track_interface: [{name: eth1, weight: 10}]", [], (("eth1", 10),)),
        (f"{ON_ETH1}, track_interface: [{{name: eth1, weight: 10}}]", ["implicit-tracking"], (("eth1", 0),)),
        (f"{ON_ETH1}, track_interface: [eth1]", [], (("eth1", 0),)),
    ],
)
def test_interfaces_that_are_tracked_anyway(body: str, codes: list[str], uses: tuple[tuple[str, int], ...]) -> None:
    """2.2.7: `Ignoring track_interface n0 since own interface`; an address on a weighted interface that goes down is a
    fault."""
    document = bind(f"vrrp_instance:\n  VI: {{{INSTANCE}, {body}}}\n", "agent.yaml")
    assert [d.code for d in check(document)] == codes
    found = resolve(document).settings.tracking.uses.get("VI", ())
    assert tuple((use.tracker, use.weight) for use in found) == uses


@pytest.mark.parametrize(
    ("text", "instance", "expected"),
    [
        ("", "", {}),
        ("linkbeat_interfaces: [eth7, {interface: eth8, method: ETHTOOL}]", "", {"eth7": "", "eth8": "ETHTOOL"}),
        ("", "linkbeat_use_polling: true", {"eth0": ""}),
        ("linkbeat_use_polling: true", f"{ON_ETH1}, track_interface: [eth2]", {"eth0": "", "eth1": "", "eth2": ""}),
        ("linkbeat_use_polling: true\nlinkbeat_interfaces: [{interface: eth0, method: MII}]", "", {"eth0": "MII"}),
    ],
)
def test_interfaces_that_are_asked_for_their_link(text: str, instance: str, expected: dict[str, str]) -> None:
    document = bind(f"{text}\nvrrp_instance:\n  VI: {{{INSTANCE}, {instance}}}\n", "agent.yaml")
    assert {d.code for d in document.diagnostics} <= {"deprecated-keyword"}
    resolution = resolve(document)
    assert resolution.diagnostics == []
    assert resolution.settings.network.linkbeat == expected


def test_netlink_buffers() -> None:
    network, _ = made("global_defs: {vrrp_netlink_cmd_rcv_bufs: 100000, vrrp_netlink_monitor_rcv_bufs: 9000000, "
                      "vrrp_netlink_monitor_rcv_bufs_force: true, process_monitor_rcv_bufs: 7}")  # fmt: skip
    assert network.process_buffer == NetlinkBuffer(7)
    assert network.command_buffer == NetlinkBuffer(100_000)
    assert network.monitor_buffer == NetlinkBuffer(9_000_000, force=True)
    assert made("")[0].monitor_buffer == NetlinkBuffer()
