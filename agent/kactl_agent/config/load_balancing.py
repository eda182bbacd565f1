"""virtual_server and what belongs to it -> the settings of the checkers worker (`kactl_agent.ipvs.settings`).

Values follow keepalived 2.2.7. What it mends with a message is mended, and said, here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple, Protocol

from msgspec import UNSET

from kactl_agent.checkers.settings import AnyCheckerSettings
from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.checks.virtual_server import tunnel_fault
from kactl_agent.config.in_force import packed
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.config.schema.virtual_server import LvsMethod
from kactl_agent.config.trackers import command_words
from kactl_agent.ipvs.model import (
    AF_INET,
    AF_INET6,
    CHECKSUM,
    DIRECT_ROUTE,
    GRE,
    GUE,
    IPIP,
    MASQUERADE,
    NO_CHECKSUM,
    NO_MASK,
    ONE_PACKET,
    PERSISTENT,
    REMOTE_CHECKSUM,
    SCHEDULER_1,
    SCHEDULER_2,
    SCHEDULER_3,
    TUNNEL,
    Forwarding,
    SyncDaemon,
    Timeouts,
    server_text,
)
from kactl_agent.ipvs.settings import (
    CheckersSettings,
    MarksSettings,
    Members,
    RealServerSettings,
    SorryServerSettings,
    SyncDaemonSettings,
    VirtualServerSettings,
)
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.network_settings import NetlinkBuffer

SERVED_GLOBAL = frozenset(
    {
        "lvs_flush", "lvs_flush_on_stop", "lvs_timeouts", "lvs_sync_daemon", "lvs_netlink_cmd_rcv_bufs",
        "lvs_netlink_cmd_rcv_bufs_force", "lvs_netlink_monitor_rcv_bufs", "lvs_netlink_monitor_rcv_bufs_force",
        "rs_init_notifies", "no_checker_emails", "smtp_alert_checker", "nftables_ipvs", "nftables_ipvs_priority",
        "nftables_ipvs_start_fwmark",
    }
)  # fmt: skip
SERVED_ROOT = frozenset({"virtual_server", "virtual_server_group"})

_SECOND = 1_000_000  # durations of the model are microseconds
_PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_METHODS = {"NAT": MASQUERADE, "DR": DIRECT_ROUTE, "TUN": TUNNEL}
_TUNNELS = {"ipip": IPIP, "gue": GUE, "gre": GRE}
_CHECKSUMS = {"nocsum": NO_CHECKSUM, "csum": CHECKSUM, "remcsum": REMOTE_CHECKSUM}
_FAMILIES = {"inet": AF_INET, "inet6": AF_INET6}
_NAT = Forwarding(MASQUERADE)
_PERSISTENCE = 360  # seconds
_MOST_MEMBERS = 1 << 16
_FLAGS = (
    # keyword, the scheduler it belongs to (empty: any), flag
    ("flag_1", "", SCHEDULER_1),
    ("flag_2", "", SCHEDULER_2),
    ("flag_3", "", SCHEDULER_3),
    ("sh_fallback", "sh", SCHEDULER_1),
    ("sh_port", "sh", SCHEDULER_2),
    ("mh_fallback", "mh", SCHEDULER_1),
    ("mh_port", "mh", SCHEDULER_2),
)


class CheckerSource(Protocol):
    """Makes the settings of the checkers of one real server (`kactl_agent.config.checkers`)."""

    def resolve(self, path: Path, server: Any, real: Any, address: str, port: int) -> tuple[AnyCheckerSettings, ...]:
        """`path` is the real server's; so are `address` and `port`."""


class LoadBalancing(NamedTuple):
    """Settings, and the commands in them with their places."""

    settings: CheckersSettings = CheckersSettings()
    scripts: tuple[tuple[Path, Command], ...] = ()


