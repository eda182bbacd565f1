"""The whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.addresses import StaticAddressEntry
from kactl_agent.config.schema.bfd import BfdInstance
from kactl_agent.config.schema.global_defs import GlobalDefs
from kactl_agent.config.schema.keyword import FLAG, BlockKeywords, Keyword, Legacy, table_of
from kactl_agent.config.schema.routes import StaticRouteEntry
from kactl_agent.config.schema.rules import StaticRuleEntry
from kactl_agent.config.schema.shapes import (
    Block,
    Entries,
    Line,
    Maybe,
    Named,
    NamedEntries,
    Optional,
    Text,
    WholeSeconds,
)
from kactl_agent.config.schema.ssl import Ssl
from kactl_agent.config.schema.static import GarpGroup, InterfaceDelays, LinkbeatInterface, TrackGroup
from kactl_agent.config.schema.sync_group import SyncGroup
from kactl_agent.config.schema.track import TrackedFile, TrackedProcess, VrrpScript
from kactl_agent.config.schema.virtual_server import GroupMember, VirtualServer
from kactl_agent.config.schema.vrrp import VrrpInstance

_GLOBAL_WORDS = ("vrrp_", "smtp_", "notification_", "notify_fifo", "router_id", "script_user", "enable_script_security")
"""How the global settings begin that real files have outside of global_defs."""


class Config(BlockKeywords, frozen=True, kw_only=True):
    """Everything that stands outside of any block."""

    legacy: ClassVar[Mapping[str, Legacy]] = {
        "real_server": Legacy("A real server stands inside its virtual_server", "virtual_server"),
        "local_address_group": Legacy("Local addresses of full NAT, of the Alibaba LVS kernel; no other kernel has it"),
        **dict.fromkeys(
            (word for word in table_of(GlobalDefs).by_word if word.startswith(_GLOBAL_WORDS)),
            Legacy("A global setting stands inside global_defs", "the same word in global_defs"),
        ),
    }

    net_namespace: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Network namespace to run in, made with `ip netns add`. A reload does not change it",
            default="the one the agent is started in",
        ),
    ] = UNSET
    net_namespace_ipvs: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Text("name")),
            "Network namespace of the IPVS services, so that checks and traffic can be apart; without a name, the one the machine starts with. A reload does not change it",
            default="as net_namespace",
            process="checker",
        ),
    ] = UNSET
    namespace_with_ipsets: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Use ipsets in a network namespace on kernels before 3.13 too, where all namespaces share them. The agent needs a later kernel, so that it may always use them",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    instance: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Name of this agent among several in one network namespace: part of the names of its PID and dump files. A reload does not change it",
            default="none",
        ),
    ] = UNSET
    use_pid_dir: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Keep PID files in a directory of their own below the run directory", default="off"),
    ] = UNSET
    child_wait_time: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(maximum=4_294_967_295_000_000),
            "Time that the worker processes have to end at the stop, before they are killed",
            default="5",
        ),
    ] = UNSET
    linkbeat_use_polling: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Ask all interfaces for the state of their link again and again, for drivers that do not report it",
            default="off: the kernel reports it",
            process="vrrp",
        ),
    ] = UNSET
    global_defs: Annotated[
        Maybe[GlobalDefs],
        Keyword(Block(GlobalDefs), "Settings of the agent as a whole, and defaults for instances and servers"),
    ] = UNSET
    linkbeat_interfaces: Annotated[
        Maybe[tuple[LinkbeatInterface, ...]],
        Keyword(
            Entries(Line(LinkbeatInterface)),
            "Interfaces to ask for the state of their link again and again, for drivers that do not report it",
            default="none: the kernel reports it",
            process="vrrp",
        ),
    ] = UNSET
    interface_up_down_delays: Annotated[
        Maybe[tuple[InterfaceDelays, ...]],
        Keyword(
            Entries(Line(InterfaceDelays)),
            "Interfaces whose short interruptions are not to count",
            default="every change counts at once",
            process="vrrp",
        ),
    ] = UNSET
    garp_group: Annotated[
        Maybe[tuple[GarpGroup, ...]],
        Keyword(
            Block(GarpGroup, many=True),
            "Interfaces that share one pace of gratuitous ARPs and unsolicited neighbour advertisements",
            default="every interface goes at its own pace",
            process="vrrp",
        ),
    ] = UNSET
    track_group: Annotated[
        Maybe[dict[str, TrackGroup]],
        Keyword(
            Named(TrackGroup),
            "Instances that depend on static addresses, routes and rules",
            nameless_ignored=True,
            process="vrrp",
        ),
    ] = UNSET
    static_ipaddress: Annotated[
        Maybe[tuple[StaticAddressEntry, ...]],
        Keyword(
            Entries(Line(StaticAddressEntry)),
            "Addresses that are on the machine as long as the agent runs, whatever the VRRP state",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    static_routes: Annotated[
        Maybe[tuple[StaticRouteEntry, ...]],
        Keyword(
            Entries(Line(StaticRouteEntry)),
            "Routes that are in the kernel as long as the agent runs, whatever the VRRP state",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    static_rules: Annotated[
        Maybe[tuple[StaticRuleEntry, ...]],
        Keyword(
            Entries(Line(StaticRuleEntry)),
            "Policy rules that are in the kernel as long as the agent runs, whatever the VRRP state",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_script: Annotated[
        Maybe[dict[str, VrrpScript]],
        Keyword(Named(VrrpScript), "Commands, run at intervals, that instances and groups track", process="vrrp"),
    ] = UNSET
    track_file: Annotated[
        Maybe[dict[str, TrackedFile]],
        Keyword(
            Named(TrackedFile),
            "Files holding a number that instances, groups and real servers track",
            deprecated=("vrrp_track_file",),
        ),
    ] = UNSET
    vrrp_track_process: Annotated[
        Maybe[dict[str, TrackedProcess]],
        Keyword(Named(TrackedProcess), "Processes whose presence instances and groups track", process="vrrp"),
    ] = UNSET
    vrrp_sync_group: Annotated[
        Maybe[dict[str, SyncGroup]],
        Keyword(Named(SyncGroup), "Instances that change state together", nameless_ignored=True, process="vrrp"),
    ] = UNSET
    vrrp_instance: Annotated[
        Maybe[dict[str, VrrpInstance]],
        Keyword(Named(VrrpInstance), "Virtual routers", nameless_ignored=True, process="vrrp"),
    ] = UNSET
    bfd_instance: Annotated[
        Maybe[dict[str, BfdInstance]],
        Keyword(
            Named(BfdInstance, Text("name", maximum=31)),
            "BFD sessions that instances, groups and real servers track; a name has 31 characters at most",
            process="bfd",
        ),
    ] = UNSET
    SSL: Annotated[
        Maybe[Ssl],
        Keyword(Block(Ssl), "TLS material that all SSL_GET checkers share", default="none", process="checker"),
    ] = UNSET
    virtual_server_group: Annotated[
        Maybe[dict[str, tuple[GroupMember, ...]]],
        Keyword(
            NamedEntries(Line(GroupMember)),
            "Addresses and firewall marks that share one virtual server",
            process="checker",
        ),
    ] = UNSET
    virtual_server: Annotated[
        Maybe[tuple[VirtualServer, ...]],
        Keyword(Block(VirtualServer, many=True), "IPVS services with their real servers", process="checker"),
    ] = UNSET


DEFINED_FIRST: Mapping[str, tuple[str, ...]] = {
    "vrrp_script": ("vrrp_sync_group", "vrrp_instance"),
    "track_file": ("vrrp_sync_group", "vrrp_instance", "virtual_server"),
    "vrrp_track_process": ("vrrp_sync_group", "vrrp_instance"),
    "bfd_instance": ("vrrp_sync_group", "vrrp_instance", "virtual_server"),
    "track_group": ("static_ipaddress", "static_routes", "static_rules"),
}
"""Blocks that keepalived must have read before the blocks that name them: it does not find what is defined further down."""
