"""UDP_CHECK: no ICMP error comes for a datagram in time; or, where it is required, a reply does."""

from __future__ import annotations

from kactl_agent.checkers.actions import CheckEnded
from kactl_agent.checkers.exchange import DatagramExchange, shown
from kactl_agent.checkers.settings import UdpCheckSettings


class UdpExchange(DatagramExchange):
    """One datagram there, and at most one that counts back."""

    def __init__(self, settings: UdpCheckSettings) -> None:
        self._settings = settings

    def connected(self) -> bytes:
        return self._settings.payload

    def receive(self, data: bytes) -> CheckEnded:
        settings = self._settings
        if not settings.require_reply:
            return CheckEnded(True, f"a reply of {len(data)} bytes")
        if len(data) < settings.min_reply_length:
            return CheckEnded(False, f"a reply of {len(data)} bytes, fewer than {settings.min_reply_length}")
        if len(data) > settings.max_reply_length:
            return CheckEnded(False, f"a reply of {len(data)} bytes, more than {settings.max_reply_length}")
        pattern, mask = settings.pattern, settings.mask
        if len(data) < len(pattern) or any((d ^ p) & m for d, p, m in zip(data, pattern, mask, strict=False)):
            return CheckEnded(False, f"a reply that does not begin as it must: {shown(data, 24)}")
        return CheckEnded(True, f"a reply of {len(data)} bytes")

    def timed_out(self, connected: bool) -> CheckEnded:
        del connected
        if self._settings.require_reply:
            return CheckEnded(False, "no reply in time")
        return CheckEnded(True, "no error in time")
