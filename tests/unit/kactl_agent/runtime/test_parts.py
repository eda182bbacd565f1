"""Several byte strings in one file."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.runtime.parts import read_parts, write_parts


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = os.memfd_create("parts")
    yield descriptor
    os.close(descriptor)


@given(parts=st.lists(st.binary(max_size=50), max_size=5))
def test_what_was_written_is_read(parts: list[bytes]) -> None:
    descriptor = os.memfd_create("parts")
    try:
        write_parts(descriptor, parts)
        assert read_parts(descriptor, len(parts)) == parts
    finally:
        os.close(descriptor)


def test_more_than_a_pipe_holds_is_written_in_full(file: int) -> None:
    parts = [os.urandom(3_000_000), b"", os.urandom(1_000_001)]
    write_parts(file, parts)
    assert read_parts(file, 3) == parts


def test_a_file_that_was_cut_off_at_any_place_is_none(file: int) -> None:
    write_parts(file, [b"abc", b"", b"defg"])
    for length in range(os.fstat(file).st_size):
        os.ftruncate(file, length)
        with pytest.raises(ValueError, match="the file is"):
            read_parts(file, 3)
        os.truncate(f"/proc/self/fd/{file}", 0)
        os.lseek(file, 0, os.SEEK_SET)
        write_parts(file, [b"abc", b"", b"defg"])


def test_another_count_of_parts(file: int) -> None:
    write_parts(file, [b"abc", b"defghijklmnop"])
    for count in (1, 3):
        with pytest.raises(ValueError, match="the file is"):
            read_parts(file, count)
