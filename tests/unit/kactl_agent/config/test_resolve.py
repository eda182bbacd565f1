"""What is in force, and where it came from: keepalived's defaults and inheritance, in the engines' integers."""

from __future__ import annotations

import socket

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.resolve import Resolution, resolve
from kactl_agent.vrrp.settings import (
    CENTISECOND,
    SECOND,
    ChecksumForm,
    Family,
    HmacKey,
    HmacMode,
    HmacSettings,
    OldUnicastChecksum,
    SyncGroupSettings,
    VrrpSettings,
)

HEAD = "interface: eth0, virtual_router_id: 51"
V4 = "virtual_ipaddress: [192.0.2.10/24]"
V6 = 'virtual_ipaddress: ["fe80::10/64"]'


def resolution(text: str) -> Resolution:
    document = bind(text, "agent.yaml")
    assert document.diagnostics == []
    return resolve(document)


def instance(body: str, global_defs: str = "") -> VrrpSettings:
    text = f"vrrp_instance:\n  VI_1: {{{HEAD}, {body}}}\n"
    if global_defs:
        text = f"global_defs: {{{global_defs}}}\n{text}"
    (settings,) = resolution(text).settings.vrrp
    return settings


def test_defaults_are_keepaliveds() -> None:
    settings = instance(V4)
    assert (settings.priority, settings.version, settings.family) == (100, 2, Family.IPV4)
    assert (settings.advert_interval, settings.down_timer_adverts, settings.preempt) == (SECOND, 3, True)
    assert settings.multicast_group == socket.inet_aton("224.0.0.18")
    assert (settings.gratuitous.repeat, settings.gratuitous.delay) == (5, 5 * SECOND)


@pytest.mark.parametrize(
    ("body", "priority", "start_as_master"),
    [
        (V4, 100, False),
        (f"state: MASTER, {V4}", 255, True),
        (f"state: MASTER, priority: 150, {V4}", 150, True),
        (f"priority: 255, {V4}", 255, True),
        (f"state: BACKUP, priority: 255, {V4}", 255, False),
    ],
)
def test_priority_and_state_explain_each_other(body: str, priority: int, start_as_master: bool) -> None:
    settings = instance(body)
    assert (settings.priority, settings.start_as_master) == (priority, start_as_master)


def test_ipv6_is_version_3_with_its_own_group() -> None:
    settings = instance(V6)
    assert (settings.version, settings.family) == (3, Family.IPV6)
    assert settings.multicast_group == socket.inet_pton(socket.AF_INET6, "ff02::12")
    assert settings.addresses[0].flags & 0x02  # IFA_F_NODAD: a virtual address cannot wait for DAD
    assert instance('virtual_ipaddress: ["2001:db8::1"]').addresses[0].preferred_lifetime == 0
    assert instance('virtual_ipaddress: ["2001:db8::1/64"]').addresses[0].preferred_lifetime is None


def test_instance_wins_over_global_and_says_so() -> None:
    text = (
        "global_defs: {vrrp_version: 3, vrrp_garp_master_repeat: 3, vrrp_garp_master_delay: 2}\n"
        f"vrrp_instance:\n  VI_1: {{{HEAD}, garp_master_repeat: 7, {V4}}}\n"
    )
    found = resolution(text)
    (settings,) = found.settings.vrrp
    assert settings.version == 3
    assert (settings.gratuitous.repeat, settings.gratuitous.delay) == (7, 2 * SECOND)
    sources = found.sources["VI_1"]
    assert sources["version"] == "global_defs"
    assert sources["garp_master_repeat"] == "vrrp_instance VI_1"
    assert sources["priority"] == "default"


@pytest.mark.parametrize(
    ("said", "version", "nanoseconds"),
    [
        ("1", 2, SECOND),
        ("0.4", 2, SECOND),
        ("1.5", 2, 2 * SECOND),
        ("500ms", 3, 50 * CENTISECOND),
        ("0.01", 3, CENTISECOND),
        ("0.015", 3, 2 * CENTISECOND),
        ("41", 3, 4095 * CENTISECOND),
    ],
)
def test_advert_int_is_what_the_packet_can_say(said: str, version: int, nanoseconds: int) -> None:
    assert instance(f"version: {version}, advert_int: {said}, {V4}").advert_interval == nanoseconds


