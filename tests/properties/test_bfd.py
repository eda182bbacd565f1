"""BFD: bytes lead to a value or RemoteProtocolError, nowhere else; two sessions on any link keep to RFC 5880."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.bfd.actions import Disable, Enable, ForwardingPlaneReset, Repeat, Send, StateChanged
from kactl_agent.bfd.auth import Authenticator
from kactl_agent.bfd.packet import ControlPacket, RemoteProtocolError, State, decode, encode
from kactl_agent.bfd.sessions import Sessions
from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType, SessionSettings
from support.bfd import LOCAL_DISCRIMINATOR, MS, NS, SECOND, Bench, Wire, meta, settings

WORDS = st.integers(0, 0xFFFFFFFF)
NUMBERS = st.integers(1, 0xFFFFFFFF)
INTERVALS = st.integers(10, 2_000).map(lambda ms: ms * MS)


@st.composite
def packets(draw: st.DrawFn) -> ControlPacket:
    state = draw(st.sampled_from(State))
    poll = draw(st.booleans())
    return ControlPacket(
        state=state,
        detect_mult=draw(st.integers(1, 255)),
        my_discriminator=draw(NUMBERS),
        your_discriminator=draw(NUMBERS if state > State.DOWN else WORDS),
        desired_min_tx_interval=draw(WORDS),
        required_min_rx_interval=draw(WORDS),
        required_min_echo_rx_interval=draw(WORDS),
        diagnostic=draw(st.integers(0, 31)),
        poll=poll,
        final=not poll and draw(st.booleans()),
        control_plane_independent=draw(st.booleans()),
        demand=draw(st.booleans()),
        auth=draw(st.one_of(st.just(b""), st.binary(min_size=2, max_size=40))),
    )


@given(packets(), st.binary(max_size=50))
def test_what_is_written_is_read_back(one: ControlPacket, padding: bytes) -> None:
    assert decode(encode(one) + padding) == one


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_or_an_error_with_a_reason(data: bytes) -> None:
    try:
        read = decode(data)
    except RemoteProtocolError:
        return
    assert decode(encode(read)) == read
    for kind in AuthType:
        if read.auth:
            receiver = Authenticator(AuthSettings(kind, (AuthKey(1, b"k"),), 1), 1)
            try:
                receiver.verify(read, data[: 24 + len(read.auth)])
            except RemoteProtocolError:
                assert not receiver.known


@given(st.sampled_from(AuthType), packets(), WORDS, st.binary(min_size=1, max_size=16), st.integers(0, 255))
def test_what_is_signed_is_accepted_and_with_another_key_is_not(
    kind: AuthType, one: ControlPacket, sequence: int, secret: bytes, key_id: int
) -> None:
    sender = Authenticator(AuthSettings(kind, (AuthKey(key_id, secret),), key_id), sequence)
    bare = {name: getattr(one, name) for name in one.__struct_fields__ if name != "auth"}
    data = sender.sign(encode(ControlPacket(**bare), sender.length))
    Authenticator(sender.settings, 0).verify(decode(data), data)
    other = AuthSettings(kind, (AuthKey(key_id, bytes(b ^ 0x55 for b in secret)),), key_id)
    try:
        Authenticator(other, 0).verify(decode(data), data)
    except RemoteProtocolError:
        return
    raise AssertionError("taken with another key")


@given(st.lists(st.tuples(st.binary(max_size=60), WORDS, st.integers(0, 255)), max_size=30))
def test_no_packet_of_a_stranger_changes_a_session(flood: list[tuple[bytes, int, int]]) -> None:
    sessions = Sessions()
    sessions.add("b1", settings(), LOCAL_DISCRIMINATOR, 1, 0)
    before = sessions["b1"].snapshot()
    for data, source, ttl in flood:
        stranger = meta(source=b"\x0a" + (source & 0xFFFFFF).to_bytes(3, "big"), ttl=ttl)
        named = sessions.receive(data, stranger, 1)
        assert not any(isinstance(action, Send | StateChanged) for _, action in named)
    assert sessions["b1"].snapshot() == before


EVENTS = st.one_of(
    st.builds(lambda **f: ("hear", f), state=st.sampled_from([State.INIT, State.UP]), poll=st.booleans()),
    st.builds(lambda **f: ("hear", f), state=st.sampled_from(State), final=st.booleans(), demand=st.booleans()),
    st.builds(lambda rx: ("hear", {"required_min_rx_interval": rx}), st.one_of(st.just(0), INTERVALS)),
    st.builds(lambda span: ("wait", span), st.integers(1, 300 * MS)),
    st.builds(lambda event: ("tell", event), st.sampled_from([Disable(), Enable(), ForwardingPlaneReset(), Repeat()])),
    st.builds(lambda tx, rx: ("set", (tx, rx)), INTERVALS, INTERVALS),
)


@given(st.lists(EVENTS, max_size=40), st.integers(1, 255), st.integers(0, 1 << 64))
def test_whatever_happens_6_8_7_holds(events: list[tuple[str, Any]], detect_mult: int, seed: int) -> None:
    """P and F never together, D and M never; not Up is never faster than once a second in what is announced; periodic
    packets keep their distance; nothing is sent without being encodable; there is always a next moment."""
    bench = Bench(seed, detect_mult=detect_mult)
    for kind, value in events:
        before = len(bench.log)
        if kind == "hear":
            bench.hear(**value)
        elif kind == "wait":
            interval = bench.session.transmit_interval
            started = bench.now
            bench.pass_time(value)
            periodic = [at for at, a in bench.log[before:] if isinstance(a, Send)]
            if bench.session.transmit_interval == interval and bench.session.state is State.UP:
                assert len(periodic) <= (bench.now - started) / (interval * 0.75 or 1) + 1
        elif kind == "tell":
            bench.tell(value)
        else:
            tx, rx = value
            bench.reconfigure(detect_mult=detect_mult, desired_min_tx_interval=tx, required_min_rx_interval=rx)
        for _at, action in bench.log[before:]:
            if isinstance(action, Send):
                sent = decode(action.data)
                assert not (sent.poll and sent.final)
                assert not sent.demand
                assert sent.state is State.UP or sent.desired_min_tx_interval >= SECOND
        session = bench.session
        assert session.up is (session.state is State.UP) or session.state is not State.UP


@st.composite
def links(draw: st.DrawFn) -> tuple[SessionSettings, SessionSettings, int, float, int]:
    def end(name: str, last: int) -> SessionSettings:
        return settings(
            name=name,
            neighbor=bytes((10, 0, 0, last)),
            desired_min_tx_interval=draw(INTERVALS),
            required_min_rx_interval=draw(INTERVALS),
            detect_mult=draw(st.integers(1, 10)),
            passive=name == "right" and draw(st.booleans()),
        )

    return (
        end("left", 2),
        end("right", 1),
        draw(st.integers(0, 1 << 32)),
        draw(st.floats(0, 0.3)),
        draw(st.integers(1, 9)),
    )


@given(links())
def test_on_a_lossy_link_sessions_come_up_again_once_it_is_mended(
    case: tuple[SessionSettings, SessionSettings, int, float, int],
) -> None:
    """Loss, duplicates, delay and reordering for 10 s; after that both are Up, agree, and stay so without a flap."""
    left, right, seed, loss, delay = case
    luck = random.Random(seed)

    def fate(_data: bytes, now: int) -> list[int]:
        if now > 10 * SECOND * NS:
            return [delay * MS * NS]
        copies = 0 if luck.random() < loss else 2 if luck.random() < 0.1 else 1
        return [luck.randrange(1, delay * 10) * MS * NS for _ in range(copies)]

    wire = Wire(left, right)
    wire.fates = [fate, fate]
    wire.run(10 * SECOND * NS)
    wire.run(80 * SECOND * NS, lambda: wire.now > 60 * SECOND * NS and wire.both_up())
    assert wire.both_up()
    settled = wire.now
    wire.run(settled + 10 * SECOND * NS)
    assert not wire.changes(0, settled + 1)
    assert not wire.changes(1, settled + 1)
    for end in (0, 1):
        mine, other = (left, right) if end == 0 else (right, left)
        seen = wire.session(end).snapshot()
        agreed = max(other.desired_min_tx_interval, mine.required_min_rx_interval)
        assert seen.detection_time == other.detect_mult * agreed
        assert seen.transmit_interval == max(mine.desired_min_tx_interval, other.required_min_rx_interval)
        assert not seen.polling
