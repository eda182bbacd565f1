"""Scalars of networking: addresses, prefixes, interface names, ports, marks, ranges, and the numbers iproute2 gives names to.

Values are text in canonical form: what the model holds is what keepalived.conf and YAML show.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import UNSET

from kactl_agent.config.schema.shapes import Json, Scalar, ValueFault, parse_decimal


def _canonical_address(text: str) -> tuple[str, int] | None:
    """Canonical text and family (4 or 6) of an address without a prefix, or None. An IPv6 zone (`%eth0`) is no part of it."""
    for family, af in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        try:
            return socket.inet_ntop(af, socket.inet_pton(af, text)), family
        except (OSError, ValueError):
            continue
    return None


def family_of(address: str) -> int:
    """4 or 6, of an address or prefix in canonical text."""
    return 6 if ":" in address else 4


@dataclass(frozen=True)
class IpAddress(Scalar[str]):
    """An IPv4 or IPv6 address without a prefix length. `filler` is a word that may stand before it and means nothing."""

    family: int | None = None
    what: str = ""
    filler: str = ""
    words: tuple[str, ...] = ()  # words that may stand in its place, such as `default`
    multicast: bool = False
    exact: bool = False  # a slash costs the value; elsewhere keepalived drops what follows it

    def read(self, words: Sequence[str], at: int) -> tuple[str, int]:
        if self.filler and words[at : at + 1] == [self.filler]:
            at += 1
        return super().read(words, at)

    def parse(self, text: str) -> str:
        if text in self.words:
            return text
        found = _canonical_address(text)
        if found is None:
            host = _canonical_address(text.partition("/")[0])
            if host is not None and not self.exact and self.family in (None, host[1]):
                raise ValueFault(
                    f"`{text}` is more than an IP address", "a prefix length has no place here", taken=host[0]
                )
            hint = "a prefix length has no place here" if host is not None else f"expected {self.describe()}"
            raise ValueFault(f"`{text}` is not an IP address", hint)
        address, family = found
        if self.family not in (None, family):
            raise ValueFault(f"`{text}` is an IPv{family} address", f"expected {self.describe()}")
        if self.multicast and not ipaddress.ip_address(address).is_multicast:
            raise ValueFault(f"{address} is not a multicast address")
        return address

    def describe(self) -> str:
        name = self.what or ("ip" if self.family is None else f"ipv{self.family}")
        return "|".join((f"<{name}>", *self.words))

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "string"}


@dataclass(frozen=True)
class IpPrefix(Scalar[str]):
    """An address with an optional prefix length, kept as written: host bits stay, and a missing length stays missing."""

    family: int | None = None
    words: tuple[str, ...] = ()
    filler: str = ""

    def read(self, words: Sequence[str], at: int) -> tuple[str, int]:
        if self.filler and words[at : at + 1] == [self.filler]:
            at += 1
        return super().read(words, at)

    def parse(self, text: str) -> str:
        if text in self.words:
            return text
        address_text, slash, length = text.partition("/")
        found = _canonical_address(address_text)
        if found is None:
            raise ValueFault(f"`{text}` is not an IP address", f"expected {self.describe()}")
        address, family = found
        if self.family not in (None, family):
            raise ValueFault(f"`{text}` is an IPv{family} address", f"expected {self.describe()}")
        if not slash:
            return address
        longest = 32 if family == 4 else 128
        if not length.isascii() or not length.isdigit() or int(length) > longest:
            # keepalived reads an empty length as 0, and takes the longest one for any other mistake.
            taken = f"{address}/{longest if length else 0}"
            raise ValueFault(f"`{length}` is not a prefix length", f"0..{longest} for IPv{family}", taken=taken)
        return f"{address}/{int(length)}"

    def describe(self) -> str:
        name = "ip" if self.family is None else f"ipv{self.family}"
        return "|".join((f"<{name}>[/<length>]", *self.words))

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "string"}


IFNAMSIZ = 16
"""Bytes of an interface name with its final NUL (linux/if.h)."""


@dataclass(frozen=True)
class InterfaceName(Scalar[str]):
    """A network interface: 1 to 15 bytes, no slash and no blank (dev_valid_name of Linux).

    keepalived cuts a longer name, or (not `cut`) ignores it.
    """

    cut: bool = True

    def parse(self, text: str) -> str:
        if not text:
            raise ValueFault("an empty interface name")
        if len(text.encode()) >= IFNAMSIZ:
            raise ValueFault(
                f"`{text}` is longer than an interface name can be ({IFNAMSIZ - 1} characters)",
                taken=text.encode()[: IFNAMSIZ - 1].decode(errors="ignore") if self.cut else UNSET,
            )
        if "/" in text or text in (".", "..") or any(c.isspace() for c in text):
            raise ValueFault(f"`{text}` is not an interface name")
        return text

    def describe(self) -> str:
        return "<interface>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "string", "maxLength": IFNAMSIZ - 1}


@dataclass(frozen=True)
class MacAddress(Scalar[str]):
    """A link-layer address of six bytes, written as aa:bb:cc:dd:ee:ff."""

    def parse(self, text: str) -> str:
        parts = text.split(":")
        if len(parts) != 6 or not all(re.fullmatch(r"[0-9A-Fa-f]{1,2}", p) for p in parts):
            raise ValueFault(f"`{text}` is not a MAC address", "six bytes in hexadecimal, separated by colons")
        return ":".join(p.lower().rjust(2, "0") for p in parts)

    def describe(self) -> str:
        return "<mac>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "string"}


@dataclass(frozen=True)
class Port(Scalar[int]):
    """A TCP, UDP or SCTP port. `zero`: 0 is allowed and stands for every port."""

    zero: bool = False

    def parse(self, text: str) -> int:
        low = 0 if self.zero else 1
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= 65535:
            raise ValueFault(f"`{text}` is not a port", f"{low}..65535")
        return int(text)

    def describe(self) -> str:
        return f"<port {0 if self.zero else 1}..65535>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": "integer", "minimum": 0 if self.zero else 1, "maximum": 65535}


def _whole(text: str) -> int | None:
    """A number in C notation: 10, 0x0a, 012."""
    if re.fullmatch(r"0[0-7]+", text):
        return int(text, 8)
    return int(text, 0) if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", text) else None


@dataclass(frozen=True)
class NameOrNumber(Scalar[str]):
    """A number that may have a name on the machine (/etc/iproute2/rt_tables and its like, /etc/protocols).

    Names are looked up on the machine that runs the agent, so they stay names here. Numbers become decimal.
    """

    what: str
    maximum: int = 2**32 - 1
    minimum: int = 0
    names: tuple[str, ...] = ()  # the names every machine has, for the reference

    def parse(self, text: str) -> str:
        value = _whole(text)
        if value is None:
            if not re.fullmatch(r"[^\s{}\"']+", text) or text.startswith(("-", "+")) or text[:1].isdigit():
                raise ValueFault(f"`{text}` is neither a name nor a number of a {self.what}")
            return text
        if not self.minimum <= value <= self.maximum:
            raise ValueFault(f"{self.what} {value} is outside {self.minimum}..{self.maximum}")
        return str(value)

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if value.isdigit() else value

    def describe(self) -> str:
        return f"<{self.what} name or {self.minimum}..{self.maximum}>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}]}


ROUTING_TABLE = NameOrNumber("routing table", minimum=0, names=("main", "local", "default"))
RULE_TABLE = NameOrNumber("routing table", minimum=1, names=("main", "local", "default"))
SCOPE = NameOrNumber("scope", maximum=255, names=("global", "site", "link", "host", "nowhere"))
ROUTE_PROTOCOL = NameOrNumber("routing protocol", maximum=255, names=("kernel", "boot", "static", "keepalived"))
DSFIELD = NameOrNumber("TOS", maximum=255)
INTERFACE_GROUP = NameOrNumber("interface group", names=("default",))
IP_PROTOCOL = NameOrNumber("IP protocol", maximum=255, names=("tcp", "udp", "icmp"))


@dataclass(frozen=True)
class Realms(Scalar[str]):
    """`[SOURCE/]DESTINATION`: realms by number or by their names in rt_realms."""

    def parse(self, text: str) -> str:
        part = NameOrNumber("realm", maximum=255)
        pieces = text.split("/")
        if len(pieces) > 2:
            raise ValueFault(f"`{text}` is not a pair of realms", f"expected {self.describe()}")
        return "/".join(part.parse(p) for p in pieces)

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if value.isdigit() else value

    def describe(self) -> str:
        return "[<source realm>/]<destination realm>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 255}]}


@dataclass(frozen=True)
class MarkAndMask(Scalar[str]):
    """`MARK[/MASK]`: a firewall mark, both numbers in any C notation and kept as written."""

    def parse(self, text: str) -> str:
        pieces = text.split("/")
        values = [_whole(p) for p in pieces]
        if len(pieces) > 2 or any(v is None or v > 2**32 - 1 for v in values):
            raise ValueFault(f"`{text}` is not a firewall mark", f"expected {self.describe()}")
        return text.lower()

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if re.fullmatch(r"0|[1-9][0-9]*", value) else value

    def describe(self) -> str:
        return "<mark>[/<mask>]"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}]}


@dataclass(frozen=True)
class NumberRange(Scalar[str]):
    """`LOW-HIGH`, both included. With `single` YAML may say one number alone; keepalived takes no such thing."""

    what: str
    maximum: int
    minimum: int = 0
    single: bool = False

    def parse(self, text: str) -> str:
        match = re.fullmatch(r"([0-9]+)-([0-9]+)", text)
        if match is None:
            raise ValueFault(f"`{text}` is not a range of {self.what}s", f"expected {self.describe()}")
        low, high = int(match[1]), int(match[2])
        if not self.minimum <= low <= high <= self.maximum:
            raise ValueFault(f"`{text}` is not a range within {self.minimum}..{self.maximum}")
        return f"{low}-{high}"

    def parse_yaml(self, text: str) -> str:
        return self.parse(f"{text}-{text}" if self.single and "-" not in text else text)

    def describe(self) -> str:
        return f"<{self.what}>-<{self.what}>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        text: Json = {"type": "string"}
        number: Json = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return {"anyOf": [text, number]} if self.single else text


@dataclass(frozen=True)
class Lifetime(Scalar[str]):
    """Whole seconds, or `forever`."""

    def parse(self, text: str) -> str:
        if text == "forever":
            return text
        if not re.fullmatch(r"[0-9]+", text) or int(text) >= 2**32:
            raise ValueFault(f"`{text}` is not a lifetime", f"expected {self.describe()}")
        return str(int(text))

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if value.isdigit() else value

    def describe(self) -> str:
        return "<seconds>|forever"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"const": "forever"}, {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}]}


@dataclass(frozen=True)
class RouteTime(Scalar[str]):
    """A time of a route metric: `200ms`, `0.5s`, or a bare number in the kernel's own unit (see the keyword)."""

    def parse(self, text: str) -> str:
        if not re.fullmatch(r"[0-9]+|([0-9]+(\.[0-9]*)?|\.[0-9]+)(s|ms)", text):
            try:
                rounded, _ = parse_decimal(text, 0)
            except ValueError:
                raise ValueFault(f"`{text}` is not a time", f"expected {self.describe()}") from None
            raise ValueFault(f"`{text}` has decimals", "add s or ms", taken=str(rounded))
        return text

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if re.fullmatch(r"0|[1-9][0-9]*", value) else value

    def describe(self) -> str:
        return "<number>s|<number>ms|<number>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}


@dataclass(frozen=True)
class MplsLabels(Scalar[str]):
    """`LABEL[/LABEL]`: a stack of MPLS labels of 20 bits (RFC 3032), outermost first; keepalived takes two at most."""

    most: int = 2

    def parse(self, text: str) -> str:
        labels = text.split("/")
        if len(labels) > self.most or not all(re.fullmatch(r"[0-9]+", n) and int(n) < 2**20 for n in labels):
            raise ValueFault(f"`{text}` is no stack of MPLS labels", f"expected {self.describe()}")
        return "/".join(str(int(n)) for n in labels)

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if value.isdigit() else value

    def describe(self) -> str:
        return "<label 0..1048575>[/<label>]"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**20 - 1}, {"type": "string"}]}
