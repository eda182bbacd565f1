"""What is wanted against what is: the least there is to do, foreign services untouched."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.model import (
    AF_INET,
    DIRECT_ROUTE,
    HASHED,
    ONE_PACKET,
    TUNNEL,
    Destination,
    DestinationKey,
    Forwarding,
    Service,
    ServiceKey,
)
from kactl_agent.ipvs.plan import Desired, Encoder, Entry, drift, expand, foreign, same_service, services_of, within
from kactl_agent.ipvs.settings import Members, VirtualServerSettings


def key(number: int, port: int = 80) -> ServiceKey:
    return ServiceKey(AF_INET, 6, bytes((10, 0, 0, number)), port)


def to(number: int, weight: int = 1, port: int = 80, method: int = 0) -> Destination:
    return Destination(DestinationKey(bytes((10, 0, 1, number)), port), weight, Forwarding(method))


def entry(service: Service, *destinations: Destination) -> Entry:
    return Entry(service, {each.key: each for each in destinations})


def commands(desired: Entry | None, actual: Entry | None) -> list[tuple[int, int | None]]:
    """(command, last byte of the destination)"""
    found = desired or actual
    assert found is not None
    return [
        (operation.command, None if operation.destination is None else operation.destination.address[3])
        for operation in Encoder().difference(found.service.key, desired, actual)
    ]


ONE = Service(key(1), "rr")


def test_what_is_as_it_should_be_costs_nothing() -> None:
    assert commands(entry(ONE, to(1)), entry(ONE, to(1))) == []
    assert commands(entry(ONE, to(1)), entry(ONE._replace(flags=HASHED), to(1))) == []


def test_a_new_service_comes_with_its_destinations() -> None:
    assert commands(entry(ONE, to(1), to(2)), None) == [
        (genl.NEW_SERVICE, None),
        (genl.NEW_DEST, 1),
        (genl.NEW_DEST, 2),
    ]


def test_the_pool_is_not_empty_on_the_way_to_another() -> None:
    assert commands(entry(ONE, to(1, 5), to(3)), entry(ONE, to(1), to(2))) == [
        (genl.SET_DEST, 1),
        (genl.NEW_DEST, 3),
        (genl.DEL_DEST, 2),
    ]


def test_a_service_is_changed_in_place_and_deleted_with_all_it_holds() -> None:
    assert commands(entry(ONE._replace(scheduler="wlc")), entry(ONE)) == [(genl.SET_SERVICE, None)]
    assert commands(None, entry(ONE, to(1))) == [(genl.DEL_SERVICE, None)]
    assert not same_service(ONE, ONE._replace(flags=ONE_PACKET))


def test_members_are_expanded_over_the_bytes_of_an_address() -> None:
    found = list(expand(Members(AF_INET, 17, bytes((10, 0, 0, 254)), 4, 53)))
    assert [service.text for service in found] == [
        f"[10.0.{third}.{last}]:udp:53" for third, last in ((0, 254), (0, 255), (1, 0), (1, 1))
    ]
    assert [service.text for service in expand(Members(AF_INET, fwmark=9))] == ["FWM 9"]


def test_services_that_overlap_are_one() -> None:
    members = (Members(AF_INET, 6, bytes((10, 0, 0, 1)), 3, 80), Members(AF_INET, 6, bytes((10, 0, 0, 2)), 1, 80))
    assert len(list(services_of(VirtualServerSettings(name="x", protocol=6, members=members)))) == 3


def test_only_nat_keeps_its_own_port() -> None:
    assert within(key(1, 80), to(1, port=8080)).key.port == 8080
    assert within(key(1, 81), to(1, port=8080, method=DIRECT_ROUTE)).key.port == 81
    assert within(ServiceKey(AF_INET, fwmark=3), to(1, port=8080, method=TUNNEL)).key.port == 0


def test_two_owners_of_a_mark_share_the_service() -> None:
    """keepalived 2.2.7: a group with a mark, for TCP and for UDP."""
    desired = Desired()
    mark = Service(ServiceKey(AF_INET, fwmark=9), "rr")
    for owner, number in (("tcp", 1), ("udp", 2)):
        desired.put_services(owner, [mark])
        desired.put_destination(owner, to(number))
    assert desired.entry(mark.key) == entry(mark, to(1), to(2))
    assert desired.owners(mark.key) == ["tcp", "udp"]
    desired.touched.clear()
    desired.remove_services("tcp")
    assert list(desired.touched) == [mark.key]
    assert desired.entry(mark.key) == entry(mark, to(2))
    desired.remove_services("udp")
    assert desired.entry(mark.key) is None


def test_a_pool_is_shared_and_what_was_given_out_stays_as_it_was() -> None:
    desired = Desired()
    desired.put_services("a", [ONE, Service(key(2), "rr")])
    desired.put_destination("a", to(1))
    one, other = desired.entry(key(1)), desired.entry(key(2))
    assert one is not None
    assert other is not None
    assert one.pool is other.pool
    desired.put_destination("a", to(2))
    desired.remove_destination("a", to(1).key)
    assert one == entry(ONE, to(1))
    assert desired.entry(key(1)) == entry(ONE, to(2))


def test_an_owner_that_changes_its_service_keeps_its_place() -> None:
    desired = Desired()
    for owner in ("first", "second", "third"):
        desired.put_services(owner, [ONE])
    desired.touched.clear()
    desired.put_services("second", [ONE])
    assert not desired.touched
    desired.put_services("first", [ONE._replace(scheduler="wlc")])
    assert desired.owners(key(1)) == ["first", "second", "third"]
    assert desired.entry(key(1)) == entry(ONE._replace(scheduler="wlc"))
    desired.put_services("first", [])
    assert desired.owners(key(1)) == ["second", "third"]
    assert desired.entry(key(1)) == entry(ONE)


def test_what_is_nobodys_is_foreign() -> None:
    desired = Desired()
    desired.put_services("a", [ONE])
    assert foreign([key(1), key(2)], desired) == [key(2)]


def test_drift_names_what_was_changed() -> None:
    wanted = entry(ONE, to(1), to(2), to(3))
    seen = entry(ONE._replace(scheduler="wlc"), to(1, 7), to(3), to(4))
    assert drift(wanted, seen) == [
        "service [10.0.0.1]:tcp:80 was changed",
        "destination [10.0.1.1]:tcp:80 of service [10.0.0.1]:tcp:80 was changed: weight 7 instead of 1",
        "destination [10.0.1.2]:tcp:80 of service [10.0.0.1]:tcp:80 is gone",
        "destination [10.0.1.4]:tcp:80 of service [10.0.0.1]:tcp:80 was added",
    ]
    assert drift(wanted, None) == ["service [10.0.0.1]:tcp:80 is gone"]
    assert drift(wanted, wanted) == []


pools = st.dictionaries(st.integers(1, 6), st.integers(0, 3), max_size=5)
tables = st.dictionaries(st.integers(1, 4), st.tuples(st.sampled_from(("rr", "wlc")), pools), max_size=4)
Table = dict[int, tuple[str, dict[int, int]]]


def made(table: Table) -> dict[ServiceKey, Entry]:
    return {
        key(number): entry(Service(key(number), scheduler), *(to(n, weight) for n, weight in pool.items()))
        for number, (scheduler, pool) in table.items()
    }


def replayed(start: dict[ServiceKey, Entry], requests: Iterable[bytes]) -> dict[ServiceKey, Entry]:
    from kactl_agent.kernel.fake_ipvs import FakeIpvs

    fake = FakeIpvs()
    fake.table = {name: (each.service, dict(each.pool)) for name, each in start.items()}
    assert fake.apply(list(requests)) == []
    return {name: Entry(service, pool) for name, (service, pool) in fake.table.items()}


@settings(deadline=None)
@given(tables, tables)
def test_from_any_table_to_any_other(before: Table, after: Table) -> None:
    start, end = made(before), made(after)
    encoder = Encoder()
    requests = [
        operation.request
        for name in start.keys() | end.keys()
        for operation in encoder.difference(name, end.get(name), start.get(name))
    ]
    assert replayed(start, requests) == end
