"""Rules between fields: each text says in comments, on the line concerned, what must be found there, and nothing else.

`# error code`, `# warning code` and `# note code` stand on the lines. Where keepalived has the same opinion, its words
(`-t` of 2.2.7) are quoted beside the case.
"""

from __future__ import annotations

import re

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.check import check, problems

CASES = {
    # (A) the virtual router id must be set / (A) Unknown interface!
    "identity": """
vrrp_instance:
  A:  # error missing-virtual-router-id, error missing-interface
    virtual_ipaddress: [192.0.2.1]
""",
    "default_interface stands in": """
global_defs: {default_interface: eth1}
vrrp_instance:
  A: {virtual_router_id: 1, virtual_ipaddress: [192.0.2.1]}
""",
    # (VI) cannot use a loopback interface (lo) for vrrp - ignoring
    "loopback": """
vrrp_instance:
  A:
    interface: lo  # error loopback-interface
    virtual_router_id: 1
    virtual_ipaddress: [192.0.2.1]
""",
    # A and B both use VRID 5 with IPv4 on interface eth0
    "clash": """
vrrp_instance:
  A: {interface: eth0, virtual_router_id: 5, virtual_ipaddress: [192.0.2.1]}
  B:
    interface: eth0
    virtual_router_id: 5  # error virtual-router-id-clash
    virtual_ipaddress: [192.0.2.2]
  other_family: {interface: eth0, virtual_router_id: 5, virtual_ipaddress: ["fe80::5"]}
  other_interface: {interface: eth1, virtual_router_id: 5, virtual_ipaddress: [192.0.2.3]}
  other_group: {interface: eth0, virtual_router_id: 5, mcast_dst_ip: 224.0.0.19, virtual_ipaddress: [192.0.2.4]}
""",
    "unicast with disjoint peers does not clash": """
vrrp_instance:
  A: {interface: eth0, virtual_router_id: 5, unicast_peer: [192.0.2.7], virtual_ipaddress: [192.0.2.1]}
  B: {interface: eth0, virtual_router_id: 5, unicast_peer: [192.0.2.8], virtual_ipaddress: [192.0.2.2]}
  C:
    interface: eth0
    virtual_router_id: 5  # error virtual-router-id-clash
    unicast_peer: [192.0.2.8, 192.0.2.9]
    virtual_ipaddress: [192.0.2.3]
""",
    # What was carried has its finding already, of the conversion that carried it.
    "what is missing stands in x-keepalived": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    x-keepalived: ["virtual_ipaddress {\\n  vip.example.org\\n}"]
virtual_server:
  - address: 192.0.2.1
    port: 80
    protocol: TCP
    real_server: [{address: 192.0.2.2, port: 80}]
    x-keepalived: [lb_algo roundrobin, lvs_method FNAT]
""",
    # (A) VRRPv2 advertisement interval 0.500000s must be an integer. rounding
    "advert_int of version 2": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    advert_int: 0.5  # warning advert-int
    virtual_ipaddress: [192.0.2.1]
""",
    # VRRPv3 advertisement interval 41.00s is out of range. ... Setting to 40.95s / must be in units of 10ms - rounding
    "advert_int of version 3": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    version: 3
    advert_int: 41  # warning advert-int
    virtual_ipaddress: [192.0.2.1]
  B:
    interface: eth0
    virtual_router_id: 2
    version: 3
    advert_int: 0.015  # warning advert-int
    virtual_ipaddress: [192.0.2.1]
""",
    # (A) nopreempt is incompatible with priority 255. resetting nopreempt
    # (A) Warning - preempt delay will not work with initial state MASTER - clearing
    "preemption": """
vrrp_instance:
  owner:
    interface: eth0
    virtual_router_id: 1
    priority: 255
    nopreempt: true  # warning nopreempt-owner
    virtual_ipaddress: [192.0.2.1]
  master:
    interface: eth0
    virtual_router_id: 2
    priority: 100
    state: MASTER
    nopreempt: true  # warning nopreempt-master
    preempt_delay: 5  # warning preempt-delay
    virtual_ipaddress: [192.0.2.2]
  backup:
    interface: eth0
    virtual_router_id: 3
    nopreempt: true
    preempt_delay: 5  # warning preempt-delay
    virtual_ipaddress: [192.0.2.3]
""",
    # (VI) expired_timer_backup requires nopreempt - resetting
    "timer_expired_backup": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    timer_expired_backup: true  # warning needs-nopreempt
    virtual_ipaddress: [192.0.2.1]
  B:
    interface: eth0
    virtual_router_id: 2
    timer_expired_backup: 200
    nopreempt: true
    virtual_ipaddress: [192.0.2.1]
""",
    # (A): address family must match VRRP instance [fe80::1] - ignoring
    "families": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    unicast_src_ip: "2001:db8::1"  # error address-family
    unicast_peer:
      - 192.0.2.7
      - "2001:db8::7"  # error address-family
    virtual_ipaddress:
      - 192.0.2.1
      - "2001:db8::2"  # error address-family
    virtual_ipaddress_excluded: ["2001:db8::3"]
""",
    # (B) No VIP specified; at least one is required
    "no address": """
vrrp_instance:
  A:  # warning no-virtual-ipaddress
    interface: eth0
    virtual_router_id: 1
  B: {interface: eth0, virtual_router_id: 2, no_virtual_ipaddress: true}
""",
    # VRRP version 3 does not support authentication. Ignoring. / Strict mode does not support authentication. Ignoring.
    "authentication": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    version: 3
    authentication: {auth_type: PASS, auth_pass: abc}  # warning authentication-v3
    virtual_ipaddress: [192.0.2.1]
  B:
    interface: eth0
    virtual_router_id: 2
    strict_mode: true
    authentication: {auth_type: PASS, auth_pass: abc}  # warning authentication-strict
    virtual_ipaddress: [192.0.2.1]
  C:
    interface: eth0
    virtual_router_id: 3
    authentication: {auth_type: PASS}  # warning authentication-no-password
    virtual_ipaddress: [192.0.2.1]
  D:  # silent in keepalived
    interface: eth0
    virtual_router_id: 4
    authentication: {auth_pass: abc}  # warning authentication-no-type
    virtual_ipaddress: [192.0.2.1]
""",
    # (VI) auth_hmac active_key 1 is not defined, disabling extension (2.4.3)
    "auth_hmac": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    strict_mode: true
    auth_hmac:
      key:
        - {id: 1, key: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk}
        - {id: 1, key: llllllllllllllllllllllllllllllll}  # error auth-hmac-duplicate-key
      active_key: 2  # error auth-hmac-active-key
      mode: permissive  # warning auth-hmac-strict
    virtual_ipaddress: [192.0.2.1]
""",
    # (VI) preempt_delay is incompatible with strict mode - resetting / down_timer_adverts is incompatible with ... /
    # Strict mode requires no repeat garps. resetting / requires no lower priority advert. resetting /
    # strict mode requires higher_prio_send_advert to be clear. resetting /
    # State MASTER must match being address owner /
    # No VIP specified; at least one is required
    "strict mode": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    strict_mode: true
    state: MASTER  # warning strict-mode
    priority: 150
    preempt_delay: 5  # warning strict-mode
    down_timer_adverts: 4  # warning strict-mode
    garp_lower_prio_repeat: 3  # warning strict-mode
    lower_prio_no_advert: false  # warning strict-mode
    higher_prio_send_advert: true  # warning strict-mode
    vmac_xmit_base: true  # warning strict-mode
    unicast_peer: [192.0.2.9]  # warning strict-unicast
    virtual_ipaddress: [192.0.2.1]
  B:  # warning no-virtual-ipaddress
    interface: eth0
    virtual_router_id: 2
    strict_mode: true
    no_virtual_ipaddress: true
  C:
    interface: eth0
    virtual_router_id: 3
    strict_mode: true
    state: BACKUP  # warning strict-mode
    priority: 255
    garp_lower_prio_repeat: 0
    lower_prio_no_advert: true
    virtual_ipaddress: [192.0.2.3]
""",
    # (VI) Initial state master is incompatible with AH authentication - clearing
    "authentication header": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    state: MASTER  # warning authentication-header-master
    priority: 150
    authentication: {auth_type: AH, auth_pass: abc}
    virtual_ipaddress: [192.0.2.1]
  B:
    interface: eth0
    virtual_router_id: 2
    state: MASTER
    authentication: {auth_type: AH, auth_pass: abc}
    virtual_ipaddress: [192.0.2.2]
""",
    # A unicast keyword has been specified without any unicast peers. Defaulting to multicast.
    "unicast without peers": """
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    unicast_ttl: 3  # warning unicast-without-peers
    virtual_ipaddress: [192.0.2.1]
""",
    # (A) track_script chk is configured on VRRP instance and sync group. Remove vrrp instance config
    "tracked by instance and group": """
vrrp_script:
  chk: {script: /bin/true}
  other: {script: /bin/true}
vrrp_sync_group:
  VG: {group: [A, B], track_script: [chk], track_interface: [lo]}
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 5
    virtual_ipaddress: [192.0.2.1]
    track_script:
      - other
      - chk  # warning duplicate-tracker
    track_interface:
      - lo  # warning duplicate-tracker
  B: {interface: eth0, virtual_router_id: 6, virtual_ipaddress: [192.0.2.2]}
""",
    # (A) track script nope not found, ignoring... / (A) duplicate track_script s - ignoring
    "trackers": """
vrrp_script:
  chk_web: {script: /bin/true}
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    track_script:
      - chk_web
      - chk_wep  # error unknown-reference
      - chk_web  # error duplicate-tracker
    track_file: [f]  # error unknown-reference
    track_process: [p]  # error unknown-reference
    track_bfd: [b]  # error unknown-reference
    track_interface:
      - eth1
      - eth1  # error duplicate-tracker
    virtual_ipaddress: [192.0.2.1]
""",
    # Virtual router B specified in sync group G doesn't exist - ignoring / G has only 1 virtual router(s)
    # Virtual router A cannot exist in more than one sync group; ignoring H
    # Sync group H, no matching virtual router found in group declaration - removing
    "sync groups": """
vrrp_sync_group:
  G:  # warning single-member-group
    group:
      - A
      - B  # error unknown-reference
  H:  # warning empty-sync-group
    group:
      - A  # error member-of-two-groups
vrrp_instance:
  A: {interface: eth0, virtual_router_id: 1, virtual_ipaddress: [192.0.2.1]}
""",
    # (V1) ignoring tracked file tf with weight 2 due to SYNC group
    "weights of members": """
vrrp_script:
  heavy: {script: /bin/true, weight: 20}
  light: {script: /bin/true}
vrrp_sync_group:
  G: {group: [A, B]}
  free: {group: [C, D], sync_group_tracking_weight: true}
vrrp_instance:
  A:
    interface: eth0
    virtual_router_id: 1
    track_script:
      - light
      - heavy  # warning weight-in-sync-group
    track_interface:
      - {name: eth1, weight: 10}  # warning weight-in-sync-group
    virtual_ipaddress: [192.0.2.1]
  B: {interface: eth0, virtual_router_id: 2, virtual_ipaddress: [192.0.2.2]}
  C: {interface: eth0, virtual_router_id: 3, virtual_ipaddress: [192.0.2.3], track_script: [heavy]}
  D: {interface: eth0, virtual_router_id: 4, virtual_ipaddress: [192.0.2.4]}
""",
    # Virtual server [10.0.0.9]:tcp:80 has no real servers - ignoring / no protocol set - defaulting to UDP
    # real server [10.0.0.5]:tcp:81 is duplicated - removing second rs
    # quorum 5 exceeds total weight of real servers 2, reducing quorum to 2 / hysteresis 7 >= quorum 2; setting to 1
    "virtual servers": """
virtual_server:
  - {address: 10.0.0.9, port: 80, protocol: TCP, lb_algo: rr, lb_kind: NAT}  # warning no-real-servers
  - address: 10.0.0.9  # warning no-protocol
    port: 81
    lb_algo: rr
    lb_kind: NAT
    real_server: [{address: 10.0.0.5, port: 81}]
  - address: 10.0.0.9  # note no-lb-algo, note no-lb-kind
    port: 82
    protocol: TCP
    quorum: 5  # warning quorum-too-high
    hysteresis: 7  # warning hysteresis-too-high
    real_server:
      - {address: 10.0.0.5, port: 81, weight: 2}
      - {address: 10.0.0.5, port: 81, weight: 3}  # error duplicate-real-server
  - fwmark: 7
    protocol: TCP  # warning fwmark-protocol
    lb_algo: rr
    lb_kind: NAT
    real_server: [{address: 10.0.0.5, port: 81}]
  - group: nowhere  # error unknown-reference
    protocol: TCP
    lb_algo: rr
    lb_kind: NAT
    real_server:
      - address: 10.0.0.5
        port: 80
        BFD_CHECK: {name: b}  # error unknown-reference
        FILE_CHECK: {track_file: f}  # error unknown-reference
""",
}


@pytest.mark.parametrize("name", CASES)
def test_found_where_it_stands(name: str) -> None:
    text = CASES[name]
    document = bind(text, "agent.yaml")
    assert {d.code for d in document.diagnostics} <= {"missing-keyword"}
    expected = {
        (number, severity, code)
        for number, line in enumerate(text.splitlines(), 1)
        for severity, code in re.findall(r"(error|warning|note) ([a-z0-9-]+)", line.partition("#")[2])
    }
    found = [(d.place.line, d.severity.value, d.code) for d in check(document)]
    assert set(found) == expected
    if name != "virtual servers":  # quorum and weights of one server say two things on neighbouring lines
        assert len(found) == len(expected)


def test_what_keepalived_leaves_out_is_marked_so() -> None:
    document = bind(CASES["trackers"], "agent.yaml")
    assert all(p.ignored for p in problems(document))
    document = bind(CASES["identity"], "agent.yaml")
    assert not any(p.ignored for p in problems(document))


def test_a_near_name_is_offered() -> None:
    hints = [d.hint for d in check(bind(CASES["trackers"], "agent.yaml"))]
    assert "did you mean `chk_web`?" in hints


def test_surplus_addresses_are_said() -> None:
    addresses = ", ".join(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(300))
    text = f"vrrp_instance:\n  A: {{interface: eth0, virtual_router_id: 1, virtual_ipaddress: [{addresses}]}}\n"
    assert [d.code for d in check(bind(text, "agent.yaml"))] == ["too-many-addresses"]
