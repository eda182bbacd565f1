"""Routes and policy rules of the machine, by rtnetlink: `kactl_agent.kernel.ports.Routing` on Linux.

What is there is read from the kernel when somebody asks, and again after something happened that may have changed it:
routes vanish without a message when their interface goes down (IPv4) or their source address is deleted, so that
notifications alone could not tell.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection, Iterable, Sequence

from kactl_agent.kernel import dumps, routes, rules
from kactl_agent.kernel import rtnetlink as nl
from kactl_agent.kernel.buffers import resize_receive_buffer
from kactl_agent.kernel.links import open_netlink
from kactl_agent.kernel.ports import Links, RoutingFailure
from kactl_agent.kernel.requests import RequestSocket
from kactl_agent.kernel.route_filter import attach, route_filter
from kactl_agent.kernel.routes import KernelRoute, RouteOperation
from kactl_agent.kernel.rules import KernelRule, RuleOperation
from kactl_agent.vrrp.family import Family
from kactl_agent.vrrp.network_settings import NetlinkBuffer
from kactl_agent.vrrp.routing import KEEPALIVED, VirtualRoute, VirtualRule

_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_NETLINK_GET_STRICT_CHK = 12
_IPV4_ROUTE, _IPV4_RULE, _IPV6_ROUTE, _IPV6_RULE = 7, 8, 11, 19  # RTNLGRP_*
_DATAGRAM = 1 << 18
_DUMP_TIMEOUT = 2.0
_MOST_ENCODED = 1 << 16
_NLM_F_REPLACE = 0x100
_CONCERNS = frozenset(
    {rules.RTM_NEWRULE, rules.RTM_DELRULE, nl.RTM_NEWLINK, nl.RTM_DELLINK, nl.RTM_NEWADDR, nl.RTM_DELADDR}
)
_ABSENT = frozenset({errno.EOPNOTSUPP, errno.ENOENT, errno.EAFNOSUPPORT})  # without IPv6, or without policy rules
_GONE = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV})

Operation = RouteOperation | RuleOperation


class NetlinkRouting:
    """Changes go out as one buffer. Nothing is subscribed to and nothing read before a route or rule is configured."""

    def __init__(self) -> None:
        self._requests = RequestSocket()
        self._monitor = open_netlink()
        self._reader = _open_reader()
        self._sequence = 0
        self._watching = False
        self._protocols = {KEEPALIVED}
        self._places: set[tuple[int, bytes, int]] = set()  # of the configured routes, as in `routes.place_of`
        self._filtered: tuple[frozenset[int], frozenset[int]] | None = None
        self._stale = True
        self._routes: dict[tuple[int, int, bytes, int], list[KernelRoute]] = {}
        self._rules: set[KernelRule] = set()
        self._wanted: dict[tuple[VirtualRoute, tuple[int, ...]], KernelRoute] = {}
        self._encoded: dict[tuple[VirtualRoute | VirtualRule, tuple[int, ...], bool], bytes] = {}

    def fileno(self) -> int:
        return self._monitor.fileno()

    def resize_buffers(self, command: NetlinkBuffer, monitor: NetlinkBuffer) -> None:
        self._requests.resize_buffer(command)
        resize_receive_buffer(self._monitor, monitor)

    def close(self) -> None:
        self._monitor.close()
        self._reader.close()
        self._requests.close()

    # -- what is there -------------------------------------------------------------------------------------------------

    def drain(self) -> bool:
        changed = False
        while True:
            try:
                data = self._monitor.recv(_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                changed = True  # something was lost: it may have been ours
                continue
            changed = changed or any(self._concerns_us(message) for message in nl.messages(data))
        self._stale = self._stale or changed
        return changed

    def _concerns_us(self, message: nl.Message) -> bool:
        if message.type in (routes.RTM_NEWROUTE, routes.RTM_DELROUTE):
            if routes.protocol_of(message.body) in self._protocols:
                return True
            # another one may have taken the place of ours
            return bool(message.flags & _NLM_F_REPLACE) and routes.place_of(message.body) in self._places
        return message.type in _CONCERNS

    def has_route(self, route: VirtualRoute, links: Links) -> bool:
        table = self._table(route, links)
        indexes = _indexes(route, links)
        if isinstance(table, str) or any(name not in indexes for name in route.interfaces):
            return False
        self._refresh()
        key = (route, (*indexes.values(), table))
        wanted = self._wanted.get(key)
        if wanted is None:
            wanted = routes.decode_route(routes.encode_new_route(route, indexes, table)[nl.HEADER_SIZE :])
            assert wanted is not None  # what we encode is a route of IPv4 or IPv6
            self._wanted[key] = wanted
        return any(routes.is_present(wanted, actual) for actual in self._routes.get(wanted.place, ()))

    def has_rule(self, rule: VirtualRule) -> bool:
        self._refresh()
        return rules.decode_rule(rules.encode_new_rule(rule)[nl.HEADER_SIZE :]) in self._rules

    def _refresh(self) -> None:
        """Read what there is, when it may have changed. Where that fails, the last known state is the best there is."""
        if not self._stale:
            return
        found: dict[tuple[int, int, bytes, int], list[KernelRoute]] = {}
        known: set[KernelRule] = set()
        whole = True
        try:
            for family in Family:
                requests = [routes.encode_dump(family, protocol, self._next()) for protocol in sorted(self._protocols)]
                for request in (*requests, rules.encode_dump(family, self._next())):
                    dump = dumps.read(self._reader, request, _ABSENT, self._is_of_interest)
                    _sort(dump.messages, found, known)
                    whole = whole and dump.whole
        except OSError:
            return
        self._routes, self._rules, self._stale = found, known, not whole

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _is_of_interest(self, message: nl.Message) -> bool:
        """Kernels before 4.20 list all routes whatever was asked for."""
        return message.type != routes.RTM_NEWROUTE or routes.protocol_of(message.body) in self._protocols

    # -- what changes --------------------------------------------------------------------------------------------------

    def prepare(self, items: Collection[VirtualRoute | VirtualRule], links: Links) -> None:
        self._expect(item for item in items if isinstance(item, VirtualRoute))
        if items:
            self._watch()
        if len(self._encoded) > _MOST_ENCODED:  # reloads and recreated interfaces leave some behind
            self._encoded.clear()
            self._wanted.clear()
        for item in items:
            for operation in _both(item):
                self._request(operation, links)

    def _watch(self) -> None:
        if self._watching:
            return
        groups = (_IPV4_ROUTE, _IPV6_ROUTE, _IPV4_RULE, _IPV6_RULE, nl.RTNLGRP_LINK, nl.RTNLGRP_IPV4_IFADDR)
        for group in (*groups, nl.RTNLGRP_IPV6_IFADDR):
            self._monitor.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        self._watching, self._stale = True, True

    def _expect(self, items: Iterable[VirtualRoute]) -> None:
        """Hear from now on what concerns these routes."""
        for route in items:
            family = nl.AF_INET if route.family is Family.IPV4 else nl.AF_INET6
            self._places.add((family, route.destination, route.prefix_length))
            if route.protocol not in self._protocols:
                self._protocols.add(route.protocol)
                self._stale = True
        lengths = frozenset(length for _family, _destination, length in self._places)
        if self._filtered != (frozenset(self._protocols), lengths):
            self._filtered = frozenset(self._protocols), lengths
            with contextlib.suppress(OSError):  # without it there is more to read and nothing less
                attach(self._monitor, route_filter(self._protocols, lengths))

    def apply(self, operations: Sequence[Operation], links: Links) -> Sequence[RoutingFailure]:
        failures: list[RoutingFailure] = []
        requests: list[tuple[Operation, bytes]] = []
        for operation in operations:
            request = self._request(operation, links)
            if isinstance(request, bytes):
                requests.append((operation, request))
            elif not operation.remove:
                failures.append(RoutingFailure(_item(operation), request))
        if not operations:
            return failures
        self._watch()
        refusals = self._requests.send(requests)
        self._stale = True
        for refusal in refusals:
            operation = refusal.item
            if operation.remove and refusal.error in _GONE:
                continue
            if not operation.remove and refusal.error == errno.EEXIST and self._has(operation, links):
                continue
            failures.append(RoutingFailure(_item(operation), refusal.reason))
        return failures

    def _has(self, operation: Operation, links: Links) -> bool:
        if isinstance(operation, RuleOperation):
            return self.has_rule(operation.rule)
        self._expect([operation.route])
        return self.has_route(operation.route, links)

    def _request(self, operation: Operation, links: Links) -> bytes | str:
        """The encoded message, or why there is none."""
        if isinstance(operation, RuleOperation):
            return self._encode(operation, {}, 0)
        route = operation.route
        table = self._table(route, links)
        if isinstance(table, str):
            return table
        indexes = _indexes(route, links)
        missing = [name for name in route.interfaces if name not in indexes]
        if missing and (not operation.remove or not indexes):
            return f"there is no interface {missing[0]}"
        return self._encode(operation, indexes, table)

    def _encode(self, operation: Operation, indexes: dict[str, int], table: int) -> bytes:
        key = (_item(operation), (*indexes.values(), table), operation.remove)
        encoded = self._encoded.get(key)
        if encoded is None:
            if isinstance(operation, RuleOperation):
                encode = rules.encode_delete_rule if operation.remove else rules.encode_new_rule
                encoded = encode(operation.rule)
            else:
                encode_route = routes.encode_delete_route if operation.remove else routes.encode_new_route
                encoded = encode_route(operation.route, indexes, table)
            self._encoded[key] = encoded
        return encoded

    def _table(self, route: VirtualRoute, links: Links) -> int | str:
        """The route's table, or why there is none."""
        if not route.vrf:
            return route.table
        link = links.link(route.vrf)
        if link is None:
            return f"there is no interface {route.vrf}"
        return link.vrf_table or f"{route.vrf} is no VRF"


