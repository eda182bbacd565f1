"""The parts of `kactl_agent.kernel.fake.FakeKernel` that come after addresses: virtual links, sysctls, the firewall."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from kactl_agent.kernel.ports import VirtualLinkFailure
from kactl_agent.kernel.virtual_links import ChangeLink, CreateLink, DeleteLink, LinkOperation, stands_on
from kactl_agent.vrrp.firewall import Blocked, FirewallEntry, FirewallSettings

if TYPE_CHECKING:
    from kactl_agent.kernel.fake import FakeKernel


class FakeVirtualLinks:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def close(self) -> None: ...

    def apply(self, operations: Sequence[LinkOperation]) -> Sequence[VirtualLinkFailure]:
        failures = []
        links = self._kernel.links
        for operation in operations:
            match operation:
                case CreateLink(interface, parent, group, master, alias):
                    self._kernel.log.append(("create link", interface.name, interface.hardware_address))
                    try:
                        self._kernel.fail_if_told("link")
                    except OSError as error:
                        failures.append(VirtualLinkFailure(interface.name, str(error)))
                        continue
                    link = links.add_link(interface.name, interface.hardware_address, up=False)
                    on = links.by_index(parent)
                    links.change(
                        link.name, kind=interface.kind.value, group=group, master=master, alias=alias, private=True,
                        parent=parent if on is None else stands_on(interface.kind, on),
                    )  # fmt: skip
                    self._kernel.sysctls.add_link(interface.name)
                case ChangeLink(name, hardware_address, master, up, note):
                    if name not in links.table:
                        failures.append(VirtualLinkFailure(name, "No such device"))
                        continue
                    if hardware_address is not None:
                        links.change(name, hardware_address=hardware_address)
                    if master is not None:
                        links.change(name, master=master)
                    if up is not None:
                        links.set_up(name, up)
                    if note is not None:
                        links.change(name, alias=note)
                case DeleteLink(name):
                    self._kernel.log.append(("delete link", name, b""))
                    if name in links.table:
                        links.remove_link(name)
                        self._kernel.sysctls.remove_link(name)
        return failures


class FakeSysctls:
    """Those in `values`; an interface that `FakeVirtualLinks` makes gets its own."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.values: dict[str, int] = {}

    def add_link(self, name: str) -> None:
        for parameter in ("arp_ignore", "arp_filter", "accept_local", "promote_secondaries", "rp_filter"):
            self.values[f"net/ipv4/conf/{name}/{parameter}"] = self.values.get(f"net/ipv4/conf/default/{parameter}", 0)
        self.values[f"net/ipv6/conf/{name}/disable_ipv6"] = 0

    def remove_link(self, name: str) -> None:
        self.values = {key: value for key, value in self.values.items() if f"/conf/{name}/" not in key}

    def read(self, key: str) -> int | None:
        return self.values.get(key)

    def write(self, key: str, value: int) -> None:
        self._kernel.fail_if_told("sysctl")
        self.values[key] = value


class FakeFirewall:
    """`settings` is None while there is no table; `flush` is what a restart of the machine's firewall does."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.settings: FirewallSettings | None = None
        self.entries: set[FirewallEntry] = set()

    def close(self) -> None: ...

    def flush(self) -> None:
        self.settings, self.entries = None, set()

    def install(self, settings: FirewallSettings, entries: Collection[FirewallEntry]) -> str:
        self._kernel.fail_if_told("firewall")
        self.settings, self.entries = settings, set(entries)
        return ""

    def apply(self, remove: Collection[FirewallEntry], add: Collection[FirewallEntry]) -> None:
        self._kernel.fail_if_told("firewall")
        if self.settings is None:
            raise OSError(2, "No such file or directory")
        self._kernel.log += [("unblock", "", entry.address) for entry in remove if isinstance(entry, Blocked)]
        self._kernel.log += [("block", "", entry.address) for entry in add if isinstance(entry, Blocked)]
        self.entries = (self.entries - set(remove)) | set(add)

    def uninstall(self) -> None:
        self.flush()

    def discard(self, settings: FirewallSettings) -> None:
        if settings.families:
            self.flush()
