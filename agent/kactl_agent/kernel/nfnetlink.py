"""The part of nf_tables' netlink protocol (linux/netfilter/nf_tables.h) that the VRRP worker speaks.

Numbers in attributes are big-endian. Everything goes in batches, of which the kernel does all or nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import islice

from kactl_agent.kernel import rtnetlink as nl

NETLINK_NETFILTER = 12
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
BATCH_BEGIN, _BATCH_END = 0x10, 0x11
(_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _NEWSET, _NEWSETELEM, _DELSETELEM) = (
    _SUBSYSTEM << 8 | number for number in (0, 2, 3, 6, 9, 12, 14)
)
_NLM_F_APPEND = 0x800
_NESTED = 0x8000
_NFGENMSG = struct.Struct("!BBH")
_BE32 = struct.Struct("!I")
_BE32_SIGNED = struct.Struct("!i")

IPV4, IPV6 = 2, 10  # NFPROTO_*
HOOK_INPUT, HOOK_OUTPUT = 1, 3
ACCEPT, DROP, GOTO = 1, 0, -4

SET_CONSTANT, SET_INTERVAL, SET_MAP, SET_CONCAT = 0x2, 0x4, 0x8, 0x80
# what nft shows the keys as; of a concatenation, six bits a part
TYPE_IPV4, TYPE_IPV6, TYPE_SERVICE, TYPE_INTERFACE_INDEX, TYPE_ICMPV6, TYPE_INTERFACE_NAME = 7, 8, 13, 20, 29, 41
TYPE_MARK, META_MARK = 19, 3

META_INPUT_INTERFACE, META_OUTPUT_INTERFACE, META_INPUT_NAME, META_OUTPUT_NAME, META_PROTOCOL = 4, 5, 6, 7, 16
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
REGISTER_1, REGISTER_2 = 1, 2  # of 16 bytes each, one behind the other
_VERDICT_REGISTER = 0
_HOST_ORDER = 1
_ELEMENTS_A_MESSAGE = 256  # what holds them has a length of 16 bits
_HOST_ORDERED = (TYPE_INTERFACE_INDEX, TYPE_MARK)


def attribute(kind: int, value: bytes) -> bytes:
    return nl.encode_attribute(kind, value)


def nested(kind: int, *parts: bytes) -> bytes:
    return nl.encode_attribute(kind | _NESTED, b"".join(parts))


def number(kind: int, value: int) -> bytes:
    return nl.encode_attribute(kind, _BE32.pack(value))


def text(kind: int, value: str) -> bytes:
    return nl.encode_attribute(kind, value.encode() + b"\0")


def _message(kind: int, family: int, flags: int, body: bytes) -> bytes:
    header = _NFGENMSG.pack(family, 0, 0)
    return nl.align_message(nl.encode_message(kind, nl.NLM_F_REQUEST | flags, 0, header + body))


def batch(messages: Sequence[bytes], sequence: int, *, each: bool = False) -> bytes:
    """The messages as one transaction. Its beginning has this sequence number; the last message the next one, and it
    is acknowledged. With `each` all are, by the numbers that follow."""
    edge = _NFGENMSG.pack(0, 0, _SUBSYSTEM)
    begin = nl.encode_message(BATCH_BEGIN, nl.NLM_F_REQUEST, sequence, edge)
    end = nl.encode_message(_BATCH_END, nl.NLM_F_REQUEST, sequence, edge)
    if each:
        return begin + b"".join(nl.acknowledged(m, sequence + n) for n, m in enumerate(messages, 1)) + end
    return begin + b"".join(messages[:-1]) + nl.acknowledged(messages[-1], sequence + 1) + end


# -- objects -----------------------------------------------------------------------------------------------------------


def new_table(family: int, name: str) -> bytes:
    """Also one that exists already."""
    return _message(_NEWTABLE, family, nl.NLM_F_CREATE, text(1, name) + number(2, 0))


def delete_table(family: int, name: str) -> bytes:
    return _message(_DELTABLE, family, 0, text(1, name))


def new_chain(family: int, table: str, name: str, hook: int | None = None, priority: int = 0) -> bytes:
    """A chain that packets are sent to, or, with a hook, one where they begin, of policy accept."""
    body = text(1, table) + text(3, name)
    if hook is not None:
        place = nested(4, number(1, hook), attribute(2, _BE32_SIGNED.pack(priority)))
        body += place + number(5, ACCEPT) + text(7, "filter")
    return _message(_NEWCHAIN, family, nl.NLM_F_CREATE, body)


def new_rule(family: int, table: str, chain: str, expressions: Iterable[bytes]) -> bytes:
    """Behind those that are there."""
    body = text(1, table) + text(2, chain) + nested(4, *(nested(1, expression) for expression in expressions))
    return _message(_NEWRULE, family, nl.NLM_F_CREATE | _NLM_F_APPEND, body)


def new_set(
    family: int,
    table: str,
    name: str,
    key_type: int,
    key_length: int,
    *,
    flags: int = 0,
    data: tuple[int, int] | None = None,
    fields: Sequence[int] = (),
) -> bytes:
    """`data` makes it a map: type and length of the values. `fields` are the lengths of a concatenation's parts, which
    the kernel needs where they can be ranges."""
    body = text(1, table) + text(2, name) + number(3, flags | (SET_MAP if data else 0))
    body += number(4, key_type) + number(5, key_length)
    if data is not None:
        body += number(6, data[0]) + number(7, data[1])
    if fields:
        body += nested(9, nested(2, *(nested(1, number(1, length)) for length in fields)))
    host_order = [n for n, kind in enumerate((key_type, data[0] if data else 0)) if kind in _HOST_ORDERED]
    if host_order:  # for nft to show the numbers as what they are
        body += attribute(13, b"".join(struct.pack("=BBI", which, 4, _HOST_ORDER) for which in host_order))
    return _message(_NEWSET, family, nl.NLM_F_CREATE, body + number(10, 1))


def new_elements(family: int, table: str, name: str, elements: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """(key, value); the value is b"" in what is no map. Those that are there already stay."""
    return [_message(_NEWSETELEM, family, nl.NLM_F_CREATE, body) for body in _elements(table, name, elements)]


def new_ranges(family: int, table: str, name: str, ranges: Iterable[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """(first key, last key, value): of a set of concatenations (`SET_CONCAT | SET_INTERVAL`), where every part is a
    range of its own. Kernels know these since 5.6: see `kactl_agent.kernel.nftables.probe`."""
    elements = ((first, value, last) for first, last, value in ranges)
    return [_message(_NEWSETELEM, family, nl.NLM_F_CREATE, body) for body in _elements(table, name, elements)]


def delete_elements(family: int, table: str, name: str, elements: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [_message(_DELSETELEM, family, 0, body) for body in _elements(table, name, elements)]


def _elements(table: str, name: str, elements: Iterable[tuple[bytes, ...]]) -> Iterable[bytes]:
    """(key, value) or (key, value, last key of the range); bodies of as many messages as they need."""
    rest = iter(elements)
    while part := list(islice(rest, _ELEMENTS_A_MESSAGE)):
        yield text(1, table) + text(2, name) + nested(3, *(_element(*element) for element in part))


def _element(key: bytes, value: bytes, *last: bytes) -> bytes:
    parts = [nested(1, attribute(1, key))]
    if value:
        parts.append(nested(2, attribute(1, value)))
    parts += [nested(10, attribute(1, end)) for end in last]
    return nested(1, *parts)


# -- expressions -------------------------------------------------------------------------------------------------------


def _expression(name: str, *parts: bytes) -> bytes:
    return text(1, name) + nested(2, *parts)


def load_payload(base: int, offset: int, length: int, register: int = REGISTER_1) -> bytes:
    return _expression("payload", number(1, register), number(2, base), number(3, offset), number(4, length))


def load_meta(key: int, register: int = REGISTER_1) -> bytes:
    return _expression("meta", number(1, register), number(2, key))


def store_meta(key: int, register: int = REGISTER_1) -> bytes:
    return _expression("meta", number(2, key), number(3, register))


def mask(length: int, bits: bytes) -> bytes:
    """The first register with these bits of it."""
    zero = nested(5, attribute(1, b"\0" * length))
    return _expression("bitwise", number(1, 1), number(2, 1), number(3, length), nested(4, attribute(1, bits)), zero)


def equals(value: bytes) -> bytes:
    """Go on when the first register is this."""
    return _expression("cmp", number(1, REGISTER_1), number(2, 0), nested(3, attribute(1, value)))


def is_in(name: str, register: int = REGISTER_1) -> bytes:
    """Go on when the register (and those behind it, for longer keys) is in the set."""
    return _expression("lookup", text(1, name), number(2, register))


def look_up(name: str, register: int) -> bytes:
    """Go on when the register is a key of the map, with the value in its place."""
    return _expression("lookup", text(1, name), number(2, register), number(3, register))


def duplicate(address: int, device: int) -> bytes:
    """Send a copy of the packet to the address in one register by the interface in another."""
    return _expression("dup", number(1, address), number(2, device))


def count() -> bytes:
    return _expression("counter")


def verdict(code: int, chain: str = "") -> bytes:
    parts = [attribute(1, _BE32_SIGNED.pack(code))]
    if chain:
        parts.append(text(2, chain))
    return _expression("immediate", number(1, _VERDICT_REGISTER), nested(2, nested(2, *parts)))
