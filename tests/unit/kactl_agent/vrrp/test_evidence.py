"""What a transition says about its causes."""

from __future__ import annotations

from kactl_agent.vrrp.actions import Action, Drain, PriorityContribution, TrackerFault
from kactl_agent.vrrp.evidence import Discarded, Evidence, Heard, Witness
from kactl_agent.vrrp.settings import SECOND
from support.vrrp import LOCAL, PEER, PEER_LOW, advert, due, interface, master, started, transition

DOWN_100 = 3 * SECOND + 156 * SECOND // 256


def evidence_of(actions: list[Action]) -> Evidence:
    evidence = transition(actions).evidence
    assert evidence is not None
    return evidence


def test_a_master_that_falls_silent() -> None:
    instance = started()
    for second in range(1, 4):
        instance.receive(*advert(150), second * SECOND)
    instance.receive(*advert(150, ttl=1), 4 * SECOND)
    late = due(instance) + 4_000_000
    found = evidence_of(instance.handle_timer(late))
    assert found.heard == (Heard(PEER, 150, late - 3 * SECOND, 3),)
    assert found.discarded == Discarded(PEER, "ttl", late - 4 * SECOND)
    assert (found.timer, found.timer_length) == ("master_down_interval", DOWN_100)
    assert (found.waited, found.late) == (DOWN_100 + 4_000_000, 4_000_000)
    assert (found.interface, found.interface_up) == ("eth0", True)
    assert found.sent_age is None


def test_a_master_that_yields() -> None:
    instance, now = master()
    instance.handle_event(PriorityContribution("track_script chk", -20), now)
    found = evidence_of(instance.receive(*advert(90, PEER), now + SECOND // 2))
    assert found.heard[0] == Heard(PEER, 90, 0, 1)
    assert found.sent_age == SECOND // 2
    assert found.state_age == SECOND // 2
    assert (found.configured_priority, found.contributions) == (100, (("track_script chk", -20),))
    assert found.timer == ""


def test_faults_and_the_interface() -> None:
    instance, now = master()
    found = evidence_of(instance.handle_event(interface(up=False), now))
    assert found.interface_up is False
    assert found.faults == ("interface eth0 is down",)
    instance, now = master()
    found = evidence_of(instance.handle_event(TrackerFault("track_script chk", True, "exited with status 1"), now))
    assert found.faults == ("track_script chk: exited with status 1",)


def test_a_drain_says_why() -> None:
    instance, now = master()
    assert evidence_of(instance.handle_event(Drain("update"), now)).drained == "update"


def test_the_lateness_of_a_timer_is_nothing_to_what_follows() -> None:
    instance = started()
    instance.handle_timer(due(instance) + SECOND)
    now = due(instance)
    assert evidence_of(instance.receive(*advert(200), now)).late == 0


def test_a_witness_remembers_the_newest_routers() -> None:
    witness = Witness()
    for number in range(100):
        witness.heard(bytes((192, 0, 2, number)), number, number)
    witness.heard(bytes((192, 0, 2, 95)), 7, 200)
    heard = witness.adverts(300)
    assert len(heard) == 8
    assert heard[0] == Heard(bytes((192, 0, 2, 95)), 7, 100, 2)
    assert heard[1].source == bytes((192, 0, 2, 99))


def test_an_old_pause_has_nothing_to_do_with_it() -> None:
    witness = Witness()
    assert witness.latest_stall(0) == (0, 0)
    witness.stalled(5 * SECOND, 10 * SECOND)
    assert witness.latest_stall(11 * SECOND) == (5 * SECOND, SECOND)
    assert witness.latest_stall(100 * SECOND) == (0, 0)


def test_our_own_address_is_no_other_router() -> None:
    instance = started()
    instance.receive(*advert(150, LOCAL), SECOND)
    instance.receive(*advert(50, PEER_LOW), 2 * SECOND)
    found = evidence_of(instance.handle_timer(due(instance)))
    assert [heard.source for heard in found.heard] == [PEER_LOW]
