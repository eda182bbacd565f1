"""The macvlans and ipvlans that instances stand on: made, kept in line with their parents, and taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kactl_agent.kernel.ports import Kernel, Link
from kactl_agent.kernel.sysctl import BorrowedSysctls
from kactl_agent.kernel.virtual_links import NOTES, ChangeLink, CreateLink, LinkOperation, is_ours, plan
from kactl_agent.runtime.interface_sysctls import all_interfaces, of_parent, of_virtual
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.firewall import VmacTraffic
from kactl_agent.vrrp.settings import Family, VirtualAddress, VrrpSettings
from kactl_agent.vrrp.virtual_interface import InterfaceKind, VirtualInterface

_IFF_UP = 0x1
_IFA_F_NODAD = 0x02
_SCOPE_LINK = 253
_LINK_LOCAL_PREFIX = 64
_LONGEST_ALIAS = 200  # of the 255 bytes that IFALIASZ allows


def alias_of(configuration: str) -> str:
    """What the interfaces of an agent bear as their alias, by the path of its configuration file."""
    return f"kactl {configuration[-(_LONGEST_ALIAS - 6) :]}"


def interfaces_of(instances: Iterable[VrrpSettings]) -> dict[str, VirtualInterface]:
    """By name; several instances may share one."""
    return {interface.name: interface for settings in instances for interface in settings.virtual_interfaces}


class VirtualInterfaces:
    """Desired against actual: `want` says what is to be there, `settle` follows the machine."""

    def __init__(self, kernel: Kernel, report: Callable[[Report], None]) -> None:
        self._kernel = kernel
        self._report = report
        self._desired: dict[str, VirtualInterface] = {}
        self._obstacles: dict[str, str] = {}
        self._refused: dict[str, tuple[int, str]] = {}  # interface -> index of its parent, what the kernel has said
        self._known: dict[str, int] = {}  # interface or parent -> index with which it was prepared
        self._own: dict[str, VirtualAddress] = {}  # interface -> the address that it has for its own
        self._sysctls = BorrowedSysctls(kernel.sysctls, self._sysctl_refused)
        self._refusals: set[str] = set()
        self.alias = "kactl"  # of what this agent makes
        self.follow: Callable[[tuple[VmacTraffic, ...]], None] = lambda _vmacs: None  # told which VMACs there are

    def want(self, interfaces: Iterable[VirtualInterface], virtual: frozenset[bytes] = frozenset()) -> None:
        """Exactly these from now on; `virtual` are addresses that no interface has for its own."""
        desired = {interface.name: interface for interface in interfaces}
        if (
            not desired
            and not self._desired
            and not any(is_ours(link, self.alias) for link in self._kernel.links.all())
        ):
            return
        _recall(self._kernel, self.alias, self._sysctls)
        self._desired = desired
        self._refused = {}  # what was impossible may be possible now
        self._settle(virtual)

    @property
    def wanted(self) -> Mapping[str, VirtualInterface]:
        """By name."""
        return self._desired

    def settle(self, virtual: frozenset[bytes]) -> None:
        """The machine has changed."""
        if self._desired:
            self._settle(virtual)

    def obstacle(self, name: str) -> str:
        """Why nothing can be sent by this interface; "" when it can."""
        if name not in self._desired:
            return ""
        link = self._kernel.links.link(name)
        if link is not None and not self._obstacles.get(name):
            return "" if link.flags & _IFF_UP else f"{name} is down"
        return self._obstacles.get(name) or f"{name} does not exist"

    def source_of(self, settings: VrrpSettings) -> tuple[bytes, str]:
        """What an instance sends from: the address itself, or the interface whose address it is ("" for none)."""
        interface = self._desired.get(settings.own_interface)
        if interface is None or settings.transmit_on_parent:
            return b"", settings.interface
        own = self._own.get(interface.name)
        if own is not None:
            return (own.address, "") if self._kernel.links.has(own) else (b"", "")
        if interface.kind is InterfaceKind.IPVLAN:
            return b"", interface.name
        return b"", interface.parent if interface.family is Family.IPV4 else ""

    def _traffic(self) -> tuple[VmacTraffic, ...]:
        found = []
        for interface, link in self._present():
            parent = self._kernel.links.link(interface.parent)
            if interface.kind is InterfaceKind.MACVLAN and parent is not None:
                own = self._own.get(interface.name)
                link_local = b"" if own is None else own.address
                found.append(VmacTraffic(interface.family, link.index, parent.index, link_local, link.name))
        return tuple(found)

    def leave(self) -> None:
        """Want nothing any more and leave all as it is."""
        self._desired = {}

    # -- in line with the machine --------------------------------------------------------------------------------------

    def _settle(self, virtual: frozenset[bytes]) -> None:
        links = self._kernel.links
        work = plan(self._desired.values(), links, self.alias)
        operations = [operation for operation in work.operations if not self._was_refused(operation)]
        if operations:
            for failure in self._kernel.virtual_links.apply(operations):
                interface = self._desired.get(failure.name)
                parent = links.link(interface.parent) if interface is not None else None
                self._refused[failure.name] = parent.index if parent is not None else 0, failure.reason
            links.drain()
        refused = {n: why for n, (_index, why) in self._refused.items() if n in self._desired and links.link(n) is None}
        before, self._obstacles = self._obstacles, refused | work.obstacles
        self._notice_new()
        self._borrow_sysctls()
        self.follow(self._traffic())  # before they are up: the kernel reports memberships at once
        self._raise()
        self._address(virtual)
        self.follow(self._traffic())
        for name, why in self._obstacles.items():
            if before.get(name) != why and links.link(self._desired[name].parent) is not None:
                self._report(Report("virtual_interface", f"{name}: {why}", "error"))

    def _was_refused(self, operation: LinkOperation) -> bool:
        """The kernel would refuse it again."""
        if not isinstance(operation, CreateLink):
            return False
        return self._refused.get(operation.interface.name, (0, ""))[0] == operation.parent

    def _notice_new(self) -> None:
        """An interface that is gone, or another one by now, has nothing any more of what was set."""
        names = {name for interface in self._desired.values() for name in (interface.name, interface.parent)}
        for name in {*names, *self._known}:
            link = self._kernel.links.link(name)
            if name in self._known and (link is None or link.index != self._known[name]):
                del self._known[name]
                self._forget_sysctls(name)

    def _present(self) -> list[tuple[VirtualInterface, Link]]:
        links = self._kernel.links
        found = [(interface, links.link(name)) for name, interface in self._desired.items()]
        return [(i, link) for i, link in found if link is not None and i.name not in self._obstacles]

    def _raise(self) -> None:
        """Set up what is new, once: what an operator sets down stays down."""
        fresh = [link for _interface, link in self._present() if link.name not in self._known]
        down = [ChangeLink(link.name, up=True) for link in fresh if not link.flags & _IFF_UP]
        if down:
            self._obstacles |= {f.name: f.reason for f in self._kernel.virtual_links.apply(down)}
            self._kernel.links.drain()
        for interface, link in self._present():
            parent = self._kernel.links.link(interface.parent)
            self._known |= {each.name: each.index for each in (link, parent) if each is not None}

    # -- addresses of their own ----------------------------------------------------------------------------------------

    def _address(self, virtual: frozenset[bytes]) -> None:
        links = self._kernel.links
        present = [(interface, link) for interface, link in self._present() if link.flags & _IFF_UP]
        wanted = {i.name: own for i, _link in present if (own := self._own_address(i, virtual)) is not None}
        remove = [own for name, own in self._own.items() if wanted.get(name) != own and links.has(own)]
        add = [own for own in wanted.values() if not links.has(own)]
        self._own = wanted
        if not add and not remove:
            return
        for failure in self._kernel.addresses.apply(remove, add, links):
            text = f"the address of {failure.address.interface}: {failure.reason}"
            self._report(Report("interface_address", text, "error"))
        links.drain()

    def _own_address(self, interface: VirtualInterface, virtual: frozenset[bytes]) -> VirtualAddress | None:
        """An ipvlan has what is configured. IPv6 adverts of a macvlan come from its parent's link-local address, or,
        where there is none, from what the parent's MAC address makes."""
        flags = _IFA_F_NODAD if interface.family is Family.IPV6 else 0
        if interface.kind is InterfaceKind.IPVLAN:
            if not interface.address:
                return None
            return VirtualAddress(interface.address, interface.prefix_length, interface.name, flags=flags)
        address = self._link_local_of(interface.parent, virtual) if interface.family is Family.IPV6 else b""
        if not address:
            return None
        # deprecated from the start: nothing but adverts is to be sent from it
        return VirtualAddress(
            address, _LINK_LOCAL_PREFIX, interface.name, scope=_SCOPE_LINK, flags=flags, preferred_lifetime=0
        )

    def _link_local_of(self, parent: str, virtual: frozenset[bytes]) -> bytes:
        for entry in self._kernel.links.addresses(parent):
            address = entry.address
            link_local = len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80
            if link_local and address not in virtual:
                return address
        link = self._kernel.links.link(parent)
        return modified_eui64(link.hardware_address) if link is not None else b""

    # -- kernel parameters ---------------------------------------------------------------------------------------------

    def _borrow_sysctls(self) -> None:
        present = [interface for interface, _link in self._present()]
        macvlans = [interface for interface in present if interface.kind is InterfaceKind.MACVLAN]
        wanted: dict[str, int] = {}
        for interface in macvlans:
            wanted |= of_parent(interface.parent)
        for interface in present:
            wanted |= of_virtual(interface)
        if any(interface.family is Family.IPV4 for interface in macvlans):
            names = [link.name for link in self._kernel.links.all()]
            wanted = all_interfaces(names, self._kernel.sysctls, self._sysctls.values) | wanted
        for key in reversed([key for key in self._sysctls.values if key not in wanted]):
            self._sysctls.give_back(key)
        self._sysctls.borrow_all(wanted)
        self._leave_word(macvlans)

    def _leave_word(self, macvlans: list[VirtualInterface]) -> None:
        """A successor, should this process be killed, finds in the alias what the parent's parameters were. Which
        interface that is stands there too: of a parent that is a macvlan itself the kernel says nothing."""
        changes = []
        for interface in macvlans:
            link, parent = (self._kernel.links.link(name) for name in (interface.name, interface.parent))
            before = {key: self._sysctls.before(key) for key in of_parent(interface.parent)}
            words = [f"{key.rpartition('/')[2]}={value}" for key, value in before.items() if value is not None]
            if link is None or parent is None or not words or not is_ours(link, self.alias):
                continue
            alias = f"{self.alias}{NOTES}parent={parent.index} {' '.join(words)}"
            if link.alias != alias:
                changes.append(ChangeLink(interface.name, alias=alias))
        if changes:
            self._kernel.virtual_links.apply(changes)
            self._kernel.links.drain()

    def _forget_sysctls(self, name: str) -> None:
        for key in self._sysctls.values:
            if key.split("/")[3] == name:
                self._sysctls.forget(key)

    def _sysctl_refused(self, key: str, value: int, error: OSError) -> None:
        if key not in self._refusals:
            self._refusals.add(key)
            text = f"the kernel parameter {key} cannot be set to {value}: {error.strerror or error}"
            self._report(Report("sysctl_refused", text, "warning"))


