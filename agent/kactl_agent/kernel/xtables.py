"""Tables of iptables as the kernel hands them out and takes them back (linux/netfilter_ipv4/ip_tables.h and its IPv6
twin): bytes to chains of rules, and back with rules of ours taken out and put in.

The kernel knows whole tables only. Rules of others are carried as they are; what refers to a place in the table (jumps,
the heads of chains) is worked out anew, because the places move.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import msgspec

TABLE = "filter"
HOOK_INPUT, HOOK_OUTPUT = 1, 3  # NF_INET_*
HOOKS = {"PREROUTING": 0, "INPUT": HOOK_INPUT, "FORWARD": 2, "OUTPUT": HOOK_OUTPUT, "POSTROUTING": 4}
ACCEPT, DROP = -2, -1  # verdicts: -NF_* - 1
IGMP, ICMPV6 = 2, 58
_NAME_SIZE = 32
_IPT_F_PROTO = 1  # IPv6: the protocol is compared
_TARGET = struct.Struct("=H29sB")  # and of matches: size, name, revision
_OFFSETS = struct.Struct("=HH")  # to the target, to the next entry
_VERDICT = struct.Struct("=i4x")
_ERROR_NAME = struct.Struct("=30s2x")
_COMMENT = struct.Struct("=256s")
_SET = struct.Struct("=HBB44x")  # index, dimensions, flags: xt_set_info_match_v4, without comparisons of counts
_ICMP = struct.Struct("=BBBB4x")  # type, first and last code, inverted
_INFO = struct.Struct("=32sI5I5III")  # name, hooks, heads, underflows, entries, bytes
_REPLACE = struct.Struct("=32sIII5I5IIQ")
COUNTERS = struct.Struct("=QQ")
_ERROR = "ERROR"


class Layout(msgspec.Struct, frozen=True):
    """What differs between IPv4 and IPv6."""

    ip_size: int  # of the part of an entry that addresses, interfaces and protocol are compared with
    counters_at: int

    @property
    def entry_size(self) -> int:
        return self.counters_at + COUNTERS.size

    @property
    def offsets_at(self) -> int:
        return self.ip_size + 4


IPV4 = Layout(84, 96)
IPV6 = Layout(136, 152)


class MatchSet(msgspec.Struct, frozen=True):
    """-m set --match-set: `sources` tells of each dimension whether it is src."""

    index: int
    sources: tuple[bool, ...]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of ours. Empty and None selectors match everything."""

    chain: str
    verdict: int = DROP
    first: bool = False  # before the rules that are there, not behind them
    source: bytes = b""
    destination: bytes = b""
    input_interface: str = ""
    output_interface: str = ""
    protocol: int = 0
    icmpv6_type: int | None = None
    match_set: MatchSet | None = None


class _Entry:
    """A rule: its bytes, where they were, and the chain that it jumps to (a header's entry), if any."""

    __slots__ = ("data", "jump", "place")

    def __init__(self, data: bytes, place: int) -> None:
        self.data = data
        self.place = place  # among the entries that were read; -1 for a new one
        self.jump: _Chain | _Entry | None = None  # an entry: the one behind, which a rule without a target goes on with


class _Chain:
    __slots__ = ("entries", "header", "hook", "name")

    def __init__(self, name: str, hook: int | None, header: _Entry | None) -> None:
        self.name = name
        self.hook = hook
        self.header = header
        self.entries: list[_Entry] = []  # the last one is the policy, or the return to where it was called


class TableInfo(msgspec.Struct, frozen=True):
    """What the kernel tells of a table (IPT_SO_GET_INFO)."""

    valid_hooks: int
    heads: tuple[int, ...]
    underflows: tuple[int, ...]
    entries: int
    size: int


def decode_info(data: bytes) -> TableInfo:
    _name, hooks, *numbers = _INFO.unpack_from(data)
    return TableInfo(hooks, tuple(numbers[:5]), tuple(numbers[5:10]), numbers[10], numbers[11])


INFO_SIZE = _INFO.size


