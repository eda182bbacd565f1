"""A VRRP instance under any sequence of packets, timers and events."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from kactl_agent.vrrp.actions import (
    Action,
    ActionFailed,
    AddAddresses,
    AddressLost,
    AddRoutes,
    AddRules,
    Drain,
    PriorityContribution,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
    ReplaceRoutes,
    ReplaceRules,
    RouteLost,
    RuleLost,
    Shutdown,
    Stalled,
    Startup,
    State,
    TrackerFault,
    Transition,
    Undrain,
)
from kactl_agent.vrrp.recording import Recorder, replay
from kactl_agent.vrrp.settings import SECOND, Family, GratuitousSettings, VirtualAddress, VrrpSettings
from support.routing import hop, route, rule
from support.vrrp import LOCAL, PEER, PEER_LOW, VIP, advert, interface, make_settings, packed

ROUTES = [route(f"203.0.113.{16 * n}/28", hop("192.0.2.254", "eth0")) for n in range(3)]
RULES = [rule(n, "198.51.100.0/25") for n in range(2)]
SETTINGS = st.builds(
    make_settings,
    version=st.sampled_from([2, 3]),
    family=st.just(Family.IPV4),
    priority=st.sampled_from([1, 100, 254, 255]),
    preempt=st.booleans(),
    preempt_delay=st.sampled_from([0, 2 * SECOND]),
    start_as_master=st.booleans(),
    startup_delay=st.sampled_from([0, 3 * SECOND]),
    down_timer_adverts=st.sampled_from([1, 3]),
    lower_prio_no_advert=st.booleans(),
    higher_prio_send_advert=st.booleans(),
    owner_ignore_adverts=st.booleans(),
    rfc_discards=st.booleans(),
    timer_expired_priority=st.sampled_from([0, 254]),
    unicast_peers=st.sampled_from([(), (PEER, PEER_LOW)]),
    addresses=st.sampled_from([(VIP,), (VIP, VirtualAddress(packed("2001:db8::1"), 128, "eth1", advertised=False))]),
    routes=st.lists(st.sampled_from(ROUTES), unique=True).map(tuple),
    rules=st.lists(st.sampled_from(RULES), unique=True).map(tuple),
    gratuitous=st.sampled_from([GratuitousSettings(), GratuitousSettings(refresh=4 * SECOND)]),
)
EVENTS = st.sampled_from(
    [
        Startup(),
        Startup(),
        Shutdown(),
        interface(),
        interface(),
        interface(up=False),
        interface(None),
        interface(None, up=False, exists=False),
        interface(PEER_LOW),
        AddressLost(VIP),
        msgspec.structs.replace(interface(), source_present=False),
        RouteLost(ROUTES[0]),
        RuleLost(RULES[0]),
        PriorityContribution("a", -50),
        PriorityContribution("a", 0),
        PriorityContribution("b", 200),
        TrackerFault("t", True),
        TrackerFault("t", False),
        ActionFailed("AddAddresses", "EPERM"),
        Drain("kernel update"),
        Drain("", require_peer=True),
        Undrain(),
        Stalled(SECOND),
        Stalled(5 * SECOND),
    ]
)
PACKETS = st.tuples(
    st.sampled_from([0, 1, 50, 100, 150, 255]), st.sampled_from([PEER, PEER_LOW, LOCAL]), st.sampled_from([1, 2])
)
CHANGES = st.sampled_from(
    [
        {"routes": (ROUTES[2], ROUTES[0])},
        {"routes": (), "rules": (RULES[1],)},
        {"routes": (ROUTES[1],), "source_address": LOCAL, "track_source": True},
        {"priority": 50},
        {"priority": 255},
        {"preempt": False},
        {"addresses": (VIP, VirtualAddress(packed("192.0.2.101"), 24, "eth0"))},
        {"addresses": (VIP,)},
        {"advert_interval": 2 * SECOND},
        {"down_timer_adverts": 2},
        {"preempt_delay": SECOND},
        {"gratuitous": GratuitousSettings(refresh=SECOND)},
    ]
)
STIMULI = st.lists(
    st.tuples(st.integers(0, 5 * SECOND), st.one_of(EVENTS, PACKETS, CHANGES, st.none(), st.binary(max_size=24))),
    max_size=40,
)


@settings(deadline=None)
@given(SETTINGS, STIMULI)
def test_invariants_and_replay(configured: VrrpSettings, stimuli: list[tuple[int, Any]]) -> None:
    lines: list[bytes] = []
    engine = Recorder(configured, lines.append)
    engine.handle_event(interface(), 0)
    held, state, now = False, State.INIT, 0
    routing: set[object] = set()

    def check(actions: list[Action]) -> None:
        nonlocal held, state
        for action in actions:
            match action:
                case AddAddresses():
                    held = True
                case RemoveAddresses():
                    held = False
                case AddRoutes():
                    routing.update(action.routes)
                case AddRules():
                    routing.update(action.rules)
                case RemoveRoutes():
                    routing.difference_update(action.routes)
                case RemoveRules():
                    routing.difference_update(action.rules)
                case ReplaceRoutes() | ReplaceRules():
                    assert routing >= set(action.old)
                    routing.difference_update(action.old)
                    routing.update(action.new)
                case Transition():
                    assert action.old is state
                    assert action.new is not state
                    assert action.cause
                    assert action.detail
                    assert action.evidence is not None
                    assert action.evidence.state_age >= 0
                    state = action.new
        assert state is engine.instance.state
        assert held is (state is State.MASTER)
        wanted = (*engine.instance.settings.routes, *engine.instance.settings.rules)
        assert routing == (set(wanted) if state is State.MASTER else set())
        snapshot = engine.instance.snapshot()
        if engine.drained is not None:
            assert state is not State.MASTER
            assert not snapshot.wants_master
        assert not (snapshot.handing_over and (engine.drained is None or state is not State.BACKUP))
        assert not snapshot.listening or state is State.MASTER
        assert bool(snapshot.faults) is (state is State.FAULT) or state is State.INIT
        deadline = engine.deadline()
        assert (deadline is None) is (state in (State.INIT, State.FAULT))

    for wait, stimulus in stimuli:
        end = now + wait
        while (deadline := engine.deadline()) is not None and deadline <= end:
            now = max(now, deadline)
            check(engine.handle_timer(now))
            assert (engine.deadline() or now + 1) > now  # time goes on: no timer is left due
        now = end
        if isinstance(stimulus, dict):
            check(engine.reconfigure(msgspec.structs.replace(engine.instance.settings, **stimulus), now))
        elif stimulus is None:
            check(engine.handle_timer(now))
        elif isinstance(stimulus, tuple):
            priority, source, factor = stimulus
            destination = LOCAL if configured.unicast_peers else None
            interval = configured.advert_interval * factor
            packet = advert(priority, source, settings=configured, destination=destination, advert_interval=interval)
            check(engine.receive(*packet, now))
        elif isinstance(stimulus, bytes):
            check(engine.receive(stimulus, advert(1)[1], now))
        else:
            check(engine.handle_event(stimulus, now))
    assert replay(lines) is None
