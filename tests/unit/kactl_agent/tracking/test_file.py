"""The number of a tracked file: what keepalived 2.2.7 made of such contents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.tracking.actions import FileContent
from kactl_agent.tracking.file import file_value, file_verdict


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"5\n", 5), (b"-5\n", -5), (b"+5", 5), (b"0\n", 0), (b"7 x\n", 7), (b" 8\n", 8), (b"abc\n", 0), (b"\n", 0),
        (b"", 0), (None, 0), (b"3\n9\n", 3), (b"\x00\xff", 0), (b"99999999999", 2**31 - 1), (b"-99999999999", -(2**31)),
    ],
)  # fmt: skip
def test_values(data: bytes | None, value: int) -> None:
    assert file_value(data) == value


@given(st.binary(max_size=64))
def test_whatever_it_holds_is_a_number_of_32_bits(data: bytes) -> None:
    assert -(2**31) <= file_value(data) < 2**31


@given(st.integers(-(2**31), 2**31 - 1), st.text(alphabet=" \n\tx", max_size=4))
def test_numbers_are_read_back(number: int, rest: str) -> None:
    assert file_value(f"{number}{rest}".encode()) == number


def test_verdicts_say_what_was_found() -> None:
    assert file_verdict("/run/prio", FileContent(b"-20\n")).detail == "/run/prio holds -20"
    missing = file_verdict("/run/prio", FileContent(None, "No such file or directory"))
    assert missing.detail == "/run/prio cannot be read (No such file or directory), which counts as 0"
    assert file_verdict("/run/prio", FileContent(b"-20\n")).value == -20
