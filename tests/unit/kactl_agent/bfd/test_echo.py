"""Unaffiliated BFD Echo (RFC 9747): the neighbour sends back what it gets."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.bfd.actions import Disable, PacketMeta, Send, StateChanged
from kactl_agent.bfd.packet import ControlPacket, State, decode, encode
from kactl_agent.bfd.sessions import Sessions
from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType, Mode
from support.bfd import LOCAL_DISCRIMINATOR, MS, NS, OWN, SECOND, settings

LOOPED = PacketMeta(OWN, 3785, 254, OWN)
SHA1 = AuthSettings(AuthType.METICULOUS_KEYED_SHA1, (AuthKey(1, b"secret"),), 1)


class Mirror:
    """A session and a router that forwards what it sends, while `on`."""

    def __init__(self, **said: Any) -> None:
        made = settings(mode=Mode.UNAFFILIATED_ECHO, minimum_ttl=0, **said)
        self.sessions = Sessions()
        self.sessions.add("b1", made, LOCAL_DISCRIMINATOR, 7, 0)
        self.now = 0
        self.on = True
        self.sent: list[tuple[int, bytes]] = []
        self.changes: list[tuple[int, StateChanged]] = []

    @property
    def session(self) -> Any:
        return self.sessions["b1"]

    def run(self, until: int) -> None:
        while (due := self.sessions.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            waiting = self.sessions.handle_timer(self.now)
            while waiting:
                _name, action = waiting.pop(0)
                if isinstance(action, Send):
                    self.sent.append((self.now, action.data))
                    if self.on:
                        waiting += self.sessions.receive(action.data, LOOPED, self.now)
                elif isinstance(action, StateChanged):
                    self.changes.append((self.now, action))
        self.now = until

    def packets(self) -> list[ControlPacket]:
        return [decode(data) for _, data in self.sent]


@pytest.mark.parametrize("authentication", [None, SHA1])
def test_ue3_ue4_3_it_comes_up_by_its_own_packets(authentication: AuthSettings | None) -> None:
    mirror = Mirror(authentication=authentication)
    mirror.run(SECOND * NS)
    assert [c.new for _, c in mirror.changes] == [State.INIT, State.UP]
    first, second = mirror.packets()[:2]
    assert (first.my_discriminator, first.your_discriminator) == (LOCAL_DISCRIMINATOR, 0)
    assert (second.state, second.your_discriminator) == (State.INIT, LOCAL_DISCRIMINATOR)


def test_ue6_3_intervals_are_filled_in_and_mean_nothing() -> None:
    mirror = Mirror()
    mirror.run(5 * SECOND * NS)
    assert {
        (p.desired_min_tx_interval, p.required_min_rx_interval, p.required_min_echo_rx_interval)
        for p in mirror.packets()
    } == {(SECOND, SECOND, 0)}
    assert not any(p.poll or p.final for p in mirror.packets())


def test_ue7_ue8_3_pace_and_detection() -> None:
    mirror = Mirror(detect_mult=4)
    mirror.run(5 * SECOND * NS)
    assert mirror.session.transmit_interval == 50 * MS
    assert mirror.session.detection_time == 200 * MS
    mirror.on = False
    last = mirror.session.snapshot().last_received
    mirror.run(20 * SECOND * NS)
    at, change = mirror.changes[-1]
    assert at - last == 200 * MS * NS
    assert (change.new, change.diagnostic, change.up) == (State.DOWN, 2, False)
    quiet = [moment for moment, _ in mirror.sent if moment > at]
    assert len(quiet) <= 16 / 0.75 + 1, "at most one a second (and jitter)"
    mirror.on = True
    mirror.run(22 * SECOND * NS)
    assert mirror.session.state is State.UP


def test_ue3_3_admin_down_is_not_used() -> None:
    mirror = Mirror()
    mirror.run(SECOND * NS)
    assert not mirror.sessions.tell("b1", Disable(), mirror.now)
    assert mirror.session.state is State.UP


@pytest.mark.parametrize("ttl", [255, 253, 64])
def test_ue5_3_the_ttl_must_be_254(ttl: int) -> None:
    mirror = Mirror()
    mirror.on = False
    mirror.run(1)
    mirror.sessions.receive(mirror.sent[0][1], PacketMeta(OWN, 3785, ttl, OWN), 1)
    assert mirror.session.state is State.DOWN
    assert mirror.session.statistics["discarded_ttl"] == 1


def test_somebody_elses_packets_are_nothing() -> None:
    mirror = Mirror()
    mirror.run(SECOND * NS)
    other = encode(
        ControlPacket(state=State.DOWN, detect_mult=1, my_discriminator=99, your_discriminator=LOCAL_DISCRIMINATOR)
    )
    mirror.sessions.receive(other, LOOPED, mirror.now)
    assert mirror.session.statistics["discarded_not_looped"] == 1
    mirror.sessions.receive(encode(ControlPacket(state=State.DOWN, detect_mult=1, my_discriminator=99)), LOOPED, 0)
    assert mirror.sessions.discarded == {"not_looped": 1}
    assert mirror.session.state is State.UP


def test_packets_from_before_it_came_up_that_are_overtaken_do_no_harm() -> None:
    mirror = Mirror()
    mirror.run(SECOND * NS)
    mirror.sessions.receive(mirror.sent[0][1], LOOPED, mirror.now)
    assert mirror.session.state is State.UP