def resolve_load_balancing(sheet: Sheet, checkers: CheckerSource) -> LoadBalancing:
    """Where nothing is said of it, the settings are `CheckersSettings()`."""
    config = sheet.document.config
    said = config.global_defs
    servers = _VirtualServers(sheet, checkers)

    def picked(keyword: str, default: Any) -> Any:
        return default if said is UNSET else or_default(getattr(said, keyword), default)

    def buffer(keyword: str) -> NetlinkBuffer:
        return NetlinkBuffer(picked(keyword, 0), picked(f"{keyword}_force", False))

    timeouts = picked("lvs_timeouts", None)
    settings = CheckersSettings(
        virtual_servers=tuple(servers.resolve()),
        timeouts=None
        if timeouts is None
        else Timeouts(*(_seconds(timeouts, word) for word in ("tcp", "tcpfin", "udp"))),
        sync_daemon=_sync_daemon(sheet, picked("lvs_sync_daemon", None)),
        flush=picked("lvs_flush", False),
        flush_on_stop=picked("lvs_flush_on_stop", False) is True,  # VS: as ours are deleted anyway
        marks=_marks(picked),
        command_buffer=buffer("lvs_netlink_cmd_rcv_bufs"),
        monitor_buffer=buffer("lvs_netlink_monitor_rcv_bufs"),
        init_notifies=picked("rs_init_notifies", False),
    )
    return LoadBalancing(settings, tuple(servers.scripts))


def _seconds(block: Any, keyword: str) -> int:
    return int(or_default(getattr(block, keyword), 0)) // _SECOND


def _marks(picked: Any) -> MarksSettings | None:
    table = picked("nftables_ipvs", False)
    if table is False:
        return None
    return MarksSettings(
        table="keepalived_ipvs" if table is True else table,
        priority=picked("nftables_ipvs_priority", -1),
        first_mark=picked("nftables_ipvs_start_fwmark", 1000),
    )


def _sync_daemon(sheet: Sheet, said: Any) -> SyncDaemonSettings | None:
    if said is None:
        return _old_sync_daemon(sheet.document.config)
    instance = or_default(said.inst, "")
    followed = or_default(sheet.document.config.vrrp_instance, {}).get(instance)
    if instance and followed is None:
        path: Path = ("global_defs", "lvs_sync_daemon")
        text = f"lvs_sync_daemon follows vrrp_instance {instance}, which is not defined: there will be no sync daemon"
        sheet.warning(path, "sync-daemon-instance", text)
        return None
    default = 0 if followed is None else or_default(followed.virtual_router_id, 0)
    group = or_default(said.group, "")
    daemon = SyncDaemon(
        master=False,
        interface=or_default(said.interface, ""),
        sync_id=or_default(said.id_, default),
        max_length=or_default(said.maxlen, 0),
        group=ip_address(group).packed if group else b"",
        port=or_default(said.port, 0),
        ttl=or_default(said.ttl, 0),
    )
    return SyncDaemonSettings(daemon=daemon, instance=instance)


def _old_sync_daemon(config: Config) -> SyncDaemonSettings | None:
    """lvs_sync_daemon_interface of a vrrp_instance, the old way to say it: there is one daemon, that of the first."""
    for name, instance in or_default(config.vrrp_instance, {}).items():
        interface = or_default(instance.lvs_sync_daemon_interface, "")
        if interface:
            daemon = SyncDaemon(False, interface, or_default(instance.virtual_router_id, 0))
            return SyncDaemonSettings(daemon=daemon, instance=name)
    return None


