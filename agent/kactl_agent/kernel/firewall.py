"""iptables where that is configured and there, nftables otherwise."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Collection

import msgspec

from kactl_agent.kernel.iptables import IptablesFirewall, usable
from kactl_agent.kernel.nftables import NftablesFirewall
from kactl_agent.kernel.ports import FirewallPort
from kactl_agent.vrrp.firewall import FirewallEntry, FirewallSettings

_NO_IPTABLES = frozenset({errno.ENOPROTOOPT, errno.ENOENT})  # no ip_tables, or no table `filter`


class LinuxFirewall:
    """`kactl_agent.kernel.ports.FirewallPort` on Linux."""

    def __init__(
        self,
        nftables: FirewallPort | None = None,
        iptables: FirewallPort | None = None,
        why_no_iptables: Callable[[], str] = usable,
    ) -> None:
        self._nftables = nftables or NftablesFirewall()
        self._iptables = iptables or IptablesFirewall()
        self._why_no_iptables = why_no_iptables
        self._used: FirewallPort | None = None

    def close(self) -> None:
        self._nftables.close()
        self._iptables.close()

    def install(self, settings: FirewallSettings, entries: Collection[FirewallEntry]) -> str:
        """Where one takes over from the other, its rules are there before those of the other go."""
        said = []
        if settings.iptables is not None:
            why = self._why_no_iptables()
            if not why:
                try:
                    return self._install(self._iptables, settings, entries)
                except OSError as error:
                    if error.errno not in _NO_IPTABLES:
                        raise
                    why = f"the kernel has none: {error.strerror or error}"
            said.append(f"nftables is used in place of iptables: {why}")
            settings = msgspec.structs.replace(settings, iptables=None)
        said.append(self._install(self._nftables, settings, entries))
        return "; ".join(text for text in said if text)

    def _install(self, port: FirewallPort, settings: FirewallSettings, entries: Collection[FirewallEntry]) -> str:
        said = port.install(settings, entries)
        before, self._used = self._used, port
        if before is not None and before is not port:
            before.uninstall()
        return said

    def apply(self, remove: Collection[FirewallEntry], add: Collection[FirewallEntry]) -> None:
        if self._used is None:
            raise OSError(errno.ENOENT, "there are no rules")
        self._used.apply(remove, add)

    def uninstall(self) -> None:
        used, self._used = self._used, None
        if used is not None:
            used.uninstall()

    def discard(self, settings: FirewallSettings) -> None:
        if settings.iptables is not None:
            with contextlib.suppress(OSError):  # where there is no iptables there are no rules of it
                self._iptables.discard(settings)
        self._nftables.discard(settings)
