"""The macvlans and ipvlans that instances and addresses ask for: their names, MAC addresses and what goes on them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.in_force import InstanceInForce, packed
from kactl_agent.config.routing import RoutingResolver
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.config.schema.vrrp import UseIpvlan, UseVmac
from kactl_agent.vrrp.settings import Family
from kactl_agent.vrrp.virtual_interface import InterfaceKind, IpvlanFlag, VirtualInterface, names, virtual_router_mac

_MAC_LENGTH = 6


class InterfaceNames:
    """Names for a whole configuration, in its order, as keepalived gives them: `vrrp.51`; where that is taken
    `vrrp6.51` for IPv6, then `vrrp1.51`, `vrrp2.51` and so on; a prefix is shortened where the name would be too long.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._said: dict[str, Path] = {}  # by an instance, for an interface of its own
        self._taken: set[str] = set()
        for name in or_default(sheet.document.config.vrrp_instance, {}):
            instance = InstanceInForce(sheet.document.config, name)
            self._taken.add(instance.interface.value)
            for keyword in ("use_vmac", "use_ipvlan"):
                said = getattr(instance.said, keyword)
                if isinstance(said, (UseVmac, UseIpvlan)) and said.name is not UNSET:
                    self._taken.add(said.name)

    def say(self, name: str, path: Path) -> str:
        """One that the configuration names."""
        if name in self._said:
            first = self._sheet.document.place(self._said[name])
            text, hint = f"two instances want an interface {name} of their own", f"the other: {first.file}:{first.line}"
            self._sheet.error(path, "duplicate-interface-name", text, hint)
        self._said[name] = path
        return name

    def make(self, prefix: str, virtual_router_id: int, family: Family) -> str:
        name = next(name for name in names(prefix, virtual_router_id, family) if name not in self._taken)
        self._taken.add(name)
        return name