class _VirtualServers:
    """All of them; what is the same for many is made once."""

    def __init__(self, sheet: Sheet, checkers: CheckerSource) -> None:
        self._sheet = sheet
        self._checkers = checkers
        self._config = sheet.document.config
        self._groups = or_default(self._config.virtual_server_group, {})
        self._users: dict[str, int] = {}  # group -> virtual servers that use it
        self.scripts: list[tuple[Path, Command]] = []
        said = self._config.global_defs
        alert = UNSET if said is UNSET else said.smtp_alert_checker
        self._alert = alert if alert is not UNSET or said is UNSET else said.smtp_alert
        self._no_server_mails = said is not UNSET and bool(or_default(said.no_checker_emails, False))

    def resolve(self) -> Iterator[VirtualServerSettings]:
        seen: set[tuple[str, int, int]] = set()
        for index, server in enumerate(or_default(self._config.virtual_server, ())):
            settings = self._virtual_server(server, ("virtual_server", index))
            if settings is not None and settings.identity not in seen:  # a rule has said that it stands here twice
                seen.add(settings.identity)
                yield settings

    # -- a virtual server ----------------------------------------------------------------------------------------------

    def _virtual_server(self, server: Any, path: Path) -> VirtualServerSettings | None:
        real_servers = or_default(server.real_server, ())
        if not real_servers and server.sorry_server is UNSET:
            return None  # a rule has said so
        group = or_default(server.group, "")
        protocol = 0 if server.fwmark is not UNSET else self._protocol(server)
        members = tuple(self._members(server, protocol))
        if not members:
            return None
        forwarding = _forwarding(server.lb_kind)
        name = self._name(server, group, members[0])
        port = members[0].port if not group else 0
        given = (path, port, forwarding)
        servers = tuple(self._real_server(real, server, n, *given) for n, real in enumerate(real_servers))
        servers = tuple({(each.address, each.port): each for each in reversed(servers)}.values())[::-1]
        if not self._families_fit(path, name, members, servers):
            return None
        total = sum(each.weight for each in servers)
        quorum = min(or_default(server.quorum, 1), total) if total else or_default(server.quorum, 1)
        hysteresis = or_default(server.hysteresis, 0)
        mask4, length6 = self._granularity(server, path, members)
        timeout = self._persistence(server, path, name, members)
        return VirtualServerSettings(
            name=name,
            protocol=protocol,
            group=group,
            members=members,
            scheduler=or_default(server.lb_algo, "wlc"),
            flags=self._flags(server, path, protocol) | (PERSISTENT if timeout else 0),
            persistence_timeout=timeout,
            persistence_engine=or_default(server.persistence_engine, "") if timeout else "",
            netmask4=mask4,
            prefix_length6=length6,
            quorum=quorum,
            hysteresis=hysteresis if hysteresis < quorum else quorum - 1,
            omega=or_default(server.omega, False),
            ha_suspend=or_default(server.ha_suspend, False) and not group,
            smtp_alert=bool(or_default(server.smtp_alert, or_default(self._alert, False))),
            snmp_name=or_default(server.snmp_name, ""),
            quorum_up=self._script(server.quorum_up, (*path, "quorum_up")),
            quorum_down=self._script(server.quorum_down, (*path, "quorum_down")),
            sorry_server=self._sorry_server(server, path, name, port, forwarding, bool(group)),
            real_servers=servers,
        )

    def _protocol(self, server: Any) -> int:
        """UDP where nothing is said, as a rule has said."""
        return _PROTOCOLS[or_default(server.protocol, "UDP")]

    def _name(self, server: Any, group: str, first: Members) -> str:
        """As in keepalived's log and FIFO lines. Virtual servers that share a group are counted."""
        if group:
            number = self._users[group] = self._users.get(group, -1) + 1
            return f"[{group}]:{number}"
        if server.fwmark is not UNSET:
            return f"FWM {first.fwmark}"
        return server_text(first.first, first.protocol, first.port)

    def _flags(self, server: Any, path: Path, protocol: int) -> int:
        """`hashed` says nothing: the kernel hashes every service, and so does keepalived's."""
        scheduler = or_default(server.lb_algo, "wlc")
        flags = 0
        for keyword, owner, flag in _FLAGS:
            if not or_default(getattr(server, keyword), False):
                continue
            if owner and owner != scheduler:
                text = (
                    f"{keyword.replace('_', '-')} belongs to the scheduler {owner}, and lb_algo is {scheduler}: ignored"
                )
                self._sheet.warning((*path, keyword), "scheduler-flag", text)
                continue
            flags |= flag
        if or_default(server.ops, False):
            if protocol == _PROTOCOLS["UDP"] or not protocol:
                flags |= ONE_PACKET
            else:
                text = "ops is for UDP: IPVS schedules single packets of no other protocol; ignored"
                self._sheet.warning((*path, "ops"), "one-packet", text)
        return flags

    def _persistence(self, server: Any, path: Path, name: str, members: tuple[Members, ...]) -> int:
        said = or_default(server.persistence_timeout, False)
        if said is True:
            return _PERSISTENCE
        if said is not False:
            return int(said) // _SECOND
        if any(not member.port and not member.fwmark for member in members):
            text = f"virtual server {name} has port 0, which only persistent services have: persistence_timeout is 360"
            self._sheet.warning(path, "port-0", text, "say persistence_timeout")
            return _PERSISTENCE
        return 0

    def _granularity(self, server: Any, path: Path, members: tuple[Members, ...]) -> tuple[int, int]:
        """The mask of IPv4 services and the prefix length of IPv6 ones."""
        said = or_default(server.persistence_granularity, "")
        mask, length = NO_MASK[AF_INET], NO_MASK[AF_INET6]
        if not said:
            return mask, length
        family = AF_INET6 if said.isdigit() else AF_INET
        if family == AF_INET6:
            length = int(said)
        else:
            mask = int(ip_address(said))
        if all(member.family != family for member in members):
            words = ("a netmask", "IPv6") if family == AF_INET else ("a prefix length", "IPv4")
            text = f"persistence_granularity {said} is {words[0]}, and this service is {words[1]}: ignored"
            hint = "say a prefix length" if family == AF_INET else "say a netmask such as 255.255.255.0"
            self._sheet.warning((*path, "persistence_granularity"), "granularity-family", text, hint)
        return mask, length

    def _families_fit(
        self, path: Path, name: str, members: tuple[Members, ...], servers: tuple[RealServerSettings, ...]
    ) -> bool:
        """The kernel rewrites, or hands on, packets of one family within it; only a tunnel carries the other one."""
        families = {member.family for member in members}
        for index, each in enumerate(servers):
            family = AF_INET if len(each.address) == 4 else AF_INET6
            if each.forwarding.method != TUNNEL and families != {family}:
                self._sheet.error(
                    (*path, "real_server", index),
                    "mixed-families",
                    f"real server {ip_address(each.address)} of {name} is not of the address family of the service",
                    "only with lb_kind TUN can real servers be of another family",
                    ignored=True,
                )
                return False
        return True

    # -- who is balanced -----------------------------------------------------------------------------------------------

    def _members(self, server: Any, protocol: int) -> Iterator[Members]:
        if server.fwmark is not UNSET:
            yield Members(self._family(server), fwmark=server.fwmark)
        elif server.group is not UNSET:
            for index, entry in enumerate(self._groups.get(server.group, ())):
                yield self._group_member(index, entry, server, protocol)
        else:
            address = packed(or_default(server.address, ""))
            yield Members(_family_of(address), protocol, address, 1, or_default(server.port, 0))

    def _family(self, server: Any) -> int:
        """Of a firewall mark: that of the real servers which are not tunnelled, else ip_family."""
        default = _forwarding(server.lb_kind)
        for real in or_default(server.real_server, ()):
            if _forwarding(real.lvs_method, default).method != TUNNEL:
                return _family_of(packed(or_default(real.address, "")))
        return _FAMILIES[or_default(server.ip_family, "inet")]

    def _group_member(self, index: int, entry: Any, server: Any, protocol: int) -> Members:
        if entry.fwmark is not UNSET:
            family = self._family(server) if entry.family is UNSET else _FAMILIES[entry.family]
            return Members(family, fwmark=entry.fwmark)
        first, count = _range(or_default(entry.address, ""))
        if count > _MOST_MEMBERS:
            path: Path = ("virtual_server_group", server.group, index, "address")
            text = f"{entry.address} stands for {count} services: {_MOST_MEMBERS} are the most for one entry"
            self._sheet.error(path, "too-many-members", text, "a firewall mark serves any number of addresses")
            count = 1
        return Members(_family_of(first), protocol, first, count, or_default(entry.port, 0))

    # -- servers -------------------------------------------------------------------------------------------------------

    def _real_server(
        self, real: Any, server: Any, index: int, path: Path, service_port: int, default: Forwarding
    ) -> RealServerSettings:
        place: Path = (*path, "real_server", index)
        address = packed(or_default(real.address, ""))
        forwarding = _forwarding(real.lvs_method, default)
        port = or_default(real.port, service_port)
        fixed = self._port(place, port, service_port, forwarding, grouped=server.group is not UNSET)
        alert = or_default(real.smtp_alert, or_default(self._alert, True))
        return RealServerSettings(
            address=address,
            port=fixed,
            weight=or_default(real.weight, or_default(server.weight, 1)),
            forwarding=forwarding,
            upper_threshold=or_default(real.uthreshold, 0),
            lower_threshold=or_default(real.lthreshold, 0),
            inhibit=or_default(real.inhibit_on_failure, or_default(server.inhibit_on_failure, False)),
            smtp_alert=bool(alert) and not self._no_server_mails,
            snmp_name=or_default(real.snmp_name, ""),
            notify_up=self._script(real.notify_up, (*place, "notify_up")),
            notify_down=self._script(real.notify_down, (*place, "notify_down")),
            checkers=self._checkers.resolve(place, server, real, str(or_default(real.address, "")), port),
        )

    def _port(self, place: Path, port: int, service_port: int, forwarding: Forwarding, *, grouped: bool) -> int:
        """Only NAT changes the port of packets: other real servers have the service's."""
        if grouped or forwarding.method == MASQUERADE or port == service_port:
            return port
        text = f"only NAT can change the port: {port} of the real server becomes {service_port}, the virtual server's"
        self._sheet.warning((*place, "port"), "port-mismatch", text)
        return service_port

    def _sorry_server(
        self, server: Any, path: Path, name: str, service_port: int, default: Forwarding, grouped: bool
    ) -> SorryServerSettings | None:
        said = server.sorry_server
        if said is UNSET:
            return None
        forwarding = _forwarding(server.sorry_server_lvs_method, default)
        port = or_default(said.port, service_port)
        if not grouped and forwarding.method != MASQUERADE and port != service_port:
            text = f"only NAT can change the port: {port} of the sorry server of {name} becomes {service_port}"
            self._sheet.warning((*path, "sorry_server"), "port-mismatch", text)
            port = service_port
        inhibit = or_default(server.sorry_server_inhibit, False)
        return SorryServerSettings(packed(or_default(said.address, "")), port, forwarding, inhibit)

    def _script(self, said: Any, path: Path) -> Command | None:
        if said is UNSET:
            return None
        words = command_words(self._sheet, path, or_default(said.command, ""))
        if not words:
            return None
        command = Command(words, or_default(said.user, ""), or_default(said.group, ""))
        self.scripts.append((path, command))
        return command


