"""What dumps and other onlookers are shown of the agent's state: settings, and what the workers say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.dump_frames import TrackerState
from kactl_agent.vrrp.settings import VrrpSettings
from kactl_agent.vrrp.snapshot import InstanceSnapshot


class InstanceView(NamedTuple):
    """One vrrp_instance. Without a snapshot nothing is known of it: its worker is just starting."""

    settings: VrrpSettings
    snapshot: InstanceSnapshot | None
    since: int  # wall-clock ns when the state was entered, 0 when it is not known
    statistics: Mapping[str, int]  # since they were cleared


class AgentView(NamedTuple):
    """Everything at one moment."""

    configuration: AgentConfiguration
    instances: Sequence[InstanceView]
    groups: Mapping[str, str]  # name of a sync group -> its state
    trackers: Sequence[TrackerState]
    processes: Mapping[str, int]  # name -> pid
    now: int  # wall-clock ns
