"""What goes into a tracker and what comes out: serialisable, like the inputs and actions of the VRRP engine."""

from __future__ import annotations

import msgspec

from kactl_agent.vrrp.actions import Action, Input

# -- inputs -----------------------------------------------------------------------------------------------------------


class ScriptStarted(Input, frozen=True):
    """The run that was asked for has begun: its time counts from now."""


class ScriptEnded(Input, frozen=True):
    """The run of a script has ended: its exit status, or the signal that ended it as a negative number."""

    status: int


class ScriptLost(Input, frozen=True):
    """What ran the script has ended, and the run with it: there is no result."""


class LinkState(Input, frozen=True):
    """The tracked interface as it is now."""

    up: bool  # IFF_UP and IFF_RUNNING
    exists: bool


class FileContent(Input, frozen=True):
    """What the tracked file holds now; None when it is missing or cannot be read, with the reason."""

    data: bytes | None
    error: str = ""


class ProcessSeen(Input, frozen=True):
    """A process runs that was not known, or is called something else than before."""

    pid: int
    name: bytes  # comm, at most 15 bytes
    command: tuple[bytes, ...]  # command line; () where nobody asked for it


class ProcessForked(Input, frozen=True):
    """A process has begun as the copy of another."""

    parent: int
    pid: int


class ProcessEnded(Input, frozen=True):
    """A process is no more."""

    pid: int


class ProcessesListed(Input, frozen=True):
    """Every process that runs has been seen; those that are not among these have ended."""

    pids: frozenset[int]


class SessionState(Input, frozen=True):
    """The tracked BFD session changed, or is said again."""

    up: bool


# -- actions ----------------------------------------------------------------------------------------------------------


class StartScript(Action, frozen=True):
    """Run the script. ScriptEnded follows, or ActionFailed."""


class SignalScript(Action, frozen=True):
    """Send a signal to the run of the script and everything it started."""

    signal: int


class Verdict(msgspec.Struct, frozen=True):
    """What a tracker says at a moment."""

    up: bool | None  # None: it has not decided yet
    value: int = 0  # of a file: the number in it
    detail: str = ""  # why, for an operator: "exited with status 1"


class VerdictChanged(Action, frozen=True):
    """The tracker says something else than before."""

    verdict: Verdict
