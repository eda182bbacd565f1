"""What the firewall is to hold, from addresses that are on the machine and VMACs that exist; the machine follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from kactl_agent.kernel.ports import Kernel
from kactl_agent.kernel.sysctl import BorrowedSysctls
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.firewall import Blocked, FirewallEntry, FirewallSettings, VmacTraffic, blocked
from kactl_agent.vrrp.settings import VirtualAddress

_NO_TABLE = FirewallSettings()
_LOCAL_IGMP = "net/ipv4/igmp_link_local_mcast_reports"


class Firewall:
    """Desired against actual. What cannot be had is told once, and is no hindrance to anything else."""

    def __init__(self, kernel: Kernel, report: Callable[[Report], None]) -> None:
        self._kernel = kernel
        self._report = report
        self._settings = _NO_TABLE
        self._installed = _NO_TABLE
        self._blocked: dict[str, tuple[VirtualAddress, ...]] = {}  # by holder
        self._vmacs: tuple[VmacTraffic, ...] = ()
        self._held: dict[FirewallEntry, None] = {}
        self._said = ""
        self._sysctls = BorrowedSysctls(kernel.sysctls, self._sysctl_refused)

    def configure(self, settings: FirewallSettings) -> None:
        """As it is to be from now on. The name of the table stays what it was."""
        if self._installed.families and settings.families and settings.table != self._installed.table:
            text = f"the nftables table stays {self._installed.table} until the agent is started anew"
            self._report(Report("firewall", text, "warning"))
            settings = msgspec.structs.replace(settings, table=self._installed.table)
        self._settings, self._said = settings, ""
        if settings.local_igmp:
            self._sysctls.give_back(_LOCAL_IGMP)
        else:
            self._sysctls.borrow(_LOCAL_IGMP, 0)
        if settings == self._installed:
            return
        if settings.families:
            self._install()
        else:
            self._uninstall()

    def block(self, holder: str, addresses: Iterable[VirtualAddress]) -> None:
        """Before they are on the machine. Addresses that are accepted are none of its business."""
        added = tuple(address for address in addresses if not address.accepted)
        if added:
            self._blocked[holder] = tuple(dict.fromkeys((*self._blocked.get(holder, ()), *added)))
            self._settle()

    def unblock(self, holder: str, addresses: Iterable[VirtualAddress]) -> None:
        """After they have gone from the machine."""
        if holder in self._blocked:
            gone = {(a.address, a.interface) for a in addresses}
            left = tuple(a for a in self._blocked[holder] if (a.address, a.interface) not in gone)
            self._blocked[holder] = left
            if not left:
                del self._blocked[holder]
            self._settle()

    def replace(self, held: dict[str, tuple[VirtualAddress, ...]]) -> None:
        """All that is held, by holder: names, and what is accepted, may be other ones than before."""
        found = {name: tuple(a for a in addresses if not a.accepted) for name, addresses in held.items()}
        self._blocked = {name: addresses for name, addresses in found.items() if addresses}
        self._settle()

    def follow(self, vmacs: tuple[VmacTraffic, ...]) -> None:
        """The VMACs there are."""
        if vmacs != self._vmacs:
            self._vmacs = vmacs
            self._settle()

    def close(self) -> None:
        self._settings = _NO_TABLE
        self._uninstall()
        self._sysctls.give_back(_LOCAL_IGMP)

    # -- in line with the machine --------------------------------------------------------------------------------------

    def _desired(self) -> dict[FirewallEntry, None]:
        families = self._settings.families
        addresses = (address for held in self._blocked.values() for address in held)
        entries: list[FirewallEntry] = [self._entry(a) for a in addresses if a.family in families]
        return dict.fromkeys((*entries, *(vmac for vmac in self._vmacs if vmac.family in families)))

    def _entry(self, address: VirtualAddress) -> Blocked:
        link = self._kernel.links.link(address.interface) if self._settings.by_index else None
        return blocked(address.address, address.interface, 0 if link is None else link.index)

    def _settle(self) -> None:
        desired = self._desired()
        remove = [entry for entry in self._held if entry not in desired]
        add = [entry for entry in desired if entry not in self._held]
        if not remove and not add:
            return
        if self._installed == self._settings:
            try:
                self._kernel.firewall.apply(remove, add)
            except OSError:
                pass  # somebody may have taken the table away: make it anew
            else:
                self._held = desired
                return
        self._install()

    def _install(self) -> None:
        desired = self._desired()
        level = "warning"
        try:
            said = self._kernel.firewall.install(self._settings, list(desired))
        except OSError as error:
            said, level = f"no firewall rules, so no_accept and VMACs go without: {error.strerror or error}", "error"
            self._installed, self._held = _NO_TABLE, {}
        else:
            self._installed, self._held = self._settings, desired
        if said and said != self._said:
            self._said = said
            self._report(Report("firewall", said, level))

    def _sysctl_refused(self, key: str, value: int, error: OSError) -> None:
        text = f"the kernel parameter {key} cannot be set to {value}: {error.strerror or error}"
        self._report(Report("sysctl_refused", text, "warning"))

    def _uninstall(self) -> None:
        self._held = {}
        if not self._installed.families:
            return
        self._installed = _NO_TABLE
        try:
            self._kernel.firewall.uninstall()
        except OSError as error:
            text = f"the firewall rules could not be removed: {error.strerror or error}"
            self._report(Report("firewall", text, "error"))