class Table:
    """A table that was read: its chains, and how they are changed. Raises ValueError for what cannot be one."""

    def __init__(self, layout: Layout, info: TableInfo, data: bytes) -> None:
        self._layout = layout
        self._info = info
        self._data = data
        self._chains: list[_Chain] = []
        self._tail: _Entry | None = None

    @property
    def chains(self) -> list[_Chain]:
        """Taken apart when that is needed: there may be thousands of rules."""
        if self._tail is None:
            try:
                self._parse(self._data)
            except (struct.error, IndexError, KeyError) as error:
                raise ValueError(f"the kernel's table cannot be read: {error}") from error
        return self._chains

    def count(self, comment: str) -> int:
        """How many rules have the comment."""
        return self._data.count(_match_comment(comment))

    def _parse(self, data: bytes) -> None:
        heads = {self._info.heads[hook]: hook for hook in HOOKS.values() if self._info.valid_hooks & 1 << hook}
        names = {hook: name for name, hook in HOOKS.items()}
        by_offset: dict[int, _Entry] = {}
        first_rule_of: dict[int, _Chain] = {}
        offset = place = 0
        while offset < len(data):
            target_at, length = _OFFSETS.unpack_from(data, offset + self._layout.offsets_at)
            if length < self._layout.entry_size or offset + length > len(data):
                raise ValueError(f"an entry of {length} bytes at {offset} of {len(data)}")
            entry = _Entry(data[offset : offset + length], place)
            by_offset[offset] = entry
            place += 1
            error = _error_name(entry.data, target_at)
            if error is not None and offset + length == len(data):
                self._tail = entry
            elif error is not None:
                self._chains.append(_Chain(error, None, entry))
                first_rule_of[offset + length] = self._chains[-1]
            else:
                if offset in heads:
                    self._chains.append(_Chain(names[heads[offset]], heads[offset], None))
                self._chains[-1].entries.append(entry)
            offset += length
        if self._tail is None:
            raise ValueError("the kernel's table has no end")
        for at, entry in by_offset.items():
            verdict = self._verdict(entry)
            if verdict is not None and verdict >= 0:
                behind = at + len(entry.data)
                entry.jump = by_offset[behind] if verdict == behind else first_rule_of[verdict]

    def _verdict(self, entry: _Entry) -> int | None:
        """Of a standard target; the others know nothing of places."""
        target_at, _length = _OFFSETS.unpack_from(entry.data, self._layout.offsets_at)
        _size, name, _revision = _TARGET.unpack_from(entry.data, target_at)
        if name.rstrip(b"\0"):
            return None
        return int(_VERDICT.unpack_from(entry.data, target_at + _TARGET.size)[0])

    def ours(self, comment: str) -> list[tuple[str, bytes]]:
        """Rules with the comment and their chains, as the kernel has them but for their counters."""
        mark = _match_comment(comment)
        return [
            (chain.name, self._bare(entry)) for chain in self.chains for entry in chain.entries if mark in entry.data
        ]

    def _bare(self, entry: _Entry) -> bytes:
        end = self._layout.counters_at
        return entry.data[:end] + b"\0" * COUNTERS.size + entry.data[end + COUNTERS.size :]

    def replace(self, comment: str, rules: Sequence[Rule]) -> None:
        """Take out what has the comment, and put these in. Raises ValueError when a chain does not exist."""
        mark = _match_comment(comment)
        by_name = {chain.name: chain for chain in self.chains}
        for rule in rules:
            if rule.chain not in by_name:
                raise ValueError(f"there is no chain {rule.chain}")
        for chain in self.chains:
            chain.entries = [entry for entry in chain.entries if mark not in entry.data]
        at_head: dict[str, int] = {}
        for rule in rules:
            entry = _Entry(encode_rule(self._layout, rule, comment), -1)
            entries = by_name[rule.chain].entries
            if rule.first:
                entries.insert(at_head.get(rule.chain, 0), entry)
                at_head[rule.chain] = at_head.get(rule.chain, 0) + 1
            else:
                entries.insert(len(entries) - 1, entry)

    def _entries(self) -> Iterable[_Entry]:
        for chain in self.chains:
            if chain.header is not None:
                yield chain.header
            yield from chain.entries
        if self._tail is not None:
            yield self._tail

    def places(self) -> list[int]:
        """Of each entry, which one of those that were read it was; -1 for new ones."""
        return [entry.place for entry in self._entries()]

    def encode(self, counters_address: int) -> bytes:
        """struct ipt_replace: `counters_address` is that of a buffer for the counters of the entries that were read."""
        offsets: dict[int, int] = {}
        size = 0
        entries = list(self._entries())
        for entry in entries:
            offsets[id(entry)] = size
            size += len(entry.data)
        heads, underflows = [0] * 5, [0] * 5
        for chain in self.chains:
            if chain.hook is not None:
                heads[chain.hook] = offsets[id(chain.entries[0])]
                underflows[chain.hook] = offsets[id(chain.entries[-1])]
        parts = []
        for entry in entries:
            if entry.jump is None:
                parts.append(entry.data)
            elif isinstance(entry.jump, _Chain):
                parts.append(self._with_verdict(entry, offsets[id(entry.jump.entries[0])]))
            else:
                parts.append(self._with_verdict(entry, offsets[id(entry)] + len(entry.data)))
        head = _REPLACE.pack(
            TABLE.encode(), self._info.valid_hooks, len(entries), size, *heads, *underflows, self._info.entries,
            counters_address,
        )  # fmt: skip
        return head + b"".join(parts)

    def _with_verdict(self, entry: _Entry, verdict: int) -> bytes:
        target_at, _length = _OFFSETS.unpack_from(entry.data, self._layout.offsets_at)
        at = target_at + _TARGET.size
        return entry.data[:at] + _VERDICT.pack(verdict) + entry.data[at + _VERDICT.size :]


