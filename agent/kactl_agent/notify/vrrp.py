"""From what VRRP engines say to what others are told.

At a start (a reload included) and at the stop all that happens is put in order before it is told, as keepalived does:
groups that begin as BACKUP come before the instances, and everything else about groups behind them.
"""

from __future__ import annotations

from collections.abc import Iterable

from kactl_agent.notify.events import (
    BACKUP,
    SILENT,
    STOP,
    Notification,
    group_event,
    instance_event,
    lower_priority_event,
    priority_event,
    state_line,
)
from kactl_agent.notify.settings import VrrpNotify
from kactl_agent.vrrp.actions import GroupTransition, LowerPriorityReceived, State, Transition


class VrrpNotifier:
    """Pure: settings and transitions in, notifications out, in the order in which they are to be told."""

    def __init__(self, settings: VrrpNotify) -> None:
        self.settings = settings
        self._together: list[tuple[int, Notification]] | None = None
        self._removing = False

    def reconfigure(self, settings: VrrpNotify) -> None:
        """Other settings. What they do not have any more has been told before."""
        self.settings = settings

    def begin(self, *, removing: bool = False) -> None:
        """What happens up to `end` belongs together. With `removing` it is a reload that ends instances."""
        self._together = []
        self._removing = removing

    def end(self) -> list[Notification]:
        """All that has happened since `begin`, in order."""
        together, self._together = self._together or [], None
        self._removing = False
        return [notification for _, notification in sorted(together, key=_rank)]

    def transition(self, name: str, transition: Transition) -> list[Notification]:
        state = STOP if transition.new is State.INIT else transition.new.value
        removed = self._removing and state == STOP
        item = self.settings.instances.get(name, SILENT)
        event = instance_event(
            item, name, state, transition.priority, removed=removed, fault_mails=self.settings.fault_mails
        )
        return self._tell(1, event)

    def group_transition(self, transition: GroupTransition) -> list[Notification]:
        state = STOP if transition.new is State.INIT else transition.new.value
        item = self.settings.groups.get(transition.group, SILENT)
        begins = transition.old is State.INIT and state == BACKUP
        event = group_event(item, transition.group, state, fault_mails=self.settings.fault_mails)
        return self._tell(0 if begins else 2, event)

    def lower_priority(self, name: str, _received: LowerPriorityReceived, priority: int) -> list[Notification]:
        """`priority` is its own, in force."""
        return self._tell(1, lower_priority_event(self.settings.instances.get(name, SILENT), name, priority))

    def priority_changed(self, name: str, state: State, priority: int) -> list[Notification]:
        event = priority_event(name, state.value, priority)
        return [] if event is None else self._tell(1, event)

    def states(self, groups: Iterable[tuple[str, State]], instances: Iterable[tuple[str, State, int]]) -> list[str]:
        """Lines for everything that runs: fifo_write_vrrp_states_on_reload. Empty unless that is said."""
        if not self.settings.states_on_reload:
            return []
        lines = [state_line("GROUP", name, state.value, 0) for name, state in groups if state is not State.INIT]
        lines += [
            state_line("INSTANCE", name, state.value, priority)
            for name, state, priority in instances
            if state is not State.INIT
        ]
        return lines

    def _tell(self, rank: int, notification: Notification) -> list[Notification]:
        if self._together is None:
            return [notification]
        self._together.append((rank, notification))
        return []


def _rank(entry: tuple[int, Notification]) -> int:
    return entry[0]
