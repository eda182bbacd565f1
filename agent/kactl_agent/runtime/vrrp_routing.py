"""Routes and rules that instances want on the machine: carried out, remembered, and missed when they are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kactl_agent.kernel import routes, rules
from kactl_agent.kernel.ports import Kernel
from kactl_agent.kernel.routes import RouteOperation
from kactl_agent.kernel.rules import RuleOperation
from kactl_agent.vrrp.routing import VirtualRoute, VirtualRule, same_route, same_rule
from kactl_agent.vrrp.settings import VrrpSettings

Item = VirtualRoute | VirtualRule


class HeldRouting:
    """`held` has, by holder, what is to be on the machine. Every method returns what failed, for an operator.

    An item that several holders want goes with the last of them.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.held: dict[str, tuple[Item, ...]] = {}
        self._seen: set[Item] = set()

    def has(self, item: Item) -> bool:
        if isinstance(item, VirtualRoute):
            return self._kernel.routing.has_route(item, self._kernel.links)
        return self._kernel.routing.has_rule(item)

    def add(self, holder: str, items: Sequence[Item]) -> str:
        """In this order, without a look at what is there: the kernel says what it has already."""
        self._kernel.links.drain()
        return self._apply(holder, [_operation(item) for item in items])

    def remove(self, holder: str, items: Sequence[Item]) -> str:
        """In the opposite order; also what nobody here has added, where it is found: a predecessor may have left it."""
        self._kernel.links.drain()
        mine = {same(item) for item in self.held.get(holder, ())}
        self._forget(holder, items)
        others = self.wanted()
        gone = [item for item in reversed(items) if same(item) not in others]
        return self._apply(holder, [_operation(i, remove=True) for i in gone if same(i) in mine or self.has(i)])

    def leave(self, holder: str, items: Sequence[Item]) -> None:
        """Want the items no longer and leave them on the machine."""
        self._forget(holder, items)

    def replace_routes(self, holder: str, old: Sequence[VirtualRoute], new: Sequence[VirtualRoute]) -> str:
        """Change what differs and touch nothing that is equal."""
        self._look_anew(holder, old)
        others = self.wanted()
        managed = [route for route in old if same(route) not in others]
        return self._replace(holder, new, routes.plan(new, managed, self.has))

    def replace_rules(self, holder: str, old: Sequence[VirtualRule], new: Sequence[VirtualRule]) -> str:
        """Change what differs and touch nothing that is equal."""
        self._look_anew(holder, old)
        others = self.wanted()
        managed = [rule for rule in old if same(rule) not in others]
        return self._replace(holder, new, rules.plan(new, managed, self.has))

    def missing(self) -> list[tuple[str, Item]]:
        """(holder, item) of all that was seen on the machine and is not there any more."""
        found = []
        for holder, items in self.held.items():
            for item in items:
                if self.has(item):
                    self._seen.add(same(item))
                elif same(item) in self._seen:
                    found.append((holder, item))
        return found

    def forget(self, holder: str, item: Item) -> None:
        """The item is gone without our doing."""
        self._forget(holder, [item])

    def _look_anew(self, holder: str, old: Sequence[Item]) -> None:
        self._kernel.links.drain()
        self._kernel.routing.drain()
        self._forget(holder, old)

    def _replace(self, holder: str, new: Sequence[Item], operations: Iterable[RouteOperation | RuleOperation]) -> str:
        self._kernel.routing.prepare(new, self._kernel.links)
        self._remember(holder, new)
        return self._apply(holder, list(operations))

    def _apply(self, holder: str, operations: Sequence[RouteOperation | RuleOperation]) -> str:
        if not operations:
            return ""
        failures = self._kernel.routing.apply(operations, self._kernel.links)
        added = [_item(operation) for operation in operations if not operation.remove]
        self._remember(holder, added)
        failed = {same(failure.item) for failure in failures}
        self._forget(holder, [item for item in added if same(item) in failed])
        return "; ".join(failure.text for failure in failures)

    def _remember(self, holder: str, items: Iterable[Item]) -> None:
        both = (*self.held.get(holder, ()), *items)
        if both:
            self.held[holder] = tuple({same(item): item for item in both}.values())

    def _forget(self, holder: str, items: Iterable[Item]) -> None:
        gone = {same(item) for item in items}
        kept = tuple(item for item in self.held.get(holder, ()) if same(item) not in gone)
        if kept:
            self.held[holder] = kept
        else:
            self.held.pop(holder, None)
        self._seen -= gone - self.wanted()

    def wanted(self) -> set[Item]:
        return {same(item) for items in self.held.values() for item in items}


def routing_of(instances: Iterable[VrrpSettings]) -> list[Item]:
    items: list[Item] = []
    for settings in instances:
        items += settings.routes
        items += settings.rules
    return items


def reclaim(kernel: Kernel, items: Sequence[Item]) -> list[str]:
    """Take out of the kernel what an earlier run left there. Returns what could not be removed, with the reason."""
    if not items:
        return []
    kernel.links.drain()
    kernel.routing.prepare(items, kernel.links)
    failure = HeldRouting(kernel).remove("", items)
    return [failure] if failure else []


def same(item: Item) -> Item:
    """Equal for items that are one and the same for the kernel."""
    return same_route(item) if isinstance(item, VirtualRoute) else same_rule(item)


def _operation(item: Item, *, remove: bool = False) -> RouteOperation | RuleOperation:
    return RouteOperation(item, remove) if isinstance(item, VirtualRoute) else RuleOperation(item, remove)


def _item(operation: RouteOperation | RuleOperation) -> Item:
    return operation.route if isinstance(operation, RouteOperation) else operation.rule
