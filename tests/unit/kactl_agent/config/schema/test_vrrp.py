"""vrrp_instance: words, values, limits, and what keepalived 2.2.7 (-t, and its dump) makes of what is beyond them."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.vrrp import (
    Authentication,
    AuthHmac,
    GarpExtraIf,
    HmacKeyEntry,
    UnicastPeer,
    UseIpvlan,
    UseVmac,
    VrrpInstance,
)
from support.keyword_lines import fault, from_yaml, in_yaml, same, shape_of, taken, written

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("word", ["MASTER", "BACKUP"])
def test_state(word: str) -> None:
    same(VrrpInstance, "state", word, word)


@pytest.mark.parametrize("word", ["Master", "master", "FAULT", "$STATE"])
def test_any_other_state_is_backup(word: str) -> None:
    assert fault(VrrpInstance, "state", word).taken == "BACKUP"


@pytest.mark.parametrize("word", ["0", "256", "-1", "abc", "1.5"])
def test_a_bad_priority_is_100(word: str) -> None:
    assert fault(VrrpInstance, "priority", word).taken == 100


@pytest.mark.parametrize("word", ["1", "255"])
def test_priority_limits(word: str) -> None:
    same(VrrpInstance, "priority", word, int(word))


@pytest.mark.parametrize("word", ["0", "256", "abc"])
def test_a_bad_virtual_router_id_is_ignored(word: str) -> None:
    assert fault(VrrpInstance, "virtual_router_id", word).taken is UNSET


def test_an_instance_cannot_do_without_virtual_router_id() -> None:
    assert table_of(VrrpInstance).by_name["virtual_router_id"].keyword.required


@pytest.mark.parametrize(
    ("word", "micro"), [("0.01", 10_000), ("1", 1_000_000), ("0.92", 920_000), ("255", 255_000_000)]
)
def test_advert_int_is_microseconds(word: str, micro: int) -> None:
    same(VrrpInstance, "advert_int", word, micro)


@pytest.mark.parametrize("word", ["0", "0.001", "256", "1s", "abc"])
def test_a_bad_advert_int_is_ignored(word: str) -> None:
    assert fault(VrrpInstance, "advert_int", word).taken is UNSET


def test_advert_int_of_yaml_takes_units() -> None:
    assert in_yaml(VrrpInstance, "advert_int", 500_000) == "0.5"
    assert from_yaml(VrrpInstance, "advert_int", "500ms") == 500_000


@pytest.mark.parametrize("word", ["1", "4", "abc"])
def test_other_versions_are_ignored(word: str) -> None:
    assert fault(VrrpInstance, "version", word).taken is UNSET


@pytest.mark.parametrize("word", ["1001", "-1"])
def test_preempt_delay_ends_at_1000(word: str) -> None:
    assert fault(VrrpInstance, "preempt_delay", word).taken is UNSET


def test_preempt_delay_has_microseconds() -> None:
    same(VrrpInstance, "preempt_delay", "4.12", 4_120_000)
    assert fault(VrrpInstance, "preempt_delay", "1.1234567").taken == 1_123_457


@pytest.mark.parametrize("keyword", ["garp_master_repeat", "garp_master_refresh_repeat"])
def test_no_garp_becomes_one(keyword: str) -> None:
    assert fault(VrrpInstance, keyword, "0").taken == 1
    assert fault(VrrpInstance, keyword, "-1").taken is UNSET
    assert fault(VrrpInstance, keyword, "abc").taken is UNSET
    assert fault(VrrpInstance, keyword, "5000000000").taken is UNSET


def test_lower_prio_repeat_may_be_none() -> None:
    same(VrrpInstance, "garp_lower_prio_repeat", "0", 0)


@pytest.mark.parametrize("keyword", ["garp_master_delay", "garp_master_refresh", "garp_lower_prio_delay"])
def test_garp_times_are_whole_seconds(keyword: str) -> None:
    same(VrrpInstance, keyword, "10", 10_000_000)
    same(VrrpInstance, keyword, "0", 0)
    for word in ("1.5", "-1", "abc", "99999999999"):
        assert fault(VrrpInstance, keyword, word).taken is UNSET


def test_garp_extra_if() -> None:
    same(VrrpInstance, "garp_extra_if", "100", GarpExtraIf(interval=100_000_000))
    same(VrrpInstance, "garp_extra_if", "all 100", GarpExtraIf(interval=100_000_000, all=True))
    for line in ("86401", "1.5", "abc"):
        assert fault(VrrpInstance, "garp_extra_if", line).taken is UNSET
    assert "vmac_garp_intvl" in table_of(VrrpInstance).by_name["garp_extra_if"].keyword.deprecated


def test_use_vmac() -> None:
    same(VrrpInstance, "use_vmac", "", True)
    same(VrrpInstance, "use_vmac", "vrrp.5", UseVmac(name="vrrp.5"))
    same(VrrpInstance, "use_vmac", "02:00:00:00:00:01", UseVmac(mac="02:00:00:00:00:01"))
    full = UseVmac(name="vrrp.5", mac="02:00:00:00:00", netlink_notify_msg=True, group="7")
    same(VrrpInstance, "use_vmac", "vrrp.5 02:00:00:00:00 netlink_notify_msg group 7", full)
    assert taken(VrrpInstance, "use_vmac", "02:00:00:00:00:1 vrrp.5") == UseVmac(name="vrrp.5", mac="02:00:00:00:00:01")


def test_use_vmac_takes_the_name_with_its_word() -> None:
    value = taken(VrrpInstance, "use_vmac", "name vrrp.5")
    assert value == UseVmac(name="vrrp.5")
    assert written(VrrpInstance, "use_vmac", value) == "vrrp.5"


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "00:00:5e:00:01:01", "00:00:5e:00:02:01", "02:00:00:00:00:zz"])
def test_use_vmac_leaves_a_bad_mac_out(mac: str) -> None:
    value, end = shape_of(VrrpInstance, "use_vmac").read(["vrrp.5", mac], 0)
    assert (value, end) == (UseVmac(name="vrrp.5"), 1)
    assert fault(VrrpInstance, "use_vmac", "averyveryverylongname").taken is UNSET


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("", True),
        ("ipv5", UseIpvlan(name="ipv5")),
        ("ipv5 10.1.1.1", UseIpvlan(name="ipv5", address="10.1.1.1")),
        ("ipv5 10.1.1.1/24 private", UseIpvlan(name="ipv5", address="10.1.1.1/24", mode="private")),
        ("10.1.1.1", UseIpvlan(address="10.1.1.1")),
        ("vepa", UseIpvlan(mode="vepa")),
        ("2001:db8::1/64 bridge group 3", UseIpvlan(address="2001:db8::1/64", mode="bridge", group="3")),
    ],
)
def test_use_ipvlan(line: str, value: bool | UseIpvlan) -> None:
    same(VrrpInstance, "use_ipvlan", line, value)


def test_use_ipvlan_takes_its_words_in_any_order() -> None:
    expected = UseIpvlan(name="ipv5", address="10.1.1.1/24", mode="vepa")
    assert taken(VrrpInstance, "use_ipvlan", "10.1.1.1/24 vepa ipv5") == expected
    assert taken(VrrpInstance, "use_ipvlan", "10.1.1.1/24 vepa name ipv5") == expected


def test_use_ipvlan_has_one_mode() -> None:
    words = ["ipv5", "10.1.1.1", "vepa", "bridge"]
    value, end = shape_of(VrrpInstance, "use_ipvlan").read(words, 0)
    assert (value, words[end:]) == (UseIpvlan(name="ipv5", address="10.1.1.1", mode="vepa"), ["bridge"])


def test_an_address_loses_its_prefix() -> None:
    for keyword in ("unicast_peer", "mcast_src_ip", "unicast_src_ip"):
        assert fault(VrrpInstance, keyword, "10.1.1.1/24").taken == "10.1.1.1"


def test_unicast_peer() -> None:
    same(VrrpInstance, "unicast_peer", "10.1.1.1", UnicastPeer(address="10.1.1.1"))
    both = UnicastPeer(address="10.1.1.1", min_ttl=10, max_ttl=20)
    same(VrrpInstance, "unicast_peer", "10.1.1.1 min_ttl 10 max_ttl 20", both)
    assert fault(VrrpInstance, "unicast_peer", "10.1.1.1 min_ttl 256").word == 2
    assert fault(VrrpInstance, "unicast_peer", "10.1.1.x").taken is UNSET


@pytest.mark.parametrize("word", ["10.1.1.1", "2001:db8::1", "foo"])
def test_mcast_dst_ip_is_multicast(word: str) -> None:
    assert fault(VrrpInstance, "mcast_dst_ip", word).taken is UNSET


@pytest.mark.parametrize("word", ["224.0.0.20", "ff02::99"])
def test_mcast_dst_ip(word: str) -> None:
    same(VrrpInstance, "mcast_dst_ip", word, word)


def test_skip_check_adv_addr_cannot_be_switched_off_in_keepalived() -> None:
    for word in ("off", "no", "false"):
        assert fault(VrrpInstance, "skip_check_adv_addr", word).taken is True
    same(VrrpInstance, "skip_check_adv_addr", "", True)
    assert fault(VrrpInstance, "skip_check_adv_addr", "foo").taken is UNSET
    assert from_yaml(VrrpInstance, "skip_check_adv_addr", "false") is False


def test_old_unicast_checksum() -> None:
    same(VrrpInstance, "old_unicast_checksum", "", True)
    same(VrrpInstance, "old_unicast_checksum", "never", "never")
    assert fault(VrrpInstance, "old_unicast_checksum", "foo").taken is UNSET


def test_timer_expired_backup() -> None:
    same(VrrpInstance, "timer_expired_backup", "", True)
    same(VrrpInstance, "timer_expired_backup", "254", 254)
    assert fault(VrrpInstance, "timer_expired_backup", "255").taken is UNSET
    assert table_of(VrrpInstance).by_word["thread_timer_expired"].name == "timer_expired_backup"


def test_notify_deleted() -> None:
    same(VrrpInstance, "notify_deleted", "", True)
    value = taken(VrrpInstance, "notify_deleted", '"/bin/n a b" root wheel')
    assert value == Script(command="/bin/n a b", user="root", group="wheel")


@pytest.mark.parametrize(
    "keyword",
    [
        "state",
        "version",
        "use_vmac",
        "use_ipvlan",
        "notify",
        "notify_master",
        "notify_backup",
        "notify_fault",
        "notify_stop",
        "notify_deleted",
        "notify_master_rx_lower_pri",
    ],
)
def test_keepalived_stays_with_the_first(keyword: str) -> None:
    assert table_of(VrrpInstance).by_name[keyword].keyword.again == "ignored"


@pytest.mark.parametrize("keyword", ["priority", "virtual_router_id", "advert_int", "interface", "unicast_src_ip"])
def test_keepalived_takes_the_last(keyword: str) -> None:
    assert table_of(VrrpInstance).by_name[keyword].keyword.again == "replaces"


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("unicast_ttl", ["256", "-1", "abc"]),
        ("down_timer_adverts", ["0", "101", "abc"]),
        ("debug", ["5", "abc"]),
        ("kernel_rx_buf_size", ["-1", "abc", "5000000000"]),
        ("lower_prio_no_advert", ["foo"]),
        ("higher_prio_send_advert", ["foo"]),
        ("strict_mode", ["foo"]),
        ("smtp_alert", ["foo"]),
        ("notify_priority_changes", ["foo"]),
        ("mcast_src_ip", ["foo"]),
        ("unicast_src_ip", ["foo"]),
        ("interface", ["averyveryverylongname"]),
    ],
)
def test_bad_values_are_ignored(keyword: str, words: list[str]) -> None:
    for word in words:
        assert fault(VrrpInstance, keyword, word).taken is UNSET


def test_auth_pass_is_cut_to_eight_bytes() -> None:
    same(Authentication, "auth_pass", "12345678", "12345678")
    cut = fault(Authentication, "auth_pass", "123456789")
    assert cut.taken == "12345678"
    assert "123456789" not in cut.message


def test_auth_pass_is_not_cut_within_a_character() -> None:
    assert fault(Authentication, "auth_pass", "passworä").taken == "passwor"


@pytest.mark.parametrize("word", ["pass", "NONE", "FOO"])
def test_other_auth_types_are_ignored(word: str) -> None:
    assert fault(Authentication, "auth_type", word).taken is UNSET


@pytest.mark.parametrize("key", [KEY, "x" * 64, "hex:" + "0f" * 32, "file:/etc/kactl/vrrp.key"])
def test_hmac_keys(key: str) -> None:
    same(AuthHmac, "key", f"1 {key}", HmacKeyEntry(id=1, key=key))


@pytest.mark.parametrize("key", ["abc", "x" * 31, "x" * 65, "hex:" + "0f" * 31, "hex:zz" + "0f" * 32, "file:key"])
def test_hmac_keys_of_the_wrong_length_or_form(key: str) -> None:
    found = fault(AuthHmac, "key", f"1 {key}")
    assert found.word == 1
    assert key not in found.message


def test_hmac_key_numbers() -> None:
    assert fault(AuthHmac, "key", f"0 {KEY}").word == 0
    assert fault(AuthHmac, "key", f"256 {KEY}").word == 0


@pytest.mark.parametrize(
    ("keyword", "good", "bad"),
    [
        ("active_key", "255", "256"),
        ("time_window", "300", "301"),
        ("anti_replay", "monotonic", "sequence"),
        ("mode", "receive-only", "receive_only"),
    ],
)
def test_auth_hmac(keyword: str, good: str, bad: str) -> None:
    assert written(AuthHmac, keyword, taken(AuthHmac, keyword, good)) == good
    assert fault(AuthHmac, keyword, bad).taken is UNSET
