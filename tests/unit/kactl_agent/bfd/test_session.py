"""A session by RFC 5880 6.8, rule by rule; times are microseconds."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kactl_agent.bfd.actions import ConcatenatedPath, Disable, Enable, ForwardingPlaneReset, Report, Settled
from kactl_agent.bfd.packet import ControlPacket, State, encode
from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType, Mode
from support.bfd import LOCAL_DISCRIMINATOR, MS, REMOTE_DISCRIMINATOR, SECOND, Bench, changes, meta, packet, sent

SHA1 = AuthSettings(AuthType.METICULOUS_KEYED_SHA1, (AuthKey(1, b"secret"),), 1)
DETECTION = 150 * MS


def up(**said: Any) -> Bench:
    bench = Bench(**said)
    bench.come_up()
    return bench


def gaps(packets: list[tuple[int, ControlPacket]]) -> list[int]:
    times = [at for at, _ in packets]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


# -- variables ---------------------------------------------------------------------------------------------------------


def test_6_8_1_initial_variables() -> None:
    seen = Bench().session.snapshot()
    assert (seen.state, seen.remote_state) == (State.DOWN, State.DOWN)
    assert (seen.local_discriminator, seen.remote_discriminator) == (LOCAL_DISCRIMINATOR, 0)
    assert (seen.diagnostic, seen.remote_min_rx_interval) == (0, 1)
    assert seen.desired_min_tx_interval >= SECOND
    assert not seen.up


def test_6_8_1_variables_are_not_initialised_again() -> None:
    """A flap leaves discriminator, diagnostic and XmitAuthSeq as they are."""
    bench = up(authentication=None)
    bench.pass_time(DETECTION + MS)
    assert bench.session.state is State.DOWN
    bench.come_up()
    assert bench.session.discriminator == LOCAL_DISCRIMINATOR
    assert bench.session.diagnostic == 1, "erratum 7240: coming Up does not reset it"


def test_6_8_1_auth_seq_known_is_cleared_after_two_detection_times() -> None:
    bench = Bench(authentication=SHA1)
    sender = Bench(authentication=SHA1)
    data = sender.session._encode(final=False)
    bench.hear_bytes(data)
    authenticator = bench.session._authenticator
    assert authenticator is not None
    expires = 2 * bench.session.detection_time
    bench.run(expires - 1)
    assert authenticator.known
    bench.run(expires)
    assert not authenticator.known


# -- reception ---------------------------------------------------------------------------------------------------------


def test_6_2_three_way_handshake_up_and_down() -> None:
    bench = Bench()
    bench.pass_time(1)
    assert [p.state for _, p in bench.sent()] == [State.DOWN]
    [answer] = sent(bench.hear(state=State.DOWN, your_discriminator=0))
    assert (answer.state, answer.your_discriminator) == (State.INIT, REMOTE_DISCRIMINATOR)
    [answer] = sent(bench.hear(state=State.UP))
    assert answer.state is State.UP
    assert bench.session.up
    actions = bench.hear(state=State.DOWN, diagnostic=1)
    [change] = changes(actions)
    assert (change.new, change.diagnostic, change.remote_diagnostic, change.up) == (State.DOWN, 3, 1, False)
    assert "Control Detection Time Expired" in change.detail
    assert [p.state for p in sent(actions)] == [State.DOWN]


def test_6_8_6_up_heard_in_down_stays_down() -> None:
    bench = Bench()
    assert not changes(bench.hear(state=State.UP))
    assert bench.session.state is State.DOWN


def test_rx10_6_8_6_authenticated_without_being_configured() -> None:
    bench = up()
    count = bench.session.statistics["received"]
    [report] = bench.hear_bytes(encode(packet(), 9) + b"\1\x09\1secret")
    assert isinstance(report, Report)
    assert report.code == "discarded_auth_unexpected"
    assert bench.session.statistics["received"] == count


def test_rx11_6_8_6_not_authenticated_though_configured() -> None:
    bench = Bench(authentication=SHA1)
    [report] = bench.hear(state=State.DOWN, your_discriminator=0)
    assert isinstance(report, Report)
    assert report.code == "discarded_auth_missing"
    assert bench.session.state is State.DOWN
    assert bench.session.remote_discriminator == 0


def test_rx12_6_8_6_wrong_authentication_changes_nothing() -> None:
    bench = Bench(authentication=SHA1)
    forged = Bench(authentication=AuthSettings(SHA1.type, (AuthKey(1, b"guess"),), 1))
    before = bench.session.snapshot()
    bench.hear_bytes(forged.session._encode(final=False))
    after = bench.session.snapshot()
    assert after.statistics["discarded_auth_digest"] == 1
    assert (after.state, after.remote_discriminator, after.last_received) == (before.state, 0, 0)


def test_discards_of_a_reason_are_reported_once_and_counted() -> None:
    bench = up()
    said = [bench.hear(at=meta(ttl=254)) for _ in range(1000)]
    assert sum(map(len, said)) == 1
    assert bench.session.statistics["discarded_ttl"] == 1000


def test_rx13_to_rx16_6_8_6_what_is_learned() -> None:
    bench = up()
    bench.hear(my_discriminator=77, required_min_rx_interval=70 * MS, desired_min_tx_interval=80 * MS, detect_mult=4)
    seen = bench.session.snapshot()
    assert (seen.remote_discriminator, seen.remote_min_rx_interval) == (77, 70 * MS)
    assert seen.detection_time == 4 * 80 * MS
    assert seen.transmit_interval == 70 * MS


def test_rx18_6_8_6_final_ends_the_poll_sequence() -> None:
    bench = Bench()
    bench.hear(state=State.DOWN, your_discriminator=0)
    bench.hear(state=State.INIT)
    bench.pass_time(200 * MS)
    assert bench.session.polling
    assert all(p.poll for _, p in bench.sent(50 * MS))
    bench.hear(final=True)
    start = bench.now
    bench.pass_time(100 * MS)
    assert not any(p.poll for _, p in bench.sent(start))


def test_rx21_6_8_6_in_admin_down_packets_are_discarded() -> None:
    bench = up()
    bench.tell(Disable())
    bench.pass_time(DETECTION + MS)
    for state in State:
        bench.hear(state=state, your_discriminator=0 if state <= State.DOWN else LOCAL_DISCRIMINATOR)
        assert bench.session.state is State.ADMIN_DOWN
    assert bench.session.statistics["discarded_admin_down"] == 4
    assert bench.session.remote_discriminator == REMOTE_DISCRIMINATOR, "it is discarded after RX13 to RX20"


@pytest.mark.parametrize("state", [State.ADMIN_DOWN, State.DOWN, State.UP])
def test_rx25_tx7_6_8_7_poll_is_answered_at_once_in_any_state(state: State) -> None:
    bench = up() if state is State.UP else Bench()
    if state is State.ADMIN_DOWN:
        bench.tell(Disable())
    said = {State.UP: State.UP, State.DOWN: State.ADMIN_DOWN, State.ADMIN_DOWN: State.DOWN}[state]
    answers = sent(bench.hear(state=said, poll=True))
    assert [(a.final, a.poll, a.state) for a in answers] == [(True, False, state)]


def test_rx25_an_answer_has_no_poll_bit_during_our_own_poll_sequence() -> None:
    bench = Bench()
    bench.hear(state=State.DOWN, your_discriminator=0)
    bench.hear(state=State.INIT)
    assert bench.session.polling
    [answer] = sent(bench.hear(poll=True))
    assert (answer.final, answer.poll) == (True, False)


def test_rx25_a_poll_that_changes_the_state_is_answered_with_one_packet() -> None:
    bench = Bench()
    actions = bench.hear(state=State.DOWN, your_discriminator=0, poll=True)
    assert [(p.state, p.final) for p in sent(actions)] == [(State.INIT, True)]


def test_rx25_an_answer_does_not_move_the_next_periodic_packet() -> None:
    bench = up()
    bench.pass_time(100 * MS)
    next_tx = bench.session._next_tx
    bench.hear(poll=True)
    assert bench.session._next_tx == next_tx


# -- transmission ------------------------------------------------------------------------------------------------------


def test_tx1_to_tx3_6_8_7_periodic_packets() -> None:
    bench = up(desired_min_tx_interval=20 * MS)
    start = bench.now
    for _ in range(200):
        bench.pass_time(49 * MS)
        bench.hear()
    seen = gaps(bench.sent(start))
    assert len(seen) > 200
    assert all(0.75 * 50 * MS <= gap <= 0.9 * 50 * MS + 1 for gap in seen), "what the neighbour takes is slower"
    assert max(seen) - min(seen) > 5 * MS


def test_tx4_po6_6_8_3_a_neighbour_that_takes_more_is_served_at_once() -> None:
    """The next packet is no later than the new interval after the last, and at once if that has passed."""
    bench = Bench()
    bench.come_up(required_min_rx_interval=2 * SECOND)
    bench.pass_time(50 * MS)
    last = bench.sent()[-1][0]
    while bench.now < last + 200 * MS:
        bench.pass_time(50 * MS)
        bench.hear(required_min_rx_interval=2 * SECOND)
    bench.hear(required_min_rx_interval=50 * MS)
    before = bench.now
    bench.pass_time(1)
    assert bench.sent()[-1][0] <= before + 1


def test_tx5_6_1_passive_says_nothing_before_the_neighbour() -> None:
    bench = Bench(passive=True)
    bench.pass_time(10 * SECOND)
    assert not bench.sent()
    bench.hear(state=State.DOWN, your_discriminator=0)
    assert bench.sent()
    bench.pass_time(DETECTION * 100)
    quiet = bench.now
    bench.pass_time(10 * SECOND)
    assert not bench.sent(quiet), "its discriminator is forgotten after the detection time"


def test_tx6_6_8_1_required_min_rx_zero_stops_periodic_packets() -> None:
    bench = up()
    bench.hear(required_min_rx_interval=0)
    start = bench.now
    for _ in range(20):
        bench.pass_time(49 * MS)
        bench.hear(required_min_rx_interval=0)
    assert not bench.sent(start)
    assert sent(bench.hear(required_min_rx_interval=0, poll=True)), "a Poll is answered all the same"
    assert sent(bench.hear(required_min_rx_interval=0, state=State.DOWN)), "6.8.7: a changed state may be said"


def test_tx6b_rx24_6_6_a_neighbour_in_demand_mode() -> None:
    bench = up()
    bench.hear(demand=True)
    start = bench.now
    for _ in range(10):
        bench.pass_time(49 * MS)
        bench.hear(demand=True)
    assert not bench.sent(start)
    [answer] = sent(bench.hear(demand=True, poll=True))
    assert answer.final
    bench.hear()
    bench.pass_time(60 * MS)
    assert bench.sent(start)[-1][1].state is State.UP


def test_dm1_6_6_in_demand_mode_a_change_is_polled() -> None:
    bench = up()
    bench.hear(demand=True)
    start = bench.now
    bench.reconfigure(detect_mult=5)
    bench.pass_time(100 * MS)
    assert all(p.poll and p.detect_mult == 5 for _, p in bench.sent(start))
    assert bench.sent(start)
    bench.hear(demand=True, final=True)
    start = bench.now
    bench.pass_time(40 * MS)
    assert not bench.sent(start)


def test_tx8_6_8_7_the_demand_bit_is_never_set() -> None:
    bench = up()
    bench.pass_time(100 * MS)
    assert not any(p.demand for _, p in bench.sent())


def test_tx9_6_8_7_a_changed_state_is_said_at_once() -> None:
    bench = up()
    bench.pass_time(10 * MS)
    actions = bench.hear(state=State.DOWN)
    assert [p.state for p in sent(actions)] == [State.DOWN]


def test_tx10_6_8_7_fields() -> None:
    bench = up(detect_mult=7, desired_min_tx_interval=40 * MS, required_min_rx_interval=30 * MS)
    bench.pass_time(60 * MS)
    assert bench.sent()[-1][1] == ControlPacket(
        state=State.UP,
        detect_mult=7,
        my_discriminator=LOCAL_DISCRIMINATOR,
        your_discriminator=REMOTE_DISCRIMINATOR,
        desired_min_tx_interval=40 * MS,
        required_min_rx_interval=30 * MS,
    )


# -- intervals and polls -----------------------------------------------------------------------------------------------


def test_po1_6_5_the_poll_bit_rides_on_scheduled_packets() -> None:
    bench = up()
    start = bench.now
    assert not bench.reconfigure(required_min_rx_interval=60 * MS)
    bench.pass_time(120 * MS)
    polled = bench.sent(start)
    assert all(p.poll for _, p in polled)
    assert all(gap >= 0.75 * 50 * MS for gap in gaps(polled))


@pytest.mark.parametrize(
    ("change", "polls"),
    [
        ({"desired_min_tx_interval": 70 * MS}, True),
        ({"required_min_rx_interval": 40 * MS}, True),
        ({"detect_mult": 5}, False),
        ({"idle_tx_interval": 3 * SECOND}, False),  # not in force while Up
    ],
)
def test_po2_6_8_3_6_8_12_what_starts_a_poll_sequence(change: dict[str, Any], polls: bool) -> None:
    bench = up()
    bench.reconfigure(**change)
    assert bench.session.polling is polls
    assert bench.session.state is State.UP


def test_po3_6_8_3_sending_slower_waits_for_the_final() -> None:
    bench = up()
    bench.reconfigure(desired_min_tx_interval=100 * MS)
    bench.pass_time(60 * MS)
    assert bench.sent()[-1][1].desired_min_tx_interval == 100 * MS
    assert bench.session.transmit_interval == 50 * MS
    bench.hear(final=True)
    assert bench.session.transmit_interval == 100 * MS


def test_po3_6_8_3_sending_faster_does_not_wait() -> None:
    bench = Bench(desired_min_tx_interval=100 * MS)
    bench.come_up()
    bench.reconfigure(desired_min_tx_interval=50 * MS)
    assert bench.session.transmit_interval == 50 * MS


def test_po4_6_8_3_expecting_more_waits_for_the_final() -> None:
    bench = up(required_min_rx_interval=100 * MS)
    bench.hear()
    assert bench.session.detection_time == 300 * MS
    bench.reconfigure(required_min_rx_interval=50 * MS)
    assert bench.session.detection_time == 300 * MS
    bench.hear(final=True)
    assert bench.session.detection_time == 150 * MS


def test_po4_6_8_3_expecting_less_does_not_wait() -> None:
    bench = up()
    bench.hear()
    bench.reconfigure(required_min_rx_interval=100 * MS)
    assert bench.session.detection_time == 300 * MS
    bench.pass_time(290 * MS)
    assert bench.session.state is State.UP


@pytest.mark.parametrize("idle", [SECOND, 3 * SECOND])
def test_po5_6_8_3_not_faster_than_a_second_while_not_up(idle: int) -> None:
    bench = Bench(idle_tx_interval=idle, desired_min_tx_interval=10 * MS)
    bench.pass_time(60 * SECOND)
    quiet = gaps(bench.sent())
    assert min(quiet) >= 0.75 * idle
    assert all(p.desired_min_tx_interval == idle for _, p in bench.sent())
    bench.come_up()
    assert bench.session.desired_min_tx == 10 * MS
    bench.pass_time(DETECTION + MS)
    assert bench.session.desired_min_tx == idle
    assert bench.session.transmit_interval == idle


def test_po8_6_8_3_a_change_during_a_poll_sequence_gets_one_of_its_own() -> None:
    """And it begins only once a packet without the F bit shows that the neighbour is through with the first."""
    bench = up()
    bench.reconfigure(desired_min_tx_interval=100 * MS)
    bench.reconfigure(desired_min_tx_interval=200 * MS)
    bench.hear(final=True)
    assert not bench.session.polling
    assert bench.session.transmit_interval == 50 * MS, "the first answer is not for the second change"
    bench.hear()
    assert bench.session.polling
    bench.hear(final=True)
    assert bench.session.transmit_interval == 200 * MS


# -- detection ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local_rx", "remote_tx", "remote_mult", "expected"),
    [(50, 50, 3, 150), (100, 50, 3, 300), (50, 100, 3, 300), (50, 20, 10, 500), (30, 70, 1, 70)],
)
def test_dt1_6_8_4_detection_with_asymmetric_intervals(
    local_rx: int, remote_tx: int, remote_mult: int, expected: int
) -> None:
    bench = Bench(required_min_rx_interval=local_rx * MS, detect_mult=9)
    fields = {"desired_min_tx_interval": remote_tx * MS, "detect_mult": remote_mult}
    bench.come_up(**fields)
    bench.hear(**fields)
    heard = bench.now
    bench.run(heard + expected * MS - 1)
    assert bench.session.state is State.UP
    actions = bench.run(heard + expected * MS)
    [change] = changes(actions)
    assert (change.new, change.diagnostic) == (State.DOWN, 1)
    assert f"{expected} ms" in change.detail
    [said] = sent(actions)
    assert (said.state, said.diagnostic, said.your_discriminator) == (State.DOWN, 1, 0), "at once, 6.8.7"


def test_dt4_6_8_6_discarded_packets_do_not_count_as_received() -> None:
    bench = up()
    for _ in range(20):
        bench.pass_time(10 * MS)
        bench.hear(at=meta(ttl=1))
    assert bench.session.state is State.DOWN


def test_6_8_1_6_8_18_what_is_forgotten_after_the_detection_time() -> None:
    bench = up()
    bench.hear(required_min_rx_interval=70 * MS)
    bench.pass_time(DETECTION + MS)
    seen = bench.session.snapshot()
    assert (seen.remote_discriminator, seen.remote_min_rx_interval) == (0, 1)


def test_6_8_1_also_while_down() -> None:
    bench = Bench()
    bench.hear(state=State.ADMIN_DOWN, your_discriminator=0)
    assert bench.session.remote_discriminator == REMOTE_DISCRIMINATOR
    bench.pass_time(10 * SECOND)
    assert bench.session.remote_discriminator == 0


def test_6_8_4_expiry_in_init() -> None:
    bench = Bench()
    bench.hear(state=State.DOWN, your_discriminator=0)
    assert bench.session.state is State.INIT
    [change] = changes(bench.pass_time(10 * SECOND))
    assert (change.new, change.diagnostic) == (State.DOWN, 1)


# -- administration ----------------------------------------------------------------------------------------------------


def test_ad1_6_8_16_admin_down_and_back() -> None:
    bench = up()
    actions = bench.tell(Disable())
    [change] = changes(actions)
    assert (change.new, change.diagnostic) == (State.ADMIN_DOWN, 7)
    assert [p.state for p in sent(actions)] == [State.ADMIN_DOWN]
    start = bench.now
    bench.pass_time(3 * SECOND)
    assert len(bench.sent(start)) >= 3, "it goes on saying so"
    [change] = changes(bench.tell(Enable()))
    assert change.new is State.DOWN


def test_6_8_15_forwarding_plane_reset() -> None:
    bench = up()
    [change] = changes(bench.tell(ForwardingPlaneReset()))
    assert (change.new, change.diagnostic) == (State.DOWN, 4)


@pytest.mark.parametrize(("reverse", "diagnostic"), [(False, 6), (True, 8)])
def test_cp1_6_8_17_concatenated_paths(reverse: bool, diagnostic: int) -> None:
    bench = up()
    [said] = sent(bench.tell(ConcatenatedPath(True, reverse)))
    assert (said.diagnostic, said.state) == (diagnostic, State.UP)
    assert not bench.tell(ConcatenatedPath(True, reverse))
    [said] = sent(bench.tell(ConcatenatedPath(False)))
    assert said.diagnostic == 0
    bench.tell(ConcatenatedPath(True, reverse))
    bench.pass_time(DETECTION + MS)
    assert bench.session.diagnostic == 1, "a failure comes before it"


def test_dm1_concatenated_paths_in_demand_mode() -> None:
    bench = up()
    bench.hear(demand=True)
    [said] = sent(bench.tell(ConcatenatedPath(True)))
    assert said.poll


# -- RFC 5881, 5883, 9764 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authentication", [None, SHA1])
def test_sh5_rfc_5881_5_ttl_below_255_is_discarded(authentication: AuthSettings | None) -> None:
    bench = Bench(authentication=authentication)
    bench.hear(at=meta(ttl=254), state=State.DOWN, your_discriminator=0)
    assert bench.session.statistics["discarded_ttl"] == 1
    assert bench.session.state is State.DOWN


def test_max_hops_lets_packets_cross_routers() -> None:
    bench = Bench(minimum_ttl=253)
    bench.hear(at=meta(ttl=252), state=State.DOWN, your_discriminator=0)
    assert bench.session.state is State.DOWN
    bench.hear(at=meta(ttl=253), state=State.DOWN, your_discriminator=0)
    assert bench.session.state is State.INIT


@pytest.mark.parametrize("port", [4784, 3785, 3784])
def test_mh1_rfc_5883_5_ports_are_kept_apart(port: int) -> None:
    bench = up()
    bench.hear(at=meta(port=port))
    assert bench.session.statistics.get("discarded_port", 0) == (port != 3784)


def test_a_packet_by_another_interface_is_discarded() -> None:
    bench = Bench(interface="eth1")
    bench.hear(at=meta(interface="eth0"), state=State.DOWN, your_discriminator=0)
    assert bench.session.statistics["discarded_interface"] == 1


def test_lp1_rfc_9764_padding() -> None:
    bench = Bench(padded_pdu_size=1400, authentication=SHA1)
    [data] = [a.data for a in bench.pass_time(1) if hasattr(a, "data")]
    assert len(data) == 1400
    assert data[3] == 24 + 28
    assert not any(data[52:])


# -- RFC 5882: what clients are told -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["remote", "local"])
def test_cl4_rfc_5882_4_2_admin_down_is_no_failure(how: str) -> None:
    bench = up()
    [change] = changes(bench.hear(state=State.ADMIN_DOWN) if how == "remote" else bench.tell(Disable()))
    assert change.new is not State.UP
    assert change.up
    assert bench.session.up


def test_cl4_rfc_5882_4_2_down_is_a_failure() -> None:
    for fail in (lambda b: b.hear(state=State.DOWN), lambda b: b.pass_time(DETECTION + MS)):
        bench = up()
        [change] = changes(fail(bench))
        assert not change.up


def test_cl3_rfc_5882_3_3_not_yet_up_is_told_once_it_had_its_time() -> None:
    bench = Bench(idle_tx_interval=2 * SECOND)
    assert not any(isinstance(a, Settled) for a in bench.run(6 * SECOND - 1))
    assert any(isinstance(a, Settled) for a in bench.run(6 * SECOND))
    assert bench.session.settled
    assert up().session.settled


# -- settings ----------------------------------------------------------------------------------------------------------


def test_a_changed_key_goes_on_counting() -> None:
    bench = Bench(authentication=SHA1)
    bench.pass_time(1)
    authenticator = bench.session._authenticator
    assert authenticator is not None
    before = authenticator.transmitted
    both = AuthSettings(SHA1.type, (*SHA1.keys, AuthKey(2, b"newer")), 2)
    bench.reconfigure(authentication=both)
    bench.pass_time(2 * SECOND)
    assert bench.session._authenticator is authenticator
    assert 0 < authenticator.transmitted - before < 5


def test_authentication_that_is_configured_is_never_left_out() -> None:
    bench = up()
    bench.reconfigure(authentication=SHA1)
    start = bench.now
    bench.pass_time(100 * MS)
    assert all(p.auth for _, p in bench.sent(start))
    bench.hear()
    assert bench.session.statistics["discarded_auth_missing"] == 1
    bench.reconfigure()
    start = bench.now
    bench.pass_time(100 * MS)
    assert not any(p.auth for _, p in bench.sent(start))


def test_cc1_rfc_5880_7_over_several_hops_repeated_loss_slows_the_session_down() -> None:
    bench = Bench(mode=Mode.MULTIHOP)
    far = meta(port=4784)

    def up_and_lost() -> list[Any]:
        for fields in ({"state": State.DOWN, "your_discriminator": 0}, {"state": State.INIT}, {"final": True}):
            bench.hear(far, **fields)
        assert bench.session.state is State.UP
        return bench.pass_time(SECOND)

    assert not any(isinstance(a, Report) for a in up_and_lost()), "once is no congestion"
    [report] = [a for a in up_and_lost() if isinstance(a, Report)]
    assert report.code == "congestion"
    for fields in ({"state": State.DOWN, "your_discriminator": 0}, {"state": State.INIT}, {"final": True}):
        bench.hear(far, **fields)
    assert (bench.session.desired_min_tx, bench.session.required_min_rx) == (100 * MS, 100 * MS)
    end = bench.now + 61 * SECOND
    while bench.now < end:
        bench.pass_time(90 * MS)
        bench.hear(far)
    assert (bench.session.desired_min_tx, bench.session.polling) == (50 * MS, True), "a minute without loss"


def test_cc1_over_one_hop_intervals_stay() -> None:
    bench = Bench()
    for _ in range(3):
        bench.come_up()
        bench.pass_time(SECOND)
    bench.come_up()
    assert bench.session.desired_min_tx == 50 * MS
