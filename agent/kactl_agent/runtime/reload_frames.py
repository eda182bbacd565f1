"""What the observer and the supervisor say to each other about configurations: reloads, plans, confirmations."""

from __future__ import annotations

import msgspec

from kactl_agent.runtime.configuration import ConfigurationChanges
from kactl_agent.runtime.frame import Frame


class ReloadRequest(Frame, frozen=True):
    """A client of the control socket wants a reload."""

    serial: int
    file: str = ""  # another file, to become the configuration; empty: the configuration file as it is
    confirm: int = 0  # ns until it is rolled back unless it is confirmed; 0: it stays


class RollbackRequest(Frame, frozen=True):
    """A client wants the configuration before the one in force; answered by ReloadOutcome."""

    serial: int
    revision: str = ""  # nothing is done unless this one is in force; empty: whichever is


class ReloadOutcome(Frame, frozen=True):
    """How a reload or rollback went; `serial` is the request's, 0 for one by signal. One reload may answer several
    requests: only one of the outcomes is for the journal."""

    serial: int
    ok: bool
    message: str
    revision: str
    changes: ConfigurationChanges | None = None  # of VRRP instances
    journal: bool = True
    others: dict[str, ConfigurationChanges] = msgspec.field(default_factory=dict)  # of the other workers
    invalid: bool = False  # the file is what was wrong
    impact: str = ""  # the worst class of the plan; empty where there is none
    notes: tuple[str, ...] = ()  # of the message: about files, the confirmation, what is not as it should be
    rolled_back: bool | None = None  # of an order to go back: False when nothing had to be done


class PlanRequest(Frame, frozen=True):
    """A client wants to know what a reload with this file would do."""

    serial: int
    file: str


class PlanOutcome(Frame, frozen=True):
    """The attached descriptor is a memory file with the plan as JSON; without one `error` says why."""

    serial: int
    error: str = ""


class ConfirmRequest(Frame, frozen=True):
    """A client says that the configuration in force is to stay."""

    serial: int
    revision: str = ""  # no other one is confirmed; empty: whichever is in force


class ConfirmOutcome(Frame, frozen=True):
    serial: int
    error: str = ""
    revision: str = ""  # that stays
    already: bool = False  # it was not on trial


class PendingConfirmation(Frame, frozen=True):
    """What is in force until it is confirmed or rolled back; `revision` is empty when nothing waits for that."""

    revision: str = ""
    previous: str = ""  # revision to go back to
    until: int = 0  # wall-clock ns
