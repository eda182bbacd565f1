"""What is drained, by whose word, and for how long.

It outlives reloads, the VRRP worker, who does it, and an agent that is killed; not one that is stopped.
"""

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
from kactl_agent.supervisor.record_file import RecordFile, Unreadable
from kactl_agent.supervisor.run_dir import RunDirectory
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

    def tell_observer(self, frame: frames.Frame) -> None: ...

    def log(self, level: str, message: str) -> None: ...


class _Kept(msgspec.Struct, eq=False):
    """An order that holds. It is the same one when a reload calls its target something else."""

    order: DrainOrder
    expiry: TimerHandle | None = None

    @property
    def target(self) -> str:
        return self.order.target


class _Pending(msgspec.Struct, eq=False):
    """A request that the worker has not answered yet."""

    request: DrainRequest
    kept: _Kept
    instances: tuple[str, ...]
    patience: TimerHandle | None = None
    told: bool = False  # the client has given up, or been told to: what the worker says still counts


class Record(Protocol):
    """Where the next agent finds what is drained if this one is killed."""

    def read(self) -> tuple[DrainOrder, ...]: ...

    def write(self, orders: tuple[DrainOrder, ...]) -> None: ...

    def remove(self) -> None: ...


class DrainRecord:
    """`drains.msgpack` in the run directory. `log` takes a level and a message."""

    def __init__(self, run_dir: RunDirectory, log: Callable[[str, str], None]) -> None:
        self._file = RecordFile(run_dir, "drains", tuple[DrainOrder, ...])
        self._log = log
        self._written: tuple[DrainOrder, ...] = ()

    def read(self) -> tuple[DrainOrder, ...]:
        """What an agent that was killed has left."""
        try:
            self._written = self._file.read() or ()
        except Unreadable as error:
            self._log("warning", f"what was drained by the agent before cannot be read, and is not any more: {error}")
        return self._written

    def write(self, orders: tuple[DrainOrder, ...]) -> None:
        if orders == self._written:
            return
        self._written = orders
        try:
            self._file.write(orders)
        except OSError as error:
            text = f"if the agent is killed, the next one drains nothing: {self._file.path}: {error.strerror or error}"
            self._log("warning", text)

    def remove(self) -> None:
        self._file.remove()