def test_min_garp_yields_to_what_is_said_explicitly() -> None:
    least = instance(V4, "vrrp_min_garp: true").gratuitous
    assert (least.repeat, least.delay, least.lower_priority_repeat) == (1, 0, 1)
    mixed = instance(f"garp_master_repeat: 4, {V4}", "vrrp_min_garp: true").gratuitous
    assert (mixed.repeat, mixed.delay) == (4, 0)


def test_nopreempt_means_nothing_for_a_master() -> None:
    assert instance(f"nopreempt: true, {V4}").preempt is False
    assert instance(f"nopreempt: true, state: MASTER, priority: 150, {V4}").preempt is True
    assert instance(f"nopreempt: true, priority: 255, {V4}").preempt is True
    assert instance(f"preempt_delay: 2.5, {V4}").preempt_delay == 2_500_000_000
    assert instance(f"preempt_delay: 2.5, state: MASTER, {V4}").preempt_delay == 0


def test_addresses_carry_their_options() -> None:
    entries = (
        '{address: 192.0.2.10/24, dev: eth1, label: "eth1:1", scope: link, broadcast: +}, '
        "{address: 192.0.2.11/24, broadcast: -, noprefixroute: true, no_track: true}, "
        "{address: 192.0.2.12, peer: 198.51.100.1/30, preferred_lft: 0}"
    )
    first, second, third, excluded = instance(
        f'virtual_ipaddress: [{entries}], virtual_ipaddress_excluded: ["2001:db8::1/64"]'
    ).addresses
    assert (first.interface, first.label, first.scope) == ("eth1", "eth1:1", 253)
    assert first.broadcast == socket.inet_aton("192.0.2.255")
    assert second.broadcast == socket.inet_aton("192.0.2.0")
    assert (second.flags, second.tracked) == (0x200, False)
    assert (third.peer, third.prefix_length) == (socket.inet_aton("198.51.100.1"), 30)
    assert third.preferred_lifetime == 0
    assert (excluded.advertised, len(excluded.address)) == (False, 16)


def test_what_does_not_fit_an_advert_is_excluded() -> None:
    addresses = ", ".join(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(300))
    settings = instance(f"virtual_ipaddress: [{addresses}]")
    assert sum(a.advertised for a in settings.addresses) == 255
    assert len(settings.addresses) == 300


def test_checksum_form_and_election_options_are_inherited() -> None:
    body = f"version: 3, {V4}"
    assert instance(body).checksum_form is ChecksumForm.PSEUDO_HEADER
    assert instance(body, "v3_checksum_as_v2: true").checksum_form is ChecksumForm.MESSAGE_ONLY
    assert instance(f"v3_checksum_as_v2: false, {body}", "v3_checksum_as_v2: true").checksum_form is (
        ChecksumForm.PSEUDO_HEADER
    )
    assert instance(body, "vrrp_lower_prio_no_advert: true").lower_prio_no_advert
    assert instance(body, "vrrp_down_timer_adverts: 2").down_timer_adverts == 2


def test_password_is_version_2s_alone() -> None:
    auth = "authentication: {auth_type: PASS, auth_pass: abcdefgh}"
    assert instance(f"{auth}, {V4}").auth_password == b"abcdefgh"
    assert instance(f"version: 3, {auth}, {V4}").auth_password == b""


def test_the_authentication_header_is_version_2s_alone() -> None:
    auth = "authentication: {auth_type: AH, auth_pass: abcdefgh}"
    settings = instance(f"{auth}, {V4}")
    assert (settings.auth_password, settings.authentication_header) == (b"abcdefgh", True)
    for other in (f"version: 3, {auth}, {V4}", f"strict_mode: true, {auth}, {V4}", f"{KEYED}, {auth}, {V4}"):
        settings = instance(other)
        assert (settings.auth_password, settings.authentication_header) == (b"", False)


KEY = "k" * 32
KEYED = f"auth_hmac: {{key: [{{id: 3, key: {KEY}}}], active_key: 3}}"


