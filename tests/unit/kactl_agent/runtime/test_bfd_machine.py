"""Sessions on a machine: sockets that are shared, lost and opened again; sessions that go on, and that are given up."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from kactl_agent.bfd.packet import ControlPacket, State, decode, encode
from kactl_agent.bfd.settings import Mode, SessionSettings
from support.bfd import MS, NS, SECOND, meta, packet, settings
from support.fake_bfd_ports import FakeMachine, FakePair

LEFT, RIGHT = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
OTHER = bytes((192, 0, 2, 3))


def started(*each: SessionSettings) -> FakeMachine:
    fake = FakeMachine()
    fake.machine.apply(each or (settings(),))
    fake.run(0)
    return fake


def come_up(fake: FakeMachine, name: str = "b1", **at: Any) -> None:
    own = fake.machine.sessions[name].discriminator
    for fields in ({"state": State.DOWN, "your_discriminator": 0}, {"state": State.INIT}, {"final": True}):
        fake.arrive(encode(packet(**({"your_discriminator": own} | fields))), meta(**at))
    assert fake.machine.sessions[name].state is State.UP


def sent(fake: FakeMachine, name: str = "b1") -> list[ControlPacket]:
    return [decode(data) for who, _port, data in fake.ports.sent if who == name]


def test_one_receiving_socket_serves_all_sessions_of_an_address_and_each_has_its_own_source_port() -> None:
    fake = started(settings(), settings(name="b2", neighbor=OTHER), settings(name="b3", mode=Mode.MULTIHOP))
    assert [r.place.port for r in fake.ports.receivers] == [3784, 4784]
    ports = [port for _name, port, _data in fake.ports.sent]
    assert len(set(ports)) == 3


def test_discriminators_and_seeds_are_drawn_and_differ() -> None:
    fake = started(settings(), settings(name="b2", neighbor=OTHER))
    one, other = (fake.machine.sessions[name] for name in ("b1", "b2"))
    assert one.discriminator != other.discriminator
    assert 0 not in (one.discriminator, other.discriminator)


def test_what_arrives_is_heard_and_the_timer_follows() -> None:
    fake = started()
    come_up(fake)
    assert [c.new for _, c in fake.changes] == [State.INIT, State.UP]
    fake.run(149 * MS * NS)
    assert fake.changes[-1][1].new is State.UP
    fake.run(151 * MS * NS)
    assert fake.changes[-1][1].new is State.DOWN


def test_after_a_standstill_what_has_arrived_is_heard_before_anybody_is_declared_silent() -> None:
    fake = started()
    come_up(fake)
    own = fake.machine.sessions["b1"].discriminator
    fake.ports.receivers[0].waiting.append((encode(packet(your_discriminator=own)), meta()))
    fake.now = 10 * SECOND * NS
    fake.machine.run_due()
    assert fake.machine.sessions["b1"].state is State.UP


def test_after_a_standstill_all_that_has_arrived_is_heard_whatever_the_number_of_sessions() -> None:
    neighbors = [bytes((192, 0, 2, number)) for number in range(100, 200)]
    fake = started(*(settings(name=f"b{n}", neighbor=n_th) for n, n_th in enumerate(neighbors)))
    for number, neighbor in enumerate(neighbors):
        come_up(fake, f"b{number}", source=neighbor)
    waiting = fake.ports.receivers[0].waiting
    for number, neighbor in list(enumerate(neighbors)) * 4:
        own = fake.machine.sessions[f"b{number}"].discriminator
        waiting.append((encode(packet(your_discriminator=own)), meta(source=neighbor)))
    fake.now = 200 * MS * NS
    fake.machine.run_due()
    assert {session.state for session in fake.machine.sessions.all.values()} == {State.UP}
    assert not waiting


def test_after_a_standstill_a_flood_does_not_keep_timers_from_their_turn() -> None:
    fake = started()
    come_up(fake)
    waiting = fake.ports.receivers[0].waiting
    waiting.extend([(b"noise", meta(source=OTHER))] * 1000)
    fake.now = 10 * SECOND * NS
    fake.machine.run_due()
    assert fake.machine.sessions["b1"].state is State.DOWN
    assert len(waiting) > 900


def test_a_way_that_cannot_be_opened_is_said_once_and_tried_again_every_second() -> None:
    fake = FakeMachine()
    fake.machine.apply([settings(interface="eth7")])
    for _ in range(3):
        fake.machine.retry()
    assert [(n, r.code) for n, r in fake.reports] == [("b1", "path_broken")]
    assert "eth7" in fake.machine.path("b1").problem
    fake.ports.interfaces["eth7"] = 9
    fake.machine.retry()
    assert fake.reports[-1][1].code == "path_open"
    assert fake.machine.path("b1").problem == ""
    fake.run(SECOND * NS)
    assert sent(fake)


def test_an_interface_made_anew_gets_new_sockets_and_the_session_its_port() -> None:
    fake = started(settings(interface="eth0"))
    port = fake.machine.path("b1").source_port
    fake.ports.interfaces["eth0"] = 7
    fake.machine.retry()
    assert [r.open for r in fake.ports.receivers] == [False, True]
    assert [s.open for s in fake.ports.senders] == [False, True]
    assert fake.ports.senders[-1].source_port == port
    assert len(fake.watched) == 1


def test_a_send_that_fails_is_counted_and_the_way_opened_anew() -> None:
    fake = started()
    fake.ports.send_error = OSError(errno.ENETUNREACH, "Network is unreachable")
    fake.run(3 * SECOND * NS)
    assert fake.machine.sessions["b1"].statistics["send_failed"] >= 2
    assert [r.detail for _, r in fake.reports if r.code == "path_broken"] == [
        "packets cannot be sent: Network is unreachable; this is tried again every second"
    ]
    fake.ports.send_error = None
    fake.machine.retry()
    assert fake.machine.path("b1").problem == ""


def test_a_full_queue_is_counted_and_no_failure() -> None:
    fake = started()
    fake.ports.send_error = BlockingIOError(errno.EAGAIN, "again")
    fake.run(2 * SECOND * NS)
    assert fake.machine.sessions["b1"].statistics["not_sent"] >= 1
    assert not fake.reports


# -- reloads -----------------------------------------------------------------------------------------------------------


def test_a_changed_interval_is_no_other_session() -> None:
    fake = started()
    come_up(fake)
    known = fake.machine.sessions["b1"].discriminator
    changes = fake.machine.apply([settings(desired_min_tx_interval=90 * MS, ttl=77)])
    assert (changes.changed, changes.unchanged, changes.added, changes.removed) == (("b1",), 0, (), ())
    session = fake.machine.sessions["b1"]
    assert (session.discriminator, session.state, session.polling) == (known, State.UP, True)
    assert fake.ports.senders[0].settings.ttl == 77
    assert fake.machine.apply([settings(desired_min_tx_interval=90 * MS, ttl=77)]).unchanged == 1


def test_a_changed_neighbour_is_another_session_and_the_old_one_is_told() -> None:
    fake = started(settings(), settings(name="b2", neighbor=OTHER))
    come_up(fake)
    before = fake.machine.sessions["b2"]
    known = fake.machine.sessions["b1"].discriminator
    fake.changes.clear()
    fake.machine.apply([settings(neighbor=bytes((192, 0, 2, 9))), settings(name="b2", neighbor=OTHER)])
    assert fake.machine.sessions["b2"] is before
    assert fake.machine.sessions["b1"].discriminator != known
    assert not fake.changes, "nobody is told of a session that is given up on purpose"
    farewell = [p for p in sent(fake) if p.my_discriminator == known][-1]
    assert (farewell.state, farewell.diagnostic) == (State.ADMIN_DOWN, 7)


def test_cl8_rfc_5882_8_a_session_that_is_gone_says_so_for_a_while() -> None:
    fake = started()
    come_up(fake)
    known = fake.machine.sessions["b1"].discriminator
    assert fake.machine.apply([]).removed == ("b1",)
    assert fake.machine.names == []
    fake.run(2 * SECOND * NS)
    assert len([p for p in sent(fake) if p.my_discriminator == known and p.state is State.ADMIN_DOWN]) >= 2
    fake.run(3100 * MS * NS)
    fake.machine.retry()
    assert not fake.machine.sessions.all
    assert not any(sender.open for sender in fake.ports.senders)
    fake.machine.retry()
    assert not any(receiver.open for receiver in fake.ports.receivers)


def pair(**left: Any) -> FakePair:
    """Both ends of a session, Up; the right one takes any source of the left one's for the same session."""
    both = FakePair(LEFT, RIGHT)
    both.left.machine.apply([settings(neighbor=RIGHT, **left)])
    both.right.machine.apply([settings(neighbor=LEFT)])
    both.run(3 * SECOND * NS)
    assert both.both_up
    both.left.changes.clear()
    both.right.changes.clear()
    return both


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"source": LEFT}),
        ({"source": LEFT}, {}),
        ({}, {"interface": "eth0"}),
        ({"interface": "eth0"}, {}),
        ({"interface": "eth0"}, {"interface": "eth0", "source": LEFT}),
    ],
)
def test_a_source_or_interface_that_is_in_use_already_leaves_the_session_as_it_is(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    both = pair(**before)
    known, port = both.left.machine.sessions["b1"].discriminator, both.left.machine.path("b1").source_port
    assert both.left.machine.apply([settings(neighbor=RIGHT, **after)]).changed == ("b1",)
    both.run(8 * SECOND * NS)
    assert both.both_up
    assert not both.left.changes
    assert not both.right.changes
    assert list(both.left.machine.sessions.all) == ["b1"]
    assert both.left.machine.sessions["b1"].discriminator == known
    assert both.left.machine.path("b1").source_port == port
    assert len(both.left.watched) == 1
    assert sum(sender.open for sender in both.left.ports.senders) == 1


def test_a_session_that_is_given_up_does_not_end_its_successor() -> None:
    """The neighbour knows sessions by its own discriminator, so that AdminDown of the old one would end the new."""
    both = pair(interface="eth0")
    both.left.ports.interfaces["eth1"] = 3
    both.interface = "eth1"
    known = both.left.machine.sessions["b1"].discriminator
    both.left.machine.apply([settings(neighbor=RIGHT, interface="eth1")])
    assert both.left.machine.sessions["b1"].discriminator != known
    both.run(8 * SECOND * NS)
    assert both.both_up
    assert [change.new for _name, change in both.right.changes] == [State.DOWN, State.INIT, State.UP]
    assert all(change.up for _name, change in both.right.changes), "said AdminDown, the neighbour saw no failure"
    assert all(change.new is not State.DOWN for _name, change in both.left.changes)
    assert list(both.left.machine.sessions.all) == ["b1"]


def test_link_local_neighbours_of_other_interfaces_are_told_all_the_same() -> None:
    link_local = bytes.fromhex("fe80000000000000000000000000000a")
    fake = FakeMachine()
    fake.ports.interfaces["eth1"] = 3
    fake.machine.apply([settings(neighbor=link_local, interface="eth0")])
    fake.machine.apply([settings(neighbor=link_local, interface="eth1")])
    assert len(fake.machine.sessions.all) == 2


def test_a_session_under_another_name_goes_on() -> None:
    fake = started()
    come_up(fake)
    known = fake.machine.sessions["b1"].discriminator
    fake.machine.apply([settings(name="renamed")])
    session = fake.machine.sessions["renamed"]
    assert (session.discriminator, session.state, session.settings.name) == (known, State.UP, "renamed")


def test_the_end_is_said_to_all_neighbours_and_to_no_client() -> None:
    fake = started()
    come_up(fake)
    fake.changes.clear()
    fake.machine.stop()
    assert (sent(fake)[-1].state, sent(fake)[-1].diagnostic) == (State.ADMIN_DOWN, 7)
    before = len(sent(fake))
    fake.machine.stop()
    assert [each.state for each in sent(fake)[before:]] == [State.ADMIN_DOWN], "the first may have been lost"
    assert not fake.changes
    assert fake.armed is None
    fake.machine.close()
    assert not any(s.open for s in (*fake.ports.senders, *fake.ports.receivers))


def test_the_shortest_interval_says_how_often_there_is_to_be_looked() -> None:
    ms = MS * NS
    assert started().machine.granularity == 2 * ms
    assert started(
        settings(), settings(name="b2", neighbor=OTHER, desired_min_tx_interval=10 * MS)
    ).machine.granularity == (ms * 2 // 5)
    assert started(settings(desired_min_tx_interval=MS)).machine.granularity == ms // 4
    assert started(settings(desired_min_tx_interval=3 * SECOND)).machine.granularity == 2 * ms
