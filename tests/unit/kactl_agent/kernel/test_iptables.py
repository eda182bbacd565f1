"""The firewall in iptables: when its rules change, what becomes of races with others, and when it is not used."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from kactl_agent.kernel import iptables
from kactl_agent.kernel.firewall import LinuxFirewall
from kactl_agent.kernel.ipset import Set
from kactl_agent.kernel.iptables import IptablesFirewall
from kactl_agent.kernel.xtables import IPV4, IPV6, Table, TableInfo
from kactl_agent.vrrp.firewall import (
    Blocked,
    FirewallEntry,
    FirewallSettings,
    IpsetNames,
    IptablesSettings,
    VmacTraffic,
)
from kactl_agent.vrrp.settings import Family
from support.vrrp import packed
from support.xtables import empty_table, written

V4, V6 = Blocked(packed("192.0.2.1")), Blocked(packed("2001:db8::1"))
RULES = FirewallSettings(families=(Family.IPV4,), iptables=IptablesSettings(output_chain="OUTPUT"))
SETS = FirewallSettings(
    families=(Family.IPV4, Family.IPV6), iptables=IptablesSettings(output_chain="OUTPUT", sets=IpsetNames())
)


class Machine:
    """The tables and sets of a kernel; `busy` times somebody else is quicker."""

    def __init__(self, busy: int = 0, set_error: int = 0) -> None:
        self.tables: dict[Family, tuple[TableInfo, bytes]] = {
            Family.IPV4: empty_table(IPV4),
            Family.IPV6: empty_table(IPV6),
        }
        self.busy = busy
        self.set_error = set_error
        self.writes = 0
        self.locked = False
        self.attempts = 0
        self.messages: list[int] = []
        self.removed: list[str] = []

    def table(self, family: Family) -> Table:
        return Table(IPV4 if family is Family.IPV4 else IPV6, *self.tables[family])

    def ours(self, family: Family = Family.IPV4) -> int:
        return len(self.table(family).ours("kactl keepalived"))


class FakeTable:
    def __init__(self, machine: Machine, family: Family) -> None:
        self._machine = machine
        self._family = family

    @contextmanager
    def locked(self) -> Iterator[None]:
        self._machine.locked, self._machine.attempts = True, self._machine.attempts + 1
        try:
            yield
        finally:
            self._machine.locked = False

    def read(self) -> Table:
        assert self._machine.locked
        return self._machine.table(self._family)

    def write(self, table: Table) -> None:
        assert self._machine.locked, "since it was read"
        if self._machine.busy:
            self._machine.busy -= 1
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        self._machine.writes += 1
        self._machine.tables[self._family] = written(table)


class FakeSets:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def close(self) -> None: ...

    def send(self, messages: Sequence[bytes]) -> None:
        if self._machine.set_error:
            raise OSError(self._machine.set_error, "no sets")
        self._machine.messages += [message[4] for message in messages]

    def index(self, wanted: Set) -> int:
        return len(wanted.name)

    def remove(self, unwanted: Sequence[Set]) -> None:
        self._machine.removed += [each.name for each in unwanted]


def firewall(machine: Machine) -> IptablesFirewall:
    return IptablesFirewall(lambda family: FakeTable(machine, family), FakeSets(machine))


CREATE, FLUSH, ADD, DELETE = 2, 4, 9, 10


def test_with_sets_the_rules_stay_and_elements_change() -> None:
    machine = Machine()
    port = firewall(machine)
    assert port.install(SETS, (V4,)) == ""
    writes = machine.writes
    machine.messages.clear()
    port.apply([V4], [V6])
    assert machine.writes == writes
    assert machine.messages == [DELETE, ADD]


def test_sets_of_a_predecessor_are_emptied_and_ones_own_are_not() -> None:
    machine = Machine()
    port = firewall(machine)
    port.install(SETS, (V4,))
    assert machine.messages == [CREATE] * 6 + [FLUSH] * 6 + [ADD]
    machine.messages.clear()
    port.install(SETS, (V4,))
    assert FLUSH not in machine.messages, "what is blocked stays so"


def test_without_sets_each_change_is_one_of_the_rules() -> None:
    machine = Machine()
    port = firewall(machine)
    port.install(RULES, (V4,))
    assert machine.ours() == 2
    port.apply([V4], [])
    assert machine.ours() == 0


def test_a_kernel_without_sets_gets_rules_and_that_is_said() -> None:
    machine = Machine(set_error=errno.EOPNOTSUPP)
    port = firewall(machine)
    assert "ipsets cannot be used" in port.install(SETS, (V4,))
    assert (machine.ours(), machine.ours(Family.IPV6)) == (2, 0)


def test_who_changes_the_table_at_the_same_time_is_waited_for() -> None:
    machine = Machine(busy=3)
    firewall(machine).install(RULES, (V4,))
    assert machine.ours() == 2
    assert machine.attempts == 4
    with pytest.raises(OSError, match="unavailable"):
        firewall(Machine(busy=99)).install(RULES, (V4,))


def test_what_is_in_the_table_already_is_not_written() -> None:
    machine = Machine()
    firewall(machine).install(RULES, (V4,))
    firewall(machine).install(RULES, (V4,))
    assert machine.writes == 1


def test_another_chain_for_the_same_rules() -> None:
    machine = Machine()
    port = firewall(machine)
    port.install(RULES, (V4,))
    port.install(FirewallSettings(families=(Family.IPV4,), iptables=IptablesSettings(input_chain="mine")), (V4,))
    assert [chain for chain, _rule in machine.table(Family.IPV4).ours("kactl keepalived")] == ["mine"]


def test_rules_that_somebody_flushed_come_back_with_the_next_element() -> None:
    machine = Machine()
    port = firewall(machine)
    port.install(SETS, (V4,))
    machine.tables[Family.IPV4] = empty_table(IPV4)
    port.apply([], [V6])
    assert machine.ours() == 3


def test_families_and_sets_that_are_no_longer_needed_go() -> None:
    machine = Machine()
    port = firewall(machine)
    port.install(SETS, (V4, V6))
    assert machine.ours(Family.IPV6)
    port.install(RULES, (V4,))
    assert machine.ours(Family.IPV6) == 0
    assert set(machine.removed) == {
        "keepalived", "keepalived6", "keepalived_if6", "keepalived_igmp", "keepalived_mld", "keepalived_nd",
    }  # fmt: skip


def test_without_a_chain_for_what_goes_out() -> None:
    machine = Machine()
    only_in = FirewallSettings(families=(Family.IPV4,), iptables=IptablesSettings())
    said = firewall(machine).install(only_in, (V4, VmacTraffic(Family.IPV4, 7, 2, interface="vrrp.51")))
    assert "no chain for outgoing packets" in said
    assert machine.ours() == 1


# -- which of the two --------------------------------------------------------------------------------------------------


class Port:
    """Records what is asked of it."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.calls: list[str] = []

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.error:
            raise OSError(self.error, "no")

    def install(self, settings: FirewallSettings, entries: Collection[FirewallEntry]) -> str:
        self._called("install")
        return ""

    def apply(self, remove: Collection[FirewallEntry], add: Collection[FirewallEntry]) -> None:
        self._called("apply")

    def uninstall(self) -> None:
        self._called("uninstall")

    def discard(self, settings: FirewallSettings) -> None:
        self._called("discard")

    def close(self) -> None:
        self.calls.append("close")


