"""promote_secondaries: when an address of a network goes, the others of that network stay on the interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kactl_agent.kernel.ports import Kernel
from kactl_agent.kernel.sysctl import BorrowedSysctls
from kactl_agent.vrrp.actions import Report
from kactl_agent.vrrp.settings import VrrpSettings


class SecondaryPromotion:
    """Sets the kernel parameter on the interfaces of instances that want it, and restores what was there."""

    def __init__(self, kernel: Kernel, report: Callable[[Report], None]) -> None:
        self._links = kernel.links
        self._report = report
        self._sysctls = BorrowedSysctls(kernel.sysctls, self._refused)
        self._indices: dict[str, int] = {}  # interface -> its index when the parameter was set

    def settle(self, instances: Iterable[VrrpSettings]) -> None:
        """Exactly the interfaces of these from now on. An interface that came anew is set anew."""
        wanted = {settings.interface for settings in instances if settings.promote_secondaries}
        if not wanted and not self._indices:
            return
        for name, index in list(self._indices.items()):
            link = self._links.link(name)
            if link is None or link.index != index:
                self._sysctls.forget(_key(name))
                del self._indices[name]
            elif name not in wanted:
                self._sysctls.give_back(_key(name))
                del self._indices[name]
        for name in wanted - self._indices.keys():
            link = self._links.link(name)
            if link is not None:
                self._indices[name] = link.index
                self._sysctls.borrow(_key(name), 1)

    def _refused(self, key: str, value: int, error: OSError) -> None:
        text = f"the kernel parameter {key} cannot be set to {value}: {error.strerror or error}"
        self._report(Report("sysctl_refused", text, "warning"))


def _key(interface: str) -> str:
    return f"net/ipv4/conf/{interface}/promote_secondaries"