def test_auth_hmac_keys_and_defaults() -> None:
    hexadecimal = "hex:" + "0fA0" * 16
    keys = f'[{{id: 1, key: "{hexadecimal}"}}, {{id: 9, key: {KEY}}}]'
    found = instance(f"auth_hmac: {{key: {keys}, active_key: 9}}, {V4}").auth_hmac
    assert found == HmacSettings(
        keys=(HmacKey(1, bytes.fromhex("0fa0" * 16)), HmacKey(9, KEY.encode())), active_key=9, time_window=5
    )
    said = (
        f"{{key: [{{id: 3, key: {KEY}}}], active_key: 3, mode: receive-only, anti_replay: monotonic, time_window: 20}}"
    )
    found = instance(f"auth_hmac: {said}, {V4}").auth_hmac
    assert found is not None
    assert (found.mode, found.monotonic, found.time_window) == (HmacMode.RECEIVE_ONLY, True, 20)


@pytest.mark.parametrize(("interval", "window"), [("0.5", 5), ("1.99", 5), ("2", 6), ("40", 120)])
def test_the_default_window_is_three_whole_seconds_of_the_interval(interval: str, window: int) -> None:
    found = instance(f"version: 3, advert_int: {interval}, {KEYED}, {V4}").auth_hmac
    assert found is not None
    assert found.time_window == window
    found = instance(f"advert_int: 200, {KEYED}, {V4}").auth_hmac
    assert found is not None
    assert found.time_window == 300


def test_strict_mode_enforces_auth_hmac() -> None:
    body = f"auth_hmac: {{key: [{{id: 3, key: {KEY}}}], active_key: 3, mode: permissive}}, {V4}"
    for text, mode in ((body, HmacMode.PERMISSIVE), (f"strict_mode: true, {body}", HmacMode.ENFORCE)):
        found = instance(text).auth_hmac
        assert found is not None
        assert found.mode is mode
    found = instance(body, "vrrp_strict: true").auth_hmac
    assert found is not None
    assert found.mode is HmacMode.ENFORCE


def test_an_advert_with_a_signature_holds_fewer_addresses() -> None:
    addresses = ", ".join(f'"fe80::{n:x}"' for n in range(1, 100))
    for text, count in ((V6, 90), (f"{KEYED}, {V6}", 89)):
        settings = instance(text.replace(V6, f"virtual_ipaddress: [{addresses}]"))
        assert sum(a.advertised for a in settings.addresses) == count


def test_authentication_it_cannot_do_is_refused() -> None:
    """keepalived goes on without it."""
    asked = f"{{key: [{{id: 3, key: {KEY}}}], active_key: 2}}"
    found = resolution(f"vrrp_instance:\n  VI_1: {{{HEAD}, auth_hmac: {asked}, {V4}}}\n")
    assert [(d.code, d.severity.value) for d in found.diagnostics] == [("auth-hmac-active-key", "error")]


def test_every_keyword_that_is_not_acted_on_is_said() -> None:
    found = resolution(
        f"global_defs:\n  enable_dbus: true\n  enable_snmp_vrrp: true\nvrrp_instance:\n  VI_1: {{{HEAD}, {V4}}}\n"
    )
    assert {(d.code, d.place.line) for d in found.diagnostics} == {("not-served", 2), ("not-served", 3)}
    assert all(d.severity.value == "warning" for d in found.diagnostics)


def test_unicast_peers_and_what_is_checked_of_them() -> None:
    plain = instance(f"unicast_peer: [192.0.2.1, 192.0.2.2], {V4}")
    assert (plain.unicast_ttl_limits, plain.check_unicast_source) == ((), False)
    assert plain.old_unicast_checksum is OldUnicastChecksum.AUTO
    assert instance(f"unicast_peer: [192.0.2.1], {V4}", "vrrp_check_unicast_src: true").check_unicast_source
    assert instance(f"unicast_peer: [192.0.2.1], check_unicast_src: true, {V4}").check_unicast_source
    limited = instance(f"unicast_peer: [{{address: 192.0.2.1, min_ttl: 250}}, 192.0.2.2], {V4}")
    assert (limited.unicast_ttl_limits, limited.check_unicast_source) == (((250, 255), (0, 255)), True)
    assert instance(f"unicast_fault_no_peer: true, {V4}").unicast_fault_no_peer


@pytest.mark.parametrize(("said", "form"), [("true", OldUnicastChecksum.ALWAYS), ("never", OldUnicastChecksum.NEVER)])
def test_old_unicast_checksum(said: str, form: OldUnicastChecksum) -> None:
    settings = instance(f"version: 3, unicast_peer: [192.0.2.1], old_unicast_checksum: {said}, {V4}")
    assert settings.old_unicast_checksum is form


