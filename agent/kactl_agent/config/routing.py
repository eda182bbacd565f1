"""Routes and policy rules as the user said them -> as engines carry them: names looked up, in integers and bytes."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Any

from msgspec import UNSET

from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.in_force import packed
from kactl_agent.config.iproute_names import IprouteNames
from kactl_agent.config.schema.line import write_line
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.routes import Encap, NextHop, RouteEntry
from kactl_agent.config.schema.rules import RuleEntry
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.vrrp.routing import (
    KEEPALIVED,
    MAIN_TABLE,
    Encapsulation,
    IlaEncapsulation,
    IpEncapsulation,
    MplsEncapsulation,
    Nexthop,
    RouteUpdate,
    VirtualRoute,
    VirtualRule,
)
from kactl_agent.vrrp.settings import Family

_TYPES = {  # RTN_*
    "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7,
    "prohibit": 8, "throw": 9, "nat": 10,
}  # fmt: skip
_NUMBERS = {  # keyword -> RTAX_*
    "mtu": 2, "window": 3, "ssthresh": 6, "cwnd": 7, "advmss": 8, "reordering": 9, "hoplimit": 10, "initcwnd": 11,
    "initrwnd": 14, "quickack": 15, "fastopen_no_cookie": 17,
}  # fmt: skip
_TIMES = {"rtt": (4, 8), "rttvar": (5, 4), "rto_min": (13, 1)}  # keyword -> RTAX_*, units in a millisecond
_LEAST_TIME = 200  # ms, keepalived's
_FEATURES, _ECN = 12, 1
_CONGESTION_CONTROL = 16
_PREFERENCES = {"medium": 0, "high": 1, "low": 3}  # RFC 4191 2.1, ICMPV6_ROUTER_PREF_*
_ACTIONS = {"nop": 3, "blackhole": 6, "unreachable": 7, "prohibit": 8}  # FR_ACT_*
_LOOK_UP, _GOTO = 1, 2
_FIRST_PREFERENCE = 16384  # of rules without one: keepalived counts down from here
_WHAT = {
    "rt_tables": "routing table", "rt_protos": "routing protocol", "rt_scopes": "scope", "rt_dsfield": "TOS",
    "rt_realms": "realm", "group": "interface group",
}  # fmt: skip


class RoutingResolver:
    """Resolves the routes and rules of a whole document, in its order."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._names = IprouteNames.of(sheet.document.config)
        self._next_preference = _FIRST_PREFERENCE

    def routes(self, entries: Iterable[RouteEntry], path: Path) -> Iterator[VirtualRoute]:
        for place, entry in enumerate(entries):
            yield self._route(entry, (*path, place))

    def rules(self, entries: Iterable[RuleEntry], path: Path) -> Iterator[VirtualRule]:
        for place, entry in enumerate(entries):
            yield self._rule(entry, (*path, place))

    def number(self, file: str, text: str, path: Path) -> int:
        """The number of a name; without one, an error and 0."""
        number = self._names.number(file, text)
        if number is None:
            places = ", ".join(str(directory / file) for directory in self._names.directories)
            self._sheet.error(
                path, "unknown-name", f"`{text}` is no {_WHAT[file]} on this machine", f"looked for in {places}"
            )
        return number or 0

    # -- routes --------------------------------------------------------------------------------------------------------

    def _route(self, entry: RouteEntry, path: Path) -> VirtualRoute:
        family = _route_family(entry)
        destination, length = _prefix(or_default(entry.destination, "default"), family)
        source, source_length = b"", 0
        self._warn_family(entry, family, path)
        if entry.from_ is not UNSET and family is Family.IPV6:
            source, source_length = _prefix(entry.from_, family)
        congestion, locked = or_default(entry.congctl, None), self._locks(entry)
        metrics = (*self._numbers(entry), *self._times(entry, path))
        tracked = not or_default(entry.no_track, False)
        protocol = or_default(entry.protocol, "")
        return VirtualRoute(
            family=family,
            destination=destination,
            prefix_length=length,
            type=_TYPES[or_default(entry.type_, "unicast")],
            nexthops=tuple(self._nexthops(entry, family, path)),
            source=source,
            source_length=source_length,
            tos=self.number("rt_dsfield", or_default(entry.tos, "0"), (*path, "tos")),
            table=self.number("rt_tables", or_default(entry.table, str(MAIN_TABLE)), (*path, "table")) or MAIN_TABLE,
            vrf=or_default(entry.vrf, ""),
            protocol=self._protocol(protocol, tracked, "route", (*path, "protocol")),
            scope=self.number("rt_scopes", or_default(entry.scope, "0"), (*path, "scope")),
            metric=or_default(entry.metric, None),
            preferred_source=packed(entry.src) if entry.src is not UNSET else b"",
            metrics=tuple(sorted(metrics)),
            congestion_control=or_default(congestion.value, "") if congestion else "",
            locked=locked,
            expires=or_default(entry.expires, None) if family is Family.IPV6 else None,
            preference=_PREFERENCES[entry.pref] if entry.pref is not UNSET and family is Family.IPV6 else None,
            ttl_propagate=None if entry.ttl_propagate is UNSET else entry.ttl_propagate == "enabled",
            update=_update(entry),
            tracked=tracked,
            text=" ".join(write_line(entry)),
        )

    def _warn_family(self, entry: RouteEntry, family: Family, path: Path) -> None:
        """Options that mean nothing for the route's family, and one that means nothing at all."""
        only = (("from", entry.from_), ("expires", entry.expires), ("pref", entry.pref))
        if family is Family.IPV4:
            for keyword, value in only:
                if value is not UNSET:
                    self._sheet.warning((*path, keyword), "ipv6-only", f"{keyword} is for IPv6 routes: ignored")
        elif entry.realms is not UNSET:
            self._sheet.warning((*path, "realms"), "ipv4-only", "realms are for IPv4 routes: ignored")
        if entry.as_ is not UNSET:
            self._sheet.warning((*path, "as"), "no-effect", "as has no effect on an IP route, as in keepalived")

    def _protocol(self, said: str, tracked: bool, what: str, path: Path) -> int:
        number = self.number("rt_protos", said, path) if said else KEEPALIVED
        if tracked and number != KEEPALIVED and self._names.number("rt_protos", said) is not None:
            text = f"a {what} that is tracked has the protocol keepalived ({KEEPALIVED}), as in keepalived"
            self._sheet.warning(path, "tracked-protocol", text, "with no_track it keeps its own")
            return KEEPALIVED
        return number

    def _nexthops(self, entry: RouteEntry, family: Family, path: Path) -> Iterator[Nexthop]:
        hops = or_default(entry.nexthop, ())
        if hops:
            for place, hop in enumerate(hops):
                yield self._nexthop(hop, family, or_default(entry.dev, ""), (*path, "nexthop", place))
            return
        via = entry.via.address if entry.via is not UNSET else UNSET
        said = (via, entry.dev, entry.encap, entry.realms)
        if all(value is UNSET for value in said):
            return
        for gateway in (via,) if entry.or_ is UNSET else (via, entry.or_):
            yield Nexthop(
                gateway=packed(gateway) if gateway is not UNSET else b"",
                interface=or_default(entry.dev, ""),
                onlink=or_default(entry.onlink, False),
                encapsulation=self._encapsulation(entry.encap, (*path, "encap")),
                realms=self._realms(entry.realms, (*path, "realms")) if family is Family.IPV4 else 0,
            )

    def _nexthop(self, hop: NextHop, family: Family, interface: str, path: Path) -> Nexthop:
        via = hop.via.address if hop.via is not UNSET else UNSET
        return Nexthop(
            gateway=packed(via) if via is not UNSET else b"",
            interface=or_default(hop.dev, interface),
            weight=or_default(hop.weight, 1),
            onlink=or_default(hop.onlink, False),
            encapsulation=self._encapsulation(hop.encap, (*path, "encap")),
            realms=self._realms(hop.realms, (*path, "realms")) if family is Family.IPV4 else 0,
        )

    def _encapsulation(self, said: Any, path: Path) -> Encapsulation | None:
        if said is UNSET:
            return None
        assert isinstance(said, Encap)
        if said.mpls is not UNSET:
            return MplsEncapsulation(tuple(int(label) for label in said.mpls.split("/")))
        if said.ila is not UNSET:
            return IlaEncapsulation(b"".join(int(group or "0", 16).to_bytes(2) for group in said.ila.split(":")))
        if said.ip is not UNSET:
            return self._tunnel(said.ip, Family.IPV4, said.ip.tos, said.ip.ttl, (*path, "ip", "tos"))
        if said.ip6 is not UNSET:
            return self._tunnel(said.ip6, Family.IPV6, said.ip6.tc, said.ip6.hoplimit, (*path, "ip6", "tc"))
        return None

    def _tunnel(self, said: Any, family: Family, tos: Any, ttl: Any, path: Path) -> IpEncapsulation:
        return IpEncapsulation(
            family=family,
            id=or_default(said.id_, None),
            destination=packed(said.dst) if said.dst is not UNSET else b"",
            source=packed(said.src) if said.src is not UNSET else b"",
            tos=None if tos is UNSET else self.number("rt_dsfield", tos, path),
            ttl=or_default(ttl, None),
            flags=or_default(said.flags, None),
        )

    def _realms(self, said: Any, path: Path) -> int:
        """`[SOURCE/]DESTINATION`."""
        if said is UNSET:
            return 0
        numbers = [self.number("rt_realms", part, path) for part in str(said).split("/")]
        return numbers[0] if len(numbers) == 1 else numbers[0] << 16 | numbers[1]

    def _numbers(self, entry: RouteEntry) -> Iterator[tuple[int, int]]:
        for keyword, number in _NUMBERS.items():
            said = getattr(entry, keyword)
            if said is not UNSET:
                yield number, said if isinstance(said, int) else or_default(said.value, 0)
        if entry.features is not UNSET:
            yield _FEATURES, _ECN

    def _times(self, entry: RouteEntry, path: Path) -> Iterator[tuple[int, int]]:
        for keyword, (number, units) in _TIMES.items():
            said = getattr(entry, keyword)
            if said is UNSET:
                continue
            value = _time(str(said.value), units)
            if value < _LEAST_TIME * units:
                text = f"{keyword} {said.value} is below {_LEAST_TIME} ms, which is used instead, as in keepalived"
                self._sheet.warning((*path, keyword), "least-time", text)
                value = _LEAST_TIME * units
            yield number, value

    def _locks(self, entry: RouteEntry) -> int:
        numbers = _NUMBERS | {keyword: number for keyword, (number, _) in _TIMES.items()}
        numbers["congctl"] = _CONGESTION_CONTROL
        locked = 0
        for keyword, number in numbers.items():
            said = getattr(entry, keyword)
            if said is not UNSET and not isinstance(said, int) and or_default(said.lock, False):
                locked |= 1 << number
        return locked

    # -- rules ---------------------------------------------------------------------------------------------------------

    def _rule(self, entry: RuleEntry, path: Path) -> VirtualRule:
        family = _rule_family(entry)
        source, source_length = _selector(entry.from_, family)
        destination, destination_length = _selector(entry.to, family)
        mark, _, mask = or_default(entry.fwmark, "").partition("/")
        tracked = not or_default(entry.no_track, False)
        action, table, goto = self._action(entry, path)
        said = "" if entry.protocol is UNSET else str(entry.protocol)
        return VirtualRule(
            family=family,
            preference=self._preference(entry, path),
            action=action,
            table=table,
            goto=goto,
            source=source,
            source_length=source_length,
            destination=destination,
            destination_length=destination_length,
            inverted=or_default(entry.not_, False),
            tos=self.number("rt_dsfield", or_default(entry.tos, "0"), (*path, "tos")),
            mark=_whole(mark) if mark else None,
            mark_mask=_whole(mask) if mask else None,
            input_interface=or_default(entry.dev, ""),
            output_interface=or_default(entry.oif, ""),
            tunnel_id=or_default(entry.tunnel_id, None),
            users=_range(entry.uidrange),
            ip_protocol=self._ip_protocol(entry.ipproto, (*path, "ipproto")),
            source_ports=_range(entry.sport),
            destination_ports=_range(entry.dport),
            realms=self._realms(entry.realms, (*path, "realms")),
            suppress_prefix_length=or_default(entry.suppress_prefixlength, None),
            suppress_interface_group=self._group(entry.suppress_ifgroup, (*path, "suppress_ifgroup")),
            l3mdev=or_default(entry.l3mdev, False),
            # keepalived marks the rules that it tracks, and only those
            protocol=self._protocol(said, tracked, "rule", (*path, "protocol")) if tracked or said else 0,
            tracked=tracked,
            text=" ".join(write_line(entry)),
        )

    def _preference(self, entry: RuleEntry, path: Path) -> int:
        if entry.preference is not UNSET:
            return entry.preference
        preference = self._next_preference
        self._next_preference -= 1
        text = f"the rule has no preference: it gets {preference}, as in keepalived"
        self._sheet.warning(path, "rule-preference", text, "give it a preference of its own")
        return preference

    def _action(self, entry: RuleEntry, path: Path) -> tuple[int, int, int]:
        """FR_ACT_*, table and the preference to go on with."""
        found: list[tuple[str, tuple[int, int, int]]] = []
        if entry.table is not UNSET:
            found.append(("table", (_LOOK_UP, self.number("rt_tables", entry.table, (*path, "table")), 0)))
        if or_default(entry.l3mdev, False):
            found.append(("l3mdev", (_LOOK_UP, 0, 0)))
        if entry.goto is not UNSET:
            found.append(("goto", (_GOTO, 0, entry.goto)))
        for keyword, action in _ACTIONS.items():
            if or_default(getattr(entry, keyword), False):
                found.append((keyword, (action, 0, 0)))
        if len(found) > 1:
            words = " and ".join(keyword for keyword, _ in found)
            self._sheet.error(path, "rule-actions", f"a rule does one thing: {words} exclude each other")
        return found[0][1] if found else (_LOOK_UP, MAIN_TABLE, 0)

    def _group(self, said: Any, path: Path) -> int | None:
        return None if said is UNSET else self.number("group", said, path)

    def _ip_protocol(self, said: Any, path: Path) -> int | None:
        if said is UNSET:
            return None
        if said.isdigit():
            return int(said)
        try:
            return socket.getprotobyname(said)
        except OSError:
            hint = "looked for in /etc/protocols"
            self._sheet.error(path, "unknown-name", f"`{said}` is no IP protocol on this machine", hint)
            return None


