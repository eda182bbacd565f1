"""VRRP messages: what is written is read back, and no bytes lead anywhere but to a value or RemoteProtocolError."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.vrrp.packet import Advert, RemoteProtocolError, decode, encode
from kactl_agent.vrrp.settings import CENTISECOND, SECOND, ChecksumForm, Family

VRIDS = st.integers(1, 255)
PRIORITIES = st.integers(0, 255)
FORMS = st.sampled_from(ChecksumForm)


def addresses(size: int, least: int) -> st.SearchStrategy[tuple[bytes, ...]]:
    return st.lists(st.binary(min_size=size, max_size=size), min_size=least, max_size=30).map(tuple)


@st.composite
def adverts(draw: st.DrawFn) -> tuple[Advert, bytes, bytes, ChecksumForm]:
    """Any advert that can be written, with source, destination and checksum form."""
    version, size = draw(st.sampled_from([(2, 4), (3, 4), (3, 16)]))
    source, destination = draw(st.binary(min_size=size, max_size=size)), draw(st.binary(min_size=size, max_size=size))
    form = draw(FORMS)
    fields: dict[str, Any] = {"version": version, "virtual_router_id": draw(VRIDS), "priority": draw(PRIORITIES)}
    if version == 2:
        fields["advert_interval"] = draw(st.integers(0, 255)) * SECOND
        fields["addresses"] = draw(addresses(4, 0))
        fields["auth_type"] = draw(st.integers(0, 255))
        fields["auth_data"] = draw(st.binary(min_size=8, max_size=8))
    else:
        fields["advert_interval"] = draw(st.integers(1, 4095)) * CENTISECOND
        fields["addresses"] = draw(addresses(size, 1))
        fields["checksum_form"] = form if size == 4 else None
    return Advert(**fields), source, destination, form


def read(data: bytes, version: int, source: bytes, destination: bytes, form: ChecksumForm) -> Advert:
    family = Family.IPV4 if len(source) == 4 else Family.IPV6
    return decode(data, version=version, family=family, source=source, destination=destination, form=form)


@given(adverts())
def test_round_trip(case: tuple[Advert, bytes, bytes, ChecksumForm]) -> None:
    advert, source, destination, form = case
    data = encode(advert, source, destination, form)
    assert read(data, advert.version, source, destination, form) == advert


@given(adverts(), st.data())
def test_a_truncated_or_changed_message_is_refused(
    case: tuple[Advert, bytes, bytes, ChecksumForm], data: st.DataObject
) -> None:
    advert, source, destination, form = case
    message = encode(advert, source, destination, form)
    cut = data.draw(st.integers(0, len(message) - 1))
    changed = bytearray(message)
    changed[data.draw(st.integers(0, len(message) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for broken in (message[:cut], bytes(changed)):
        try:
            found = read(broken, advert.version, source, destination, form)
        except RemoteProtocolError:
            continue
        else:  # one flipped bit can at most make the other of the two checksums fit
            assert broken == bytes(changed)
            assert found.checksum_form not in (None, form)


@given(
    st.binary(max_size=100),
    st.sampled_from([(2, Family.IPV4, 4), (3, Family.IPV4, 4), (3, Family.IPV6, 16)]),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_garbage_gives_nothing_but_our_error(
    data: bytes, kind: tuple[int, Family, int], header: bool, verified: bool, draw: st.DataObject
) -> None:
    version, family, size = kind
    if header:  # get past the first byte
        data = bytes([version << 4 | 1]) + data
    source = draw.draw(st.binary(min_size=size, max_size=size))
    try:
        advert = decode(
            data,
            version=version,
            family=family,
            source=source,
            destination=source,
            checksum_verified=verified,
        )
    except RemoteProtocolError:
        return
    assert all(len(address) == size for address in advert.addresses)
    assert advert.advert_interval > 0 or version == 2
