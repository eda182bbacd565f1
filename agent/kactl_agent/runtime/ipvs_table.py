"""Keeps the kernel's IPVS table as virtual servers want it: in batches, a slice a turn, and looked at now and then.

What was refused is looked at anew, tried once more, and then said, with the virtual and the real server it is about.
From then on it is tried again, without a word, with every audit and every reload: a module may have come.
What somebody else has changed is found by a slow audit, reported as drift, and put back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.model import Destination, DestinationKey, Service, ServiceKey
from kactl_agent.ipvs.plan import Desired, Encoder, Entry, Operation, Owner, drift, foreign
from kactl_agent.kernel.ipvs import IpvsPort

SLICE = 4096  # operations a turn of the loop: a tenth of a second where a system call is slow
_AUDITED_A_TURN = 64  # services whose destinations are looked at
_SECOND_TRIES = 1
Log = Callable[[str, str], None]  # level, text
Drifted = Callable[[list[Owner], str], None]


class IpvsTable:
    """`log` is told what the kernel refuses; `drifted` what somebody else has changed, and whose it was.

    Methods that ask the kernel raise OSError when that cannot be done. Before `open` there is nothing to ask.
    """

    def __init__(self, log: Log, drifted: Drifted) -> None:
        self._log = log
        self._drifted = drifted
        self.desired = Desired()
        self._port: IpvsPort | None = None
        self._actual: dict[ServiceKey, Entry] = {}
        self._tries: dict[ServiceKey, int] = {}
        self._refused: dict[ServiceKey, str] = {}
        self._audit: dict[ServiceKey, Service | None] = {}  # what is left of a round, as seen at its beginning
        self.operations = 0  # that the kernel has carried out

    @property
    def pending(self) -> bool:
        return bool(self.desired.touched)

    @property
    def problems(self) -> list[str]:
        """What is not in the kernel as it should be, and why."""
        return list(self._refused.values())

    # -- what is to be -------------------------------------------------------------------------------------------------

    def put_services(self, owner: Owner, services: Iterable[Service]) -> None:
        self.desired.put_services(owner, services)

    def remove_services(self, owner: Owner) -> None:
        self.desired.remove_services(owner)

    def put_destination(self, owner: Owner, destination: Destination) -> None:
        self.desired.put_destination(owner, destination)

    def remove_destination(self, owner: Owner, key: DestinationKey) -> None:
        self.desired.remove_destination(owner, key)

    # -- what is -------------------------------------------------------------------------------------------------------

    def open(self, port: IpvsPort, *, flush: bool) -> None:
        """Begin, again where the kernel was lost: learn what there is of the services that are wanted, and of those
        that were and have not gone yet. With `flush` all others are deleted."""
        self._port = port
        self._actual.clear()
        self._audit.clear()
        self.retry_refused()
        there = {seen.service.key: seen.service for seen in port.services()}
        if flush:
            others = foreign(there, self.desired)
            port.apply([genl.encode_delete_service(key) for key in others])
            for key in others:
                del there[key]
        for key, service in there.items():
            if key in self.desired or key in self.desired.touched:
                self._actual[key] = self._entry(service)
        self.desired.touch_all()

    def close(self) -> None:
        """The kernel is gone: nothing is known of it any more."""
        self._port = None
        self._actual.clear()

    @property
    def _kernel(self) -> IpvsPort:
        assert self._port is not None, "IPVS is not open"
        return self._port

    def apply(self, limit: int = SLICE) -> bool:
        """Carry out up to about `limit` operations. Returns whether all is done."""
        operations: list[Operation] = []
        entries: dict[ServiceKey, Entry | None] = {}
        encoder = Encoder()
        for key in list(islice(self.desired.touched, limit)):
            self._audit.pop(key, None)
            entry = entries[key] = self.desired.entry(key)
            operations += encoder.difference(key, entry, self._actual.get(key))
            if len(operations) >= limit:
                break
        failed = self._send(operations)
        for key, entry in entries.items():
            if key not in failed:
                del self.desired.touched[key]  # not before: where the kernel was lost nobody knows what it did
                self._tries.pop(key, None)
                self._refused.pop(key, None)
                self._learn(key, entry)
        if failed:
            self._again(failed)
        return not self.desired.touched

    def _send(self, operations: Sequence[Operation]) -> dict[ServiceKey, str]:
        if not operations:
            return {}
        failures = self._kernel.apply([operation.request for operation in operations])
        self.operations += len(operations) - len(failures)
        failed: dict[ServiceKey, str] = {}
        for failure in failures:
            operation = operations[failure.place]
            failed.setdefault(operation.service, f"IPVS refuses to {operation.text}: {os.strerror(failure.error)}")
        return failed

    def _again(self, failed: dict[ServiceKey, str]) -> None:
        """The kernel is not as we thought, or it cannot do it: look, and try once more. (They are touched still.)"""
        services = {seen.service.key: seen.service for seen in self._kernel.services()}
        for key, text in failed.items():
            service = services.get(key)
            self._learn(key, None if service is None else self._entry(service))
            tries = self._tries.get(key, 0)
            if tries < _SECOND_TRIES:
                self._tries[key] = tries + 1
            else:
                del self._tries[key], self.desired.touched[key]
                if self._refused.get(key) != text:
                    self._log("error", text)
                self._refused[key] = text

    def retry_refused(self) -> None:
        """What was refused may be possible now; it is tried with what is to be applied next."""
        self.desired.touched.update(dict.fromkeys(self._refused))

    def _entry(self, service: Service) -> Entry:
        seen = self._kernel.destinations(service.key)
        return Entry(service, {each.destination.key: each.destination for each in seen})

    # -- audit ---------------------------------------------------------------------------------------------------------

    def audit(self) -> bool:
        """Look at some of what there is; what is not as it should be is reported, and touched. Returns whether a round
        is complete."""
        if not self._audit:
            self.retry_refused()
            there = {seen.service.key: seen.service for seen in self._kernel.services()}
            self._audit = {key: there.get(key) for key in self.desired.services if key not in self.desired.touched}
        for key in list(islice(self._audit, _AUDITED_A_TURN)):
            service = self._audit.pop(key)
            wanted = self.desired.entry(key)
            if wanted is None or key in self.desired.touched:
                continue  # it has changed since the round began
            seen = None if service is None else self._entry(service)
            found = drift(wanted, seen)
            for text in found:
                self._drifted(self.desired.owners(key), text)
            if found:
                self._learn(key, seen)
                self.desired.touched[key] = None
        return not self._audit

    def _learn(self, key: ServiceKey, seen: Entry | None) -> None:
        if seen is None:
            self._actual.pop(key, None)
        else:
            self._actual[key] = seen

    # -- the end -------------------------------------------------------------------------------------------------------

    def last_comes_first(self) -> None:
        """What is still to be done is done in the reverse order: for deleting all there is. The kernel keeps deleted
        destinations for two minutes, the latest at the head of a list, and looks through it for each one that is made.
        A restart finds its first one first then; tens of thousands in another order take it seconds."""
        self.desired.touched = dict.fromkeys(reversed(self.desired.touched))

    def flush(self) -> None:
        """Delete every service there is, whoever made it."""
        self._kernel.apply([genl.encode_flush()])
        self._actual.clear()
        self.desired.touch_all()
