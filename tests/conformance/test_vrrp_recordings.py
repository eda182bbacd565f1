"""Recorded VRRP cases: each file under vrrp/ tells an engine what it tells, and the engine must do what it says.

The header of a file says what it shows. KACTL_UPDATE_GOLDEN=1 writes the outcomes anew: read the difference before you
commit it. A new case is a file with a header and the calls of its engine; the switch fills in what comes of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from kactl_agent.vrrp.actions import Transition
from kactl_agent.vrrp.fsm import TABLE
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.recording import read, replay, tell

CASES = sorted((Path(__file__).parent / "vrrp").glob("*.jsonl"))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def rewritten(path: Path) -> bytes:
    """The recording with the outcomes that its calls have now."""
    header, entries = read(lines_of(path))
    engine = VrrpInstance(header.settings)
    told = [header, *(tell(engine, entry.stimulus, entry.now) for _, entry in entries)]
    return b"".join(msgspec.json.encode(line) + b"\n" for line in told)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_recording(path: Path) -> None:
    if os.environ.get("KACTL_UPDATE_GOLDEN"):
        path.write_bytes(rewritten(path))
    header, entries = read(lines_of(path))
    assert header.intent
    assert any(entry.actions for _, entry in entries)
    difference = replay(lines_of(path))
    if difference is not None:
        recorded = msgspec.json.encode(difference.recorded).decode()
        replayed = msgspec.json.encode(difference.replayed).decode()
        pytest.fail(f"{path.name}:{difference.line}: {header.intent}\nrecorded {recorded}\nreplayed {replayed}")


def test_every_transition_of_the_table_is_recorded() -> None:
    possible = {(state, row.next) for (state, _), row in TABLE.items() if row.next is not state}
    seen = set()
    for path in CASES:
        for _, entry in read(lines_of(path))[1]:
            seen |= {(action.old, action.new) for action in entry.actions if isinstance(action, Transition)}
    assert seen == possible
