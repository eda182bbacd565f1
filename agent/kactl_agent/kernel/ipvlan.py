"""What is an ipvlan's own of RTM_NEWLINK (linux/if_link.h): always of layer 2, where multicast works."""

from __future__ import annotations

import struct

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.vrrp.virtual_interface import VirtualInterface

_IFLA_IPVLAN_MODE = 1
_IFLA_IPVLAN_FLAGS = 2
_IPVLAN_MODE_L2 = 0
_U16 = struct.Struct("=H")


def encode_data(interface: VirtualInterface) -> bytes:
    """IFLA_INFO_DATA."""
    return nl.encode_attribute(_IFLA_IPVLAN_MODE, _U16.pack(_IPVLAN_MODE_L2)) + nl.encode_attribute(
        _IFLA_IPVLAN_FLAGS, _U16.pack(interface.flag.value)
    )