def test_skip_check_adv_addr_is_inherited() -> None:
    assert instance(f"skip_check_adv_addr: true, {V4}").skip_check_adv_addr
    assert instance(V4, "vrrp_skip_check_adv_addr: true").skip_check_adv_addr
    assert not instance(f"skip_check_adv_addr: false, {V4}", "vrrp_skip_check_adv_addr: true").skip_check_adv_addr


@pytest.mark.parametrize(("body", "global_defs"), [("strict_mode: true, ", ""), ("", "vrrp_strict: true")])
def test_strict_mode_switches_what_the_rfcs_do_not_have(body: str, global_defs: str) -> None:
    said = "preempt_delay: 5, down_timer_adverts: 4, garp_lower_prio_repeat: 3, higher_prio_send_advert: true, "
    strict = instance(f"{body}{said}{V4}", global_defs)
    assert (strict.preempt_delay, strict.down_timer_adverts, strict.gratuitous.lower_priority_repeat) == (0, 3, 0)
    assert (strict.lower_prio_no_advert, strict.higher_prio_send_advert) == (True, False)
    lax = instance(f"{said}{V4}")
    assert (lax.preempt_delay, lax.down_timer_adverts, lax.gratuitous.lower_priority_repeat) == (5 * SECOND, 4, 3)
    assert (lax.lower_prio_no_advert, lax.higher_prio_send_advert) == (False, True)


def test_strict_mode_has_state_master_for_owners_alone() -> None:
    """keepalived 2.2.7, observed: `State MASTER must match being address owner`, then a full Master_Down_Interval."""
    assert not instance(f"strict_mode: true, state: MASTER, priority: 150, {V4}").start_as_master
    assert instance(f"strict_mode: true, state: BACKUP, priority: 255, {V4}").start_as_master


def test_an_owner_in_strict_mode_ignores_adverts_unless_told() -> None:
    assert instance(f"strict_mode: true, priority: 255, {V4}").owner_ignore_adverts
    assert not instance(f"strict_mode: true, {V4}").owner_ignore_adverts
    assert not instance(f"priority: 255, {V4}").owner_ignore_adverts
    assert not instance(f"strict_mode: true, owner_ignore_adverts: false, priority: 255, {V4}").owner_ignore_adverts


def test_the_authentication_header_has_no_state_master() -> None:
    """keepalived 2.2.7: `Initial state master is incompatible with AH authentication - clearing`."""
    auth = "authentication: {auth_type: AH, auth_pass: abcdefgh}"
    assert not instance(f"state: MASTER, priority: 150, {auth}, {V4}").start_as_master
    assert instance(f"state: MASTER, {auth}, {V4}").start_as_master  # the owner
    assert instance(f"state: MASTER, priority: 150, {V4}").start_as_master


@pytest.mark.parametrize(
    ("said", "priority"),
    [
        ("nopreempt: true, timer_expired_backup: true, ", 254),
        ("nopreempt: true, timer_expired_backup: 120, ", 120),
        ("nopreempt: true, ", 0),
        ("timer_expired_backup: 120, ", 0),
    ],
)
def test_timer_expired_backup_needs_nopreempt(said: str, priority: int) -> None:
    assert instance(f"{said}{V4}").timer_expired_priority == priority


def test_delays_and_the_source_address() -> None:
    settings = instance(f"track_src_ip: true, {V4}", "vrrp_startup_delay: 2.5, vrrp_delay_after_boot: 90")
    assert (settings.startup_delay, settings.delay_after_boot) == (2_500_000_000, 90 * SECOND)
    assert settings.track_source


def test_sync_groups_name_their_members_in_order() -> None:
    text = (
        "vrrp_sync_group:\n  G: {group: [B, A]}\n"
        f"vrrp_instance:\n  A: {{interface: eth0, virtual_router_id: 1, {V4}}}\n"
        f"  B: {{interface: eth0, virtual_router_id: 2, {V4}}}\n"
    )
    settings = resolution(text).settings
    assert settings.sync_groups == (SyncGroupSettings(name="G", members=("B", "A")),)
    assert [instance.sync_group for instance in settings.vrrp] == ["G", "G"]


def test_dont_track_primary_is_taken() -> None:
    assert instance(V4).track_primary
    assert not instance(f"dont_track_primary: true, {V4}").track_primary