class InstanceInterfaces:
    """Of one instance. `place` is where each of its addresses goes, and makes the interfaces that need it."""

    def __init__(
        self, instance: InstanceInForce, sheet: Sheet, names: InterfaceNames, numbers: RoutingResolver
    ) -> None:
        self._instance = instance
        self._sheet = sheet
        self._names = names
        self._numbers = numbers
        self._virtual_router_id = or_default(instance.said.virtual_router_id, 0)
        self.own: VirtualInterface | None = self._own_ipvlan() or self._own_vmac()
        self._for_addresses: dict[tuple[str, Family], VirtualInterface] = {}

    @property
    def all(self) -> tuple[VirtualInterface, ...]:
        own = () if self.own is None else (self.own,)
        return (*own, *self._for_addresses.values())

    @property
    def transmit_on_parent(self) -> bool:
        """vmac_xmit_base. Unicast goes by the parent anyway: answers come to the parent's address."""
        it, own = self._instance, self.own
        if own is None or own.kind is not InterfaceKind.MACVLAN:
            return False
        if it.is_unicast:
            return True
        return bool(or_default(it.said.vmac_xmit_base, False)) and not it.strict_mode.value

    def place(self, entry: Any) -> str:
        """The interface of a virtual address. An ipvlan is for adverts: keepalived leaves addresses on its parent."""
        family = Family.IPV6 if family_of(entry.address) == 6 else Family.IPV4
        own, parent = self.own, self._instance.interface.value
        if own is not None and own.kind is InterfaceKind.IPVLAN:
            own = None
        dev = or_default(entry.dev, "")
        foreign = own is not None and own.family is not family
        if own is not None and dev in ("", own.name) and not foreign:
            return own.name
        device = parent if own is not None and dev == own.name else dev or parent
        everywhere = or_default(self._instance.said.use_vmac_addr, False) and (foreign or device != parent)
        if or_default(entry.use_vmac, False) or everywhere:
            return self._for_address(device, family).name
        return device

    def _for_address(self, device: str, family: Family) -> VirtualInterface:
        known = self._for_addresses.get((device, family))
        if known is None:
            prefix = self._prefix("vmac_addr_prefix") or self._prefix("vmac_prefix") or "vrrp"
            known = VirtualInterface(
                name=self._names.make(prefix, self._virtual_router_id, family),
                parent=device,
                family=family,
                hardware_address=self._address_mac(family),
                prefix=prefix,
            )
            self._for_addresses[device, family] = known
        return known

    def _address_mac(self, family: Family) -> bytes:
        """One that is configured for the instance is of all its VMACs."""
        own = self.own
        if own is not None and own.family is family and own.kind is InterfaceKind.MACVLAN:
            return own.hardware_address
        return virtual_router_mac(family, self._virtual_router_id)

    def _prefix(self, keyword: str) -> str:
        return str(self._instance.global_value(keyword, "").value)

    @property
    def _family(self) -> Family:
        return Family.IPV6 if self._instance.family.value == 6 else Family.IPV4

    def _own_name(self, said: Any, path: Path) -> str:
        if isinstance(said, msgspec.Struct) and getattr(said, "name", UNSET) is not UNSET:
            return self._names.say(str(getattr(said, "name", "")), (*path, "name"))
        return self._names.make(self._own_prefix, self._virtual_router_id, self._family)

    @property
    def _own_prefix(self) -> str:
        return self._prefix("vmac_prefix") or "vrrp"

    def _group(self, said: UseVmac | UseIpvlan, path: Path) -> int | None:
        return None if said.group is UNSET else self._numbers.number("group", said.group, (*path, "group"))

    def _own_vmac(self) -> VirtualInterface | None:
        it = self._instance
        said, path = it.said.use_vmac, (*it.path, "use_vmac")
        if said is UNSET or said is False or not it.interface.value:
            return None
        options = said if isinstance(said, UseVmac) else UseVmac()
        if it.is_unicast and not or_default(it.said.vmac_xmit_base, False):
            text = "unicast adverts go by the parent interface, not by the VMAC: vmac_xmit_base is on"
            self._sheet.warning(path, "vmac-unicast", text, "set vmac_xmit_base")
        if or_default(options.netlink_notify_msg, False):
            text = "netlink_notify_msg changes nothing: what the agent does to a macvlan is always announced"
            self._sheet.warning((*path, "netlink_notify_msg"), "not-served", text)
        return VirtualInterface(
            name=self._own_name(said, path),
            parent=it.interface.value,
            family=self._family,
            hardware_address=self._mac(options, path),
            group=self._group(options, path),
            prefix=self._own_prefix,
        )

    def _mac(self, options: UseVmac, path: Path) -> bytes:
        """RFC 9568 7.3, or what is said, which strict mode does not have."""
        standard = virtual_router_mac(self._family, self._virtual_router_id)
        if options.mac is UNSET:
            return standard
        if self._instance.strict_mode.value:
            text = "strict mode has VRRP's own MAC address only: this one is not used"
            self._sheet.warning((*path, "mac"), "strict-mode", text, "leave it out, or leave strict mode")
            return standard
        octets = bytes(int(octet, 16) for octet in options.mac.split(":"))
        return octets if len(octets) == _MAC_LENGTH else octets + bytes((self._virtual_router_id,))

    def _own_ipvlan(self) -> VirtualInterface | None:
        it = self._instance
        said, path = it.said.use_ipvlan, (*it.path, "use_ipvlan")
        if said is UNSET or said is False or not it.interface.value:
            return None
        options = said if isinstance(said, UseIpvlan) else UseIpvlan()
        if it.said.use_vmac not in (UNSET, False):
            self._sheet.warning(
                path, "ipvlan-and-vmac", "use_ipvlan and use_vmac exclude each other: this is an ipvlan"
            )
        address, _, length = or_default(options.address, "").partition("/")
        if not address and self._family is Family.IPV4:
            text = "an IPv4 instance on an ipvlan needs an address of its own to send adverts from"
            self._sheet.error(path, "ipvlan-without-address", text, "such as `use_ipvlan: {address: 192.0.2.5/24}`")
        return VirtualInterface(
            name=self._own_name(said, path),
            parent=it.interface.value,
            family=self._family,
            kind=InterfaceKind.IPVLAN,
            flag=IpvlanFlag[or_default(options.mode, "bridge").upper()],
            group=self._group(options, path),
            address=packed(address) if address else b"",
            prefix_length=int(length) if length else (32 if self._family is Family.IPV4 else 128),
            prefix=self._own_prefix,
        )