def reclaim(kernel: Kernel, alias: str) -> list[str]:
    """Delete what an earlier run has left. Returns what could not be deleted, with the reason."""
    kernel.links.drain()
    refused: list[str] = []
    sysctls = BorrowedSysctls(kernel.sysctls, lambda key, _value, error: refused.append(f"{key}: {error.strerror}"))
    _recall(kernel, alias, sysctls)
    work = plan((), kernel.links, alias)
    failures = kernel.virtual_links.apply(work.operations) if work.operations else ()
    kernel.links.drain()
    for key in sysctls.values:
        sysctls.give_back(key)
    return [*refused, *(f"{failure.name}: {failure.reason}" for failure in failures)]


def _recall(kernel: Kernel, alias: str, sysctls: BorrowedSysctls) -> None:
    """What predecessors have left word of."""
    for link in kernel.links.all():
        if not is_ours(link, alias):
            continue
        words = dict(word.partition("=")[::2] for word in link.alias.removeprefix(alias + NOTES).split())
        index = words.get("parent", "")
        parent = kernel.links.by_index(int(index)) if index.isdigit() else None
        if parent is None:
            continue
        for key, value in of_parent(parent.name).items():
            before = words.get(key.rpartition("/")[2], "")
            if before.isdigit():
                sysctls.remember(key, int(before), value)


def modified_eui64(hardware_address: bytes) -> bytes:
    """The link-local address that a MAC address makes (RFC 4291 2.5.1, appendix A); b"" for other than Ethernet."""
    if len(hardware_address) != 6:
        return b""
    first = bytes((hardware_address[0] ^ 0x02,))
    return b"\xfe\x80" + b"\0" * 6 + first + hardware_address[1:3] + b"\xff\xfe" + hardware_address[3:]