def test_promote_secondaries_is_taken() -> None:
    assert not instance(V4).promote_secondaries
    assert instance(f"promote_secondaries: true, {V4}").promote_secondaries


@pytest.mark.parametrize(
    ("own", "of_all", "discards", "either"),
    [
        ("", "", False, True),
        ("rfc_discards: true, accept_either_checksum: false,", "", True, False),
        ("", "vrrp_rfc_discards: true, vrrp_accept_either_checksum: false", True, False),
        ("rfc_discards: false, accept_either_checksum: true,",
         "vrrp_rfc_discards: true, vrrp_accept_either_checksum: false", False, True),
    ],
)  # fmt: skip
def test_what_the_rfcs_discard(own: str, of_all: str, discards: bool, either: bool) -> None:
    found = resolution(f"global_defs: {{{of_all}}}\nvrrp_instance: {{VI: {{{HEAD}, {own} {V4}}}}}\n")
    assert found.diagnostics == []
    (settings,) = found.settings.vrrp
    assert (settings.rfc_discards, settings.accept_either_checksum) == (discards, either)


@pytest.mark.parametrize(
    ("own", "of_all", "wanted"),
    [
        ("", "", "resign"),
        ("on_foreign_removal: restore,", "", "restore"),
        ("", "vrrp_on_foreign_removal: ignore", "ignore"),
        ("on_foreign_removal: resign,", "vrrp_on_foreign_removal: ignore", "resign"),
    ],
)
def test_on_foreign_removal(own: str, of_all: str, wanted: str) -> None:
    found = resolution(f"global_defs: {{{of_all}}}\nvrrp_instance: {{VI: {{{HEAD}, {own} {V4}}}}}\n")
    assert found.diagnostics == []
    assert found.settings.vrrp[0].foreign_removal.value == wanted


@pytest.mark.parametrize(
    ("own", "of_all", "of_group", "wanted"),
    [
        ("", "", "", False),
        ("notify_priority_changes: true,", "", "", True),
        ("", "vrrp_notify_priority_changes: true", "", True),
        ("notify_priority_changes: false,", "vrrp_notify_priority_changes: true", "", False),
        ("", "", ", notify_priority_changes: true", True),
    ],
)
def test_notify_priority_changes(own: str, of_all: str, of_group: str, wanted: bool) -> None:
    text = (
        f"global_defs: {{{of_all}}}\nvrrp_sync_group: {{G: {{group: [VI]{of_group}}}}}\n"
        f"vrrp_instance: {{VI: {{{HEAD}, {own} {V4}}}}}\n"
    )
    found = resolution(text)
    assert found.diagnostics == []
    (settings,) = found.settings.vrrp
    assert settings.notify_priority_changes is wanted


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", (0, ())),
        ("garp_extra_if: {interval: 5, all: true},", (5 * SECOND, ("eth1",))),
        ("garp_extra_if: 5,", (5 * SECOND, ())),
        ("garp_extra_if: 5, use_vmac_addr: true,", (5 * SECOND, ("vrrp.51",))),
        ("garp_extra_if: 5, use_vmac: true,", (5 * SECOND, ())),
        ("garp_extra_if: 5, use_vmac: true, vmac_xmit_base: true,", (5 * SECOND, ("vrrp.51",))),
        ("garp_extra_if: 0,", (0, ())),
    ],
)
def test_extra_announcements_go_where_no_adverts_go(said: str, expected: tuple[int, tuple[str, ...]]) -> None:
    """Without `all` on VMACs alone: switches are to know their MAC addresses."""
    addresses = "virtual_ipaddress: [192.0.2.10/24, {address: 192.0.2.11/24, dev: eth1}]"
    made = instance(f"{said} {addresses}").gratuitous
    assert (made.extra_interval, made.extra_interfaces) == expected


def test_extra_announcements_for_all_instances() -> None:
    addresses = "virtual_ipaddress: [192.0.2.10/24, {address: 192.0.2.11/24, dev: eth1}]"
    made = instance(addresses, "vrrp_garp_extra_if: {interval: 7, all: true}").gratuitous
    assert (made.extra_interval, made.extra_interfaces) == (7 * SECOND, ("eth1",))
    assert instance(f"garp_extra_if: 0, {addresses}", "vrrp_garp_extra_if: 7").gratuitous.extra_interval == 0
