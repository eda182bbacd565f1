"""Captures: pcap and pcapng files (draft-ietf-opsawg-pcap, -pcapng), and hexadecimal dumps.

Nothing here trusts a length: what is cut short ends the capture, and is said.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

ETHERNET, RAW, LINUX_COOKED, LINUX_COOKED_2, NULL = 1, 101, 113, 276, 0
_SECOND = 1_000_000_000
_PCAP = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1}  # magic -> ns in a unit of its fractions
_SECTION, _INTERFACE, _ENHANCED, _SIMPLE, _OLD_PACKET = 0x0A0D0D0A, 1, 6, 3, 2
_BYTE_ORDER = 0x1A2B3C4D
_RESOLUTION = 9  # option if_tsresol
_DUMP_LINE = re.compile(r"^\s*0x([0-9a-fA-F]{4,}):\s+([0-9a-fA-F ]+?)(?:\s{2,}.*)?$")
_LARGEST = 1 << 18


class CaptureFault(ValueError):
    """The capture cannot be read, or not further than this."""


class Frame(NamedTuple):
    """A frame as it was captured. `at` is wall-clock ns, 0 when it is not known."""

    at: int
    link: int  # LINKTYPE_*
    data: bytes


def frames(data: bytes) -> Iterator[Frame]:
    """The frames of a capture of any kind, in their order. Raises CaptureFault."""
    start = data[:4]
    for order in "<>":
        if len(start) == 4 and struct.unpack(f"{order}I", start)[0] in _PCAP:
            return _pcap(data, order)
    if start == _SECTION.to_bytes(4, "big"):
        return _pcapng(data)
    return _hex(data)


def _pcap(data: bytes, order: str) -> Iterator[Frame]:
    if len(data) < 24:
        raise CaptureFault("the header of the pcap file is cut short")
    unit = _PCAP[struct.unpack_from(f"{order}I", data)[0]]
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    offset = 24
    while offset < len(data):
        if len(data) < offset + 16:
            raise CaptureFault(f"the pcap file is cut short at byte {offset}")
        seconds, fraction, length, _original = struct.unpack_from(f"{order}IIII", data, offset)
        offset += 16
        if length > _LARGEST or len(data) < offset + length:
            raise CaptureFault(f"the pcap file is cut short or damaged at byte {offset}")
        yield Frame(seconds * _SECOND + fraction * unit, link, data[offset : offset + length])
        offset += length


def _pcapng(data: bytes) -> Iterator[Frame]:
    order, offset = "<", 0
    interfaces: list[tuple[int, int]] = []  # link type, ticks a second
    while offset < len(data):
        if len(data) < offset + 12:
            raise CaptureFault(f"the pcapng file is cut short at byte {offset}")
        kind, length = struct.unpack_from(f"{order}II", data, offset)
        if kind == _SECTION:
            magic = data[offset + 8 : offset + 12]
            order = "<" if magic == _BYTE_ORDER.to_bytes(4, "little") else ">"
            length = struct.unpack_from(f"{order}I", data, offset + 4)[0]
            interfaces = []
        if length < 12 or length % 4 or len(data) < offset + length:
            raise CaptureFault(f"the pcapng file is cut short or damaged at byte {offset}")
        body = data[offset + 8 : offset + length - 4]
        if kind == _INTERFACE and len(body) >= 8:
            interfaces.append((struct.unpack_from(f"{order}H", body)[0], _ticks(body[8:], order)))
        elif kind in (_ENHANCED, _OLD_PACKET) and len(body) >= 20:
            yield _packet(body, order, interfaces, old=kind == _OLD_PACKET)
        elif kind == _SIMPLE and len(body) >= 4 and interfaces:
            captured = min(struct.unpack_from(f"{order}I", body)[0], len(body) - 4)
            yield Frame(0, interfaces[0][0], body[4 : 4 + captured])
        offset += length


def _packet(body: bytes, order: str, interfaces: list[tuple[int, int]], *, old: bool) -> Frame:
    number = struct.unpack_from(f"{order}H" if old else f"{order}I", body)[0]
    high, low, captured, _original = struct.unpack_from(f"{order}IIII", body, 4)
    if number >= len(interfaces) or captured > len(body) - 20:
        raise CaptureFault("a packet of the pcapng file is damaged")
    link, ticks = interfaces[number]
    return Frame((high << 32 | low) * _SECOND // ticks, link, body[20 : 20 + captured])


def _ticks(options: bytes, order: str) -> int:
    """Ticks a second of an interface's timestamps."""
    offset = 0
    while offset + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}HH", options, offset)
        if code == _RESOLUTION and length == 1 and offset + 4 < len(options):
            value = options[offset + 4]
            return int(2 ** (value & 0x7F) if value & 0x80 else 10**value)
        if code == 0:
            break
        offset += 4 + (length + 3) // 4 * 4
    return 1_000_000


def _hex(data: bytes) -> Iterator[Frame]:
    """A packet a line, or lines as tcpdump -x and -xx print them: `0x0010:  4500 0028 ...`."""
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise CaptureFault("neither a pcap or pcapng file nor hexadecimal text") from None
    dumped = b""
    for number, line in enumerate(lines, 1):
        found = _DUMP_LINE.match(line)
        if found:
            if int(found[1], 16) == 0 and dumped:
                yield _guessed(dumped)
                dumped = b""
            dumped += bytes.fromhex(found[2].replace(" ", ""))
            continue
        if dumped:
            yield _guessed(dumped)
            dumped = b""
        digits = line.partition("#")[0].replace(" ", "").replace(":", "")
        if re.fullmatch("(?:[0-9a-fA-F]{2})+", digits):
            yield _guessed(bytes.fromhex(digits))
        elif digits and not line.startswith((" ", "\t")) and not re.match(r"\d\d:\d\d:\d\d|\d{4}-", line):
            raise CaptureFault(f"line {number} is not hexadecimal: {line[:40]}")
    if dumped:
        yield _guessed(dumped)


def _guessed(data: bytes) -> Frame:
    """A frame without a word on what it begins with: an IP header, or else one of Ethernet."""
    length = int.from_bytes(data[2:4], "big")
    is_ipv4 = len(data) >= 20 and data[0] >> 4 == 4 and data[0] & 0xF >= 5 and length <= len(data)
    is_ipv6 = len(data) >= 40 and data[0] >> 4 == 6 and int.from_bytes(data[4:6], "big") + 40 <= len(data)
    return Frame(0, RAW if is_ipv4 or is_ipv6 else ETHERNET, data)
