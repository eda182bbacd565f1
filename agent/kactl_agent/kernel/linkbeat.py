"""Asking an interface for its link, for drivers that do not report it (keepalived linkbeat_interfaces).

By the registers of its transceiver (MII), by ETHTOOL_GLINK, or by its flags. An ioctl of a slow driver may take
milliseconds: this is not for a timing loop.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Callable

_SIOCGIFFLAGS = 0x8913
_SIOCETHTOOL = 0x8946
_SIOCGMIIPHY = 0x8947
_SIOCGMIIREG = 0x8948
_ETHTOOL_GLINK = 0x0A
_MII_BMSR = 1  # basic mode status register
_BMSR_LINK = 0x0004
_IFF_RUNNING = 0x40
_IFREQ_SIZE = 40
_NAME_SIZE = 16


class LinkProbe:
    """`link` asks in the way that is wanted, else in the first one that the driver knows. Raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._ways: dict[str, Callable[[str], bool]] = {
            "MII": self._mii,
            "ETHTOOL": self._ethtool,
            "IOCTL": self._ioctl,
        }
        self._known: dict[tuple[str, str], str] = {}  # interface and what is wanted -> the way that works

    def link(self, interface: str, wanted: str) -> bool:
        """Whether there is a link. `wanted` is MII, ETHTOOL, IOCTL or empty."""
        key = interface, wanted
        ways = [self._known[key]] if key in self._known else sorted(self._ways, key=lambda way: way != wanted)
        refusal = OSError(f"there is no way to ask {interface} for its link")
        for way in ways:
            try:
                up = self._ways[way](interface)
            except OSError as error:
                refusal = error
                continue
            self._known[key] = way
            return up
        self._known.pop(key, None)  # another interface by this name may know other ways
        raise refusal

    def way(self, interface: str, wanted: str) -> str:
        """How the interface was asked last, "" when it has not been."""
        return self._known.get((interface, wanted), "")

    def close(self) -> None:
        self._socket.close()

    def _request(self, number: int, interface: str, payload: bytes) -> bytes:
        name = interface.encode()[: _NAME_SIZE - 1].ljust(_NAME_SIZE, b"\0")
        answer = fcntl.ioctl(self._socket, number, (name + payload).ljust(_IFREQ_SIZE, b"\0"))
        return answer[_NAME_SIZE:]

    def _mii(self, interface: str) -> bool:
        (phy,) = struct.unpack_from("=H", self._request(_SIOCGMIIPHY, interface, b""))
        request = struct.pack("=HH", phy, _MII_BMSR)
        self._request(_SIOCGMIIREG, interface, request)  # the bit is latched low: the second reading is what is now
        registers = self._request(_SIOCGMIIREG, interface, request)
        return bool(struct.unpack_from("=HHHH", registers)[3] & _BMSR_LINK)

    def _ethtool(self, interface: str) -> bool:
        value = bytearray(struct.pack("=II", _ETHTOOL_GLINK, 0))
        shared = (ctypes.c_char * len(value)).from_buffer(value)  # the request has its address
        self._request(_SIOCETHTOOL, interface, struct.pack("P", ctypes.addressof(shared)))
        return bool(struct.unpack_from("=II", value)[1])

    def _ioctl(self, interface: str) -> bool:
        (flags,) = struct.unpack_from("=H", self._request(_SIOCGIFFLAGS, interface, b""))
        return bool(flags & _IFF_RUNNING)
