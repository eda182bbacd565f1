"""What is a macvlan's own of RTM_NEWLINK (linux/if_link.h): mode private, so that it hears the LAN and no sibling."""

from __future__ import annotations

import struct

from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.ports import Link
from kactl_agent.vrrp.virtual_interface import VirtualInterface

_U32 = struct.Struct("=I")


def encode_data(interface: VirtualInterface) -> bytes:
    """IFLA_INFO_DATA."""
    del interface  # all of ours are alike
    return nl.encode_attribute(nl.IFLA_MACVLAN_MODE, _U32.pack(nl.MACVLAN_MODE_PRIVATE))


def is_compatible(link: Link) -> bool:
    """Whether a macvlan that exists can be used: its MAC address can be changed, its mode is left alone."""
    return link.private
