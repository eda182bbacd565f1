"""The two families of IP."""

from __future__ import annotations

from enum import Enum


class Family(Enum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"