def _sort(
    messages: Iterable[nl.Message],
    found: dict[tuple[int, int, bytes, int], list[KernelRoute]],
    known: set[KernelRule],
) -> None:
    for message in messages:
        if message.type == routes.RTM_NEWROUTE:
            route = routes.decode_route(message.body)
            if route is not None:
                found.setdefault(route.place, []).append(route)
        elif message.type == rules.RTM_NEWRULE:
            rule = rules.decode_rule(message.body)
            if rule is not None:
                known.add(rule)


def _open_reader() -> socket.socket:
    sock = open_netlink(_DUMP_TIMEOUT)
    with contextlib.suppress(OSError):  # Linux 4.20: the kernel picks out the routes of a protocol
        sock.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
    return sock


def _indexes(route: VirtualRoute, links: Links) -> dict[str, int]:
    """The indexes of those of the route's interfaces that there are."""
    found = {name: links.link(name) for name in route.interfaces}
    return {name: link.index for name, link in found.items() if link is not None}


def _item(operation: Operation) -> VirtualRoute | VirtualRule:
    return operation.rule if isinstance(operation, RuleOperation) else operation.route


def _both(item: VirtualRoute | VirtualRule) -> tuple[Operation, Operation]:
    if isinstance(item, VirtualRule):
        return RuleOperation(item), RuleOperation(item, remove=True)
    return RouteOperation(item), RouteOperation(item, remove=True)
