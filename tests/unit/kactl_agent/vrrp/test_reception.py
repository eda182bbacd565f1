"""Which adverts are discarded, which are taken with a remark, and how often that is said (RFC 9568 and 3768 7.1)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kactl_agent.vrrp.actions import PacketMeta, Report, State
from kactl_agent.vrrp.packet import Reason
from kactl_agent.vrrp.settings import SECOND, ChecksumForm, Family, VirtualAddress
from support.vrrp import LOCAL, PEER, PEER6, PEER_LOW, VIP, advert, make_settings, master, of, packed, started

GLOBAL6 = VirtualAddress(packed("2001:db8::100"), 64, "eth0")


def discard_reason(packet: tuple[bytes, PacketMeta], **changes: Any) -> str | None:
    """Which counter a packet moves on a BACKUP of these settings; None when it is accepted."""
    instance = started(**changes)
    before = instance.snapshot()
    instance.receive(*packet, SECOND)
    after = instance.snapshot()
    moved = [r.value for r in Reason if after.statistics[r.value] != before.statistics[r.value]]
    if after.master:
        assert not moved
        return None
    assert after.statistics["adverts_received"] == 1
    (reason,) = moved
    return reason


def test_rfc9568_7_1_ttl() -> None:
    assert discard_reason(advert(150)) is None
    assert discard_reason(advert(150, ttl=254)) == "ttl"


def test_unicast_has_no_ttl_check() -> None:
    """keepalived checks a unicast TTL only where min_ttl or max_ttl asks for it."""
    packet = advert(150, destination=LOCAL, ttl=60)
    assert discard_reason(packet, unicast_peers=(PEER,)) is None


def test_destination_kind() -> None:
    assert discard_reason(advert(150, destination=LOCAL)) == "destination"
    assert discard_reason(advert(150), unicast_peers=(PEER,)) == "destination"
    packet = advert(150, PEER6, settings=make_settings(family=Family.IPV6), destination=packed("fe80::5"))
    assert discard_reason(packet, family=Family.IPV6) == "destination"


def test_rfc9568_7_1_version() -> None:
    assert discard_reason(advert(150, settings=make_settings(version=2))) == "version"
    assert discard_reason(advert(150), version=2) == "version"


@pytest.mark.parametrize("form", list(ChecksumForm))
def test_either_checksum_is_accepted_and_the_other_one_reported_once(form: ChecksumForm) -> None:
    for configured in ChecksumForm:
        instance = started(checksum_form=configured)
        actions = instance.receive(*advert(150, form=form), SECOND)
        assert instance.snapshot().master == PEER
        assert [r.code for r in of(Report, actions)] == (["checksum_form"] if form is not configured else [])
        assert instance.receive(*advert(150, form=form), 2 * SECOND) == []


def test_only_the_configured_checksum_when_told_so() -> None:
    for configured in ChecksumForm:
        for form in ChecksumForm:
            reason = discard_reason(advert(150, form=form), checksum_form=configured, accept_either_checksum=False)
            assert reason == (None if form is configured else "checksum")


def test_another_virtual_router_is_counted_but_not_reported() -> None:
    instance = started()
    assert instance.receive(*advert(150, virtual_router_id=52), 0) == []
    assert instance.snapshot().statistics["virtual_router_id"] == 1


def test_rfc3768_7_1_interval_mismatch_is_discarded() -> None:
    settings = make_settings(version=2)
    assert discard_reason(advert(150, settings=settings), version=2) is None
    packet = advert(150, settings=settings, advert_interval=2 * SECOND)
    assert discard_reason(packet, version=2) == "advert_interval"


def test_rfc9568_7_1_interval_mismatch_is_only_reported() -> None:
    instance = started()
    (report,) = instance.receive(*advert(150, advert_interval=2 * SECOND), 0)
    assert isinstance(report, Report)
    assert report.code == "advert_interval_differs"
    assert instance.snapshot().master == PEER


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("priority", [150, 255])
def test_rfc3768_7_1_address_list_mismatch(strict: bool, priority: int) -> None:
    """The RFC drops it unless the owner sent it; keepalived says so and takes it."""
    settings = make_settings(version=2)
    packet = advert(priority, settings=settings, addresses=(packed("192.0.2.111"),))
    dropped = strict and priority != 255
    assert discard_reason(packet, version=2, rfc_discards=strict) == ("address_list" if dropped else None)


def test_an_address_mismatch_is_reported_with_the_addresses() -> None:
    instance = started(addresses=(VIP, VirtualAddress(packed("192.0.2.101"), 24, "eth0")))
    (report,) = of(Report, instance.receive(*advert(150), 0))
    assert report.code == "address_count_differs"
    assert "not advertised: 192.0.2.101" in report.detail
    (report,) = of(Report, started().receive(*advert(150, addresses=(PEER,)), 0))
    assert report.code == "address_list_differs"
    assert report.detail.endswith("not advertised: 192.0.2.100; not configured: 192.0.2.9")
    other_order = (packed("192.0.2.101"), VIP.address)
    assert instance.receive(*advert(150, addresses=other_order), 0) == []


@pytest.mark.parametrize("strict", [False, True])
def test_erratum_8300_first_ipv6_address_is_global(strict: bool) -> None:
    """The erratum discards it; keepalived takes it, and so do we unless rfc_discards is on."""
    settings = make_settings(family=Family.IPV6)
    packet = advert(150, PEER6, settings=settings, addresses=(GLOBAL6.address,))
    reason = discard_reason(packet, family=Family.IPV6, rfc_discards=strict)
    assert reason == ("first_address_not_link_local" if strict else None)
    codes = [r.code for r in of(Report, started(family=Family.IPV6).receive(*packet, 0))]
    assert "first_address_global" in codes


def test_rfc2338_5_3_6_authentication() -> None:
    plain = make_settings(version=2)
    password = make_settings(version=2, auth_password=b"1234")
    right, none = advert(150, settings=password), advert(150, settings=plain)
    with_password = {"version": 2, "auth_password": b"1234"}
    assert discard_reason(right, **with_password) is None
    assert discard_reason(none, version=2) is None
    assert discard_reason(none, **with_password) == "auth_type_mismatch"
    assert discard_reason(right, version=2) == "auth_type_mismatch"
    assert discard_reason(advert(150, settings=plain, auth_type=2), version=2) == "auth_type_mismatch"
    assert discard_reason(advert(150, settings=plain, auth_type=3), version=2) == "auth_type_unknown"
    for wrong in (b"1235\0\0\0\0", b"1234\0\0\0\1", bytes(8)):
        assert discard_reason(advert(150, settings=password, auth_data=wrong), **with_password) == "auth_failure"


def test_rfc3768_5_3_10_authentication_data_is_ignored_without_a_password() -> None:
    packet = advert(150, settings=make_settings(version=2), auth_data=b"whatever")
    assert discard_reason(packet, version=2) is None


def test_a_password_is_never_in_a_report() -> None:
    instance = started(version=2, auth_password=b"geheim12")
    (report,) = of(Report, instance.receive(*advert(150, settings=instance.settings, auth_data=b"anderes1"), 0))
    assert "geheim" not in report.detail
    assert "anderes" not in report.detail


def test_long_passwords_count_with_eight_bytes() -> None:
    settings = make_settings(version=2, auth_password=b"12345678")
    assert discard_reason(advert(150, settings=settings), version=2, auth_password=b"1234567890") is None


def test_reports_come_once_until_the_state_or_the_master_changes() -> None:
    instance = started()
    bad = advert(150, ttl=1)
    assert len(instance.receive(*bad, 1)) == 1
    assert instance.receive(*bad, 2) == []
    assert len(instance.receive(*advert(150, form=ChecksumForm.MESSAGE_ONLY), 3)) == 1  # another kind, a new master
    assert len(instance.receive(*bad, 4)) == 1
    assert instance.receive(*bad, 5) == []
    instance.receive(*advert(150), 6)
    assert instance.receive(*bad, 7) == []  # the same master
    instance.receive(*advert(150, PEER_LOW), 8)
    assert len(instance.receive(*bad, 9)) == 1
    assert instance.snapshot().statistics["ttl"] == 6


def test_a_transition_lets_reports_come_again() -> None:
    instance = started()
    assert len(instance.receive(*advert(150, ttl=1), 1)) == 1
    instance.handle_timer(instance.deadline() or 0)
    assert instance.state is State.MASTER
    assert len(instance.receive(*advert(150, ttl=1), 2)) == 1


def test_a_remark_that_comes_with_a_new_master_is_made_once() -> None:
    instance = started()
    odd = advert(150, form=ChecksumForm.MESSAGE_ONLY)
    assert len(instance.receive(*odd, 1)) == 1
    assert instance.receive(*odd, 2) == []
    assert instance.snapshot().statistics["checksum_form"] == 2


def test_own_packets_are_ignored() -> None:
    """Looped back by the network, or an address conflict: never an answer (an advert storm), only a warning."""
    instance, now = master()
    for priority in (0, 50, 100, 200):
        actions = instance.receive(*advert(priority, LOCAL), now + 1)
        assert [r.code for r in of(Report, actions)] == (["own_address"] if not priority else [])
        assert len(actions) <= 1
    assert instance.state is State.MASTER
    assert instance.snapshot().statistics["own_address"] == 4


def test_a_checksum_that_the_kernel_has_verified_is_not_computed_again() -> None:
    data, meta = advert(150, PEER6, settings=make_settings(family=Family.IPV6))
    broken = data[:6] + b"\0\0" + data[8:]
    assert discard_reason((broken, meta), family=Family.IPV6) == "checksum"
    verified = msgspec.structs.replace(meta, checksum_verified=True)
    assert discard_reason((broken, verified), family=Family.IPV6) is None


@pytest.mark.parametrize("skip", [False, True])
def test_skip_check_adv_addr(skip: bool) -> None:
    """keepalived 2.4.3 counts and says what differs; with this, a backup does not compare for the master it knows."""
    instance = started(skip_check_adv_addr=skip)
    odd = advert(150, addresses=(packed("192.0.2.111"),))
    fewer = advert(150, addresses=(packed("192.0.2.111"), packed("192.0.2.112")))

    def counted() -> int:
        return instance.snapshot().statistics["address_list_differs"]

    assert [r.code for r in of(Report, instance.receive(*odd, 1))] == ["address_list_differs"]  # a new master
    instance.receive(*odd, 2)
    assert counted() == (1 if skip else 2)
    instance.receive(*advert(150, PEER_LOW, addresses=(packed("192.0.2.111"),)), 3)  # another one
    assert counted() == (2 if skip else 3)
    instance.receive(*fewer, 4)  # the count is compared always
    assert instance.snapshot().statistics["address_count_differs"] == 1
    assert instance.snapshot().master == PEER


def test_skip_check_adv_addr_means_nothing_for_a_master() -> None:
    instance, now = master(skip_check_adv_addr=True)
    instance.receive(*advert(50, addresses=(packed("192.0.2.111"),)), now)
    instance.receive(*advert(50, addresses=(packed("192.0.2.111"),)), now)
    assert instance.snapshot().statistics["address_list_differs"] == 2