def _family_of(address: bytes) -> int:
    return AF_INET if len(address) == 4 else AF_INET6


def _forwarding(said: Any, default: Forwarding = _NAT) -> Forwarding:
    return default if said is UNSET else _said_forwarding(said)


@cache
def _said_forwarding(said: LvsMethod) -> Forwarding:
    """One for all that say the same."""
    method = _METHODS[or_default(said.method, "NAT")]
    if method != TUNNEL or tunnel_fault(said):
        return Forwarding(method)  # a rule has said so
    return Forwarding(
        method,
        _TUNNELS[or_default(said.type, "ipip")],
        or_default(said.port, 0),
        _CHECKSUMS[or_default(said.checksum, "nocsum")],
    )


def _range(text: str) -> tuple[bytes, int]:
    """The first address of an entry of a group, and how many there are."""
    start, dash, end = text.partition("-")
    if not dash:
        address, slash, _length = text.partition("/")
        if not slash:
            return ip_address(address).packed, 1
        network = ip_network(text, strict=False)
        return network.network_address.packed, network.num_addresses
    first = ip_address(start)
    last: int
    if "." in end or ":" in end:
        last = int(ip_address(end))
    elif first.version == 4:
        last = int(first) & ~0xFF | int(end)
    else:
        last = int(first) & ~0xFFFF | int(end, 16)
    return first.packed, last - int(first) + 1