NFTABLES = FirewallSettings(families=(Family.IPV4,))


def test_iptables_is_used_where_it_is_asked_for_and_there() -> None:
    nft, old = Port(), Port()
    port = LinuxFirewall(nft, old, lambda: "")
    assert port.install(RULES, ()) == ""
    port.apply([], [V4])
    port.uninstall()
    port.close()
    assert (old.calls, nft.calls) == (["install", "apply", "uninstall", "close"], ["close"])


@pytest.mark.parametrize("error", [errno.ENOPROTOOPT, errno.ENOENT])
def test_a_kernel_without_iptables_falls_back_and_says_so(error: int) -> None:
    nft, old = Port(), Port(error)
    assert "in place of iptables: the kernel has none" in LinuxFirewall(nft, old, lambda: "").install(RULES, ())
    assert nft.calls == ["install"]


def test_another_refusal_is_none_of_nftables_business() -> None:
    nft = Port()
    with pytest.raises(OSError, match="no"):
        LinuxFirewall(nft, Port(errno.EINVAL), lambda: "").install(RULES, ())
    assert nft.calls == []


def test_a_reload_from_one_to_the_other_leaves_no_moment_without() -> None:
    order: list[str] = []

    class Ordered(Port):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def _called(self, what: str) -> None:
            order.append(f"{self.name} {what}")

    port = LinuxFirewall(Ordered("nft"), Ordered("iptables"), lambda: "")
    port.install(NFTABLES, ())
    port.install(RULES, ())
    assert order == ["nft install", "iptables install", "nft uninstall"]


def test_nothing_is_there_before_the_first_installation() -> None:
    with pytest.raises(OSError, match="no rules"):
        LinuxFirewall(Port(), Port(), lambda: "").apply([], [V4])


def test_leftovers_of_both_are_discarded() -> None:
    nft, old = Port(), Port(errno.ENOPROTOOPT)
    port = LinuxFirewall(nft, old, lambda: "")
    old.error = errno.ENOPROTOOPT
    port.discard(RULES)
    assert (nft.calls, old.calls) == (["discard"], ["discard"])


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("xtables-legacy-multi", ""),
        ("xtables-multi", ""),
        ("xtables-nft-multi", "makes rules of nftables"),
        ("", "no iptables command"),
    ],
)
def test_which_command_users_have(tmp_path: Path, target: str, why: str) -> None:
    if target:
        (tmp_path / target).write_text("")
        (tmp_path / target).chmod(0o755)
        (tmp_path / "iptables").symlink_to(target)
    assert why in iptables.usable(str(tmp_path))
    assert bool(why) == bool(iptables.usable(str(tmp_path)))
