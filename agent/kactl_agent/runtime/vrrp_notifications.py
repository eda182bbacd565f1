"""What the vrrp worker tells others: engines' transitions in keepalived's order, through `notifications`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from kactl_agent.notify.events import Notification
from kactl_agent.notify.settings import VrrpNotify
from kactl_agent.notify.vrrp import VrrpNotifier
from kactl_agent.runtime.notifications import Teller
from kactl_agent.vrrp.actions import GroupTransition, LowerPriorityReceived, State, Transition


class VrrpNotifications:
    """A thin layer: what is decided, `VrrpNotifier` decides."""

    def __init__(self, teller: Teller, settings: VrrpNotify) -> None:
        self.teller = teller
        self._notifier = VrrpNotifier(settings)
        self._configure(settings)

    def _configure(self, settings: VrrpNotify) -> None:
        self.teller.configure(settings.executables, settings.fifos)

    def reconfigure(self, settings: VrrpNotify) -> None:
        """Other settings, once what is not in them any more has been told (`removing`)."""
        self._notifier.reconfigure(settings)
        self._configure(settings)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What happens meanwhile is told at the end of it, in the order of a start or a stop."""
        self._notifier.begin()
        yield
        self._tell(self._notifier.end())

    @contextlib.contextmanager
    def removing(self) -> Iterator[None]:
        """As `together`; instances that end are taken away by a reload."""
        self._notifier.begin(removing=True)
        yield
        self._tell(self._notifier.end())

    def transition(self, name: str, transition: Transition) -> None:
        self._tell(self._notifier.transition(name, transition))

    def group_transition(self, transition: GroupTransition) -> None:
        self._tell(self._notifier.group_transition(transition))

    def lower_priority(self, name: str, received: LowerPriorityReceived, priority: int) -> None:
        self._tell(self._notifier.lower_priority(name, received, priority))

    def priority_changed(self, name: str, state: State, priority: int) -> None:
        self._tell(self._notifier.priority_changed(name, state, priority))

    def write_states(self, groups: Iterable[tuple[str, State]], instances: Iterable[tuple[str, State, int]]) -> None:
        """After a reload, where that is wanted (fifo_write_vrrp_states_on_reload)."""
        self.teller.write(self._notifier.states(groups, instances))

    def _tell(self, notifications: Iterable[Notification]) -> None:
        for notification in notifications:
            self.teller.tell(notification)