def _route_family(entry: RouteEntry) -> Family:
    """inet and inet6 say it, else the destination, else (`default`) the other addresses, else it is IPv4."""
    if or_default(entry.inet6, False):
        return Family.IPV6
    if or_default(entry.inet, False):
        return Family.IPV4
    destination = or_default(entry.destination, "default")
    if destination == "default6":
        return Family.IPV6
    if destination[0].isdigit() or ":" in destination:
        return _family(destination)
    via = entry.via
    plain_via = via.address if via is not UNSET and via.family is UNSET else UNSET
    for address in (entry.src, entry.from_, plain_via):
        if address is not UNSET:
            return _family(address)
    return Family.IPV4


def _rule_family(entry: RuleEntry) -> Family:
    if or_default(entry.inet6, False):
        return Family.IPV6
    if or_default(entry.inet, False):
        return Family.IPV4
    addresses = [text for text in (entry.from_, entry.to) if text is not UNSET and ":" in text]
    return Family.IPV6 if addresses else Family.IPV4


def _family(address: str) -> Family:
    return Family.IPV6 if family_of(address) == 6 else Family.IPV4


def _prefix(text: str, family: Family) -> tuple[bytes, int]:
    """Bytes and length of a prefix; `default` and its like are everything."""
    longest = 32 if family is Family.IPV4 else 128
    if not (text[0].isdigit() or ":" in text):
        return bytes(longest // 8), 0
    _, _, length = text.partition("/")
    return packed(text), int(length) if length else longest


def _selector(said: Any, family: Family) -> tuple[bytes, int]:
    """Bytes and length of a rule's prefix; what matches everything is nothing."""
    if said is UNSET:
        return b"", 0
    address, length = _prefix(said, family)
    return (address, length) if length else (b"", 0)


def _update(entry: RouteEntry) -> RouteUpdate:
    for update in RouteUpdate:
        if or_default(getattr(entry, update.value), False):
            return update
    return RouteUpdate.PREPEND


def _time(text: str, units: int) -> int:
    """In the kernel's units, of which a millisecond has so many; a bare number is in them already. Rounded up."""
    number, factor = text, 1
    if text.endswith("ms"):
        number, factor = text.removesuffix("ms"), units
    elif text.endswith("s"):
        number, factor = text.removesuffix("s"), 1000 * units
    return int((Decimal(number) * factor).to_integral_value(ROUND_CEILING))


def _range(said: Any) -> tuple[int, int] | None:
    if said is UNSET:
        return None
    low, _, high = str(said).partition("-")
    return int(low), int(high)


def _whole(text: str) -> int:
    """A number in C notation: 10, 0x0a, 012."""
    return int(text, 8) if len(text) > 1 and text[0] == "0" and text[1] not in "xX" else int(text, 0)