class KeptDrains:
    """The orders by their target. `wall` reads the wall clock in ns."""

    def __init__(
        self,
        host: Host,
        poller: Poller,
        record: Record,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._host = host
        self._poller = poller
        self._record = record
        self._wall = wall
        self._kept: dict[str, _Kept] = {}
        self._serial = 0
        self._pending: dict[int, _Pending] = {}

    @property
    def orders(self) -> tuple[DrainOrder, ...]:
        """Those that hold; what `require_peer` asked is settled for a worker that starts with them."""
        return tuple(msgspec.structs.replace(kept.order, require_peer=False) for kept in self._kept.values())

    def take_up(self) -> None:
        """What an agent that was killed has kept, before a worker runs."""
        configuration, now = self._host.configuration, self._wall()
        for order in self._record.read():
            there = order.target == ALL or covered(order.target, configuration.vrrp, configuration.sync_groups)
            if not there or (order.until is not None and order.until <= now):
                continue
            kept = self._kept[order.target] = _Kept(order)
            if order.until is not None:
                kept.expiry = self._poller.call_later((order.until - now) / 1e9, partial(self._expire, kept))
            reason = f" ({order.reason})" if order.reason else ""
            self._host.log("warning", f"{_name(order.target)} stays drained{reason}: the agent before was killed")

    def end(self) -> None:
        """The agent has stopped orderly."""
        self._record.remove()

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
        if any(pending.kept.target == request.target and not pending.told for pending in self._pending.values()):
            self._refuse(request, f"{_name(request.target)} is being drained already")
            return
        intervals = [each.advert_interval for each in self._host.configuration.vrrp if each.name in instances]
        wait = 2 * max(intervals, default=0) / 1e9 if request.require_peer else 0.0
        if wait > _LONGEST_WAIT_SECONDS:
            text = f"it takes up to {wait:.0f} s to know whether another router takes over, longer than a request may"
            self._refuse(request, f"{text}: drain without requiring a peer, and see `kactl why`")
            return
        self._forget(request.target, "another order takes the place of this one")
        now = self._wall()
        order = DrainOrder(
            target=request.target,
            reason=request.reason[:_LONGEST_REASON],
            at=now,
            until=None if request.ttl is None else now + request.ttl,
            require_peer=request.require_peer,
        )
        kept = self._kept[order.target] = _Kept(order)
        if request.ttl is not None:
            kept.expiry = self._poller.call_later(request.ttl / 1e9, partial(self._expire, kept))
        self._serial += 1
        what = f"{_name(order.target)} is to be drained{f': {order.reason}' if order.reason else ''}"
        self._announce("drain", request, instances, what)
        pending = self._pending[self._serial] = _Pending(request, kept, instances)
        pending.patience = self._poller.call_later(_ANSWER_SECONDS + wait, partial(self._too_late, pending))
        if not self._send(self._serial):
            self._settle(self._serial, "the vrrp worker is not running: it starts drained")

    def _undrain(self, request: DrainRequest, instances: tuple[str, ...]) -> None:
        targets = list(self._kept) if request.target == ALL else self._targets_of(instances)
        if request.target != ALL and ALL in self._kept:
            self._refuse(request, f"{_name(request.target)} is drained by `drain --all`: use `undrain --all`")
            return
        if not targets:
            self._refuse(request, f"{_name(request.target)} is not drained")
            return
        for target in targets:
            self._forget(target, "it was undrained meanwhile")
        self._announce("undrain", request, instances, f"{_name(request.target)} is undrained")
        self._resend()

    def _targets_of(self, instances: tuple[str, ...]) -> list[str]:
        """Orders that are about any of these."""
        configuration = self._host.configuration
        return [
            target
            for target in self._kept
            if set(covered(target, configuration.vrrp, configuration.sync_groups)) & set(instances)
        ]

    # -- answers -------------------------------------------------------------------------------------------------------

    def applied(self, frame: DrainsApplied) -> None:
        """The VRRP worker has answered, however late."""
        pending = self._pending.get(frame.serial)
        if pending is None:
            return
        if not frame.refused:
            self._settle(frame.serial, "")
            return
        del self._pending[frame.serial]
        if self._holds(pending.kept):
            del self._kept[pending.kept.target]
            _cancel(pending.kept.expiry)
            names = ", ".join(frame.refused)
            text = f"not drained: no other router took over from {names}, which is master again"
            self._announce("drain_refused", pending.request, pending.instances, text)
            self._answer(pending, text, ok=False)
        self._resend()  # members of a group that somebody else did take over from; and another order may hold by now

    def _settle(self, serial: int, remark: str) -> None:
        pending = self._pending.pop(serial)
        kept = pending.kept
        if not self._holds(kept):
            return
        kept.order = msgspec.structs.replace(kept.order, require_peer=False)
        what = f"{_name(kept.target)} is drained{f': {kept.order.reason}' if kept.order.reason else ''}"
        self._answer(pending, f"{what} ({remark})" if remark else what, ok=True)
        self._tell_observer()

    def _too_late(self, pending: _Pending) -> None:
        text = "the vrrp worker does not answer: the order stays, and is followed as soon as it can"
        self._answer(pending, text, ok=False)
        self._tell_observer()

    def _answer(self, pending: _Pending, text: str, *, ok: bool) -> None:
        _cancel(pending.patience)
        if not pending.told:
            pending.told = True
            self._host.tell_observer(DrainOutcome(pending.request.serial, ok, text, pending.instances))

    def _refuse(self, request: DrainRequest, text: str) -> None:
        self._host.tell_observer(DrainOutcome(request.serial, False, text))

    # -- what happens meanwhile ----------------------------------------------------------------------------------------

    def _expire(self, kept: _Kept) -> None:
        if not self._holds(kept):
            return  # a reload has given its name to the target of another one
        text = f"{_name(kept.target)}: the time it was drained for is over"
        self._forget(kept.target, "the time it was to be drained for is over")
        configuration = self._host.configuration
        instances = covered(kept.target, configuration.vrrp, configuration.sync_groups)
        self._host.log("info", text)
        self._announce("undrain", DrainRequest(0, kept.target), instances, text)
        self._resend()

    def adopted(self, old: AgentConfiguration, new: AgentConfiguration) -> None:
        """A reload: instances that are called something else stay drained, orders about nobody end, and who is not
        with a drained group any more is undrained."""
        pairs = pair(old.vrrp, new.vrrp)
        renamed = {before: after for after, before in pairs.items()}
        before, freed = dict(self._kept), False
        for target, kept in before.items():
            name = renamed.get(target, target)
            others = pairs.get(name, target) != target  # an instance that had another name
            now = () if others else covered(name, new.vrrp, new.sync_groups)
            was = covered(target, old.vrrp, old.sync_groups)
            freed = freed or not {renamed.get(each, each) for each in was} <= set(now)
            if not now and name != ALL:
                self._forget(target, "it is not in the configuration any more")
            kept.order = msgspec.structs.replace(kept.order, target=name)
        self._kept = {kept.target: kept for target, kept in before.items() if target in self._kept}
        if freed or list(self._kept) != list(before):
            self._resend()

    def worker_lost(self) -> None:
        """It handed over when it ended, and the next one starts drained."""
        for serial in list(self._pending):
            self._settle(serial, "the vrrp worker ended meanwhile: it starts drained")

    def observer_started(self) -> None:
        self._tell_observer()

    # -- one for all ---------------------------------------------------------------------------------------------------

    def _holds(self, kept: _Kept) -> bool:
        return self._kept.get(kept.target) is kept

    def _forget(self, target: str, why: str) -> None:
        """The order does not hold any more. Who waits for its answer has it."""
        kept = self._kept.pop(target, None)
        if kept is None:
            return
        _cancel(kept.expiry)
        for pending in self._pending.values():
            if pending.kept is kept:
                self._answer(pending, f"{_name(target)} is not drained: {why}", ok=False)

    def _send(self, serial: int) -> bool:
        return self._host.to_vrrp(Drains(serial, tuple(kept.order for kept in self._kept.values())))

    def _resend(self) -> None:
        self._serial += 1
        self._send(self._serial)
        self._tell_observer()

    def _tell_observer(self) -> None:
        self._record.write(tuple(kept.order for kept in self._kept.values() if not kept.order.require_peer))
        self._host.tell_observer(Drains(0, self.orders))

    def _announce(self, kind: str, request: DrainRequest, instances: tuple[str, ...], detail: str) -> None:
        facts: dict[str, str | int | bool | None] = {"instances": ", ".join(instances)}
        if request.reason:
            facts["reason"] = request.reason[:_LONGEST_REASON]
        if request.ttl is not None:
            facts["ttl_s"] = request.ttl // 1_000_000_000
        subject = _subject(request.target, self._host.configuration)
        self._host.tell_observer(Happening(at=self._wall(), kind=kind, subject=subject, detail=detail, facts=facts))
        if request.undrain:
            self._host.tell_observer(DrainOutcome(request.serial, True, detail, instances))


def _cancel(handle: TimerHandle | None) -> None:
    if handle is not None:
        handle.cancel()


def _name(target: str) -> str:
    return "every instance" if target == ALL else target


def _subject(target: str, configuration: AgentConfiguration) -> str:
    """As the journal calls it."""
    if target == ALL:
        return "agent"
    instance = any(each.name == target for each in configuration.vrrp)
    return f"{'vrrp_instance' if instance else 'vrrp_sync_group'} {target}"
