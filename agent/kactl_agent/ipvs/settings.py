"""What the checkers worker takes of the configuration: resolved, defaulted, integers only.

`config/load_balancing.py` makes it from what the user wrote. Times are nanoseconds unless the name says otherwise.
Tens of thousands of real servers are sent from process to process: what repeats is an array, not an object with names.
"""

from __future__ import annotations

import msgspec

from kactl_agent.checkers.settings import AnyCheckerSettings
from kactl_agent.ipvs.model import Forwarding, SyncDaemon, Timeouts
from kactl_agent.tracking.settings import Command, Executable
from kactl_agent.vrrp.network_settings import NetlinkBuffer


class Members(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Services of one virtual server that differ in their address alone: `count` of them, one address after the other.

    A firewall mark has no address and counts as one.
    """

    family: int
    protocol: int = 0
    first: bytes = b""
    count: int = 1
    port: int = 0
    fwmark: int = 0


class RealServerSettings(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """real_server."""

    address: bytes
    port: int
    weight: int = 1
    forwarding: Forwarding = Forwarding()
    upper_threshold: int = 0
    lower_threshold: int = 0
    inhibit: bool = False  # inhibit_on_failure
    smtp_alert: bool = True
    snmp_name: str = ""
    notify_up: Command | None = None
    notify_down: Command | None = None
    checkers: tuple[AnyCheckerSettings, ...] = ()


class SorryServerSettings(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """sorry_server."""

    address: bytes
    port: int
    forwarding: Forwarding = Forwarding()
    inhibit: bool = False  # sorry_server_inhibit


class VirtualServerSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """virtual_server: one service, or those of a group."""

    name: str  # as in keepalived's FIFO lines: `[192.0.2.1]:tcp:80`, `FWM 7`, `[group]:0`
    protocol: int = 0  # IPPROTO_*, 0 for a firewall mark
    group: str = ""
    members: tuple[Members, ...] = ()
    scheduler: str = "wlc"
    flags: int = 0
    persistence_timeout: int = 0  # seconds
    persistence_engine: str = ""
    netmask4: int = 0xFFFF_FFFF
    prefix_length6: int = 128
    quorum: int = 1
    hysteresis: int = 0
    omega: bool = False
    ha_suspend: bool = False
    smtp_alert: bool = False
    snmp_name: str = ""
    quorum_up: Command | None = None
    quorum_down: Command | None = None
    sorry_server: SorryServerSettings | None = None
    real_servers: tuple[RealServerSettings, ...] = ()

    @property
    def identity(self) -> tuple[str, int, int]:
        """What makes it the same virtual server after a reload. That of a group is the group with a protocol, whatever
        number its name has; where the group says no address, the family of its marks tells two of them apart."""
        family = self.members[0].family if self.members else 0
        if not self.group:
            return self.name, self.protocol, family
        addressed = any(members.first for members in self.members)
        return f"group {self.group}", self.protocol, 0 if addressed else family


class SyncDaemonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """lvs_sync_daemon. Without an instance both daemons run; with one, the one that its state asks for."""

    daemon: SyncDaemon  # `master` says nothing here
    instance: str = ""


class MarksSettings(msgspec.Struct, frozen=True, kw_only=True):
    """nftables_ipvs: the members of a group share a firewall mark that nftables sets."""

    table: str = "keepalived_ipvs"
    priority: int = -1
    first_mark: int = 1000


class CheckersSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything the checkers worker does."""

    virtual_servers: tuple[VirtualServerSettings, ...] = ()
    timeouts: Timeouts | None = None
    sync_daemon: SyncDaemonSettings | None = None
    flush: bool = False  # lvs_flush: at the start, whoever made what is there
    flush_on_stop: bool = False  # lvs_flush_on_stop: at the stop, whoever made what is there
    marks: MarksSettings | None = None
    given_marks: tuple[tuple[tuple[str, int, int], int], ...] = ()  # what identities have, which a reload leaves them
    command_buffer: NetlinkBuffer = NetlinkBuffer()
    monitor_buffer: NetlinkBuffer = NetlinkBuffer()
    init_notifies: bool = False  # rs_init_notifies
    mails: bool = False  # whether there is anybody to send mail to
    fifos: tuple[str, ...] = ()  # keywords of the FIFOs that lines go to
    executables: tuple[tuple[Command, Executable], ...] = ()  # of all the scripts that can, and may, be run here

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.virtual_servers or self.timeouts or self.sync_daemon or self.flush)
