"""Tables of iptables as a kernel would hand them out."""

from __future__ import annotations

import struct

from kactl_agent.kernel.xtables import Layout, Table, TableInfo

REPLACE_SIZE = 96  # of struct ipt_replace


def entry(layout: Layout, verdict: int, mark: int = 0) -> bytes:
    """A rule of somebody's: `mark` tells it from others."""
    size = layout.entry_size + 40
    head = struct.pack("=I", mark).ljust(layout.offsets_at, b"\0") + struct.pack("=HH", layout.entry_size, size)
    return head.ljust(layout.entry_size, b"\0") + struct.pack("=H29sBi4x", 40, b"", 0, verdict)


def end(layout: Layout, name: str) -> bytes:
    size = layout.entry_size + 64
    head = (b"\0" * layout.offsets_at + struct.pack("=HH", layout.entry_size, size)).ljust(layout.entry_size, b"\0")
    return head + struct.pack("=H29sB30s2x", 64, b"ERROR", 0, name.encode())


def table(layout: Layout, rules: int, jumps: tuple[int, ...] = ()) -> tuple[TableInfo, bytes]:
    """INPUT with `rules`, of which `jumps` go to the chain `mine`; FORWARD and OUTPUT are empty."""
    size = layout.entry_size + 40
    mine = (rules + 3) * size + layout.entry_size + 64
    inside = [entry(layout, mine if n in jumps else -1, n + 1) for n in range(rules)]
    parts = [
        *inside,
        *(entry(layout, -2) for _ in range(3)),
        end(layout, "mine"),
        entry(layout, -5),
        end(layout, "ERROR"),
    ]
    at = [0, rules * size + size, rules * size + 2 * size]
    heads = (0, at[0], at[1], at[2], 0)
    underflows = (0, rules * size, at[1], at[2], 0)
    data = b"".join(parts)
    return TableInfo(0b01110, heads, underflows, len(parts), len(data)), data


def empty_table(layout: Layout) -> tuple[TableInfo, bytes]:
    return table(layout, 0)


def written(changed: Table) -> tuple[TableInfo, bytes]:
    """What the kernel has after it was told to replace its table by this one."""
    data = changed.encode(0)
    fields = struct.unpack_from("=32sIII5I5II", data)
    assert fields[3] == len(data) - REPLACE_SIZE
    return TableInfo(fields[1], fields[4:9], fields[9:14], fields[2], fields[3]), data[REPLACE_SIZE:]
