"""What the processes of one agent say to each other over their socket pairs, one msgpack frame a message."""

from __future__ import annotations

from typing import Any

import msgspec

from kactl_agent.runtime.bfd_frames import BfdHeartbeat, BfdSessionGone, BfdSnapshot, SessionVerdict
from kactl_agent.runtime.check_run_frames import CheckRunReport, RunCheck
from kactl_agent.runtime.checker_frames import (
    CheckersHeartbeat,
    InstanceVerdict,
    TimeoutsBefore,
    VirtualServerFacts,
    VirtualServerGone,
    VirtualServerStatus,
)
from kactl_agent.runtime.configuration import ConfigurationChanges
from kactl_agent.runtime.drain_frames import DrainOutcome, DrainRequest, Drains, DrainsApplied
from kactl_agent.runtime.dump_frames import (
    ClearStatistics,
    DumpFinished,
    DumpRequest,
    DumpWritten,
    TrackerGone,
    TrackerState,
    WriteDump,
)
from kactl_agent.runtime.frame import Frame as Frame
from kactl_agent.runtime.journal_frames import Happening
from kactl_agent.runtime.log_frames import DescribeYourself, LogDetail
from kactl_agent.runtime.notify_frames import MailDone, MailOrder, NotifyFifos
from kactl_agent.runtime.order_frames import OrderServer, ServerOrdered
from kactl_agent.runtime.reload_frames import ConfirmOutcome as ConfirmOutcome
from kactl_agent.runtime.reload_frames import ConfirmRequest as ConfirmRequest
from kactl_agent.runtime.reload_frames import PendingConfirmation as PendingConfirmation
from kactl_agent.runtime.reload_frames import PlanOutcome as PlanOutcome
from kactl_agent.runtime.reload_frames import PlanRequest as PlanRequest
from kactl_agent.runtime.reload_frames import ReloadOutcome as ReloadOutcome
from kactl_agent.runtime.reload_frames import ReloadRequest as ReloadRequest
from kactl_agent.runtime.reload_frames import RollbackRequest as RollbackRequest
from kactl_agent.vrrp.evidence import Evidence
from kactl_agent.vrrp.snapshot import InstanceSnapshot


class LogRecord(Frame, frozen=True):
    """May be dropped, and is counted then."""

    at: int
    level: str  # debug, info, warning, error
    process: str
    message: str
    fields: dict[str, str | int | bool] = msgspec.field(default_factory=dict)


class TransitionRecord(Frame, frozen=True):
    """An instance changed its state: a line of the journal."""

    at: int
    instance: str
    old: str
    new: str
    cause: str
    detail: str
    priority: int
    master: bytes
    evidence: Evidence | None = None  # what the instance knew
    lag: int = 0  # ns, the worst of the worker's loop lately
    revision: str = ""  # of the configuration in force


class Snapshot(Frame, frozen=True):
    """State of an instance as of `now`; its static parts (addresses) are left out."""

    now: int
    at: int
    snapshot: InstanceSnapshot


class InstanceGone(Frame, frozen=True):
    instance: str


class PriorityRecord(Frame, frozen=True):
    """The effective priority of an instance changed: a line of the journal."""

    at: int
    instance: str
    state: str
    priority: int
    detail: str


class GroupState(Frame, frozen=True):
    """State of a sync group; `at` is when it was entered, 0 when that was before the group was made."""

    group: str
    state: str
    at: int = 0
    cause: str = ""
    detail: str = ""


class GroupRecord(Frame, frozen=True):
    """A sync group changed its state: a line of the journal."""

    at: int
    group: str
    old: str
    new: str
    cause: str  # of the member that brought it about
    detail: str


class Heartbeat(Frame, frozen=True):
    """The worker's loop is alive: its timers' lateness, and what its queue had to drop since it started."""

    now: int
    at: int
    timers: int
    late_max: int  # ns, since the worker started
    late_over_10ms: int
    dropped: int


class RecordingFile(Frame, frozen=True):
    """The attached descriptor is the file an instance's recording goes to."""

    instance: str


class RecordingLine(Frame, frozen=True):
    """A line of an instance's engine recording. Once one has been dropped no more follow: what there is replays."""

    instance: str
    line: bytes
    first: bool = False  # of a new recording


