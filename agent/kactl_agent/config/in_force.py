"""What is in force for a VRRP instance: its own keyword, else the global one, else what is built in; and its source.

`resolve.py` makes settings of it, the rules of `checks/` judge it, `kactl status` shows it.
"""

from __future__ import annotations

import socket
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET

from kactl_agent.config.checks.problem import Path
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.config.schema.vrrp import Authentication, VrrpInstance

T = TypeVar("T")

SECOND = 1_000_000  # model durations are microseconds
OWNER = 255
HIGHEST = 254


class Sourced(msgspec.Struct, Generic[T], frozen=True):
    """A value in force, and the place in the configuration that said so; an empty path is a built-in default."""

    value: T
    path: Path = ()

    @property
    def source(self) -> str:
        """`vrrp_instance VI_1`, `global_defs` or `default`, for operators."""
        if not self.path:
            return "default"
        return "global_defs" if self.path[0] == "global_defs" else " ".join(str(step) for step in self.path[:2])


class InstanceInForce:
    """One vrrp_instance with everything it inherits. Values follow keepalived's rules; nothing is checked here."""

    def __init__(self, config: Config, name: str) -> None:
        self.config = config
        self.name = name
        self.said: VrrpInstance = or_default(config.vrrp_instance, {})[name]
        self.path: Path = ("vrrp_instance", name)

    def pick(self, keyword: str, global_keyword: str, default: Any) -> Sourced[Any]:
        """The instance's keyword, else the global one ("" for none), else the default."""
        own = getattr(self.said, keyword)
        if own is not UNSET:
            return Sourced(own, (*self.path, keyword))
        return self.global_value(global_keyword, default) if global_keyword else Sourced(default)

    def global_value(self, keyword: str, default: Any) -> Sourced[Any]:
        if self.config.global_defs is not UNSET:
            value = getattr(self.config.global_defs, keyword)
            if value is not UNSET:
                return Sourced(value, ("global_defs", keyword))
        return Sourced(default)

    @cached_property
    def family(self) -> Sourced[int]:
        """4 or 6: native_ipv6, else the first virtual address, else the peers and the source address."""
        said = self.said
        if or_default(said.native_ipv6, False):
            return Sourced(6, (*self.path, "native_ipv6"))
        for keyword in ("virtual_ipaddress", "unicast_peer"):
            entries = or_default(getattr(said, keyword), ())
            if entries:
                return Sourced(family_of(or_default(entries[0].address, "")), (*self.path, keyword, 0))
        for keyword in ("unicast_src_ip", "mcast_src_ip", "mcast_dst_ip"):
            address = getattr(said, keyword)
            if address is not UNSET:
                return Sourced(family_of(address), (*self.path, keyword))
        return Sourced(4)

    @cached_property
    def version(self) -> Sourced[int]:
        """2 or 3: VRRPv2 has no IPv6, so an IPv6 instance is always version 3 (RFC 3768 1, RFC 9568 1)."""
        if self.family.value == 6:
            return Sourced(3, self.family.path)
        return self.pick("version", "vrrp_version", 2)

    @cached_property
    def priority(self) -> Sourced[int]:
        """Base priority; unset it is 255 with state MASTER, else 100."""
        default = OWNER if or_default(self.said.state, "") == "MASTER" else 100
        return self.pick("priority", "", default)

    @cached_property
    def state(self) -> Sourced[str]:
        """MASTER or BACKUP. Strict mode has MASTER for owners alone, and so have sequence numbers that start anew."""
        owner = self.priority.value == OWNER
        said = self.pick("state", "", "MASTER" if owner else "BACKUP")
        if self.strict_mode.value:
            return Sourced("MASTER" if owner else "BACKUP", self.strict_mode.path)
        if self.authentication_header and not owner:
            return Sourced("BACKUP", self.authentication.path)
        return said

    @cached_property
    def authentication(self) -> Sourced[Authentication | None]:
        """VRRPv2's, where nothing drops it: strict mode and auth_hmac do."""
        said = self.said.authentication
        if said is UNSET or self.version.value == 3 or self.strict_mode.value or self.said.auth_hmac is not UNSET:
            return Sourced(None)
        return Sourced(said if or_default(said.auth_type, "") else None, (*self.path, "authentication"))

    @property
    def authentication_header(self) -> bool:
        """auth_type AH, with a password to use it."""
        auth = self.authentication.value
        return auth is not None and auth.auth_type == "AH" and bool(or_default(auth.auth_pass, ""))

    @cached_property
    def strict_mode(self) -> Sourced[bool]:
        return self.pick("strict_mode", "vrrp_strict", False)

    @property
    def address_limit(self) -> int:
        """How many addresses an advert holds: 255 (RFC 9568 5.2.5), or what fits 1500 bytes with all its headers."""
        if self.family.value == 4:
            return 255
        return 89 if self.said.auth_hmac is not UNSET else 90

    @cached_property
    def interface(self) -> Sourced[str]:
        """The instance's interface, else default_interface; "" when neither is set."""
        return self.pick("interface", "default_interface", "")

    @cached_property
    def advert_interval(self) -> Sourced[int]:
        """Microseconds: whole seconds in version 2; in version 3 steps of 10 ms up to 40.95 s, as keepalived."""
        said = self.pick("advert_int", "", SECOND)
        if self.version.value == 2:
            value = max(SECOND, (said.value + SECOND // 2) // SECOND * SECOND)
        else:
            value = min(max(10_000, (said.value + 5_000) // 10_000 * 10_000), 40_950_000)
        return Sourced(value, said.path)

    @cached_property
    def down_timer_adverts(self) -> Sourced[int]:
        if self.strict_mode.value:
            return Sourced(3, self.strict_mode.path)
        return self.pick("down_timer_adverts", "vrrp_down_timer_adverts", 3)

    @cached_property
    def preempt(self) -> Sourced[bool]:
        """False for nopreempt, which means nothing for an address owner or with state MASTER."""
        if not or_default(self.said.nopreempt, False) or or_default(self.said.preempt, False):
            return Sourced(True)
        fixed = self.priority.value == OWNER or self.state.value == "MASTER"
        return Sourced(fixed, (*self.path, "nopreempt"))

    @cached_property
    def preempt_delay(self) -> Sourced[int]:
        said = self.pick("preempt_delay", "", 0)
        if self.state.value == "MASTER" or not self.preempt.value or self.strict_mode.value:
            return Sourced(0, said.path)
        return said

    @cached_property
    def timer_expired_priority(self) -> Sourced[int]:
        """timer_expired_backup: 254 where no number is given, 0 where it is off; it needs nopreempt."""
        said = self.pick("timer_expired_backup", "", False)
        if self.preempt.value:
            return Sourced(0, said.path)
        return Sourced(HIGHEST if said.value is True else int(said.value), said.path)

    @property
    def is_unicast(self) -> bool:
        return bool(or_default(self.said.unicast_peer, ()))


def packed(address: str) -> bytes:
    """Network-order bytes of an address, without prefix length."""
    text = address.partition("/")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
