"""Startup delays, and timer_expired_backup: what a router does about time in which it was not there."""

from __future__ import annotations

from typing import Any

import pytest

from kactl_agent.vrrp.actions import RemoveAddresses, Shutdown, Startup, State, Transition
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import SECOND
from support.vrrp import VIP, advert, due, interface, make_settings, master, sent, started, transition

DOWN_100 = 3_609_375_000


def delayed(uptime: int | None, **changes: Any) -> VrrpInstance:
    instance = VrrpInstance(make_settings(**changes))
    instance.handle_event(interface(), 0)
    instance.handle_event(Startup(uptime), 0)
    return instance


@pytest.mark.parametrize(
    ("startup", "after_boot", "uptime", "delay"),
    [
        (10, 0, 0, 10),
        (0, 60, 20 * SECOND, 40),
        (10, 60, 20 * SECOND, 40),
        (50, 60, 20 * SECOND, 50),
        (0, 60, 60 * SECOND, 0),
        (0, 60, 3600 * SECOND, 0),
        (5, 60, 3600 * SECOND, 5),
        (0, 60, None, 0),
        (5, 60, None, 5),
    ],
)
def test_the_delay_that_ends_later_counts(startup: int, after_boot: int, uptime: int | None, delay: int) -> None:
    """keepalived 2.4.0: the larger of vrrp_startup_delay and what is left of vrrp_delay_after_boot."""
    instance = delayed(uptime, startup_delay=startup * SECOND, delay_after_boot=after_boot * SECOND)
    assert instance.deadline() == delay * SECOND + DOWN_100
    owner = delayed(uptime, startup_delay=startup * SECOND, delay_after_boot=after_boot * SECOND, priority=255)
    assert owner.state is (State.BACKUP if delay else State.MASTER)


# -- timer_expired_backup: 3 intervals and the skew of the priority given ---------------------------------------------

LIMITS = [
    (2, 254, SECOND, 3_007_812_500),
    (2, 254, 2 * SECOND, 6_007_812_500),
    (3, 254, SECOND, 3_007_812_500),
    (3, 254, 2 * SECOND, 6_015_625_000),
    (3, 100, SECOND, 3_609_375_000),
]


@pytest.mark.parametrize(("version", "priority", "interval", "limit"), LIMITS)
def test_a_master_that_was_silent_for_too_long_gives_way(
    version: int, priority: int, interval: int, limit: int
) -> None:
    for silence, state in ((limit, State.MASTER), (limit + 1, State.BACKUP)):
        instance, now = master(
            version=version, advert_interval=interval, preempt=False, timer_expired_priority=priority
        )
        actions = instance.handle_timer(now + silence)
        assert instance.state is state
        if state is State.BACKUP:
            assert [type(a) for a in actions] == [RemoveAddresses, Transition]  # no advert, and no priority 0
            assert transition(actions).cause == "timer_expired"
            skew = 156 * (SECOND if version == 2 else interval) // 256
            assert instance.deadline() == now + silence + 3 * interval + skew
        else:
            assert sent(actions) == [100]


def test_every_way_to_be_woken_notices_it_first() -> None:
    """A lower master's advert, read before the timers are served, must not be answered with nopreempt."""
    late = 10 * SECOND
    instance, now = master(preempt=False, timer_expired_priority=254)
    actions = instance.receive(*advert(50), now + late)
    assert (instance.state, sent(actions)) == (State.BACKUP, [])
    assert due(instance) == now + late + DOWN_100
    for event in (Shutdown(), interface(up=False)):
        instance, now = master(preempt=False, timer_expired_priority=254)
        actions = instance.handle_event(event, now + late)
        assert sent(actions) == []  # a priority 0 would make the others look for a new master
        assert actions[0] == RemoveAddresses((VIP,))


def test_without_it_a_stalled_master_listens_and_goes_on() -> None:
    instance, now = master(preempt=False)
    assert sent(instance.handle_timer(now + 100 * SECOND)) == []
    assert instance.state is State.MASTER
    assert sent(instance.handle_timer(due(instance))) == [100]


def test_a_backup_has_nothing_to_notice() -> None:
    instance = started(preempt=False, timer_expired_priority=254)
    instance.handle_timer(100 * SECOND)
    assert instance.state is State.MASTER
    assert instance.snapshot().cause == "master_down_timer"


def test_only_silence_of_its_own_counts() -> None:
    instance, now = master(preempt=False, timer_expired_priority=254)
    for step in range(1, 60):
        instance.handle_timer(now + step * SECOND)
    instance.receive(*advert(50), now + 62 * SECOND)
    assert instance.state is State.MASTER
