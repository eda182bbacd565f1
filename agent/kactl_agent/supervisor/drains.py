"""What is drained, by whose word, and for how long. It outlives reloads and the VRRP worker, who does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.drain_frames import (
    ALL,
    DrainOrder,
    DrainOutcome,
    DrainRequest,
    Drains,
    DrainsApplied,
    covered,
)
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.supervisor.poller import Poller, TimerHandle
from kactl_agent.vrrp.pairing import pair

_ANSWER_SECONDS = 10.0  # for a worker that has nothing to wait for
_LONGEST_WAIT_SECONDS = 45.0  # for another router; the control socket gives up after a minute
_LONGEST_REASON = 500


class Host(Protocol):
    """What drains need of the supervisor."""

    @property
    def configuration(self) -> AgentConfiguration: ...

    def to_vrrp(self, frame: frames.Frame) -> bool:
        """False when there is no VRRP worker."""

    def to_observer(self, frame: frames.Frame) -> None: ...

    def log(self, level: str, message: str) -> None: ...


class _Pending(msgspec.Struct):
    """A request that the worker has not answered yet."""

    request: DrainRequest
    order: DrainOrder
    instances: tuple[str, ...]
    patience: TimerHandle


class KeptDrains:
    """The orders by their target. `wall` reads the wall clock in ns."""

    def __init__(self, host: Host, poller: Poller, wall: Callable[[], int] = time.time_ns) -> None:
        self._host = host
        self._poller = poller
        self._wall = wall
        self._orders: dict[str, DrainOrder] = {}
        self._expiries: dict[str, TimerHandle] = {}
        self._serial = 0
        self._pending: dict[int, _Pending] = {}

    @property
    def orders(self) -> tuple[DrainOrder, ...]:
        """Those that hold; what `require_peer` asked is settled for a worker that starts with them."""
        return tuple(msgspec.structs.replace(order, require_peer=False) for order in self._orders.values())

    # -- requests ------------------------------------------------------------------------------------------------------

    def request(self, request: DrainRequest) -> None:
        configuration = self._host.configuration
        instances = covered(request.target, configuration.vrrp, configuration.sync_groups)
        if not instances and request.target != ALL:
            known = [each.name for each in configuration.vrrp] + [each.name for each in configuration.sync_groups]
            there_is = f"there is: {', '.join(known)}" if known else "there is none"
            text = f"there is no vrrp_instance or vrrp_sync_group {request.target!r} ({there_is})"
            self._refuse(request, text)
        elif request.undrain:
            self._undrain(request, instances)
        else:
            self._drain(request, instances)

    def _drain(self, request: DrainRequest, instances: tuple[str, ...]) -> None:
        if any(pending.order.target == request.target for pending in self._pending.values()):
            self._refuse(request, f"{_name(request.target)} is being drained already")
            return
        intervals = [each.advert_interval for each in self._host.configuration.vrrp if each.name in instances]
        wait = 2 * max(intervals, default=0) / 1e9 if request.require_peer else 0.0
        if wait > _LONGEST_WAIT_SECONDS:
            text = f"it takes up to {wait:.0f} s to know whether another router takes over, longer than a request may"
            self._refuse(request, f"{text}: drain without requiring a peer, and see `kactl why`")
            return
        now = self._wall()
        order = DrainOrder(
            target=request.target,
            reason=request.reason[:_LONGEST_REASON],
            at=now,
            until=None if request.ttl is None else now + request.ttl,
            require_peer=request.require_peer,
        )
        self._cancel_expiry(order.target)
        self._orders.pop(order.target, None)
        self._orders[order.target] = order
        self._serial += 1
        what = f"{_name(order.target)} is to be drained{f': {order.reason}' if order.reason else ''}"
        self._announce("drain", request, instances, what)
        handle = self._poller.call_later(_ANSWER_SECONDS + wait, partial(self._too_late, self._serial))
        self._pending[self._serial] = _Pending(request, order, instances, handle)
        if not self._send(self._serial):
            self._settle(self._serial, "the vrrp worker is not running: it starts drained")

    def _undrain(self, request: DrainRequest, instances: tuple[str, ...]) -> None:
        targets = list(self._orders) if request.target == ALL else self._targets_of(instances)
        if request.target != ALL and ALL in self._orders:
            self._refuse(request, f"{_name(request.target)} is drained by `drain --all`: use `undrain --all`")
            return
        if not targets:
            self._refuse(request, f"{_name(request.target)} is not drained")
            return
        for target in targets:
            self._forget(target)
        self._announce("undrain", request, instances, f"{_name(request.target)} is undrained")
        self._resend()

    def _targets_of(self, instances: tuple[str, ...]) -> list[str]:
        """Orders that are about any of these."""
        configuration = self._host.configuration
        return [
            target
            for target in self._orders
            if set(covered(target, configuration.vrrp, configuration.sync_groups)) & set(instances)
        ]

    # -- answers -------------------------------------------------------------------------------------------------------

    def applied(self, frame: DrainsApplied) -> None:
        """The VRRP worker has answered."""
        pending = self._pending.get(frame.serial)
        if pending is None:
            return
        if not frame.refused:
            self._settle(frame.serial, "")
            return
        del self._pending[frame.serial]
        pending.patience.cancel()
        self._forget(pending.order.target)
        self._resend()  # members of a group that somebody else did take over from
        names = ", ".join(frame.refused)
        text = f"not drained: no other router took over from {names}, which is master again"
        self._announce("drain_refused", pending.request, pending.instances, text)
        self._host.to_observer(DrainOutcome(pending.request.serial, False, text, pending.instances))

    def _settle(self, serial: int, remark: str) -> None:
        pending = self._pending.pop(serial)
        pending.patience.cancel()
        request, order = pending.request, pending.order
        self._orders[order.target] = msgspec.structs.replace(order, require_peer=False)
        if request.ttl is not None:
            self._expire_in(order.target, request.ttl)
        what = f"{_name(order.target)} is drained{f': {order.reason}' if order.reason else ''}"
        text = f"{what} ({remark})" if remark else what
        self._host.to_observer(DrainOutcome(request.serial, True, text, pending.instances))
        self._tell_observer()

    def _too_late(self, serial: int) -> None:
        pending = self._pending.pop(serial)
        text = "the vrrp worker does not answer: the order stays, and is followed as soon as it can"
        self._host.to_observer(DrainOutcome(pending.request.serial, False, text, pending.instances))
        self._tell_observer()

    def _refuse(self, request: DrainRequest, text: str) -> None:
        self._host.to_observer(DrainOutcome(request.serial, False, text))

    # -- what happens meanwhile ----------------------------------------------------------------------------------------

    def _expire_in(self, target: str, nanoseconds: int) -> None:
        self._expiries[target] = self._poller.call_later(max(0, nanoseconds) / 1e9, partial(self._expire, target))

    def _expire(self, target: str) -> None:
        self._forget(target)
        configuration = self._host.configuration
        instances = covered(target, configuration.vrrp, configuration.sync_groups)
        text = f"{_name(target)}: the time it was drained for is over"
        self._host.log("info", text)
        self._announce("undrain", DrainRequest(0, target), instances, text)
        self._resend()

    def adopted(self, old: AgentConfiguration, new: AgentConfiguration) -> None:
        """A reload: instances that are called something else stay drained, orders about nobody end."""
        renamed = {before: after for after, before in pair(old.vrrp, new.vrrp).items() if before != after}
        before, self._orders = self._orders, {}
        for target, order in before.items():
            name = renamed.get(target, target)
            stays = name == ALL or bool(covered(name, new.vrrp, new.sync_groups))
            if name != target or not stays:
                self._cancel_expiry(target)
                if stays and order.until is not None:
                    self._expire_in(name, order.until - self._wall())
            if stays:
                self._orders[name] = msgspec.structs.replace(order, target=name)
        if self._orders != before:
            self._resend()

    def worker_lost(self) -> None:
        """It handed over when it ended, and the next one starts drained."""
        for serial in list(self._pending):
            self._settle(serial, "the vrrp worker ended meanwhile: it starts drained")

    def observer_started(self) -> None:
        self._tell_observer()

    # -- one for all ---------------------------------------------------------------------------------------------------

    def _forget(self, target: str) -> None:
        self._orders.pop(target, None)
        self._cancel_expiry(target)

    def _cancel_expiry(self, target: str) -> None:
        handle = self._expiries.pop(target, None)
        if handle is not None:
            handle.cancel()

    def _send(self, serial: int) -> bool:
        return self._host.to_vrrp(Drains(serial, tuple(self._orders.values())))

    def _resend(self) -> None:
        self._serial += 1
        self._send(self._serial)
        self._tell_observer()

    def _tell_observer(self) -> None:
        self._host.to_observer(Drains(0, self.orders))

    def _announce(self, kind: str, request: DrainRequest, instances: tuple[str, ...], detail: str) -> None:
        facts: dict[str, str | int | bool | None] = {"instances": ", ".join(instances)}
        if request.reason:
            facts["reason"] = request.reason[:_LONGEST_REASON]
        if request.ttl is not None:
            facts["ttl_s"] = request.ttl // 1_000_000_000
        subject = _subject(request.target, self._host.configuration)
        self._host.to_observer(Happening(at=self._wall(), kind=kind, subject=subject, detail=detail, facts=facts))
        if request.undrain:
            self._host.to_observer(DrainOutcome(request.serial, True, detail, instances))


def _name(target: str) -> str:
    return "every instance" if target == ALL else target


def _subject(target: str, configuration: AgentConfiguration) -> str:
    """As the journal calls it."""
    if target == ALL:
        return "agent"
    instance = any(each.name == target for each in configuration.vrrp)
    return f"{'vrrp_instance' if instance else 'vrrp_sync_group'} {target}"
