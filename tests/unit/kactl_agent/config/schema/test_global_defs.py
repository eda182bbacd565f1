"""global_defs: words, limits, and what keepalived 2.2.7 (-t, dump) makes of what is beyond them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.global_defs import (
    Fifo,
    GarpExtraInterfaces,
    GlobalDefs,
    IpsetNames,
    IptablesChains,
    LvsSyncDaemon,
    LvsTimeouts,
    SmtpServer,
)
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.script import Script, UserGroup
from support.keyword_lines import fault, in_yaml, same, taken


@pytest.mark.parametrize(
    ("keyword", "line", "value"),
    [
        ("router_id", "lb1", "lb1"),
        ("smtp_server", "127.0.0.1", SmtpServer(host="127.0.0.1")),
        ("smtp_server", "mail.example.net 2525", SmtpServer(host="mail.example.net", port=2525)),
        ("smtp_connect_timeout", "30", 30_000_000),
        ("script_user", "nobody nogroup", UserGroup(user="nobody", group="nogroup")),
        ("startup_script", '"/bin/sh -c true" root', Script(command="/bin/sh -c true", user="root")),
        ("notify_fifo", "/run/fifo root adm", Fifo(path="/run/fifo", user="root", group="adm")),
        ("vrrp_mcast_group4", "224.0.0.99", "224.0.0.99"),
        ("vrrp_mcast_group6", "ff02::99", "ff02::99"),
        ("vrrp_garp_interval", "0.000001", 1),
        ("vrrp_startup_delay", "5.5", 5_500_000),
        ("vrrp_garp_extra_if", "all 100", GarpExtraInterfaces(all_=True, interval=100_000_000)),
        ("dynamic_interfaces", "", True),
        ("dynamic_interfaces", "allow_if_changes", "allow_if_changes"),
        ("nftables", "", True),
        ("nftables", "mine", "mine"),
        ("vrrp_iptables", "IN OUT", IptablesChains(inchain="IN", outchain="OUT")),
        ("vrrp_ipsets", "", False),
        ("vrrp_ipsets", "a b c d e f", IpsetNames(ipv4="a", ipv6="b", ipv6_interface="c", igmp="d", mld="e", nd="f")),
        ("lvs_sync_daemon", "eth0", LvsSyncDaemon(interface="eth0")),
        (
            "lvs_sync_daemon",
            "eth0 inst VI_1 id 7 maxlen 1400 port 8848 ttl 4 group 224.0.0.81",
            LvsSyncDaemon(interface="eth0", inst="VI_1", id_=7, maxlen=1400, port=8848, ttl=4, group="224.0.0.81"),
        ),
        ("lvs_timeouts", "tcp 10 udp 20", LvsTimeouts(tcp=10_000_000, udp=20_000_000)),
        ("lvs_flush_on_stop", "VS", "VS"),
        ("vrrp_cpu_affinity", "0 1 3", (0, 1, 3)),
        ("max_auto_priority", "", True),
        ("max_auto_priority", "-1", -1),
        ("vrrp_rx_bufs_policy", "ADVERT", "ADVERT"),
        ("vrrp_rx_bufs_policy", "4096", "4096"),
        ("umask", "0177", "0177"),
        ("umask", "IRUSR|IWGRP", "IRUSR|IWGRP"),
        ("include_check", "+match -wildcard_match", ("+match", "-wildcard_match")),
        ("include_check", "", True),
        ("snmp_vs_stats_update_interval", "0.001", 1_000),
        ("smtp_alert", "", True),
        ("smtp_alert", "off", False),
    ],
)
def test_words(keyword: str, line: str, value: Any) -> None:
    if keyword == "startup_script":
        assert taken(GlobalDefs, keyword, line) == value
    else:
        same(GlobalDefs, keyword, line, value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("eth0 VI_1", LvsSyncDaemon(interface="eth0", inst="VI_1")),
        ("eth0 VI_1 7", LvsSyncDaemon(interface="eth0", inst="VI_1", id_=7)),
        ("eth0 id 7", LvsSyncDaemon(interface="eth0", id_=7)),
    ],
)
def test_old_forms_of_the_sync_daemon(line: str, value: LvsSyncDaemon) -> None:
    assert taken(GlobalDefs, "lvs_sync_daemon", line) == value


@pytest.mark.parametrize(
    ("keyword", "word", "value"),
    [
        ("vrrp_garp_master_repeat", "0", 1),
        ("vrrp_garp_master_refresh_repeat", "0", 1),
        ("vrrp_rt_priority", "0", 1),
        ("checker_rt_priority", "100", 99),
        ("vrrp_rlimit_rttime", "1", 2),
        ("smtp_connect_timeout", "0", 1_000_000),
        ("vrrp_garp_interval", "0.00000151", 2),
        ("vrrp_startup_delay", "0.0015005", 1_501),
        ("checker_process_name", "abcdefghijklmnopqrst", "abcdefghijklmno"),
    ],
)
def test_repairs(keyword: str, word: str, value: Any) -> None:
    assert fault(GlobalDefs, keyword, word).taken == value


@pytest.mark.parametrize(
    ("keyword", "line"),
    [
        ("vrrp_garp_master_delay", "99999999999"),
        ("vrrp_garp_master_delay", "1.5"),
        ("vrrp_garp_master_repeat", "-1"),
        ("vrrp_garp_interval", "5000"),
        ("vrrp_gna_interval", "0"),
        ("vrrp_down_timer_adverts", "101"),
        ("vrrp_garp_extra_if", "86401"),
        ("vrrp_priority", "-21"),
        ("checker_priority", "20"),
        ("checker_rlimit_rttime", "0"),
        ("max_auto_priority", "100"),
        ("max_auto_priority", "-2"),
        ("min_auto_priority_delay", "0"),
        ("min_auto_priority_delay", "10000001"),
        ("vrrp_version", "4"),
        ("smtp_connect_timeout", "1.5"),
        ("smtp_alert", "maybe"),
        ("smtp_alert", "ON"),
        ("startup_script_timeout", "0"),
        ("shutdown_script_timeout", "1001"),
        ("vrrp_mcast_group4", "10.0.0.1"),
        ("vrrp_mcast_group4", "ff02::1"),
        ("vrrp_mcast_group6", "fe80::1"),
        ("vrrp_rx_bufs_multiplier", "0"),
        ("umask", "0999"),
        ("umask", "01000"),
        ("umask", "IRUSR|IWFOO"),
        ("vrrp_startup_delay", "0"),
        ("vrrp_startup_delay", "5000"),
        ("nftables_priority", "0x10"),
        ("nftables_ipvs_start_fwmark", "0"),
        ("random_seed", "-1"),
        ("lvs_netlink_cmd_rcv_bufs", "-1"),
        ("lvs_flush_on_stop", "foo"),
        ("lvs_timeouts", "tcp 9999999"),
        ("lvs_sync_daemon", "eth0 id 300"),
        ("lvs_sync_daemon", "eth0 maxlen 0"),
        ("lvs_sync_daemon", "eth0 port 99999"),
        ("lvs_sync_daemon", "eth0 ttl 300"),
        ("lvs_sync_daemon", "eth0 group 10.1.1.1"),
        ("smtp_server", "127.0.0.1 99999"),
        ("include_check", "foo"),
        ("json_version", "3"),
    ],
)
def test_what_is_ignored(keyword: str, line: str) -> None:
    assert fault(GlobalDefs, keyword, line).taken is UNSET


def test_spellings_keepalived_takes_as_well() -> None:
    assert taken(GlobalDefs, "vrrp_rx_bufs_policy", "mtu") == "MTU"
    assert taken(GlobalDefs, "umask", "IRUSR | IWGRP") == "IRUSR|IWGRP"


def test_flags_take_no_word() -> None:
    # `v3_checksum_as_v2 off` and `enable_script_security off` switch on: keepalived looks at no word behind them (P2).
    for keyword in ("v3_checksum_as_v2", "enable_script_security"):
        shape = table_of(GlobalDefs).by_word[keyword].keyword.shape
        assert shape.read(["off"], 0) == (True, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bfd_rlimit_rtime", "bfd_rlimit_rttime"),
        ("enable_snmp_keepalived", "enable_snmp_vrrp"),
        ("lvs_flush_onstop", "lvs_flush_on_stop"),
        ("lvs_process_name", "checker_process_name"),
        ("vrrp_vmac_garp_intvl", "vrrp_garp_extra_if"),
    ],
)
def test_deprecated_spellings(old: str, new: str) -> None:
    field = table_of(GlobalDefs).by_word[old]
    assert field.name == new
    assert old in field.keyword.deprecated


def test_words_of_the_past_and_in_the_wrong_place() -> None:
    assert table_of(GlobalDefs).legacy["lvs_id"].replaced_by == "router_id"
    assert table_of(GlobalDefs).legacy["lvs_sync_daemon_interface"].replaced_by == "lvs_sync_daemon"
    assert "global_defs" in table_of(Config).legacy["router_id"].replaced_by
    assert "global_defs" in table_of(Config).legacy["vrrp_garp_master_delay"].replaced_by
    assert "umask" not in table_of(Config).legacy, "a word of shell scripts says nothing about keepalived"
    assert not set(table_of(Config).legacy) & set(table_of(Config).by_word)


def test_yaml_forms() -> None:
    assert in_yaml(GlobalDefs, "umask", "0177") == "0177"
    assert in_yaml(GlobalDefs, "vrrp_rx_bufs_policy", "4096") == 4096
    assert in_yaml(GlobalDefs, "vrrp_version", 3) == 3
