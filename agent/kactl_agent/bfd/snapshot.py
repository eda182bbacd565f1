"""The state of a BFD session for everything that looks from outside."""

from __future__ import annotations

import msgspec

from kactl_agent.bfd.packet import State
from kactl_agent.bfd.settings import Mode


class SessionSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One session at one moment. Times are ns of the engine's clock, intervals microseconds."""

    name: str
    state: State
    remote_state: State
    since: int
    cause: str  # of the last change of state, "" when there was none
    detail: str
    up: bool  # what clients go by
    settled: bool  # whether clients are told
    mode: Mode
    local_discriminator: int
    remote_discriminator: int
    diagnostic: int
    remote_diagnostic: int
    polling: bool
    desired_min_tx_interval: int
    required_min_rx_interval: int
    remote_desired_min_tx_interval: int
    remote_min_rx_interval: int
    remote_detect_mult: int
    transmit_interval: int  # between periodic packets, before jitter; 0: none are sent
    detection_time: int  # 0 until something was received, and then as last agreed
    last_received: int  # ns; 0: never
    statistics: dict[str, int]
