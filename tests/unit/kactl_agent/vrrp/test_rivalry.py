"""Two owners (keepalived 2.3.3 and later): the lower address yields; the higher one waits, then yields with 254."""

from __future__ import annotations

import pytest

from kactl_agent.vrrp.actions import Action, PriorityContribution, Report, SendAdvert, State
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SECOND
from support.vrrp import LOCAL, PEER, PEER_LOW, advert, due, interface, master, of, on_the_wire, sent, transition


def stubborn(instance: VrrpInstance, start: int, *, interval: int = SECOND, source: bytes = PEER_LOW) -> list[int]:
    """An owner with a lower address that never yields: when, in ns, each of its adverts came until we gave in."""
    heard, now = [], start
    while instance.state is State.MASTER:
        while due(instance) <= now:
            instance.handle_timer(due(instance))
        instance.receive(*advert(255, source, advert_interval=interval), now)
        heard.append(now - start)
        now += interval
        assert len(heard) < 100
    return heard


def test_the_lower_address_yields_with_a_configuration_error() -> None:
    instance, now = master(priority=255)
    actions = instance.receive(*advert(255, PEER), now + 1)
    assert transition(actions).new is State.BACKUP
    assert [(r.code, r.level) for r in of(Report, actions)] == [("two_owners", "error")]
    assert instance.snapshot().effective_priority == 255  # it owns the addresses all the same


def test_the_higher_address_gives_the_other_two_adverts_and_a_pause() -> None:
    """One advert answers at once, one comes with the timer; then 1.2 intervals."""
    instance, now = master(priority=255)
    assert stubborn(instance, now + SECOND // 4) == [0, SECOND, 2 * SECOND]
    assert instance.snapshot().cause == "advert_rival_owner"
    assert instance.snapshot().effective_priority == 254
    assert instance.snapshot().master == PEER_LOW
    assert due(instance) == now + 2 * SECOND + SECOND // 4 + 3 * SECOND + 2 * SECOND // 256


def test_the_pause_is_that_of_the_longer_interval() -> None:
    instance, now = master(priority=255)
    assert stubborn(instance, now + SECOND // 4, interval=3 * SECOND) == [0, 3 * SECOND, 6 * SECOND]
    instance, now = master(priority=255, advert_interval=3 * SECOND)
    heard = stubborn(instance, now + SECOND // 4, interval=SECOND)
    assert heard[-1] == 5 * SECOND  # its first two are answered; 3.6 s from the second answer on


def test_one_that_yields_is_forgotten() -> None:
    instance, now = master(priority=255)
    for start in (0, 100, 200):
        for step in range(2):
            while due(instance) <= now + (start + step) * SECOND:
                instance.handle_timer(due(instance))
            instance.receive(*advert(255, PEER_LOW), now + (start + step) * SECOND)
            assert instance.state is State.MASTER


def test_yielding_is_said() -> None:
    instance, now = master(priority=255)
    actions: list[Action] = []
    for step in range(4):
        if instance.state is State.MASTER:
            actions = instance.receive(*advert(255, PEER_LOW), now + step * SECOND)
    found = transition(actions)
    assert found.cause == "advert_rival_owner"
    assert "192.0.2.2 also owns the addresses (priority 255) and does not yield" in found.detail
    assert [(r.code, r.level) for r in of(Report, actions)] == [("two_owners", "error")]


@pytest.mark.parametrize(
    ("priority", "source", "restored"),
    [(255, PEER_LOW, False), (254, PEER_LOW, True), (0, PEER_LOW, True), (255, PEER, True), (100, PEER, True)],
)
def test_an_owner_is_itself_again_when_it_hears_another_or_a_lower_sender(
    priority: int, source: bytes, restored: bool
) -> None:
    instance, now = master(priority=255)
    end = now + stubborn(instance, now)[-1]
    instance.receive(*advert(priority, source), end + 1)
    assert instance.snapshot().effective_priority == (255 if restored else 254)
    assert instance.state is State.BACKUP


def test_an_owner_is_itself_again_as_master() -> None:
    instance, now = master(priority=255)
    stubborn(instance, now)
    actions = instance.handle_timer(due(instance))
    assert sent(actions) == [255]
    assert (instance.state, instance.snapshot().effective_priority) == (State.MASTER, 255)


def test_an_owner_is_itself_again_after_a_fault() -> None:
    instance, now = master(priority=255)
    end = now + stubborn(instance, now)[-1]
    instance.handle_event(interface(up=False), end + 1)
    actions = instance.handle_event(interface(), end + 2)
    assert sent(actions) == [255]


def test_trackers_do_not_move_an_owner_that_has_yielded() -> None:
    instance, now = master(priority=255)
    end = now + stubborn(instance, now)[-1]
    assert instance.handle_event(PriorityContribution("chk", -20), end + 1) == []
    assert instance.snapshot().effective_priority == 254


def test_others_than_owners_have_no_rivals() -> None:
    instance, now = master(priority=254)
    for step in range(10):
        instance.receive(*advert(254, PEER_LOW), now + step * SECOND)
    assert instance.state is State.MASTER


def test_two_of_ours_need_no_second_round() -> None:
    """The one with the lower address yields to the first answer."""
    high, now = master(priority=255, address=PEER)
    low, _ = master(priority=255, address=LOCAL)
    (packet,) = of(SendAdvert, low.handle_timer(due(low)))
    (answer,) = of(SendAdvert, high.receive(*on_the_wire(packet), now + SECOND))
    low.receive(*on_the_wire(answer), now + SECOND)
    assert (high.state, low.state) == (State.MASTER, State.BACKUP)