def _error_name(data: bytes, target_at: int) -> str | None:
    """The name of the chain that begins here, or of the table's end; None for a rule."""
    _size, name, _revision = _TARGET.unpack_from(data, target_at)
    if name.rstrip(b"\0") != _ERROR.encode():
        return None
    text: bytes = _ERROR_NAME.unpack_from(data, target_at + _TARGET.size)[0]
    return text.partition(b"\0")[0].decode("utf-8", "replace")


# -- rules of ours -----------------------------------------------------------------------------------------------------


def _extension(name: str, revision: int, data: bytes) -> bytes:
    return _TARGET.pack(_TARGET.size + len(data), name.encode(), revision) + data


def _match_comment(comment: str) -> bytes:
    return _extension("comment", 0, _COMMENT.pack(comment.encode()))


def encode_rule(layout: Layout, rule: Rule, comment: str) -> bytes:
    """struct ipt_entry or ip6t_entry, without counts."""
    matches = []
    if rule.icmpv6_type is not None:
        matches.append(_extension("icmp6", 0, _ICMP.pack(rule.icmpv6_type, 0, 255, 0)))
    if rule.match_set is not None:
        found = rule.match_set
        flags = sum(1 << n for n, source in enumerate(found.sources, 1) if source)
        matches.append(_extension("set", 4, _SET.pack(found.index, len(found.sources), flags)))
    matches.append(_match_comment(comment))
    target = _extension("", 0, _VERDICT.pack(rule.verdict))
    behind = b"".join(matches)
    end = layout.entry_size + len(behind)
    head = _ip_part(layout, rule) + b"\0" * 4 + _OFFSETS.pack(end, end + len(target))
    return head.ljust(layout.entry_size, b"\0") + behind + target


def _ip_part(layout: Layout, rule: Rule) -> bytes:
    length = 4 if layout is IPV4 else 16
    nothing = b"\0" * length
    addresses = [rule.source or nothing, rule.destination or nothing]
    masks = [b"\xff" * length if address else nothing for address in (rule.source, rule.destination)]
    names = [rule.input_interface.encode(), rule.output_interface.encode()]
    interfaces = [name.ljust(16, b"\0") for name in names]
    exact = [(b"\xff" * (len(name) + 1) if name else b"").ljust(16, b"\0") for name in names]
    protocol = struct.pack("=H", rule.protocol)
    if layout is IPV6:  # protocol, traffic class, flags
        protocol += bytes((0, _IPT_F_PROTO if rule.protocol else 0))
    return b"".join([*addresses, *masks, *interfaces, *exact, protocol]).ljust(layout.ip_size, b"\0")
