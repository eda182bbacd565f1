"""Virtual servers: what is in force, and what is mended as keepalived 2.2.7 was seen to mend it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from kactl_agent.checkers.settings import AnyCheckerSettings
from kactl_agent.config.bind import bind
from kactl_agent.config.checks import virtual_server
from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.load_balancing import resolve_load_balancing
from kactl_agent.ipvs import model
from kactl_agent.ipvs.model import (
    AF_INET,
    AF_INET6,
    DIRECT_ROUTE,
    MASQUERADE,
    ONE_PACKET,
    PERSISTENT,
    SCHEDULER_1,
    SCHEDULER_2,
    TUNNEL,
    Forwarding,
    SyncDaemon,
    Timeouts,
)
from kactl_agent.ipvs.settings import (
    CheckersSettings,
    MarksSettings,
    Members,
    SyncDaemonSettings,
    VirtualServerSettings,
)
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.network_settings import NetlinkBuffer

NAT = Forwarding(MASQUERADE)


class NoCheckers:
    def resolve(self, path: Path, server: Any, real: Any, address: str, port: int) -> tuple[AnyCheckerSettings, ...]:
        return ()


def packed(text: str) -> bytes:
    return ip_address(text).packed


def resolved(text: str) -> tuple[CheckersSettings, list[str]]:
    document = bind(text, "agent.yaml")
    assert document.diagnostics == []
    sheet = Sheet(document)
    settings = resolve_load_balancing(sheet, NoCheckers()).settings
    return settings, [problem.diagnostic.code for problem in sheet.problems]


def ruled(text: str) -> list[str]:
    """What the rules say."""
    sheet = Sheet(bind(text, "agent.yaml"))
    virtual_server.check(sheet)
    return [problem.diagnostic.code for problem in sheet.problems]


def server(body: str, head: str = "address: 10.0.0.1, port: 80, protocol: TCP", rest: str = "") -> str:
    return f"{rest}\nvirtual_server:\n  - {{{head}, {body}}}\n"


def one(body: str, head: str = "address: 10.0.0.1, port: 80, protocol: TCP", rest: str = "") -> VirtualServerSettings:
    settings, problems = resolved(server(body, head, rest))
    assert problems == []
    (found,) = settings.virtual_servers
    return found


REAL = "real_server: [{address: 10.0.1.1}]"


def test_defaults() -> None:
    found = one(REAL)
    assert found.name == "[10.0.0.1]:tcp:80"
    assert found.members == (Members(AF_INET, 6, packed("10.0.0.1"), 1, 80),)
    assert (found.scheduler, found.flags, found.quorum, found.hysteresis) == ("wlc", 0, 1, 0)
    (real,) = found.real_servers
    assert (real.address, real.port, real.weight, real.forwarding) == (packed("10.0.1.1"), 80, 1, NAT)
    assert not real.inhibit
    assert real.smtp_alert
    assert not found.smtp_alert


def test_nothing_is_nothing() -> None:
    assert resolved("vrrp_instance: {}") == (CheckersSettings(), [])
    assert not CheckersSettings().wanted


def test_a_virtual_server_with_nobody_behind_it_is_left_out() -> None:
    assert resolved(server("lb_algo: rr"))[0].virtual_servers == ()


def test_real_servers_take_over_what_the_virtual_server_says() -> None:
    body = (
        "weight: 7, inhibit_on_failure: true, lb_kind: DR, real_server: [{address: 10.0.1.1}, "
        "{address: 10.0.1.2, weight: 0, inhibit_on_failure: false, lvs_method: NAT, port: 8080}]"
    )
    first, second = one(body).real_servers
    assert (first.weight, first.inhibit, first.forwarding.method) == (7, True, DIRECT_ROUTE)
    assert (second.weight, second.inhibit, second.forwarding.method, second.port) == (0, False, MASQUERADE, 8080)


def test_only_nat_changes_the_port() -> None:
    body = "lb_kind: DR, sorry_server: {address: 10.0.9.9, port: 99}, real_server: [{address: 10.0.1.1, port: 8080}]"
    settings, problems = resolved(server(body))
    (found,) = settings.virtual_servers
    assert found.real_servers[0].port == 80
    assert found.sorry_server is not None
    assert found.sorry_server.port == 80
    assert problems == ["port-mismatch"] * 2


def test_tunnels() -> None:
    body = (
        "lb_kind: {method: TUN, type: gue, port: 6080, checksum: csum}, real_server: [{address: 10.0.1.1}, "
        "{address: 10.0.1.2, lvs_method: {method: TUN, type: gre}}]"
    )
    first, second = one(body).real_servers
    assert first.forwarding == Forwarding(TUNNEL, model.GUE, 6080, model.CHECKSUM)
    assert second.forwarding == Forwarding(TUNNEL, model.GRE, 0, model.NO_CHECKSUM)


@pytest.mark.parametrize(
    "words",
    [
        "type: ipip, checksum: csum",
        "checksum: remcsum",
        "type: ipip, port: 7",
        "type: gre, port: 7",
        "type: gre, checksum: remcsum",
        "type: gue",
        "type: gue, checksum: csum",
    ],
)
def test_a_tunnel_with_words_of_another_type_is_ipip(words: str) -> None:
    """keepalived 2.2.7 says so and takes none of them; the kernel would never be as it is to be."""
    text = server(f"lb_kind: {{method: TUN, {words}}}, {REAL}")
    assert resolved(text)[0].virtual_servers[0].real_servers[0].forwarding == Forwarding(TUNNEL)
    assert "tunnel-options" in ruled(text)


@pytest.mark.parametrize(
    "words", ["checksum: nocsum", "type: gre, checksum: csum", "type: gue, port: 7, checksum: remcsum"]
)
def test_a_tunnel_with_words_of_its_type_is_as_it_says(words: str) -> None:
    assert "tunnel-options" not in ruled(server(f"lb_kind: {{method: TUN, {words}}}, {REAL}"))


@pytest.mark.parametrize(
    ("said", "timeout", "flags"),
    [
        ("persistence_timeout: 30", 30, PERSISTENT),
        ("persistence_timeout: true", 360, PERSISTENT),
        ("lb_algo: sh, sh-port: true, sh-fallback: true", 0, SCHEDULER_1 | SCHEDULER_2),
        ("lb_algo: mh, mh-port: true", 0, SCHEDULER_2),
        ("flag-1: true", 0, SCHEDULER_1),
        ("lb_algo: sh, hashed: true", 0, 0),
    ],
)
def test_flags(said: str, timeout: int, flags: int) -> None:
    found = one(f"{said}, {REAL}")
    assert (found.persistence_timeout, found.flags) == (timeout, flags)


def test_flags_that_mean_nothing_are_said() -> None:
    settings, problems = resolved(server(f"lb_algo: rr, sh-port: true, ops: true, {REAL}"))
    assert settings.virtual_servers[0].flags == 0
    assert problems == ["scheduler-flag", "one-packet"]
    assert one(f"ops: true, {REAL}", "address: 10.0.0.1, port: 80, protocol: UDP").flags == ONE_PACKET


def test_port_0_is_persistent() -> None:
    settings, problems = resolved(server(REAL, "address: 10.0.0.1, protocol: TCP"))
    assert settings.virtual_servers[0].persistence_timeout == 360
    assert problems == ["port-0"]


@pytest.mark.parametrize(
    ("address", "said", "four", "six"),
    [
        ("10.0.0.1", "255.255.255.0", 0xFFFFFF00, 128),
        ("10.0.0.1", "255.255.65280", 0xFFFFFF00, 128),
        ("2001:db8::1", "64", 0xFFFFFFFF, 64),
    ],
)
def test_granularity(address: str, said: str, four: int, six: int) -> None:
    """S15: dotted numbers of fewer than four parts are those of inet_aton(3)."""
    real = "real_server: [{address: '2001:db8::2'}]" if ":" in address else REAL
    body = f"persistence_timeout: 9, persistence_granularity: {said}, {real}"
    found = one(body, f"address: '{address}', port: 80, protocol: TCP")
    assert (found.netmask4, found.prefix_length6) == (four, six)


def test_granularity_of_the_other_family_is_said() -> None:
    settings, problems = resolved(server(f"persistence_timeout: 9, persistence_granularity: 24, {REAL}"))
    assert settings.virtual_servers[0].netmask4 == 0xFFFFFFFF
    assert problems == ["granularity-family"]


def test_quorum_and_hysteresis_fit_the_weights() -> None:
    found = one(f"quorum: 9, hysteresis: 9, {REAL}")
    assert (found.quorum, found.hysteresis) == (1, 0)
    found = one("quorum: 3, hysteresis: 2, real_server: [{address: 10.0.1.1, weight: 5}]")
    assert (found.quorum, found.hysteresis) == (3, 2)


def test_firewall_marks() -> None:
    found = one("ip_family: inet6, real_server: [{address: '2001:db8::1'}]", "fwmark: 7")
    assert (found.name, found.protocol, found.members) == ("FWM 7", 0, (Members(AF_INET6, fwmark=7),))
    tunnelled = one("ip_family: inet6, lb_kind: TUN, real_server: [{address: 10.0.1.1}]", "fwmark: 7")
    assert tunnelled.members == (Members(AF_INET6, fwmark=7),)
    settings, problems = resolved(server("lb_kind: DR, real_server: [{address: 10.0.1.1, port: 80}]", "fwmark: 7"))
    assert settings.virtual_servers[0].real_servers[0].port == 0
    assert problems == ["port-mismatch"]
    assert one("real_server: [{address: 10.0.1.1, port: 80}]", "fwmark: 7").real_servers[0].port == 80


def test_groups_are_ranges_networks_and_marks() -> None:
    group = (
        "virtual_server_group:\n  g: [{address: 10.0.0.1, port: 80}, {address: 10.0.0.4-6, port: 81}, "
        "{address: 10.0.0.16/30, port: 82}, {address: 10.0.0.250-10.0.1.5, port: 1}, {fwmark: 9}]"
    )
    text = f"{group}\nvirtual_server:\n" + "".join(
        f"  - {{group: g, protocol: {protocol}, {REAL}}}\n" for protocol in ("TCP", "UDP")
    )
    settings, problems = resolved(text)
    assert problems == []
    tcp, udp = settings.virtual_servers
    assert (tcp.name, udp.name) == ("[g]:0", "[g]:1")
    assert tcp.members == (
        Members(AF_INET, 6, packed("10.0.0.1"), 1, 80),
        Members(AF_INET, 6, packed("10.0.0.4"), 3, 81),
        Members(AF_INET, 6, packed("10.0.0.16"), 4, 82),
        Members(AF_INET, 6, packed("10.0.0.250"), 12, 1),
        Members(AF_INET, fwmark=9),
    )
    assert [member.protocol for member in udp.members] == [17, 17, 17, 17, 0]
    assert tcp.real_servers[0].port == 0  # NAT to no port of its own, as keepalived has it


def test_a_group_serves_each_protocol_once_and_is_known_by_it() -> None:
    group = "virtual_server_group:\n  g: [{address: 10.0.0.1, port: 80}, {fwmark: 9}]"

    def of(*protocols: str) -> CheckersSettings:
        listed = "".join(f"  - {{group: g, protocol: {protocol}, {REAL}}}\n" for protocol in protocols)
        return resolved(f"{group}\nvirtual_server:\n{listed}")[0]

    tcp, udp = of("TCP", "TCP", "UDP").virtual_servers
    assert (tcp.name, udp.name) == ("[g]:0", "[g]:2")  # keepalived counts all of them
    (alone,) = of("UDP").virtual_servers
    assert (alone.name, alone.identity) == ("[g]:0", udp.identity)
    assert tcp.identity != udp.identity


def test_a_mark_has_a_service_for_each_address_family() -> None:
    def of(*servers: str) -> str:
        return "virtual_server:\n" + "".join(
            f"  - {{fwmark: 7, lb_algo: rr, lb_kind: NAT, {each}}}\n" for each in servers
        )

    four, six = "real_server: [{address: 10.1.1.1}]", "real_server: [{address: 'fd00::1'}]"
    text = of(four, six)
    assert len(resolved(text)[0].virtual_servers) == 2
    assert ruled(text) == []
    assert ruled(of(four, four)) == ["duplicate-virtual-server"]
    assert ruled(of("protocol: TCP, " + four, four)) == ["fwmark-protocol", "duplicate-virtual-server"]


def test_a_group_of_marks_serves_each_address_family() -> None:
    group = "virtual_server_group:\n  g: [{fwmark: 9}]"
    text = "".join(
        f"  - {{group: g, protocol: TCP, real_server: [{{address: '{a}'}}]}}\n" for a in ("10.1.1.1", "fd00::1")
    )
    settings, _problems = resolved(f"{group}\nvirtual_server:\n{text}")
    assert [server.members[0].family for server in settings.virtual_servers] == [AF_INET, AF_INET6]


def test_ranges_of_ipv6_end_in_hexadecimal() -> None:
    group = "virtual_server_group:\n  g: [{address: 'fd00::1:0-1f', port: 80}]"
    found = one("real_server: [{address: 'fd00::2'}]", "group: g, protocol: TCP", group)
    assert found.members == (Members(AF_INET6, 6, packed("fd00::1:0"), 32, 80),)


def test_a_group_that_would_never_end_is_refused() -> None:
    group = "virtual_server_group:\n  g: [{address: 'fd00::/64', port: 80}]"
    _settings, problems = resolved(server("real_server: [{address: 'fd00::2'}]", "group: g, protocol: TCP", group))
    assert problems == ["too-many-members"]


def test_mixed_families_need_tunnels() -> None:
    group = "virtual_server_group:\n  g: [{address: 10.0.0.1, port: 80}, {address: 'fd00::1', port: 80}]"
    settings, problems = resolved(server(REAL, "group: g, protocol: TCP", group))
    assert settings.virtual_servers == ()
    assert problems == ["mixed-families"]
    found = one(f"lb_kind: TUN, {REAL}", "group: g, protocol: TCP", group)
    assert {member.family for member in found.members} == {AF_INET, AF_INET6}


def test_scripts_mails_and_names() -> None:
    body = (
        "quorum_up: '/bin/up a', quorum_down: {command: /bin/down, user: joe}, smtp_alert: true, "
        "snmp_name: v, omega: true, ha_suspend: true, real_server: [{address: 10.0.1.1, notify_up: /bin/x, "
        "notify_down: /bin/y, smtp_alert: false, snmp_name: r}]"
    )
    found = one(body)
    assert (found.quorum_up, found.quorum_down) == (Command(("/bin/up", "a")), Command(("/bin/down",), "joe"))
    assert (found.smtp_alert, found.snmp_name, found.omega, found.ha_suspend) == (True, "v", True, True)
    (real,) = found.real_servers
    assert (real.notify_up, real.notify_down) == (Command(("/bin/x",)), Command(("/bin/y",)))
    assert (real.smtp_alert, real.snmp_name) == (False, "r")


@pytest.mark.parametrize(
    ("said", "virtual", "real"),
    [
        ("smtp_alert: true", True, True),
        ("smtp_alert: false", False, False),
        ("smtp_alert: true, smtp_alert_checker: false", False, False),
        ("smtp_alert_checker: true", True, True),
        ("no_checker_emails: true", False, False),
    ],
)
def test_mails_by_default(said: str, virtual: bool, real: bool) -> None:
    found = one(REAL, rest=f"global_defs: {{{said}}}")
    assert (found.smtp_alert, found.real_servers[0].smtp_alert) == (virtual, real)


def test_a_suspended_group_is_none() -> None:
    """keepalived: ha_suspend is without effect for groups."""
    group = "virtual_server_group:\n  g: [{address: 10.0.0.1, port: 80}]"
    assert not one(f"ha_suspend: true, {REAL}", "group: g, protocol: TCP", group).ha_suspend


def test_the_rest() -> None:
    text = """
