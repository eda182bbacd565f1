"""Which interfaces count as up, for the instances and their trackers: as the kernel says, or after a delay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kactl_agent.kernel.ports import Link, Links
from kactl_agent.runtime.driver import TimedDriver
from kactl_agent.tracking.actions import LinkState
from kactl_agent.tracking.debounce import LinkDebounce, limited
from kactl_agent.vrrp.actions import Action, ActionFailed
from kactl_agent.vrrp.network_settings import LinkDelays


class LinkStates:
    """`changed` is called when an interface has come to count as something else because time has passed."""

    def __init__(
        self,
        links: Links,
        clock: Callable[[], int],
        arm: Callable[[int | None], None] = lambda _deadline: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._links = links
        self._clock = clock
        self._changed = changed
        self._driver = TimedDriver[LinkDebounce](clock, _perform, arm, _nobody_asks)
        self._delayed: dict[str, LinkDebounce] = {}
        self._wanted: dict[str, LinkDelays] = {}
        self._limits: dict[str, dict[str, int]] = {}  # interface -> instance -> longest down delay
        self._beats: Mapping[str, bool] = {}

    def apply(self, delays: Iterable[LinkDelays]) -> None:
        """Wait like this from now on. An interface that has had a delay goes on from where it is."""
        wanted = {each.interface: each for each in delays if each.down or each.up}
        self._wanted, self._limits = wanted, {}
        for name in [name for name in self._delayed if name not in wanted]:
            self._driver.remove(name)
            del self._delayed[name]
        for name, each in wanted.items():
            self._delay(name, each)
        self.refresh()

    def _delay(self, name: str, delays: LinkDelays) -> None:
        known = self._delayed.get(name)
        if known is not None:
            self._driver.remove(name)  # and added again: its deadline may be another one
            known.reconfigure(delays, self._clock())
        self._delayed[name] = known or LinkDebounce(delays)
        self._driver.add(name, self._delayed[name])

    def limit(self, name: str, instance: str, longest: int) -> None:
        """The down delay of the interface is at most this while the instance waits for adverts as it does now: a master
        may have taught it a shorter interval than its own."""
        wanted = self._wanted.get(name)
        if wanted is None:
            return
        limits = self._limits.setdefault(name, {})
        limits[instance] = longest
        delays = limited(wanted, min(limits.values()))
        if delays != self._delayed[name].delays:
            self._delay(name, delays)

    def refresh(self) -> None:
        """The kernel may have news of interfaces: take them in."""
        for name in self._delayed:
            link = self._links.link(name)
            self._driver.tell(name, LinkState(up=link is not None and self._answers(link), exists=link is not None))

    def up(self, name: str) -> bool:
        """Whether there is such an interface that counts as up."""
        link = self._links.link(name)
        if link is None:
            return False
        delayed = self._delayed.get(name)
        return self._answers(link) if delayed is None else delayed.up

    def heard(self, beats: Mapping[str, bool]) -> None:
        """What these interfaces answered when they were asked for their link; the kernel's word counts for others."""
        if beats != self._beats:
            self._beats = beats
            self.refresh()
            self._changed()

    def _answers(self, link: Link) -> bool:
        beat = self._beats.get(link.name)
        return link.up if beat is None else link.enabled and beat

    def run_due(self) -> None:
        """The armed time has come."""
        before = {name: engine.up for name, engine in self._delayed.items()}
        self._driver.run_due()
        if before != {name: engine.up for name, engine in self._delayed.items()}:
            self._changed()


def _perform(_name: str, _action: Action, _now: int) -> ActionFailed | None:
    """Whoever wants to know is told of all changes of a moment at once."""
    return None


def _nobody_asks(_name: str, _now: int) -> None:
    """Interfaces have no state of their own for the observer."""
