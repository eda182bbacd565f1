"""Whose packet it is (RFC 5880 6.8.6, RFC 5881 3, RFC 5883 4), and timers of many sessions."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from kactl_agent.bfd.actions import Disable, Report, Send
from kactl_agent.bfd.packet import State, encode
from kactl_agent.bfd.sessions import Sessions
from kactl_agent.bfd.settings import Mode
from support.bfd import LOCAL_DISCRIMINATOR, MS, NS, OWN, SECOND, Wire, meta, packet, settings

OTHER = ip_address("198.51.100.7").packed
FIRST = {"state": State.DOWN, "your_discriminator": 0}


def engine(*each: dict[str, Any]) -> Sessions:
    sessions = Sessions()
    for number, said in enumerate(each or ({},)):
        made = settings(**({"name": f"b{number}"} | said))
        sessions.add(made.name, made, LOCAL_DISCRIMINATOR + number, number + 1, 0)
    return sessions


def hear(sessions: Sessions, at: Any = None, now: int = 0, **fields: Any) -> list[Any]:
    return sessions.receive(encode(packet(**fields)), at or meta(), now)


def states(sessions: Sessions) -> list[str]:
    return [each.state.text for each in sessions.all.values()]


def test_rx7_6_8_6_your_discriminator_alone_selects() -> None:
    """Whatever the source address is (RFC 5881 4: it may change on a point-to-point link)."""
    sessions = engine({}, {"neighbor": OTHER})
    hear(sessions, state=State.INIT)
    hear(sessions, at=meta(source=OTHER), state=State.INIT, your_discriminator=LOCAL_DISCRIMINATOR)
    assert states(sessions) == ["Up", "Down"]


def test_rx7_6_8_6_no_such_session() -> None:
    sessions = engine()
    [(name, report)] = hear(sessions, your_discriminator=5)
    assert (name, report.code) == ("", "discarded_no_session")
    for _ in range(1000):
        assert not hear(sessions, your_discriminator=5)
    assert sessions.discarded == {"no_session": 1001}
    assert states(sessions) == ["Down"]


def test_rx9_rfc_5881_3_the_first_packet_by_sender_and_interface() -> None:
    link_local = ip_address("fe80::1").packed
    sessions = engine({"neighbor": link_local, "interface": "eth0"}, {"neighbor": link_local, "interface": "eth1"}, {})
    hear(sessions, at=meta(source=link_local, interface="eth1"), **FIRST)
    assert states(sessions) == ["Down", "Init", "Down"]
    hear(sessions, **FIRST)
    assert states(sessions) == ["Down", "Init", "Init"]


def test_mh3_rfc_5883_4_1_the_first_packet_by_both_addresses() -> None:
    other = ip_address("192.0.2.9").packed
    multihop = {"mode": Mode.MULTIHOP, "minimum_ttl": 0}
    sessions = engine(multihop | {"source": other}, multihop | {"source": OWN}, {})
    hear(sessions, at=meta(port=4784, ttl=3), **FIRST)
    assert states(sessions) == ["Down", "Init", "Down"]


def test_rx9_6_8_6_an_unknown_sender() -> None:
    sessions = engine()
    hear(sessions, at=meta(source=OTHER), **FIRST)
    hear(sessions, at=meta(port=4784), **FIRST)
    assert sessions.discarded == {"unknown_neighbor": 2}


def test_what_is_no_packet_is_counted() -> None:
    sessions = engine()
    for data in (b"", b"\x20", bytes(24), bytes(2000)):
        sessions.receive(data, meta(), 0)
    assert sessions.discarded == {"length": 2, "version": 2}


@pytest.mark.parametrize("discriminator", [0, LOCAL_DISCRIMINATOR])
def test_6_8_1_discriminators_are_unique_and_not_zero(discriminator: int) -> None:
    with pytest.raises(ValueError, match="discriminator"):
        engine().add("other", settings(name="other"), discriminator, 1, 0)


def test_a_removed_session_hears_nothing() -> None:
    sessions = engine()
    hear(sessions, state=State.INIT)
    hear(sessions, final=True)
    hear(sessions)
    sessions.remove("b0")
    hear(sessions)
    assert sessions.discarded == {"no_session": 1}
    assert not sessions.handle_timer(100 * SECOND * NS)
    sessions.add("b0", settings(), LOCAL_DISCRIMINATOR, 1, 0)


def test_a_session_that_is_given_up_keeps_its_discriminator_under_another_name() -> None:
    sessions = engine()
    hear(sessions, state=State.INIT)
    sessions.rename("b0", "b0 (old)")
    sessions.tell("b0 (old)", Disable(), 0)
    [(name, _report)] = [a for a in hear(sessions, poll=True) if isinstance(a[1], Send)]
    assert name == "b0 (old)"


def test_a_session_that_is_given_up_takes_no_first_packet_away_from_another() -> None:
    sessions = engine({"interface": "eth0"}, {})
    sessions.rename("b0", "b0 (old)")
    sessions.tell("b0 (old)", Disable(), 0)
    hear(sessions, at=meta(interface="eth0"), **FIRST)
    assert states(sessions) == ["Init", "AdminDown"]


# -- packets that say the same again -----------------------------------------------------------------------------------


def test_the_same_packet_again_moves_the_detection_time_alone() -> None:
    sessions = engine()
    hear(sessions, state=State.INIT)
    hear(sessions, final=True)
    now = 0
    for _ in range(50):
        now += 49 * MS * NS
        assert not [a for _, a in hear(sessions, now=now) if not isinstance(a, Send)]
        sessions.handle_timer(now)
    assert states(sessions) == ["Up"]
    assert sessions["b0"].statistics["received"] == 52
    sessions.handle_timer(now + 150 * MS * NS)
    assert states(sessions) == ["Down"]


CHANGES: list[Callable[[Sessions], object]] = [
    lambda s: hear(s, at=meta(ttl=254)),
    lambda s: hear(s, at=meta(port=4784)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_bytes_that_came_another_way_are_not_taken_for_the_same(change: Callable[[Sessions], object]) -> None:
    sessions = engine()
    hear(sessions, state=State.INIT)
    hear(sessions, final=True)
    hear(sessions)
    count = sessions["b0"].statistics["received"]
    change(sessions)
    assert sessions["b0"].statistics["received"] == count


def test_the_same_bytes_count_anew_after_the_session_was_down() -> None:
    """An Up that is heard in Down must not pass for the one that was heard in Up."""
    sessions = engine()
    hear(sessions, state=State.INIT)
    hear(sessions, final=True)
    hear(sessions)
    hear(sessions, state=State.DOWN)
    assert states(sessions) == ["Down"]
    hear(sessions)
    assert states(sessions) == ["Down"]
    hear(sessions, state=State.INIT)
    assert states(sessions) == ["Up"]


# -- timers ------------------------------------------------------------------------------------------------------------


def test_timers_of_all_sessions_are_carried_out_when_due() -> None:
    sessions = engine(*({"neighbor": bytes((10, 0, 0, n))} for n in range(1, 101)))
    assert sessions.deadline() == 0
    assert len(sessions.handle_timer(0)) == 100
    deadline = sessions.deadline()
    assert deadline is not None
    assert 750 * MS * NS <= deadline <= 900 * MS * NS
    assert not sessions.handle_timer(deadline - 1)
    assert sessions.handle_timer(deadline)


def test_lateness_over_a_quarter_of_the_detection_time_is_said_now_and_then() -> None:
    sessions = engine()
    hear(sessions, state=State.INIT)
    hear(sessions, final=True)
    due = sessions["b0"].deadline() or 0
    sessions.handle_timer(due + 37 * MS * NS)
    assert sessions.lateness.over_quarter == 0
    assert sessions.lateness.maximum == 37 * MS * NS
    reports = []
    for _ in range(4):
        hear(sessions, now=sessions.deadline() or 0)
        due = sessions["b0"].deadline() or 0
        reports += [a for _, a in sessions.handle_timer(due + 38 * MS * NS) if isinstance(a, Report)]
    assert [r.code for r in reports] == ["timer_late"]
    assert "38.0 ms late" in reports[0].detail
    assert sessions.lateness.over_quarter == 4


# -- two machines ------------------------------------------------------------------------------------------------------


def pair(**said: Any) -> Wire:
    left = settings(name="left", neighbor=bytes((10, 0, 0, 2)), **said)
    return Wire(left, settings(name="right", neighbor=bytes((10, 0, 0, 1)), **said))


@pytest.mark.parametrize("mode", [Mode.SINGLE_HOP, Mode.MULTIHOP])
def test_two_of_ours_come_up_and_agree(mode: Mode) -> None:
    wire = pair(mode=mode)
    wire.run(5 * SECOND * NS)
    assert wire.both_up()
    for end in (0, 1):
        seen = wire.session(end).snapshot()
        assert (seen.transmit_interval, seen.detection_time, seen.polling) == (50 * MS, 150 * MS, False)
        assert [c.new for c in wire.changes(end)][-1] is State.UP
        assert not any(p.poll for _, p in wire.sent(end, 4 * SECOND * NS))


def test_a_silent_peer_is_noticed_in_the_detection_time_and_comes_back() -> None:
    wire = pair()
    wire.run(5 * SECOND * NS)
    wire.fates[0] = lambda _d, _n: []
    lost = wire.now
    wire.run(lost + SECOND * NS, lambda: bool(wire.changes(1, lost)))
    last = wire.session(1).snapshot().last_received
    assert wire.now - last == 150 * MS * NS
    [change] = wire.changes(1, lost)
    assert (change.new, change.diagnostic) == (State.DOWN, 1)
    wire.run(wire.now + SECOND * NS)
    assert wire.session(0).diagnostic == 3, "it still hears us say so"
    wire.fates[0] = lambda _d, _n: [Wire.DELAY]
    wire.run(wire.now + 5 * SECOND * NS, wire.both_up)
    assert wire.both_up()
