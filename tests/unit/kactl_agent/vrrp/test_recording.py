"""Recordings: one line for each call, the same again on replay, the first difference found."""

from __future__ import annotations

import msgspec
import pytest

from kactl_agent.vrrp.actions import SendAdvert, Shutdown, Startup, State
from kactl_agent.vrrp.recording import Recorder, RecordingError, read, replay
from kactl_agent.vrrp.settings import SECOND
from support.vrrp import advert, interface, make_settings


def recording() -> list[bytes]:
    lines: list[bytes] = []
    engine = Recorder(make_settings(), lines.append, "starts, hears a master, loses it, stops")
    engine.handle_event(interface(), 0)
    engine.handle_event(Startup(), 0)
    engine.receive(*advert(150), SECOND)
    engine.handle_timer(engine.deadline() or 0)
    engine.handle_event(Shutdown(), 10 * SECOND)
    return lines


def test_a_recording_holds_header_calls_and_outcome() -> None:
    lines = recording()
    assert Recorder(make_settings(), lines.count).snapshot().state is State.INIT
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    header, entries = read(lines)
    assert header.settings == make_settings()
    assert header.intent == "starts, hears a master, loses it, stops"
    found = list(entries)
    assert [number for number, _ in found] == [2, 3, 4, 5, 6]
    states = [entry.state for _, entry in found]
    assert states == [State.INIT, State.BACKUP, State.BACKUP, State.MASTER, State.INIT]
    assert isinstance(found[3][1].actions[0], SendAdvert)
    assert [entry.deadline is None for _, entry in found] == [True, False, False, False, True]


def test_replay_of_an_unchanged_recording_finds_nothing() -> None:
    assert replay(recording()) is None


def test_replay_names_the_first_difference() -> None:
    lines = recording()
    lines[4] = lines[4].replace(b'"priority":100', b'"priority":101')
    lines[5] = lines[5].replace(b'"INIT"', b'"FAULT"')
    difference = replay(lines)
    assert difference is not None
    assert difference.line == 5
    assert difference.recorded.now == difference.replayed.now
    assert difference.recorded.actions != difference.replayed.actions


def test_replay_with_other_settings_differs_in_state_or_deadline() -> None:
    lines = recording()
    lines[0] = lines[0].replace(b'"priority":100', b'"priority":90')
    difference = replay(lines)
    assert difference is not None
    assert difference.line == 3


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([], "line 1"),
        ([b"\xff\n"], "line 1"),
        ([b"{}\n"], "line 1"),
        ([recording()[0].replace(b'"version":1,"intent"', b'"version":2,"intent"')], "line 1"),
        ([recording()[0].replace(b"kactl-vrrp", b"other")], "line 1"),
        ([*recording()[:2], b'{"now": 1}\n'], "line 3"),
        ([*recording()[:2], b"\n", b"not JSON\n"], "line 4"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(lines: list[bytes], place: str) -> None:
    with pytest.raises(RecordingError, match=place):
        replay(lines)


def test_bytes_survive_json() -> None:
    """Every byte value, as packets may hold it."""
    lines: list[bytes] = []
    engine = Recorder(make_settings(), lines.append)
    data, meta = bytes(range(256)), advert(1)[1]
    engine.receive(data, meta, 0)
    _, entries = read(lines)
    (entry,) = [entry for _, entry in entries]
    assert msgspec.to_builtins(entry.stimulus)["told"] == "packet"
    assert getattr(entry.stimulus, "data", None) == data