global_defs:
  lvs_flush: true
  lvs_flush_on_stop: VS
  lvs_timeouts: {tcp: 100, udp: 20}
  lvs_sync_daemon: {interface: eth0, inst: VI, maxlen: 1000, port: 99, ttl: 3, group: 224.0.0.99}
  lvs_netlink_cmd_rcv_bufs: 100000
  lvs_netlink_monitor_rcv_bufs_force: true
  rs_init_notifies: true
  nftables_ipvs: true
  nftables_ipvs_start_fwmark: 5
vrrp_instance:
  VI: {interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]}
"""
    settings, problems = resolved(text)
    assert problems == []
    daemon = SyncDaemon(False, "eth0", 51, 1000, packed("224.0.0.99"), 99, 3)
    assert settings == CheckersSettings(
        timeouts=Timeouts(100, 0, 20),
        sync_daemon=SyncDaemonSettings(daemon=daemon, instance="VI"),
        flush=True,
        marks=MarksSettings(first_mark=5),
        command_buffer=NetlinkBuffer(100000),
        monitor_buffer=NetlinkBuffer(0, True),
        init_notifies=True,
    )
    assert settings.wanted
    _settings, problems = resolved("global_defs: {lvs_sync_daemon: {interface: eth0, inst: nobody}}")
    assert problems == ["sync-daemon-instance"]


def test_the_sync_daemon_of_an_instance_in_the_old_way() -> None:
    text = "vrrp_instance:\n  VI: {interface: eth0, virtual_router_id: 51, lvs_sync_daemon_interface: eth1}"
    settings = resolve_load_balancing(Sheet(bind(text, "agent.yaml")), NoCheckers()).settings
    assert settings.sync_daemon == SyncDaemonSettings(daemon=SyncDaemon(False, "eth1", 51), instance="VI")
