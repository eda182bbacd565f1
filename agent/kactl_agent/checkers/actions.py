"""What goes into a checker's engine and what comes out: serialisable, like the inputs and actions of the VRRP engine.

Startup and Shutdown are those of `kactl_agent.vrrp.actions`; FileContent and SessionState those of
`kactl_agent.tracking.actions`.
"""

from __future__ import annotations

from kactl_agent.vrrp.actions import Action, Input

# -- inputs -----------------------------------------------------------------------------------------------------------


class CheckEnded(Input, frozen=True):
    """The check that was asked for has ended, or could not be made."""

    success: bool
    detail: str  # what was seen, a sentence for an operator
    weight: int | None = None  # what MISC_CHECK says that the weight is from now on; None: the configured one
    warning: str = ""  # what an operator should know though it succeeded


class CheckLost(Input, frozen=True):
    """There is no result, for want of something here: of descriptors, of memory, of what runs programs. It counts for
    nothing."""

    reason: str = ""


class Suspend(Input, frozen=True):
    """No checks from now on (ha_suspend); what is known stays."""


class Resume(Input, frozen=True):
    """Checks again, the first one soon."""


# -- actions ----------------------------------------------------------------------------------------------------------


class StartCheck(Action, frozen=True):
    """Make a check; CheckEnded follows. `step` is the url of an HTTP_GET, from 0."""

    step: int


class AbortCheck(Action, frozen=True):
    """Leave the check that is under way; nobody wants its result."""


class CheckVerdict(Action, frozen=True):
    """The checker says something else of its real server than before."""

    up: bool
    detail: str  # what was seen
    failures: int  # tries in a row that have failed


class CheckFailed(Action, frozen=True):
    """A try has failed that changes nothing (yet); for log_all_failures, and for an operator who asks why."""

    detail: str
    retries_left: int


class WeightChanged(Action, frozen=True):
    """What the checker makes of the weight of its real server: it is `weight` (None: the configured one), then
    `difference` more. A MISC_CHECK says the one, a FILE_CHECK the other."""

    weight: int | None = None
    difference: int = 0