class Settings(Frame, frozen=True):
    """The attached descriptor is a sealed configuration: to be read and looked at, but not put in force yet (the
    observer, who is sent 0, takes it at once)."""

    serial: int


class SettingsPrepared(Frame, frozen=True):
    """Answer to Settings; `error` says why this worker cannot run them, and is empty when it can."""

    serial: int
    error: str = ""


class ApplySettings(Frame, frozen=True):
    """Every worker is prepared: the settings of this serial are to be in force now."""

    serial: int


class DropSettings(Frame, frozen=True):
    """Somebody is not prepared: the settings of this serial will never be in force."""

    serial: int


class SettingsApplied(Frame, frozen=True):
    """Answer to ApplySettings; `error` is empty when they are in force. `problems`: what of them is not on the machine
    as it should be, found when it was looked at afterwards."""

    serial: int
    changes: ConfigurationChanges
    error: str = ""
    problems: tuple[str, ...] = ()


class ObserverEdge(Frame, frozen=True):
    """The attached descriptor is a new socket to the observer (or, for the observer, to the named worker)."""

    worker: str


class PeerEdge(Frame, frozen=True):
    """The attached descriptor is a new socket to another worker, in place of any that was there before."""

    worker: str


class SpawnerEdge(Frame, frozen=True):
    """The attached descriptor is a new socket to the spawner (see `kactl_agent.runtime.spawn_frames`)."""


class Stop(Frame, frozen=True):
    """Orderly stop: release everything, then exit."""

    keep_addresses: bool = False
    keep_ipvs: bool = False


class WorkerStarted(Frame, frozen=True):
    """A worker has set itself up and is at work."""

    process: str


class ProcessState(Frame, frozen=True):
    """What the supervisor knows of one worker."""

    process: str
    pid: int  # 0 when it is not running
    restarts: int
    last_exit: str = ""


AnyFrame = (
    OrderServer
    | ServerOrdered
    | RunCheck
    | CheckRunReport
    | LogRecord
    | TransitionRecord
    | Snapshot
    | InstanceGone
    | PriorityRecord
    | GroupState
    | GroupRecord
    | Heartbeat
    | RecordingFile
    | RecordingLine
    | Settings
    | SettingsPrepared
    | ApplySettings
    | DropSettings
    | SettingsApplied
    | ObserverEdge
    | PeerEdge
    | SpawnerEdge
    | Stop
    | WorkerStarted
    | ProcessState
    | ReloadRequest
    | ReloadOutcome
    | RollbackRequest
    | PlanRequest
    | PlanOutcome
    | ConfirmRequest
    | ConfirmOutcome
    | PendingConfirmation
    | LogDetail
    | DescribeYourself
    | WriteDump
    | DumpWritten
    | ClearStatistics
    | DumpRequest
    | DumpFinished
    | TrackerState
    | TrackerGone
    | SessionVerdict
    | BfdSnapshot
    | BfdSessionGone
    | BfdHeartbeat
    | InstanceVerdict
    | TimeoutsBefore
    | VirtualServerFacts
    | VirtualServerStatus
    | VirtualServerGone
    | CheckersHeartbeat
    | Happening
    | DrainRequest
    | DrainOutcome
    | Drains
    | DrainsApplied
    | NotifyFifos
    | MailOrder
    | MailDone
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyFrame] = msgspec.msgpack.Decoder(AnyFrame)


def encode(frame: Frame) -> bytes:
    """Names from the system may hold what is no UTF-8 (half surrogate pairs here): they come with `?` in its place, for
    no name is worth the messages that stand behind it."""
    try:
        return _encoder.encode(frame)
    except UnicodeEncodeError:
        return _encoder.encode(_as_text(msgspec.to_builtins(frame, builtin_types=(bytes,))))


def _as_text(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_as_text(key): _as_text(each) for key, each in value.items()}
        case list() | tuple():
            return [_as_text(each) for each in value]
        case _:
            return value


def decode(data: bytes | memoryview) -> AnyFrame:
    """Raises msgspec.MsgspecError."""
    return _decoder.decode(data)
