"""UDP_CHECK, with and without each of its parameters (S32)."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.settings import CheckTiming, ConnectTarget, UdpCheckSettings
from kactl_agent.checkers.udp import UdpExchange


def exchange(**said: Any) -> UdpExchange:
    return UdpExchange(
        UdpCheckSettings(timing=CheckTiming(), target=ConnectTarget(address="192.0.2.1", port=53), **said)
    )


def test_without_a_reply_silence_is_success_and_an_error_failure() -> None:
    check = exchange()
    assert check.connected() == b""
    assert check.timed_out(connected=True) == CheckEnded(True, "no error in time")
    assert check.failed("Connection refused") == CheckEnded(False, "Connection refused")
    assert check.receive(b"x" * 999) == CheckEnded(True, "a reply of 999 bytes")


def test_a_required_reply() -> None:
    check = exchange(payload=b"\x01", require_reply=True)
    assert check.connected() == b"\x01"
    assert check.timed_out(connected=True) == CheckEnded(False, "no reply in time")
    assert check.receive(b"") == CheckEnded(True, "a reply of 0 bytes")


@pytest.mark.parametrize(
    ("reply", "success"),
    [(b"ab", True), (b"abc", True), (b"a", False), (b"b", False), (b"axx", True), (b"abcd", False)],
)
def test_pattern_and_lengths(reply: bytes, success: bool) -> None:
    """`a` and any byte, two to three bytes."""
    said = {"pattern": b"a\0", "mask": b"\xff\0", "min_reply_length": 2, "max_reply_length": 3}
    outcome = exchange(require_reply=True, **said).receive(reply)
    assert outcome.success is success
    assert "reply of" in outcome.detail or "begin" in outcome.detail


OPTIONAL = {
    "payload": b"p",
    "require_reply": True,
    "pattern": b"r",
    "min_reply_length": 1,
    "max_reply_length": 9,
}


@pytest.mark.parametrize("present", list(product([False, True], repeat=len(OPTIONAL))))
def test_every_parameter_may_be_absent(present: tuple[bool, ...]) -> None:
    said: dict[str, Any] = {
        name: value for (name, value), is_said in zip(OPTIONAL.items(), present, strict=True) if is_said
    }
    if "pattern" in said:
        said["mask"] = b"\xff"
    check = exchange(**said)
    assert check.connected() == said.get("payload", b"")
    assert check.receive(b"right").success
    assert check.timed_out(connected=True).success is not said.get("require_reply", False)
