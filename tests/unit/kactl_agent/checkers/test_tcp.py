"""TCP_CHECK."""

from __future__ import annotations

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.tcp import TcpExchange


def test_a_connection_is_success_whatever_comes() -> None:
    assert TcpExchange().connected() == CheckEnded(True, "connected")
    assert TcpExchange().receive(b"x") == CheckEnded(True, "connected")


def test_what_goes_wrong_is_said() -> None:
    assert TcpExchange().failed("Connection refused") == CheckEnded(False, "Connection refused")
    assert TcpExchange().timed_out(connected=False) == CheckEnded(False, "no connection in time")
