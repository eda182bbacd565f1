"""Policy rules on the machine: rtnetlink's messages for them (linux/fib_rules.h), and a pure plan of what to change."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from typing import NamedTuple

import msgspec

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.vrrp.family import Family
from kactl_agent.vrrp.routing import VirtualRule, same_rule

RTM_NEWRULE = 32
RTM_DELRULE = 33
RTM_GETRULE = 34

FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_GOTO, FRA_PRIORITY = 1, 2, 3, 4, 6
FRA_FWMARK, FRA_FLOW, FRA_TUN_ID, FRA_SUPPRESS_IFGROUP, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE = 10, 11, 12, 13, 14, 15
FRA_FWMASK, FRA_OIFNAME, FRA_L3MDEV, FRA_UID_RANGE, FRA_PROTOCOL, FRA_IP_PROTO = 16, 17, 19, 20, 21, 22
FRA_SPORT_RANGE, FRA_DPORT_RANGE = 23, 24

FR_ACT_TO_TBL, FR_ACT_GOTO, FR_ACT_NOP, FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT = 1, 2, 3, 6, 7, 8
_INVERT = 0x2  # FIB_RULE_INVERT
_EVERY_BIT = 0xFFFF_FFFF
_NOT_SUPPRESSED = 0xFFFF_FFFF  # the kernel's -1

_RULE = struct.Struct("=BBBBBxxBI")  # family, lengths of destination and source, tos, table, action, flags
_U32 = struct.Struct("=I")
_PAIR16 = struct.Struct("=HH")
_PAIR32 = struct.Struct("=II")
_FAMILIES = {Family.IPV4: nl.AF_INET, Family.IPV6: nl.AF_INET6}


def encode_new_rule(rule: VirtualRule, sequence: int = 0) -> bytes:
    """RTM_NEWRULE; the kernel refuses a rule that is there already."""
    flags = nl.NLM_F_REQUEST | nl.NLM_F_CREATE | nl.NLM_F_EXCL
    return nl.encode_message(RTM_NEWRULE, flags, sequence, _body(rule))


def encode_delete_rule(rule: VirtualRule, sequence: int = 0) -> bytes:
    """RTM_DELRULE of this very rule: all it was made with is compared."""
    return nl.encode_message(RTM_DELRULE, nl.NLM_F_REQUEST, sequence, _body(rule))


def encode_dump(family: Family, sequence: int) -> bytes:
    """RTM_GETRULE for all rules of a family."""
    body = bytes((_FAMILIES[family],)).ljust(_RULE.size, b"\0")
    return nl.encode_message(RTM_GETRULE, nl.NLM_F_REQUEST | nl.NLM_F_DUMP, sequence, body)


def _body(rule: VirtualRule) -> bytes:
    table = rule.table if rule.table < 256 else 0
    flags = _INVERT if rule.inverted else 0
    header = _RULE.pack(
        _FAMILIES[rule.family],
        rule.destination_length if rule.destination else 0,
        rule.source_length if rule.source else 0,
        rule.tos,
        table,
        rule.action,
        flags,
    )
    fields = (
        (FRA_SRC, rule.source or None),
        (FRA_DST, rule.destination or None),
        (FRA_PRIORITY, _U32.pack(rule.preference)),
        (FRA_TABLE, _U32.pack(rule.table) if rule.table >= 256 else None),
        (FRA_GOTO, _U32.pack(rule.goto) if rule.action == FR_ACT_GOTO else None),
        (FRA_FWMARK, _number(rule.mark)),
        (FRA_FWMASK, _number(rule.mark_mask)),
        (FRA_FLOW, _U32.pack(rule.realms) if rule.realms else None),
        (FRA_IIFNAME, rule.input_interface.encode() + b"\0" if rule.input_interface else None),
        (FRA_OIFNAME, rule.output_interface.encode() + b"\0" if rule.output_interface else None),
        (FRA_TUN_ID, None if rule.tunnel_id is None else rule.tunnel_id.to_bytes(8)),
        (FRA_UID_RANGE, None if rule.users is None else _PAIR32.pack(*rule.users)),
        (FRA_SUPPRESS_PREFIXLEN, _number(rule.suppress_prefix_length)),
        (FRA_SUPPRESS_IFGROUP, _number(rule.suppress_interface_group)),
        (FRA_L3MDEV, b"\1" if rule.l3mdev else None),
        (FRA_PROTOCOL, bytes((rule.protocol,)) if rule.protocol else None),
        (FRA_IP_PROTO, None if rule.ip_protocol is None else bytes((rule.ip_protocol,))),
        (FRA_SPORT_RANGE, None if rule.source_ports is None else _PAIR16.pack(*rule.source_ports)),
        (FRA_DPORT_RANGE, None if rule.destination_ports is None else _PAIR16.pack(*rule.destination_ports)),
    )
    return header + b"".join(nl.encode_attribute(kind, value) for kind, value in fields if value is not None)


def _number(value: int | None) -> bytes | None:
    return None if value is None else _U32.pack(value)


class KernelRule(NamedTuple):
    """A rule as a message says it: every field of it decides whether two rules are the same."""

    family: int
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    tos: int
    action: int
    table: int
    inverted: bool
    preference: int
    goto: int
    mark: int
    mark_mask: int
    realms: int
    input_interface: bytes
    output_interface: bytes
    tunnel_id: bytes
    users: bytes
    suppress_prefix_length: int
    suppress_interface_group: int
    l3mdev: bool
    protocol: int
    ip_protocol: int
    source_ports: bytes
    destination_ports: bytes


def decode_rule(body: bytes) -> KernelRule | None:
    """RTM_NEWRULE, RTM_DELRULE; None for families other than IPv4 and IPv6."""
    family, destination_length, source_length, tos, table, action, flags = _RULE.unpack_from(body)
    if family not in (nl.AF_INET, nl.AF_INET6):
        return None
    found = nl.attributes(body, _RULE.size)
    mark = _u32(found, FRA_FWMARK)
    return KernelRule(
        family=family,
        source=(found.get(FRA_SRC, b"") if source_length else b"", source_length),
        destination=(found.get(FRA_DST, b"") if destination_length else b"", destination_length),
        tos=tos,
        action=action,
        table=_u32(found, FRA_TABLE, table),
        inverted=bool(flags & _INVERT),
        preference=_u32(found, FRA_PRIORITY),
        goto=_u32(found, FRA_GOTO),
        mark=mark,
        mark_mask=_u32(found, FRA_FWMASK, _EVERY_BIT if FRA_FWMARK in found else 0),
        realms=_u32(found, FRA_FLOW),
        input_interface=found.get(FRA_IIFNAME, b"").rstrip(b"\0"),
        output_interface=found.get(FRA_OIFNAME, b"").rstrip(b"\0"),
        tunnel_id=found.get(FRA_TUN_ID, b"\0" * 8),
        users=found.get(FRA_UID_RANGE, b""),
        suppress_prefix_length=_u32(found, FRA_SUPPRESS_PREFIXLEN, _NOT_SUPPRESSED),
        suppress_interface_group=_u32(found, FRA_SUPPRESS_IFGROUP, _NOT_SUPPRESSED),
        l3mdev=found.get(FRA_L3MDEV, b"\0") != b"\0",
        protocol=found.get(FRA_PROTOCOL, b"\0")[0],
        ip_protocol=found.get(FRA_IP_PROTO, b"\0")[0],
        source_ports=found.get(FRA_SPORT_RANGE, b""),
        destination_ports=found.get(FRA_DPORT_RANGE, b""),
    )


def _u32(found: dict[int, bytes], kind: int, default: int = 0) -> int:
    value = found.get(kind, b"")
    return int(_U32.unpack(value)[0]) if len(value) == 4 else default


class RuleOperation(msgspec.Struct, frozen=True):
    """One change of the machine."""

    rule: VirtualRule
    remove: bool = False


def plan(
    desired: Collection[VirtualRule],
    managed: Collection[VirtualRule],
    present: Callable[[VirtualRule], bool],
) -> tuple[RuleOperation, ...]:
    """What makes the machine have exactly `desired` among the rules that are ours to decide on (`managed`).

    A rule that is there as wanted is not touched. New ones come first, in their order, so that no packet meets a gap
    between an old rule and the one that replaces it.
    """
    wanted = {same_rule(rule) for rule in desired}
    add = [RuleOperation(rule) for rule in _distinct(desired) if not present(rule)]
    old = [rule for rule in _distinct(managed) if same_rule(rule) not in wanted and present(rule)]
    return (*add, *(RuleOperation(rule, remove=True) for rule in reversed(old)))


def _distinct(rules: Collection[VirtualRule]) -> list[VirtualRule]:
    return list({same_rule(rule): rule for rule in reversed(list(rules))}.values())[::-1]
