"""vrrp_instance: one virtual router."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.addresses import AddressEntry
from kactl_agent.config.schema.keyword import BOOL, FLAG, BlockKeywords, Keyword, Keywords, Legacy
from kactl_agent.config.schema.network import INTERFACE_GROUP, InterfaceName, IpAddress, IpPrefix
from kactl_agent.config.schema.routes import RouteEntry
from kactl_agent.config.schema.rules import RuleEntry
from kactl_agent.config.schema.script import Script
from kactl_agent.config.schema.shapes import (
    Block,
    Bool,
    Choice,
    Duration,
    Entries,
    Integer,
    Json,
    Line,
    Maybe,
    Optional,
    Repeated,
    Scalar,
    SecretSource,
    Text,
    ValueFault,
    WholeSeconds,
)
from kactl_agent.config.schema.sync_group import Notified

MAX_UNSIGNED = 2**32 - 1
_SECONDS = WholeSeconds(maximum=MAX_UNSIGNED * 1_000_000)

# -- scalars ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repeats(Integer):
    """How often something is sent, at least once: keepalived takes 0 for 1."""

    minimum: int | None = 1
    maximum: int | None = MAX_UNSIGNED

    def parse(self, text: str) -> int:
        try:
            return super().parse(text)
        except ValueFault as fault:
            fault.taken = 1 if re.fullmatch("0+", text) else UNSET
            raise


_IPVLAN_MODES = ("bridge", "private", "vepa")


@dataclass(frozen=True)
class OwnInterfaceName(InterfaceName):
    """Name of the interface that is made: any that cannot be mistaken for the other words of its line.

    keepalived since 2.3.0 takes the word `name` before it.
    """

    cut: bool = False

    def read(self, words: Sequence[str], at: int) -> tuple[str, int]:
        return super().read(words, at + 1 if words[at] == "name" and at + 1 < len(words) else at)

    def parse(self, text: str) -> str:
        name = super().parse(text)
        if name in _IPVLAN_MODES or _MAC.fullmatch(name) or _is_address(name):
            raise ValueFault(f"`{text}` is not a name for an interface")
        return name


_MAC = re.compile(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){4,5}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class VirtualMac(Scalar[str]):
    """A MAC address of six bytes, or its first five: the virtual_router_id is the sixth then. Value: lower case."""

    def parse(self, text: str) -> str:
        if not _MAC.fullmatch(text):
            raise ValueFault(f"`{text}` is not a MAC address", "five or six bytes in hexadecimal, separated by colons")
        octets = [part.lower().rjust(2, "0") for part in text.split(":")]
        if int(octets[0], 16) & 1:
            raise ValueFault(f"`{text}` is a multicast address")
        if octets[:4] == ["00", "00", "5e", "00"] and octets[4] in ("01", "02"):
            # RFC 9568 section 7.3: these are what a VRRP router has anyway, for its own virtual_router_id.
            raise ValueFault(f"`{text}` is one of VRRP's own addresses", "leave it out for the one of this instance")
        return ":".join(octets)

    def describe(self) -> str:
        return "<mac>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "string", "pattern": f"^{_MAC.pattern}$"}


@dataclass(frozen=True)
class StuckBool(Bool):
    """A switch that keepalived cannot switch off here: `off` switches it on there. In YAML false is off."""

    def parse(self, text: str) -> bool:
        value = super().parse(text)
        if not value:
            raise ValueFault(f"keepalived takes `{text}` for on here", "leave the line out for off", taken=True)
        return value

    def parse_yaml(self, text: str) -> bool:
        return super().parse(text)


@dataclass(frozen=True)
class MulticastAddress(IpAddress):
    """A multicast group; an IPv6 one must be link-local (ff02::/16 and the like)."""

    what: str = "multicast ip"

    def parse(self, text: str) -> str:
        address = super().parse(text)
        if not ipaddress.ip_address(address).is_multicast:
            raise ValueFault(f"`{text}` is not a multicast address", "224.0.0.0/4 for IPv4, ff00::/8 for IPv6")
        return address


@dataclass(frozen=True)
class HmacKey(Text):
    """A key of 32 to 64 bytes: the text itself, `hex:` and its bytes in hexadecimal, or `file:` and the file that holds it."""

    what: str = "key"
    secret: bool = True

    def parse(self, text: str) -> str:
        key = super().parse(text)
        if key.startswith("file:"):
            if not key.startswith("file:/"):
                raise ValueFault("the file of a key needs an absolute path")
            return key
        digits = key.removeprefix("hex:") if key.startswith("hex:") else None
        if digits is not None and not re.fullmatch("(?:[0-9a-fA-F]{2})*", digits):
            raise ValueFault("the key is not hexadecimal, two digits a byte")
        length = len(key.encode()) if digits is None else len(digits) // 2
        if not 32 <= length <= 64:
            raise ValueFault(f"the key has {length} bytes", "a key has 32 to 64 bytes")
        return key


# -- lines and blocks ---------------------------------------------------------------------------------------------------

_OWN_NAME_DOC = "Name of the interface; `kactl convert` writes it without the word `name`"
_GROUP_DOC = "Interface group (rt_group of iproute2), by name or number"


class UseVmac(Keywords, frozen=True, kw_only=True):
    """`[[name] INTERFACE] [MAC] [netlink_notify_msg] [group GROUP]` of use_vmac."""

    name: Annotated[
        Maybe[str],
        Keyword(
            OwnInterfaceName(),
            _OWN_NAME_DOC,
            default="vmac_prefix of global_defs and the virtual_router_id, such as vrrp.51",
            position=0,
            process="vrrp",
        ),
    ] = UNSET
    mac: Annotated[
        Maybe[str],
        Keyword(
            VirtualMac(),
            "MAC address, instead of VRRP's own; with five bytes, the virtual_router_id is the sixth",
            default="00:00:5e:00:01:VRID for IPv4, 00:00:5e:00:02:VRID for IPv6 (RFC 9568 section 7.3)",
            bare_word=True,
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    netlink_notify_msg: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Have the kernel announce changes of the macvlan by netlink, for programs that watch its interfaces",
            default="off",
            since="2.3.0",
            process="vrrp",
        ),
    ] = UNSET
    group: Annotated[
        Maybe[str],
        Keyword(
            INTERFACE_GROUP, _GROUP_DOC, default="the group of the parent interface", since="2.3.0", process="vrrp"
        ),
    ] = UNSET


class UseIpvlan(Keywords, frozen=True, kw_only=True):
    """`[[name] INTERFACE] [ADDRESS] [bridge|private|vepa] [group GROUP]` of use_ipvlan."""

    name: Annotated[
        Maybe[str],
        Keyword(
            OwnInterfaceName(),
            _OWN_NAME_DOC,
            default="vmac_prefix of global_defs and the virtual_router_id, such as vrrp.51",
            position=0,
            process="vrrp",
        ),
    ] = UNSET
    address: Annotated[
        Maybe[str],
        Keyword(
            IpPrefix(),
            "Address of the interface, the source of the advertisements. An IPv4 instance must have one",
            default="the link-local address (IPv6)",
            bare_word=True,
            process="vrrp",
        ),
    ] = UNSET
    mode: Annotated[
        Maybe[str],
        Keyword(
            Choice(_IPVLAN_MODES),
            "Whether ipvlans of one interface see each other: `bridge` directly, `vepa` by way of the switch, `private` "
            "not at all. All of them need the same",
            default="bridge",
            bare_word=True,
            process="vrrp",
        ),
    ] = UNSET
    group: Annotated[
        Maybe[str],
        Keyword(
            INTERFACE_GROUP, _GROUP_DOC, default="the group of the parent interface", since="2.3.0", process="vrrp"
        ),
    ] = UNSET


class UnicastPeer(Keywords, frozen=True, kw_only=True):
    """An entry of unicast_peer: `ADDRESS [min_ttl TTL] [max_ttl TTL]`."""

    address: Annotated[
        Maybe[str],
        Keyword(IpAddress(), "Address of the peer", position=0, required=True, process="vrrp"),
    ] = UNSET
    min_ttl: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 255),
            "Lowest TTL (hop limit) an advertisement from it may arrive with; saying it turns check_unicast_src on",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    max_ttl: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 255),
            "Highest TTL (hop limit) an advertisement from it may arrive with; saying it turns check_unicast_src on",
            default="255",
            process="vrrp",
        ),
    ] = UNSET


class GarpExtraIf(Keywords, frozen=True, kw_only=True):
    """`[all] SECONDS` of garp_extra_if."""

    interval: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(maximum=86_400_000_000),
            "Time from one announcement to the next, in whole seconds; 0: none",
            position=0,
            required=True,
            process="vrrp",
        ),
    ] = UNSET
    all: Annotated[
        Maybe[bool],
        Keyword(FLAG, "On all those interfaces, not on VMACs alone", default="off", leading=True, process="vrrp"),
    ] = UNSET


class Authentication(BlockKeywords, frozen=True, kw_only=True):
    """authentication: of VRRP version 2 (RFC 2338; RFC 3768 took it away). auth_hmac is what protects anything."""

    auth_type: Annotated[
        Maybe[str],
        Keyword(
            Choice(("PASS", "AH")),
            "PASS: the password in clear in every advertisement. AH: IPsec authentication header with HMAC-MD5-96; IPv4 only",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    auth_pass: Annotated[
        Maybe[str | SecretSource],
        Keyword(
            Text("password", cut=8, secret=True),
            "The password or key, the same on all routers. Eight characters are used, what is behind them is cut off",
            default="none",
            process="vrrp",
        ),
    ] = UNSET


class HmacKeyEntry(Keywords, frozen=True, kw_only=True):
    """`ID KEY` of auth_hmac."""

    id: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255), "Number of the key, the same on all routers", position=0, required=True, process="vrrp"
        ),
    ] = UNSET
    key: Annotated[
        Maybe[str | SecretSource],
        Keyword(
            HmacKey(),
            "The key, 32 to 64 bytes: text, `hex:` with hexadecimal digits, or `file:` with the path of a file that only "
            "its owner can read",
            position=1,
            required=True,
            process="vrrp",
        ),
    ] = UNSET


class AuthHmac(BlockKeywords, frozen=True, kw_only=True):
    """auth_hmac: advertisements signed with HMAC-SHA256 in a trailer (keepalived 2.4.0; its wire format is that of 2.4.3)."""

    key: Annotated[
        Maybe[tuple[HmacKeyEntry, ...]],
        Keyword(
            Repeated(Line(HmacKeyEntry)),
            "A key. Advertisements signed with any of the keys are taken, so that keys can be changed one router after the other",
            required=True,
            since="2.4.0",
            process="vrrp",
        ),
    ] = UNSET
    active_key: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255),
            "Number of the key that signs what is sent. Without it keepalived switches auth_hmac off",
            required=True,
            since="2.4.0",
            process="vrrp",
        ),
    ] = UNSET
    time_window: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(minimum=1_000_000, maximum=300_000_000),
            "How far the clock of the sender may be off, in whole seconds (anti_replay time)",
            default="three advertisement intervals, at least 5 and at most 300",
            since="2.4.0",
            process="vrrp",
        ),
    ] = UNSET
    anti_replay: Annotated[
        Maybe[str],
        Keyword(
            Choice(("time", "monotonic")),
            "What keeps old advertisements from being sent again: `time` takes those within time_window and newer than the "
            "last one, `monotonic` those newer than the last one",
            default="time",
            since="2.4.0",
            process="vrrp",
        ),
    ] = UNSET
    mode: Annotated[
        Maybe[str],
        Keyword(
            Choice(("enforce", "permissive", "receive-only")),
            "`enforce` drops what is not signed; `permissive` takes it, and signs; `receive-only` (2.4.2) takes it, and does "
            "not sign: the steps of a migration, backwards",
            default="enforce",
            since="2.4.0",
            process="vrrp",
        ),
    ] = UNSET


# -- the instance -------------------------------------------------------------------------------------------------------


class VrrpInstance(Notified, frozen=True, kw_only=True):
    """vrrp_instance: one virtual router, its addresses and what is done when its state changes."""

    legacy: ClassVar[Mapping[str, Legacy]] = {
        "lvs_sync_daemon_inteface": Legacy(
            "Old misspelling of lvs_sync_daemon_interface, that keepalived took until version 1.3",
            "lvs_sync_daemon in global_defs",
        ),
    }

    state: Annotated[
        Maybe[str],
        Keyword(
            Choice(("MASTER", "BACKUP"), otherwise="BACKUP"),
            "State aimed at when the agent starts. MASTER only shortens the wait: who has the highest priority becomes master "
            "in any case. Only an address owner (priority 255) is master at once",
            default="BACKUP; MASTER when the priority is 255",
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    interface: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(cut=False),
            "Interface of the advertisements, and of the addresses that name no other. Only unicast instances can do without",
            default="default_interface of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    vrf: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(),
            "VRF device of a unicast instance that has no interface",
            default="none",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    virtual_router_id: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255),
            "Number of the virtual router (VRID), the same on all its routers and of no other on the link",
            required=True,
            process="vrrp",
        ),
    ] = UNSET
    version: Annotated[
        Maybe[int],
        Keyword(
            Integer(2, 3),
            "Version of VRRP: 2 (RFC 3768; IPv4 alone) or 3 (RFC 9568)",
            default="vrrp_version of global_defs; 3 for IPv6",
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    priority: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 255, otherwise=100),
            "Base priority: the highest becomes master. 255 is for the owner of the addresses, and trackers do not change it",
            default="100; 255 when the state is MASTER",
            process="vrrp",
        ),
    ] = UNSET
    advert_int: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=10_000, maximum=255_000_000),
            "Time from one advertisement to the next, in seconds. Version 2: whole seconds, the same on all routers. Version 3: "
            "steps of 0.01, at most 40.95",
            default="1",
            process="vrrp",
        ),
    ] = UNSET
    down_timer_adverts: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 100),
            "How many advertisements must be missing before the master counts as gone; the same on all routers. The RFCs know 3 only",
            default="down_timer_adverts of global_defs; 3",
            process="vrrp",
        ),
    ] = UNSET
    nopreempt: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Leave a master with a lower priority alone. Needs a state other than MASTER",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    preempt: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Take over from a master with a lower priority: undoes nopreempt", default="on", process="vrrp"),
    ] = UNSET
    preempt_delay: Annotated[
        Maybe[int],
        Keyword(
            Duration(maximum=1_000_000_000),
            "How long to leave a master with a lower priority alone after hearing it first, in seconds. Needs a state other than MASTER",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    timer_expired_backup: Annotated[
        Maybe[bool | int],
        Keyword(
            Optional(Integer(1, 254)),
            "Go to BACKUP when this machine was asleep so long that a router with this priority (254 when none is given) must "
            "have taken over. Needs nopreempt",
            default="off",
            deprecated=("thread_timer_expired",),
            since="2.2.8",
            process="vrrp",
        ),
    ] = UNSET
    strict_mode: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Keep to the RFCs: at least one address, no authentication, no unicast, no preempt_delay, no packets for the "
            "addresses unless they are owned",
            default="vrrp_strict of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    accept: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Take packets for the addresses though another router owns them (Accept_Mode, RFC 9568)",
            default="on, in strict mode off",
            process="vrrp",
        ),
    ] = UNSET
    no_accept: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Drop packets for the addresses, by firewall rules: the router only forwards. Without effect for priority 255",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    owner_ignore_adverts: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "As the address owner (priority 255), drop the advertisements of others",
            default="vrrp_owner_ignore_adverts of global_defs",
            since="2.3.3",
            process="vrrp",
        ),
    ] = UNSET
    skip_check_adv_addr: Annotated[
        Maybe[bool],
        Keyword(
            StuckBool(),
            "Compare the addresses in an advertisement with the own ones only when the master has changed. keepalived takes "
            "`off` here for on",
            default="vrrp_skip_check_adv_addr of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    lower_prio_no_advert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "As master, do not answer an advertisement with a lower priority: what the RFCs say",
            default="vrrp_lower_prio_no_advert of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    higher_prio_send_advert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "As master, send one more advertisement before yielding to a higher priority: the new master hears of it and "
            "repeats its gratuitous ARPs",
            default="vrrp_higher_prio_send_advert of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    native_ipv6: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Make it an IPv6 instance whatever its addresses say",
            default="the family of the first address of virtual_ipaddress",
            replaced_by="an IPv6 address in virtual_ipaddress",
            process="vrrp",
        ),
    ] = UNSET
    use_vmac: Annotated[
        Maybe[bool | UseVmac],
        Keyword(
            Optional(Line(UseVmac)),
            "Run on a macvlan with VRRP's virtual MAC address, that moves with the addresses. Unicast needs vmac_xmit_base too",
            default="off",
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    use_vmac_addr: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Make a macvlan for every other interface, and for the other family, that an address names",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vmac_xmit_base: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Send and receive advertisements on the parent interface rather than on the macvlan",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    use_ipvlan: Annotated[
        Maybe[bool | UseIpvlan],
        Keyword(
            Optional(Line(UseIpvlan)),
            "Run on an ipvlan interface (L2): addresses of its own behind the MAC address of the parent",
            default="off",
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    dont_track_primary: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Take no notice when the instance's own interface goes down", default="off", process="vrrp"),
    ] = UNSET
    linkbeat_use_polling: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Poll the link of the interface by MII or ethtool",
            default="off",
            replaced_by="a linkbeat_interfaces block",
            process="vrrp",
        ),
    ] = UNSET
    lvs_sync_daemon_interface: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(),
            "Interface of the IPVS sync daemon, which follows this instance",
            default="none",
            replaced_by="lvs_sync_daemon in global_defs",
            process="vrrp",
        ),
    ] = UNSET
    mcast_src_ip: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(),
            "Source address of multicast advertisements",
            default="the primary address of the interface, for IPv6 its link-local one",
            process="vrrp",
        ),
    ] = UNSET
    mcast_dst_ip: Annotated[
        Maybe[str],
        Keyword(
            MulticastAddress(),
            "Multicast group of the advertisements; an IPv6 one is link-local",
            default="vrrp_mcast_group4 and vrrp_mcast_group6 of global_defs",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    unicast_src_ip: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(),
            "Source address of unicast advertisements",
            default="the primary address of the interface, for IPv6 its link-local one",
            process="vrrp",
        ),
    ] = UNSET
    track_src_ip: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Go to FAULT while mcast_src_ip or unicast_src_ip is not on this machine",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    unicast_peer: Annotated[
        Maybe[tuple[UnicastPeer, ...]],
        Keyword(
            Entries(Line(UnicastPeer)),
            "The other routers: advertisements go to each of them, not to a multicast group",
            default="multicast",
            process="vrrp",
        ),
    ] = UNSET
    unicast_fault_no_peer: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Go to FAULT, rather than use multicast, when unicast is configured without a peer",
            default="off",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    unicast_ttl: Annotated[
        Maybe[int],
        Keyword(Integer(0, 255), "TTL (hop limit) of unicast advertisements", default="255", process="vrrp"),
    ] = UNSET
    check_unicast_src: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Drop unicast advertisements that come from no unicast_peer",
            default="vrrp_check_unicast_src of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    old_unicast_checksum: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Choice(("never",))),
            "Version 3, IPv4, unicast: use the checksum of keepalived up to 1.3.6; `never`: nor take it from others",
            default="taken up when the other side uses it",
            process="vrrp",
        ),
    ] = UNSET
    v3_checksum_as_v2: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Version 3, IPv4: compute the checksum without pseudo-header, as version 2 does and some other vendors do in version 3",
            default="v3_checksum_as_v2 of global_defs",
            since="2.2.8",
            process="vrrp",
        ),
    ] = UNSET
    authentication: Annotated[
        Maybe[Authentication],
        Keyword(
            Block(Authentication),
            "Authentication of version 2: it protects against mistakes, not against attackers",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    auth_hmac: Annotated[
        Maybe[AuthHmac],
        Keyword(
            Block(AuthHmac),
            "Sign advertisements with HMAC-SHA256, in version 2 and 3; takes the place of `authentication`",
            default="none",
            since="2.4.0",
            process="vrrp",
        ),
    ] = UNSET
    garp_master_delay: Annotated[
        Maybe[int],
        Keyword(
            _SECONDS,
            "Time from becoming master to the second burst of gratuitous ARPs, in whole seconds; 0: no second burst",
            default="vrrp_garp_master_delay of global_defs; 5",
            process="vrrp",
        ),
    ] = UNSET
    garp_master_repeat: Annotated[
        Maybe[int],
        Keyword(
            Repeats(),
            "Gratuitous ARPs for each address in a burst",
            default="vrrp_garp_master_repeat of global_defs; 5",
            process="vrrp",
        ),
    ] = UNSET
    garp_lower_prio_delay: Annotated[
        Maybe[int],
        Keyword(
            _SECONDS,
            "As garp_master_delay, after an advertisement with a lower priority",
            default="vrrp_garp_lower_prio_delay of global_defs; garp_master_delay",
            process="vrrp",
        ),
    ] = UNSET
    garp_lower_prio_repeat: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED),
            "As garp_master_repeat, after an advertisement with a lower priority; 0: none",
            default="vrrp_garp_lower_prio_repeat of global_defs; garp_master_repeat",
            process="vrrp",
        ),
    ] = UNSET
    garp_master_refresh: Annotated[
        Maybe[int],
        Keyword(
            _SECONDS,
            "Time from one refreshing burst to the next while master, in whole seconds; 0: none",
            default="vrrp_garp_master_refresh of global_defs; 0",
            process="vrrp",
        ),
    ] = UNSET
    garp_master_refresh_repeat: Annotated[
        Maybe[int],
        Keyword(
            Repeats(),
            "Gratuitous ARPs for each address in a refreshing burst",
            default="vrrp_garp_master_refresh_repeat of global_defs; 1",
            process="vrrp",
        ),
    ] = UNSET
    garp_extra_if: Annotated[
        Maybe[GarpExtraIf],
        Keyword(
            Line(GarpExtraIf),
            "Announce addresses on interfaces other than the instance's own again and again, so that switches do not forget "
            "the MAC addresses of their VMACs",
            default="vrrp_garp_extra_if of global_defs; 0",
            deprecated=("vmac_garp_intvl",),
            process="vrrp",
        ),
    ] = UNSET
    rfc_discards: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Discard also what the RFCs want discarded and keepalived takes with a message: VRRPv2 adverts of other addresses than ours, unless they come from an owner (RFC 3768 7.1), and VRRPv3 adverts whose first IPv6 address is not link-local (erratum 8300 of RFC 9568). A router that discards what its master says becomes a second master",
            default="vrrp_rfc_discards of global_defs, off",
            extension=True,
            process="vrrp",
        ),
    ] = UNSET
    accept_either_checksum: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Take both forms of the VRRPv3 checksum over IPv4, with and without a pseudo-header (RFC 5798 can be read either way, RFC 9568 wants it without), and say which one a router uses; off: the one of v3_checksum_as_v2 alone",
            default="vrrp_accept_either_checksum of global_defs, on",
            extension=True,
            process="vrrp",
        ),
    ] = UNSET
    on_foreign_removal: Annotated[
        Maybe[str],
        Keyword(
            Choice(("resign", "restore", "ignore")),
            "What a master does when somebody else removes one of its addresses, routes or rules: resign with priority 0 and come back after the skew time, as keepalived does, so that all is set up anew (and another router may take over); put back what is missing and stay master; or ignore it. What has no_track is ignored always",
            default="vrrp_on_foreign_removal of global_defs, resign",
            extension=True,
            process="vrrp",
        ),
    ] = UNSET
    promote_secondaries: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Set the sysctl promote_secondaries of the interface: when an address goes, the others of its network stay",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    kernel_rx_buf_size: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED, unit="bytes"),
            "Receive buffer of the instance's socket, in bytes",
            default="vrrp_rx_bufs_policy of global_defs",
            process="vrrp",
        ),
    ] = UNSET
    debug: Annotated[
        Maybe[int],
        Keyword(Integer(0, 4), "Debug level; taken, but hardly anything is logged for it", default="0", process="vrrp"),
    ] = UNSET
    virtual_ipaddress: Annotated[
        Maybe[tuple[AddressEntry, ...]],
        Keyword(
            Entries(Line(AddressEntry)),
            "The addresses of the virtual router, all of one family, that the advertisements carry: on the machine while it is MASTER",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    virtual_ipaddress_excluded: Annotated[
        Maybe[tuple[AddressEntry, ...]],
        Keyword(
            Entries(Line(AddressEntry)),
            "Further addresses, of any family, that the advertisements do not carry",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    no_virtual_ipaddress: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "It is on purpose that virtual_ipaddress is missing: no message",
            default="off",
            since="2.2.8",
            process="vrrp",
        ),
    ] = UNSET
    virtual_routes: Annotated[
        Maybe[tuple[RouteEntry, ...]],
        Keyword(Entries(Line(RouteEntry)), "Routes that exist while it is MASTER", default="none", process="vrrp"),
    ] = UNSET
    virtual_rules: Annotated[
        Maybe[tuple[RuleEntry, ...]],
        Keyword(Entries(Line(RuleEntry)), "Policy rules that exist while it is MASTER", default="none", process="vrrp"),
    ] = UNSET
    notify_deleted: Annotated[
        Maybe[bool | Script],
        Keyword(
            Optional(Line(Script)),
            "Report DELETED, to the command given and to `notify`, when a reload takes the instance away",
            default="off: FAULT is reported",
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    notify_master_rx_lower_pri: Annotated[
        Maybe[Script],
        Keyword(
            Line(Script),
            "Command to run when, as master, it hears an advertisement with a lower priority",
            default="none",
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
