"""What VRRP instances share on a machine: its interfaces and their pace. Resolved, integers only, times in ns."""

from __future__ import annotations

import msgspec


class LinkDelays(msgspec.Struct, frozen=True):
    """An entry of interface_up_down_delays, within the limits that the instances on the interface set."""

    interface: str
    down: int = 0
    up: int = 0


class PaceGroup(msgspec.Struct, frozen=True):
    """A garp_group: least gap between two announcements on any of its interfaces, 0 is none."""

    interfaces: tuple[str, ...]
    arp_interval: int = 0  # gratuitous ARP (garp_interval)
    advertisement_interval: int = 0  # unsolicited neighbour advertisements (gna_interval)


class PaceSettings(msgspec.Struct, frozen=True):
    """The gap on each interface that is in no group (vrrp_garp_interval, vrrp_gna_interval), and the groups."""

    arp_interval: int = 0
    advertisement_interval: int = 0
    groups: tuple[PaceGroup, ...] = ()


class NetlinkBuffer(msgspec.Struct, frozen=True):
    """The receive buffer of a netlink socket: vrrp_netlink_cmd_rcv_bufs, vrrp_netlink_monitor_rcv_bufs."""

    size: int = 0  # bytes; 0 is the agent's own choice
    force: bool = False  # beyond the system's limit, net.core.rmem_max


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of all instances together."""

    delays: tuple[LinkDelays, ...] = ()
    pace: PaceSettings = PaceSettings()
    log_unknown_vrids: bool = False
    command_buffer: NetlinkBuffer = NetlinkBuffer()
    monitor_buffer: NetlinkBuffer = NetlinkBuffer()
    process_buffer: NetlinkBuffer = NetlinkBuffer()  # of process events (process_monitor_rcv_bufs)
    linkbeat: dict[str, str] = {}  # interfaces that are asked for their link -> MII, ETHTOOL, IOCTL, or empty
