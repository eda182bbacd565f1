"""What a VRRP engine needs to know of the configuration: resolved, defaulted, integers only.

`config/resolve.py` makes these from what the user wrote. Times are nanoseconds, addresses are packed bytes in network
order (4 or 16 of them), so that an engine neither parses nor rounds anything.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from kactl_agent.vrrp.family import Family as Family
from kactl_agent.vrrp.routing import VirtualRoute, VirtualRule
from kactl_agent.vrrp.virtual_interface import VirtualInterface

SECOND = 1_000_000_000
CENTISECOND = 10_000_000
MICROSECOND = 1_000


class ChecksumForm(Enum):
    """Which bytes the VRRPv3 checksum over IPv4 covers; VRRPv2 and IPv6 have one form each."""

    PSEUDO_HEADER = "pseudo-header"  # RFC 5798 5.2.8 as keepalived and FRR read it
    MESSAGE_ONLY = "message-only"  # RFC 9568 5.2.8; keepalived's v3_checksum_as_v2


class OldUnicastChecksum(Enum):
    """The VRRPv3 checksum over IPv4 that keepalived up to 1.3.6 has in unicast.

    Its pseudo-header has the multicast group in place of the destination.
    """

    AUTO = "auto"  # used once a peer uses it, if that is what is heard first
    ALWAYS = "always"
    NEVER = "never"  # nor taken from others


class ForeignRemoval(Enum):
    """What a MASTER does when somebody else removes its address, route or rule (on_foreign_removal)."""

    RESIGN = "resign"  # priority 0, and back after Skew_Time: keepalived
    RESTORE = "restore"
    IGNORE = "ignore"


class HmacMode(Enum):
    """What auth_hmac does about adverts that are not signed, and whether it signs."""

    ENFORCE = "enforce"  # signs, drops what is not signed
    PERMISSIVE = "permissive"  # signs, takes what is not signed
    RECEIVE_ONLY = "receive-only"  # does not sign, takes what is not signed


class HmacKey(msgspec.Struct, frozen=True):
    """A key of auth_hmac, 32 to 64 bytes; never logged."""

    id: int
    key: bytes


class HmacSettings(msgspec.Struct, frozen=True, kw_only=True):
    """auth_hmac. Adverts signed with any of the keys are taken; what is sent is signed with the active one."""

    keys: tuple[HmacKey, ...]
    active_key: int  # the id of one of them
    time_window: int  # whole seconds
    monotonic: bool = False  # anti_replay monotonic: no comparison with the clock
    mode: HmacMode = HmacMode.ENFORCE


class VirtualAddress(msgspec.Struct, frozen=True, cache_hash=True):
    """An address the machine has while the instance is MASTER (virtual_ipaddress, virtual_ipaddress_excluded)."""

    address: bytes
    prefix_length: int
    interface: str
    label: str = ""
    scope: int = 0  # rt_scope number; 0 is global
    broadcast: bytes = b""
    peer: bytes = b""
    flags: int = 0  # IFA_F_* bits
    preferred_lifetime: int | None = None  # seconds; None is forever
    advertised: bool = True  # False: virtual_ipaddress_excluded
    tracked: bool = True  # False: no_track
    accepted: bool = True  # False: no_accept, packets for it are dropped

    @property
    def family(self) -> Family:
        return Family.IPV4 if len(self.address) == 4 else Family.IPV6


class GratuitousSettings(msgspec.Struct, frozen=True):
    """When gratuitous ARPs and unsolicited neighbour advertisements are sent (garp_* keywords)."""

    repeat: int = 5  # copies in a burst (garp_master_repeat)
    delay: int = 5 * SECOND  # until the second burst, 0 is none (garp_master_delay)
    refresh: int = 0  # period while MASTER, 0 is none (garp_master_refresh)
    refresh_repeat: int = 1
    lower_priority_repeat: int = 5
    lower_priority_delay: int = 5 * SECOND
    extra_interval: int = 0  # period of an announcement on each of the interfaces that follow (garp_extra_if)
    extra_interfaces: tuple[str, ...] = ()  # where addresses are, but no adverts go


class VrrpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One vrrp_instance."""

    name: str
    interface: str
    virtual_router_id: int
    version: int  # 2 or 3
    family: Family
    priority: int  # 1..255, 255 is the address owner
    advert_interval: int = SECOND
    down_timer_adverts: int = 3
    preempt: bool = True
    preempt_delay: int = 0
    start_as_master: bool = False  # state MASTER
    addresses: tuple[VirtualAddress, ...] = ()
    routes: tuple[VirtualRoute, ...] = ()
    rules: tuple[VirtualRule, ...] = ()
    source_address: bytes = b""  # b"": the interface's primary address (mcast_src_ip, unicast_src_ip)
    multicast_group: bytes = b""  # 224.0.0.18 or ff02::12, unless configured
    unicast_peers: tuple[bytes, ...] = ()
    unicast_ttl_limits: tuple[tuple[int, int], ...] = ()  # (min_ttl, max_ttl) of each peer; () when there are none
    check_unicast_source: bool = False  # discard what comes from no peer
    unicast_fault_no_peer: bool = False  # without peers FAULT, not multicast
    old_unicast_checksum: OldUnicastChecksum = OldUnicastChecksum.AUTO
    ttl: int = 255
    checksum_form: ChecksumForm = ChecksumForm.PSEUDO_HEADER
    accept_either_checksum: bool = True
    gratuitous: GratuitousSettings = GratuitousSettings()
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool = False
    owner_ignore_adverts: bool = False
    startup_delay: int = 0
    delay_after_boot: int = 0  # as startup_delay, counted from when the machine was booted; what ends later counts
    timer_expired_priority: int = 0  # timer_expired_backup: of the router that takes over meanwhile; 0 is off
    vrf: str = ""  # VRF device of a unicast instance without an interface
    receive_buffer: int = 0  # bytes that it adds to the buffer of its socket; 0 with the next: the default
    receive_buffer_mtus: int = 0  # so many times the MTU of its interface (vrrp_rx_bufs_policy MTU)
    track_primary: bool = True  # FAULT while the interface is down (False: dont_track_primary)
    promote_secondaries: bool = False  # the kernel parameter of the interface is set while the instance exists
    notify_priority_changes: bool = False  # changes of the effective priority are told to FIFOs
    foreign_removal: ForeignRemoval = ForeignRemoval.RESIGN
    track_source: bool = False  # FAULT while `source_address` is not on the machine (track_src_ip)
    rfc_discards: bool = False  # also discard what the RFCs want discarded and keepalived takes
    skip_check_adv_addr: bool = False  # compare the addresses of a new master's adverts only
    auth_password: bytes = b""  # VRRPv2: simple text password or key of the header, at most 8 bytes; never logged
    authentication_header: bool = False  # VRRPv2: auth_type AH instead of PASS
    auth_hmac: HmacSettings | None = None
    virtual_interfaces: tuple[VirtualInterface, ...] = ()  # made for this instance
    own_interface: str = ""  # use_vmac, use_ipvlan: the one of `virtual_interfaces` that stands for `interface`
    transmit_on_parent: bool = False  # vmac_xmit_base: adverts go and come by `interface` all the same
    strict_mode: bool = False  # all that it means is said by the others: this is to be shown
    sync_group: str = ""  # vrrp_sync_group: held in BACKUP until its group goes MASTER; see `vrrp.sync_group`

    @property
    def advert_interface(self) -> str:
        """Where adverts are sent and heard."""
        return self.interface if self.transmit_on_parent else self.own_interface or self.interface


class SyncGroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One vrrp_sync_group."""

    name: str
    members: tuple[str, ...]  # names of instances, in the order of the configuration


def without_secrets(settings: VrrpSettings) -> VrrpSettings:
    """The same for those who only look: a mark in place of the password, and the keys without their bytes."""
    auth_hmac = settings.auth_hmac
    if auth_hmac is not None:
        auth_hmac = msgspec.structs.replace(auth_hmac, keys=tuple(HmacKey(entry.id, b"") for entry in auth_hmac.keys))
    return msgspec.structs.replace(settings, auth_password=b"*" if settings.auth_password else b"", auth_hmac=auth_hmac)
