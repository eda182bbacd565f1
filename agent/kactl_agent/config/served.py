"""Which keywords the agent acts on. What this version does not act on is said, keyword by keyword: nothing is taken
silently."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from kactl_agent.config import checkers, load_balancing
from kactl_agent.config.bfd import SERVED_BFD
from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.notify import SERVED_GLOBAL as NOTIFY_GLOBAL
from kactl_agent.config.notify import SERVED_GROUP as NOTIFY_GROUP
from kactl_agent.config.notify import SERVED_INSTANCE as NOTIFY_INSTANCE
from kactl_agent.config.process import SERVED_GLOBAL, SERVED_ROOT
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.shapes import or_default

SERVED: dict[str, frozenset[str]] = {
    # block -> the keywords of it that the agent acts on
    "": frozenset(
        {
            "global_defs",
            "bfd_instance",
            "static_ipaddress",
            "static_routes",
            "static_rules",
            "track_group",
            "vrrp_instance",
            "vrrp_script",
            "vrrp_sync_group",
            "vrrp_track_process",
            "track_file",
            "interface_up_down_delays",
            "garp_group",
            "linkbeat_use_polling",
            "linkbeat_interfaces",
            "namespace_with_ipsets",
            "x-keepalived",
        }
        | SERVED_ROOT
        | load_balancing.SERVED_ROOT
        | checkers.SERVED_ROOT
    ),
    "global_defs": frozenset(
        {
            "router_id",
            "reload_check_config",
            "reload_file",
            "reload_repeat",
            "reload_time_file",
            "default_interface",
            "iproute_usr_dir",
            "iproute_etc_dir",
            "vrrp_version",
            "nftables",
            "vrrp_iptables",
            "vrrp_ipsets",
            "nftables_priority",
            "nftables_counters",
            "nftables_ifindex",
            "disable_local_igmp",
            "vmac_prefix",
            "vmac_addr_prefix",
            "vrrp_mcast_group4",
            "vrrp_mcast_group6",
            "vrrp_down_timer_adverts",
            "vrrp_garp_master_delay",
            "vrrp_garp_master_repeat",
            "vrrp_garp_master_refresh",
            "vrrp_garp_master_refresh_repeat",
            "vrrp_garp_lower_prio_delay",
            "vrrp_garp_lower_prio_repeat",
            "vrrp_garp_interval",
            "vrrp_gna_interval",
            "vrrp_min_garp",
            "vrrp_lower_prio_no_advert",
            "vrrp_higher_prio_send_advert",
            "vrrp_owner_ignore_adverts",
            "vrrp_startup_delay",
            "vrrp_strict",
            "vrrp_notify_priority_changes",
            "vrrp_on_foreign_removal",
            "vrrp_rfc_discards",
            "vrrp_accept_either_checksum",
            "vrrp_garp_extra_if",
            "vrrp_netlink_cmd_rcv_bufs",
            "vrrp_netlink_cmd_rcv_bufs_force",
            "vrrp_netlink_monitor_rcv_bufs",
            "vrrp_netlink_monitor_rcv_bufs_force",
            "vrrp_rx_bufs_policy",
            "vrrp_rx_bufs_multiplier",
            "log_unknown_vrids",
            "dynamic_interfaces",
            "vrrp_delay_after_boot",
            "vrrp_check_unicast_src",
            "vrrp_skip_check_adv_addr",
            "v3_checksum_as_v2",
            "script_user",
            "enable_script_security",
            "use_symlink_paths",
            "x-keepalived",
        }
        | SERVED_GLOBAL
        | NOTIFY_GLOBAL
        | load_balancing.SERVED_GLOBAL
        | checkers.SERVED_GLOBAL
    ),
    "vrrp_instance": frozenset(
        {
            "state",
            "interface",
            "use_vmac",
            "use_vmac_addr",
            "use_ipvlan",
            "accept",
            "no_accept",
            "vmac_xmit_base",
            "virtual_router_id",
            "priority",
            "advert_int",
            "version",
            "native_ipv6",
            "preempt",
            "nopreempt",
            "preempt_delay",
            "down_timer_adverts",
            "virtual_ipaddress",
            "virtual_ipaddress_excluded",
            "no_virtual_ipaddress",
            "virtual_routes",
            "virtual_rules",
            "authentication",
            "auth_hmac",
            "strict_mode",
            "mcast_src_ip",
            "mcast_dst_ip",
            "unicast_src_ip",
            "unicast_peer",
            "unicast_ttl",
            "unicast_fault_no_peer",
            "check_unicast_src",
            "dont_track_primary",
            "linkbeat_use_polling",
            "garp_extra_if",
            "notify_priority_changes",
            "vrf",
            "kernel_rx_buf_size",
            "lvs_sync_daemon_interface",
            "promote_secondaries",
            "on_foreign_removal",
            "rfc_discards",
            "accept_either_checksum",
            "old_unicast_checksum",
            "skip_check_adv_addr",
            "timer_expired_backup",
            "track_interface",
            "track_script",
            "track_file",
            "track_process",
            "track_bfd",
            "track_src_ip",
            "garp_master_delay",
            "garp_master_repeat",
            "garp_master_refresh",
            "garp_master_refresh_repeat",
            "garp_lower_prio_delay",
            "garp_lower_prio_repeat",
            "lower_prio_no_advert",
            "higher_prio_send_advert",
            "owner_ignore_adverts",
            "v3_checksum_as_v2",
            "debug",
            "x-keepalived",
        }
        | NOTIFY_INSTANCE
    ),
    "vrrp_sync_group": frozenset(
        {
            "group",
            "track_interface",
            "track_script",
            "track_file",
            "track_process",
            "track_bfd",
            "sync_group_tracking_weight",
            "notify_priority_changes",
            "global_tracking",
            "x-keepalived",
        }
        | NOTIFY_GROUP
    ),
    "bfd_instance": SERVED_BFD,
}


def say_what_is_not_served(sheet: Sheet) -> None:
    """One warning for each keyword that is set and that this version of the agent does not act on."""
    config = sheet.document.config
    blocks: list[tuple[Path, str, Any]] = [((), "", config), (("global_defs",), "global_defs", config.global_defs)]
    for name, instance in or_default(config.vrrp_instance, {}).items():
        blocks.append((("vrrp_instance", name), "vrrp_instance", instance))
    for name, group in or_default(config.vrrp_sync_group, {}).items():
        blocks.append((("vrrp_sync_group", name), "vrrp_sync_group", group))
    for name, session in or_default(config.bfd_instance, {}).items():
        blocks.append((("bfd_instance", name), "bfd_instance", session))
    for path, block, value in blocks:
        if value is UNSET:
            continue
        struct: type[msgspec.Struct] = type(value)
        for field, _ in table_of(struct).set_fields(value):
            if field.name not in SERVED[block]:
                text = f"{field.name} is not served by this version of the agent"
                sheet.warning((*path, field.name), "not-served", text)
