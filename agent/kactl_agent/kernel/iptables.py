"""The firewall's rules in iptables and ip6tables, with ipsets where there are some.

The kernel is spoken to directly, as the iptables command of old does: a command would have to be waited for, and what
is blocked has to be so before the address is on the machine. Rules of ours have a comment: by it they are found again,
also those of a predecessor.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from kactl_agent.kernel import ipset
from kactl_agent.kernel import xtables as xt
from kactl_agent.kernel.ipset import Element, Set
from kactl_agent.kernel.ipset_socket import IpsetSocket
from kactl_agent.kernel.iptables_rules import comment_of, elements_of, rules_with_sets, rules_without_sets, sets_of
from kactl_agent.kernel.xtables import Rule, Table
from kactl_agent.kernel.xtables_socket import KernelTable
from kactl_agent.vrrp.family import Family
from kactl_agent.vrrp.firewall import FirewallEntry, FirewallSettings, IpsetNames, IptablesSettings, VmacTraffic

_ATTEMPTS = 5  # to change a table that others change at the same time
_LAYOUTS = {Family.IPV4: xt.IPV4, Family.IPV6: xt.IPV6}


class TablePort(Protocol):
    """The filter table of one family; reading and writing raise OSError."""

    def locked(self) -> AbstractContextManager[None]:
        """Others who ask for the lock change nothing meanwhile, where it can be had at once."""

    def read(self) -> Table: ...

    def write(self, table: Table) -> None:
        """EAGAIN when it has changed since it was read."""


class SetsPort(Protocol):
    """The ipsets of the network namespace; all raise OSError."""

    def send(self, messages: Sequence[bytes]) -> None: ...

    def index(self, wanted: Set) -> int: ...

    def remove(self, unwanted: Sequence[Set]) -> None:
        """Those that there are."""

    def close(self) -> None: ...


class IptablesFirewall:
    """`kactl_agent.kernel.ports.FirewallPort` for settings that have `iptables`.

    The filter of one family changes as a whole; elements of sets one by one, so that a failure may leave some of them
    behind: what is put in anew by `install` is complete again.
    """

    def __init__(
        self,
        tables: Callable[[Family], TablePort] = KernelTable,
        sets: SetsPort | None = None,
    ) -> None:
        self._table_of = tables
        self._sets = sets or IpsetSocket()
        self._settings: FirewallSettings | None = None
        self._entries: dict[FirewallEntry, None] = {}
        self._made: set[Set] = set()
        self._elements: set[tuple[Set, Element]] = set()
        self._indexes: dict[str, int] | None = None  # of the sets, by name; None without sets

    def close(self) -> None:
        self._sets.close()

    def install(self, settings: FirewallSettings, entries: Collection[FirewallEntry]) -> str:
        chains = _chains(settings)
        old, self._settings = self._settings, None
        said = []
        self._indexes = None
        if chains.sets is not None:
            try:
                self._indexes = self._make_sets(settings.families, chains.sets, entries)
            except OSError as error:
                said.append(f"ipsets cannot be used, so there is a rule for each address: {error.strerror or error}")
        for family in Family:
            if family in settings.families:
                self._put(family, settings, entries)
            elif old is not None and family in old.families:
                self._put(family, settings, (), nothing=True)
        if old is not None:
            self._drop_sets(old, kept=settings)
        self._settings, self._entries = settings, dict.fromkeys(entries)
        if not chains.output_chain and any(isinstance(entry, VmacTraffic) for entry in entries):
            said.append("vrrp_iptables names no chain for outgoing packets: IGMP and MLD reports leave by the VMACs")
        return "; ".join(said)

    def apply(self, remove: Collection[FirewallEntry], add: Collection[FirewallEntry]) -> None:
        settings = self._settings
        if settings is None:
            raise OSError(errno.ENOENT, "there are no rules")
        gone = set(remove)
        entries = {entry: None for entry in self._entries if entry not in gone} | dict.fromkeys(add)
        names = _chains(settings).sets
        if names is not None and self._indexes is not None:
            self._fill(elements_of(settings.families, names, entries))
        for family in settings.families:
            self._put(family, settings, entries, glance=self._indexes is not None)
        self._entries = entries

    def uninstall(self) -> None:
        settings, self._settings, self._entries = self._settings, None, {}
        if settings is not None:
            self.discard(settings)

    def discard(self, settings: FirewallSettings) -> None:
        for family in settings.families:
            self._put(family, settings, (), nothing=True)
        self._drop_sets(settings)
        self._elements = set()

    # -- rules ---------------------------------------------------------------------------------------------------------

    def _put(
        self,
        family: Family,
        settings: FirewallSettings,
        entries: Collection[FirewallEntry],
        *,
        nothing: bool = False,
        glance: bool = False,
    ) -> None:
        """Have exactly these rules of ours in the table, without a moment in between. A `glance` at their number is
        enough where they do not change, but somebody may have flushed them."""
        comment = comment_of(settings)
        rules = [] if nothing else self._rules(family, _chains(settings), entries)
        wanted = sorted((rule.chain, xt.encode_rule(_LAYOUTS[family], rule, comment)) for rule in rules)
        port = self._table_of(family)
        for attempt in range(_ATTEMPTS):
            try:
                with port.locked():
                    table = port.read()
                    if glance and table.count(comment) == len(wanted):
                        return
                    if sorted(table.ours(comment)) != wanted:
                        table.replace(comment, rules)
                        port.write(table)
                    return
            except ValueError as error:
                raise OSError(errno.EINVAL, f"{_command(family)}: {error}") from error
            except OSError as error:
                if error.errno != errno.EAGAIN or attempt == _ATTEMPTS - 1:
                    raise

    def _rules(self, family: Family, chains: IptablesSettings, entries: Collection[FirewallEntry]) -> list[Rule]:
        if chains.sets is None or self._indexes is None:
            return rules_without_sets(family, chains, entries)
        return rules_with_sets(family, chains, chains.sets, self._indexes)

    # -- sets ----------------------------------------------------------------------------------------------------------

    def _make_sets(
        self, families: Sequence[Family], names: IpsetNames, entries: Collection[FirewallEntry]
    ) -> dict[str, int]:
        """What is in a set that nobody here has made was left by a predecessor."""
        wanted = sets_of(families, names)
        self._sets.send([ipset.create(each) for each in wanted])
        self._sets.send([ipset.flush(each) for each in wanted if each not in self._made])
        self._made |= set(wanted)
        self._elements = {(each, element) for each, element in self._elements if each in wanted}
        # elements that somebody else has taken out come back as well
        self._sets.send([ipset.add(each, element) for each, element in self._elements])
        self._fill(elements_of(families, names, entries))
        return {each.name: self._sets.index(each) for each in wanted}

    def _fill(self, wanted: set[tuple[Set, Element]]) -> None:
        gone, new = self._elements - wanted, wanted - self._elements
        self._sets.send([ipset.delete(each, element) for each, element in gone])
        self._elements -= gone
        self._sets.send([ipset.add(each, element) for each, element in new])
        self._elements = wanted

    def _drop_sets(self, settings: FirewallSettings, kept: FirewallSettings | None = None) -> None:
        names = settings.iptables.sets if settings.iptables is not None else None
        if names is None:
            return
        stay: set[Set] = set()
        if (
            kept is not None
            and kept.iptables is not None
            and kept.iptables.sets is not None
            and self._indexes is not None
        ):
            stay = set(sets_of(kept.families, kept.iptables.sets))
        gone = [each for each in sets_of(settings.families, names) if each not in stay]
        self._sets.remove(gone)
        self._made -= set(gone)


def command_path() -> str:
    """Where commands are looked for."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def usable(path: str = "") -> str:
    """Why iptables is not to be used on this machine, "" where it is: as keepalived, only where the command that users
    know is that of old, and not one that makes rules of nftables."""
    command = shutil.which("iptables", path=path or command_path())
    if command is None:
        return "there is no iptables command"
    if "nft" in Path(os.path.realpath(command)).name:
        return "the iptables command makes rules of nftables"
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return "tables of 32-bit systems are not known"
    return ""


def _chains(settings: FirewallSettings) -> IptablesSettings:
    if settings.iptables is None:
        raise OSError(errno.EINVAL, "no chains are named")
    return settings.iptables


def _command(family: Family) -> str:
    return "iptables" if family is Family.IPV4 else "ip6tables"
