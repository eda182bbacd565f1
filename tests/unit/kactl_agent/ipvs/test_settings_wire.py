"""Settings out of a message: the same as went in, once what is there often, and not anew what was there before."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    CheckTiming,
    ConnectTarget,
    FileCheckSettings,
    HttpCheckSettings,
    MiscCheckSettings,
    RegexSettings,
    SmtpCheckSettings,
    TcpCheckSettings,
    TlsSettings,
    UrlSettings,
)
from kactl_agent.ipvs.model import DIRECT_ROUTE, TUNNEL, Forwarding, Timeouts
from kactl_agent.ipvs.settings import (
    CheckersSettings,
    MarksSettings,
    Members,
    RealServerSettings,
    SorryServerSettings,
    VirtualServerSettings,
)
from kactl_agent.ipvs.settings_wire import NOTHING, decode
from kactl_agent.tracking.settings import Command, Executable, FileSettings

few = st.integers(0, 3)
words = st.sampled_from(["", "a", "b", "one word more"])
commands = st.builds(Command, st.lists(words, max_size=2).map(tuple), words)
timings = st.builds(CheckTiming, delay_loop=few, retry=few, alpha=st.booleans(), jitter=few)
targets = st.builds(ConnectTarget, address=words, port=few, timeout=st.sampled_from([1, 10**9, 5 * 10**9]))
regexes = st.none() | st.builds(RegexSettings, pattern=words, no_match=st.booleans())
urls = st.builds(UrlSettings, path=words, host=words, regex=regexes, tls_compliant=st.booleans())
checkers: st.SearchStrategy[AnyCheckerSettings] = st.one_of(
    st.builds(TcpCheckSettings, timing=timings, target=targets),
    st.builds(
        HttpCheckSettings,
        timing=timings,
        target=targets,
        urls=st.lists(urls, min_size=1, max_size=2).map(tuple),
        tls=st.none() | st.builds(TlsSettings, ca=words, verify=st.booleans()),
    ),
    st.builds(SmtpCheckSettings, timing=timings, target=targets, helo_name=words),
    st.builds(
        MiscCheckSettings,
        timing=timings,
        command=commands,
        timeout=few,
        executable=st.none() | st.builds(Executable, st.lists(words, max_size=2).map(tuple), few, few),
    ),
    st.builds(FileCheckSettings, timing=timings, file=st.builds(FileSettings, name=words, path=words), weight=few),
)
real_servers = st.builds(
    RealServerSettings,
    st.sampled_from([b"\x0a\0\0\1", b"\x0a\0\0\2"]),
    few,
    weight=few,
    forwarding=st.builds(Forwarding, st.sampled_from([0, TUNNEL, DIRECT_ROUTE]), few, few, few),
    notify_up=st.none() | commands,
    checkers=st.lists(checkers, max_size=2).map(tuple),
)
virtual_servers = st.builds(
    VirtualServerSettings,
    name=words,
    protocol=few,
    members=st.lists(st.builds(Members, st.just(2), few), max_size=2).map(tuple),
    scheduler=words,
    quorum_up=st.none() | commands,
    sorry_server=st.none() | st.builds(SorryServerSettings, st.just(b"\x0a\0\0\3"), few),
    real_servers=st.lists(real_servers, max_size=3).map(tuple),
)
all_settings = st.builds(
    CheckersSettings,
    virtual_servers=st.lists(virtual_servers, max_size=4, unique_by=msgspec.msgpack.encode).map(tuple),
    timeouts=st.none() | st.builds(Timeouts, few, few, few),
    flush=st.booleans(),
    marks=st.none() | st.builds(MarksSettings, first_mark=few),
    fifos=st.lists(words, max_size=2).map(tuple),
)


def server(number: int, quorum: int = 1) -> VirtualServerSettings:
    timing, target = CheckTiming(delay_loop=10**9), ConnectTarget(address=f"10.0.0.{number}", timeout=7 * 10**9)
    checker = TcpCheckSettings(timing=timing, target=target)
    real = RealServerSettings(bytes([10, 0, 0, number]), 80, forwarding=Forwarding(TUNNEL), checkers=(checker,))
    return VirtualServerSettings(name=f"[192.0.2.{number}]:tcp:80", quorum=quorum, real_servers=(real,))


def message(*servers: VirtualServerSettings) -> bytes:
    return msgspec.msgpack.encode(CheckersSettings(virtual_servers=servers))


@given(all_settings)
def test_what_went_in_comes_out(settings: CheckersSettings) -> None:
    encoded = msgspec.msgpack.encode(settings)
    decoded = decode(encoded).settings
    assert decoded == settings
    assert msgspec.msgpack.encode(decoded) == encoded  # 1 and True are equal too


@given(all_settings, all_settings, st.lists(st.integers(0, 7), max_size=6))
def test_what_was_there_before_is_taken_as_it_is(
    before: CheckersSettings, new: CheckersSettings, places: list[int]
) -> None:
    known = decode(msgspec.msgpack.encode(before))
    both = dict(enumerate((*before.virtual_servers, *new.virtual_servers)))
    chosen = {msgspec.msgpack.encode(both[place]): both[place] for place in places if place in both}
    wanted = msgspec.structs.replace(new, virtual_servers=tuple(chosen.values()))
    decoded = decode(msgspec.msgpack.encode(wanted), known).settings
    assert msgspec.msgpack.encode(decoded) == msgspec.msgpack.encode(wanted)
    there = {id(each) for each in known.settings.virtual_servers}
    encoded = {msgspec.msgpack.encode(each) for each in before.virtual_servers}
    for each in decoded.virtual_servers:
        assert (id(each) in there) is (msgspec.msgpack.encode(each) in encoded)


def test_what_is_equal_is_there_once() -> None:
    first, second = (each.real_servers[0] for each in decode(message(server(1), server(2))).settings.virtual_servers)
    one, other = first.checkers[0], second.checkers[0]
    assert isinstance(one, TcpCheckSettings)
    assert isinstance(other, TcpCheckSettings)
    assert first.forwarding is second.forwarding
    assert one.timing is other.timing
    assert one.target.timeout is other.target.timeout
    assert one.target.address != other.target.address


def test_an_unchanged_virtual_server_is_the_same_object() -> None:
    before = decode(message(*map(server, range(1, 6))))
    after = decode(message(server(1), server(2), server(3, quorum=2), server(4), server(5)), before)
    pairs = zip(after.settings.virtual_servers, before.settings.virtual_servers, strict=True)
    assert [each is known for each, known in pairs] == [True, True, False, True, True]
    assert after.settings.virtual_servers[2] == server(3, quorum=2)


@pytest.mark.parametrize(
    "places",
    [
        (1, 2, 3),
        (3, 2, 1),
        (2, 3),
        (1, 3),
        (1, 2),
        (),
        (1, 2, 9, 3),
        (9, 1, 2, 3),
        (1, 2, 3, 9),
    ],
)
def test_wherever_it_stands_now(places: tuple[int, ...]) -> None:
    before = decode(message(server(1), server(2), server(3)))
    known = dict(enumerate(before.settings.virtual_servers, 1))
    after = decode(message(*map(server, places)), before)
    assert after.settings.virtual_servers == tuple(map(server, places))
    for place, each in zip(places, after.settings.virtual_servers, strict=True):
        assert place == 9 or each is known[place]


def test_no_virtual_servers() -> None:
    assert decode(message()) == NOTHING
    assert decode(message(), decode(message(server(1)))).settings == CheckersSettings()


@pytest.mark.parametrize("bad", [b"", b"\x01", msgspec.msgpack.encode({"virtual_servers": [{"name": 7}]})])
def test_what_cannot_be_read(bad: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(bad)
