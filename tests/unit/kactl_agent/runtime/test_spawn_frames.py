"""What workers and the spawner say to each other: it arrives as it was said, and nonsense does no harm."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.runtime.spawn_frames import (
    LARGEST,
    AnySpawnFrame,
    Ended,
    Run,
    Signal,
    SpawnFrame,
    Started,
    decode,
    encode,
)

numbers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.binary().map(
    lambda b: b.decode(errors="surrogateescape")
)
frames = st.one_of(
    st.builds(Run, numbers, st.lists(texts).map(tuple), numbers, numbers, numbers),
    st.builds(Signal, numbers, numbers),
    st.builds(Started, numbers, numbers),
    st.builds(Ended, numbers, numbers, texts),
)


@given(frames)
def test_what_is_said_arrives(frame: AnySpawnFrame) -> None:
    heard = decode(encode(frame))
    assert heard == frame
    assert type(heard) is type(frame)
    assert hash(heard) == hash(frame)


@given(st.binary(max_size=200) | st.builds(bytes.__add__, st.sampled_from([b"R", b"S", b"B", b"E"]), st.binary()))
def test_nonsense_is_a_value_error(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        return


@given(frames, st.data())
def test_a_part_of_a_frame_is_none(frame: AnySpawnFrame, data: st.DataObject) -> None:
    whole = encode(frame)
    with pytest.raises(ValueError, match=r".+"):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match="behind the frame"):
        decode(whole + b"x")


def test_a_number_that_no_process_has() -> None:
    with pytest.raises(ValueError, match="int"):
        encode(Signal(1, 2**63))


def test_other_kinds_are_other_frames() -> None:
    assert Signal(1, 2) != Started(1, 2)
    assert repr(Run(1, ("/bin/true",), 0, 0)) == "Run(1, ('/bin/true',), 0, 0, -1)"
    assert SpawnFrame(1) != 1


def test_a_count_larger_than_the_frame_costs_nothing() -> None:
    """No list of four billion texts is begun."""
    with pytest.raises(ValueError, match="texts in"):
        decode(b"R" + bytes(8) + b"\xff\xff\xff\xff")
    assert len(encode(Run(1, ("x" * (1 << 17),), 0, 0))) < LARGEST


def test_the_spawner_imports_next_to_nothing() -> None:
    """It is forked before anything else, and stays as small as it was then."""
    code = (
        "import sys; import kactl_agent.observe.log_sink, kactl_agent.runtime.spawner;"
        "print(*sorted(m for m in sys.modules if m.partition('.')[0] in"
        " {'msgspec', 'typing', 'argparse', 'pathlib', 'asyncio', 'logging', 'inspect', 'dataclasses', 'json'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
